// SPDX-License-Identifier: Apache-2.0
#include "sched.h"

#include "dispatch.h"
#include "endgame.h"
#include "ensure.h"
#include "placement.h"
#include "pool.h"
#include "trust.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t CHUNK_CAP_US = 2000000, CHUNK_COST_US = 100, LEASE_FLOOR_US = 5000000;
enum { ATTEMPT_BITS = 40 }; /* attempts in a term */

/* ---- tables ---- */

struct sched *sched_new(const struct sched_config *config, uint64_t term)
{
    struct sched *sched = calloc(1, sizeof *sched);
    if (!sched)
        return NULL;
    sched->look = calloc(1, sizeof *sched->look);
    if (!sched->look) {
        free(sched);
        return NULL;
    }
    sched->config = *config;
    sched->config.chunk_cap_us = config->chunk_cap_us ? config->chunk_cap_us : CHUNK_CAP_US;
    sched->config.chunk_cost_us = config->chunk_cost_us ? config->chunk_cost_us : CHUNK_COST_US;
    sched->config.lease_floor_us = config->lease_floor_us ? config->lease_floor_us : LEASE_FLOOR_US;
    sched->term = term;
    sched->attempt = term << ATTEMPT_BITS; /* so that an attempt's number is unique over all terms */
    sched->look_again_us = sched->bars_end_us = sched->wake_us = sched->hedge_us = UINT64_MAX;
    queues_init(&sched->queues);
    heap_init(&sched->expiry);
    return sched;
}

void sched_free(struct sched **sched_p)
{
    struct sched *sched = *sched_p;
    if (!sched)
        return;
    for (uint32_t i = 0; i < sched->jobs_count; i++)
        job_free(&sched->jobs[i]);
    for (uint32_t i = 0; i < sched->slots_count; i++)
        slot_free(&sched->slots[i]);
    for (uint32_t i = 0; i < sched->workers_count; i++)
        free(sched->workers[i].slots);
    free(sched->jobs);
    free(sched->slots);
    free(sched->workers);
    for (uint32_t i = 0; i < sched->pools_count; i++)
        pool_free(&sched->pools[i]);
    free(sched->pools);
    queues_fini(&sched->queues);
    free(sched->settles);
    free(sched->outbox);
    free(sched->look);
    heap_fini(&sched->expiry);
    free(sched);
    *sched_p = NULL;
}

static void acknowledge(struct sched *sched, uint32_t worker, uint64_t term, uint64_t attempt)
{
    state_emit(sched, &(struct sched_action){
                          .type = SCHED_ACK, .worker = worker, .term = term, .attempt = attempt });
}

/* A result that came again: what was claimed of it the first time may not be durable yet, and is acknowledged
 * when it is. */
static void acknowledge_again(struct sched *sched, uint32_t worker, uint64_t term, uint64_t attempt)
{
    for (uint32_t i = 0; i < sched->settles_count; i++) {
        const struct settle *settle = &sched->settles[i];
        if (settle->used && settle->attempt == attempt && settle->term == term && settle->worker == worker)
            return;
    }
    acknowledge(sched, worker, term, attempt);
}

/* ---- jobs ---- */

static void open_insert(struct sched *sched, struct job *job)
{
    job->previous = sched->open_last;
    *(job->previous ? &job->previous->next : &sched->open) = job;
    sched->open_last = job;
}

static void open_remove(struct sched *sched, struct job *job)
{
    *(job->previous ? &job->previous->next : &sched->open) = job->next;
    *(job->next ? &job->next->previous : &sched->open_last) = job->previous;
    job->next = job->previous = NULL;
}

/* The job is over: whoever still works on it works for nothing. The loop tells the workers to forget it. */
static void drop_leases(struct sched *sched, struct job *job)
{
    for (uint32_t i = 0; i < sched->slots_count && job->leases > 0; i++) {
        struct slot *slot = sched->slots[i];
        uint32_t before = slot->leases_count;
        for (uint32_t k = slot->leases_count; k > 0; k--)
            if (slot->leases[k - 1].job == job->id) {
                struct lease lease = slot->leases[k - 1];
                slot_lease_drop(slot, &slot->leases[k - 1]);
                state_lease_over(sched, slot, &lease, 0);
                job->leases--;
            }
        if (slot->leases_count == before)
            continue;
        slot_expect(slot, sched->now_us);
        state_refresh(sched, slot);
        state_ask(sched, slot);
    }
    ENSURE(job->leases == 0);
    job->checks_count = 0;
    job->checks_leased = 0;
}

