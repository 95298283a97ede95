// SPDX-License-Identifier: Apache-2.0
/* master - the coordinator's process: the real scheduler, what it asks for carried out, its deaths and
 * returns, and the owners of the jobs. Private to sim. */
#ifndef MASTER_H
#define MASTER_H

#include "scene.h"

void master_begin(struct world *world); /* a new life: it knows what is on the disk; nobody is connected */
void master_go_on(struct world *world); /* those who have work in hand have come back by now */
void master_crash(struct world *world);
void master_fini(struct world *world);

/* The number that the coordinator gives to a process that it did not know. */
uint32_t master_number(struct world *world, uint32_t at);

void master_step(struct world *world, const struct sched_event *event);
void master_hear(struct world *world, uint32_t at, const struct sched_event *event); /* from a puppet */
void master_durable(struct world *world, const struct stored *stored);
void master_tick(struct world *world, uint64_t tick);

void master_job_arrives(struct world *world, uint32_t index);
void master_job_cancels(struct world *world, uint32_t index);

#endif
