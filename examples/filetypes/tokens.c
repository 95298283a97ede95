// SPDX-License-Identifier: Apache-2.0
#include "tokens.h"

#include "file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

size_t tokens_count(const struct magika *config) { return (size_t)config->beg_size + config->end_size; }

/* What Python's bytes.strip() takes away, which differs from isspace() in no locale. */
static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static void fill_beg(const struct magika *config, const uint8_t *bytes, size_t size, int32_t *row)
{
    size_t from = 0;
    while (from < size && is_space(bytes[from]))
        from++;
    for (size_t i = 0; i < config->beg_size; i++)
        row[i] = from + i < size ? bytes[from + i] : config->padding_token;
}

static void fill_end(const struct magika *config, const uint8_t *bytes, size_t size, int32_t *row)
{
    while (size > 0 && is_space(bytes[size - 1]))
        size--;
    for (size_t i = 0; i < config->end_size; i++)
        row[config->end_size - 1 - i] = i < size ? bytes[size - 1 - i] : config->padding_token;
}

bool tokens_fill(const struct magika *config, const uint8_t *beg, size_t beg_bytes, const uint8_t *end,
                 size_t end_bytes, int32_t *row)
{
    fill_beg(config, beg, beg_bytes, row);
    fill_end(config, end, end_bytes, row + config->beg_size);
    return row[config->min_file_size - 1] != config->padding_token;
}

enum err tokens_read(const struct magika *config, int fd, const char *path, int32_t *row, struct why *why)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    uint64_t file_bytes = (uint64_t)status.st_size;
    if (file_bytes < config->min_file_size)
        return why_set(why, ERR_NOT_FOUND, "%s: too short for the model", path);
    size_t size = file_bytes < config->block_size ? (size_t)file_bytes : config->block_size;
    uint8_t *blocks = malloc(2 * size);
    if (!blocks)
        return why_set(why, ERR_MEMORY, "%s: no memory for two blocks of %zu bytes", path, size);
    enum err err = file_pread(fd, blocks, size, 0, path, why);
    if (!err)
        err = file_pread(fd, blocks + size, size, file_bytes - size, path, why);
    if (!err && !tokens_fill(config, blocks, size, blocks + size, size, row))
        err = why_set(why, ERR_NOT_FOUND, "%s: too short for the model but for white space", path);
    free(blocks);
    return err;
}