/* A worker that is told to forget a job need not answer a load that was asked for it: others ask anew. */
static void drop_loads(struct sched *sched, const struct job *job)
{
    for (uint32_t i = 0; i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->models_count; k++) {
            struct slot_model *model = sched->slots[i]->models[k];
            if (model->state != SLOT_MODEL_LOADING || model->load_job != job->id)
                continue;
            model->state = SLOT_MODEL_UNLOADED;
            state_refresh(sched, sched->slots[i]);
            state_ask(sched, sched->slots[i]);
        }
}

static void end_job(struct sched *sched, struct job *job, enum sched_job_state state)
{
    job->state = state;
    job->settled_us = sched->now_us;
    forecast_learn(sched, job);
    open_remove(sched, job);
    queue_leave(&sched->queues, job);
    drop_leases(sched, job);
    drop_loads(sched, job);
    pool_leave(sched, job);
    state_emit(sched, &(struct sched_action){ .type = SCHED_JOB_STATE, .job = job->id, .state = state });
}

static bool can_check(const struct sched *sched, const struct job *job, uint32_t class)
{
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        const struct slot *slot = sched->slots[i];
        const struct member *member = slot_member(slot, job->pool);
        if (member && member->admitted && slot_serves(slot) && slot->info.class != class &&
            (member->model->state == SLOT_MODEL_UNLOADED || state_has_or_will(sched, member->model)))
            return true;
    }
    return false;
}

/* Does it wait for answers to be checked? What no other class of device can check is given up. */
static bool checking(struct sched *sched, struct job *job)
{
    for (uint32_t i = job->checks_count; i > 0; i--) {
        if (can_check(sched, job, job->checks[i - 1].class))
            continue;
        job->unchecked += job->checks[i - 1].count;
        job->checks[i - 1] = job->checks[--job->checks_count];
    }
    queue_touch(&sched->queues, job, sched->now_us);
    return job->checks_count > 0 || job->checks_leased > 0;
}

static void judge_job(struct sched *sched, struct job *job)
{
    if (!job_open(job))
        return;
    if (job->failed > job->failures_max)
        end_job(sched, job, SCHED_JOB_FAILED);
    else if (job->done + job->failed == job->samples && !checking(sched, job))
        end_job(sched, job, SCHED_JOB_COMPLETE);
}

static struct job *job_insert(struct sched *sched, const struct sched_event *event)
{
    uint32_t at = state_job_index(sched, event->job);
    if (state_find_job(sched, event->job) || sched->jobs_count >= sched->config.jobs_max)
        return NULL;
    struct job *job = job_new(event, sched->now_us);
    ENSURE(job);
    if (!pool_join(sched, job, event)) {
        job_free(&job);
        return NULL;
    }
    uint32_t count = sched->jobs_count;
    state_grow((void **)&sched->jobs, &sched->jobs_capacity, count + 1, sizeof *sched->jobs);
    memmove(&sched->jobs[at + 1], &sched->jobs[at], (count - at) * sizeof *sched->jobs);
    sched->jobs_count++;
    return sched->jobs[at] = job;
}

static void job_take_out(struct sched *sched, struct job *job)
{
    uint32_t at = state_job_index(sched, job->id);
    memmove(&sched->jobs[at], &sched->jobs[at + 1], (sched->jobs_count - 1 - at) * sizeof *sched->jobs);
    sched->jobs_count--;
    job_free(&job);
}

bool sched_suppose(struct sched *sched, uint64_t now_us, const struct sched_event *add,
                   void (*look)(void *context, const struct sched *sched), void *context)
{
    ENSURE(now_us >= sched->now_us && add->type == SCHED_JOB_ADD);
    sched->now_us = now_us;
    struct job *job = job_insert(sched, add);
    if (!job)
        return false;
    pool_cut(sched, job);
    look(context, sched);
    pool_leave(sched, job);
    job_take_out(sched, job);
    return true;
}

static void on_job_add(struct sched *sched, const struct sched_event *event)
{
    struct job *job = job_insert(sched, event);
    if (!job)
        return;
    open_insert(sched, job);
    judge_job(sched, job);
    queue_touch(&sched->queues, job, sched->now_us);
    if (!job_open(job))
        return;
    forecast_remember(sched, job);
    if (job->online && job->deadline_us > 0)
        dispatch_cap(sched, job);
    dispatch_preempt(sched, job);
    placement_prefetch(sched, job);
    state_wake(sched);
}

static void on_settled_range(struct sched *sched, const struct sched_event *event)
{
    struct job *job = state_find_job(sched, event->job);
    uint64_t first = event->first, end = event->first + event->count, low, count;
    if (!job || !job_open(job) || end > job->samples || first > end)
        return;
    while (job_claim(job, first, end, &low, &count)) {
        job->settling -= count;
        job->inherited = true;
        *(event->settled.failed ? &job->failed : &job->done) += count;
        first = low + count;
    }
    queue_touch(&sched->queues, job, sched->now_us);
    judge_job(sched, job);
}

