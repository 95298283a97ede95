// SPDX-License-Identifier: Apache-2.0
/* costs - what the samples of a job cost in relation to each other (tokens, pixels, seconds), from a file.
 *
 * A .npy of one finite number above 0 for each sample, of any type of number but float16. They travel as
 * whole numbers: the dearest is COSTS_SCALE at most, so that a sample that costs a millionth of it is still
 * 1,000. */
#ifndef COSTS_H
#define COSTS_H

#include "bounds.h"
#include "err.h"

#include <stdint.h>

#define COSTS_SCALE 1e9

/* *costs: samples of them, yours to free. ERR_USAGE, ERR_FORMAT, ERR_LIMIT (more than COSTS_MAX samples),
 * ERR_FILE, ERR_MEMORY: said with the file's name. */
MUST_USE enum err costs_read(const char *path, uint64_t samples, uint32_t **costs, struct why *why);

#endif
