// SPDX-License-Identifier: Apache-2.0
/* Seeds through the simulator: each draws a fleet, jobs and weather, and must end with every sample on the
 * disk exactly once and no rule of the checker broken; every fourth runs twice, and must be the same.
 *
 *     test_sim_world [FIRST [COUNT]]      default 1 1000; one seed alone prints its report
 *     test_sim_world --long               100,000 seeds
 *     test_sim_world --speed              batches a second at 24 slots
 *     test_sim_world --scale WORKERS SAMPLES
 *     test_sim_world --step-cost          of the scheduler, at 10, 1,000 and 100,000 slots */
#include "agenda.h"
#include "ensure.h"
#include "rng.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { DEVICES_MAX = 12, JOBS_MAX = 4, MODELS_MAX = 3, FAULTS_MAX = 4 };
enum { REPEATED = 4 }; /* every so many seeds run twice */

struct history {
    struct world_device devices[DEVICES_MAX];
    struct world_model models[DEVICES_MAX][MODELS_MAX];
    struct world_fault faults[DEVICES_MAX][FAULTS_MAX];
    struct world_job jobs[JOBS_MAX];
    struct world_config config;
};

static bool one_in(struct rng *rng, uint32_t n) { return rng_below(rng, n) == 0; }

/* ---- what a seed draws ---- */

static void draw_sizes(struct rng *rng, struct world_device *device)
{
    device->sizes_count = 3;
    device->sizes[0] = 1;
    device->sizes[1] = 2 + (uint32_t)rng_below(rng, 6);
    device->sizes[2] = device->batch_max = 16 + (uint32_t)rng_below(rng, 16);
}

/* Throttled and healed by turns; perhaps the end of it, where others can go on. */
static void draw_faults(struct rng *rng, struct world_device *device, struct world_fault *faults, bool mortal)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < FAULTS_MAX - 1; i++) {
        at += 1 + rng_below(rng, 2000000);
        double factor = i % 2 ? 1 : 0.2 + 0.6 * rng_unit(rng);
        faults[i] = (struct world_fault){ .at_us = at, .type = WORLD_THROTTLE, .factor = factor };
    }
    device->faults = faults;
    device->faults_count = (uint32_t)rng_below(rng, FAULTS_MAX);
    if (!mortal || device->faults_count == 0 || !one_in(rng, 3))
        return;
    const enum world_fault_type ends[] = { WORLD_DIES, WORLD_HANGS, WORLD_LEAVES };
    faults[device->faults_count - 1].type = ends[rng_below(rng, 3)];
}

static void draw_models(struct rng *rng, struct world_device *device, struct world_model *models,
                        bool may_refuse)
{
    for (uint32_t m = 0; m < MODELS_MAX; m++) {
        double factor = 0.3 + 2 * rng_unit(rng);
        models[m] = (struct world_model){ .alpha_us = device->alpha_us * factor,
                                          .beta_us = device->beta_us * factor,
                                          .load_us = rng_below(rng, 400000),
                                          .refuses = may_refuse && one_in(rng, 6) };
    }
    device->models = models;
    device->models_count = MODELS_MAX;
}

/* The first device is sound: it alone could end every job. */
static void draw_device(struct rng *rng, struct history *history, uint32_t at)
{
    double beta = 100 * (double)(1 + rng_below(rng, 300));
    struct world_device *device = &history->devices[at];
    *device = (struct world_device){ .alpha_us = beta * (double)rng_below(rng, 60) / 20,
                                     .beta_us = beta,
                                     .batch_max = 1 + (uint32_t)rng_below(rng, 64),
                                     .jitter = one_in(rng, 3) ? 0.1 : 0,
                                     .load_us = one_in(rng, 2) ? 0 : rng_below(rng, 500000),
                                     .joins_us = one_in(rng, 3) ? rng_below(rng, 2000000) : 0,
                                     .warm = one_in(rng, 4) };
    if (one_in(rng, 4))
        draw_sizes(rng, device);
    if (one_in(rng, 6))
        device->slots = 2 + (uint32_t)rng_below(rng, 3);
    if (one_in(rng, 6))
        device->window = device->lanes = 3 + (uint32_t)rng_below(rng, 14);
    else if (one_in(rng, 8))
        device->window_max = device->lanes = 3 + (uint32_t)rng_below(rng, 30);
    if (one_in(rng, 5))
        device->count = 2 + (uint32_t)rng_below(rng, 3);
    if (one_in(rng, 8))
        device->memory_batch = device->sizes_count ? device->sizes[1] : 1 + (uint32_t)rng_below(rng, 16);
    if (one_in(rng, 8))
        device->link_us_per_sample = (double)rng_below(rng, 2000);
    if (one_in(rng, 4))
        draw_faults(rng, device, history->faults[at], at > 0);
    if (one_in(rng, 3))
        draw_models(rng, device, history->models[at], at > 0);
    if (at > 0 && one_in(rng, 16))
        device->failures_per_mille = (uint32_t)rng_below(rng, 1001);
}