static void on_job_cancel(struct sched *sched, const struct sched_event *event)
{
    struct job *job = state_find_job(sched, event->job);
    if (job && job_open(job))
        end_job(sched, job, SCHED_JOB_CANCELLED);
}

static void on_job_change(struct sched *sched, const struct sched_event *event)
{
    struct job *job = state_find_job(sched, event->job);
    if (!job || !job_open(job))
        return;
    queue_leave(&sched->queues, job);
    job->priority = event->change.priority;
    job->deadline_us = sched->pools[job->pool].deadline_us = event->change.deadline_us;
    sched->pools[job->pool].cut_again_us = 0;
    queue_touch(&sched->queues, job, sched->now_us);
    dispatch_preempt(sched, job);
    state_wake(sched);
}

static void on_tenant(struct sched *sched, const struct sched_event *event)
{
    if (event->tenant.tenant >= SCHED_TENANTS_MAX || !(event->tenant.weight >= 1e-6) ||
        event->tenant.weight > 1e9)
        return;
    struct tenant *tenant = &sched->queues.tenants[event->tenant.tenant];
    tenant->used_us *= event->tenant.weight / tenant->weight; /* its claim stays what it was */
    tenant->weight = event->tenant.weight;
    tenant->slots_quota = event->tenant.slots_quota;
    state_wake(sched);
}

/* ---- workers ---- */

static void give_back_check(struct job *job, const struct lease *lease)
{
    job_check_push(job, &(struct check){ lease->first, lease->count, lease->check_class });
    job->checks_leased--;
}

static void give_back(struct sched *sched, const struct lease *lease)
{
    struct job *job = state_find_job(sched, lease->job);
    if (!job || lease->expired)
        return;
    if (lease->check) {
        give_back_check(job, lease);
    } else if (job_open(job)) {
        if (lease->blame.suspected)
            job_suspect(job, lease->first, lease->count, &lease->blame);
        else
            job_give_back(job, lease->first, lease->first + lease->count);
    }
    queue_touch(&sched->queues, job, sched->now_us);
}

static void lose_leases(struct sched *sched, struct slot *slot)
{
    while (slot->leases_count > 0) {
        struct lease lease = slot->leases[--slot->leases_count];
        struct job *job = state_find_job(sched, lease.job);
        state_lease_over(sched, slot, &lease, 0);
        give_back(sched, &lease);
        if (job) {
            job->leases--;
            job->lost++;
        }
    }
    slot->busy_until_us = 0;
}

/* Checks that only the lost slots could have made will not be waited for. */
static void judge_all(struct sched *sched)
{
    for (struct job *next, *job = sched->open; job; job = next) {
        next = job->next;
        if (job->verify_ppm > 0)
            judge_job(sched, job);
    }
}

static void on_worker_down(struct sched *sched, const struct sched_event *event)
{
    if (event->worker >= sched->workers_count || !sched->workers[event->worker].up)
        return;
    struct worker *worker = &sched->workers[event->worker];
    worker->up = false;
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        struct slot *slot = worker->slots[i];
        lose_leases(sched, slot);
        slot->up = false;
        slot->down_us = sched->now_us;
        for (uint32_t k = 0; k < slot->models_count; k++)
            slot->models[k]->state = SLOT_MODEL_UNLOADED;
        state_unsit(sched, slot);
        state_refresh(sched, slot);
    }
    judge_all(sched);
    state_wake(sched);
}

static void recall_waiting(struct sched *sched, struct slot *slot)
{
    for (uint32_t i = 1; i < slot->leases_count; i++)
        state_recall(sched, slot, &slot->leases[i]);
}

static void on_drain(struct sched *sched, const struct sched_event *event, bool draining)
{
    if (event->worker >= sched->workers_count)
        return;
    const struct worker *worker = &sched->workers[event->worker];
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        struct slot *slot = worker->slots[i];
        slot->draining = draining;
        if (draining)
            recall_waiting(sched, slot);
        state_refresh(sched, slot);
        state_ask(sched, slot);
    }
    judge_all(sched);
    state_wake(sched);
}

static struct slot *add_slot(struct sched *sched, uint32_t worker, uint32_t index,
                             const struct sched_slot_info *info)
{
    struct slot *slot = slot_new(sched->slots_count + 1, worker, index, info);
    ENSURE(slot && heap_reserve(&sched->expiry, sched->slots_count + 1) == ERR_OK);
    struct slot **slots = realloc(sched->slots, (sched->slots_count + 1) * sizeof *slots);
    ENSURE(slots);
    sched->slots = slots;
    return slots[sched->slots_count++] = slot;
}

