// SPDX-License-Identifier: Apache-2.0
#include "blame.h"

bool blame_names(const struct blame *blame, uint32_t slot)
{
    for (uint32_t i = 0; i < blame->slots_count; i++)
        if (blame->slots[i] == slot)
            return true;
    return false;
}

void blame_add(struct blame *blame, uint32_t slot)
{
    blame->suspected = true;
    blame->failures++;
    if (!blame_names(blame, slot) && blame->slots_count < BLAME_SLOTS_MAX)
        blame->slots[blame->slots_count++] = slot;
}

bool blame_exhausted(const struct blame *blame, const struct able *able)
{
    for (uint32_t i = 0; i < able->count && blame->slots_count < BLAME_SLOTS_MAX; i++)
        if (!blame_names(blame, able->slots[i]))
            return false;
    return true;
}
