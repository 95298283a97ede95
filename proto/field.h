// SPDX-License-Identifier: Apache-2.0
/* field - what a field table is made of: one row per field of a message's struct. Pure.
 *
 * The reader (reader.h) and the writer (writer.h) follow these rows; protocol.md prints them, and a test
 * compares the two. */
#ifndef FIELD_H
#define FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The C member behind a row. An array's row has the kind of its elements and a count_max. */
enum field_kind {
    FIELD_NONE = 0, /* a number that was used once and never will be again */
    FIELD_BOOL,     /* bool */
    FIELD_U32,      /* uint32_t; also enumerations without holes */
    FIELD_U64,      /* uint64_t */
    FIELD_I32,      /* int32_t */
    FIELD_I64,      /* int64_t */
    FIELD_F64,      /* double, finite */
    FIELD_TEXT,     /* const char *: an identity, a path, a choice; must be right as it is */
    FIELD_WORDS,    /* const char *: a description for people; the writer cuts and cleans it */
    FIELD_FIXED,    /* const uint8_t *: exactly max bytes; absent = zeros */
    FIELD_BYTES,    /* const uint8_t * and uint32_t size at count_offset: at most max bytes */
    FIELD_STRUCT,   /* an embedded struct, or an array of structs, of table */
};

struct table;

struct field {
    const char *name;
    uint8_t number;        /* on the wire; also the row's place in the table, from 1 */
    uint8_t kind;          /* enum field_kind */
    bool must;             /* refused when absent */
    uint16_t offset;       /* of the member */
    uint16_t count_offset; /* of an array's uint32_t count, or of the size of FIELD_BYTES */
    uint32_t count_max;    /* > 0: an array of at most so many */
    int64_t min;           /* numbers; FIELD_F64: INT64_MIN = any */
    uint64_t max; /* numbers; bytes of a text (without its zero) or of FIXED and BYTES. FIELD_F64: UINT64_MAX
                     = any */
    const struct table *table;
};

struct table {
    const char *name; /* as in protocol.md */
    const struct field *fields;
    uint16_t fields_count; /* at most 63 */
    uint16_t size;         /* of the C struct */

    /* What must hold between fields, beyond the rows: NULL if it does, else in words what does not.
     * (optional) */
    const char *(*rule)(const void *object);
};

/* The size of one element of an array with this row. */
size_t field_element_bytes(const struct field *field);

/* Is a finite double within the row's bound? */
bool field_double_ok(const struct field *field, double value);

#endif
