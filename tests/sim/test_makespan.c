// SPDX-License-Identifier: Apache-2.0
/* How near the scheduler comes to the clairvoyant fluid bound, in virtual time: three unlike devices, then
 * random fleets, warm and cold, long and short jobs, with and without faults.
 *
 *      test_sim_makespan [FLEETS]        the table over so many fleets; 200 are promised
 *      test_sim_makespan --seed N        one fleet in detail
 *
 * How a fleet is drawn. Speed means the best rate, batch_max / (alpha + beta * batch_max): log-uniform, with
 * a spread of its own per fleet, 300 : 1 in every other one. batch_max is log-uniform in 1 to 256 where a
 * whole batch then takes 50 ms to 5 s. "alpha up to three batches' worth of beta" is read literally and hard:
 * alpha is uniform in 0 to 3 * beta * batch_max, so that a batch of one sample can take three quarters of the
 * time of a whole one. A third of the devices have allowed sizes (shorter batches are padded): one size
 * alone, two, or powers of two. Half have a load of up to three of the slowest batches, a quarter joins late,
 * up to half of the job's length. The slowest slot is the one whose batch takes longest.
 *
 * Beside the fluid bound stands the makespan of a plan that knows everything (`planned_us`): every device
 * runs whole batches from its start, one after the other, and shorter ones at the end where they fit. No
 * scheduler can end sooner (but for cleverer packing of allowed sizes): what is between the two is no
 * scheduler's to save. */
#include "rng.h"
#include "world.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
enum { FLEETS = 10 }; /* a few seconds */
#else
enum { FLEETS = 20 };
#endif
enum { DEVICES_MAX = 64 };

struct drawn {
    struct world_device devices[DEVICES_MAX];
    uint64_t dies_at_us[DEVICES_MAX]; /* 0 = never */
    struct world_fault deaths[DEVICES_MAX];
    uint32_t count;
    uint64_t samples;
};

struct row {
    uint32_t length; /* batches of the slowest slot */
    bool warm;
    enum faults {
        NO_FAULTS,
        FAULTS,
        HANGS
    } faults; /* FAULTS: one throttled, one dead; HANGS: one throttled, and
                  one hangs near the end */
    double jitter;
    double mean, worst; /* at most */
};

/* The first six as promised; the others show that it does not depend on exact curves or on deaths being told.
 */
static const struct row rows[] = {
    { 60, true, NO_FAULTS, 0, 1.005, 1.02 },  { 60, false, NO_FAULTS, 0, 1.02, 1.06 },
    { 60, true, FAULTS, 0, 1.01, 1.04 },      { 60, false, FAULTS, 0, 1.03, 1.10 },
    { 10, true, NO_FAULTS, 0, 1.01, 1.06 },   { 10, true, FAULTS, 0, 1.02, 1.10 },
    { 60, true, NO_FAULTS, 0.1, 1.02, 1.06 }, { 60, false, FAULTS, 0.1, 1.03, 1.10 },
    { 60, true, HANGS, 0, 1.03, 1.10 },       { 10, false, NO_FAULTS, 0, 1.10, 1.50 },
};
static const char *const fault_names[] = { "-", "faults", "hangs" };
enum { ROWS = sizeof rows / sizeof *rows };

/* ---- fleets ---- */

static double power(double base, double exponent) /* in 0 to 1 */
{
    double result = 1;
    for (int i = 0; i < 40; i++) {
        base = sqrt(base);
        exponent *= 2;
        if (exponent >= 1) {
            result *= base;
            exponent -= 1;
        }
    }
    return result;
}

static void draw_sizes(struct rng *rng, struct world_device *device)
{
    uint32_t most = device->batch_max;
    switch (rng_below(rng, 9)) {
    case 0: device->sizes[device->sizes_count++] = most; break;
    case 1:
        if (most >= 4)
            device->sizes[device->sizes_count++] = most / 4;
        device->sizes[device->sizes_count++] = most;
        break;
    case 2:
        for (uint32_t size = 1; size < most; size *= 2)
            device->sizes[device->sizes_count++] = size;
        device->sizes[device->sizes_count++] = most;
        break;
    default: break;
    }
}

