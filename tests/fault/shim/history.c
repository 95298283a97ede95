// SPDX-License-Identifier: Apache-2.0
/* What is not synced, as a list of operations with the bytes before and after. A sync of a file strikes out
 * its writes, a sync of a folder what happened to the names in it; nothing else does: a strict disk, on which
 * the sync of a new file does not keep its name. A power cut undoes all that is left, last first, which is
 * the disk as it was promised, and does again what chance lets survive: any of the writes, each whole or in
 * some of its sectors; any size that the file had; names in the order in which they were changed up to some
 * moment, as file systems with a log keep them, or any of them, as others do.
 *
 * Each file that is touched gets a second name, side/i<inode>: so its bytes can be reached after its name is
 * gone, its inode is not given to another, and a removed name can come back. The list lies in a mapped file:
 * it outlives its process, as the page cache does.
 *
 * A sync that failed dooms what it was to sync: Linux takes such pages for clean, so that a later sync says
 * nothing about them. Doomed bytes are always lost in a cut, but where later, synced writes lie over them. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, ROOM = (1 << 30) - 4096 };
enum op_kind { OP_WRITE, OP_SIZE, OP_MAKE, OP_MAKE_FOLDER, OP_REMOVE, OP_REMOVE_FOLDER, OP_RENAME, OP_LINK };

struct op {
    uint32_t bytes; /* of it all, a multiple of 8 */
    uint8_t kind, dead, doomed, keep;
    uint64_t inode;  /* the file that is written, or named */
    uint64_t folder; /* whose sync keeps the name */
    uint64_t other;  /* RENAME: the inode that stood there, 0 if none */
    uint64_t offset, old_size, new_size;
    uint32_t old_bytes, new_bytes, flags,
        unused; /* what follows: bytes before and after; or paths with their zeros */
};

static bool wanted;
static uint64_t last_begun; /* history_take_back: where the last operation starts, if it told of one */

static char *arena(void) { return (char *)(shim_head + 1); }

static struct op *first(void) { return shim_head->used ? (struct op *)(void *)arena() : NULL; }

static struct op *next(const struct op *op)
{
    char *at = (char *)(uintptr_t)op + op->bytes;
    return at < arena() + shim_head->used ? (struct op *)(void *)at : NULL;
}

static char *old_of(const struct op *op) { return (char *)(uintptr_t)(op + 1); }

static char *new_of(const struct op *op) { return old_of(op) + op->old_bytes; }

static bool is_content(const struct op *op) { return op->kind == OP_WRITE || op->kind == OP_SIZE; }

void history_load(bool is_wanted)
{
    wanted = is_wanted;
    if (!wanted)
        shim_head->used = 0;
}

/* The record is whole before it counts: a kill may come between any two lines. */
static struct op *begin(enum op_kind kind, size_t old_bytes, size_t new_bytes)
{
    size_t bytes = (sizeof(struct op) + old_bytes + new_bytes + 7) & ~(size_t)7;
    if (bytes > ROOM - shim_head->used) {
        shim_say("the history is full");
        _exit(99);
    }
    struct op *op = (struct op *)(void *)(arena() + shim_head->used);
    memset(op, 0, sizeof *op);
    op->bytes = (uint32_t)bytes;
    op->kind = (uint8_t)kind;
    op->old_bytes = (uint32_t)old_bytes;
    op->new_bytes = (uint32_t)new_bytes;
    return op;
}

static void end(const struct op *op)
{
    last_begun = shim_head->used;
    shim_head->used += op->bytes;
}

void history_take_back(void)
{
    if (wanted && last_begun < shim_head->used)
        shim_head->used = last_begun;
}

static void side_path(char kind, uint64_t inode, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%c%llu", shim_side, kind, (unsigned long long)inode);
}

/* The inode of a name, with its second name; 0: there is none. */
static uint64_t keep(const char *path)
{
    struct stat status;
    char side[PATH_MAX];
    if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    side_path('i', status.st_ino, side);
    if (!S_ISDIR(status.st_mode))
        syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, side, 0);
    return status.st_ino;
}

static uint64_t keep_open(int fd, struct stat *status)
{
    char name[64], side[PATH_MAX];
    if (fstat(fd, status) != 0)
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    side_path('i', status->st_ino, side);
    syscall(SYS_linkat, AT_FDCWD, name, AT_FDCWD, side, AT_SYMLINK_FOLLOW);
    return status->st_ino;
}

