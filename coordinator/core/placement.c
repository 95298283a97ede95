// SPDX-License-Identifier: Apache-2.0
#include "placement.h"

#include "pool.h"

static const int JOBS_LOOKED_AT = 64;
static const double KEEP_LOADS = 10.0; /* a model used within so many of its load times is not sent away */
static const double KEEP_US = 2e6;
static const double LOAD_STRETCH = 1.5, LOAD_MOMENT_US = 50000;

static bool loading_something(const struct slot *slot)
{
    for (uint32_t i = 0; i < slot->models_count; i++)
        if (slot->models[i]->state == SLOT_MODEL_LOADING)
            return true;
    return false;
}

static double load_us(const struct slot_model *model)
{
    return model->load_us > 0 ? (double)model->load_us : model->slot->info.load_us;
}

/* Does somebody have the job's model, or will soon, whose class is another than this one? */
static bool other_class_has_it(const struct sched *sched, const struct job *job, uint32_t class)
{
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        const struct slot *slot = sched->slots[i];
        const struct member *member = slot->info.class != class ? slot_member(slot, job->pool) : NULL;
        if (member && member->admitted && slot_serves(slot) && state_has_or_will(sched, member->model))
            return true;
    }
    return false;
}

/* Answers wait to be checked, and nobody could but slots of this class. */
static bool needed_for_check(const struct sched *sched, const struct slot_model *model, const struct job *job)
{
    for (uint32_t i = 0; i < job->checks_count && i < JOB_CHECKS_SEEN; i++)
        if (job->checks[i].class != model->slot->info.class)
            return !other_class_has_it(sched, job, job->checks[i].class);
    return false;
}

bool placement_worth(const struct sched *sched, const struct slot_model *model, const struct job *job)
{
    if (needed_for_check(sched, model, job))
        return true;
    double now = (double)sched->now_us;
    double samples = (double)(job->samples - job->claimed.samples);
    double finish = fill_finish_us(state_fill(sched, job), now, samples);
    return now + load_us(model) < finish;
}

/* ---- memory ---- */

static bool in_use(const struct slot_model *model)
{
    for (uint32_t i = 0; i < model->slot->leases_count; i++)
        if (model->slot->leases[i].model == model->model)
            return true;
    return false;
}

/* Are all jobs that want the model there less urgent than this one? */
static bool yields(const struct sched *sched, const struct slot_model *model, const struct job *job)
{
    bool found = false;
    int seen = 0;
    for (const struct job *at = sched->open; at && seen < JOBS_LOOKED_AT; at = at->next, seen++) {
        const struct member *member = slot_member(model->slot, at->pool);
        bool wants = member && member->model == model;
        if (wants && at->priority >= job->priority)
            return false;
        found = found || wants;
    }
    return found;
}

static bool may_go(const struct sched *sched, const struct slot_model *model, const struct job *job)
{
    double keep = KEEP_LOADS * load_us(model), idle = (double)(sched->now_us - model->used_us);
    return model->state == SLOT_MODEL_READY && !in_use(model) &&
           (idle > (keep > KEEP_US ? keep : KEEP_US) || yields(sched, model, job));
}

static struct slot_model *oldest(const struct sched *sched, const struct slot *slot, const struct job *job)
{
    struct slot_model *found = NULL;
    for (uint32_t i = 0; i < slot->models_count; i++) {
        struct slot_model *model = slot->models[i];
        if (may_go(sched, model, job) && (!found || model->used_us < found->used_us))
            found = model;
    }
    return found;
}

static uint64_t memory_taken(const struct slot *slot)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < slot->models_count; i++)
        if (slot->models[i]->state == SLOT_MODEL_READY || slot->models[i]->state == SLOT_MODEL_LOADING)
            bytes += slot->models[i]->memory_bytes;
    return bytes;
}

static void evict(struct sched *sched, struct slot_model *model)
{
    model->state = SLOT_MODEL_UNLOADED;
    state_refresh(sched, model->slot);
    state_emit(sched, &(struct sched_action){ .type = SCHED_UNLOAD,
                                              .worker = model->slot->worker,
                                              .slot = model->slot->index,
                                              .model = model->model });
}

