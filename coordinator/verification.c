// SPDX-License-Identifier: Apache-2.0
#include "verification.h"

#include "answer.h"
#include "coordinator.h"
#include "explain.h"
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_VERSION = 1, DIFFERENCE_BYTES = 8 + 8 + 8 + 1 };

/* ---- sums ---- */

void verification_free(struct verification **verification)
{
    struct verification *it = *verification;
    for (uint32_t i = 0; it && i < it->pairs_count; i++) {
        free(it->pairs[i].device);
        free(it->pairs[i].against);
    }
    if (it)
        free(it->pairs);
    free(it);
    *verification = NULL;
}

static bool is_there(struct verification **verification)
{
    if (!*verification)
        *verification = calloc(1, sizeof **verification);
    return *verification != NULL;
}

static struct verified_pair *pair_of(struct verification *it, const char *device, const char *against)
{
    for (uint32_t i = 0; i < it->pairs_count; i++)
        if (strcmp(it->pairs[i].device, device) == 0 && strcmp(it->pairs[i].against, against) == 0)
            return &it->pairs[i];
    if (it->pairs_count == VERIFICATION_PAIRS_MAX)
        return NULL;
    struct verified_pair *pairs = realloc(it->pairs, (it->pairs_count + 1) * sizeof *pairs);
    if (!pairs)
        return NULL;
    it->pairs = pairs;
    struct verified_pair *fresh = &pairs[it->pairs_count];
    *fresh = (struct verified_pair){ .device = strdup(device), .against = strdup(against) };
    if (fresh->device && fresh->against)
        return &pairs[it->pairs_count++];
    free(fresh->device);
    free(fresh->against);
    return NULL;
}

bool verification_add(struct verification **verification, const char *device, const char *against,
                      const struct comparison *comparison)
{
    struct verified_pair *pair = is_there(verification) ? pair_of(*verification, device, against) : NULL;
    if (pair)
        comparison_merge(&pair->sums, comparison);
    return pair != NULL;
}

void verification_skip(struct verification **verification, uint64_t samples)
{
    if (is_there(verification))
        (*verification)->unchecked += samples;
}

uint64_t verification_checked(const struct verification *verification)
{
    uint64_t samples = 0;
    for (uint32_t i = 0; verification && i < verification->pairs_count; i++)
        samples += verification->pairs[i].sums.samples;
    return samples;
}

uint64_t verification_unchecked(const struct verification *verification, const struct sched *sched,
                                uint64_t job)
{
    struct explain_job explain;
    uint64_t before = verification ? verification->unchecked : 0;
    return before + (sched && explain_job(sched, job, &explain) ? explain.unchecked : 0);
}

/* ---- the journal's value: version, unchecked, pairs; of each the two texts with their zeros, its sums and
 * those of its outputs. Numbers are little-endian, as everywhere in the journal. ---- */

static uint8_t *put(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + 8;
}

static uint8_t *put_double(uint8_t *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put(at, bits);
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    return at + size;
}

static size_t pair_bytes(const struct verified_pair *pair)
{
    return strlen(pair->device) + 1 + strlen(pair->against) + 1 + (size_t)3 * 8 +
           pair->sums.outputs_count * (size_t)DIFFERENCE_BYTES;
}

static uint8_t *put_pair(uint8_t *at, const struct verified_pair *pair)
{
    at = put_text(at, pair->device);
    at = put_text(at, pair->against);
    at = put(at, pair->sums.samples);
    at = put(at, pair->sums.differing);
    at = put(at, pair->sums.outputs_count);
    for (uint32_t k = 0; k < pair->sums.outputs_count; k++) {
        const struct difference *difference = &pair->sums.outputs[k];
        at = put(at, difference->differing);
        at = put_double(at, difference->max_abs);
        at = put_double(at, difference->max_rel);
        *at++ = difference->floats;
    }
    return at;
}

