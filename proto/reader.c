// SPDX-License-Identifier: Apache-2.0
#include "reader.h"

#include "ensure.h"
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What absent FIXED fields point to: as long as the longest, a SHA-256. */
static const uint8_t zeros[32];

/* "RESULTS: results[3].count" into text. */
static void print_place(const struct reader *reader, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", reader->message);
    for (uint32_t i = 0; i < reader->depth && used > 0 && (size_t)used < size; i++) {
        const struct reader_place *place = &reader->places[i];
        if (place->name)
            used += snprintf(text + used, size - (size_t)used, "%s%s", i == 0 ? ": " : ".", place->name);
        if (place->name && place->indexed && (size_t)used < size)
            used += snprintf(text + used, size - (size_t)used, "[%u]", place->index);
    }
}

static void refuse(struct reader *reader, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct reader *reader, enum err err, const char *format, ...)
{
    char place[200], what[200];
    va_list arguments;
    if (reader->err != ERR_OK)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print_place(reader, place, sizeof place);
    reader->err = why_set(reader->why, err, "%s: %s", place, what);
}

static void *take(struct reader *reader, size_t size)
{
    void *taken = arena_take(reader->arena, size);
    if (!taken)
        refuse(reader, ERR_MEMORY, "no memory for the decoded message");
    return taken;
}

static struct reader_place *here(struct reader *reader) { return &reader->places[reader->depth - 1]; }

static void read_unsigned(struct reader *reader, const struct field *field, const msgpack_object *from,
                          void *to)
{
    uint64_t value = from->via.u64;
    if (from->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        refuse(reader, ERR_FORMAT, "is not a whole number >= 0");
    else if (value < (uint64_t)field->min || value > field->max)
        refuse(reader, ERR_FORMAT, "%llu is out of %lld..%llu", (unsigned long long)value,
               (long long)field->min, (unsigned long long)field->max);
    else if (field->kind == FIELD_U32)
        *(uint32_t *)to = (uint32_t)value;
    else
        *(uint64_t *)to = value;
}

static bool within(const struct field *field, const msgpack_object *from)
{
    bool negative = from->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    return negative ? from->via.i64 >= field->min : from->via.u64 <= field->max;
}

static void read_signed(struct reader *reader, const struct field *field, const msgpack_object *from,
                        void *to)
{
    if (from->type != MSGPACK_OBJECT_NEGATIVE_INTEGER && from->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        refuse(reader, ERR_FORMAT, "is not a whole number");
    else if (!within(field, from))
        refuse(reader, ERR_FORMAT, "is out of %lld..%llu", (long long)field->min,
               (unsigned long long)field->max);
    else if (field->kind == FIELD_I32)
        *(int32_t *)to = (int32_t)from->via.i64;
    else
        *(int64_t *)to = from->via.i64;
}

static bool to_double(const msgpack_object *from, double *value)
{
    switch (from->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: *value = from->via.f64; return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: *value = (double)from->via.u64; return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: *value = (double)from->via.i64; return true;
    default: return false;
    }
}

static void read_double(struct reader *reader, const struct field *field, const msgpack_object *from,
                        double *to)
{
    double value;
    if (!to_double(from, &value))
        refuse(reader, ERR_FORMAT, "is not a number");
    else if (!isfinite(value))
        refuse(reader, ERR_FORMAT, "is not finite");
    else if (!field_double_ok(field, value))
        refuse(reader, ERR_FORMAT, "%g is out of bounds", value);
    else
        *to = value;
}

static void copy_text(struct reader *reader, const msgpack_object_str *from, const char **to)
{
    char *text = take(reader, (size_t)from->size + 1);
    if (!text)
        return;
    if (from->size > 0)
        memcpy(text, from->ptr, from->size);
    *to = text;
}

static void read_text(struct reader *reader, const struct field *field, const msgpack_object *from,
                      const char **to)
{
    uint32_t size = from->via.str.size;
    if (from->type != MSGPACK_OBJECT_STR)
        refuse(reader, ERR_FORMAT, "is not a text");
    else if (size > field->max)
        refuse(reader, ERR_LIMIT, "%u bytes are more than %llu", size, (unsigned long long)field->max);
    else if (!text_ok(from->via.str.ptr, size))
        refuse(reader, ERR_FORMAT, "is not UTF-8 without control characters");
    else
        copy_text(reader, &from->via.str, to);
}

static void read_fixed(struct reader *reader, const struct field *field, const msgpack_object *from,
                       const uint8_t **to)
{
    if (from->type != MSGPACK_OBJECT_BIN || from->via.bin.size != field->max)
        refuse(reader, ERR_FORMAT, "is not %llu bytes", (unsigned long long)field->max);
    else
        *to = (const uint8_t *)from->via.bin.ptr;
}

static void read_bytes(struct reader *reader, const struct field *field, const msgpack_object *from,
                       const uint8_t **to, uint32_t *size)
{
    if (from->type != MSGPACK_OBJECT_BIN) {
        refuse(reader, ERR_FORMAT, "is not bytes");
    } else if (from->via.bin.size > field->max) {
        refuse(reader, ERR_LIMIT, "%u bytes are more than %llu", from->via.bin.size,
               (unsigned long long)field->max);
    } else {
        *size = from->via.bin.size;
        *to = *size > 0 ? (const uint8_t *)from->via.bin.ptr : NULL;
    }
}

static void read_bool(struct reader *reader, const msgpack_object *from, bool *to)
{
    if (from->type != MSGPACK_OBJECT_BOOLEAN)
        refuse(reader, ERR_FORMAT, "is not true or false");
    else
        *to = from->via.boolean;
}

/* One value: a field's, or an element's of its array. */
static void read_value(struct reader *reader, const struct field *field, const msgpack_object *from, void *to)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL: read_bool(reader, from, to); break;
    case FIELD_U32:
    case FIELD_U64: read_unsigned(reader, field, from, to); break;
    case FIELD_I32:
    case FIELD_I64: read_signed(reader, field, from, to); break;
    case FIELD_F64: read_double(reader, field, from, to); break;
    case FIELD_TEXT:
    case FIELD_WORDS: read_text(reader, field, from, to); break;
    case FIELD_FIXED: read_fixed(reader, field, from, to); break;
    case FIELD_STRUCT: reader_struct(reader, field->table, from, to); break;
    case FIELD_BYTES: /* two members: read_field */
    case FIELD_NONE: break;
    }
}

