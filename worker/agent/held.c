// SPDX-License-Identifier: Apache-2.0
#include "held.h"

#include "ensure.h"
#include "rng.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 16 };

void held_table_init(struct held_table *table) { *table = (struct held_table){ 0 }; }

static void free_chain(struct held *held)
{
    while (held != NULL) {
        struct held *next = held->bucket_next;
        free(held);
        held = next;
    }
}

void held_table_fini(struct held_table *table)
{
    for (uint32_t i = 0; i < table->buckets_count; i++)
        free_chain(table->buckets[i]);
    free_chain(table->spare);
    free(table->buckets);
    held_table_init(table);
}

/* buckets_count is a power of two. */
static struct held **bucket_of(const struct held_table *table, uint64_t term, uint64_t attempt)
{
    return &table->buckets[rng_mix64(rng_mix64(term) ^ attempt) & (table->buckets_count - 1)];
}

struct held *held_find(const struct held_table *table, uint64_t term, uint64_t attempt)
{
    if (table->buckets_count == 0)
        return NULL;
    struct held *held = *bucket_of(table, term, attempt);
    while (held != NULL && (held->lease.attempt != attempt || held->lease.term != term))
        held = held->bucket_next;
    return held;
}

static void put_in_bucket(struct held_table *table, struct held *held)
{
    struct held **bucket = bucket_of(table, held->lease.term, held->lease.attempt);
    held->bucket_next = *bucket;
    *bucket = held;
}

static bool grow(struct held_table *table)
{
    uint32_t count = table->buckets_count ? table->buckets_count * 2 : BUCKETS_FIRST;
    struct held **buckets = calloc(count, sizeof(struct held *));
    if (buckets == NULL)
        return false;
    free(table->buckets);
    table->buckets = buckets;
    table->buckets_count = count;
    for (struct held *held = table->oldest; held != NULL; held = held->newer)
        put_in_bucket(table, held);
    return true;
}

static struct held *take_spare(struct held_table *table)
{
    struct held *held = table->spare;
    if (held == NULL)
        return calloc(1, sizeof *held);
    table->spare = held->bucket_next;
    memset(held, 0, sizeof *held);
    return held;
}

struct held *held_add(struct held_table *table, const struct agent_lease *lease)
{
    if (table->count == AGENT_LEASES_MAX)
        return NULL;
    if (table->count == table->buckets_count && !grow(table))
        return NULL;
    struct held *held = take_spare(table);
    if (held == NULL)
        return NULL;
    held->lease = *lease;
    put_in_bucket(table, held);
    held->older = table->newest;
    if (table->newest != NULL)
        table->newest->newer = held;
    else
        table->oldest = held;
    table->newest = held;
    table->count++;
    return held;
}

static void take_from_bucket(struct held_table *table, struct held *held)
{
    struct held **link = bucket_of(table, held->lease.term, held->lease.attempt);
    while (*link != held)
        link = &(*link)->bucket_next;
    *link = held->bucket_next;
}

void held_remove(struct held_table *table, struct held *held)
{
    ENSURE(held->queue_before == NULL && held->queue_after == NULL);
    take_from_bucket(table, held);
    if (held->older != NULL)
        held->older->newer = held->newer;
    else
        table->oldest = held->newer;
    if (held->newer != NULL)
        held->newer->older = held->older;
    else
        table->newest = held->older;
    held->bucket_next = table->spare;
    table->spare = held;
    table->count--;
}

void held_push(struct held_queue *queue, struct held *held)
{
    held->queue_before = queue->last;
    held->queue_after = NULL;
    if (queue->last != NULL)
        queue->last->queue_after = held;
    else
        queue->first = held;
    queue->last = held;
    queue->count++;
}

void held_unlink(struct held_queue *queue, struct held *held)
{
    if (held->queue_before != NULL)
        held->queue_before->queue_after = held->queue_after;
    else
        queue->first = held->queue_after;
    if (held->queue_after != NULL)
        held->queue_after->queue_before = held->queue_before;
    else
        queue->last = held->queue_before;
    held->queue_before = held->queue_after = NULL;
    queue->count--;
}

void held_table_check(const struct held_table *table)
{
    uint32_t count = 0;
    const struct held *before = NULL;
    for (const struct held *held = table->oldest; held != NULL; held = held->newer) {
        ENSURE(held->older == before);
        ENSURE(held_find(table, held->lease.term, held->lease.attempt) == held);
        before = held;
        count++;
    }
    ENSURE(table->newest == before);
    ENSURE(count == table->count && count <= AGENT_LEASES_MAX);
}
