// SPDX-License-Identifier: Apache-2.0
/* motley job list, status, wait, progress, results, cancel, report. JOB is a number, a name, `last`, `all`,
 * or `3-7`. */
#include "clock.h"
#include "command.h"
#include "follow.h"
#include "promise.h"
#include "render.h"
#include "results.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

#define JOB_WORD "JOB is a job's number, its name, `last`, `all`, or a range such as 3-7."

struct ask {
    struct tool_link link;
    const char *words[WORDS_MAX];
    size_t words_count;
    uint64_t timeout_us;
    const char *output;
    yyjson_mut_doc *ended; /* job wait --json: the views so far */
    bool several;          /* more than one job is meant */
};

/* ---- showing ---- */

typedef void show_one(yyjson_val *job, FILE *stream);

static void show_list(yyjson_val *jobs, FILE *stream) { render_jobs(jobs, stream, tool_styled(stream)); }
static void show_report(yyjson_val *job, FILE *stream) { render_report(job, stream, tool_styled(stream)); }

static void show_status(yyjson_val *job, FILE *stream)
{
    render_status(job, stream);
    promise_print(job, clock_wall_us(), stream);
}

static void show(void *context, yyjson_val *root, bool first)
{
    show_one *const *one = context;
    size_t index, count;
    yyjson_val *job;
    (void)first;
    if (!yyjson_is_arr(root) || *one == show_list) {
        (*one)(root, stdout);
        return;
    }
    yyjson_arr_foreach(root, index, count, job)
    {
        if (index > 0)
            putchar('\n');
        (*one)(job, stdout);
    }
}

static int show_words(const struct ask *ask, const char *what, show_one *one)
{
    return tool_show_views(&ask->link, what, ask->words, ask->words_count, show, &one);
}

/* Options of all job commands; timed and writing ones have one more. `last` is meant when no job is named. */
static bool parse(const struct option_usage *usage, struct ask *ask, const struct option_row *more, int argc,
                  char **argv, int *code)
{
    struct option_row rows[] = { TOOL_LINK_ROWS(ask->link), { 0 }, { 0 } };
    if (more)
        rows[sizeof rows / sizeof rows[0] - 2] = *more;
    return tool_parse(usage, rows, argc, argv, ask->words, WORDS_MAX, &ask->words_count, code);
}

static void default_to_last(struct ask *ask)
{
    if (ask->words_count == 0)
        ask->words[ask->words_count++] = "last";
}

int command_job_list(int argc, char **argv)
{
    static const struct option_usage usage = { "motley job list", "[JOB...] [--json]",
                                               "List the jobs that the coordinator knows. " JOB_WORD, NULL };
    struct ask ask = { .timeout_us = UINT64_MAX };
    int code;
    if (!parse(&usage, &ask, NULL, argc, argv, &code))
        return code;
    if (ask.words_count == 0)
        ask.words[ask.words_count++] = "";
    return show_words(&ask, "jobs", show_list);
}

int command_job_status(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job status", "[JOB...] [--json]",
        "Show how jobs stand, and for what they wait (default: last). " JOB_WORD, NULL
    };
    struct ask ask = { .timeout_us = UINT64_MAX };
    int code;
    if (!parse(&usage, &ask, NULL, argc, argv, &code))
        return code;
    default_to_last(&ask);
    return show_words(&ask, "job", show_status);
}

int command_job_report(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job report", "[JOB...] [--json]",
        "Show what each device did in a job, the makespan and how far it is from the lower bound\n"
        "(default: last). " JOB_WORD,
        "  motley job report last\n"
    };
    struct ask ask = { .timeout_us = UINT64_MAX };
    int code;
    if (!parse(&usage, &ask, NULL, argc, argv, &code))
        return code;
    default_to_last(&ask);
    return show_words(&ask, "report", show_report);
}

/* ---- waiting ---- */

static int say_goes_on(int64_t job)
{
    fprintf(stderr,
            "motley: job %" PRId64 " goes on; see it with `motley job wait %" PRId64
            "`, stop it with `motley job cancel %" PRId64 "`\n",
            job, job, job);
    return TOOL_INTERRUPTED;
}

static int wait_for(motley *connection, const struct ask *ask, int64_t job, bool bar)
{
    struct follow_plan plan = { .job = job, .timeout_seconds = -1.0, .quiet = ask->link.json || !bar };
    struct motley_error error;
    if (ask->timeout_us != UINT64_MAX)
        plan.timeout_seconds = (double)ask->timeout_us / 1e6;
    int code = follow(connection, &plan, &error);
    if (code == TOOL_INTERRUPTED)
        return say_goes_on(job);
    return code == MOTLEY_OK ? code : tool_fail_error(&error);
}

