// SPDX-License-Identifier: Apache-2.0
/* solo - a private fleet on this machine for `run` and `bench`: nothing to set up, nothing left behind.
 *
 * The supervisor is a child of ours that holds the end of a pipe: when we end, in whatever way, it reads the
 * end of it, stops all processes and removes the state directory (0700, in $TMPDIR). */
#ifndef SOLO_H
#define SOLO_H

#include "bounds.h"
#include "fleet.h"
#include "motley.h"
#include "supervise.h"

#include <stdbool.h>
#include <sys/types.h>

struct solo {
    struct fleet *fleet;
    char state_dir[PATH_MAX_BYTES];
    char url[ADDRESS_MAX];
    pid_t supervisor; /* 0 = none */
    int control_fd, status_fd;
    char line[512]; /* of status_fd, unfinished */
    size_t line_used;
    bool started, failed;
    uint32_t workers_living;
    uint32_t coordinator_ends;   /* how often it ended on its own */
    uint64_t complete_us;        /* monotonic: when the last worker joins; 0 = not connected yet */
    char complaint[WHY_MAX];     /* the first worker that ended, or the coordinator's latest end, in its own
                                    words; "" = none */
    struct supervise_event last; /* behind complaint */
};

/* Start it. fleet_path NULL = one local worker. solo_stop in any case. */
MUST_USE enum err solo_start(const char *fleet_path, struct solo *solo, struct why *why);

/* Connect, and wait until every worker that is there from the start said HELLO. NULL with why on failure: a
 * worker that ended early is one, with its last words. */
motley *solo_connect(struct solo *solo, enum err *err, struct why *why);

/* Are all workers here that the fleet file promises? Then a job that none of them takes is taken by none. */
bool solo_is_complete(const struct solo *solo);

/* Read what the supervisor tells. False: the fleet cannot finish any work any more (complaint says why). */
bool solo_poll(struct solo *solo);

/* Stop all, wait until all are gone, remove the directory. Idempotent. */
void solo_stop(struct solo *solo);

#endif
