// SPDX-License-Identifier: Apache-2.0
/* treap - an intrusive ordered tree with a summary per subtree (Seidel and Aragon 1996). Pure; O(log n)
 * expected.
 *
 * Nodes live inside their owners' structs. The shape depends on the nodes' priorities alone, and those come
 * from the owners' ids, so equal contents give equal trees on every machine. Rotations call `pull`, which
 * recomputes a node's summary from its children, so sums are never carried by difference and do not drift. */
#ifndef TREAP_H
#define TREAP_H

#include <stdbool.h>
#include <stdint.h>

struct treap_node {
    struct treap_node *left, *right;
    uint64_t priority;
};

struct treap_ops {
    bool (*less)(const struct treap_node *a,
                 const struct treap_node *b); /* a total order: no two nodes are equal */
    void (*pull)(struct treap_node *node);    /* summary from own key and children; may be NULL */
};

/* Put node in; id seeds its priority and should be unique. Its key must not change while it is in. */
void treap_insert(struct treap_node **root, struct treap_node *node, uint64_t id,
                  const struct treap_ops *ops);

/* Take node out; it must be in. */
void treap_remove(struct treap_node **root, struct treap_node *node, const struct treap_ops *ops);

/* Recompute summaries on the way from the root to node, after something but its key changed. */
void treap_refresh(struct treap_node *root, struct treap_node *node, const struct treap_ops *ops);

struct treap_node *treap_first(struct treap_node *root);
struct treap_node *treap_last(struct treap_node *root);

/* The next smaller and the next larger node, or NULL. */
struct treap_node *treap_before(struct treap_node *root, const struct treap_node *node,
                                const struct treap_ops *ops);
struct treap_node *treap_after(struct treap_node *root, const struct treap_node *node,
                               const struct treap_ops *ops);

/* ENSURE order and priorities; the number of nodes. */
uint64_t treap_check(const struct treap_node *root, const struct treap_ops *ops);

#endif
