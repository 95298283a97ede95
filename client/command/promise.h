// SPDX-License-Identifier: Apache-2.0
/* promise - a job's deadline and forecast in words: its keys deadline_at, deadline_met and forecast. Pure but
 * for the stream. */
#ifndef PROMISE_H
#define PROMISE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <yyjson.h>

enum { PROMISE_MAX = 320 };

/* One sentence: "done 12:03:10 (in 3m 10s), between 12:03:05 and 12:03:20: in time for 12:10:00", or "no:
 * ...", or that there is no forecast yet. */
void promise_sentence(yyjson_val *job, int64_t now_us, char text[PROMISE_MAX]);

/* The lines of a status: deadline and forecast, where there are any. */
void promise_print(yyjson_val *job, int64_t now_us, FILE *stream);

#endif
