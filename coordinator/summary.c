// SPDX-License-Identifier: Apache-2.0
#include "summary.h"

#include <string.h>

enum { SUMMARY_VERSION = 1, HEAD_BYTES = 1 + 4 * 8 };

void summary_init(struct summary *summary)
{
    memset(summary, 0, sizeof *summary);
    histogram_init(&summary->latency);
}

void summary_add(struct summary *summary, const struct sched_job_look *look)
{
    summary->attempts += look->attempts;
    summary->duplicates += look->duplicates;
    summary->bound_us = look->bound_us; /* 0 too: one of an earlier life says nothing of the whole job */
    if (look->settled_us && look->settled_us >= look->added_us && !summary->makespan_us)
        summary->makespan_us = look->settled_us - look->added_us;
    if (look->latency)
        histogram_merge(&summary->latency, look->latency);
}

static void put(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t summary_pack(const struct summary *summary, uint8_t bytes[SUMMARY_BYTES_MAX])
{
    bytes[0] = SUMMARY_VERSION;
    put(bytes + 1, summary->attempts);
    put(bytes + 9, summary->duplicates);
    put(bytes + 17, summary->bound_us);
    put(bytes + 25, summary->makespan_us);
    return (uint32_t)(HEAD_BYTES + histogram_pack(&summary->latency, bytes + HEAD_BYTES));
}

bool summary_unpack(struct summary *summary, const uint8_t *bytes, size_t size)
{
    summary_init(summary);
    if (size < HEAD_BYTES || bytes[0] != SUMMARY_VERSION ||
        !histogram_unpack(&summary->latency, bytes + HEAD_BYTES, size - HEAD_BYTES))
        return false;
    summary->attempts = get(bytes + 1);
    summary->duplicates = get(bytes + 9);
    summary->bound_us = get(bytes + 17);
    summary->makespan_us = get(bytes + 25);
    return true;
}
