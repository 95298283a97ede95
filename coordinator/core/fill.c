// SPDX-License-Identifier: Apache-2.0
/* A leaf's entries are slots, another node's are nodes, each under the key (start, id) of the first slot
 * below it. The rise of a slot (of its id) says on how many levels, from the leaves up, it is the first of
 * its node: one in FAN is so on the leaves, one in FAN * FAN on the next level too. On each level the
 * leftmost node begins with what comes before the first such slot: a key below all others, and in the leaf
 * maybe nothing.
 *
 *                 [-      c]              height: the largest rise here, so that the root has two entries
 *                /          \
 *      [-     b]              [c]         a slot of rise 0 changes one leaf; one of rise r that comes cuts
 *     /         \               \         r nodes in two, and when it goes they are joined again
 *    [a a a]     [b a a a a]     [c a a] */
#include "fill.h"

#include "ensure.h"
#include "rng.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { FAN_BITS = 5, HEIGHT_MAX = 10, ENTRIES_FIRST = 8, LANES = 4 };
static const double BEFORE_ALL = -1; /* starts are not negative */

struct fill_entry {
    double start_us;
    uint32_t id, count;
    double rate, rate_start; /* sums over all below */
    union {
        struct fill_node *node;
        struct fill_slot *slot;
    };
};

struct fill_node {
    uint32_t count, capacity;
    struct fill_node *next, *previous; /* of leaves */
    struct fill_entry *at;
};

/* The way from the root to a key: index is the entry's that leads on; in the leaf, how many are not above. */
struct path {
    struct fill_node *node[HEIGHT_MAX + 1];
    uint32_t index[HEIGHT_MAX + 1];
    double end_us; /* the least key right of the leaf */
    uint32_t end_id;
};

void fill_init(struct fill *fill) { *fill = (struct fill){ 0 }; }

static void free_nodes(struct fill_node *node, uint32_t level)
{
    for (uint32_t i = 0; level > 0 && i < node->count; i++)
        free_nodes(node->at[i].node, level - 1);
    free(node->at);
    free(node);
}

void fill_fini(struct fill *fill)
{
    if (fill->root)
        free_nodes(fill->root, fill->height);
    fill_init(fill);
}

/* ---- nodes ---- */

static uint32_t rise_of(uint32_t id)
{
    uint64_t mixed = rng_mix64(id);
    uint32_t rise = 0;
    for (; rise < HEIGHT_MAX && mixed % (1u << FAN_BITS) == 0; mixed >>= FAN_BITS)
        rise++;
    return rise;
}

static void reserve(struct fill_node *node, uint32_t count)
{
    if (count <= node->capacity)
        return;
    uint32_t capacity = node->capacity ? node->capacity : ENTRIES_FIRST;
    while (capacity < count)
        capacity *= 2;
    struct fill_entry *at = realloc(node->at, capacity * sizeof *at);
    ENSURE(at);
    node->at = at;
    node->capacity = capacity;
}

static struct fill_node *node_new(uint32_t capacity)
{
    struct fill_node *node = calloc(1, sizeof *node);
    ENSURE(node);
    reserve(node, capacity);
    return node;
}

static void put(struct fill_node *node, uint32_t index, const struct fill_entry *entry)
{
    reserve(node, node->count + 1);
    struct fill_entry *at = node->at + index;
    memmove(at + 1, at, (node->count - index) * sizeof *at);
    *at = *entry;
    node->count++;
}

static void drop(struct fill_node *node, uint32_t index)
{
    struct fill_entry *at = node->at + index;
    node->count--;
    memmove(at, at + 1, (node->count - index) * sizeof *at);
}

static bool not_above(const struct fill_entry *entry, double start_us, uint32_t id)
{
    return entry->start_us < start_us || (entry->start_us <= start_us && entry->id <= id);
}

