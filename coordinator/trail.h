// SPDX-License-Identifier: Apache-2.0
/* trail - what one worker was told of in this life of the coordinator, and what it has said: by which a
 * worker that asks for what is none of its business, or says an old thing again, is found out. Pure.
 *
 * Jobs leave when they are forgotten; models stay, as a fetch may be on its way when their last job ends. The
 * acknowledged attempts of a session are kept by their number's last bits: the newest of each, so a
 * repetition of an old one may pass for new, and is then what any late result is. */
#ifndef TRAIL_H
#define TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRAIL_ACKED = 256 };

struct trail_set {
    size_t count, capacity;
    uint64_t *at; /* ascending */
};

struct trail {
    struct trail_set jobs, models;
    uint64_t *acked; /* TRAIL_ACKED of them: attempt + 1, or 0; NULL = none yet */
};

void trail_fini(struct trail *trail);

/* Out of memory they forget: what was met then is a stranger, and a repetition passes for new. */
void trail_meet(struct trail_set *set, uint64_t number);
void trail_part(struct trail_set *set, uint64_t number);
bool trail_has_met(const struct trail_set *set, uint64_t number);

void trail_begin(struct trail *trail); /* a new session: what was acknowledged may be said again */
void trail_ack(struct trail *trail, uint64_t attempt);
bool trail_was_acked(const struct trail *trail, uint64_t attempt);

#endif
