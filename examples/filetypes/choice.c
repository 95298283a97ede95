// SPDX-License-Identifier: Apache-2.0
#include "choice.h"

#include "heap.h"
#include "rng.h"

#include <fts.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct candidate {
    struct heap_item item; /* the heap's first is the one with the largest hash: the next to be thrown out */
    char *path;
};

static uint64_t hash_of(const char *path)
{
    uint64_t hash = 0;
    for (const char *at = path; *at; at++)
        hash = rng_mix64(hash ^ (uint8_t)*at);
    return hash;
}

static bool wanted(const FTSENT *entry)
{
    return entry->fts_statp->st_size > 0 && !strchr(entry->fts_path, '\n') &&
           access(entry->fts_accpath, R_OK) == 0;
}

/* The candidate to fill: a fresh one while there is room, else the worst so far, emptied. */
static struct candidate *place_for(struct heap *heap, struct candidate *pool, size_t limit)
{
    if (heap->count < limit)
        return &pool[heap->count];
    struct candidate *worst = (struct candidate *)heap_first(heap);
    heap_remove(heap, &worst->item);
    free(worst->path);
    return worst;
}

static enum err offer(struct heap *heap, struct candidate *pool, const FTSENT *entry, uint64_t seen,
                      size_t limit)
{
    uint64_t key = UINT64_MAX - hash_of(entry->fts_path);
    bool full = heap->count == limit;
    if ((full && heap_first(heap)->key >= key) || !wanted(entry))
        return ERR_OK;
    char *path = strdup(entry->fts_path);
    if (!path)
        return ERR_MEMORY;
    struct candidate *place = place_for(heap, pool, limit);
    *place = (struct candidate){ .item = { .id = seen, .index = HEAP_ABSENT }, .path = path };
    heap_set(heap, &place->item, key);
    return ERR_OK;
}

/* A folder named by the caller must be there; what cannot be entered further down is passed over. */
static enum err walk(struct choice *choice, FTS *tree, struct heap *heap, struct candidate *pool,
                     size_t limit, struct why *why)
{
    for (FTSENT *entry = fts_read(tree); entry; entry = fts_read(tree)) {
        if (entry->fts_level == 0 && (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR))
            return why_set(why, ERR_FILE, "%s: cannot be entered: %s", entry->fts_path,
                           strerror(entry->fts_errno));
        if (entry->fts_info != FTS_F)
            continue;
        choice->files_seen++;
        if (offer(heap, pool, entry, choice->files_seen, limit))
            return why_set(why, ERR_MEMORY, "no memory for the names of %zu files", limit);
    }
    return ERR_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static enum err gather(struct choice *choice, const struct candidate *pool, size_t count, struct why *why)
{
    choice->paths = calloc(count ? count : 1, sizeof *choice->paths);
    if (!choice->paths)
        return why_set(why, ERR_MEMORY, "no memory for the names of %zu files", count);
    for (size_t i = 0; i < count; i++)
        choice->paths[i] = pool[i].path;
    choice->count = count;
    qsort(choice->paths, count, sizeof *choice->paths, by_name);
    return ERR_OK;
}

enum err choice_make(struct choice *choice, char *const *folders, size_t limit, struct why *why)
{
    struct heap heap;
    heap_init(&heap);
    memset(choice, 0, sizeof *choice);
    struct candidate *pool = calloc(limit, sizeof *pool);
    FTS *tree = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum err err = !pool || !tree || heap_reserve(&heap, limit)
                       ? why_set(why, ERR_MEMORY, "no memory for a choice of %zu files", limit)
                       : walk(choice, tree, &heap, pool, limit, why);
    if (!err)
        err = gather(choice, pool, heap.count, why);
    for (size_t i = 0; err && pool && i < limit; i++)
        free(pool[i].path);
    if (tree)
        fts_close(tree);
    free(pool);
    heap_fini(&heap);
    return err;
}

void choice_fini(struct choice *choice)
{
    for (size_t i = 0; i < choice->count; i++)
        free(choice->paths[i]);
    free(choice->paths);
    memset(choice, 0, sizeof *choice);
}
