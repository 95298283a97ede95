// SPDX-License-Identifier: Apache-2.0
#include "scenario.h"

#include "ensure.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FATES_MAX = 2, BOUND_UNKNOWN_SECONDS = 10 };

static const uint64_t chunk_cap_us = 2000000; /* as the scheduler's, for the estimate of batches */

/* What was drawn for one worker, in the world's time. */
struct fate {
    uint32_t worker, faults_count;
    struct world_fault faults[FATES_MAX];
};

struct fates {
    struct fate *at; /* ascending by worker once drawn */
    uint32_t count;
};

struct making {
    const struct fleet *fleet;
    struct scenario *scenario;
    bool warm;
    double sample_bytes;
    size_t faults_used;
};

/* ---- one device ---- */

static uint64_t us_of(double seconds)
{
    double us = seconds * 1e6;
    return us <= 0 ? 0 : us < 1e17 ? (uint64_t)(us + 0.5) : (uint64_t)1e17;
}

static void take_link(const struct making *making, const struct fleet_worker *worker,
                      struct world_device *device)
{
    device->link_us = us_of(worker->link_rtt_ms / 2000 * making->fleet->time_scale);
    if (worker->link_mbit > 0)
        device->link_us_per_sample = making->sample_bytes * 8 / worker->link_mbit * making->fleet->time_scale;
}

/* The smallest, the largest, and of more than the world can hold some between them. */
static void take_sizes(const struct fleet_worker *worker, struct world_device *device)
{
    uint32_t count = worker->sizes_count, most = WORLD_SIZES_MAX;
    device->sizes_count = count < most ? count : most;
    for (uint32_t i = 0; i < device->sizes_count; i++)
        device->sizes[i] = worker->sizes[count > most ? i * (count - 1) / (most - 1) : i];
}

static void take_figures(const struct making *making, const struct fleet_worker *worker,
                         struct world_device *device)
{
    double scale = making->fleet->time_scale, us_per_ms = 1000 * scale;
    device->alpha_us = worker->curve.alpha_ms * us_per_ms;
    device->beta_us = worker->curve.beta_ms * us_per_ms;
    device->batch_max = worker->curve.batch_max;
    take_sizes(worker, device);
    device->jitter = worker->jitter;
    device->load_us = us_of(worker->load_seconds * scale);
    device->joins_us = us_of(worker->joins_at_seconds * scale);
    device->warm = making->warm;
    if (worker->prior) {
        device->prior_alpha_us = worker->prior->alpha_ms * us_per_ms;
        device->prior_beta_us = worker->prior->beta_ms * us_per_ms;
    }
    device->busy_watts = worker->busy_watts > 0 ? worker->busy_watts : 0;
    device->idle_watts = worker->idle_watts > 0 ? worker->idle_watts : 0;
}

static struct world_fault world_fault_of(const struct fleet_fault *fault, double scale)
{
    static const enum world_fault_type types[] = {
        [FLEET_THROTTLE] = WORLD_THROTTLE, [FLEET_DIES] = WORLD_DIES, [FLEET_HANGS] = WORLD_HANGS
    };
    return (struct world_fault){ .at_us = us_of(fault->at_seconds * scale),
                                 .type = types[fault->kind],
                                 .factor = fault->factor };
}

/* Ascending by time; those of one time keep their order. */
static void insert_fault(struct world_fault *faults, uint32_t *count, struct world_fault fault)
{
    uint32_t hole = (*count)++;
    for (; hole > 0 && faults[hole - 1].at_us > fault.at_us; hole--)
        faults[hole] = faults[hole - 1];
    faults[hole] = fault;
}

static void take_faults(struct making *making, const struct fleet_worker *worker, const struct fate *fate,
                        struct world_device *device)
{
    struct world_fault *faults = making->scenario->faults + making->faults_used;
    uint32_t count = 0;
    for (uint32_t i = 0; i < worker->faults_count; i++)
        insert_fault(faults, &count, world_fault_of(&worker->faults[i], making->fleet->time_scale));
    for (uint32_t i = 0; fate && i < fate->faults_count; i++) {
        struct world_fault fault = fate->faults[i];
        fault.at_us = fault.at_us > device->joins_us ? fault.at_us - device->joins_us : 0;
        insert_fault(faults, &count, fault);
    }
    device->faults = faults;
    device->faults_count = count;
    making->faults_used += count;
}

