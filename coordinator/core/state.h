// SPDX-License-Identifier: Apache-2.0
/* state - the scheduler's tables, shared by its files: sched (events), dispatch, chunk and endgame
 * (decisions), pool, placement and trust (who may), look, forecast and explain (views). Pure, private.
 *
 *      workers[] --> slots[] --> members[] --(while it could serve)--> pools[].fill
 *      jobs[]     by id; `open` lists those that are not over
 *      queues     the jobs that have something to lease
 *      settles[]  claimed results on their way to the disk
 *      asking     slots with room, to be looked at now
 *      sitting    those that were looked at: nothing for them
 *      expiry     per slot, its oldest lease
 *      outbox     actions that were not handed out yet */
#ifndef STATE_H
#define STATE_H

#include "heap.h"
#include "job.h"
#include "queue.h"
#include "require.h"
#include "slot.h"

struct worker {
    bool known, up;
    uint32_t slots_count;
    struct slot **slots;
};

/* pool.h */
struct pool {
    bool used;
    uint32_t variants_count; /* of the jobs' model */
    struct sched_variant variants[SCHED_VARIANTS_MAX];
    uint64_t owner; /* the one job that it is for; 0 = all of its model with this requirement */
    struct require *require, *prefer; /* NULL = none */
    enum sched_objective objective;
    uint64_t deadline_us, cut_again_us;
    uint64_t open; /* jobs */
    struct fill fill;
};

/* One result of which samples were claimed: acknowledged to its worker when all its parts are durable. */
struct settle {
    bool used;
    uint32_t next_free;
    uint32_t worker, slot; /* slot: the scheduler's id */
    uint64_t job, term, attempt;
    uint64_t samples;   /* still to become durable */
    uint64_t leased_us; /* 0 = leased in another life */
    bool failed;
};

enum { FORECASTS_KEPT = 256, FORECASTS_LEAST = 20, FORECASTS_SLOTS_MAX = 4096 };

/* How wrong the forecasts of the last jobs were: (end - forecast) / scale, each made when the job came. */
struct forecasts {
    uint32_t count, next;
    double scores[FORECASTS_KEPT];
};

struct sched {
    struct sched_config config;
    uint64_t term, attempt, now_us;
    bool paused, loading;           /* loading: some load may have to be found late */
    uint64_t bars_end_us;           /* the first slot's bar ends then */
    uint64_t look_again_us;         /* sitting slots are asked again then */
    uint32_t sitting_count, waking; /* waking: so many of the first that sit are still to be asked, ... */
    uint64_t hedge_us;              /* a batch may be so late then that it is worth a hedge */
    uint64_t wake_us;               /* ... some of them then */

    uint32_t workers_count;
    struct worker *workers; /* by worker number */
    uint32_t slots_count;
    struct slot **slots; /* by id - 1 */
    uint32_t pools_count, pools_capacity;
    struct pool *pools;

    uint32_t jobs_count, jobs_capacity;
    struct job **jobs;            /* ascending by id */
    struct job *open, *open_last; /* not over yet */
    struct forecasts forecasts;
    struct queues queues; /* those that have something to lease */

    struct tally *look;                   /* what sched_tally showed last */
    uint32_t settles_count, settles_free; /* settles_free: 1-based index of the first free one, 0 = none */
    struct settle *settles;

    struct slot *asking_first, *asking_last, *sitting_first, *sitting_last;
    struct heap expiry;
    struct slot *stale; /* to be refreshed before this step ends; NULL = none is */

    size_t outbox_first, outbox_count, outbox_capacity;
    struct sched_action *outbox;
};

/* ---- what events, decisions and looks have in common ---- */

/* Grow *table so that it has count zeroed entries at least; *have is how many it has. The caller bounds
 * count. */
void state_grow(void **table, uint32_t *have, uint32_t count, size_t size);

uint32_t state_job_index(const struct sched *sched, uint64_t id); /* where it is, or would be, in jobs */
struct job *state_find_job(const struct sched *sched, uint64_t id);
struct slot *state_find_slot(const struct sched *sched, uint32_t worker, uint32_t index);
/* The slots that could run the job, by when they could start. */
struct fill *state_fill(const struct sched *sched, const struct job *job);

/* The file of the job's model that the slot runs, or ran; NULL if it never had to do with it. */
struct slot_model *state_model(const struct job *job, const struct slot *slot);

struct policy_limits state_limits(const struct sched *sched, const struct job *job); /* job may be NULL */

void state_emit(struct sched *sched, const struct sched_action *action);
void state_drain(struct sched *sched, struct sched_actions *out);

void state_refresh(struct sched *sched,
                   struct slot *slot); /* after its leases or curves changed: pools and expiry */
/* The same before this step ends, where one slot more or less weighs little. It will most likely get a lease
 * in this step, and moves once then, not twice. */
void state_refresh_later(struct sched *sched, struct slot *slot);
void state_expiry_again(struct sched *sched, struct slot *slot); /* its item's time came */
void state_ask(struct sched *sched, struct slot *slot); /* it may have room: look at it in this step */
void state_unsit(struct sched *sched, struct slot *slot);
/* There is more work: look at all that sit, a bounded number of them in a step, the others soon after. */
void state_wake(struct sched *sched);
void state_wake_more(struct sched *sched);

/* forecast.h, for the tables: make one; note it when the job comes; learn from how it ended. */
struct forecast;
void forecast_make(const struct sched *sched, const struct job *job, struct forecast *forecast,
                   double *scale_us);
void forecast_remember(struct sched *sched, struct job *job);
void forecast_learn(struct sched *sched, const struct job *job);

void state_recall(struct sched *sched, struct slot *slot, struct lease *lease); /* once is enough */

void state_running(struct sched *sched,
                   struct job *job); /* it has a lease: if it was queued, it is no longer */

/* Does the slot have the model, or will it soon? Loads that are not answered are not waited for for ever. */
bool state_has_or_will(const struct sched *sched, const struct slot_model *model);

/* Slots that could try a suspect of the job now or soon, barred ones too. */
struct able;
void state_able(const struct sched *sched, const struct job *job, struct able *able);

/* A lease is out of its slot's window: its tenant holds the slot no longer, and pays for run_us, not for what
 * was expected. */
void state_lease_over(struct sched *sched, const struct slot *slot, const struct lease *lease, double run_us);
bool state_holds(const struct slot *slot,
                 uint32_t tenant); /* one of its leases is the tenant's, and did not expire */

uint32_t state_settle_new(struct sched *sched, const struct settle *settle);
void state_settle_free(struct sched *sched, uint32_t at);

#endif
