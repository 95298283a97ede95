// SPDX-License-Identifier: Apache-2.0
/* job_options - the options that say what a job is, alike in `run` and `submit`. */
#ifndef JOB_OPTIONS_H
#define JOB_OPTIONS_H

#include "motley.h"
#include "options.h"

#include <stdbool.h>

struct job_options {
    const char *model, *input, *output, *name, *priority, *max_failures;
    const char *require, *prefer, *tenant, *objective, *verify;
    uint64_t samples, batch, timeout_us, deadline_us;
    struct option_list params; /* "key=value" */
    bool dry_run;
};

/* What was not given is UINT64_MAX, because 0 is what a user may mean. */
#define JOB_OPTIONS_INIT                                                                                     \
    {                                                                                                        \
        .samples = UINT64_MAX, .batch = UINT64_MAX, .timeout_us = UINT64_MAX, .deadline_us = UINT64_MAX      \
    }

#define JOB_OPTIONS_ROWS(job, model_help)                                                                    \
    { "model", 'm', OPTION_TEXT, &(job).model, "FILE|NAME", model_help },                                    \
        { "input",      'i',    OPTION_TEXT,                                                                 \
          &(job).input, "FILE", "samples: .npy, .npz, .jsonl, or - for standard input" },                    \
        { "output",                                                                                          \
          'o',                                                                                               \
          OPTION_TEXT,                                                                                       \
          &(job).output,                                                                                     \
          "FILE",                                                                                            \
          "answers: Y.npy, Y.jsonl, or the folder Y/ for several outputs; Y alone gets the ending that "     \
          "suits" },                                                                                         \
        { "samples", 0, OPTION_COUNT, &(job).samples, "N", "how many, for model synthetic" },                \
        { "name", 0, OPTION_TEXT, &(job).name, "NAME", "the job's name (default: the model's)" },            \
        { "priority", 0, OPTION_TEXT, &(job).priority, "N", "larger runs first (default 0)" },               \
        { "batch", 0, OPTION_COUNT, &(job).batch, "N", "samples per batch (default: learned)" },             \
        { "max-failures",      0,      OPTION_TEXT,                                                          \
          &(job).max_failures, "N|P%", "fail when more samples fail (default 5%)" },                         \
        { "require",      0,      OPTION_TEXT,                                                               \
          &(job).require, "EXPR", "only devices that satisfy this, such as 'device.memory >= 8GiB'" },       \
        { "prefer",    0,                                                                                    \
          OPTION_TEXT, &(job).prefer,                                                                        \
          "EXPR",      "devices that satisfy this, if one is here; others only if a deadline needs them" },  \
        { "tenant", 0, OPTION_TEXT, &(job).tenant, "NAME", "whose job it is, for fair shares" },             \
        { "deadline",         0,      OPTION_DURATION,                                                       \
          &(job).deadline_us, "TIME", "when it should be done, such as 10m from now on; says if it will" },  \
        { "objective",      0,      OPTION_TEXT,                                                             \
          &(job).objective, "WHAT", "fastest (default), cheapest or greenest that meets the deadline" },     \
        { "verify",      0,    OPTION_TEXT,                                                                  \
          &(job).verify, "P%", "run this share of the samples again on another kind of device" },            \
        { "param",                                                                                           \
          0,                                                                                                 \
          OPTION_LIST,                                                                                       \
          &(job).params,                                                                                     \
          "K=V",                                                                                             \
          "precisions=fp16,fp32 or accuracy_min=0.75: which of a model's files; costs=FILE.npy: what "       \
          "samples cost" },                                                                                  \
        { "dry-run",      0,    OPTION_FLAG,                                                                 \
          &(job).dry_run, NULL, "submit nothing; say when it would be done and by which devices" },          \
    {                                                                                                        \
        "timeout", 0, OPTION_DURATION, &(job).timeout_us, "TIME", "stop waiting after this (exit 5)"         \
    }

/* Into the library's struct; texts stay those of argv. */
MUST_USE enum err job_options_submit(const struct job_options *options, struct motley_submit *submit,
                                     struct why *why);

/* The number after --priority. */
MUST_USE enum err job_options_priority(const char *text, int *priority, struct why *why);

/* Seconds for motley_wait: negative = for ever. */
double job_options_timeout(const struct job_options *options);

#endif
