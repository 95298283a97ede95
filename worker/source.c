// SPDX-License-Identifier: Apache-2.0
#include "source.h"

#include "bounds.h"
#include "ensure.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GUARDS_MAX = 1024 };

struct source {
    struct source_place place; /* path is owned */
    int fd;
    const uint8_t *map; /* the whole file; NULL if it has no bytes that are needed */
    uint64_t map_bytes;
    struct guard *guard; /* NULL without a map */
};

/* ---- the guard ---- */

/* What the handler of SIGBUS may look at. A slot is free while start is 0. */
struct guard {
    atomic_uintptr_t start, end;
    atomic_bool broken;
};

static struct guard guards[GUARDS_MAX];
static uintptr_t page_bytes;

/* Put zeros where the file has ended and go on: the batch is lost, the worker is not. mmap is not on POSIX's
 * list of what a handler may call, but on Linux it is a bare system call. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    int saved = errno;
    for (int i = 0; i < GUARDS_MAX; i++) {
        if (address < atomic_load(&guards[i].start) || address >= atomic_load(&guards[i].end))
            continue;
        atomic_store(&guards[i].broken, true);
        void *page = (void *)(address & ~(page_bytes - 1));
        if (mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            break;
        errno = saved;
        return;
    }
    signal(number, SIG_DFL); /* not ours: the same fault comes again and ends the process as it should */
}

void source_guard(void)
{
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    int failed = sigaction(SIGBUS, &action, NULL);
    ENSURE(failed == 0);
}

