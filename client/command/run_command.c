// SPDX-License-Identifier: Apache-2.0
/* motley run */
#include "clock.h"
#include "command.h"
#include "follow.h"
#include "job_options.h"
#include "output.h"
#include "rehearse.h"
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

enum {
    UNTAKEN_US = 5000000, /* loads come and go before a model is refused by all */
    FULL_US = 30000000
};

struct run {
    struct solo solo;
    motley *connection;
    int64_t job;
    bool json, dry_run;
    uint64_t untaken_since_us, full_since_us; /* 0 = it is not so */
    char reason[WHY_MAX];                     /* why it cannot go on; "" = it can */
};

/* True when it has been so for that long. */
static bool lasts(bool so, uint64_t *since_us, uint64_t limit_us)
{
    uint64_t now = clock_monotonic_us();
    if (!so)
        *since_us = 0;
    else if (*since_us == 0)
        *since_us = now;
    return so && now - *since_us >= limit_us;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* What waits for something that a private fleet will never get. */
static bool is_stuck(struct run *run, yyjson_val *job)
{
    const char *waiting = yyjson_get_str(yyjson_obj_get(job, "waiting"));
    const char *state = yyjson_get_str(yyjson_obj_get(job, "state"));
    bool finishing = state && strcmp(state, "finishing") == 0;
    bool full = waiting && begins(waiting, "disk full");
    bool passing = full || !waiting || begins(waiting, "loading") || strcmp(waiting, "no worker") == 0;
    bool untaken = waiting && !passing && !finishing && solo_is_complete(&run->solo);
    if (lasts(untaken, &run->untaken_since_us, UNTAKEN_US))
        snprintf(run->reason, sizeof run->reason, "its fleet cannot run it: %.400s", waiting);
    else if (lasts(full && finishing, &run->full_since_us, FULL_US))
        snprintf(run->reason, sizeof run->reason, "the answers cannot be written: %.400s; make room there",
                 waiting);
    return run->reason[0] != 0;
}

static int check_fleet(void *context, yyjson_val *job)
{
    struct run *run = context;
    if (!solo_poll(&run->solo))
        snprintf(run->reason, sizeof run->reason, "%s: %.400s",
                 run->solo.failed ? "its fleet is gone" : "no worker is left", run->solo.complaint);
    return run->reason[0] || is_stuck(run, job);
}

/* The fleet's end is the job's: what could go on elsewhere is failed here. */
static yyjson_mut_doc *as_failed(const struct run *run, yyjson_doc *doc)
{
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(copy);
    yyjson_mut_obj_put(root, yyjson_mut_str(copy, "state"), yyjson_mut_str(copy, "failed"));
    yyjson_mut_obj_put(root, yyjson_mut_str(copy, "reason"), yyjson_mut_str(copy, run->reason));
    return copy;
}

static int report(struct run *run)
{
    char which[24];
    int code;
    snprintf(which, sizeof which, "%" PRId64, run->job);
    yyjson_doc *doc = tool_view(run->connection, "report", which, &code);
    if (doc && run->reason[0]) {
        yyjson_mut_doc *failed = as_failed(run, doc);
        yyjson_doc_free(doc);
        doc = yyjson_mut_doc_imut_copy(failed, NULL);
        yyjson_mut_doc_free(failed);
    }
    if (doc && run->json)
        tool_print_json(doc);
    else if (doc)
        render_report(yyjson_doc_get_root(doc), stdout, tool_styled(stdout));
    yyjson_doc_free(doc);
    return code;
}

static void cancel(struct run *run)
{
    char which[24];
    struct motley_error ignored;
    snprintf(which, sizeof which, "%" PRId64, run->job);
    motley_cancel(run->connection, which, &ignored);
}

/* Stopped before the end: by the user, or because it cannot go on. */
static int stopped(struct run *run)
{
    if (!run->solo.failed)
        cancel(run);
    if (tool_interrupted()) {
        fprintf(stderr, "motley: cancelled\n");
        return MOTLEY_CANCELLED;
    }
    fprintf(stderr, "motley: the job failed: %s\n", run->reason);
    if (!run->solo.failed)
        report(run);
    return MOTLEY_FAILED;
}

/* Nothing is left here that a job could go on with. */
static int timed_out(struct run *run)
{
    fprintf(
        stderr,
        "motley: the job was not done in the time allowed; it is cancelled, because its private fleet ends "
        "with this command\n");
    cancel(run);
    report(run);
    return MOTLEY_TIMEOUT;
}

static int follow_to_end(struct run *run, double timeout_seconds)
{
    struct follow_plan plan = { run->job, timeout_seconds, run->json, check_fleet, run };
    struct motley_error error;
    int code = follow(run->connection, &plan, &error);
    if (code == TOOL_INTERRUPTED)
        return stopped(run);
    if (code == MOTLEY_TIMEOUT)
        return timed_out(run);
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
    if (run->dry_run)
        return rehearse(run->connection, asked, run->json);
    run->job = motley_submit(run->connection, asked, &error);
    if (run->job < 0)
        return tool_interrupted() ? MOTLEY_CANCELLED : tool_fail_error(&error);
    return follow_to_end(run, timeout_seconds);
}

/* What is certain to fail is told before a fleet is started. */
static enum err check_early(const struct motley_submit *asked, struct why *why)
{
    bool builtin = strcmp(asked->model, "synthetic") == 0;
    if (!builtin && access(asked->model, F_OK) != 0)
        return why_set(why, ERR_FILE,
                       "%.300s: there is no such model file; a private fleet has no registered models",
                       asked->model);
    if (!builtin && access(asked->model, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: the model cannot be read", asked->model);
    if (asked->input && strcmp(asked->input, "-") != 0 && access(asked->input, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: the input cannot be read", asked->input);
    if (!asked->output && !builtin)
        return why_set(why, ERR_USAGE,
                       "--output is missing: a private fleet leaves nothing behind but the answers there");
    return asked->output ? output_check_name(asked->output, why) : ERR_OK;
}

int command_run(int argc, char **argv)
{
    struct job_options job = JOB_OPTIONS_INIT;
    struct run run = { .solo = { .control_fd = -1, .status_fd = -1 } };
    struct motley_submit asked;
    struct why why;
    const char *fleet = NULL;
    int code;
    const struct option_row rows[] = { JOB_OPTIONS_ROWS(job, "the model: a file, or synthetic"),
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
    run.dry_run = job.dry_run;
    tool_catch_interrupts();
    code = run_job(&run, fleet, &asked, job_options_timeout(&job));
    motley_close(&run.connection);
    solo_stop(&run.solo);
    return code;
}