/* Swarm testing: each seed has its own mix of accidents, many of them absent. */
static void draw_weather(struct rng *rng, struct world_weather *weather)
{
    *weather = (struct world_weather){ .calm_us = 8000000,
                                       .delay_us = rng_below(rng, 2000),
                                       .delay_spread_us = rng_below(rng, 5000),
                                       .disk_us = rng_below(rng, 5000),
                                       .disk_spread_us = rng_below(rng, 20000) };
    weather->breaks_per_mille = one_in(rng, 2) ? (uint32_t)rng_below(rng, 60) : 0;
    weather->crashes_per_mille = one_in(rng, 2) ? (uint32_t)rng_below(rng, 60) : 0;
    weather->restarts_per_mille = one_in(rng, 2) ? (uint32_t)rng_below(rng, 30) : 0;
    weather->failures_per_mille = one_in(rng, 3) ? (uint32_t)rng_below(rng, 50) : 0;
    weather->poison_every = one_in(rng, 4) ? 50 + (uint32_t)rng_below(rng, 500) : 0;
    weather->rejected_every = one_in(rng, 8) ? 20 + (uint32_t)rng_below(rng, 200) : 0;
    weather->lies = one_in(rng, 3);
    weather->inputs_per_mille = one_in(rng, 6) ? (uint32_t)rng_below(rng, 30) : 0;
    weather->refusals_per_mille = one_in(rng, 6) ? (uint32_t)rng_below(rng, 300) : 0;
    weather->unstorable_per_mille = one_in(rng, 8) ? (uint32_t)rng_below(rng, 20) : 0;
    for (uint32_t bit = 0; bit < WORLD_ACCIDENTS; bit++)
        weather->accidents |= one_in(rng, 3) ? 1u << bit : 0;
    weather->accident_every_us = one_in(rng, 3) ? 0 : 50000 + rng_below(rng, 2000000);
}

static void draw_jobs(struct rng *rng, struct history *history)
{
    bool later = one_in(rng, 2), models = one_in(rng, 2);
    for (uint32_t j = 0; j < history->config.jobs_count; j++) {
        struct world_job *job = &history->jobs[j];
        *job = (struct world_job){ .samples = rng_below(rng, 4) ? rng_below(rng, 1500) : rng_below(rng, 3) };
        job->arrives_us = later ? rng_below(rng, 4000000) : 0;
        job->model = models ? (uint32_t)rng_below(rng, MODELS_MAX) : 0;
        job->priority = one_in(rng, 3) ? (int32_t)rng_below(rng, 5) - 2 : 0;
        job->cancel_at_us = one_in(rng, 8) ? 1 + job->arrives_us + rng_below(rng, 3000000) : 0;
        job->failures_max = one_in(rng, 10) ? 1 + rng_below(rng, 20) : 0;
        job->batch = one_in(rng, 10) ? 1 + (uint32_t)rng_below(rng, 20) : 0;
    }
}

static void draw(uint64_t seed, struct history *history)
{
    struct rng rng;
    rng_init(&rng, seed);
    *history = (struct history){ .config = { .seed = seed, .check = true, .steps_max = 5000000 } };
    history->config.devices = history->devices;
    history->config.jobs = history->jobs;
    history->config.devices_count = 1 + (uint32_t)rng_below(&rng, DEVICES_MAX);
    history->config.jobs_count = 1 + (uint32_t)rng_below(&rng, JOBS_MAX);
    for (uint32_t i = 0; i < history->config.devices_count; i++)
        draw_device(&rng, history, i);
    draw_jobs(&rng, history);
    draw_weather(&rng, &history->config.weather);
}