static bool make_slots(struct sched *sched, struct worker *worker, const struct sched_event *event)
{
    if (event->up.slots_count > sched->config.slots_max - sched->slots_count)
        return false;
    worker->slots = calloc(event->up.slots_count ? event->up.slots_count : 1, sizeof *worker->slots);
    ENSURE(worker->slots);
    worker->known = true;
    for (uint32_t i = 0; i < event->up.slots_count; i++) {
        struct slot *slot = add_slot(sched, event->worker, i, &event->up.slots[i]);
        worker->slots[worker->slots_count++] = slot;
        pool_welcome(sched, slot);
    }
    return true;
}

/* A worker that comes back keeps its slots' curves; its models must be asked for again, which costs it
 * nothing if they stand. */
static void on_worker_up(struct sched *sched, const struct sched_event *event)
{
    if (event->worker >= sched->config.workers_max)
        return;
    uint32_t count = sched->workers_count;
    state_grow((void **)&sched->workers, &count, event->worker + 1, sizeof *sched->workers);
    sched->workers_count = count;
    struct worker *worker = &sched->workers[event->worker];
    if (worker->up || (worker->known && worker->slots_count != event->up.slots_count))
        return;
    if (!worker->known && !make_slots(sched, worker, event))
        return;
    worker->up = true;
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        struct slot *slot = worker->slots[i];
        ENSURE(slot);
        slot->up = true;
        slot->up_us = sched->now_us;
        state_refresh(sched, slot);
        state_ask(sched, slot);
    }
}

static void on_loaded(struct sched *sched, const struct sched_event *event)
{
    struct slot *slot = state_find_slot(sched, event->worker, event->slot);
    struct slot_model *model = slot ? slot_model_find(slot, event->loaded.model) : NULL;
    if (!model || !slot->up || model->state == SLOT_MODEL_READY || model->state == SLOT_MODEL_REFUSED)
        return;
    model->state = event->loaded.ok ? SLOT_MODEL_READY : SLOT_MODEL_REFUSED;
    if (!event->loaded.ok)
        pool_refused(sched, slot, model);
    model->load_us = event->loaded.load_us;
    model->ready_us = sched->now_us;
    curve_suggest(&model->curve, event->loaded.alpha_us, event->loaded.beta_us);
    state_refresh(sched, slot);
    if (!event->loaded.ok)
        judge_all(sched);
    state_wake(sched);
    state_ask(sched, slot);
}

/* ---- results ---- */

static void learn(const struct lease *lease, struct slot *slot, const struct sched_event *event)
{
    struct slot_model *model = slot_model_find(slot, lease->model);
    ENSURE(model);
    if (event->result.failure == SCHED_MEMORY)
        slot_model_shrink(model, lease);
    if (event->result.failure != SCHED_OK)
        return;
    double run_us = window_cost_us(&slot->window, event->result.run_us, slot->leases_count);
    double rate = lease->count / run_us;
    curve_observe(&model->curve, lease->cost, run_us);
    slot_model_grow(model, lease->runs);
    model->best_rate = rate > model->best_rate ? rate : model->best_rate;
}

static void account(struct sched *sched, struct job *job, const struct slot *slot,
                    const struct sched_event *event, uint64_t kept, uint64_t count)
{
    if (kept == 0 && event->result.again)
        return;
    struct account *tally = job_account(job, slot->id, true);
    tally->busy_us += event->result.run_us;
    tally->last_us = sched->now_us;
    tally->samples += kept;
    tally->duplicate_samples += count - kept;
    job->duplicates += count - kept;
    tally->overruns += event->result.overrun;
    if (event->result.energy_joules >= 0) {
        tally->energy_joules += event->result.energy_joules;
        tally->energy_known++;
    }
    if (kept == 0)
        return;
    tally->batches++;
    account_add_latency(tally, event->result.run_us);
    const struct slot_model *model = state_model(job, slot);
    if (model) {
        struct policy_slot view = slot_policy(slot, model, sched->now_us);
        struct policy_limits limits = state_limits(sched, job);
        uint64_t best = policy_best_batch(&view, &limits), tried = (uint64_t)model->curve.batch_tried;
        tally->best_batch = (uint32_t)(best < tried ? best : tried);
    }
}

/* Claim what of the result is still free, and ask for it to be stored. How many samples that was. */
static uint64_t claim(struct sched *sched, struct job *job, const struct settle *about, uint64_t first,
                      uint64_t end, enum sched_action_type action)
{
    uint64_t low, count, kept = 0;
    uint32_t at = UINT32_MAX;
    while (job_claim(job, first, end, &low, &count)) {
        if (at == UINT32_MAX)
            at = state_settle_new(sched, about);
        sched->settles[at].samples += count;
        kept += count;
        state_emit(sched, &(struct sched_action){ .type = action,
                                                  .job = job->id,
                                                  .first = low,
                                                  .count = count,
                                                  .settle = at,
                                                  .worker = about->worker,
                                                  .term = about->term,
                                                  .attempt = about->attempt });
        first = low + count;
    }
    queue_touch(&sched->queues, job, sched->now_us);
    if (kept == 0)
        acknowledge_again(sched, about->worker, about->term, about->attempt);
    return kept;
}

