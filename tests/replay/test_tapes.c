// SPDX-License-Identifier: Apache-2.0
/* Every recording of this folder is replayed. The policy may have changed since, and then the actions may
 * differ from those of then, which is printed; but nothing may crash, sched_check must hold after each step,
 * and no action may be nonsense.
 *
 *     test_replay_tapes [FILE...]       default: all *.tape here */
#include "file.h"
#include "replay.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_MAX = 4096, WORKERS_MAX_SEEN = 4096 };

struct watch {
    const char *path;
    const struct replay_step *step;
    uint64_t attempt; /* the last one given: they only grow */
    uint32_t jobs_count;
    struct {
        uint64_t id, samples;
        bool over;
    } jobs[JOBS_MAX];
    bool up[WORKERS_MAX_SEEN];
    uint64_t different, first_different;
    int failures;
};

static void broken(struct watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void broken(struct watch *watch, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%s: event %" PRIu64 ", %.6f s: %s\n", watch->path, watch->step->number, watch->step->seconds,
           text);
    watch->failures++;
}

/* ---- what is known from the events alone ---- */

static int find_job(const struct watch *watch, uint64_t id)
{
    for (uint32_t i = watch->jobs_count; i > 0; i--)
        if (watch->jobs[i - 1].id == id)
            return (int)i - 1;
    return -1;
}

static void note_event(struct watch *watch, const struct sched_event *event)
{
    if (event->type == SCHED_WORKER_UP && event->worker < WORKERS_MAX_SEEN)
        watch->up[event->worker] = true;
    if (event->type == SCHED_WORKER_DOWN && event->worker < WORKERS_MAX_SEEN)
        watch->up[event->worker] = false;
    if (event->type != SCHED_JOB_ADD || watch->jobs_count == JOBS_MAX || find_job(watch, event->job) >= 0)
        return;
    watch->jobs[watch->jobs_count].id = event->job;
    watch->jobs[watch->jobs_count].samples = event->add.samples;
    watch->jobs[watch->jobs_count++].over = false;
}

/* ---- actions ---- */

static bool is_up(const struct watch *watch, uint32_t worker)
{
    return worker >= WORKERS_MAX_SEEN || watch->up[worker];
}

static void check_range(struct watch *watch, const struct sched_action *action, const char *what)
{
    int job = find_job(watch, action->job);
    if (job < 0 || watch->jobs[job].over)
        broken(watch, "%s for job %" PRIu64 ", which is not open", what, action->job);
    else if (action->count == 0 || action->count > watch->jobs[job].samples ||
             action->first > watch->jobs[job].samples - action->count)
        broken(watch, "%s of %" PRIu64 " samples from %" PRIu64 ", the job has %" PRIu64, what, action->count,
               action->first, watch->jobs[job].samples);
}

static void check_lease(struct watch *watch, const struct sched_action *action)
{
    check_range(watch, action, "a lease");
    if (!is_up(watch, action->worker))
        broken(watch, "a lease to worker %u, which is not there", action->worker);
    if (action->attempt <= watch->attempt)
        broken(watch, "attempt %" PRIu64 " was given before", action->attempt);
    watch->attempt = action->attempt;
}

static void check_state(struct watch *watch, const struct sched_action *action)
{
    int job = find_job(watch, action->job);
    if (job < 0 || watch->jobs[job].over)
        broken(watch, "job %" PRIu64 " is in state %d, but was not open", action->job, (int)action->state);
    else
        watch->jobs[job].over = action->state >= SCHED_JOB_COMPLETE;
}

static void check_action(struct watch *watch, const struct sched_action *action)
{
    switch (action->type) {
    case SCHED_LEASE: check_lease(watch, action); break;
    case SCHED_STORE: check_range(watch, action, "a store"); break;
    case SCHED_FAIL: check_range(watch, action, "a failure"); break;
    case SCHED_COMPARE: check_range(watch, action, "a comparison"); break;
    case SCHED_JOB_STATE: check_state(watch, action); break;
    case SCHED_LOAD:
    case SCHED_UNLOAD:
    case SCHED_PREFETCH:
    case SCHED_RECALL:
        if (!is_up(watch, action->worker))
            broken(watch, "something is asked of worker %u, which is not there", action->worker);
        break;
    case SCHED_ACK:
    case SCHED_BAR: break;
    }
}

/* ---- tapes ---- */

static void check_step(struct watch *watch, const struct replay *replay, const struct replay_step *step)
{
    watch->step = step;
    sched_check(replay_sched(replay));
    note_event(watch, step->event);
    for (size_t i = 0; i < step->actions->count; i++)
        check_action(watch, &step->actions->at[i]);
    if (step->answered && !step->same && watch->different++ == 0)
        watch->first_different = step->number;
}

static int end_of(const struct watch *watch, enum tape_read read, uint64_t events, const char *why)
{
    if (read == TAPE_DAMAGED || events == 0) {
        printf("%s: %s\n", watch->path, events ? why : "has no events");
        return 1;
    }
    printf("%s: %" PRIu64 " events, ", watch->path, events);
    if (watch->different)
        printf("other actions than then in %" PRIu64 ", first at event %" PRIu64 "\n", watch->different,
               watch->first_different);
    else
        printf("the same actions as then\n");
    return watch->failures;
}

static int play(const char *path)
{
    struct watch *watch = calloc(1, sizeof *watch);
    struct replay *replay;
    struct replay_step step;
    struct why why = { "out of memory" };
    enum tape_read read;
    char *bytes;
    size_t size;
    uint64_t events = 0;
    if (!watch || file_read(path, 1u << 30, &bytes, &size, &why) ||
        replay_new((const uint8_t *)bytes, size, &replay, &why)) {
        printf("%s: %s\n", path, why.text);
        exit(1);
    }
    watch->path = path;
    while ((read = replay_next(replay, &step, &why)) == TAPE_READ)
        if (step.kind == REPLAY_EVENT) {
            check_step(watch, replay, &step);
            events++;
        }
    int failures = end_of(watch, read, events, why.text);
    replay_free(&replay);
    free(bytes);
    free(watch);
    return failures;
}

static int is_tape(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".tape") == 0;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    char path[4096];
    int failures = 0, count = argc > 1 ? 0 : scandir(TAPES_DIR, &entries, is_tape, alphasort);
    for (int i = 1; i < argc; i++)
        failures += play(argv[i]);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", TAPES_DIR, entries[i]->d_name);
        failures += play(path);
        free(entries[i]);
    }
    if (count > 0)
        free(entries);
    return failures > 0 || (argc == 1 && count <= 0);
}