void source_guard_thread(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static struct guard *guard_take(const void *map, uint64_t bytes)
{
    for (int i = 0; i < GUARDS_MAX; i++) {
        if (atomic_load(&guards[i].start) != 0)
            continue;
        atomic_store(&guards[i].broken, false);
        atomic_store(&guards[i].end, (uintptr_t)map + bytes);
        atomic_store(&guards[i].start, (uintptr_t)map);
        return &guards[i];
    }
    return NULL;
}

static void guard_give(struct guard *guard)
{
    atomic_store(&guard->end, 0);
    atomic_store(&guard->start, 0);
}

/* ---- mapped rows ---- */

static int64_t mtime_ns(const struct stat *stat)
{
    return (int64_t)stat->st_mtim.tv_sec * 1000000000 + stat->st_mtim.tv_nsec;
}

static enum err check_file(const struct source *source, struct why *why)
{
    struct stat now;
    const struct source_place *place = &source->place;
    if (fstat(source->fd, &now) != 0)
        return why_set_errno(why, ERR_FILE, "%s", place->path);
    if (!S_ISREG(now.st_mode))
        return why_set(why, ERR_FILE, "%s: is not a regular file", place->path);
    if ((uint64_t)now.st_size != place->file_bytes ||
        (place->mtime_ns != 0 && mtime_ns(&now) != place->mtime_ns))
        return why_set(why, ERR_FORMAT, "%s: changed since the job was submitted; submit it again",
                       place->path);
    return ERR_OK;
}

static enum err check_extent(const struct source_place *place, struct why *why)
{
    bool fits =
        place->offset <= place->file_bytes &&
        (place->row_bytes == 0 || place->rows <= (place->file_bytes - place->offset) / place->row_bytes);
    return fits ? ERR_OK
                : why_set(why, ERR_FORMAT, "%s: truncated: the job's rows end behind the file's end",
                          place->path);
}

static enum err map_file(struct source *source, struct why *why)
{
    if (source->place.rows == 0 || source->place.row_bytes == 0)
        return ERR_OK;
    void *map = mmap(NULL, source->place.file_bytes, PROT_READ, MAP_SHARED, source->fd, 0);
    if (map == MAP_FAILED)
        return why_set_errno(why, ERR_FILE, "%s: cannot be mapped", source->place.path);
    source->map = map;
    source->map_bytes = source->place.file_bytes;
    source->guard = guard_take(map, source->map_bytes);
    return source->guard != NULL
               ? ERR_OK
               : why_set(why, ERR_FILE, "%s: too many files are mapped", source->place.path);
}

enum err source_open(const struct source_place *place, struct source **source, struct why *why)
{
    *source = NULL;
    struct source *made = calloc(1, sizeof *made);
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for an input");
    made->place = *place;
    made->place.path = strdup(place->path);
    made->fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum err err = ERR_OK;
    if (made->place.path == NULL)
        err = why_set(why, ERR_MEMORY, "out of memory for an input");
    else if (made->fd < 0)
        err = why_set_errno(why, ERR_FILE, "%s", place->path);
    if (err == ERR_OK)
        err = check_file(made, why);
    if (err == ERR_OK)
        err = check_extent(&made->place, why);
    if (err == ERR_OK)
        err = map_file(made, why);
    if (err != ERR_OK)
        source_free(&made);
    *source = made;
    return err;
}

void source_free(struct source **source)
{
    struct source *it = *source;
    if (it == NULL)
        return;
    if (it->guard != NULL)
        guard_give(it->guard);
    if (it->map != NULL)
        munmap((void *)(uintptr_t)it->map, it->map_bytes);
    if (it->fd >= 0)
        close(it->fd);
    free((char *)(uintptr_t)it->place.path);
    free(it);
    *source = NULL;
}

const void *source_rows(const struct source *source, uint64_t first, uint32_t count)
{
    const struct source_place *place = &source->place;
    ENSURE(first <= place->rows && count <= place->rows - first);
    if (source->map == NULL)
        return "";
    const uint8_t *rows = source->map + place->offset + first * place->row_bytes;
    uintptr_t start = (uintptr_t)rows & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    (void)madvise((void *)start, (uintptr_t)rows - start + count * place->row_bytes, MADV_WILLNEED);
    return rows;
}

enum err source_check(const struct source *source, struct why *why)
{
    if (source->guard != NULL && atomic_load(&source->guard->broken))
        return why_set(why, ERR_FORMAT, "%s: was cut short while it was read; submit the job again",
                       source->place.path);
    return check_file(source, why);
}

/* ---- fetched rows
 * -------------------------------------------------------------------------------------------------------- */

enum err gather_begin(struct gather *gather, uint64_t first, uint32_t count, uint64_t row_bytes,
                      uint64_t max_bytes, struct why *why)
{
    *gather = (struct gather){ 0 };
    if (row_bytes > 0 && (count > max_bytes / row_bytes || first > INT64_MAX / row_bytes))
        return why_set(why, ERR_LIMIT, "the rows of %u samples take more than %llu bytes", count,
                       (unsigned long long)max_bytes);
    gather->size = count * row_bytes;
    gather->offset = first * row_bytes;
    gather->bytes = malloc(gather->size > 0 ? gather->size : 1);
    return gather->bytes != NULL ? ERR_OK
                                 : why_set(why, ERR_MEMORY, "no memory for the rows of %u samples", count);
}

void gather_free(struct gather *gather)
{
    free(gather->bytes);
    *gather = (struct gather){ 0 };
}

bool gather_next(struct gather *gather, uint64_t *offset, uint32_t *length)
{
    uint64_t left = gather->size - gather->asked;
    if (left == 0)
        return false;
    *length = left < PIECE_BYTES_MAX ? (uint32_t)left : PIECE_BYTES_MAX;
    *offset = gather->offset + gather->asked;
    gather->asked += *length;
    return true;
}

enum err gather_put(struct gather *gather, uint64_t offset, const void *bytes, uint64_t size, struct why *why)
{
    bool inside = offset >= gather->offset && offset - gather->offset <= gather->size &&
                  size <= gather->size - (offset - gather->offset) && size <= gather->size - gather->got;
    if (!inside)
        return why_set(why, ERR_FORMAT, "a piece of the input lies outside of what was asked for");
    if (size > 0)
        memcpy(gather->bytes + (offset - gather->offset), bytes, size);
    gather->got += size;
    return ERR_OK;
}

bool gather_whole(const struct gather *gather)
{
    return gather->bytes != NULL && gather->got == gather->size;
}
