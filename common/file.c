// SPDX-License-Identifier: Apache-2.0
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TREE_DEPTH_MAX = 64, READ_STEP = 64 << 10 };

static enum err no_room(const char *path, struct why *why)
{
    return why_set(why, ERR_LIMIT, "%.400s: path is too long; choose a shorter one", path);
}

enum err file_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path, struct why *why)
{
    size_t done = 0;
    if (offset > INT64_MAX - (uint64_t)size)
        return why_set(why, ERR_LIMIT, "%s: offset %llu is past what a file can hold", path,
                       (unsigned long long)offset);
    while (done < size) {
        ssize_t got = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, errno == EIO ? ERR_SYSTEM : ERR_FILE, "%s: cannot be read", path);
        if (got == 0)
            return why_set(why, ERR_FORMAT, "%s: truncated: ends at byte %llu, expected %llu", path,
                           (unsigned long long)(offset + done), (unsigned long long)(offset + size));
        done += (size_t)got;
    }
    return ERR_OK;
}

/* What errno means for whoever wants to write: room may come, a disk may do better when asked again. */
static enum err kind_of(int number)
{
    bool full = number == ENOSPC || number == EDQUOT;
    return full ? ERR_FULL : number == EIO ? ERR_SYSTEM : ERR_FILE;
}

static enum err write_failed(const char *path, struct why *why)
{
    return why_set_errno(why, kind_of(errno), "%s: cannot be written", path);
}

enum err file_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path,
                     struct why *why)
{
    size_t done = 0;
    if (offset > INT64_MAX - (uint64_t)size)
        return why_set(why, ERR_LIMIT, "%s: offset %llu is past what a file can hold", path,
                       (unsigned long long)offset);
    while (done < size) {
        ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return write_failed(path, why);
        if (put == 0)
            return why_set(why, ERR_SYSTEM, "%s: cannot be written: the system took no byte", path);
        done += (size_t)put;
    }
    return ERR_OK;
}

/* Read to the end by growing, because the size of a pipe or of a file in /proc is not known before. */
static enum err read_all(int fd, const char *path, size_t max_bytes, char **bytes, size_t *size,
                         struct why *why)
{
    size_t used = 0, room = 0;
    if (max_bytes > SIZE_MAX / 4)
        max_bytes = SIZE_MAX / 4;
    for (;;) {
        if (used == room) {
            room = room == 0 ? READ_STEP : room * 2;
            if (room > max_bytes + 1)
                room = max_bytes + 1;
            char *grown = realloc(*bytes, room + 1);
            if (!grown)
                return why_set(why, ERR_MEMORY, "%s: no memory for %zu bytes of it", path, room);
            *bytes = grown;
        }
        ssize_t got = read(fd, *bytes + used, room - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max_bytes)
            return why_set(why, ERR_LIMIT, "%s: is larger than %zu bytes, the most that is read here", path,
                           max_bytes);
    }
    (*bytes)[used] = 0;
    *size = used;
    return ERR_OK;
}

enum err file_read(const char *path, size_t max_bytes, char **bytes, size_t *size, struct why *why)
{
    *bytes = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    enum err err = read_all(fd, path, max_bytes, bytes, size, why);
    close(fd);
    if (err != ERR_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return err;
}

/* The folder of path, for syncing: "a/b" -> "a", "b" -> ".", "/b" -> "/". */
static enum err parent_of(const char *path, char *parent, size_t max, struct why *why)
{
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= max)
        return no_room(path, why);
    memcpy(parent, slash ? path : ".", length);
    parent[length] = 0;
    return ERR_OK;
}

/* Renaming over a device, a pipe or a folder would destroy it or fail only at the end: find out first. */
static enum err check_replaceable(const char *path, struct why *why)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is there and is not a plain file; give another name", path);
    return ERR_OK;
}

/* ".tmp-PID-NUMBER" of open_temporary; a process id has seven digits at most. */
static bool is_temporary_of(const char *base, size_t base_length, const char *name)
{
    if (strncmp(name, base, base_length) != 0 || strncmp(name + base_length, ".tmp-", 5) != 0)
        return false;
    const char *pid = name + base_length + 5, *digits = "0123456789";
    size_t length = strspn(pid, digits);
    return length > 0 && length < 8 && pid[length] == '-' && pid[length + 1] &&
           !pid[length + 1 + strspn(pid + length + 1, digits)];
}

