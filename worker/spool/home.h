// SPDX-License-Identifier: Apache-2.0
/* home - the folder that a worker process has to itself, and what it is called in it: what a worker keeps
 * over its restarts.
 *
 *     <state>/workers/<name>/lock       locked by the process that lives there
 *     <state>/workers/<name>/identity   its UUID, and what devices it had when that was made
 *     <state>/workers/<name>/spool/     see stash.h
 *
 * A second process of the same name finds the folder taken and lives in <name>.2, and so on. Leases prove
 * that they were given to a UUID, so a worker that comes back under the same one may go on with what it has.
 * A worker whose devices changed is another worker: its slots' numbers mean something else, and it gets a new
 * UUID. */
#ifndef HOME_H
#define HOME_H

#include "err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { HOME_UUID_BYTES = 16, HOME_DIGEST_BYTES = 32 };

struct home {
    char path[PATH_MAX];
    int lock_fd; /* -1: none */
};

/* Find a folder that no living process has, making it if need be, and lock it. name is any text. ERR_FILE;
 * ERR_FULL: no room on the disk, or a thousand workers of that name live. */
MUST_USE enum err home_open(const char *state_dir, const char *name, struct home *home, struct why *why);
void home_close(struct home *home);

/* The UUID of the worker that has the devices of that digest and lives here: the one that was kept (*kept),
 * or a fresh one. Failing to keep a fresh one is an error too; uuid is then set all the same. */
MUST_USE enum err home_identity(const struct home *home, const uint8_t digest[HOME_DIGEST_BYTES],
                                uint8_t uuid[HOME_UUID_BYTES], bool *kept, struct why *why);

#endif
