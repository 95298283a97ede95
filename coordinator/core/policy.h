// SPDX-License-Identifier: Apache-2.0
/* policy - how many samples a slot should take. Pure and stateless: the whole decision is in these functions
 * of what the scheduler knows, so that the dispatcher and an explanation of it cannot disagree.
 * docs/scheduling.md has the reasons. */
#ifndef POLICY_H
#define POLICY_H

#include "curve.h"

#include <stdint.h>

/* What the policy may look at of a slot, and no more. */
struct policy_slot {
    const struct curve *curve;
    const uint32_t *sizes; /* allowed batch sizes, ascending; NULL and 0 = any */
    uint32_t sizes_count;
    uint32_t batch_max; /* allowed at most: advertised, and what memory has shown */
    double start_us;    /* when it could start this chunk */
    double cap_us;      /* online requests come here: no batch may keep them longer; 0 = none do */
};

struct policy_limits {
    double chunk_cap_us;  /* no chunk is planned to run longer (one sample always may) ... */
    double chunk_most_us; /* ... unless that costs more than 2 % of the rate: then up to here; 0 = never */
    double chunk_cost_us; /* Motley's own cost of a chunk */
    uint32_t batch;       /* the job's wish, 0 = learned */
};

/* The size a batch of n really runs at: the next allowed size (static shapes are padded). 0 if n is above the
 * largest. */
uint32_t policy_padded(const struct policy_slot *slot, uint32_t n);

/* The best batch: the smallest allowed one within 0.2 % of the best rate, counting Motley's own cost per
 * chunk, within the cap in seconds, and at most sixteen times what the slot has tried. At least 1. */
uint32_t policy_best_batch(const struct policy_slot *slot, const struct policy_limits *limits);

/* The best batch is only the best that was tried so far: a larger one may be better. */
bool policy_exploring(const struct policy_slot *slot, const struct policy_limits *limits);

/* Samples per microsecond at the best batch. */
double policy_rate(const struct policy_slot *slot, const struct policy_limits *limits);

/* How many of ready samples the slot should take now if everything is to end at finish_us (the finish guard:
 * start + time(n) <= finish). 0 = it sits out. */
uint32_t policy_chunk(const struct policy_slot *slot, const struct policy_limits *limits, uint64_t ready,
                      double finish_us);

/* How many samples the slot can end by finish_us, in batches of best and shorter ones where best no longer
 * fits. Not above what a fluid at policy_rate would do: the difference is what the end of a job costs. */
uint64_t policy_most(const struct policy_slot *slot, uint32_t best, double finish_us);

/* How long a batch of n takes, padding included. */
double policy_batch_us(const struct policy_slot *slot, uint32_t n);

#endif
