// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES_MIN = 16 << 10, ALIGNMENT = alignof(max_align_t) };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){ .limit_bytes = limit_bytes };
}

static void free_chunks(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->held_bytes = 0;
}

void arena_fini(struct arena *arena) { free_chunks(arena); }

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
    size_t room = arena->limit_bytes - arena->held_bytes;
    if (size > room)
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){ .next = arena->chunks, .size = size };
    arena->chunks = chunk;
    arena->held_bytes += size;
    return chunk;
}

/* A chunk that takes size bytes: twice what is held, so that their number stays logarithmic, but never over
 * the limit. */
static struct arena_chunk *grow(struct arena *arena, size_t size)
{
    size_t wanted = arena->held_bytes > CHUNK_BYTES_MIN ? arena->held_bytes : CHUNK_BYTES_MIN;
    size_t room = arena->limit_bytes - arena->held_bytes;
    if (wanted > room)
        wanted = room;
    return add_chunk(arena, wanted > size ? wanted : size);
}

void *arena_take(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = grow(arena, size);
    if (!chunk)
        return NULL;
    void *taken = chunk->bytes + chunk->used;
    chunk->used += size;
    return memset(taken, 0, size);
}

void arena_reset(struct arena *arena)
{
    if (!arena->chunks)
        return;
    if (arena->chunks->next) {
        size_t held_bytes = arena->held_bytes;
        free_chunks(arena);
        (void)add_chunk(arena, held_bytes); /* without it the next take allocates: slower, not wrong */
    } else {
        arena->chunks->used = 0;
    }
}
