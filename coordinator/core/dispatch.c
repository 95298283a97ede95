// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include "ensure.h"

static const int LEFTOVER_CANDIDATES = 64, VICTIMS = 16, THIEVES = 8;
static const double RECALL_MIN_US =
    5000.0; /* a recall costs a round trip and a commit: less than this is not worth it */
static const double RECALL_GAIN =
    0.9; /* the chunk must end in less than this share of the time it has left */
static const double RECALL_TRIP_US = 2000.0;
static const uint64_t LOOK_AGAIN_US = 50000;

/* ---- leases ---- */

static void grant(struct sched *sched, struct slot_model *model, struct job *job, uint64_t first,
                  uint32_t count)
{
    struct slot *slot = model->slot;
    struct policy_slot view = slot_policy(slot, model, sched->now_us);
    uint32_t runs = policy_padded(&view, count);
    struct lease lease = { .job = job->id,
                           .first = first,
                           .count = count,
                           .runs = runs ? runs : count,
                           .smallest = slot_model_smallest(model),
                           .model = model->model,
                           .term = sched->term,
                           .attempt = ++sched->attempt,
                           .leased_us = sched->now_us };
    slot_lease_push(slot, &lease);
    slot->latest = model;
    slot_expect(slot, sched->now_us);
    state_refresh(sched, slot);

    struct tally *tally = job_tally(job, slot->id, true);
    tally->first_us = tally->first_us ? tally->first_us : sched->now_us;
    job->leases++;
    job->attempts++;
    if (job->state == SCHED_JOB_QUEUED) {
        job->state = SCHED_JOB_RUNNING;
        job->started_us = sched->now_us;
        state_emit(sched,
                   &(struct sched_action){ .type = SCHED_JOB_STATE, .job = job->id, .state = job->state });
    }
    state_emit(sched, &(struct sched_action){ .type = SCHED_LEASE,
                                              .worker = slot->worker,
                                              .slot = slot->index,
                                              .job = job->id,
                                              .first = first,
                                              .count = count,
                                              .term = lease.term,
                                              .attempt = lease.attempt });
}

static bool grant_ready(struct sched *sched, struct slot_model *model, struct job *job, uint32_t most)
{
    uint64_t first;
    uint32_t count;
    if (!job_take(job, most, &first, &count))
        return false;
    grant(sched, model, job, first, count);
    return true;
}

/* ---- one slot asks
 * ------------------------------------------------------------------------------------------------------- */

static bool give_suspect(struct sched *sched, struct slot_model *model, struct job *job)
{
    struct suspect suspect;
    uint64_t able = sched->pools[job->model].fill.count;
    if (!job_suspect_take(job, model->slot->id, able, model->batch_cap, &suspect))
        return false;
    grant(sched, model, job, suspect.first, suspect.count);
    model->slot->leases[model->slot->leases_count - 1].blame = suspect.blame;
    return true;
}

/* A slot that has shown nothing is tried with the smallest batch, one at a time: that is how it gets known.
 */
static bool probe(struct sched *sched, struct slot_model *model, struct job *job)
{
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    struct policy_limits limits = state_limits(sched, job);
    return model->slot->leases_count == 0 &&
           grant_ready(sched, model, job, policy_best_batch(&view, &limits));
}

static bool give_ready(struct sched *sched, struct slot_model *model, struct job *job)
{
    if (job->ready.samples == 0)
        return false;
    if (!curve_known(&model->curve))
        return probe(sched, model, job);
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    struct policy_limits limits = state_limits(sched, job);
    double finish_us =
        fill_finish_us(&sched->pools[job->model].fill, (double)sched->now_us, (double)job->ready.samples);
    uint32_t most = policy_chunk(&view, &limits, job->ready.samples, finish_us);
    if (most == 0) {
        sched->declined = true;
        return false;
    }
    return grant_ready(sched, model, job, most);
}

static bool loading_something(const struct slot *slot)
{
    for (uint32_t i = 0; i < slot->models_count; i++)
        if (slot->models[i]->state == SLOT_MODEL_LOADING)
            return true;
    return false;
}

static void load(struct sched *sched, struct slot_model *model, const struct job *job)
{
    if (loading_something(model->slot))
        return;
    model->state = SLOT_MODEL_LOADING;
    model->load_job = job->id;
    state_emit(sched, &(struct sched_action){ .type = SCHED_LOAD,
                                              .worker = model->slot->worker,
                                              .slot = model->slot->index,
                                              .job = job->id });
}

static bool give(struct sched *sched, struct slot *slot)
{
    for (struct job *job = sched->open; job; job = job->next) {
        if (!(job->formats & slot->info.formats))
            continue;
        struct slot_model *model = slot_model(slot, job->model);
        ENSURE(model);
        slot_model_fix(model, job->batch_fixed);
        if (model->state == SLOT_MODEL_UNLOADED) /* also when all is leased: it may be needed for a recall */
            load(sched, model, job);
        if (model->state != SLOT_MODEL_READY || !job_has_work(job))
            continue;
        if (give_suspect(sched, model, job) || give_ready(sched, model, job))
            return true;
        if (!curve_known(&model->curve)) /* it waits for the slot to run dry, and must not be kept from it */
            return false;
    }
    return false;
}

