// SPDX-License-Identifier: Apache-2.0
#include "stash.h"

#include "ensure.h"
#include "file.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

static const uint64_t FILE_BYTES = 4 << 20;
/* Of messages: what is read back must be fit to be sent. */
static const uint64_t FIRST_MAX = 1000000000000000, TIME_MAX = 1ull << 50;

enum {
    NAME_DIGITS = 16,
    COPY_MAX = 4096,        /* smaller outputs are copied: one long write is cheaper than many short ones */
    REUSE_BYTES = 64 << 10, /* a file of which nothing is needed is emptied once it is this long */
    OUTPUT_MAX = 64 << 20,  /* PAYLOAD_BYTES_MAX */
    DIMS_MAX_LOG2 = 40,
    COUNT_MAX = 1 << 20,
    PIECES_MAX = 1024, /* IOV_MAX of Linux */
};
static const char MAGIC[8] = "MOTLEYW2";

struct start {
    char magic[sizeof MAGIC];
    uint8_t uuid[STASH_UUID_BYTES];
};

/* Before each record. check covers all of the record behind it. */
struct head {
    uint32_t magic, check;
    uint64_t bytes;  /* of the record */
    uint64_t needed; /* place of the oldest one in the file that was needed when this one was written */
    uint64_t job, first, term, attempt;
    uint32_t count, slot;
    uint8_t mac[16];
    uint64_t wait_us, run_us;
    double energy_joules;
    uint32_t outputs_count;
    uint16_t overrun, has_shapes;
};

struct row {
    uint32_t dtype, dims_count;
    int64_t dims[TENSOR_DIMS_MAX];
};

_Static_assert(sizeof(struct head) == 112 && sizeof(struct row) == 72 && sizeof(struct start) == 24,
               "no padding: it would be written");
static const uint32_t HEAD_MAGIC = 0x4b415453;
enum {
    CHECKED_FROM = 8,
    RECORD_START_MAX = sizeof(struct head) + STASH_OUTPUTS_MAX * (8 + sizeof(struct row))
};

struct stash_map {
    atomic_uint refs;
    void *at;
    size_t size;
};

struct stash_file {
    uint64_t number, bytes;
    int fd; /* of the one that is written to; else -1 */
    struct stash_entry *oldest, *newest;
    struct stash_file *next; /* newer */
};

/* What is to be written next: borrowed bytes, or staged ones. */
struct piece {
    const void *bytes; /* NULL: staged */
    size_t from, size;
};

struct stash {
    char folder[PATH_MAX];
    uint8_t uuid[STASH_UUID_BYTES];
    uint64_t bytes_max, file_bytes;
    uint64_t bytes, next_number;
    uint32_t files_count;
    struct stash_file *files; /* oldest first */
    struct stash_file *current;
    uint8_t *staged;
    size_t staged_size, staged_capacity;
    struct piece pieces[PIECES_MAX];
    uint32_t pieces_count;
    uint64_t gathered_from, gathered_bytes; /* where in the current file, and how much */
    bool broken;                            /* the disk failed: no more attempts */
    bool told_full;                         /* the log says so already */
};

/* ---- maps ---- */

struct stash_map *stash_map_ref(struct stash_map *map)
{
    atomic_fetch_add(&map->refs, 1);
    return map;
}

void stash_map_unref(struct stash_map *map)
{
    if (map == NULL || atomic_fetch_sub(&map->refs, 1) > 1)
        return;
    munmap(map->at, map->size);
    free(map);
}

