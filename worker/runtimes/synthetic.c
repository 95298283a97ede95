// SPDX-License-Identifier: Apache-2.0
#include "synthetic.h"

#include "clock.h"
#include "measure.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEASURE_ROWS = 65536 };

struct runtime_slot {
    struct runtime_config config;
};

struct runtime_model {
    struct tensor_spec answer;
};

static const char *const FORMATS[] = { "synthetic", NULL };

static enum err synthetic_available(struct why *why)
{
    (void)why;
    return ERR_OK;
}

static enum err synthetic_open(const struct runtime_config *config, struct runtime_slot **slot,
                               struct why *why)
{
    *slot = calloc(1, sizeof **slot);
    if (*slot == NULL)
        return why_set(why, ERR_MEMORY, "synthetic: out of memory");
    (*slot)->config = *config;
    return ERR_OK;
}

static void synthetic_close(struct runtime_slot **slot)
{
    free(*slot);
    *slot = NULL;
}

static void describe(struct model_signature *signature)
{
    memset(signature, 0, sizeof *signature);
    signature->outputs_count = 1;
    snprintf(signature->outputs[0].name, sizeof signature->outputs[0].name, "answer");
    signature->outputs[0].dtype = DTYPE_U64;
    snprintf(signature->format, sizeof signature->format, "synthetic");
}

static enum err synthetic_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                               struct model_signature *signature, struct runtime_measure *measure,
                               struct why *why)
{
    *model = NULL;
    if (path != NULL)
        return why_set(why, ERR_UNSUPPORTED,
                       "%s: the runtime `synthetic` has its own model and reads no files", path);
    *model = calloc(1, sizeof **model);
    if (*model == NULL)
        return why_set(why, ERR_MEMORY, "synthetic: out of memory");
    describe(signature);
    (*model)->answer = signature->outputs[0];
    if (measure != NULL)
        measure_model(&synthetic_ops, slot, *model, signature, MEASURE_ROWS, measure);
    return ERR_OK;
}

static void synthetic_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    (void)slot;
    free(*model);
    *model = NULL;
}

static enum err synthetic_run(struct runtime_slot *slot, struct runtime_model *model,
                              const struct batch_in *in, struct batch_out *out, struct why *why)
{
    (void)slot;
    memset(out, 0, sizeof *out);
    uint64_t started_us = clock_monotonic_us();
    uint64_t *answers = malloc(((size_t)in->rows + 1) * sizeof *answers);
    if (answers == NULL)
        return why_set(why, ERR_MEMORY, "synthetic: no memory for the answers of %u samples", in->rows);
    for (uint32_t i = 0; i < in->rows; i++)
        answers[i] = rng_mix64(in->first + i);
    out->outputs_count = 1;
    out->outputs[0] = answers;
    out->outputs_bytes[0] = (uint64_t)in->rows * sizeof *answers;
    out->specs[0] = model->answer;
    out->run_us = clock_monotonic_us() - started_us;
    out->energy_joules = -1;
    return ERR_OK;
}

const struct runtime_ops synthetic_ops = {
    .name = "synthetic",
    .formats = FORMATS,
    .available = synthetic_available,
    .open = synthetic_open,
    .close = synthetic_close,
    .load = synthetic_load,
    .unload = synthetic_unload,
    .run = synthetic_run,
};
