// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include "ensure.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t AGE_US = 30000000;
static const uint32_t QUEUES_KEPT = 64; /* empty ones are kept for their claims, as long as there are few */
/* Device time per slot that a job takes before it sinks a level: what a person calls short, a while, long. */
static const double LEVEL_US[QUEUE_LEVELS - 2] = { 10e6, 100e6, 1000e6 };
static const double LEVEL_WEIGHT[QUEUE_LEVELS] = { 1, 8, 4, 2, 1 }; /* that of deadlines does not matter */

static struct job *job_of(const struct treap_node *node)
{
    return (struct job *)((const char *)node - offsetof(struct job, queue_node));
}

static bool sooner(const struct treap_node *a, const struct treap_node *b)
{
    const struct job *x = job_of(a), *y = job_of(b);
    uint64_t dx = x->deadline_us ? x->deadline_us : UINT64_MAX,
             dy = y->deadline_us ? y->deadline_us : UINT64_MAX;
    return dx != dy ? dx < dy : x->id < y->id;
}

static const struct treap_ops by_deadline = { .less = sooner };

void queues_init(struct queues *queues)
{
    memset(queues, 0, sizeof *queues);
    for (uint32_t i = 0; i < SCHED_TENANTS_MAX; i++)
        queues->tenants[i].weight = 1;
}

void queues_fini(struct queues *queues)
{
    for (uint32_t i = 0; i < queues->count; i++)
        free(queues->at[i]);
    free(queues->at);
}

/* ---- the queues ---- */

static int compare(const struct queue *queue, const struct job *job)
{
    if (queue->priority != job->priority)
        return queue->priority > job->priority ? -1 : 1;
    if (queue->tenant != job->tenant)
        return queue->tenant < job->tenant ? -1 : 1;
    return queue->pool == job->pool ? 0 : queue->pool < job->pool ? -1 : 1;
}

