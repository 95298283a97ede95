// SPDX-License-Identifier: Apache-2.0
/* selection - which jobs a user means by JOB: a number, a name, `last`, `all`, `3-7`. Pure. */
#ifndef SELECTION_H
#define SELECTION_H

#include "err.h"
#include "jobs.h"
#include "keyring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct selection {
    bool several; /* the words may mean any number of jobs: `all`, a range, nothing at all (= all) */
    size_t count;
    uint64_t *numbers; /* ascending */
};

/* Look up which among the visible jobs that the viewer sees (keyring_sees; NULL = all). A name means its
 * newest job. ERR_NOT_FOUND says what there is none of (never for `all`); ERR_USAGE for a range that runs
 * backwards. selection is zeroed on failure. */
MUST_USE enum err selection_init(struct selection *selection, const struct jobs *jobs,
                                 const struct keyring_entry *viewer, const char *which, struct why *why);
void selection_fini(struct selection *selection);

/* Would a job of this name be found by it? Numbers, ranges, `last` and `all` would not. */
bool selection_can_name(const char *name);

#endif
