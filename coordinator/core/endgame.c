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
enum { HEDGERS = 16 };
static const int JOBS = 16;
static const uint64_t HEDGE_SHARE = 100;
static const double HEDGE_GAIN = 0.8;

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

/* When would it all end if these samples of the victim were ready again, and it free from start_us on?
 * Without asking further if that is not before end_us. */
static double without_us(const struct sched *sched, const struct job *job, struct fill_slot *victim,
                         uint64_t samples, double start_us, double end_us)
{
    struct fill *fill = state_fill(sched, job);
    const struct slot_model *model = victim->owner;
    double before_us = victim->start_us, rate = victim->rate, now = (double)sched->now_us;
    samples += job->ready.samples;
    fill_set(fill, victim, start_us, rate);
    double fluid_us = fill_finish_us(fill, now + RECALL_TRIP_US, (double)samples);
    fill_set(fill, victim, before_us, rate);
    if (fluid_us >= end_us || fill->count > ENDGAME_SLOTS)
        return fluid_us;
    struct party party;
    gather(sched, job, &party);
    for (uint32_t i = 0; i < party.count; i++) {
        struct policy_slot *view = &party.at[i].view;
        if (view->curve == &model->curve)
            view->start_us = start_us;
        if (view->start_us < now + RECALL_TRIP_US)
            view->start_us = now + RECALL_TRIP_US;
    }
    return level_us(&party, fluid_us, samples);
}

/* Ask the victim's last chunk back if it has not started and all would end sooner without it. */
static bool recall_from(struct sched *sched, const struct job *job, struct fill_slot *victim)
{
    const struct slot_model *model = victim->owner;
    struct slot *slot = model->slot;
    if (slot->leases_count < 2)
        return false;
    struct lease *lease = &slot->leases[slot->leases_count - 1];
    double now = (double)sched->now_us, late_us = 2 * slot_late_us(slot, sched->now_us);
    double start_us = lease->start_us + late_us, left_us = lease->end_us + late_us - now;
    if (lease->recalled || lease->expired || lease->blame.suspected || lease->check ||
        lease->job != job->id || left_us < RECALL_MIN_US || start_us < now + RECALL_TRIP_US)
        return false;
    if (without_us(sched, job, victim, lease->count, start_us, start_us + left_us) - now >
        RECALL_GAIN * left_us)
        return false;
    state_recall(sched, slot, lease);
    return true;
}

