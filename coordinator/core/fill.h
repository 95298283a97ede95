// SPDX-License-Identifier: Apache-2.0
/* fill - water-filling: when does a set of slots finish R samples, if work flows to them like water? Pure.
 *
 * Slot i can start new work at start_i and then runs rate_i samples per microsecond. The finish time T solves
 *
 *     sum over slots of rate_i * max(0, T - start_i) = R        (start_i in the past counts as now)
 *
 * The slots of one model are kept in a tree ordered by start, each subtree with the sums of rate and of rate
 * * start, so that T is found by one descent: O(log slots). Slots with start_i >= T would only delay the end:
 * they sit out.
 *
 * The tree is made for caches: its nodes are arrays. A slot begins a new leaf, and perhaps a new node on the
 * levels above it, if its id says so (a skip list in blocks; Golovin, "The B-skip-list", 2010), so equal
 * contents give equal trees and equal sums on every machine, whatever happened before. Sums are recomputed
 * from a node's entries, never carried by difference, so they do not drift. */
#ifndef FILL_H
#define FILL_H

#include <stdbool.h>
#include <stdint.h>

struct fill_slot {
    uint32_t id;  /* tie-break, unique in a fill */
    bool present; /* own, as the next two; change them through fill_set and fill_remove only */
    double start_us, rate;
    void *owner; /* the caller's */
};

struct fill {
    struct fill_node *root; /* NULL until a slot came */
    uint32_t height;        /* levels above the leaves */
    uint64_t count;
};

/* Filled with zeros is an empty one, too. Slots live at their owners; running out of memory aborts. */
void fill_init(struct fill *fill);
void fill_fini(struct fill *fill); /* looks at no slot: they may be gone */

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
