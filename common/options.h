// SPDX-License-Identifier: Apache-2.0
/* options - a command line as a table: parsing, `--help` and tab completion all come from it.
 *
 *     struct options { const char *model; uint64_t batch; bool wait; } o = { 0 };
 *     const struct option_row rows[] = {
 *         { "model", 'm', OPTION_TEXT, &o.model, "FILE|NAME", "the model to run" },
 *         { "batch", 0, OPTION_COUNT, &o.batch, "N", "samples per batch (default: learned)" },
 *         { "wait", 0, OPTION_FLAG, &o.wait, NULL, "wait for the job to end" },
 *         { 0 } };
 *
 * `--name value`, `--name=value`, `-n value` and `--` are understood, options and positional words mix. An
 * unknown option is ERR_USAGE naming the nearest known one. A repeated option: the last wins, but for
 * OPTION_LIST. Not thread-safe (main only). */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_FLAG,   /* bool * */
    OPTION_TEXT,   /* const char ** (points into argv) */
    OPTION_COUNT,  /* uint64_t *: a whole number, with _ between digits and k, M, G, T or e9 behind allowed */
    OPTION_NUMBER, /* double *: finite */
    OPTION_DURATION, /* uint64_t * in microseconds: "10m", "1.5s", "200ms", "2h", bare = seconds */
    OPTION_LIST,     /* struct option_list *: may be given several times */
};

enum { OPTION_LIST_MAX = 64 };

struct option_list {
    size_t count;
    const char *at[OPTION_LIST_MAX];
};

struct option_row {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short name, or 0 */
    enum option_kind kind;
    void *value;          /* left alone unless the option is given */
    const char *argument; /* what --help calls its value; NULL for flags */
    const char *help;     /* one line */
};

/* The usage of one command, for --help. */
struct option_usage {
    const char *command;  /* "motley submit" */
    const char *synopsis; /* "--model M --input X [OPTION...]" */
    const char
        *about; /* a paragraph: what it does and when to use it; wrapped anew, so its line ends are spaces */
    const char *examples; /* lines, may be NULL */
};

/* Parse argv[1..argc). Positional words are gathered in words (at most words_max, else ERR_USAGE);
 * *words_count says how many.
 * `--help` and `-h` print the help on stdout and set *helped, then return ERR_OK at once. */
MUST_USE enum err options_parse(const struct option_usage *usage, const struct option_row *rows, int argc,
                                char **argv, const char **words, size_t words_max, size_t *words_count,
                                bool *helped, struct why *why);

void options_help(const struct option_usage *usage, const struct option_row *rows, FILE *stream);

/* The candidate nearest to word by edit distance (at most a third of its length, at least 2), or NULL. */
const char *options_nearest(const char *word, const char *const *candidates, size_t count);

/* "1.5s" and its like; also for fleet files and expressions. ERR_USAGE if it is not a duration or not in [0,
 * 100 years]. */
MUST_USE enum err options_duration(const char *text, uint64_t *us);

#endif
