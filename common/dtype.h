// SPDX-License-Identifier: Apache-2.0
/* dtype - the element types of tensors, one table with every format's name for each. Pure. The values are on
 * the wire and in the journal: never renumber. Half floats are carried as 16 bits and never computed with
 * here. */
#ifndef DTYPE_H
#define DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_NONE = 0,
    DTYPE_BOOL = 1,
    DTYPE_I8 = 2,
    DTYPE_I16 = 3,
    DTYPE_I32 = 4,
    DTYPE_I64 = 5,
    DTYPE_U8 = 6,
    DTYPE_U16 = 7,
    DTYPE_U32 = 8,
    DTYPE_U64 = 9,
    DTYPE_F16 = 10,
    DTYPE_F32 = 11,
    DTYPE_F64 = 12,
    DTYPE_COUNT
};

enum { TENSOR_DIMS_MAX = 8, TENSOR_NAME_MAX = 128 };

/* A tensor of samples, without the samples' axis: what each row looks like. */
struct tensor_spec {
    char name[TENSOR_NAME_MAX]; /* the model's name for it; "" if unknown (a bare .npy) */
    enum dtype dtype;
    uint32_t dims_count;           /* of a row; 0 = one scalar per sample */
    int64_t dims[TENSOR_DIMS_MAX]; /* each >= 0, or -1 = unknown until a result shows it (varies) */
};

size_t dtype_bytes(enum dtype dtype);            /* of one element; 0 for DTYPE_NONE and unknown values */
const char *dtype_name(enum dtype dtype);        /* "float32" */
const char *dtype_npy(enum dtype dtype);         /* "<f4", "|u1" */
const char *dtype_oip(enum dtype dtype);         /* "FP32": the Open Inference Protocol's */
enum dtype dtype_from_npy(const char *descr);    /* native little-endian only; DTYPE_NONE if unknown */
enum dtype dtype_from_oip(const char *datatype); /* DTYPE_NONE if unknown; "BYTES" is unknown */
enum dtype dtype_from_name(const char *name);    /* DTYPE_NONE if unknown */

/* Bytes of a row; 0 if a dimension is unknown or the product passes INT64_MAX, 0 also for a row with a zero
 * dimension. */
uint64_t tensor_row_bytes(const struct tensor_spec *spec);

/* "float32[8,8]" into text; cut at size. Unknown dimensions print as "?". */
void tensor_print(const struct tensor_spec *spec, char *text, size_t size);

#endif
