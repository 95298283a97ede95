// SPDX-License-Identifier: Apache-2.0
/* What is promised to people who share a fleet, in virtual time: fair shares, short jobs, priorities, quotas,
 * thrift, and forecasts that hold.
 *
 *     test_sim_promises [JOBS [SEEDS]]      how many jobs are forecast, and how often; default 1,000, once */
#include "ensure.h"
#include "explain.h"
#include "forecast.h"
#include "rng.h"
#include "sched.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 200000, WINDOW = 100 };

struct record {
    uint32_t runs_count;
    struct world_run runs[RUNS_MAX];
};

static struct record *record;

static void note_run(void *context, const struct world_run *run)
{
    (void)context;
    if (record->runs_count < RUNS_MAX)
        record->runs[record->runs_count++] = *run;
}

static int by_attempt(const void *a, const void *b)
{
    const struct world_run *x = a, *y = b;
    return x->attempt < y->attempt ? -1 : x->attempt > y->attempt;
}

static bool say(bool good, const char *what)
{
    printf("%s: %s\n", good ? "kept" : "BROKEN", what);
    return good;
}

static bool run(struct world_config *config, struct world_report *report)
{
    record->runs_count = 0;
    config->on_run = note_run;
    world_run(config, report);
    qsort(record->runs, record->runs_count, sizeof *record->runs, by_attempt);
    if (*report->violation)
        printf("%s\n", report->violation);
    return report->finished && report->lost == 0 && report->doubled == 0 && !*report->violation;
}

/* A mixed fleet: a server, two workstations, four small boxes. */
static const struct world_device mixed[] = {
    { .alpha_us = 5000, .beta_us = 500, .batch_max = 256, .warm = true, .jitter = 0.03 },
    { .alpha_us = 10000, .beta_us = 2000, .batch_max = 64, .warm = true, .jitter = 0.03, .count = 2 },
    { .alpha_us = 20000, .beta_us = 20000, .batch_max = 8, .warm = true, .jitter = 0.03, .count = 4 },
};

/* ---- fair shares ---- */

static void weigh(void *context, struct sched *sched)
{
    static struct sched_actions out;
    const double *weights = context;
    for (uint32_t at = 0; weights[at] > 0; at++)
        sched_step(
            sched, 0,
            &(struct sched_event){ .type = SCHED_TENANT, .tenant = { .tenant = at, .weight = weights[at] } },
            &out);
}

static void own_tenant(void *context, uint32_t job, struct sched_event *add)
{
    (void)context;
    add->add.tenant = job;
}

/* The share of job 1 in the device time of runs [from, from + count), in the order in which they were leased.
 */
static double share_of(uint32_t from, uint32_t count)
{
    double mine = 0, all = 0;
    for (uint32_t i = from; i < from + count; i++) {
        double us = (double)(record->runs[i].end_us - record->runs[i].start_us);
        all += us;
        mine += record->runs[i].job == 1 ? us : 0;
    }
    return mine / all;
}

/* While both have work: from the first lease of the later one to the last of the sooner one. */
static bool fair_shares(void)
{
    static const double weights[] = { 3, 1, 0 };
    const struct world_job jobs[] = { { .samples = 900000, .model = 0 }, { .samples = 300000, .model = 1 } };
    struct world_config config = { .seed = 7,
                                   .devices = mixed,
                                   .devices_count = 3,
                                   .jobs = jobs,
                                   .jobs_count = 2,
                                   .weather = { .delay_us = 200, .disk_us = 2000 },
                                   .context = (void *)weights,
                                   .on_life = weigh,
                                   .on_add = own_tenant };
    struct world_report report;
    if (!run(&config, &report))
        return say(false, "two tenants: the jobs did not end well");
    uint32_t last[2] = { 0, 0 }, first[2] = { UINT32_MAX, UINT32_MAX };
    for (uint32_t i = 0; i < record->runs_count; i++) {
        uint32_t job = (uint32_t)record->runs[i].job - 1;
        last[job] = i;
        first[job] = first[job] == UINT32_MAX ? i : first[job];
    }
    uint32_t from = first[0] > first[1] ? first[0] : first[1], to = last[0] < last[1] ? last[0] : last[1];
    from += WINDOW;         /* while its model was being loaded, one of them fell behind, and may catch up */
    to -= (to - from) / 20; /* at its end, a job has nothing left that it could claim its share with */
    double worst = 0;
    for (uint32_t i = from; i + WINDOW <= to; i++) {
        double off = share_of(i, WINDOW) - 0.75;
        worst = (off < 0 ? -off : off) > worst ? (off < 0 ? -off : off) : worst;
    }
    char text[160];
    snprintf(text, sizeof text,
             "two tenants 3 : 1 over %" PRIu32
             " chunks: share %.4f, furthest from 0.75 in any %d chunks %.4f",
             to - from, share_of(from, to - from), WINDOW, worst);
    return say(worst <= 0.02 && to - from > 10 * WINDOW, text);
}

