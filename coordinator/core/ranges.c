// SPDX-License-Identifier: Apache-2.0
/* The intervals lie in blocks of at most BLOCK, and the blocks in one array: with a hundred thousand chunks
 * in flight a search touches a few lines of memory, where a tree of single intervals would touch one a level.
 * The array of blocks moves only when a block is split or goes, once in many changes. */
#include "ranges.h"

#include "ensure.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 128, BLOCK_FIRST = 2 };

struct range {
    uint64_t first, end;
};

struct ranges_block {
    uint64_t first; /* of its first interval; it has one */
    uint32_t count, capacity;
    struct range *at;
};

struct place {
    uint32_t block, index;
};

void ranges_init(struct ranges *ranges) { *ranges = (struct ranges){ 0 }; }

void ranges_fini(struct ranges *ranges)
{
    for (uint32_t i = 0; i < ranges->blocks_count; i++)
        free(ranges->blocks[i].at);
    free(ranges->blocks);
    ranges_init(ranges);
}

/* ---- blocks ---- */

static void reserve(struct ranges_block *block, uint32_t count)
{
    if (count <= block->capacity)
        return;
    block->capacity = block->capacity ? block->capacity : BLOCK_FIRST;
    while (block->capacity < count)
        block->capacity *= 2;
    void *grown = realloc(block->at, block->capacity * sizeof *block->at);
    ENSURE(grown);
    block->at = grown;
}

static void block_add(struct ranges *ranges, uint32_t index)
{
    if (ranges->blocks_count == ranges->blocks_capacity) {
        ranges->blocks_capacity = ranges->blocks_capacity ? 2 * ranges->blocks_capacity : 1;
        void *grown = realloc(ranges->blocks, ranges->blocks_capacity * sizeof *ranges->blocks);
        ENSURE(grown);
        ranges->blocks = grown;
    }
    struct ranges_block *block = &ranges->blocks[index];
    memmove(block + 1, block, (ranges->blocks_count - index) * sizeof *block);
    *block = (struct ranges_block){ 0 };
    ranges->blocks_count++;
}

static void block_remove(struct ranges *ranges, uint32_t index)
{
    struct ranges_block *block = &ranges->blocks[index];
    free(block->at);
    ranges->blocks_count--;
    memmove(block, block + 1, (ranges->blocks_count - index) * sizeof *block);
}

/* Append its intervals from `from` on to another block. */
static void block_hand_over(struct ranges_block *block, uint32_t from, struct ranges_block *to)
{
    uint32_t count = block->count - from;
    reserve(to, to->count + count);
    memcpy(to->at + to->count, block->at + from, count * sizeof *to->at);
    to->count += count;
    to->first = to->at[0].first;
    block->count = from;
}

/* Few blocks are nearly empty: one that became so is joined with the next. */
static void block_join(struct ranges *ranges, uint32_t index)
{
    struct ranges_block *block = &ranges->blocks[index];
    if (index + 1 == ranges->blocks_count || block[0].count + block[1].count > BLOCK / 2)
        return;
    block_hand_over(&block[1], 0, &block[0]);
    block_remove(ranges, index + 1);
}

/* ---- places ---- */