static void add_device(struct making *making, const struct fleet_worker *worker, uint32_t count,
                       const struct fate *fate)
{
    struct scenario *scenario = making->scenario;
    struct world_device *device = &scenario->devices[scenario->devices_count++];
    *device = (struct world_device){ .count = count };
    take_figures(making, worker, device);
    take_link(making, worker, device);
    take_faults(making, worker, fate, device);
    uint64_t last_us = device->joins_us + device->load_us;
    if (device->faults_count > 0 &&
        device->joins_us + device->faults[device->faults_count - 1].at_us > last_us)
        last_us = device->joins_us + device->faults[device->faults_count - 1].at_us;
    scenario->last_change_us = last_us > scenario->last_change_us ? last_us : scenario->last_change_us;
}

/* ---- all devices ---- */

/* A group is one device, but that whoever has a fate of its own is one by itself. */
static void add_group(struct making *making, const struct fleet_group *group, uint32_t from,
                      const struct fates *fates, uint32_t *next)
{
    uint32_t to = from + group->count;
    while (from < to) {
        const struct fate *fate = *next < fates->count ? &fates->at[*next] : NULL;
        uint32_t until = fate && fate->worker < to ? fate->worker : to;
        if (until > from)
            add_device(making, &group->worker, until - from, NULL);
        from = until;
        if (from < to) {
            add_device(making, &group->worker, 1, fate);
            from++;
            (*next)++;
        }
    }
}

static enum err make_devices(struct making *making, const struct fates *fates, struct why *why)
{
    struct scenario *scenario = making->scenario;
    const struct fleet *fleet = making->fleet;
    size_t devices = fleet->groups_count + 2 * (size_t)fates->count,
           faults = FATES_MAX * (size_t)fates->count;
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        faults += fleet->groups[i].worker.faults_count;
    for (uint32_t i = 0; i < fates->count; i++) /* each, and those that it cuts off, have the file's again */
        faults += 2 * (size_t)FLEET_FAULTS_MAX;
    scenario->devices = calloc(devices + 1, sizeof *scenario->devices);
    scenario->faults = calloc(faults + 1, sizeof *scenario->faults);
    if (!scenario->devices || !scenario->faults)
        return why_set(why, ERR_MEMORY, "no memory for a fleet of %u workers", fleet->workers_count);
    for (uint32_t i = 0, from = 0, next = 0; i < fleet->groups_count; i++) {
        add_group(making, &fleet->groups[i], from, fates, &next);
        from += fleet->groups[i].count;
    }
    ENSURE(scenario->devices_count <= devices && making->faults_used <= faults);
    return ERR_OK;
}

static void find_bound(struct scenario *scenario, uint64_t seed)
{
    const struct world_config config = { .seed = seed,
                                         .devices = scenario->devices,
                                         .devices_count = scenario->devices_count,
                                         .jobs_count = 1,
                                         .samples = &scenario->samples };
    scenario->bound_us = world_bound_us(&config);
}

/* Each does its share of the samples in batches no longer than the scheduler's cap. */
static void estimate_batches(struct scenario *scenario)
{
    double rates = 0, batches_per_us = 0;
    for (uint32_t i = 0; i < scenario->devices_count; i++) {
        const struct world_device *device = &scenario->devices[i];
        double batch = device->sizes_count ? device->sizes[device->sizes_count - 1] : device->batch_max;
        if (device->beta_us > 0 && batch * device->beta_us > (double)chunk_cap_us)
            batch = (double)chunk_cap_us / device->beta_us;
        batch = batch < 1 ? 1 : batch;
        double us = device->alpha_us + device->beta_us * batch;
        rates += device->count * batch / us;
        batches_per_us += device->count / us;
    }
    scenario->batches = rates > 0 ? (double)scenario->samples / rates * batches_per_us : 0;
}

