// SPDX-License-Identifier: Apache-2.0
#include "field.h"

size_t field_element_bytes(const struct field *field)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL: return sizeof(bool);
    case FIELD_U32: return sizeof(uint32_t);
    case FIELD_U64: return sizeof(uint64_t);
    case FIELD_I32: return sizeof(int32_t);
    case FIELD_I64: return sizeof(int64_t);
    case FIELD_F64: return sizeof(double);
    case FIELD_TEXT:
    case FIELD_WORDS: return sizeof(const char *);
    case FIELD_FIXED:
    case FIELD_BYTES: return sizeof(const uint8_t *);
    case FIELD_STRUCT: return field->table->size;
    case FIELD_NONE: break;
    }
    return 0;
}

bool field_double_ok(const struct field *field, double value)
{
    bool low = field->min == INT64_MIN || value >= (double)field->min;
    bool high = field->max == UINT64_MAX || value <= (double)field->max;
    return low && high;
}
