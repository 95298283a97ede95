// SPDX-License-Identifier: Apache-2.0
/* client_fixture - files in a folder of the test's own, and a model's signature, for tests of the client. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include "dtype.h"
#include "file.h"
#include "npy.h"
#include "signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char fixture_folder[64];

static inline int fixture_begin(void **state)
{
    (void)state;
    strcpy(fixture_folder, "/tmp/motley-client-XXXXXX");
    return mkdtemp(fixture_folder) ? 0 : -1;
}

static inline int fixture_end(void **state)
{
    (void)state;
    return file_remove_tree(fixture_folder, NULL) == ERR_OK ? 0 : -1;
}

/* The path of a file there: valid until the next call. */
static inline const char *fixture_path(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture_folder, name);
    return path;
}

static inline const char *fixture_write(const char *name, const void *bytes, size_t size)
{
    const char *path = fixture_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static inline struct tensor_spec fixture_spec(const char *name, enum dtype dtype, uint32_t rank, int64_t d0,
                                              int64_t d1)
{
    struct tensor_spec spec = { .dtype = dtype, .dims_count = rank, .dims = { d0, d1 } };
    snprintf(spec.name, sizeof spec.name, "%s", name);
    return spec;
}

/* A model of one float32[2] input "x" and one output. */
static inline struct signature fixture_signature(void)
{
    struct signature signature = { .format = "onnx", .inputs_count = 1, .outputs_count = 1 };
    signature.inputs[0] = fixture_spec("x", DTYPE_F32, 1, 2, 0);
    signature.outputs[0] = fixture_spec("y", DTYPE_F32, 1, 3, 0);
    return signature;
}

/* A .npy of rows of spec. */
static inline const char *fixture_npy(const char *name, struct tensor_spec spec, uint64_t rows,
                                      const void *data, size_t size)
{
    uint8_t bytes[NPY_HEADER_MAX + 4096];
    size_t head = npy_header(&spec, rows, bytes);
    assert_true(head + size <= sizeof bytes);
    memcpy(bytes + head, data, size);
    return fixture_write(name, bytes, head + size);
}

#endif
