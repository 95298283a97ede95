// SPDX-License-Identifier: Apache-2.0
/* precision - the names of number formats that models are computed in ("fp32", "int8"), as bits of a set.
 * Pure. */
#ifndef PRECISION_H
#define PRECISION_H

#include <stdint.h>

#define PRECISION_NAMES "int4, int8, fp8, fp16, bf16, tf32, fp32 or fp64"

/* Its bit: a lower one is cheaper to compute in. 0 = not known. */
uint32_t precision_bit(const char *name);

/* Order from cheap to dear; what is not known comes last. */
int precision_compare(const char *a, const char *b);

#endif
