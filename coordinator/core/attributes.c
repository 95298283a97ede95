// SPDX-License-Identifier: Apache-2.0
#include "attributes.h"

#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of names, which is the order in which a slot's attributes are listed. */
static const struct attribute_type types[] = {
    { "batch.max", ATTRIBUTE_NUMBER, DIMENSION_PLAIN, false, "the largest batch it takes", "64" },
    { "batch.sizes", ATTRIBUTE_SET, DIMENSION_PLAIN, true, "the batch sizes it takes, if not all", "8" },
    { "device.bandwidth", ATTRIBUTE_NUMBER, DIMENSION_BANDWIDTH, false, "memory bandwidth", "100GB/s" },
    { "device.id", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the device on its worker", "gpu:0" },
    { "device.kind", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "cpu gpu tpu npu fpga dsp mcu remote", "gpu" },
    { "device.memory", ATTRIBUTE_NUMBER, DIMENSION_BYTES, false, "memory in all", "16GiB" },
    { "device.memory_free", ATTRIBUTE_NUMBER, DIMENSION_BYTES, false, "memory free at HELLO", "8GiB" },
    { "device.name", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the device's name", "'Xeon 6254'" },
    { "device.peak.bf16", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in bf16", "45TFLOPS" },
    { "device.peak.fp16", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in fp16", "2.5TFLOPS" },
    { "device.peak.fp32", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in fp32", "500GFLOPS" },
    { "device.peak.fp4", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in fp4", "9PFLOPS" },
    { "device.peak.fp64", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in fp64", "9TFLOPS" },
    { "device.peak.fp8", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in fp8", "1PFLOPS" },
    { "device.peak.int4", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in int4", "52TOPS" },
    { "device.peak.int8", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in int8", "26TOPS" },
    { "device.peak.tf32", ATTRIBUTE_NUMBER, DIMENSION_OPS, false, "peak rate in tf32", "156TFLOPS" },
    { "device.power", ATTRIBUTE_NUMBER, DIMENSION_WATTS, false, "power while it computes", "60W" },
    { "device.power_idle", ATTRIBUTE_NUMBER, DIMENSION_WATTS, false, "power at rest", "5W" },
    { "device.uuid", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the device's own uuid", "GPU-4f1c" },
    { "device.vendor", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "who made it", "nvidia" },
    { "format", ATTRIBUTE_SET, DIMENSION_PLAIN, false, "model formats it runs", "onnx" },
    { "host", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the worker's host name", "lab-7" },
    { "load_time", ATTRIBUTE_NUMBER, DIMENSION_SECONDS, false, "expected time to load a model", "2s" },
    { "precision", ATTRIBUTE_SET, DIMENSION_PLAIN, false, "precisions the device has", "fp16" },
    { "price", ATTRIBUTE_NUMBER, DIMENSION_PLAIN, false, "price per hour", "0.20" },
    { "runtime", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the library that runs models", "onnxruntime" },
    { "window", ATTRIBUTE_NUMBER, DIMENSION_PLAIN, false, "chunks in flight", "2" },
    { "worker", ATTRIBUTE_TEXT, DIMENSION_PLAIN, false, "the worker's name", "gpu-3" },
    { "worker.version", ATTRIBUTE_VERSION, DIMENSION_PLAIN, false, "the worker program's version", "1.2.3" },
    { "label.KEY", ATTRIBUTE_LABEL, DIMENSION_PLAIN, false, "a label that the operator gave", "b12" },
};

enum {
    TYPES_COUNT = sizeof types / sizeof types[0],
    TYPE_LABEL = TYPES_COUNT - 1,
    LABEL_PREFIX = 6, /* bytes of "label." */
    NEAREST_MAX = 3,
};

static const double NUMBER_MAX = 1e22, NUMBER_MIN = 1e-22;

/* ---- names ---- */

uint32_t attribute_types_count(void) { return TYPES_COUNT; }

const struct attribute_type *attribute_type(uint32_t index)
{
    ENSURE(index < TYPES_COUNT);
    return &types[index];
}

bool attribute_is_word(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
        if (!plain && (c == 0 || !strchr("_-.:/+@%*#~^&$;?", c)))
            return false;
    }
    return size > 0;
}

static bool is_label(const char *name, size_t size)
{
    return size > LABEL_PREFIX && size < ATTRIBUTE_NAME_MAX && memcmp(name, "label.", LABEL_PREFIX) == 0 &&
           attribute_is_word(name, size);
}

uint32_t attribute_type_find(const char *name, size_t size)
{
    if (is_label(name, size))
        return TYPE_LABEL;
    for (uint32_t i = 0; i < TYPE_LABEL; i++)
        if (strlen(types[i].name) == size && memcmp(types[i].name, name, size) == 0)
            return i;
    return UINT32_MAX;
}

static unsigned char lower(char c) { return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

int attribute_text_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    for (size_t i = 0; i < a_size && i < b_size; i++)
        if (lower(a[i]) != lower(b[i]))
            return lower(a[i]) < lower(b[i]) ? -1 : 1;
    return a_size < b_size ? -1 : a_size > b_size;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Levenshtein's distance. */
static uint32_t edits(const char *a, size_t a_size, const char *b, size_t b_size)
{
    uint32_t row[ATTRIBUTE_NAME_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 0; i < a_size; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i + 1;
        for (size_t j = 0; j < b_size; j++) {
            uint32_t change = diagonal + (lower(a[i]) != lower(b[j]));
            diagonal = row[j + 1];
            row[j + 1] = least(change, least(row[j], diagonal) + 1);
        }
    }
    return row[b_size];
}

/* How unlike: edits to the whole name, or one more than to its end or its beginning ("memory", "device.mem").
 */
static uint32_t unlike(const char *name, size_t size, const char *known)
{
    size_t known_size = strlen(known);
    uint32_t best = edits(name, size, known, known_size);
    const char *dot = strchr(known, '.');
    if (dot && size > 2)
        best = least(best, edits(name, size, dot + 1, strlen(dot + 1)) + 1);
    if (size > 2 && size < known_size && attribute_text_compare(name, size, known, size) == 0)
        best = least(best, 2);
    return best;
}

void attribute_type_nearest(const char *name, size_t name_size, char *text, size_t size)
{
    ENSURE(size > 0);
    text[0] = 0;
    if (name_size >= ATTRIBUTE_NAME_MAX)
        return;
    uint32_t limit = 2 + (uint32_t)name_size / 8, found = 0;
    for (uint32_t apart = 0; apart <= limit; apart++)
        for (uint32_t i = 0; i < TYPES_COUNT && found < NEAREST_MAX; i++) {
            if (unlike(name, name_size, types[i].name) != apart)
                continue;
            size_t used = strlen(text);
            snprintf(text + used, size - used, "%s%s", found ? ", " : "", types[i].name);
            limit = found++ ? limit : least(limit, apart + 1);
        }
}

const char *attribute_kind_name(enum attribute_kind kind)
{
    static const char *const names[] = { "number", "text", "version", "set", "label" };
    ENSURE((size_t)kind < sizeof names / sizeof names[0]);
    return names[kind];
}

/* ---- versions ---- */

int version_compare(const struct version *a, const struct version *b)
{
    for (int i = 0; i < VERSION_PARTS; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    return 0;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool read_part(const char *text, size_t size, size_t *at, uint32_t *part)
{
    uint64_t value = 0;
    size_t begin = *at;
    for (; *at < size && is_digit(text[*at]); (*at)++)
        if ((value = value * 10 + (uint64_t)(text[*at] - '0')) > UINT32_MAX)
            return false;
    *part = (uint32_t)value;
    return *at > begin;
}

bool version_parse(const char *text, size_t size, bool trailing, struct version *version)
{
    size_t at = size > 0 && lower(text[0]) == 'v';
    *version = (struct version){ 0 };
    if (!read_part(text, size, &at, &version->part[0]))
        return false;
    for (int i = 1; i < VERSION_PARTS && at + 1 < size && text[at] == '.' && is_digit(text[at + 1]); i++) {
        at++;
        if (!read_part(text, size, &at, &version->part[i]))
            return false;
    }
    return trailing || at == size;
}

size_t version_print(const struct version *version, int parts_min, char text[QUANTITY_TEXT_MAX])
{
    int count = VERSION_PARTS;
    while (count > 1 && count > parts_min && version->part[count - 1] == 0)
        count--;
    size_t used = 0;
    for (int i = 0; i < count; i++)
        used +=
            (size_t)snprintf(text + used, QUANTITY_TEXT_MAX - used, "%s%u", i ? "." : "", version->part[i]);
    return used;
}

/* ---- building ---- */

struct attributes {
    uint32_t bytes, count;
    uint64_t hash;
    uint8_t at[TYPE_LABEL]; /* by type: 1 + its entry, 0 = it lacks it */
    uint8_t labels;         /* the first entry that is a label */
    struct attribute_entry entries[];
    /* the text follows */
};

void attributes_begin(struct attributes_builder *builder) { builder->count = builder->used = 0; }

static bool is_same_name(const struct attributes_builder *builder, const struct attribute_entry *entry,
                         uint32_t type, const char *name, size_t name_size)
{
    return entry->type == type &&
           (type != TYPE_LABEL ||
            (entry->name_size == name_size && memcmp(builder->text + entry->name, name, name_size) == 0));
}

/* A fresh entry at the end, not yet counted; NULL if it may not be. */
static struct attribute_entry *draft(struct attributes_builder *builder, const char *name,
                                     enum attribute_kind kind)
{
    size_t name_size = strlen(name);
    uint32_t type = attribute_type_find(name, name_size);
    if (type == UINT32_MAX || types[type].kind != kind || builder->count == ATTRIBUTES_MAX)
        return NULL;
    for (uint32_t i = 0; i < builder->count; i++)
        if (is_same_name(builder, &builder->at[i], type, name, name_size))
            return NULL;
    struct attribute_entry *entry = &builder->at[builder->count];
    *entry = (struct attribute_entry){ .type = (uint8_t)type, .dimension = (uint8_t)types[type].dimension };
    return entry;
}

/* A text with its zero, cut before a character that would not fit whole. Returns its size; 0: empty, or no
 * room.
 */
static uint16_t put_text(struct attributes_builder *builder, uint32_t *used, const char *text,
                         uint16_t *offset)
{
    size_t length = strnlen(text, ATTRIBUTE_VALUE_MAX);
    if (length == ATTRIBUTE_VALUE_MAX)
        for (length--; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    if (length == 0 || *used + length + 1 > sizeof builder->text)
        return 0;
    memcpy(builder->text + *used, text, length);
    builder->text[*used + length] = 0;
    *offset = (uint16_t)*used;
    *used += (uint32_t)length + 1;
    return (uint16_t)length;
}

static bool is_sane(double value) { return value == 0 || (value >= NUMBER_MIN && value <= NUMBER_MAX); }

bool attributes_add_number(struct attributes_builder *builder, const char *name, double value)
{
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_NUMBER);
    if (!entry || !is_sane(value))
        return false;
    entry->number = value + 0.0; /* -0 is 0 */
    builder->count++;
    return true;
}

bool attributes_add_text(struct attributes_builder *builder, const char *name, const char *value)
{
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_TEXT);
    if (!entry || !(entry->size = put_text(builder, &builder->used, value, &entry->text)))
        return false;
    builder->count++;
    return true;
}

bool attributes_add_version(struct attributes_builder *builder, const char *name, const char *value)
{
    struct version version;
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_VERSION);
    if (!entry || !version_parse(value, strlen(value), true, &version) ||
        !(entry->size = put_text(builder, &builder->used, value, &entry->text)))
        return false;
    builder->count++;
    return true;
}

bool attributes_add_label(struct attributes_builder *builder, const char *key, const char *value)
{
    char name[ATTRIBUTE_NAME_MAX + 1];
    struct quantity quantity;
    snprintf(name, sizeof name, "label.%s", key);
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_LABEL);
    uint32_t used = builder->used;
    if (!entry || !(entry->name_size = (uint8_t)put_text(builder, &used, name, &entry->name)) ||
        !(entry->size = put_text(builder, &used, value, &entry->text)))
        return false;
    if (quantity_parse(value, strlen(value), &quantity) == QUANTITY_OK) {
        entry->is_number = 1;
        entry->number = quantity.value;
        entry->dimension = (uint8_t)quantity.dimension;
    }
    builder->used = used;
    builder->count++;
    return true;
}

/* Whole numbers without leading zeros: the shorter is the smaller. */
static int compare_members(bool whole, const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    if (whole && a_size != b_size)
        return a_size < b_size ? -1 : 1;
    return attribute_text_compare(a, a_size, b, b_size);
}

/* members, at most ATTRIBUTE_MEMBERS_MAX, are sorted, and each is taken once. */
static bool add_members(struct attributes_builder *builder, struct attribute_entry *entry,
                        const char *members[], uint32_t count)
{
    bool whole = types[entry->type].whole;
    uint32_t used = builder->used;
    uint16_t offset;
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && compare_members(whole, members[j - 1], members[j]) > 0; j--) {
            const char *swap = members[j];
            members[j] = members[j - 1];
            members[j - 1] = swap;
        }
    entry->text = (uint16_t)used;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && compare_members(whole, members[i - 1], members[i]) == 0)
            continue;
        if (!put_text(builder, &used, members[i], &offset))
            return false;
        entry->size++;
    }
    builder->used = used;
    builder->count += count > 0;
    return count > 0;
}

bool attributes_add_set(struct attributes_builder *builder, const char *name, const char *const *members,
                        uint32_t count)
{
    const char *copy[ATTRIBUTE_MEMBERS_MAX];
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_SET);
    if (!entry || types[entry->type].whole || count > ATTRIBUTE_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        copy[i] = members[i];
    return add_members(builder, entry, copy, count);
}

bool attributes_add_whole_set(struct attributes_builder *builder, const char *name, const uint32_t *members,
                              uint32_t count)
{
    const char *copy[ATTRIBUTE_MEMBERS_MAX];
    char text[ATTRIBUTE_MEMBERS_MAX][12];
    struct attribute_entry *entry = draft(builder, name, ATTRIBUTE_SET);
    if (!entry || !types[entry->type].whole || count > ATTRIBUTE_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "%u", members[i]);
        copy[i] = text[i];
    }
    return add_members(builder, entry, copy, count);
}

/* ---- the block ---- */

static int compare_entries(const char *text, const struct attribute_entry *a, const struct attribute_entry *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return strcmp(text + a->name, text + b->name);
}

/* Bytes of an entry's texts, zeros included: sets have one after each member. */
static uint32_t text_bytes(const char *text, const struct attribute_entry *entry)
{
    uint32_t bytes = 0;
    if (types[entry->type].kind == ATTRIBUTE_NUMBER)
        return 0;
    if (types[entry->type].kind != ATTRIBUTE_SET)
        return entry->size + 1u;
    for (uint32_t i = 0; i < entry->size; i++)
        bytes += (uint32_t)strlen(text + entry->text + bytes) + 1;
    return bytes;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    for (int i = 0; i < 8; i++, word >>= 8)
        hash = (hash ^ (word & 0xff)) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_entry(uint64_t hash, const char *text, const struct attribute_entry *entry)
{
    uint64_t bits;
    memcpy(&bits, &entry->number, sizeof bits);
    hash = hash_word(hash, entry->type);
    hash = hash_word(hash, bits);
    hash = hash_word(hash, entry->size);
    hash = hash_bytes(hash, text + entry->name, entry->name_size);
    return hash_bytes(hash, text + entry->text, text_bytes(text, entry));
}

static void sort_entries(const char *text, struct attribute_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && compare_entries(text, &entries[j - 1], &entries[j]) > 0; j--) {
            struct attribute_entry swap = entries[j];
            entries[j] = entries[j - 1];
            entries[j - 1] = swap;
        }
}

/* Move an entry's texts from one text to another, at *used. */
static void move_texts(struct attribute_entry *entry, const char *from, char *to, uint32_t *used)
{
    uint32_t bytes = text_bytes(from, entry);
    if (entry->name_size) {
        memcpy(to + *used, from + entry->name, entry->name_size + 1);
        entry->name = (uint16_t)*used;
        *used += entry->name_size + 1u;
    }
    memcpy(to + *used, from + entry->text, bytes);
    entry->text = (uint16_t)(bytes ? *used : 0);
    *used += bytes;
}

struct attributes *attributes_finish(const struct attributes_builder *builder)
{
    size_t head = sizeof(struct attributes) + builder->count * sizeof(struct attribute_entry);
    struct attributes *attributes = calloc(1, head + builder->used);
    if (!attributes)
        return NULL;
    char *text = (char *)attributes + head;
    uint32_t used = 0;
    attributes->bytes = (uint32_t)head + builder->used;
    attributes->count = builder->count;
    attributes->labels = (uint8_t)builder->count;
    memcpy(attributes->entries, builder->at, builder->count * sizeof *builder->at);
    sort_entries(builder->text, attributes->entries, attributes->count);
    attributes->hash = 0xcbf29ce484222325u;
    for (uint32_t i = attributes->count; i-- > 0;) {
        uint32_t type = attributes->entries[i].type;
        if (type == TYPE_LABEL)
            attributes->labels = (uint8_t)i;
        else
            attributes->at[type] = (uint8_t)(i + 1);
    }
    for (uint32_t i = 0; i < attributes->count; i++) {
        move_texts(&attributes->entries[i], builder->text, text, &used);
        attributes->hash = hash_entry(attributes->hash, text, &attributes->entries[i]);
    }
    ENSURE(used <= builder->used);
    return attributes;
}

struct attributes *attributes_copy(const struct attributes *attributes)
{
    struct attributes *copy = malloc(attributes->bytes);
    return copy ? memcpy(copy, attributes, attributes->bytes) : NULL;
}

void attributes_free(struct attributes **attributes)
{
    free(*attributes);
    *attributes = NULL;
}

bool attributes_equal(const struct attributes *a, const struct attributes *b)
{
    return a == b || (a->bytes == b->bytes && memcmp(a, b, a->bytes) == 0);
}

uint64_t attributes_hash(const struct attributes *attributes) { return attributes->hash; }

size_t attributes_bytes(const struct attributes *attributes) { return attributes->bytes; }

/* ---- looking ---- */

uint32_t attributes_count(const struct attributes *attributes) { return attributes ? attributes->count : 0; }

static const char *text_of(const struct attributes *attributes)
{
    return (const char *)&attributes->entries[attributes->count];
}

void attributes_at(const struct attributes *attributes, uint32_t index, struct attribute *attribute)
{
    ENSURE(index < attributes->count);
    const struct attribute_entry *entry = &attributes->entries[index];
    const struct attribute_type *type = &types[entry->type];
    const char *text = text_of(attributes);
    attribute->type = entry->type;
    attribute->name = entry->name_size ? text + entry->name : type->name;
    attribute->name_size = entry->name_size ? entry->name_size : (uint32_t)strlen(type->name);
    attribute->kind = type->kind;
    attribute->number = entry->number;
    attribute->dimension = (enum dimension)entry->dimension;
    attribute->is_number = entry->is_number != 0;
    attribute->text = text + entry->text;
    attribute->size = entry->size;
    if (type->kind != ATTRIBUTE_VERSION ||
        !version_parse(attribute->text, attribute->size, true, &attribute->version))
        attribute->version = (struct version){ 0 };
}

bool attributes_find(const struct attributes *attributes, uint32_t type, const char *name, size_t name_size,
                     struct attribute *attribute)
{
    if (!attributes || (type < TYPE_LABEL && attributes->at[type] == 0))
        return false;
    if (type < TYPE_LABEL) {
        attributes_at(attributes, attributes->at[type] - 1u, attribute);
        return true;
    }
    for (uint32_t i = attributes->labels; i < attributes->count; i++) {
        attributes_at(attributes, i, attribute);
        if (attribute->name_size == name_size && memcmp(attribute->name, name, name_size) == 0)
            return true;
    }
    return false;
}

/* Add more to text; false when it was cut. */
static bool append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text), wanted = strlen(more);
    if (used + wanted < size) {
        memcpy(text + used, more, wanted + 1);
        return true;
    }
    memcpy(text + used, more, size - 1 - used);
    text[size - 1] = 0;
    if (size > 4)
        memcpy(text + size - 4, "...", 4);
    return false;
}

static void show_set(const struct attribute *attribute, char *text, size_t size)
{
    const char *member = attribute->text;
    bool whole = append(text, size, "[");
    for (uint32_t i = 0; i < attribute->size && whole; i++, member += strlen(member) + 1)
        whole = (i == 0 || append(text, size, ", ")) && append(text, size, member);
    if (whole)
        append(text, size, "]");
}

void attribute_show(const struct attribute *attribute, char *text, size_t size)
{
    char number[QUANTITY_TEXT_MAX];
    struct quantity quantity = { attribute->number, attribute->dimension };
    ENSURE(size > 0);
    text[0] = 0;
    switch (attribute->kind) {
    case ATTRIBUTE_NUMBER:
        quantity_show(&quantity, number);
        append(text, size, number);
        break;
    case ATTRIBUTE_SET: show_set(attribute, text, size); break;
    case ATTRIBUTE_TEXT:
    case ATTRIBUTE_VERSION:
    case ATTRIBUTE_LABEL: append(text, size, attribute->text); break;
    }
}
