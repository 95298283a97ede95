// SPDX-License-Identifier: Apache-2.0
#include "forecast.h"

#include "ensure.h"
#include "pool.h"
#include "state.h"

#include <math.h>
#include <stdlib.h>

static const double PRIOR_LOW = -1.5, PRIOR_HIGH = 4.0; /* in units of the scale, until jobs have ended */
static const double FLOOR_US = 2000;                    /* messages and commits: no forecast is nearer */
static const double CHUNK_SHARE = 0.3;  /* of a chunk by which the end of a job is not level */
static const double OTHERS_SHARE = 0.3; /* other jobs are not fluid, either */
static const double NEWS_SHARE = 0.03;  /* and new ones come, and slots go */
static const uint32_t JOBS_LOOKED_AT = 256;
static const double UNKNOWN_ERROR = 0.25;

/* A slot that would take part. */
struct part {
    double start_us, rate, error, chunk_us;
    uint32_t slot;
};

struct plan {
    uint32_t count;
    struct part *parts; /* by start */
    double samples;     /* not leased yet */
    double finish_us;   /* alone on the fleet */
};

static int by_start(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->start_us < y->start_us || x->start_us > y->start_us)
        return x->start_us < y->start_us ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_rate(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->rate < y->rate || x->rate > y->rate)
        return x->rate > y->rate ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static bool describe(const struct sched *sched, const struct job *job, const struct slot *slot,
                     struct part *part)
{
    const struct member *member = slot_member(slot, job->pool);
    if (!member || !member->admitted || !slot_serves(slot) || member->model->state == SLOT_MODEL_REFUSED ||
        !curve_known(&member->model->curve))
        return false;
    const struct slot_model *model = member->model;
    struct policy_limits limits = state_limits(sched, job);
    struct policy_slot view = slot_policy(slot, model, sched->now_us);
    double load = model->state == SLOT_MODEL_READY ? 0 : slot->info.load_us;
    uint32_t best = policy_best_batch(&view, &limits), runs = policy_padded(&view, best);
    *part = (struct part){ .start_us = view.start_us + load,
                           .rate = policy_rate(&view, &limits),
                           .error = model->curve.batches ? model->curve.error : UNKNOWN_ERROR,
                           .chunk_us = curve_time_us(&model->curve, runs ? runs : best),
                           .slot = slot->id };
    return part->rate > 0;
}

/* Water-filling over an array by start. */
static double level(const struct part *parts, uint32_t count, double samples)
{
    double rate = 0, weighted = 0;
    for (uint32_t i = 0; i < count; i++) {
        rate += parts[i].rate;
        weighted += parts[i].rate * parts[i].start_us;
        double finish = (samples + weighted) / rate;
        if (i + 1 == count || finish <= parts[i + 1].start_us)
            return finish;
    }
    return FILL_NEVER;
}

static double last_lease_end(const struct sched *sched, const struct job *job)
{
    double end = (double)sched->now_us;
    for (uint32_t i = 0; job->leases > 0 && i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++) {
            const struct lease *lease = &sched->slots[i]->leases[k];
            if (lease->job == job->id && !lease->expired && lease->end_us > end)
                end = lease->end_us;
        }
    return end;
}

static void plan_make(const struct sched *sched, const struct job *job, struct plan *plan)
{
    plan->parts = calloc(sched->slots_count + 1, sizeof *plan->parts);
    ENSURE(plan->parts);
    plan->count = 0;
    for (uint32_t i = 0; i < sched->slots_count; i++)
        plan->count += describe(sched, job, sched->slots[i], &plan->parts[plan->count]);
    uint32_t quota = sched->queues.tenants[job->tenant].slots_quota;
    if (quota > 0 && plan->count > quota) { /* it holds its fastest slots */
        qsort(plan->parts, plan->count, sizeof *plan->parts, by_rate);
        plan->count = quota;
    }
    qsort(plan->parts, plan->count, sizeof *plan->parts, by_start);
    plan->samples = (double)(job_ready_units(job) + job->suspect_samples);
    double leased = last_lease_end(sched, job);
    double filled =
        plan->samples > 0 ? level(plan->parts, plan->count, plan->samples) : (double)sched->now_us;
    plan->finish_us = filled > leased ? filled : leased;
}

/* ---- other jobs ---- */

static bool share_a_slot(const struct sched *sched, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < sched->slots_count; i++)
        if (slot_member(sched->slots[i], a) && slot_member(sched->slots[i], b))
            return true;
    return false;
}

/* How long the others keep the slots from it, if all were run as fluid: those of a higher priority wholly,
 * those of the same as weighted fair sharing would (each at most for as long, by weight, as this one runs
 * itself). */
static double others_us(const struct sched *sched, const struct job *job, double alone_us)
{
    double now = (double)sched->now_us, sum = 0, weight = sched->queues.tenants[job->tenant].weight;
    uint32_t seen = 0;
    for (const struct job *at = sched->open; at && seen < JOBS_LOOKED_AT; at = at->next, seen++) {
        if (at == job || at->priority < job->priority || at->ready.samples == 0 ||
            (at->pool != job->pool && !share_a_slot(sched, at->pool, job->pool)))
            continue;
        double other = fill_finish_us(state_fill(sched, at), now, (double)at->ready.samples) - now;
        double fair = at->tenant == job->tenant
                          ? alone_us
                          : alone_us * sched->queues.tenants[at->tenant].weight / weight;
        if (other < FILL_NEVER / 2)
            sum += at->priority > job->priority || other < fair ? other : fair;
    }
    return sum;
}

