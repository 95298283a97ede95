// SPDX-License-Identifier: Apache-2.0
#include "err.h" /* so that this file is not empty without MOTLEY_ORT */

#ifdef MOTLEY_ORT
#include "ort_signature.h"

#include <stdio.h>
#include <string.h>

static const ONNXTensorElementDataType TYPES[DTYPE_COUNT] = {
    [DTYPE_NONE] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED,
    [DTYPE_BOOL] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    [DTYPE_I8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
    [DTYPE_I16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
    [DTYPE_I32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
    [DTYPE_I64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    [DTYPE_U8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
    [DTYPE_U16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
    [DTYPE_U32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
    [DTYPE_U64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
    [DTYPE_F16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
    [DTYPE_F32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    [DTYPE_F64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
};

ONNXTensorElementDataType ort_type(enum dtype dtype) { return TYPES[dtype]; }

static enum err find_dtype(ONNXTensorElementDataType type, enum dtype *dtype, struct why *why)
{
    for (enum dtype known = DTYPE_BOOL; known < DTYPE_COUNT; known++) {
        if (TYPES[known] == type) {
            *dtype = known;
            return ERR_OK;
        }
    }
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING)
        return why_set(why, ERR_UNSUPPORTED, "holds strings; only numbers and booleans can be sent");
    return why_set(why, ERR_UNSUPPORTED, "has elements of ONNX type %d, which has no counterpart here",
                   (int)type);
}

enum err ort_shape(const struct ort *ort, const OrtTensorTypeAndShapeInfo *info, struct tensor_spec *spec,
                   struct why *why)
{
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t dims_count = 0;
    OrtStatus *status = ort->api->GetTensorElementType(info, &type);
    if (status == NULL)
        status = ort->api->GetDimensionsCount(info, &dims_count);
    if (status == NULL && dims_count <= TENSOR_DIMS_MAX)
        status = ort->api->GetDimensions(info, spec->dims, dims_count);
    if (status != NULL)
        return ort_check(ort, status, ERR_RUNTIME, "ONNX Runtime does not tell a tensor's shape", why);
    if (dims_count > TENSOR_DIMS_MAX)
        return why_set(why, ERR_UNSUPPORTED, "has %zu dimensions; at most %d are supported", dims_count,
                       TENSOR_DIMS_MAX);
    spec->dims_count = (uint32_t)dims_count;
    return find_dtype(type, &spec->dtype, why);
}

static enum err read_type(const struct ort *ort, OrtTypeInfo *info, struct tensor_spec *spec, struct why *why)
{
    struct why refusal = { "" };
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    enum err err =
        ort_check(ort, ort->api->CastTypeInfoToTensorInfo(info, &tensor), ERR_RUNTIME, "its type", &refusal);
    if (err == ERR_OK && tensor == NULL)
        err = why_set(&refusal, ERR_UNSUPPORTED,
                      "is a sequence, map or optional; only plain tensors are supported (for "
                      "scikit-learn models: export with zipmap=False)");
    if (err == ERR_OK)
        err = ort_shape(ort, tensor, spec, &refusal);
    ort->api->ReleaseTypeInfo(info);
    return err == ERR_OK ? ERR_OK : why_set(why, err, "'%s' %s", spec->name, refusal.text);
}

static enum err read_name(const struct ort *ort, char *name, struct tensor_spec *spec, struct why *why)
{
    size_t length = strlen(name);
    enum err err = ERR_OK;
    if (length >= sizeof spec->name)
        err = why_set(why, ERR_UNSUPPORTED, "'%.64s...' is a name of %zu bytes; at most %zu are supported",
                      name, length, sizeof spec->name - 1);
    else
        memcpy(spec->name, name, length + 1);
    OrtStatus *status = ort->api->AllocatorFree(ort->allocator, name);
    if (status != NULL)
        ort->api->ReleaseStatus(status);
    return err;
}

static enum err read_tensor(const struct ort *ort, const OrtSession *session, bool is_input, size_t index,
                            struct tensor_spec *spec, struct why *why)
{
    const OrtApi *api = ort->api;
    char *name = NULL;
    OrtTypeInfo *info = NULL;
    OrtStatus *status = is_input ? api->SessionGetInputName(session, index, ort->allocator, &name)
                                 : api->SessionGetOutputName(session, index, ort->allocator, &name);
    enum err err = ort_check(ort, status, ERR_RUNTIME, "ONNX Runtime does not tell a tensor's name", why);
    if (err == ERR_OK)
        err = read_name(ort, name, spec, why);
    if (err != ERR_OK)
        return err;
    status = is_input ? api->SessionGetInputTypeInfo(session, index, &info)
                      : api->SessionGetOutputTypeInfo(session, index, &info);
    err = ort_check(ort, status, ERR_RUNTIME, "ONNX Runtime does not tell a tensor's type", why);
    return err == ERR_OK ? read_type(ort, info, spec, why) : err;
}

static enum err read_side(const struct ort *ort, const OrtSession *session, bool is_input, uint32_t *count,
                          struct tensor_spec *specs, struct why *why)
{
    size_t found = 0;
    OrtStatus *status = is_input ? ort->api->SessionGetInputCount(session, &found)
                                 : ort->api->SessionGetOutputCount(session, &found);
    enum err err = ort_check(ort, status, ERR_RUNTIME, "ONNX Runtime does not count the tensors", why);
    if (err != ERR_OK)
        return err;
    if (found > RUNTIME_TENSORS_MAX)
        return why_set(why, ERR_UNSUPPORTED, "the model has %zu %s; at most %d are supported", found,
                       is_input ? "inputs" : "outputs", RUNTIME_TENSORS_MAX);
    for (size_t i = 0; i < found && err == ERR_OK; i++)
        err = read_tensor(ort, session, is_input, i, &specs[i], why);
    *count = (uint32_t)found;
    return err;
}

static bool has_dtype(const struct tensor_spec *specs, uint32_t count, enum dtype dtype)
{
    for (uint32_t i = 0; i < count; i++)
        if (specs[i].dtype == dtype)
            return true;
    return false;
}

/* The C API shows no weights, so the widest floating input, or else output, stands for them. */
static const char *find_precision(const struct model_signature *signature)
{
    static const struct {
        enum dtype dtype;
        const char *name;
    } WIDEST_FIRST[] = { { DTYPE_F64, "fp64" },
                         { DTYPE_F32, "fp32" },
                         { DTYPE_F16, "fp16" },
                         { DTYPE_I8, "int8" },
                         { DTYPE_U8, "int8" } };
    for (size_t i = 0; i < 3; i++)
        if (has_dtype(signature->inputs, signature->inputs_count, WIDEST_FIRST[i].dtype))
            return WIDEST_FIRST[i].name;
    for (size_t i = 0; i < sizeof WIDEST_FIRST / sizeof WIDEST_FIRST[0]; i++)
        if (has_dtype(signature->outputs, signature->outputs_count, WIDEST_FIRST[i].dtype))
            return WIDEST_FIRST[i].name;
    return "";
}

enum err ort_signature(const struct ort *ort, const OrtSession *session, struct model_signature *signature,
                       struct why *why)
{
    memset(signature, 0, sizeof *signature);
    enum err err = read_side(ort, session, true, &signature->inputs_count, signature->inputs, why);
    if (err == ERR_OK)
        err = read_side(ort, session, false, &signature->outputs_count, signature->outputs, why);
    if (err != ERR_OK)
        return err;
    snprintf(signature->format, sizeof signature->format, "onnx");
    snprintf(signature->precision, sizeof signature->precision, "%s", find_precision(signature));
    return signature_find_batch(signature, why);
}
#endif
