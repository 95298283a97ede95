// SPDX-License-Identifier: Apache-2.0
/* onnx_build - just enough of ONNX's protobuf (onnx.proto3 of the ONNX project, IR version 8, opset 13) to
 * write the tests' small models, so that none has to be kept as a binary. Buffers have a fixed size; a model
 * that does not fit aborts. */
#ifndef ONNX_BUILD_H
#define ONNX_BUILD_H

#include "dtype.h"
#include "ensure.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ONNX_IR_VERSION = 8, ONNX_OPSET = 13, ONNX_STRING = 8 };

struct onnx_bytes {
    size_t size;
    uint8_t at[16384];
};

static inline void onnx_raw(struct onnx_bytes *to, const void *bytes, size_t size)
{
    ENSURE(to->size + size <= sizeof to->at);
    memcpy(to->at + to->size, bytes, size);
    to->size += size;
}

static inline void onnx_varint(struct onnx_bytes *to, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        onnx_raw(to, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static inline void onnx_number(struct onnx_bytes *to, uint32_t field, int64_t value)
{
    onnx_varint(to, field << 3);
    onnx_varint(to, (uint64_t)value);
}

static inline void onnx_blob(struct onnx_bytes *to, uint32_t field, const void *bytes, size_t size)
{
    onnx_varint(to, field << 3 | 2);
    onnx_varint(to, size);
    onnx_raw(to, bytes, size);
}

static inline void onnx_message(struct onnx_bytes *to, uint32_t field, const struct onnx_bytes *message)
{
    onnx_blob(to, field, message->at, message->size);
}

static inline void onnx_text(struct onnx_bytes *to, uint32_t field, const char *text)
{
    onnx_blob(to, field, text, strlen(text));
}

/* TensorProto.DataType of a dtype. */
static inline int64_t onnx_type(enum dtype dtype)
{
    static const int64_t TYPES[DTYPE_COUNT] = { 0, 9, 3, 5, 6, 7, 2, 4, 12, 13, 10, 1, 11 };
    return TYPES[dtype];
}

/* An input or output of the graph. A dimension of -1 is unknown, under a name of its own. */
static inline void onnx_value(struct onnx_bytes *graph, bool is_input, const char *name, int64_t type,
                              uint32_t dims_count, const int64_t *dims)
{
    struct onnx_bytes shape = { 0 }, tensor = { 0 }, kind = { 0 }, value = { 0 };
    for (uint32_t i = 0; i < dims_count; i++) {
        struct onnx_bytes dim = { 0 };
        char unknown[16];
        snprintf(unknown, sizeof unknown, "d%u", i);
        if (dims[i] < 0)
            onnx_text(&dim, 2, unknown);
        else
            onnx_number(&dim, 1, dims[i]);
        onnx_message(&shape, 1, &dim);
    }
    onnx_number(&tensor, 1, type);
    onnx_message(&tensor, 2, &shape);
    onnx_message(&kind, 1, &tensor);
    onnx_text(&value, 1, name);
    onnx_message(&value, 2, &kind);
    onnx_message(graph, is_input ? 11 : 12, &value);
}

/* A node of one or two inputs (second may be NULL), one output and no attributes. */
static inline void onnx_node(struct onnx_bytes *graph, const char *operator, const char * first,
                             const char *second, const char *output)
{
    struct onnx_bytes node = { 0 };
    onnx_text(&node, 1, first);
    if (second != NULL)
        onnx_text(&node, 1, second);
    onnx_text(&node, 2, output);
    onnx_text(&node, 4, operator);
    onnx_message(graph, 1, &node);
}

/* A float32 weight of rows x columns. */
static inline void onnx_weight(struct onnx_bytes *graph, const char *name, int64_t rows, int64_t columns,
                               const float *values)
{
    struct onnx_bytes tensor = { 0 };
    onnx_number(&tensor, 1, rows);
    onnx_number(&tensor, 1, columns);
    onnx_number(&tensor, 2, onnx_type(DTYPE_F32));
    onnx_text(&tensor, 8, name);
    onnx_blob(&tensor, 9, values, (size_t)(rows * columns) * sizeof *values);
    onnx_message(graph, 5, &tensor);
}

/* The whole file around a finished graph. */
static inline struct onnx_bytes onnx_model(const struct onnx_bytes *graph)
{
    struct onnx_bytes named = *graph, opset = { 0 }, model = { 0 };
    onnx_text(&named, 2, "test");
    onnx_text(&opset, 1, "");
    onnx_number(&opset, 2, ONNX_OPSET);
    onnx_number(&model, 1, ONNX_IR_VERSION);
    onnx_message(&model, 7, &named);
    onnx_message(&model, 8, &opset);
    return model;
}

/* x -> operator -> y, both of this type and shape. */
static inline struct onnx_bytes onnx_unary(const char *operator, int64_t type, uint32_t dims_count,
                                           const int64_t *dims)
{
    struct onnx_bytes graph = { 0 };
    onnx_node(&graph, operator, "x", NULL, "y");
    onnx_value(&graph, true, "x", type, dims_count, dims);
    onnx_value(&graph, false, "y", type, dims_count, dims);
    return onnx_model(&graph);
}

#endif
