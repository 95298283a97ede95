// SPDX-License-Identifier: Apache-2.0
#include "writer.h"

#include "bounds.h"
#include "ensure.h"
#include "text.h"

#include <math.h>
#include <string.h>

void writer_init(struct writer *writer, msgpack_sbuffer *buffer, struct why *why)
{
    *writer = (struct writer){ .buffer = buffer, .why = why };
    msgpack_packer_init(&writer->packer, buffer, msgpack_sbuffer_write);
}

static void refuse(struct writer *writer, const struct field *field, const char *what)
{
    if (writer->err == ERR_OK)
        writer->err = why_set(writer->why, ERR_USAGE, "%s: %s", field->name, what);
}

static void packed(struct writer *writer, int failed)
{
    writer->elements++;
    if (failed && writer->err == ERR_OK)
        writer->err = why_set(writer->why, ERR_MEMORY, "no memory for the encoded message");
}

static void write_unsigned(struct writer *writer, const struct field *field, uint64_t value)
{
    if (value < (uint64_t)field->min || value > field->max)
        refuse(writer, field, "is out of bounds");
    packed(writer, msgpack_pack_uint64(&writer->packer, value));
}

static void write_signed(struct writer *writer, const struct field *field, int64_t value)
{
    if (value < field->min || (value >= 0 && (uint64_t)value > field->max))
        refuse(writer, field, "is out of bounds");
    packed(writer, msgpack_pack_int64(&writer->packer, value));
}

static void write_double(struct writer *writer, const struct field *field, double value)
{
    if (!isfinite(value) || !field_double_ok(field, value))
        refuse(writer, field, "is not finite or out of bounds");
    packed(writer, msgpack_pack_double(&writer->packer, value));
}

static void write_bool(struct writer *writer, bool value)
{
    packed(writer, value ? msgpack_pack_true(&writer->packer) : msgpack_pack_false(&writer->packer));
}

static void write_string(struct writer *writer, const char *text, size_t size)
{
    int failed = msgpack_pack_str(&writer->packer, size);
    packed(writer, failed ? failed : msgpack_pack_str_body(&writer->packer, text, size));
}

static void write_text(struct writer *writer, const struct field *field, const char *text)
{
    size_t size = text ? strnlen(text, (size_t)field->max + 1) : 0;
    if (size > field->max)
        refuse(writer, field, "is too long");
    else if (!text_ok(text, size))
        refuse(writer, field, "is not UTF-8 without control characters");
    write_string(writer, text ? text : "", size);
}

static void write_words(struct writer *writer, const struct field *field, const char *text)
{
    char clean[REASON_MAX_BYTES];
    ENSURE(field->max < sizeof clean);
    text_clean(text ? text : "", clean, (size_t)field->max + 1);
    write_string(writer, clean, strlen(clean));
}

static void write_bytes(struct writer *writer, const struct field *field, const uint8_t *bytes, size_t size)
{
    static const uint8_t zeros[64];
    if (size > field->max || (!bytes && size > sizeof zeros)) {
        refuse(writer, field, "is too long");
        return;
    }
    int failed = msgpack_pack_bin(&writer->packer, size);
    packed(writer, failed ? failed : msgpack_pack_bin_body(&writer->packer, bytes ? bytes : zeros, size));
}

/* One value: a field's, or an element's of its array. */
static void write_value(struct writer *writer, const struct field *field, const void *from)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL: write_bool(writer, *(const bool *)from); break;
    case FIELD_U32: write_unsigned(writer, field, *(const uint32_t *)from); break;
    case FIELD_U64: write_unsigned(writer, field, *(const uint64_t *)from); break;
    case FIELD_I32: write_signed(writer, field, *(const int32_t *)from); break;
    case FIELD_I64: write_signed(writer, field, *(const int64_t *)from); break;
    case FIELD_F64: write_double(writer, field, *(const double *)from); break;
    case FIELD_TEXT: write_text(writer, field, *(const char *const *)from); break;
    case FIELD_WORDS: write_words(writer, field, *(const char *const *)from); break;
    case FIELD_FIXED: write_bytes(writer, field, *(const uint8_t *const *)from, (size_t)field->max); break;
    case FIELD_STRUCT: writer_struct(writer, field->table, from); break;
    case FIELD_BYTES: /* two members: write_field */
    case FIELD_NONE: break;
    }
}