/* Nobody's fault, or not yet known whose: halve it, and if it is one sample that failed often enough, it
 * failed for good. */
static void on_failure(struct sched *sched, struct job *job, const struct settle *about,
                       const struct lease *lease, const struct sched_event *event, uint32_t slot)
{
    struct account *tally = job_account(job, slot, true);
    if (!lease->expired || !event->result.again) {
        tally->failed_batches++;
        job->failed_batches++;
        tally->busy_us += event->result.run_us;
    }
    if (lease->expired) {
        acknowledge_again(sched, about->worker, about->term, about->attempt);
        return;
    }
    bool rejected = event->result.failure == SCHED_REJECTED;
    bool doubled = ranges_overlap(&job->doubled, lease->first, lease->first + lease->count) > 0;
    if (doubled && !(rejected && lease->count == 1)) { /* the other may do */
        job_give_back(job, lease->first, lease->first + lease->count);
        queue_touch(&sched->queues, job, sched->now_us);
        acknowledge_again(sched, about->worker, about->term, about->attempt);
        state_wake(sched);
        return;
    }
    struct blame blame = lease->blame;
    if (!blame.suspected && event->result.failure != SCHED_MEMORY && !rejected) {
        blame.accused = slot;
        trust_failed(sched, sched->slots[slot - 1]);
    }
    if (lease->count == 1 && blame.failures == 0)
        blame.slots_count = 0; /* where it failed with others says nothing of this one sample */
    blame_add(&blame, slot);
    struct able able;
    state_able(sched, job, &able);
    if (event->result.failure == SCHED_MEMORY && lease->runs > lease->smallest) {
        job_give_back(job, lease->first, lease->first + lease->count);
    } else if (lease->count > 1) {
        uint32_t half = lease->count / 2;
        blame.failures = 0;
        job_suspect(job, lease->first, half, &blame);
        job_suspect(job, lease->first + half, lease->count - half, &blame);
    } else if (!rejected && (blame.failures < BLAME_FAILURES_MIN || !blame_exhausted(&blame, &able))) {
        job_suspect(job, lease->first, 1, &blame);
    } else {
        claim(sched, job, about, lease->first, lease->first + 1, SCHED_FAIL);
        if (blame.accused && (blame.slots_count > 1 || able.count < 2))
            trust_cleared(sched, sched->slots[blame.accused - 1]);
        return;
    }
    queue_touch(&sched->queues, job, sched->now_us);
    acknowledge(sched, about->worker, about->term, about->attempt);
    state_wake(sched);
}

/* The lease that a result answers; if there is none but the loop proved that there was one, what it says of
 * itself. */
static bool result_lease(const struct sched *sched, const struct slot *slot, const struct sched_event *event,
                         struct lease *lease)
{
    const struct lease *live = slot_lease_find(slot, event->term, event->attempt);
    if (live) {
        *lease = *live;
        return live->job == event->job && live->first == event->first && live->count == event->count;
    }
    const struct job *job = state_find_job(sched, event->job);
    *lease = (struct lease){ .job = event->job,
                             .first = event->first,
                             .count = (uint32_t)event->count,
                             .term = event->term,
                             .attempt = event->attempt,
                             .expired = true };
    return event->result.proven && job && event->count >= 1 && event->count <= UINT32_MAX &&
           event->first < job->samples && event->count <= job->samples - event->first;
}

/* The lease that the result ends leaves its slot's window. */
static void end_lease(struct sched *sched, struct slot *slot, struct lease *live, struct job *job,
                      const struct sched_event *event)
{
    struct lease lease = *live;
    bool oldest = live == &slot->leases[0];
    double cost_us = window_cost_us(&slot->window, event->result.run_us, slot->leases_count);
    learn(live, slot, event);
    if (lease.alone)
        window_travelled(&slot->window, sched->now_us - lease.leased_us, event->result.run_us);
    window_completed(&slot->window, sched->now_us, event->result.run_us, slot->leases_count);
    slot_lease_drop(slot, live);
    state_lease_over(sched, slot, &lease, cost_us);
    if (job)
        job->leases--;
    if (oldest && slot->leases_count > 0)
        slot->leases[0].start_us = (double)sched->now_us;
    if (!lease.blame.suspected && event->result.failure == SCHED_OK)
        trust_succeeded(sched, slot);
    slot_expect(slot, sched->now_us);
    state_refresh_later(sched, slot);
    state_ask(sched, slot);
}

