// SPDX-License-Identifier: Apache-2.0
/* tool - what every command does alike: options of the connection, complaining, printing JSON, Ctrl-C. */
#ifndef TOOL_H
#define TOOL_H

#include "err.h"
#include "motley.h"
#include "options.h"

#include <stdbool.h>
#include <yyjson.h>

enum { TOOL_INTERRUPTED = 130 };

struct tool_link {
    const char *coordinator, *coordinator_key;
    uint64_t connect_timeout_us; /* 0 = the library's 5 s */
    bool json;
};

#define TOOL_JSON_ROW(link)                                                                                  \
    {                                                                                                        \
        "json", 0, OPTION_FLAG, &(link).json, NULL, "print JSON for programs"                                \
    }
#define TOOL_LINK_ROWS(link)                                                                                 \
    { "coordinator", 0,                                                                                      \
      OPTION_TEXT,   &(link).coordinator,                                                                    \
      "URL",         "the coordinator (default: $MOTLEY_COORDINATOR, else the fleet of `motley up`)" },      \
        { "coordinator-key", 0,                                                                              \
          OPTION_TEXT,       &(link).coordinator_key,                                                        \
          "KEY|FILE",        "its public key, for tcp (default: $MOTLEY_COORDINATOR_KEY, else as joined)" }, \
        { "connect-timeout",          0,      OPTION_DURATION,                                               \
          &(link).connect_timeout_us, "TIME", "give up on the coordinator after this (default 5s)" },        \
        TOOL_JSON_ROW(link)

/* "motley: <sentence>" on stderr; the exit code. */
int tool_fail(enum err err, const struct why *why);
int tool_fail_error(const struct motley_error *error);

/* Parse; true: go on. False: *code is the exit code (0 after --help). */
bool tool_parse(const struct option_usage *usage, const struct option_row *rows, int argc, char **argv,
                const char **words, size_t words_max, size_t *words_count, int *code);

/* NULL: it was said why, *code is the exit code. */
motley *tool_connect(const struct tool_link *link, int *code);

/* Ask for a view. NULL: it was said why. The document's strings live as long as it. */
yyjson_doc *tool_view(motley *connection, const char *what, const char *which, int *code);

/* Print a view as the coordinator gave it, indented. */
void tool_print_json(const yyjson_doc *doc);

/* The same for a document of our own. */
void tool_print_mut(const yyjson_mut_doc *doc);

/* Several views as one array: *all is made by the first call; a view that is an array adds its items.
 * tool_print_gathered prints and frees it. */
void tool_gather(yyjson_mut_doc **all, yyjson_doc *doc);
void tool_print_gathered(yyjson_mut_doc **all);

/* A view of each word, printed: as JSON (one array for several), or by show, which is told whether it is the
 * first. The exit code. */
typedef void tool_show(void *context, yyjson_val *root, bool first);
int tool_show_views(const struct tool_link *link, const char *what, const char *const *words,
                    size_t words_count, tool_show *show, void *context);

/* Is the stream a terminal that may be coloured (NO_COLOR is unset)? Is it one at all? */
bool tool_styled(FILE *stream);

/* Ctrl-C and SIGTERM from now on set a flag; a second one within the same wait ends the program as usual. */
void tool_catch_interrupts(void);
bool tool_interrupted(void);

#endif
