// SPDX-License-Identifier: Apache-2.0
/* infer_view - the answer of an online request, for people, for programs, and as files. */
#ifndef INFER_VIEW_H
#define INFER_VIEW_H

#include "err.h"
#include "motley.h"

#include <stdio.h>
#include <yyjson.h>

/* Small arrays in full, of long rows the largest numbers; then where the time went. */
void infer_view_print(const struct motley_answer *answer, FILE *stream);
void infer_view_print_times(const struct motley_answer *answer, FILE *stream);

/* An Open Inference response a line and sample: {"id","outputs":[{"name","shape","datatype","data"}]}. */
void infer_view_print_lines(const struct motley_answer *answer, FILE *stream);

/* Into object: samples worker device chunks latency_ms{} outputs[]. */
void infer_view_json(const struct motley_answer *answer, yyjson_mut_doc *doc, yyjson_mut_val *object);

/* To a path by the rules of --output: Y.npy, Y/ or Y.jsonl. input and model: files that must not be
 * overwritten; NULL = none. */
MUST_USE enum err infer_view_write(const struct motley_answer *answer, const char *path, const char *input,
                                   const char *model, struct why *why);

/* The same rules, before it is asked: has_lines says that the input was JSON lines. */
MUST_USE enum err infer_view_check_path(const char *path, struct why *why);

#endif
