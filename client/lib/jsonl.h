// SPDX-License-Identifier: Apache-2.0
/* jsonl - Open Inference request bodies, one a line, one sample a line, into raw rows.
 *
 *     {"id": "a", "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
 *
 * The grammar is that of the Open Inference Protocol, version 2 (KServe), "Inference Request JSON Object".
 * `shape` may carry a leading batch axis of 1; data may be flat or nested. Ids become names: JSON strings,
 * one a line; lines without one are then named by their index. Memory is bounded by a line. Errors name the
 * line, and the column where the JSON itself is broken. */
#ifndef JSONL_H
#define JSONL_H

#include "input.h"

enum { JSONL_LINE_MAX = 8 << 20, JSONL_ID_MAX = 1024 };

/* Read fd from its present position to its end. name is for errors. Fills samples, count, arrays and names of
 * input. */
MUST_USE enum err jsonl_convert(int fd, const char *name, const struct signature *signature,
                                struct input *input, struct why *why);

#endif