/* The first interval with an end > from; past the last block if there is none. */
static struct place seek(const struct ranges *ranges, uint64_t from)
{
    uint32_t low = 0, high = ranges->blocks_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (ranges->blocks[middle].first <= from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return (struct place){ 0, 0 };
    const struct ranges_block *block = &ranges->blocks[low - 1];
    uint32_t first = 0, last = block->count;
    while (first < last) {
        uint32_t middle = (first + last) / 2;
        if (block->at[middle].end <= from)
            first = middle + 1;
        else
            last = middle;
    }
    return first < block->count ? (struct place){ low - 1, first } : (struct place){ low, 0 };
}

static struct range *range_at(const struct ranges *ranges, struct place place)
{
    return place.block < ranges->blocks_count ? &ranges->blocks[place.block].at[place.index] : NULL;
}

static struct place after(const struct ranges *ranges, struct place place)
{
    bool more = place.index + 1 < ranges->blocks[place.block].count;
    return more ? (struct place){ place.block, place.index + 1 } : (struct place){ place.block + 1, 0 };
}

static void split(struct ranges *ranges, struct place *place)
{
    block_add(ranges, place->block + 1);
    struct ranges_block *block = &ranges->blocks[place->block];
    block_hand_over(block, BLOCK / 2, block + 1);
    if (place->index > BLOCK / 2) {
        place->block++;
        place->index -= BLOCK / 2;
    }
}

static void put(struct ranges *ranges, struct place place, uint64_t first, uint64_t end)
{
    if (ranges->blocks_count == 0)
        block_add(ranges, 0);
    if (place.block == ranges->blocks_count) {
        place.block--;
        place.index = ranges->blocks[place.block].count;
    }
    if (ranges->blocks[place.block].count == BLOCK)
        split(ranges, &place);
    struct ranges_block *block = &ranges->blocks[place.block];
    reserve(block, block->count + 1);
    struct range *at = &block->at[place.index];
    memmove(at + 1, at, (block->count - place.index) * sizeof *at);
    *at = (struct range){ first, end };
    block->count++;
    block->first = block->at[0].first;
    ranges->samples += end - first;
    ranges->intervals++;
}

/* What was after it may be at place now, and what was before it is where it was. */
static void drop(struct ranges *ranges, struct place place)
{
    struct ranges_block *block = &ranges->blocks[place.block];
    struct range *at = &block->at[place.index];
    ranges->samples -= at->end - at->first;
    ranges->intervals--;
    block->count--;
    memmove(at, at + 1, (block->count - place.index) * sizeof *at);
    if (block->count == 0) {
        block_remove(ranges, place.block);
        return;
    }
    block->first = block->at[0].first;
    block_join(ranges, place.block);
}

/* Another extent, which meets no other interval. */
static void resize(struct ranges *ranges, struct place place, uint64_t first, uint64_t end)
{
    struct range *range = range_at(ranges, place);
    ranges->samples += (end - first) - (range->end - range->first);
    *range = (struct range){ first, end };
    ranges->blocks[place.block].first = ranges->blocks[place.block].at[0].first;
}

/* ---- changes and looks ---- */

void ranges_add(struct ranges *ranges, uint64_t first, uint64_t end)
{
    if (first >= end)
        return;
    struct place place = seek(ranges, first > 0 ? first - 1 : 0);
    const struct range *range = range_at(ranges, place), *next;
    if (!range || range->first > end) {
        put(ranges, place, first, end);
        return;
    }
    if (range->first <= first && range->end >= end)
        return;
    first = range->first < first ? range->first : first;
    end = range->end > end ? range->end : end;
    struct place then = after(ranges, place);
    for (next = range_at(ranges, then); next && next->first <= end; next = range_at(ranges, then)) {
        end = next->end > end ? next->end : end;
        drop(ranges, then);
        then = after(ranges, place);
    }
    resize(ranges, place, first, end);
}

uint64_t ranges_remove(struct ranges *ranges, uint64_t first, uint64_t end)
{
    uint64_t before = ranges->samples;
    if (first >= end)
        return 0;
    struct place place = seek(ranges, first);
    const struct range *at = range_at(ranges, place);
    while (at && at->first < end) {
        struct range range = *at;
        if (range.first < first) {
            resize(ranges, place, range.first, first);
            place = after(ranges, place);
            if (range.end > end) {
                put(ranges, place, end, range.end);
                break; /* the place may be another's now */
            }
        } else if (range.end > end) {
            resize(ranges, place, end, range.end);
        } else {
            drop(ranges, place);
            place = seek(ranges, first);
        }
        at = range_at(ranges, place);
    }
    return before - ranges->samples;
}

uint64_t ranges_overlap(const struct ranges *ranges, uint64_t first, uint64_t end)
{
    uint64_t sum = 0, low, high;
    while (first < end && ranges_next(ranges, first, &low, &high) && low < end) {
        sum += (high < end ? high : end) - low;
        first = high;
    }
    return sum;
}

bool ranges_next(const struct ranges *ranges, uint64_t from, uint64_t *first, uint64_t *end)
{
    const struct range *range = range_at(ranges, seek(ranges, from));
    if (!range)
        return false;
    *first = range->first > from ? range->first : from;
    *end = range->end;
    return true;
}

bool ranges_gap(const struct ranges *ranges, uint64_t from, uint64_t limit, uint64_t *first, uint64_t *end)
{
    uint64_t low, high;
    while (from < limit) {
        if (!ranges_next(ranges, from, &low, &high) || low >= limit) {
            *first = from;
            *end = limit;
            return true;
        }
        if (low > from) {
            *first = from;
            *end = low;
            return true;
        }
        from = high;
    }
    return false;
}

void ranges_check(const struct ranges *ranges)
{
    uint64_t samples = 0, intervals = 0, last = 0;
    for (uint32_t i = 0; i < ranges->blocks_count; i++) {
        const struct ranges_block *block = &ranges->blocks[i];
        ENSURE(block->count > 0 && block->count <= block->capacity && block->capacity <= BLOCK);
        ENSURE(block->first == block->at[0].first);
        for (uint32_t k = 0; k < block->count; k++) {
            const struct range *range = &block->at[k];
            ENSURE(range->first < range->end && (intervals == 0 || range->first > last));
            samples += range->end - range->first;
            last = range->end;
            intervals++;
        }
    }
    ENSURE(samples == ranges->samples && intervals == ranges->intervals);
}