/* ---- seeds ---- */

struct heard {
    uint64_t runs, kept;
};

static void count_run(void *context, const struct world_run *run)
{
    struct heard *heard = context;
    heard->runs++;
    heard->kept += run->kept;
}

static bool good(uint64_t seed, bool loud)
{
    static struct history history;
    struct world_report first, second;
    struct heard heard = { 0 };
    draw(seed, &history);
    history.config.context = &heard;
    history.config.on_run = count_run;
    world_run(&history.config, &first);
    second = first;
    if (loud || seed % REPEATED == 0)
        world_run(&history.config, &second);
    bool fine = first.finished && first.lost == 0 && first.doubled == 0 && !first.violation[0] &&
                first.trace_hash == second.trace_hash && heard.runs >= first.batches;
    if (loud || !fine)
        printf("seed %" PRIu64 ": %s, lost %" PRIu64 ", doubled %" PRIu64 ", failed %" PRIu64
               ", duplicates %" PRIu64 ", hedged %" PRIu64 ", makespan %.3f s, bound %.3f s, batches %" PRIu64
               ", events %" PRIu64 ", commits %" PRIu64 ", restarts %" PRIu64 ", crashes %" PRIu64
               ", trace %016" PRIx64 "%s%s%s\n",
               seed, first.finished ? "finished" : "NOT FINISHED", first.lost, first.doubled, first.failed,
               first.duplicates, first.hedged, (double)first.makespan_us / 1e6, first.bound_us / 1e6,
               first.batches, first.events, first.commits, first.restarts, first.crashes, first.trace_hash,
               first.trace_hash == second.trace_hash ? "" : " NOT REPEATABLE", first.violation[0] ? ", " : "",
               first.violation);
    return fine;
}

/* Seeds that once found a defect. */
static const uint64_t scars[] = { 9, 474, 1948 };

static int run_seeds(uint64_t from, uint64_t count, bool with_scars)
{
    uint64_t bad = 0;
    for (size_t i = 0; with_scars && i < sizeof scars / sizeof scars[0]; i++)
        bad += !good(scars[i], false);
    for (uint64_t i = 0; i < count; i++)
        bad += !good(from + i, count == 1);
    printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " bad\n", count, from, bad);
    return bad > 0;
}

/* ---- speed and scale ---- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_speed(void)
{
    struct world_device devices[24];
    uint64_t samples = 20000000;
    struct rng rng;
    rng_init(&rng, 1);
    for (uint32_t i = 0; i < 24; i++)
        devices[i] = (struct world_device){ .alpha_us = 1000 + (double)rng_below(&rng, 20000),
                                            .beta_us = 100 + (double)rng_below(&rng, 3000),
                                            .batch_max = 32 };
    struct world_config config = { .seed = 1,
                                   .devices = devices,
                                   .devices_count = 24,
                                   .jobs_count = 1,
                                   .samples = &samples,
                                   .weather = { .delay_us = 100, .disk_us = 2000 } };
    for (int blind = 0; blind < 2; blind++) {
        struct world_report report;
        config.blind = blind == 1;
        double start = seconds_now();
        world_run(&config, &report);
        double took = seconds_now() - start;
        printf(
            "24 slots, %s: %" PRIu64 " batches, %" PRIu64 " events in %.2f s of CPU: %.0f batches a second, "
            "makespan %.4f of the bound%s%s\n",
            blind ? "blind" : "checked", report.batches, report.events, took, (double)report.batches / took,
            (double)report.makespan_us / report.bound_us, report.violation[0] ? ", " : "", report.violation);
    }
    return 0;
}

/* Ten kinds of edge device and server; a tenth as many workers of a kind each time it is twice as fast. */
static void draw_scale(struct world_device devices[10], uint32_t workers)
{
    uint32_t left = workers;
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t count = i == 9 ? left : (workers + 9) / 10 < left ? (workers + 9) / 10 : left;
        left -= count;
        double beta = 40000.0 / (double)(1u << i);
        devices[i] = (struct world_device){ .alpha_us = beta * 2,
                                            .beta_us = beta,
                                            .batch_max = 64u << (i / 2),
                                            .load_us = 500000 + 100000 * i,
                                            .count = count,
                                            .joins_every_us = 10 };
    }
}

