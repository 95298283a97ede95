// SPDX-License-Identifier: Apache-2.0
/* peers - who is connected, by the number that the socket gave the connection: where its dialogue stands and
 * what we know of it. A peer that was never heard of is DIALOGUE_NEW and has no entry. One owner; bounded. */
#ifndef PEERS_H
#define PEERS_H

#include "credit.h"
#include "dialogue.h"
#include "key.h"
#include "role.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    wire_peer id;
    enum dialogue_state state;
    uint32_t worker;               /* WORKER: its number in the roster */
    bool same_host;                /* CLIENT: it read our nonce, so it may name paths */
    uint32_t pieces;               /* FETCH or BLOB_PUT that it waits for */
    bool uploads;                  /* CLIENT: it has named blobs, and may be about to submit them */
    uint64_t reading;              /* bytes that are being read from the disk for it */
    struct credit *credit;         /* what it was sent and has not read; NULL = nothing yet */
    uint64_t progress, stalled_us; /* of its credit when it was last looked at, and since when it is that */
    const char *doom;              /* why it is cut off at the end of the turn; NULL = it is not */
    bool keyed; /* it came by CURVE, with this key, which was for this role then; else by ipc */
    enum role role;
    uint8_t key[KEY_BYTES];
};

struct peers;

struct peers *peers_new(size_t max); /* NULL when out of memory */
void peers_free(struct peers **peers);

/* NULL when unknown. Valid until the next add or remove. */
struct peer *peers_find(const struct peers *peers, wire_peer id);

/* A fresh entry, or the present one; NULL when the table is full. */
struct peer *peers_add(struct peers *peers, wire_peer id, enum dialogue_state state);

/* It uploads; and how many do. */
void peers_note_upload(struct peers *peers, struct peer *peer);
size_t peers_uploading(const struct peers *peers);

void peers_remove(struct peers *peers, wire_peer id); /* nothing happens if it is not there */
size_t peers_count(const struct peers *peers);

/* All of them: *at begins as 0; NULL after the last. Valid until the next add or remove. */
struct peer *peers_next(const struct peers *peers, size_t *at);

#endif
