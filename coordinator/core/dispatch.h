// SPDX-License-Identifier: Apache-2.0
/* dispatch - who gets which samples now. The last act of every step. Pure, private.
 *
 * Every slot with room is asked in turn; it takes the first open job that has something for it: a suspect, or
 * as many ready samples as the policy says under the job's finish time. What no slot could take under that
 * time goes to the slot that would end it first. When nothing is ready any more and a slot is idle, unstarted
 * chunks of the slot that would finish last are recalled, if splitting them would end the job sooner. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "state.h"

void dispatch(struct sched *sched);

/* The job has work: unstarted chunks of less urgent jobs, on slots that could run it, are asked back, so that
 * it waits for one batch at most. */
void dispatch_preempt(struct sched *sched, const struct job *job);

/* An online request came: on the slots that could serve it, batches are kept short from now on and for a
 * while. */
void dispatch_cap(struct sched *sched, const struct job *online);

#endif
