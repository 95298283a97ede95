// SPDX-License-Identifier: Apache-2.0
/* follow - wait for a job with a progress bar on a terminal and quietly elsewhere. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "motley.h"

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

/* Asked about ten times a second, with the job's latest view. Non-zero stops waiting. */
typedef int follow_check(void *context, yyjson_val *job);

struct follow_plan {
    int64_t job;
    double timeout_seconds; /* negative = for ever */
    bool quiet;             /* no bar, no notes */
    follow_check *check;    /* (optional) */
    void *context;
};

/* Say once on stderr that the coordinator is away, and once that it is back; *away begins as false. */
void follow_tell_away(yyjson_val *job, bool *away);

/* motley_wait's code; 130 after Ctrl-C or when check said stop. error holds the sentence, which is not
 * printed. */
int follow(motley *connection, const struct follow_plan *plan, struct motley_error *error);

#endif
