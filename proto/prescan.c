// SPDX-License-Identifier: Apache-2.0
#include "prescan.h"

#include <stdbool.h>

/* One object's head: its bytes before any children, and how many children follow. */
struct head {
    uint64_t size;     /* marker, length and content of a scalar; marker and length of a container */
    uint64_t children; /* a map's keys and values both count */
    bool container;
};

struct scan {
    const uint8_t *at, *end;
    uint64_t promised;            /* elements announced and not yet seen, over all open containers */
    uint64_t open[DEPTH_MAX + 1]; /* children still to come, per level; open[0] is the object itself */
    uint32_t depth;
};

/* The big-endian number of width bytes behind the marker; false if the bytes end first. */
static bool length_behind(const uint8_t *at, size_t left, size_t width, uint64_t *length)
{
    if (left < 1 + width)
        return false;
    *length = 0;
    for (size_t i = 1; i <= width; i++)
        *length = *length << 8 | at[i];
    return true;
}

enum shape { SHAPE_BAD, SHAPE_SCALAR, SHAPE_SIZED, SHAPE_ARRAY, SHAPE_MAP, SHAPE_EXTENSION };

/* Markers 0xc0 to 0xdf of the msgpack specification: what follows, and the width of the content or of the
 * length field. */
static const struct {
    uint8_t shape, width;
} markers[32] = {
    { SHAPE_SCALAR, 0 },    { SHAPE_BAD, 0 },
    { SHAPE_SCALAR, 0 },    { SHAPE_SCALAR, 0 }, /* nil - false true */
    { SHAPE_SIZED, 1 },     { SHAPE_SIZED, 2 },
    { SHAPE_SIZED, 4 },     { SHAPE_EXTENSION, 0 }, /* bin, ext 8 */
    { SHAPE_EXTENSION, 0 }, { SHAPE_EXTENSION, 0 },
    { SHAPE_SCALAR, 4 },    { SHAPE_SCALAR, 8 }, /* ext, floats */
    { SHAPE_SCALAR, 1 },    { SHAPE_SCALAR, 2 },
    { SHAPE_SCALAR, 4 },    { SHAPE_SCALAR, 8 }, /* unsigned */
    { SHAPE_SCALAR, 1 },    { SHAPE_SCALAR, 2 },
    { SHAPE_SCALAR, 4 },    { SHAPE_SCALAR, 8 }, /* signed */
    { SHAPE_EXTENSION, 0 }, { SHAPE_EXTENSION, 0 },
    { SHAPE_EXTENSION, 0 }, { SHAPE_EXTENSION, 0 }, /* fixext */
    { SHAPE_EXTENSION, 0 }, { SHAPE_SIZED, 1 },
    { SHAPE_SIZED, 2 },     { SHAPE_SIZED, 4 }, /* fixext, str */
    { SHAPE_ARRAY, 2 },     { SHAPE_ARRAY, 4 },
    { SHAPE_MAP, 2 },       { SHAPE_MAP, 4 },
};

static enum err truncated(struct why *why)
{
    return why_set(why, ERR_FORMAT, "the msgpack body is truncated");
}

/* The head at a marker of the table above. */
static enum err long_head(const uint8_t *at, size_t left, struct head *head, struct why *why)
{
    uint8_t shape = markers[at[0] - 0xC0].shape;
    uint8_t width = markers[at[0] - 0xC0].width;
    uint64_t length = 0;
    *head = (struct head){ .size = 1u + width };
    switch (shape) {
    case SHAPE_BAD: return why_set(why, ERR_FORMAT, "byte 0xc1 is never used by msgpack");
    case SHAPE_EXTENSION: return why_set(why, ERR_FORMAT, "msgpack extension types are not used here");
    case SHAPE_SCALAR: return ERR_OK;
    default: break;
    }
    if (!length_behind(at, left, width, &length))
        return truncated(why);
    if (shape == SHAPE_SIZED)
        head->size += length;
    else
        *head = (struct head){ 1u + width, shape == SHAPE_MAP ? 2 * length : length, true };
    return ERR_OK;
}

static enum err read_head(const uint8_t *at, size_t left, struct head *head, struct why *why)
{
    uint8_t marker = at[0];
    if (marker <= 0x7F || marker >= 0xE0)
        *head = (struct head){ .size = 1 };
    else if (marker <= 0x8F)
        *head = (struct head){ .size = 1, .children = (marker & 0x0Fu) << 1, .container = true };
    else if (marker <= 0x9F)
        *head = (struct head){ .size = 1, .children = marker & 0x0Fu, .container = true };
    else if (marker <= 0xBF)
        *head = (struct head){ .size = 1u + (marker & 0x1Fu) };
    else
        return long_head(at, left, head, why);
    return ERR_OK;
}

/* One object begins: it is one child fewer to come, and its own children are promised. */
static enum err enter(struct scan *scan, const struct head *head, struct why *why)
{
    size_t left = (size_t)(scan->end - scan->at);
    if (head->size > left)
        return truncated(why);
    scan->at += (size_t)head->size;
    left -= (size_t)head->size;
    scan->open[scan->depth]--;
    scan->promised += head->children;
    scan->promised--;
    if (scan->promised > left)
        return why_set(why, ERR_FORMAT,
                       "the msgpack body is truncated: %llu elements promised, %zu bytes left",
                       (unsigned long long)scan->promised, left);
    if (!head->container)
        return ERR_OK;
    if (scan->depth == DEPTH_MAX)
        return why_set(why, ERR_LIMIT, "msgpack containers are nested more than %d deep", DEPTH_MAX);
    scan->open[++scan->depth] = head->children;
    return ERR_OK;
}

enum err prescan_check(const uint8_t *bytes, size_t size, struct prescan *prescan, struct why *why)
{
    struct scan scan = { .at = bytes, .end = bytes + size, .promised = 1, .open = { 1 } };
    *prescan = (struct prescan){ 0 };
    while (scan.promised > 0) {
        struct head head = { 0 };
        if (scan.at == scan.end)
            return truncated(why);
        if (++prescan->elements > ELEMENTS_MAX)
            return why_set(why, ERR_LIMIT, "the msgpack body has more than %d elements", ELEMENTS_MAX);
        enum err err = read_head(scan.at, (size_t)(scan.end - scan.at), &head, why);
        if (err == ERR_OK)
            err = enter(&scan, &head, why);
        if (err != ERR_OK)
            return err;
        if (scan.depth > prescan->depth)
            prescan->depth = scan.depth;
        while (scan.depth > 0 && scan.open[scan.depth] == 0)
            scan.depth--;
    }
    if (scan.at != scan.end)
        return why_set(why, ERR_FORMAT, "%zu bytes follow the msgpack body", (size_t)(scan.end - scan.at));
    return ERR_OK;
}
