// SPDX-License-Identifier: Apache-2.0
#include "trail.h"

#include <stdlib.h>
#include <string.h>

void trail_fini(struct trail *trail)
{
    free(trail->jobs.at);
    free(trail->models.at);
    free(trail->acked);
    memset(trail, 0, sizeof *trail);
}

static size_t place(const struct trail_set *set, uint64_t number)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->at[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool trail_has_met(const struct trail_set *set, uint64_t number)
{
    size_t index = place(set, number);
    return index < set->count && set->at[index] == number;
}

void trail_meet(struct trail_set *set, uint64_t number)
{
    size_t index = place(set, number);
    if (index < set->count && set->at[index] == number)
        return;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 8;
        uint64_t *grown = realloc(set->at, capacity * sizeof *grown);
        if (!grown)
            return;
        set->at = grown;
        set->capacity = capacity;
    }
    memmove(set->at + index + 1, set->at + index, (set->count - index) * sizeof *set->at);
    set->at[index] = number;
    set->count++;
}

void trail_part(struct trail_set *set, uint64_t number)
{
    size_t index = place(set, number);
    if (index == set->count || set->at[index] != number)
        return;
    set->count--;
    memmove(set->at + index, set->at + index + 1, (set->count - index) * sizeof *set->at);
}

void trail_begin(struct trail *trail)
{
    if (trail->acked)
        memset(trail->acked, 0, TRAIL_ACKED * sizeof *trail->acked);
}

void trail_ack(struct trail *trail, uint64_t attempt)
{
    if (!trail->acked)
        trail->acked = calloc(TRAIL_ACKED, sizeof *trail->acked);
    if (trail->acked)
        trail->acked[attempt % TRAIL_ACKED] = attempt + 1;
}

bool trail_was_acked(const struct trail *trail, uint64_t attempt)
{
    return trail->acked && trail->acked[attempt % TRAIL_ACKED] == attempt + 1;
}
