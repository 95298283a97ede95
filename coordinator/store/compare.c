// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include "element.h"
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void comparison_merge(struct comparison *into, const struct comparison *from)
{
    into->samples += from->samples;
    into->differing += from->differing;
    if (into->outputs_count < from->outputs_count)
        into->outputs_count = from->outputs_count;
    for (uint32_t k = 0; k < from->outputs_count; k++) {
        struct difference *a = &into->outputs[k];
        const struct difference *b = &from->outputs[k];
        a->differing += b->differing;
        a->max_abs = b->max_abs > a->max_abs ? b->max_abs : a->max_abs;
        a->max_rel = b->max_rel > a->max_rel ? b->max_rel : a->max_rel;
        a->floats = a->floats || b->floats;
    }
}

static double largest(enum dtype dtype, const uint8_t *row, uint64_t count)
{
    double most = 0;
    for (uint64_t i = 0; i < count; i++) {
        double value = fabs(element_number(dtype, row + i * dtype_bytes(dtype)));
        if (isfinite(value) && value > most)
            most = value;
    }
    return most;
}

static bool compare_floats(struct difference *difference, enum dtype dtype, const uint8_t *fresh,
                           const uint8_t *stored, uint64_t count)
{
    size_t width = dtype_bytes(dtype);
    double a = largest(dtype, fresh, count), b = largest(dtype, stored, count), scale = a > b ? a : b,
           worst = 0;
    difference->floats = true;
    for (uint64_t i = 0; i < count; i++) {
        double x = element_number(dtype, fresh + i * width), y = element_number(dtype, stored + i * width);
        double apart = fabs(x - y), relative = scale > 0 ? apart / scale : 0;
        if ((isnan(x) && isnan(y)) || (isinf(x) && isinf(y) && (x > 0) == (y > 0)))
            continue;
        if (isfinite(x) && isfinite(y))
            difference->max_abs = apart > difference->max_abs ? apart : difference->max_abs;
        else
            relative = 1;
        worst = relative > worst ? relative : worst;
    }
    difference->max_rel = worst > difference->max_rel ? worst : difference->max_rel;
    return worst > COMPARE_TOLERANCE;
}

bool compare_row(struct difference *difference, enum dtype dtype, const void *fresh, const void *stored,
                 uint64_t count)
{
    size_t size = count * dtype_bytes(dtype);
    bool same = size == 0 || memcmp(fresh, stored, size) == 0, floats = dtype_is_float(dtype);
    bool differs = !same && (!floats || compare_floats(difference, dtype, fresh, stored, count));
    difference->floats = difference->floats || floats;
    difference->differing += differs;
    return differs;
}

/* ---- the spool ---- */

struct comparing {
    struct rows rows;
    uint8_t *stored; /* one row */
    size_t room;
    const uint8_t *next; /* the fresh row */
};

static enum err read_row(struct comparing *at, const struct rows_place *place, struct why *why)
{
    const uint8_t *part;
    if (place->bytes > at->room) {
        uint8_t *grown = realloc(at->stored, place->bytes);
        if (!grown)
            return why_set(why, ERR_MEMORY, "no memory to compare an answer");
        at->stored = grown;
        at->room = place->bytes;
    }
    for (uint64_t done = 0; done < place->bytes;) {
        uint64_t left = place->bytes - done;
        size_t step = left < ROWS_READ_MAX ? (size_t)left : ROWS_READ_MAX;
        enum err err = rows_read(&at->rows, place->offset + done, step, &part, why);
        if (err != ERR_OK)
            return err;
        memcpy(at->stored + done, part, step);
        done += step;
    }
    return ERR_OK;
}

/* What the fresh rows of an output look like. */
static struct tensor_spec fresh_spec(const struct spool_shape *shape, const struct compare_fresh *fresh,
                                     uint32_t k)
{
    return fresh->specs[k].dtype == DTYPE_NONE ? shape->outputs[k] : fresh->specs[k];
}

static bool same_shape(const struct tensor_spec *a, const struct tensor_spec *b)
{
    return a->dtype == b->dtype && a->dims_count == b->dims_count &&
           (a->dims_count == 0 || memcmp(a->dims, b->dims, a->dims_count * sizeof a->dims[0]) == 0);
}

static enum err compare_output(struct comparing *at, const struct tensor_spec *spec, uint64_t sample,
                               struct difference *difference, bool *differs, struct why *why)
{
    struct rows_place place;
    uint64_t bytes = tensor_row_bytes(spec);
    enum err err = rows_find(&at->rows, sample, &place, why);
    if (err != ERR_OK)
        return err;
    if (!same_shape(&place.spec, spec)) {
        difference->differing++;
        difference->max_rel = difference->max_rel > 1 ? difference->max_rel : 1;
        difference->floats = difference->floats || dtype_is_float(spec->dtype);
        *differs = true;
    } else {
        err = read_row(at, &place, why);
        if (err == ERR_OK &&
            compare_row(difference, spec->dtype, at->next, at->stored, bytes / dtype_bytes(spec->dtype)))
            *differs = true;
    }
    at->next += bytes;
    return err;
}

static enum err compare_all(struct comparing *at, const struct spool_shape *shape,
                            const struct compare_fresh *fresh, struct comparison *comparison, struct why *why)
{
    for (uint64_t i = 0; i < fresh->count; i++) {
        bool differs = false;
        for (uint32_t k = 0; k < shape->outputs_count; k++) {
            struct tensor_spec spec = fresh_spec(shape, fresh, k);
            enum err err =
                compare_output(&at[k], &spec, fresh->first + i, &comparison->outputs[k], &differs, why);
            if (err != ERR_OK)
                return err;
        }
        comparison->samples++;
        comparison->differing += differs;
    }
    return ERR_OK;
}

enum err compare_stored(const char *state_dir, const struct spool_shape *shape,
                        const struct compare_fresh *fresh, struct comparison *comparison, struct why *why)
{
    enum err err = ERR_OK;
    uint32_t opened = 0;
    memset(comparison, 0, sizeof *comparison);
    comparison->outputs_count = shape->outputs_count;
    struct comparing *at = calloc(STORE_OUTPUTS_MAX, sizeof *at);
    if (!at)
        return why_set(why, ERR_MEMORY, "no memory to compare answers");
    for (; opened < shape->outputs_count && err == ERR_OK; opened++) {
        at[opened].next = fresh->rows[opened];
        err = rows_open(&at[opened].rows, state_dir, shape, opened, why);
    }
    if (err == ERR_OK)
        err = compare_all(at, shape, fresh, comparison, why);
    for (uint32_t k = 0; k < opened; k++) {
        rows_close(&at[k].rows);
        free(at[k].stored);
    }
    free(at);
    return err;
}
