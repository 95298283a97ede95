// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include "ensure.h"
#include "rng.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 16 };

void output_unref(struct output *output)
{
    if (atomic_fetch_sub(&output->refs, 1) > 1)
        return;
    if (output->map != NULL)
        stash_map_unref(output->map);
    else
        free(output->bytes);
    free(output);
}

void output_release(void *bytes, void *output)
{
    (void)bytes;
    output_unref(output);
}

/* ---- one ---- */

void work_drop_input(struct work *work)
{
    for (uint32_t i = 0; work->gathers != NULL && i < work->job->inputs_count; i++)
        gather_free(&work->gathers[i]);
    free(work->gathers);
    work->gathers = NULL;
    memset(work->inputs, 0, sizeof work->inputs);
}

void work_fail(struct work *work, uint32_t status, const char *reason)
{
    if (work->status != RESULT_OK)
        return;
    work->status = status;
    work->reason = strdup(reason);
}

static enum err check_sizes(const struct batch_out *out, uint32_t count, struct why *why)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < out->outputs_count; i++) {
        sum += out->outputs_bytes[i];
        if (out->outputs_bytes[i] > PAYLOAD_BYTES_MAX)
            return why_set(why, ERR_LIMIT, "output '%s' of %u samples takes %llu bytes; a message takes %d",
                           out->specs[i].name, count, (unsigned long long)out->outputs_bytes[i],
                           PAYLOAD_BYTES_MAX);
    }
    if (sum > MESSAGE_BYTES_MAX - BODY_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "the outputs of %u samples take %llu bytes; a message takes %d", count,
                       (unsigned long long)sum, MESSAGE_BYTES_MAX - BODY_BYTES_MAX);
    return ERR_OK;
}

static bool same_row(const struct tensor_spec *a, const struct tensor_spec *b)
{
    return a->dtype == b->dtype && a->dims_count == b->dims_count &&
           memcmp(a->dims, b->dims, a->dims_count * sizeof a->dims[0]) == 0;
}

static bool as_declared(const struct job *job, const struct batch_out *out)
{
    if (job->outputs_count != out->outputs_count)
        return false;
    for (uint32_t i = 0; i < out->outputs_count; i++)
        if (!same_row(&job->outputs[i], &out->specs[i]))
            return false;
    return true;
}

enum err work_take_outputs(struct work *work, struct batch_out *out, struct why *why)
{
    ENSURE(work->outputs_count == 0);
    enum err err = check_sizes(out, work->lease.count, why);
    if (err != ERR_OK)
        return err;
    if (!as_declared(work->job, out)) {
        work->shapes = malloc(out->outputs_count * sizeof *work->shapes);
        if (work->shapes == NULL)
            return why_set(why, ERR_MEMORY, "no memory for a result");
        memcpy(work->shapes, out->specs, out->outputs_count * sizeof *work->shapes);
    }
    for (uint32_t i = 0; i < out->outputs_count; i++) {
        struct output *output = malloc(sizeof *output);
        if (output == NULL)
            return why_set(why, ERR_MEMORY, "no memory for a result");
        atomic_init(&output->refs, 1);
        output->bytes = out->outputs[i];
        output->size = out->outputs_bytes[i];
        output->map = NULL;
        out->outputs[i] = NULL;
        work->outputs[work->outputs_count++] = output;
    }
    return ERR_OK;
}

uint64_t work_output_bytes(const struct work *work)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < work->outputs_count; i++)
        bytes += work->outputs[i]->size;
    return bytes;
}

/* ---- the spool ---- */

_Static_assert((int)STASH_OUTPUTS_MAX == (int)RUNTIME_TENSORS_MAX, "the spool takes any result");

void work_show(const struct work *work, struct stash_result *result)
{
    *result = (struct stash_result){
        .lease = work->lease,
        .wait_us = work->wait_us,
        .run_us = work->run_us,
        .energy_joules = work->energy_joules,
        .overrun = work->overrun,
        .outputs_count = work->outputs_count,
        .shapes = work->shapes,
    };
    for (uint32_t i = 0; i < work->outputs_count; i++) {
        result->outputs[i] = work->outputs[i]->bytes;
        result->sizes[i] = work->outputs[i]->size;
    }
}