enum err verification_pack(const struct verification *verification, uint64_t unchecked, uint8_t **value,
                           size_t *size)
{
    uint32_t count = verification ? verification->pairs_count : 0;
    *size = 1 + 2 * 8;
    for (uint32_t i = 0; i < count; i++)
        *size += pair_bytes(&verification->pairs[i]);
    uint8_t *at = *value = malloc(*size);
    if (!at)
        return ERR_MEMORY;
    *at++ = VALUE_VERSION;
    at = put(at, unchecked);
    at = put(at, count);
    for (uint32_t i = 0; i < count; i++)
        at = put_pair(at, &verification->pairs[i]);
    return ERR_OK;
}

/* Sticky: what is not there any more is 0, and bad says so. */
struct taking {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t take(struct taking *taking)
{
    uint64_t value = 0;
    if (taking->end - taking->at < 8) {
        taking->bad = true;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)taking->at[i] << (8 * i);
    taking->at += 8;
    return value;
}

static double take_double(struct taking *taking)
{
    double value;
    uint64_t bits = take(taking);
    memcpy(&value, &bits, sizeof value);
    return value >= 0 ? value : 0;
}

static const char *take_text(struct taking *taking)
{
    const char *text = (const char *)taking->at;
    const uint8_t *end =
        taking->at < taking->end ? memchr(taking->at, 0, (size_t)(taking->end - taking->at)) : NULL;
    if (!end) {
        taking->bad = true;
        return "";
    }
    taking->at = end + 1;
    return text;
}

static void take_differences(struct taking *taking, struct comparison *sums)
{
    uint64_t count = take(taking);
    taking->bad = taking->bad || count > STORE_OUTPUTS_MAX;
    sums->outputs_count = taking->bad ? 0 : (uint32_t)count;
    for (uint32_t k = 0; k < sums->outputs_count; k++) {
        struct difference *difference = &sums->outputs[k];
        difference->differing = take(taking);
        difference->max_abs = take_double(taking);
        difference->max_rel = take_double(taking);
        taking->bad = taking->bad || taking->at == taking->end;
        difference->floats = !taking->bad && *taking->at++;
    }
}

static enum err take_all(struct taking *taking, struct verification **verification)
{
    uint8_t version = taking->at < taking->end ? *taking->at++ : 0;
    uint64_t unchecked = take(taking), count = take(taking);
    if (version != VALUE_VERSION || taking->bad)
        return ERR_FORMAT;
    verification_skip(verification, unchecked);
    for (uint64_t i = 0; i < count && !taking->bad; i++) {
        struct comparison sums = { 0 };
        const char *device = take_text(taking), *against = take_text(taking);
        sums.samples = take(taking);
        sums.differing = take(taking);
        take_differences(taking, &sums);
        if (!taking->bad && !verification_add(verification, device, against, &sums))
            return ERR_MEMORY;
    }
    return taking->bad || taking->at != taking->end ? ERR_FORMAT : ERR_OK;
}

enum err verification_unpack(struct verification **verification, const uint8_t *value, size_t size)
{
    struct taking taking = { value, value + size, false };
    verification_free(verification);
    enum err err = take_all(&taking, verification);
    if (err)
        verification_free(verification);
    return err;
}

/* ---- the loop's side ---- */

static uint64_t rows_bytes(const struct answer *answer, uint64_t count)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < answer->record->outputs_count; k++)
        bytes += answer->row_bytes[k] * count;
    return bytes;
}

static void describe_rows(const struct answer *answer, const struct sched_action *action,
                          struct compare_fresh *fresh)
{
    uint64_t skip = action->first - answer->result->first;
    fresh->first = action->first;
    fresh->count = (uint32_t)action->count;
    for (uint32_t k = 0; k < answer->record->outputs_count; k++) {
        fresh->rows[k] = answer->rows[k] + skip * answer->row_bytes[k];
        if (!answer->result->shapes_count)
            continue;
        const struct message_shape *shape = &answer->result->shapes[k];
        fresh->specs[k].dtype = (enum dtype)shape->dtype;
        fresh->specs[k].dims_count = shape->dims_count;
        if (shape->dims_count > 0)
            memcpy(fresh->specs[k].dims, shape->dims, shape->dims_count * sizeof shape->dims[0]);
    }
}

