// SPDX-License-Identifier: Apache-2.0
/* results - the part of motley_results that the command line uses, too. */
#ifndef RESULTS_H
#define RESULTS_H

#include "bounds.h"
#include "connection.h"

/* motley_results; path receives where the answer was written (absolute, with the ending that output lacked).
 */
MUST_USE enum err results_write(struct motley *connection, int64_t job, const char *output,
                                char path[PATH_MAX_BYTES], struct why *why);

#endif
