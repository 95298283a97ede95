// SPDX-License-Identifier: Apache-2.0
/* heap - an intrusive binary min-heap of deadlines. Pure; O(log n); ties go to the lower id, so that order is
 * determined.
 *
 * An item lives inside its owner's struct; the heap holds pointers and grows only in heap_reserve. */
#ifndef HEAP_H
#define HEAP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define HEAP_ABSENT SIZE_MAX

struct heap_item {
    uint64_t key; /* smallest first */
    uint64_t id;  /* tie-break, unique among the items of a heap */
    size_t index; /* place in the heap, HEAP_ABSENT when outside; owned by the heap */
};

struct heap {
    struct heap_item **at;
    size_t count, capacity;
};

void heap_init(struct heap *heap);
void heap_fini(struct heap *heap); /* frees the array, not the items */

/* Make room for capacity items in all. ERR_MEMORY leaves the heap as it was. */
MUST_USE enum err heap_reserve(struct heap *heap, size_t capacity);

/* Put item in (absent) or move it (present) to key. There must be room: count < capacity. */
void heap_set(struct heap *heap, struct heap_item *item, uint64_t key);

/* Take item out; nothing happens if it is not in. */
void heap_remove(struct heap *heap, struct heap_item *item);

/* The smallest, or NULL if empty. */
struct heap_item *heap_first(const struct heap *heap);

/* ENSURE that the order and the indices hold. O(n). */
void heap_check(const struct heap *heap);

#endif
