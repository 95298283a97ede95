// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t LEASE_UNKNOWN_US = 20000000; /* to wait for a slot that has shown nothing yet */
static const double CAP_STRETCH =
    4.0; /* a chunk may run so much longer than the cap where that costs too much */
static const uint64_t LEASE_UNSHOWN_US = 600000000;
static const uint64_t LOAD_PATIENCE_US = 60000000; /* others are asked when a load is not answered by then */
static const uint32_t WAKES_MAX = 64;
static const uint64_t FEW_SLOTS = 256; /* of a pool: each one's place counts at any moment */
static const uint64_t WAKE_PAUSE_US = 200;
static const double LEASE_STRETCH =
    2.0; /* a lease expires this many expected durations after its expected end */

/* Grow *table so that it has count zeroed entries at least. The caller bounds count. */
void state_grow(void **table, uint32_t *have, uint32_t count, size_t size)
{
    if (count <= *have)
        return;
    uint32_t want = *have * 2 > count ? *have * 2 : count;
    char *grown = realloc(*table, want * size);
    ENSURE(grown);
    memset(grown + *have * size, 0, (want - *have) * size);
    *table = grown;
    *have = want;
}

uint32_t state_job_index(const struct sched *sched, uint64_t id)
{
    uint32_t low = 0, high = sched->jobs_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sched->jobs[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct job *state_find_job(const struct sched *sched, uint64_t id)
{
    uint32_t at = state_job_index(sched, id);
    return at < sched->jobs_count && sched->jobs[at]->id == id ? sched->jobs[at] : NULL;
}

struct slot *state_find_slot(const struct sched *sched, uint32_t worker, uint32_t index)
{
    if (worker >= sched->workers_count || index >= sched->workers[worker].slots_count)
        return NULL;
    return sched->workers[worker].slots[index];
}

struct fill *state_fill(const struct sched *sched, const struct job *job)
{
    return &sched->pools[job->pool].fill;
}

struct slot_model *state_model(const struct job *job, const struct slot *slot)
{
    const struct member *member = job_open(job) ? slot_member(slot, job->pool) : NULL;
    struct slot_model *best = NULL;
    for (uint32_t i = 0; !member && i < job->variants_count; i++) {
        struct slot_model *model = slot_model_find(slot, job->variants[i].model);
        if (model && (!best || model->curve.batches > best->curve.batches))
            best = model;
    }
    return member ? member->model : best;
}

struct policy_limits state_limits(const struct sched *sched, const struct job *job)
{
    bool alone = sched->queues.waiting < 2; /* nobody else would have to wait for a long chunk */
    return (struct policy_limits){ .chunk_cap_us = (double)sched->config.chunk_cap_us,
                                   .chunk_most_us =
                                       alone ? CAP_STRETCH * (double)sched->config.chunk_cap_us : 0,
                                   .chunk_cost_us = (double)sched->config.chunk_cost_us,
                                   .batch = job ? job->batch : 0 };
}

void state_emit(struct sched *sched, const struct sched_action *action)
{
    if (sched->outbox_first == sched->outbox_count)
        sched->outbox_first = sched->outbox_count = 0;
    if (sched->outbox_count == sched->outbox_capacity) {
        sched->outbox_capacity = sched->outbox_capacity ? 2 * sched->outbox_capacity : 64;
        struct sched_action *grown = realloc(sched->outbox, sched->outbox_capacity * sizeof *grown);
        ENSURE(grown);
        sched->outbox = grown;
    }
    sched->outbox[sched->outbox_count++] = *action;
}

void state_drain(struct sched *sched, struct sched_actions *out)
{
    size_t left = sched->outbox_count - sched->outbox_first;
    out->count = left < SCHED_ACTIONS_MAX ? left : SCHED_ACTIONS_MAX;
    if (out->count > 0)
        memcpy(out->at, sched->outbox + sched->outbox_first, out->count * sizeof *out->at);
    sched->outbox_first += out->count;
}

/* ---- slots ---- */

void state_expiry_again(struct sched *sched, struct slot *slot)
{
    if (slot->expires_us == UINT64_MAX)
        heap_remove(&sched->expiry, &slot->expiry);
    else
        heap_set(&sched->expiry, &slot->expiry, slot->expires_us);
}

static void refresh_expiry(struct sched *sched, struct slot *slot)
{
    const struct lease *lease = slot->leases_count ? &slot->leases[0] : NULL;
    if (!slot->up || !lease || lease->expired) {
        slot->expires_us = UINT64_MAX; /* its item is found out of date when its time comes */
        return;
    }
    const struct slot_model *model = slot_model_find(slot, lease->model);
    bool shown = model->curve.batches > 0;
    uint64_t floor_us = curve_known(&model->curve) ? sched->config.lease_floor_us : LEASE_UNKNOWN_US;
    double alone_us = lease->end_us - lease->start_us, latency_us = slot->window.latency_us;
    double late_us = LEASE_STRETCH * (alone_us > latency_us ? alone_us : latency_us);
    late_us = late_us > (double)floor_us ? late_us : (double)floor_us;
    double at = lease->end_us + late_us, longest = lease->start_us + (double)LEASE_UNSHOWN_US;
    at =
        !shown && at > longest ? longest : at; /* what a worker claims of itself holds samples only so long */
    slot->expires_us = at < 9e18 ? (uint64_t)at : UINT64_MAX - 1;
    /* A lease that is answered moves it on: what comes later than the item needs no place in the heap yet. */
    if (slot->expiry.index == HEAP_ABSENT || slot->expires_us < slot->expiry.key)
        heap_set(&sched->expiry, &slot->expiry, slot->expires_us);
}

void state_refresh(struct sched *sched, struct slot *slot)
{
    struct policy_limits limits = state_limits(sched, NULL);
    for (uint32_t i = 0; i < slot->members_count; i++) {
        struct member *member = slot->members[i];
        struct fill *fill = &sched->pools[member->pool].fill;
        if (slot_member_counts(slot, member)) {
            struct policy_slot view = slot_policy(slot, member->model, 0);
            double there_us = slot_model_there_us(member->model);
            fill_set(fill, &member->fill, slot->busy_until_us > there_us ? slot->busy_until_us : there_us,
                     policy_rate(&view, &limits));
        } else {
            fill_remove(fill, &member->fill);
        }
    }
    refresh_expiry(sched, slot);
    if (sched->stale == slot)
        sched->stale = NULL;
}

void state_refresh_later(struct sched *sched, struct slot *slot)
{
    bool many = true;
    for (uint32_t i = 0; i < slot->members_count; i++)
        many = many && sched->pools[slot->members[i]->pool].fill.count > FEW_SLOTS;
    if (!many || sched->stale)
        state_refresh(sched, slot);
    else
        sched->stale = slot;
}

void state_unsit(struct sched *sched, struct slot *slot)
{
    if (!slot->sitting)
        return;
    *(slot->previous_sitting ? &slot->previous_sitting->next_sitting : &sched->sitting_first) =
        slot->next_sitting;
    *(slot->next_sitting ? &slot->next_sitting->previous_sitting : &sched->sitting_last) =
        slot->previous_sitting;
    slot->sitting = false;
    sched->sitting_count--;
}

void state_ask(struct sched *sched, struct slot *slot)
{
    state_unsit(sched, slot);
    if (slot->asking || !slot_has_room(slot))
        return;
    slot->asking = true;
    slot->next_asking = NULL;
    *(sched->asking_last ? &sched->asking_last->next_asking : &sched->asking_first) = slot;
    sched->asking_last = slot;
}

void state_wake(struct sched *sched)
{
    bool busy = sched->waking > 0;
    sched->waking = sched->sitting_count;
    if (!busy)
        state_wake_more(sched);
}

/* So that a step costs the same however many sit. */
void state_wake_more(struct sched *sched)
{
    for (uint32_t i = 0; i < WAKES_MAX && sched->waking > 0 && sched->sitting_first; i++) {
        sched->waking--;
        state_ask(sched, sched->sitting_first);
    }
    if (!sched->sitting_first)
        sched->waking = 0;
    sched->wake_us = sched->waking > 0 ? sched->now_us + WAKE_PAUSE_US : UINT64_MAX;
}

void state_running(struct sched *sched, struct job *job)
{
    if (job->state != SCHED_JOB_QUEUED)
        return;
    job->state = SCHED_JOB_RUNNING;
    job->started_us = sched->now_us;
    state_emit(sched, &(struct sched_action){ .type = SCHED_JOB_STATE, .job = job->id, .state = job->state });
}

bool state_has_or_will(const struct sched *sched, const struct slot_model *model)
{
    return model->state == SLOT_MODEL_READY ||
           (model->state == SLOT_MODEL_LOADING && sched->now_us < model->load_began_us + LOAD_PATIENCE_US);
}

void state_able(const struct sched *sched, const struct job *job, struct able *able)
{
    able->count = 0;
    for (uint32_t i = 0; i < sched->slots_count && able->count <= BLAME_SLOTS_MAX; i++) {
        const struct slot *slot = sched->slots[i];
        const struct member *member = slot_member(slot, job->pool);
        if (slot->up && !slot->draining && !slot_overdue(slot) && member && member->admitted &&
            state_has_or_will(sched, member->model))
            able->slots[able->count++] = slot->id;
    }
}

void state_recall(struct sched *sched, struct slot *slot, struct lease *lease)
{
    if (lease->recalled)
        return;
    struct job *job = state_find_job(sched, lease->job);
    if (job)
        job->recalls++;
    lease->recalled = true;
    state_emit(sched, &(struct sched_action){ .type = SCHED_RECALL,
                                              .worker = slot->worker,
                                              .slot = slot->index,
                                              .job = lease->job,
                                              .term = lease->term,
                                              .attempt = lease->attempt });
}

bool state_holds(const struct slot *slot, uint32_t tenant)
{
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (slot->leases[i].tenant == tenant && !slot->leases[i].expired)
            return true;
    return false;
}

void state_lease_over(struct sched *sched, const struct slot *slot, const struct lease *lease, double run_us)
{
    struct tenant *tenant = &sched->queues.tenants[lease->tenant];
    queue_correct(&sched->queues, lease->tenant, run_us - lease->charged_us);
    bool freed = !lease->expired && !state_holds(slot, lease->tenant);
    tenant->slots_held -= freed;
    if (freed && tenant->slots_quota > 0)
        state_wake(sched); /* a faster slot may wait for it */
}

/* ---- settling ---- */

uint32_t state_settle_new(struct sched *sched, const struct settle *settle)
{
    if (sched->settles_free == 0) {
        uint32_t from = sched->settles_count;
        state_grow((void **)&sched->settles, &sched->settles_count, from + 1, sizeof *sched->settles);
        for (uint32_t i = sched->settles_count; i > from; i--) {
            sched->settles[i - 1].next_free = sched->settles_free;
            sched->settles_free = i;
        }
    }
    uint32_t at = sched->settles_free - 1;
    sched->settles_free = sched->settles[at].next_free;
    sched->settles[at] = *settle;
    sched->settles[at].used = true;
    return at;
}

void state_settle_free(struct sched *sched, uint32_t at)
{
    sched->settles[at] = (struct settle){ .next_free = sched->settles_free };
    sched->settles_free = at + 1;
}
