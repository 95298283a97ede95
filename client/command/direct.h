// SPDX-License-Identifier: Apache-2.0
/* direct - a runtime called in this process, without Motley around it: the reference of `bench efficiency`.
 */
#ifndef DIRECT_H
#define DIRECT_H

#include "err.h"

#include <stdint.h>

struct direct;

/* Load model in the named runtime with so many threads. */
MUST_USE enum err direct_open(const char *runtime, const char *model, uint32_t threads,
                              struct direct **direct, struct why *why);
void direct_close(struct direct **direct);

/* Rows to run over and over, for each of the model's inputs: rows rows each, borrowed. */
void direct_feed(struct direct *direct, const void *const *inputs, uint64_t rows, const uint64_t *row_bytes);

/* Samples per second of batches of this size, run for seconds; the first batches are not counted. */
MUST_USE enum err direct_measure(struct direct *direct, uint32_t batch, double seconds, double *rate,
                                 struct why *why);

/* The batch size, a power of two, that is the smallest within 2 % of the best rate. */
MUST_USE enum err direct_best_batch(struct direct *direct, uint32_t *batch, struct why *why);

#endif
