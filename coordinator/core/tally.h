// SPDX-License-Identifier: Apache-2.0
/* tally - the accounting of one slot in one job. Pure; mergeable. Only results that won are counted as
 * samples and batches. */
#ifndef TALLY_H
#define TALLY_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint64_t samples;           /* answers of this slot that were kept */
    uint64_t batches;           /* runtime calls behind them */
    uint64_t busy_us;           /* time in runtime calls, dropped ones too */
    uint64_t duplicate_samples; /* answers that were dropped because another won */
    uint64_t failed_batches;
    uint64_t overruns;              /* emulated: computation slower than its curve */
    uint32_t best_batch;            /* the batch size the slot settled on; 0 = not yet */
    double energy_joules;           /* sum over batches that knew; see energy_known */
    uint64_t energy_known;          /* batches that knew their energy */
    uint64_t first_us, last_us;     /* step times of its first lease and last result */
    struct histogram batch_latency; /* the runtime call */
};

void tally_init(struct tally *tally);
void tally_merge(struct tally *into, const struct tally *from);

/* The whole tally as bytes for the journal, at most TALLY_BYTES_MAX; little-endian, version first. */
enum { TALLY_BYTES_MAX = 128 + HISTOGRAM_BYTES_MAX };
uint32_t tally_pack(const struct tally *tally, uint8_t bytes[TALLY_BYTES_MAX]);
bool tally_unpack(struct tally *tally, const uint8_t *bytes, uint32_t size);

#endif
