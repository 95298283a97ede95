// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t CUT_AGAIN_US = 100000, CUT_SLOTS = 2000; /* the more slots, the more it costs */
static const double DEADLINE_SHARE = 0.95; /* plan to be done a little before the deadline */
static const double SAME_COST = 1.01;      /* costs this near are the same: curves are estimates */

void pool_free(struct pool *pool)
{
    require_free(&pool->require);
    require_free(&pool->prefer);
    fill_fini(&pool->fill);
    *pool = (struct pool){ 0 };
}

/* ---- members ---- */

/* The first variant that the slot has the format and the precision for and did not refuse; if it refused all
 * of them, the first. */
static struct slot_model *choose(const struct pool *pool, struct slot *slot)
{
    struct slot_model *chosen = NULL;
    for (uint32_t i = 0; i < pool->variants_count; i++) {
        const struct sched_variant *variant = &pool->variants[i];
        if (!(variant->formats & slot->info.formats) ||
            (variant->precisions && slot->info.precisions && !(variant->precisions & slot->info.precisions)))
            continue;
        struct slot_model *model = slot_model(slot, variant->model);
        ENSURE(model);
        if (model->state != SLOT_MODEL_REFUSED)
            return model;
        chosen = chosen ? chosen : model;
    }
    return chosen;
}

static void enrol(struct sched *sched, uint32_t at, struct slot *slot)
{
    struct pool *pool = &sched->pools[at];
    struct slot_model *model = require_eval(pool->require, slot->info.attributes) ? choose(pool, slot) : NULL;
    if (!model)
        return;
    struct member *member = slot_member_add(slot, at, model);
    ENSURE(member);
    member->preferred = require_eval(pool->prefer, slot->info.attributes);
    member->admitted = true;
    if (slot->up)
        state_refresh(sched, slot);
}

void pool_refused(struct sched *sched, struct slot *slot, const struct slot_model *model)
{
    for (uint32_t i = 0; i < slot->members_count; i++) {
        struct member *member = slot->members[i];
        if (member->model != model)
            continue;
        fill_remove(&sched->pools[member->pool].fill, &member->fill);
        member->model = choose(&sched->pools[member->pool], slot);
        member->fill.owner = member->model;
    }
}

void pool_welcome(struct sched *sched, struct slot *slot)
{
    for (uint32_t i = 0; i < sched->pools_count; i++)
        if (sched->pools[i].used)
            enrol(sched, i, slot);
}

bool pool_allows(const struct sched *sched, const struct slot *slot, uint32_t pool)
{
    const struct member *member = slot_member(slot, pool);
    return sched->pools[pool].used && member && member->admitted;
}

static void disband(struct sched *sched, uint32_t at)
{
    struct pool *pool = &sched->pools[at];
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct member *member = slot_member(sched->slots[i], at);
        if (!member)
            continue;
        fill_remove(&pool->fill, &member->fill);
        slot_member_remove(sched->slots[i], at);
    }
    pool_free(pool);
}

/* ---- pools ---- */

static bool parse(const char *text, struct require **require)
{
    struct why why;
    *require = NULL;
    return !text || !*text || require_restore(text, strlen(text), require, &why) == ERR_OK;
}

static bool same_text(const struct require *a, const struct require *b)
{
    return (!a && !b) || (a && b && strcmp(require_text(a), require_text(b)) == 0);
}

static bool same_variants(const struct pool *a, const struct pool *b)
{
    if (a->variants_count != b->variants_count)
        return false;
    for (uint32_t i = 0; i < a->variants_count; i++)
        if (a->variants[i].model != b->variants[i].model ||
            a->variants[i].formats != b->variants[i].formats ||
            a->variants[i].precisions != b->variants[i].precisions)
            return false;
    return true;
}

static uint32_t find(const struct sched *sched, const struct pool *like)
{
    for (uint32_t i = 0; i < sched->pools_count; i++) {
        const struct pool *pool = &sched->pools[i];
        if (pool->used && pool->owner == like->owner && same_variants(pool, like) &&
            same_text(pool->require, like->require))
            return i;
    }
    return sched->pools_count;
}

static uint32_t place(struct sched *sched)
{
    for (uint32_t i = 0; i < sched->pools_count; i++)
        if (!sched->pools[i].used)
            return i;
    uint32_t count = sched->pools_count;
    state_grow((void **)&sched->pools, &sched->pools_capacity, count + 1, sizeof *sched->pools);
    return sched->pools_count++;
}

bool pool_join(struct sched *sched, struct job *job, const struct sched_event *add)
{
    struct pool like = { .used = true,
                         .variants_count = job->variants_count,
                         .objective = job->objective,
                         .deadline_us = job->deadline_us };
    memcpy(like.variants, job->variants, sizeof like.variants);
    bool good = parse(add->add.require, &like.require) && parse(add->add.prefer, &like.prefer);
    like.owner = like.prefer || like.objective != SCHED_FASTEST ? job->id : 0;
    uint32_t at = good ? find(sched, &like) : 0;
    if (!good || at < sched->pools_count) {
        pool_free(&like);
    } else {
        at = place(sched);
        sched->pools[at] = like;
        fill_init(&sched->pools[at].fill);
        for (uint32_t i = 0; i < sched->slots_count; i++)
            enrol(sched, at, sched->slots[i]);
    }
    if (!good)
        return false;
    job->pool = at;
    sched->pools[at].open++;
    return true;
}