static int run_scale(uint32_t workers, uint64_t samples)
{
    struct world_device devices[10];
    draw_scale(devices, workers);
    uint32_t count = workers >= 10 ? 10 : 1;
    if (count == 1)
        devices[0].count = workers;
    struct world_config config = { .seed = 1,
                                   .devices = devices,
                                   .devices_count = count,
                                   .jobs_count = 1,
                                   .samples = &samples,
                                   .weather = { .delay_us = 500, .delay_spread_us = 500, .disk_us = 5000 },
                                   .blind = true,
                                   .heartbeat_us = 60000000,
                                   .steps_max = UINT64_MAX };
    struct world_report report;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    world_run(&config, &report);
    clock_gettime(CLOCK_MONOTONIC, &b);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%" PRIu32 " workers, %" PRIu64 " samples: %s, lost %" PRIu64 ", doubled %" PRIu64
           ", batches %" PRIu64 ", events %" PRIu64
           ", makespan %.3f s (simulated), %.4f of the bound, %.1f s of wall time, %.0f MiB at "
           "most\n",
           workers, samples, report.finished ? "finished" : "NOT FINISHED", report.lost, report.doubled,
           report.batches, report.events, (double)report.makespan_us / 1e6,
           (double)report.makespan_us / report.bound_us,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9,
           (double)usage.ru_maxrss / 1024);
    return !report.finished || report.lost || report.doubled;
}

/* ---- the cost of a step: the scheduler alone, workers that answer on time ---- */

enum { HELD_MAX = 4, STEPS = 400000 };

struct crowd {
    struct sched *sched;
    struct sched_actions *out;
    struct agenda agenda;
    struct crowd_slot {
        uint32_t held_count, batch_max;
        double alpha_us, beta_us;
        struct sched_action held[HELD_MAX];
    } * slots;
    uint64_t now_us, steps;
};

static void crowd_begin_batch(struct crowd *crowd, uint32_t worker)
{
    const struct crowd_slot *slot = &crowd->slots[worker];
    double us = slot->alpha_us + slot->beta_us * (double)slot->held[0].count;
    agenda_add(&crowd->agenda, crowd->now_us + 1 + (uint64_t)us, HAPPENING_DEVICE_DONE, worker, 0);
}

static void crowd_step(struct crowd *crowd, const struct sched_event *event)
{
    sched_step(crowd->sched, crowd->now_us, event, crowd->out);
    crowd->steps++;
}

/* STORE and LOAD are answered at once; a LEASE waits in its slot. */
static void crowd_obey(struct crowd *crowd)
{
    size_t count = crowd->out->count;
    struct sched_action *actions = malloc((count + 1) * sizeof *actions);
    ENSURE(actions);
    memcpy(actions, crowd->out->at, count * sizeof *actions);
    for (size_t i = 0; i < count; i++) {
        const struct sched_action *a = &actions[i];
        struct sched_event event = {
            .worker = a->worker, .job = a->job, .first = a->first, .count = a->count
        };
        if (a->type == SCHED_LEASE) {
            struct crowd_slot *slot = &crowd->slots[a->worker];
            ENSURE(slot->held_count < HELD_MAX);
            slot->held[slot->held_count++] = *a;
            if (slot->held_count == 1)
                crowd_begin_batch(crowd, a->worker);
        } else if (a->type == SCHED_STORE || a->type == SCHED_LOAD) {
            event.type = a->type == SCHED_LOAD ? SCHED_LOADED : SCHED_STORED;
            if (a->type == SCHED_LOAD)
                event.loaded.ok = true;
            else
                event.stored.settle = a->settle;
            crowd_step(crowd, &event);
            crowd_obey(crowd);
        }
    }
    free(actions);
}

