// SPDX-License-Identifier: Apache-2.0
#include "retention_words.h"

#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t LEAST_US = 1000000;

static enum err read_age(const char *text, uint64_t *us, struct why *why)
{
    if (strcmp(text, "forever") == 0) {
        *us = UINT64_MAX;
        return ERR_OK;
    }
    if (options_duration(text, us) == ERR_OK && *us >= LEAST_US)
        return ERR_OK;
    return why_set(why, ERR_USAGE,
                   "--keep %.60s: give a time of a second or more, such as 30d or 12h, or forever", text);
}

static enum err read_jobs(const char *text, uint64_t *jobs, struct why *why)
{
    char *end;
    errno = 0;
    if (strcmp(text, "all") == 0) {
        *jobs = UINT64_MAX;
        return ERR_OK;
    }
    uint64_t number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (number && !errno && *end == 'k' && number < UINT64_MAX / 1000) {
        number *= 1000;
        end++;
    }
    if (!number || errno || *end)
        return why_set(why, ERR_USAGE, "--keep-jobs %.60s: give a number of 1 or more, such as 1000, or all",
                       text);
    *jobs = number;
    return ERR_OK;
}

static bool unit_of(const char *text, double *factor)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = { { "", 1 },
                  { "B", 1 },
                  { "kB", 1e3 },
                  { "k", 1e3 },
                  { "MB", 1e6 },
                  { "M", 1e6 },
                  { "GB", 1e9 },
                  { "G", 1e9 },
                  { "TB", 1e12 },
                  { "T", 1e12 },
                  { "KiB", 1024 },
                  { "MiB", 1048576 },
                  { "GiB", 1073741824 },
                  { "TiB", 1099511627776 } };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text, units[i].unit) == 0) {
            *factor = units[i].factor;
            return true;
        }
    return false;
}

static enum err read_bytes(const char *text, uint64_t *bytes, struct why *why)
{
    char *end = NULL;
    double factor = 0, number = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
    if (strcmp(text, "any") == 0) {
        *bytes = UINT64_MAX;
        return ERR_OK;
    }
    if (!end || !(number > 0) || !isfinite(number) || !unit_of(end, &factor) || number * factor < 1 ||
        number * factor > 1e18)
        return why_set(why, ERR_USAGE, "--keep-bytes %.60s: give a size, such as 100GB or 50GiB, or any",
                       text);
    *bytes = (uint64_t)(number * factor);
    return ERR_OK;
}

enum err retention_words_read(const char *keep, const char *jobs, const char *bytes,
                              struct retention_words *words, struct why *why)
{
    *words = (struct retention_words){ 0 };
    enum err err = keep ? read_age(keep, &words->age_us, why) : ERR_OK;
    if (!err && jobs)
        err = read_jobs(jobs, &words->jobs, why);
    return !err && bytes ? read_bytes(bytes, &words->bytes, why) : err;
}
