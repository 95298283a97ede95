// SPDX-License-Identifier: Apache-2.0
/* puppet - a worker's process: the real agent, what it asks for carried out, its deaths and returns. Private
 * to sim. */
#ifndef PUPPET_H
#define PUPPET_H

#include "scene.h"

void puppet_begin(struct world *world, uint32_t at);
void puppet_crash(struct world *world, uint32_t at); /* another process takes its place later */
void puppet_end(struct world *world, uint32_t at);   /* for good, without a word */
void puppet_leave(struct world *world, uint32_t at, bool retires);
void puppet_bye(struct world *world, uint32_t at); /* while it leaves, now and then */

void puppet_step(struct world *world, uint32_t at, const struct agent_event *event);
/* What its loop answers to the agent at once: in the running step, or in the next one. */
void puppet_reply(struct world *world, const struct agent_event *event);

/* What it says of each slot in HELLO. */
void puppet_hello(const struct world_device *device, struct sched_slot_info *info);

#endif
