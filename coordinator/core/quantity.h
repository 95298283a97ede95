// SPDX-License-Identifier: Apache-2.0
/* quantity - a number with a unit: 16GiB, 60W, 2.5TFLOPS, 100GB/s, 5ms, 1.5GHz, 42. Pure; no libm, no locale.
 *
 * Kept in the base unit of its dimension (bytes, watts, operations per second, bytes per second, seconds,
 * hertz). A written number has at most 15 significant digits, so that reading is exact to the nearest double
 * and print and parse are each other's inverse on every machine. Bytes and bytes per second are whole, at
 * most 2^53. Never negative, NaN or infinite. */
#ifndef QUANTITY_H
#define QUANTITY_H

#include <stdbool.h>
#include <stddef.h>

enum dimension {
    DIMENSION_PLAIN = 0, /* a count, a price: no unit */
    DIMENSION_BYTES,
    DIMENSION_WATTS,
    DIMENSION_OPS, /* operations per second; FLOPS and OPS are the same to us */
    DIMENSION_BANDWIDTH,
    DIMENSION_SECONDS,
    DIMENSION_HERTZ,
    DIMENSION_COUNT
};

struct quantity {
    double value;
    enum dimension dimension;
};

enum quantity_parse {
    QUANTITY_OK = 0,
    QUANTITY_WORD,      /* does not begin with a number: a word */
    QUANTITY_UNIT,      /* a number, but what follows is no unit that we know */
    QUANTITY_PRECISION, /* more than 15 digits */
    QUANTITY_RANGE,     /* too large, or too small to tell from 0 */
};

enum { QUANTITY_TEXT_MAX = 48 };

/* Read all of text. Units are written exactly (mW is not MW); GB is 10^9, GiB 2^30. */
enum quantity_parse quantity_parse(const char *text, size_t size, struct quantity *quantity);

/* Is this, all of it, a unit that could follow a number? */
bool quantity_is_unit(const char *text, size_t size);

/* The shortest of the exact forms: 16GiB, 16GB, 1536MiB, 90s. parse(print(q)) == q for what parse gave.
 * Returns the length. */
size_t quantity_print(const struct quantity *quantity, char text[QUANTITY_TEXT_MAX]);

/* For people: at most 4 significant digits, rounded down. */
size_t quantity_show(const struct quantity *quantity, char text[QUANTITY_TEXT_MAX]);

const char *dimension_name(enum dimension dimension);    /* "bytes", "operations per second" */
const char *dimension_example(enum dimension dimension); /* "16GiB" */

#endif
