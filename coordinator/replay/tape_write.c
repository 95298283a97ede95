// SPDX-License-Identifier: Apache-2.0
/* This runs beside every step of a busy coordinator: room for a record is made once, and most numbers are
 * one or two bytes. */
#include "tape.h"

#include "attributes.h"
#include "tape_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    HEAD_BYTES = 8,
    RECORD_MAX = 2048, /* of a record, or a slot, without its texts, slots and attributes */
    NUMBER_BYTES_MAX = 10,
    FIRST_BYTES = 1 << 17,
};

/* ---- the answer, in short ---- */

static uint64_t mix(uint64_t fold, uint64_t number, uint64_t value)
{
    if (value == 0)
        return fold;
    fold = (fold ^ (value + (number << 56))) * 0x9e3779b97f4a7c15u;
    return fold ^ (fold >> 29);
}

static uint64_t fold_action(uint64_t fold, const struct sched_action *action)
{
    const uint64_t values[] = { action->worker, action->slot,  action->job,      action->first,
                                action->count,  action->term,  action->attempt,  action->settle,
                                action->model,  action->class, action->until_us, action->state };
    fold = mix(fold, 0, action->type + 1u);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        fold = mix(fold, i + 1, values[i]);
    return fold;
}

uint32_t tape_fold(const struct sched_actions *actions)
{
    uint64_t fold = actions->count;
    for (size_t i = 0; i < actions->count; i++)
        fold = fold_action(fold, &actions->at[i]);
    return actions->count ? (uint32_t)(fold ^ (fold >> 32)) : 0;
}

/* ---- the header ---- */

static const char header_text[] =
    "# motley-tape %d\n"
    "# What a coordinator's scheduler was told and how it answered; for motley-coordinator --replay FILE.\n"
    "# After the line '# .' come blocks: the size of the records in it and their CRC-32 (as zlib's), 4\n"
    "# bytes each, little-endian; then the records: a letter, then what the lines '# =' say of it:\n"
    "#   u  a whole number, 7 bits a byte, the lowest first; the high bit says that more follow\n"
    "#   i  a signed number n: 2n, or -2n-1 when it is negative, as u\n"
    "#   d  the 64 bits of a double, its bytes in reverse, as u\n"
    "#   a  what was added to the last attempt, as i\n"
    "#   t  text: its length + 1 as u (0: none), its bytes\n"
    "#   l, c  numbers: how many, each; all as u\n"
    "#   s  slots: how many as u, each with the fields of 'slot'\n"
    "#   V  variants: the same with those of 'variant'\n"
    "#   A  attributes: 0 none, 1 those of the slot before, else how many + 2; each a letter (n number,\n"
    "#      t text, v version, b label, s set, w set of whole numbers), its name as t, its value: as d,\n"
    "#      as t, or how many members as u and each as t\n"
    "# An event has, after its letter: microseconds since the event before as u; as u a mask that says\n"
    "# which fields of 'event' are there, the lowest bit for the first (others are 0); its own fields.\n"
    "# '.' its answer: no actions; '!' its answer: how many actions as u, a fold of them in 4 bytes;\n"
    "# '?' and a job-add: what would be if; '-' a job was removed: u; '~' the recording ends: t.\n";

static size_t say(char *text, size_t used, const char *what)
{
    size_t size = strlen(what);
    if (used + size >= TAPE_HEADER_MAX)
        size = TAPE_HEADER_MAX - 1 - used;
    memcpy(text + used, what, size);
    text[used + size] = 0;
    return used + size;
}

static size_t say_layout(char *text, size_t used, char letter, const char *name, const struct field *fields)
{
    char line[128];
    snprintf(line, sizeof line, "# = %c %s", letter, name);
    used = say(text, used, line);
    for (; fields->name; fields++) {
        snprintf(line, sizeof line, " %s:%c", fields->name, fields->kind);
        used = say(text, used, line);
    }
    return say(text, used, "\n");
}

size_t tape_header(char text[TAPE_HEADER_MAX])
{
    const struct layout *layout;
    size_t used = (size_t)snprintf(text, TAPE_HEADER_MAX, header_text, TAPE_FORMAT);
    used = say_layout(text, used, layout_life.letter, layout_life.name, layout_life.fields);
    used = say_layout(text, used, '*', "event", layout_common);
    used = say_layout(text, used, layout_slot.letter, layout_slot.name, layout_slot.fields);
    used = say_layout(text, used, layout_variant.letter, layout_variant.name, layout_variant.fields);
    for (unsigned i = 0; (layout = layout_event((enum sched_event_type)i)); i++)
        used = say_layout(text, used, layout->letter, layout->name, layout->fields);
    return say(text, used, "# .\n");
}

/* ---- bytes ---- */

void tape_writer_init(struct tape_writer *writer) { *writer = (struct tape_writer){ .used = HEAD_BYTES }; }

