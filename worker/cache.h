// SPDX-License-Identifier: Apache-2.0
/* cache - model files by SHA-256 in <state dir>/cache/models, shared by all workers of a machine.
 *
 *     <sha256>             whole, verified and synced before it got this name; its mtime is when it was last
 * used <sha256>.tmp-*       being fetched by some worker; renamed when whole
 *
 * Two workers that fetch one model at once each write a temporary of their own; the last rename wins and both
 * names were right. When the whole is larger than its bound, the least recently used go, but none used within
 * CACHE_KEEP_SECONDS: another worker may just be opening it. A mapped or open file survives its removal. One
 * owner; file operations block shortly. */
#ifndef CACHE_H
#define CACHE_H

#include "err.h"
#include "sha256.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { CACHE_KEEP_SECONDS = 600, CACHE_TEMPORARY_SECONDS = 86400 };

struct cache;

MUST_USE enum err cache_open(const char *state_dir, uint64_t bytes_max, struct cache **cache,
                             struct why *why);
void cache_free(struct cache **cache);

/* Is the model here, with that size? Its path is written (it holds PATH_MAX bytes) and it counts as used now.
 */
bool cache_find(struct cache *cache, const uint8_t model[SHA256_BYTES], uint64_t bytes, char path[PATH_MAX]);

/* Remove what is too much, making room for bytes more. Also old temporaries that a killed worker left. */
void cache_trim(struct cache *cache, uint64_t bytes);

/* A model on its way. */
struct cache_fetch;

/* ERR_LIMIT: an impossible size; ERR_FULL: no room on the disk; ERR_FILE. */
MUST_USE enum err cache_fetch_new(struct cache *cache, const uint8_t model[SHA256_BYTES], uint64_t bytes,
                                  struct cache_fetch **fetch, struct why *why);
void cache_fetch_free(struct cache_fetch **fetch); /* removes what was not finished */

/* The next piece to ask for; false when all was asked for. */
bool cache_fetch_next(struct cache_fetch *fetch, uint64_t *offset, uint32_t *length);

/* A piece came. Once all came: ERR_OK and *whole when it is verified and has its name; ERR_FORMAT if it is
 * another file. */
MUST_USE enum err cache_fetch_put(struct cache_fetch *fetch, uint64_t offset, const void *bytes,
                                  uint64_t size, bool *whole, struct why *why);

#endif