static void draw_device(struct rng *rng, double spread, struct world_device *device)
{
    double rate = 0.8e-6 * power(spread, rng_unit(rng)), overhead = 3 * rng_unit(rng);
    double low = 5e4 * rate > 1 ? 5e4 * rate : 1, high = 5e6 * rate < 256 ? 5e6 * rate : 256;
    double batch = low * power(high / low, rng_unit(rng)) + 0.5;
    *device = (struct world_device){ .batch_max = batch < 256 ? (uint32_t)batch : 256 };
    double beta_us = 1 / (rate * (1 + overhead));
    device->beta_us = beta_us;
    device->alpha_us = overhead * beta_us * device->batch_max;
    draw_sizes(rng, device);
}

static double batch_time_us(const struct world_device *device, uint32_t n)
{
    return device->alpha_us + device->beta_us * n;
}

static void draw_faults(struct rng *rng, const struct row *row, struct drawn *drawn, double bound_us)
{
    uint32_t slow = (uint32_t)rng_below(rng, drawn->count);
    uint32_t dead = (slow + 1 + (uint32_t)rng_below(rng, drawn->count - 1)) % drawn->count;
    drawn->devices[slow].throttle_at_us = (uint64_t)(bound_us * (0.3 + 0.4 * rng_unit(rng)));
    drawn->devices[slow].throttle_by = 2;
    enum world_fault_type end = row->faults == HANGS ? WORLD_HANGS : WORLD_DIES;
    double share = row->faults == HANGS ? 0.9 + 0.08 * rng_unit(rng) : 0.3 + 0.4 * rng_unit(rng);
    uint64_t at_us = (uint64_t)(bound_us * share), joins_us = drawn->devices[dead].joins_us;
    drawn->dies_at_us[dead] = at_us > joins_us ? at_us : joins_us + 1;
    drawn->deaths[dead] = (struct world_fault){ .at_us = drawn->dies_at_us[dead] - joins_us, .type = end };
    drawn->devices[dead].faults = &drawn->deaths[dead];
    drawn->devices[dead].faults_count = 1;
}

/* ---- bounds, apart from the scheduler ---- */

/* The contract's: the best rate over allowed sizes, halved where it is throttled, from join + load to death.
 */
static double fluid_samples(const struct world_device *device, uint64_t dies_at_us, double end_us)
{
    double rate = device->batch_max / batch_time_us(device, device->batch_max);
    double start = (double)(device->joins_us + device->load_us);
    if (dies_at_us && (double)dies_at_us < end_us)
        end_us = (double)dies_at_us;
    if (end_us <= start)
        return 0;
    double turn = device->throttle_at_us ? (double)device->throttle_at_us : end_us;
    turn = turn < start ? start : turn > end_us ? end_us : turn;
    return rate * (turn - start + (end_us > turn ? (end_us - turn) / device->throttle_by : 0));
}

static double most_in(const struct world_device *device, double room_us)
{
    double whole = batch_time_us(device, device->batch_max);
    double batches = floor(room_us / whole), rest_us = room_us - batches * whole, tail = 0;
    for (uint32_t i = device->sizes_count; i > 0; i--) /* as many tails as fit, the largest first */
        while (batch_time_us(device, device->sizes[i - 1]) <= rest_us) {
            tail += device->sizes[i - 1];
            rest_us -= batch_time_us(device, device->sizes[i - 1]);
        }
    if (device->sizes_count == 0 && rest_us > device->alpha_us)
        tail = floor((rest_us - device->alpha_us) / device->beta_us);
    return batches * device->batch_max + tail;
}

/* What the device can have finished by then, in whole batches; the throttled part in its own, longer time. */
static double planned_samples(const struct world_device *device, uint64_t dies_at_us, double end_us)
{
    double start = (double)(device->joins_us + device->load_us);
    if (dies_at_us && (double)dies_at_us < end_us)
        end_us = (double)dies_at_us;
    double turn = device->throttle_at_us ? (double)device->throttle_at_us : end_us;
    turn = turn < start ? start : turn;
    double work = end_us > turn ? turn - start + (end_us - turn) / device->throttle_by : end_us - start;
    return work > 0 ? most_in(device, work + 1e-3) : 0;
}

