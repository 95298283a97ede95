// SPDX-License-Identifier: Apache-2.0
/* sink - a file being written in order through a buffer, for text of any length. Sticky: put everything, ask
 * once with sink_end. Not thread-safe. */
#ifndef SINK_H
#define SINK_H

#include "dtype.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SINK_BYTES = 256 << 10 };

struct sink {
    int fd;           /* borrowed */
    const char *path; /* borrowed; for sentences */
    char *buffer;
    size_t used;
    uint64_t offset; /* in the file, of the buffer's start */
    enum err err;
    struct why why;
};

void sink_begin(struct sink *sink, int fd, const char *path); /* from the file's start */
void sink_bytes(struct sink *sink, const void *bytes, size_t size);
void sink_text(struct sink *sink, const char *text);
void sink_count(struct sink *sink, uint64_t number);

/* A JSON string, quotes included; bytes that are not UTF-8 become '?'. */
void sink_string(struct sink *sink, const char *text);

/* count elements of dtype as JSON, with commas between them and one before the first if comma is true.
 * Numbers read back exactly; NaN and the infinities are strings, booleans are true and false. */
void sink_elements(struct sink *sink, enum dtype dtype, const void *elements, size_t count, bool comma);

MUST_USE enum err sink_end(struct sink *sink, struct why *why); /* writes the rest, frees the buffer */

#endif
