// SPDX-License-Identifier: Apache-2.0
/* motley infer */
#include "command.h"
#include "histogram.h"
#include "infer_view.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option_usage usage = {
    "motley infer", "--model M --input X [--output Y] [--deadline TIME] [OPTION...]",
    "Ask for the answers to a few samples now. It is run before all jobs, and nothing of it is kept: to have "
    "a "
    "file of many samples done, `motley submit` it. With --deadline it is refused at once when it could not "
    "be "
    "answered in time, and dropped when the time has passed; batches of jobs are kept short while such "
    "requests "
    "come. Exit code 5: the deadline or the time-out passed, or cannot be kept.",
    "  motley infer --model digits.onnx --input digit.npy --deadline 200ms\n"
    "  motley infer --model digits --input - --json < request.jsonl\n"
};

struct asking {
    const char *model, *input, *output;
    uint64_t samples, deadline_us, timeout_us, repeat;
    struct tool_link link;
};

/* What several requests took. */
struct series {
    uint64_t asked, failed;
    int code; /* of the last that failed */
    struct histogram total, queue, run, network;
};

static void series_add(struct series *series, const struct motley_answer *answer)
{
    histogram_add(&series->total, (uint64_t)(answer->total_ms * 1e3), 1);
    histogram_add(&series->queue, (uint64_t)(answer->queue_ms * 1e3), 1);
    histogram_add(&series->run, (uint64_t)(answer->run_ms * 1e3), 1);
    histogram_add(&series->network, (uint64_t)(answer->network_ms * 1e3), 1);
}

static double quantile_ms(const struct histogram *times, double share)
{
    return (double)histogram_quantile_us(times, share) / 1e3;
}

static void add_quantiles(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                          const struct histogram *times)
{
    yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, object, key);
    static const char *const names[] = { "p50", "p90", "p99" };
    static const double shares[] = { 0.5, 0.9, 0.99 };
    for (int i = 0; i < 3; i++)
        if (times->count)
            yyjson_mut_obj_add_real(doc, part, names[i], quantile_ms(times, shares[i]));
        else
            yyjson_mut_obj_add_null(doc, part, names[i]);
    if (times->count)
        yyjson_mut_obj_add_real(doc, part, "max", (double)times->max_us / 1e3);
    else
        yyjson_mut_obj_add_null(doc, part, "max");
}

static void series_json(const struct series *series)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_uint(doc, root, "requests", series->asked);
    yyjson_mut_obj_add_uint(doc, root, "failed", series->failed);
    add_quantiles(doc, root, "latency_ms", &series->total);
    add_quantiles(doc, root, "queue_ms", &series->queue);
    add_quantiles(doc, root, "run_ms", &series->run);
    add_quantiles(doc, root, "network_ms", &series->network);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

static void print_quantiles(const char *name, const struct histogram *times)
{
    printf("  %-8s p50 %8.2f ms   p90 %8.2f   p99 %8.2f   max %8.2f\n", name, quantile_ms(times, 0.5),
           quantile_ms(times, 0.9), quantile_ms(times, 0.99), (double)times->max_us / 1e3);
}

static void series_print(const struct series *series)
{
    printf("%" PRIu64 " requests, %" PRIu64 " failed\n", series->asked, series->failed);
    if (!series->total.count)
        return;
    print_quantiles("total", &series->total);
    print_quantiles("queue", &series->queue);
    print_quantiles("run", &series->run);
    print_quantiles("network", &series->network);
}