void tape_writer_fini(struct tape_writer *writer)
{
    free(writer->bytes);
    writer->bytes = NULL;
}

static bool room(struct tape_writer *writer, size_t size)
{
    if (writer->failed || writer->used + size > TAPE_BLOCK_MAX) {
        writer->failed = true;
        return false;
    }
    if (writer->used + size <= writer->capacity)
        return true;
    size_t capacity = writer->capacity ? writer->capacity : FIRST_BYTES;
    while (capacity < writer->used + size)
        capacity *= 2;
    uint8_t *bytes = realloc(writer->bytes, capacity);
    writer->failed = !bytes;
    if (bytes) {
        writer->bytes = bytes;
        writer->capacity = capacity;
    }
    return bytes;
}

static void put_byte(struct tape_writer *writer, char byte) { writer->bytes[writer->used++] = (uint8_t)byte; }

static void put_word(uint8_t *at, uint32_t word)
{
    for (int i = 0; i < 4; i++, word >>= 8)
        at[i] = (uint8_t)word;
}

static void put_number(struct tape_writer *writer, uint64_t value)
{
    uint8_t *at = writer->bytes + writer->used;
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    writer->used = (size_t)(at - writer->bytes);
}

static void put_signed(struct tape_writer *writer, int64_t value)
{
    put_number(writer, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

/* Doubles of few digits have zeros in their low bytes: reversed, they are short. */
static void put_double(struct tape_writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_number(writer, __builtin_bswap64(bits));
}

static void put_text(struct tape_writer *writer, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    if (!room(writer, size + NUMBER_BYTES_MAX + RECORD_MAX))
        return;
    put_number(writer, text ? size + 1 : 0);
    if (size)
        memcpy(writer->bytes + writer->used, text, size);
    writer->used += size;
}

/* ---- attributes and slots ---- */

static char attribute_letter(const struct attribute *attribute)
{
    switch (attribute->kind) {
    case ATTRIBUTE_NUMBER: return 'n';
    case ATTRIBUTE_TEXT: return 't';
    case ATTRIBUTE_VERSION: return 'v';
    case ATTRIBUTE_LABEL: return 'b';
    case ATTRIBUTE_SET: return attribute_type(attribute->type)->whole ? 'w' : 's';
    }
    return '?';
}

static void put_members(struct tape_writer *writer, const struct attribute *attribute)
{
    const char *member = attribute->text;
    if (!room(writer, RECORD_MAX))
        return;
    put_number(writer, attribute->size);
    for (uint32_t i = 0; i < attribute->size; i++, member += strlen(member) + 1)
        put_text(writer, member);
}

static void put_attribute(struct tape_writer *writer, const struct attribute *attribute)
{
    char letter = attribute_letter(attribute);
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, letter);
    put_text(writer, attribute->name);
    if (!room(writer, RECORD_MAX))
        return;
    if (letter == 'n')
        put_double(writer, attribute->number);
    else if (letter == 's' || letter == 'w')
        put_members(writer, attribute);
    else
        put_text(writer, attribute->text);
}

static void put_attributes(struct tape_writer *writer, const struct attributes *attributes)
{
    struct attribute attribute;
    const struct attributes *before = writer->before;
    uint32_t count = attributes ? attributes_count(attributes) : 0;
    bool same = attributes && before && attributes_equal(attributes, before);
    writer->before = attributes;
    put_number(writer, !attributes ? 0 : same ? 1 : count + 2u);
    for (uint32_t i = 0; i < count && !same; i++) {
        attributes_at(attributes, i, &attribute);
        put_attribute(writer, &attribute);
    }
}

static void put_sizes(struct tape_writer *writer, const struct sched_slot_info *info)
{
    uint32_t count = info->sizes_count < SCHED_SIZES_MAX ? info->sizes_count : SCHED_SIZES_MAX;
    put_number(writer, count);
    for (uint32_t i = 0; i < count; i++)
        put_number(writer, info->sizes[i]);
}

static void put_costs(struct tape_writer *writer, const struct sched_event *event)
{
    uint32_t count = event->add.costs_count < SCHED_COSTS_MAX ? event->add.costs_count : SCHED_COSTS_MAX;
    put_number(writer, count);
    for (uint32_t i = 0; i < count; i++)
        put_number(writer, event->add.costs[i]);
}

static void put_fields(struct tape_writer *writer, const struct field *fields, const void *from);

static void put_slots(struct tape_writer *writer, const struct sched_event *event)
{
    if (event->up.slots_count > TAPE_SLOTS_MAX)
        writer->failed = true;
    writer->before = NULL;
    put_number(writer, event->up.slots_count);
    for (uint32_t i = 0; i < event->up.slots_count && room(writer, RECORD_MAX); i++)
        put_fields(writer, layout_slot.fields, &event->up.slots[i]);
}

static void put_variants(struct tape_writer *writer, const struct sched_event *event)
{
    uint32_t count =
        event->add.variants_count < SCHED_VARIANTS_MAX ? event->add.variants_count : SCHED_VARIANTS_MAX;
    put_number(writer, count);
    for (uint32_t i = 0; i < count; i++)
        put_fields(writer, layout_variant.fields, &event->add.variants[i]);
}

/* ---- fields ---- */

static uint64_t number_at(const uint8_t *at, uint16_t size)
{
    uint64_t eight;
    uint32_t four;
    if (size == 8)
        return memcpy(&eight, at, sizeof eight), eight;
    if (size == 4)
        return memcpy(&four, at, sizeof four), four;
    return *at;
}

static void put_attempt(struct tape_writer *writer, uint64_t attempt)
{
    put_signed(writer, (int64_t)(attempt - writer->last_attempt));
    writer->last_attempt = attempt;
}

static void put_field(struct tape_writer *writer, const struct field *field, const void *from)
{
    const uint8_t *at = (const uint8_t *)from + field->offset;
    switch (field->kind) {
    case FIELD_NUMBER: put_number(writer, number_at(at, field->size)); break;
    case FIELD_SIGNED: put_signed(writer, (int32_t)number_at(at, field->size)); break;
    case FIELD_DOUBLE: put_double(writer, *(const double *)(const void *)at); break;
    case FIELD_ATTEMPT: put_attempt(writer, number_at(at, field->size)); break;
    case FIELD_TEXT: put_text(writer, *(const char *const *)(const void *)at); break;
    case FIELD_SIZES: put_sizes(writer, from); break;
    case FIELD_SLOTS: put_slots(writer, from); break;
    case FIELD_VARIANTS: put_variants(writer, from); break;
    case FIELD_COSTS: put_costs(writer, from); break;
    case FIELD_ATTRIBUTES: put_attributes(writer, *(const struct attributes *const *)(const void *)at); break;
    default: break;
    }
}

static void put_fields(struct tape_writer *writer, const struct field *fields, const void *from)
{
    for (; fields->name && room(writer, RECORD_MAX); fields++)
        put_field(writer, fields, from);
}

/* ---- records ---- */

static void whole(struct tape_writer *writer)
{
    if (!writer->failed)
        writer->whole = writer->used;
}

void tape_write_life(struct tape_writer *writer, const struct tape_life *life)
{
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, RECORD_LIFE);
    put_fields(writer, layout_life.fields, life);
    writer->last_us = life->now_us;
    whole(writer);
}

