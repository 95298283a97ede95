// SPDX-License-Identifier: Apache-2.0
#include "checker.h"

#include "ensure.h"
#include "machine.h"
#include "scene.h"
#include "window.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t LEASE_FLOOR_US = 5000000;
static const double HEDGE_SHARE = 0.01;

struct out { /* a lease that is out */
    uint64_t job, first, count, attempt, given_us;
    bool recalled, held;
};

struct slot_watch {
    struct out *outs;
    uint32_t outs_count, outs_capacity;
    uint32_t window, batch_max;
    uint64_t loaded; /* models, as bits */
};

struct worker_watch {
    uint32_t slots_first, slots_count;
    bool up, draining;
};

struct job_watch {
    bool open, verified;
    uint32_t model, batch_fixed, batch_max;
    uint64_t samples, hedged;
    struct ranges claimed, leased;
};

struct report { /* a RESULT or HELD of an attempt */
    struct report *next;
    uint64_t attempt, unstored; /* claimed of it and not durable */
    uint32_t at;
};

struct checker {
    const struct world *world;
    uint64_t now_us, number, attempt, term, hedged;
    const struct sched_event *event;
    struct worker_watch *workers;
    struct slot_watch *slots;
    struct job_watch *jobs;
    uint32_t slots_count, numbers_count, numbers_capacity;
    uint32_t *at_of;
    struct report **buckets, *spare;
    uint32_t buckets_count, reports_count;
    bool fails_by_chance; /* samples may fail that are not poisoned */
    char violation[WORLD_VIOLATION_MAX];
};

