// SPDX-License-Identifier: Apache-2.0
/* How near the scheduler comes to the clairvoyant fluid bound, in virtual time: three unlike devices, then
 * random fleets. */
#include "rng.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICES_MAX = 32 };

static uint64_t fleets = 10; /* the first argument: more take longer */

static double ratio_of(const struct world_device *devices, uint32_t count, uint64_t samples, uint64_t seed)
{
    struct world_config config = { .seed = seed,
                                   .devices = devices,
                                   .devices_count = count,
                                   .jobs_count = 1,
                                   .samples = &samples,
                                   .weather = { .delay_us = 100, .disk_us = 2000 } };
    struct world_report report;
    world_run(&config, &report);
    if (!report.finished || report.lost || report.doubled)
        return 1e9;
    return (double)report.makespan_us / report.bound_us;
}

static double three_devices(bool warm)
{
    struct world_device devices[3];
    const double betas[3] = { 40000, 10000, 2000 };
    for (int i = 0; i < 3; i++)
        devices[i] =
            (struct world_device){ .alpha_us = 20000, .beta_us = betas[i], .batch_max = 256, .warm = warm };
    double ratio = ratio_of(devices, 3, 3000, 1);
    printf("three devices of beta 40, 10, 2 ms, 3000 samples, %s: %.4f of the bound\n",
           warm ? "warm" : "cold", ratio);
    return ratio;
}

/* A job of 60 batches of the slowest slot, speeds spread up to 300 : 1. */
static double random_fleet(uint64_t seed, bool warm)
{
    struct rng rng;
    struct world_device devices[DEVICES_MAX];
    rng_init(&rng, seed);
    uint32_t count = 2 + (uint32_t)rng_below(&rng, DEVICES_MAX - 1);
    double slowest = 0, rates = 0;
    for (uint32_t i = 0; i < count; i++) {
        double beta = 200.0 * (double)(1 + rng_below(&rng, 300));
        devices[i] = (struct world_device){ .alpha_us = beta * (double)rng_below(&rng, 60) / 20,
                                            .beta_us = beta,
                                            .batch_max = 1 + (uint32_t)rng_below(&rng, 32),
                                            .warm = warm,
                                            .load_us = rng_below(&rng, 2) ? 0 : rng_below(&rng, 300000) };
        double batch = devices[i].alpha_us + beta * devices[i].batch_max;
        slowest = batch > slowest ? batch : slowest;
        rates += devices[i].batch_max / batch;
    }
    return ratio_of(devices, count, (uint64_t)(60 * slowest * rates), seed);
}

static bool random_fleets(bool warm, double mean_limit, double worst_limit)
{
    double sum = 0, worst = 0;
    uint64_t worst_seed = 0;
    for (uint64_t seed = 1; seed <= fleets; seed++) {
        double ratio = random_fleet(seed, warm);
        sum += ratio;
        if (ratio > worst) {
            worst = ratio;
            worst_seed = seed;
        }
    }
    printf("%" PRIu64 " random fleets, %s: mean %.4f, worst %.4f (seed %" PRIu64 ")\n", fleets,
           warm ? "warm" : "cold", sum / (double)fleets, worst, worst_seed);
    return sum / (double)fleets <= mean_limit && worst <= worst_limit;
}

int main(int argc, char **argv)
{
    fleets = argc > 1 ? strtoull(argv[1], NULL, 10) : fleets;
    bool good = three_devices(true) <= 1.04;
    good = three_devices(false) <= 1.08 && good;
    good = random_fleets(true, 1.02, 1.08) && good;
    good = random_fleets(false, 1.05, 1.20) && good;
    return good ? 0 : 1;
}
