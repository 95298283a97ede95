// SPDX-License-Identifier: Apache-2.0
/* onnxruntime - ONNX models on the CPU through ONNX Runtime's C API (https://onnxruntime.ai/docs/api/c/),
 * whose library is found when a worker starts: see ort_library.h.
 *
 * One session per (slot, model) with the slot's threads, none of which spins: two cores must still serve the
 * loops. Inputs are passed where they lie, unless they are not aligned for their type or must be padded to
 * the model's fixed batch. Outputs are allocated by ONNX Runtime, because only a run shows some shapes, and
 * copied once. */
#ifndef ONNXRUNTIME_H
#define ONNXRUNTIME_H

#include "runtime.h"

#ifdef MOTLEY_ORT
extern const struct runtime_ops onnxruntime_ops;
#endif

#endif
