// SPDX-License-Identifier: Apache-2.0
#include "endgame.h"

#include "chunk.h"
#include "ensure.h"

static const int VICTIMS = 16, THIEVES = 16;
static const double RECALL_MIN_US =
    5000.0; /* a recall costs a round trip and a commit: less than this is not worth it */
static const double RECALL_GAIN =
    0.9;                              /* the chunk must end in less than this share of the time it has left */
static const double LEVEL_US = 500.0; /* a round trip and a commit cost more */
static const double RECALL_TRIP_US = 2000.0;
static const uint64_t RECALL_AGE_US = 20000;
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
    bool sample;       /* of a larger pool */
};

static void join(const struct sched *sched, const struct policy_limits *limits,
                 const struct slot_model *model, struct party *party)
{
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    uint32_t best = policy_best_batch(&view, limits);
    double batch_us = policy_batch_us(&view, best);
    party->at[party->count].view = view;
    party->at[party->count].best = best;
    party->count++;
    party->longest_us = batch_us > party->longest_us ? batch_us : party->longest_us;
}

/* All slots of the pool, or so many at even distances in the order of start. */
static void gather(const struct sched *sched, const struct job *job, struct party *party)
{
    struct policy_limits limits = state_limits(sched, job);
    const struct fill *fill = state_fill(sched, job);
    party->count = 0;
    party->longest_us = 0;
    party->sample = fill->count > ENDGAME_SLOTS;
    if (party->sample)
        for (uint64_t i = 0; i < ENDGAME_SLOTS; i++)
            join(sched, &limits, fill_at(fill, i * fill->count / ENDGAME_SLOTS)->owner, party);
    else
        for (struct fill_slot *at = fill_first(fill); at; at = fill_next(fill, at))
            join(sched, &limits, at->owner, party);
}

static bool enough(const struct party *party, double finish_us, uint64_t samples)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < party->count && sum < samples; i++)
        sum += policy_most(&party->at[i].view, party->at[i].best, finish_us);
    return sum >= samples;
}

/* What the sampled slots would do by then if work were a fluid: their part of all. */
static uint64_t part_of(const struct party *party, double fluid_us)
{
    double sum = 0;
    for (uint32_t i = 0; i < party->count; i++) {
        const struct policy_slot *view = &party->at[i].view;
        if (view->start_us < fluid_us)
            sum += party->at[i].best * (fluid_us - view->start_us) / policy_batch_us(view, party->at[i].best);
    }
    return sum < 1 ? 1 : sum < 1e18 ? (uint64_t)sum : (uint64_t)1e18;
}

/* By bisection: no slot needs more than one batch longer than as a fluid. */
static double level_us(const struct party *party, double fluid_us, uint64_t samples)
{
    double low = fluid_us, high = fluid_us + party->longest_us;
    if (party->sample)
        samples = part_of(party, fluid_us);
    for (double step = party->longest_us + LEVEL_US; step < FILL_NEVER && !enough(party, high, samples);
         step *= 2)
        high += step; /* not as fast as the pool says: the job has its own batch, or only a few of it */
    while (high - low > LEVEL_US) {
        double middle = (low + high) / 2;
        if (middle <= low || middle >= high)
            break; /* as near as numbers can tell */
        *(enough(party, middle, samples) ? &high : &low) = middle;
    }
    return high;
}

