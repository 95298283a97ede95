// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include "ensure.h"
#include "file.h"
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err damaged(const struct rows *rows, uint64_t sample, struct why *why)
{
    return why_set(why, ERR_FORMAT, "%s: the row of sample %" PRIu64 " is damaged; submit the job again",
                   rows->path, sample);
}

static enum err open_file(const char *path, int *fd, uint64_t *size, struct why *why)
{
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    *size = (uint64_t)status.st_size;
    return ERR_OK;
}

static enum err open_fixed(struct rows *rows, struct why *why)
{
    struct npy_array array;
    uint64_t size;
    int64_t mtime_ns;
    enum err err = npy_open(rows->path, &array, &size, &mtime_ns, why);
    if (err == ERR_OK)
        err = open_file(rows->path, &rows->fd, &rows->size, why);
    if (err != ERR_OK)
        return err;
    rows->row_bytes = tensor_row_bytes(&rows->declared);
    rows->start = array.offset;
    if (array.sample_count != rows->samples || array.row_bytes != rows->row_bytes)
        return why_set(why, ERR_FORMAT, "%s: does not hold what the job's answers should be", rows->path);
    return ERR_OK;
}

static enum err open_varying(struct rows *rows, const char *index_path, struct why *why)
{
    uint64_t size = 0;
    enum err err = open_file(rows->path, &rows->fd, &rows->size, why);
    if (err == ERR_OK)
        err = open_file(index_path, &rows->index_fd, &size, why);
    if (err == ERR_OK && size != rows->samples * sizeof(struct spool_entry))
        err = why_set(why, ERR_FORMAT, "%s: is damaged; submit the job again", index_path);
    return err;
}

enum err rows_open(struct rows *rows, const char *state_dir, const struct spool_shape *shape, uint32_t k,
                   struct why *why)
{
    char index_path[SPOOL_PATH_MAX];
    memset(rows, 0, sizeof *rows);
    rows->fd = rows->index_fd = -1;
    rows->declared = shape->outputs[k];
    rows->samples = shape->samples;
    rows->varies = spool_varies(&shape->outputs[k]);
    rows->bytes = malloc(ROWS_READ_MAX);
    rows->entries = malloc(ROWS_INDEX_MAX * sizeof rows->entries[0]);
    spool_output_path(state_dir, shape, k, rows->varies ? ".rows" : ".npy", rows->path);
    spool_output_path(state_dir, shape, k, ".index", index_path);
    enum err err =
        rows->bytes && rows->entries ? ERR_OK : why_set(why, ERR_MEMORY, "no memory to read %s", rows->path);
    if (err == ERR_OK)
        err = rows->varies ? open_varying(rows, index_path, why) : open_fixed(rows, why);
    if (err != ERR_OK)
        rows_close(rows);
    return err;
}

void rows_close(struct rows *rows)
{
    if (rows->fd >= 0)
        close(rows->fd);
    if (rows->index_fd >= 0)
        close(rows->index_fd);
    free(rows->bytes);
    free(rows->entries);
    memset(rows, 0, sizeof *rows);
    rows->fd = rows->index_fd = -1;
}

enum err rows_read(struct rows *rows, uint64_t offset, size_t size, const uint8_t **bytes, struct why *why)
{
    ENSURE(size <= ROWS_READ_MAX);
    if (offset < rows->bytes_at || offset + size > rows->bytes_at + rows->bytes_held) {
        uint64_t left = offset < rows->size ? rows->size - offset : 0;
        size_t held = left < ROWS_READ_MAX ? (size_t)left : ROWS_READ_MAX;
        rows->bytes_held = 0;
        if (held < size)
            return why_set(why, ERR_FORMAT, "%s: is shorter than it should be; submit the job again",
                           rows->path);
        enum err err = file_pread(rows->fd, rows->bytes, held, offset, rows->path, why);
        if (err != ERR_OK)
            return err;
        rows->bytes_at = offset;
        rows->bytes_held = held;
    }
    *bytes = rows->bytes + (offset - rows->bytes_at);
    return ERR_OK;
}

static enum err find_entry(struct rows *rows, uint64_t sample, struct spool_entry *entry, struct why *why)
{
    if (sample < rows->entries_at || sample >= rows->entries_at + rows->entries_held) {
        uint64_t left = rows->samples - sample, held = left < ROWS_INDEX_MAX ? left : ROWS_INDEX_MAX;
        rows->entries_held = 0;
        enum err err = file_pread(rows->index_fd, rows->entries, (size_t)held * sizeof *entry,
                                  sample * sizeof *entry, rows->path, why);
        if (err != ERR_OK)
            return err;
        rows->entries_at = sample;
        rows->entries_held = held;
    }
    *entry = rows->entries[sample - rows->entries_at];
    return ERR_OK;
}

static bool agrees(const struct tensor_spec *declared, const struct tensor_spec *spec)
{
    for (uint32_t i = 0; i < declared->dims_count; i++)
        if (spec->dims[i] < 0 || (declared->dims[i] >= 0 && spec->dims[i] != declared->dims[i]))
            return false;
    return true;
}

enum err rows_find(struct rows *rows, uint64_t sample, struct rows_place *place, struct why *why)
{
    struct spool_entry entry;
    const uint8_t *dims;
    uint64_t head = rows->declared.dims_count * sizeof rows->declared.dims[0];
    ENSURE(sample < rows->samples);
    place->spec = rows->declared;
    if (!rows->varies) {
        place->offset = rows->start + sample * rows->row_bytes;
        place->bytes = rows->row_bytes;
        return ERR_OK;
    }
    enum err err = find_entry(rows, sample, &entry, why);
    if (err != ERR_OK)
        return err;
    if (entry.offset < SPOOL_ROWS_START || entry.offset > rows->size ||
        entry.length > rows->size - entry.offset || entry.length < head)
        return damaged(rows, sample, why);
    err = rows_read(rows, entry.offset, (size_t)head, &dims, why);
    if (err != ERR_OK)
        return err;
    memcpy(place->spec.dims, dims, (size_t)head);
    place->offset = entry.offset + head;
    place->bytes = entry.length - head;
    if (!agrees(&rows->declared, &place->spec) || tensor_row_bytes(&place->spec) != place->bytes)
        return damaged(rows, sample, why);
    return ERR_OK;
}
