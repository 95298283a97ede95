// SPDX-License-Identifier: Apache-2.0
/* coordinator - everything that one coordinator has, and what all its sides need: giving the scheduler an
 * event and carrying out what it says, sending, refusing, telling. The sides are floor (workers), desk
 * (clients), ledger (store), publication, handout and fetches (clerk), recovery (start); loop drives them.
 * All of it belongs to the loop's thread.
 *
 *      workers -> floor --events--> sched --actions--> coordinator -> outbox -> workers
 *      clients -> desk ----^          ^                     |
 *                                     '--- ledger <--store--' */
#ifndef COORDINATOR_H
#define COORDINATOR_H

#include "classes.h"
#include "clerk.h"
#include "credit.h"
#include "events.h"
#include "fetches.h"
#include "jobs.h"
#include "log.h"
#include "outbox.h"
#include "peers.h"
#include "registry.h"
#include "roster.h"
#include "sched.h"
#include "store.h"
#include "tenants.h"
#include "view.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

struct answer;
struct gate;
struct held;
struct online;
struct recorder;
struct retention;
struct roots;

struct coordinator {
    char state_dir[PATH_MAX_BYTES];
    char nonce_path[PATH_MAX_BYTES + 8];
    char url[PATH_MAX_BYTES]; /* the first that we listen on, as bound */
    uint32_t heartbeat_ms;
    uint64_t silence_us;        /* a worker that says nothing for so long is lost */
    uint64_t backlog_max_bytes; /* results waiting for the disk, beyond which nothing is leased */

    void *context;     /* ZeroMQ's */
    struct gate *gate; /* who may connect */
    bool curve;        /* some address that we listen on is tcp */
    struct wire *wire;
    const struct roots *roots; /* where clients may name paths; NULL = anywhere */
    struct store *store;
    struct clerk *clerk;
    struct sched *sched;
    struct recorder *recorder; /* of the scheduler's events; NULL = off */

    struct peers *peers;
    struct roster *roster;
    struct jobs *jobs;
    struct registry *registry;
    struct tenants *tenants;
    struct classes *classes;
    struct outbox *outbox;
    struct events *events;
    struct fetches *fetches;
    struct credits *credits;
    uint64_t unread_us; /* when unread.c looks again */
    struct held *held;  /* handout.c's */
    struct online *online;
    struct retention *retention;

    uint64_t next_job;
    uint64_t now_us, started_us; /* monotonic; now_us is that of the turn */
    uint64_t flushed_us;         /* the outbox was emptied wholly */
    const struct answer *answer; /* the result that the scheduler is being told of; NULL = none */
    uint64_t comparing_bytes;    /* fresh rows that the clerk has, to be compared with stored ones */
    struct sched_actions actions;
    bool stepping;     /* actions are being carried out: they may not step again */
    bool doomed;       /* some peer is: see coordinator_flush */
    bool paused;       /* the scheduler is told to lease nothing: see coordinator_pace */
    bool slow;         /* as too much waits for the disk */
    bool choked;       /* much more than that: no message is read until the store has caught up */
    bool broken;       /* the store is: nothing more may be acknowledged */
    uint64_t grace_us; /* how long at most, 0 = default; see recovery_look */
    uint64_t grace_from_us, grace_until_us; /* until: 0 = none, or over */
    bool reoffered;                         /* in it, a worker came back with work in hand */
    char full[PATH_MAX_BYTES];              /* the path whose disk is full; "" = none */
    uint64_t complaints_us; /* start of the second in which complaints about peers are counted */
    uint32_t complaints;    /* in it; only the first few are logged */
    uint64_t notes_us;      /* until when the room for coordinator_mention was renewed */
    uint32_t notes_room, notes_left_out;
    uint64_t looked_us;         /* access.c: when it last looked whose keys had ended */
    char list_trouble[WHY_MAX]; /* what was said of the allow list last */
};

