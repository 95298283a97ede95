// SPDX-License-Identifier: Apache-2.0
#include "publication.h"

#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t AGAIN_US = 1000000;

static int by_first(const void *a, const void *b)
{
    const struct clerk_failure *left = a, *right = b;
    return left->first < right->first ? -1 : left->first > right->first;
}

static bool copy_failures(const struct record *record, struct clerk_command *command)
{
    if (!record->failures_count)
        return true;
    command->failures = calloc(record->failures_count, sizeof *command->failures);
    if (!command->failures)
        return false;
    command->failures_count = record->failures_count;
    for (size_t i = 0; i < record->failures_count; i++) {
        const struct record_failure *from = &record->failures[i];
        struct clerk_failure *into = &command->failures[i];
        into->first = from->first;
        into->count = from->count;
        snprintf(into->reason, sizeof into->reason, "%s", from->reason);
        snprintf(into->worker, sizeof into->worker, "%s", from->worker);
    }
    qsort(command->failures, command->failures_count, sizeof *command->failures, by_first);
    return true;
}

struct clerk_command *publication_command(struct coordinator *coordinator, const struct record *record,
                                          enum clerk_part part)
{
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    struct clerk_command *command = clerk_command_new(CLERK_PUBLISH);
    if (!command || !copy_failures(record, command)) {
        if (command)
            clerk_command_free(&command);
        return NULL;
    }
    command->part = part;
    command->tag = command->job = record->number;
    command->samples = record->samples;
    snprintf(command->path, sizeof command->path, "%s", spec->output_path);
    command->output = (enum clerk_output)spec->output_kind;
    command->outputs_count = record->outputs_count;
    memcpy(command->outputs, record->outputs, record->outputs_count * sizeof command->outputs[0]);
    memcpy(command->names, spec->names_blob, SHA256_BYTES);
    return command;
}

/* False when out of memory. */
static bool post(struct coordinator *coordinator, struct record *record, enum clerk_part part)
{
    struct clerk_command *command = publication_command(coordinator, record, part);
    if (!command)
        return false;
    record->publishing = command;
    clerk_post(coordinator->clerk, &command);
    return true;
}

static void set_full(struct record *record, const char *path)
{
    free(record->full);
    record->full = path ? strdup(path) : NULL;
}

void publication_start(struct coordinator *coordinator, struct record *record)
{
    record->publish_again_us = 0;
    if (record->failing) {
        if (!post(coordinator, record, CLERK_ONLY_ERRORS))
            record->publish_again_us = coordinator->now_us + AGAIN_US;
        return;
    }
    if (jobs_spec(coordinator->jobs, record)->output_kind == OUTPUT_NONE) {
        ledger_close(coordinator, record, RECORD_DONE, NULL);
        return;
    }
    if (!post(coordinator, record, CLERK_WHOLE))
        record->publish_again_us = coordinator->now_us + AGAIN_US;
}

void publication_fail(struct coordinator *coordinator, struct record *record, const char *reason)
{
    if (record->failing || record->closing)
        return;
    record->publish_again_us = 0;
    set_full(record, NULL);
    bool wanted = record->failures_count && record->output && record_set_reason(record, reason) == ERR_OK;
    record->failing = wanted && post(coordinator, record, CLERK_ONLY_ERRORS);
    if (!record->failing)
        ledger_close(coordinator, record, RECORD_FAILED, reason);
}

bool publication_cancel(struct coordinator *coordinator, struct record *record)
{
    if (record->failing || record->closing || (record->publishing && !clerk_stop(record->publishing)))
        return false;
    record->publishing = NULL;
    record->publish_again_us = 0;
    set_full(record, NULL);
    ledger_close(coordinator, record, RECORD_CANCELLED, NULL);
    return true;
}

static void errors_written(struct coordinator *coordinator, struct record *record,
                           const struct clerk_event *event)
{
    char reason[WHY_MAX + 64];
    if (event->err)
        log_warn("ERRORS-NOT-KEPT", "job %llu: %s", (unsigned long long)record->number, event->why.text);
    snprintf(reason, sizeof reason, "%s", record->reason);
    ledger_close(coordinator, record, RECORD_FAILED, reason);
}

/* The clerk's sentence starts with the path where there was no room, which may be that of a temporary folder.
 * A disk that fails is waited for as well: the answers are in the spool, and it may be a cable. */
static void must_wait(struct coordinator *coordinator, struct record *record, bool fails, const char *text)
{
    char path[PATH_MAX_BYTES];
    const char *end = strstr(text, ": ");
    snprintf(path, sizeof path, "%.*s", end ? (int)(end - text) : 0, text);
    if (!record->full || record->full_fails != fails)
        log_warn(fails ? "OUTPUT-DISK-FAILS" : "OUTPUT-FULL", "job %llu: %s; it is tried again every second",
                 (unsigned long long)record->number, text);
    set_full(record, record->output ? jobs_spec(coordinator->jobs, record)->output_path : path);
    record->full_fails = fails;
    record->publish_again_us = coordinator->now_us + AGAIN_US;
}

void publication_ended(struct coordinator *coordinator, const struct clerk_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->command->tag);
    char reason[WHY_MAX + 64];
    /* One that was cancelled says nothing of the job, which may be open again. It lives until here, so no
     * later one has its address. */
    if (!record || record->publishing != event->command)
        return;
    record->publishing = NULL;
    if (record->closing || !record_open(record))
        return;
    if (event->err == ERR_FULL || event->err == ERR_SYSTEM) {
        must_wait(coordinator, record, event->err == ERR_SYSTEM, event->why.text);
    } else if (record->failing) {
        errors_written(coordinator, record, event);
    } else if (event->err) {
        snprintf(reason, sizeof reason, "the output cannot be written: %s", event->why.text);
        publication_fail(coordinator, record, reason);
    } else {
        set_full(record, NULL);
        ledger_close(coordinator, record, RECORD_DONE, NULL);
    }
}

void publication_retry(struct coordinator *coordinator)
{
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        struct record *record = jobs_at(coordinator->jobs, i);
        bool waits = record->publish_again_us && (record->state == RECORD_FINISHING || record->failing);
        if (waits && !record->closing && record->publish_again_us <= coordinator->now_us)
            publication_start(coordinator, record);
    }
}
