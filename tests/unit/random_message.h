// SPDX-License-Identifier: Apache-2.0
/* random_message - any message with random contents that its table and rules allow, made from the tables
 * themselves; and the deep comparison of two. Header only: shared by the tests of the protocol. */
#ifndef RANDOM_MESSAGE_H
#define RANDOM_MESSAGE_H

#include "arena.h"
#include "rng.h"
#include "tables.h"

#include <string.h>

static const enum message_type message_types[] = {
    MESSAGE_HELLO,          MESSAGE_PROOF,        MESSAGE_LOADED,    MESSAGE_RESULTS,    MESSAGE_RETURNED,
    MESSAGE_HEARTBEAT,      MESSAGE_FETCH,        MESSAGE_BYE,       MESSAGE_WELCOME,    MESSAGE_JOBS,
    MESSAGE_LOAD,           MESSAGE_LEASES,       MESSAGE_RECALL,    MESSAGE_ACKS,       MESSAGE_PIECE,
    MESSAGE_FORGET,         MESSAGE_CLIENT_HELLO, MESSAGE_SUBMIT,    MESSAGE_VIEW,       MESSAGE_CANCEL,
    MESSAGE_BLOB_FIND,      MESSAGE_BLOB_PUT,     MESSAGE_MODEL_ADD, MESSAGE_OUTPUT_GET, MESSAGE_REPLY,
    MESSAGE_CLIENT_WELCOME, MESSAGE_REFUSED,      MESSAGE_UNLOAD,    MESSAGE_PREFETCH,   MESSAGE_DRAINING,
    MESSAGE_DRAIN,          MESSAGE_INFER,        MESSAGE_INFERRED,  MESSAGE_CHANGE,     MESSAGE_REMOVE,
    MESSAGE_RETRY,          MESSAGE_JOIN,         MESSAGE_PULSE,
};

enum { MESSAGE_TYPES = sizeof message_types / sizeof message_types[0] };

struct random_message {
    struct rng rng;
    struct arena arena;
    uint32_t array_max; /* elements of an array, at most; the table's bound still holds */
};

static inline const char *random_text(struct random_message *random, uint64_t bytes_max)
{
    static const char *const pieces[] = {
        "a", "Z", "7", " ", "\t", "\n", "/", "\"", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x9A\x80"
    };
    uint64_t wanted = rng_below(&random->rng, (bytes_max < 40 ? bytes_max : 40) + 1);
    char *text = arena_take(&random->arena, (size_t)wanted + 1);
    for (size_t used = 0;;) {
        const char *piece = pieces[rng_below(&random->rng, sizeof pieces / sizeof pieces[0])];
        if (used + strlen(piece) > wanted)
            return text;
        memcpy(text + used, piece, strlen(piece));
        used += strlen(piece);
    }
}

static inline const uint8_t *random_bytes(struct random_message *random, uint64_t size)
{
    uint8_t *bytes = arena_take(&random->arena, (size_t)size);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_next(&random->rng);
    return bytes;
}

/* Often an end of the range, else anything within; small or large magnitudes alike. */
static inline uint64_t random_number(struct random_message *random, int64_t min, uint64_t max)
{
    uint64_t span = max - (uint64_t)min;
    switch (rng_below(&random->rng, 4)) {
    case 0: return (uint64_t)min;
    case 1: return max;
    default: break;
    }
    uint64_t value = rng_next(&random->rng) >> rng_below(&random->rng, 64);
    return (uint64_t)min + (span == UINT64_MAX ? value : value % (span + 1));
}

static inline void random_fill(struct random_message *random, const struct table *table,
                               unsigned char *object);

static inline void random_value(struct random_message *random, const struct field *field, void *to)
{
    uint64_t number = random_number(random, field->min, field->kind == FIELD_F64 ? 1 : field->max);
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL: *(bool *)to = number & 1; break;
    case FIELD_U32: *(uint32_t *)to = (uint32_t)number; break;
    case FIELD_U64: *(uint64_t *)to = number; break;
    case FIELD_I32: *(int32_t *)to = (int32_t)number; break;
    case FIELD_I64: *(int64_t *)to = (int64_t)number; break;
    case FIELD_F64:
        *(double *)to = field->min < 0 ? rng_normal(&random->rng) * 1e9 : rng_unit(&random->rng);
        break;
    case FIELD_TEXT:
    case FIELD_WORDS: *(const char **)to = random_text(random, field->max); break;
    case FIELD_FIXED: *(const uint8_t **)to = random_bytes(random, field->max); break;
    case FIELD_STRUCT: random_fill(random, field->table, to); break;
    case FIELD_BYTES:
    case FIELD_NONE: break;
    }
}

static inline void random_array(struct random_message *random, const struct field *field,
                                unsigned char *object)
{
    uint32_t most = field->count_max < random->array_max ? field->count_max : random->array_max;
    uint32_t count = (uint32_t)rng_below(&random->rng, (uint64_t)most + 1);
    size_t size = field_element_bytes(field);
    unsigned char *elements = arena_take(&random->arena, count * size);
    for (uint32_t i = 0; i < count; i++)
        random_value(random, field, elements + i * size);
    *(void **)(void *)(object + field->offset) = elements;
    *(uint32_t *)(void *)(object + field->count_offset) = count;
}

static inline void random_fill(struct random_message *random, const struct table *table,
                               unsigned char *object)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        if (!field->must && rng_below(&random->rng, 4) == 0)
            continue; /* absent */
        if (field->count_max > 0) {
            random_array(random, field, object);
        } else if (field->kind == FIELD_BYTES) {
            uint32_t size = (uint32_t)rng_below(&random->rng, field->max + 1);
            *(const uint8_t **)(void *)(object + field->offset) = random_bytes(random, size);
            *(uint32_t *)(void *)(object + field->count_offset) = size;
        } else {
            random_value(random, field, object + field->offset);
        }
    }
}

