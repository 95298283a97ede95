// SPDX-License-Identifier: Apache-2.0
#include "jsonl.h"

#include "spill.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { READ_STEP = 64 << 10 };

/* ---- lines ---- */

struct lines {
    int fd;
    bool ended;
    char *buffer; /* the unread rest begins at start */
    size_t start, used, room;
    uint64_t number; /* of the line last given, from 1 */
};

static enum err make_room(struct lines *lines, const char *name, struct why *why)
{
    if (lines->start > 0) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->used - lines->start);
        lines->used -= lines->start;
        lines->start = 0;
    }
    if (lines->used + READ_STEP <= lines->room)
        return ERR_OK;
    if (lines->used > JSONL_LINE_MAX)
        return why_set(why, ERR_LIMIT, "%s: line %llu is longer than %d bytes; give such samples as .npy",
                       name, (unsigned long long)lines->number + 1, JSONL_LINE_MAX);
    size_t room = lines->room ? 2 * lines->room : 4 * READ_STEP;
    char *grown = realloc(lines->buffer, room);
    if (!grown)
        return why_set(why, ERR_MEMORY, "no memory for a line of %s", name);
    lines->buffer = grown;
    lines->room = room;
    return ERR_OK;
}

static enum err read_more(struct lines *lines, const char *name, struct why *why)
{
    enum err err = make_room(lines, name, why);
    while (err == ERR_OK) {
        ssize_t got = read(lines->fd, lines->buffer + lines->used, READ_STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, ERR_FILE, "%s: cannot be read", name);
        lines->ended = got == 0;
        lines->used += (size_t)got;
        break;
    }
    return err;
}

/* The next line without its end; *line is NULL after the last one. Valid until the next call. */
static enum err next_line(struct lines *lines, const char *name, char **line, size_t *size, struct why *why)
{
    size_t seen = 0;
    for (;;) {
        char *from = lines->buffer ? lines->buffer + lines->start : NULL;
        size_t have = lines->used - lines->start;
        char *end = have > seen ? memchr(from + seen, '\n', have - seen) : NULL;
        if (end || lines->ended) {
            *line = end || have > 0 ? from : NULL;
            *size = end ? (size_t)(end - from) : have;
            lines->start += *size + (end ? 1 : 0);
            lines->number++;
            return ERR_OK;
        }
        seen = have;
        enum err err = read_more(lines, name, why);
        if (err != ERR_OK)
            return err;
    }
}

/* ---- one line
 * -------------------------------------------------------------------------------------------------------- */

struct conversion {
    const char *name;
    const struct signature *signature;
    struct input *input;
    struct lines lines;
    struct spill rows[INPUTS_MAX];
    struct spill names;
    bool named;
    uint8_t *row; /* of the tensor in hand */
    size_t row_room;
    struct why *why;
};

static enum err complain(struct conversion *c, const char *what, const char *tensor, const char *todo)
{
    return why_set(c->why, ERR_FORMAT, "%.200s: line %llu: %s%s%s; %s", c->name,
                   (unsigned long long)c->lines.number, tensor ? tensor : "", tensor ? ": " : "", what, todo);
}

static bool store_whole(yyjson_val *value, enum dtype dtype, uint8_t *at)
{
    static const struct {
        int64_t low;
        uint64_t high;
    } range[] = {
        [DTYPE_I8] = { INT8_MIN, INT8_MAX },    [DTYPE_I16] = { INT16_MIN, INT16_MAX },
        [DTYPE_I32] = { INT32_MIN, INT32_MAX }, [DTYPE_I64] = { INT64_MIN, INT64_MAX },
        [DTYPE_U8] = { 0, UINT8_MAX },          [DTYPE_U16] = { 0, UINT16_MAX },
        [DTYPE_U32] = { 0, UINT32_MAX },        [DTYPE_U64] = { 0, UINT64_MAX },
    };
    if (!yyjson_is_int(value))
        return false;
    uint64_t bits = yyjson_get_uint(value);
    bool fits =
        yyjson_is_uint(value) ? bits <= range[dtype].high : yyjson_get_sint(value) >= range[dtype].low;
    memcpy(at, &bits, dtype_bytes(dtype)); /* little-endian: the low bytes of two's complement */
    return fits;
}

static bool store_real(yyjson_val *value, enum dtype dtype, uint8_t *at)
{
    if (!yyjson_is_num(value))
        return false;
    double twice = yyjson_get_num(value);
    float single = (float)twice;
    memcpy(at, dtype == DTYPE_F32 ? (void *)&single : (void *)&twice, dtype_bytes(dtype));
    return isfinite(twice) && (dtype == DTYPE_F64 || isfinite(single));
}

