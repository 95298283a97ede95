// SPDX-License-Identifier: Apache-2.0
/* output - where a job's answer goes and in which form (CONTRACT section 2, Outputs). Any thread. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "bounds.h"
#include "messages.h"
#include "signature.h"

#include <stdbool.h>

struct output_plan {
    char path[PATH_MAX_BYTES]; /* absolute, without a trailing slash; "" = none was asked for */
    enum output_kind kind;
};

/* The form follows the name: Y.npy, Y.jsonl, Y/ (or an existing folder). A name without any of these gets the
 * natural form's ending. The natural form: JSON lines when the input was, or when a row's shape is open; .npy
 * for one output; a folder for several. path NULL or "": the natural form, to be kept. ERR_USAGE when the
 * form cannot hold the model's outputs. */
MUST_USE enum err output_plan(const char *path, const struct signature *signature, bool jsonl,
                              struct output_plan *plan, struct why *why);

/* Found before the job runs: the folder is there and writable, and no folder stands where a file must go or
 * the reverse. */
MUST_USE enum err output_check(const struct output_plan *plan, struct why *why);

/* Y of Y.npy: the path without its form's ending, beside which Y.index.jsonl and Y.errors.jsonl stand. */
void output_stem(const struct output_plan *plan, char *stem, size_t max);

#endif