/* The state of one job after the wait: lines for people, the whole as JSON. */
static void show_ended(motley *connection, struct ask *ask, int64_t job)
{
    char which[24];
    int ignored;
    snprintf(which, sizeof which, "%" PRId64, job);
    yyjson_doc *doc = tool_view(connection, "job", which, &ignored);
    if (doc && ask->link.json && ask->several)
        tool_gather(&ask->ended, doc);
    else if (doc && ask->link.json)
        tool_print_json(doc);
    else if (doc)
        show_status(yyjson_doc_get_root(doc), stdout);
    yyjson_doc_free(doc);
}

/* The numbers of the jobs that a word means, up to max; *listed: the word may mean several. */
static size_t numbers_of(motley *connection, const char *word, int64_t *numbers, size_t max, bool *listed,
                         int *code)
{
    size_t index, size, count = 0;
    yyjson_val *job;
    yyjson_doc *doc = tool_view(connection, "job", word, code);
    yyjson_val *root = yyjson_doc_get_root(doc);
    *listed = yyjson_is_arr(root);
    if (yyjson_is_obj(root))
        numbers[count++] = (int64_t)yyjson_get_uint(yyjson_obj_get(root, "id"));
    yyjson_arr_foreach(root, index, size, job)
    {
        if (count < max)
            numbers[count++] = (int64_t)yyjson_get_uint(yyjson_obj_get(job, "id"));
    }
    yyjson_doc_free(doc);
    return count;
}

/* Of several ends the worst counts: interrupted and unreachable at once, else the largest code. */
static int wait_word(motley *connection, struct ask *ask, const char *word, int worst)
{
    enum { JOBS_MAX = 4096 };
    int code = 0;
    bool listed = false;
    int64_t *numbers = calloc(JOBS_MAX, sizeof *numbers);
    size_t count = numbers ? numbers_of(connection, word, numbers, JOBS_MAX, &listed, &code) : 0;
    ask->several = ask->several || listed;
    for (size_t i = 0; i < count && worst < TOOL_INTERRUPTED && worst != MOTLEY_UNREACHABLE; i++) {
        int ended = wait_for(connection, ask, numbers[i], true);
        bool told = ended == MOTLEY_TIMEOUT && ask->link.json;
        if (ended == MOTLEY_OK || ended == MOTLEY_FAILED || ended == MOTLEY_CANCELLED || told)
            show_ended(connection, ask, numbers[i]);
        worst = ended > worst ? ended : worst;
    }
    free(numbers);
    return code > worst ? code : worst;
}

int command_job_wait(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job wait", "[JOB...] [--timeout TIME] [--json]",
        "Wait until jobs ended (default: last) and exit as they ended. Ctrl-C ends the waiting, not the "
        "job. " JOB_WORD,
        "  motley job wait 12 --timeout 10m && motley job report 12\n"
    };
    struct ask ask = { .timeout_us = UINT64_MAX };
    const struct option_row timeout = { "timeout",       0,      OPTION_DURATION,
                                        &ask.timeout_us, "TIME", "stop waiting after this (exit 5)" };
    int code;
    if (!parse(&usage, &ask, &timeout, argc, argv, &code))
        return code;
    default_to_last(&ask);
    motley *connection = tool_connect(&ask.link, &code);
    ask.several = ask.words_count > 1;
    tool_catch_interrupts();
    for (size_t i = 0; connection && i < ask.words_count && code < TOOL_INTERRUPTED; i++)
        code = wait_word(connection, &ask, ask.words[i], code);
    if (ask.ended)
        tool_print_gathered(&ask.ended);
    motley_close(&connection);
    return code;
}

/* One line of JSON per change, or a bar. */
struct stream {
    uint64_t done;
    bool any, away;
};

static int print_line(void *context, const char *status_json)
{
    struct stream *stream = context;
    yyjson_doc *doc = yyjson_read(status_json, strlen(status_json), 0);
    uint64_t done = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "samples_done"));
    const char *state = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "state"));
    bool last = state && (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
                          strcmp(state, "cancelled") == 0);
    follow_tell_away(yyjson_doc_get_root(doc), &stream->away);
    if (doc && !stream->away && (!stream->any || done != stream->done || last)) {
        char *line = yyjson_write(doc, 0, NULL);
        puts(line ? line : "null");
        fflush(stdout);
        free(line);
    }
    stream->any = true;
    stream->done = done;
    yyjson_doc_free(doc);
    return tool_interrupted();
}

