// SPDX-License-Identifier: Apache-2.0
/* fetches - pieces of files that peers have asked for: models and inputs for workers, outputs for clients.
 * The clerk reads them; however many are asked for, only so many bytes are read and not yet taken at once, of
 * all peers and of one. First come, first served, but for those whose peer has not taken what it got. One
 * owner. */
#ifndef FETCHES_H
#define FETCHES_H

#include "clerk.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch {
    wire_peer peer;
    bool for_client; /* answered with REPLY, else with PIECE */
    uint64_t tag;    /* the PIECE's tag, the REPLY's request */
    char *path;      /* malloc'ed */
    uint64_t offset,
        base; /* in the file; base: where row 0 is, so that errors and totals are in the asker's terms */
    uint32_t length;
    uint64_t total;      /* what the PIECE says; 0 = the file's size */
    uint64_t file_bytes; /* as CLERK_READ's, 0 = not checked */
    int64_t mtime_ns;
    uint64_t asked_us; /* the caller's */
    struct fetch *next;
};

struct fetches;

struct fetches *fetches_new(struct clerk *clerk,
                            uint64_t bytes_max); /* NULL when out of memory; clerk is borrowed */
void fetches_free(struct fetches **fetches);

/* Take fetch (malloc'ed). */
void fetches_ask(struct fetches *fetches, struct fetch **fetch);

/* Hand what there is room for to the clerk: unread_bytes is what all peers have not taken, room says for each
 * fetch whether its peer has, and takes that down. Call once a turn. */
typedef bool fetches_room(void *context, const struct fetch *fetch);
void fetches_pump(struct fetches *fetches, uint64_t unread_bytes, fetches_room *room, void *context);
bool fetches_waiting(const struct fetches *fetches);

/* The clerk's answer to one of them: the fetch, yours to free with fetch_free. */
struct fetch *fetches_answered(struct fetches *fetches, const struct clerk_event *event);
void fetch_free(struct fetch **fetch);

#endif
