// SPDX-License-Identifier: Apache-2.0
/* motley submit */
#include "clock.h"
#include "command.h"
#include "connection.h"
#include "follow.h"
#include "job_options.h"
#include "promise.h"
#include "rehearse.h"
#include "render.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_usage usage = {
    "motley submit", "--model M --input X [--output Y] [--wait] [OPTION...]",
    "Submit a job and print its number alone, so that job=$(motley submit ...) works. When the number is "
    "printed, the job is safe: it\n"
    "goes on when this program ends, and after a crash of the coordinator. With --wait it is followed to its "
    "end, and the exit code\n"
    "says how it ended.",
    "  motley submit --model digits.onnx --input digits.npy --output answers.npy\n"
    "  motley submit --model synthetic --samples 100k --wait\n"
};

/* Wait for it and show what came out. */
static int wait_and_report(motley *connection, int64_t number, double timeout_seconds, bool json)
{
    char which[24];
    struct follow_plan plan = { .job = number, .timeout_seconds = timeout_seconds, .quiet = json };
    struct motley_error error;
    tool_catch_interrupts();
    int code = follow(connection, &plan, &error), ignored;
    bool cut = code == TOOL_INTERRUPTED || code == MOTLEY_UNREACHABLE;
    if (json && cut)
        printf("{\"id\": %" PRId64 "}\n", number);
    if (code == TOOL_INTERRUPTED) {
        fprintf(stderr,
                "motley: job %" PRId64 " goes on; see it with `motley job wait %" PRId64
                "`, stop it with `motley job cancel %" PRId64 "`\n",
                number, number, number);
        return code;
    }
    if (code != MOTLEY_OK)
        tool_fail_error(&error);
    snprintf(which, sizeof which, "%" PRId64, number);
    yyjson_doc *doc =
        cut || (code == MOTLEY_TIMEOUT && !json) ? NULL : tool_view(connection, "report", which, &ignored);
    if (doc && json)
        tool_print_json(doc);
    else if (doc)
        render_report(yyjson_doc_get_root(doc), stderr, tool_styled(stderr));
    yyjson_doc_free(doc);
    return code;
}

/* What was promised, to whoever asked for a deadline. */
static void tell_promise(motley *connection, int64_t number)
{
    char which[24], text[PROMISE_MAX];
    snprintf(which, sizeof which, "%" PRId64, number);
    char *json = motley_view(connection, "job", which, NULL);
    yyjson_doc *doc = json ? yyjson_read(json, strlen(json), 0) : NULL;
    yyjson_val *job = yyjson_doc_get_root(doc);
    bool open = yyjson_is_null(yyjson_obj_get(job, "finished_at")); /* even if its time has passed already */
    if (job && open) {
        promise_sentence(job, clock_wall_us(), text);
        fprintf(stderr, "motley: %s\n", text);
    }
    yyjson_doc_free(doc);
    free(json);
}

static int submit(const struct tool_link *link, const struct motley_submit *asked, bool wait,
                  double timeout_seconds)
{
    struct motley_error error;
    int code;
    motley *connection = tool_connect(link, &code);
    if (!connection)
        return code;
    int64_t number = motley_submit(connection, asked, &error);
    if (number < 0) {
        code = tool_fail_error(&error);
    } else {
        if (!link->json)
            printf("%" PRId64 "\n", number);
        else if (!wait)
            printf("{\"id\": %" PRId64 "}\n", number);
        fflush(stdout);
        if (asked->deadline_seconds > 0)
            tell_promise(connection, number);
        if (asked->output && !connection->same_host && !wait)
            fprintf(stderr,
                    "motley: the coordinator cannot write here: fetch the answers with `motley job results "
                    "%" PRId64 " --output %s`\n",
                    number, asked->output);
        if (wait)
            code = wait_and_report(connection, number, timeout_seconds, link->json);
    }
    motley_close(&connection);
    return code;
}

int command_submit(int argc, char **argv)
{
    struct job_options job = JOB_OPTIONS_INIT;
    struct tool_link link = { 0 };
    struct motley_submit asked;
    struct why why;
    bool wait = false;
    int code;
    const struct option_row rows[] = { JOB_OPTIONS_ROWS(job,
                                                        "the model: a file, a registered name, or synthetic"),
                                       { "wait", 'w', OPTION_FLAG, &wait, NULL, "follow the job to its end" },
                                       TOOL_LINK_ROWS(link),
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = job_options_submit(&job, &asked, &why);
    if (err == ERR_OK && job.timeout_us != UINT64_MAX && !wait)
        err = why_set(&why, ERR_USAGE, "--timeout has a meaning only with --wait");
    if (err == ERR_OK && job.dry_run && wait)
        err = why_set(&why, ERR_USAGE, "--dry-run submits nothing: there is nothing to --wait for");
    if (err != ERR_OK)
        return tool_fail(err, &why);
    return job.dry_run ? rehearse_on(&link, &asked) : submit(&link, &asked, wait, job_options_timeout(&job));
}
