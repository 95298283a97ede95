// SPDX-License-Identifier: Apache-2.0
/* input - a job's input from .npy, .npz, .jsonl or standard input, checked against the model's signature.
 *
 * The kind is told by the file's first bytes. Nothing is converted silently: another dtype or shape is
 * refused with what to do. Arrays are left where they are (path and offset); what has no plain rows on disk
 * (deflated members, JSON, a pipe) is unpacked into nameless temporary files in bounded memory. */
#ifndef INPUT_H
#define INPUT_H

#include "bounds.h"
#include "signature.h"

#include <stdbool.h>
#include <stddef.h>

struct input_array {
    struct tensor_spec spec;   /* named as the model names it; all dims known */
    char path[PATH_MAX_BYTES]; /* absolute; "" = only the descriptor leads to it */
    int fd;                    /* open for reading */
    uint64_t offset, row_bytes;
    uint64_t file_bytes;
    int64_t mtime_ns; /* with path */
};

struct input {
    uint64_t samples;
    uint32_t count;
    struct input_array arrays[INPUTS_MAX]; /* in the model's order */
    int names_fd; /* ids: JSON strings, one a line, one per sample; -1 = samples have no names */
    uint64_t names_bytes;
    bool jsonl; /* came as JSON lines, so the answer is given so by default */
};

/* path "-" is standard input. ERR_FILE, ERR_FORMAT, ERR_USAGE (does not fit the model). input_close in any
 * case. */
MUST_USE enum err input_open(const char *path, const struct signature *signature, struct input *input,
                             struct why *why);
void input_close(struct input *input); /* idempotent after input_open */

/* Which of count given arrays feeds which of the model's inputs: pick[k] for input k. A model with one input
 * takes the only array whatever its name; else names decide. Then dtypes and shapes are checked (given has
 * all dims known). Pure. */
MUST_USE enum err input_match(const struct tensor_spec *given, uint32_t count,
                              const struct signature *signature, uint32_t pick[INPUTS_MAX], struct why *why);

/* Does given (all dims known) fit wanted (-1 = any)? Pure. */
bool input_fits(const struct tensor_spec *given, const struct tensor_spec *wanted);

#endif
