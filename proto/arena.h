// SPDX-License-Identifier: Apache-2.0
/* arena - a bounded bump allocator: many small takes, one reset. Pure but for malloc; one owner, not
 * thread-safe.
 *
 * Memory comes in chunks that never move, so what was taken stays where it is until the reset. A reset after
 * more than one chunk was needed makes one chunk of their sum: a steady state allocates nothing. */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; takes come from the first */
    size_t held_bytes;          /* of all chunks */
    size_t limit_bytes;         /* held_bytes never passes it */
};

void arena_init(struct arena *arena, size_t limit_bytes); /* allocates nothing yet */
void arena_fini(struct arena *arena);

/* size zeroed bytes, aligned for any type; NULL when the limit or the allocator says no. size 0 gives a valid
 * pointer. */
void *arena_take(struct arena *arena, size_t size);

/* Everything taken is gone; the memory is kept for the next takes. */
void arena_reset(struct arena *arena);

#endif
