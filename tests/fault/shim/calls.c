// SPDX-License-Identifier: Apache-2.0
/* The calls that stand before the C library's. Each: is it watched? lock, ask faults, tell history, do it. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Fortified callers come through these, which no header declares. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __openat_2(int folder, const char *path, int flags);
EXPORT int __openat64_2(int folder, const char *path, int flags);

static void take_back_failed(bool failed)
{
    int kept = errno;
    if (failed)
        history_take_back();
    errno = kept;
}

/* ---- syncs ---- */

static int do_sync(const char *call, int fd, long number)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return (int)syscall(number, fd);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_SYNC, call, path) == FAULT_REFUSE) {
        int kept = errno;
        history_sync_failed(fd);
        errno = kept;
    } else if ((result = (int)syscall(number, fd)) == 0) {
        history_synced(fd);
    }
    faults_after(FAULT_SYNC);
    shim_unlock();
    return result;
}

EXPORT int fsync(int fd) { return do_sync("fsync", fd, SYS_fsync); }

EXPORT int fdatasync(int fd) { return do_sync("fdatasync", fd, SYS_fdatasync); }

/* It promises nothing that outlives a power cut: a boundary, but no sync. */
EXPORT int sync_file_range(int fd, off64_t from, off64_t size, unsigned flags)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return (int)syscall(SYS_sync_file_range, fd, from, size, flags);
    shim_lock();
    bool refused = faults_before(FAULT_SYNC, "sync_file_range", path) == FAULT_REFUSE;
    int result = refused ? -1 : (int)syscall(SYS_sync_file_range, fd, from, size, flags);
    faults_after(FAULT_SYNC);
    shim_unlock();
    return result;
}

/* ---- writes ---- */

static size_t part_of(enum fault_verdict verdict, size_t size)
{
    bool part = (verdict == FAULT_SHORT || verdict == FAULT_TEAR) && size > 1;
    return part ? 1 + (size_t)faults_random(size - 1) : size;
}

/* offset -1: where the descriptor stands. */
static ssize_t do_write(const char *call, int fd, const void *bytes, size_t size, off_t offset)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return offset < 0 ? syscall(SYS_write, fd, bytes, size)
                          : syscall(SYS_pwrite64, fd, bytes, size, offset);
    shim_lock();
    ssize_t result = -1;
    enum fault_verdict verdict = faults_before(FAULT_WRITE, call, path);
    if (verdict != FAULT_REFUSE) {
        struct stat status;
        off_t at = offset < 0 ? (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) : offset;
        if (offset < 0 && (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) && fstat(fd, &status) == 0)
            at = status.st_size;
        size = part_of(verdict, size);
        history_write(fd, bytes, size, (uint64_t)at);
        result =
            offset < 0 ? syscall(SYS_write, fd, bytes, size) : syscall(SYS_pwrite64, fd, bytes, size, offset);
    }
    faults_after(FAULT_WRITE);
    shim_unlock();
    return result;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    return do_write("write", fd, bytes, size, -1);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return do_write("pwrite", fd, bytes, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return do_write("pwrite", fd, bytes, size, offset);
}

/* One write of all parts, as the kernel would. */
static ssize_t do_writev(const char *call, int fd, const struct iovec *parts, int count, off_t offset)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return offset < 0 ? syscall(SYS_writev, fd, parts, count)
                          : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    size_t size = 0, at = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    char *whole = malloc(size + 1);
    if (!whole)
        return -1;
    for (int i = 0; i < count; at += parts[i++].iov_len)
        if (parts[i].iov_len)
            memcpy(whole + at, parts[i].iov_base, parts[i].iov_len);
    ssize_t result = do_write(call, fd, whole, size, offset);
    free(whole);
    return result;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return do_writev("writev", fd, parts, count, -1);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return do_writev("pwritev", fd, parts, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return do_writev("pwritev", fd, parts, count, offset);
}

static int do_truncate(int fd, off_t size)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return (int)syscall(SYS_ftruncate, fd, size);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_WRITE, "ftruncate", path) != FAULT_REFUSE) {
        history_size(fd, (uint64_t)size);
        result = (int)syscall(SYS_ftruncate, fd, size);
        take_back_failed(result != 0);
    }
    faults_after(FAULT_WRITE);
    shim_unlock();
    return result;
}

