// SPDX-License-Identifier: Apache-2.0
/* tokens - a file as the row of numbers that Magika's model takes: its first and last bytes without the
 * white space around them, padded to fixed lengths ("features extraction v2" of the magika package). At most
 * two blocks of a file are read. */
#ifndef TOKENS_H
#define TOKENS_H

#include "err.h"
#include "magika.h"

#include <stddef.h>
#include <stdint.h>

/* Tokens of a row. */
size_t tokens_count(const struct magika *config);

/* Fill row (tokens_count tokens) from an open file. ERR_NOT_FOUND: too few bytes for the model, row
 * undefined. */
MUST_USE enum err tokens_read(const struct magika *config, int fd, const char *path, int32_t *row,
                              struct why *why);

/* The same from the two blocks in memory, each at most block_size bytes; pure. False: too few bytes. */
bool tokens_fill(const struct magika *config, const uint8_t *beg, size_t beg_bytes, const uint8_t *end,
                 size_t end_bytes, int32_t *row);

#endif
