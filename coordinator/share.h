// SPDX-License-Identifier: Apache-2.0
/* share - what one slot did in one job, with the names it has in the report. It outlives the worker and the
 * coordinator: its packed form is the journal's tally row, found by share_key. Live figures are the
 * scheduler's; `past` holds those of earlier lives, or all of them once the job is over. Pure. */
#ifndef SHARE_H
#define SHARE_H

#include "bounds.h"
#include "messages.h"
#include "sched.h"
#include "tally.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARE_KEY_MAX = 64, SHARE_PAST_ONLY = UINT32_MAX };

struct share {
    uint8_t worker[UUID_BYTES];
    uint32_t slot;
    uint32_t number; /* of the worker in this life; SHARE_PAST_ONLY when the scheduler knows nothing of it */
    char *worker_name, *device, *kind, *runtime, *variant; /* never NULL */
    uint8_t *past;                                         /* packed tally; NULL = none */
    uint32_t past_size;
    uint64_t told; /* share_mark of what the journal has */
};

/* Fill a zeroed share for a slot of a worker that said hello; variant is what it runs of the model.
 * ERR_MEMORY leaves it zeroed. */
MUST_USE enum err share_init(struct share *share, uint32_t number, const struct message_hello *hello,
                             uint32_t slot, const char *variant);
void share_fini(struct share *share);

/* past and live together. sched may be NULL. */
void share_tally(const struct share *share, const struct sched *sched, uint64_t job, struct tally *tally);

/* From now on all is past: the scheduler is about to forget the job. ERR_MEMORY: the old past stays. */
MUST_USE enum err share_settle(struct share *share, const struct tally *tally);

/* Changes whenever the figures do. */
uint64_t share_mark(const struct tally *tally);

/* The journal's key and value. Unpack fills a zeroed share: ERR_FORMAT for bytes that are none, ERR_MEMORY.
 */
void share_key(const struct share *share, char key[SHARE_KEY_MAX]);
MUST_USE enum err share_pack(const struct share *share, const struct tally *tally, uint8_t **value,
                             size_t *size);
MUST_USE enum err share_unpack(struct share *share, const char *key, const uint8_t *value, size_t size);

#endif