/* ---- drawing ---- */

/* How many of count, at least one if there are at least `least` workers. */
static uint32_t share_of(uint32_t count, uint32_t divisor, uint32_t least)
{
    uint32_t share = count / divisor;
    return share == 0 && count >= least ? 1 : share;
}

static int by_worker(const void *a, const void *b)
{
    uint32_t x = ((const struct fate *)a)->worker, y = ((const struct fate *)b)->worker;
    return (x > y) - (x < y);
}

/* Distinct workers: the first part of a shuffle. */
static void choose_workers(struct rng *rng, uint32_t workers, struct fates *fates, uint32_t *deck)
{
    for (uint32_t i = 0; i < workers; i++)
        deck[i] = i;
    for (uint32_t i = 0; i < fates->count; i++) {
        uint32_t other = i + (uint32_t)rng_below(rng, workers - i), kept = deck[i];
        deck[i] = deck[other];
        deck[other] = kept;
        fates->at[i].worker = deck[i];
    }
}

static uint64_t moment_us(struct rng *rng, double bound_us, double from, double to)
{
    return (uint64_t)(bound_us * (from + (to - from) * rng_unit(rng)));
}

static void draw_slow(struct rng *rng, struct fate *fate, bool harsh, double bound_us)
{
    double from = harsh ? 0 : 0.3, to = harsh ? 1 : 0.7, factor = harsh ? 0.2 + 0.7 * rng_unit(rng) : 0.5;
    fate->faults[fate->faults_count++] = (struct world_fault){ .at_us = moment_us(rng, bound_us, from, to),
                                                               .type = WORLD_THROTTLE,
                                                               .factor = factor };
    if (!harsh || rng_below(rng, 2))
        return;
    uint64_t heals_us = fate->faults[0].at_us + moment_us(rng, bound_us, 0.05, 0.5);
    fate->faults[fate->faults_count++] =
        (struct world_fault){ .at_us = heals_us, .type = WORLD_THROTTLE, .factor = 1 };
}

static void draw_end(struct rng *rng, struct fate *fate, enum world_fault_type type, bool harsh,
                     double bound_us)
{
    double from = harsh ? 0 : 0.3, to = harsh ? 1 : 0.7;
    fate->faults[fate->faults_count++] =
        (struct world_fault){ .at_us = moment_us(rng, bound_us, from, to), .type = type };
}

static enum err draw_fates(struct rng *rng, uint32_t workers, bool harsh, double bound_us,
                           struct fates *fates, struct why *why)
{
    uint32_t slow = share_of(workers, harsh ? 5 : 100, 1), die = share_of(workers, harsh ? 20 : 100, 2),
             hang = harsh ? share_of(workers, 50, 3) : 0;
    fates->count = slow + die + hang < workers ? slow + die + hang : workers;
    fates->at = calloc(fates->count + 1, sizeof *fates->at);
    uint32_t *deck = malloc((workers + 1) * sizeof *deck);
    if (!fates->at || !deck) {
        free(deck);
        return why_set(why, ERR_MEMORY, "no memory for the faults of %u workers", workers);
    }
    choose_workers(rng, workers, fates, deck);
    free(deck);
    for (uint32_t i = 0; i < fates->count; i++) {
        if (i < slow)
            draw_slow(rng, &fates->at[i], harsh, bound_us);
        else
            draw_end(rng, &fates->at[i], i < slow + die ? WORLD_DIES : WORLD_HANGS, harsh, bound_us);
    }
    qsort(fates->at, fates->count, sizeof *fates->at, by_worker);
    return ERR_OK;
}