static void remove_unlocked(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
    close(fd);
}

/* What writers of path that were killed left beside it: who lives holds its own locked. */
static void sweep_temporaries(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    if (parent_of(path, parent, sizeof parent, NULL) != ERR_OK)
        return;
    DIR *entries = opendir(parent);
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
        if (is_temporary_of(base, strlen(base), entry->d_name))
            remove_unlocked(dirfd(entries), entry->d_name);
    if (entries)
        closedir(entries);
}

/* False: a sweep took it between its making and this. */
static bool hold_temporary(int fd, const char *temporary)
{
    struct stat own, there;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return false;
    return fstat(fd, &own) == 0 && stat(temporary, &there) == 0 && own.st_ino == there.st_ino;
}

static enum err open_temporary(const char *path, mode_t mode, char *temporary, size_t temporary_max, int *fd,
                               struct why *why)
{
    static atomic_uint serial;
    *fd = -1;
    enum err err = check_replaceable(path, why);
    if (err != ERR_OK)
        return err;
    sweep_temporaries(path);
    for (int attempt = 0; attempt < 100; attempt++) {
        unsigned number = atomic_fetch_add(&serial, 1) % 1000000u;
        int length = snprintf(temporary, temporary_max, "%s.tmp-%d-%u", path, (int)getpid(), number);
        if (length < 0 || (size_t)length >= temporary_max)
            return no_room(path, why);
        *fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (*fd >= 0 && hold_temporary(*fd, temporary))
            return ERR_OK;
        if (*fd < 0 && errno != EEXIST)
            return write_failed(path, why);
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
    }
    return why_set(why, ERR_FILE, "%s: no free temporary name beside it; remove its old .tmp- files", path);
}

enum err file_begin(const char *path, char *temporary, size_t temporary_max, int *fd, struct why *why)
{
    return open_temporary(path, 0666, temporary, temporary_max, fd, why);
}

enum err file_begin_as(const char *path, const char *temporary, int *fd, struct why *why)
{
    *fd = -1;
    enum err err = check_replaceable(path, why);
    if (err != ERR_OK)
        return err;
    if (unlink(temporary) != 0 && errno != ENOENT)
        return write_failed(path, why);
    *fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    return *fd >= 0 ? ERR_OK : write_failed(path, why);
}

void file_discard(int *fd, const char *temporary)
{
    if (*fd < 0)
        return;
    close(*fd);
    *fd = -1;
    unlink(temporary);
}

enum err file_publish(int *fd, const char *temporary, const char *path, struct why *why)
{
    char parent[PATH_MAX];
    enum err err = parent_of(path, parent, sizeof parent, why);
    if (err == ERR_OK && fsync(*fd) != 0)
        err = write_failed(path, why);
    if (err == ERR_OK && rename(temporary, path) != 0)
        err = write_failed(path, why);
    if (err != ERR_OK) {
        file_discard(fd, temporary);
        return err;
    }
    close(*fd);
    *fd = -1;
    return file_sync_dir(parent, why);
}

enum err file_replace(const char *path, const void *bytes, size_t size, mode_t mode, struct why *why)
{
    char temporary[PATH_MAX + 32];
    int fd;
    /* Born closed to others: a key must not be readable for even a moment. */
    enum err err = open_temporary(path, 0600, temporary, sizeof temporary, &fd, why);
    if (err != ERR_OK)
        return err;
    if (fchmod(fd, mode) != 0)
        err = write_failed(path, why);
    if (err == ERR_OK)
        err = file_pwrite(fd, bytes, size, 0, path, why);
    if (err == ERR_OK)
        return file_publish(&fd, temporary, path, why);
    file_discard(&fd, temporary);
    return err;
}

static enum err make_dir(const char *path, mode_t mode, struct why *why)
{
    struct stat status;
    char parent[PATH_MAX];
    if (mkdir(path, mode) == 0) {
        enum err err = parent_of(path, parent, sizeof parent, why);
        if (err == ERR_OK)
            err = file_sync_dir(parent, why);
        return err == ERR_FILE ? ERR_OK : err; /* one that may be written and not read: it cannot be synced */
    }
    int reason = errno;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return ERR_OK;
    errno = reason == EEXIST ? ENOTDIR : reason;
    return why_set_errno(why, kind_of(errno), "%s: cannot make this folder", path);
}

