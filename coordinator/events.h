// SPDX-License-Identifier: Apache-2.0
/* events - the last things worth telling, kept in memory for `motley events`: a ring; the oldest falls out.
 * One owner. */
#ifndef EVENTS_H
#define EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum { EVENTS_MAX = 1000, EVENT_ID_MAX = 32, EVENT_TEXT_MAX = 512 };

struct event {
    int64_t at_us;             /* wall clock */
    char id[EVENT_ID_MAX];     /* the log's stable id: "WORKER-LOST" */
    char text[EVENT_TEXT_MAX]; /* valid UTF-8 as far as its parts were; cut */
};

struct events;

struct events *events_new(void); /* NULL when out of memory */
void events_free(struct events **events);

void events_add(struct events *events, int64_t at_us, const char *id, const char *text);
size_t events_count(const struct events *events);
const struct event *events_at(const struct events *events, size_t index); /* 0 = the oldest kept */

#endif
