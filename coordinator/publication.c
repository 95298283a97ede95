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

static struct clerk_command *make_command(struct coordinator *coordinator, const struct record *record)
{
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    struct clerk_command *command = clerk_command_new(CLERK_PUBLISH);
    if (!command || !copy_failures(record, command)) {
        if (command)
            clerk_command_free(&command);
        return NULL;
    }
    command->tag = command->job = record->number;
    command->samples = record->samples;
    snprintf(command->path, sizeof command->path, "%s", spec->output_path);
    command->output = (enum clerk_output)spec->output_kind;
    command->outputs_count = record->outputs_count;
    memcpy(command->outputs, record->outputs, record->outputs_count * sizeof command->outputs[0]);
    memcpy(command->names, spec->names_blob, SHA256_BYTES);
    return command;
}

void publication_start(struct coordinator *coordinator, struct record *record)
{
    record->publish_again_us = 0;
    if (jobs_spec(coordinator->jobs, record)->output_kind == OUTPUT_NONE) {
        ledger_close(coordinator, record, RECORD_DONE, NULL);
        return;
    }
    struct clerk_command *command = make_command(coordinator, record);
    if (command)
        clerk_post(coordinator->clerk, &command);
    else
        record->publish_again_us = coordinator->now_us + AGAIN_US;
}

void publication_ended(struct coordinator *coordinator, const struct clerk_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->command->tag);
    char reason[WHY_MAX + 64];
    if (!record)
        return;
    if (event->err == ERR_FULL) {
        record->publish_again_us = coordinator->now_us + AGAIN_US;
        log_warn("OUTPUT-FULL", "job %llu: %s", (unsigned long long)record->number, event->why.text);
    } else if (event->err) {
        snprintf(reason, sizeof reason, "the output cannot be written: %s", event->why.text);
        ledger_close(coordinator, record, RECORD_FAILED, reason);
    } else {
        ledger_close(coordinator, record, RECORD_DONE, NULL);
    }
}

void publication_retry(struct coordinator *coordinator)
{
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        struct record *record = jobs_at(coordinator->jobs, i);
        if (record->publish_again_us && record->publish_again_us <= coordinator->now_us)
            publication_start(coordinator, record);
    }
}
