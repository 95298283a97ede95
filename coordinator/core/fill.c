// SPDX-License-Identifier: Apache-2.0
#include "fill.h"

#include "ensure.h"

#include <stddef.h>

static struct fill_slot *slot_of(struct treap_node *node) { return (struct fill_slot *)(void *)node; }
static const struct fill_slot *look(const struct treap_node *node)
{
    return (const struct fill_slot *)(const void *)node;
}

static bool slot_less(const struct treap_node *a, const struct treap_node *b)
{
    const struct fill_slot *x = look(a), *y = look(b);
    return x->start_us < y->start_us || (x->start_us <= y->start_us && x->id < y->id);
}

static void slot_pull(struct treap_node *node)
{
    struct fill_slot *slot = slot_of(node);
    slot->sum_rate = slot->rate;
    slot->sum_rate_start = slot->rate * slot->start_us;
    slot->sum_count = 1;
    const struct fill_slot *children[2] = { look(node->left), look(node->right) };
    for (int i = 0; i < 2; i++) {
        if (!children[i])
            continue;
        slot->sum_rate += children[i]->sum_rate;
        slot->sum_rate_start += children[i]->sum_rate_start;
        slot->sum_count += children[i]->sum_count;
    }
}

static const struct treap_ops slot_ops = { .less = slot_less, .pull = slot_pull };

void fill_init(struct fill *fill) { *fill = (struct fill){ 0 }; }

void fill_set(struct fill *fill, struct fill_slot *slot, double start_us, double rate)
{
    ENSURE(rate > 0 && rate < FILL_NEVER && start_us >= 0 && start_us < FILL_NEVER);
    if (slot->present && slot->start_us == start_us) {
        if (slot->rate == rate)
            return;
        slot->rate = rate;
        treap_refresh(fill->root, &slot->node, &slot_ops);
        return;
    }
    fill_remove(fill, slot);
    slot->start_us = start_us;
    slot->rate = rate;
    slot->present = true;
    treap_insert(&fill->root, &slot->node, slot->id, &slot_ops);
    fill->count++;
}

void fill_remove(struct fill *fill, struct fill_slot *slot)
{
    if (!slot->present)
        return;
    treap_remove(&fill->root, &slot->node, &slot_ops);
    slot->present = false;
    fill->count--;
}

/* What must be added to the sum of rate * start so that slots which started before now count as starting now.
 */
static double past_correction(const struct fill *fill, double now_us)
{
    double rate = 0, weighted = 0;
    for (const struct treap_node *node = fill->root; node;) {
        const struct fill_slot *slot = look(node), *low = look(node->left);
        if (slot->start_us > now_us) {
            node = node->left;
            continue;
        }
        rate += slot->rate + (low ? low->sum_rate : 0);
        weighted += slot->rate * slot->start_us + (low ? low->sum_rate_start : 0);
        node = node->right;
    }
    return rate * now_us - weighted;
}

/* Descend for the largest prefix of slots that start before T. The prefix left of a slot that starts after
 * now holds every slot that started before now, so the correction is one number. */
double fill_finish_us(const struct fill *fill, double now_us, double samples)
{
    double rate = 0, weighted = past_correction(fill, now_us);
    for (const struct treap_node *node = fill->root; node;) {
        const struct fill_slot *slot = look(node), *low = look(node->left);
        double low_rate = rate + (low ? low->sum_rate : 0);
        double low_weighted = weighted + (low ? low->sum_rate_start : 0);
        if (slot->start_us > now_us && low_rate * slot->start_us - low_weighted >= samples) {
            node = node->left;
            continue;
        }
        rate = low_rate + slot->rate;
        weighted = low_weighted + slot->rate * slot->start_us;
        node = node->right;
    }
    return rate > 0 ? (samples + weighted) / rate : FILL_NEVER;
}

struct fill_slot *fill_first(const struct fill *fill) { return slot_of(treap_first(fill->root)); }
struct fill_slot *fill_last(const struct fill *fill) { return slot_of(treap_last(fill->root)); }

struct fill_slot *fill_from(const struct fill *fill, double start_us)
{
    struct treap_node *best = NULL;
    for (struct treap_node *node = fill->root; node;) {
        bool late = look(node)->start_us >= start_us;
        best = late ? node : best;
        node = late ? node->left : node->right;
    }
    return slot_of(best);
}

struct fill_slot *fill_at(const struct fill *fill, uint64_t index)
{
    struct treap_node *node = fill->root;
    while (node) {
        uint64_t before = node->left ? look(node->left)->sum_count : 0;
        if (index == before)
            break;
        node = index < before ? node->left : node->right;
        index -= index < before ? 0 : before + 1;
    }
    ENSURE(node);
    return slot_of(node);
}

struct fill_slot *fill_next(const struct fill *fill, const struct fill_slot *slot)
{
    return slot_of(treap_after(fill->root, &slot->node, &slot_ops));
}

struct fill_slot *fill_previous(const struct fill *fill, const struct fill_slot *slot)
{
    return slot_of(treap_before(fill->root, &slot->node, &slot_ops));
}

void fill_check(const struct fill *fill) { ENSURE(treap_check(fill->root, &slot_ops) == fill->count); }