static struct queue *queue_of(struct queues *queues, const struct job *job)
{
    uint32_t low = 0, high = queues->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(queues->at[middle], job);
        if (order == 0)
            return queues->at[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (queues->count == queues->capacity) {
        queues->capacity = queues->capacity ? 2 * queues->capacity : 16;
        struct queue **grown = realloc(queues->at, queues->capacity * sizeof(struct queue *));
        ENSURE(grown);
        queues->at = grown;
    }
    memmove(&queues->at[low + 1], &queues->at[low], (queues->count - low) * sizeof(struct queue *));
    queues->count++;
    struct queue *queue = calloc(1, sizeof *queue);
    ENSURE(queue);
    *queue = (struct queue){ .priority = job->priority, .tenant = job->tenant, .pool = job->pool };
    return queues->at[low] = queue;
}

static void level_enter(struct queue *queue, uint32_t level)
{
    double least = -1;
    for (uint32_t i = 0; i < QUEUE_LEVELS; i++)
        if (queue->jobs[i] && (least < 0 || queue->used_us[i] < least))
            least = queue->used_us[i];
    if (!queue->jobs[level] && queue->used_us[level] < least)
        queue->used_us[level] = least; /* it does not bring claims from the time when it was empty */
}

static uint32_t level_for(const struct job *job, uint64_t slots)
{
    double each = job->used_us / (slots > 0 ? (double)slots : 1);
    uint32_t level = QUEUE_DEADLINES + 1;
    if (job->deadline_us)
        return QUEUE_DEADLINES;
    while (level < QUEUE_LEVELS - 1 && each > LEVEL_US[level - 1])
        level++;
    return level;
}

/* The least claim of the tenants that wait for the same slots: who comes back starts there, without old
 * claims. */
static double least_claim(const struct queues *queues, const struct job *job)
{
    double least = -1;
    for (uint32_t i = 0; i < queues->count; i++) {
        const struct queue *queue = queues->at[i];
        const struct tenant *tenant = &queues->tenants[queue->tenant];
        double claim = tenant->used_us / tenant->weight;
        if (queue->pool == job->pool && queue->tenant != job->tenant && queue->count > 0 &&
            (least < 0 || claim < least))
            least = claim;
    }
    return least;
}

static void join(struct queues *queues, struct job *job, uint64_t now_us)
{
    struct queue *queue = queue_of(queues, job);
    struct tenant *tenant = &queues->tenants[job->tenant];
    if (tenant->runnable++ == 0) {
        double least = least_claim(queues, job), from = least < 0 ? queues->floor_us : least;
        if (tenant->used_us < from * tenant->weight)
            tenant->used_us = from * tenant->weight;
    }
    queues->waiting++;
    if (queue->count++ == 0)
        queue->served_us = now_us;
    if ((job->level == QUEUE_DEADLINES) != (job->deadline_us > 0)) /* it got one, or lost it */
        job->level = level_for(job, 1);
    level_enter(queue, job->level);
    treap_insert(&queue->jobs[job->level], &job->queue_node, job->id, &by_deadline);
    job->queue = queue;
}

static void drop(struct queues *queues, struct queue *queue)
{
    uint32_t at = 0;
    while (queues->at[at] != queue)
        at++;
    memmove(&queues->at[at], &queues->at[at + 1], (queues->count - 1 - at) * sizeof(struct queue *));
    queues->count--;
    free(queue);
}

void queue_leave(struct queues *queues, struct job *job)
{
    if (!job->queue)
        return;
    treap_remove(&job->queue->jobs[job->level], &job->queue_node, &by_deadline);
    job->queue->count--;
    queues->waiting--;
    queues->tenants[job->tenant].runnable--;
    struct queue *queue = job->queue;
    job->queue = NULL;
    if (queue->count == 0 && queues->count > QUEUES_KEPT)
        drop(queues, queue);
}

void queue_touch(struct queues *queues, struct job *job, uint64_t now_us)
{
    bool has_work = job_has_work(job);
    if (has_work && !job->queue)
        join(queues, job, now_us);
    else if (!has_work)
        queue_leave(queues, job);
}

/* ---- whose turn ---- */

bool queues_waiting(const struct queues *queues) { return queues->waiting > 0; }

static int64_t urgency(const struct queue *queue, uint64_t now_us)
{
    return (int64_t)queue->priority + (int64_t)((now_us - queue->served_us) / AGE_US);
}

static double claim(const struct queues *queues, const struct queue *queue)
{
    const struct tenant *tenant = &queues->tenants[queue->tenant];
    return tenant->used_us / tenant->weight;
}

static bool before(const struct queues *queues, const struct queue *a, const struct queue *b, uint64_t now_us)
{
    int64_t x = urgency(a, now_us), y = urgency(b, now_us);
    if (x != y)
        return x > y;
    double p = claim(queues, a), q = claim(queues, b);
    if (p < q || q < p)
        return p < q;
    if (a->tenant != b->tenant)
        return a->tenant < b->tenant;
    return a->served_us != b->served_us ? a->served_us < b->served_us : a->pool < b->pool;
}

/* The jobs of a queue: the level that got least for its weight first. False when visit has enough. */
static bool walk_level(struct queue *queue, uint32_t level, queue_visit *visit, void *context)
{
    struct treap_node *next, *node = treap_first(queue->jobs[level]);
    for (; node; node = next) {
        next = treap_after(queue->jobs[level], node, &by_deadline);
        if (!visit(context, job_of(node)))
            return false;
    }
    return true;
}

/* The jobs of a queue: those with deadlines, then the level that got least for its weight first. False when
 * visit has enough. */
static bool walk_queue(struct queue *queue, queue_visit *visit, void *context)
{
    bool seen[QUEUE_LEVELS] = { false };
    uint32_t level = QUEUE_DEADLINES;
    while (level < QUEUE_LEVELS) {
        seen[level] = true;
        if (!walk_level(queue, level, visit, context))
            return false;
        level = QUEUE_LEVELS;
        for (uint32_t i = 0; i < QUEUE_LEVELS; i++)
            if (!seen[i] && queue->jobs[i] &&
                (level == QUEUE_LEVELS || queue->used_us[i] < queue->used_us[level]))
                level = i;
    }
    return true;
}

/* Queues are few (one per priority, tenant and pool in use), and mostly one or two are looked at: the next
 * best is found by looking at all of them, which needs no memory. `last` is where the walk stands in their
 * order. */
void queue_walk(struct queues *queues, uint64_t now_us, queue_able *able, queue_visit *visit, void *context)
{
    const struct queue *last = NULL;
    for (;;) {
        struct queue *best = NULL;
        for (uint32_t i = 0; i < queues->count; i++) {
            struct queue *queue = queues->at[i];
            if (queue->count == 0 || queue == last || (last && !before(queues, last, queue, now_us)))
                continue;
            if ((!best || before(queues, queue, best, now_us)) && able(context, queue))
                best = queue;
        }
        if (!best || !walk_queue(best, visit, context))
            return;
        last = best;
    }
}

/* ---- device time ---- */

void queue_charge(struct queues *queues, struct job *job, double expected_us, uint64_t slots, uint64_t now_us)
{
    struct tenant *tenant = &queues->tenants[job->tenant];
    double claim_before = tenant->used_us / tenant->weight;
    queues->floor_us = claim_before > queues->floor_us ? claim_before : queues->floor_us;
    tenant->used_us += expected_us;
    tenant->charged_us += expected_us;
    job->used_us += expected_us;
    if (job->queue) {
        job->queue->served_us = now_us;
        job->queue->used_us[job->level] += expected_us / LEVEL_WEIGHT[job->level];
    }
    uint32_t level = level_for(job, slots);
    if (level == job->level)
        return;
    queue_leave(queues, job);
    job->level = level;
    queue_touch(queues, job, now_us);
}

void queue_correct(struct queues *queues, uint32_t number, double us)
{
    struct tenant *tenant = &queues->tenants[number];
    tenant->used_us += us;
    tenant->charged_us += us;
}

void queues_check(const struct queues *queues, struct job *const *jobs, uint32_t jobs_count)
{
    uint64_t queued = 0, standing = 0, runnable = 0;
    for (uint32_t i = 0; i < queues->count; i++) {
        uint64_t count = 0;
        for (uint32_t k = 0; k < QUEUE_LEVELS; k++)
            count += treap_check(queues->at[i]->jobs[k], &by_deadline);
        ENSURE(count == queues->at[i]->count);
        queued += count;
        ENSURE(i == 0 || queues->at[i - 1]->priority >= queues->at[i]->priority);
    }
    for (uint32_t i = 0; i < SCHED_TENANTS_MAX; i++)
        runnable += queues->tenants[i].runnable;
    for (uint32_t i = 0; i < jobs_count; i++) {
        ENSURE(!jobs[i]->queue == !job_has_work(jobs[i]));
        standing += jobs[i]->queue != NULL;
    }
    ENSURE(queued == standing && runnable == standing && queues->waiting == standing);
}
