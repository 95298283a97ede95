// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include "forecast.h"
#include "placement.h"
#include "pool.h"
#include "state.h"

static uint64_t as_us(double us) { return us >= 0 && us < 9e18 ? (uint64_t)us : UINT64_MAX; }

static double last_end(const struct sched *sched, const struct job *job, const struct slot **holder,
                       const struct lease **held)
{
    double end = 0;
    *holder = NULL;
    *held = NULL;
    for (uint32_t i = 0; i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++) {
            const struct lease *lease = &sched->slots[i]->leases[k];
            if (lease->job != job->id || (*held && lease->end_us <= end))
                continue;
            end = lease->end_us;
            *holder = sched->slots[i];
            *held = lease;
        }
    return end;
}

static double finish_us(const struct sched *sched, const struct job *job)
{
    const struct slot *holder;
    const struct lease *held;
    double now = (double)sched->now_us, ready = (double)(job->ready.samples + job->suspect_samples);
    double leased = last_end(sched, job, &holder, &held);
    double filled = ready > 0 ? fill_finish_us(state_fill(sched, job), now, ready) : now;
    return filled > leased ? filled : leased;
}

/* ---- one slot ---- */

static uint32_t in_flight(const struct slot *slot, uint64_t job)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slot->leases_count; i++)
        count += slot->leases[i].job == job;
    return count;
}

/* What is wrong with the slot itself, for this job. EXPLAIN_NEXT: nothing. */
static enum explain_reason unfit(const struct job *job, const struct slot *slot, const struct member *member)
{
    if (!slot->up)
        return EXPLAIN_GONE;
    if (!(slot->info.formats & job->formats))
        return EXPLAIN_FORMAT;
    if (!member)
        return EXPLAIN_REQUIRED;
    if (slot->draining)
        return EXPLAIN_DRAINING;
    if (slot->barred_until_us > 0)
        return EXPLAIN_BARRED;
    if (slot_overdue(slot))
        return EXPLAIN_OVERDUE;
    if (member->model->state == SLOT_MODEL_REFUSED)
        return EXPLAIN_REFUSED;
    return member->admitted ? EXPLAIN_NEXT : EXPLAIN_OBJECTIVE;
}

static bool quota_full(const struct sched *sched, const struct job *job, const struct slot *slot)
{
    const struct tenant *tenant = &sched->queues.tenants[job->tenant];
    return tenant->slots_quota > 0 && tenant->slots_held >= tenant->slots_quota &&
           !state_holds(slot, job->tenant);
}

static bool too_late(const struct sched *sched, const struct job *job, const struct slot_model *model,
                     double finish)
{
    struct policy_limits limits = state_limits(sched, job);
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    return curve_known(&model->curve) && policy_chunk(&view, &limits, job->ready.samples, finish) == 0;
}

/* What keeps a slot that is fit from it at this moment. */
static enum explain_reason kept_from(const struct sched *sched, const struct job *job,
                                     const struct slot *slot, const struct slot_model *model, double finish)
{
    if (model->state == SLOT_MODEL_LOADING)
        return EXPLAIN_LOADING;
    if (model->state == SLOT_MODEL_UNLOADED && !placement_worth(sched, model, job))
        return EXPLAIN_NOT_WORTH;
    if (sched->paused)
        return EXPLAIN_PAUSED;
    if (quota_full(sched, job, slot))
        return EXPLAIN_QUOTA;
    if (job->ready.samples + job->suspect_samples == 0)
        return EXPLAIN_NOTHING;
    if (slot->leases_count > 0 && !slot_has_room(slot))
        return EXPLAIN_OTHERS;
    if (model->state == SLOT_MODEL_READY && too_late(sched, job, model, finish))
        return EXPLAIN_LATE;
    return slot->leases_count > 0 ? EXPLAIN_OTHERS : EXPLAIN_NEXT;
}

static enum explain_reason reason_of(const struct sched *sched, const struct job *job,
                                     const struct slot *slot, const struct member *member, double finish)
{
    if (in_flight(slot, job->id) > 0)
        return EXPLAIN_RUNS;
    if (!job_open(job))
        return EXPLAIN_NOTHING;
    enum explain_reason reason = unfit(job, slot, member);
    return reason == EXPLAIN_NEXT ? kept_from(sched, job, slot, member->model, finish) : reason;
}

static void add_figures(const struct sched *sched, const struct job *job, const struct slot_model *model,
                        struct explain_slot *explain)
{
    struct policy_limits limits = state_limits(sched, job);
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    explain->start_us = as_us(view.start_us);
    explain->load_us = model->load_us ? model->load_us : as_us(model->slot->info.load_us);
    if (model->state == SLOT_MODEL_LOADING && explain->load_us > 0)
        explain->until_us = model->load_began_us + explain->load_us;
    if (!curve_known(&model->curve))
        return;
    explain->batch = policy_best_batch(&view, &limits);
    explain->samples_per_second = 1e6 * policy_rate(&view, &limits);
    if (job_open(job) && job->objective != SCHED_FASTEST)
        explain->cost = pool_cost(sched, &sched->pools[job->pool], model);
}

bool explain_slot(const struct sched *sched, uint64_t id, uint32_t worker, uint32_t index,
                  struct explain_slot *explain)
{
    const struct job *job = state_find_job(sched, id);
    double finish = job && job_open(job) ? finish_us(sched, job) : 0;
    return explain_slot_by(sched, id, worker, index, as_us(finish), explain);
}

