// SPDX-License-Identifier: Apache-2.0
/* planner - what would a job take on this fleet? One simulated run, with time, energy and money.
 *
 * The run is the world's, with the real scheduler, or a baseline's on the same scenario. One seed is one
 * history; only wall_seconds differs between two runs of it. */
#ifndef PLANNER_H
#define PLANNER_H

#include "baseline.h"
#include "scenario.h"
#include "sched.h"

enum { PLAN_REASON_MAX = 320 };

/* More batches than this are refused: it is about twenty minutes of simulating. */
#define PLAN_BATCHES_MAX 300e6

struct plan {
    const struct fleet *fleet;
    uint64_t samples, seed;
    bool warm;
    enum scenario_faults faults;
    double sample_bytes;             /* of inputs over links; 0 = they cost nothing */
    const struct baseline *baseline; /* NULL = Motley's own scheduler */
    enum sched_objective objective;
    double deadline_seconds; /* told to the scheduler; 0 = none */
    void (*progress)(void *context, uint64_t samples_kept, uint64_t batches); /* often; may be NULL */
    void *context;
};

/* Negative is unknown, as for a fleet whose prices are not all given. */
struct plan_outcome {
    bool finished;
    char reason[PLAN_REASON_MAX]; /* why it did not finish, or what the checker found; "" = all is well */
    uint64_t done, lost, duplicated, failed, duplicates, batches, events, trace_hash;
    double makespan_seconds; /* negative: it did not finish */
    double bound_seconds;  /* fleet_bound_seconds, apart from all schedulers; with drawn faults the world's */
    double energy_joules;  /* of all workers while they were up */
    double cost;           /* of the time that batches ran: what objective cheapest saves */
    double price_per_hour; /* of the whole fleet, ... */
    double fleet_cost;     /* ... over the makespan */
    double wall_seconds;
    uint32_t workers_count;
    struct world_worker_figures *workers;
    uint64_t *last_us; /* of each worker: the end of its last batch that was kept */
};

/* How long plan_run will take on a usual machine; negative: not known, or more than it does. */
double plan_estimate_seconds(const struct plan *plan);

/* ERR_LIMIT: too many batches to simulate, said with how long it would take. What the fleet or the policy did
 * is in outcome, also when it did not finish. Free with plan_outcome_fini, also on failure. */
MUST_USE enum err plan_run(const struct plan *plan, struct plan_outcome *outcome, struct why *why);
void plan_outcome_fini(struct plan_outcome *outcome);

/* Of one worker; negative = unknown. */
double plan_worker_cost(const struct fleet_worker *worker, const struct world_worker_figures *figures);
double plan_worker_energy(const struct fleet_worker *worker, const struct world_worker_figures *figures);

/* Run the same history again and draw it into path. */
MUST_USE enum err plan_draw(const struct plan *plan, const struct plan_outcome *outcome, const char *path,
                            struct why *why);

#endif