static struct stash_map *map_file(const char *path)
{
    struct stat status;
    struct stash_map *map = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        map = malloc(sizeof *map);
    if (map != NULL) {
        atomic_init(&map->refs, 1);
        map->size = (size_t)status.st_size;
        map->at = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (map != NULL && map->at == MAP_FAILED) {
        free(map);
        map = NULL;
    }
    close(fd);
    return map;
}

/* ---- files ---- */

static void path_of(const struct stash *stash, uint64_t number, char path[PATH_MAX + 32])
{
    snprintf(path, PATH_MAX + 32, "%s/%016llx.log", stash->folder, (unsigned long long)number);
}

static struct stash_file *new_file(struct stash *stash, uint64_t number)
{
    struct stash_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NULL;
    file->number = number;
    file->fd = -1;
    struct stash_file **place = &stash->files;
    while (*place != NULL && (*place)->number < number)
        place = &(*place)->next;
    file->next = *place;
    *place = file;
    stash->files_count++;
    if (number >= stash->next_number)
        stash->next_number = number + 1;
    return file;
}

static void remove_file(struct stash *stash, struct stash_file *file)
{
    char path[PATH_MAX + 32];
    path_of(stash, file->number, path);
    if (unlink(path) != 0 && errno != ENOENT)
        log_warn("SPOOL-STUCK", "%s: cannot be removed: %s", path, strerror(errno));
    struct stash_file **place = &stash->files;
    while (*place != file)
        place = &(*place)->next;
    *place = file->next;
    if (stash->current == file)
        stash->current = NULL;
    stash->bytes -= file->bytes;
    stash->files_count--;
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

static bool number_of(const char *name, uint64_t *number)
{
    char *end;
    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".log") != 0 ||
        strspn(name, "0123456789abcdef") != NAME_DIGITS)
        return false;
    *number = strtoull(name, &end, 16);
    return *number < UINT64_MAX;
}

static enum err list_files(struct stash *stash, struct why *why)
{
    DIR *folder = opendir(stash->folder);
    struct dirent *entry;
    uint64_t number;
    enum err err = ERR_OK;
    if (folder == NULL)
        return why_set_errno(why, ERR_FILE, "%s: cannot be listed", stash->folder);
    while (err == ERR_OK && (entry = readdir(folder)) != NULL)
        if (number_of(entry->d_name, &number) && new_file(stash, number) == NULL)
            err = why_set(why, ERR_MEMORY, "out of memory for the spool");
    closedir(folder);
    return err;
}

enum err stash_open(const struct stash_config *config, struct stash **stash, struct why *why)
{
    struct stash *made = calloc(1, sizeof *made);
    *stash = made;
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for the spool");
    snprintf(made->folder, sizeof made->folder, "%s", config->folder);
    memcpy(made->uuid, config->uuid, sizeof made->uuid);
    made->bytes_max = config->bytes_max;
    made->file_bytes = config->file_bytes > 0 ? config->file_bytes : FILE_BYTES;
    enum err err = file_make_dirs(made->folder, 0700, why);
    if (err == ERR_OK)
        err = list_files(made, why);
    if (err != ERR_OK)
        stash_free(stash);
    return err;
}

uint64_t stash_bytes(const struct stash *stash) { return stash->bytes; }
uint32_t stash_files(const struct stash *stash) { return stash->files_count; }

/* ---- entries ---- */

static void link_entry(struct stash_entry *entry, struct stash_file *file, uint64_t at)
{
    *entry = (struct stash_entry){ .file = file, .at = at, .older = file->newest };
    if (file->newest != NULL)
        file->newest->newer = entry;
    else
        file->oldest = entry;
    file->newest = entry;
}

static void unlink_entry(struct stash_entry *entry)
{
    struct stash_file *file = entry->file;
    *(entry->older != NULL ? &entry->older->newer : &file->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &file->newest) = entry->older;
    *entry = (struct stash_entry){ 0 };
}

/* ---- reading: nothing in a file is believed ---- */

static uint32_t check_more(uint32_t check, const void *bytes, size_t size)
{
    return (uint32_t)crc32_z(check, bytes, size);
}

static bool sane(const struct head *head)
{
    return head->magic == HEAD_MAGIC && head->outputs_count <= STASH_OUTPUTS_MAX && head->has_shapes <= 1 &&
           head->count >= 1 && head->count <= COUNT_MAX && head->job >= 1 && head->job <= INT64_MAX &&
           head->first < FIRST_MAX && head->term <= INT64_MAX && head->attempt <= INT64_MAX &&
           head->wait_us <= TIME_MAX && head->run_us <= TIME_MAX && isfinite(head->energy_joules);
}

