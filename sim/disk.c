// SPDX-License-Identifier: Apache-2.0
#include "disk.h"

#include "ensure.h"
#include "master.h"

#include <stdlib.h>

enum { SLOW = 20 };

void disk_init(struct world *world)
{
    uint32_t count = world->config->jobs_count + 1;
    world->disk.done = calloc(count, sizeof *world->disk.done);
    world->disk.failed = calloc(count, sizeof *world->disk.failed);
    ENSURE(world->disk.done && world->disk.failed);
}

void disk_fini(struct world *world)
{
    for (uint32_t j = 0; j < world->config->jobs_count; j++) {
        ranges_fini(&world->disk.done[j]);
        ranges_fini(&world->disk.failed[j]);
    }
    free(world->disk.done);
    free(world->disk.failed);
    free(world->disk.pending);
    free(world->disk.committing);
}

/* One entry becomes durable. */
static void write(struct world *world, struct stored *stored)
{
    struct disk *disk = &world->disk;
    uint64_t first = stored->done.first, end = first + stored->done.count;
    uint32_t j = (uint32_t)stored->done.job - 1;
    if (!stored->failed && world_chance(world, world->config->weather.unstorable_per_mille)) {
        stored->failed = true;
        stored->done.type = SCHED_UNSTORABLE;
    }
    world->report->doubled +=
        ranges_overlap(&disk->done[j], first, end) + ranges_overlap(&disk->failed[j], first, end);
    ranges_add(stored->failed ? &disk->failed[j] : &disk->done[j], first, end);
}

/* The answer to an online request is given at once and kept nowhere; the world's books are. */
static void answer(struct world *world, struct stored *stored)
{
    write(world, stored);
    struct happening *h = world_later(world, 0, HAPPENING_ANSWERED, 0, world->coordinator_life);
    h->to_sched = stored->done;
    h->to_sched.attempt = stored->attempt;
}

void disk_store(struct world *world, const struct sched_action *action, bool failed)
{
    struct disk *disk = &world->disk;
    if (disk->pending_count == disk->pending_capacity) {
        disk->pending_capacity = disk->pending_capacity ? 2 * disk->pending_capacity : 64;
        disk->pending = realloc(disk->pending, disk->pending_capacity * sizeof *disk->pending);
        ENSURE(disk->pending);
    }
    struct stored *stored = &disk->pending[disk->pending_count];
    *stored = (struct stored){ .done = { .type = SCHED_STORED,
                                         .job = action->job,
                                         .first = action->first,
                                         .count = action->count,
                                         .attempt = action->attempt,
                                         .settle = action->settle },
                               .attempt = action->attempt,
                               .failed = failed };
    if (world->tasks[action->job - 1].online)
        answer(world, stored);
    else
        disk->pending_count++;
}

void disk_flush(struct world *world)
{
    struct disk *disk = &world->disk;
    if (disk->commit_running || disk->pending_count == 0 || !world->sched)
        return;
    struct stored *swap = disk->committing;
    uint32_t capacity = disk->committing_capacity;
    disk->committing = disk->pending;
    disk->committing_count = disk->pending_count;
    disk->committing_capacity = disk->pending_capacity;
    disk->pending = swap;
    disk->pending_count = 0;
    disk->pending_capacity = capacity;
    disk->commit_running = true;
    const struct world_weather *w = &world->config->weather;
    uint64_t us = world_spread(world, w->disk_us, w->disk_spread_us);
    world_later(world, disk->slow_until_us > world->now_us ? SLOW * us : us, HAPPENING_COMMIT, 0,
                world->coordinator_life);
}

void disk_crash(struct world *world)
{
    struct disk *disk = &world->disk;
    uint32_t written =
        disk->commit_running ? (uint32_t)rng_below(&world->rng, disk->committing_count + 1) : 0;
    for (uint32_t i = 0; i < written && disk->full_until_us <= world->now_us; i++)
        write(world, &disk->committing[i]);
    disk->pending_count = disk->committing_count = 0;
    disk->commit_running = false;
}

void disk_commit(struct world *world)
{
    struct disk *disk = &world->disk;
    if (disk->full_until_us > world->now_us) {
        world_later(world, disk->full_until_us - world->now_us, HAPPENING_COMMIT, 0, world->coordinator_life);
        return;
    }
    world->report->commits++;
    if (world_chance(world, world->config->weather.restarts_per_mille)) {
        master_crash(world);
        return;
    }
    uint32_t count = disk->committing_count;
    uint64_t life = world->coordinator_life;
    for (uint32_t i = 0; i < count; i++)
        write(world, &disk->committing[i]);
    for (uint32_t i = 0; i < count && world->coordinator_life == life; i++)
        master_durable(world, &disk->committing[i]);
    disk->committing_count = 0;
    disk->commit_running = false;
    disk_flush(world);
}

void disk_fill(struct world *world, uint64_t until_us)
{
    if (world->disk.full_until_us > world->now_us)
        return;
    world->disk.full_until_us = until_us;
    if (world->sched)
        master_step(world, &(struct sched_event){ .type = SCHED_PAUSE });
    world_later(world, until_us - world->now_us, HAPPENING_DISK_FREE, 0, 0);
}

void disk_free(struct world *world)
{
    if (world->sched)
        master_step(world, &(struct sched_event){ .type = SCHED_RESUME });
}