__attribute__((format(printf, 3, 4))) static void violate(struct checker *checker, const char *rule,
                                                          const char *format, ...)
{
    if (checker->violation[0])
        return;
    char text[WORLD_VIOLATION_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(checker->violation, sizeof checker->violation, "%s at %" PRIu64 " us, event %" PRIu64 ": %.120s",
             rule, checker->now_us, checker->number, text);
}

const char *checker_violation(const struct checker *checker) { return checker->violation; }
uint64_t checker_hedged(const struct checker *checker) { return checker->hedged; }

/* ---- tables ---- */

static bool may_fail_by_chance(const struct world_config *config)
{
    const struct world_weather *w = &config->weather;
    bool found = w->failures_per_mille || w->inputs_per_mille || w->unstorable_per_mille ||
                 w->refusals_per_mille || (w->accidents & WORLD_MEMORY);
    for (uint32_t i = 0; i < config->devices_count && !found; i++) {
        const struct world_device *d = &config->devices[i];
        found = d->failures_per_mille || d->memory_batch;
        for (uint32_t m = 0; m < d->models_count; m++)
            found = found || d->models[m].memory_batch || d->models[m].refuses;
    }
    return found;
}

struct checker *checker_new(const struct world *world)
{
    struct checker *checker = calloc(1, sizeof *checker);
    ENSURE(checker);
    checker->world = world;
    checker->fails_by_chance = may_fail_by_chance(world->config);
    checker->workers = calloc(world->puppets_count + 1, sizeof *checker->workers);
    checker->slots = calloc(world->machines_count + 1, sizeof *checker->slots);
    checker->jobs = calloc(world->config->jobs_count + 1, sizeof *checker->jobs);
    checker->buckets_count = 256;
    checker->buckets = calloc(checker->buckets_count, sizeof(struct report *));
    ENSURE(checker->workers && checker->slots && checker->jobs && checker->buckets);
    checker->slots_count = world->machines_count;
    for (uint32_t at = 0; at < world->puppets_count; at++) {
        checker->workers[at].slots_first = (uint32_t)(world->puppets[at].machines - world->machines);
        checker->workers[at].slots_count = world->puppets[at].slots_count;
    }
    return checker;
}

static void free_reports(struct report *report)
{
    while (report) {
        struct report *next = report->next;
        free(report);
        report = next;
    }
}

void checker_free(struct checker **checker_p)
{
    struct checker *checker = *checker_p;
    if (!checker)
        return;
    for (uint32_t i = 0; i < checker->slots_count; i++)
        free(checker->slots[i].outs);
    for (uint32_t j = 0; j < checker->world->config->jobs_count; j++) {
        ranges_fini(&checker->jobs[j].claimed);
        ranges_fini(&checker->jobs[j].leased);
    }
    for (uint32_t i = 0; i < checker->buckets_count; i++)
        free_reports(checker->buckets[i]);
    free_reports(checker->spare);
    free(checker->workers);
    free(checker->slots);
    free(checker->jobs);
    free(checker->at_of);
    free(checker->buckets);
    free(checker);
    *checker_p = NULL;
}

void checker_number(struct checker *checker, uint32_t number, uint32_t at)
{
    if (number >= checker->numbers_capacity) {
        checker->numbers_capacity = 2 * number + 64;
        checker->at_of = realloc(checker->at_of, checker->numbers_capacity * sizeof *checker->at_of);
        ENSURE(checker->at_of);
    }
    checker->at_of[number] = at;
    checker->numbers_count = number + 1;
}

static struct worker_watch *worker_of(struct checker *checker, uint32_t number)
{
    return number < checker->numbers_count ? &checker->workers[checker->at_of[number]] : NULL;
}

static struct slot_watch *slot_of(struct checker *checker, uint32_t number, uint32_t slot)
{
    const struct worker_watch *worker = worker_of(checker, number);
    return worker && slot < worker->slots_count ? &checker->slots[worker->slots_first + slot] : NULL;
}

static struct job_watch *job_of(struct checker *checker, uint64_t job)
{
    return job >= 1 && job <= checker->world->config->jobs_count ? &checker->jobs[job - 1] : NULL;
}

/* ---- reports ---- */

static struct report **report_link(const struct checker *checker, uint64_t attempt, uint32_t at)
{
    struct report **link = &checker->buckets[rng_mix64(attempt) & (checker->buckets_count - 1)];
    while (*link && ((*link)->attempt != attempt || (*link)->at != at))
        link = &(*link)->next;
    return link;
}

static void grow_buckets(struct checker *checker)
{
    uint32_t old_count = checker->buckets_count;
    struct report **old = checker->buckets;
    checker->buckets_count *= 2;
    checker->buckets = calloc(checker->buckets_count, sizeof(struct report *));
    ENSURE(checker->buckets);
    for (uint32_t i = 0; i < old_count; i++)
        for (struct report *next, *report = old[i]; report; report = next) {
            next = report->next;
            struct report **link = report_link(checker, report->attempt, report->at);
            report->next = NULL;
            *link = report;
        }
    free(old);
}

static struct report *report_make(struct checker *checker, uint64_t attempt, uint32_t at)
{
    struct report **link = report_link(checker, attempt, at);
    if (*link)
        return *link;
    if (checker->reports_count++ > checker->buckets_count) {
        grow_buckets(checker);
        link = report_link(checker, attempt, at);
    }
    struct report *report = checker->spare;
    if (report)
        checker->spare = report->next;
    else
        report = malloc(sizeof *report);
    ENSURE(report);
    *report = (struct report){ .attempt = attempt, .at = at };
    *link = report;
    return report;
}

static void report_free(struct checker *checker, struct report **link)
{
    struct report *gone = *link;
    *link = gone->next;
    gone->next = checker->spare;
    checker->spare = gone;
    checker->reports_count--;
}

/* ---- leases that are out ---- */

static struct out *find_out(const struct slot_watch *slot, uint64_t attempt)
{
    for (uint32_t i = 0; i < slot->outs_count; i++)
        if (slot->outs[i].attempt == attempt)
            return &slot->outs[i];
    return NULL;
}

static void push_out(struct slot_watch *slot, const struct out *out)
{
    if (slot->outs_count == slot->outs_capacity) {
        slot->outs_capacity = slot->outs_capacity ? 2 * slot->outs_capacity : 4;
        slot->outs = realloc(slot->outs, slot->outs_capacity * sizeof *slot->outs);
        ENSURE(slot->outs);
    }
    slot->outs[slot->outs_count++] = *out;
}

static void end_out(struct checker *checker, struct slot_watch *slot, const struct out *out)
{
    struct job_watch *job = job_of(checker, out->job);
    if (job)
        ranges_remove(&job->leased, out->first, out->first + out->count);
    size_t at = (size_t)(out - slot->outs);
    memmove(&slot->outs[at], &slot->outs[at + 1], (slot->outs_count - 1 - at) * sizeof *slot->outs);
    slot->outs_count--;
}

static void end_outs_of_slot(struct checker *checker, struct slot_watch *slot)
{
    while (slot->outs_count > 0)
        end_out(checker, slot, &slot->outs[slot->outs_count - 1]);
}

/* How much of [first, end) others hold by good leases. Only asked where some lease may overlap. */
static uint64_t held_by_others(const struct checker *checker, uint64_t job, uint64_t first, uint64_t end)
{
    const struct sched_config *sched = checker->world->config->sched;
    uint64_t floor_us = sched && sched->lease_floor_us ? sched->lease_floor_us : LEASE_FLOOR_US, sum = 0;
    for (uint32_t i = 0; i < checker->slots_count; i++)
        for (uint32_t k = 0; k < checker->slots[i].outs_count; k++) {
            const struct out *out = &checker->slots[i].outs[k];
            uint64_t low = out->first > first ? out->first : first;
            uint64_t high = out->first + out->count < end ? out->first + out->count : end;
            if (out->job == job && !out->recalled && out->given_us + floor_us > checker->now_us && low < high)
                sum += high - low;
        }
    return sum;
}

/* ---- events ---- */

static void on_up(struct checker *checker, const struct sched_event *event)
{
    struct worker_watch *worker = worker_of(checker, event->worker);
    if (!worker)
        return;
    worker->up = true;
    worker->draining = false;
    for (uint32_t i = 0; i < event->up.slots_count && i < worker->slots_count; i++) {
        struct slot_watch *slot = &checker->slots[worker->slots_first + i];
        const struct sched_slot_info *info = &event->up.slots[i];
        uint32_t window = info->window > info->window_max ? info->window : info->window_max;
        window = info->window_max == 0 && window < WINDOW_TRIP_MAX ? WINDOW_TRIP_MAX : window;
        slot->window = window < 2 ? 2 : window > SCHED_WINDOW_MAX ? SCHED_WINDOW_MAX : window;
        slot->batch_max = info->sizes_count ? info->sizes[info->sizes_count - 1] : info->batch_max;
    }
}

static void on_down(struct checker *checker, const struct sched_event *event)
{
    struct worker_watch *worker = worker_of(checker, event->worker);
    if (!worker)
        return;
    worker->up = false;
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        end_outs_of_slot(checker, &checker->slots[worker->slots_first + i]);
        checker->slots[worker->slots_first + i].loaded = 0;
    }
}

