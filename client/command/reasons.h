// SPDX-License-Identifier: Apache-2.0
/* reasons - the coordinator's explanations for people: why a job waits or is slow, why a worker is idle, what
 * would become of a job. Slots that are alike are one line, so that a thousand workers are a few. Pure but
 * for the stream. */
#ifndef REASONS_H
#define REASONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <yyjson.h>

struct reasons_style {
    int64_t now_us; /* wall clock */
    bool all;       /* a line for each slot */
    bool styled;
    const char *more; /* the option that shows each slot: "--all" */
};

void reasons_job(yyjson_val *job, FILE *stream, const struct reasons_style *style);
void reasons_worker(yyjson_val *worker, FILE *stream, const struct reasons_style *style);
void reasons_workers(yyjson_val *workers, FILE *stream, const struct reasons_style *style); /* alike: once */
void reasons_dry_run(yyjson_val *answer, FILE *stream, const struct reasons_style *style);

enum { REASONS_SENTENCE_MAX = 320 };

/* Why the slot of a place does not work for the job now. */
void reasons_sentence(yyjson_val *place, int64_t now_us, char text[REASONS_SENTENCE_MAX]);

#endif