/* ---- the interval ---- */

/* By how much the estimate may be off, as far as curves and chunks tell: one unit of the interval. */
static double scale_us(const struct plan *plan, double now, double others)
{
    double variance = 0, chunk = 0, rate = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct part *part = &plan->parts[i];
        double time = plan->finish_us - part->start_us;
        if (time <= 0)
            continue;
        double share = plan->samples > 0 ? part->rate * time / plan->samples : 0;
        double batches = time / part->chunk_us;
        variance += share * share * part->error * part->error / (batches > 1 ? batches : 1);
        chunk += part->rate * part->chunk_us;
        rate += part->rate;
    }
    double spread = sqrt(variance) * (plan->finish_us - now),
           uneven = rate > 0 ? CHUNK_SHARE * chunk / rate : 0;
    double queue = OTHERS_SHARE * others, news = NEWS_SHARE * (plan->finish_us - now);
    return sqrt(spread * spread + uneven * uneven + queue * queue + news * news + FLOOR_US * FLOOR_US);
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The score below which a share of what comes next lies: the k-th smallest of n, k = ceil((n + 1) share). */
static double quantile(const double *sorted, uint32_t count, double share, double prior)
{
    double place = (count + 1) * share;
    uint32_t k = (uint32_t)place;
    k += k < place;
    if (count < FORECASTS_LEAST || k < 1 || k > count)
        return prior;
    return sorted[k - 1];
}

static void interval(const struct forecasts *past, double *low, double *high)
{
    double sorted[FORECASTS_KEPT];
    for (uint32_t i = 0; i < past->count; i++)
        sorted[i] = past->scores[i];
    qsort(sorted, past->count, sizeof *sorted, ascending);
    *low = quantile(sorted, past->count, 0.05, PRIOR_LOW);
    *high = quantile(sorted, past->count, 0.95, PRIOR_HIGH);
}

/* ---- deadlines ---- */

static void judge_deadline(const struct sched *sched, const struct job *job, const struct plan *plan,
                           double late_us, struct forecast *forecast)
{
    forecast->fits = job->deadline_us > 0 && forecast->high_us <= job->deadline_us;
    if (job->deadline_us == 0 || forecast->fits)
        return;
    double by = (double)job->deadline_us - late_us, capacity = 0;
    const struct part *best = &plan->parts[0];
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct part *part = &plan->parts[i];
        capacity += by > part->start_us ? part->rate * (by - part->start_us) : 0;
        best = part->rate > best->rate ? part : best;
    }
    const struct slot *like = sched->slots[best->slot - 1];
    double room = by - (double)sched->now_us - like->info.load_us - best->chunk_us;
    double more = room > 0 ? (plan->samples - capacity) / (best->rate * room) : 0;
    forecast->like_worker = like->worker;
    forecast->like_slot = like->index;
    forecast->slots_more = more > 0 && more < 1e6 ? (uint32_t)more + 1 : room > 0;
}

static uint64_t as_us(double us, double least)
{
    return us < least ? (uint64_t)least : us < 9e18 ? (uint64_t)us : UINT64_MAX;
}

void forecast_make(const struct sched *sched, const struct job *job, struct forecast *forecast, double *scale)
{
    struct plan plan;
    double now = (double)sched->now_us, low, high;
    *forecast = (struct forecast){ 0 };
    *scale = 0;
    plan_make(sched, job, &plan);
    if (plan.finish_us < FILL_NEVER / 2 && (plan.count > 0 || plan.samples <= 0)) {
        double others = others_us(sched, job, plan.finish_us - now), done = plan.finish_us + others;
        *scale = scale_us(&plan, now, others);
        interval(&sched->forecasts, &low, &high);
        *forecast = (struct forecast){ .known = true,
                                       .done_us = as_us(done, now),
                                       .low_us = as_us(done + low * *scale, now),
                                       .high_us = as_us(done + high * *scale, now) };
        for (uint32_t i = 0; i < plan.count; i++)
            forecast->slots += plan.parts[i].start_us < plan.finish_us;
        if (plan.count > 0)
            judge_deadline(sched, job, &plan, done - plan.finish_us + high * *scale, forecast);
    }
    free(plan.parts);
}

bool forecast_job(const struct sched *sched, uint64_t id, struct forecast *forecast)
{
    const struct job *job = state_find_job(sched, id);
    double scale;
    if (!job || !job_open(job))
        return false;
    forecast_make(sched, job, forecast, &scale);
    return true;
}

void forecast_remember(struct sched *sched, struct job *job)
{
    struct forecast forecast;
    bool many = sched->slots_count > FORECASTS_SLOTS_MAX; /* there it costs too much to ask for every job */
    if (many || job->online || job->inherited)
        return;
    forecast_make(sched, job, &forecast, &job->forecast_scale_us);
    job->forecast_us = forecast.known ? (double)forecast.done_us : 0;
}

void forecast_learn(struct sched *sched, const struct job *job)
{
    struct forecasts *past = &sched->forecasts;
    if (job->forecast_us <= 0 || job->inherited || job->state != SCHED_JOB_COMPLETE)
        return;
    past->scores[past->next] = ((double)job->settled_us - job->forecast_us) / job->forecast_scale_us;
    past->next = (past->next + 1) % FORECASTS_KEPT;
    past->count += past->count < FORECASTS_KEPT;
}
