// SPDX-License-Identifier: Apache-2.0
/* op_list - operations of the store in their order, linked through store_op.next. */
#ifndef OP_LIST_H
#define OP_LIST_H

#include "store.h"

struct op_list {
    struct store_op *first, **end;
};

static inline void list_init(struct op_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static inline void list_push(struct op_list *list, struct store_op *op)
{
    op->next = NULL;
    *list->end = op;
    list->end = &op->next;
}

static inline struct store_op *list_pop(struct op_list *list)
{
    struct store_op *op = list->first;
    if (op && !(list->first = op->next))
        list->end = &list->first;
    return op;
}

/* Move all of from behind what is in to. */
static inline void list_append(struct op_list *to, struct op_list *from)
{
    if (!from->first)
        return;
    *to->end = from->first;
    to->end = from->end;
    list_init(from);
}

#endif
