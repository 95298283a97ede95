// SPDX-License-Identifier: Apache-2.0
/* signature - what a model takes and gives per sample, from whoever can load it: a file is asked of
 * `motley-worker
 * --check-model`, a registered model of the coordinator. Both answer with the same JSON. */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include "bounds.h"
#include "dtype.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct signature {
    char format[64];      /* "onnx", "synthetic" */
    char runtime[64];     /* that could load it; "" unknown */
    char precision[64];   /* "" unknown */
    uint32_t batch_fixed; /* 0 = any */
    uint32_t inputs_count, outputs_count;
    struct tensor_spec inputs[INPUTS_MAX], outputs[OUTPUTS_MAX]; /* rows; dims -1 = unknown */
};

/* The built-in model `synthetic`: no input, one uint64 `answer`. */
void signature_synthetic(struct signature *signature);

/* From {"format","runtime","batch":"any"|N,"precision","inputs":[{"name","dtype","shape":[rows dims, null =
 * unknown]}],"outputs":[...]}. where names the source in errors. */
MUST_USE enum err signature_parse(const char *json, size_t size, const char *where,
                                  struct signature *signature, struct why *why);

/* Run motley-worker on a model file. *json (may be NULL) receives its answer, yours to free. The worker's own
 * reason comes back in why when it refuses the file. */
MUST_USE enum err signature_of_file(const char *path, struct signature *signature, char **json,
                                    struct why *why);

/* Where a program of Motley's is: the variable if set ($MOTLEY_WORKER), else beside this program or library,
 * else in PATH. */
MUST_USE enum err signature_program(const char *name, const char *variable, char *path, size_t max,
                                    struct why *why);

#endif