static bool store_element(yyjson_val *value, enum dtype dtype, uint8_t *at)
{
    if (dtype == DTYPE_BOOL) {
        *at = yyjson_is_true(value) ? 1 : 0;
        return yyjson_is_bool(value);
    }
    return dtype == DTYPE_F32 || dtype == DTYPE_F64 ? store_real(value, dtype, at)
                                                    : store_whole(value, dtype, at);
}

/* Flat or nested data, depth first. False: a value that does not fit; *done says how many did. */
static bool store_data(yyjson_val *data, enum dtype dtype, uint64_t count, uint8_t *row, uint64_t *done,
                       unsigned depth)
{
    size_t index, size;
    yyjson_val *value;
    yyjson_arr_foreach(data, index, size, value)
    {
        if (yyjson_is_arr(value)) {
            if (depth == 0 || !store_data(value, dtype, count, row, done, depth - 1))
                return false;
            continue;
        }
        if (*done == count || !store_element(value, dtype, row + *done * dtype_bytes(dtype)))
            return false;
        ++*done;
    }
    return true;
}

/* UINT64_MAX when it is more. */
static uint64_t element_count(const struct tensor_spec *spec)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (__builtin_mul_overflow(count, (uint64_t)spec->dims[i], &count))
            count = UINT64_MAX;
    return count;
}

static enum err convert_data(struct conversion *c, yyjson_val *data, const struct tensor_spec *spec)
{
    uint64_t count = element_count(spec), done = 0;
    char what[200];
    if (!yyjson_is_arr(data))
        return complain(c, "\"data\" is not an array", spec->name, "give the sample's values there");
    if (count > JSONL_LINE_MAX)
        return complain(c, "the shape is larger than a line can hold", spec->name,
                        "give such samples as .npy");
    uint64_t bytes = count * dtype_bytes(spec->dtype);
    if (bytes > c->row_room) {
        uint8_t *grown = realloc(c->row, (size_t)bytes);
        if (!grown)
            return why_set(c->why, ERR_MEMORY, "no memory for a line of %s", c->name);
        c->row = grown;
        c->row_room = (size_t)bytes;
    }
    bool stored = store_data(data, spec->dtype, count, c->row, &done, TENSOR_DIMS_MAX);
    if (!stored && done < count) {
        snprintf(what, sizeof what, "data[%llu] is not a value of %s", (unsigned long long)done,
                 dtype_oip(spec->dtype));
        return complain(c, what, spec->name, "correct it");
    }
    if (!stored || done != count) {
        snprintf(what, sizeof what, "\"data\" has %s values than the %llu of \"shape\"",
                 stored ? "fewer" : "more", (unsigned long long)count);
        return complain(c, what, spec->name, "correct one of them");
    }
    return ERR_OK;
}

/* The shape of the row: with as many axes as the model's as it stands, with one more it must lead with 1. */
static bool parse_shape(yyjson_val *shape, uint32_t rank, struct tensor_spec *spec)
{
    size_t index, size;
    yyjson_val *dim;
    if (!yyjson_is_arr(shape))
        return false;
    bool led = yyjson_arr_size(shape) == rank + 1 && yyjson_get_sint(yyjson_arr_get_first(shape)) == 1;
    if (yyjson_arr_size(shape) != rank && !led)
        return false;
    spec->dims_count = 0;
    yyjson_arr_foreach(shape, index, size, dim)
    {
        if (!yyjson_is_uint(dim) || yyjson_get_uint(dim) > INT32_MAX)
            return false;
        if (index > 0 || !led)
            spec->dims[spec->dims_count++] = yyjson_get_sint(dim);
    }
    return true;
}

/* Which of the model's inputs a tensor of the line is. */
static uint32_t find_input(const struct conversion *c, yyjson_val *tensor, size_t tensors)
{
    const char *name = yyjson_get_str(yyjson_obj_get(tensor, "name"));
    if (tensors == 1 && c->signature->inputs_count == 1)
        return 0;
    for (uint32_t k = 0; name && k < c->signature->inputs_count; k++)
        if (strcmp(c->signature->inputs[k].name, name) == 0)
            return k;
    return UINT32_MAX;
}

