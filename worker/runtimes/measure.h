// SPDX-License-Identifier: Apache-2.0
/* measure - a curve from a few runs of a freshly loaded model on rows of zeros, so that the scheduler does
 * not start blind.
 *
 * One run to warm up, a few of one row (or of the fixed batch), a few of many rows; the line through their
 * best times. A warm-up that took a tenth of a second is taken as it is. Blocks for at most about 250 ms,
 * unless a single run takes longer. */
#ifndef MEASURE_H
#define MEASURE_H

#include "runtime.h"

/* samples = 0 if a run fails, or if an input's row has an unknown dimension. rows_max bounds the larger
 * batch. Never an error: zeros may be a bad input, and then the first real batches teach the curve. */
void measure_model(const struct runtime_ops *ops, struct runtime_slot *slot, struct runtime_model *model,
                   const struct model_signature *signature, uint32_t rows_max,
                   struct runtime_measure *measure);

#endif
