// SPDX-License-Identifier: Apache-2.0
/* placement - which models are loaded where. Pure, private.
 *
 * A model is loaded on a slot when a job has samples for it there and loading would not take longer than the
 * job will take without it. Where the device's memory is short, the models used longest ago go first, but
 * none that is in use, and none that was used so recently that loading it again would cost more than it
 * brings: but for a more urgent job the slot runs dry and they go. The models of jobs that wait for busy
 * slots are fetched into the workers' caches meanwhile. */
#ifndef PLACEMENT_H
#define PLACEMENT_H

#include "state.h"

/* Load the job's model there, if it is worth it. The model is UNLOADED. False: there will be room when what
 * the slot runs for less urgent jobs has ended, and it should get no more of those. */
bool placement_load(struct sched *sched, struct slot_model *model, const struct job *job);

/* The slot found nothing to do: what it may be needed for, if chunks of an ending job come back. */
void placement_idle(struct sched *sched, struct slot *slot);

/* A job came: workers that are busy with others may fetch its model already. */
void placement_prefetch(struct sched *sched, const struct job *job);

/* Loads that take longer than was expected are not counted on any more. */
void placement_time(struct sched *sched);

/* Would loading it now end the job sooner? */
bool placement_worth(const struct sched *sched, const struct slot_model *model, const struct job *job);

#endif
