// SPDX-License-Identifier: Apache-2.0
/* pieces - FETCH questions: those to be asked, in order, and the few that wait for their PIECE. Nothing is
 * lost with a connection: what was asked on it is asked again first on the next. Pure, one owner. */
#ifndef PIECES_H
#define PIECES_H

#include "bounds.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct work;

/* A piece of a model (work NULL) or of an input's rows. */
struct piece {
    struct work *work;
    uint32_t input; /* of the work's job */
    uint32_t model; /* the loop's number, where work is NULL */
    uint64_t offset;
    uint32_t length;
    uint64_t tag;  /* once asked */
    bool unwanted; /* its owner is gone: the answer is thrown away */
};

struct pieces {
    struct piece *queue; /* a ring */
    size_t first, count, capacity;
    struct piece asked[PIECES_IN_FLIGHT];
    uint32_t asked_count;
    uint64_t next_tag;
};

void pieces_init(struct pieces *pieces);
void pieces_fini(struct pieces *pieces);

/* False when out of memory. */
bool pieces_add(struct pieces *pieces, const struct piece *piece);

/* May another be asked now? */
bool pieces_room(const struct pieces *pieces);

/* The next to ask, tagged; false when there is none or no room. */
bool pieces_next(struct pieces *pieces, struct piece *piece);

/* The question of that tag, which is then settled; false if there is none: a late or invented answer. */
bool pieces_answer(struct pieces *pieces, uint64_t tag, struct piece *piece);

/* The connection broke. */
void pieces_again(struct pieces *pieces);

/* The owner is gone. */
void pieces_forget_work(struct pieces *pieces, const struct work *work);
void pieces_forget_model(struct pieces *pieces, uint32_t model);

#endif