static void read_elements(struct reader *reader, const struct field *field, const msgpack_object_array *from,
                          unsigned char *elements)
{
    struct reader_place *place = here(reader);
    size_t size = field_element_bytes(field);
    place->indexed = true;
    for (uint32_t i = 0; i < from->size && reader->err == ERR_OK; i++) {
        place->index = i;
        read_value(reader, field, &from->ptr[i], elements + i * size);
    }
}

static void read_array(struct reader *reader, const struct field *field, const msgpack_object *from,
                       void **to, uint32_t *count)
{
    uint32_t size = from->via.array.size;
    if (from->type != MSGPACK_OBJECT_ARRAY) {
        refuse(reader, ERR_FORMAT, "is not an array");
    } else if (size > field->count_max) {
        refuse(reader, ERR_LIMIT, "%u elements are more than %u", size, field->count_max);
    } else if (size > 0) {
        *to = take(reader, size * field_element_bytes(field));
        *count = size;
        read_elements(reader, field, &from->via.array, *to);
    }
}

static void read_field(struct reader *reader, const struct field *field, const msgpack_object *from,
                       unsigned char *object)
{
    void *to = object + field->offset;
    void *count = object + field->count_offset;
    *here(reader) = (struct reader_place){ .name = field->name };
    if (field->count_max > 0)
        read_array(reader, field, from, to, count);
    else if (field->kind == FIELD_BYTES)
        read_bytes(reader, field, from, to, count);
    else
        read_value(reader, field, from, to);
}

/* The fields that zeroed memory does not describe when they are absent. */
static void set_absent(const struct field *field, unsigned char *object)
{
    void *to = object + field->offset;
    if (field->count_max > 0)
        return;
    if (field->kind == FIELD_TEXT || field->kind == FIELD_WORDS)
        *(const char **)to = "";
    else if (field->kind == FIELD_FIXED)
        *(const uint8_t **)to = zeros;
    else if (field->kind == FIELD_STRUCT)
        for (uint32_t i = 0; i < field->table->fields_count; i++)
            set_absent(&field->table->fields[i], to);
}

static void close_struct(struct reader *reader, const struct table *table, uint64_t seen, void *object)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        if (seen >> i & 1)
            continue;
        if (field->must) {
            *here(reader) = (struct reader_place){ .name = field->name };
            refuse(reader, ERR_FORMAT, "is missing");
            return;
        }
        set_absent(field, object);
    }
    *here(reader) = (struct reader_place){ .name = NULL };
    const char *broken = table->rule ? table->rule(object) : NULL;
    if (broken)
        refuse(reader, ERR_FORMAT, "%s", broken);
}

/* A key's row, marked in seen; NULL to skip it: an unknown field of a newer version, or an error. */
static const struct field *find_field(struct reader *reader, const struct table *table,
                                      const msgpack_object *key, uint64_t *seen)
{
    if (key->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        refuse(reader, ERR_FORMAT, "a field's number is not a number");
        return NULL;
    }
    uint64_t index = key->via.u64 - 1; /* 0 wraps to a number that no table has */
    if (index >= table->fields_count || table->fields[index].kind == FIELD_NONE)
        return NULL;
    if (*seen >> index & 1) {
        *here(reader) = (struct reader_place){ .name = table->fields[index].name };
        refuse(reader, ERR_FORMAT, "comes twice");
        return NULL;
    }
    *seen |= (uint64_t)1 << index;
    return &table->fields[index];
}

void reader_struct(struct reader *reader, const struct table *table, const msgpack_object *map, void *object)
{
    uint64_t seen = 0;
    if (map->type != MSGPACK_OBJECT_MAP) {
        refuse(reader, ERR_FORMAT, "is not a map of fields");
        return;
    }
    ENSURE(reader->depth < DEPTH_MAX); /* no table nests deeper */
    reader->places[reader->depth++] = (struct reader_place){ .name = NULL };
    for (uint32_t i = 0; i < map->via.map.size && reader->err == ERR_OK; i++) {
        const struct field *field = find_field(reader, table, &map->via.map.ptr[i].key, &seen);
        if (field)
            read_field(reader, field, &map->via.map.ptr[i].val, object);
    }
    if (reader->err == ERR_OK)
        close_struct(reader, table, seen, object);
    reader->depth--;
}
