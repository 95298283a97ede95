// SPDX-License-Identifier: Apache-2.0
/* inventory - a look over the state directory: the room that it takes, and what of it belongs to which job or
 * upload. Reads only. Slow: for a thread that nobody waits for. */
#ifndef INVENTORY_H
#define INVENTORY_H

#include "err.h"
#include "sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inventory_folder {
    uint64_t job, bytes;
};

struct inventory_blob {
    uint8_t digest[SHA256_BYTES];
    bool part;       /* an upload that is not whole */
    int64_t used_us; /* when it was last written, or named (blobs_touch); wall clock */
    uint64_t bytes;
};

/* Bytes are what the file system has given, so that sparse and preallocated files count for what they take.
 */
struct inventory {
    uint64_t bytes; /* of all there is */
    size_t folders_count, blobs_count;
    struct inventory_folder *folders; /* ascending by job */
    struct inventory_blob *blobs;     /* ascending by digest, a whole one before its part */
};

/* What comes and goes meanwhile may be missing. ERR_FILE, ERR_MEMORY. */
MUST_USE enum err inventory_make(const char *state_dir, struct inventory **inventory, struct why *why);
void inventory_free(struct inventory **inventory);

/* The whole blob of that digest; NULL: it was not seen. */
struct inventory_blob *inventory_find(const struct inventory *inventory, const uint8_t digest[SHA256_BYTES]);

#endif
