// SPDX-License-Identifier: Apache-2.0
#include "onnxruntime.h"

#ifdef MOTLEY_ORT
#include "clock.h"
#include "ensure.h"
#include "measure.h"
#include "ort_library.h"
#include "ort_signature.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEASURE_ROWS = 64 };

struct runtime_slot {
    const struct ort *ort;
    OrtSessionOptions *session_options;
    OrtRunOptions *run_options; /* the slot's: one run at a time */
    pthread_mutex_t mutex;      /* keeps `cancelled` and the run options' terminate flag the same */
    bool cancelled;
};

struct runtime_model {
    OrtSession *session;
    struct model_signature signature;
};

/* One run: what is made for it, released together. Inputs that could not be passed where they lie are copied
 * into `copies`. */
struct call {
    OrtValue *inputs[RUNTIME_TENSORS_MAX];
    OrtValue *outputs[RUNTIME_TENSORS_MAX];
    void *copies[RUNTIME_TENSORS_MAX];
    uint32_t rows, padded;
};

static const char *const FORMATS[] = { "onnx", NULL };

static enum err onnxruntime_available(struct why *why)
{
    const struct ort *ort;
    return ort_library(&ort, why);
}

/* No memory pattern: it is planned anew and kept for each batch size that comes by. */
static OrtStatus *configure(const OrtApi *api, OrtSessionOptions *options, uint32_t threads)
{
    OrtStatus *status = api->SetIntraOpNumThreads(options, (int)threads);
    if (status == NULL)
        status = api->SetInterOpNumThreads(options, 1);
    if (status == NULL)
        status = api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0");
    if (status == NULL)
        status = api->AddSessionConfigEntry(options, "session.inter_op.allow_spinning", "0");
    if (status == NULL)
        status = api->DisableMemPattern(options);
    return status;
}

static enum err make_options(struct runtime_slot *slot, uint32_t threads, struct why *why)
{
    const OrtApi *api = slot->ort->api;
    OrtStatus *status = api->CreateSessionOptions(&slot->session_options);
    if (status == NULL)
        status = configure(api, slot->session_options, threads);
    if (status == NULL)
        status = api->CreateRunOptions(&slot->run_options);
    return ort_check(slot->ort, status, ERR_RUNTIME, "ONNX Runtime does not take a slot's options", why);
}

static void onnxruntime_close(struct runtime_slot **slot_taken)
{
    struct runtime_slot *slot = *slot_taken;
    if (slot == NULL)
        return;
    if (slot->run_options != NULL)
        slot->ort->api->ReleaseRunOptions(slot->run_options);
    if (slot->session_options != NULL)
        slot->ort->api->ReleaseSessionOptions(slot->session_options);
    pthread_mutex_destroy(&slot->mutex);
    free(slot);
    *slot_taken = NULL;
}

static enum err onnxruntime_open(const struct runtime_config *config, struct runtime_slot **slot,
                                 struct why *why)
{
    const struct ort *ort;
    *slot = NULL;
    enum err err = ort_library(&ort, why);
    if (err != ERR_OK)
        return err;
    *slot = calloc(1, sizeof **slot);
    if (*slot == NULL)
        return why_set(why, ERR_MEMORY, "onnxruntime: out of memory");
    (*slot)->ort = ort;
    pthread_mutex_init(&(*slot)->mutex, NULL);
    err = make_options(*slot, config->threads, why);
    if (err != ERR_OK)
        onnxruntime_close(slot);
    return err;
}

static void onnxruntime_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    if (*model == NULL)
        return;
    if ((*model)->session != NULL)
        slot->ort->api->ReleaseSession((*model)->session);
    free(*model);
    *model = NULL;
}

/* ONNX Runtime says FAIL for most things; only its words tell a broken file from one that it does not
 * support. */
