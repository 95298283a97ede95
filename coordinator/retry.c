// SPDX-License-Identifier: Apache-2.0
#include "retry.h"

#include "aside.h"
#include "ledger.h"
#include "retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static enum err check_output(struct coordinator *coordinator, const struct record *record, struct why *why)
{
    const struct record *other =
        record->output ? jobs_find_output(coordinator->jobs, record->output, record->output_kind) : NULL;
    return other ? why_set(why, ERR_REFUSED,
                           "job %" PRIu64 ": job %" PRIu64
                           " writes to %.300s, or to files beside it; wait for it",
                           record->number, other->number, record->output)
                 : ERR_OK;
}

enum err retry_check(struct coordinator *coordinator, const struct record *record, struct why *why)
{
    if (record_open(record))
        return why_set(why, ERR_REFUSED, "job %" PRIu64 " is %s: it is not over", record->number,
                       record_state_name(record->state));
    if (record->removing)
        return why_set(why, ERR_NOT_FOUND, "no such job: %" PRIu64 "; it was removed", record->number);
    if (record->state == RECORD_DONE && record->failed == 0)
        return why_set(why, ERR_REFUSED, "job %" PRIu64 " is done: nothing of it is left to be run",
                       record->number);
    if (record->retrying)
        return ERR_OK; /* on its way */
    if (record->assembling)
        return why_set(why, ERR_FULL, "job %" PRIu64 ": its answer is being fetched; try again in a moment",
                       record->number);
    if (!jobs_have_room(coordinator->jobs))
        return why_set(why, ERR_FULL, "%d jobs are open, which is the most; wait for one to end",
                       JOBS_OPEN_MAX);
    return check_output(coordinator, record, why);
}

/* What was put together for clients is no longer the answer: gone before anybody can take it for that. */
enum err retry_begin(struct coordinator *coordinator, struct record *record, struct why *why)
{
    char name[64];
    if (record->retrying)
        return ERR_OK;
    snprintf(name, sizeof name, "spool/%" PRIu64 "/published", record->number);
    enum err err = aside_put(coordinator->state_dir, name, why);
    if (err)
        return err;
    retention_hurry(coordinator);
    record->assembled = 0;
    struct store_op *op = store_op_new(STORE_JOB_RETRY);
    if (!op)
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    op->job = record->number;
    record->retrying = true;
    jobs_reopened(coordinator->jobs);
    store_post(coordinator->store, &op);
    return ERR_OK;
}

/* Nothing is leased before it is known what is done. */
static void schedule(struct coordinator *coordinator, struct record *record, const struct store_range *ranges,
                     size_t count)
{
    bool paused = coordinator->paused;
    if (!paused)
        coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_PAUSE });
    ledger_schedule(coordinator, record);
    for (size_t i = 0; i < count; i++)
        coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_JOB_SETTLED_RANGE,
                                                             .job = record->number,
                                                             .first = ranges[i].first,
                                                             .count = ranges[i].count });
    if (!paused)
        coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_RESUME });
}

bool retry_journaled(struct coordinator *coordinator, struct record *record, struct store_event *event)
{
    const struct store_range *ranges = (const void *)event->op->blob;
    size_t count = event->op->blob_size / sizeof *ranges;
    record->retrying = false;
    if (event->err) {
        log_error("RETRY-FAILED", "job %" PRIu64 ": %s", record->number, event->why.text);
        return false;
    }
    record_reopen(record);
    for (size_t i = 0; i < count; i++)
        record->done += ranges[i].count;
    coordinator_mention(coordinator, LOG_INFO, "JOB-RETRIED",
                        "job %" PRIu64 " (%s): %" PRIu64 " of %" PRIu64 " samples are done", record->number,
                        record->name, record->done, record->samples);
    schedule(coordinator, record, ranges, count);
    return true;
}
