// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "ensure.h"
#include "rng.h"

#include <stdlib.h>
#include <string.h>

static void set_variants(struct job *job, const struct sched_event *event)
{
    job->variants_count =
        event->add.variants_count < SCHED_VARIANTS_MAX ? event->add.variants_count : SCHED_VARIANTS_MAX;
    memcpy(job->variants, event->add.variants, sizeof job->variants);
    if (job->variants_count == 0)
        job->variants[job->variants_count++] = (struct sched_variant){
            .model = event->add.model, .formats = event->add.formats, .memory_bytes = event->add.memory_bytes
        };
    for (uint32_t i = 0; i < job->variants_count; i++)
        job->formats |= job->variants[i].formats;
}

/* ---- costs ---- */

/* Costs that are not one for each sample are ignored: the loop has checked them. */
static bool set_costs(struct job *job, const struct sched_event *event)
{
    double sum = 0;
    if (event->add.costs_count == 0 || event->add.costs_count != job->samples ||
        job->samples > SCHED_COSTS_MAX)
        return true;
    job->cost_before = calloc(job->samples + 1, sizeof *job->cost_before);
    if (!job->cost_before)
        return false;
    for (uint64_t i = 0; i < job->samples; i++)
        sum += event->add.costs[i] > 0 ? event->add.costs[i] : 1;
    double unit = sum / (double)job->samples;
    for (uint64_t i = 0; i < job->samples; i++)
        job->cost_before[i + 1] =
            job->cost_before[i] + (event->add.costs[i] > 0 ? event->add.costs[i] : 1) / unit;
    return true;
}

double job_cost(const struct job *job, uint64_t first, uint64_t count)
{
    return job->cost_before ? job->cost_before[first + count] - job->cost_before[first] : (double)count;
}

uint64_t job_ready_units(const struct job *job)
{
    if (!job->cost_before)
        return job->ready.samples;
    double cost = 0;
    uint64_t from = 0, low, high;
    for (; ranges_next(&job->ready, from, &low, &high); from = high)
        cost += job_cost(job, low, high - low);
    return job->ready.samples > 0 ? (uint64_t)cost + 1 : 0;
}

uint32_t job_count_within(const struct job *job, uint64_t first, uint32_t most, uint32_t limit)
{
    uint64_t left = job->samples - first;
    limit = left < limit ? (uint32_t)left : limit;
    if (!job->cost_before)
        return most < limit ? most : limit;
    uint32_t low = 1, high = limit;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (job_cost(job, first, middle) <= most * (1 + 1e-9))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

struct job *job_new(const struct sched_event *event, uint64_t now_us)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->id = event->job;
    job->samples = event->add.samples;
    set_variants(job, event);
    job->priority = event->add.online ? INT32_MAX : event->add.priority;
    job->batch = event->add.batch;
    job->batch_fixed = event->add.batch_fixed;
    job->failures_max = event->add.failures_max;
    job->tenant = event->add.tenant < SCHED_TENANTS_MAX ? event->add.tenant : 0;
    job->deadline_us = event->add.deadline_us;
    job->level = job->deadline_us ? 0 : 1; /* queue.h */
    job->objective = event->add.objective;
    job->online = event->add.online;
    job->verify_ppm = event->add.verify_ppm < 1000000 ? event->add.verify_ppm : 1000000;
    job->added_us = now_us;
    ranges_init(&job->ready);
    ranges_init(&job->claimed);
    ranges_init(&job->doubled);
    ranges_add(&job->ready, 0, job->samples);
    if (!set_costs(job, event))
        job_free(&job);
    return job;
}

void job_free(struct job **job_p)
{
    struct job *job = *job_p;
    if (!job)
        return;
    ranges_fini(&job->ready);
    ranges_fini(&job->claimed);
    ranges_fini(&job->doubled);
    for (uint32_t i = 0; i < job->tallies_count; i++) {
        account_fini(&job->tallies[i]->account);
        free(job->tallies[i]);
    }
    free(job->tallies);
    free(job->suspects);
    free(job->cost_before);
    free(job->checks);
    free(job->latency);
    free(job);
    *job_p = NULL;
}

bool job_open(const struct job *job)
{
    return job->state == SCHED_JOB_QUEUED || job->state == SCHED_JOB_RUNNING;
}

void job_took(struct job *job, uint64_t us, uint64_t samples)
{
    if (!job->latency) {
        job->latency = malloc(sizeof *job->latency);
        ENSURE(job->latency);
        histogram_init(job->latency);
    }
    histogram_add(job->latency, us, samples);
}