static enum err classify(const struct ort *ort, const OrtStatus *status)
{
    static const char *const UNSUPPORTED[] = { "nsupported", "not supported", "not a registered",
                                               "No Op registered", "not implemented" };
    if (status == NULL)
        return ERR_OK;
    OrtErrorCode code = ort->api->GetErrorCode(status);
    if (code == ORT_NOT_IMPLEMENTED)
        return ERR_UNSUPPORTED;
    if (code == ORT_NO_SUCHFILE)
        return ERR_FILE;
    for (size_t i = 0; i < sizeof UNSUPPORTED / sizeof UNSUPPORTED[0]; i++)
        if (strstr(ort->api->GetErrorMessage(status), UNSUPPORTED[i]) != NULL)
            return ERR_UNSUPPORTED;
    return ERR_FORMAT;
}

static enum err load_session(struct runtime_slot *slot, const char *path, struct runtime_model *model,
                             struct why *why)
{
    const struct ort *ort = slot->ort;
    struct why refusal = { "" };
    OrtStatus *status = ort->api->CreateSession(ort->env, path, slot->session_options, &model->session);
    enum err err = ort_check(ort, status, classify(ort, status), "ONNX Runtime does not load it", &refusal);
    if (err == ERR_OK)
        err = ort_signature(ort, model->session, &model->signature, &refusal);
    return err == ERR_OK ? ERR_OK : why_set(why, err, "%s: %s", path, refusal.text);
}

static enum err check_file(const char *path, struct why *why)
{
    struct stat stat_buffer;
    if (access(path, R_OK) != 0 || stat(path, &stat_buffer) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    if (!S_ISREG(stat_buffer.st_mode))
        return why_set(why, ERR_FILE, "%s: is not a file; give the .onnx file itself", path);
    return ERR_OK;
}

static enum err onnxruntime_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                                 struct model_signature *signature, struct runtime_measure *measure,
                                 struct why *why)
{
    *model = NULL;
    if (path == NULL)
        return why_set(why, ERR_UNSUPPORTED,
                       "onnxruntime: has no built-in model; the runtime `synthetic` has");
    enum err err = check_file(path, why);
    if (err != ERR_OK)
        return err;
    *model = calloc(1, sizeof **model);
    if (*model == NULL)
        return why_set(why, ERR_MEMORY, "%s: out of memory", path);
    err = load_session(slot, path, *model, why);
    if (err != ERR_OK) {
        onnxruntime_unload(slot, model);
        return err;
    }
    *signature = (*model)->signature;
    if (measure != NULL)
        measure_model(&onnxruntime_ops, slot, *model, signature, MEASURE_ROWS, measure);
    return ERR_OK;
}

static bool has_unknown(const struct tensor_spec *spec)
{
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (spec->dims[i] < 0)
            return true;
    return false;
}

/* The rows where they lie, or a copy: padded with zeros, or because a frame or a file's map may start at any
 * byte. */
static enum err place_input(const void *rows, const struct tensor_spec *spec, struct call *call,
                            uint32_t index, void **data, struct why *why)
{
    static uint64_t nothing;
    uint64_t row_bytes = tensor_row_bytes(spec);
    size_t bytes = (size_t)(row_bytes * call->rows), all_bytes = (size_t)(row_bytes * call->padded);
    *data =
        row_bytes == 0 ? (void *)&nothing : (void *)(uintptr_t)rows; /* ONNX Runtime does not write inputs */
    if (row_bytes == 0 || (all_bytes == bytes && (uintptr_t)rows % dtype_bytes(spec->dtype) == 0))
        return ERR_OK;
    char *copy = malloc(all_bytes);
    if (copy == NULL)
        return why_set(why, ERR_MEMORY, "no memory for %zu bytes of input '%s'", all_bytes, spec->name);
    memcpy(copy, rows, bytes);
    memset(copy + bytes, 0, all_bytes - bytes);
    *data = call->copies[index] = copy;
    return ERR_OK;
}

