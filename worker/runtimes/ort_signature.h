// SPDX-License-Identifier: Apache-2.0
/* ort_signature - what a loaded ONNX model takes and gives, read from its session. Any thread. */
#ifndef ORT_SIGNATURE_H
#define ORT_SIGNATURE_H

#include "ort_library.h"
#include "runtime.h"

/* ERR_UNSUPPORTED for strings, sequences, maps and types that dtype.h lacks, for more than
 * RUNTIME_TENSORS_MAX tensors, and where there is no batch axis. */
MUST_USE enum err ort_signature(const struct ort *ort, const OrtSession *session,
                                struct model_signature *signature, struct why *why);

/* ONNX Runtime's name for a type; UNDEFINED for DTYPE_NONE. */
ONNXTensorElementDataType ort_type(enum dtype dtype);

/* The type and the full shape of a tensor that a run gave, or that a model declares. The name is left alone.
 */
MUST_USE enum err ort_shape(const struct ort *ort, const OrtTensorTypeAndShapeInfo *info,
                            struct tensor_spec *spec, struct why *why);

#endif
