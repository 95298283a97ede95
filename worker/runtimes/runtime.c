// SPDX-License-Identifier: Apache-2.0
#include "runtime.h"

#include "emulated.h"
#include "onnxruntime.h"
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

static const struct runtime_ops *const TABLE[] = {
#ifdef MOTLEY_ORT
    &onnxruntime_ops,
#endif
    &synthetic_ops,
    &emulated_ops,
    NULL,
};

const struct runtime_ops *const *runtime_all(void) { return TABLE; }

const struct runtime_ops *runtime_find(const char *name)
{
    for (const struct runtime_ops *const *ops = TABLE; *ops != NULL; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}

bool runtime_reads(const struct runtime_ops *ops, const char *format)
{
    for (const char *const *known = ops->formats; *known != NULL; known++)
        if (strcmp(*known, format) == 0)
            return true;
    return false;
}

void batch_out_free(struct batch_out *out)
{
    for (uint32_t i = 0; i < out->outputs_count; i++)
        free(out->outputs[i]);
    memset(out, 0, sizeof *out);
}

static enum err refuse_axis(const struct tensor_spec *spec, const char *found, struct why *why)
{
    char shape[256];
    tensor_print(spec, shape, sizeof shape);
    return why_set(
        why, ERR_UNSUPPORTED,
        "no batch axis: '%s' is %s, %s; the first dimension of every input and output must be unknown or the "
        "same number: export the model again with such an axis",
        spec->name, shape, found);
}

/* size: the leading dimension of the tensors so far, 0 before the first. */
static enum err check_axis(const struct tensor_spec *spec, int64_t *size, struct why *why)
{
    if (spec->dims_count == 0)
        return refuse_axis(spec, "which has no dimensions", why);
    if (spec->dims[0] == 0 || spec->dims[0] < -1 || spec->dims[0] > UINT32_MAX)
        return refuse_axis(spec, "whose first dimension cannot be a batch", why);
    if (*size != 0 && spec->dims[0] != *size)
        return refuse_axis(spec, "whose first dimension is another than that of the tensors before it", why);
    *size = spec->dims[0];
    return ERR_OK;
}

static void drop_axis(struct tensor_spec *spec)
{
    spec->dims_count--;
    memmove(&spec->dims[0], &spec->dims[1], spec->dims_count * sizeof spec->dims[0]);
    spec->dims[spec->dims_count] = 0;
}

enum err signature_find_batch(struct model_signature *signature, struct why *why)
{
    if (signature->inputs_count == 0 || signature->outputs_count == 0)
        return why_set(why, ERR_UNSUPPORTED,
                       "no batch axis: the model has %u inputs and %u outputs; it needs one of each at least",
                       signature->inputs_count, signature->outputs_count);
    int64_t size = 0;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < signature->inputs_count && err == ERR_OK; i++)
        err = check_axis(&signature->inputs[i], &size, why);
    for (uint32_t i = 0; i < signature->outputs_count && err == ERR_OK; i++)
        err = check_axis(&signature->outputs[i], &size, why);
    if (err != ERR_OK)
        return err;
    for (uint32_t i = 0; i < signature->inputs_count; i++)
        drop_axis(&signature->inputs[i]);
    for (uint32_t i = 0; i < signature->outputs_count; i++)
        drop_axis(&signature->outputs[i]);
    signature->batch_fixed = size > 0 ? (uint32_t)size : 0;
    return ERR_OK;
}
