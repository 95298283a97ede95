// SPDX-License-Identifier: Apache-2.0
/* state - the scheduler's tables, shared by its three files: sched (events), dispatch (decisions), look
 * (views). Pure, private.
 *
 *      workers[] --> slots[] --> slot_model[] --(while READY)--> pools[model].fill    which slots could run
 * the model, by start jobs[] (by id), open (by priority)                        settles[]            claimed
 * results on their way to the disk asking: slots with room to be looked at now               sitting: looked
 * at, nothing for them expiry: per slot, its oldest lease                        outbox: actions not yet
 * handed out                       */
#ifndef STATE_H
#define STATE_H

#include "heap.h"
#include "job.h"
#include "slot.h"

struct worker {
    bool known, up;
    uint32_t slots_count;
    struct slot **slots;
};

struct pool {
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

struct sched {
    struct sched_config config;
    uint64_t term, attempt, now_us;
    bool paused, declined;  /* declined: a slot was turned down in this step */
    uint64_t look_again_us; /* sitting slots are asked again then */

    uint32_t workers_count;
    struct worker *workers; /* by worker number */
    uint32_t slots_count;
    struct slot **slots; /* by id - 1 */
    uint32_t pools_count;
    struct pool *pools; /* by model number */

    uint32_t jobs_count, jobs_capacity;
    struct job **jobs; /* ascending by id */
    struct job *open;  /* by priority, then id */

    uint32_t settles_count, settles_free; /* settles_free: 1-based index of the first free one, 0 = none */
    struct settle *settles;

    struct slot *asking_first, *asking_last, *sitting_first, *sitting_last;
    struct heap expiry;

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

struct policy_limits state_limits(const struct sched *sched, const struct job *job); /* job may be NULL */

void state_emit(struct sched *sched, const struct sched_action *action);
void state_drain(struct sched *sched, struct sched_actions *out);

void state_refresh(struct sched *sched,
                   struct slot *slot); /* after its leases or curves changed: pools and expiry */
void state_ask(struct sched *sched, struct slot *slot); /* it may have room: look at it in this step */
void state_unsit(struct sched *sched, struct slot *slot);
void state_wake(struct sched *sched); /* there is more work: look at all that sit */

uint32_t state_settle_new(struct sched *sched, const struct settle *settle);
void state_settle_free(struct sched *sched, uint32_t at);

#endif
