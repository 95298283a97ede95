// SPDX-License-Identifier: Apache-2.0
/* replay_report - `motley-coordinator --replay FILE`: what a recording holds, and whether this program would
 * do the same; with --explain JOB the story of a job (story.h). Text, or one JSON object. */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct replay_options {
    const char *path;
    bool json;
    bool check;        /* sched_check after each step: for tests, slow */
    uint64_t explain;  /* this job; 0 = a summary of all */
    bool explain_last; /* the last job that was added, instead of a number */
    double at_seconds; /* explain how things stood then, seconds after the first event; negative = the whole
                          story */
    bool all;          /* every line, however many */
};

/* ERR_RUNTIME: the actions differ (the report is printed, and why says where first). ERR_NOT_FOUND: no such
 * job in it. ERR_FORMAT, ERR_UNSUPPORTED: damaged (what comes before is printed), no recording, or of a newer
 * Motley. A recording that ends in the middle is none of these: the report says so. */
MUST_USE enum err replay_report(const struct replay_options *options, FILE *out, struct why *why);

#endif
