// SPDX-License-Identifier: Apache-2.0
/* roll - fleet.json in the state directory: which processes a fleet on this machine consists of, and where
 * its coordinator listens.
 *
 *     {"url":"ipc://...","listen":"tcp://0.0.0.0:7117" or null,"short":"/tmp/motley-x" or null,"boot":"...",
 *      "processes":[{"role":"supervisor","name":"","pid":1,"start":2}, {"role":"coordinator",...},
 *                   {"role":"worker","name":"lab-1",...}]}
 *
 * libmotley reads the url; `motley down` the processes, also when some or all of them are dead. */
#ifndef ROLL_H
#define ROLL_H

#include "address.h"
#include "bounds.h"
#include "fleet.h"
#include "process.h"

#include <stddef.h>

struct roll_entry {
    char role[16]; /* supervisor, coordinator, worker */
    char name[FLEET_NAME_MAX];
    struct process process;
};

struct roll {
    char url[ADDRESS_MAX];
    char listen[ADDRESS_MAX];       /* what it listens on besides, for others; "" = nothing */
    char short_dir[PATH_MAX_BYTES]; /* a short name for a long state directory, to be removed with the fleet;
                                       "" = none */
    size_t count;
    struct roll_entry *entries;
};

/* ERR_NOT_FOUND: there is none. Processes of an earlier boot come as none. roll_free in any case. */
MUST_USE enum err roll_read(const char *state_dir, struct roll *roll, struct why *why);
MUST_USE enum err roll_write(const char *state_dir, const struct roll *roll, struct why *why);
void roll_free(struct roll *roll);

/* How many of its processes live. */
size_t roll_living(const struct roll *roll);

/* Remove the file and the short name. */
void roll_remove(const char *state_dir, const struct roll *roll);

#endif
