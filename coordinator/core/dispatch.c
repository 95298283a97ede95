// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include "chunk.h"
#include "endgame.h"
#include "placement.h"
#include "pool.h"

static const uint64_t LOOK_AGAIN_US = 50000;
static const int QUOTA_LOOKS = 256;
static const int VISITS_MAX = 32;                /* jobs that a slot is turned down for before it sits */
static const uint64_t ONLINE_HOLD_US = 10000000; /* batches stay short so long after the last request */
static const double ONLINE_SHARE = 0.5; /* of a request's time that it may wait for the batch before it */
static const double ONLINE_LEAST_US = 1000;

struct asking {
    struct sched *sched;
    struct slot *slot;
    bool gave;
    int visits;
};

/* Would the tenant's quota be better spent on as many faster slots, which are free or its own already? */
static bool better_elsewhere(const struct asking *asking, const struct job *job)
{
    const struct fill *fill = &asking->sched->pools[job->pool].fill;
    const struct member *mine = slot_member(asking->slot, job->pool);
    uint32_t better = 0, quota = asking->sched->queues.tenants[job->tenant].slots_quota;
    int seen = 0;
    if (quota == 0 || !mine->fill.present)
        return false;
    for (struct fill_slot *at = fill_first(fill); at && seen < QUOTA_LOOKS;
         at = fill_next(fill, at), seen++) {
        const struct slot_model *model = at->owner;
        bool free = model->slot->leases_count == 0 || state_holds(model->slot, job->tenant);
        better += free && model->state == SLOT_MODEL_READY && at->rate > mine->fill.rate;
    }
    return better >= quota;
}

/* A tenant with a quota holds its fastest slots; at its quota it may only fill up those that it holds. */
static bool able(void *context, const struct queue *queue)
{
    const struct asking *asking = context;
    const struct tenant *tenant = &asking->sched->queues.tenants[queue->tenant];
    if (!pool_allows(asking->sched, asking->slot, queue->pool))
        return false;
    if (tenant->slots_quota == 0)
        return true;
    bool full = tenant->slots_held >= tenant->slots_quota;
    return !full || state_holds(asking->slot, queue->tenant);
}

/* False: the slot has what it wants, or must wait for this job. */
static bool offer(void *context, struct job *job)
{
    struct asking *asking = context;
    struct sched *sched = asking->sched;
    struct slot_model *model = slot_member(asking->slot, job->pool)->model;
    slot_model_fix(model, job->batch_fixed);
    bool special = job->suspects_count > 0 || job->checks_count > 0; /* not every slot will do */
    if (!special && better_elsewhere(asking, job))
        return true;
    if (model->state == SLOT_MODEL_UNLOADED && !placement_load(sched, model, job))
        return false;
    if (model->state != SLOT_MODEL_READY)
        return true;
    asking->gave = chunk_give(sched, model, job);
    /* An unknown curve waits for the slot to run dry, and must not be kept from it. */
    return !asking->gave && curve_known(&model->curve) && ++asking->visits < VISITS_MAX;
}

static bool give(struct sched *sched, struct slot *slot)
{
    struct asking asking = { .sched = sched, .slot = slot };
    queue_walk(&sched->queues, sched->now_us, able, offer, &asking);
    return asking.gave;
}

static void sit(struct sched *sched, struct slot *slot)
{
    if (slot->sitting)
        return;
    slot->sitting = true;
    sched->sitting_count++;
    slot->next_sitting = NULL;
    slot->previous_sitting = sched->sitting_last;
    *(sched->sitting_last ? &sched->sitting_last->next_sitting : &sched->sitting_first) = slot;
    sched->sitting_last = slot;
}

static void ask_all(struct sched *sched)
{
    while (sched->asking_first) {
        struct slot *slot = sched->asking_first;
        sched->asking_first = slot->next_asking;
        if (!sched->asking_first)
            sched->asking_last = NULL;
        slot->asking = false;
        while (slot_has_room(slot))
            if (!give(sched, slot))
                break;
        if (slot_has_room(slot)) {
            placement_idle(sched, slot);
            sit(sched, slot);
        }
    }
}

static bool less_urgent(const struct sched *sched, const struct lease *lease, const struct job *job)
{
    const struct job *other = state_find_job(sched, lease->job);
    return other && other->priority < job->priority && !lease->blame.suspected;
}

void dispatch_preempt(struct sched *sched, const struct job *job)
{
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct slot *slot = sched->slots[i];
        if (slot->leases_count < 2 || !pool_allows(sched, slot, job->pool))
            continue;
        for (uint32_t k = 1; k < slot->leases_count; k++)
            if (less_urgent(sched, &slot->leases[k], job))
                state_recall(sched, slot, &slot->leases[k]);
    }
}

void dispatch_cap(struct sched *sched, const struct job *online)
{
    double slack = online->deadline_us > sched->now_us ? (double)(online->deadline_us - sched->now_us) : 0;
    double cap = slack * ONLINE_SHARE;
    cap = cap < ONLINE_LEAST_US ? ONLINE_LEAST_US : cap;
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct slot *slot = sched->slots[i];
        const struct member *member = slot_member(slot, online->pool);
        if (!member || member->model->state != SLOT_MODEL_READY)
            continue;
        bool fresh = slot->online_until_us <= sched->now_us || cap < slot->online_cap_us;
        slot->online_until_us = sched->now_us + ONLINE_HOLD_US;
        if (!fresh)
            continue;
        slot->online_cap_us = cap;
        state_refresh(sched, slot);
    }
}

void dispatch(struct sched *sched)
{
    if (sched->paused) {
        sched->look_again_us = sched->hedge_us = UINT64_MAX; /* the end of the pause wakes everybody */
        return;
    }
    pool_cut_all(sched);
    ask_all(sched);
    endgame_recall(sched);
    sched->hedge_us = endgame_hedge(sched);
    bool waiting = queues_waiting(&sched->queues);
    if (!waiting || !sched->sitting_first)
        sched->look_again_us = UINT64_MAX;
    else if (sched->look_again_us <= sched->now_us || sched->look_again_us == UINT64_MAX)
        sched->look_again_us = sched->now_us + LOOK_AGAIN_US;
}