EXPORT int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }

EXPORT int ftruncate64(int fd, off64_t size) { return do_truncate(fd, size); }

static void note_allocation(int fd, int mode, off_t from, off_t size)
{
    struct stat status;
    if ((mode & FALLOC_FL_PUNCH_HOLE) != 0)
        history_write(fd, NULL, (size_t)size, (uint64_t)from);
    else if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && fstat(fd, &status) == 0 && from + size > status.st_size)
        history_size(fd, (uint64_t)(from + size));
}

static int do_allocate(int fd, int mode, off_t from, off_t size)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(fd, path))
        return (int)syscall(SYS_fallocate, fd, mode, from, size);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_WRITE, "fallocate", path) != FAULT_REFUSE) {
        note_allocation(fd, mode, from, size);
        result = (int)syscall(SYS_fallocate, fd, mode, from, size);
        take_back_failed(result != 0);
    }
    faults_after(FAULT_WRITE);
    shim_unlock();
    return result;
}

EXPORT int fallocate(int fd, int mode, off_t from, off_t size) { return do_allocate(fd, mode, from, size); }

EXPORT int fallocate64(int fd, int mode, off64_t from, off64_t size)
{
    return do_allocate(fd, mode, from, size);
}

EXPORT int posix_fallocate(int fd, off_t from, off_t size)
{
    return do_allocate(fd, 0, from, size) == 0 ? 0 : errno;
}

EXPORT int posix_fallocate64(int fd, off64_t from, off64_t size)
{
    return do_allocate(fd, 0, from, size) == 0 ? 0 : errno;
}

/* Where it is watched it copies a piece by hand: so its bytes are known. */
EXPORT ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags)
{
    char path[PATH_MAX];
    if (!shim_watches_fd(out, path) || !from || !to)
        return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
    char *block = malloc(1 << 20);
    ssize_t got = block ? syscall(SYS_pread64, in, block, size < 1 << 20 ? size : 1 << 20, *from) : -1;
    if (got > 0)
        got = do_write("copy_file_range", out, block, (size_t)got, *to);
    int kept = errno;
    free(block);
    errno = kept;
    if (got > 0) {
        *from += got;
        *to += got;
    }
    return got;
}

/* ---- names ---- */

static bool is_there(const char *path) { return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0; }

/* A file that is emptied by being opened changes as by ftruncate, only before it has a descriptor. */
static int open_watched(const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) && !is_there(path), empties = (flags & O_TRUNC) && !makes;
    if ((makes && faults_before(FAULT_NAME, "open", path) == FAULT_REFUSE) ||
        (empties && faults_before(FAULT_WRITE, "open", path) == FAULT_REFUSE))
        return -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, empties ? flags & ~O_TRUNC : flags, mode);
    int kept = errno;
    if (fd >= 0 && makes)
        history_make(path, false);
    if (fd >= 0 && empties) {
        history_size(fd, 0);
        syscall(SYS_ftruncate, fd, 0);
    }
    faults_after(makes ? FAULT_NAME : FAULT_WRITE);
    errno = kept;
    return fd;
}

static int do_open(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !shim_watches_at(folder, name, path))
        return (int)syscall(SYS_openat, folder, name, flags, mode);
    shim_lock();
    int fd = open_watched(path, flags, mode);
    shim_unlock();
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN_LIKE(name_and_arguments, folder, path)                                                          \
    EXPORT int name_and_arguments                                                                            \
    {                                                                                                        \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode_t mode = mode_of(flags, arguments);                                                             \
        va_end(arguments);                                                                                   \
        return do_open(folder, path, flags, mode);                                                           \
    }

OPEN_LIKE(open(const char *path, int flags, ...), AT_FDCWD, path)
OPEN_LIKE(open64(const char *path, int flags, ...), AT_FDCWD, path)
OPEN_LIKE(openat(int folder, const char *path, int flags, ...), folder, path)
OPEN_LIKE(openat64(int folder, const char *path, int flags, ...), folder, path)

