// SPDX-License-Identifier: Apache-2.0
/* chunk - how much one slot gets of one job, and the lease of it. Pure, private.
 *
 * A suspect is run first. Of the ready samples a slot takes as many as the policy says under the job's finish
 * time; a slot that has shown nothing is tried with one small batch at a time. */
#ifndef CHUNK_H
#define CHUNK_H

#include "state.h"

/* Lease something of the job to the slot now. False: nothing for it under the finish time, or it must run dry
 * first. */
bool chunk_give(struct sched *sched, struct slot_model *model, struct job *job);

/* Lease [first, first + count), which nobody holds. */
void chunk_grant(struct sched *sched, struct slot_model *model, struct job *job, uint64_t first,
                 uint32_t count);

/* Lease up to most of the first ready samples; false if none are ready. */
bool chunk_grant_ready(struct sched *sched, struct slot_model *model, struct job *job, uint32_t most);

#endif
