// SPDX-License-Identifier: Apache-2.0
#include "direct.h"

#include "clock.h"
#include "runtime.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_MAX = 10, WARM_BATCHES = 3 };

#define PROBE_SECONDS 0.25
#define LONG_SECONDS  0.25 /* a batch that takes so long need not be larger */

struct direct {
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct model_signature signature;
    struct tensor_spec specs[RUNTIME_TENSORS_MAX];
    const uint8_t *inputs[RUNTIME_TENSORS_MAX];
    uint64_t rows, row_bytes[RUNTIME_TENSORS_MAX], next;
};

enum err direct_open(const char *runtime, const char *model, uint32_t threads, struct direct **direct,
                     struct why *why)
{
    struct runtime_config config = { .device = "cpu:0", .threads = threads, .numa_node = -1 };
    const struct runtime_ops *ops = runtime_find(runtime);
    if (!ops)
        return why_set(why, ERR_UNSUPPORTED, "runtime %s: is not in this build", runtime);
    struct direct *it = *direct = calloc(1, sizeof *it);
    if (!it)
        return why_set(why, ERR_MEMORY, "no memory for a measurement");
    it->ops = ops;
    enum err err = ops->available(why);
    if (err == ERR_OK)
        err = ops->open(&config, &it->slot, why);
    return err == ERR_OK ? ops->load(it->slot, model, &it->model, &it->signature, NULL, why) : err;
}

void direct_close(struct direct **direct)
{
    struct direct *it = *direct;
    if (!it)
        return;
    if (it->model)
        it->ops->unload(it->slot, &it->model);
    if (it->slot)
        it->ops->close(&it->slot);
    free(it);
    *direct = NULL;
}

void direct_feed(struct direct *direct, const void *const *inputs, uint64_t rows, const uint64_t *row_bytes)
{
    for (uint32_t k = 0; k < direct->signature.inputs_count; k++) {
        direct->inputs[k] = inputs[k];
        direct->row_bytes[k] = row_bytes[k];
    }
    direct->rows = rows;
    direct->next = 0;
}

/* The next rows in turn, so that no batch is warmer in the caches than it is through Motley. */
static enum err run_batch(struct direct *direct, uint32_t batch, struct why *why)
{
    struct batch_in in = { .rows = batch };
    struct batch_out out = { 0 };
    if (direct->next + batch > direct->rows)
        direct->next = 0;
    in.first = direct->next;
    for (uint32_t k = 0; k < direct->signature.inputs_count; k++)
        in.inputs[k] = direct->inputs[k] + direct->next * direct->row_bytes[k];
    enum err err = direct->ops->run(direct->slot, direct->model, &in, &out, why);
    direct->next += batch;
    batch_out_free(&out);
    return err;
}

static enum err measure(struct direct *direct, uint32_t batch, int warm, double seconds, double *rate,
                        struct why *why)
{
    enum err err = batch <= direct->rows
                       ? ERR_OK
                       : why_set(why, ERR_USAGE, "a batch of %u needs as many samples", batch);
    for (int i = 0; err == ERR_OK && i < warm; i++)
        err = run_batch(direct, batch, why);
    uint64_t began = clock_monotonic_us(), samples = 0, now = began;
    while (err == ERR_OK && (samples == 0 || (double)(now - began) < seconds * 1e6)) {
        err = run_batch(direct, batch, why);
        samples += batch;
        now = clock_monotonic_us();
    }
    *rate = now > began ? (double)samples * 1e6 / (double)(now - began) : 0.0;
    return err;
}

enum err direct_measure(struct direct *direct, uint32_t batch, double seconds, double *rate, struct why *why)
{
    return measure(direct, batch, WARM_BATCHES, seconds, rate, why);
}

/* Larger and larger batches, until one takes so long that its share of fixed cost is nothing, or is clearly
 * slower. */
enum err direct_best_batch(struct direct *direct, uint32_t *batch, struct why *why)
{
    double rates[SIZES_MAX], best = 0.0;
    uint32_t count = 0;
    bool more = true;
    enum err err = ERR_OK;
    *batch = direct->signature.batch_fixed;
    while (!*batch && err == ERR_OK && more && count < SIZES_MAX && (1ull << count) <= direct->rows) {
        uint32_t size = 1u << count;
        err = measure(direct, size, 1, PROBE_SECONDS, &rates[count], why);
        best = rates[count] > best ? rates[count] : best;
        more = rates[count] >= 0.9 * best && (double)size < LONG_SECONDS * rates[count];
        count++;
    }
    for (uint32_t i = 0; i < count && err == ERR_OK && *batch == 0; i++)
        *batch = rates[i] >= 0.98 * best ? 1u << i : 0;
    return err;
}
