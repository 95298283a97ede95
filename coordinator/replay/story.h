// SPDX-License-Identifier: Apache-2.0
/* story - what happened to one job, told from a recording: `motley-coordinator --replay FILE --explain JOB`.
 *
 * Ordinary lines are leases and their results; notable ones all the rest: loads, failures, losses, recalls,
 * hedges, its end. Only the first and the last of each are told, unless all are asked for. The figures are
 * those of the decision's moment, from the scheduler's own looks. */
#ifndef STORY_H
#define STORY_H

#include "err.h"
#include "sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct replay_options;
struct yyjson_mut_doc;

/* bytes: a recording that replay_new takes. ERR_NOT_FOUND: the job is not in it (or not yet, at that second).
 */
MUST_USE enum err story_tell(const struct replay_options *options, const uint8_t *bytes, size_t size,
                             FILE *out, struct why *why);

/* Online requests are jobs without a number that means anything to people. */
static inline bool story_is_online(uint64_t job) { return job >> 62 == 1; }

/* An event in a few words: "result of worker 3 slot 0, job 5, 32 samples from 64". */
void story_event_text(const struct sched_event *event, char *text, size_t size);

/* Pretty, with a line feed; false if memory is short or it cannot be written. */
bool story_write_json(const struct yyjson_mut_doc *doc, FILE *out);

#endif