static uint64_t mask_of(const struct sched_event *event)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; layout_common[i].name; i++)
        if (number_at((const uint8_t *)event + layout_common[i].offset, layout_common[i].size))
            mask |= 1u << i;
    return mask;
}

void tape_write_event(struct tape_writer *writer, uint64_t now_us, const struct sched_event *event)
{
    const struct layout *layout = layout_event(event->type);
    if (!layout || now_us < writer->last_us)
        writer->failed = true;
    if (!room(writer, RECORD_MAX))
        return;
    uint64_t mask = mask_of(event);
    put_byte(writer, layout->letter);
    put_number(writer, now_us - writer->last_us);
    put_number(writer, mask);
    for (uint32_t i = 0; layout_common[i].name; i++)
        if (mask >> i & 1)
            put_field(writer, &layout_common[i], event);
    put_fields(writer, layout->fields, event);
    writer->last_us = now_us;
    whole(writer);
}

void tape_write_answer(struct tape_writer *writer, const struct sched_actions *actions)
{
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, actions->count ? RECORD_ACTIONS : RECORD_QUIET);
    if (actions->count) {
        put_number(writer, actions->count);
        put_word(writer->bytes + writer->used, tape_fold(actions));
        writer->used += 4;
    }
    whole(writer);
}

void tape_write_suppose(struct tape_writer *writer, uint64_t now_us, const struct sched_event *add)
{
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, RECORD_SUPPOSE);
    tape_write_event(writer, now_us, add);
}

void tape_write_remove(struct tape_writer *writer, uint64_t job)
{
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, RECORD_REMOVE);
    put_number(writer, job);
    whole(writer);
}

void tape_write_stop(struct tape_writer *writer, const char *reason)
{
    if (!room(writer, RECORD_MAX))
        return;
    put_byte(writer, RECORD_STOP);
    put_text(writer, reason);
    whole(writer);
}

const uint8_t *tape_take(struct tape_writer *writer, size_t *size)
{
    size_t used = writer->whole;
    *size = 0;
    if (used <= HEAD_BYTES)
        return NULL;
    uint32_t records = (uint32_t)(used - HEAD_BYTES);
    put_word(writer->bytes, records);
    put_word(writer->bytes + 4, (uint32_t)crc32(0, writer->bytes + HEAD_BYTES, records));
    writer->used = writer->whole = HEAD_BYTES;
    *size = used;
    return writer->bytes;
}
