// SPDX-License-Identifier: Apache-2.0
/* print_field - a field table's row as protocol.md prints it, up to the meaning: "| 1 | slot | u32 | 0..255 |
 * must |". */
#ifndef PRINT_FIELD_H
#define PRINT_FIELD_H

#include "bounds.h"
#include "field.h"

#include <inttypes.h>
#include <stdio.h>

static inline const char *print_number(uint64_t value, char text[32])
{
    int power = 0;
    if (value == SAMPLES_MAX || value == SAMPLES_MAX - 1)
        return value == SAMPLES_MAX ? "10^15" : "10^15-1";
    while (power < 63 && (uint64_t)1 << power < value)
        power++;
    if (value == UINT64_MAX)
        return "2^64-1";
    if (power >= 16 && (uint64_t)1 << power == value)
        snprintf(text, 32, "2^%d", power);
    else if (power >= 16 && ((uint64_t)1 << power) - 1 == value)
        snprintf(text, 32, "2^%d-1", power);
    else
        snprintf(text, 32, "%" PRIu64, value);
    return text;
}

static inline const char *print_kind(const struct field *field)
{
    static const char *const names[] = { "",    "bool", "u32",   "u64",   "i32",   "i64",
                                         "f64", "text", "words", "bytes", "bytes", "" };
    return field->kind == FIELD_STRUCT ? field->table->name : names[field->kind];
}

static inline void print_low(const struct field *field, char *text, size_t size)
{
    char number[32];
    uint64_t magnitude = (uint64_t)0 - (uint64_t)field->min;
    if (field->min >= 0)
        snprintf(text, size, "%s", print_number((uint64_t)field->min, number));
    else
        snprintf(text, size, "-%s", print_number(magnitude, number));
}

static inline void print_bound(const struct field *field, char *text, size_t size)
{
    char low[40], high[32];
    print_low(field, low, sizeof low);
    switch ((enum field_kind)field->kind) {
    case FIELD_F64:
        if (field->max == UINT64_MAX)
            snprintf(text, size, "%s", field->min < 0 ? "finite" : ">= 0");
        else
            snprintf(text, size, "%s..%" PRIu64, low, field->max);
        break;
    case FIELD_TEXT:
    case FIELD_WORDS:
    case FIELD_BYTES: snprintf(text, size, "<= %" PRIu64 " bytes", field->max); break;
    case FIELD_FIXED: snprintf(text, size, "%" PRIu64 " bytes", field->max); break;
    case FIELD_BOOL:
    case FIELD_STRUCT:
    case FIELD_NONE: snprintf(text, size, "%s", ""); break;
    default: snprintf(text, size, "%s..%s", low, print_number(field->max, high)); break;
    }
}

static inline void print_field(const struct field *field, char *text, size_t size)
{
    char bound[80], count[32] = "";
    print_bound(field, bound, sizeof bound);
    if (field->count_max > 0)
        snprintf(count, sizeof count, "<= %u%s", field->count_max, bound[0] ? " of " : "");
    int used = snprintf(text, size, "| %u | %s | %s%s |", field->number, field->name, print_kind(field),
                        field->count_max > 0 ? "[]" : "");
    bool bounded = count[0] || bound[0];
    snprintf(text + used, size - (size_t)used, "%s%s%s | %s |", bounded ? " " : "", count, bound,
             field->must ? "must" : "may");
}

#endif
