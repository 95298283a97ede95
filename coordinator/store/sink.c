// SPDX-License-Identifier: Apache-2.0
#include "sink.h"

#include "ensure.h"
#include "file.h"

#include <inttypes.h>
#include <math.h>
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

static int print_float(char *text, size_t max, double value, int digits)
{
    if (isnan(value))
        return snprintf(text, max, "\"NaN\"");
    if (isinf(value))
        return snprintf(text, max, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return snprintf(text, max, "%.*g", digits, value);
}

/* IEEE 754 binary16; every one of them is a float. */
static float half_to_float(uint16_t half)
{
    int exponent = (half >> 10) & 0x1f, fraction = half & 0x3ff;
    float sign = half & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)fraction, -24);
    return sign * ldexpf((float)(fraction + 1024), exponent - 25);
}

static uint64_t load(const void *element, size_t size)
{
    uint64_t bits = 0;
    memcpy(&bits, element, size);
    return bits;
}

static int print_bits32(char *text, size_t max, const void *element)
{
    float value;
    memcpy(&value, element, sizeof value);
    return print_float(text, max, (double)value, 9);
}

static int print_bits64(char *text, size_t max, const void *element)
{
    double value;
    memcpy(&value, element, sizeof value);
    return print_float(text, max, value, 17);
}

static int print_element(char *text, size_t max, enum dtype dtype, const void *element)
{
    uint64_t bits = load(element, dtype_bytes(dtype));
    switch (dtype) {
    case DTYPE_BOOL: return snprintf(text, max, bits ? "true" : "false");
    case DTYPE_I8: return snprintf(text, max, "%d", (int8_t)bits);
    case DTYPE_I16: return snprintf(text, max, "%d", (int16_t)bits);
    case DTYPE_I32: return snprintf(text, max, "%" PRId32, (int32_t)bits);
    case DTYPE_I64: return snprintf(text, max, "%" PRId64, (int64_t)bits);
    case DTYPE_U8:
    case DTYPE_U16:
    case DTYPE_U32:
    case DTYPE_U64: return snprintf(text, max, "%" PRIu64, bits);
    case DTYPE_F16: return print_float(text, max, (double)half_to_float((uint16_t)bits), 9);
    case DTYPE_F32: return print_bits32(text, max, element);
    case DTYPE_F64: return print_bits64(text, max, element);
    case DTYPE_NONE:
    case DTYPE_COUNT: break;
    }
    ENSURE(!"an element type without a text form");
    return 0;
}

void sink_elements(struct sink *sink, enum dtype dtype, const void *elements, size_t count, bool comma)
{
    const uint8_t *element = elements;
    char text[40];
    for (size_t i = 0; i < count && sink->err == ERR_OK; i++, comma = true, element += dtype_bytes(dtype)) {
        text[0] = ',';
        int length = print_element(text + 1, sizeof text - 1, dtype, element);
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
