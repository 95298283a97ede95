// SPDX-License-Identifier: Apache-2.0
/* The header's lines become plans: for each letter, which fields follow and where they go. Reading is sticky:
 * past the end, or at nonsense, everything is 0 and `bad` says what was wrong. */
#include "tape.h"

#include "attributes.h"
#include "tape_fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HEAD_BYTES = 8, LETTERS = 128, PLAN_EVENT = '*', PLAN_SLOT = '_', PLAN_VARIANT = '%' };

struct plan {
    bool given, known; /* known: there is a layout of ours; the fields of others are passed over */
    enum sched_event_type type;
    uint32_t count;
    struct {
        char kind;
        const struct field *field; /* NULL: unknown here */
    } at[FIELDS_MAX];
};

struct tape_reader {
    const uint8_t *bytes;
    size_t size, at, block_end; /* at == block_end: between blocks */
    const char *bad;
    enum tape_read over; /* TAPE_READ: not yet */
    struct why why;
    uint64_t last_us, last_attempt;
    struct plan plans[LETTERS];
    uint32_t slots_count, attributes_count;
    struct sched_slot_info *slots;
    struct attributes **attributes;
    uint32_t texts_count;
    char *texts[FIELDS_MAX];
    struct attributes_builder builder;
};

/* ---- the header ---- */

static bool line_is(const char *line, size_t size, const char *what)
{
    return size == strlen(what) && memcmp(line, what, size) == 0;
}

static const struct field *field_by_name(const struct field *fields, const char *name, size_t size)
{
    for (; fields->name; fields++)
        if (line_is(name, size, fields->name))
            return fields;
    return NULL;
}

static const struct field *layout_of(struct plan *plan, char letter, const char *name, size_t size)
{
    const struct layout *layout = layout_by_name(name, size, &plan->type);
    bool own = letter == RECORD_LIFE || letter == PLAN_EVENT || letter == PLAN_SLOT || letter == PLAN_VARIANT;
    plan->known = own || layout;
    return letter == RECORD_LIFE    ? layout_life.fields
           : letter == PLAN_EVENT   ? layout_common
           : letter == PLAN_SLOT    ? layout_slot.fields
           : letter == PLAN_VARIANT ? layout_variant.fields
           : layout                 ? layout->fields
                                    : NULL;
}

static bool plan_field(struct plan *plan, bool part, const struct field *fields, const char *word,
                       size_t size)
{
    if (size < 3 || word[size - 2] != ':' || !strchr("uidatlscAV", word[size - 1]) ||
        plan->count == FIELDS_MAX)
        return false;
    if (part && strchr("scV", word[size - 1])) /* parts in parts might never end */
        return false;
    const struct field *field = fields ? field_by_name(fields, word, size - 2) : NULL;
    if (field && field->kind != word[size - 1])
        return false;
    plan->at[plan->count].kind = word[size - 1];
    plan->at[plan->count++].field = field;
    return true;
}

/* "# = R result result.proven:u ...": line begins at the letter. */
static bool plan_line(struct tape_reader *reader, const char *line, size_t size)
{
    const char *end = line + size, *word = line + 2;
    unsigned char letter = size > 3 ? (unsigned char)*line : 0;
    if (letter <= ' ' || letter >= LETTERS || line[1] != ' ' || reader->plans[letter].given)
        return false;
    struct plan *plan = &reader->plans[letter];
    plan->given = true;
    const struct field *fields = NULL;
    for (bool first = true; word < end; first = false) {
        const char *space = memchr(word, ' ', (size_t)(end - word));
        size_t length = (size_t)((space ? space : end) - word);
        if (first)
            fields = layout_of(plan, (char)letter, word, length);
        else if (!plan_field(plan, letter == PLAN_SLOT || letter == PLAN_VARIANT, fields, word, length))
            return false;
        word += length + 1;
    }
    return true;
}

static enum err read_version(const char *line, size_t size, struct why *why)
{
    static const char magic[] = "# motley-tape ";
    size_t before = sizeof magic - 1;
    unsigned version = 0;
    if (size <= before || memcmp(line, magic, before) != 0)
        return why_set(why, ERR_FORMAT,
                       "line 1: not a recording of a coordinator: it begins with '# motley-tape'");
    for (size_t i = before; i < size && version < 1000000; i++)
        version = line[i] >= '0' && line[i] <= '9' ? version * 10 + (unsigned)(line[i] - '0') : 1000000;
    if (version < 1 || version >= 1000000)
        return why_set(why, ERR_FORMAT, "line 1: no version after '# motley-tape'");
    if (version > TAPE_FORMAT)
        return why_set(why, ERR_UNSUPPORTED, "line 1: format %u, of a newer Motley; this one reads up to %d",
                       version, TAPE_FORMAT);
    return ERR_OK;
}

