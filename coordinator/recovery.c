// SPDX-License-Identifier: Apache-2.0
#include "recovery.h"

#include "ledger.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t GRACE_US = 600000;
static const uint64_t GRACE_LEAST_US = 500000; /* for the others, once one has come back: see wire.c */

struct range {
    uint64_t job, first, count;
    bool failed;
};

struct recovery {
    struct coordinator *coordinator;
    size_t count, capacity;
    struct range *ranges; /* of open jobs, job by job */
    enum err err;         /* the first failure */
    struct why why;
};

struct recovery *recovery_new(struct coordinator *coordinator)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery)
        recovery->coordinator = coordinator;
    return recovery;
}

void recovery_free(struct recovery **recovery)
{
    if (*recovery)
        free((*recovery)->ranges);
    free(*recovery);
    *recovery = NULL;
}

static void fail(struct recovery *recovery, enum err err, const char *text)
{
    if (!recovery->err)
        recovery->err = why_set(&recovery->why, err, "%s", text);
}

static void on_model(void *context, const char *name, const char *version, const uint8_t *spec, size_t size)
{
    struct recovery *recovery = context;
    struct why why;
    enum err err = registry_restore(recovery->coordinator->registry, spec, size, &why);
    if (err)
        log_error("MODEL-UNREADABLE", "model %s version %s: %s", name, version, why.text);
}

static void on_job(void *context, const struct store_job_row *row)
{
    struct recovery *recovery = context;
    struct coordinator *coordinator = recovery->coordinator;
    struct record *record;
    struct why why;
    enum err err = jobs_restore(coordinator->jobs, row, &record, &why);
    if (!err) {
        const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
        record->model_number = registry_number(coordinator->registry, spec->model_blob);
        record->models_count = registry_numbers(coordinator->registry, spec, record->models);
        if (record->model_number == REGISTRY_NONE || !record->models_count)
            fail(recovery, ERR_MEMORY, "out of memory for the journal's jobs");
        return;
    }
    log_error("JOB-UNREADABLE", "job %llu: %s", (unsigned long long)row->job, why.text);
    if (row->state == STORE_JOB_OPEN || row->state == STORE_JOB_FINISHING)
        fail(recovery, err, why.text);
}

static void keep_range(struct recovery *recovery, const struct range *range)
{
    if (recovery->count == recovery->capacity) {
        size_t capacity = recovery->capacity ? 2 * recovery->capacity : 256;
        struct range *ranges = realloc(recovery->ranges, capacity * sizeof *ranges);
        if (!ranges) {
            fail(recovery, ERR_MEMORY, "out of memory for the journal's ranges");
            return;
        }
        recovery->ranges = ranges;
        recovery->capacity = capacity;
    }
    recovery->ranges[recovery->count++] = *range;
}

/* A journal whose pages are whole may still make no sense, after a disk that lied. */
static bool fits(struct recovery *recovery, const struct record *record, uint64_t first, uint64_t count)
{
    if (first <= record->samples && count > 0 && count <= record->samples - first)
        return true;
    fail(recovery, ERR_FORMAT, "it names samples that a job does not have; restore it from a backup");
    return false;
}

static void on_done(void *context, uint64_t job, uint64_t first, uint64_t count)
{
    struct recovery *recovery = context;
    struct record *record = jobs_find(recovery->coordinator->jobs, job);
    if (!record || !fits(recovery, record, first, count))
        return;
    record->done += count;
    if (record_open(record))
        keep_range(recovery, &(struct range){ job, first, count, false });
}

static void on_failure(void *context, uint64_t job, uint64_t first, uint64_t count, const char *reason,
                       const char *worker)
{
    struct recovery *recovery = context;
    struct record *record = jobs_find(recovery->coordinator->jobs, job);
    if (!record || !fits(recovery, record, first, count))
        return;
    record->failed += count;
    if (record_open(record))
        keep_range(recovery, &(struct range){ job, first, count, true });
    if (record_add_failure(record, first, count, reason ? reason : "", worker ? worker : ""))
        fail(recovery, ERR_MEMORY, "out of memory for the journal's failures");
}

static void on_tally(void *context, uint64_t job, const char *key, const uint8_t *value, size_t size)
{
    struct recovery *recovery = context;
    struct record *record = jobs_find(recovery->coordinator->jobs, job);
    if (!record)
        return;
    enum err err = strcmp(key, SUMMARY_KEY) == 0 ? record_set_past(record, value, size)
                   : strcmp(key, VERIFICATION_KEY) == 0
                       ? verification_unpack(&record->verification, value, size)
                       : record_restore_share(record, key, value, size);
    if (err)
        log_warn("TALLY-UNREADABLE", "job %llu: the account of %s is lost", (unsigned long long)job, key);
}

struct store_recovery recovery_callbacks(struct recovery *recovery)
{
    return (struct store_recovery){ recovery, on_job, on_done, on_failure, on_tally, on_model };
}

static void begin_grace(struct coordinator *coordinator)
{
    coordinator_wake(coordinator);
    coordinator->grace_from_us = coordinator->now_us;
    coordinator->grace_until_us =
        coordinator->now_us + (coordinator->grace_us ? coordinator->grace_us : GRACE_US);
    coordinator_pace(coordinator);
}

void recovery_look(struct coordinator *coordinator)
{
    if (!coordinator->grace_until_us)
        return;
    if (coordinator->reoffered && coordinator->grace_until_us > coordinator->grace_from_us + GRACE_LEAST_US)
        coordinator->grace_until_us = coordinator->grace_from_us + GRACE_LEAST_US;
    if (coordinator->now_us < coordinator->grace_until_us)
        return;
    coordinator->grace_until_us = 0;
    coordinator_pace(coordinator);
}

static size_t settle_ranges(struct recovery *recovery, const struct record *record, size_t index)
{
    for (; index < recovery->count && recovery->ranges[index].job == record->number; index++) {
        const struct range *range = &recovery->ranges[index];
        struct sched_event event = {
            .type = SCHED_JOB_SETTLED_RANGE, .job = range->job, .first = range->first, .count = range->count
        };
        event.settled.failed = range->failed;
        coordinator_step(recovery->coordinator, &event);
    }
    return index;
}

enum err recovery_schedule(struct recovery *recovery, struct why *why)
{
    struct coordinator *coordinator = recovery->coordinator;
    size_t index = 0, open = 0;
    if (recovery->err)
        return why_set(why, recovery->err, "%s: the journal cannot be taken over: %s", coordinator->state_dir,
                       recovery->why.text);
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        struct record *record = jobs_at(coordinator->jobs, i);
        if (!record_open(record)) {
            if (!record_has_answer(record))
                record_drop_failures(record);
            continue;
        }
        open++;
        ledger_schedule(coordinator, record);
        index = settle_ranges(recovery, record, index);
    }
    if (open)
        begin_grace(coordinator);
    if (open)
        coordinator_note(coordinator, LOG_INFO, "RECOVERED", "%zu open jobs of %zu, %zu settled ranges", open,
                         jobs_count(coordinator->jobs), recovery->count);
    return ERR_OK;
}
