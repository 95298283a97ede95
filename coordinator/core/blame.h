// SPDX-License-Identifier: Apache-2.0
/* blame - whose fault is it? Where a chunk that is run alone has failed so far. Pure, private to the core.
 *
 * A sample is at fault itself when it failed alone at least twice, and on every slot that could run it or on
 * BLAME_SLOTS_MAX different ones: a few bad devices must not fail good samples. */
#ifndef BLAME_H
#define BLAME_H

#include <stdbool.h>
#include <stdint.h>

enum { BLAME_SLOTS_MAX = 4, BLAME_FAILURES_MIN = 2 };

struct blame {
    bool suspected;    /* false: an ordinary chunk */
    uint32_t failures; /* of exactly this chunk */
    uint32_t accused;  /* the slot on which the chunk that it is a part of failed first; 0 = none */
    uint32_t slots_count;
    uint32_t slots[BLAME_SLOTS_MAX]; /* different ids */
};

void blame_add(struct blame *blame, uint32_t slot);
bool blame_names(const struct blame *blame, uint32_t slot);

/* Slots that could try it: so many that one of them is not in any blame are enough. */
struct able {
    uint32_t count;
    uint32_t slots[BLAME_SLOTS_MAX + 1]; /* ids */
};

/* Has it failed on all slots that could try it, or on as many as are ever tried? */
bool blame_exhausted(const struct blame *blame, const struct able *able);

#endif
