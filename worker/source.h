// SPDX-License-Identifier: Apache-2.0
/* source - the rows of one input of a job, and how a lease gets at them.
 *
 *     shared storage:  the file is mapped read-only once per job; a lease's rows are a pointer into the map
 *     otherwise:       gather: a lease's rows are fetched in bounded pieces into one buffer
 *
 * A file that is not what the job was submitted with (size or modification time) is refused when it is
 * opened, and again by source_check before and after each run. A mapped file that is cut short meanwhile
 * raises SIGBUS where it is read: source_guard turns that into zeros and a failed source_check, so that no
 * input can end a worker. */
#ifndef SOURCE_H
#define SOURCE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct source;

struct source_place {
    const char *path;
    uint64_t offset, row_bytes; /* row i is at offset + i * row_bytes */
    uint64_t rows;
    uint64_t file_bytes; /* as submitted */
    int64_t mtime_ns;
};

/* ERR_FILE: cannot be opened or mapped here (the rows may still be fetched); ERR_FORMAT: it changed, or is
 * too short. */
MUST_USE enum err source_open(const struct source_place *place, struct source **source, struct why *why);
void source_free(struct source **source);

/* count rows from first: a look, valid while source lives, never NULL. ENSURE that the rows exist (first +
 * count <= rows). The kernel is told to read them ahead. */
const void *source_rows(const struct source *source, uint64_t first, uint32_t count);

/* Is the file still the one that was opened? ERR_FORMAT if not. */
MUST_USE enum err source_check(const struct source *source, struct why *why);

/* Install the handler of SIGBUS, once per process; and let this thread, if it blocks all signals, receive it.
 */
void source_guard(void);
void source_guard_thread(void);

/* ---- rows that are fetched ---- */

struct gather {
    uint8_t *bytes;      /* of all rows asked for; never NULL once begun */
    uint64_t size;       /* count * row_bytes */
    uint64_t offset;     /* of the first of them in the input's rows */
    uint64_t asked, got; /* bytes */
};

/* ERR_MEMORY, or ERR_LIMIT when the product passes max_bytes. */
MUST_USE enum err gather_begin(struct gather *gather, uint64_t first, uint32_t count, uint64_t row_bytes,
                               uint64_t max_bytes, struct why *why);
void gather_free(struct gather *gather); /* idempotent */

/* The next piece to ask for: offset in the input's rows; false when all was asked for. */
bool gather_next(struct gather *gather, uint64_t *offset, uint32_t *length);

/* A piece came. ERR_FORMAT if it lies outside of what was asked for. */
MUST_USE enum err gather_put(struct gather *gather, uint64_t offset, const void *bytes, uint64_t size,
                             struct why *why);

bool gather_whole(const struct gather *gather);

#endif
