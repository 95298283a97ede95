// SPDX-License-Identifier: Apache-2.0
/* reader - a msgpack tree into a struct, as its field table says. Pure. Sticky: after the first error nothing
 * more is read.
 *
 * Bytes are not copied: FIXED and BYTES fields point into the body that the tree was made from. Texts and
 * arrays are taken from the arena. */
#ifndef READER_H
#define READER_H

#include "arena.h"
#include "bounds.h"
#include "err.h"
#include "field.h"

#include <msgpack.h>

/* Where the reader is, for the error: field, and element of it. */
struct reader_place {
    const char *name;
    uint32_t index;
    bool indexed;
};

struct reader {
    struct arena *arena;
    const char *message; /* its name, for the error */
    enum err err;
    struct why *why;
    uint32_t depth;
    struct reader_place places[DEPTH_MAX];
};

/* Fill object (table->size zeroed bytes) from a map. The outcome is reader.err. */
void reader_struct(struct reader *reader, const struct table *table, const msgpack_object *map, void *object);

#endif
