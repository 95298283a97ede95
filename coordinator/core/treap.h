// SPDX-License-Identifier: Apache-2.0
/* treap - an intrusive ordered tree (Seidel and Aragon 1996). Pure; O(log n) expected.
 *
 * Nodes live inside their owners' structs. The shape depends on the nodes' priorities alone, and those come
 * from the owners' ids, so equal contents give equal trees on every machine. */
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
};

/* Put node in; id seeds its priority and should be unique. Its key must not change while it is in. */
void treap_insert(struct treap_node **root, struct treap_node *node, uint64_t id,
                  const struct treap_ops *ops);

/* Take node out; it must be in. */
void treap_remove(struct treap_node **root, struct treap_node *node, const struct treap_ops *ops);

struct treap_node *treap_first(struct treap_node *root);

/* The next larger node, or NULL. */
struct treap_node *treap_after(struct treap_node *root, const struct treap_node *node,
                               const struct treap_ops *ops);

/* ENSURE order and priorities; the number of nodes. */
uint64_t treap_check(const struct treap_node *root, const struct treap_ops *ops);

#endif
