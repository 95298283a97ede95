// SPDX-License-Identifier: Apache-2.0
/* replay - a tape, played to a fresh scheduler: each event at its time, and whether it answers as it did
 * then.
 *
 *     for (enum tape_read read; (read = replay_next(replay, &step, &why)) == TAPE_READ;)
 *         ... step.event, step.actions, step.same, replay_sched(replay)
 *
 * Equal programs give equal answers. Another version of the policy may answer otherwise, and then the events
 * are those of a coordinator that did something else. From the first difference on, what the store says comes
 * from replay itself, right after it was asked: the store obeys the coordinator, and what it was asked then
 * is not what it is asked now. Workers' words are passed on as they are: the scheduler must make sense of
 * them. Pure: one tape in memory. */
#ifndef REPLAY_H
#define REPLAY_H

#include "sched.h"
#include "tape.h"

enum replay_kind {
    REPLAY_EVENT,
    REPLAY_SUPPOSE,
    REPLAY_REMOVE,
    REPLAY_STOP,
    REPLAY_PASSED, /* an event that cannot be: the store was not asked for it, nobody was given it */
};

struct replay_step {
    enum replay_kind kind;
    uint64_t number; /* of the event on the tape, from 1 */
    uint64_t now_us; /* step time */
    double seconds;  /* since the first event */
    /* EVENT; valid until the next replay_next */
    const struct sched_event *event; /* SUPPOSE, too */
    const struct sched_actions *actions;
    bool answered;         /* the tape has the answer of then: */
    bool same;             /* ... it is that of now, too */
    uint64_t actions_then; /* how many they were */
    uint64_t job;          /* REMOVE: is removed when the next step is asked for */
    char reason[sizeof((struct tape_record *)0)->reason]; /* STOP */
};

struct replay;

/* bytes must stay. As tape_reader_new; ERR_FORMAT also: it does not begin with a life, or one of absurd
 * tables.
 */
MUST_USE enum err replay_new(const uint8_t *bytes, size_t size, struct replay **replay, struct why *why);
void replay_free(struct replay **replay);

const struct tape_life *replay_life(const struct replay *replay);

/* The step has happened on return. Only TAPE_READ gives one; see tape.h for the others. */
enum tape_read replay_next(struct replay *replay, struct replay_step *step, struct why *why);

const struct sched *replay_sched(const struct replay *replay);

#endif