enum err work_adopt(struct work *work, const struct stash_result *result, struct stash_map *map)
{
    size_t shapes_bytes = result->outputs_count * sizeof *work->shapes;
    work->wait_us = result->wait_us;
    work->run_us = result->run_us;
    work->energy_joules = result->energy_joules;
    work->overrun = result->overrun;
    work->sent = true;
    if (result->shapes != NULL && result->outputs_count > 0) {
        work->shapes = malloc(shapes_bytes);
        if (work->shapes == NULL)
            return ERR_MEMORY;
        memcpy(work->shapes, result->shapes, shapes_bytes);
    }
    for (uint32_t i = 0; i < result->outputs_count; i++) {
        struct output *output = malloc(sizeof *output);
        if (output == NULL)
            return ERR_MEMORY;
        atomic_init(&output->refs, 1);
        output->bytes = (void *)(uintptr_t)result->outputs[i]; /* sent, never written to */
        output->size = result->sizes[i];
        output->map = stash_map_ref(map);
        work->outputs[work->outputs_count++] = output;
    }
    return ERR_OK;
}

static void work_free(struct work *work)
{
    work_drop_input(work);
    for (uint32_t i = 0; i < work->outputs_count; i++)
        output_unref(work->outputs[i]);
    free(work->shapes);
    free(work->reason);
    job_unref(&work->job);
    free(work);
}

/* ---- all ---- */

void works_init(struct works *works) { *works = (struct works){ 0 }; }

void works_fini(struct works *works)
{
    for (uint32_t i = 0; i < works->buckets_count; i++)
        for (struct work *work = works->buckets[i], *next; work != NULL; work = next) {
            next = work->bucket_next;
            work_free(work);
        }
    free(works->buckets);
    works_init(works);
}

static struct work **bucket_of(const struct works *works, uint64_t term, uint64_t attempt)
{
    return &works->buckets[rng_mix64(rng_mix64(term) ^ attempt) & (works->buckets_count - 1)];
}

static void insert(struct works *works, struct work *work)
{
    struct work **bucket = bucket_of(works, work->lease.term, work->lease.attempt);
    work->bucket_next = *bucket;
    *bucket = work;
}

static bool grow(struct works *works)
{
    struct works grown = *works;
    grown.buckets_count = works->buckets_count > 0 ? works->buckets_count * 2 : BUCKETS_FIRST;
    grown.buckets = calloc(grown.buckets_count, sizeof(struct work *));
    if (grown.buckets == NULL)
        return false;
    for (uint32_t i = 0; i < works->buckets_count; i++)
        for (struct work *work = works->buckets[i], *next; work != NULL; work = next) {
            next = work->bucket_next;
            insert(&grown, work);
        }
    free(works->buckets);
    *works = grown;
    return true;
}

struct work *works_add(struct works *works, const struct agent_lease *lease, struct job *job)
{
    if (works->count == works->buckets_count && !grow(works))
        return NULL;
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL)
        return NULL;
    work->lease = *lease;
    work->job = job != NULL ? job_ref(job) : NULL;
    work->energy_joules = -1;
    work->delay = (struct heap_item){ .id = works->next_id++, .index = HEAP_ABSENT };
    insert(works, work);
    works->count++;
    return work;
}

struct work *works_find(const struct works *works, uint64_t term, uint64_t attempt)
{
    if (works->buckets_count == 0)
        return NULL;
    struct work *work = *bucket_of(works, term, attempt);
    while (work != NULL && (work->lease.attempt != attempt || work->lease.term != term))
        work = work->bucket_next;
    return work;
}

void works_remove(struct works *works, struct work **work)
{
    struct work **link = bucket_of(works, (*work)->lease.term, (*work)->lease.attempt);
    while (*link != *work)
        link = &(*link)->bucket_next;
    *link = (*work)->bucket_next;
    works->count--;
    work_free(*work);
    *work = NULL;
}