static void on_result(struct checker *checker, const struct sched_event *event)
{
    struct slot_watch *slot = slot_of(checker, event->worker, event->slot);
    const struct worker_watch *worker = worker_of(checker, event->worker);
    if (!slot || !worker->up)
        return;
    report_make(checker, event->attempt, checker->at_of[event->worker]);
    const struct out *out = find_out(slot, event->attempt);
    if (out && out->job == event->job && out->first == event->first && out->count == event->count)
        end_out(checker, slot, out);
}

/* It is out again, unless it is acknowledged in this step. */
static void on_held(struct checker *checker, const struct sched_event *event)
{
    struct slot_watch *slot = slot_of(checker, event->worker, event->slot);
    const struct worker_watch *worker = worker_of(checker, event->worker);
    if (!slot || !worker->up || !job_of(checker, event->job))
        return;
    report_make(checker, event->attempt, checker->at_of[event->worker]);
    if (find_out(slot, event->attempt) || event->held.finished) /* its result may find room or not */
        return;
    push_out(slot, &(struct out){ .job = event->job,
                                  .first = event->first,
                                  .count = event->count,
                                  .attempt = event->attempt,
                                  .given_us = checker->now_us,
                                  .held = true });
    ranges_add(&job_of(checker, event->job)->leased, event->first, event->first + event->count);
}

