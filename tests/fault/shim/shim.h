// SPDX-License-Identifier: Apache-2.0
/* shim - a disk that fails when told to, for one program: a library for LD_PRELOAD that stands before the C
 * library's calls that change files and does what MOTLEY_FAULT says at the n-th of them. Only files under one
 * folder are watched, and only the program that is named is touched.
 *
 *     MOTLEY_FAULT_DIR      what is watched: an absolute path without links
 *     MOTLEY_FAULT_SIDE     a folder on the same file system, not in it: counters, history, old files
 *     MOTLEY_FAULT_PROGRAM  the executable's name; others are left alone
 *     MOTLEY_FAULT          KIND N DEED [TIMES]; absent: only count. Or `cut`: the power goes now, after the
 *                           programs that made this history were killed; then this one ends
 *     MOTLEY_FAULT_ONLY     calls whose path does not contain this are neither counted nor touched
 *     MOTLEY_FAULT_SEED     of tears and of power cuts
 *     MOTLEY_FAULT_TRACE    a file: each counted call, a line
 *     MOTLEY_FAULT_HISTORY  1: remember what is not synced, over restarts too, for power cuts
 *     MOTLEY_FAULT_FLAG     with TIMES 0: nospace and eio go on while this file exists
 *     MOTLEY_FAULT_STATFS   the type that statfs tells of what is watched, in hexadecimal
 *
 * KIND  sync    fsync, fdatasync, sync_file_range
 *       write   write, pwrite, writev, pwritev, ftruncate, fallocate, copy_file_range
 *       name    a file is made, renamed, linked or removed; a folder made or removed
 * DEED  kill-before, kill-after    SIGKILL
 *       eio, nospace               refused with that errno, TIMES times (default 1). With TIMES 0 a full
 *                                  disk: writes and new names are refused while MOTLEY_FAULT_FLAG is there
 *       eio-kill                   EIO, and SIGKILL at the next sync: before anything can be mended
 *       short, torn                a part is written; torn: then SIGKILL
 *       cut-before, cut-after      the power goes: history.c
 *
 * Locked: one watched call at a time. All system calls are made directly, so that nothing of another library
 * stands in between. */
#ifndef SHIM_H
#define SHIM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum fault_kind { FAULT_SYNC, FAULT_WRITE, FAULT_NAME, FAULT_KINDS };

/* What to do with a call, besides the deeds before it, which are done when it is said. */
enum fault_verdict { FAULT_GO, FAULT_REFUSE, FAULT_SHORT, FAULT_TEAR };

/* At the start of side/history, so that a test can read it: `<QQQQ` after 8 bytes of mark. */
struct shim_head {
    char mark[8]; /* "MOTLEYF1" */
    uint64_t counts[FAULT_KINDS];
    uint64_t fired; /* 1 once the deed was done */
    uint64_t used;  /* bytes of history that follow */
};

/* shim.c: the place. */
extern struct shim_head *shim_head; /* NULL: this program is left alone */
extern char shim_dir[PATH_MAX], shim_side[PATH_MAX - 64];
bool shim_watches(const char *path);
bool shim_watches_fd(int fd, char path[PATH_MAX]);
bool shim_watches_at(int folder, const char *name, char path[PATH_MAX]);
void shim_lock(void);
void shim_unlock(void);
void shim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* faults.c: what happens at which call. Locked. */
void faults_load(void);
enum fault_verdict faults_before(enum fault_kind kind, const char *call, const char *path); /* sets errno */
void faults_after(enum fault_kind kind);
uint64_t faults_random(uint64_t below); /* below > 0 */
long faults_statfs(void);               /* -1: as it is */
void faults_die(void) __attribute__((noreturn));

/* history.c: what is not synced. Locked; each before the change that it tells of. */
void history_load(bool wanted);
void history_write(int fd, const void *bytes, size_t size, uint64_t offset);
void history_size(int fd, uint64_t size);
void history_make(const char *path, bool is_folder);
void history_remove(const char *path, bool is_folder);
void history_rename(const char *from, const char *to, unsigned flags);
void history_link(const char *from, const char *to);
void history_take_back(void); /* the call that was told of last failed */
void history_synced(int fd);
void history_sync_failed(int fd); /* what was to be synced will never be, whatever a later sync says */
void history_cut(void);           /* make of the disk what a power cut could have left */

#endif