static enum err read_header(struct tape_reader *reader, struct why *why)
{
    for (int number = 1;; number++) {
        const char *line = (const char *)reader->bytes + reader->at;
        size_t left = reader->size - reader->at;
        const char *end = left ? memchr(line, '\n', left < TAPE_HEADER_MAX ? left : TAPE_HEADER_MAX) : NULL;
        if (!end)
            return why_set(why, ERR_FORMAT, "line %d: the header ends before '# .'", number);
        size_t size = (size_t)(end - line);
        enum err err = number == 1 ? read_version(line, size, why) : ERR_OK;
        if (err)
            return err;
        reader->at += size + 1;
        if (line_is(line, size, "# ."))
            break;
        if (size < 1 || *line != '#')
            return why_set(why, ERR_FORMAT, "line %d: the header's lines begin with '#'", number);
        if (size > 4 && memcmp(line, "# = ", 4) == 0 && !plan_line(reader, line + 4, size - 4))
            return why_set(why, ERR_FORMAT, "line %d: not a record that this version can read", number);
    }
    if (!reader->plans[RECORD_LIFE].given || !reader->plans[PLAN_EVENT].given ||
        !reader->plans[PLAN_SLOT].given)
        return why_set(why, ERR_FORMAT, "the header says nothing of 'life', 'event' or 'slot'");
    reader->block_end = reader->at;
    return ERR_OK;
}

enum err tape_reader_new(const uint8_t *bytes, size_t size, struct tape_reader **reader, struct why *why)
{
    struct tape_reader *fresh = calloc(1, sizeof *fresh);
    *reader = NULL;
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory");
    fresh->bytes = bytes;
    fresh->size = size;
    enum err err = read_header(fresh, why);
    if (err)
        tape_reader_free(&fresh);
    *reader = fresh;
    return err;
}

static void forget(struct tape_reader *reader)
{
    for (uint32_t i = 0; i < reader->attributes_count; i++)
        attributes_free(&reader->attributes[i]);
    while (reader->texts_count > 0)
        free(reader->texts[--reader->texts_count]);
    free(reader->attributes);
    free(reader->slots);
    reader->slots = NULL;
    reader->attributes = NULL;
    reader->slots_count = reader->attributes_count = 0;
}

void tape_reader_free(struct tape_reader **reader)
{
    if (!*reader)
        return;
    forget(*reader);
    free(*reader);
    *reader = NULL;
}

size_t tape_offset(const struct tape_reader *reader) { return reader->at; }

/* ---- bytes ---- */

static void bad(struct tape_reader *reader, const char *what)
{
    if (!reader->bad)
        reader->bad = what;
}

static size_t left(const struct tape_reader *reader)
{
    return reader->bad ? 0 : reader->block_end - reader->at;
}

static uint8_t take_byte(struct tape_reader *reader)
{
    if (left(reader) > 0)
        return reader->bytes[reader->at++];
    bad(reader, "a record goes on past its block");
    return 0;
}

static uint64_t take_number(struct tape_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(reader);
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    bad(reader, "a number of more than 64 bits");
    return 0;
}