static bool read_row(const uint8_t *bytes, struct tensor_spec *spec)
{
    struct row row;
    memcpy(&row, bytes, sizeof row);
    memset(spec, 0, sizeof *spec);
    bool good = row.dtype > DTYPE_NONE && row.dtype < DTYPE_COUNT && row.dims_count <= TENSOR_DIMS_MAX;
    for (uint32_t i = 0; good && i < row.dims_count; i++) {
        good = row.dims[i] >= 0 && row.dims[i] <= (int64_t)1 << DIMS_MAX_LOG2;
        spec->dims[i] = row.dims[i];
    }
    spec->dtype = good ? (enum dtype)row.dtype : DTYPE_NONE;
    spec->dims_count = good ? row.dims_count : 0;
    return good;
}

static uint64_t start_bytes(const struct head *head)
{
    return sizeof *head + (uint64_t)head->outputs_count * (8 + (head->has_shapes ? sizeof(struct row) : 0));
}

/* The record at bytes, of which left follow: false if there is no whole one. Shapes go to specs. */
static bool read_record(const uint8_t *bytes, uint64_t left, struct head *head, struct stash_result *result,
                        struct tensor_spec specs[STASH_OUTPUTS_MAX])
{
    if (left < sizeof *head)
        return false;
    memcpy(head, bytes, sizeof *head);
    if (!sane(head) || head->bytes > left || head->bytes < start_bytes(head) ||
        check_more(0, bytes + CHECKED_FROM, head->bytes - CHECKED_FROM) != head->check)
        return false;
    *result = (struct stash_result){ .lease = { .slot = head->slot,
                                                .job = head->job,
                                                .first = head->first,
                                                .count = head->count,
                                                .term = head->term,
                                                .attempt = head->attempt },
                                     .wait_us = head->wait_us,
                                     .run_us = head->run_us,
                                     .energy_joules = head->energy_joules,
                                     .overrun = head->overrun != 0,
                                     .outputs_count = head->outputs_count,
                                     .shapes = head->has_shapes ? specs : NULL };
    memcpy(result->lease.mac, head->mac, sizeof result->lease.mac);
    const uint8_t *at = bytes + sizeof *head, *data = bytes + start_bytes(head);
    memcpy(result->sizes, at, head->outputs_count * 8);
    at += head->outputs_count * 8;
    uint64_t rest = head->bytes - start_bytes(head);
    for (uint32_t i = 0; i < head->outputs_count; i++) {
        if (result->sizes[i] > rest || result->sizes[i] > OUTPUT_MAX ||
            (head->has_shapes && !read_row(at + i * sizeof(struct row), &specs[i])))
            return false;
        result->outputs[i] = data;
        data += result->sizes[i];
        rest -= result->sizes[i];
    }
    return rest == 0;
}

/* Where the records end that can be read, and from where on they were needed when the last was written. */
static uint64_t scan(const struct stash_map *map, uint64_t *needed)
{
    uint64_t at = sizeof(struct start);
    struct head head;
    struct stash_result result;
    struct tensor_spec specs[STASH_OUTPUTS_MAX];
    *needed = at;
    while (read_record((const uint8_t *)map->at + at, map->size - at, &head, &result, specs)) {
        *needed = head.needed;
        at += head.bytes;
    }
    return at;
}

static void visit_records(struct stash_file *file, struct stash_map *map, stash_visit *visit, void *context)
{
    uint64_t needed, end = scan(map, &needed);
    struct head head;
    struct stash_result result;
    struct tensor_spec specs[STASH_OUTPUTS_MAX];
    for (uint64_t at = sizeof(struct start); at < end; at += head.bytes) {
        bool good = read_record((const uint8_t *)map->at + at, map->size - at, &head, &result, specs);
        ENSURE(good); /* as a moment ago: the map is ours alone */
        struct stash_entry *entry = at >= needed ? visit(context, &result, map) : NULL;
        if (entry != NULL)
            link_entry(entry, file, at);
    }
    if (end < map->size)
        log_warn("SPOOL-TORN", "spool file %016llx: ignored from byte %llu of %zu on: not written whole",
                 (unsigned long long)file->number, (unsigned long long)end, map->size);
}