static int repeat(const struct asking *asking, motley *connection, const struct motley_infer *ask)
{
    struct series series = { 0 };
    histogram_init(&series.total);
    histogram_init(&series.queue);
    histogram_init(&series.run);
    histogram_init(&series.network);
    tool_catch_interrupts();
    while (series.asked < asking->repeat && !tool_interrupted()) {
        struct motley_error error;
        struct motley_answer *answer = motley_infer(connection, ask, &error);
        series.asked++;
        if (answer) {
            series_add(&series, answer);
        } else {
            series.code = series.failed++ ? error.code : tool_fail_error(&error);
            if (error.code != MOTLEY_FAILED && error.code != MOTLEY_TIMEOUT)
                break; /* it would be the same the next time */
        }
        motley_answer_free(&answer);
    }
    (asking->link.json ? series_json : series_print)(&series);
    return tool_interrupted() ? TOOL_INTERRUPTED : series.code;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

static void show_json(const struct asking *asking, const struct motley_answer *answer)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_strcpy(doc, root, "model", asking->model);
    infer_view_json(answer, doc, root);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

/* Lines that came get lines back; people see numbers and, apart from them, the times. */
static int show(const struct asking *asking, const struct motley_answer *answer)
{
    struct why why;
    bool lines = answer->ids || (asking->input && ends_with(asking->input, ".jsonl"));
    bool file = asking->input && strcmp(asking->input, "-") != 0;
    enum err err = asking->output
                       ? infer_view_write(answer, asking->output, file ? asking->input : NULL,
                                          access(asking->model, F_OK) == 0 ? asking->model : NULL, &why)
                       : ERR_OK;
    if (err != ERR_OK)
        return tool_fail(err, &why);
    if (asking->link.json)
        show_json(asking, answer);
    else if (!asking->output && lines)
        infer_view_print_lines(answer, stdout);
    else if (!asking->output)
        infer_view_print(answer, stdout);
    if (!asking->link.json)
        infer_view_print_times(answer, stderr);
    return 0;
}

static int ask_once(const struct asking *asking, motley *connection, const struct motley_infer *ask)
{
    struct motley_error error;
    struct motley_answer *answer = motley_infer(connection, ask, &error);
    int code = answer ? show(asking, answer) : tool_fail_error(&error);
    motley_answer_free(&answer);
    return code;
}

static int run(const struct asking *asking)
{
    struct motley_infer ask = MOTLEY_INFER_INIT;
    int code;
    ask.model = asking->model;
    ask.input = asking->input;
    ask.samples = asking->samples == UINT64_MAX ? 0 : asking->samples;
    ask.deadline_seconds = asking->deadline_us == UINT64_MAX ? 0 : (double)asking->deadline_us / 1e6;
    ask.timeout_seconds = asking->timeout_us == UINT64_MAX ? 0 : (double)asking->timeout_us / 1e6;
    motley *connection = tool_connect(&asking->link, &code);
    if (!connection)
        return code;
    code =
        asking->repeat == UINT64_MAX ? ask_once(asking, connection, &ask) : repeat(asking, connection, &ask);
    motley_close(&connection);
    return code;
}

static enum err check(const struct asking *asking, struct why *why)
{
    bool again = asking->repeat != UINT64_MAX;
    if (!asking->model || !*asking->model)
        return why_set(why, ERR_USAGE, "--model is missing");
    if (!asking->deadline_us || !asking->timeout_us)
        return why_set(why, ERR_USAGE, "--deadline, --timeout: give a time from now on, such as 200ms");
    if (again && (asking->repeat == 0 || asking->output))
        return why_set(why, ERR_USAGE, "--repeat measures: give a number of requests, and no --output");
    if (again && asking->input && strcmp(asking->input, "-") == 0)
        return why_set(why, ERR_USAGE, "--repeat: standard input can be read but once; give a file");
    return asking->output ? infer_view_check_path(asking->output, why) : ERR_OK;
}

int command_infer(int argc, char **argv)
{
    struct asking asking = {
        .samples = UINT64_MAX, .deadline_us = UINT64_MAX, .timeout_us = UINT64_MAX, .repeat = UINT64_MAX
    };
    struct why why;
    int code;
    const struct option_row rows[] = {
        { "model", 'm', OPTION_TEXT, &asking.model, "FILE|NAME",
          "the model: a file, a registered name, or synthetic" },
        { "input", 'i', OPTION_TEXT, &asking.input, "FILE",
          "samples: .npy, .npz, .jsonl, or - for standard input" },
        { "output", 'o', OPTION_TEXT, &asking.output, "FILE",
          "answers: Y.npy, Y.jsonl, or the folder Y/ for several outputs (default: printed)" },
        { "samples", 0, OPTION_COUNT, &asking.samples, "N", "how many, for model synthetic" },
        { "deadline", 0, OPTION_DURATION, &asking.deadline_us, "TIME",
          "answered within this, or refused at once (exit 5)" },
        { "timeout", 0, OPTION_DURATION, &asking.timeout_us, "TIME",
          "give up after this (exit 5; default 1m)" },
        { "repeat", 0, OPTION_COUNT, &asking.repeat, "N",
          "ask N times, one after the other, and show how long it took" },
        TOOL_LINK_ROWS(asking.link),
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = check(&asking, &why);
    return err == ERR_OK ? run(&asking) : tool_fail(err, &why);
}
