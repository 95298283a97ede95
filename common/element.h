// SPDX-License-Identifier: Apache-2.0
/* element - single elements of tensors as numbers and as JSON. Pure, any thread. */
#ifndef ELEMENT_H
#define ELEMENT_H

#include "dtype.h"

#include <stdbool.h>

enum { ELEMENT_TEXT_MAX = 40 };

/* An element as JSON: numbers read back exactly; NaN and the infinities are the strings "NaN", "Infinity",
 * "-Infinity" (with their quotes), booleans true and false. Its length. */
int element_json(enum dtype dtype, const void *element, char text[ELEMENT_TEXT_MAX]);

/* Its value; 64-bit integers beyond 2^53 are rounded, booleans are 0 and 1. */
double element_number(enum dtype dtype, const void *element);

bool dtype_is_float(enum dtype dtype);

#endif
