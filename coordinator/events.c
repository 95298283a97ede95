// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>

struct events {
    size_t count, next;
    struct event ring[EVENTS_MAX];
};

struct events *events_new(void) { return calloc(1, sizeof(struct events)); }

void events_free(struct events **events)
{
    free(*events);
    *events = NULL;
}

/* A cut in the middle of a character would make the whole view invalid JSON. */
static void trim_broken_tail(char *text)
{
    size_t length = 0, whole = 0;
    while (text[length]) {
        unsigned char c = (unsigned char)text[length];
        size_t wide = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        for (size_t i = 1; i < wide; i++)
            if (((unsigned char)text[length + i] & 0xc0) != 0x80) {
                text[whole] = 0;
                return;
            }
        length += wide;
        whole = length;
    }
}

void events_add(struct events *events, int64_t at_us, const char *id, const char *text)
{
    struct event *event = &events->ring[events->next];
    event->at_us = at_us;
    snprintf(event->id, sizeof event->id, "%s", id);
    snprintf(event->text, sizeof event->text, "%s", text);
    trim_broken_tail(event->text);
    events->next = (events->next + 1) % EVENTS_MAX;
    if (events->count < EVENTS_MAX)
        events->count++;
}

size_t events_count(const struct events *events) { return events->count; }

const struct event *events_at(const struct events *events, size_t index)
{
    ENSURE(index < events->count);
    return &events->ring[(events->next + EVENTS_MAX - events->count + index) % EVENTS_MAX];
}
