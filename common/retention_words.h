// SPDX-License-Identifier: Apache-2.0
/* retention_words - what is kept of jobs that are over, as --keep, --keep-jobs and --keep-bytes say it. Pure.
 */
#ifndef RETENTION_WORDS_H
#define RETENTION_WORDS_H

#include "err.h"

#include <stdint.h>

/* 0 = nothing was said; UINT64_MAX = no limit. */
struct retention_words {
    uint64_t age_us, jobs, bytes;
};

/* Each may be NULL: not given. keep: a duration, or `forever`; jobs: a number, or `all`; bytes: a number with
 * kB, MB, GB, TB, KiB ... TiB or nothing behind it, or `any`. ERR_USAGE. */
MUST_USE enum err retention_words_read(const char *keep, const char *jobs, const char *bytes,
                                       struct retention_words *words, struct why *why);

#endif
