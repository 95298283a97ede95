// SPDX-License-Identifier: Apache-2.0
/* loop - the coordinator as a whole: opens the state directory, listens, and serves until it is told to stop.
 * Thin: it waits for the wire, the store, the clerk and the scheduler's deadline, and hands what comes to the
 * side it belongs to. A turn reads what has arrived, then what became durable, then sends all that came of
 * it. */
#ifndef LOOP_H
#define LOOP_H

#include "err.h"

#include <stdint.h>

struct loop_config {
    const char *state_dir; /* exists, mode 0700 */
    const char *const *urls;
    uint32_t urls_count;        /* >= 1 */
    uint32_t heartbeat_ms;      /* asked of workers; 0 = 500 */
    uint64_t silence_us;        /* after which a worker is lost; 0 = 2.5 s */
    uint64_t grace_us;          /* after a start with open jobs, see recovery.h; 0 = 600 ms */
    const char *const *tenants; /* as tenants_configure reads them */
    uint32_t tenants_count;
    uint64_t backlog_max_bytes; /* results not yet durable, beyond which nothing is leased; 0 = 64 MiB */
    const char
        *record; /* the tape of this life: "always-on" = in the state directory, or a file; NULL = none */
    uint64_t record_max_bytes;               /* see recorder.h; 0 = default */
    const struct roots *roots;               /* where clients may name paths; borrowed; NULL = anywhere */
    uint64_t keep_us, keep_jobs, keep_bytes; /* retention.h's rule; 0 = default, UINT64_MAX = no limit */
    uint64_t inventory_us;                   /* how often the state is looked over; 0 = default */
};

struct loop;
struct roots;

/* Take over the state directory, recover, listen. ERR_REFUSED: another coordinator has it. The addresses are
 * bound on return. */
MUST_USE enum err loop_new(const struct loop_config *config, struct loop **loop, struct why *why);

/* Serve until loop_stop. ERR_SYSTEM: the store broke, nothing more can be acknowledged. */
MUST_USE enum err loop_run(struct loop *loop, struct why *why);

/* From any thread or signal handler: loop_run returns after its turn. */
void loop_stop(struct loop *loop);

/* From any thread or signal handler: the allow list is read anew, also if it seems to be as it was. */
void loop_reload(struct loop *loop);

/* Finish what was posted to the store, close everything. */
void loop_free(struct loop **loop);

/* The first address, with the port that `*` became. */
const char *loop_url(const struct loop *loop);

#endif
