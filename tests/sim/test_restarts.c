// SPDX-License-Identifier: Apache-2.0
/* What restarts cost, in virtual time: of a coordinator nothing but time, of a worker the batch that ran.
 * Every batch that any device finished is counted, whoever heard of it.
 *
 *     test_sim_restarts [SEEDS [FROM]]       default 60 from 1 */
#include "ensure.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 20000 };

struct scene {
    const char *name;
    const struct world_device *devices;
    uint32_t devices_count, accidents;
};

/* Batches that are never short, so that many are under way whenever somebody dies. */
static const struct world_device fleet[] = {
    { .alpha_us = 20000, .beta_us = 500, .batch_max = 64, .warm = true, .window = 4, .slots = 2 },
    { .alpha_us = 30000, .beta_us = 2000, .batch_max = 32, .warm = true, .window = 2, .count = 3 },
};

static const struct scene scenes[] = {
    { "a fleet, the coordinator dies", fleet, 2, WORLD_RESTARTS },
    { "one worker, which dies", fleet, 1, WORLD_CRASHES },
    { "one worker, and both die", fleet, 1, WORLD_CRASHES | WORLD_RESTARTS },
};

static void count_finished(void *context, const struct world_run *run)
{
    uint64_t *computed = context;
    *computed += run->failed ? 0 : run->count;
}

static bool play(const struct scene *scene, uint64_t seed, uint64_t *deaths)
{
    uint64_t samples = SAMPLES, computed = 0;
    struct world_report report;
    struct world_config config = { .seed = seed,
                                   .devices = scene->devices,
                                   .devices_count = scene->devices_count,
                                   .jobs_count = 1,
                                   .samples = &samples,
                                   .check = true,
                                   .grace_us = 500000,
                                   .context = &computed,
                                   .on_run = count_finished };
    config.weather = (struct world_weather){ .calm_us = 60000000,
                                             .delay_us = 300,
                                             .delay_spread_us = 2000,
                                             .disk_us = 3000,
                                             .disk_spread_us = 5000,
                                             .accidents = scene->accidents,
                                             .accident_every_us = 900000 };
    world_run(&config, &report);
    *deaths += report.restarts + report.crashes;
    bool good = report.finished && report.lost == 0 && report.doubled == 0 && !*report.violation &&
                computed <= SAMPLES + report.hedged;
    if (!good)
        printf("%s, seed %" PRIu64 ": %s, %" PRIu64 " samples computed of %d, %" PRIu64
               " of them on purpose, %" PRIu64 " lost, %" PRIu64 " doubled %s\n",
               scene->name, seed, report.finished ? "finished" : "NOT FINISHED", computed, SAMPLES,
               report.hedged, report.lost, report.doubled, report.violation);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 60,
             from = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t bad = 0;
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        uint64_t deaths = 0;
        for (uint64_t seed = from; seed < from + seeds; seed++)
            bad += !play(&scenes[i], seed, &deaths);
        printf("%s: %" PRIu64 " deaths in %" PRIu64 " histories\n", scenes[i].name, deaths, seeds);
        ENSURE(deaths >= seeds);
    }
    return bad > 0;
}
