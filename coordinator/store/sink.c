// SPDX-License-Identifier: Apache-2.0
#include "sink.h"

#include "element.h"
#include "file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

void sink_begin(struct sink *sink, int fd, const char *path)
{
    memset(sink, 0, sizeof *sink);
    sink->fd = fd;
    sink->path = path;
    sink->buffer = malloc(SINK_BYTES);
    if (!sink->buffer)
        sink->err = why_set(&sink->why, ERR_MEMORY, "no memory to write %s", path);
}

static void flush(struct sink *sink)
{
    if (sink->err != ERR_OK || sink->used == 0)
        return;
    sink->err = file_pwrite(sink->fd, sink->buffer, sink->used, sink->offset, sink->path, &sink->why);
    sink->offset += sink->used;
    sink->used = 0;
}

void sink_bytes(struct sink *sink, const void *bytes, size_t size)
{
    const char *from = bytes;
    while (size > 0 && sink->err == ERR_OK) {
        size_t room = SINK_BYTES - sink->used, part = size < room ? size : room;
        memcpy(sink->buffer + sink->used, from, part);
        sink->used += part;
        from += part;
        size -= part;
        if (sink->used == SINK_BYTES)
            flush(sink);
    }
}

void sink_text(struct sink *sink, const char *text) { sink_bytes(sink, text, strlen(text)); }

void sink_count(struct sink *sink, uint64_t number)
{
    char text[24];
    sink_bytes(sink, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number));
}

static char *json_string(const char *text)
{
    yyjson_mut_val string = { 0 };
    yyjson_mut_set_str(&string, text);
    return yyjson_mut_val_write(&string, YYJSON_WRITE_NOFLAG, NULL);
}

void sink_string(struct sink *sink, const char *text)
{
    char *json = json_string(text), *ascii = json ? NULL : strdup(text);
    for (char *c = ascii; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    if (ascii)
        json = json_string(ascii);
    if (json)
        sink_text(sink, json);
    else if (sink->err == ERR_OK)
        sink->err = why_set(&sink->why, ERR_MEMORY, "no memory to write %s", sink->path);
    free(json);
    free(ascii);
}

/* ---- numbers ---- */

void sink_elements(struct sink *sink, enum dtype dtype, const void *elements, size_t count, bool comma)
{
    const uint8_t *element = elements;
    char text[1 + ELEMENT_TEXT_MAX];
    for (size_t i = 0; i < count && sink->err == ERR_OK; i++, comma = true, element += dtype_bytes(dtype)) {
        text[0] = ',';
        int length = element_json(dtype, element, text + 1);
        sink_bytes(sink, comma ? text : text + 1, (size_t)length + comma);
    }
}

enum err sink_end(struct sink *sink, struct why *why)
{
    flush(sink);
    free(sink->buffer);
    sink->buffer = NULL;
    if (sink->err != ERR_OK && why)
        *why = sink->why;
    return sink->err;
}
