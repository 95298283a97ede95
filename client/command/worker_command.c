// SPDX-License-Identifier: Apache-2.0
/* motley worker drain, worker resume. */
#include "command.h"
#include "tool.h"

#include <stdio.h>

enum { WORDS_MAX = 64 };

static int drain(const struct option_usage *usage, const char *name, bool resume, int argc, char **argv)
{
    const char *words[WORDS_MAX];
    struct tool_link link = { 0 };
    struct motley_error error;
    size_t count = 0;
    int code, changed = 0;
    const struct option_row rows[] = { TOOL_LINK_ROWS(link), { 0 } };
    if (!tool_parse(usage, rows, argc, argv, words, WORDS_MAX, &count, &code))
        return code;
    if (count == 0) {
        fprintf(stderr, "motley: worker %s: which worker? give its name or id, or `all`\n", name);
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&link, &code);
    for (size_t i = 0; connection && code == 0 && i < count; i++) {
        int one = motley_drain(connection, words[i], resume, &error);
        if (one < 0)
            code = tool_fail_error(&error);
        else
            changed += one;
    }
    if (connection && code == 0 && link.json)
        printf("{\"changed\": %d}\n", changed);
    else if (connection && code == 0 && changed == 0)
        printf("nothing to do: %s already\n", resume ? "they took part" : "they were being drained");
    else if (connection && code == 0)
        printf("%d %s\n", changed, resume ? "resumed" : "draining");
    motley_close(&connection);
    return code;
}

int command_worker_drain(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley worker drain", "WORKER... [--json]",
        "Give a worker (by name or id, or `all`) no new work: it finishes what it has begun and gives the "
        "rest back, so that nothing is lost when it is stopped. That lasts, also over a restart of the "
        "coordinator, until `motley worker resume` or until the worker's process ends.",
        "  motley worker drain gpu-1 && motley worker explain gpu-1\n"
    };
    return drain(&usage, "drain", false, argc, argv);
}

int command_worker_resume(int argc, char **argv)
{
    static const struct option_usage usage = { "motley worker resume", "WORKER... [--json]",
                                               "Let a worker that was drained take part again.", NULL };
    return drain(&usage, "resume", true, argc, argv);
}
