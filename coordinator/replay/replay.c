// SPDX-License-Identifier: Apache-2.0
#include "replay.h"

#include <stdlib.h>
#include <string.h>

enum { WORKERS_SANE = 1 << 22, SLOTS_SANE = 1 << 26, JOBS_SANE = 1 << 24 };
static const uint64_t TERM_SANE = 1u << 23;

struct asked { /* a STORE or FAIL that has no answer yet */
    uint64_t now_us, job, first, count;
    uint32_t settle;
};

struct replay {
    struct tape_reader *reader;
    struct tape_life life;
    struct sched *sched;
    uint64_t steps, first_us, now_us;
    uint64_t remove; /* this job, before the next step; 0 = none */
    bool other_way;  /* than then: some answer differed */
    uint64_t given;  /* the last attempt */
    bool out_of_memory;
    size_t asked_first, asked_count, asked_capacity;
    struct asked *asked; /* oldest first */
    bool ahead;          /* read, record and why are what comes next */
    enum tape_read read;
    struct why why;
    struct tape_record record;
    struct sched_event event;
    struct sched_actions actions;
};

/* ---- life ---- */

static enum err begin(struct replay *replay, struct why *why)
{
    struct tape_record record;
    struct why reason = { "" };
    enum tape_read read = tape_next(replay->reader, &record, &reason);
    if (read == TAPE_END || read == TAPE_TORN)
        return why_set(why, ERR_FORMAT, "the recording ends before it began: nothing was written yet");
    if (read == TAPE_DAMAGED)
        return why_set(why, ERR_FORMAT, "%s", reason.text);
    const struct sched_config *config = &record.life.config;
    if (record.type != TAPE_LIFE)
        return why_set(why, ERR_FORMAT, "byte %zu: does not begin with the scheduler's settings",
                       tape_offset(replay->reader));
    if (config->workers_max > WORKERS_SANE || config->slots_max > SLOTS_SANE ||
        config->jobs_max > JOBS_SANE || record.life.term >= TERM_SANE)
        return why_set(why, ERR_FORMAT,
                       "the settings of the scheduler are absurd: %u workers, %u slots, %u jobs",
                       config->workers_max, config->slots_max, config->jobs_max);
    replay->life = record.life;
    replay->sched = sched_new(config, record.life.term);
    return replay->sched ? ERR_OK : why_set(why, ERR_MEMORY, "out of memory");
}

enum err replay_new(const uint8_t *bytes, size_t size, struct replay **replay, struct why *why)
{
    struct replay *fresh = calloc(1, sizeof *fresh);
    *replay = NULL;
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err err = tape_reader_new(bytes, size, &fresh->reader, why);
    if (!err)
        err = begin(fresh, why);
    if (err)
        replay_free(&fresh);
    *replay = fresh;
    return err;
}

void replay_free(struct replay **replay)
{
    if (!*replay)
        return;
    sched_free(&(*replay)->sched);
    tape_reader_free(&(*replay)->reader);
    free((*replay)->asked);
    free(*replay);
    *replay = NULL;
}

const struct tape_life *replay_life(const struct replay *replay) { return &replay->life; }

const struct sched *replay_sched(const struct replay *replay) { return replay->sched; }

/* ---- what the store was asked for ---- */

static void ask_store(struct replay *replay, const struct sched_action *action)
{
    if (replay->asked_count == replay->asked_capacity && replay->asked_first > replay->asked_count / 2) {
        replay->asked_count -= replay->asked_first;
        memmove(replay->asked, &replay->asked[replay->asked_first],
                replay->asked_count * sizeof *replay->asked);
        replay->asked_first = 0;
    }
    if (replay->asked_count == replay->asked_capacity) {
        size_t capacity = 2 * replay->asked_capacity + 64;
        struct asked *asked = realloc(replay->asked, capacity * sizeof *asked);
        if (!asked) {
            replay->out_of_memory = true;
            return;
        }
        replay->asked = asked;
        replay->asked_capacity = capacity;
    }
    replay->asked[replay->asked_count++] = (struct asked){ .now_us = replay->now_us,
                                                           .job = action->job,
                                                           .first = action->first,
                                                           .count = action->count,
                                                           .settle = action->settle };
}

/* Answers come in the order of the questions, nearly always: the first is it. */
static void forget_asked(struct replay *replay, size_t at)
{
    if (at == replay->asked_first) {
        replay->asked_first++;
    } else {
        memmove(&replay->asked[at], &replay->asked[at + 1],
                (replay->asked_count - at - 1) * sizeof *replay->asked);
        replay->asked_count--;
    }
    if (replay->asked_first == replay->asked_count)
        replay->asked_first = replay->asked_count = 0;
}

/* Nobody asked for this settle: the scheduler knows that it is nothing. Asked for otherwise: it would take it
 * for a mistake of its own. */
static bool store_fits(struct replay *replay, const struct sched_event *event)
{
    bool other = false;
    for (size_t i = replay->asked_first; i < replay->asked_count; i++) {
        const struct asked *asked = &replay->asked[i];
        if (asked->settle != event->stored.settle)
            continue;
        if (asked->job == event->job && asked->first == event->first && asked->count == event->count) {
            forget_asked(replay, i);
            return true;
        }
        other = true;
    }
    return !other;
}

static bool is_of_store(const struct sched_event *event)
{
    return event->type == SCHED_STORED || event->type == SCHED_UNSTORABLE;
}

/* ---- steps ---- */

