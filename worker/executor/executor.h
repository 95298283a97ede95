// SPDX-License-Identifier: Apache-2.0
/* executor - one thread per slot that does what may block: open the runtime, load models, run batches.
 *
 *     loop:  post -> [queue] -> thread: load, run, unload -> [events] -> receive
 *               recall <-|                                      |-> executor_fd is readable while one waits
 *
 * The loop posts commands and the executor answers each with exactly one event, in order; a RUN has a STARTED
 * before its RAN. Both queues are bounded and lie behind one mutex, because recall must take a command back
 * atomically; the loop never waits for a runtime in it. They share no memory but the buffers named in a
 * command, which have one owner at a time: a command's owner is the executor until its event is received.
 * Commands queue (a window's worth), so that the device never waits for the loop. The thread blocks all
 * signals. All functions are for one loop thread. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "runtime.h"

#include <stdbool.h>
#include <stdint.h>

enum executor_command_type { EXECUTOR_LOAD, EXECUTOR_UNLOAD, EXECUTOR_RUN };

struct executor_command {
    enum executor_command_type type;
    uint64_t tag;       /* the caller's, handed back in the event: an attempt for RUN */
    uint32_t model;     /* the caller's number for the model, < EXECUTOR_MODELS_MAX */
    const char *path;   /* LOAD: the file, NULL for built-in; borrowed until the event */
    struct batch_in in; /* RUN: rows borrowed until the event */
};

enum executor_event_type {
    EXECUTOR_OPENED,
    EXECUTOR_LOADED,
    EXECUTOR_UNLOADED,
    EXECUTOR_STARTED,
    EXECUTOR_RAN
};

struct executor_event {
    enum executor_event_type
        type; /* STARTED: a RUN left the queue and is on the device now (an extra event before its RAN) */
    uint64_t tag;
    uint32_t model;
    enum err err; /* OPENED, LOADED, RAN; why is set with it */
    struct why why;
    uint64_t load_us;                 /* LOADED */
    struct model_signature signature; /* LOADED */
    struct runtime_measure measure;   /* LOADED */
    uint64_t started_us;              /* RAN: monotonic */
    struct batch_out out;             /* RAN with ERR_OK: the receiver owns the buffers */
};

enum { EXECUTOR_MODELS_MAX = 64, EXECUTOR_QUEUE_MAX = 80 };

struct executor;

/* Start the thread; it opens the slot and reports EXECUTOR_OPENED. After a failed open every command is
 * answered with its error. config is copied, what it points to is borrowed for the executor's life. */
MUST_USE enum err executor_new(const struct runtime_ops *ops, const struct runtime_config *config,
                               struct executor **executor, struct why *why);

/* Drop queued commands, cancel the running one, join the thread, free what was not received. Idempotent. A
 * load that the runtime cannot cancel is waited for. */
void executor_free(struct executor **executor);

/* The descriptor to poll for events (POLLIN, ZMQ_POLLIN): readable while executor_receive would give one. */
int executor_fd(const struct executor *executor);

/* Queue a command (copied). At most EXECUTOR_QUEUE_MAX may be unanswered (ENSURE). LOAD takes a model number
 * that is not loaded (ENSURE); RUN of one that is not loaded, because its load failed, is answered with
 * ERR_NOT_FOUND. */
void executor_post(struct executor *executor, const struct executor_command *command);

/* Receive one event without blocking; false when there is none. */
bool executor_receive(struct executor *executor, struct executor_event **event);
void executor_event_free(struct executor_event **event); /* frees out's buffers too, if still there */

/* Take a queued RUN back before it starts. True: it will not run and no RAN comes. False: it runs or has run;
 * RAN comes. */
bool executor_recall(struct executor *executor, uint64_t tag);

#endif