/* An answer that is compared, not stored. One that failed or came too late is not asked for again. */
static void on_check(struct sched *sched, struct job *job, const struct lease *lease,
                     const struct sched_event *event)
{
    bool good = event->result.failure == SCHED_OK && !lease->expired;
    if (good)
        state_emit(sched, &(struct sched_action){ .type = SCHED_COMPARE,
                                                  .job = job->id,
                                                  .first = lease->first,
                                                  .count = lease->count,
                                                  .worker = event->worker,
                                                  .slot = event->slot,
                                                  .class = lease->check_class,
                                                  .term = event->term,
                                                  .attempt = event->attempt });
    if (!lease->expired) {
        *(good ? &job->checked : &job->unchecked) += lease->count;
        job->checks_leased--;
    }
    acknowledge(sched, event->worker, event->term, event->attempt);
    judge_job(sched, job);
}

static void take_result(struct sched *sched, struct job *job, const struct slot *slot,
                        const struct lease *lease, const struct sched_event *event)
{
    struct settle about = { .worker = event->worker,
                            .slot = slot->id,
                            .job = job->id,
                            .term = event->term,
                            .attempt = event->attempt,
                            .leased_us = lease->leased_us,
                            .failed = event->result.failure != SCHED_OK };
    if (lease->check) {
        on_check(sched, job, lease, event);
    } else if (event->result.failure != SCHED_OK) {
        on_failure(sched, job, &about, lease, event, slot->id);
    } else {
        uint64_t kept = claim(sched, job, &about, lease->first, lease->first + lease->count, SCHED_STORE);
        account(sched, job, slot, event, kept, lease->count);
        endgame_won(sched, job, lease);
    }
}

/* Is the attempt live on any slot of the worker, whichever slot it names? */
static bool leased_to(const struct sched *sched, const struct sched_event *event)
{
    const struct worker *worker = &sched->workers[event->worker];
    for (uint32_t i = 0; i < worker->slots_count; i++)
        if (slot_lease_find(worker->slots[i], event->term, event->attempt))
            return true;
    return false;
}

static void on_result(struct sched *sched, const struct sched_event *event)
{
    struct slot *slot = state_find_slot(sched, event->worker, event->slot);
    struct lease lease;
    if (!slot || !slot->up)
        return;
    struct lease *live = slot_lease_find(slot, event->term, event->attempt);
    if (!result_lease(sched, slot, event, &lease)) {
        if (!leased_to(sched, event)) /* what it says of a live lease is nonsense: that one stands */
            acknowledge_again(sched, event->worker, event->term, event->attempt);
        return;
    }
    struct job *job = state_find_job(sched, lease.job);
    struct sched_event bounded = *event;
    if (live && bounded.result.run_us > sched->now_us - live->leased_us && live->leased_us > 0)
        bounded.result.run_us = sched->now_us - live->leased_us; /* it cannot have run before it was given */
    event = &bounded;
    if (live)
        end_lease(sched, slot, live, job, event);
    else
        bounded.result.again = true; /* it may have been counted already: not again if nothing comes of it */
    if (job && job_open(job))
        take_result(sched, job, slot, &lease, event);
    else
        acknowledge_again(sched, event->worker, event->term, event->attempt);
}

/* The store says that a part of a result is durable (stored), or that it could not be what the job asked for
 * (failed). */
static void settled(struct sched *sched, const struct sched_event *event, bool stored)
{
    if (event->stored.settle >= sched->settles_count || !sched->settles[event->stored.settle].used)
        return;
    struct settle *settle = &sched->settles[event->stored.settle];
    struct job *job = state_find_job(sched, settle->job);
    ENSURE(event->count <= settle->samples);
    settle->samples -= event->count;
    if (job) {
        job->settling -= event->count;
        *(settle->failed || !stored ? &job->failed : &job->done) += event->count;
        if (job->verify_ppm > 0 && !settle->failed && stored)
            job_check_choose(job, event->first, event->count, sched->slots[settle->slot - 1]->info.class);
        queue_touch(&sched->queues, job, sched->now_us);
        if (settle->leased_us > 0 && !settle->failed && stored)
            job_took(job, sched->now_us - settle->leased_us, event->count);
    }
    if (settle->samples == 0) {
        acknowledge(sched, settle->worker, settle->term, settle->attempt);
        state_settle_free(sched, event->stored.settle);
    }
    if (!job)
        return;
    judge_job(sched, job);
    if (job->checks_count > 0)
        state_wake(sched);
}

