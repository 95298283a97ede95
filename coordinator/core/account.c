// SPDX-License-Identifier: Apache-2.0
#include "account.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 8 }; /* buckets are added in groups of so many */

void account_fini(struct account *account)
{
    free(account->latency);
    *account = (struct account){ 0 };
}

/* Widen what is there so that it holds the bucket too. */
static void widen(struct account *account, uint32_t bucket)
{
    uint32_t first = account->latency_first, end = first + account->latency_count;
    uint32_t low = bucket / STEP * STEP, high = low + STEP;
    if (account->latency_count > 0) {
        low = first < low ? first : low;
        high = end > high ? end : high;
    }
    high = high > HISTOGRAM_BUCKETS ? HISTOGRAM_BUCKETS : high;
    uint64_t *wider = calloc(high - low, sizeof *wider);
    ENSURE(wider);
    if (account->latency_count > 0)
        memcpy(wider + (first - low), account->latency, account->latency_count * sizeof *wider);
    free(account->latency);
    account->latency = wider;
    account->latency_first = low;
    account->latency_count = high - low;
}

void account_add_latency(struct account *account, uint64_t us)
{
    uint32_t bucket = (uint32_t)histogram_bucket(us);
    if (bucket < account->latency_first || bucket - account->latency_first >= account->latency_count)
        widen(account, bucket);
    account->latency[bucket - account->latency_first]++;
    account->latency_max_us = us > account->latency_max_us ? us : account->latency_max_us;
}

void account_tally(const struct account *account, struct tally *tally)
{
    tally_init(tally);
    tally->samples = account->samples;
    tally->batches = account->batches;
    tally->busy_us = account->busy_us;
    tally->duplicate_samples = account->duplicate_samples;
    tally->failed_batches = account->failed_batches;
    tally->overruns = account->overruns;
    tally->best_batch = account->best_batch;
    tally->energy_joules = account->energy_joules;
    tally->energy_known = account->energy_known;
    tally->first_us = account->first_us;
    tally->last_us = account->last_us;
    for (uint32_t i = 0; i < account->latency_count; i++)
        histogram_add_to(&tally->batch_latency, account->latency_first + i, account->latency[i],
                         account->latency_max_us);
}
