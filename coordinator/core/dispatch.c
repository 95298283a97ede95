// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include "chunk.h"
#include "endgame.h"
#include "ensure.h"

static const uint64_t LOOK_AGAIN_US = 50000;

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
        if (chunk_give(sched, model, job))
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
            endgame_place(sched, job);
    endgame_recall(sched);
    bool waiting = false;
    for (struct job *job = sched->open; job && !waiting; job = job->next)
        waiting = job_has_work(job);
    if (!waiting || !sched->sitting_first)
        sched->look_again_us = UINT64_MAX;
    else if (sched->look_again_us <= sched->now_us || sched->look_again_us == UINT64_MAX)
        sched->look_again_us = sched->now_us + LOOK_AGAIN_US;
}
