// SPDX-License-Identifier: Apache-2.0
/* stash - a worker's spool: finished results in files of its own until they are acknowledged, so that a
 * process that was killed offers them again when it is started again.
 *
 *     <folder>/<16 hex digits>.log = "MOTLEYW2" uuid[16] *record
 *     record = head (struct head in stash.c) sizes shapes outputs
 *
 *     result --stash_add--> gathered --stash_write, one write a turn--> in a file --stash_drop--> forgotten
 *
 * Files are only ever appended to. That something was dropped is kept in memory; a file goes when nothing in
 * it is needed any more, and each record says where in its file the oldest needed one was when it was
 * written, so that few are offered again in vain. Nothing is synced: a file is there for the death of the
 * process. What a power cut leaves is recognised by checksums, and its loss costs attempts, not answers.
 * Numbers are in the order of the host: a file is read where it was written.
 *
 * Bounded in bytes; what finds no room (also on the disk) is simply not kept. Not thread-safe, but for
 * stash_map_unref. */
#ifndef STASH_H
#define STASH_H

#include "agent.h"
#include "dtype.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STASH_OUTPUTS_MAX = 16, STASH_UUID_BYTES = 16 };

struct stash;
struct stash_file;
struct stash_map;

/* A result's place. All zero: it has none. It must stay where it is until it is dropped. */
struct stash_entry {
    struct stash_file *file;
    uint64_t at;
    struct stash_entry *older, *newer; /* needed ones of the same file */
};

struct stash_result {
    struct agent_lease lease;
    uint64_t wait_us, run_us;
    double energy_joules;
    bool overrun;
    uint32_t outputs_count;
    const void *outputs[STASH_OUTPUTS_MAX];
    uint64_t sizes[STASH_OUTPUTS_MAX];
    const struct tensor_spec *shapes; /* dtype and dims of each output, or NULL: as the job declares */
};

struct stash_config {
    const char *folder; /* made if absent */
    const uint8_t *uuid;
    uint64_t bytes_max;
    uint64_t file_bytes; /* a file that has more is not appended to; 0 = default */
};

/* Files of another uuid, whose leases nobody would believe us, are removed. ERR_FILE, ERR_FULL: the folder
 * cannot be made; ERR_MEMORY. */
MUST_USE enum err stash_open(const struct stash_config *config, struct stash **stash, struct why *why);
void stash_free(struct stash **stash); /* files of which something is needed stay */

/* Before the first stash_add: tell visit of every result that earlier lives left, oldest first. It returns
 * where the entry is to be, or NULL: not wanted, forget it. Outputs point into a file's map, of which visit
 * may take references; result is valid during the call only. Files in which nothing is wanted go. */
typedef struct stash_entry *stash_visit(void *context, const struct stash_result *result,
                                        struct stash_map *map);
void stash_adopt(struct stash *stash, stash_visit *visit, void *context);

struct stash_map *stash_map_ref(struct stash_map *map);
void stash_map_unref(struct stash_map *map); /* from any thread */

/* Gather a result for the next write: its outputs must stay until then. entry is all zero, and stays so if
 * there is no room for it. */
void stash_add(struct stash *stash, const struct stash_result *result, struct stash_entry *entry);

/* Write what was gathered. What cannot be written loses its place, and the log says so once. */
void stash_write(struct stash *stash);

/* It is not needed any more, gathered or written or neither. */
void stash_drop(struct stash *stash, struct stash_entry *entry);

/* For tests and looks: bytes in files, and how many files there are. */
uint64_t stash_bytes(const struct stash *stash);
uint32_t stash_files(const struct stash *stash);

#endif