static void crowd_done(struct crowd *crowd, uint32_t worker)
{
    struct crowd_slot *slot = &crowd->slots[worker];
    struct sched_action lease = slot->held[0];
    memmove(slot->held, slot->held + 1, --slot->held_count * sizeof *slot->held);
    if (slot->held_count > 0)
        crowd_begin_batch(crowd, worker);
    struct sched_event event = { .type = SCHED_RESULT,
                                 .worker = worker,
                                 .job = lease.job,
                                 .attempt = lease.attempt,
                                 .term = lease.term,
                                 .first = lease.first,
                                 .count = lease.count };
    event.result.proven = true;
    event.result.run_us = 1 + (uint64_t)(slot->alpha_us + slot->beta_us * (double)lease.count);
    event.result.energy_joules = -1;
    crowd_step(crowd, &event);
    crowd_obey(crowd);
}

static void crowd_come(struct crowd *crowd, uint32_t count)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (uint32_t i = 0; i < count; i++) {
        struct crowd_slot *slot = &crowd->slots[i];
        slot->batch_max = 16u << rng_below(&rng, 4);
        slot->beta_us = 100 + (double)rng_below(&rng, 20000);
        slot->alpha_us = slot->beta_us * 3 * rng_unit(&rng);
        struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC,
                                        .batch_max = slot->batch_max,
                                        .window = 2,
                                        .alpha_us = slot->alpha_us,
                                        .beta_us = slot->beta_us };
        crowd_step(crowd, &(struct sched_event){ .type = SCHED_WORKER_UP, .worker = i, .up = { 1, &info } });
        crowd_obey(crowd);
    }
}

static void crowd_work(struct crowd *crowd, uint64_t steps)
{
    crowd->steps = 0;
    while (crowd->steps < steps) {
        uint64_t at_us, due_us = sched_deadline_us(crowd->sched);
        struct happening *h = agenda_take(&crowd->agenda, &at_us);
        ENSURE(h);
        if (due_us < at_us) {
            agenda_again(&crowd->agenda, h, at_us);
            crowd->now_us = due_us > crowd->now_us ? due_us : crowd->now_us;
            crowd_step(crowd, &(struct sched_event){ .type = SCHED_TICK });
            crowd_obey(crowd);
            continue;
        }
        crowd->now_us = at_us > crowd->now_us ? at_us : crowd->now_us;
        crowd_done(crowd, h->worker);
        agenda_done(&crowd->agenda, h);
    }
}

static double step_cost(uint32_t count)
{
    const struct sched_config config = { .workers_max = count, .slots_max = count, .jobs_max = 16 };
    struct crowd crowd = { .sched = sched_new(&config, 1),
                           .out = malloc(sizeof *crowd.out),
                           .slots = calloc(count, sizeof *crowd.slots) };
    ENSURE(crowd.sched && crowd.out && crowd.slots);
    agenda_init(&crowd.agenda);
    struct sched_event add = { .type = SCHED_JOB_ADD, .job = 1 };
    add.add.formats = SCHED_FORMAT_SYNTHETIC;
    add.add.samples = 1000000000000u;
    add.add.failures_max = UINT64_MAX;
    crowd_step(&crowd, &add);
    crowd_come(&crowd, count);
    crowd_work(&crowd, 4 * (uint64_t)count + STEPS / 4);
    double start = seconds_now();
    crowd_work(&crowd, STEPS);
    double ns = (seconds_now() - start) * 1e9 / (double)crowd.steps;
    agenda_fini(&crowd.agenda);
    sched_free(&crowd.sched);
    free(crowd.out);
    free(crowd.slots);
    return ns;
}

static int run_step_cost(void)
{
    const uint32_t counts[] = { 10, 1000, 100000 };
    double first = 0;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double ns = step_cost(counts[i]);
        first = first > 0 ? first : ns;
        printf("%" PRIu32 " slots: %.0f ns of CPU a step (driver included), %.2f times that of %" PRIu32
               " slots\n",
               counts[i], ns, ns / first, counts[0]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "--speed") == 0)
        return run_speed();
    if (argc > 3 && strcmp(argv[1], "--scale") == 0)
        return run_scale((uint32_t)strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    if (argc > 1 && strcmp(argv[1], "--step-cost") == 0)
        return run_step_cost();
    if (argc > 1 && strcmp(argv[1], "--long") == 0)
        return run_seeds(1, 100000, true);
    if (argc > 1)
        return run_seeds(strtoull(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1, false);
    return run_seeds(1, 1000, true);
}
