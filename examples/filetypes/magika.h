// SPDX-License-Identifier: Apache-2.0
/* magika - what Magika's own files say of its model: how a file becomes a row, and what a row of scores
 * means.
 *
 * Read from the package's config.min.json and content_types_kb.min.json, so that another release of the model
 * needs no change here. Everything is checked against the bounds below: the files come from outside. */
#ifndef MAGIKA_H
#define MAGIKA_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAGIKA_LABELS_MAX = 1024, MAGIKA_LABEL_MAX = 48, MAGIKA_BLOCK_MAX = 1 << 20 };

struct magika_label {
    char name[MAGIKA_LABEL_MAX];  /* what the model calls it */
    char shown[MAGIKA_LABEL_MAX]; /* what people are told; differs where the model is known to mean something
                                     broader */
    float threshold;              /* least score at which the answer is believed */
    bool is_text;                 /* of shown; false until magika_read_types */
};

struct magika {
    uint32_t beg_size, end_size; /* tokens from a file's beginning and end: a row is both */
    uint32_t block_size; /* bytes read at either end, white space included; more than beg_size and end_size */
    int32_t padding_token;  /* stands where a file has no byte */
    uint32_t min_file_size; /* shorter files (also after stripping) are no matter for the model */
    uint32_t labels_count;
    struct magika_label labels[MAGIKA_LABELS_MAX];
};

/* Read config.min.json. Features that this program does not know (middle bytes, fixed offsets) are
 * ERR_UNSUPPORTED. */
MUST_USE enum err magika_read(const char *path, struct magika *config, struct why *why);

/* Read content_types_kb.min.json: which labels are text. */
MUST_USE enum err magika_read_types(const char *path, struct magika *config, struct why *why);

/* What to tell people of a file with these scores (labels_count of them): the best label if its score reaches
 * its threshold, else "txt" or "unknown". Ties go to the first. */
const char *magika_answer(const struct magika *config, const float *scores);

#endif
