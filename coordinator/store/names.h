// SPDX-License-Identifier: Apache-2.0
/* names - reads the samples' names in order from an uploaded blob: one JSON string (or null) a line, one line
 * a sample. The blob comes from a client: every line is checked. Bounded memory. Not thread-safe. */
#ifndef NAMES_H
#define NAMES_H

#include "err.h"

#include <stdint.h>
#include <stdio.h>

enum { NAMES_LINE_MAX = 64 << 10 };

struct names {
    FILE *file;    /* NULL: samples have no names, each is "null" */
    uint64_t next; /* the sample of the next line */
    char *line;
    const char *path; /* borrowed */
};

/* path "" = no names. On failure nothing is left open. */
MUST_USE enum err names_open(struct names *names, const char *path, struct why *why);
void names_close(struct names *names);

/* The name of sample, as JSON text; samples may be skipped, but never asked for again. Valid until the next
 * call. ERR_FORMAT: the line is missing or no JSON string. */
MUST_USE enum err names_read(struct names *names, uint64_t sample, const char **json, struct why *why);

#endif
