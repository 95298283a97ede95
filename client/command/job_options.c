// SPDX-License-Identifier: Apache-2.0
#include "job_options.h"

#include "bounds.h"
#include "require.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum err job_options_priority(const char *text, int *priority, struct why *why)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text && !*end && (errno || number < INT32_MIN || number > INT32_MAX))
        return why_set(why, ERR_USAGE, "--priority %.60s: is out of range; give %d to %d", text, INT32_MIN,
                       INT32_MAX);
    if (!*text || *end)
        return why_set(why, ERR_USAGE, "--priority %.60s: give a whole number, such as 5 or -1", text);
    *priority = (int)number;
    return ERR_OK;
}

/* "5%", "0.5%" into a share. */
static enum err parse_share(const char *text, double *share, struct why *why)
{
    char *end;
    bool digits = *text >= '0' && *text <= '9';
    double percent = strtod(text, &end);
    if (digits && !*end && percent <= 100.0)
        return why_set(why, ERR_USAGE,
                       "--verify %.60s: the %% is missing: give a share of the samples, such as %.60s%%",
                       text, text);
    if (!digits || strcmp(end, "%") != 0 || !(percent <= 100.0))
        return why_set(why, ERR_USAGE, "--verify %.60s: give a share of the samples, 0%% to 100%%", text);
    *share = percent / 100.0;
    return ERR_OK;
}

/* The coordinator says the same, after the upload. */
static enum err check_expression(const char *option, const char *text, bool must, struct why *why)
{
    struct require *require;
    struct why inner;
    if (!text)
        return ERR_OK;
    enum err err = require_parse(text, strlen(text), &require, NULL, &inner);
    if (err != ERR_OK)
        return why_set(why, ERR_USAGE, "%s: %s", option, inner.text);
    if (must && require_contradiction(require, &inner))
        err = why_set(why, ERR_USAGE, "%s: no device can ever satisfy it: %s", option, inner.text);
    require_free(&require);
    return err;
}

static enum err take_wishes(const struct job_options *options, struct motley_submit *submit, struct why *why)
{
    if (options->deadline_us == 0)
        return why_set(why, ERR_USAGE, "--deadline 0: give a time from now on, such as 10m");
    if (options->tenant && !text_is_word(options->tenant, TENANT_MAX_BYTES))
        return why_set(
            why, ERR_USAGE,
            "--tenant %.80s: a tenant's name has letters, digits and . _ - only, no - first, at most %d",
            options->tenant, TENANT_MAX_BYTES - 1);
    enum err err = check_expression("--require", options->require, true, why);
    if (err == ERR_OK)
        err = check_expression("--prefer", options->prefer, false, why);
    if (err == ERR_OK && options->verify)
        err = parse_share(options->verify, &submit->verify_share, why);
    submit->require = options->require;
    submit->prefer = options->prefer;
    submit->tenant = options->tenant;
    submit->objective = options->objective;
    submit->deadline_seconds = options->deadline_us == UINT64_MAX ? 0 : (double)options->deadline_us / 1e6;
    return err;
}

static enum err take_param(const char *text, struct motley_submit *submit, struct why *why)
{
    static const char precisions[] = "precisions=", accuracy[] = "accuracy_min=", costs[] = "costs=";
    char *end = NULL;
    if (strncmp(text, precisions, sizeof precisions - 1) == 0) {
        submit->precisions = text + sizeof precisions - 1;
        return ERR_OK;
    }
    if (strncmp(text, costs, sizeof costs - 1) == 0) {
        submit->costs = text + sizeof costs - 1;
        return ERR_OK;
    }
    if (strncmp(text, accuracy, sizeof accuracy - 1) != 0)
        return why_set(why, ERR_USAGE,
                       "--param %.100s: give precisions=LIST, accuracy_min=SHARE or costs=FILE.npy", text);
    text += sizeof accuracy - 1;
    submit->accuracy_min = strtod(text, &end);
    if (!*text || *end || !(submit->accuracy_min > 0 && submit->accuracy_min <= 1))
        return why_set(why, ERR_USAGE, "--param accuracy_min=%.60s: give a share above 0, at most 1", text);
    return ERR_OK;
}

static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return false;
    return *name != 0;
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
    /* Another number is for the library to refuse: it knows first whether there is such a model. */
    if (!builtin && options->samples == 0)
        return why_set(why, ERR_USAGE,
                       "--samples is for the model synthetic; the input says how many there are");
    if (options->name && !is_name(options->name))
        return why_set(why, ERR_USAGE,
                       "--name: a job's name has at least one letter, and no control characters; leave "
                       "--name away to have it named after its model");
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
    enum err err = take_wishes(options, &fresh, why);
    for (size_t i = 0; i < options->params.count && err == ERR_OK; i++)
        err = take_param(options->params.at[i], &fresh, why);
    if (err != ERR_OK)
        return err;
    *submit = fresh;
    return options->priority ? job_options_priority(options->priority, &submit->priority, why) : ERR_OK;
}

double job_options_timeout(const struct job_options *options)
{
    return options->timeout_us == UINT64_MAX ? -1.0 : (double)options->timeout_us / 1e6;
}
