// SPDX-License-Identifier: Apache-2.0
/* queue - whose turn is it? Which job a slot with room should serve. Pure, private.
 *
 * Jobs with something to lease stand in queues, one per (priority, tenant, pool): the jobs of a queue differ
 * only in age, so that a slot that one of them cannot use need not look at the others. In this order:
 *
 *      priorities    strict, with ageing: a queue that got nothing for AGE_US counts as one higher
 *      tenants       the least device time per weight first (start-time fair queueing, Goyal et al. 1996):
 *                    who comes back starts where those are who wait for the same slots
 *      deadlines     the earliest first
 *      levels        a job sinks as it takes device time; levels share 8 : 4 : 2 : 1, so that short jobs
 *                    pass long ones and none starves (discretised least attained service, Gu et al.,
 *                    Tiresias, NSDI 2019)
 *      submission    in its order
 *
 * Device time is normalised: a microsecond of any slot counts alike, expected when leased and corrected when
 * the result says what it took. */
#ifndef QUEUE_H
#define QUEUE_H

#include "job.h"
#include "sched.h"
#include "treap.h"

enum { QUEUE_LEVELS = 5, QUEUE_DEADLINES = 0 }; /* level 0: jobs with deadlines, always first */

struct tenant {
    double weight;        /* > 0 */
    double used_us;       /* device time, less what was forgiven when it came back after idling */
    double charged_us;    /* device time of all its leases, for accounts */
    uint32_t slots_held;  /* slots with a lease of it */
    uint32_t slots_quota; /* 0 = none */
    uint64_t runnable;    /* jobs in its queues */
};

struct queue {
    int32_t priority;
    uint32_t tenant, pool;
    uint64_t served_us; /* last lease from here, or when it was empty last */
    uint64_t count;
    struct treap_node *jobs[QUEUE_LEVELS];
    double used_us[QUEUE_LEVELS]; /* device time over the level's weight */
};

struct queues {
    struct tenant tenants[SCHED_TENANTS_MAX];
    uint32_t count, capacity;
    struct queue *
        *at; /* ascending by (priority descending, tenant, pool); never removed while a job may come */
    uint64_t waiting; /* jobs in all of them */
    double floor_us;  /* most device time per weight of a tenant when it was served: who comes back while
                       * nobody waits for the same slots starts here */
};

void queues_init(struct queues *queues);
void queues_fini(struct queues *queues);

/* Put the job where it belongs if it has work and stands nowhere, take it out if it has none. After anything
 * that may have changed that. */
void queue_touch(struct queues *queues, struct job *job, uint64_t now_us);
void queue_leave(struct queues *queues, struct job *job); /* before its priority, deadline or pool changes */

/* Visits jobs in the order in which a slot should try them until visit returns false. able says which queues
 * the slot may serve. */
typedef bool queue_able(void *context, const struct queue *queue);
typedef bool queue_visit(void *context, struct job *job);
void queue_walk(struct queues *queues, uint64_t now_us, queue_able *able, queue_visit *visit, void *context);

bool queues_waiting(const struct queues *queues); /* somebody has something to lease */

/* A lease of expected length was given to job; slots: how many could run it. */
void queue_charge(struct queues *queues, struct job *job, double expected_us, uint64_t slots,
                  uint64_t now_us);
/* What was charged was wrong by this much: a result took longer (positive), or a lease was lost (negative).
 */
void queue_correct(struct queues *queues, uint32_t tenant, double us);

void queues_check(const struct queues *queues, struct job *const *jobs, uint32_t jobs_count);

#endif
