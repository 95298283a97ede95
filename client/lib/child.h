// SPDX-License-Identifier: Apache-2.0
/* child - run a program to its end and catch what it says, in bounded memory. */
#ifndef CHILD_H
#define CHILD_H

#include "err.h"

#include <stdint.h>

enum { CHILD_TEXT_MAX = 1 << 20 };

struct child_output {
    char *text, *errors; /* what it printed on its standard output and error, zero-terminated, cut at
                            CHILD_TEXT_MAX */
    int status;          /* as from waitpid */
};

/* argv[0] is the program's path. child_output_free in any case. timeout_us 0: it may take as long as it
 * likes; else it is killed after that: ERR_TIMEOUT. */
MUST_USE enum err child_run(char *const argv[], struct child_output *output, struct why *why);
MUST_USE enum err child_run_for(char *const argv[], uint64_t timeout_us, struct child_output *output,
                                struct why *why);
void child_output_free(struct child_output *output);

#endif
