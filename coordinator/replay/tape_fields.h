// SPDX-License-Identifier: Apache-2.0
/* tape_fields - which fields each record of a tape has, in what order and how they are written. Pure, private
 * to tape. */
#ifndef TAPE_FIELDS_H
#define TAPE_FIELDS_H

#include "sched.h"

#include <stddef.h>
#include <stdint.h>

/* The letters of the header's grammar. */
enum {
    FIELD_NUMBER = 'u',
    FIELD_SIGNED = 'i',
    FIELD_DOUBLE = 'd',
    FIELD_ATTEMPT = 'a', /* as the difference from the last one */
    FIELD_TEXT = 't',
    FIELD_SIZES = 'l',
    FIELD_SLOTS = 's',
    FIELD_ATTRIBUTES = 'A',
    FIELD_VARIANTS = 'V',
    FIELD_COSTS = 'c',
};

enum { FIELDS_MAX = 32 };

struct field {
    const char *name; /* NULL ends the table */
    char kind;
    uint16_t size, offset; /* in memory */
    uint64_t max;          /* of a number; 0 = what its size holds */
};

struct layout {
    char letter;      /* that begins the record; slots and variants are parts of one */
    const char *name; /* "result" */
    const struct field *fields;
};

/* The fields that every event may have; a bit mask says which of them are there. */
extern const struct field layout_common[];

const struct layout *layout_event(enum sched_event_type type);
const struct layout *layout_by_name(const char *name, size_t size,
                                    enum sched_event_type *type); /* events only */
extern const struct layout layout_life, layout_slot, layout_variant;

/* Letters of the records that are no events. */
enum {
    RECORD_LIFE = 'L',
    RECORD_QUIET = '.',
    RECORD_ACTIONS = '!',
    RECORD_SUPPOSE = '?',
    RECORD_REMOVE = '-',
    RECORD_STOP = '~'
};

#endif
