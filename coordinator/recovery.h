// SPDX-License-Identifier: Apache-2.0
/* recovery - what the journal remembers, into the tables and then into the scheduler: models and jobs as they
 * are read, the settled ranges of open jobs once the scheduler exists. Memory is bounded by fragments, not
 * samples. */
#ifndef RECOVERY_H
#define RECOVERY_H

#include "coordinator.h"

struct recovery;

struct recovery *recovery_new(struct coordinator *coordinator); /* NULL when out of memory */
void recovery_free(struct recovery **recovery);

/* For store_open. */
struct store_recovery recovery_callbacks(struct recovery *recovery);

/* Give the open jobs to the scheduler. ERR_MEMORY if a part of them could not be kept; ERR_FORMAT if the
 * journal has an open job that this version cannot read: refusing to start is better than losing it. */
MUST_USE enum err recovery_schedule(struct recovery *recovery, struct why *why);

/* After a start with open jobs nothing is leased for a short while: workers that come back with work of
 * theirs in hand are to be heard before it is given to others. Ended early soon after one has come back. */
void recovery_look(struct coordinator *coordinator);

#endif
