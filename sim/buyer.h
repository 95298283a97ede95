// SPDX-License-Identifier: Apache-2.0
/* buyer - which fleet to buy: of a fleet file with ranges (`count: 1..20`), the combination of counts that
 * costs least and still ends the job in time.
 *
 * What a fleet costs is what it costs an hour: the sum of price_per_hour (or, where a ranged item has none,
 * of busy_watts; or else the number of workers). What it takes is simulated. Combinations come in the order
 * of their cost, by a best-first search with the fluid bound: one that even the bound says is too slow is
 * never tried, and the first whose simulation is in time is the cheapest of all. As there may be very many
 * that the bound allows and the simulation refuses, after SIMULATIONS_A_ROUND of them the bound is tightened
 * by as much as the best of them was late, or more; then workers are taken away again while it stays in time.
 * The answer is good but not proven, and says so. */
#ifndef BUYER_H
#define BUYER_H

#include "planner.h"

enum {
    BUYER_RANGES_MAX = 12,
    BUYER_SIMULATIONS_MAX = 200, /* of fleets, each with every seed; as many again to take workers away */
    BUYER_SIMULATIONS_A_ROUND = 24,
    BUYER_NODES_MAX = 300000,
};

enum buyer_currency { BUYER_PRICE, BUYER_WATTS, BUYER_WORKERS };

struct buyer_question {
    struct plan plan;               /* plan.fleet and plan.seed are not used */
    uint64_t seed_first, seed_last; /* a fleet must be in time with each */
    double deadline_seconds;        /* > 0 */
    bool greenest;                  /* watts before price */
    void (*progress)(void *context, uint32_t simulated, double cost); /* may be NULL */
    void *context;
};

/* A fleet that was simulated. Its figures are those of the worst seed; negative = unknown. */
struct buyer_offer {
    bool there;
    uint32_t *counts; /* per group of the fleet; of the answer's memory */
    uint32_t workers;
    double hourly; /* in the currency */
    bool finished;
    double makespan_seconds, bound_seconds;
    double price_per_hour, energy_joules;
    double cost; /* of the whole fleet over the makespan */
};

struct buyer_answer {
    uint32_t *memory;
    enum buyer_currency currency;
    bool exhaustive;              /* nothing cheaper can be in time */
    uint32_t simulated;           /* fleets */
    double combinations;          /* that the ranges allow */
    struct buyer_offer best;      /* there = false: nothing is in time */
    struct buyer_offer runner_up; /* the next in order of cost that is in time, if one was found */
    struct buyer_offer
        near; /* the dearest that is cheaper than best and late; without best, the fastest seen */
};

bool buyer_asks(const struct fleet *fleet); /* has it a range? */

/* Leaves fleet with the counts of the best (or of the fastest seen). Free with buyer_answer_fini, also on
 * failure. ERR_LIMIT: too many ranges. */
MUST_USE enum err buyer_ask(struct fleet *fleet, const struct buyer_question *question,
                            struct buyer_answer *answer, struct why *why);
void buyer_answer_fini(struct buyer_answer *answer);

/* For tests: the next combination in order of cost whose bound is within the deadline. */
struct buyer_search;
struct buyer_search *buyer_search_new(const struct fleet *fleet, uint64_t samples, double deadline_seconds,
                                      enum buyer_currency currency);
void buyer_search_free(struct buyer_search **search);
/* False: there is none, or (*gave_up) the search is too large. counts: per group. */
bool buyer_search_next(struct buyer_search *search, uint32_t *counts, double *hourly, bool *gave_up);

#endif