/* The slots that are late already, then those that are expected to end last. */
static bool recall_for(struct sched *sched, const struct job *job)
{
    const struct fill *fill = state_fill(sched, job);
    int seen = 0;
    for (struct fill_slot *at = fill_from(fill, 1); at && seen < VICTIMS; at = fill_next(fill, at), seen++) {
        if (at->start_us >= (double)sched->now_us)
            break;
        if (recall_from(sched, job, at))
            return true;
    }
    seen = 0;
    for (struct fill_slot *at = fill_last(fill); at && seen < VICTIMS; at = fill_previous(fill, at), seen++) {
        if (at->start_us < (double)sched->now_us)
            break;
        if (recall_from(sched, job, at))
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

/* ---- hedging ---- */

struct thieves {
    uint32_t count;
    struct slot_model *at[HEDGERS];
    struct policy_slot views[HEDGERS];
};

static void gather_thieves(const struct sched *sched, const struct job *job, struct thieves *thieves)
{
    thieves->count = 0;
    int seen = 0;
    for (struct slot *slot = sched->sitting_first; slot && seen < HEDGERS;
         slot = slot->next_sitting, seen++) {
        const struct member *member = slot_member(slot, job->pool);
        if (slot->leases_count > 0 || !slot_has_room(slot) || !member || !slot_member_ready(slot, member) ||
            !curve_known(&member->model->curve))
            continue;
        thieves->at[thieves->count] = member->model;
        thieves->views[thieves->count++] = slot_policy(slot, member->model, sched->now_us);
    }
}

/* Share samples out so that each thief ends its one batch by end_us; what is left over. */
static uint32_t share_out(const struct sched *sched, const struct job *job, const struct thieves *thieves,
                          double end_us, uint32_t samples, uint32_t *shares)
{
    struct policy_limits limits = state_limits(sched, job);
    for (uint32_t i = 0; i < thieves->count; i++) {
        shares[i] = policy_chunk(&thieves->views[i], &limits, samples, end_us);
        samples -= shares[i];
    }
    return samples;
}

/* The soonest end of samples on the thieves; FILL_NEVER if they cannot take all at once. */
static double hedged_end_us(const struct sched *sched, const struct job *job, const struct thieves *thieves,
                            uint32_t samples, uint32_t *shares)
{
    double low = (double)sched->now_us, high = low + 1e12;
    if (share_out(sched, job, thieves, high, samples, shares) > 0)
        return FILL_NEVER;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        *(share_out(sched, job, thieves, middle, samples, shares) > 0 ? &low : &high) = middle;
    }
    share_out(sched, job, thieves, high, samples, shares);
    return high;
}

static void hedge(struct sched *sched, struct job *job, struct lease *lease, const struct thieves *thieves,
                  const uint32_t *shares, uint32_t victim)
{
    uint64_t first = lease->first, end = lease->first + lease->count;
    for (uint32_t i = 0; i < thieves->count; i++) {
        if (shares[i] == 0)
            continue;
        struct slot *thief = thieves->at[i]->slot;
        chunk_grant(sched, thieves->at[i], job, first, shares[i]);
        thief->leases[thief->leases_count - 1].partner = victim;
        lease->partner = thief->id;
        first += shares[i];
    }
    ENSURE(first == end);
    ranges_add(&job->doubled, lease->first, end);
    job->hedged += lease->count;
}

static bool may_hedge(const struct job *job, const struct lease *lease)
{
    uint64_t end = lease->first + lease->count;
    return lease->job == job->id && !lease->expired && !lease->check && !lease->blame.suspected &&
           job->hedged + lease->count <= job->samples / HEDGE_SHARE &&
           ranges_overlap(&job->doubled, lease->first, end) == 0 &&
           ranges_overlap(&job->claimed, lease->first, end) == 0;
}

/* Hedge what the victim runs now if that helps, else say when it might. */
static uint64_t consider(struct sched *sched, struct job *job, const struct fill_slot *victim,
                         struct thieves *thieves)
{
    const struct slot_model *model = victim->owner;
    struct slot *slot = model->slot;
    if (slot->leases_count == 0 || !may_hedge(job, &slot->leases[0]))
        return UINT64_MAX;
    struct lease *lease = &slot->leases[0];
    uint32_t shares[HEDGERS];
    double now = (double)sched->now_us, late_us = slot_late_us(slot, sched->now_us);
    double left_us = late_us > 0 ? late_us : lease->end_us - now;
    double end_us = hedged_end_us(sched, job, thieves, lease->count, shares) + RECALL_TRIP_US;
    if (end_us >= FILL_NEVER)
        return UINT64_MAX;
    if (end_us - now < HEDGE_GAIN * left_us) {
        hedge(sched, job, lease, thieves, shares, slot->id);
        gather_thieves(sched, job, thieves);
        return UINT64_MAX;
    }
    double again_us = lease->end_us + (end_us - now) / HEDGE_GAIN + 1;
    return again_us > now ? (uint64_t)again_us : sched->now_us + 1;
}

/* The batches that are late already, then those that are expected to end last. */
static uint64_t hedge_job(struct sched *sched, struct job *job)
{
    const struct fill *fill = state_fill(sched, job);
    struct thieves thieves;
    uint64_t again_us = UINT64_MAX;
    gather_thieves(sched, job, &thieves);
    int seen = 0;
    for (struct fill_slot *next, *at = fill_from(fill, 1); at && seen < VICTIMS && thieves.count > 0;
         at = next, seen++) {
        next = fill_next(fill, at);
        if (at->start_us >= (double)sched->now_us)
            break;
        uint64_t when_us = consider(sched, job, at, &thieves);
        again_us = when_us < again_us ? when_us : again_us;
    }
    seen = 0;
    for (struct fill_slot *previous, *at = fill_last(fill); at && seen < VICTIMS && thieves.count > 0;
         at = previous, seen++) {
        previous = fill_previous(fill, at);
        if (at->start_us < (double)sched->now_us)
            break;
        uint64_t when_us = consider(sched, job, at, &thieves);
        again_us = when_us < again_us ? when_us : again_us;
    }
    return again_us;
}

uint64_t endgame_hedge(struct sched *sched)
{
    uint64_t again_us = UINT64_MAX;
    int seen = 0;
    if (!sched->sitting_first)
        return again_us;
    for (struct job *job = sched->open; job && seen < JOBS; job = job->next, seen++) {
        if (job->leases == 0 || job_has_work(job) || job->hedged >= job->samples / HEDGE_SHARE)
            continue;
        uint64_t when_us = hedge_job(sched, job);
        again_us = when_us < again_us ? when_us : again_us;
    }
    return again_us;
}

void endgame_won(struct sched *sched, const struct job *job, const struct lease *lease)
{
    if (lease->partner == 0)
        return;
    struct slot *slot = sched->slots[lease->partner - 1];
    for (uint32_t i = 1; i < slot->leases_count; i++) {
        struct lease *other = &slot->leases[i];
        if (other->job == job->id && !other->recalled && other->first < lease->first + lease->count &&
            lease->first < other->first + other->count)
            state_recall(sched, slot, other);
    }
}