static void on_returned(struct checker *checker, const struct sched_event *event)
{
    const struct worker_watch *worker = worker_of(checker, event->worker);
    for (uint32_t i = 0; worker && i < worker->slots_count; i++) {
        struct slot_watch *slot = &checker->slots[worker->slots_first + i];
        const struct out *out = find_out(slot, event->attempt);
        if (out)
            end_out(checker, slot, out);
    }
}

static void on_loaded(struct checker *checker, const struct sched_event *event)
{
    struct slot_watch *slot = slot_of(checker, event->worker, event->slot);
    if (slot && event->loaded.ok && event->loaded.model < 64)
        slot->loaded |= 1ull << event->loaded.model;
}

static void on_job_add(struct checker *checker, const struct sched_event *event)
{
    struct job_watch *job = job_of(checker, event->job);
    if (!job)
        return;
    job->open = true;
    job->model = event->add.model;
    job->samples = event->add.samples;
    job->batch_fixed = event->add.batch_fixed;
    job->verified = event->add.verify_ppm > 0;
}

void checker_event(struct checker *checker, uint64_t now_us, uint64_t number, const struct sched_event *event)
{
    checker->now_us = now_us;
    checker->number = number;
    checker->event = event;
    switch (event->type) {
    case SCHED_WORKER_UP: on_up(checker, event); break;
    case SCHED_WORKER_DOWN: on_down(checker, event); break;
    case SCHED_JOB_ADD: on_job_add(checker, event); break;
    case SCHED_JOB_SETTLED_RANGE:
        ranges_add(&checker->jobs[event->job - 1].claimed, event->first, event->first + event->count);
        break;
    case SCHED_LOADED: on_loaded(checker, event); break;
    case SCHED_RESULT: on_result(checker, event); break;
    case SCHED_HELD: on_held(checker, event); break;
    case SCHED_RETURNED: on_returned(checker, event); break;
    case SCHED_DRAIN:
    case SCHED_UNDRAIN:
        if (worker_of(checker, event->worker))
            worker_of(checker, event->worker)->draining = event->type == SCHED_DRAIN;
        break;
    default: break;
    }
}

void checker_durable(struct checker *checker, uint64_t attempt, uint64_t count)
{
    for (struct report *report = checker->buckets[rng_mix64(attempt) & (checker->buckets_count - 1)]; report;
         report = report->next)
        if (report->attempt == attempt && report->unstored > 0) {
            report->unstored = report->unstored > count ? report->unstored - count : 0;
            return;
        }
}

/* A new coordinator: what was claimed and not durable is nobody's, and nobody is connected. */
void checker_term(struct checker *checker)
{
    checker->term = checker->world->term;
    checker->numbers_count = 0;
    for (uint32_t i = 0; i < checker->buckets_count; i++)
        while (checker->buckets[i])
            report_free(checker, &checker->buckets[i]);
    for (uint32_t at = 0; at < checker->world->puppets_count; at++)
        checker->workers[at].up = false;
    for (uint32_t i = 0; i < checker->slots_count; i++) {
        end_outs_of_slot(checker, &checker->slots[i]);
        checker->slots[i].loaded = 0;
    }
    for (uint32_t j = 0; j < checker->world->config->jobs_count; j++) {
        ranges_fini(&checker->jobs[j].claimed);
        ranges_init(&checker->jobs[j].claimed);
        checker->jobs[j].hedged = 0; /* the budget is one of a coordinator's life */
    }
}

/* ---- actions ---- */

static void check_size(struct checker *checker, const struct slot_watch *slot, const struct job_watch *job,
                       const struct sched_action *a)
{
    uint64_t most = job->batch_fixed ? job->batch_fixed : slot->batch_max;
    if (a->count < 1 || a->count > most)
        violate(checker, "LEASE-SIZE", "%" PRIu64 " samples, at most %" PRIu64 " are allowed", a->count,
                most);
}