int __open_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }

int __open64_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }

int __openat_2(int folder, const char *path, int flags) { return do_open(folder, path, flags, 0); }

int __openat64_2(int folder, const char *path, int flags) { return do_open(folder, path, flags, 0); }

EXPORT int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

EXPORT int creat64(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

static int do_mkdir(int folder, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    if (!shim_watches_at(folder, name, path) || is_there(path))
        return (int)syscall(SYS_mkdirat, folder, name, mode);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_NAME, "mkdir", path) != FAULT_REFUSE) {
        result = (int)syscall(SYS_mkdirat, folder, name, mode);
        if (result == 0)
            history_make(path, true);
    }
    faults_after(FAULT_NAME);
    shim_unlock();
    return result;
}

EXPORT int mkdir(const char *path, mode_t mode) { return do_mkdir(AT_FDCWD, path, mode); }

EXPORT int mkdirat(int folder, const char *path, mode_t mode) { return do_mkdir(folder, path, mode); }

/* Whether it is a folder is looked at first: a call that would fail is no boundary. */
static bool can_remove(const char *path, int flags)
{
    struct stat status;
    bool there = fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    return there && S_ISDIR(status.st_mode) == ((flags & AT_REMOVEDIR) != 0);
}

static int do_unlink(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    bool is_folder = (flags & AT_REMOVEDIR) != 0;
    if (!shim_watches_at(folder, name, path) || !can_remove(path, flags))
        return (int)syscall(SYS_unlinkat, folder, name, flags);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_NAME, is_folder ? "rmdir" : "unlink", path) != FAULT_REFUSE) {
        history_remove(path, is_folder);
        result = (int)syscall(SYS_unlinkat, folder, name, flags);
        take_back_failed(result != 0);
    }
    faults_after(FAULT_NAME);
    shim_unlock();
    return result;
}

EXPORT int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }

EXPORT int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }

EXPORT int unlinkat(int folder, const char *path, int flags) { return do_unlink(folder, path, flags); }

static int do_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char from_path[PATH_MAX], to_path[PATH_MAX];
    if (!shim_watches_at(from_folder, from, from_path) || !shim_watches_at(to_folder, to, to_path))
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_NAME, "rename", to_path) != FAULT_REFUSE) {
        history_rename(from_path, to_path, flags);
        result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
        take_back_failed(result != 0);
    }
    faults_after(FAULT_NAME);
    shim_unlock();
    return result;
}

EXPORT int rename(const char *from, const char *to) { return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }

EXPORT int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return do_rename(from_folder, from, to_folder, to, 0);
}

EXPORT int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    return do_rename(from_folder, from, to_folder, to, flags);
}

static int do_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char from_path[PATH_MAX], to_path[PATH_MAX];
    if (!shim_watches_at(from_folder, from, from_path) || !shim_watches_at(to_folder, to, to_path))
        return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    shim_lock();
    int result = -1;
    if (faults_before(FAULT_NAME, "link", to_path) != FAULT_REFUSE) {
        history_link(from_path, to_path);
        result = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
        take_back_failed(result != 0);
    }
    faults_after(FAULT_NAME);
    shim_unlock();
    return result;
}

EXPORT int link(const char *from, const char *to) { return do_link(AT_FDCWD, from, AT_FDCWD, to, 0); }

EXPORT int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return do_link(from_folder, from, to_folder, to, flags);
}

/* ---- what kind of disk it is ---- */

EXPORT int statfs(const char *name, struct statfs *status)
{
    char path[PATH_MAX];
    int result = (int)syscall(SYS_statfs, name, status);
    if (result == 0 && faults_statfs() >= 0 && shim_watches_at(AT_FDCWD, name, path))
        status->f_type = (__typeof__(status->f_type))faults_statfs();
    return result;
}

EXPORT int fstatfs(int fd, struct statfs *status)
{
    char path[PATH_MAX];
    int result = (int)syscall(SYS_fstatfs, fd, status);
    if (result == 0 && faults_statfs() >= 0 && shim_watches_fd(fd, path))
        status->f_type = (__typeof__(status->f_type))faults_statfs();
    return result;
}
