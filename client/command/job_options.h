// SPDX-License-Identifier: Apache-2.0
/* job_options - the options that say what a job is, alike in `run` and `submit`. */
#ifndef JOB_OPTIONS_H
#define JOB_OPTIONS_H

#include "motley.h"
#include "options.h"

#include <stdbool.h>

struct job_options {
    const char *model, *input, *output, *name, *priority, *max_failures;
    uint64_t samples, batch, timeout_us;
};

/* What was not given is UINT64_MAX, because 0 is what a user may mean. */
#define JOB_OPTIONS_INIT                                                                                     \
    {                                                                                                        \
        .samples = UINT64_MAX, .batch = UINT64_MAX, .timeout_us = UINT64_MAX                                 \
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
    {                                                                                                        \
        "timeout", 0, OPTION_DURATION, &(job).timeout_us, "TIME", "stop waiting after this (exit 5)"         \
    }

/* Into the library's struct; texts stay those of argv. */
MUST_USE enum err job_options_submit(const struct job_options *options, struct motley_submit *submit,
                                     struct why *why);

/* Seconds for motley_wait: negative = for ever. */
double job_options_timeout(const struct job_options *options);

#endif
