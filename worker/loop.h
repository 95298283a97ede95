// SPDX-License-Identifier: Apache-2.0
/* loop - the worker's thin loop: one thread that carries the agent's actions out. It owns the socket, the
 * executors, the cache and the bytes; every decision is the agent's.
 *
 *     coordinator <--wire--> loop --events--> agent --actions--> loop --commands--> executors (one thread per
 * slot)
 *                             |--pieces--> cache, gathers
 *
 * It connects again for ever, with jittered pauses, says HELLO on each new connection with the attempts that
 * it holds, and goes on computing meanwhile. What the coordinator sends is judged by dialogue and limits;
 * nonsense is logged and ignored. */
#ifndef LOOP_H
#define LOOP_H

#include "err.h"
#include "fleet.h"
#include "hello.h"

#include <stdbool.h>

struct wire_keys;

struct loop_config {
    const char *url;              /* of the coordinator */
    const struct wire_keys *keys; /* for it; borrowed; NULL: none are needed */
    const char *state_dir;
    struct hello *hello;               /* borrowed; slots that do not open are taken out of it */
    const struct fleet *fleet;         /* an emulated member's, else NULL */
    const struct fleet_worker *member; /* emulated, else NULL */
    uint64_t credit_bytes;             /* of fetched inputs, 0 = default */
    uint64_t cache_bytes_max;          /* of models on disk, 0 = default */
    uint64_t spool_bytes_max; /* of unacknowledged results on disk, 0 = default; LOOP_NO_SPOOL = none,
                                 and another UUID in each life */
    bool isolate;             /* each slot's runtime in a process of its own, see isolated.h */
};

#define LOOP_NO_SPOOL UINT64_MAX

struct loop;

/* Open the slots and prepare to connect. ERR_UNSUPPORTED: no slot opens; ERR_USAGE: not a URL for us. */
MUST_USE enum err loop_new(const struct loop_config *config, struct loop **loop, struct why *why);
void loop_free(struct loop **loop); /* cancels what runs */

/* Serve until stop_fd is readable; then say BYE. */
void loop_run(struct loop *loop, int stop_fd);

#endif
