// SPDX-License-Identifier: Apache-2.0
#include "handout.h"

#include "publication.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is assembled at once. The files beside an answer can be had without it, as an .npy of rows that vary
 * cannot be made. */
enum part { PART_NPY, PART_FOLDER, PART_JSONL, PART_INDEX, PART_ERRORS, PARTS };

static const struct {
    const char *file; /* that shows that it stands; for the clerk's and our own eyes */
    enum clerk_output output;
    enum clerk_part part;
} parts[PARTS] = {
    [PART_NPY] = { "output.npy", CLERK_NPY, CLERK_WHOLE },
    [PART_FOLDER] = { "output", CLERK_FOLDER, CLERK_WHOLE },
    [PART_JSONL] = { "output.jsonl", CLERK_JSONL, CLERK_WHOLE },
    [PART_INDEX] = { "output.index.jsonl", CLERK_NPY, CLERK_ONLY_INDEX },
    [PART_ERRORS] = { "output.errors.jsonl", CLERK_NPY, CLERK_ONLY_ERRORS },
};

/* A client that waits for a part. */
struct held {
    struct fetch *fetch;
    uint64_t job;
    enum part part;
    struct held *next;
};

static enum part part_of(const char *file)
{
    for (enum part part = 0; part < PARTS; part++)
        if (strcmp(file, parts[part].file) == 0)
            return part;
    return PART_FOLDER;
}

static bool has_open_shape(const struct record *record)
{
    for (uint32_t k = 0; k < record->outputs_count; k++)
        for (uint32_t i = 0; i < record->outputs[k].dims_count; i++)
            if (record->outputs[k].dims[i] < 0)
                return true;
    return false;
}

bool handout_offers(const struct record *record, const char *file)
{
    bool folder = record->output_kind == OUTPUT_FOLDER;
    switch (part_of(file)) {
    case PART_NPY: return record->output_kind == OUTPUT_NPY && record->outputs_count == 1;
    case PART_JSONL: return !folder || (record->state == RECORD_FAILED && has_open_shape(record));
    default: return true;
    }
}

/* Nothing is ever partial under its name, so what an earlier life assembled stands. */
static bool is_there(const struct coordinator *coordinator, const struct record *record, enum part part)
{
    char path[PATH_MAX_BYTES + 64];
    if (record->assembled & 1u << part) /* with nothing to say, the files beside an answer are not there */
        return true;
    snprintf(path, sizeof path, "%s/spool/%llu/published/%s", coordinator->state_dir,
             (unsigned long long)record->number, parts[part].file);
    return access(path, F_OK) == 0;
}

static void deny(struct coordinator *coordinator, struct fetch **fetch, enum err err, const char *text)
{
    struct peer *peer = peers_find(coordinator->peers, (*fetch)->peer);
    if (peer && peer->pieces)
        peer->pieces--;
    if (peer)
        coordinator_reply(coordinator, peer->id, (*fetch)->tag, err, text, 0);
    fetch_free(fetch);
}

static void hand_over(struct coordinator *coordinator, uint64_t job, struct fetch **fetch)
{
    struct why why;
    if (!peers_find(coordinator->peers, (*fetch)->peer)) {
        fetch_free(fetch);
        return;
    }
    if (access((*fetch)->path, F_OK) == 0) {
        fetches_ask(coordinator->fetches, fetch);
        return;
    }
    why_set(&why, ERR_NOT_FOUND, "the answer of job %llu has no such file: %s", (unsigned long long)job,
            strrchr((*fetch)->path, '/') + 1);
    deny(coordinator, fetch, ERR_NOT_FOUND, why.text);
}

/* Answer all who wait for a part: with bytes, or with why there are none. */
static void release(struct coordinator *coordinator, uint64_t job, enum part part, enum err err,
                    const char *text)
{
    for (struct held **at = &coordinator->held; *at;) {
        struct held *held = *at;
        if (held->job != job || held->part != part) {
            at = &held->next;
            continue;
        }
        *at = held->next;
        if (err)
            deny(coordinator, &held->fetch, err, text);
        else
            hand_over(coordinator, job, &held->fetch);
        free(held);
    }
}

static void assemble(struct coordinator *coordinator, struct record *record, enum part part)
{
    struct clerk_command *command = publication_command(coordinator, record, parts[part].part);
    if (!command) {
        release(coordinator, record->number, part, ERR_MEMORY, "the coordinator is out of memory");
        return;
    }
    command->peer = HANDOUT_PEER;
    command->path[0] = 0;
    command->output = parts[part].output;
    record->assembling |= 1u << part;
    clerk_post(coordinator->clerk, &command);
}

void handout_give(struct coordinator *coordinator, struct record *record, const char *file,
                  struct fetch **fetch)
{
    enum part part = part_of(file);
    if (is_there(coordinator, record, part)) {
        hand_over(coordinator, record->number, fetch);
        return;
    }
    struct held *held = malloc(sizeof *held);
    if (!held) {
        deny(coordinator, fetch, ERR_MEMORY, "the coordinator is out of memory");
        return;
    }
    *held = (struct held){ *fetch, record->number, part, coordinator->held };
    coordinator->held = held;
    *fetch = NULL;
    if (!(record->assembling & 1u << part))
        assemble(coordinator, record, part);
}

/* Which part it was, from what the clerk was told. */
static enum part part_told(const struct clerk_command *command)
{
    for (enum part part = 0; part < PARTS; part++)
        if (parts[part].output == command->output && parts[part].part == command->part)
            return part;
    return PARTS;
}

void handout_assembled(struct coordinator *coordinator, const struct clerk_event *event)
{
    enum part part = part_told(event->command);
    struct record *record = jobs_find(coordinator->jobs, event->command->job);
    if (record)
        record->assembling &= ~(1u << part);
    if (record && !event->err)
        record->assembled |= 1u << part;
    bool varies = part == PART_NPY && event->err == ERR_FORMAT;
    release(coordinator, event->command->job, part, varies ? ERR_NOT_FOUND : event->err, event->why.text);
}

void handout_drop(struct coordinator *coordinator)
{
    while (coordinator->held) {
        struct held *held = coordinator->held;
        coordinator->held = held->next;
        fetch_free(&held->fetch);
        free(held);
    }
}
