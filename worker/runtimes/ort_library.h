// SPDX-License-Identifier: Apache-2.0
/* ort_library - ONNX Runtime's shared library: found, opened once per process, never closed (its threads and
 * C++ statics do not survive that). Any thread.
 *
 * Looked for in this order: $MOTLEY_ORT_LIBRARY (then nowhere else), <program's folder>/../lib/motley, where
 * `cmake --install` puts it, <program's folder>/../../deps/lib, where the build tree has it, and the system's
 * own. Any release from 1.17 on will do: the functions used here have not changed since. */
#ifndef ORT_LIBRARY_H
#define ORT_LIBRARY_H

#include "err.h"

#include <onnxruntime_c_api.h>

struct ort {
    const OrtApi *api;
    OrtEnv *env;             /* one per process, as ONNX Runtime wants it */
    OrtMemoryInfo *memory;   /* plain CPU memory */
    OrtAllocator *allocator; /* of the names that it hands out */
    char version[32];        /* "1.28.0" */
};

/* The library, opened by the first call. ERR_UNSUPPORTED says where it was looked for and why it would not
 * do. */
MUST_USE enum err ort_library(const struct ort **ort, struct why *why);

/* Take a status apart: ERR_OK for NULL, else otherwise (ERR_MEMORY if memory was short) with "what: <its
 * words>" on one line. Releases the status. */
MUST_USE enum err ort_check(const struct ort *ort, OrtStatus *status, enum err otherwise, const char *what,
                            struct why *why);

#endif