static void sit(struct sched *sched, struct slot *slot)
{
    if (slot->sitting)
        return;
    slot->sitting = true;
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
        if (slot_has_room(slot))
            sit(sched, slot);
    }
}

/* ---- what fits nowhere
 * ------------------------------------------------------------------------------------------------- */

/* Of the slots that could start soonest, the one that would end the rest of the job first. */
static struct slot_model *earliest(const struct sched *sched, const struct job *job)
{
    struct policy_limits limits = state_limits(sched, job);
    const struct fill *fill = &sched->pools[job->model].fill;
    struct slot_model *best = NULL;
    double best_us = FILL_NEVER;
    int seen = 0;
    for (struct fill_slot *at = fill_first(fill); at && seen < LEFTOVER_CANDIDATES;
         at = fill_next(fill, at), seen++) {
        struct slot_model *model = at->owner;
        struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
        double end_us = policy_end_us(&view, &limits, job->ready.samples);
        if (end_us < best_us) {
            best_us = end_us;
            best = model;
        }
    }
    return best;
}

static void place_leftovers(struct sched *sched, struct job *job)
{
    while (job->ready.samples > 0) {
        struct slot_model *model = earliest(sched, job);
        if (!model || !slot_has_room(model->slot) ||
            (!curve_known(&model->curve) && model->slot->leases_count > 0))
            return; /* it is worth waiting for it, or nobody is there */
        struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
        struct policy_limits limits = state_limits(sched, job);
        if (!grant_ready(sched, model, job, policy_best_batch(&view, &limits)))
            return;
    }
}

/* ---- recall ---- */

/* When would both end if the victim's unstarted chunk were split between them by their rates? */
static double shared_end_us(const struct sched *sched, const struct slot_model *thief,
                            const struct lease *lease, const struct slot_model *victim)
{
    struct policy_limits limits = state_limits(sched, NULL);
    struct policy_slot view = slot_policy(thief->slot, thief, sched->now_us);
    double start = view.start_us + RECALL_TRIP_US, rate = policy_rate(&view, &limits);
    double alpha = thief->curve.scale * thief->curve.alpha_us;
    double alone = start + alpha + lease->count / rate;
    struct policy_slot other = slot_policy(victim->slot, victim, sched->now_us);
    double other_rate = policy_rate(&other, &limits);
    double shared =
        (lease->count + rate * (start + alpha) + other_rate * lease->start_us) / (rate + other_rate);
    return shared > lease->start_us ? shared : alone;
}

static bool recall_for(struct sched *sched, const struct slot_model *thief, const struct job *job)
{
    const struct fill *fill = &sched->pools[job->model].fill;
    int seen = 0;
    for (struct fill_slot *at = fill_last(fill); at && seen < VICTIMS; at = fill_previous(fill, at), seen++) {
        const struct slot_model *victim = at->owner;
        struct slot *slot = victim->slot;
        if (slot == thief->slot || slot->leases_count < 2)
            continue;
        struct lease *lease = &slot->leases[slot->leases_count - 1];
        double now = (double)sched->now_us, left_us = lease->end_us - now;
        if (lease->recalled || lease->expired || lease->job != job->id || left_us < RECALL_MIN_US)
            continue;
        if (shared_end_us(sched, thief, lease, victim) - now > RECALL_GAIN * left_us)
            continue;
        lease->recalled = true;
        state_emit(sched, &(struct sched_action){ .type = SCHED_RECALL,
                                                  .worker = slot->worker,
                                                  .slot = slot->index,
                                                  .job = lease->job,
                                                  .term = lease->term,
                                                  .attempt = lease->attempt });
        return true;
    }
    return false;
}

static void recall(struct sched *sched)
{
    int seen = 0;
    for (struct slot *slot = sched->sitting_first; slot && seen < THIEVES;
         slot = slot->next_sitting, seen++) {
        if (slot->leases_count > 0 || !slot_has_room(slot))
            continue;
        for (struct job *job = sched->open; job; job = job->next) {
            const struct slot_model *thief = slot_model_find(slot, job->model);
            if (job->ready.samples > 0 || job->leases == 0 || !thief || thief->state != SLOT_MODEL_READY)
                continue;
            if (!curve_known(&thief->curve) || recall_for(sched, thief, job))
                break;
        }
    }
}

void dispatch(struct sched *sched)
{
    if (sched->paused) {
        sched->look_again_us = UINT64_MAX; /* the end of the pause wakes everybody */
        return;
    }
    sched->declined = false;
    ask_all(sched);
    if (sched->declined)
        for (struct job *job = sched->open; job; job = job->next)
            place_leftovers(sched, job);
    recall(sched);
    bool waiting = false;
    for (struct job *job = sched->open; job && !waiting; job = job->next)
        waiting = job_has_work(job);
    if (!waiting || !sched->sitting_first)
        sched->look_again_us = UINT64_MAX;
    else if (sched->look_again_us <= sched->now_us || sched->look_again_us == UINT64_MAX)
        sched->look_again_us = sched->now_us + LOOK_AGAIN_US;
}
