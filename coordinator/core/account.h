// SPDX-License-Identifier: Apache-2.0
/* account - a slot's tally in a job as the scheduler keeps it: the same figures, but of the histogram only
 * the part that is in use, because a slot's latencies lie close together and a hundred thousand slots may
 * take part in a job. Pure. Private to the core; running out of memory aborts. */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "tally.h"

struct account {
    uint64_t samples, batches, busy_us, duplicate_samples, failed_batches,
        overruns; /* all as in struct tally */
    uint32_t best_batch;
    double energy_joules;
    uint64_t energy_known;
    uint64_t first_us, last_us;
    uint64_t latency_max_us;
    uint32_t latency_first, latency_count; /* buckets that are there */
    uint64_t *latency;
};

/* Filled with zeros is a fresh one. */
void account_fini(struct account *account);

/* A batch took so long. */
void account_add_latency(struct account *account, uint64_t us);

void account_tally(const struct account *account, struct tally *tally);

#endif
