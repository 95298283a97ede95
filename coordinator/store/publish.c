// SPDX-License-Identifier: Apache-2.0
#include "publish.h"

#include "ensure.h"
#include "file.h"
#include "log.h"
#include "names.h"
#include "npy.h"
#include "rows.h"
#include "sink.h"
#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_BYTES = 1 << 20,
    COPY_RANGE_BYTES = 256 << 20,
    NAME_ROOM = 64,
    ANSWER_PATH_MAX = 4096,
    FILE_PATH_MAX = ANSWER_PATH_MAX + 512
};

/* A file on its way: written under a temporary name, then given its own. */
struct draft {
    int fd; /* -1: not begun, or over */
    char path[FILE_PATH_MAX], temporary[FILE_PATH_MAX + NAME_ROOM];
};

struct publication {
    const char *state_dir;
    const struct clerk_command *command;
    struct spool_shape shape;
    char path[ANSWER_PATH_MAX];               /* without a slash at its end */
    char names_path[SPOOL_PATH_MAX];          /* "" = no names */
    char folder[ANSWER_PATH_MAX + NAME_ROOM]; /* FOLDER: the temporary one; "" = none */
    struct draft answer, index, errors;
};

static enum err write_failed(const char *path, struct why *why)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    return why_set_errno(why,
                         full           ? ERR_FULL
                         : errno == EIO ? ERR_SYSTEM
                                        : ERR_FILE,
                         "%s: cannot be written", path);
}

/* What a killed coordinator left half-written beside the user's answers, its next life must write over: so
 * the temporary name is not of the process, but of the job and of whose state directory it is in. */
static void name_temporary(const struct publication *publication, const char *path, char *temporary,
                           size_t max)
{
    char host[64] = "";
    uint32_t mark = 2166136261u;
    gethostname(host, sizeof host - 1);
    for (const char *at = host; *at; at++)
        mark = (mark ^ (unsigned char)*at) * 16777619u;
    for (const char *at = publication->state_dir; *at; at++)
        mark = (mark ^ (unsigned char)*at) * 16777619u;
    snprintf(temporary, max, "%s.tmp-%08" PRIx32 "-%" PRIu64, path, mark, publication->shape.job);
}

static enum err begin_draft(const struct publication *publication, struct draft *draft, struct why *why)
{
    name_temporary(publication, draft->path, draft->temporary, sizeof draft->temporary);
    return file_begin_as(draft->path, draft->temporary, &draft->fd, why);
}

static bool is_stopped(const struct clerk_command *command)
{
    return atomic_load(&command->progress) == PUBLISH_STOPPED;
}

static enum err stopped(const struct clerk_command *command, struct why *why)
{
    return why_set(why, ERR_REFUSED, "job %" PRIu64 ": its answer is no longer wanted", command->job);
}

/* ---- failures, sorted, as a walk along the samples ---- */

