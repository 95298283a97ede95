// SPDX-License-Identifier: Apache-2.0
/* held - the agent's table of leases: found by (term, attempt), listed in order of receipt. Pure, one owner.
 *
 * Each held lease is in the table, and in at most one queue besides: of those whose inputs have not been
 * asked for, or of those that are ready for their slot. Operations are O(1) on average; memory follows the
 * leases held, up to AGENT_LEASES_MAX. */
#ifndef HELD_H
#define HELD_H

#include "agent.h"

enum held_state {
    HELD_WAITING = 0, /* its inputs have not been asked for: in the queue of inputs */
    HELD_FETCHING,    /* GET_INPUT was given */
    HELD_READY,       /* inputs are there: in its slot's queue */
    HELD_POSTED,      /* the executor has it */
    HELD_RUNNING,
    HELD_FINISHED, /* kept until its ACK */
};

struct held {
    struct agent_lease lease;
    enum held_state state;
    bool unqueueing;   /* UNQUEUE was given and RECALLED has not come */
    bool recalled;     /* the coordinator wants it back */
    bool unwanted;     /* nobody wants it any more: drop it once the executor lets go */
    bool ok;           /* FINISHED: it ran well */
    bool input_failed; /* FINISHED: its rows could not be read */
    bool adopted;      /* FINISHED in an earlier life: its job may be unknown */
    uint32_t model;
    uint64_t bytes;                          /* of its input rows */
    uint64_t charged;                        /* of them, what counts against the credit now */
    uint64_t result_bytes;                   /* FINISHED: in memory */
    struct held *older, *newer;              /* all, in order of receipt */
    struct held *queue_before, *queue_after; /* in one queue */
    struct held *bucket_next;
};

struct held_queue {
    struct held *first, *last;
    uint32_t count;
};

struct held_table {
    struct held **buckets;
    uint32_t buckets_count, count;
    struct held *oldest, *newest;
    struct held *spare; /* freed entries, by bucket_next */
};

void held_table_init(struct held_table *table);
void held_table_fini(struct held_table *table);

struct held *held_find(const struct held_table *table, uint64_t term, uint64_t attempt);

/* NULL when the table is full or memory is short. The lease must not be in the table. */
struct held *held_add(struct held_table *table, const struct agent_lease *lease);

/* The entry must be in no queue. */
void held_remove(struct held_table *table, struct held *held);

void held_push(struct held_queue *queue, struct held *held);
void held_unlink(struct held_queue *queue, struct held *held);

/* ENSURE that every entry is found under its name and that the order of receipt is whole. */
void held_table_check(const struct held_table *table);

#endif
