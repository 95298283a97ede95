// SPDX-License-Identifier: Apache-2.0
/* story_state - what the three files of story share: story (what happens, line by line), story_moment (how
 * things stand), story_end (who held the end, and what each slot did). Private. */
#ifndef STORY_STATE_H
#define STORY_STATE_H

#include "replay.h"
#include "replay_report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <yyjson.h>

enum { STORY_SLOTS_SHOWN = 64 };

struct held { /* a chunk of the job that is out */
    uint32_t worker, slot;
    uint64_t first, count, attempt;
    uint64_t leased_us, expected_us; /* expected: step time; 0 = unknown */
    bool recalled;
};

struct part { /* a slot in the job */
    uint32_t worker, slot;
    uint64_t chunks, samples, failed, returned, lost, dropped;
    uint64_t busy_us;
    double first_s, last_s; /* its first lease, its last result */
};

struct name {
    uint32_t worker, slots;
    char text[48];
};

struct table { /* of things of one size */
    size_t count, capacity;
    void *at;
};

struct story {
    const struct replay_options *options;
    FILE *out;
    bool telling; /* the second time */
    bool failed;  /* memory */
    bool found, open;
    struct replay *replay;
    const struct replay_step *step;
    uint64_t job;
    uint32_t models_count, models[SCHED_VARIANTS_MAX + 1];
    struct table held, parts, names;
    uint64_t expired;
    size_t ordinary, notable;         /* so far */
    size_t ordinary_all, notable_all; /* in all */
    size_t left_out;                  /* right before */
    uint64_t until;                   /* with --at: the last event of that moment */
    struct part last, before;         /* whose results came last, and last of another slot */
    struct held last_chunk;
    double ended_s;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root, *lines, *line;
};

/* "gpu-3 (1)", or "worker 1" */
const char *story_name(const struct story *story, uint32_t worker, char text[48]);
void story_where(const struct story *story, uint32_t worker, uint32_t slot, char text[96]);
double story_seconds_until(const struct story *story, uint64_t us); /* from this step; negative = past */
const char *story_state_words(enum sched_job_state state);

/* story->found is false then if there is no such job at this moment. */
void story_stand(struct story *story);
void story_end(struct story *story);

#endif
