// SPDX-License-Identifier: Apache-2.0
/* fill - water-filling: when does a set of slots finish R samples, if work flows to them like water? Pure.
 *
 * Slot i can start new work at start_i and then runs rate_i samples per microsecond. The finish time T solves
 *
 *     sum over slots of rate_i * max(0, T - start_i) = R        (start_i in the past counts as now)
 *
 * The slots of one model are kept in a tree ordered by start, each subtree with the sums of rate and of rate
 * * start, so that T is found by one descent: O(log slots). Slots with start_i >= T would only delay the end:
 * they sit out. */
#ifndef FILL_H
#define FILL_H

#include "treap.h"

#include <stdbool.h>
#include <stdint.h>

struct fill_slot {
    struct treap_node node;
    uint64_t id;           /* tie-break, unique in a fill */
    double start_us, rate; /* own; change them through fill_set only */
    double sum_rate, sum_rate_start;
    uint64_t sum_count;
    bool present;
    void *owner; /* the caller's */
};

struct fill {
    struct treap_node *root;
    uint64_t count;
};

void fill_init(struct fill *fill);

/* Put slot in, or move it. rate > 0 and finite. */
void fill_set(struct fill *fill, struct fill_slot *slot, double start_us, double rate);
void fill_remove(struct fill *fill, struct fill_slot *slot); /* nothing if absent */

/* T for samples from now_us on; HUGE (1e300) without slots. */
double fill_finish_us(const struct fill *fill, double now_us, double samples);
#define FILL_NEVER 1e300

/* The first that starts at start_us or later; NULL if none does. */
struct fill_slot *fill_from(const struct fill *fill, double start_us);

/* The index-th in the order of start, below count. */
struct fill_slot *fill_at(const struct fill *fill, uint64_t index);

/* In the order of start: the first, the last, and each one's neighbours. NULL at the ends. */
struct fill_slot *fill_first(const struct fill *fill);
struct fill_slot *fill_last(const struct fill *fill);
struct fill_slot *fill_next(const struct fill *fill, const struct fill_slot *slot);
struct fill_slot *fill_previous(const struct fill *fill, const struct fill_slot *slot);

void fill_check(const struct fill *fill);

#endif