uint64_t job_leased(const struct job *job)
{
    return job->samples - job->ready.samples - job->claimed.samples - job->suspect_samples;
}

bool job_has_work(const struct job *job)
{
    return job_open(job) && (job->ready.samples > 0 || job->suspects_count > 0 || job->checks_count > 0);
}

bool job_take(struct job *job, uint32_t count, uint64_t *first, uint32_t *taken)
{
    uint64_t low, high;
    if (count == 0 || !ranges_next(&job->ready, 0, &low, &high))
        return false;
    *first = low;
    *taken = high - low < count ? (uint32_t)(high - low) : count;
    ranges_remove(&job->ready, low, low + *taken);
    return true;
}

static void give_back_unclaimed(struct job *job, uint64_t first, uint64_t end)
{
    uint64_t low, high;
    while (ranges_gap(&job->claimed, first, end, &low, &high)) {
        ranges_add(&job->ready, low, high);
        first = high;
    }
}

void job_give_back(struct job *job, uint64_t first, uint64_t end)
{
    uint64_t from = first, low, high;
    while (ranges_gap(&job->doubled, from, end, &low, &high)) {
        give_back_unclaimed(job, low, high);
        from = high;
    }
    ranges_remove(&job->doubled, first, end);
    for (uint32_t i = 0; i < job->suspects_count; i++) /* suspects stay suspects */
        ranges_remove(&job->ready, job->suspects[i].first, job->suspects[i].first + job->suspects[i].count);
}

/* A claimed sample may have been made ready again (its lease expired) or be part of a suspect: it is neither
 * any longer. */
static void clear_suspects(struct job *job, uint64_t first, uint64_t end)
{
    for (uint32_t i = 0; i < job->suspects_count;) {
        struct suspect suspect = job->suspects[i];
        uint64_t last = suspect.first + suspect.count;
        if (last <= first || suspect.first >= end) {
            i++;
            continue;
        }
        job->suspects[i] = job->suspects[--job->suspects_count];
        job->suspect_samples -= suspect.count;
        if (suspect.first < first)
            ranges_add(&job->ready, suspect.first, first);
        if (last > end)
            ranges_add(&job->ready, end, last);
    }
}

bool job_claim(struct job *job, uint64_t from, uint64_t end, uint64_t *first, uint64_t *count)
{
    uint64_t low, high;
    if (!ranges_gap(&job->claimed, from, end, &low, &high))
        return false;
    ranges_add(&job->claimed, low, high);
    ranges_remove(&job->ready, low, high);
    ranges_remove(&job->doubled, low, high);
    clear_suspects(job, low, high);
    job->settling += high - low;
    *first = low;
    *count = high - low;
    return true;
}

static void suspect_push(struct job *job, const struct suspect *suspect)
{
    if (job->suspects_count == job->suspects_capacity) {
        uint32_t capacity = job->suspects_capacity ? 2 * job->suspects_capacity : 8;
        struct suspect *grown = realloc(job->suspects, capacity * sizeof *grown);
        ENSURE(grown);
        job->suspects = grown;
        job->suspects_capacity = capacity;
    }
    job->suspects[job->suspects_count++] = *suspect;
    job->suspect_samples += suspect->count;
}

/* Only what is still nobody's: another attempt may have claimed some of it, or it may be ready again after an
 * expiry. */
void job_suspect(struct job *job, uint64_t first, uint32_t count, const struct blame *blame)
{
    uint64_t end = first + count, low, high;
    clear_suspects(job, first, end);
    ranges_remove(&job->ready, first, end);
    while (ranges_gap(&job->claimed, first, end, &low, &high)) {
        struct suspect suspect = { .first = low, .count = (uint32_t)(high - low), .blame = *blame };
        if (suspect.count != count)
            suspect.blame.failures = 0;
        suspect_push(job, &suspect);
        first = high;
    }
}

bool job_suspect_take(struct job *job, uint32_t slot, const struct able *able, uint32_t most,
                      struct suspect *suspect)
{
    for (uint32_t i = 0; i < job->suspects_count; i++) {
        const struct blame *blame = &job->suspects[i].blame;
        if (blame_names(blame, slot) && !blame_exhausted(blame, able))
            continue;
        *suspect = job->suspects[i];
        if (suspect->count > most) {
            suspect->count = most;
            job->suspects[i].first += most;
            job->suspects[i].count -= most;
        } else {
            memmove(&job->suspects[i], &job->suspects[i + 1],
                    (job->suspects_count - 1 - i) * sizeof *job->suspects);
            job->suspects_count--;
        }
        job->suspect_samples -= suspect->count;
        return true;
    }
    return false;
}

