// SPDX-License-Identifier: Apache-2.0
#include "element.h"

#include "ensure.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool dtype_is_float(enum dtype dtype)
{
    return dtype == DTYPE_F16 || dtype == DTYPE_F32 || dtype == DTYPE_F64;
}

/* IEEE 754 binary16; every one of them is a float. */
static float half_to_float(uint16_t half)
{
    int exponent = (half >> 10) & 0x1f, fraction = half & 0x3ff;
    float sign = half & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)fraction, -24);
    return sign * ldexpf((float)(fraction + 1024), exponent - 25);
}

static uint64_t load(const void *element, size_t size)
{
    uint64_t bits = 0;
    memcpy(&bits, element, size);
    return bits;
}

static float load_single(const void *element)
{
    float value;
    memcpy(&value, element, sizeof value);
    return value;
}

static double load_double(const void *element)
{
    double value;
    memcpy(&value, element, sizeof value);
    return value;
}

static int print_float(char *text, double value, int digits)
{
    if (isnan(value))
        return snprintf(text, ELEMENT_TEXT_MAX, "\"NaN\"");
    if (isinf(value))
        return snprintf(text, ELEMENT_TEXT_MAX, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return snprintf(text, ELEMENT_TEXT_MAX, "%.*g", digits, value);
}

int element_json(enum dtype dtype, const void *element, char text[ELEMENT_TEXT_MAX])
{
    uint64_t bits = load(element, dtype_bytes(dtype));
    switch (dtype) {
    case DTYPE_BOOL: return snprintf(text, ELEMENT_TEXT_MAX, bits ? "true" : "false");
    case DTYPE_I8: return snprintf(text, ELEMENT_TEXT_MAX, "%d", (int8_t)bits);
    case DTYPE_I16: return snprintf(text, ELEMENT_TEXT_MAX, "%d", (int16_t)bits);
    case DTYPE_I32: return snprintf(text, ELEMENT_TEXT_MAX, "%" PRId32, (int32_t)bits);
    case DTYPE_I64: return snprintf(text, ELEMENT_TEXT_MAX, "%" PRId64, (int64_t)bits);
    case DTYPE_U8:
    case DTYPE_U16:
    case DTYPE_U32:
    case DTYPE_U64: return snprintf(text, ELEMENT_TEXT_MAX, "%" PRIu64, bits);
    case DTYPE_F16: return print_float(text, (double)half_to_float((uint16_t)bits), 9);
    case DTYPE_F32: return print_float(text, (double)load_single(element), 9);
    case DTYPE_F64: return print_float(text, load_double(element), 17);
    case DTYPE_NONE:
    case DTYPE_COUNT: break;
    }
    ENSURE(!"an element type without a text form");
    return 0;
}

double element_number(enum dtype dtype, const void *element)
{
    uint64_t bits = load(element, dtype_bytes(dtype));
    switch (dtype) {
    case DTYPE_BOOL: return bits != 0;
    case DTYPE_I8: return (int8_t)bits;
    case DTYPE_I16: return (int16_t)bits;
    case DTYPE_I32: return (int32_t)bits;
    case DTYPE_I64: return (double)(int64_t)bits;
    case DTYPE_U8:
    case DTYPE_U16:
    case DTYPE_U32:
    case DTYPE_U64: return (double)bits;
    case DTYPE_F16: return (double)half_to_float((uint16_t)bits);
    case DTYPE_F32: return (double)load_single(element);
    case DTYPE_F64: return load_double(element);
    case DTYPE_NONE:
    case DTYPE_COUNT: break;
    }
    ENSURE(!"an element type without a value");
    return 0;
}
