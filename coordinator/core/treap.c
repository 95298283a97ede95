// SPDX-License-Identifier: Apache-2.0
#include "treap.h"

#include "ensure.h"
#include "rng.h"

#include <stddef.h>

/* Cut root into the nodes less than key and the rest. */
static void split(struct treap_node *root, const struct treap_node *key, const struct treap_ops *ops,
                  struct treap_node **low, struct treap_node **high)
{
    if (!root) {
        *low = *high = NULL;
    } else if (ops->less(root, key)) {
        split(root->right, key, ops, &root->right, high);
        *low = root;
    } else {
        split(root->left, key, ops, low, &root->left);
        *high = root;
    }
}

/* Join two trees, every node of low being less than every node of high. */
static struct treap_node *join(struct treap_node *low, struct treap_node *high, const struct treap_ops *ops)
{
    if (!low || !high)
        return low ? low : high;
    struct treap_node *top = low->priority >= high->priority ? low : high;
    if (top == low)
        low->right = join(low->right, high, ops);
    else
        high->left = join(low, high->left, ops);
    return top;
}

static struct treap_node *insert(struct treap_node *root, struct treap_node *node,
                                 const struct treap_ops *ops)
{
    if (!root || node->priority > root->priority) {
        split(root, node, ops, &node->left, &node->right);
        return node;
    }
    if (ops->less(node, root))
        root->left = insert(root->left, node, ops);
    else
        root->right = insert(root->right, node, ops);
    return root;
}

void treap_insert(struct treap_node **root, struct treap_node *node, uint64_t id, const struct treap_ops *ops)
{
    node->left = node->right = NULL;
    node->priority = rng_mix64(id);
    *root = insert(*root, node, ops);
}

static struct treap_node *removed(struct treap_node *root, struct treap_node *node,
                                  const struct treap_ops *ops)
{
    ENSURE(root);
    if (root == node)
        return join(root->left, root->right, ops);
    if (ops->less(node, root))
        root->left = removed(root->left, node, ops);
    else
        root->right = removed(root->right, node, ops);
    return root;
}

void treap_remove(struct treap_node **root, struct treap_node *node, const struct treap_ops *ops)
{
    *root = removed(*root, node, ops);
    node->left = node->right = NULL;
}

struct treap_node *treap_first(struct treap_node *root)
{
    while (root && root->left)
        root = root->left;
    return root;
}

struct treap_node *treap_after(struct treap_node *root, const struct treap_node *node,
                               const struct treap_ops *ops)
{
    struct treap_node *best = NULL;
    while (root) {
        bool larger = ops->less(node, root);
        best = larger ? root : best;
        root = larger ? root->left : root->right;
    }
    return best;
}

uint64_t treap_check(const struct treap_node *root, const struct treap_ops *ops)
{
    if (!root)
        return 0;
    ENSURE(!root->left || (ops->less(root->left, root) && root->left->priority <= root->priority));
    ENSURE(!root->right || (ops->less(root, root->right) && root->right->priority <= root->priority));
    return 1 + treap_check(root->left, ops) + treap_check(root->right, ops);
}
