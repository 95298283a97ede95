// SPDX-License-Identifier: Apache-2.0
#include "relief.h"

#include <stdlib.h>

struct ending {
    uint64_t job;
};

static bool ends(const struct store_op *op)
{
    return op->type == STORE_JOB_DROP || (op->type == STORE_JOB_MARK && op->state == STORE_JOB_CANCELLED);
}

static int by_job(const void *a, const void *b)
{
    const struct ending *left = a, *right = b;
    return left->job < right->job ? -1 : left->job > right->job;
}

/* The jobs that end, sorted, malloc'ed; without memory for them none does for now. */
static struct ending *list_endings(const struct op_list *waiting, size_t *count)
{
    size_t most = 0;
    *count = 0;
    for (const struct store_op *op = waiting->first; op; op = op->next)
        most += ends(op);
    struct ending *endings = most ? malloc(most * sizeof *endings) : NULL;
    for (const struct store_op *op = waiting->first; endings && op; op = op->next)
        if (ends(op))
            endings[(*count)++].job = op->job;
    if (endings)
        qsort(endings, *count, sizeof *endings, by_job);
    return endings;
}

static void refuse(struct op_list *refused, struct store_op *op, enum err err, const struct why *why)
{
    op->err = err;
    free(op->refusal);
    op->refusal = why ? malloc(sizeof *op->refusal) : NULL;
    if (op->refusal)
        *op->refusal = *why;
    list_push(refused, op);
}

static bool of_a_job(const struct store_op *op)
{
    return op->type != STORE_MODEL_ADD && op->type != STORE_MODEL_DROP;
}

void relief_take(struct op_list *waiting, struct relief *relief, const struct why *why)
{
    struct op_list all = { 0 };
    size_t count;
    struct ending *endings = list_endings(waiting, &count);
    list_init(&all);
    list_init(&relief->refused);
    list_init(&relief->unwanted);
    list_init(&relief->first);
    list_append(&all, waiting);
    list_init(waiting);
    for (struct store_op *op; (op = list_pop(&all)) != NULL;) {
        struct ending wanted = { op->job };
        bool ending =
            count && of_a_job(op) && bsearch(&wanted, endings, count, sizeof wanted, by_job) != NULL;
        if (op->type == STORE_JOB_ADD || op->type == STORE_MODEL_ADD)
            refuse(&relief->refused, op, ERR_FULL, why);
        else if (ending && op->type == STORE_RESULT)
            refuse(&relief->unwanted, op, ERR_CANCELLED, NULL);
        else
            list_push(ending ? &relief->first : waiting, op);
    }
    free(endings);
}
