// SPDX-License-Identifier: Apache-2.0
/* motley job explain, worker explain: why. */
#include "clock.h"
#include "command.h"
#include "reasons.h"
#include "tool.h"

#include <stdio.h>

enum { WORDS_MAX = 64 };

typedef void explain_one(yyjson_val *root, FILE *stream, const struct reasons_style *style);

struct ask {
    struct tool_link link;
    bool all;
    const char *words[WORDS_MAX];
    size_t words_count;
};

static bool parse(const struct option_usage *usage, struct ask *ask, int argc, char **argv, int *code)
{
    const struct option_row rows[] = { { "all", 'a', OPTION_FLAG, &ask->all, NULL,
                                         "a line for each slot, also where many are alike" },
                                       TOOL_LINK_ROWS(ask->link),
                                       { 0 } };
    return tool_parse(usage, rows, argc, argv, ask->words, WORDS_MAX, &ask->words_count, code);
}

struct telling {
    const struct ask *ask;
    explain_one *explain;
};

static void show(void *context, yyjson_val *root, bool first)
{
    const struct telling *telling = context;
    struct reasons_style style = { clock_wall_us(), telling->ask->all, tool_styled(stdout), "--all" };
    size_t index, count;
    yyjson_val *item;
    if (yyjson_is_arr(root) && telling->explain == reasons_worker) {
        fputs(first ? "" : "\n", stdout);
        reasons_workers(root, stdout, &style);
        return;
    }
    if (!yyjson_is_arr(root)) {
        fputs(first ? "" : "\n", stdout);
        telling->explain(root, stdout, &style);
    }
    yyjson_arr_foreach(root, index, count, item)
    {
        fputs(first && index == 0 ? "" : "\n", stdout);
        telling->explain(item, stdout, &style);
    }
}

static int explain_words(const struct ask *ask, const char *what, explain_one *explain)
{
    struct telling telling = { ask, explain };
    return tool_show_views(&ask->link, what, ask->words, ask->words_count, show, &telling);
}

int command_job_explain(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job explain", "[JOB...] [--all] [--json]",
        "Say why a job waits or is slow (default: last): which slots work for it, in what batches and how "
        "fast, why each other one does not, what holds its end and what was done about that. "
        "JOB is a job's number, its name, `last`, `all`, or a range such as 3-7.",
        "  motley job explain last\n"
        "  motley job explain 12 --json\n"
    };
    struct ask ask = { 0 };
    int code;
    if (!parse(&usage, &ask, argc, argv, &code))
        return code;
    if (ask.words_count == 0)
        ask.words[ask.words_count++] = "last";
    return explain_words(&ask, "explain", reasons_job);
}

int command_worker_explain(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley worker explain", "[WORKER...] [--all] [--json]",
        "Say why a worker (by name or id, or `all`, the default) is idle, or what it does: for each of its "
        "slots and each open job why it works for that job, or why not. Workers that are alike are told "
        "once; --all tells each.",
        "  motley worker explain gpu-1\n"
    };
    struct ask ask = { 0 };
    int code;
    if (!parse(&usage, &ask, argc, argv, &code))
        return code;
    if (ask.words_count == 0)
        ask.words[ask.words_count++] = "all";
    return explain_words(&ask, "worker-explain", reasons_worker);
}