static void check_samples(struct checker *checker, struct job_watch *job, const struct sched_action *a)
{
    uint64_t end = a->first + a->count;
    if (!job->open || end > job->samples || a->first > end)
        violate(checker, "LEASE-RANGE", "job %" PRIu64 " (%s), samples %" PRIu64 "+%" PRIu64, a->job,
                job->open ? "open" : "over", a->first, a->count);
    else if (!job->verified && ranges_overlap(&job->claimed, a->first, end) > 0)
        violate(checker, "LEASE-DONE", "job %" PRIu64 ", samples %" PRIu64 "+%" PRIu64, a->job, a->first,
                a->count);
}

static void check_hedge(struct checker *checker, struct job_watch *job, const struct slot_watch *slot,
                        const struct sched_action *a)
{
    job->batch_max = slot->batch_max > job->batch_max ? slot->batch_max : job->batch_max;
    uint64_t end = a->first + a->count;
    if (job->verified || ranges_overlap(&job->leased, a->first, end) == 0)
        return;
    double share =
        checker->world->config->hedge_share > 0 ? checker->world->config->hedge_share : HEDGE_SHARE;
    uint64_t twice = held_by_others(checker, a->job, a->first, end);
    job->hedged += twice;
    checker->hedged += twice;
    if ((double)job->hedged > share * (double)job->samples + job->batch_max)
        violate(checker, "HEDGE-BUDGET", "job %" PRIu64 ": %" PRIu64 " of %" PRIu64 " samples leased twice",
                a->job, job->hedged, job->samples);
}

static void on_lease(struct checker *checker, const struct sched_action *a)
{
    const struct worker_watch *worker = worker_of(checker, a->worker);
    struct slot_watch *slot = slot_of(checker, a->worker, a->slot);
    struct job_watch *job = job_of(checker, a->job);
    if (a->attempt <= checker->attempt || a->term != checker->term)
        violate(checker, "LEASE-TWICE", "attempt %" PRIx64 " after %" PRIx64, a->attempt, checker->attempt);
    checker->attempt = a->attempt;
    if (!slot || !worker->up || !job) {
        violate(checker, "LEASE-NOBODY", "worker %" PRIu32 " slot %" PRIu32, a->worker, a->slot);
        return;
    }
    if (worker->draining)
        violate(checker, "LEASE-DRAINING", "worker %" PRIu32, a->worker);
    if (a->model < 64 && !(slot->loaded >> a->model & 1))
        violate(checker, "LEASE-UNLOADED", "worker %" PRIu32 " slot %" PRIu32 " model %" PRIu32, a->worker,
                a->slot, a->model);
    if (slot->outs_count >= slot->window)
        violate(checker, "LEASE-WINDOW", "worker %" PRIu32 " slot %" PRIu32 ": %" PRIu32 " in flight",
                a->worker, a->slot, slot->outs_count);
    check_size(checker, slot, job, a);
    check_samples(checker, job, a);
    check_hedge(checker, job, slot, a);
    ranges_add(&job->leased, a->first, a->first + a->count);
    push_out(slot, &(struct out){ .job = a->job,
                                  .first = a->first,
                                  .count = a->count,
                                  .attempt = a->attempt,
                                  .given_us = checker->now_us });
}

static void on_recall(struct checker *checker, const struct sched_action *a)
{
    struct slot_watch *slot = slot_of(checker, a->worker, a->slot);
    struct out *out = slot ? find_out(slot, a->attempt) : NULL;
    if (!out)
        violate(checker, "RECALL-DEAD", "attempt %" PRIx64 " of worker %" PRIu32, a->attempt, a->worker);
    else
        out->recalled = true;
}