static void adopt_file(struct stash *stash, struct stash_file *file, stash_visit *visit, void *context)
{
    char path[PATH_MAX + 32];
    struct start start;
    path_of(stash, file->number, path);
    struct stash_map *map = map_file(path);
    if (map != NULL) {
        file->bytes = map->size;
        stash->bytes += file->bytes;
    }
    if (map != NULL && map->size >= sizeof start) {
        memcpy(&start, map->at, sizeof start);
        bool known = memcmp(start.magic, MAGIC, sizeof MAGIC) == 0;
        if (known && memcmp(start.uuid, stash->uuid, sizeof start.uuid) == 0)
            visit_records(file, map, visit, context);
        else
            log_warn("SPOOL-DROPPED", "%s: %s; it is removed", path,
                     known ? "of this worker when it had other devices" : "not a spool file of this version");
    }
    stash_map_unref(map);
    if (file->oldest == NULL)
        remove_file(stash, file);
}

void stash_adopt(struct stash *stash, stash_visit *visit, void *context)
{
    ENSURE(stash->current == NULL);
    for (struct stash_file *file = stash->files, *next; file != NULL; file = next) {
        next = file->next;
        adopt_file(stash, file, visit, context);
    }
}

/* ---- writing ---- */

static void complain_full(struct stash *stash, const char *what)
{
    if (!stash->told_full)
        log_warn("SPOOL-FULL",
                 "%s: %s; results are kept in memory alone and would be computed again if this "
                 "process died before they are acknowledged",
                 stash->folder, what);
    stash->told_full = true;
}

static void give_up(struct stash *stash, int error)
{
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        complain_full(stash, strerror(error));
        return;
    }
    log_error("SPOOL-FAILED", "%s: %s; the spool is off until this process ends", stash->folder,
              strerror(error));
    stash->broken = true;
}

static bool begin_file(struct stash *stash)
{
    char path[PATH_MAX + 32];
    struct start start;
    struct stash_file *file = new_file(stash, stash->next_number);
    if (file == NULL)
        return false;
    path_of(stash, file->number, path);
    memcpy(start.magic, MAGIC, sizeof MAGIC);
    memcpy(start.uuid, stash->uuid, sizeof start.uuid);
    file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t wrote = file->fd >= 0 ? pwrite(file->fd, &start, sizeof start, 0) : -1;
    if (wrote != (ssize_t)sizeof start) {
        give_up(stash, wrote < 0 ? errno : ENOSPC);
        remove_file(stash, file);
        return false;
    }
    file->bytes = sizeof start;
    stash->bytes += file->bytes;
    stash->current = file;
    return true;
}

/* Nothing in it is needed: begin at its start again, so that its pages need never reach the disk. */
static void empty_file(struct stash *stash, struct stash_file *file)
{
    if (file->bytes == sizeof(struct start) || ftruncate(file->fd, sizeof(struct start)) != 0)
        return;
    stash->bytes -= file->bytes - sizeof(struct start);
    file->bytes = sizeof(struct start);
}

static void close_current(struct stash *stash)
{
    struct stash_file *file = stash->current;
    close(file->fd);
    file->fd = -1;
    stash->current = NULL;
    if (file->oldest == NULL)
        remove_file(stash, file);
}

void stash_free(struct stash **stash)
{
    struct stash *it = *stash;
    if (it == NULL)
        return;
    if (it->current != NULL)
        close_current(it);
    for (struct stash_file *file = it->files, *next; file != NULL; file = next) {
        next = file->next;
        if (file->fd >= 0)
            close(file->fd);
        free(file);
    }
    free(it->staged);
    free(it);
    *stash = NULL;
}

static bool passes_bound(const struct stash *stash, uint64_t bytes)
{
    return stash->bytes + stash->gathered_bytes + bytes + sizeof(struct start) > stash->bytes_max;
}

