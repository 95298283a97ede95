// SPDX-License-Identifier: Apache-2.0
/* gantt - a picture of a run: a row per slot, its batches as bars, what befell it as marks, the bound and the
 * finish as lines. One self-contained SVG that needs no script and reads on light and dark paper.
 *
 * Bars are told in any order between rows, ascending within one. Neighbours that would be narrower than a
 * hair together become one bar, so that a row costs at most some thousand bars, whatever it did. A bar's
 * colour is its place in the job, from the first sample to the last. Pure but for gantt_write. */
#ifndef GANTT_H
#define GANTT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GANTT_ROWS_MAX = 64 };

struct gantt_mark {
    uint64_t at_us;
    enum { GANTT_SPEED, GANTT_DIES, GANTT_HANGS } kind;
    double factor; /* GANTT_SPEED: of full speed from then on */
};

struct gantt_row {
    const char *name;  /* any text; borrowed, as all here */
    const char *about; /* small, beside the name; may be NULL */
    uint64_t joins_us, load_us;
    const struct gantt_mark *marks;
    uint32_t marks_count;
};

struct gantt_picture {
    const char *title, *subtitle;
    const char *note; /* at the foot, such as which rows were left out; may be NULL */
    const struct gantt_row *rows;
    uint32_t rows_count; /* at most GANTT_ROWS_MAX */
    uint64_t samples;
    uint64_t finish_us; /* 0 = it did not */
    uint64_t end_us;    /* of the axis: nothing is drawn beyond */
    double bound_us;    /* negative = none */
};

struct gantt;

struct gantt *gantt_new(const struct gantt_picture *picture); /* NULL: no memory. picture is borrowed */
void gantt_free(struct gantt **gantt);

void gantt_bar(struct gantt *gantt, uint32_t row, uint64_t start_us, uint64_t end_us, uint64_t first_sample,
               bool kept);

/* The SVG, zero-terminated, yours to free; NULL: no memory, now or at a bar. */
char *gantt_svg(const struct gantt *gantt, size_t *size);

/* The same into path, complete or not at all. */
MUST_USE enum err gantt_write(const struct gantt *gantt, const char *path, struct why *why);

#endif