enum err file_make_dirs(const char *path, mode_t mode, struct why *why)
{
    char partial[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0)
        return why_set(why, ERR_FILE, "the name of a folder is empty");
    if (length >= sizeof partial)
        return no_room(path, why);
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (partial[i] != '/' || partial[i - 1] == '/')
            continue;
        partial[i] = 0;
        enum err err = make_dir(partial, mode, why);
        partial[i] = '/';
        if (err != ERR_OK)
            return err;
    }
    return make_dir(partial, mode, why);
}

enum err file_sync_dir(const char *path, struct why *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot open this folder", path);
    /* EINVAL: a file system that cannot sync folders, where there is nothing more to be done. */
    bool failed = fsync(fd) != 0 && errno != EINVAL;
    enum err err = failed ? write_failed(path, why) : ERR_OK;
    close(fd);
    return err;
}

static const struct {
    unsigned long magic;
    const char *name;
} network_kinds[] = {
    { 0x6969, "NFS" },      { 0x517B, "SMB" },        { 0xFF534D42, "CIFS" }, { 0xFE534D42, "SMB" },
    { 0x01021997, "9p" },   { 0x0BD00BD0, "Lustre" }, { 0x00C36400, "Ceph" }, { 0x5346414F, "AFS" },
    { 0x47504653, "GPFS" }, { 0x19830326, "BeeGFS" }, { 0x73757245, "Coda" },
};

static const unsigned long fuse_magic = 0x65735546;

/* All of FUSE shares one magic number: its sub-type is in mountinfo. Virtual machines' virtiofs, local disks
 * (fuseblk) and rootless containers' overlays are local; the rest ("fuse.sshfs", "fuse.rclone", ...) mostly
 * is not. */
static bool fuse_is_remote(dev_t device)
{
    char wanted[32], line[4096];
    bool remote = true;
    snprintf(wanted, sizeof wanted, " %u:%u ", major(device), minor(device));
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts)
        return true;
    while (fgets(line, sizeof line, mounts)) {
        const char *type = strstr(line, wanted) ? strstr(line, " - ") : NULL;
        if (type)
            remote = strncmp(type + 3, "fuse.", 5) == 0 && strncmp(type + 3, "fuse.fuse-overlayfs ", 20) != 0;
    }
    fclose(mounts);
    return remote;
}

/* The name of the network file system that path lies on, or NULL. */
static const char *network_kind(const char *path, dev_t device)
{
    struct statfs status;
    if (statfs(path, &status) != 0)
        return NULL;
    unsigned long magic = (unsigned long)status.f_type & 0xFFFFFFFFul;
    for (size_t i = 0; i < sizeof network_kinds / sizeof network_kinds[0]; i++)
        if (network_kinds[i].magic == magic)
            return network_kinds[i].name;
    return magic == fuse_magic && fuse_is_remote(device) ? "FUSE" : NULL;
}

