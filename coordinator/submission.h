// SPDX-License-Identifier: Apache-2.0
/* submission - whether a SUBMIT can be accepted: everything that can be known before the job runs is checked
 * here, so that no job fails for what could have been said at once. Looks at files (stat), changes nothing.
 */
#ifndef SUBMISSION_H
#define SUBMISSION_H

#include "jobs.h"
#include "roots.h"

#include <stdbool.h>

/* same_host: the client may name paths, within the roots (NULL: anywhere). The errors are sentences for the
 * user. */
MUST_USE enum err submission_check(const struct message_submit *submit, const char *state_dir, bool same_host,
                                   const struct roots *roots, struct jobs *jobs, struct why *why);

#endif
