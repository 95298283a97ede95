// SPDX-License-Identifier: Apache-2.0
/* blobs - content-addressed files: models and uploaded inputs, received in pieces. Not thread-safe
 * (blobs_find and blobs_path are).
 *
 *     <state>/blobs/<sha256>        whole, verified, synced
 *     <state>/blobs/<sha256>.part   what is held of one that is being uploaded
 *
 * An upload may go on after a restart; a .part that nobody touched for a day is removed at the start.
 *
 * Two clients may upload the same blob at once: a piece of what is held already is compared, not written. */
#ifndef BLOBS_H
#define BLOBS_H

#include "err.h"
#include "sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLOBS_UPLOADS_MAX =
        64 /* held open; the one not used for longest is closed, and opened again by its next piece */
};

struct blobs;
MUST_USE enum err blobs_new(const char *state_dir, struct blobs **blobs,
                            struct why *why); /* makes <state>/blobs */
void blobs_free(struct blobs **blobs);

/* Take size bytes at offset of a blob of total bytes. *held says how much is held afterwards, also on
 * failure; total = whole. ERR_FORMAT: out of order, disagreeing with what is held or with total, or the
 * digest differs (all is dropped then); ERR_FULL. */
MUST_USE enum err blobs_put(struct blobs *blobs, const uint8_t digest[SHA256_BYTES], uint64_t offset,
                            uint64_t total, const void *bytes, size_t size, uint64_t *held, struct why *why);

bool blobs_find(const char *state_dir, const uint8_t digest[SHA256_BYTES], uint64_t *size_bytes);

/* It is named: as new, if it was not named lately. Any thread. */
void blobs_touch(const char *state_dir, const uint8_t digest[SHA256_BYTES]);

void blobs_path(const char *state_dir, const uint8_t digest[SHA256_BYTES], char *path, size_t max);

#endif