/* A plain pool stays for the model's next job; with a requirement it is one of many and goes. */
void pool_leave(struct sched *sched, struct job *job)
{
    struct pool *pool = &sched->pools[job->pool];
    ENSURE(pool->open > 0);
    if (--pool->open == 0 && (pool->owner || pool->require))
        disband(sched, job->pool);
}

/* ---- objectives ---- */

double pool_cost(const struct sched *sched, const struct pool *pool, const struct slot_model *model)
{
    const struct sched_slot_info *info = &model->slot->info;
    if (pool->objective == SCHED_FASTEST)
        return 0;
    double per_hour = pool->objective == SCHED_CHEAPEST ? info->price_per_hour : info->busy_watts;
    if (per_hour <= 0)
        return -1;
    struct policy_limits limits = state_limits(sched, NULL);
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    double per_second = policy_rate(&view, &limits) * 1e6;
    return pool->objective == SCHED_CHEAPEST ? per_hour / 3600 / per_second : per_hour / per_second;
}

struct candidate {
    struct member *member;
    double cost, rate, start_us;
    uint32_t slot;
};

static int by_cost(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->member->preferred != y->member->preferred)
        return x->member->preferred ? -1 : 1;
    if ((x->cost < 0) != (y->cost < 0))
        return x->cost < 0 ? 1 : -1;
    if (x->cost < y->cost || x->cost > y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static bool usable(const struct sched *sched, const struct slot *slot, const struct member *member)
{
    const struct slot_model *model = member->model;
    return slot_serves(slot) && (model->state == SLOT_MODEL_UNLOADED || state_has_or_will(sched, model));
}

static uint32_t gather(const struct sched *sched, uint32_t at, struct candidate *candidates)
{
    const struct pool *pool = &sched->pools[at];
    struct policy_limits limits = state_limits(sched, NULL);
    uint32_t count = 0;
    double now = (double)sched->now_us;
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct slot *slot = sched->slots[i];
        struct member *member = slot_member(slot, at);
        if (!member || !usable(sched, slot, member) || !curve_known(&member->model->curve))
            continue;
        struct policy_slot view = slot_policy(slot, member->model, sched->now_us);
        double load = member->model->state == SLOT_MODEL_READY ? 0 : slot->info.load_us;
        candidates[count++] =
            (struct candidate){ .member = member,
                                .cost = pool_cost(sched, pool, member->model),
                                .rate = policy_rate(&view, &limits),
                                .start_us = (view.start_us > now ? view.start_us : now) + load,
                                .slot = slot->id };
    }
    return count;
}

/* How many of the candidates, cheapest first, are needed. */
static uint32_t needed(const struct pool *pool, const struct candidate *candidates, uint32_t count,
                       double samples, double now)
{
    if (count == 0)
        return 0;
    double capacity = 0;
    double by = now + ((double)pool->deadline_us - now) * DEADLINE_SHARE;
    for (uint32_t i = 0; i < count; i++) {
        const struct candidate *at = &candidates[i], *best = &candidates[0];
        bool as_good = at->member->preferred == best->member->preferred &&
                       (at->cost < 0 ? best->cost < 0 : at->cost <= best->cost * SAME_COST);
        if (!as_good && (pool->deadline_us == 0 || capacity >= samples))
            return i;
        capacity += by > at->start_us ? at->rate * (by - at->start_us) : 0;
    }
    return count;
}

static void admit(struct sched *sched, struct member *member, bool admitted)
{
    if (member->admitted == admitted)
        return;
    member->admitted = admitted;
    state_refresh(sched, member->model->slot);
    if (admitted)
        state_ask(sched, member->model->slot);
}

void pool_cut(struct sched *sched, const struct job *job)
{
    struct pool *pool = &sched->pools[job->pool];
    if (!pool->owner)
        return;
    pool->cut_again_us = sched->now_us + CUT_AGAIN_US * (1 + sched->slots_count / CUT_SLOTS);
    struct candidate *candidates = calloc(sched->slots_count + 1, sizeof *candidates);
    ENSURE(candidates);
    uint32_t count = gather(sched, job->pool, candidates);
    qsort(candidates, count, sizeof *candidates, by_cost);
    double left = (double)(job->ready.samples + job->suspect_samples);
    uint32_t take = needed(pool, candidates, count, left, (double)sched->now_us);
    for (uint32_t i = 0; i < count; i++)
        admit(sched, candidates[i].member, i < take);
    free(candidates);
}

void pool_cut_all(struct sched *sched)
{
    for (uint32_t i = 0; i < sched->pools_count; i++) {
        const struct pool *pool = &sched->pools[i];
        if (pool->used && pool->owner && pool->cut_again_us <= sched->now_us)
            pool_cut(sched, state_find_job(sched, pool->owner));
    }
}