/* Before bytes more: the current file as it should be then, or none. */
static void tidy_current(struct stash *stash, uint64_t bytes)
{
    struct stash_file *file = stash->current;
    uint64_t used = file->bytes + stash->gathered_bytes;
    bool over = used > sizeof(struct start) && used + bytes > stash->file_bytes;
    if (over)
        stash_write(stash);
    if (over && file->oldest != NULL)
        close_current(stash);
    else if (file->oldest == NULL && (over || used > REUSE_BYTES || passes_bound(stash, bytes)))
        empty_file(stash, file);
}

/* A file that takes bytes more. */
static bool have_file(struct stash *stash, uint64_t bytes)
{
    if (stash->current != NULL)
        tidy_current(stash, bytes);
    if (passes_bound(stash, bytes)) {
        complain_full(stash, "it has as much as it may have");
        return false;
    }
    return stash->current != NULL || begin_file(stash);
}

static bool stage(struct stash *stash, const void *bytes, size_t size)
{
    if (stash->staged_size + size > stash->staged_capacity) {
        size_t capacity = 2 * (stash->staged_size + size) + 4096;
        uint8_t *grown = realloc(stash->staged, capacity);
        if (grown == NULL)
            return false;
        stash->staged = grown;
        stash->staged_capacity = capacity;
    }
    if (size > 0)
        memcpy(stash->staged + stash->staged_size, bytes, size);
    struct piece *last = stash->pieces_count > 0 ? &stash->pieces[stash->pieces_count - 1] : NULL;
    if (last != NULL && last->bytes == NULL)
        last->size += size;
    else
        stash->pieces[stash->pieces_count++] = (struct piece){ NULL, stash->staged_size, size };
    stash->staged_size += size;
    return true;
}

static size_t build_start(const struct stash_result *result, uint64_t needed, uint64_t bytes,
                          uint8_t start[RECORD_START_MAX])
{
    const struct agent_lease *lease = &result->lease;
    struct head head = { .magic = HEAD_MAGIC,
                         .bytes = bytes,
                         .needed = needed,
                         .job = lease->job,
                         .first = lease->first,
                         .term = lease->term,
                         .attempt = lease->attempt,
                         .count = lease->count,
                         .slot = lease->slot,
                         .wait_us = result->wait_us,
                         .run_us = result->run_us,
                         .energy_joules = result->energy_joules,
                         .outputs_count = result->outputs_count,
                         .overrun = result->overrun,
                         .has_shapes = result->shapes != NULL };
    memcpy(head.mac, lease->mac, sizeof head.mac);
    memcpy(start, &head, sizeof head);
    size_t size = sizeof head;
    memcpy(start + size, result->sizes, result->outputs_count * 8);
    size += result->outputs_count * 8;
    for (uint32_t i = 0; result->shapes != NULL && i < result->outputs_count; i++) {
        struct row row = { .dtype = (uint32_t)result->shapes[i].dtype,
                           .dims_count = result->shapes[i].dims_count };
        memcpy(row.dims, result->shapes[i].dims, row.dims_count * sizeof row.dims[0]);
        memcpy(start + size, &row, sizeof row);
        size += sizeof row;
    }
    uint32_t check = check_more(0, start + CHECKED_FROM, size - CHECKED_FROM);
    for (uint32_t i = 0; i < result->outputs_count; i++)
        check = check_more(check, result->outputs[i], result->sizes[i]);
    memcpy(start + offsetof(struct head, check), &check, sizeof check);
    return size;
}

static bool gather(struct stash *stash, const struct stash_result *result, const uint8_t *start, size_t size)
{
    bool good = stage(stash, start, size);
    for (uint32_t i = 0; good && i < result->outputs_count; i++) {
        if (result->sizes[i] <= COPY_MAX)
            good = stage(stash, result->outputs[i], result->sizes[i]);
        else
            stash->pieces[stash->pieces_count++] = (struct piece){ result->outputs[i], 0, result->sizes[i] };
    }
    return good;
}

