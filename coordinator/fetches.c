// SPDX-License-Identifier: Apache-2.0
#include "fetches.h"

#include <stdio.h>
#include <stdlib.h>

struct fetches {
    struct clerk *clerk;
    uint64_t bytes_max;
    uint64_t reading;            /* bytes asked of the clerk and not answered */
    struct fetch *first, **last; /* not yet given to the clerk; where the next goes */
    struct fetch *posted;        /* given to it and not answered */
};

struct fetches *fetches_new(struct clerk *clerk, uint64_t bytes_max)
{
    struct fetches *fetches = calloc(1, sizeof *fetches);
    if (!fetches)
        return NULL;
    fetches->clerk = clerk;
    fetches->last = &fetches->first;
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

/* Take out the one behind *at. */
static struct fetch *pop(struct fetches *fetches, struct fetch **at)
{
    struct fetch *fetch = *at;
    *at = fetch->next;
    if (fetches->last == &fetch->next)
        fetches->last = at;
    return fetch;
}

void fetches_free(struct fetches **fetches)
{
    if (!*fetches)
        return;
    while ((*fetches)->first) {
        struct fetch *fetch = pop(*fetches, &(*fetches)->first);
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
    *fetches->last = *fetch;
    fetches->last = &(*fetch)->next;
    *fetch = NULL;
}

bool fetches_waiting(const struct fetches *fetches) { return fetches->first != NULL; }

static bool post(struct fetches *fetches, struct fetch *fetch)
{
    struct clerk_command *command = clerk_command_new(CLERK_READ);
    if (!command)
        return false;
    command->tag = (uint64_t)(uintptr_t)fetch;
    command->peer = fetch->peer;
    snprintf(command->path, sizeof command->path, "%s", fetch->path);
    command->offset = fetch->base + fetch->offset;
    command->length = fetch->length;
    command->file_bytes = fetch->file_bytes;
    command->mtime_ns = fetch->mtime_ns;
    fetches->reading += fetch->length;
    clerk_post(fetches->clerk, &command);
    return true;
}

void fetches_pump(struct fetches *fetches, uint64_t unread_bytes, fetches_room *room, void *context)
{
    for (struct fetch **at = &fetches->first; *at && fetches->reading + unread_bytes < fetches->bytes_max;) {
        struct fetch *fetch = *at;
        if (!room(context, fetch)) {
            at = &fetch->next;
            continue;
        }
        if (!post(fetches, fetch))
            return;
        (void)pop(fetches, at);
        fetch->next = fetches->posted;
        fetches->posted = fetch;
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