static enum err make_input(const struct ort *ort, const void *rows, const struct tensor_spec *spec,
                           struct call *call, uint32_t index, struct why *why)
{
    int64_t shape[TENSOR_DIMS_MAX + 1] = { call->padded };
    if (has_unknown(spec))
        return why_set(why, ERR_UNSUPPORTED,
                       "input '%s' has a dimension that the model leaves open and the job does not give",
                       spec->name);
    void *data;
    enum err err = place_input(rows, spec, call, index, &data, why);
    if (err != ERR_OK)
        return err;
    memcpy(&shape[1], spec->dims, spec->dims_count * sizeof shape[0]);
    size_t bytes = (size_t)(tensor_row_bytes(spec) * call->padded);
    OrtStatus *status = ort->api->CreateTensorWithDataAsOrtValue(
        ort->memory, data, bytes, shape, spec->dims_count + 1, ort_type(spec->dtype), &call->inputs[index]);
    return ort_check(ort, status, ERR_RUNTIME, "ONNX Runtime does not take an input", why);
}

static enum err make_inputs(const struct ort *ort, const struct model_signature *signature,
                            const struct batch_in *in, struct call *call, struct why *why)
{
    ENSURE(in->rows > 0);
    call->rows = in->rows;
    call->padded = signature->batch_fixed > 0 ? signature->batch_fixed : in->rows;
    if (in->rows > call->padded)
        return why_set(why, ERR_LIMIT, "a batch of %u samples is more than the model's fixed batch of %u",
                       in->rows, call->padded);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < signature->inputs_count && err == ERR_OK; i++)
        err = make_input(ort, in->inputs[i], in->specs != NULL ? &in->specs[i] : &signature->inputs[i], call,
                         i, why);
    return err;
}

static void set_cancelled(struct runtime_slot *slot, bool cancelled)
{
    const OrtApi *api = slot->ort->api;
    pthread_mutex_lock(&slot->mutex);
    slot->cancelled = cancelled;
    OrtStatus *status = cancelled ? api->RunOptionsSetTerminate(slot->run_options)
                                  : api->RunOptionsUnsetTerminate(slot->run_options);
    if (status != NULL)
        api->ReleaseStatus(status);
    pthread_mutex_unlock(&slot->mutex);
}

/* True if there was a cancel, which is then used up. */
static bool take_cancel(struct runtime_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    bool cancelled = slot->cancelled;
    pthread_mutex_unlock(&slot->mutex);
    if (cancelled)
        set_cancelled(slot, false);
    return cancelled;
}

static enum err compute(struct runtime_slot *slot, const struct runtime_model *model, struct call *call,
                        struct why *why)
{
    const struct model_signature *signature = &model->signature;
    const char *inputs[RUNTIME_TENSORS_MAX], *outputs[RUNTIME_TENSORS_MAX];
    for (uint32_t i = 0; i < signature->inputs_count; i++)
        inputs[i] = signature->inputs[i].name;
    for (uint32_t i = 0; i < signature->outputs_count; i++)
        outputs[i] = signature->outputs[i].name;
    OrtStatus *status =
        slot->ort->api->Run(model->session, slot->run_options, inputs, (const OrtValue *const *)call->inputs,
                            signature->inputs_count, outputs, signature->outputs_count, call->outputs);
    bool cancelled = take_cancel(slot);
    enum err err = ort_check(slot->ort, status, ERR_RUNTIME, "ONNX Runtime failed", why);
    return err == ERR_RUNTIME && cancelled ? why_set(why, ERR_CANCELLED, "onnxruntime: cancelled") : err;
}

static enum err read_output(const struct ort *ort, OrtValue *value, struct tensor_spec *spec, void **data,
                            struct why *why)
{
    OrtTensorTypeAndShapeInfo *info;
    enum err err =
        ort_check(ort, ort->api->GetTensorTypeAndShape(value, &info), ERR_RUNTIME, "no shape", why);
    if (err != ERR_OK)
        return err;
    err = ort_shape(ort, info, spec, why);
    ort->api->ReleaseTensorTypeAndShapeInfo(info);
    return err != ERR_OK
               ? err
               : ort_check(ort, ort->api->GetTensorMutableData(value, data), ERR_RUNTIME, "no data", why);
}