static void make_weather(struct scenario *scenario, enum scenario_faults faults, double bound_us)
{
    double every_us = bound_us / 30;
    scenario->weather = (struct world_weather){ .delay_us = 100, .disk_us = 2000 };
    if (faults != SCENARIO_HARSH)
        return;
    scenario->weather = (struct world_weather){ .calm_us = (uint64_t)(1.5 * bound_us),
                                                .delay_us = 200,
                                                .delay_spread_us = 5000,
                                                .disk_us = 2000,
                                                .disk_spread_us = 20000,
                                                .breaks_per_mille = 1,
                                                .crashes_per_mille = 1,
                                                .restarts_per_mille = 1,
                                                .failures_per_mille = 1,
                                                .accidents = (1u << WORLD_ACCIDENTS) - 1,
                                                .accident_every_us = (uint64_t)every_us };
    if (scenario->weather.accident_every_us < 200000)
        scenario->weather.accident_every_us = 200000;
}

/* ---- scenario ---- */

static enum err check_fleet(const struct fleet *fleet, struct why *why)
{
    if (fleet->workers_count == 0)
        return why_set(why, ERR_USAGE, "%s: has no workers, so nothing can run on it; add one", fleet->name);
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        if (!fleet->groups[i].worker.has_curve)
            return why_set(why, ERR_USAGE,
                           "%s: the worker '%s' is real (local: true), and what it can do is not known here; "
                           "give it a curve, such as curve: { alpha_ms: 20, beta_ms: 10, batch_max: 64 }",
                           fleet->name, fleet->groups[i].worker.name);
    return ERR_OK;
}

static enum err remake_with_fates(struct making *making, enum scenario_faults faults, uint64_t seed,
                                  struct why *why)
{
    struct scenario *scenario = making->scenario;
    struct rng rng;
    struct fates fates = { NULL, 0 };
    double bound_us = scenario->bound_us > 0 ? scenario->bound_us : BOUND_UNKNOWN_SECONDS * 1e6;
    rng_init(&rng, rng_mix64(seed ^ 0x6661756C7473u));
    enum err err =
        draw_fates(&rng, making->fleet->workers_count, faults == SCENARIO_HARSH, bound_us, &fates, why);
    if (err == ERR_OK) {
        free(scenario->devices);
        free(scenario->faults);
        scenario->devices = NULL;
        scenario->faults = NULL;
        scenario->devices_count = 0;
        making->faults_used = 0;
        err = make_devices(making, &fates, why);
    }
    free(fates.at);
    return err;
}

enum err scenario_init(struct scenario *scenario, const struct fleet *fleet, uint64_t samples, bool warm,
                       enum scenario_faults faults, double sample_bytes, uint64_t seed, struct why *why)
{
    struct making making = {
        .fleet = fleet, .scenario = scenario, .warm = warm, .sample_bytes = sample_bytes
    };
    const struct fates none = { NULL, 0 };
    *scenario = (struct scenario){ .samples = samples, .bound_us = -1 };
    enum err err = check_fleet(fleet, why);
    if (err == ERR_OK)
        err = make_devices(&making, &none, why);
    if (err == ERR_OK)
        find_bound(scenario, seed);
    if (err == ERR_OK && faults != SCENARIO_NONE && samples > 0) {
        err = remake_with_fates(&making, faults, seed, why);
        if (err == ERR_OK)
            find_bound(scenario, seed);
    }
    if (err == ERR_OK) {
        make_weather(scenario, faults,
                     scenario->bound_us > 0 ? scenario->bound_us : BOUND_UNKNOWN_SECONDS * 1e6);
        estimate_batches(scenario);
    }
    return err;
}

void scenario_fini(struct scenario *scenario)
{
    free(scenario->devices);
    free(scenario->faults);
    *scenario = (struct scenario){ .bound_us = -1 };
}

double scenario_worker_samples(const struct fleet *fleet, const struct fleet_worker *worker, double seconds)
{
    double rate = fleet_worker_rate(fleet, worker), factor = 1, work = 0;
    double joins = worker->joins_at_seconds * fleet->time_scale,
           from = joins + worker->load_seconds * fleet->time_scale;
    for (uint32_t i = 0; i < worker->faults_count && from < seconds; i++) {
        double at = joins + worker->faults[i].at_seconds * fleet->time_scale;
        at = at < seconds ? at : seconds;
        if (at > from) {
            work += rate * factor * (at - from);
            from = at;
        }
        if (at == seconds)
            return work;
        if (worker->faults[i].kind != FLEET_THROTTLE)
            return work;
        factor = worker->faults[i].factor;
    }
    return seconds > from ? work + rate * factor * (seconds - from) : work;
}

