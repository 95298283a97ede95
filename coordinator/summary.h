// SPDX-License-Identifier: Apache-2.0
/* summary - a job's own figures, which belong to no device: kept in the journal beside the shares, under
 * SUMMARY_KEY, so that a report survives a restart. Those of an earlier life and of this one add up. Pure. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include "err.h"
#include "histogram.h"
#include "sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUMMARY_KEY "job"

enum { SUMMARY_BYTES_MAX = 64 + HISTOGRAM_BYTES_MAX };

struct summary {
    uint64_t attempts, duplicates;
    uint64_t bound_us;        /* 0 = unknown */
    uint64_t makespan_us;     /* accepted to last result durable; 0 = not yet */
    struct histogram latency; /* per sample */
};

void summary_init(struct summary *summary);

/* Add what the scheduler has counted in this life. */
void summary_add(struct summary *summary, const struct sched_job_look *look);

uint32_t summary_pack(const struct summary *summary, uint8_t bytes[SUMMARY_BYTES_MAX]);
bool summary_unpack(struct summary *summary, const uint8_t *bytes,
                    size_t size); /* false: not one; then it is empty */

#endif
