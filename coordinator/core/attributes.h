// SPDX-License-Identifier: Apache-2.0
/* attributes - what is known of one slot, with its device and its worker, as typed values: device.kind = gpu,
 * device.memory = 16GiB, precision = {fp16, fp32}, label.room = b12. What --require and --prefer ask.
 *
 * Pure. A `struct attributes` is one immutable block without pointers in it: it is built once, may be shared
 * by any number of slots that are alike (attributes_equal, attributes_hash), copied with memcpy
 * (attributes_bytes) and freed once. An attribute that is not known is not in it: nothing here is ever "0 =
 * unknown".
 *
 * Names are fixed (attribute_types) but for label.KEY, where KEY is the operator's word. Text is compared
 * without regard to the case of ASCII letters, everywhere. */
#ifndef ATTRIBUTES_H
#define ATTRIBUTES_H

#include "quantity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATTRIBUTES_MAX = 64,     /* of one slot */
    ATTRIBUTE_NAME_MAX = 64, /* with the zero, as all bounds of texts */
    ATTRIBUTE_VALUE_MAX = 256,
    ATTRIBUTE_MEMBERS_MAX = 64, /* of one set */
    VERSION_PARTS = 4,
};

enum attribute_kind {
    ATTRIBUTE_NUMBER, /* with the dimension of its type */
    ATTRIBUTE_TEXT,
    ATTRIBUTE_VERSION, /* 1.2.3 */
    ATTRIBUTE_SET,     /* of texts */
    ATTRIBUTE_LABEL,   /* text; also a number or a version if it reads as one */
};

/* Missing parts are 0: 12 = 12.0. What follows the numbers ("-rc1", "+cuda") is not compared. */
struct version {
    uint32_t part[VERSION_PARTS];
};

/* A row of the table of names. */
struct attribute_type {
    const char *name; /* "device.memory" */
    enum attribute_kind kind;
    enum dimension dimension; /* NUMBER */
    bool whole;               /* SET: its members are whole numbers */
    const char *means;        /* for help and messages: "the device's memory" */
    const char *example;      /* a value: "16GiB" */
};

/* An attribute's type by its index: 0 .. attribute_types_count()-1, in the order of names; the last stands
 * for every label.KEY and is named "label.KEY". */
uint32_t attribute_types_count(void);
const struct attribute_type *attribute_type(uint32_t index);
/* By name; label.KEY for every good label. UINT32_MAX = no such attribute. */
uint32_t attribute_type_find(const char *name, size_t size);
/* Up to 3 names of the table that look like this one, nearest first, as "a, b, c" (cut at size); "" if none
 * does.
 */
void attribute_type_nearest(const char *name, size_t name_size, char *text, size_t size);
const char *attribute_kind_name(enum attribute_kind kind); /* "number", "text", "version", "set", "label" */

int version_compare(const struct version *a, const struct version *b);
/* Numbers divided by dots, after an optional v; trailing tells whether something else may follow them. */
bool version_parse(const char *text, size_t size, bool trailing, struct version *version);
/* At least parts_min parts, no trailing zeros beyond. Returns the length. */
size_t version_print(const struct version *version, int parts_min, char text[QUANTITY_TEXT_MAX]);

/* strcmp without regard to the case of ASCII letters, over texts with their sizes. */
int attribute_text_compare(const char *a, size_t a_size, const char *b, size_t b_size);

/* Can it be written in an expression without quotes: a name of a label, a value? */
bool attribute_is_word(const char *text, size_t size);

/* ---- building ---- */

/* Private: how an attribute is kept. */
struct attribute_entry {
    double number;
    uint16_t name, text; /* offsets in the text that goes with it; name: of labels */
    uint16_t size;
    uint8_t type, name_size, dimension, is_number;
};

/* Collects; lives on the caller's stack (about 20 KB). Each add_ is false, and nothing is added, when the
 * name is not known or of another kind, was given before, the value is absurd (NaN, infinite, negative,
 * empty) or there is no room: a lying or odd worker then simply lacks the attribute. Longer texts are cut. */
struct attributes_builder {
    uint32_t count, used;
    struct attribute_entry at[ATTRIBUTES_MAX];
    char text[16384];
};

struct attributes;

void attributes_begin(struct attributes_builder *builder);
bool attributes_add_number(struct attributes_builder *builder, const char *name, double value);
bool attributes_add_text(struct attributes_builder *builder, const char *name, const char *value);
bool attributes_add_version(struct attributes_builder *builder, const char *name, const char *value);
bool attributes_add_set(struct attributes_builder *builder, const char *name, const char *const *members,
                        uint32_t count);
bool attributes_add_whole_set(struct attributes_builder *builder, const char *name, const uint32_t *members,
                              uint32_t count);
bool attributes_add_label(struct attributes_builder *builder, const char *key, const char *value);
/* NULL when out of memory. The order of the add_ calls does not matter. */
struct attributes *attributes_finish(const struct attributes_builder *builder);

struct attributes *attributes_copy(const struct attributes *attributes); /* NULL when out of memory */
void attributes_free(struct attributes **attributes);

bool attributes_equal(const struct attributes *a, const struct attributes *b);
uint64_t attributes_hash(const struct attributes *attributes); /* the same on every machine */
size_t attributes_bytes(const struct attributes *attributes);  /* of the whole block */

/* ---- looking: NULL has no attributes ---- */

/* One value. Texts point into the block and are ended by a zero. */
struct attribute {
    const char *name;
    uint32_t name_size;
    uint32_t type; /* index of its attribute_type */
    enum attribute_kind kind;
    double number; /* NUMBER; also LABEL with is_number */
    enum dimension dimension;
    bool is_number;         /* LABEL: it reads as a number */
    struct version version; /* VERSION */
    const char *text;       /* TEXT, LABEL, VERSION (as the worker said it); SET: the members, one after the
                               other, each ended by a zero, ascending, none twice */
    uint32_t size;          /* TEXT, LABEL, VERSION: of text; SET: how many members */
};

uint32_t attributes_count(const struct attributes *attributes);
/* In the order of types, labels last by key. */
void attributes_at(const struct attributes *attributes, uint32_t index, struct attribute *attribute);
/* By type, labels by type and name; false if the slot lacks it. O(1), labels O(labels). */
bool attributes_find(const struct attributes *attributes, uint32_t type, const char *name, size_t name_size,
                     struct attribute *attribute);

/* The value for people: 16GiB, gpu, 12.4, [fp16, fp32]; cut at size with "..." */
void attribute_show(const struct attribute *attribute, char *text, size_t size);

#endif