static int progress_of(motley *connection, const struct ask *ask, int64_t job)
{
    struct stream stream = { 0 };
    struct motley_error error;
    if (!ask->link.json)
        return wait_for(connection, ask, job, true);
    int code = motley_wait(connection, job, -1.0, print_line, &stream, &error);
    if (code == TOOL_INTERRUPTED)
        return say_goes_on(job);
    return code == MOTLEY_OK ? code : tool_fail_error(&error);
}

/* The one job that the word means; false after saying why it is none or several. */
static bool find_one(motley *connection, const char *command, const char *word, int64_t *number, int *code)
{
    int64_t numbers[2];
    bool listed = false;
    size_t count = numbers_of(connection, word, numbers, 2, &listed, code);
    if (count > 1) {
        fprintf(stderr, "motley: %s: %.100s means several jobs; give one\n", command, word);
        *code = MOTLEY_USAGE;
    } else if (count == 0 && *code == 0) {
        fprintf(stderr, "motley: %s: %.100s: no such job\n", command, word);
        *code = MOTLEY_NOT_FOUND;
    }
    *number = numbers[0];
    return count == 1;
}

int command_job_progress(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job progress", "[JOB] [--json]",
        "Follow a job (default: last): a bar on a terminal; with --json a line for each change. " JOB_WORD,
        NULL
    };
    struct ask ask = { .timeout_us = UINT64_MAX };
    int64_t number;
    int code;
    if (!parse(&usage, &ask, NULL, argc, argv, &code))
        return code;
    default_to_last(&ask);
    if (ask.words_count != 1) {
        fprintf(stderr, "motley: job progress: give one job\n");
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&ask.link, &code);
    tool_catch_interrupts();
    if (connection && find_one(connection, "job progress", ask.words[0], &number, &code))
        code = progress_of(connection, &ask, number);
    motley_close(&connection);
    return code;
}

/* ---- doing ---- */

int command_job_cancel(int argc, char **argv)
{
    static const struct option_usage usage = { "motley job cancel", "JOB... [--json]",
                                               "Cancel jobs. " JOB_WORD, NULL };
    struct ask ask = { .timeout_us = UINT64_MAX };
    struct motley_error error;
    int code, cancelled = 0;
    if (!parse(&usage, &ask, NULL, argc, argv, &code))
        return code;
    if (ask.words_count == 0) {
        fprintf(stderr, "motley: job cancel: which job? give its number, its name, `last` or `all`\n");
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&ask.link, &code);
    for (size_t i = 0; connection && code == 0 && i < ask.words_count; i++) {
        int count = motley_cancel(connection, ask.words[i], &error);
        if (count < 0)
            code = tool_fail_error(&error);
        else
            cancelled += count;
    }
    if (connection && code == 0 && ask.link.json)
        printf("{\"cancelled\": %d}\n", cancelled);
    else if (connection && code == 0)
        printf("%d cancelled\n", cancelled);
    motley_close(&connection);
    return code;
}

static void print_fetched(int64_t number, const char *output)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_int(doc, root, "id", number);
    yyjson_mut_obj_add_str(doc, root, "output", output);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

int command_job_results(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job results", "[JOB] --output Y [--json]",
        "Write the answers of a finished job (default: last) to a file or folder here: the job's own, "
        "whatever "
        "became of the file that it wrote. Also of a job that failed only because its output could not be "
        "written. " JOB_WORD,
        "  motley job results 12 --output answers.npy\n"
    };
    struct ask ask = { .timeout_us = UINT64_MAX };
    const struct option_row output = {
        "output", 'o', OPTION_TEXT, &ask.output, "FILE", "where the answers go"
    };
    char path[PATH_MAX_BYTES];
    struct why why;
    int64_t number;
    int code;
    if (!parse(&usage, &ask, &output, argc, argv, &code))
        return code;
    default_to_last(&ask);
    if (!ask.output || ask.words_count != 1) {
        fprintf(stderr, "motley: job results: give one job and --output Y\n");
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&ask.link, &code);
    if (connection && find_one(connection, "job results", ask.words[0], &number, &code)) {
        enum err err = results_write(connection, number, ask.output, path, &why);
        code = err == ERR_OK ? 0 : tool_fail(err, &why);
        if (code == 0 && ask.link.json)
            print_fetched(number, path);
    }
    motley_close(&connection);
    return code;
}