/* ---- checks of answers on another class of device ---- */

void job_check_push(struct job *job, const struct check *check)
{
    if (job->checks_count == job->checks_capacity) {
        job->checks_capacity = job->checks_capacity ? 2 * job->checks_capacity : 8;
        struct check *grown = realloc(job->checks, job->checks_capacity * sizeof *grown);
        ENSURE(grown);
        job->checks = grown;
    }
    job->checks[job->checks_count++] = *check;
}

/* Credit grows with every stored sample and is spent in pieces that make a batch, at a place that only the
 * job and the samples decide. */
void job_check_choose(struct job *job, uint64_t first, uint64_t count, uint32_t class)
{
    static const double PIECE = 16;
    if (job->verify_ppm == 0)
        return;
    job->verify_credit += (double)count * job->verify_ppm / 1e6;
    uint64_t left = job->samples - job->done - job->failed;
    double enough = (double)count < PIECE ? (double)count : PIECE;
    if (job->verify_credit < enough && (left > 0 || job->checked > 0 || job->verify_credit <= 0))
        return;
    uint64_t take = job->verify_credit < 1 ? 1 : (uint64_t)job->verify_credit;
    take = take < count ? take : count;
    job->verify_credit -= (double)take;
    uint64_t from = first + rng_mix64(job->id * 1000003 + first) % (count - take + 1);
    job_check_push(job, &(struct check){ .first = from, .count = (uint32_t)take, .class = class });
}

bool job_check_take(struct job *job, uint32_t class, uint32_t most, struct check *check)
{
    for (uint32_t i = 0; i < job->checks_count && i < JOB_CHECKS_SEEN; i++) {
        struct check *at = &job->checks[i];
        if (at->class == class)
            continue;
        *check = *at;
        check->count = at->count < most ? at->count : most;
        at->first += check->count;
        at->count -= check->count;
        if (at->count == 0)
            *at = job->checks[--job->checks_count];
        return true;
    }
    return false;
}

struct account *job_account(struct job *job, uint32_t slot, bool make)
{
    uint32_t low = 0, high = job->tallies_count;
    if (slot <= high && job->tallies[slot - 1]->slot == slot) /* all slots took part: it is at once there */
        return &job->tallies[slot - 1]->account;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (job->tallies[middle]->slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < job->tallies_count && job->tallies[low]->slot == slot)
        return &job->tallies[low]->account;
    if (!make)
        return NULL;
    if (job->tallies_count == job->tallies_capacity) {
        job->tallies_capacity = job->tallies_capacity ? 2 * job->tallies_capacity : 8;
        struct job_tally **grown = realloc(job->tallies, job->tallies_capacity * sizeof *grown);
        ENSURE(grown);
        job->tallies = grown;
    }
    memmove(&job->tallies[low + 1], &job->tallies[low], (job->tallies_count - low) * sizeof *job->tallies);
    job->tallies[low] = calloc(1, sizeof **job->tallies);
    ENSURE(job->tallies[low]);
    job->tallies[low]->slot = slot;
    job->tallies_count++;
    return &job->tallies[low]->account;
}

void job_check(const struct job *job)
{
    ranges_check(&job->ready);
    ranges_check(&job->claimed);
    ENSURE(job->claimed.samples == job->done + job->failed + job->settling);
    uint64_t suspects = 0, first = 0, low, high;
    for (uint32_t i = 0; i < job->suspects_count; i++) {
        uint64_t end = job->suspects[i].first + job->suspects[i].count;
        suspects += job->suspects[i].count;
        ENSURE(ranges_overlap(&job->claimed, job->suspects[i].first, end) == 0);
        ENSURE(ranges_overlap(&job->ready, job->suspects[i].first, end) == 0);
    }
    ENSURE(suspects == job->suspect_samples);
    while (ranges_next(&job->doubled, first, &low, &high)) {
        ENSURE(ranges_overlap(&job->claimed, low, high) == 0 && ranges_overlap(&job->ready, low, high) == 0);
        first = high;
    }
    first = 0;
    while (ranges_next(&job->ready, first, &low, &high)) {
        ENSURE(ranges_overlap(&job->claimed, low, high) == 0);
        first = high;
    }
    ENSURE(job->ready.samples + job->claimed.samples + job->suspect_samples <= job->samples);
}
