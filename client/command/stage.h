// SPDX-License-Identifier: Apache-2.0
/* stage - a private coordinator for a benchmark, as it is in real life: a process of its own with scheduler,
 * journal, spool and recording, its state on a disk. It listens on tcp loopback for mimes and on ipc for
 * us. Nothing of it is left behind. */
#ifndef STAGE_H
#define STAGE_H

#include "address.h"
#include "bounds.h"
#include "key.h"
#include "motley.h"
#include "process.h"

#define STAGE_SECURITY "CURVE" /* by which the benchmarks' connections are secured */

struct stage {
    char folder[PATH_MAX_BYTES]; /* ours; holds state/, the log, and what the benchmark puts there; "" = none
                                  */
    char short_dir[PATH_MAX_BYTES];
    char url[ADDRESS_MAX]; /* tcp, as bound */
    char ipc[ADDRESS_MAX];
    struct process coordinator;
    motley *connection; /* through ipc */
    uint8_t coordinator_half[KEY_BYTES];
    struct key worker, client; /* on its list of those who may connect; worker: for any number of them */
};

/* Start it in a fresh folder below parent (NULL: $TMPDIR, else /var/tmp), with keys on its list, and
 * connect. stage_stop in any case. */
MUST_USE enum err stage_start(const char *parent, struct stage *stage, struct why *why);
void stage_stop(struct stage *stage); /* idempotent */

/* ERR_SYSTEM with its last words if the coordinator has ended. */
MUST_USE enum err stage_check(const struct stage *stage, struct why *why);

/* Processor time that the coordinator has used, all threads. */
double stage_cpu_seconds(const struct stage *stage);

/* "sqlite, WAL, synchronous=FULL, on ext4": what the figures include. */
void stage_journal(const struct stage *stage, char *text, size_t max);

/* A file system's name by its statfs type; "file system 0x..." for one that is not known here. */
void stage_file_system(unsigned long type, char *text, size_t max);

#endif
