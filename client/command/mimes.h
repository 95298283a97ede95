// SPDX-License-Identifier: Apache-2.0
/* mimes - a crowd of workers without devices in one thread of this process, each with a connection of its
 * own: what a benchmark hangs on a coordinator to measure that alone. See mime.h for what one does.
 *
 *      mimes_start --> (thread: connect, HELLO, work) --> mimes_look ... --> mimes_stop */
#ifndef MIMES_H
#define MIMES_H

#include "key.h"
#include "mime.h"

struct mimes_plan {
    const char *url;
    const uint8_t *server_half; /* of the one who listens there */
    const struct key *key;      /* of all of them, borrowed until the start returns */
    uint32_t workers;
    struct mime_plan each;
    bool begins; /* the other end leases nothing by itself (echo.h): mime_begin */
};

/* Sums over all of them. */
struct mimes_counts {
    uint32_t greeted, welcome,
        lost; /* greeted: said HELLO; lost: were, and are no longer connected, or were refused */
    uint64_t leased, finished, acknowledged;
};

struct mimes;

MUST_USE enum err mimes_start(const struct mimes_plan *plan, struct mimes **mimes, struct why *why);
void mimes_look(const struct mimes *mimes, struct mimes_counts *counts); /* any thread */
double mimes_cpu_seconds(const struct mimes *mimes);                     /* of the thread so far */
void mimes_stop(struct mimes **mimes);

#endif
