// SPDX-License-Identifier: Apache-2.0
#include "look.h"

#include "forecast.h"
#include "state.h"

#include <stdlib.h>

static void count_slots(const struct sched *sched, const struct job *job, struct sched_job_look *look)
{
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        const struct slot *slot = sched->slots[i];
        const struct slot_model *model = state_model(job, slot);
        if (!slot->up || !(slot->info.formats & job->formats))
            continue;
        look->slots_able += !model || model->state != SLOT_MODEL_REFUSED;
        look->slots_loading += model && model->state == SLOT_MODEL_LOADING;
    }
}

static uint64_t eta_us(const struct sched *sched, const struct job *job)
{
    struct forecast forecast;
    double scale;
    if (!job_open(job))
        return 0;
    forecast_make(sched, job, &forecast, &scale);
    return forecast.known ? forecast.done_us - sched->now_us : UINT64_MAX;
}

/* The best rate over all allowed sizes, as the bound has it: no cap, no cost, the device at its healthy
 * speed; and at least what it has really shown, so that no makespan is below its bound because a curve was
 * pessimistic. */
static double best_rate(const struct slot *slot, const struct slot_model *model)
{
    double best = model->best_rate;
    struct policy_slot view = slot_policy(slot, model, 0);
    for (uint32_t i = 0; i == 0 || i < view.sizes_count; i++) {
        uint32_t n = view.sizes_count ? view.sizes[i] : slot->info.batch_max;
        double rate = n / (model->curve.alpha_us + model->curve.beta_us * n);
        best = rate > best ? rate : best;
    }
    return best;
}

/* A slot that took part: from when it was there and had loaded the model until it was lost, counted from the
 * job's start. */
struct part {
    double start_us, stop_us, rate;
};

static uint32_t parts_of(const struct sched *sched, const struct job *job, struct part *parts)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < job->tallies_count; i++) {
        const struct slot *slot = sched->slots[job->tallies[i]->slot - 1];
        const struct slot_model *model = state_model(job, slot);
        if (!model || model->curve.batches == 0)
            continue;
        double added = (double)job->added_us, up = (double)slot->up_us, down = (double)slot->down_us;
        double load = model->ready_us > job->added_us ? (double)model->load_us : 0; /* loaded for this job */
        parts[count++] = (struct part){ .start_us = (up > added ? up - added : 0) + load,
                                        .stop_us = slot->up ? FILL_NEVER : down - added,
                                        .rate = best_rate(slot, model) };
    }
    return count;
}

static double done_by(const struct part *parts, uint32_t count, double time_us)
{
    double done = 0;
    for (uint32_t i = 0; i < count; i++) {
        double end = time_us < parts[i].stop_us ? time_us : parts[i].stop_us;
        done += end > parts[i].start_us ? parts[i].rate * (end - parts[i].start_us) : 0;
    }
    return done;
}

/* The least T by which the parts could have run all samples, by bisection; 0 if it cannot be known: nobody
 * has shown anything, or a part of the work was done under an earlier coordinator. */
static uint64_t bound_us(const struct sched *sched, const struct job *job)
{
    struct part *parts = job->inherited ? NULL : calloc(job->tallies_count + 1, sizeof *parts);
    if (!parts)
        return 0;
    uint32_t count = parts_of(sched, job, parts);
    double low = 0, high = 1e15, samples = (double)job->samples;
    bool known = done_by(parts, count, high) >= samples && job->samples > 0;
    for (int i = 0; known && i < 100; i++) {
        double middle = low + (high - low) / 2;
        *(done_by(parts, count, middle) < samples ? &low : &high) = middle;
    }
    free(parts);
    return known ? (uint64_t)high : 0;
}

bool sched_job_look(const struct sched *sched, uint64_t id, struct sched_job_look *look)
{
    static const struct histogram none;
    const struct job *job = state_find_job(sched, id);
    if (!job)
        return false;
    *look = (struct sched_job_look){
        .state = job->state,
        .samples = job->samples,
        .done = job->done,
        .failed = job->failed,
        .settling = job->settling,
        .leased = job_leased(job),
        .ready = job->ready.samples + job->suspect_samples,
        .duplicates = job->duplicates,
        .attempts = job->attempts,
        .eta_us = eta_us(sched, job),
        .bound_us = bound_us(sched, job),
        .added_us = job->added_us,
        .started_us = job->started_us,
        .settled_us = job->settled_us,
        .latency = job->latency ? job->latency : &none,
    };
    count_slots(sched, job, look);
    return true;
}

const struct tally *sched_tally(const struct sched *sched, uint64_t id, uint32_t worker, uint32_t index)
{
    struct job *job = state_find_job(sched, id);
    const struct slot *slot = state_find_slot(sched, worker, index);
    const struct account *account = job && slot ? job_account(job, slot->id, false) : NULL;
    if (!account)
        return NULL;
    account_tally(account, sched->look);
    return sched->look;
}

bool sched_slot_model(const struct sched *sched, uint64_t id, uint32_t worker, uint32_t index,
                      uint32_t *model)
{
    const struct job *job = state_find_job(sched, id);
    const struct slot *slot = state_find_slot(sched, worker, index);
    const struct member *member = job && slot ? slot_member(slot, job->pool) : NULL;
    if (member)
        *model = member->model->model;
    return member != NULL;
}

bool sched_slot_look(const struct sched *sched, uint32_t worker, uint32_t index, struct sched_slot_look *look)
{
    const struct slot *slot = state_find_slot(sched, worker, index);
    if (!slot)
        return false;
    *look = (struct sched_slot_look){ .up = slot->up,
                                      .in_flight = slot->leases_count,
                                      .window = slot->window.size,
                                      .busy_until_us =
                                          slot->busy_until_us > 0 ? (uint64_t)slot->busy_until_us : 0,
                                      .overdue = slot_overdue(slot) };
    const struct slot_model *running =
        slot->leases_count > 0 ? slot_model_find(slot, slot->leases[0].model) : NULL;
    if (running && running->curve.batches > 0)
        look->oldest_us = curve_time_us(&running->curve, slot->leases[0].cost);
    const struct slot_model *model = slot->latest;
    if (!model)
        return true;
    struct policy_slot view = slot_policy(slot, model, sched->now_us);
    struct policy_limits limits = state_limits(sched, NULL);
    look->alpha_us = model->curve.scale * model->curve.alpha_us;
    look->beta_us = model->curve.scale * model->curve.beta_us;
    look->error = model->curve.error;
    look->curve_samples = model->curve.batches;
    look->best_batch = policy_best_batch(&view, &limits);
    return true;
}
