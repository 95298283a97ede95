// SPDX-License-Identifier: Apache-2.0
/* tables - the field table of every message, as data. Pure. Numbers are frozen: a new field takes the next
 * one. */
#ifndef TABLES_H
#define TABLES_H

#include "field.h"
#include "messages.h"

/* How many payload frames a message has. */
enum tables_frames {
    TABLES_FRAMES_NONE = 0,
    TABLES_FRAMES_ONE,
    TABLES_FRAMES_MAY,    /* none or one */
    TABLES_FRAMES_IF_OK,  /* one when `ok`, else none */
    TABLES_FRAMES_SUM,    /* the sum of `frames` over the results */
    TABLES_FRAMES_INPUTS, /* one for each of `inputs` */
    TABLES_FRAMES_SHAPES, /* one for each of `shapes` */
};

struct tables_row {
    enum message_type type;
    const char *name; /* "HELLO" */
    enum tables_frames frames;
    const struct table *table; /* of the body */
};

/* The row of a type; NULL if there is no such message. */
const struct tables_row *tables_find(uint64_t type);

#endif
