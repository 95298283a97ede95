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

/* ---- when will it end ---- */

struct party {
    uint32_t count;
    struct {
        struct policy_slot view;
        uint32_t best;
    } at[ENDGAME_SLOTS];
    double longest_us; /* batch */
};

static void gather(const struct sched *sched, const struct job *job, struct party *party)
{
    struct policy_limits limits = state_limits(sched, job);
    const struct fill *fill = state_fill(sched, job);
    party->count = 0;
    party->longest_us = 0;
    for (struct fill_slot *at = fill_first(fill); at && party->count < ENDGAME_SLOTS;
         at = fill_next(fill, at)) {
        struct slot_model *model = at->owner;
        struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
        uint32_t best = policy_best_batch(&view, &limits);
        double batch_us = policy_batch_us(&view, best);
        party->at[party->count].view = view;
        party->at[party->count].best = best;
        party->count++;
        party->longest_us = batch_us > party->longest_us ? batch_us : party->longest_us;
    }
}

static bool enough(const struct party *party, double finish_us, uint64_t samples)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < party->count && sum < samples; i++)
        sum += policy_most(&party->at[i].view, party->at[i].best, finish_us);
    return sum >= samples;
}

/* By bisection: no slot needs more than one batch longer than as a fluid. */
static double level_us(const struct party *party, double fluid_us, uint64_t samples)
{
    double low = fluid_us, high = fluid_us + party->longest_us;
    for (int i = 0; i < 20 && !enough(party, high, samples); i++)
        high += party->longest_us; /* not as fast as the pool says: the job has its own batch */
    for (int i = 0; i < 24; i++) {
        double middle = (low + high) / 2;
        *(enough(party, middle, samples) ? &high : &low) = middle;
    }
    return high;
}

double endgame_finish_us(const struct sched *sched, const struct job *job, double fluid_us)
{
    if (state_fill(sched, job)->count > ENDGAME_SLOTS || fluid_us >= FILL_NEVER)
        return fluid_us;
    struct party party;
    gather(sched, job, &party);
    return level_us(&party, fluid_us, job->ready.samples);
}

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
    if (state_fill(sched, job)->count <= ENDGAME_SLOTS)
        return; /* the level finish time has a slot for every sample */
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

/* When would it all end if this lease's samples were ready again? */
static double without_us(const struct sched *sched, const struct job *job, struct fill_slot *victim,
                         const struct lease *lease)
{
    struct fill *fill = state_fill(sched, job);
    const struct slot_model *model = victim->owner;
    double start_us = victim->start_us, rate = victim->rate, now = (double)sched->now_us;
    uint64_t samples = job->ready.samples + lease->count;
    fill_set(fill, victim, lease->start_us, rate);
    double end_us = fill_finish_us(fill, now + RECALL_TRIP_US, (double)samples);
    fill_set(fill, victim, start_us, rate);
    if (end_us >= lease->end_us || fill->count > ENDGAME_SLOTS)
        return end_us;
    struct party party;
    gather(sched, job, &party);
    for (uint32_t i = 0; i < party.count; i++) {
        struct policy_slot *view = &party.at[i].view;
        if (view->curve == &model->curve)
            view->start_us = lease->start_us;
        if (view->start_us < now + RECALL_TRIP_US)
            view->start_us = now + RECALL_TRIP_US;
    }
    return level_us(&party, end_us, samples);
}

static bool recall_for(struct sched *sched, struct job *job)
{
    const struct fill *fill = state_fill(sched, job);
    double now = (double)sched->now_us;
    int seen = 0;
    for (struct fill_slot *at = fill_last(fill); at && seen < VICTIMS; at = fill_previous(fill, at), seen++) {
        struct slot_model *victim = at->owner;
        struct slot *slot = victim->slot;
        if (slot->leases_count < 2)
            continue;
        struct lease *lease = &slot->leases[slot->leases_count - 1];
        double left_us = lease->end_us - now;
        if (left_us < RECALL_MIN_US)
            return false;
        if (lease->recalled || lease->expired || lease->blame.suspected || lease->job != job->id ||
            lease->start_us < now + RECALL_TRIP_US)
            continue;
        if (without_us(sched, job, at, lease) - now > RECALL_GAIN * left_us)
            continue;
        state_recall(sched, slot, lease);
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
            const struct slot_model *thief = state_model(job, slot);
            if (job->ready.samples > 0 || job->leases == 0 || !thief || thief->state != SLOT_MODEL_READY)
                continue;
            if (!curve_known(&thief->curve) || recall_for(sched, job))
                return;
        }
    }
}
