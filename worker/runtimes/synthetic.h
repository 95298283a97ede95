// SPDX-License-Identifier: Apache-2.0
/* synthetic - the built-in model, for tests, simulations and fleets without a model file: no input, and the
 * answer to sample i of a job is rng_mix64(i), one uint64 named "answer". So every answer can be checked, and
 * no answer is right by accident. It takes no time beyond the computing. Any thread. */
#ifndef SYNTHETIC_H
#define SYNTHETIC_H

#include "runtime.h"

extern const struct runtime_ops synthetic_ops;

#endif