static uint64_t folder_of(const char *path)
{
    char folder[PATH_MAX];
    struct stat status;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    *slash = 0;
    return fstatat(AT_FDCWD, folder, &status, 0) == 0 ? status.st_ino : 0;
}

/* ---- what changes bytes ---- */

static int open_side(uint64_t inode)
{
    char side[PATH_MAX];
    side_path('i', inode, side);
    return (int)syscall(SYS_openat, AT_FDCWD, side, O_RDWR | O_CLOEXEC);
}

static void read_old(uint64_t inode, struct op *op)
{
    int fd = open_side(inode);
    for (size_t done = 0; done < op->old_bytes;) {
        long got = syscall(SYS_pread64, fd, old_of(op) + done, op->old_bytes - done, op->offset + done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    syscall(SYS_close, fd);
}

void history_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    last_begun = UINT64_MAX;
    struct stat status;
    uint64_t inode = wanted && size ? keep_open(fd, &status) : 0;
    if (!inode || !S_ISREG(status.st_mode))
        return;
    uint64_t old_size = (uint64_t)status.st_size, there = offset < old_size ? old_size - offset : 0;
    struct op *op = begin(OP_WRITE, there < size ? there : size, size);
    op->inode = inode;
    op->offset = offset;
    op->old_size = old_size;
    op->new_size = offset + size > old_size ? offset + size : old_size;
    read_old(inode, op);
    if (bytes)
        memcpy(new_of(op), bytes, size);
    else
        memset(new_of(op), 0, size);
    end(op);
}

void history_size(int fd, uint64_t size)
{
    last_begun = UINT64_MAX;
    struct stat status;
    uint64_t inode = wanted ? keep_open(fd, &status) : 0;
    if (!inode || !S_ISREG(status.st_mode) || (uint64_t)status.st_size == size)
        return;
    uint64_t old_size = (uint64_t)status.st_size;
    struct op *op = begin(OP_SIZE, old_size > size ? old_size - size : 0, 0);
    op->inode = inode;
    op->offset = size;
    op->old_size = old_size;
    op->new_size = size;
    read_old(inode, op);
    end(op);
}

/* ---- what changes names ---- */

static void note_name(enum op_kind kind, const char *from, const char *to, uint64_t inode, uint64_t other,
                      unsigned flags)
{
    struct op *op = begin(kind, strlen(from) + 1, strlen(to) + 1);
    op->inode = inode;
    op->other = other;
    op->folder = folder_of(*to ? to : from);
    op->flags = flags;
    memcpy(old_of(op), from, op->old_bytes);
    memcpy(new_of(op), to, op->new_bytes);
    end(op);
}

/* After the file was made, as it has no inode before. */
void history_make(const char *path, bool is_folder)
{
    if (wanted)
        note_name(is_folder ? OP_MAKE_FOLDER : OP_MAKE, path, "", keep(path), 0, 0);
}

void history_remove(const char *path, bool is_folder)
{
    last_begun = UINT64_MAX;
    uint64_t inode = wanted ? keep(path) : 0;
    if (inode)
        note_name(is_folder ? OP_REMOVE_FOLDER : OP_REMOVE, path, "", inode, 0, 0);
}

void history_rename(const char *from, const char *to, unsigned flags)
{
    last_begun = UINT64_MAX;
    uint64_t inode = wanted ? keep(from) : 0;
    if (inode)
        note_name(OP_RENAME, from, to, inode, keep(to), flags);
}

void history_link(const char *from, const char *to)
{
    last_begun = UINT64_MAX;
    uint64_t inode = wanted ? keep(from) : 0;
    if (inode)
        note_name(OP_LINK, from, to, inode, 0, 0);
}

/* ---- syncs ---- */

/* Close the gaps that struck-out operations leave. */
static void compact(void)
{
    char *to = arena();
    for (struct op *op = first(), *after; op; op = after) {
        uint32_t bytes = op->bytes;
        after = next(op);
        if (op->dead)
            continue;
        memmove(to, op, bytes);
        to += bytes;
    }
    shim_head->used = (uint64_t)(to - arena());
}

/* A synced write lies over a doomed one: there, what a cut leaves is what was synced. */
static void cover(struct op *doomed, const struct op *synced)
{
    uint64_t from = doomed->offset > synced->offset ? doomed->offset : synced->offset;
    uint64_t end_a = doomed->offset + doomed->new_bytes, end_b = synced->offset + synced->new_bytes;
    uint64_t to = end_a < end_b ? end_a : end_b;
    if (synced->kind != OP_WRITE || doomed->kind != OP_WRITE || from >= to)
        return;
    memcpy(new_of(doomed) + (from - doomed->offset), new_of(synced) + (from - synced->offset), to - from);
    uint64_t old_end = doomed->offset + doomed->old_bytes;
    if (from < old_end)
        memcpy(old_of(doomed) + (from - doomed->offset), new_of(synced) + (from - synced->offset),
               (to < old_end ? to : old_end) - from);
    if (from == doomed->offset && to == end_a)
        doomed->dead = 1;
    if (synced->new_size > doomed->old_size)
        doomed->old_size = synced->new_size;
}

void history_synced(int fd)
{
    struct stat status;
    if (!wanted || fstat(fd, &status) != 0)
        return;
    for (struct op *op = first(); op; op = next(op)) {
        if ((is_content(op) ? op->inode : op->folder) != status.st_ino || op->doomed)
            continue;
        op->dead = 1;
        for (struct op *before = first(); before != op; before = next(before))
            if (before->doomed && before->inode == op->inode && !before->dead)
                cover(before, op);
    }
    compact();
}

void history_sync_failed(int fd)
{
    struct stat status;
    if (!wanted || fstat(fd, &status) != 0)
        return;
    for (struct op *op = first(); op; op = next(op))
        if (is_content(op) && op->inode == status.st_ino)
            op->doomed = 1;
}

/* ---- the cut ---- */

static void link_back(uint64_t inode, const char *path)
{
    char side[PATH_MAX];
    side_path('i', inode, side);
    syscall(SYS_linkat, AT_FDCWD, side, AT_FDCWD, path, 0);
}

static void drop(const char *path) { syscall(SYS_unlinkat, AT_FDCWD, path, 0); }

static bool is_folder(const char *path)
{
    struct stat status;
    return fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static void move(const char *from, const char *to, unsigned flags)
{
    syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void undo_rename(const struct op *op)
{
    const char *from = old_of(op), *to = new_of(op);
    if (op->flags || is_folder(to)) {
        move(to, from, op->flags);
        if (op->other && !op->flags)
            syscall(SYS_mkdirat, AT_FDCWD, to, 0700);
        return;
    }
    drop(to);
    link_back(op->inode, from);
    if (op->other)
        link_back(op->other, to);
}

static void undo_name(const struct op *op)
{
    char side[PATH_MAX];
    side_path('d', op->inode, side);
    switch ((enum op_kind)op->kind) {
    case OP_MAKE: drop(old_of(op)); break;
    case OP_MAKE_FOLDER: move(old_of(op), side, 0); break;
    case OP_REMOVE: link_back(op->inode, old_of(op)); break;
    case OP_REMOVE_FOLDER: syscall(SYS_mkdirat, AT_FDCWD, old_of(op), 0700); break;
    case OP_RENAME: undo_rename(op); break;
    case OP_LINK: drop(new_of(op)); break;
    case OP_WRITE:
    case OP_SIZE: break;
    }
}

static void redo_name(const struct op *op)
{
    char side[PATH_MAX];
    side_path('d', op->inode, side);
    switch ((enum op_kind)op->kind) {
    case OP_MAKE: link_back(op->inode, old_of(op)); break;
    case OP_MAKE_FOLDER: move(side, old_of(op), 0); break;
    case OP_REMOVE: drop(old_of(op)); break;
    case OP_REMOVE_FOLDER: syscall(SYS_unlinkat, AT_FDCWD, old_of(op), AT_REMOVEDIR); break;
    case OP_RENAME: move(old_of(op), new_of(op), op->flags); break;
    case OP_LINK: link_back(op->inode, new_of(op)); break;
    case OP_WRITE:
    case OP_SIZE: break;
    }
}

static void put(uint64_t inode, const char *bytes, size_t size, uint64_t offset)
{
    int fd = open_side(inode);
    while (size > 0) {
        long done = syscall(SYS_pwrite64, fd, bytes, size, offset);
        if (done <= 0)
            break;
        bytes += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    syscall(SYS_close, fd);
}

static void set_size(uint64_t inode, uint64_t size)
{
    int fd = open_side(inode);
    syscall(SYS_ftruncate, fd, size);
    syscall(SYS_close, fd);
}

/* Some sectors of a write: those of the disk, not of the call. */
static void put_torn(const struct op *op)
{
    for (uint64_t at = 0; at < op->new_bytes;) {
        uint64_t part = SECTOR - (op->offset + at) % SECTOR;
        if (part > op->new_bytes - at)
            part = op->new_bytes - at;
        if (faults_random(2))
            put(op->inode, new_of(op) + at, part, op->offset + at);
        at += part;
    }
}

static void undo_all(size_t count)
{
    struct op **list = calloc(count + 1, sizeof *list);
    size_t n = 0;
    for (struct op *op = first(); op; op = next(op))
        list[n++] = op;
    while (n-- > 0) {
        if (!is_content(list[n])) {
            undo_name(list[n]);
            continue;
        }
        put(list[n]->inode, old_of(list[n]), list[n]->old_bytes, list[n]->offset);
        set_size(list[n]->inode, list[n]->old_size);
    }
    free(list);
}

/* Which kind of disk it was: chances in percent for each write, each of them torn, each name; and whether
 * names survive in order only. */
static const struct weather {
    unsigned data, torn, names;
    bool ordered, sizes_kept;
} weathers[] = {
    { 0, 0, 0, true, false },   /* nothing but what was promised */
    { 0, 0, 100, true, true },  /* all names and sizes, no bytes */
    { 100, 0, 0, true, false }, /* all bytes, no names */
    { 50, 30, 50, true, false },  { 80, 50, 90, true, false },
    { 50, 20, 50, false, false }, { 100, 100, 100, true, true }, /* everything, but torn */
};

struct losses {
    size_t writes, lost, torn, names, names_lost;
};

static void redo_content(const struct op *op, const struct weather *weather, struct losses *losses)
{
    losses->writes++;
    if (op->doomed || faults_random(100) >= weather->data) {
        losses->lost++;
        return;
    }
    if (op->kind == OP_SIZE) {
        set_size(op->inode, op->new_size);
    } else if (faults_random(100) < weather->torn) {
        losses->torn++;
        put_torn(op);
    } else {
        put(op->inode, new_of(op), op->new_bytes, op->offset);
    }
}

/* One of the sizes that the file had since it was synced. Called at its first operation. */
static void choose_size(const struct op *op, const struct weather *weather)
{
    size_t count = 0;
    uint64_t last = op->old_size;
    for (const struct op *at = op; at; at = next(at))
        if (is_content(at) && at->inode == op->inode && !at->doomed)
            count++, last = at->new_size;
    size_t chosen = (size_t)faults_random(count + 1);
    uint64_t size = op->old_size;
    for (const struct op *at = op; at && chosen > 0; at = next(at))
        if (is_content(at) && at->inode == op->inode && !at->doomed)
            chosen--, size = at->new_size;
    set_size(op->inode, weather->sizes_kept ? last : size);
}

static bool is_first_of_file(const struct op *op)
{
    for (const struct op *before = first(); before != op; before = next(before))
        if (is_content(before) && before->inode == op->inode)
            return false;
    return true;
}

static void redo_some(const struct weather *weather, struct losses *losses)
{
    bool ended = false;
    for (const struct op *op = first(); op; op = next(op)) {
        if (is_content(op)) {
            redo_content(op, weather, losses);
            continue;
        }
        losses->names++;
        bool lost = (weather->ordered && ended) || faults_random(100) >= weather->names;
        ended |= lost;
        losses->names_lost += lost;
        if (!lost)
            redo_name(op);
    }
    for (const struct op *op = first(); op; op = next(op))
        if (is_content(op) && is_first_of_file(op))
            choose_size(op, weather);
}

void history_cut(void)
{
    size_t count = 0;
    struct losses losses = { 0 };
    for (const struct op *op = first(); op; op = next(op))
        count++;
    const struct weather *weather = &weathers[faults_random(sizeof weathers / sizeof weathers[0])];
    undo_all(count);
    redo_some(weather, &losses);
    shim_head->used = 0;
    shim_say("power cut: of %zu writes %zu lost, %zu torn; of %zu names %zu lost", losses.writes, losses.lost,
             losses.torn, losses.names, losses.names_lost);
}
