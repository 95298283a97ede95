// SPDX-License-Identifier: Apache-2.0
/* ranges - a set of samples as disjoint, never touching intervals [first, end). Pure; O(log intervals) a
 * look, and a change moves a bounded block of memory besides.
 *
 * A job of a billion samples costs what its holes cost. Running out of memory aborts (ENSURE): the number of
 * intervals is bounded by the chunks in flight, which the caller bounds. */
#ifndef RANGES_H
#define RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct ranges {
    struct ranges_block *blocks; /* ascending */
    uint32_t blocks_count, blocks_capacity;
    uint64_t samples; /* sum of the lengths */
    uint64_t intervals;
};

void ranges_init(struct ranges *ranges);
void ranges_fini(struct ranges *ranges);

/* Add [first, end), whatever of it is there already. Nothing if first >= end. */
void ranges_add(struct ranges *ranges, uint64_t first, uint64_t end);

/* Remove what is there of [first, end). Returns how many samples that was. */
uint64_t ranges_remove(struct ranges *ranges, uint64_t first, uint64_t end);

/* How many samples of [first, end) are in the set. */
uint64_t ranges_overlap(const struct ranges *ranges, uint64_t first, uint64_t end);

/* The first interval with an end > from: its part from max(first, from). False if there is none. */
bool ranges_next(const struct ranges *ranges, uint64_t from, uint64_t *first, uint64_t *end);

/* The first gap at or after from and before limit: samples that are not in the set. False if there is none.
 */
bool ranges_gap(const struct ranges *ranges, uint64_t from, uint64_t limit, uint64_t *first, uint64_t *end);

void ranges_check(const struct ranges *ranges);

#endif