static int compare_failures(const void *a, const void *b)
{
    const struct clerk_failure *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Did sample fail? *at is the walk's place, 0 at first; samples must be asked for in ascending order. */
static bool has_failed(const struct clerk_command *command, size_t *at, uint64_t sample)
{
    while (*at < command->failures_count &&
           command->failures[*at].first + command->failures[*at].count <= sample)
        ++*at;
    return *at < command->failures_count && command->failures[*at].first <= sample;
}

/* The part of a failure that lies in the job. */
static uint64_t failure_end(const struct clerk_command *command, const struct clerk_failure *failure)
{
    if (failure->first >= command->samples)
        return failure->first;
    return failure->count > command->samples - failure->first ? command->samples
                                                              : failure->first + failure->count;
}

/* ---- copying fixed rows ---- */

struct copy {
    const struct clerk_command *command; /* whose stopping ends it */
    int from, to;
    const char *from_path, *to_path;
};

static enum err copy_slowly(const struct copy *copy, uint64_t at, uint64_t end, struct why *why)
{
    uint8_t *block = malloc(COPY_BYTES);
    enum err err = block ? ERR_OK : why_set(why, ERR_MEMORY, "no memory to write %s", copy->to_path);
    while (err == ERR_OK && at < end) {
        size_t size = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        err = is_stopped(copy->command) ? stopped(copy->command, why)
                                        : file_pread(copy->from, block, size, at, copy->from_path, why);
        if (err == ERR_OK)
            err = file_pwrite(copy->to, block, size, at, copy->to_path, why);
        at += size;
    }
    free(block);
    return err;
}

/* The kernel copies where it can (or shares the blocks); between some file systems it cannot, and says so in
 * many ways. */
static enum err copy_span(const struct copy *copy, uint64_t at, uint64_t end, struct why *why)
{
    while (at < end) {
        off_t in = (off_t)at, out = (off_t)at;
        size_t part = end - at < COPY_RANGE_BYTES ? (size_t)(end - at) : COPY_RANGE_BYTES;
        if (is_stopped(copy->command))
            return stopped(copy->command, why);
        ssize_t copied = copy_file_range(copy->from, &in, copy->to, &out, part, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
            return write_failed(copy->to_path, why);
        if (copied <= 0)
            return copy_slowly(copy, at, end, why);
        at += (uint64_t)copied;
    }
    return ERR_OK;
}

/* Copy size bytes, leaving holes where there are holes. */
static enum err copy_file(const struct copy *copy, uint64_t size, struct why *why)
{
    if (ftruncate(copy->to, (off_t)size) != 0)
        return write_failed(copy->to_path, why);
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(copy->from, (off_t)at, SEEK_DATA), hole = -1;
        if (data < 0 && errno == ENXIO) /* nothing but a hole up to the end */
            return ERR_OK;
        if (data >= 0)
            hole = lseek(copy->from, data, SEEK_HOLE);
        uint64_t start = data < 0 || hole < 0 ? at : (uint64_t)data;
        uint64_t end = data < 0 || hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
        enum err err = copy_span(copy, start, end, why);
        if (err != ERR_OK)
            return err;
        at = end;
    }
    return ERR_OK;
}

static enum err write_zeros(int fd, const char *path, uint64_t offset, uint64_t size, struct why *why)
{
    static const uint8_t zeros[64 << 10];
    if (size == 0 ||
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return ERR_OK;
    enum err err = ERR_OK;
    while (size > 0 && err == ERR_OK) {
        size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;
        err = file_pwrite(fd, zeros, part, offset, path, why);
        offset += part;
        size -= part;
    }
    return err;
}

/* A sample that failed for good may have left bytes: of a result that arrived before a crash and was never
 * counted. */
static enum err fill_fixed(const struct publication *publication, struct rows *rows,
                           const struct draft *draft, struct why *why)
{
    const struct clerk_command *command = publication->command;
    struct copy copy = { command, rows->fd, draft->fd, rows->path, draft->path };
    enum err err = copy_file(&copy, rows->start + rows->samples * rows->row_bytes, why);
    for (size_t i = 0; i < command->failures_count && err == ERR_OK; i++) {
        const struct clerk_failure *failure = &command->failures[i];
        uint64_t count = failure_end(command, failure) - failure->first;
        err = write_zeros(draft->fd, draft->path, rows->start + failure->first * rows->row_bytes,
                          count * rows->row_bytes, why);
    }
    return err;
}

/* ---- varying rows that turned out alike ---- */

static enum err differ(const struct rows *rows, uint64_t a, const struct tensor_spec *first, uint64_t b,
                       const struct tensor_spec *second, struct why *why)
{
    char one[96], other[96];
    tensor_print(first, one, sizeof one);
    tensor_print(second, other, sizeof other);
    return why_set(why, ERR_FORMAT,
                   "output '%s' varies: sample %" PRIu64 " has %s, sample %" PRIu64
                   " has %s; ask for a .jsonl output",
                   rows->declared.name, a, one, b, other);
}

/* The one shape of all rows; open dimensions are 0 where no row shows them. */
static enum err find_common(const struct publication *publication, struct rows *rows,
                            struct tensor_spec *common, struct why *why)
{
    struct rows_place place;
    size_t at = 0;
    uint64_t shown = UINT64_MAX;
    *common = rows->declared;
    for (uint32_t i = 0; i < common->dims_count; i++)
        if (common->dims[i] < 0)
            common->dims[i] = 0;
    for (uint64_t sample = 0; sample < rows->samples; sample++) {
        if (has_failed(publication->command, &at, sample))
            continue;
        enum err err = rows_find(rows, sample, &place, why);
        if (err != ERR_OK)
            return err;
        if (shown == UINT64_MAX) {
            *common = place.spec;
            shown = sample;
        } else if (memcmp(common->dims, place.spec.dims, sizeof common->dims[0] * common->dims_count) != 0) {
            return differ(rows, shown, common, sample, &place.spec, why);
        }
    }
    return ERR_OK;
}

static enum err put_row(struct sink *sink, struct rows *rows, const struct rows_place *place, struct why *why)
{
    enum err err = ERR_OK;
    for (uint64_t done = 0; done < place->bytes && err == ERR_OK;) {
        const uint8_t *bytes;
        size_t part = place->bytes - done < ROWS_READ_MAX ? (size_t)(place->bytes - done) : ROWS_READ_MAX;
        err = rows_read(rows, place->offset + done, part, &bytes, why);
        if (err == ERR_OK)
            sink_bytes(sink, bytes, part);
        done += part;
    }
    return err;
}

static void put_zeros(struct sink *sink, uint64_t size)
{
    static const uint8_t zeros[4096];
    for (; size > 0 && sink->err == ERR_OK; size -= size < sizeof zeros ? size : sizeof zeros)
        sink_bytes(sink, zeros, size < sizeof zeros ? (size_t)size : sizeof zeros);
}

static enum err put_rows(const struct publication *publication, struct sink *sink, struct rows *rows,
                         const struct tensor_spec *common, struct why *why)
{
    struct rows_place place;
    uint8_t header[NPY_HEADER_MAX];
    size_t at = 0;
    enum err err = ERR_OK;
    sink_bytes(sink, header, npy_header(common, rows->samples, header));
    for (uint64_t sample = 0; sample < rows->samples && err == ERR_OK && sink->err == ERR_OK; sample++) {
        if (is_stopped(publication->command))
            return stopped(publication->command, why);
        if (has_failed(publication->command, &at, sample)) {
            put_zeros(sink, tensor_row_bytes(common));
            continue;
        }
        err = rows_find(rows, sample, &place, why);
        if (err == ERR_OK)
            err = put_row(sink, rows, &place, why);
    }
    return err;
}

static enum err fill_varying(const struct publication *publication, struct rows *rows,
                             const struct draft *draft, struct why *why)
{
    struct tensor_spec common;
    struct sink sink;
    enum err err = find_common(publication, rows, &common, why);
    if (err != ERR_OK)
        return err;
    sink_begin(&sink, draft->fd, draft->path);
    err = put_rows(publication, &sink, rows, &common, why);
    enum err end = sink_end(&sink, err == ERR_OK ? why : NULL);
    return err == ERR_OK ? end : err;
}

static enum err fill_npy(const struct publication *publication, uint32_t k, const struct draft *draft,
                         struct why *why)
{
    struct rows rows;
    enum err err = rows_open(&rows, publication->state_dir, &publication->shape, k, why);
    if (err != ERR_OK)
        return err;
    err = (rows.varies ? fill_varying : fill_fixed)(publication, &rows, draft, why);
    rows_close(&rows);
    return err;
}

/* ---- JSON lines ---- */

static enum err put_data(struct sink *sink, struct rows *rows, const struct rows_place *place,
                         struct why *why)
{
    size_t element = dtype_bytes(place->spec.dtype);
    enum err err = ERR_OK;
    for (uint64_t done = 0; done < place->bytes && err == ERR_OK;) {
        const uint8_t *bytes;
        size_t part = place->bytes - done < ROWS_READ_MAX ? (size_t)(place->bytes - done) : ROWS_READ_MAX;
        err = rows_read(rows, place->offset + done, part, &bytes, why);
        if (err == ERR_OK)
            sink_elements(sink, place->spec.dtype, bytes, part / element, done > 0);
        done += part;
    }
    return err;
}

static enum err put_output(struct sink *sink, struct rows *rows, uint64_t sample, struct why *why)
{
    struct rows_place place;
    enum err err = rows_find(rows, sample, &place, why);
    if (err != ERR_OK)
        return err;
    sink_text(sink, "{\"name\":");
    sink_string(sink, place.spec.name);
    sink_text(sink, ",\"shape\":[1");
    for (uint32_t i = 0; i < place.spec.dims_count; i++) {
        sink_text(sink, ",");
        sink_count(sink, (uint64_t)place.spec.dims[i]);
    }
    sink_text(sink, "],\"datatype\":");
    sink_string(sink, dtype_oip(place.spec.dtype));
    sink_text(sink, ",\"data\":[");
    err = put_data(sink, rows, &place, why);
    sink_text(sink, "]}");
    return err;
}

static enum err put_line(const struct publication *publication, struct sink *sink, struct names *names,
                         struct rows *rows, uint64_t sample, struct why *why)
{
    const char *name;
    enum err err = names_read(names, sample, &name, why);
    if (err != ERR_OK)
        return err;
    bool named = strcmp(name, "null") != 0;
    sink_text(sink, named ? "{\"id\":" : "{\"id\":\"");
    if (named)
        sink_text(sink, name);
    else
        sink_count(sink, sample);
    sink_text(sink, named ? ",\"outputs\":[" : "\",\"outputs\":[");
    for (uint32_t k = 0; k < publication->shape.outputs_count && err == ERR_OK; k++) {
        if (k > 0)
            sink_text(sink, ",");
        err = put_output(sink, &rows[k], sample, why);
    }
    sink_text(sink, "]}\n");
    return err;
}

static enum err put_lines(const struct publication *publication, struct sink *sink, struct names *names,
                          struct rows *rows, struct why *why)
{
    size_t at = 0;
    enum err err = ERR_OK;
    for (uint64_t sample = 0; sample < publication->shape.samples && err == ERR_OK && sink->err == ERR_OK;
         sample++) {
        if (is_stopped(publication->command))
            return stopped(publication->command, why);
        if (!has_failed(publication->command, &at, sample))
            err = put_line(publication, sink, names, rows, sample, why);
    }
    return err;
}

static enum err fill_jsonl(const struct publication *publication, const struct draft *draft, struct why *why)
{
    struct names names;
    struct sink sink;
    uint32_t opened = 0, count = publication->shape.outputs_count;
    struct rows *rows = calloc(count ? count : 1, sizeof *rows);
    if (!rows)
        return why_set(why, ERR_MEMORY, "no memory to write %s", draft->path);
    enum err err = names_open(&names, publication->names_path, why);
    while (err == ERR_OK && opened < count) {
        err = rows_open(&rows[opened], publication->state_dir, &publication->shape, opened, why);
        opened += err == ERR_OK;
    }
    sink_begin(&sink, draft->fd, draft->path);
    if (err == ERR_OK)
        err = put_lines(publication, &sink, &names, rows, why);
    enum err end = sink_end(&sink, err == ERR_OK ? why : NULL);
    while (opened > 0)
        rows_close(&rows[--opened]);
    names_close(&names);
    free(rows);
    return err == ERR_OK ? end : err;
}

/* ---- the files beside it ---- */

static enum err put_index(const struct publication *publication, struct sink *sink, struct names *names,
                          struct why *why)
{
    enum err err = ERR_OK;
    for (uint64_t sample = 0; sample < publication->shape.samples && err == ERR_OK && sink->err == ERR_OK;
         sample++) {
        const char *name;
        err = names_read(names, sample, &name, why);
        if (err != ERR_OK)
            break;
        sink_text(sink, "{\"index\":");
        sink_count(sink, sample);
        sink_text(sink, ",\"id\":");
        sink_text(sink, name);
        sink_text(sink, "}\n");
    }
    return err;
}

static enum err put_error(struct sink *sink, struct names *names, uint64_t sample,
                          const struct clerk_failure *failure, struct why *why)
{
    const char *name;
    enum err err = names_read(names, sample, &name, why);
    if (err != ERR_OK)
        return err;
    sink_text(sink, "{\"index\":");
    sink_count(sink, sample);
    sink_text(sink, ",\"id\":");
    sink_text(sink, name);
    sink_text(sink, ",\"reason\":");
    sink_string(sink, failure->reason);
    sink_text(sink, ",\"worker\":");
    if (*failure->worker)
        sink_string(sink, failure->worker);
    else
        sink_text(sink, "null");
    sink_text(sink, "}\n");
    return ERR_OK;
}

static enum err put_errors(const struct publication *publication, struct sink *sink, struct names *names,
                           struct why *why)
{
    const struct clerk_command *command = publication->command;
    uint64_t next = 0;
    enum err err = ERR_OK;
    for (size_t i = 0; i < command->failures_count && err == ERR_OK; i++) {
        const struct clerk_failure *failure = &command->failures[i];
        uint64_t sample = failure->first > next ? failure->first : next, end = failure_end(command, failure);
        for (; sample < end && err == ERR_OK && sink->err == ERR_OK; sample++)
            err = put_error(sink, names, sample, failure, why);
        next = sample > next ? sample : next;
    }
    return err;
}

typedef enum err put_function(const struct publication *, struct sink *, struct names *, struct why *);

static enum err fill_side(const struct publication *publication, const struct draft *draft, put_function *put,
                          struct why *why)
{
    struct names names;
    struct sink sink;
    enum err err = names_open(&names, publication->names_path, why);
    if (err != ERR_OK)
        return err;
    sink_begin(&sink, draft->fd, draft->path);
    err = put(publication, &sink, &names, why);
    enum err end = sink_end(&sink, err == ERR_OK ? why : NULL);
    names_close(&names);
    return err == ERR_OK ? end : err;
}

/* Begin and fill a file beside the answer, where it is wanted. */
static enum err draft_side(struct publication *publication, struct draft *draft, bool wanted,
                           put_function *put, struct why *why)
{
    if (!wanted)
        return ERR_OK;
    enum err err = begin_draft(publication, draft, why);
    return err == ERR_OK ? fill_side(publication, draft, put, why) : err;
}

/* Give a side file its name, or remove the stale one of an earlier run. */
static enum err settle_side(struct draft *draft, struct why *why)
{
    if (draft->fd >= 0)
        return file_publish(&draft->fd, draft->temporary, draft->path, why);
    if (unlink(draft->path) != 0 && errno != ENOENT)
        return why_set_errno(why, errno == EIO ? ERR_SYSTEM : ERR_FILE,
                             "%s: of an earlier run cannot be removed", draft->path);
    return ERR_OK;
}

/* ---- the answer ---- */

static enum err draft_folder(struct publication *publication, struct why *why)
{
    struct draft draft = { .fd = -1 };
    name_temporary(publication, publication->path, publication->folder, sizeof publication->folder);
    enum err err = file_remove_tree(publication->folder, why);
    if (err == ERR_OK && mkdir(publication->folder, 0777) != 0) {
        err = write_failed(publication->folder, why);
        publication->folder[0] = 0;
    }
    for (uint32_t k = 0; k < publication->shape.outputs_count && err == ERR_OK; k++) {
        char name[SPOOL_NAME_MAX];
        spool_output_name(&publication->shape, k, name);
        snprintf(draft.path, sizeof draft.path, "%s/%s.npy", publication->folder, name);
        err = file_begin(draft.path, draft.temporary, sizeof draft.temporary, &draft.fd, why);
        if (err == ERR_OK)
            err = fill_npy(publication, k, &draft, why);
        if (err == ERR_OK)
            err = file_publish(&draft.fd, draft.temporary, draft.path, why);
        file_discard(&draft.fd, draft.temporary);
    }
    return err;
}

static enum err draft_answer(struct publication *publication, struct why *why)
{
    struct draft *draft = &publication->answer;
    if (publication->command->output == CLERK_FOLDER)
        return draft_folder(publication, why);
    if (publication->command->output == CLERK_NPY && publication->shape.outputs_count != 1)
        return why_set(why, ERR_USAGE,
                       "%s: the job has %" PRIu32
                       " outputs and a .npy file holds one; give a folder (with a slash at "
                       "its end)",
                       publication->path, publication->shape.outputs_count);
    enum err err = begin_draft(publication, draft, why);
    if (err == ERR_OK)
        err = publication->command->output == CLERK_NPY ? fill_npy(publication, 0, draft, why)
                                                        : fill_jsonl(publication, draft, why);
    /* Synced here already, so that no disk trouble is left for the moment when the names are given. */
    if (err == ERR_OK && fsync(draft->fd) != 0)
        err = write_failed(draft->path, why);
    return err;
}

/* An older answer stands there: it goes only once the new one has its name. Where the file system cannot
 * exchange two names, there is a moment without an answer, but never a partial one. */
static enum err replace_folder(struct publication *publication, struct why *why)
{
    char old[FILE_PATH_MAX + 8];
    if (renameat2(AT_FDCWD, publication->folder, AT_FDCWD, publication->path, RENAME_EXCHANGE) == 0)
        return file_remove_tree(publication->folder, why);
    snprintf(old, sizeof old, "%s.old", publication->folder);
    if (rename(publication->path, old) != 0)
        return write_failed(publication->path, why);
    if (rename(publication->folder, publication->path) != 0) {
        enum err err = write_failed(publication->path, why);
        if (rename(old, publication->path) != 0)
            log_warn("OUTPUT-MOVED", "%s: the earlier answer is now %s", publication->path, old);
        return err;
    }
    return file_remove_tree(old, why);
}

static enum err settle_folder(struct publication *publication, struct why *why)
{
    char parent[ANSWER_PATH_MAX];
    if (rename(publication->folder, publication->path) != 0) {
        if (errno != ENOTEMPTY && errno != EEXIST)
            return write_failed(publication->path, why);
        enum err err = replace_folder(publication, why);
        if (err != ERR_OK)
            return err;
    }
    publication->folder[0] = 0;
    snprintf(parent, sizeof parent, "%s", publication->path);
    *(strrchr(parent, '/') == parent ? parent + 1 : strrchr(parent, '/')) = 0;
    return file_sync_dir(parent, why);
}

/* From here on it cannot be stopped. */
static enum err begin_naming(struct clerk_command *command, struct why *why)
{
    int expected = PUBLISH_GOES_ON;
    return atomic_compare_exchange_strong(&command->progress, &expected, PUBLISH_NAMING)
               ? ERR_OK
               : stopped(command, why);
}

static enum err settle(struct publication *publication, struct why *why)
{
    enum clerk_part part = publication->command->part;
    enum err err = part == CLERK_ONLY_ERRORS ? ERR_OK : settle_side(&publication->index, why);
    if (err == ERR_OK && part != CLERK_ONLY_INDEX)
        err = settle_side(&publication->errors, why);
    if (err != ERR_OK || part != CLERK_WHOLE)
        return err;
    if (publication->command->output == CLERK_FOLDER)
        return settle_folder(publication, why);
    return file_publish(&publication->answer.fd, publication->answer.temporary, publication->answer.path,
                        why);
}

static void discard(struct publication *publication)
{
    struct why why;
    file_discard(&publication->answer.fd, publication->answer.temporary);
    file_discard(&publication->index.fd, publication->index.temporary);
    file_discard(&publication->errors.fd, publication->errors.temporary);
    if (*publication->folder && file_remove_tree(publication->folder, &why) != ERR_OK)
        log_warn("OUTPUT-LEFT", "%s", why.text);
}

/* ---- where ---- */

static const char *suffix_of(enum clerk_output output)
{
    return output == CLERK_NPY ? ".npy" : output == CLERK_JSONL ? ".jsonl" : "";
}

size_t publish_stem(const char *path, enum clerk_output output)
{
    const char *suffix = suffix_of(output);
    size_t length = strlen(path), cut = strlen(suffix);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length > cut && strncmp(path + length - cut, suffix, cut) == 0 ? length - cut : length;
}

/* What a crash left in the middle of its writing. Nobody else writes there. */
static void sweep_drafts(const char *path)
{
    DIR *folder = opendir(path);
    struct why why;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char draft[FILE_PATH_MAX];
        if (!strstr(entry->d_name, ".tmp-"))
            continue;
        snprintf(draft, sizeof draft, "%s/%s", path, entry->d_name);
        if (file_remove_tree(draft, &why) != ERR_OK)
            log_warn("OUTPUT-LEFT", "%s", why.text);
    }
    if (folder)
        closedir(folder);
}

static enum err name_answer(struct publication *publication, struct why *why)
{
    const struct clerk_command *command = publication->command;
    char folder[SPOOL_PATH_MAX];
    if (*command->path) {
        enum err err = publish_check(command->path, command->output, why);
        snprintf(publication->path, sizeof publication->path, "%s", command->path);
        return err;
    }
    spool_job_path(publication->state_dir, command->job, folder);
    if (snprintf(publication->path, sizeof publication->path, "%s/published", folder) >=
        ANSWER_PATH_MAX - NAME_ROOM)
        return why_set(why, ERR_LIMIT, "%s: the path is too long", folder);
    enum err err = file_make_dirs(publication->path, 0700, why);
    sweep_drafts(publication->path);
    size_t length = strlen(publication->path);
    snprintf(publication->path + length, sizeof publication->path - length, "/output%s",
             suffix_of(command->output));
    return err;
}

static void name_files(struct publication *publication)
{
    size_t length = strlen(publication->path);
    while (length > 1 && publication->path[length - 1] == '/')
        publication->path[--length] = 0;
    size_t stem = publish_stem(publication->path, publication->command->output);
    snprintf(publication->answer.path, FILE_PATH_MAX, "%s", publication->path);
    snprintf(publication->index.path, FILE_PATH_MAX, "%.*s.index.jsonl", (int)stem, publication->path);
    snprintf(publication->errors.path, FILE_PATH_MAX, "%.*s.errors.jsonl", (int)stem, publication->path);
}

static enum err begin(struct publication *publication, const char *state_dir, struct clerk_command *command,
                      struct why *why)
{
    static const uint8_t none[SHA256_BYTES];
    ENSURE(command->outputs_count <= STORE_OUTPUTS_MAX);
    publication->state_dir = state_dir;
    publication->command = command;
    publication->answer.fd = publication->index.fd = publication->errors.fd = -1;
    publication->shape.job = command->job;
    publication->shape.samples = command->samples;
    publication->shape.outputs_count = command->outputs_count;
    memcpy(publication->shape.outputs, command->outputs, sizeof publication->shape.outputs);
    if (memcmp(command->names, none, sizeof none) != 0)
        clerk_blob_path(state_dir, command->names, publication->names_path, sizeof publication->names_path);
    if (command->failures_count > 1)
        qsort(command->failures, command->failures_count, sizeof command->failures[0], compare_failures);
    enum err err = name_answer(publication, why);
    name_files(publication);
    return err;
}

static enum err draft_all(struct publication *publication, struct why *why)
{
    const struct clerk_command *command = publication->command;
    bool index = *publication->names_path && command->part != CLERK_ONLY_ERRORS;
    bool errors = command->failures_count > 0 && command->part != CLERK_ONLY_INDEX;
    enum err err = draft_side(publication, &publication->index, index, put_index, why);
    if (err == ERR_OK)
        err = draft_side(publication, &publication->errors, errors, put_errors, why);
    return err == ERR_OK && command->part == CLERK_WHOLE ? draft_answer(publication, why) : err;
}

enum err publish(const char *state_dir, struct clerk_command *command, struct why *why)
{
    if (command->output == CLERK_NONE)
        return ERR_OK;
    struct publication *publication = calloc(1, sizeof *publication);
    if (!publication)
        return why_set(why, ERR_MEMORY, "no memory to publish job %" PRIu64, command->job);
    enum err err = begin(publication, state_dir, command, why);
    if (err == ERR_OK)
        err = draft_all(publication, why);
    if (err == ERR_OK)
        err = begin_naming(command, why);
    if (err == ERR_OK)
        err = settle(publication, why);
    discard(publication);
    free(publication);
    return err;
}

/* ---- checking ahead ---- */

/* A folder is replaced whole: it must hold nothing that is not an answer of ours. */
static enum err check_folder(const char *path, struct why *why)
{
    DIR *folder = opendir(path);
    if (!folder)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (length < 4 || strcmp(entry->d_name + length - 4, ".npy") != 0 ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode))
            err = why_set(why, ERR_FILE,
                          "%s: holds '%s', which is no earlier answer; give the name of a new folder", path,
                          entry->d_name);
    }
    closedir(folder);
    return err;
}