static enum err name_state_dir(char *path, size_t max, struct why *why)
{
    const char *own = getenv("MOTLEY_STATE_DIR"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (own && *own)
        return file_absolute(own, path, max, why);
    int length;
    if (xdg && *xdg == '/') { /* a relative one is to be ignored: XDG Base Directory Specification */
        length = snprintf(path, max, "%s/motley", xdg);
    } else {
        struct passwd entry, *found = NULL;
        char buffer[4096];
        if (!home || *home != '/')
            home = getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found ? found->pw_dir
                                                                                             : NULL;
        if (!home || *home != '/')
            return why_set(why, ERR_FILE, "no home folder is known for the state; set MOTLEY_STATE_DIR");
        length = snprintf(path, max, "%s/.local/state/motley", home);
    }
    return length < 0 || (size_t)length >= max ? no_room(path, why) : ERR_OK;
}

enum err file_state_dir(char *path, size_t max, struct why *why)
{
    struct stat status;
    enum err err = name_state_dir(path, max, why);
    if (err != ERR_OK)
        return err;
    err = file_make_dirs(path, 0700, why);
    if (err != ERR_OK)
        return err;
    if (stat(path, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be used for the state", path);
    if (status.st_uid != geteuid())
        return why_set(
            why, ERR_FILE,
            "%s: the state folder belongs to another user; set MOTLEY_STATE_DIR to one of your own", path);
    if (status.st_mode & 077)
        return why_set(
            why, ERR_FILE,
            "%s: others can open the state folder (mode %04o); chmod 700 it, or set MOTLEY_STATE_DIR", path,
            (unsigned)status.st_mode & 07777u);
    const char *kind = network_kind(path, status.st_dev);
    if (kind)
        return why_set(why, ERR_FILE,
                       "%s: the state folder is on a network file system (%s), where a journal is not safe; "
                       "set MOTLEY_STATE_DIR to a "
                       "path on a local disk, such as /var/tmp/motley-%u",
                       path, kind, (unsigned)getuid());
    return ERR_OK;
}

static enum err remove_at(int folder, const char *name, const char *path, int depth, struct why *why);

/* Empty and close the folder fd. */
static enum err empty_folder(int fd, const char *path, int depth, struct why *why)
{
    DIR *entries = fdopendir(fd);
    if (!entries) {
        close(fd);
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be listed", path);
    }
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        struct dirent *entry = readdir(entries);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = remove_at(dirfd(entries), entry->d_name, path, depth + 1, why);
    }
    closedir(entries);
    return err;
}

static enum err remove_at(int folder, const char *name, const char *path, int depth, struct why *why)
{
    if (depth > TREE_DEPTH_MAX)
        return why_set(why, ERR_LIMIT, "%s: folders in it are nested deeper than %d; remove it by hand", path,
                       TREE_DEPTH_MAX);
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return ERR_OK;
    if (errno != EISDIR && errno != EPERM)
        return why_set_errno(why, kind_of(errno), "%s: cannot remove %s", path, name);
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot remove %s", path, name);
    enum err err = empty_folder(fd, path, depth, why);
    if (err != ERR_OK)
        return err;
    if (unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return why_set_errno(why, kind_of(errno), "%s: cannot remove %s", path, name);
    return ERR_OK;
}

enum err file_remove_tree(const char *path, struct why *why)
{
    return remove_at(AT_FDCWD, path, path, 0, why);
}

enum err file_program_dir(char *path, size_t max, struct why *why)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return why_set_errno(why, ERR_SYSTEM, "/proc/self/exe: the running program's folder cannot be found");
    program[length] = 0;
    return parent_of(program, path, max, why);
}

/* Append the parts of path to absolute, of *length bytes without a trailing slash ("" is the root), resolving
 * "." and "..". */
static bool append_parts(const char *path, char *absolute, size_t max, size_t *length)
{
    for (const char *at = path; *at;) {
        size_t part = strcspn(at, "/");
        if (part == 2 && at[0] == '.' && at[1] == '.') {
            while (*length > 0 && absolute[--*length] != '/')
                continue;
        } else if (part > 0 && !(part == 1 && at[0] == '.')) {
            if (*length + 1 + part >= max)
                return false;
            absolute[(*length)++] = '/';
            memcpy(absolute + *length, at, part);
            *length += part;
        }
        at += part + (at[part] == '/');
    }
    absolute[*length] = 0;
    return true;
}

enum err file_absolute(const char *path, char *absolute, size_t max, struct why *why)
{
    char here[PATH_MAX] = "";
    size_t length = 0;
    if (path[0] == 0)
        return why_set(why, ERR_FILE, "a path is empty");
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return why_set_errno(why, ERR_SYSTEM, "%s: the current folder has no name", path);
    if (max < 2 || !append_parts(here, absolute, max, &length) || !append_parts(path, absolute, max, &length))
        return no_room(path, why);
    if (length == 0)
        memcpy(absolute, "/", 2);
    return ERR_OK;
}

enum err file_canonical(const char *path, char *canonical, size_t max, struct why *why)
{
    char absolute[PATH_MAX], folder[PATH_MAX];
    enum err err = file_absolute(path, absolute, sizeof absolute, why);
    if (err != ERR_OK)
        return err;
    char *slash = strrchr(absolute, '/');
    *slash = 0;
    if (!realpath(*absolute ? absolute : "/", folder))
        return why_set_errno(why, ERR_FILE, "%s: its folder cannot be found", path);
    int length = snprintf(canonical, max, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, slash + 1);
    return length < 0 || (size_t)length >= max ? no_room(path, why) : ERR_OK;
}

enum err file_free_bytes(const char *path, uint64_t *bytes, struct why *why)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: free space cannot be read", path);
    *bytes = (uint64_t)status.f_bavail * (uint64_t)status.f_frsize;
    return ERR_OK;
}
