// SPDX-License-Identifier: Apache-2.0
/* report - a job as JSON: its own figures, and those of every device that took part. Pure. */
#ifndef REPORT_H
#define REPORT_H

#include "view.h"

#include <stdbool.h>
#include <yyjson.h>

/* Fill object with record's keys, `devices` only when asked for. */
void report_job(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                const struct record *record, bool devices);

/* tenant, objective, require, prefer, verify_share; what job 0 = nobody's wishes are is as of a dry run. */
void report_wishes(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct message_submit *spec);

/* The forecast of a job that sched knows, or null. */
void report_forecast(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                     yyjson_mut_val *object, uint64_t job, bool deadline);

/* Small helpers for keys whose value may be unknown: null then. at_us 0 = unknown. */
void report_number(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, bool known, double value);
void report_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, int64_t at_us);
void report_step_time(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                      uint64_t step_us); /* of the monotonic clock; 0 or UINT64_MAX = unknown */

/* What a slot runs: `running_seconds`, `expected_seconds` by its own curve, and `stuck` once that is so long
 * past that its samples are for others, too. */
void report_run(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                const struct worker *worker, uint32_t slot);

void report_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                 const char *text); /* NULL = null; copied */
void report_uuid(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                 const uint8_t uuid[UUID_BYTES]);

#endif
