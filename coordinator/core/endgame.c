// SPDX-License-Identifier: Apache-2.0
#include "endgame.h"

#include "chunk.h"
#include "ensure.h"

static const int LEFTOVER_CANDIDATES = 64, VICTIMS = 16, THIEVES = 8;
static const double RECALL_MIN_US =
    5000.0; /* a recall costs a round trip and a commit: less than this is not worth it */
static const double RECALL_GAIN =
    0.9; /* the chunk must end in less than this share of the time it has left */
static const double RECALL_TRIP_US = 2000.0;

/* ---- what fits nowhere
 * ------------------------------------------------------------------------------------------------- */

/* Of the slots that could start soonest, the one that would end the rest of the job first. */
static struct slot_model *earliest(const struct sched *sched, const struct job *job)
{
    struct policy_limits limits = state_limits(sched, job);
    const struct fill *fill = state_fill(sched, job);
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

void endgame_place(struct sched *sched, struct job *job)
{
    while (job->ready.samples > 0) {
        struct slot_model *model = earliest(sched, job);
        if (!model || !slot_has_room(model->slot) ||
            (!curve_known(&model->curve) && model->slot->leases_count > 0))
            return; /* it is worth waiting for it, or nobody is there */
        struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
        struct policy_limits limits = state_limits(sched, job);
        if (!chunk_grant_ready(sched, model, job, policy_best_batch(&view, &limits)))
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
    const struct fill *fill = state_fill(sched, job);
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

void endgame_recall(struct sched *sched)
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