/* A model larger than the whole memory is tried all the same: the figures may be wrong, the device knows. */
static bool make_room(struct sched *sched, struct slot *slot, const struct job *job, uint64_t bytes)
{
    uint64_t memory = slot->info.memory_bytes;
    while (memory > 0 && bytes > 0 && memory_taken(slot) > 0 && memory_taken(slot) + bytes > memory) {
        struct slot_model *model = oldest(sched, slot, job);
        if (!model)
            return false;
        evict(sched, model);
    }
    return true;
}

/* Would there be room if the less urgent jobs let go of the slot? */
static bool room_if_dry(const struct sched *sched, const struct slot *slot, const struct job *job,
                        uint64_t bytes)
{
    uint64_t stay = 0;
    for (uint32_t i = 0; i < slot->models_count; i++) {
        const struct slot_model *model = slot->models[i];
        if (model->state == SLOT_MODEL_READY && !may_go(sched, model, job) && !yields(sched, model, job))
            stay += model->memory_bytes;
    }
    return stay == 0 || stay + bytes <= slot->info.memory_bytes;
}

/* ---- loads ---- */

/* Nobody said how long: for a moment it may be here at once, as a model that stands is. */
static bool late(const struct sched *sched, const struct slot_model *model)
{
    double expected = load_us(model), since = (double)(sched->now_us - model->load_began_us);
    return since > expected * LOAD_STRETCH + LOAD_MOMENT_US;
}

void placement_time(struct sched *sched)
{
    if (!sched->loading)
        return;
    sched->loading = false;
    for (uint32_t i = 0; i < sched->slots_count; i++)
        for (uint32_t k = 0; k < sched->slots[i]->models_count; k++) {
            struct slot_model *model = sched->slots[i]->models[k];
            if (model->state != SLOT_MODEL_LOADING || model->load_late)
                continue;
            model->load_late = late(sched, model);
            sched->loading = sched->loading || !model->load_late;
            state_refresh(sched, sched->slots[i]);
        }
}

static uint64_t need(const struct job *job, uint32_t model)
{
    for (uint32_t i = 0; i < job->variants_count; i++)
        if (job->variants[i].model == model)
            return job->variants[i].memory_bytes;
    return 0;
}

bool placement_load(struct sched *sched, struct slot_model *model, const struct job *job)
{
    struct slot *slot = model->slot;
    uint64_t bytes = need(job, model->model);
    if (loading_something(slot) || slot->barred_until_us > 0 || !placement_worth(sched, model, job))
        return true;
    if (!make_room(sched, slot, job, bytes))
        return !room_if_dry(sched, slot, job, bytes);
    model->state = SLOT_MODEL_LOADING;
    model->load_late = false;
    sched->loading = true;
    model->load_job = job->id;
    model->memory_bytes = bytes;
    model->used_us = model->load_began_us = sched->now_us;
    state_refresh(sched, slot);
    state_emit(sched, &(struct sched_action){ .type = SCHED_LOAD,
                                              .worker = slot->worker,
                                              .slot = slot->index,
                                              .job = job->id,
                                              .model = model->model });
    return true;
}

void placement_idle(struct sched *sched, struct slot *slot)
{
    int seen = 0;
    for (struct job *job = sched->open; job && seen < JOBS_LOOKED_AT; job = job->next, seen++) {
        const struct member *member = slot_member(slot, job->pool);
        if (member && member->admitted && job->leases > 0 && member->model->state == SLOT_MODEL_UNLOADED)
            placement_load(sched, member->model, job);
    }
}

void placement_prefetch(struct sched *sched, const struct job *job)
{
    uint32_t told = UINT32_MAX;
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        const struct slot *slot = sched->slots[i];
        const struct member *member = slot_member(slot, job->pool);
        if (!member || !slot_serves(slot) || slot->leases_count == 0 || slot->worker == told ||
            member->model->state != SLOT_MODEL_UNLOADED)
            continue;
        told = slot->worker;
        state_emit(sched, &(struct sched_action){ .type = SCHED_PREFETCH,
                                                  .worker = told,
                                                  .job = job->id,
                                                  .model = member->model->model });
    }
}
