// SPDX-License-Identifier: Apache-2.0
#include "ranges.h"

#include "ensure.h"

#include <stddef.h>
#include <stdlib.h>

static const struct range *range_of(const struct treap_node *node)
{
    return (const struct range *)(const void *)node;
}

static bool range_less(const struct treap_node *a, const struct treap_node *b)
{
    return range_of(a)->first < range_of(b)->first;
}

static const struct treap_ops range_ops = { .less = range_less };

void ranges_init(struct ranges *ranges) { *ranges = (struct ranges){ 0 }; }

static void drop(struct ranges *ranges, struct range *range)
{
    treap_remove(&ranges->root, &range->node, &range_ops);
    ranges->samples -= range->end - range->first;
    ranges->intervals--;
    free(range);
}

static void put(struct ranges *ranges, uint64_t first, uint64_t end)
{
    struct range *range = calloc(1, sizeof *range);
    ENSURE(range);
    range->first = first;
    range->end = end;
    treap_insert(&ranges->root, &range->node, first, &range_ops);
    ranges->samples += end - first;
    ranges->intervals++;
}

void ranges_fini(struct ranges *ranges)
{
    while (ranges->root)
        drop(ranges, (struct range *)(void *)ranges->root);
}

/* The last interval with first <= at, or NULL. */
static struct range *at_or_before(const struct ranges *ranges, uint64_t at)
{
    struct range *best = NULL;
    for (struct treap_node *node = ranges->root; node;) {
        struct range *range = (struct range *)(void *)node;
        best = range->first <= at ? range : best;
        node = range->first <= at ? node->right : node->left;
    }
    return best;
}

static struct range *after(const struct ranges *ranges, uint64_t at)
{
    struct range key = { .first = at };
    return (struct range *)(void *)treap_after(ranges->root, &key.node, &range_ops);
}

void ranges_add(struct ranges *ranges, uint64_t first, uint64_t end)
{
    if (first >= end)
        return;
    struct range *range = at_or_before(ranges, first);
    if (range && range->end >= end)
        return;
    if (range && range->end >= first) {
        first = range->first;
        drop(ranges, range);
    }
    for (range = after(ranges, first); range && range->first <= end; range = after(ranges, first)) {
        end = range->end > end ? range->end : end;
        drop(ranges, range);
    }
    put(ranges, first, end);
}

uint64_t ranges_remove(struct ranges *ranges, uint64_t first, uint64_t end)
{
    uint64_t before = ranges->samples;
    if (first >= end)
        return 0;
    struct range *range = at_or_before(ranges, first);
    if (!range || range->end <= first)
        range = after(ranges, first);
    while (range && range->first < end) {
        uint64_t low = range->first, high = range->end;
        drop(ranges, range);
        if (low < first)
            put(ranges, low, first);
        if (high > end)
            put(ranges, end, high);
        range = after(ranges, first);
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
    const struct range *range = at_or_before(ranges, from);
    if (!range || range->end <= from)
        range = after(ranges, from);
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
    ENSURE(treap_check(ranges->root, &range_ops) == ranges->intervals);
    uint64_t sum = 0, from = 0, last = 0, low, high;
    while (ranges_next(ranges, from, &low, &high)) {
        ENSURE(low < high && (sum == 0 || low > last));
        sum += high - low;
        from = last = high;
    }
    ENSURE(sum == ranges->samples);
}
