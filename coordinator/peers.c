// SPDX-License-Identifier: Apache-2.0
/* Open addressing with linear probing; removal shifts the run back, so that there are no tombstones and a
 * table that lives for months stays as fast as a new one. At most three quarters full. */
#include "peers.h"

#include "ensure.h"
#include "rng.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

struct peers {
    size_t max, count, capacity; /* capacity: a power of two */
    size_t uploading;
    struct peer *at; /* id 0 = empty */
};

struct peers *peers_new(size_t max)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (!peers)
        return NULL;
    peers->max = max;
    peers->capacity = CAPACITY_MIN;
    peers->at = calloc(peers->capacity, sizeof *peers->at);
    if (!peers->at)
        peers_free(&peers);
    return peers;
}

void peers_free(struct peers **peers)
{
    for (size_t i = 0; *peers && (*peers)->at && i < (*peers)->capacity; i++)
        if ((*peers)->at[i].id)
            credit_drop(&(*peers)->at[i].credit);
    if (*peers)
        free((*peers)->at);
    free(*peers);
    *peers = NULL;
}

/* Where id is, or the empty place where it would go. */
static size_t place(const struct peer *at, size_t capacity, wire_peer id)
{
    size_t index = (size_t)rng_mix64(id) & (capacity - 1);
    while (at[index].id && at[index].id != id)
        index = (index + 1) & (capacity - 1);
    return index;
}

struct peer *peers_find(const struct peers *peers, wire_peer id)
{
    struct peer *peer = &peers->at[place(peers->at, peers->capacity, id)];
    return id && peer->id ? peer : NULL;
}

static bool grow(struct peers *peers)
{
    size_t capacity = peers->capacity * 2;
    struct peer *at = calloc(capacity, sizeof *at);
    if (!at)
        return false;
    for (size_t i = 0; i < peers->capacity; i++)
        if (peers->at[i].id)
            at[place(at, capacity, peers->at[i].id)] = peers->at[i];
    free(peers->at);
    peers->at = at;
    peers->capacity = capacity;
    return true;
}

struct peer *peers_add(struct peers *peers, wire_peer id, enum dialogue_state state)
{
    struct peer *peer = peers_find(peers, id);
    if (!peer) {
        if (!id || peers->count == peers->max)
            return NULL;
        if (4 * (peers->count + 1) > 3 * peers->capacity && !grow(peers))
            return NULL;
        peer = &peers->at[place(peers->at, peers->capacity, id)];
        peers->count++;
    }
    peers->uploading -= peer->id && peer->uploads;
    if (peer->id)
        credit_drop(&peer->credit);
    *peer = (struct peer){ .id = id, .state = state };
    return peer;
}

void peers_remove(struct peers *peers, wire_peer id)
{
    struct peer *peer = peers_find(peers, id);
    if (!peer)
        return;
    peers->uploading -= peer->uploads;
    credit_drop(&peer->credit);
    size_t mask = peers->capacity - 1, hole = (size_t)(peer - peers->at);
    for (size_t next = (hole + 1) & mask; peers->at[next].id; next = (next + 1) & mask) {
        size_t home = (size_t)rng_mix64(peers->at[next].id) & mask;
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            peers->at[hole] = peers->at[next];
            hole = next;
        }
    }
    peers->at[hole].id = 0;
    peers->count--;
}

size_t peers_count(const struct peers *peers) { return peers->count; }

struct peer *peers_next(const struct peers *peers, size_t *at)
{
    while (*at < peers->capacity && !peers->at[*at].id)
        ++*at;
    return *at < peers->capacity ? &peers->at[(*at)++] : NULL;
}

void peers_note_upload(struct peers *peers, struct peer *peer)
{
    peers->uploading += !peer->uploads;
    peer->uploads = true;
}

size_t peers_uploading(const struct peers *peers) { return peers->uploading; }
