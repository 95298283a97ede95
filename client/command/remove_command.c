// SPDX-License-Identifier: Apache-2.0
/* motley job remove, motley model remove: what need not be kept any longer; motley job retry. */
#include "command.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

struct asked {
    struct tool_link link;
    const char *words[WORDS_MAX];
    size_t words_count;
    int64_t removed, open; /* open: jobs that were meant, but are not over */
};

static bool parse(const struct option_usage *usage, struct asked *asked, int argc, char **argv, int *code)
{
    const struct option_row rows[] = { TOOL_LINK_ROWS(asked->link), { 0 } };
    return tool_parse(usage, rows, argc, argv, asked->words, WORDS_MAX, &asked->words_count, code);
}

/* Those that a word still means are not over. */
static int64_t count_left(motley *connection, const char *word)
{
    char *json = motley_view(connection, "jobs", word, NULL);
    yyjson_doc *doc = json ? yyjson_read(json, strlen(json), 0) : NULL;
    int64_t count = (int64_t)yyjson_arr_size(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    free(json);
    return count;
}

static int remove_jobs(motley *connection, struct asked *asked, const char *word)
{
    struct motley_error error;
    int64_t count = motley_remove(connection, word, &error);
    if (count < 0)
        return tool_fail_error(&error);
    asked->removed += count;
    if (strcmp(word, "all") == 0 || (strspn(word, "0123456789-") == strlen(word) && strchr(word, '-')))
        asked->open += count_left(connection, word);
    return 0;
}

static void print_jobs(const struct asked *asked)
{
    if (asked->link.json)
        printf("{\"removed\": %" PRId64 ", \"open\": %" PRId64 "}\n", asked->removed, asked->open);
    else
        printf("%" PRId64 " removed\n", asked->removed);
    if (asked->open)
        fprintf(stderr,
                "motley: %" PRId64
                " of them %s not over and stay%s; cancel what is not wanted first, with `motley job "
                "cancel`\n",
                asked->open, asked->open == 1 ? "is" : "are", asked->open == 1 ? "s" : "");
}

int command_job_remove(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job remove", "JOB... [--json]",
        "Keep jobs that are over no longer: their reports, the answers that the coordinator keeps, and "
        "uploaded inputs that "
        "no other job uses. Files that they wrote elsewhere (--output) stay. A job that is not over must be "
        "cancelled first. "
        "JOB is a job's number, its name, `last`, `all`, or a range such as 3-7. Old jobs go by themselves; "
        "see "
        "`motley-coordinator --help`, --keep.",
        "  motley job remove 12\n"
        "  motley job remove 1-500\n"
    };
    struct asked asked = { .words_count = 0 };
    int code;
    if (!parse(&usage, &asked, argc, argv, &code))
        return code;
    if (asked.words_count == 0) {
        fprintf(stderr, "motley: job remove: which job? give its number, its name, `last` or `all`\n");
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&asked.link, &code);
    for (size_t i = 0; connection && code == 0 && i < asked.words_count; i++)
        code = remove_jobs(connection, &asked, asked.words[i]);
    if (connection && code == 0)
        print_jobs(&asked);
    motley_close(&connection);
    return code;
}

/* The same call for each word; how many there were in all is in asked->removed. */
static int ask_each(struct asked *asked, int (*call)(motley *, const char *, struct motley_error *))
{
    struct motley_error error;
    int code = 0;
    motley *connection = tool_connect(&asked->link, &code);
    for (size_t i = 0; connection && code == 0 && i < asked->words_count; i++) {
        int count = call(connection, asked->words[i], &error);
        code = count < 0 ? tool_fail_error(&error) : 0;
        asked->removed += count;
    }
    motley_close(&connection);
    return code;
}

int command_job_retry(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job retry", "JOB... [--json]",
        "Let jobs that are over go on, under their own numbers: samples that failed are run again, and so "
        "are those that a "
        "job that was cancelled or failed had not run. What is done stays done; the answer is written anew "
        "at the end. JOB "
        "is a job's number, its name, `last`, `all`, or a range such as 3-7.",
        "  motley job retry 12 && motley job wait 12\n"
    };
    struct asked asked = { .words_count = 0 };
    int code;
    if (!parse(&usage, &asked, argc, argv, &code))
        return code;
    if (asked.words_count == 0) {
        fprintf(stderr, "motley: job retry: which job? give its number, its name, `last` or `all`\n");
        return MOTLEY_USAGE;
    }
    code = ask_each(&asked, motley_retry);
    if (code == 0 && asked.link.json)
        printf("{\"retried\": %" PRId64 "}\n", asked.removed);
    else if (code == 0)
        printf("%" PRId64 " go%s on\n", asked.removed, asked.removed == 1 ? "es" : "");
    return code;
}

int command_model_remove(int argc, char **argv)
{
    static const struct option_usage usage = { "motley model remove", "NAME[@VERSION]... [--json]",
                                               "Register a model no longer: all its versions, or one. Jobs "
                                               "that use it go on; its files go when no job that is kept "
                                               "has used them.",
                                               "  motley model remove digits@1\n" };
    struct asked asked = { .words_count = 0 };
    int code;
    if (!parse(&usage, &asked, argc, argv, &code))
        return code;
    if (asked.words_count == 0) {
        fprintf(stderr, "motley: model remove: which model? give its name, or NAME@VERSION\n");
        return MOTLEY_USAGE;
    }
    code = ask_each(&asked, motley_model_remove);
    if (code == 0 && asked.link.json)
        printf("{\"removed\": %" PRId64 "}\n", asked.removed);
    else if (code == 0)
        printf("%" PRId64 " file%s removed\n", asked.removed, asked.removed == 1 ? "" : "s");
    return code;
}