/* How many entries have no greater key. */
static uint32_t up_to(const struct fill_node *node, double start_us, uint32_t id)
{
    uint32_t low = 0, high = node->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (not_above(&node->at[middle], start_us, id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct sums {
    double rate, rate_start;
    uint32_t count;
};

/* Of the first entries. In lanes, because an addition waits for the one before it. */
static struct sums sums_of(const struct fill_node *node, uint32_t entries)
{
    double rate[LANES] = { 0 }, rate_start[LANES] = { 0 };
    uint32_t count = 0, i = 0;
    for (; i + LANES <= entries; i += LANES)
        for (uint32_t k = 0; k < LANES; k++) {
            rate[k] += node->at[i + k].rate;
            rate_start[k] += node->at[i + k].rate_start;
            count += node->at[i + k].count;
        }
    for (; i < entries; i++) {
        rate[0] += node->at[i].rate;
        rate_start[0] += node->at[i].rate_start;
        count += node->at[i].count;
    }
    return (struct sums){ (rate[0] + rate[1]) + (rate[2] + rate[3]),
                          (rate_start[0] + rate_start[1]) + (rate_start[2] + rate_start[3]), count };
}

static void resum(struct fill_entry *entry)
{
    struct sums sums = sums_of(entry->node, entry->node->count);
    entry->rate = sums.rate;
    entry->rate_start = sums.rate_start;
    entry->count = sums.count;
}

static struct fill_entry entry_of(struct fill_slot *slot)
{
    return (struct fill_entry){ .start_us = slot->start_us,
                                .id = slot->id,
                                .count = 1,
                                .rate = slot->rate,
                                .rate_start = slot->rate * slot->start_us,
                                .slot = slot };
}

/* ---- ways ---- */

static void find(const struct fill *fill, double start_us, uint32_t id, struct path *path)
{
    struct fill_node *node = fill->root;
    path->end_us = FILL_NEVER;
    path->end_id = UINT32_MAX;
    for (uint32_t level = fill->height; level > 0; level--) {
        uint32_t count = up_to(node, start_us, id);
        if (count < node->count) {
            path->end_us = node->at[count].start_us;
            path->end_id = node->at[count].id;
        }
        path->node[level] = node;
        path->index[level] = count > 0 ? count - 1 : 0;
        node = node->at[path->index[level]].node;
    }
    path->node[0] = node;
    path->index[0] = up_to(node, start_us, id);
}

/* The way to a slot that is there; its index in the leaf. */
static uint32_t find_slot(const struct fill *fill, const struct fill_slot *slot, struct path *path)
{
    ENSURE(slot->present && fill->root);
    find(fill, slot->start_us, slot->id, path);
    uint32_t index = path->index[0] - 1;
    ENSURE(path->index[0] > 0 && path->node[0]->at[index].slot == slot);
    return index;
}

/* The sums on the way are right below level; make them so above. */
static void resum_from(const struct fill *fill, const struct path *path, uint32_t level)
{
    for (; level < fill->height; level++)
        resum(&path->node[level + 1]->at[path->index[level + 1]]);
}

/* ---- come and go ---- */

static void raise_root(struct fill *fill)
{
    struct fill_entry all = { .start_us = BEFORE_ALL, .node = fill->root };
    resum(&all);
    fill->root = node_new(1);
    put(fill->root, 0, &all);
    ENSURE(++fill->height <= HEIGHT_MAX);
}

/* Everything in node from index on goes to a new node, after first. */
static struct fill_node *cut(struct fill_node *node, uint32_t index, const struct fill_entry *first)
{
    uint32_t count = node->count - index;
    struct fill_node *right = node_new(count + 1);
    right->at[0] = *first;
    memcpy(right->at + 1, node->at + index, count * sizeof *right->at);
    right->count = count + 1;
    node->count = index;
    return right;
}

static void link_after(struct fill_node *left, struct fill_node *leaf)
{
    leaf->previous = left;
    leaf->next = left->next;
    if (leaf->next)
        leaf->next->previous = leaf;
    left->next = leaf;
}

static void insert(struct fill *fill, struct fill_slot *slot)
{
    uint32_t rise = rise_of(slot->id);
    if (!fill->root)
        fill->root = node_new(1);
    while (fill->height < rise)
        raise_root(fill);
    struct path path;
    find(fill, slot->start_us, slot->id, &path);
    struct fill_entry entry = entry_of(slot);
    for (uint32_t level = 0; level < rise; level++) {
        entry.node = cut(path.node[level], path.index[level], &entry);
        if (level == 0)
            link_after(path.node[0], entry.node);
        resum(&entry);
        resum(&path.node[level + 1]->at[path.index[level + 1]++]);
    }
    put(path.node[rise], path.index[rise], &entry);
    resum_from(fill, &path, rise);
}

/* Append right to left, which is its neighbour, but for its first entry, and free it. */
static void append(struct fill_node *left, struct fill_node *right)
{
    reserve(left, left->count + right->count - 1);
    memcpy(left->at + left->count, right->at + 1, (right->count - 1) * sizeof *left->at);
    left->count += right->count - 1;
    if (left->next == right) {
        left->next = right->next;
        if (left->next)
            left->next->previous = left;
    }
    free(right->at);
    free(right);
}

/* The nodes that a slot begins go, what is left in them to their neighbours. */
static void join(const struct path *path, uint32_t rise)
{
    struct fill_node *top = path->node[rise], *left[HEIGHT_MAX];
    uint32_t index = path->index[rise];
    ENSURE(index > 0 && index < top->count);
    left[rise - 1] = top->at[index - 1].node;
    for (uint32_t level = rise - 1; level > 0; level--)
        left[level - 1] = left[level]->at[left[level]->count - 1].node;
    for (uint32_t level = 0; level < rise; level++) {
        if (level > 0)
            resum(&left[level]->at[left[level]->count - 1]);
        append(left[level], path->node[level]);
    }
    resum(&top->at[index - 1]);
    drop(top, index);
}

static void lower_root(struct fill *fill)
{
    while (fill->height > 0 && fill->root->count == 1) {
        struct fill_node *below = fill->root->at[0].node;
        free(fill->root->at);
        free(fill->root);
        fill->root = below;
        fill->height--;
    }
}

static void take_out(struct fill *fill, const struct path *path, uint32_t index, uint32_t rise)
{
    if (rise == 0)
        drop(path->node[0], index);
    else
        join(path, rise);
    resum_from(fill, path, rise);
    lower_root(fill);
}

/* To a place in the same leaf. */
static void shift(struct fill_node *leaf, uint32_t from, const struct fill_entry *entry)
{
    uint32_t to = up_to(leaf, entry->start_us, entry->id);
    struct fill_entry *at = leaf->at;
    if (to > from) {
        to--;
        memmove(at + from, at + from + 1, (to - from) * sizeof *at);
    } else {
        memmove(at + to + 1, at + to, (from - to) * sizeof *at);
    }
    at[to] = *entry;
}

/* Would that key be found in the leaf where the way ends? */
static bool stays(const struct path *path, const struct fill_entry *entry)
{
    const struct fill_node *leaf = path->node[0];
    bool low = leaf->previous && !not_above(&leaf->at[0], entry->start_us, entry->id);
    const struct fill_entry end = { .start_us = path->end_us, .id = path->end_id };
    return !low && !not_above(&end, entry->start_us, entry->id);
}

static void move(struct fill *fill, struct fill_slot *slot, double start_us, double rate)
{
    struct path path;
    uint32_t index = find_slot(fill, slot, &path), rise = rise_of(slot->id);
    bool still = slot->start_us == start_us;
    slot->start_us = start_us;
    slot->rate = rate;
    struct fill_entry entry = entry_of(slot);
    if (still || (rise == 0 && stays(&path, &entry))) {
        if (still)
            path.node[0]->at[index] = entry;
        else
            shift(path.node[0], index, &entry);
        resum_from(fill, &path, 0);
        return;
    }
    take_out(fill, &path, index, rise);
    insert(fill, slot);
}

void fill_set(struct fill *fill, struct fill_slot *slot, double start_us, double rate)
{
    ENSURE(rate > 0 && rate < FILL_NEVER && start_us >= 0 && start_us < FILL_NEVER);
    if (slot->present) {
        if (slot->start_us != start_us || slot->rate != rate)
            move(fill, slot, start_us, rate);
        return;
    }
    slot->start_us = start_us;
    slot->rate = rate;
    slot->present = true;
    insert(fill, slot);
    fill->count++;
}

void fill_remove(struct fill *fill, struct fill_slot *slot)
{
    if (!slot->present)
        return;
    struct path path;
    uint32_t index = find_slot(fill, slot, &path);
    take_out(fill, &path, index, rise_of(slot->id));
    slot->present = false;
    fill->count--;
}

/* ---- when will it end ---- */

/* What must be added to the sum of rate * start so that slots which started before now count as starting now.
 */
static double past_correction(const struct fill *fill, double now_us)
{
    double rate = 0, weighted = 0;
    const struct fill_node *node = fill->root;
    for (uint32_t level = fill->height; node; level--) {
        uint32_t count = up_to(node, now_us, UINT32_MAX), whole = level > 0 && count > 0 ? count - 1 : count;
        struct sums sums = sums_of(node, whole);
        rate += sums.rate;
        weighted += sums.rate_start;
        node = level > 0 ? node->at[whole].node : NULL;
    }
    return rate * now_us - weighted;
}

/* Descend for the largest prefix of slots that start before T. The prefix left of a slot that starts after
 * now holds every slot that started before now, so the correction is one number. */
double fill_finish_us(const struct fill *fill, double now_us, double samples)
{
    double rate = 0, weighted = past_correction(fill, now_us);
    const struct fill_node *node = fill->root;
    for (uint32_t level = fill->height; node; level--) {
        double rate_before = rate, weighted_before = weighted;
        uint32_t i = 0;
        for (; i < node->count; i++) {
            const struct fill_entry *entry = &node->at[i];
            if (entry->start_us > now_us && rate * entry->start_us - weighted >= samples)
                break;
            rate_before = rate;
            weighted_before = weighted;
            rate += entry->rate;
            weighted += entry->rate_start;
        }
        if (level == 0)
            break;
        rate = rate_before;
        weighted = weighted_before;
        node = node->at[i > 0 ? i - 1 : 0].node;
    }
    return rate > 0 ? (samples + weighted) / rate : FILL_NEVER;
}

/* ---- looks ---- */

static struct fill_slot *first_of(const struct fill_node *leaf)
{
    return leaf && leaf->count > 0 ? leaf->at[0].slot : NULL;
}

static struct fill_slot *last_of(const struct fill_node *leaf)
{
    return leaf && leaf->count > 0 ? leaf->at[leaf->count - 1].slot : NULL;
}

struct fill_slot *fill_first(const struct fill *fill) { return fill_from(fill, 0); }

struct fill_slot *fill_last(const struct fill *fill)
{
    const struct fill_node *node = fill->root;
    for (uint32_t level = fill->height; level > 0; level--)
        node = node->at[node->count - 1].node;
    return last_of(node);
}

/* No start is equal to the one searched for, so it is before all that start then. */
struct fill_slot *fill_from(const struct fill *fill, double start_us)
{
    const struct fill_node *node = fill->root;
    for (uint32_t level = fill->height; node; level--) {
        uint32_t low = 0, high = node->count;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (node->at[middle].start_us < start_us)
                low = middle + 1;
            else
                high = middle;
        }
        if (level == 0)
            return low < node->count ? node->at[low].slot : first_of(node->next);
        node = node->at[low > 0 ? low - 1 : 0].node;
    }
    return NULL;
}

struct fill_slot *fill_at(const struct fill *fill, uint64_t index)
{
    ENSURE(index < fill->count);
    const struct fill_node *node = fill->root;
    for (uint32_t level = fill->height; level > 0; level--) {
        const struct fill_entry *entry = node->at;
        for (; index >= entry->count; entry++)
            index -= entry->count;
        node = entry->node;
    }
    return node->at[index].slot;
}

struct fill_slot *fill_next(const struct fill *fill, const struct fill_slot *slot)
{
    struct path path;
    uint32_t index = find_slot(fill, slot, &path);
    const struct fill_node *leaf = path.node[0];
    return index + 1 < leaf->count ? leaf->at[index + 1].slot : first_of(leaf->next);
}

struct fill_slot *fill_previous(const struct fill *fill, const struct fill_slot *slot)
{
    struct path path;
    uint32_t index = find_slot(fill, slot, &path);
    const struct fill_node *leaf = path.node[0];
    return index > 0 ? leaf->at[index - 1].slot : last_of(leaf->previous);
}

/* ---- check ---- */

static bool same_key(const struct fill_entry *a, const struct fill_entry *b)
{
    return not_above(a, b->start_us, b->id) && not_above(b, a->start_us, a->id);
}

static void check_slot(const struct fill_entry *entry)
{
    const struct fill_entry now = entry_of(entry->slot);
    ENSURE(entry->slot->present && same_key(entry, &now) && entry->count == 1);
    ENSURE(entry->rate <= now.rate && entry->rate >= now.rate);
}

/* key: what leads to the node. Where it comes first on its level, other than on the left, it has that rise.
 */
static void check_node(const struct fill_node *node, uint32_t level, const struct fill_entry *key,
                       const struct fill_node **leaf)
{
    ENSURE(node->count <= node->capacity);
    if (level == 0) {
        ENSURE(node->previous == *leaf && (!*leaf || (*leaf)->next == node));
        *leaf = node;
    }
    bool left = key->start_us < 0;
    ENSURE(node->count > 0 ? (left && level == 0) || same_key(&node->at[0], key) : left && level == 0);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct fill_entry *entry = &node->at[i];
        ENSURE(i == 0 || !not_above(entry, node->at[i - 1].start_us, node->at[i - 1].id));
        if (level == 0)
            check_slot(entry);
        else
            check_node(entry->node, level - 1, entry, leaf);
        if (entry->start_us >= 0 && (i > 0 || (left && level == 0)))
            ENSURE(rise_of(entry->id) == level);
        if (level == 0)
            continue;
        struct sums sums = sums_of(entry->node, entry->node->count);
        ENSURE(sums.count == entry->count && sums.rate <= entry->rate && sums.rate >= entry->rate);
        ENSURE(sums.rate_start <= entry->rate_start && sums.rate_start >= entry->rate_start);
    }
}

void fill_check(const struct fill *fill)
{
    const struct fill_entry all = { .start_us = BEFORE_ALL };
    const struct fill_node *leaf = NULL;
    if (!fill->root) {
        ENSURE(fill->count == 0);
        return;
    }
    ENSURE(fill->height == 0 || fill->root->count > 1);
    check_node(fill->root, fill->height, &all, &leaf);
    ENSURE(!leaf->next && sums_of(fill->root, fill->root->count).count == fill->count);
}