static void on_ack(struct checker *checker, const struct sched_action *a)
{
    const struct worker_watch *worker = worker_of(checker, a->worker);
    struct report **link = worker ? report_link(checker, a->attempt, checker->at_of[a->worker]) : NULL;
    if (!link || !*link) {
        violate(checker, "ACK-UNREPORTED", "attempt %" PRIx64 " of worker %" PRIu32, a->attempt, a->worker);
        return;
    }
    if ((*link)->unstored > 0)
        violate(checker, "ACK-EARLY", "attempt %" PRIx64 ": %" PRIu64 " samples are not durable", a->attempt,
                (*link)->unstored);
    report_free(checker, link);
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        struct slot_watch *slot = &checker->slots[worker->slots_first + i];
        const struct out *out = find_out(slot, a->attempt);
        if (out && !out->held)
            violate(checker, "ACK-LIVE", "attempt %" PRIx64 " of worker %" PRIu32, a->attempt, a->worker);
        if (out)
            end_out(checker, slot, out);
    }
}

/* Part of the result just given, claimed for the first time. */
static void claim(struct checker *checker, const struct sched_action *a)
{
    const struct sched_event *event = checker->event;
    struct job_watch *job = job_of(checker, a->job);
    uint64_t end = a->first + a->count;
    if (!job || event->type != SCHED_RESULT || event->job != a->job || event->attempt != a->attempt ||
        a->first < event->first || end > event->first + event->count || a->count < 1) {
        violate(checker, "STORE-STRANGE", "job %" PRIu64 ", samples %" PRIu64 "+%" PRIu64, a->job, a->first,
                a->count);
        return;
    }
    if (ranges_overlap(&job->claimed, a->first, end) > 0)
        violate(checker, "STORE-TWICE", "job %" PRIu64 ", samples %" PRIu64 "+%" PRIu64, a->job, a->first,
                a->count);
    ranges_add(&job->claimed, a->first, end);
    report_make(checker, a->attempt, checker->at_of[event->worker])->unstored += a->count;
}

static void on_fail(struct checker *checker, const struct sched_action *a)
{
    const struct sched_event *event = checker->event;
    if (event->type != SCHED_RESULT || event->result.failure == SCHED_OK ||
        (!checker->fails_by_chance && !machine_poisoned(checker->world, a->job, a->first, a->count) &&
         !machine_rejected(checker->world, a->first, a->count)))
        violate(checker, "FAIL-GOOD", "job %" PRIu64 ", samples %" PRIu64 "+%" PRIu64, a->job, a->first,
                a->count);
    claim(checker, a);
}

static void on_state(struct checker *checker, const struct sched_action *a)
{
    struct job_watch *job = job_of(checker, a->job);
    if (!job || a->state < SCHED_JOB_COMPLETE)
        return;
    if (!job->open)
        violate(checker, "STATE-AGAIN", "job %" PRIu64, a->job);
    const struct disk *disk = &checker->world->disk;
    if (a->state == SCHED_JOB_COMPLETE &&
        disk->done[a->job - 1].samples + disk->failed[a->job - 1].samples != job->samples)
        violate(checker, "COMPLETE-EARLY", "job %" PRIu64, a->job);
    job->open = false;
    for (uint32_t i = 0; i < checker->slots_count; i++)
        for (uint32_t k = checker->slots[i].outs_count; k > 0; k--)
            if (checker->slots[i].outs[k - 1].job == a->job)
                end_out(checker, &checker->slots[i], &checker->slots[i].outs[k - 1]);
}

void checker_action(struct checker *checker, const struct sched_action *a)
{
    struct slot_watch *slot;
    switch (a->type) {
    case SCHED_LEASE: on_lease(checker, a); break;
    case SCHED_RECALL: on_recall(checker, a); break;
    case SCHED_ACK: on_ack(checker, a); break;
    case SCHED_STORE: claim(checker, a); break;
    case SCHED_FAIL: on_fail(checker, a); break;
    case SCHED_JOB_STATE: on_state(checker, a); break;
    case SCHED_LOAD:
        if (!worker_of(checker, a->worker) || !worker_of(checker, a->worker)->up)
            violate(checker, "LEASE-NOBODY", "load on worker %" PRIu32, a->worker);
        break;
    case SCHED_UNLOAD:
        slot = slot_of(checker, a->worker, a->slot);
        if (slot && a->model < 64)
            slot->loaded &= ~(1ull << a->model);
        break;
    default: break;
    }
}
