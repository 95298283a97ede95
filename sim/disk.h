// SPDX-License-Identifier: Apache-2.0
/* disk - the coordinator's store: group commits that may be slow, wait while it is full, or lose their tail
 * when the coordinator dies. Private to sim. */
#ifndef DISK_H
#define DISK_H

#include "scene.h"

void disk_init(struct world *world);
void disk_fini(struct world *world);

void disk_store(struct world *world, const struct sched_action *action, bool failed);
/* Begin a commit if there is something to write and none is on its way. */
void disk_flush(struct world *world);
void disk_commit(struct world *world);
/* The coordinator dies: of what it writes just now, only the beginning stays. */
void disk_crash(struct world *world);

void disk_fill(struct world *world, uint64_t until_us);
void disk_free(struct world *world);

#endif