static uint64_t record_bytes(const struct stash_result *result)
{
    uint64_t bytes =
        sizeof(struct head) + result->outputs_count * (8 + (result->shapes != NULL ? sizeof(struct row) : 0));
    for (uint32_t i = 0; i < result->outputs_count; i++)
        bytes += result->sizes[i];
    return bytes;
}

void stash_add(struct stash *stash, const struct stash_result *result, struct stash_entry *entry)
{
    uint8_t start[RECORD_START_MAX];
    uint64_t bytes = record_bytes(result);
    ENSURE(entry->file == NULL && result->outputs_count <= STASH_OUTPUTS_MAX);
    if (stash->pieces_count + 2 + 2 * result->outputs_count > PIECES_MAX)
        stash_write(stash);
    if (stash->broken || !have_file(stash, bytes))
        return;
    struct stash_file *file = stash->current;
    uint64_t at = file->bytes + stash->gathered_bytes;
    size_t size = build_start(result, file->oldest != NULL ? file->oldest->at : at, bytes, start);
    size_t staged = stash->staged_size;
    uint32_t pieces = stash->pieces_count;
    size_t last = pieces > 0 ? stash->pieces[pieces - 1].size : 0;
    if (!gather(stash, result, start, size)) {
        stash->staged_size = staged;
        stash->pieces_count = pieces;
        if (pieces > 0)
            stash->pieces[pieces - 1].size = last;
        complain_full(stash, "out of memory");
        return;
    }
    stash->gathered_bytes += bytes;
    link_entry(entry, file, at);
}

/* Which of the parts from first on are still to be written, after so many bytes of them were. */
static uint32_t skip_written(struct iovec *parts, uint32_t first, uint32_t count, size_t wrote)
{
    while (first < count && wrote >= parts[first].iov_len)
        wrote -= parts[first++].iov_len;
    if (first < count) {
        parts[first].iov_base = (char *)parts[first].iov_base + wrote;
        parts[first].iov_len -= wrote;
    }
    return first;
}

/* All of the pieces at offset. The error number, 0 = none. */
static int write_pieces(const struct stash *stash, int fd, uint64_t offset)
{
    struct iovec parts[PIECES_MAX];
    uint32_t first = 0, count = stash->pieces_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct piece *piece = &stash->pieces[i];
        const void *bytes = piece->bytes != NULL ? piece->bytes : stash->staged + piece->from;
        parts[i] = (struct iovec){ (void *)(uintptr_t)bytes, piece->size };
    }
    while (first < count) {
        ssize_t wrote = pwritev(fd, &parts[first], (int)(count - first), (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? errno : ENOSPC;
        offset += (uint64_t)wrote;
        first = skip_written(parts, first, count, (size_t)wrote);
    }
    return 0;
}

void stash_write(struct stash *stash)
{
    struct stash_file *file = stash->current;
    if (stash->gathered_bytes == 0) {
        if (file != NULL && file->oldest == NULL)
            empty_file(stash, file); /* so that a worker that dies while it is idle offers nothing in vain */
        return;
    }
    int error = write_pieces(stash, file->fd, file->bytes);
    if (error == 0) {
        file->bytes += stash->gathered_bytes;
        stash->bytes += stash->gathered_bytes;
        stash->told_full = stash->told_full && stash->bytes > stash->bytes_max / 2;
    } else {
        while (file->newest != NULL && file->newest->at >= file->bytes)
            unlink_entry(file->newest);
        give_up(stash, error);
    }
    stash->gathered_bytes = 0;
    stash->staged_size = 0;
    stash->pieces_count = 0;
}

void stash_drop(struct stash *stash, struct stash_entry *entry)
{
    struct stash_file *file = entry->file;
    if (file == NULL)
        return;
    if (file == stash->current && entry->at >= file->bytes) {
        stash_write(stash); /* its outputs are about to go */
        if (entry->file == NULL)
            return;
    }
    unlink_entry(entry);
    if (file->oldest == NULL && file != stash->current)
        remove_file(stash, file);
}
