// SPDX-License-Identifier: Apache-2.0
/* job - the samples of one job and what became of them. Pure. Private to the core.
 *
 * ready, suspects and claimed are disjoint; what is in none of them is leased. claimed holds SETTLING, DONE
 * and FAILED samples alike: nobody may claim a sample twice. done and failed count the durable ones. */
#ifndef JOB_H
#define JOB_H

#include "account.h"
#include "blame.h"
#include "ranges.h"
#include "sched.h"
#include "treap.h"

#include <stdbool.h>

/* A chunk that failed: run alone until the sample that is to blame is found by halving. */
struct suspect {
    uint64_t first;
    uint32_t count;
    struct blame blame;
};

struct job_tally {
    uint32_t slot; /* id */
    struct account account;
};

/* Stored samples that are to be run again on another class of device than the one that answered them. */
struct check {
    uint64_t first;
    uint32_t count, class;
};

enum { JOB_CHECKS_SEEN = 64 }; /* of those that wait, so many are looked at */

struct queue;

struct job {
    uint64_t id, samples;
    uint32_t variants_count;
    struct sched_variant variants[SCHED_VARIANTS_MAX]; /* the best first */
    uint32_t formats;                                  /* of all of them */
    int32_t priority;
    uint32_t tenant, pool; /* pool: which slots could run it */
    uint64_t deadline_us;  /* step time; 0 = none */
    enum sched_objective objective;
    bool online;
    uint32_t batch;       /* 0 = learned */
    uint32_t batch_fixed; /* the model's static batch axis; 0 = any */
    uint64_t failures_max;
    enum sched_job_state state;
    struct ranges ready, claimed;
    double *cost_before;   /* of each sample, and of all; the mean sample costs 1; NULL = every one does */
    uint64_t done, failed; /* durable */
    bool inherited;        /* some of them settled under an earlier coordinator */
    uint64_t settling;     /* claimed, not durable yet */
    uint64_t suspect_samples;
    uint32_t suspects_count, suspects_capacity;
    struct suspect *suspects;
    uint64_t leases;       /* live in slots' windows */
    struct ranges doubled; /* leased twice: a hedge runs. No part of ready, claimed or a suspect */
    uint64_t hedged;       /* samples that ever were; at most 1 % of all */
    uint64_t duplicates, attempts;
    uint64_t added_us, started_us, settled_us;
    uint64_t declined_us;      /* since its last lease, when a slot was first told to wait; 0 = none was */
    struct histogram *latency; /* NULL = nothing yet: most jobs wait */
    uint32_t tallies_count, tallies_capacity;
    struct job_tally **tallies;  /* ascending by slot id */
    struct job *next, *previous; /* open jobs, in no order that matters */

    struct queue *queue; /* where it waits for slots; NULL = it has nothing to lease */
    struct treap_node queue_node;
    uint32_t level;
    double used_us; /* device time that it was charged */

    uint32_t verify_ppm;
    double verify_credit; /* samples that may be chosen next */
    uint32_t checks_count, checks_capacity;
    struct check *checks;                  /* to be run again; not leased yet */
    uint64_t checks_leased;                /* leases that do */
    double forecast_us, forecast_scale_us; /* when it came; 0 = not known then */
    uint64_t recalls, returned, hedges, hedged_samples, lost, expired,
        failed_batches;          /* what was done for it */
    uint64_t checked, unchecked; /* samples that were run again; that no other class of device could */
};

/* NULL when out of memory. All samples are ready. */
struct job *job_new(const struct sched_event *event, uint64_t now_us);
void job_free(struct job **job);

void job_took(struct job *job, uint64_t us, uint64_t samples); /* from their lease until they were durable */

bool job_open(const struct job *job);       /* QUEUED or RUNNING */
uint64_t job_leased(const struct job *job); /* samples in nobody's set: under lease */
bool job_has_work(const struct job *job);   /* something could be leased now */

/* Choose from the stored [first, first + count) what is to be checked on another class. */
void job_check_choose(struct job *job, uint64_t first, uint64_t count, uint32_t class);
void job_check_push(struct job *job, const struct check *check);
/* Take one that this class may run, at most most samples of it. */
bool job_check_take(struct job *job, uint32_t class, uint32_t most, struct check *check);

/* What samples cost in mean samples: their number, where all cost the same. */
double job_cost(const struct job *job, uint64_t first, uint64_t count);
uint64_t job_ready_units(const struct job *job); /* of the ready ones, rounded up */
/* How many samples from first on cost at most as much as `most` mean ones: at least 1, at most limit. */
uint32_t job_count_within(const struct job *job, uint64_t first, uint32_t most, uint32_t limit);

/* Take up to count samples from the front of ready; false if there is nothing. */
bool job_take(struct job *job, uint32_t count, uint64_t *first, uint32_t *taken);

/* Give samples back that nobody claimed meanwhile. What was leased twice stays leased, once. */
void job_give_back(struct job *job, uint64_t first, uint64_t end);

/* Claim the first part of [from, end) that is still unclaimed; false if there is none. */
bool job_claim(struct job *job, uint64_t from, uint64_t end, uint64_t *first, uint64_t *count);

void job_suspect(struct job *job, uint64_t first, uint32_t count, const struct blame *blame);

/* Take a suspect that this slot may try: one that it has not failed yet, or any if all the able slots have.
 */
bool job_suspect_take(struct job *job, uint32_t slot, const struct able *able, uint32_t most,
                      struct suspect *suspect);

/* The tally of a slot, made at first use (make) or NULL. */
struct account *job_account(struct job *job, uint32_t slot, bool make);

void job_check(const struct job *job);

#endif
