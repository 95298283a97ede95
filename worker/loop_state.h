// SPDX-License-Identifier: Apache-2.0
/* loop_state - what the files of the loop share: loop.c (life and turns), loop_link.c (the connection, what
 * is sent), loop_hear.c (what is received), loop_act.c (the agent's actions, the executors' events). Private
 * to them. */
#ifndef LOOP_STATE_H
#define LOOP_STATE_H

#include "agent.h"
#include "cache.h"
#include "dialogue.h"
#include "executor.h"
#include "heap.h"
#include "home.h"
#include "job.h"
#include "loop.h"
#include "models.h"
#include "pieces.h"
#include "rng.h"
#include "wire.h"
#include "work.h"

/* One direction of an emulated link: bytes pass one after the other, then travel for half a round trip. */
struct link {
    double us_per_byte, half_rtt_us;
    uint64_t free_us; /* when the last byte so far has passed */
};

/* Attempts or results gathered in a turn. */
struct returned_list {
    uint64_t *at;
    uint32_t count, capacity;
};

struct result_list {
    struct work **at; /* NULL where the work was dropped meanwhile */
    uint32_t count, capacity;
};

struct event_queue {
    struct agent_event *at; /* a ring */
    size_t first, count, capacity;
};

struct loop {
    struct loop_config config;
    struct rng rng;
    void *context;
    struct agent *agent;
    struct agent_actions actions;
    struct event_queue events;
    bool feeding;

    struct wire *wire;            /* NULL between connections */
    enum dialogue_state dialogue; /* NEW: HELLO not said yet */
    bool lost;                    /* the connection is to be given up at the end of the turn */
    uint64_t reconnect_us, backoff_us;
    uint64_t greeted_us; /* HELLO sent */
    uint64_t welcomed_us;
    uint64_t term, session;
    uint64_t heartbeats; /* sent on this connection */
    uint64_t heartbeat_us;
    bool said, heard;    /* something, since the last heartbeat was due */
    uint32_t unsaid;     /* heartbeats left out in a row */
    uint64_t heard_us;   /* when the coordinator last said something */
    uint64_t silence_us; /* after which it is gone; 0 = nobody knows */
    uint64_t doubted_us; /* its silence was noticed; 0 = not */
    bool told_waiting;   /* the log says already that there is no coordinator */
    bool told_refused;   /* ... that it does not let us in */
    uint64_t started_us;

    uint32_t slots_count;
    struct executor *executors[SLOTS_MAX];
    struct home home;
    uint8_t uuid[HOME_UUID_BYTES]; /* the hello's worker points to it once it is known */
    struct stash *stash;           /* NULL: results are kept in memory alone */
    struct cache *cache;
    struct models models;
    uint32_t jobs_count;
    struct job *jobs[AGENT_JOBS_MAX];
    struct works works;
    struct pieces pieces;
    struct heap delays; /* works behind an emulated link */
    struct link down, up;
    struct result_list outgoing;
    struct batch *batch; /* loop_link.c's; kept from turn to turn */
    struct returned_list returned;
    uint32_t complaints; /* lines of a kind that a broken job could repeat without end */
};

/* ---- loop_link.c ---- */
void link_open(struct loop *loop);                     /* connect if it is time */
void link_greet(struct loop *loop);                    /* the socket can be written to: HELLO */
void link_lose(struct loop *loop, const char *reason); /* give the connection up at the end of the turn */
void link_settle(struct loop *loop); /* the end of the turn: send what was gathered, or give up */
uint64_t link_deadline_us(const struct loop *loop);
void link_say(struct loop *loop, const struct message *message);
void link_bye(struct loop *loop);
void link_ask_pieces(struct loop *loop);

/* ---- loop_hear.c ---- */
void hear_all(struct loop *loop); /* receive a bounded number of messages */

/* ---- loop_spool.c ---- */
void spool_begin(
    struct loop *loop); /* who we are, and what earlier lives left: before the first connection */
void spool_result(struct loop *loop, struct work *work); /* it ran: keep it with the next spool_write */
void spool_write(struct loop *loop);                     /* the end of the turn */
void spool_drop(struct loop *loop, struct work *work);
void spool_end(struct loop *loop);

/* ---- loop_act.c ---- */
void act_feed(struct loop *loop, const struct agent_event *event); /* and do what the agent then says */
void act_executor(struct loop *loop, uint32_t slot);               /* receive its events */
void act_due(struct loop *loop, uint64_t now_us);                  /* what an emulated link held back */
void act_on_piece(struct loop *loop, const struct piece *piece, const struct message_piece *message,
                  const void *bytes, size_t size);
struct job *act_find_job(const struct loop *loop, uint64_t number);

/* Log a thing that could happen very often: the first ones as warnings. */
void act_complain(struct loop *loop, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
