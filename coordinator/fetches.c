// SPDX-License-Identifier: Apache-2.0
#include "fetches.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct fetches {
    struct clerk *clerk;
    uint64_t bytes_max;
    uint64_t reading;           /* bytes asked of the clerk and not answered */
    _Atomic uint64_t sending;   /* bytes given to ZeroMQ and not sent */
    struct fetch *first, *last; /* not yet given to the clerk */
    struct fetch *posted;       /* given to it and not answered */
};

struct fetches *fetches_new(struct clerk *clerk, uint64_t bytes_max)
{
    struct fetches *fetches = calloc(1, sizeof *fetches);
    if (!fetches)
        return NULL;
    fetches->clerk = clerk;
    fetches->bytes_max = bytes_max;
    return fetches;
}

void fetch_free(struct fetch **fetch)
{
    if (*fetch)
        free((*fetch)->path);
    free(*fetch);
    *fetch = NULL;
}

static struct fetch *pop(struct fetches *fetches)
{
    struct fetch *fetch = fetches->first;
    fetches->first = fetch->next;
    if (!fetches->first)
        fetches->last = NULL;
    return fetch;
}

void fetches_free(struct fetches **fetches)
{
    if (!*fetches)
        return;
    while ((*fetches)->first) {
        struct fetch *fetch = pop(*fetches);
        fetch_free(&fetch);
    }
    while ((*fetches)->posted) {
        struct fetch *fetch = (*fetches)->posted;
        (*fetches)->posted = fetch->next;
        fetch_free(&fetch);
    }
    free(*fetches);
    *fetches = NULL;
}

void fetches_ask(struct fetches *fetches, struct fetch **fetch)
{
    (*fetch)->next = NULL;
    if (fetches->last)
        fetches->last->next = *fetch;
    else
        fetches->first = *fetch;
    fetches->last = *fetch;
    *fetch = NULL;
}

bool fetches_waiting(const struct fetches *fetches) { return fetches->first != NULL; }

void fetches_pump(struct fetches *fetches)
{
    while (fetches->first && fetches->reading + atomic_load(&fetches->sending) < fetches->bytes_max) {
        struct clerk_command *command = clerk_command_new(CLERK_READ);
        if (!command)
            return;
        struct fetch *fetch = pop(fetches);
        command->tag = (uint64_t)(uintptr_t)fetch;
        command->peer = fetch->peer;
        snprintf(command->path, sizeof command->path, "%s", fetch->path);
        command->offset = fetch->base + fetch->offset;
        command->length = fetch->length;
        command->file_bytes = fetch->file_bytes;
        command->mtime_ns = fetch->mtime_ns;
        fetches->reading += fetch->length;
        fetch->next = fetches->posted;
        fetches->posted = fetch;
        clerk_post(fetches->clerk, &command);
    }
}

struct fetch *fetches_answered(struct fetches *fetches, const struct clerk_event *event)
{
    struct fetch *fetch = (struct fetch *)(uintptr_t)event->command->tag;
    struct fetch **at = &fetches->posted;
    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    fetches->reading -= fetch->length;
    return fetch;
}

/* The frame's size is kept before its bytes: the release callback is told neither. */
struct load {
    struct fetches *fetches;
    size_t size;
};

static void sent(void *bytes, void *hint)
{
    struct load *load = hint;
    atomic_fetch_sub(&load->fetches->sending, load->size);
    free(load);
    free(bytes);
}

static void sent_uncounted(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

struct wire_frame fetches_frame(struct fetches *fetches, void *bytes, size_t size)
{
    struct load *load = malloc(sizeof *load);
    if (!load)
        return (struct wire_frame){ bytes, size, sent_uncounted, NULL };
    *load = (struct load){ fetches, size };
    atomic_fetch_add(&fetches->sending, size);
    return (struct wire_frame){ bytes, size, sent, load };
}
