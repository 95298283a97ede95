// SPDX-License-Identifier: Apache-2.0
#include "dtype.h"

#include "ensure.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct row {
    size_t bytes;
    const char *name, *npy, *oip;
} table[DTYPE_COUNT] = {
    [DTYPE_NONE] = { 0, "none", "", "" },           [DTYPE_BOOL] = { 1, "bool", "|b1", "BOOL" },
    [DTYPE_I8] = { 1, "int8", "|i1", "INT8" },      [DTYPE_I16] = { 2, "int16", "<i2", "INT16" },
    [DTYPE_I32] = { 4, "int32", "<i4", "INT32" },   [DTYPE_I64] = { 8, "int64", "<i8", "INT64" },
    [DTYPE_U8] = { 1, "uint8", "|u1", "UINT8" },    [DTYPE_U16] = { 2, "uint16", "<u2", "UINT16" },
    [DTYPE_U32] = { 4, "uint32", "<u4", "UINT32" }, [DTYPE_U64] = { 8, "uint64", "<u8", "UINT64" },
    [DTYPE_F16] = { 2, "float16", "<f2", "FP16" },  [DTYPE_F32] = { 4, "float32", "<f4", "FP32" },
    [DTYPE_F64] = { 8, "float64", "<f8", "FP64" },
};

static const struct row *row_of(enum dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? &table[dtype] : &table[DTYPE_NONE];
}

size_t dtype_bytes(enum dtype dtype) { return row_of(dtype)->bytes; }
const char *dtype_name(enum dtype dtype) { return row_of(dtype)->name; }
const char *dtype_npy(enum dtype dtype) { return row_of(dtype)->npy; }
const char *dtype_oip(enum dtype dtype) { return row_of(dtype)->oip; }

enum dtype dtype_from_npy(const char *descr)
{
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++) {
        const struct row *row = &table[i];
        if (strcmp(descr, row->npy) == 0)
            return (enum dtype)i;
        /* One byte has no order, so that every mark is as good as "|"; "=" is this machine's, and this is
         * little-endian. */
        bool order_known = strchr("<=", descr[0]) || (row->bytes == 1 && strchr("|>", descr[0]));
        if (descr[0] && order_known && strcmp(descr + 1, row->npy + 1) == 0)
            return (enum dtype)i;
    }
    return DTYPE_NONE;
}

enum dtype dtype_from_oip(const char *datatype)
{
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++)
        if (strcmp(datatype, table[i].oip) == 0)
            return (enum dtype)i;
    return DTYPE_NONE;
}

enum dtype dtype_from_name(const char *name)
{
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++)
        if (strcmp(name, table[i].name) == 0)
            return (enum dtype)i;
    return DTYPE_NONE;
}

uint64_t tensor_row_bytes(const struct tensor_spec *spec)
{
    uint64_t bytes = dtype_bytes(spec->dtype);
    ENSURE(spec->dims_count <= TENSOR_DIMS_MAX);
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (spec->dims[i] <= 0)
            return 0;
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)spec->dims[i], &bytes) || bytes > INT64_MAX)
            return 0;
    return bytes;
}

void tensor_print(const struct tensor_spec *spec, char *text, size_t size)
{
    char whole[16 + TENSOR_DIMS_MAX * 22];
    int used = snprintf(whole, sizeof whole, "%s[", dtype_name(spec->dtype));
    for (uint32_t i = 0; i < spec->dims_count && i < TENSOR_DIMS_MAX; i++) {
        const char *comma = i ? "," : "";
        size_t room = sizeof whole - (size_t)used;
        if (spec->dims[i] < 0)
            used += snprintf(whole + used, room, "%s?", comma);
        else
            used += snprintf(whole + used, room, "%s%lld", comma, (long long)spec->dims[i]);
    }
    snprintf(text, size, "%s]", whole);
}