static void step_scheduler(struct replay *replay, struct replay_step *step)
{
    step->kind = REPLAY_EVENT;
    step->event = &replay->event;
    step->actions = &replay->actions;
    sched_step(replay->sched, replay->now_us, &replay->event, &replay->actions);
    for (size_t i = 0; i < replay->actions.count; i++) {
        const struct sched_action *action = &replay->actions.at[i];
        if (action->type == SCHED_STORE || action->type == SCHED_FAIL)
            ask_store(replay, action);
        if (action->type == SCHED_LEASE)
            replay->given = action->attempt;
    }
}

/* The store of a replay that went another way. */
static bool store_answers(struct replay *replay, struct replay_step *step)
{
    if (!replay->other_way || replay->asked_first == replay->asked_count ||
        replay->asked[replay->asked_first].now_us >= replay->record.now_us)
        return false;
    const struct asked *asked = &replay->asked[replay->asked_first];
    replay->event = (struct sched_event){ .type = SCHED_STORED,
                                          .job = asked->job,
                                          .first = asked->first,
                                          .count = asked->count,
                                          .stored = { .settle = asked->settle } };
    replay->now_us = replay->record.now_us;
    forget_asked(replay, replay->asked_first);
    step_scheduler(replay, step);
    replay->ahead = true;
    return true;
}

/* A worker cannot hold what was never given: its number will be another chunk's. */
static bool fits(struct replay *replay, const struct sched_event *event)
{
    if (event->type == SCHED_HELD)
        return event->term != replay->life.term || event->attempt <= replay->given;
    return !is_of_store(event) || (!replay->other_way && store_fits(replay, event));
}

static void step_event(struct replay *replay, struct replay_step *step)
{
    if (replay->steps++ == 0)
        replay->first_us = replay->record.now_us;
    replay->event = replay->record.event;
    replay->now_us = replay->record.now_us;
    if (fits(replay, &replay->event)) {
        step_scheduler(replay, step);
        return;
    }
    step->kind = REPLAY_PASSED;
    step->event = &replay->event;
}

static void look_at_nothing(void *context, const struct sched *sched)
{
    (void)context;
    (void)sched;
}

/* What could not be added could not be added then. */
static void suppose(struct replay *replay, struct replay_step *step)
{
    replay->event = replay->record.event;
    replay->now_us = replay->record.now_us;
    step->kind = REPLAY_SUPPOSE;
    step->event = &replay->event;
    (void)!sched_suppose(replay->sched, replay->now_us, &replay->event, look_at_nothing, NULL);
}

/* What it borrowed went with the next event; there is always an answer in between, but in a forged tape. */
static void disown(struct sched_event *event)
{
    if (event->type == SCHED_WORKER_UP)
        event->up.slots_count = 0;
    if (event->type == SCHED_JOB_ADD)
        event->add.require = event->add.prefer = NULL;
}

/* What follows an event is its answer, unless the coordinator died in between. */
static void compare(struct replay *replay, struct replay_step *step)
{
    replay->read = tape_next(replay->reader, &replay->record, &replay->why);
    bool answered = replay->read == TAPE_READ && replay->record.type == TAPE_ANSWER;
    replay->ahead = !answered;
    if (!answered)
        disown(&replay->event);
    step->answered = answered && step->kind == REPLAY_EVENT;
    if (!step->answered)
        return;
    step->actions_then = replay->record.actions_count;
    step->same =
        step->actions_then == replay->actions.count && replay->record.fold == tape_fold(&replay->actions);
    replay->other_way |= !step->same;
}

static void look_ahead(struct replay *replay)
{
    if (!replay->ahead)
        replay->read = tape_next(replay->reader, &replay->record, &replay->why);
    replay->ahead = false;
}

static enum tape_read over(struct replay *replay, struct why *why)
{
    replay->ahead = true;
    if (why)
        *why = replay->why;
    return replay->read;
}

static enum tape_read nonsense(struct replay *replay, struct why *why)
{
    replay->read = TAPE_DAMAGED;
    why_set(&replay->why, ERR_FORMAT, "byte %zu: a second beginning, or an answer to nothing",
            tape_offset(replay->reader));
    return over(replay, why);
}

static void take_record(struct replay *replay, struct replay_step *step)
{
    switch (replay->record.type) {
    case TAPE_LIFE:
    case TAPE_ANSWER: break;
    case TAPE_EVENT:
        step_event(replay, step);
        compare(replay, step);
        break;
    case TAPE_SUPPOSE: suppose(replay, step); break;
    case TAPE_REMOVE:
        step->kind = REPLAY_REMOVE;
        step->job = replay->remove = replay->record.job;
        break;
    case TAPE_STOP:
        step->kind = REPLAY_STOP;
        memcpy(step->reason, replay->record.reason, sizeof step->reason);
        break;
    }
}

enum tape_read replay_next(struct replay *replay, struct replay_step *step, struct why *why)
{
    if (replay->remove)
        sched_job_remove(replay->sched, replay->remove);
    replay->remove = 0;
    look_ahead(replay);
    memset(step, 0, sizeof *step);
    if (replay->out_of_memory) {
        replay->read = TAPE_DAMAGED;
        why_set(&replay->why, ERR_MEMORY, "out of memory");
    }
    if (replay->read != TAPE_READ)
        return over(replay, why);
    if (replay->record.type == TAPE_LIFE || replay->record.type == TAPE_ANSWER)
        return nonsense(replay, why);
    if (replay->record.type != TAPE_EVENT || !store_answers(replay, step))
        take_record(replay, step);
    step->number = replay->steps;
    step->now_us = replay->now_us;
    step->seconds = (double)(replay->now_us - replay->first_us) / 1e6;
    return TAPE_READ;
}
