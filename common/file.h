// SPDX-License-Identifier: Apache-2.0
/* file - the few file operations that must be done right everywhere: whole writes, synced renames, state
 * directories. Thread-safe. Every error names the path. */
#ifndef FILE_H
#define FILE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* pread/pwrite all of size bytes, restarted on EINTR and short counts. A short read is ERR_FORMAT
 * ("truncated"); ENOSPC and EDQUOT are ERR_FULL, and a disk that fails (EIO) ERR_SYSTEM, here and below. */
MUST_USE enum err file_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path,
                             struct why *why);
MUST_USE enum err file_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path,
                              struct why *why);

/* Read a whole file of at most max_bytes into a fresh zero-terminated buffer (yours to free); *size excludes
 * the zero. */
MUST_USE enum err file_read(const char *path, size_t max_bytes, char **bytes, size_t *size, struct why *why);

/* Replace path with bytes: temporary name in the same folder, mode, fsync, rename, fsync of the folder. */
MUST_USE enum err file_replace(const char *path, const void *bytes, size_t size, mode_t mode,
                               struct why *why);

/* The two halves of that for large files: a temporary beside path (mode 0666 less the umask), then its
 * publication under path. begin refuses a path where something other than a plain file stands, and a folder
 * that cannot be written, and removes what killed writers of path left there. On failure of publish, and by
 * discard, the temporary is gone. temporary must have room for strlen(path) + 32. */
MUST_USE enum err file_begin(const char *path, char *temporary, size_t temporary_max, int *fd,
                             struct why *why);
/* The same under a temporary name of the caller's, which nobody else uses: what an earlier life that was
 * killed left of it is written anew. */
MUST_USE enum err file_begin_as(const char *path, const char *temporary, int *fd, struct why *why);
MUST_USE enum err file_publish(int *fd, const char *temporary, const char *path, struct why *why);
void file_discard(int *fd, const char *temporary);

/* mkdir -p with mode for those it makes, whose names are synced. */
MUST_USE enum err file_make_dirs(const char *path, mode_t mode, struct why *why);

/* fsync a folder, so that names in it survive a power cut. */
MUST_USE enum err file_sync_dir(const char *path, struct why *why);

/* $MOTLEY_STATE_DIR, else $XDG_STATE_HOME/motley, else ~/.local/state/motley, made with mode 0700 if absent;
 * refused when others can read it, or when it lies on a network file system (NFS, CIFS, 9p, FUSE sshfs,
 * Lustre, Ceph: by statfs type), saying which variable to set. path must have room for max bytes. */
MUST_USE enum err file_state_dir(char *path, size_t max, struct why *why);

/* Remove a tree, if it is there. Never follows symbolic links. */
MUST_USE enum err file_remove_tree(const char *path, struct why *why);

/* The folder of the running executable, without a trailing slash. */
MUST_USE enum err file_program_dir(char *path, size_t max, struct why *why);

/* The absolute, lexically clean form of path (which need not exist). */
MUST_USE enum err file_absolute(const char *path, char *absolute, size_t max, struct why *why);

/* The same with the links on the way to its folder followed: two names of one place in a folder have one such
 * form, whether the place itself exists or not. ERR_FILE: its folder does not. */
MUST_USE enum err file_canonical(const char *path, char *canonical, size_t max, struct why *why);

/* Free bytes for us on path's file system. */
MUST_USE enum err file_free_bytes(const char *path, uint64_t *bytes, struct why *why);

#endif
