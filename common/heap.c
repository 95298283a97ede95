// SPDX-License-Identifier: Apache-2.0
#include "heap.h"

#include "ensure.h"

#include <stdbool.h>
#include <stdlib.h>

void heap_init(struct heap *heap) { *heap = (struct heap){ 0 }; }

void heap_fini(struct heap *heap)
{
    free(heap->at);
    *heap = (struct heap){ 0 };
}

enum err heap_reserve(struct heap *heap, size_t capacity)
{
    if (capacity <= heap->capacity)
        return ERR_OK;
    if (capacity > SIZE_MAX / sizeof(void *))
        return ERR_MEMORY;
    struct heap_item **at = realloc(heap->at, capacity * sizeof(void *));
    if (!at)
        return ERR_MEMORY;
    heap->at = at;
    heap->capacity = capacity;
    return ERR_OK;
}

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void place(struct heap *heap, struct heap_item *item, size_t index)
{
    heap->at[index] = item;
    item->index = index;
}

/* Move item up from the hole at index until its parent is not after it. */
static void sift_up(struct heap *heap, struct heap_item *item, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!before(item, heap->at[parent]))
            break;
        place(heap, heap->at[parent], index);
        index = parent;
    }
    place(heap, item, index);
}

static void sift_down(struct heap *heap, struct heap_item *item, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->at[child + 1], heap->at[child]))
            child++;
        if (!before(heap->at[child], item))
            break;
        place(heap, heap->at[child], index);
        index = child;
    }
    place(heap, item, index);
}

/* Put item where it belongs, starting from the hole at index. */
static void settle(struct heap *heap, struct heap_item *item, size_t index)
{
    if (index > 0 && before(item, heap->at[(index - 1) / 2]))
        sift_up(heap, item, index);
    else
        sift_down(heap, item, index);
}

void heap_set(struct heap *heap, struct heap_item *item, uint64_t key)
{
    item->key = key;
    if (item->index == HEAP_ABSENT) {
        ENSURE(heap->count < heap->capacity);
        sift_up(heap, item, heap->count++);
        return;
    }
    ENSURE(item->index < heap->count && heap->at[item->index] == item);
    settle(heap, item, item->index);
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    size_t hole = item->index;
    if (hole == HEAP_ABSENT)
        return;
    ENSURE(hole < heap->count && heap->at[hole] == item);
    struct heap_item *last = heap->at[--heap->count];
    item->index = HEAP_ABSENT;
    if (last != item)
        settle(heap, last, hole);
}

struct heap_item *heap_first(const struct heap *heap) { return heap->count > 0 ? heap->at[0] : NULL; }

void heap_check(const struct heap *heap)
{
    ENSURE(heap->count <= heap->capacity);
    for (size_t i = 0; i < heap->count; i++) {
        ENSURE(heap->at[i]->index == i);
        ENSURE(i == 0 || before(heap->at[(i - 1) / 2], heap->at[i]));
    }
}
