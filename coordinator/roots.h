// SPDX-License-Identifier: Apache-2.0
/* roots - the folders of the coordinator's host in which clients may name inputs and outputs (--root).
 * Without any, those who may name paths at all (who read the nonce) may name all. Links are followed before
 * it is judged, once, when the job is accepted: whoever can replace folders inside a root can lead later
 * reads elsewhere. */
#ifndef ROOTS_H
#define ROOTS_H

#include "bounds.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum { ROOTS_MAX = 16 };

struct roots {
    uint32_t count;
    char at[ROOTS_MAX][PATH_MAX_BYTES]; /* absolute, without links */
};

/* ERR_USAGE: more than ROOTS_MAX, or not a folder. */
MUST_USE enum err roots_add(struct roots *roots, const char *path, struct why *why);

/* roots may be NULL: no limit. Reading: the file is there. ERR_REFUSED names the roots. */
MUST_USE enum err roots_check(const struct roots *roots, const char *path, struct why *why);

#endif