static void on_returned(struct sched *sched, const struct sched_event *event)
{
    if (event->worker >= sched->workers_count)
        return;
    const struct worker *worker = &sched->workers[event->worker];
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        struct slot *slot = worker->slots[i];
        struct lease *lease = slot_lease_named(slot, event->attempt);
        if (!lease)
            continue;
        struct lease copy = *lease;
        struct job *job = state_find_job(sched, copy.job);
        slot_lease_drop(slot, lease);
        state_lease_over(sched, slot, &copy, 0);
        if (job) {
            job->leases--;
            job->returned++;
        }
        give_back(sched, &copy);
        slot_expect(slot, sched->now_us);
        state_refresh(sched, slot);
        state_wake(sched);
        state_ask(sched, slot);
        return;
    }
}

/* A worker that came back still has this attempt: it goes on if nobody else took the samples meanwhile, else
 * it may drop it. */
static void on_held(struct sched *sched, const struct sched_event *event)
{
    struct slot *slot = state_find_slot(sched, event->worker, event->slot);
    struct job *job = state_find_job(sched, event->job);
    uint64_t end = event->first + event->count;
    bool whole = slot && slot->up && job && job_open(job) && event->count >= 1 &&
                 event->count <= slot->info.batch_max && end <= job->samples &&
                 slot->leases_count < slot->window.size &&
                 ranges_overlap(&job->ready, event->first, end) == event->count &&
                 !slot_lease_find(slot, event->term, event->attempt);
    struct slot_model *model = whole ? state_model(job, slot) : NULL;
    if (!model) {
        if (slot && slot->up && !event->held.finished)
            acknowledge(sched, event->worker, event->term, event->attempt);
        return;
    }
    slot_model_fix(model, job->batch_fixed);
    ranges_remove(&job->ready, event->first, end);
    struct policy_slot view = slot_policy(slot, model, sched->now_us);
    uint32_t count = (uint32_t)event->count, padded = policy_padded(&view, count),
             runs = padded ? padded : count;
    double cost = job_cost(job, event->first, count) * runs / count;
    struct lease lease = { .job = job->id,
                           .first = event->first,
                           .count = count,
                           .runs = runs,
                           .cost = cost,
                           .smallest = slot_model_smallest(model),
                           .model = model->model,
                           .term = event->term,
                           .attempt = event->attempt,
                           .tenant = job->tenant,
                           .charged_us = curve_time_us(&model->curve, cost) };
    sched->queues.tenants[job->tenant].slots_held += !state_holds(slot, job->tenant);
    slot_lease_push(slot, &lease);
    job->leases++;
    state_running(sched, job);
    queue_charge(&sched->queues, job, lease.charged_us, state_fill(sched, job)->count, sched->now_us);
    queue_touch(&sched->queues, job, sched->now_us);
    slot_expect(slot, sched->now_us);
    state_refresh(sched, slot);
}

/* ---- time ---- */

/* The oldest lease of the slot is far past its time: what it holds is ready for others; whatever still comes
 * is welcome. */
static void expire(struct sched *sched, struct slot *slot)
{
    for (uint32_t i = 0; i < slot->leases_count; i++) {
        struct lease *lease = &slot->leases[i];
        struct job *job = state_find_job(sched, lease->job);
        give_back(sched, lease);
        if (!lease->expired) {
            lease->expired = true; /* its tenant does not hold the slot any longer: it may have another */
            sched->queues.tenants[lease->tenant].slots_held -= !state_holds(slot, lease->tenant);
        }
        if (job)
            job->expired++;
        if (i > 0)
            state_recall(sched, slot, lease);
        lease->recalled = true;
    }
    state_refresh(sched, slot);
    judge_all(sched);
    state_wake(sched);
}

static void on_time(struct sched *sched)
{
    for (struct heap_item *item = heap_first(&sched->expiry); item && item->key <= sched->now_us;
         item = heap_first(&sched->expiry)) {
        struct slot *slot = sched->slots[item->id - 1];
        if (slot->expires_us <= sched->now_us)
            expire(sched, slot);
        state_expiry_again(sched, slot);
    }
    trust_time(sched);
    if (sched->wake_us <= sched->now_us)
        state_wake_more(sched);
    if (sched->look_again_us <= sched->now_us) {
        placement_time(sched);
        judge_all(sched);
    }
    if (sched->look_again_us <= sched->now_us)
        state_wake(sched);
}

static void set_paused(struct sched *sched, bool paused)
{
    sched->paused = paused;
    if (!paused)
        state_wake(sched);
}