/* ---- what rules.c asks for, made true ---- */

static inline uint64_t fit_range(uint64_t first, uint32_t count)
{
    return first + count > SAMPLES_MAX ? SAMPLES_MAX - count : first;
}

static inline void fit_hello(struct message_hello *hello)
{
    if (hello->protocol_min > hello->protocol_max)
        hello->protocol_min = hello->protocol_max;
    if (hello->devices_count == 0)
        hello->slots_count = 0;
    for (uint32_t i = 0; i < hello->slots_count; i++) {
        struct message_slot *slot = &hello->slots[i];
        slot->slot = i;
        slot->device = hello->devices[i % hello->devices_count].id;
        for (uint32_t k = 0; k < slot->batch_sizes_count; k++)
            slot->batch_sizes[k] = k + 1;
    }
    for (uint32_t i = 0; i < hello->attempts_count; i++)
        hello->attempts[i].first = fit_range(hello->attempts[i].first, hello->attempts[i].count);
}

static inline void fit_results(struct message_results *results)
{
    for (uint32_t i = 0; i < results->results_count; i++) {
        struct message_result *result = &results->results[i];
        result->first = fit_range(result->first, result->count);
        if (result->status != RESULT_OK)
            result->shapes_count = 0;
        if (result->status != RESULT_OK)
            result->rows_size = 0;
        result->frames = result->rows_size ? 0 : result->shapes_count;
    }
}

static inline void fit_jobs(struct message_jobs *jobs)
{
    for (uint32_t i = 0; i < jobs->jobs_count; i++) {
        struct message_job *job = &jobs->jobs[i];
        if (job->sources_count > job->inputs_count)
            job->sources_count = job->inputs_count;
        if (job->sources_count < job->inputs_count)
            job->sources_count = 0;
    }
}

static inline void fit_leases(struct message_leases *leases)
{
    for (uint32_t i = 0; i < leases->leases_count; i++)
        leases->leases[i].first = fit_range(leases->leases[i].first, leases->leases[i].count);
}

static inline void fit(struct message *message)
{
    switch (message->type) {
    case MESSAGE_HELLO: fit_hello(&message->hello); break;
    case MESSAGE_RESULTS: fit_results(&message->results); break;
    case MESSAGE_JOBS: fit_jobs(&message->jobs); break;
    case MESSAGE_LEASES: fit_leases(&message->leases); break;
    case MESSAGE_FETCH: message->fetch.job |= 1; break;
    case MESSAGE_CLIENT_HELLO: message->client_hello.protocol_min = 1; break;
    case MESSAGE_BLOB_PUT: message->blob_put.offset %= message->blob_put.total + 1; break;
    default: break;
    }
}

/* A random message of a type. It lives in the arena until the caller's arena_reset. */
static inline struct message *random_message(struct random_message *random, enum message_type type)
{
    struct message *message = arena_take(&random->arena, sizeof *message);
    message->type = type;
    random_fill(random, tables_find((uint64_t)type)->table, (unsigned char *)&message->hello);
    fit(message);
    return message;
}

/* ---- comparison ---- */

static inline bool same_object(const struct table *table, const unsigned char *a, const unsigned char *b);

static inline bool same_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

static inline bool same_fixed(const uint8_t *a, const uint8_t *b, uint64_t size)
{
    static const uint8_t zeros[64];
    return memcmp(a ? a : zeros, b ? b : zeros, (size_t)size) == 0;
}

static inline bool same_value(const struct field *field, const void *a, const void *b)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_TEXT:
    case FIELD_WORDS: return same_text(*(const char *const *)a, *(const char *const *)b);
    case FIELD_FIXED: return same_fixed(*(const uint8_t *const *)a, *(const uint8_t *const *)b, field->max);
    case FIELD_STRUCT: return same_object(field->table, a, b);
    default: return memcmp(a, b, field_element_bytes(field)) == 0;
    }
}

static inline bool same_field(const struct field *field, const unsigned char *a, const unsigned char *b)
{
    const void *at_a = a + field->offset, *at_b = b + field->offset;
    if (field->count_max == 0 && field->kind != FIELD_BYTES)
        return same_value(field, at_a, at_b);
    uint32_t count = *(const uint32_t *)(const void *)(a + field->count_offset);
    if (count != *(const uint32_t *)(const void *)(b + field->count_offset))
        return false;
    const unsigned char *elements_a = *(const unsigned char *const *)at_a;
    const unsigned char *elements_b = *(const unsigned char *const *)at_b;
    if (field->kind == FIELD_BYTES)
        return count == 0 || memcmp(elements_a, elements_b, count) == 0;
    size_t size = field_element_bytes(field);
    for (uint32_t i = 0; i < count; i++)
        if (!same_value(field, elements_a + i * size, elements_b + i * size))
            return false;
    return true;
}

static inline bool same_object(const struct table *table, const unsigned char *a, const unsigned char *b)
{
    for (uint32_t i = 0; i < table->fields_count; i++)
        if (!same_field(&table->fields[i], a, b))
            return false;
    return true;
}

static inline bool same_message(const struct message *a, const struct message *b)
{
    return a->type == b->type &&
           same_object(tables_find((uint64_t)a->type)->table, (const unsigned char *)&a->hello,
                       (const unsigned char *)&b->hello);
}

#endif