double endgame_finish_us(const struct sched *sched, const struct job *job, double fluid_us)
{
    if (fluid_us >= FILL_NEVER)
        return fluid_us;
    struct party party;
    gather(sched, job, &party);
    return level_us(&party, fluid_us, job_ready_units(job));
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
    samples += job_ready_units(job);
    fill_set(fill, victim, start_us, rate);
    double fluid_us = fill_finish_us(fill, now + RECALL_TRIP_US, (double)samples);
    fill_set(fill, victim, before_us, rate);
    if (fluid_us >= end_us)
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
    if (lease->leased_us + RECALL_AGE_US > sched->now_us)
        return false; /* just decided: to give and recall by turns would never end */
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

/* Is one of those that sit idle and able to help? */
static bool helper_sits(const struct sched *sched, const struct job *job)
{
    int seen = 0;
    for (const struct slot *slot = sched->sitting_first; slot && seen < THIEVES;
         slot = slot->next_sitting, seen++) {
        const struct member *member = slot_member(slot, job->pool);
        if (slot->leases_count == 0 && slot_has_room(slot) && member && slot_member_ready(slot, member))
            return true;
    }
    return false;
}

void endgame_recall(struct sched *sched)
{
    int seen = 0;
    if (!sched->sitting_first)
        return;
    for (struct job *job = sched->open; job && seen < JOBS; job = job->next) {
        seen += job->leases > 0;
        if (job->ready.samples == 0 && job->leases > 0 && helper_sits(sched, job) && recall_for(sched, job))
            return;
    }
}

/* ---- hedging ---- */

static void gather_thieves(const struct sched *sched, const struct job *job, struct party *party,
                           struct slot_model **thieves)
{
    struct policy_limits limits = state_limits(sched, job);
    const struct tenant *tenant = &sched->queues.tenants[job->tenant];
    uint32_t room = tenant->slots_quota == 0                   ? HEDGERS
                    : tenant->slots_held < tenant->slots_quota ? tenant->slots_quota - tenant->slots_held
                                                               : 0; /* idle slots hold no tenant */
    int seen = 0;
    party->count = 0;
    party->longest_us = 0;
    party->sample = false;
    for (struct slot *slot = sched->sitting_first; slot && seen < HEDGERS && party->count < room;
         slot = slot->next_sitting, seen++) {
        const struct member *member = slot_member(slot, job->pool);
        if (slot->leases_count > 0 || !slot_has_room(slot) || !member || !slot_member_ready(slot, member) ||
            !curve_known(&member->model->curve))
            continue;
        thieves[party->count] = member->model;
        join(sched, &limits, member->model, party);
    }
}

/* The first samples of the lease that nobody else has, runs or has answered. */
static uint64_t unhedged(const struct job *job, const struct lease *lease, uint64_t *first)
{
    uint64_t from = lease->first, end = lease->first + lease->count, low, high;
    while (ranges_gap(&job->doubled, from, end, &low, &high)) {
        uint64_t free, free_end;
        if (ranges_gap(&job->claimed, low, high, &free, &free_end)) {
            *first = free;
            return free_end - free;
        }
        from = high;
    }
    return 0;
}

/* The thieves take so many of the samples that all would end by end_us, as far as their windows go. */
static void hedge(struct sched *sched, struct job *job, struct lease *lease, uint32_t victim,
                  struct slot_model *const *thieves, uint32_t count, uint64_t first, uint64_t samples,
                  double end_us)
{
    struct policy_limits limits = state_limits(sched, job);
    for (uint32_t i = 0; i < count; i++) {
        struct slot *thief = thieves[i]->slot;
        while (samples > 0 && slot_has_room(thief)) {
            struct policy_slot view = slot_policy(thief, thieves[i], sched->now_us);
            uint32_t n = policy_chunk(&view, &limits, samples, end_us);
            if (n == 0)
                break;
            ranges_add(&job->doubled, first, first + n);
            job->hedged += n;
            chunk_grant(sched, thieves[i], job, first, n);
            thief->leases[thief->leases_count - 1].partner = victim;
            lease->partner = thief->id;
            first += n;
            samples -= n;
        }
    }
}

/* Hedge what the victim runs now if that helps, else say when it might. */
static uint64_t consider(struct sched *sched, struct job *job, const struct fill_slot *victim)
{
    const struct slot_model *model = victim->owner;
    struct slot *slot = model->slot;
    struct lease *lease = slot->leases_count > 0 ? &slot->leases[0] : NULL;
    if (!lease || lease->job != job->id || lease->expired || lease->check || lease->blame.suspected)
        return UINT64_MAX;
    uint64_t first = 0, samples = unhedged(job, lease, &first);
    struct party party;
    struct slot_model *thieves[HEDGERS];
    gather_thieves(sched, job, &party, thieves);
    if (samples == 0 || job->hedged + samples > job->samples / HEDGE_SHARE || party.count == 0)
        return UINT64_MAX;
    double now = (double)sched->now_us, late_us = slot_late_us(slot, sched->now_us);
    double left_us = late_us > 0 ? late_us : lease->end_us - now;
    double end_us = level_us(&party, now, samples);
    if (end_us + RECALL_TRIP_US - now < HEDGE_GAIN * left_us) {
        hedge(sched, job, lease, slot->id, thieves, party.count, first, samples, end_us);
        return UINT64_MAX;
    }
    double again_us = lease->end_us + (end_us + RECALL_TRIP_US - now) / HEDGE_GAIN + 1;
    return again_us > now ? (uint64_t)again_us : sched->now_us + 1;
}

/* The batches that are late already, then those that are expected to end last. */
static uint64_t hedge_job(struct sched *sched, struct job *job)
{
    const struct fill *fill = state_fill(sched, job);
    uint64_t again_us = UINT64_MAX;
    int seen = 0;
    for (struct fill_slot *next, *at = fill_from(fill, 1); at && seen < VICTIMS; at = next, seen++) {
        next = fill_next(fill, at);
        if (at->start_us >= (double)sched->now_us)
            break;
        uint64_t when_us = consider(sched, job, at);
        again_us = when_us < again_us ? when_us : again_us;
    }
    seen = 0;
    for (struct fill_slot *previous, *at = fill_last(fill); at && seen < VICTIMS; at = previous, seen++) {
        previous = fill_previous(fill, at);
        if (at->start_us < (double)sched->now_us)
            break;
        uint64_t when_us = consider(sched, job, at);
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
    for (struct job *job = sched->open; job && seen < JOBS; job = job->next) {
        seen += job->leases > 0;
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