static uint32_t class_of(struct coordinator *coordinator, uint32_t number, uint32_t slot)
{
    const struct message_hello *hello =
        worker_hello(coordinator->roster, roster_at(coordinator->roster, number));
    uint32_t i = 0;
    while (i + 1 < hello->devices_count && strcmp(hello->devices[i].id, hello->slots[slot].device) != 0)
        i++;
    return classes_number(coordinator->classes, &hello->devices[i], &hello->slots[slot]);
}

static const char *class_name(const struct coordinator *coordinator, uint64_t class)
{
    return class < classes_count(coordinator->classes) ? classes_name(coordinator->classes, (uint32_t) class)
                                                       : "?";
}

/* The rows stay until the clerk is done with them: in their frames, or, if they came in the message's body,
 * in a copy. */
static bool keep_rows(const struct answer *answer, struct clerk_command *command)
{
    const struct message_result *result = answer->result;
    if (result->rows_size == 0) {
        parcel_hold(answer->parcel);
        command->release = parcel_release;
        command->hint = answer->parcel;
        return true;
    }
    uint8_t *copy = malloc(result->rows_size);
    if (!copy)
        return false;
    memcpy(copy, result->rows, result->rows_size);
    for (uint32_t k = 0; k < answer->record->outputs_count; k++)
        command->fresh.rows[k] = copy + ((const uint8_t *)command->fresh.rows[k] - result->rows);
    command->release = free;
    command->hint = copy;
    return true;
}

/* tag: who answered, above who checked. */
static struct clerk_command *make_command(struct coordinator *coordinator, const struct sched_action *action)
{
    const struct answer *answer = coordinator->answer;
    const struct record *record = answer->record;
    struct clerk_command *command = clerk_command_new(CLERK_COMPARE);
    if (!command)
        return NULL;
    command->tag = (uint64_t)action->class << 32 | class_of(coordinator, action->worker, action->slot);
    command->job = record->number;
    command->samples = record->samples;
    command->outputs_count = record->outputs_count;
    memcpy(command->outputs, record->outputs, record->outputs_count * sizeof command->outputs[0]);
    command->size = rows_bytes(answer, action->count);
    describe_rows(answer, action, &command->fresh);
    if (!keep_rows(answer, command))
        clerk_command_free(&command);
    return command;
}

void verification_compare(struct coordinator *coordinator, const struct sched_action *action)
{
    const struct answer *answer = coordinator->answer;
    struct record *record = jobs_find(coordinator->jobs, action->job);
    if (!answer || !record || answer->record != record || answer->failure != SCHED_OK)
        return;
    uint64_t bytes = rows_bytes(answer, action->count);
    bool room = coordinator->comparing_bytes + bytes <= VERIFICATION_WAITING_MAX;
    struct clerk_command *command = room ? make_command(coordinator, action) : NULL;
    if (!command) {
        verification_skip(&record->verification, action->count);
        return;
    }
    coordinator->comparing_bytes += bytes;
    record->comparing++;
    clerk_post(coordinator->clerk, &command);
}

void verification_compared(struct coordinator *coordinator, struct clerk_event *event)
{
    const struct clerk_command *command = event->command;
    struct record *record = jobs_find(coordinator->jobs, command->job);
    coordinator->comparing_bytes -= command->size;
    if (!record)
        return;
    if (event->err)
        log_warn("NOT-COMPARED", "job %llu: %s", (unsigned long long)record->number, event->why.text);
    bool added = !event->err &&
                 verification_add(&record->verification, class_name(coordinator, command->tag >> 32),
                                  class_name(coordinator, command->tag & UINT32_MAX), &command->comparison);
    if (!added)
        verification_skip(&record->verification, command->fresh.count);
    record->comparing--;
    ledger_compared(coordinator, record);
}