static int64_t take_signed(struct tape_reader *reader)
{
    uint64_t value = take_number(reader);
    return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

static double take_double(struct tape_reader *reader)
{
    uint64_t bits = __builtin_bswap64(take_number(reader));
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Yours to free; NULL: none, or something is bad. */
static char *take_text(struct tape_reader *reader)
{
    uint64_t size = take_number(reader);
    if (size == 0)
        return NULL;
    if (--size > left(reader) || size > TAPE_TEXT_MAX)
        return bad(reader, "a text is longer than its block"), NULL;
    char *text = malloc(size + 1);
    if (!text)
        return bad(reader, "out of memory"), NULL;
    memcpy(text, reader->bytes + reader->at, size);
    text[size] = 0;
    reader->at += size;
    return text;
}

/* ---- attributes and slots ---- */

static void take_members(struct tape_reader *reader, char letter, const char *name)
{
    char *members[ATTRIBUTE_MEMBERS_MAX] = { 0 };
    uint32_t numbers[ATTRIBUTE_MEMBERS_MAX];
    uint64_t count = take_number(reader);
    bool whole = count <= ATTRIBUTE_MEMBERS_MAX;
    for (uint64_t i = 0; i < count && whole; i++) {
        members[i] = take_text(reader);
        whole = members[i];
        numbers[i] = whole ? (uint32_t)strtoul(members[i], NULL, 10) : 0;
    }
    if (!whole)
        bad(reader, "the members of a set are not whole");
    else if (letter == 'w')
        attributes_add_whole_set(&reader->builder, name, numbers, (uint32_t)count);
    else
        attributes_add_set(&reader->builder, name, (const char *const *)members, (uint32_t)count);
    for (size_t i = 0; i < ATTRIBUTE_MEMBERS_MAX; i++)
        free(members[i]);
}

static void take_worded(struct tape_reader *reader, char letter, const char *name)
{
    char *value = take_text(reader);
    if (!value)
        bad(reader, "an attribute without its value");
    else if (letter == 't')
        attributes_add_text(&reader->builder, name, value);
    else if (letter == 'v')
        attributes_add_version(&reader->builder, name, value);
    else if (strncmp(name, "label.", 6) == 0)
        attributes_add_label(&reader->builder, name + 6, value);
    free(value);
}

/* A name that is not known any more, or no longer of this kind, is left out: the slot lacks it. */
static void take_attribute(struct tape_reader *reader)
{
    char letter = (char)take_byte(reader);
    char *name = take_text(reader);
    if (!name || !letter || !strchr("ntvbsw", letter))
        bad(reader, "an attribute that this version cannot read");
    else if (letter == 'n')
        attributes_add_number(&reader->builder, name, take_double(reader));
    else if (letter == 's' || letter == 'w')
        take_members(reader, letter, name);
    else
        take_worded(reader, letter, name);
    free(name);
}

static const struct attributes *take_attributes(struct tape_reader *reader)
{
    uint64_t count = take_number(reader);
    if (count == 0)
        return NULL;
    if (count == 1)
        return reader->attributes_count ? reader->attributes[reader->attributes_count - 1] : NULL;
    if (count - 2 > ATTRIBUTES_MAX)
        return bad(reader, "too many attributes"), NULL;
    attributes_begin(&reader->builder);
    for (count -= 2; count > 0 && !reader->bad; count--)
        take_attribute(reader);
    if (reader->bad || reader->attributes_count >= reader->slots_count)
        return NULL;
    struct attributes *attributes = attributes_finish(&reader->builder);
    if (!attributes)
        return bad(reader, "out of memory"), NULL;
    reader->attributes[reader->attributes_count++] = attributes;
    return attributes;
}

static void take_sizes(struct tape_reader *reader, struct sched_slot_info *info)
{
    uint64_t count = take_number(reader);
    if (count > SCHED_SIZES_MAX)
        bad(reader, "too many batch sizes");
    if (info)
        info->sizes_count = reader->bad ? 0 : (uint32_t)count;
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        uint64_t size = take_number(reader);
        if (size > UINT32_MAX)
            bad(reader, "a batch size beyond all bounds");
        if (info)
            info->sizes[i] = (uint32_t)size;
    }
}

/* Kept like a text, till the next record. */
static void take_costs(struct tape_reader *reader, struct sched_event *event)
{
    uint64_t count = take_number(reader);
    if (count > SCHED_COSTS_MAX || reader->texts_count == FIELDS_MAX) {
        bad(reader, "too many costs");
        return;
    }
    uint32_t *costs = count > 0 ? calloc(count, sizeof *costs) : NULL;
    for (uint64_t i = 0; i < count && costs && !reader->bad; i++)
        costs[i] = (uint32_t)take_number(reader);
    if (!costs)
        return;
    reader->texts[reader->texts_count++] = (char *)costs;
    if (event) {
        event->add.costs_count = (uint32_t)count;
        event->add.costs = costs;
    }
}

static void take_fields(struct tape_reader *reader, const struct plan *plan, uint64_t mask, void *to);

/* A slot is a byte for each of its fields at least. */
static void take_slots(struct tape_reader *reader, struct sched_event *event)
{
    const struct plan *plan = &reader->plans[PLAN_SLOT];
    uint64_t count = take_number(reader);
    if (count > TAPE_SLOTS_MAX || (plan->count && count > left(reader) / plan->count) || reader->slots) {
        bad(reader, "more slots than its block has room for");
        return;
    }
    reader->slots = calloc(count + 1, sizeof *reader->slots);
    reader->attributes = calloc(count + 1, sizeof(struct attributes *));
    if (!reader->slots || !reader->attributes) {
        bad(reader, "out of memory");
        return;
    }
    reader->slots_count = (uint32_t)count;
    for (uint64_t i = 0; i < count && !reader->bad; i++)
        take_fields(reader, plan, UINT64_MAX, &reader->slots[i]);
    if (event) {
        event->up.slots = reader->slots;
        event->up.slots_count = (uint32_t)count;
    }
}

static void take_variants(struct tape_reader *reader, struct sched_event *event)
{
    struct sched_variant unused;
    uint64_t count = take_number(reader);
    if (count > SCHED_VARIANTS_MAX)
        bad(reader, "too many variants");
    if (event)
        event->add.variants_count = reader->bad ? 0 : (uint32_t)count;
    for (uint64_t i = 0; i < count && !reader->bad; i++)
        take_fields(reader, &reader->plans[PLAN_VARIANT], UINT64_MAX,
                    event ? &event->add.variants[i] : &unused);
}

/* ---- fields ---- */
static void put_number_at(uint8_t *at, uint16_t size, uint64_t value)
{
    uint32_t four = (uint32_t)value;
    if (size == 8)
        memcpy(at, &value, sizeof value);
    else if (size == 4)
        memcpy(at, &four, sizeof four);
    else
        *at = (uint8_t)value;
}

static void take_plain(struct tape_reader *reader, const struct field *field, uint8_t *at)
{
    uint64_t value = take_number(reader);
    uint64_t max = field && field->max         ? field->max
                   : field && field->size == 4 ? UINT32_MAX
                   : field && field->size == 1 ? UINT8_MAX
                                               : UINT64_MAX;
    if (value > max) {
        bad(reader, "a number beyond what its field may be");
        return;
    }
    if (at)
        put_number_at(at, field->size, value);
}

static void take_small(struct tape_reader *reader, uint8_t *at)
{
    int64_t value = take_signed(reader);
    if (value < INT32_MIN || value > INT32_MAX) {
        bad(reader, "a number beyond what its field may be");
        return;
    }
    int32_t number = (int32_t)value;
    if (at)
        memcpy(at, &number, sizeof number);
}

static void take_attempt(struct tape_reader *reader, uint8_t *at)
{
    reader->last_attempt += (uint64_t)take_signed(reader);
    if (at)
        memcpy(at, &reader->last_attempt, sizeof reader->last_attempt);
}

static void take_kept_text(struct tape_reader *reader, uint8_t *at)
{
    char *text = take_text(reader);
    const char *look = text;
    if (!at || !text) {
        free(text);
    } else if (reader->texts_count == FIELDS_MAX) {
        free(text);
        bad(reader, "too many texts");
    } else {
        reader->texts[reader->texts_count++] = text;
        memcpy(at, &look, sizeof look);
    }
}

static void take_field(struct tape_reader *reader, char kind, const struct field *field, void *to)
{
    uint8_t *at = field && to ? (uint8_t *)to + field->offset : NULL;
    double number;
    const struct attributes *attributes;
    switch (kind) {
    case FIELD_NUMBER: take_plain(reader, field, at); break;
    case FIELD_SIGNED: take_small(reader, at); break;
    case FIELD_DOUBLE:
        number = take_double(reader);
        if (at)
            memcpy(at, &number, sizeof number);
        break;
    case FIELD_ATTEMPT: take_attempt(reader, at); break;
    case FIELD_TEXT: take_kept_text(reader, at); break;
    case FIELD_SIZES: take_sizes(reader, at ? to : NULL); break;
    case FIELD_SLOTS: take_slots(reader, at ? to : NULL); break;
    case FIELD_VARIANTS: take_variants(reader, at ? to : NULL); break;
    case FIELD_COSTS: take_costs(reader, at ? to : NULL); break;
    case FIELD_ATTRIBUTES:
        attributes = take_attributes(reader);
        if (at)
            memcpy(at, &attributes, sizeof attributes);
        break;
    default: bad(reader, "a kind of field that this version cannot read");
    }
}

static void take_fields(struct tape_reader *reader, const struct plan *plan, uint64_t mask, void *to)
{
    for (uint32_t i = 0; i < plan->count && !reader->bad; i++)
        if (mask >> i & 1)
            take_field(reader, plan->at[i].kind, plan->at[i].field, to);
}

/* ---- records ---- */

static void take_life(struct tape_reader *reader, struct tape_record *record)
{
    record->type = TAPE_LIFE;
    take_fields(reader, &reader->plans[RECORD_LIFE], UINT64_MAX, &record->life);
    reader->last_us = record->life.now_us;
}

static void take_event(struct tape_reader *reader, const struct plan *plan, struct tape_record *record)
{
    forget(reader);
    record->type = TAPE_EVENT;
    record->event.type = plan->type;
    uint64_t passed_us = take_number(reader);
    if (__builtin_add_overflow(reader->last_us, passed_us, &record->now_us))
        bad(reader, "time beyond all bounds");
    uint64_t mask = take_number(reader);
    take_fields(reader, &reader->plans[PLAN_EVENT], mask, &record->event);
    take_fields(reader, plan, UINT64_MAX, &record->event);
    reader->last_us = record->now_us;
}

static void take_answer(struct tape_reader *reader, struct tape_record *record, bool quiet)
{
    record->type = TAPE_ANSWER;
    record->actions_count = quiet ? 0 : take_number(reader);
    for (unsigned i = 0; i < 4 && !quiet; i++)
        record->fold |= (uint32_t)take_byte(reader) << 8 * i;
    if (record->actions_count > SCHED_ACTIONS_MAX || (!quiet && record->actions_count == 0))
        bad(reader, "an answer of impossibly many actions");
}

static void take_stop(struct tape_reader *reader, struct tape_record *record)
{
    char *text = take_text(reader);
    record->type = TAPE_STOP;
    snprintf(record->reason, sizeof record->reason, "%s", text ? text : "");
    free(text);
}

static void take_event_of(struct tape_reader *reader, uint8_t letter, struct tape_record *record)
{
    bool part = letter == PLAN_EVENT || letter == PLAN_SLOT || letter == PLAN_VARIANT;
    bool given = letter < LETTERS && !part && reader->plans[letter].given;
    if (!given)
        bad(reader, "no record begins with this letter");
    else if (!reader->plans[letter].known)
        bad(reader, "an event that this version does not know");
    else
        take_event(reader, &reader->plans[letter], record);
}

static void take_record(struct tape_reader *reader, struct tape_record *record)
{
    uint8_t letter = take_byte(reader);
    switch (letter) {
    case RECORD_LIFE: take_life(reader, record); break;
    case RECORD_QUIET:
    case RECORD_ACTIONS: take_answer(reader, record, letter == RECORD_QUIET); break;
    case RECORD_REMOVE:
        record->type = TAPE_REMOVE;
        record->job = take_number(reader);
        break;
    case RECORD_STOP: take_stop(reader, record); break;
    case RECORD_SUPPOSE:
        take_event_of(reader, take_byte(reader), record);
        record->type = TAPE_SUPPOSE;
        if (record->event.type != SCHED_JOB_ADD)
            bad(reader, "supposed was no job");
        break;
    default: take_event_of(reader, letter, record); break;
    }
}

/* ---- blocks ---- */

static enum tape_read ended(struct tape_reader *reader, enum tape_read over, size_t at, const char *what)
{
    reader->over = over;
    why_set(&reader->why, ERR_FORMAT, "byte %zu of %zu: %s", at, reader->size, what);
    return over;
}

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool only_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* What was on its way to the disk when the power went may be there in length only: as zeros. */
static enum tape_read next_block(struct tape_reader *reader)
{
    const uint8_t *head = reader->bytes + reader->at;
    size_t rest = reader->size - reader->at, begin = reader->at;
    if (rest == 0)
        return reader->over = TAPE_END;
    if (rest < HEAD_BYTES || only_zeros(head, rest))
        return ended(reader, TAPE_TORN, begin, "the last block is not whole");
    uint32_t size = word_at(head);
    if (size == 0 || size > TAPE_BLOCK_MAX)
        return ended(reader, TAPE_DAMAGED, begin, "not the beginning of a block");
    if (size > rest - HEAD_BYTES)
        return ended(reader, TAPE_TORN, begin, "the last block is not whole");
    if ((uint32_t)crc32(0, head + HEAD_BYTES, size) != word_at(head + 4))
        return size == rest - HEAD_BYTES
                   ? ended(reader, TAPE_TORN, begin, "the last block is not what was written")
                   : ended(reader, TAPE_DAMAGED, begin,
                           "the block's bytes are not what was written (CRC-32)");
    reader->at += HEAD_BYTES;
    reader->block_end = reader->at + size;
    return TAPE_READ;
}

enum tape_read tape_next(struct tape_reader *reader, struct tape_record *record, struct why *why)
{
    memset(record, 0, sizeof *record);
    if (reader->over == TAPE_READ && reader->at == reader->block_end)
        next_block(reader);
    size_t begin = reader->at;
    if (reader->over == TAPE_READ)
        take_record(reader, record);
    if (reader->bad && reader->over == TAPE_READ) {
        ended(reader, TAPE_DAMAGED, begin, reader->bad);
        reader->at = begin;
    }
    if (reader->over != TAPE_READ && why)
        *why = reader->why;
    return reader->over;
}
