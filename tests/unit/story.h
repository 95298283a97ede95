// SPDX-License-Identifier: Apache-2.0
/* story - a stage for scripted stories of the scheduler: workers that load and run what they are told to, in
 * virtual time, with curves that the story chooses, and a store that is done at once. Each step is followed
 * by sched_check. The simulator has the unscripted stories.
 *
 * Worker w has the curve story->workers[w]; each of its slots runs one chunk at a time, in order. What the
 * scheduler said stays in story->log until story_forget. */
#ifndef STORY_H
#define STORY_H

#include "ensure.h"
#include "sched.h"

#include <string.h>

enum { STORY_WORKERS = 40, STORY_LOG = 65536, STORY_LEASES = 512, STORY_JOBS = 64 };

struct story_worker {
    double alpha_us, beta_us; /* the truth */
    uint64_t load_us;
    bool silent;  /* it runs for ever */
    bool refuses; /* it cannot load anything */
};

struct story_lease {
    struct sched_action action;
    uint64_t given_us;
};

struct story {
    struct sched *sched;
    uint64_t now;
    struct sched_actions out; /* of the last step */
    size_t log_count;
    struct sched_action log[STORY_LOG];
    struct story_worker workers[STORY_WORKERS];
    uint64_t slot_free_us[STORY_WORKERS][4]; /* the last chunk there ended */
    size_t leases_count, loads_count;
    struct story_lease leases[STORY_LEASES], loads[STORY_LEASES];
    uint32_t model_of[STORY_JOBS];
    bool hold_loads; /* loads are not answered */
    enum sched_failure (*judge)(const struct story *story, const struct sched_action *lease); /* NULL: good */
    uint64_t done, failed; /* samples stored, and reported as failed */
};

static inline void story_begin(struct story *story)
{
    memset(story, 0, sizeof *story);
    struct sched_config config = { .workers_max = STORY_WORKERS, .slots_max = 100, .jobs_max = STORY_JOBS };
    story->now = 1000000;
    story->sched = sched_new(&config, 1);
    ENSURE(story->sched);
}

static inline void story_end(struct story *story) { sched_free(&story->sched); }

static inline void story_forget(struct story *story) { story->log_count = 0; }

static inline void story_drop_lease(struct story *story, size_t at)
{
    memmove(&story->leases[at], &story->leases[at + 1],
            (story->leases_count - 1 - at) * sizeof story->leases[0]);
    story->leases_count--;
}

/* The chunk that its slot runs, or will run next. */
static inline bool story_is_first(const struct story *story, size_t at)
{
    const struct sched_action *lease = &story->leases[at].action;
    for (size_t i = 0; i < at; i++)
        if (story->leases[i].action.worker == lease->worker && story->leases[i].action.slot == lease->slot)
            return false;
    return true;
}

static inline void story_note(struct story *story, const struct sched_action *action)
{
    ENSURE(story->log_count < STORY_LOG);
    story->log[story->log_count++] = *action;
    struct story_lease entry = { .action = *action, .given_us = story->now };
    if (action->type == SCHED_LEASE) {
        ENSURE(story->leases_count < STORY_LEASES);
        story->leases[story->leases_count++] = entry;
    }
    if (action->type == SCHED_LOAD) {
        ENSURE(story->loads_count < STORY_LEASES);
        story->loads[story->loads_count++] = entry;
    }
    if (action->type == SCHED_JOB_STATE && action->state >= SCHED_JOB_COMPLETE)
        for (size_t i = story->leases_count; i > 0; i--)
            if (story->leases[i - 1].action.job == action->job)
                story_drop_lease(story, i - 1);
}

/* One event; what it asks of the store and of workers with unstarted chunks is answered, and so on. */
static inline void story_step(struct story *story, struct sched_event event)
{
    struct sched_event answers[SCHED_ACTIONS_MAX];
    size_t count = 0;
    sched_step(story->sched, story->now, &event, &story->out);
    sched_check(story->sched);
    for (size_t i = 0; i < story->out.count; i++) {
        const struct sched_action *a = &story->out.at[i];
        story_note(story, a);
        if (a->type == SCHED_STORE || a->type == SCHED_FAIL) {
            *(a->type == SCHED_STORE ? &story->done : &story->failed) += a->count;
            answers[count++] = (struct sched_event){ .type = SCHED_STORED,
                                                     .job = a->job,
                                                     .first = a->first,
                                                     .count = a->count,
                                                     .stored = { a->settle } };
        }
        for (size_t k = 0; a->type == SCHED_RECALL && k < story->leases_count; k++)
            if (story->leases[k].action.attempt == a->attempt && !story_is_first(story, k)) {
                answers[count++] = (struct sched_event){ .type = SCHED_RETURNED,
                                                         .worker = a->worker,
                                                         .slot = a->slot,
                                                         .term = a->term,
                                                         .attempt = a->attempt };
                story_drop_lease(story, k);
            }
    }
    for (size_t i = 0; i < count; i++)
        story_step(story, answers[i]);
}

static inline void story_up(struct story *story, uint32_t worker, struct sched_slot_info info, uint32_t slots)
{
    struct sched_slot_info infos[4] = { info, info, info, info };
    for (uint32_t i = 0; i < slots; i++)
        story->slot_free_us[worker][i] = story->now;
    story_step(story,
               (struct sched_event){ .type = SCHED_WORKER_UP, .worker = worker, .up = { slots, infos } });
}

/* A worker of one slot whose curve the scheduler is told (warm) or not. */
static inline struct sched_slot_info story_info(const struct story *story, uint32_t worker, bool warm)
{
    return (struct sched_slot_info){ .formats = SCHED_FORMAT_SYNTHETIC,
                                     .batch_max = 16,
                                     .window = 2,
                                     .alpha_us = warm ? story->workers[worker].alpha_us : 0,
                                     .beta_us = warm ? story->workers[worker].beta_us : 0 };
}