/* One output into out, its padding cut off. The declared axis is believed only now. */
static enum err take_output(const struct ort *ort, const struct call *call, uint32_t index,
                            struct batch_out *out, struct why *why)
{
    struct tensor_spec *spec = &out->specs[index];
    struct why refusal = { "" };
    void *data = NULL;
    enum err err = read_output(ort, call->outputs[index], spec, &data, &refusal);
    if (err != ERR_OK)
        return why_set(why, ERR_RUNTIME, "output '%s': %s", spec->name, refusal.text);
    if (spec->dims_count == 0 || spec->dims[0] != call->padded)
        return why_set(why, ERR_RUNTIME,
                       "output '%s' has %lld rows for a batch of %u: its first dimension is not the batch",
                       spec->name, spec->dims_count > 0 ? (long long)spec->dims[0] : 0LL, call->padded);
    spec->dims_count--;
    memmove(&spec->dims[0], &spec->dims[1], spec->dims_count * sizeof spec->dims[0]);
    size_t bytes = (size_t)(tensor_row_bytes(spec) * call->rows);
    out->outputs[index] = malloc(bytes > 0 ? bytes : 1);
    if (out->outputs[index] == NULL)
        return why_set(why, ERR_MEMORY, "no memory for %zu bytes of output '%s'", bytes, spec->name);
    if (bytes > 0)
        memcpy(out->outputs[index], data, bytes);
    out->outputs_bytes[index] = bytes;
    return ERR_OK;
}

static enum err take_outputs(const struct ort *ort, const struct model_signature *signature,
                             const struct call *call, struct batch_out *out, struct why *why)
{
    enum err err = ERR_OK;
    out->outputs_count = signature->outputs_count;
    for (uint32_t i = 0; i < out->outputs_count && err == ERR_OK; i++) {
        memcpy(out->specs[i].name, signature->outputs[i].name, sizeof out->specs[i].name);
        err = take_output(ort, call, i, out, why);
    }
    return err;
}

static void release_call(const struct ort *ort, struct call *call)
{
    for (uint32_t i = 0; i < RUNTIME_TENSORS_MAX; i++) {
        if (call->inputs[i] != NULL)
            ort->api->ReleaseValue(call->inputs[i]);
        if (call->outputs[i] != NULL)
            ort->api->ReleaseValue(call->outputs[i]);
        free(call->copies[i]);
    }
}

static enum err onnxruntime_run(struct runtime_slot *slot, struct runtime_model *model,
                                const struct batch_in *in, struct batch_out *out, struct why *why)
{
    struct call call = { .rows = 0 };
    memset(out, 0, sizeof *out);
    enum err err = make_inputs(slot->ort, &model->signature, in, &call, why);
    uint64_t started_us = clock_monotonic_us();
    if (err == ERR_OK)
        err = compute(slot, model, &call, why);
    out->run_us = clock_monotonic_us() - started_us;
    out->energy_joules = -1;
    if (err == ERR_OK)
        err = take_outputs(slot->ort, &model->signature, &call, out, why);
    if (err != ERR_OK)
        batch_out_free(out);
    release_call(slot->ort, &call);
    return err;
}

static void onnxruntime_cancel(struct runtime_slot *slot) { set_cancelled(slot, true); }

const struct runtime_ops onnxruntime_ops = {
    .name = "onnxruntime",
    .formats = FORMATS,
    .available = onnxruntime_available,
    .open = onnxruntime_open,
    .close = onnxruntime_close,
    .load = onnxruntime_load,
    .unload = onnxruntime_unload,
    .run = onnxruntime_run,
    .cancel = onnxruntime_cancel,
};
#endif