typedef double samples_by(const struct world_device *device, uint64_t dies_at_us, double end_us);

static double least_end(const struct drawn *drawn, samples_by *samples)
{
    double low = 0, high = 1e12;
    for (int i = 0; i < 100; i++) {
        double end_us = (low + high) / 2, done = 0;
        for (uint32_t d = 0; d < drawn->count; d++)
            done += samples(&drawn->devices[d], drawn->dies_at_us[d], end_us);
        *(done < (double)drawn->samples ? &low : &high) = end_us;
    }
    return high;
}

static void draw_fleet(uint64_t seed, const struct row *row, struct drawn *drawn)
{
    struct rng rng;
    rng_init(&rng, seed * 1000003);
    memset(drawn, 0, sizeof *drawn);
    drawn->count = 2 + (uint32_t)rng_below(&rng, DEVICES_MAX - 1);
    double spread = power(300, seed % 2 ? 1 : rng_unit(&rng)), slowest_us = 0, rates = 0;
    for (uint32_t i = 0; i < drawn->count; i++) {
        struct world_device *device = &drawn->devices[i];
        draw_device(&rng, spread, device);
        double batch_us = batch_time_us(device, device->batch_max);
        slowest_us = batch_us > slowest_us ? batch_us : slowest_us;
        rates += device->batch_max / batch_us;
    }
    for (uint32_t i = 0; i < drawn->count; i++) {
        struct world_device *device = &drawn->devices[i];
        device->warm = row->warm;
        device->jitter = row->jitter;
        if (rng_below(&rng, 2))
            device->load_us = rng_below(&rng, 1 + (uint64_t)(3 * slowest_us));
        if (rng_below(&rng, 4) == 0 && i > 0)
            device->joins_us = rng_below(&rng, 1 + (uint64_t)(row->length * slowest_us / 2));
    }
    drawn->samples = (uint64_t)(row->length * slowest_us * rates);
    if (row->faults)
        draw_faults(&rng, row, drawn, least_end(drawn, fluid_samples));
}

/* ---- runs ---- */

static double makespan_of(const struct drawn *drawn, uint64_t seed, struct world_report *report)
{
    struct world_config config = { .seed = seed,
                                   .devices = drawn->devices,
                                   .devices_count = drawn->count,
                                   .jobs_count = 1,
                                   .samples = &drawn->samples,
                                   .blind = true,
                                   .weather = { .delay_us = 100, .disk_us = 2000 } };
    world_run(&config, report);
    if (!report->finished || report->lost || report->doubled || report->violation[0])
        return 1e18;
    return (double)report->makespan_us;
}

static double three_devices(bool warm)
{
    struct drawn drawn = { .count = 3, .samples = 3000 };
    const double betas[3] = { 40000, 10000, 2000 };
    struct world_report report;
    for (int i = 0; i < 3; i++)
        drawn.devices[i] =
            (struct world_device){ .alpha_us = 20000, .beta_us = betas[i], .batch_max = 256, .warm = warm };
    double ratio = makespan_of(&drawn, 1, &report) / least_end(&drawn, fluid_samples);
    printf("three devices of beta 40, 10, 2 ms, 3000 samples, %s: %.4f of the bound\n",
           warm ? "warm" : "cold", ratio);
    return ratio;
}

struct sums {
    double mean, worst, planned_mean, planned_worst, over_mean, over_worst;
    uint64_t worst_seed, over_seed, duplicates, batches;
};

static void add_fleet(struct sums *sums, const struct row *row, uint64_t seed, double fleets)
{
    struct drawn drawn;
    struct world_report report;
    draw_fleet(seed, row, &drawn);
    double fluid_us = least_end(&drawn, fluid_samples), planned_us = least_end(&drawn, planned_samples);
    double us = makespan_of(&drawn, seed, &report);
    double ratio = us / fluid_us, planned = planned_us / fluid_us, over = us / planned_us;
    sums->mean += ratio / fleets;
    sums->planned_mean += planned / fleets;
    sums->over_mean += over / fleets;
    sums->planned_worst = planned > sums->planned_worst ? planned : sums->planned_worst;
    sums->worst_seed = ratio > sums->worst ? seed : sums->worst_seed;
    sums->worst = ratio > sums->worst ? ratio : sums->worst;
    sums->over_seed = over > sums->over_worst ? seed : sums->over_seed;
    sums->over_worst = over > sums->over_worst ? over : sums->over_worst;
    sums->duplicates += report.duplicates;
    sums->batches += report.batches;
}

