// SPDX-License-Identifier: Apache-2.0
#include "job_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum err parse_priority(const char *text, int *priority, struct why *why)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (!*text || *end || errno || number < INT32_MIN || number > INT32_MAX)
        return why_set(why, ERR_USAGE, "--priority %.60s: give a whole number, such as 5 or -1", text);
    *priority = (int)number;
    return ERR_OK;
}

enum err job_options_submit(const struct job_options *options, struct motley_submit *submit, struct why *why)
{
    struct motley_submit fresh = MOTLEY_SUBMIT_INIT;
    if (!options->model || !*options->model)
        return why_set(why, ERR_USAGE,
                       "--model is missing: give a model file, a registered name, or synthetic");
    bool builtin = strcmp(options->model, "synthetic") == 0, counted = options->samples != UINT64_MAX;
    if (builtin && !counted)
        return why_set(why, ERR_USAGE, "--samples is missing: say how many for the model synthetic");
    if (!builtin && counted)
        return why_set(why, ERR_USAGE,
                       "--samples is for the model synthetic; the input says how many there are");
    if (options->batch == 0)
        return why_set(why, ERR_USAGE, "--batch 0: give at least 1, or leave it away to have it learned");
    if (options->batch != UINT64_MAX && options->batch > UINT32_MAX)
        return why_set(why, ERR_USAGE, "--batch %llu: is too large", (unsigned long long)options->batch);
    fresh.model = options->model;
    fresh.input = options->input;
    fresh.samples = counted ? options->samples : 0;
    fresh.output = options->output;
    fresh.name = options->name;
    fresh.batch = options->batch == UINT64_MAX ? 0 : (uint32_t)options->batch;
    fresh.max_failures = options->max_failures;
    *submit = fresh;
    return options->priority ? parse_priority(options->priority, &submit->priority, why) : ERR_OK;
}

double job_options_timeout(const struct job_options *options)
{
    return options->timeout_us == UINT64_MAX ? -1.0 : (double)options->timeout_us / 1e6;
}
