// SPDX-License-Identifier: Apache-2.0
#include "rules.h"

#include "messages.h"

#include <string.h>

/* first and count are within their own bounds here, so the sum cannot overflow. */
static const char *range(uint64_t first, uint32_t count)
{
    return first + count <= SAMPLES_MAX ? NULL : "first + count is more than 10^15";
}

static const char *versions(uint32_t least, uint32_t most)
{
    return least <= most ? NULL : "protocol_min is above protocol_max";
}

const char *rules_slot(const void *slot)
{
    const struct message_slot *it = slot;
    for (uint32_t i = 1; i < it->batch_sizes_count; i++)
        if (it->batch_sizes[i] <= it->batch_sizes[i - 1])
            return "batch_sizes are not ascending";
    return NULL;
}

const char *rules_attempt(const void *attempt)
{
    const struct message_attempt *it = attempt;
    return range(it->first, it->count);
}

static bool has_device(const struct message_hello *hello, const char *id)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, id) == 0)
            return true;
    return false;
}

const char *rules_hello(const void *hello)
{
    const struct message_hello *it = hello;
    for (uint32_t i = 0; i < it->slots_count; i++) {
        if (it->slots[i].slot != i)
            return "slots are not numbered 0, 1, 2, ...";
        if (!has_device(it, it->slots[i].device))
            return "a slot names a device that is not listed";
    }
    return versions(it->protocol_min, it->protocol_max);
}

const char *rules_result(const void *result)
{
    const struct message_result *it = result;
    if (it->status != RESULT_OK && it->frames > 0)
        return "a failed result has payload frames";
    if (it->rows_size > 0 && (it->status != RESULT_OK || it->frames > 0))
        return "rows are there besides a failure or frames";
    if (it->shapes_count > 0 && it->shapes_count != it->frames && it->rows_size == 0)
        return "shapes are neither none nor one per frame";
    return range(it->first, it->count);
}

const char *rules_fetch(const void *fetch)
{
    const struct message_fetch *it = fetch;
    return it->kind == FETCH_INPUT && it->job == 0 ? "an input without its job" : NULL;
}

const char *rules_job(const void *job)
{
    const struct message_job *it = job;
    bool paired = it->sources_count == 0 || it->sources_count == it->inputs_count;
    return paired ? NULL : "sources are neither none nor one per input";
}

const char *rules_lease(const void *lease)
{
    const struct message_lease *it = lease;
    return range(it->first, it->count);
}

const char *rules_client_hello(const void *client_hello)
{
    const struct message_client_hello *it = client_hello;
    return versions(it->protocol_min, it->protocol_max);
}

const char *rules_blob_put(const void *blob_put)
{
    const struct message_blob_put *it = blob_put;
    return it->offset <= it->total ? NULL : "offset is above total";
}