static bool run_row(const struct row *row, uint64_t fleets)
{
    struct sums sums = { 0 };
    for (uint64_t seed = 1; seed <= fleets; seed++)
        add_fleet(&sums, row, seed, (double)fleets);
    bool good = sums.mean <= row->mean && sums.worst <= row->worst;
    printf("%4u  %s  %-6s %.2f  %.4f %.4f (%4" PRIu64 ")   %.3f %.2f %s  %.4f %.4f   %.4f %.4f (%4" PRIu64
           ")  %" PRIu64 "\n",
           row->length, row->warm ? "warm" : "cold", fault_names[row->faults], row->jitter, sums.mean,
           sums.worst, sums.worst_seed, row->mean, row->worst, good ? " " : "!", sums.planned_mean,
           sums.planned_worst, sums.over_mean, sums.over_worst, sums.over_seed, sums.duplicates);
    fflush(stdout);
    return good;
}

static void show_device(const struct world_device *d, uint64_t dies_at_us)
{
    printf("  alpha %8.1f ms, beta %8.2f ms, batch %3u takes %7.1f ms, %6.1f/s; joins %6.1f s, load %5.2f s",
           d->alpha_us / 1e3, d->beta_us / 1e3, d->batch_max, batch_time_us(d, d->batch_max) / 1e3,
           1e6 * d->batch_max / batch_time_us(d, d->batch_max), (double)d->joins_us / 1e6,
           (double)d->load_us / 1e6);
    for (uint32_t i = 0; i < d->sizes_count; i++)
        printf("%s%u", i ? ", " : "; only ", d->sizes[i]);
    if (d->throttle_at_us)
        printf("; half from %.2f s", (double)d->throttle_at_us / 1e6);
    if (dies_at_us)
        printf("; dead from %.2f s", (double)dies_at_us / 1e6);
    printf("\n");
}

static void show_fleet(uint64_t seed)
{
    for (int i = 0; i < ROWS; i++) {
        struct drawn drawn;
        struct world_report report;
        draw_fleet(seed, &rows[i], &drawn);
        double us = makespan_of(&drawn, seed, &report);
        double fluid_us = least_end(&drawn, fluid_samples), planned_us = least_end(&drawn, planned_samples);
        printf("seed %" PRIu64 ", %u batches of the slowest, %s, %s, jitter %.2f: %" PRIu64
               " samples in %.3f s; fluid %.3f s, planned %.3f s; ratio %.4f, planned %.4f; %" PRIu64
               " batches, %" PRIu64 " duplicates\n",
               seed, rows[i].length, rows[i].warm ? "warm" : "cold", fault_names[rows[i].faults],
               rows[i].jitter, drawn.samples, us / 1e6, fluid_us / 1e6, planned_us / 1e6, us / fluid_us,
               planned_us / fluid_us, report.batches, report.duplicates);
        for (uint32_t d = 0; d < drawn.count; d++)
            show_device(&drawn.devices[d], drawn.dies_at_us[d]);
    }
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        show_fleet(strtoull(argv[2], NULL, 10));
        return 0;
    }
    uint64_t fleets = argc > 1 ? strtoull(argv[1], NULL, 10) : FLEETS;
    bool good = three_devices(true) <= 1.01;
    good = three_devices(false) <= 1.04 && good;
    printf("%" PRIu64 " fleets      jitter mean, worst (seed)      at most       planned by one who knows   "
           "over the plan       duplicates\n",
           fleets);
    for (int i = 0; i < ROWS; i++)
        good = run_row(&rows[i], fleets) && good;
    return good ? 0 : 1;
}
