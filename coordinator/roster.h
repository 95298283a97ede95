// SPDX-License-Identifier: Apache-2.0
/* roster - the workers that have said HELLO in this life of the coordinator, as they described themselves. A
 * worker keeps its number over reconnects and restarts (it is known by its uuid), and its record after it
 * left, for reports. Those that are here are also in the order in which they were last heard, so that silence
 * is found without looking at the others. One owner; bounded. */
#ifndef ROSTER_H
#define ROSTER_H

#include "messages.h"
#include "trail.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum roster_state {
    ROSTER_UP,
    ROSTER_LOST, /* its connection closed, or it said nothing */
    ROSTER_LEFT, /* it said BYE */
};

/* What a slot ran when its worker said so last. */
struct worker_run {
    uint64_t attempt; /* 0 = nothing */
    uint64_t elapsed_us;
};

struct worker {
    uint32_t number; /* the scheduler's name for it */
    uint8_t uuid[UUID_BYTES];
    char name[NAME_MAX_BYTES];
    enum roster_state state;
    bool serving;        /* the scheduler was told of it: its PROOF came */
    bool shares_storage; /* it read our nonce, so it can read our files */
    bool doomed;         /* a message to it was refused: it is lost at the end of the turn */
    bool draining;       /* it gets nothing new, over reconnects, until it is resumed */
    wire_peer peer;
    bool bound; /* the process belongs to this key (all zero: ipc) in this life */
    uint8_t key[KEY_BYTES];
    uint8_t holder[UUID_BYTES]; /* both in one: what is under the MACs of its leases */
    struct trail trail;
    uint64_t session;                /* unique per HELLO */
    uint64_t life;                   /* of its process; 0 = it does not say */
    bool undrained;                  /* this process took the place of one that was being drained */
    uint64_t heard_us;               /* monotonic; see roster_heard */
    uint64_t told_us;                /* when something was last sent to it */
    struct worker *quieter, *louder; /* among those that are here: heard before, after */
    int64_t joined_us, left_us;      /* wall clock; left_us 0 = it is here */
    uint64_t memory_free_bytes;      /* as of its last heartbeat; 0 = unknown */
    uint32_t slots_count;
    uint32_t formats; /* of all its slots: bits of enum sched_format */

    uint8_t *hello; /* the encoded HELLO, without the attempts once it serves */
    size_t hello_size;
    size_t told_count, told_capacity;
    uint64_t *told;     /* jobs that it was sent, ascending */
    uint64_t share_job; /* the last lease's job, and for each slot its share there; see worker_share */
    size_t *shares;
    uint64_t *barred_until_us; /* for each slot, monotonic; 0 = it is trusted */
    struct worker_run *runs;   /* for each slot */
    uint64_t runs_us;          /* when it said so, monotonic; 0 = not yet */
};

struct roster;

struct roster *roster_new(uint32_t max); /* NULL when out of memory */
void roster_free(struct roster **roster);

/* Take down a HELLO from peer: a new record, or the process's old one brought up again. The caller has ended
 * the old session. ERR_FULL: the roster has max workers; ERR_FORMAT: the HELLO contradicts itself (a slot on
 * no device, slots not numbered from 0) or what the process said before (another number of slots). What it
 * was told of jobs stands until worker_untell. A process that is new here is draining if it says so; of one
 * that was known, what was known stands. It counts as silent since ever until roster_heard. */
MUST_USE enum err roster_greet(struct roster *roster, wire_peer peer, const struct message_hello *hello,
                               struct worker **worker, struct why *why);

/* A worker that is here said something. */
void roster_heard(struct roster *roster, struct worker *worker, uint64_t now_us);

/* Of those that are here the one that was silent for longest; NULL: nobody is here. */
struct worker *roster_quietest(const struct roster *roster);

/* It went: lost or left. It was up; the record stays. */
void roster_dismiss(struct roster *roster, struct worker *worker, enum roster_state state, int64_t wall_us);

uint32_t roster_count(const struct roster *roster); /* all, gone ones too: numbers 0 .. count-1 */
struct worker *roster_at(const struct roster *roster, uint32_t number); /* NULL: no such number */
struct worker *roster_find(const struct roster *roster, const uint8_t uuid[UUID_BYTES]);
struct worker *roster_find_name(const struct roster *roster,
                                const char *name); /* an up one before a gone one */
/* By name or id (its uuid, with or without dashes). */
struct worker *roster_find_word(const struct roster *roster, const char *which);
uint32_t roster_up_count(const struct roster *roster);
uint32_t roster_up_slots(const struct roster *roster);
uint32_t roster_up_formats(const struct roster *roster); /* bits that some slot here has */

/* What it said. A look: valid until the next worker_hello of the same roster. */
const struct message_hello *worker_hello(struct roster *roster, const struct worker *worker);

/* Drop the attempts that its HELLO offered: they were dealt with. */
void worker_settle_hello(struct roster *roster, struct worker *worker);

/* Note that the worker knows job. True if it is news. Out of memory counts as news: it may be told twice. */
bool worker_tell(struct worker *worker, uint64_t job);
bool worker_untell(struct worker *worker, uint64_t job); /* true if it knew */

/* Bit set of enum sched_format for a slot's formats; words that we do not know have none. */
uint32_t roster_formats(const struct message_slot *slot);

const char *roster_state_name(enum roster_state state);

#endif