static void write_array(struct writer *writer, const struct field *field, const unsigned char *elements,
                        uint32_t count)
{
    if (count > field->count_max || (count > 0 && !elements)) {
        refuse(writer, field, "has too many elements, or none where its count says so");
        return;
    }
    packed(writer, msgpack_pack_array(&writer->packer, count));
    size_t size = field_element_bytes(field);
    for (uint32_t i = 0; i < count && writer->err == ERR_OK; i++)
        write_value(writer, field, elements + i * size);
}

static uint32_t count_of(const struct field *field, const unsigned char *object)
{
    return *(const uint32_t *)(const void *)(object + field->count_offset);
}

static void write_field(struct writer *writer, const struct field *field, const unsigned char *object)
{
    const void *from = object + field->offset;
    if (field->count_max > 0)
        write_array(writer, field, *(const unsigned char *const *)from, count_of(field, object));
    else if (field->kind == FIELD_BYTES)
        write_bytes(writer, field, *(const uint8_t *const *)from, count_of(field, object));
    else
        write_value(writer, field, from);
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return !bytes || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static bool is_default(const struct field *field, const unsigned char *object);

static bool all_default(const struct table *table, const unsigned char *object)
{
    for (uint32_t i = 0; i < table->fields_count; i++)
        if (!is_default(&table->fields[i], object))
            return false;
    return true;
}

/* Would a reader fill in the same if the field were absent? */
static bool is_default(const struct field *field, const unsigned char *object)
{
    const void *from = object + field->offset;
    if (field->count_max > 0 || field->kind == FIELD_BYTES)
        return count_of(field, object) == 0;
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL: return !*(const bool *)from;
    case FIELD_U32: return *(const uint32_t *)from == 0;
    case FIELD_U64: return *(const uint64_t *)from == 0;
    case FIELD_I32: return *(const int32_t *)from == 0;
    case FIELD_I64: return *(const int64_t *)from == 0;
    case FIELD_F64: return *(const double *)from == 0;
    case FIELD_TEXT:
    case FIELD_WORDS: return !*(const char *const *)from || **(const char *const *)from == '\0';
    case FIELD_FIXED: return all_zero(*(const uint8_t *const *)from, (size_t)field->max);
    case FIELD_STRUCT: return all_default(field->table, from);
    case FIELD_BYTES:
    case FIELD_NONE: break;
    }
    return true;
}

static uint64_t fields_to_write(const struct table *table, const void *object, uint32_t *count)
{
    uint64_t wanted = 0;
    *count = 0;
    for (uint32_t i = 0; i < table->fields_count; i++) {
        if (!table->fields[i].must && is_default(&table->fields[i], object))
            continue;
        wanted |= (uint64_t)1 << i;
        ++*count;
    }
    return wanted;
}

void writer_struct(struct writer *writer, const struct table *table, const void *object)
{
    uint32_t count;
    uint64_t wanted = fields_to_write(table, object, &count);
    const char *broken = table->rule ? table->rule(object) : NULL;
    if (broken && writer->err == ERR_OK)
        writer->err = why_set(writer->why, ERR_USAGE, "%s: %s", table->name, broken);
    packed(writer, msgpack_pack_map(&writer->packer, count));
    for (uint32_t i = 0; i < table->fields_count && writer->err == ERR_OK; i++) {
        if (!(wanted >> i & 1))
            continue;
        packed(writer, msgpack_pack_uint8(&writer->packer, table->fields[i].number));
        write_field(writer, &table->fields[i], object);
    }
}