void sched_step(struct sched *sched, uint64_t now_us, const struct sched_event *event,
                struct sched_actions *out)
{
    ENSURE(sched && event && out);
    ENSURE(now_us >= sched->now_us);
    sched->now_us = now_us;
    on_time(sched);
    switch (event->type) {
    case SCHED_TICK: break;
    case SCHED_WORKER_UP: on_worker_up(sched, event); break;
    case SCHED_WORKER_DOWN: on_worker_down(sched, event); break;
    case SCHED_JOB_ADD: on_job_add(sched, event); break;
    case SCHED_JOB_SETTLED_RANGE: on_settled_range(sched, event); break;
    case SCHED_JOB_CANCEL: on_job_cancel(sched, event); break;
    case SCHED_JOB_CHANGE: on_job_change(sched, event); break;
    case SCHED_TENANT: on_tenant(sched, event); break;
    case SCHED_DRAIN: on_drain(sched, event, true); break;
    case SCHED_UNDRAIN: on_drain(sched, event, false); break;
    case SCHED_LOADED: on_loaded(sched, event); break;
    case SCHED_RESULT: on_result(sched, event); break;
    case SCHED_STORED: settled(sched, event, true); break;
    case SCHED_UNSTORABLE: settled(sched, event, false); break;
    case SCHED_RETURNED: on_returned(sched, event); break;
    case SCHED_HELD: on_held(sched, event); break;
    case SCHED_PAUSE: set_paused(sched, true); break;
    case SCHED_RESUME: set_paused(sched, false); break;
    }
    dispatch(sched);
    if (sched->stale)
        state_refresh(sched, sched->stale);
    state_drain(sched, out);
}

uint64_t sched_deadline_us(const struct sched *sched)
{
    if (sched->outbox_first < sched->outbox_count)
        return sched->now_us;
    const struct heap_item *item = heap_first(&sched->expiry);
    uint64_t expiry_us = item ? item->key : UINT64_MAX;
    uint64_t due_us = expiry_us < sched->look_again_us ? expiry_us : sched->look_again_us;
    due_us = sched->wake_us < due_us ? sched->wake_us : due_us;
    due_us = sched->hedge_us < due_us ? sched->hedge_us : due_us;
    return due_us < sched->bars_end_us ? due_us : sched->bars_end_us;
}

void sched_job_remove(struct sched *sched, uint64_t id)
{
    struct job *job = state_find_job(sched, id);
    if (!job || job_open(job))
        return;
    job_take_out(sched, job);
}

static uint64_t leases_of(const struct sched *sched, uint64_t job)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++)
            count += sched->slots[i]->leases[k].job == job;
    return count;
}

/* What somebody runs is not ready for others, unless it is overdue. */
static void check_lease(const struct sched *sched, const struct lease *lease)
{
    const struct job *job = state_find_job(sched, lease->job);
    ENSURE(lease->attempt <= sched->attempt || lease->term < sched->term);
    ENSURE(lease->expired || lease->check || !job || !job_open(job) ||
           ranges_overlap(&job->ready, lease->first, lease->first + lease->count) == 0);
}

static void check_held(const struct sched *sched)
{
    uint32_t held[SCHED_TENANTS_MAX] = { 0 };
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct slot before = *sched->slots[i]; /* with the leases before the k-th alone */
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++) {
            const struct lease *lease = &before.leases[k];
            before.leases_count = k;
            held[lease->tenant] += !lease->expired && !state_holds(&before, lease->tenant);
        }
    }
    for (uint32_t t = 0; t < SCHED_TENANTS_MAX; t++)
        ENSURE(held[t] == sched->queues.tenants[t].slots_held);
}

static void check_pools(const struct sched *sched)
{
    for (uint32_t i = 0; i < sched->pools_count; i++) {
        const struct pool *pool = &sched->pools[i];
        uint64_t open = 0;
        fill_check(&pool->fill);
        for (uint32_t k = 0; k < sched->jobs_count; k++)
            open += job_open(sched->jobs[k]) && sched->jobs[k]->pool == i;
        ENSURE(pool->open == open && (pool->used || open == 0));
        ENSURE(open > 0 || !pool->used || (!pool->owner && !pool->require));
    }
}

void sched_check(const struct sched *sched)
{
    uint64_t settling = 0, claimed = 0;
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        slot_check(sched->slots[i]);
        for (uint32_t k = 0; k < sched->slots[i]->leases_count; k++)
            check_lease(sched, &sched->slots[i]->leases[k]);
    }
    for (uint32_t i = 0; i < sched->settles_count; i++)
        settling += sched->settles[i].used && state_find_job(sched, sched->settles[i].job)
                        ? sched->settles[i].samples
                        : 0;
    for (uint32_t i = 0; i < sched->jobs_count; i++) {
        job_check(sched->jobs[i]);
        ENSURE(i == 0 || sched->jobs[i - 1]->id < sched->jobs[i]->id);
        ENSURE(leases_of(sched, sched->jobs[i]->id) == sched->jobs[i]->leases);
        claimed += sched->jobs[i]->settling;
    }
    ENSURE(settling == claimed);
    check_pools(sched);
    check_held(sched);
    queues_check(&sched->queues, sched->jobs, sched->jobs_count);
    heap_check(&sched->expiry);
}
