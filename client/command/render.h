// SPDX-License-Identifier: Apache-2.0
/* render - the coordinator's JSON for people: reports, lists, progress. Pure but for the stream: all of it
 * from the keys of CONTRACT section 2, unknown figures as "-". styled: terminal colours and weights. */
#ifndef RENDER_H
#define RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <yyjson.h>

/* A job's report: the table of its devices, and under it makespan, throughput, latency, bound. */
void render_report(yyjson_val *job, FILE *stream, bool styled);

/* One job in a few lines: state, what it waits for, counts, time left. */
void render_status(yyjson_val *job, FILE *stream);

/* Lists, with a header. */
void render_jobs(yyjson_val *jobs, FILE *stream, bool styled);
void render_workers(yyjson_val *workers, FILE *stream, bool styled);
void render_models(yyjson_val *models, FILE *stream, bool styled);
void render_events(yyjson_val *events, FILE *stream);

/* One worker with its devices and slots; one model with its tensors; the coordinator's state. */
void render_worker(yyjson_val *worker, FILE *stream, bool styled);
void render_model(yyjson_val *model, FILE *stream);
void render_coordinator(yyjson_val *status, FILE *stream);

/* The progress of a job as lines of at most columns characters: the bar, then one per device. Returns how
 * many. */
int render_progress(yyjson_val *job, FILE *stream, int columns, bool styled);

/* "1h 02m", "3.4 s", "-" for what is not a number. */
void render_seconds(double seconds, char *text, size_t max); /* not negative */
void render_duration(yyjson_val *seconds, char *text, size_t max);

#endif
