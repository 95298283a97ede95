// SPDX-License-Identifier: Apache-2.0
/* agent - the worker's state machine: what it holds for the coordinator and what it does next. Pure, like
 * sched.
 *
 * Each lease goes through:
 *
 *      QUEUED --inputs there--> READY --> RUNNING --> FINISHED --ACK--> forgotten
 *        |  \____ RECALL before RUNNING: RETURNED ____/    |
 *        '------- FORGET of its job, or ACK: dropped ------'   (a running one is dropped when it ends)
 *
 * Inputs of a lease come from shared storage (the loop maps the file: INPUT_READY at once) or in pieces
 * (FETCH, within the worker's byte credit, in lease order). The executor runs READY leases of a slot in
 * order. Finished results are kept until their ACK, and sent again after each reconnect. Nothing is forgotten
 * because a connection broke. While more bytes of results wait for their ACK than the configuration allows,
 * nothing new is run: leases wait, and the coordinator, whose windows are then full, gives no more.
 *
 * What an earlier life of the worker finished and kept on its disk is adopted at the start: it is FINISHED
 * like any other, but its job need not be known.
 *
 * A model without jobs stays warm for a while; one with jobs is unloaded when the coordinator wants its
 * memory, and loaded again by the next LOAD or lease. */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AGENT_ACTIONS_MAX = 512,
    AGENT_JOBS_MAX = 1024,
    AGENT_MODELS_MAX = 64, /* model numbers: EXECUTOR_MODELS_MAX */
    AGENT_LEASES_MAX = 8192,
    AGENT_POSTED_MAX = 15, /* RUNs of one slot that the executor has at once; with one LOAD and an UNLOAD of
                            * every model they fit its queue (EXECUTOR_QUEUE_MAX), because a model is unloaded
                            * again only after its next LOADED */
};

struct agent_config {
    uint32_t slots_count;
    uint64_t heartbeat_us;
    uint64_t credit_bytes;      /* input bytes requested or held and not yet run; one lease always may */
    uint64_t results_bytes_max; /* of results in memory that wait for their ACK, see above; 0 = no bound */
};

struct agent_lease {
    uint32_t slot;
    uint64_t job, first;
    uint32_t count;
    uint64_t term, attempt;
    uint8_t mac[16];
};

enum agent_event_type {
    AGENT_TICK,
    AGENT_CONNECTED, /* WELCOME came: term, session */
    AGENT_DISCONNECTED,
    AGENT_JOB,          /* job's row_bytes of all inputs together, and its model's number */
    AGENT_LOAD,         /* slot, job: its leases there run from now on what this loads: the job's model, or if
                           other, model */
    AGENT_MODEL_READY,  /* model is in the cache (ok) or cannot be had */
    AGENT_MODEL_LOADED, /* the executor's answer for slot and model */
    AGENT_LEASE,
    AGENT_INPUT_READY, /* attempt: all rows are in memory or mapped (ok), or cannot be read */
    AGENT_STARTED,     /* the executor began the attempt */
    AGENT_RAN,         /* the executor ended it (ok or not): the loop holds the result's bytes */
    AGENT_RECALL,
    AGENT_RECALLED, /* the loop's answer to AGENT_UNQUEUE: taken back, or too late */
    AGENT_ACK,
    AGENT_FORGET,   /* job */
    AGENT_UNLOAD,   /* slot, model: unless leases of it are held there */
    AGENT_PREFETCH, /* job: its model (or if other, model) is wanted in the cache, on no slot yet */
    AGENT_ADOPT,    /* lease: it ran well in an earlier life, the loop has the result; before the first
                       CONNECTED.    A lease that makes no sense here is dropped at once */
};

struct agent_event {
    enum agent_event_type type;
    uint32_t slot;
    uint64_t job;
    uint32_t model;
    uint64_t term, attempt;
    bool ok, other;
    uint64_t row_bytes;       /* JOB: of the inputs that must be fetched (0 where all of them are mapped) */
    uint64_t heartbeat_us;    /* CONNECTED: as WELCOME says; 0 = the configuration's */
    uint64_t result_bytes;    /* RAN: what its result takes in memory */
    struct agent_lease lease; /* LEASE, ADOPT */
};

enum agent_action_type {
    AGENT_GET_MODEL,         /* model: have it in the cache, then MODEL_READY (at once if it is there) */
    AGENT_LOAD_MODEL,        /* slot, model: post to the executor, then MODEL_LOADED */
    AGENT_SAY_LOADED,        /* slot, job, ok: send LOADED (the loop knows the figures) */
    AGENT_GET_INPUT,         /* lease: read or fetch its rows, then INPUT_READY */
    AGENT_RUN,               /* lease: post to the executor */
    AGENT_UNQUEUE,           /* slot, attempt: try executor_recall, then RECALLED */
    AGENT_SEND_RESULT,       /* lease, ok: send the result; keep its bytes until DROP */
    AGENT_SEND_INPUT_FAILED, /* lease: send a result with status INPUT */
    AGENT_SEND_RETURNED,     /* attempt */
    AGENT_DROP,              /* attempt: free its input and result bytes */
    AGENT_DROP_JOB,     /* job: its models are not used any more; close its files, once the leases of it that
                           still run are dropped too */
    AGENT_UNLOAD_MODEL, /* slot, model */
    AGENT_HEARTBEAT,    /* send one */
};

struct agent_action {
    enum agent_action_type type;
    uint32_t slot, model;
    uint64_t job, term, attempt;
    bool ok;
    struct agent_lease lease;
};

struct agent_actions {
    size_t count;
    struct agent_action at[AGENT_ACTIONS_MAX];
};

struct agent;
struct agent *agent_new(const struct agent_config *config);
void agent_free(struct agent **agent);

/* As sched_step: events in, actions out; what does not fit stays inside and agent_deadline_us is then now. */
void agent_step(struct agent *agent, uint64_t now_us, const struct agent_event *event,
                struct agent_actions *out);
uint64_t agent_deadline_us(const struct agent *agent);
void agent_check(const struct agent *agent);

/* What is still held (for HELLO's attempts): calls visit for each, finished ones included, in order of
 * receipt. */
void agent_held(const struct agent *agent,
                void (*visit)(void *context, const struct agent_lease *lease, bool finished), void *context);
uint32_t agent_held_count(const struct agent *agent);

/* The attempt running on slot and since when; false when idle. For heartbeats. */
bool agent_running(const struct agent *agent, uint32_t slot, uint64_t *attempt, uint64_t *since_us);

#endif