/* ---- thrift ---- */

/* Four servers that are fast and hungry, eighty edge boxes that are slow and thrifty. */
static const struct world_device cluster_edge[] = {
    { .alpha_us = 4000, .beta_us = 400, .batch_max = 256, .warm = true, .busy_watts = 700, .count = 4 },
    { .alpha_us = 5000, .beta_us = 6000, .batch_max = 32, .warm = true, .busy_watts = 15, .count = 80 },
};
static const double cluster_watts[] = { 700, 15 };

struct thrift {
    enum sched_objective objective;
    uint64_t deadline_us;
};

static void want_thrift(void *context, uint32_t job, struct sched_event *add)
{
    const struct thrift *thrift = context;
    (void)job;
    add->add.objective = thrift->objective;
    add->add.deadline_us = thrift->deadline_us;
}

static void say_watts(void *context, uint32_t worker, uint32_t slot, struct sched_slot_info *info)
{
    (void)context;
    (void)slot;
    info->busy_watts = cluster_watts[worker >= 4];
}

static double joules(struct thrift *thrift, struct world_report *report)
{
    static const struct world_job job = { .samples = 400000 };
    struct world_config config = { .seed = 3,
                                   .devices = cluster_edge,
                                   .devices_count = 2,
                                   .jobs = &job,
                                   .jobs_count = 1,
                                   .weather = { .delay_us = 200, .disk_us = 2000 },
                                   .context = thrift,
                                   .on_add = want_thrift,
                                   .on_hello = say_watts };
    if (!run(&config, report))
        return -1;
    double sum = 0;
    for (uint32_t i = 0; i < record->runs_count; i++)
        sum += cluster_watts[record->runs[i].worker >= 4] *
               (double)(record->runs[i].end_us - record->runs[i].start_us) / 1e6;
    return sum;
}

static bool thrifty(void)
{
    struct world_report fast, green;
    struct thrift fastest = { SCHED_FASTEST, 0 }, greenest = { SCHED_GREENEST, 0 };
    double most = joules(&fastest, &fast);
    greenest.deadline_us = fast.makespan_us * 3 / 2;
    double least = joules(&greenest, &green);
    char text[200];
    snprintf(text, sizeof text,
             "greenest at 1.5 times the fastest makespan: %.0f J instead of %.0f J (%.1f %% less), done "
             "after %.2f s "
             "of %.2f s",
             least, most, 100 * (1 - least / most), (double)green.makespan_us / 1e6,
             (double)greenest.deadline_us / 1e6);
    return say(least > 0 && least <= 0.8 * most && green.makespan_us <= greenest.deadline_us, text);
}

/* ---- priorities, short jobs, quotas ---- */

static bool urgent_first(void)
{
    struct world_job jobs[] = { { .samples = 300000 },
                                { .samples = 2000, .priority = 5, .arrives_us = 20000000 } };
    struct world_job_figures ends[2];
    struct world_config config = { .seed = 5,
                                   .devices = mixed,
                                   .devices_count = 3,
                                   .jobs = jobs,
                                   .jobs_count = 2,
                                   .jobs_out = ends,
                                   .weather = { .delay_us = 200, .disk_us = 2000 } };
    struct world_report report;
    bool good = run(&config, &report);
    double took = (double)(ends[1].finished_us - jobs[1].arrives_us) / 1e6;
    jobs[0].samples = 1;
    good = run(&config, &report) && good;
    double alone = (double)(ends[1].finished_us - jobs[1].arrives_us) / 1e6;
    char text[160];
    snprintf(text, sizeof text, "an urgent job takes %.2f s beside a long one, %.2f s alone", took, alone);
    return say(good && took <= alone + 2.0, text);
}

static bool short_ones_pass(void)
{
    struct world_job jobs[] = { { .samples = 400000 }, { .samples = 2000, .arrives_us = 30000000 } };
    struct world_job_figures ends[2];
    struct world_config config = { .seed = 5,
                                   .devices = mixed,
                                   .devices_count = 3,
                                   .jobs = jobs,
                                   .jobs_count = 2,
                                   .jobs_out = ends,
                                   .weather = { .delay_us = 200, .disk_us = 2000 } };
    struct world_report report;
    bool good = run(&config, &report);
    double took = (double)(ends[1].finished_us - jobs[1].arrives_us) / 1e6;
    char text[160];
    snprintf(text, sizeof text,
             "a short job of the same tenant behind a long one takes %.2f s, the long one %.0f s", took,
             (double)ends[0].finished_us / 1e6);
    return say(good && took < 10, text);
}

static void set_quota(void *context, struct sched *sched)
{
    static struct sched_actions out;
    (void)context;
    sched_step(sched, 0,
               &(struct sched_event){ .type = SCHED_TENANT,
                                      .tenant = { .tenant = 0, .weight = 1, .slots_quota = 2 } },
               &out);
}

