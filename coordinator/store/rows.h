// SPDX-License-Identifier: Apache-2.0
/* rows - reads one output of a job from the spool, sample by sample, in bounded memory whatever the sizes.
 * Not thread-safe; any number of readers may read the same files. Only samples that the journal calls done
 * have rows worth reading. */
#ifndef ROWS_H
#define ROWS_H

#include "spool.h"

enum { ROWS_READ_MAX = 256 << 10, ROWS_INDEX_MAX = 4096 };

struct rows {
    struct tensor_spec declared;
    bool varies;
    uint64_t samples, row_bytes, start; /* row_bytes, start: fixed rows */
    uint64_t size;                      /* of the file with the rows */
    int fd, index_fd;
    char path[SPOOL_PATH_MAX];
    uint8_t *bytes;
    uint64_t bytes_at;
    size_t bytes_held; /* a window of the file */
    struct spool_entry *entries;
    uint64_t entries_at, entries_held; /* a window of the index */
};

/* What one sample's row looks like and where its bytes are. */
struct rows_place {
    struct tensor_spec spec;
    uint64_t offset, bytes;
};

/* On failure nothing is left open. ERR_FORMAT: damaged files. */
MUST_USE enum err rows_open(struct rows *rows, const char *state_dir, const struct spool_shape *shape,
                            uint32_t k, struct why *why);
void rows_close(struct rows *rows);

MUST_USE enum err rows_find(struct rows *rows, uint64_t sample, struct rows_place *place, struct why *why);

/* A look at size bytes (at most ROWS_READ_MAX) from offset of the file, valid until the next call. */
MUST_USE enum err rows_read(struct rows *rows, uint64_t offset, size_t size, const uint8_t **bytes,
                            struct why *why);

#endif
