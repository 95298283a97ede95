// SPDX-License-Identifier: Apache-2.0
/* retry - jobs that are over go on, under their own numbers: what failed, and what was never run, is run.
 *
 *      DONE, FAILED, CANCELLED --answer put together for clients set aside, journaled--> QUEUED
 *
 * The journal forgets the failed samples and the end in one step and says which samples are done; those stay
 * done. The answer is published anew at the end. Part of the loop's thread. */
#ifndef RETRY_H
#define RETRY_H

#include "coordinator.h"

/* Is there anything to be done? ERR_REFUSED: it is not over, nothing of it is left, or another job writes
 * where it does; ERR_FULL: its answer is being fetched, or too many jobs are open. */
MUST_USE enum err retry_check(struct coordinator *coordinator, const struct record *record, struct why *why);

/* Have it journaled; its waiters are answered when it is. */
MUST_USE enum err retry_begin(struct coordinator *coordinator, struct record *record, struct why *why);

/* It is. True: the job is open again. */
bool retry_journaled(struct coordinator *coordinator, struct record *record, struct store_event *event);

#endif
