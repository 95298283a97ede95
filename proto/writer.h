// SPDX-License-Identifier: Apache-2.0
/* writer - a struct into msgpack, as its field table says. Pure but for the buffer's memory. Sticky: write
 * all, ask once.
 *
 * An optional field at its default (0, false, "", all zero, empty) does not travel; the others go in the
 * order of their numbers, so that one struct has one encoding. Each value is held to its row's bound, as a
 * reader on the other side would hold it. */
#ifndef WRITER_H
#define WRITER_H

#include "err.h"
#include "field.h"

#include <msgpack.h>

struct writer {
    msgpack_sbuffer *buffer;
    msgpack_packer packer;
    uint64_t elements; /* msgpack objects written */
    enum err err;
    struct why *why;
};

void writer_init(struct writer *writer, msgpack_sbuffer *buffer, struct why *why);

/* Append object as a map. The outcome is writer.err: ERR_USAGE if the object breaks its table, ERR_MEMORY. */
void writer_struct(struct writer *writer, const struct table *table, const void *object);

#endif