static inline void story_worker(struct story *story, uint32_t worker, double alpha_us, double beta_us)
{
    story->workers[worker].alpha_us = alpha_us;
    story->workers[worker].beta_us = beta_us;
    story_up(story, worker, story_info(story, worker, true), 1);
}

/* As SCHED_JOB_ADD, any number of failures allowed. */
static inline struct sched_event story_job(uint64_t job, uint64_t samples)
{
    return (struct sched_event){
        .type = SCHED_JOB_ADD,
        .job = job,
        .add = { .formats = SCHED_FORMAT_SYNTHETIC, .samples = samples, .failures_max = UINT64_MAX }
    };
}

static inline void story_add(struct story *story, struct sched_event add)
{
    story->model_of[add.job] = add.add.model;
    story_step(story, add);
}

static inline void story_answer_load(struct story *story, size_t at)
{
    struct sched_action load = story->loads[at].action;
    const struct story_worker *worker = &story->workers[load.worker];
    memmove(&story->loads[at], &story->loads[at + 1], (story->loads_count - 1 - at) * sizeof story->loads[0]);
    story->loads_count--;
    story_step(story, (struct sched_event){ .type = SCHED_LOADED,
                                            .worker = load.worker,
                                            .slot = load.slot,
                                            .loaded = { .model = story->model_of[load.job],
                                                        .ok = !worker->refuses,
                                                        .load_us = worker->load_us } });
}

static inline void story_finish(struct story *story, size_t at, uint64_t run_us)
{
    struct sched_action lease = story->leases[at].action;
    enum sched_failure failure = story->judge ? story->judge(story, &lease) : SCHED_OK;
    story->slot_free_us[lease.worker][lease.slot] = story->now;
    story_drop_lease(story, at);
    story_step(story,
               (struct sched_event){
                   .type = SCHED_RESULT,
                   .worker = lease.worker,
                   .slot = lease.slot,
                   .job = lease.job,
                   .first = lease.first,
                   .count = lease.count,
                   .term = lease.term,
                   .attempt = lease.attempt,
                   .result = { .proven = true, .failure = failure, .run_us = run_us, .energy_joules = -1 } });
}

static inline uint64_t story_time(const struct story *story, const struct sched_action *lease)
{
    const struct story_worker *worker = &story->workers[lease->worker];
    return (uint64_t)(worker->alpha_us + worker->beta_us * (double)lease->count);
}

static inline uint64_t story_ends(const struct story *story, size_t at)
{
    const struct story_lease *lease = &story->leases[at];
    uint64_t free_us = story->slot_free_us[lease->action.worker][lease->action.slot];
    uint64_t start = lease->given_us > free_us ? lease->given_us : free_us;
    return start + story_time(story, &lease->action);
}

/* What happens next, at or before limit: a load, a result or a tick. False: nothing does. */
static inline bool story_next(struct story *story, uint64_t limit)
{
    uint64_t due = sched_deadline_us(story->sched);
    size_t load = SIZE_MAX, result = SIZE_MAX;
    for (size_t i = 0; !story->hold_loads && i < story->loads_count; i++) {
        uint64_t at = story->loads[i].given_us + story->workers[story->loads[i].action.worker].load_us;
        if (at < due || (at == due && load == SIZE_MAX)) {
            due = at;
            load = i;
        }
    }
    for (size_t i = 0; i < story->leases_count; i++)
        if (!story->workers[story->leases[i].action.worker].silent && story_is_first(story, i) &&
            story_ends(story, i) < due) {
            due = story_ends(story, i);
            result = i;
        }
    if (due == UINT64_MAX || due > limit)
        return false;
    story->now = due > story->now ? due : story->now;
    if (result != SIZE_MAX)
        story_finish(story, result, story_time(story, &story->leases[result].action));
    else if (load != SIZE_MAX)
        story_answer_load(story, load);
    else
        story_step(story, (struct sched_event){ .type = SCHED_TICK });
    return true;
}

static inline void story_run_until(struct story *story, uint64_t limit)
{
    for (int steps = 0; story_next(story, limit); steps++)
        ENSURE(steps < 1000000); /* it spins */
    story->now = limit;
}

static inline enum sched_job_state story_state(const struct story *story, uint64_t job)
{
    struct sched_job_look look;
    ENSURE(sched_job_look(story->sched, job, &look));
    return look.state;
}

/* Until the job is over; false: it is not by limit. */
static inline bool story_run_job(struct story *story, uint64_t job, uint64_t limit)
{
    for (int steps = 0; story_state(story, job) < SCHED_JOB_COMPLETE; steps++) {
        ENSURE(steps < 1000000);
        if (!story_next(story, limit))
            return false;
    }
    return true;
}

/* How many samples of the job were leased to the worker, by the log; job 0: of any. */
static inline uint64_t story_leased(const struct story *story, uint64_t job, uint32_t worker)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < story->log_count; i++) {
        const struct sched_action *a = &story->log[i];
        if (a->type == SCHED_LEASE && a->worker == worker && (job == 0 || a->job == job))
            sum += a->count;
    }
    return sum;
}

static inline size_t story_count(const struct story *story, enum sched_action_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < story->log_count; i++)
        count += story->log[i].type == type;
    return count;
}

/* The skip-th action of that type in the log; NULL: there are fewer. */
static inline const struct sched_action *story_find(const struct story *story, enum sched_action_type type,
                                                    size_t skip)
{
    for (size_t i = 0; i < story->log_count; i++)
        if (story->log[i].type == type && skip-- == 0)
            return &story->log[i];
    return NULL;
}

#endif
