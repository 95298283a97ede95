// SPDX-License-Identifier: Apache-2.0
/* machine - a slot's executor and the device behind it: errands run in order, as many at a time as the device
 * has lanes, as fast as its curve, its faults and the weather let them. Private to sim. */
#ifndef MACHINE_H
#define MACHINE_H

#include "scene.h"

/* When work of work_us (at full speed) that begins now ends on a device that joined then; UINT64_MAX =
 * never. */
uint64_t machine_end_us(const struct world_device *device, uint64_t joined_us, uint64_t now_us,
                        double work_us);

/* Figures of a device for a model. */
void machine_model(const struct world_device *device, uint32_t model, struct world_model *figures);

void machine_post_load(struct world *world, uint32_t at, uint32_t slot, uint32_t model, uint64_t job);
void machine_post_run(struct world *world, uint32_t at, const struct agent_lease *lease, uint32_t model);
/* Take a batch back that waits; false: too late. */
bool machine_unqueue(struct world *world, uint32_t at, uint32_t slot, uint64_t attempt);
void machine_done(struct world *world, uint32_t at, struct errand *errand);

/* The result of an attempt, or NULL. */
struct errand *machine_result(const struct puppet *puppet, uint64_t term, uint64_t attempt);
/* The same, if nobody heard of it yet and it begins at first. */
struct errand *machine_unheard(const struct puppet *puppet, uint64_t term, uint64_t attempt, uint64_t first);
void machine_heard(struct world *world, uint32_t at, struct errand *errand, uint64_t kept);
void machine_drop(struct world *world, uint32_t at, uint64_t term, uint64_t attempt);

/* The process dies: everything that it had is gone, but for the answers in its spool. */
void machine_clear(struct world *world, uint32_t at);
void machine_clear_results(struct world *world, uint32_t at); /* and those */
void machine_fini(struct world *world);

bool machine_rejected(const struct world *world, uint64_t first, uint64_t count);
bool machine_poisoned(const struct world *world, uint64_t job, uint64_t first, uint64_t count);

#endif
