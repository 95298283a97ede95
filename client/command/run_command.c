// SPDX-License-Identifier: Apache-2.0
/* motley run */
#include "command.h"
#include "follow.h"
#include "job_options.h"
#include "render.h"
#include "solo.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option_usage usage = {
    "motley run", "--model M --input X --output Y [--fleet F] [OPTION...]",
    "Run one job on a private fleet of this machine: start it, run, report, stop. No server is needed, no "
    "process and no file but\n"
    "the answers is left behind. Without --fleet there is one worker with the devices that it finds. Ctrl-C "
    "cancels.",
    "  motley run --model digits.onnx --input digits.npy --output answers.npy\n"
    "  motley run --fleet fleet.yaml --model synthetic --samples 3000 --json\n"
};

struct run {
    struct solo solo;
    motley *connection;
    int64_t job;
    bool json;
};

static int check_fleet(void *context)
{
    struct run *run = context;
    return !solo_poll(&run->solo);
}

static int report(struct run *run)
{
    char which[24];
    int code;
    snprintf(which, sizeof which, "%" PRId64, run->job);
    yyjson_doc *doc = tool_view(run->connection, "report", which, &code);
    if (doc && run->json)
        tool_print_json(doc);
    else if (doc)
        render_report(yyjson_doc_get_root(doc), stdout, tool_styled(stdout));
    yyjson_doc_free(doc);
    return code;
}

/* Stopped before the end: by the user, or because no worker is left. */
static int stopped(struct run *run)
{
    char which[24];
    struct motley_error ignored;
    snprintf(which, sizeof which, "%" PRId64, run->job);
    motley_cancel(run->connection, which, &ignored);
    if (tool_interrupted()) {
        fprintf(stderr, "motley: cancelled\n");
        return MOTLEY_CANCELLED;
    }
    fprintf(stderr,
            "motley: the job cannot go on, because no worker is left: %s; see the fleet file or the model\n",
            run->solo.complaint);
    report(run);
    return MOTLEY_FAILED;
}

static int follow_to_end(struct run *run, double timeout_seconds)
{
    struct follow_plan plan = { run->job, timeout_seconds, run->json, check_fleet, run };
    struct motley_error error;
    int code = follow(run->connection, &plan, &error);
    if (code == TOOL_INTERRUPTED)
        return stopped(run);
    if (code != MOTLEY_OK)
        tool_fail_error(&error);
    if (code == MOTLEY_UNREACHABLE)
        return code;
    int reported = report(run);
    return code ? code : reported;
}

static int run_job(struct run *run, const char *fleet, const struct motley_submit *asked,
                   double timeout_seconds)
{
    struct why why;
    struct motley_error error;
    enum err err = solo_start(fleet, &run->solo, &why);
    if (err == ERR_OK)
        run->connection = solo_connect(&run->solo, &err, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    run->job = motley_submit(run->connection, asked, &error);
    if (run->job < 0)
        return tool_interrupted() ? MOTLEY_CANCELLED : tool_fail_error(&error);
    return follow_to_end(run, timeout_seconds);
}

/* What is certain to fail is told before a fleet is started. */
static enum err check_early(const struct motley_submit *asked, struct why *why)
{
    bool builtin = strcmp(asked->model, "synthetic") == 0;
    if (!builtin && access(asked->model, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: the model cannot be read", asked->model);
    if (asked->input && strcmp(asked->input, "-") != 0 && access(asked->input, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: the input cannot be read", asked->input);
    if (!asked->output && !builtin)
        return why_set(why, ERR_USAGE,
                       "--output is missing: a private fleet leaves nothing behind but the answers there");
    return ERR_OK;
}

int command_run(int argc, char **argv)
{
    struct job_options job = JOB_OPTIONS_INIT;
    struct run run = { .solo = { .control_fd = -1, .status_fd = -1 } };
    struct motley_submit asked;
    struct why why;
    const char *fleet = NULL;
    int code;
    const struct option_row rows[] = { JOB_OPTIONS_ROWS(job),
                                       { "fleet", 'f', OPTION_TEXT, &fleet, "FILE",
                                         "a fleet file (default: one worker with what it finds)" },
                                       { "json", 0, OPTION_FLAG, &run.json, NULL,
                                         "print the report as JSON" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = job_options_submit(&job, &asked, &why);
    if (err == ERR_OK)
        err = check_early(&asked, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    tool_catch_interrupts();
    code = run_job(&run, fleet, &asked, job_options_timeout(&job));
    motley_close(&run.connection);
    solo_stop(&run.solo);
    return code;
}