bool explain_slot_by(const struct sched *sched, uint64_t id, uint32_t worker, uint32_t index,
                     uint64_t finish_by_us, struct explain_slot *explain)
{
    const struct job *job = state_find_job(sched, id);
    const struct slot *slot = state_find_slot(sched, worker, index);
    if (!job || !slot)
        return false;
    const struct member *member = job_open(job) ? slot_member(slot, job->pool) : NULL;
    double finish = finish_by_us == UINT64_MAX ? FILL_NEVER : (double)finish_by_us;
    *explain = (struct explain_slot){ .worker = worker,
                                      .slot = index,
                                      .reason = reason_of(sched, job, slot, member, finish),
                                      .in_flight = in_flight(slot, id),
                                      .start_us = sched->now_us,
                                      .finish_us = as_us(finish),
                                      .samples_per_second = -1,
                                      .cost = -1 };
    if (member)
        add_figures(sched, job, member->model, explain);
    if (explain->reason == EXPLAIN_BARRED)
        explain->until_us = slot->barred_until_us;
    if (explain->reason == EXPLAIN_OTHERS)
        explain->job = slot->leases[0].job;
    return true;
}

bool explain_requirement(const struct sched *sched, uint64_t id, uint32_t worker, uint32_t index,
                         struct require_findings *findings)
{
    const struct job *job = state_find_job(sched, id);
    const struct slot *slot = state_find_slot(sched, worker, index);
    const struct require *require = job && job_open(job) ? sched->pools[job->pool].require : NULL;
    findings->count = 0;
    if (!slot || !require)
        return false;
    require_explain(require, slot->info.attributes, findings);
    return true;
}

/* ---- the job ---- */

static bool run_twice(const struct sched *sched, const struct slot *holder, const struct lease *held)
{
    for (uint32_t i = 0; i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++) {
            const struct lease *lease = &sched->slots[i]->leases[k];
            if (sched->slots[i] != holder && lease->job == held->job &&
                lease->first < held->first + held->count && held->first < lease->first + lease->count)
                return true;
        }
    return false;
}

static uint32_t jobs_before(const struct sched *sched, const struct job *job)
{
    uint32_t count = 0;
    for (const struct job *at = sched->open; at; at = at->next)
        count += at->queue && (at->priority > job->priority ||
                               (at->priority == job->priority && at->tenant == job->tenant &&
                                at->pool == job->pool && at->level <= job->level && at->id < job->id));
    return count;
}

static void add_holder(const struct sched *sched, const struct job *job, struct explain_job *explain)
{
    const struct slot *holder;
    const struct lease *held;
    last_end(sched, job, &holder, &held);
    if (!held)
        return;
    explain->held = true;
    explain->worker = holder->worker;
    explain->slot = holder->index;
    explain->first = held->first;
    explain->count = held->count;
    explain->since_us = as_us(held->start_us);
    explain->end_us = as_us(held->end_us);
    explain->unstarted = held != &holder->leases[0];
    explain->hedged = run_twice(sched, holder, held);
}

bool explain_job(const struct sched *sched, uint64_t id, struct explain_job *explain)
{
    const struct job *job = state_find_job(sched, id);
    if (!job)
        return false;
    const struct tenant *tenant = &sched->queues.tenants[job->tenant];
    *explain =
        (struct explain_job){ .finish_us = job_open(job) ? as_us(finish_us(sched, job)) : job->settled_us,
                              .recalls = job->recalls,
                              .returned = job->returned,
                              .hedges = job->hedges,
                              .hedged_samples = job->hedged_samples,
                              .lost = job->lost,
                              .expired = job->expired,
                              .failed_batches = job->failed_batches,
                              .suspects = job->suspects_count,
                              .checked = job->checked,
                              .unchecked = job->unchecked,
                              .tenant_used_seconds = tenant->charged_us / 1e6,
                              .tenant_weight = tenant->weight };
    for (uint32_t i = 0; i < sched->slots_count; i++)
        explain->slots_serving += in_flight(sched->slots[i], id) > 0;
    struct forecast forecast;
    if (forecast_job(sched, id, &forecast) && forecast.known)
        explain->finish_us = forecast.done_us;
    if (job_open(job)) {
        add_holder(sched, job, explain);
        explain->jobs_before = jobs_before(sched, job);
    }
    return true;
}

const char *explain_reason_name(enum explain_reason reason)
{
    static const char *const names[] = {
        [EXPLAIN_RUNS] = "runs",         [EXPLAIN_GONE] = "gone",           [EXPLAIN_FORMAT] = "format",
        [EXPLAIN_REQUIRED] = "required", [EXPLAIN_DRAINING] = "draining",   [EXPLAIN_BARRED] = "barred",
        [EXPLAIN_OVERDUE] = "overdue",   [EXPLAIN_REFUSED] = "refused",     [EXPLAIN_OBJECTIVE] = "objective",
        [EXPLAIN_LOADING] = "loading",   [EXPLAIN_NOT_WORTH] = "not worth", [EXPLAIN_PAUSED] = "paused",
        [EXPLAIN_QUOTA] = "quota",       [EXPLAIN_NOTHING] = "nothing",     [EXPLAIN_OTHERS] = "others",
        [EXPLAIN_LATE] = "late",         [EXPLAIN_NEXT] = "next",
    };
    return names[reason];
}
