// SPDX-License-Identifier: Apache-2.0
#include "chunk.h"

#include "endgame.h"
#include "ensure.h"

static const int RUNS = 16;

void chunk_grant(struct sched *sched, struct slot_model *model, struct job *job, uint64_t first,
                 uint32_t count)
{
    struct slot *slot = model->slot;
    struct policy_slot view = slot_policy(slot, model, sched->now_us);
    uint32_t padded = policy_padded(&view, count), runs = padded ? padded : count;
    double cost = job_cost(job, first, count) * runs / count;
    struct lease lease = { .job = job->id,
                           .first = first,
                           .count = count,
                           .runs = runs,
                           .cost = cost,
                           .smallest = slot_model_smallest(model),
                           .model = model->model,
                           .term = sched->term,
                           .attempt = ++sched->attempt,
                           .leased_us = sched->now_us,
                           .tenant = job->tenant,
                           .alone = slot->leases_count == 0,
                           .charged_us = curve_time_us(&model->curve, cost) };
    sched->queues.tenants[job->tenant].slots_held += !state_holds(slot, job->tenant);
    slot_lease_push(slot, &lease);
    slot->latest = model;
    model->used_us = sched->now_us;
    slot_expect(slot, sched->now_us);
    state_refresh(sched, slot);

    struct account *tally = job_account(job, slot->id, true);
    tally->first_us = tally->first_us ? tally->first_us : sched->now_us;
    job->declined_us = 0;
    job->leases++;
    job->attempts++;
    queue_charge(&sched->queues, job, lease.charged_us, state_fill(sched, job)->count, sched->now_us);
    queue_touch(&sched->queues, job, sched->now_us);
    state_running(sched, job);
    state_emit(sched, &(struct sched_action){ .type = SCHED_LEASE,
                                              .worker = slot->worker,
                                              .slot = slot->index,
                                              .job = job->id,
                                              .first = first,
                                              .count = count,
                                              .model = lease.model,
                                              .term = lease.term,
                                              .attempt = lease.attempt });
}

/* How well would a chunk of most be cut from a run of that length? The larger the better. What was given back
 * lies in small pieces: a slot should not waste a large batch on a small piece, nor leave crumbs that cost
 * somebody a batch each. */
static uint64_t fitness(uint64_t length, uint32_t most)
{
    if (length >= most)
        return length == most ? UINT64_MAX
                              : (UINT64_MAX >> 1) - length; /* the shortest: keep the long ones whole */
    return length * 2 >= most ? (UINT64_MAX >> 1) + length : length;
}

static bool take(struct job *job, uint32_t most, uint32_t limit, uint64_t *first, uint32_t *count)
{
    uint64_t from = 0, low, high, best = 0;
    for (int seen = 0; seen < RUNS && ranges_next(&job->ready, from, &low, &high); seen++) {
        if (fitness(high - low, most) > best) {
            best = fitness(high - low, most);
            *first = low;
            *count = job_count_within(job, low, most, high - low < limit ? (uint32_t)(high - low) : limit);
        }
        from = high;
    }
    if (best > 0)
        ranges_remove(&job->ready, *first, *first + *count);
    return best > 0;
}

bool chunk_grant_ready(struct sched *sched, struct slot_model *model, struct job *job, uint32_t most)
{
    uint64_t first;
    uint32_t count;
    uint32_t limit = job->cost_before ? model->batch_cap : most;
    if (!take(job, most, limit, &first, &count))
        return false;
    chunk_grant(sched, model, job, first, count);
    return true;
}

static bool give_suspect(struct sched *sched, struct slot_model *model, struct job *job)
{
    struct suspect suspect;
    if (job->suspects_count == 0)
        return false;
    struct able able;
    state_able(sched, job, &able);
    if (!job_suspect_take(job, model->slot->id, &able, model->batch_cap, &suspect))
        return false;
    chunk_grant(sched, model, job, suspect.first, suspect.count);
    model->slot->leases[model->slot->leases_count - 1].blame = suspect.blame;
    return true;
}

/* The finish time counts on slots that may have other things to do. When the job has been waiting for them
 * for as long as this slot would have taken, the slot takes it: the wait was at most twice as long as it had
 * to be. */
static uint32_t waited(const struct sched *sched, struct job *job, const struct policy_slot *view,
                       const struct policy_limits *limits)
{
    job->declined_us = job->declined_us ? job->declined_us : sched->now_us;
    uint32_t best = policy_best_batch(view, limits);
    uint32_t n = job->ready.samples < best ? (uint32_t)job->ready.samples : best;
    double since_us = (double)(sched->now_us - job->declined_us);
    return view->start_us <= (double)sched->now_us && since_us > policy_batch_us(view, n) ? n : 0;
}

static bool give_ready(struct sched *sched, struct slot_model *model, struct job *job)
{
    if (job->ready.samples == 0)
        return false;
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    struct policy_limits limits = state_limits(sched, job);
    /* one batch at a time while each one's time decides the size of the next */
    if (model->slot->leases_count > 0 && policy_exploring(&view, &limits))
        return false;
    if (!curve_known(&model->curve))
        return chunk_grant_ready(sched, model, job, policy_best_batch(&view, &limits));
    double finish_us =
        fill_finish_us(state_fill(sched, job), (double)sched->now_us, (double)job_ready_units(job));
    uint32_t most = policy_chunk(&view, &limits, job_ready_units(job), finish_us);
    if (most < policy_best_batch(&view, &limits))
        most = policy_chunk(&view, &limits, job_ready_units(job), endgame_finish_us(sched, job, finish_us));
    if (most == 0)
        most = waited(sched, job, &view, &limits);
    return most > 0 && chunk_grant_ready(sched, model, job, most);
}

/* Stored samples that this class of device shall run again. */
static bool give_check(struct sched *sched, struct slot_model *model, struct job *job)
{
    struct policy_slot view = slot_policy(model->slot, model, sched->now_us);
    struct policy_limits limits = state_limits(sched, job);
    struct check check;
    if (!job_check_take(job, model->slot->info.class, policy_best_batch(&view, &limits), &check))
        return false;
    chunk_grant(sched, model, job, check.first, check.count);
    struct lease *lease = &model->slot->leases[model->slot->leases_count - 1];
    lease->check = true;
    lease->check_class = check.class;
    job->checks_leased++;
    return true;
}

bool chunk_give(struct sched *sched, struct slot_model *model, struct job *job)
{
    if (give_suspect(sched, model, job))
        return true;
    return model->slot->barred_until_us == 0 &&
           (give_check(sched, model, job) || give_ready(sched, model, job));
}
