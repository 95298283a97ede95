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

/* Is it a name that an answer can have: Y.npy, Y.jsonl, Y/ (or an existing folder), or a name without an
 * ending where nothing stands? ERR_USAGE for others, among them "" and "-". */
MUST_USE enum err output_check_name(const char *path, struct why *why);

/* The form follows the name: Y.npy, Y.jsonl, Y/ (or an existing folder). A name without any ending gets the
 * natural form's. The natural form: JSON lines when the input was, or when a row's shape is open; .npy for
 * one output; a folder for several. path NULL: the natural form, to be kept. ERR_USAGE when the name is none
 * for an answer, or the form cannot hold the model's outputs. */
MUST_USE enum err output_plan(const char *path, const struct signature *signature, bool jsonl,
                              struct output_plan *plan, struct why *why);

/* Found before the job runs: the folder is there and writable, and no folder stands where a file must go or
 * the reverse. */
MUST_USE enum err output_check(const struct output_plan *plan, struct why *why);

/* ERR_USAGE when the answer would take the place of source (a file that is there), also through links. */
MUST_USE enum err output_check_source(const struct output_plan *plan, const char *source, struct why *why);

/* The bytes of an answer of samples, less its headers. False: not known before it is there (JSON lines, open
 * shapes). */
bool output_bytes(const struct output_plan *plan, const struct signature *signature, uint64_t samples,
                  uint64_t *bytes);

/* ERR_FILE when the answer's size is known and its disk has less room now. */
MUST_USE enum err output_check_room(const struct output_plan *plan, const struct signature *signature,
                                    uint64_t samples, struct why *why);

/* Y of Y.npy: the path without its form's ending, beside which Y.index.jsonl and Y.errors.jsonl stand. */
void output_stem(const struct output_plan *plan, char *stem, size_t max);

#endif
