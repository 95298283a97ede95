// SPDX-License-Identifier: Apache-2.0
/* agenda - what will happen in a world, by time and then by creation. Pure; O(log n); entries are taken from
 * blocks and used again, so that a steady state allocates nothing.
 *
 * A happening names the life (epoch) of what it belongs to: a connection, a worker's process, the
 * coordinator's process. When that life is over, it happens to nobody; it is not searched for and removed. */
#ifndef AGENDA_H
#define AGENDA_H

#include "agent.h"
#include "sched.h"

#include <stddef.h>

struct errand;

enum happening_type {
    HAPPENING_TO_COORDINATOR, /* a message arrives */
    HAPPENING_TO_AGENT,
    HAPPENING_DEVICE_DONE, /* a slot ends an errand */
    HAPPENING_INPUT_THERE,
    HAPPENING_AGENT_TIME,
    HAPPENING_SCHED_TIME,
    HAPPENING_COMMIT,
    HAPPENING_ANSWERED,
    HAPPENING_JOIN, /* a worker's process begins */
    HAPPENING_CONNECT,
    HAPPENING_SILENCE,     /* a connection that was silent since is given up */
    HAPPENING_RESET_HEARD, /* the worker finds out that its connection is gone */
    HAPPENING_FAULT_DIES,
    HAPPENING_FAULT_LEAVES,
    HAPPENING_BYE, /* a worker that leaves looks whether it is empty */
    HAPPENING_REBORN,
    HAPPENING_GRACE_OVER,
    HAPPENING_ARRIVES, /* worker: the job's index */
    HAPPENING_CANCELS,
    HAPPENING_DISK_FREE,
    HAPPENING_ACCIDENT,
};

/* What a worker says, or the disk: a struct sched_event without what is only said by owners of jobs, because
 * many of them are under way at a time. */
struct word {
    enum sched_event_type type;
    uint32_t worker, slot, model, settle;
    uint64_t job, attempt, term, first, count;
    uint64_t us; /* of the load, of the run */
    double alpha_us, beta_us, energy_joules;
    enum sched_failure failure;
    bool ok, proven, again, finished;
};

struct word word_of(const struct sched_event *event);
void word_say(const struct word *word, struct sched_event *event);

struct happening {
    enum happening_type type;
    uint32_t worker; /* index in the world */
    uint64_t epoch, order;
    struct happening *next; /* of the free ones */
    union {
        struct word to_sched;
        struct agent_event to_agent;
        struct errand *errand;
        uint64_t number;
    };
};

struct agenda_entry {
    uint64_t at_us, order;
    struct happening *happening;
};

struct agenda {
    struct agenda_entry *at;
    size_t count, capacity;
    uint64_t order;
    struct happening *spare;
    void *blocks;
};

void agenda_init(struct agenda *agenda);
void agenda_fini(struct agenda *agenda);

/* Put a fresh happening in; what its union holds is the caller's to fill. */
struct happening *agenda_add(struct agenda *agenda, uint64_t at_us, enum happening_type type, uint32_t worker,
                             uint64_t epoch);

/* Put one that was taken out in once more: it keeps its order among those of the same time. */
void agenda_again(struct agenda *agenda, struct happening *happening, uint64_t at_us);

/* Take the first one out, or NULL. Give it back with agenda_done, if not with agenda_again. */
struct happening *agenda_take(struct agenda *agenda, uint64_t *at_us);
void agenda_done(struct agenda *agenda, struct happening *happening);

#endif