static enum err check_parent(const char *path, struct why *why)
{
    char parent[ANSWER_PATH_MAX];
    struct stat status;
    snprintf(parent, sizeof parent, "%s", path);
    size_t length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/')
        parent[--length] = 0;
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = 0;
    if (stat(parent, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: the output's folder cannot be found; make it first", parent);
    if (!S_ISDIR(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is not a folder; give the output another name", parent);
    if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) != 0)
        return why_set_errno(why, ERR_FILE, "%s: the output's folder cannot be written", parent);
    return ERR_OK;
}

enum err publish_check(const char *path, enum clerk_output output, struct why *why)
{
    struct stat status;
    if (output == CLERK_NONE || !*path)
        return ERR_OK;
    if (*path != '/')
        return why_set(why, ERR_USAGE, "%s: the output's path must be absolute here", path);
    if (strlen(path) >= ANSWER_PATH_MAX - NAME_ROOM)
        return why_set(why, ERR_LIMIT, "%.100s...: the output's path is too long", path);
    enum err err = check_parent(path, why);
    if (err != ERR_OK)
        return err;
    if (stat(path, &status) != 0)
        return errno == ENOENT ? ERR_OK : why_set_errno(why, ERR_FILE, "%s: cannot be looked at", path);
    if (output == CLERK_FOLDER && lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is a link, which a folder cannot replace; name the folder itself",
                       path);
    if (output == CLERK_FOLDER)
        return S_ISDIR(status.st_mode)
                   ? check_folder(path, why)
                   : why_set(why, ERR_FILE, "%s: is there and is not a folder; give another name", path);
    if (!S_ISREG(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is there and is not a plain file; give another name", path);
    return ERR_OK;
}