/* Read the clock: once a turn. */
void coordinator_wake(struct coordinator *coordinator);

/* Work pauses while the disk is full or slow and while workers are awaited after a start, and goes on when
 * none of that is so any more: to be called after any of it has changed. */
void coordinator_pace(struct coordinator *coordinator);

/* Tell the scheduler, carry out all it says. */
void coordinator_step(struct coordinator *coordinator, const struct sched_event *event);

/* To a peer; false if the transport refused it. To a worker: then it is doomed, and buried by
 * coordinator_bury. */
bool coordinator_send(struct coordinator *coordinator, wire_peer peer, const struct message *message);
void coordinator_send_worker(struct coordinator *coordinator, struct worker *worker,
                             const struct message *message);

/* The same with payload, which is counted against what the peer has not read (credit.h); taken, whatever
 * comes of it. */
bool coordinator_send_frames(struct coordinator *coordinator, wire_peer peer, const struct message *message,
                             struct wire_frame *frames, uint32_t frames_count);

/* Bytes that a peer was sent and has not read. */
uint64_t coordinator_unread(const struct coordinator *coordinator, wire_peer peer);

/* A peer is cut off at the end of the turn: its connection is closed, what is held for it is freed. why:
 * static. */
void coordinator_doom(struct coordinator *coordinator, wire_peer peer, const char *why);

/* Answer a request that has no payload to send; text is for a failure. */
void coordinator_reply(struct coordinator *coordinator, wire_peer peer, uint64_t request, enum err err,
                       const char *text, uint64_t number);

/* Send everything gathered in this turn, and lose the workers that could not be reached. */
void coordinator_flush(struct coordinator *coordinator);

/* REFUSED to a peer, logged, and its session is over if it is a worker's. */
void coordinator_refuse(struct coordinator *coordinator, wire_peer peer, enum err err, const char *text);

/* The same for what no honest peer sends: MESSAGE-REFUSED, counted. */
void coordinator_refuse_message(struct coordinator *coordinator, wire_peer peer, enum err err,
                                const char *text);

/* Log, and keep for `motley events`. */
void coordinator_note(struct coordinator *coordinator, enum log_level level, const char *id,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same about a peer's doing, at most a few times a second: what a peer can cause must not fill the log.
 */
void coordinator_complain(struct coordinator *coordinator, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same about what is told of all well-behaved peers, too: each is logged until hundreds came quickly. */
void coordinator_mention(struct coordinator *coordinator, enum log_level level, const char *id,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The worker is gone: tell the scheduler, forget the peer. */
void coordinator_lose(struct coordinator *coordinator, struct worker *worker, enum roster_state state,
                      const char *reason);

/* The record of a job, or of an online request; NULL: there is none. */
struct record *coordinator_record(const struct coordinator *coordinator, uint64_t job);

/* Send JOBS for a job that the worker was not told of. */
void coordinator_tell(struct coordinator *coordinator, struct worker *worker, struct record *record);

/* FORGET a job that is over, to every worker that was told of it. */
void coordinator_forget(struct coordinator *coordinator, uint64_t job);

/* The deadline of a job that was accepted at submitted_us (wall clock), in step time; 0 = none. */
uint64_t coordinator_deadline(const struct coordinator *coordinator, const struct message_submit *spec,
                              int64_t submitted_us);

/* What the scheduler is told of a job: SCHED_JOB_ADD. Its texts are spec's. ERR_FULL: too many tenants. */
MUST_USE enum err coordinator_job_event(struct coordinator *coordinator, const struct message_submit *spec,
                                        uint64_t number, uint32_t model, int64_t submitted_us,
                                        struct sched_event *event, struct why *why);

/* The file that holds an input's rows: a path of the coordinator's host. */
void coordinator_input_path(const struct coordinator *coordinator, const struct message_input *input,
                            char *path, size_t max);

/* What the views are made of. */
struct view coordinator_view(const struct coordinator *coordinator);

#endif