static enum err check_dtype(struct conversion *c, yyjson_val *tensor, const struct tensor_spec *wanted)
{
    const char *datatype = yyjson_get_str(yyjson_obj_get(tensor, "datatype"));
    char what[200];
    if (datatype && dtype_from_oip(datatype) == wanted->dtype && wanted->dtype != DTYPE_F16)
        return ERR_OK;
    if (wanted->dtype == DTYPE_F16)
        return complain(c, "JSON carries no FP16, which the model wants", wanted->name,
                        "give the input as .npy");
    snprintf(what, sizeof what, "\"datatype\" is %.40s but the model wants %s",
             datatype ? datatype : "missing", dtype_oip(wanted->dtype));
    return complain(c, what, wanted->name, "correct it");
}

/* The first line fixes the shape of all. */
static enum err check_shape(struct conversion *c, yyjson_val *tensor, uint32_t k)
{
    const struct tensor_spec *wanted = &c->signature->inputs[k];
    struct tensor_spec *fixed = &c->input->arrays[k].spec, spec = *wanted;
    char want[160], what[300];
    const struct tensor_spec *against = c->input->samples > 0 ? fixed : wanted;
    if (!parse_shape(yyjson_obj_get(tensor, "shape"), wanted->dims_count, &spec) ||
        !input_fits(&spec, against)) {
        tensor_print(against, want, sizeof want);
        snprintf(what, sizeof what, "\"shape\" does not fit %s, which %s", want,
                 against == fixed ? "the lines before had" : "the model wants");
        return complain(c, what, wanted->name,
                        "a line is one sample, all of one shape (a leading 1 is allowed)");
    }
    *fixed = spec;
    return ERR_OK;
}

static enum err convert_tensor(struct conversion *c, yyjson_val *tensor, uint32_t k)
{
    const struct tensor_spec *wanted = &c->signature->inputs[k], *spec = &c->input->arrays[k].spec;
    enum err err = check_dtype(c, tensor, wanted);
    if (err == ERR_OK)
        err = check_shape(c, tensor, k);
    if (err == ERR_OK)
        err = convert_data(c, yyjson_obj_get(tensor, "data"), spec);
    if (err != ERR_OK)
        return err;
    return spill_write(&c->rows[k], c->row, (size_t)(element_count(spec) * dtype_bytes(spec->dtype)), c->why);
}

static enum err convert_tensors(struct conversion *c, yyjson_val *tensors)
{
    size_t index, size;
    yyjson_val *tensor;
    uint32_t seen = 0, want = c->signature->inputs_count;
    if (!yyjson_is_arr(tensors))
        return complain(c, "\"inputs\" is missing or not an array", NULL,
                        "give an Open Inference request body a line");
    yyjson_arr_foreach(tensors, index, size, tensor)
    {
        uint32_t k = find_input(c, tensor, size);
        if (k == UINT32_MAX || (seen & 1u << k))
            return complain(
                c, k == UINT32_MAX ? "names an input that the model does not have" : "names an input twice",
                NULL, "see `motley model check` for the model's inputs");
        enum err err = convert_tensor(c, tensor, k);
        if (err != ERR_OK)
            return err;
        seen |= 1u << k;
    }
    for (uint32_t k = 0; k < want; k++)
        if (!(seen & 1u << k))
            return complain(c, "this input of the model is missing", c->signature->inputs[k].name,
                            "give it in every line");
    return ERR_OK;
}

/* ---- names ---- */

static enum err write_index_name(struct conversion *c, uint64_t index)
{
    char text[32];
    int length = snprintf(text, sizeof text, "\"%llu\"\n", (unsigned long long)index);
    return spill_write(&c->names, text, (size_t)length, c->why);
}

/* The first id makes names of all lines before it. */
static enum err begin_names(struct conversion *c)
{
    enum err err = spill_open(&c->names, c->why);
    c->named = err == ERR_OK;
    for (uint64_t i = 0; err == ERR_OK && i < c->input->samples; i++)
        err = write_index_name(c, i);
    return err;
}

static enum err write_name(struct conversion *c, yyjson_val *id)
{
    size_t size;
    char *text = yyjson_val_write(id, 0, &size);
    if (!text)
        return why_set(c->why, ERR_MEMORY, "no memory for an id");
    enum err err = spill_write(&c->names, text, size, c->why);
    free(text);
    return err == ERR_OK ? spill_write(&c->names, "\n", 1, c->why) : err;
}

static enum err convert_name(struct conversion *c, yyjson_val *id)
{
    enum err err = ERR_OK;
    if (!id)
        return c->named ? write_index_name(c, c->input->samples) : ERR_OK;
    if (!yyjson_is_str(id) || yyjson_get_len(id) > JSONL_ID_MAX)
        return complain(c, "\"id\" is not a string of at most 1024 bytes", NULL,
                        "correct it or leave it away");
    if (!c->named)
        err = begin_names(c);
    return err == ERR_OK ? write_name(c, id) : err;
}

