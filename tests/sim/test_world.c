// SPDX-License-Identifier: Apache-2.0
/* Seeds through the simulator: each draws a fleet, jobs and weather, and must end with every sample on the
 * disk exactly once.
 *
 *     test_sim_world [FIRST [COUNT]]      default 1 200; one seed alone prints its report */
#include "ensure.h"
#include "rng.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICES_MAX = 12, JOBS_MAX = 4 };

struct history {
    struct world_device devices[DEVICES_MAX];
    uint64_t samples[JOBS_MAX];
    struct world_config config;
};

static void draw_device(struct rng *rng, struct world_device *device)
{
    double beta = 100 * (double)(1 + rng_below(rng, 300));
    *device = (struct world_device){ .alpha_us = beta * (double)rng_below(rng, 60) / 20,
                                     .beta_us = beta,
                                     .batch_max = 1 + (uint32_t)rng_below(rng, 64),
                                     .jitter = rng_below(rng, 3) ? 0 : 0.1,
                                     .load_us = rng_below(rng, 2) ? 0 : rng_below(rng, 500000),
                                     .joins_us = rng_below(rng, 3) ? 0 : rng_below(rng, 2000000) };
    if (rng_below(rng, 4) == 0) {
        device->sizes_count = 3;
        device->sizes[0] = 1;
        device->sizes[1] = 2 + (uint32_t)rng_below(rng, 6);
        device->sizes[2] = device->batch_max = 16 + (uint32_t)rng_below(rng, 16);
    }
    if (rng_below(rng, 6) == 0) {
        device->throttle_at_us = 1 + rng_below(rng, 3000000);
        device->throttle_by = 2;
    }
}

/* Swarm testing: each seed has its own mix of accidents, many of them absent. */
static void draw_weather(struct rng *rng, struct world_weather *weather)
{
    *weather = (struct world_weather){ .calm_us = 8000000,
                                       .delay_us = rng_below(rng, 2000),
                                       .delay_spread_us = rng_below(rng, 5000),
                                       .disk_us = rng_below(rng, 5000),
                                       .disk_spread_us = rng_below(rng, 20000) };
    weather->breaks_per_mille = rng_below(rng, 2) ? 0 : (uint32_t)rng_below(rng, 60);
    weather->crashes_per_mille = rng_below(rng, 2) ? 0 : (uint32_t)rng_below(rng, 60);
    weather->restarts_per_mille = rng_below(rng, 2) ? 0 : (uint32_t)rng_below(rng, 30);
    weather->failures_per_mille = rng_below(rng, 3) ? 0 : (uint32_t)rng_below(rng, 50);
    weather->poison_every = rng_below(rng, 4) ? 0 : 50 + (uint32_t)rng_below(rng, 500);
    weather->lies = rng_below(rng, 3) == 0;
}

static void draw(uint64_t seed, struct history *history)
{
    struct rng rng;
    rng_init(&rng, seed);
    *history = (struct history){ .config = { .seed = seed, .check = true, .steps_max = 5000000 } };
    history->config.devices = history->devices;
    history->config.samples = history->samples;
    history->config.devices_count = 1 + (uint32_t)rng_below(&rng, DEVICES_MAX);
    history->config.jobs_count = 1 + (uint32_t)rng_below(&rng, JOBS_MAX);
    for (uint32_t i = 0; i < history->config.devices_count; i++)
        draw_device(&rng, &history->devices[i]);
    for (uint32_t j = 0; j < history->config.jobs_count; j++)
        history->samples[j] = rng_below(&rng, 4) ? rng_below(&rng, 1500) : rng_below(&rng, 3);
    if (history->config.devices_count > 1 && rng_below(&rng, 8) == 0)
        history->devices[0].hangs_at_us = 1 + rng_below(&rng, 2000000);
    draw_weather(&rng, &history->config.weather);
}

static bool good(uint64_t seed, bool loud)
{
    struct history history;
    struct world_report first, second;
    draw(seed, &history);
    world_run(&history.config, &first);
    world_run(&history.config, &second);
    bool fine =
        first.finished && first.lost == 0 && first.doubled == 0 && first.trace_hash == second.trace_hash;
    if (loud || !fine)
        printf("seed %" PRIu64 ": %s, lost %" PRIu64 ", doubled %" PRIu64 ", failed %" PRIu64
               ", duplicates %" PRIu64 ", makespan %.3f s, "
               "bound %.3f s, batches %" PRIu64 ", events %" PRIu64 ", trace %016" PRIx64 "%s\n",
               seed, first.finished ? "finished" : "NOT FINISHED", first.lost, first.doubled, first.failed,
               first.duplicates, (double)first.makespan_us / 1e6, first.bound_us / 1e6, first.batches,
               first.events, first.trace_hash,
               first.trace_hash == second.trace_hash ? "" : " NOT REPEATABLE");
    return fine;
}

/* Seeds that once found a defect. */
static const uint64_t scars[] = { 9, 474, 1948 };

int main(int argc, char **argv)
{
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 10)
                                                                        : argc > 1 ? 1
                                                                                   : 200;
    uint64_t bad = 0;
    for (size_t i = 0; argc == 1 && i < sizeof scars / sizeof scars[0]; i++)
        bad += !good(scars[i], false);
    for (uint64_t i = 0; i < count; i++)
        bad += !good(from + i, count == 1);
    printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " bad\n", count, from, bad);
    return bad > 0;
}
