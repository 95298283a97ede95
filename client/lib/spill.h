// SPDX-License-Identifier: Apache-2.0
/* spill - a nameless temporary file that is written front to back through a small buffer, and is gone with
 * its descriptor. In $TMPDIR, else /var/tmp (on a disk where /tmp may be memory), else /tmp. */
#ifndef SPILL_H
#define SPILL_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { SPILL_BUFFER = 256 << 10 };

struct spill {
    int fd;         /* -1 = closed */
    uint64_t bytes; /* written in all */
    size_t used;    /* of buffer */
    uint8_t *buffer;
};

#define SPILL_INIT                                                                                           \
    {                                                                                                        \
        -1, 0, 0, NULL                                                                                       \
    }

MUST_USE enum err spill_open(struct spill *spill, struct why *why);
MUST_USE enum err spill_write(struct spill *spill, const void *bytes, size_t size, struct why *why);
MUST_USE enum err spill_flush(struct spill *spill, struct why *why);

/* Flush, free the buffer, and hand the descriptor over (yours to close); the spill is closed. -1 on failure.
 */
int spill_finish(struct spill *spill, struct why *why);

void spill_close(struct spill *spill); /* idempotent */

/* An unlinked file, open for reading and writing. */
MUST_USE enum err spill_file(int *fd, struct why *why);

/* $TMPDIR, else /var/tmp, else /tmp. */
const char *spill_folder(void);

#endif