/* ---- all ---- */

static enum err check_keys(struct conversion *c, yyjson_val *root)
{
    size_t index, size;
    yyjson_val *key, *value;
    char what[120];
    if (!yyjson_is_obj(root))
        return complain(c, "is not a JSON object", NULL, "give an Open Inference request body a line");
    yyjson_obj_foreach(root, index, size, key, value)
    {
        bool optional = yyjson_equals_str(key, "parameters") || yyjson_equals_str(key, "outputs");
        bool empty = optional && yyjson_is_ctn(value) && yyjson_obj_size(value) + yyjson_arr_size(value) == 0;
        if (yyjson_equals_str(key, "id") || yyjson_equals_str(key, "inputs") || empty)
            continue;
        snprintf(what, sizeof what, "\"%.60s\" has no meaning here", yyjson_get_str(key));
        return complain(c, what, NULL, "remove it: a line has \"id\" and \"inputs\"");
    }
    return ERR_OK;
}

static enum err convert_line(struct conversion *c, char *line, size_t size)
{
    yyjson_read_err broken;
    yyjson_doc *doc = yyjson_read_opts(line, size, 0, NULL, &broken);
    if (!doc)
        return why_set(c->why, ERR_FORMAT, "%.200s: line %llu, column %zu: not JSON: %s; correct it", c->name,
                       (unsigned long long)c->lines.number, broken.pos + 1, broken.msg);
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err err = check_keys(c, root);
    if (err == ERR_OK)
        err = convert_tensors(c, yyjson_obj_get(root, "inputs"));
    if (err == ERR_OK)
        err = convert_name(c, yyjson_obj_get(root, "id"));
    if (err == ERR_OK)
        c->input->samples++;
    yyjson_doc_free(doc);
    return err;
}

static bool is_blank(const char *line, size_t size)
{
    size_t i = 0;
    while (i < size && isspace((unsigned char)line[i]))
        i++;
    return i == size;
}

static enum err convert_lines(struct conversion *c)
{
    char *line;
    size_t size;
    for (;;) {
        enum err err = next_line(&c->lines, c->name, &line, &size, c->why);
        if (err != ERR_OK || !line)
            return err;
        if (!is_blank(line, size))
            err = convert_line(c, line, size);
        if (err != ERR_OK)
            return err;
    }
}

/* Hand the files over to the input. No line at all: rows of the model's own shape, zero of them. */
static enum err finish(struct conversion *c)
{
    struct input *input = c->input;
    input->jsonl = true;
    for (uint32_t k = 0; k < c->signature->inputs_count; k++) {
        struct input_array *array = &input->arrays[k];
        if (input->samples == 0) {
            array->spec = c->signature->inputs[k];
            for (uint32_t i = 0; i < array->spec.dims_count; i++)
                array->spec.dims[i] = array->spec.dims[i] < 0 ? 1 : array->spec.dims[i];
        }
        array->row_bytes = tensor_row_bytes(&array->spec);
        array->file_bytes = c->rows[k].bytes;
        if ((array->fd = spill_finish(&c->rows[k], c->why)) < 0)
            return ERR_FULL;
    }
    input->count = c->signature->inputs_count;
    input->names_bytes = c->names.bytes;
    if (c->named && (input->names_fd = spill_finish(&c->names, c->why)) < 0)
        return ERR_FULL;
    return ERR_OK;
}

enum err jsonl_convert(int fd, const char *name, const struct signature *signature, struct input *input,
                       struct why *why)
{
    struct conversion c = {
        .name = name, .signature = signature, .input = input, .lines = { .fd = fd }, .why = why
    };
    enum err err = ERR_OK;
    c.names = (struct spill)SPILL_INIT;
    for (uint32_t k = 0; k < INPUTS_MAX; k++)
        c.rows[k] = (struct spill)SPILL_INIT;
    for (uint32_t k = 0; err == ERR_OK && k < signature->inputs_count; k++)
        err = spill_open(&c.rows[k], why);
    if (err == ERR_OK)
        err = convert_lines(&c);
    if (err == ERR_OK)
        err = finish(&c);
    for (uint32_t k = 0; k < INPUTS_MAX; k++)
        spill_close(&c.rows[k]);
    spill_close(&c.names);
    free(c.lines.buffer);
    free(c.row);
    return err;
}
