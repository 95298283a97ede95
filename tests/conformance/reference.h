// SPDX-License-Identifier: Apache-2.0
/* reference - the answers to compare with: ONNX Runtime called plainly through its C API, with a session of
 * its own, one thread, the default options otherwise, and nothing of Motley's in between but the finding of
 * the library. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REFERENCE_TENSORS_MAX = 4 };

struct reference_tensor {
    const char *name;
    enum dtype dtype;
    uint32_t dims_count;
    int64_t dims[TENSOR_DIMS_MAX]; /* the batch axis included */
    void *data;
    size_t bytes;
};

/* False where there is no ONNX Runtime: such tests are skipped. Where $MOTLEY_ORT_LIBRARY names one, it must
 * open. */
bool reference_available(void);

/* Run the model file over inputs. data and bytes of outputs are filled, data is malloc'ed. Fails the test on
 * any error. */
void reference_run(const char *path, uint32_t inputs_count, const struct reference_tensor *inputs,
                   uint32_t outputs_count, struct reference_tensor *outputs);

#endif