/* The most workers that ran batches of it at the same time. */
static uint32_t most_at_once(void)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < record->runs_count; i++) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < record->runs_count; k++)
            count += record->runs[k].start_us <= record->runs[i].start_us &&
                     record->runs[i].start_us < record->runs[k].end_us;
        most = count > most ? count : most;
    }
    return most;
}

static bool quotas_hold(void)
{
    const struct world_job job = { .samples = 20000 };
    struct world_config config = { .seed = 5,
                                   .devices = mixed,
                                   .devices_count = 3,
                                   .jobs = &job,
                                   .jobs_count = 1,
                                   .weather = { .delay_us = 200, .disk_us = 2000 },
                                   .on_life = set_quota };
    struct world_report report;
    bool good = run(&config, &report);
    uint32_t most = most_at_once();
    char text[160];
    double seconds = (double)report.makespan_us / 1e6, least = 20000 / (256 / 0.133 + 64 / 0.138);
    snprintf(text, sizeof text,
             "a tenant with a quota of 2 slots holds %" PRIu32 " of 7 at most, the fastest: %.2f s of %.2f s",
             most, seconds, least);
    return say(good && most == 2 && seconds < 1.1 * least, text);
}

/* ---- forecasts ---- */

enum { FORECASTS_MAX = 100000 };

struct told {
    bool known;
    uint64_t low_us, done_us, high_us;
};

static void note_forecast(void *context, uint32_t job, const struct sched *sched, uint64_t now_us)
{
    struct told *told = context;
    struct forecast forecast;
    (void)now_us;
    if (forecast_job(sched, job + 1, &forecast))
        told[job] = (struct told){ forecast.known, forecast.low_us, forecast.done_us, forecast.high_us };
}

static uint64_t exponential(struct rng *rng, double mean) /* by two uniforms: near enough, and no logarithm */
{
    return (uint64_t)(mean * 2 * rng_unit(rng) * rng_unit(rng) * 2);
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Jobs of unlike sizes and two priorities come at random to a fleet that nobody knows yet, at about 60 %
 * load. */
static bool forecasts_hold(uint32_t count, uint64_t seed)
{
    struct rng rng;
    struct world_device devices[3];
    struct world_job *jobs = calloc(count, sizeof *jobs);
    struct told *told = calloc(count, sizeof *told);
    struct world_job_figures *ends = calloc(count, sizeof *ends);
    ENSURE(jobs && told && ends);
    rng_init(&rng, seed);
    memcpy(devices, mixed, sizeof devices);
    for (int i = 0; i < 3; i++) {
        devices[i].warm = false;
        devices[i].jitter = 0.05;
    }
    uint64_t at = 1000000;
    for (uint32_t i = 0; i < count; i++) {
        at += exponential(&rng, 8e6);
        jobs[i] = (struct world_job){ .arrives_us = at,
                                      .samples = 500 + (uint64_t)(30000 * rng_unit(&rng) * rng_unit(&rng)),
                                      .priority = rng_below(&rng, 5) == 0 };
    }
    struct world_config config = { .seed = seed,
                                   .devices = devices,
                                   .devices_count = 3,
                                   .jobs = jobs,
                                   .jobs_count = count,
                                   .jobs_out = ends,
                                   .weather = { .delay_us = 200, .disk_us = 2000 },
                                   .context = told,
                                   .on_added = note_forecast };
    struct world_report report;
    bool good = run(&config, &report);
    uint32_t known = 0, inside = 0;
    double *widths = calloc(count, sizeof *widths);
    ENSURE(widths);
    for (uint32_t i = 0; i < count; i++) {
        known += told[i].known;
        inside +=
            told[i].known && ends[i].finished_us >= told[i].low_us && ends[i].finished_us <= told[i].high_us;
        widths[i] = told[i].known ? (double)(told[i].high_us - told[i].low_us) /
                                        (double)(ends[i].finished_us - jobs[i].arrives_us)
                                  : 0;
    }
    qsort(widths, count, sizeof *widths, ascending);
    char text[200];
    double share = known ? 100.0 * inside / known : 0;
    snprintf(text, sizeof text,
             "seed %" PRIu64 ": the 90 %% interval held %.1f %% of %" PRIu32 " jobs (%" PRIu32
             " forecast); its median width is %.2f of the job's time",
             seed, share, count, known, widths[count / 2]);
    free(widths);
    free(jobs);
    free(told);
    free(ends);
    return say(good && known > count * 9 / 10 && share >= 85 && share <= 95, text);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
    uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    record = malloc(sizeof *record);
    ENSURE(record && count > 0 && count <= FORECASTS_MAX);
    bool good = fair_shares();
    good = thrifty() && good;
    good = urgent_first() && good;
    good = short_ones_pass() && good;
    good = quotas_hold() && good;
    for (uint64_t seed = 11; seed < 11 + seeds; seed++)
        good = forecasts_hold(count, seed) && good;
    free(record);
    return good ? 0 : 1;
}