/* ---- a drawn fleet ---- */

static const char *name_of(uint32_t index)
{
    char *name = malloc(16);
    if (name)
        snprintf(name, 16, "slot-%u", index + 1);
    return name;
}

static const uint32_t *draw_sizes(struct rng *rng, struct fleet_worker *worker)
{
    uint32_t *sizes = malloc(3 * sizeof *sizes), most = worker->curve.batch_max;
    if (!sizes)
        return NULL;
    sizes[0] = 1;
    sizes[1] = 2 + (uint32_t)rng_below(rng, most - 3);
    sizes[2] = most;
    worker->sizes_count = 3;
    return sizes;
}

/* late_seconds: the latest moment of joining. */
static bool draw_worker(struct rng *rng, uint32_t index, struct fleet_group *group)
{
    double beta_ms = 0.2 * (double)(1 + rng_below(rng, 300));
    group->worker = (struct fleet_worker){ .name = name_of(index),
                                           .kind = "cpu",
                                           .has_curve = true,
                                           .idle_watts = -1,
                                           .busy_watts = -1,
                                           .price_per_hour = -1 };
    group->count = group->count_min = group->count_max = 1;
    group->curve_given = true;
    struct fleet_worker *worker = &group->worker;
    worker->curve = (struct fleet_curve){ .alpha_ms = beta_ms * (double)rng_below(rng, 60) / 20,
                                          .beta_ms = beta_ms,
                                          .batch_max = 1 + (uint32_t)rng_below(rng, 32) };
    worker->load_seconds = rng_below(rng, 2) ? 0 : 0.001 * (double)rng_below(rng, 300);
    bool late = rng_below(rng, 8) == 0;
    worker->joins_at_seconds = late && index > 0 ? 0.001 * (double)rng_below(rng, 5000) : 0;
    if (rng_below(rng, 4) == 0 && worker->curve.batch_max >= 4)
        worker->sizes = draw_sizes(rng, worker);
    return worker->name != NULL;
}

static uint64_t samples_for(const struct fleet *fleet, uint32_t length)
{
    double slowest_ms = 0, rates = 0;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        const struct fleet_curve *curve = &fleet->groups[i].worker.curve;
        double batch_ms = curve->alpha_ms + curve->beta_ms * curve->batch_max;
        slowest_ms = batch_ms > slowest_ms ? batch_ms : slowest_ms;
        rates += curve->batch_max / batch_ms;
    }
    return (uint64_t)(length * slowest_ms * rates);
}

enum err scenario_draw_fleet(uint64_t seed, uint32_t length, struct fleet **fleet, uint64_t *samples,
                             struct why *why)
{
    struct rng rng;
    uint32_t counts[64];
    rng_init(&rng, rng_mix64(seed ^ 0x666C656574u));
    uint32_t count = 2 + (uint32_t)rng_below(&rng, 63);
    bool good = (*fleet = calloc(1, sizeof **fleet)) != NULL &&
                ((*fleet)->groups = calloc(count, sizeof *(*fleet)->groups)) != NULL;
    for (uint32_t i = 0; good && i < count; i++) {
        good = draw_worker(&rng, i, &(*fleet)->groups[i]);
        (*fleet)->groups_count++;
        counts[i] = 1;
    }
    if (good) {
        snprintf((*fleet)->name, sizeof(*fleet)->name, "random-%llu", (unsigned long long)seed);
        (*fleet)->time_scale = 1;
        *samples = samples_for(*fleet, length);
        good = fleet_choose(*fleet, counts, why) == ERR_OK;
    }
    if (!good && *fleet)
        fleet_free(fleet);
    return good ? ERR_OK : why_set(why, ERR_MEMORY, "no memory for a fleet");
}
