// SPDX-License-Identifier: Apache-2.0
#include "render.h"

#include "table.h"
#include "verify_view.h"

#include <math.h>
#include <string.h>

enum { TEXT_MAX = 64, BAR_MIN = 4, BAR_MAX = 40, DEVICES_SHOWN = 16 };

static yyjson_val *get(yyjson_val *object, const char *key) { return yyjson_obj_get(object, key); }

static const char *text_of(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(get(object, key));
    return text && *text ? text : "-";
}

/* ---- figures ---- */

/* Three digits that matter: 0.123, 12.3, 1230. */
static const char *number(yyjson_val *value, char text[TEXT_MAX])
{
    double n = yyjson_get_num(value), size = fabs(n);
    if (!yyjson_is_num(value))
        return "-";
    int digits = size >= 100.0 || size == 0.0 ? 0 : size >= 10.0 ? 1 : size >= 1.0 ? 2 : 3;
    snprintf(text, TEXT_MAX, "%.*f", digits, n);
    return text;
}

static const char *count(yyjson_val *value, char text[TEXT_MAX])
{
    char plain[32];
    if (!yyjson_is_uint(value))
        return "-";
    int length = snprintf(plain, sizeof plain, "%llu", (unsigned long long)yyjson_get_uint(value)), used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = plain[i];
    }
    text[used] = 0;
    return text;
}

void render_seconds(double seconds, char *text, size_t max)
{
    unsigned long long whole = (unsigned long long)(seconds + 0.5);
    if (seconds < 0.0995)
        snprintf(text, max, "%.3g ms", seconds * 1e3);
    else if (seconds < 100.0)
        snprintf(text, max, "%.3g s", seconds);
    else if (whole < 3600)
        snprintf(text, max, "%llum %02llus", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(text, max, "%lluh %02llum", whole / 3600, whole % 3600 / 60);
    else
        snprintf(text, max, "%llud %02lluh", whole / 86400, whole % 86400 / 3600);
}

void render_duration(yyjson_val *seconds, char *text, size_t max)
{
    double value = yyjson_get_num(seconds);
    if (yyjson_is_num(seconds) && value >= 0.0 && value < 1e12)
        render_seconds(value, text, max);
    else
        snprintf(text, max, "-");
}

static const char *memory(yyjson_val *bytes, char text[TEXT_MAX])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double size = yyjson_get_num(bytes);
    int unit = 0;
    if (!yyjson_is_num(bytes))
        return "-";
    for (; size >= 1024.0 && unit < 4; unit++)
        size /= 1024.0;
    snprintf(text, TEXT_MAX, size < 10.0 && unit > 0 ? "%.1f %s" : "%.0f %s", size, units[unit]);
    return text;
}

/* ---- the report
 * ------------------------------------------------------------------------------------------------------ */

static const char *busy_share(yyjson_val *device, yyjson_val *job, char text[TEXT_MAX])
{
    double busy = yyjson_get_num(get(device, "busy_seconds")),
           span = yyjson_get_num(get(job, "makespan_seconds"));
    if (!yyjson_is_num(get(device, "busy_seconds")) || !(span > 0.0))
        return "-";
    snprintf(text, TEXT_MAX, "%.0f", 100.0 * busy / span);
    return text;
}

static void add_device(struct table *table, yyjson_val *device, yyjson_val *job)
{
    char text[TEXT_MAX];
    yyjson_val *latency = get(device, "batch_latency_ms");
    table_row(table);
    table_cell(table, "%s", text_of(device, "worker"));
    table_cell(table, "%s", text_of(device, "device"));
    table_cell(table, "%s", text_of(device, "kind"));
    table_cell(table, "%s", text_of(device, "runtime"));
    table_cell(table, "%s", count(get(device, "samples"), text));
    table_cell(table, "%s", count(get(device, "best_batch"), text));
    table_cell(table, "%s", number(get(device, "throughput_samples_per_second"), text));
    table_cell(table, "%s", number(get(latency, "p50"), text));
    table_cell(table, "%s", number(get(latency, "p99"), text));
    table_cell(table, "%s", busy_share(device, job, text));
}

static void print_devices(yyjson_val *job, FILE *stream, bool styled)
{
    static const struct table_column columns[] = {
        { "worker", 0 },       { "device", 0 },     { "kind", 0 },      { "runtime", 0 },
        { "samples", 1 },      { "best batch", 1 }, { "samples/s", 1 }, { "batch p50 ms", 1 },
        { "batch p99 ms", 1 }, { "busy %", 1 },
    };
    size_t index, size;
    yyjson_val *device;
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(get(job, "devices"), index, size, device) add_device(table, device, job);
    if (yyjson_arr_size(get(job, "devices")) > 0)
        table_print(table, stream, styled);
    else
        fputs("no device took part\n", stream);
    table_free(&table);
}

static void print_makespan(yyjson_val *job, FILE *stream)
{
    char span[TEXT_MAX], bound[TEXT_MAX], rate[TEXT_MAX];
    yyjson_val *ratio = get(job, "makespan_over_bound");
    render_duration(get(job, "makespan_seconds"), span, sizeof span);
    render_duration(get(job, "bound_seconds"), bound, sizeof bound);
    fprintf(stream, "makespan    %s, %s samples/s\n", span,
            number(get(job, "throughput_samples_per_second"), rate));
    if (yyjson_is_num(ratio))
        fprintf(stream,
                "bound       %s: the makespan is %.3f times the least that these devices could take\n", bound,
                yyjson_get_num(ratio));
    else
        fputs("bound       unknown\n", stream);
}

static void print_latency(yyjson_val *job, FILE *stream)
{
    static const char *const keys[] = { "p50", "p90", "p99", "p999", "max" };
    static const char *const names[] = { "p50", "p90", "p99", "p99.9", "max" };
    char text[TEXT_MAX];
    yyjson_val *latency = get(job, "latency_ms");
    fputs("latency     ", stream);
    for (int i = 0; i < 5; i++)
        fprintf(stream, "%s%s %s", i ? ", " : "", names[i], number(get(latency, keys[i]), text));
    fputs(" ms\n", stream);
    if (yyjson_is_num(get(job, "energy_joules")))
        fprintf(stream, "energy      %s J\n", number(get(job, "energy_joules"), text));
}

static void print_head(yyjson_val *job, FILE *stream)
{
    char total[TEXT_MAX], done[TEXT_MAX], failed[TEXT_MAX], id[TEXT_MAX];
    bool complete = yyjson_get_uint(get(job, "samples_done")) == yyjson_get_uint(get(job, "samples_total"));
    fprintf(stream, "job %s (%s): %s, ", count(get(job, "id"), id), text_of(job, "name"),
            text_of(job, "state"));
    if (!complete)
        fprintf(stream, "%s of ", count(get(job, "samples_done"), done));
    fprintf(stream, "%s sample%s", count(get(job, "samples_total"), total),
            yyjson_get_uint(get(job, "samples_total")) == 1 ? "" : "s");
    if (yyjson_get_uint(get(job, "samples_failed")) > 0)
        fprintf(stream, ", %s failed", count(get(job, "samples_failed"), failed));
    fputs("\n", stream);
}

/* Only what is there: a job that failed because of its output alone has its answers with the coordinator. */
static void print_answers(yyjson_val *job, FILE *stream)
{
    char id[TEXT_MAX];
    bool done = strcmp(text_of(job, "state"), "done") == 0;
    if (done && yyjson_is_str(get(job, "output")))
        fprintf(stream, "answers     %s\n", text_of(job, "output"));
    else if (!done && yyjson_is_true(get(job, "answer")))
        fprintf(stream, "answers     are kept: motley job results %s --output Y\n",
                count(get(job, "id"), id));
}

static void print_tail(yyjson_val *job, FILE *stream)
{
    char text[TEXT_MAX];
    if (yyjson_get_uint(get(job, "duplicate_samples")) > 0)
        fprintf(stream, "duplicates  %s samples were computed twice\n",
                count(get(job, "duplicate_samples"), text));
    if (yyjson_is_str(get(job, "reason")))
        fprintf(stream, "reason      %s\n", text_of(job, "reason"));
    print_answers(job, stream);
}

void render_report(yyjson_val *job, FILE *stream, bool styled)
{
    print_head(job, stream);
    print_devices(job, stream, styled);
    print_makespan(job, stream);
    print_latency(job, stream);
    verify_view_print(get(job, "verify"), stream);
    print_tail(job, stream);
}

void render_status(yyjson_val *job, FILE *stream)
{
    char eta[TEXT_MAX], rate[TEXT_MAX];
    const char *state = text_of(job, "state");
    print_head(job, stream);
    if (yyjson_is_str(get(job, "waiting")))
        fprintf(stream, "waiting     %s\n", text_of(job, "waiting"));
    if (strcmp(state, "running") == 0) {
        render_duration(get(job, "eta_seconds"), eta, sizeof eta);
        fprintf(stream, "progress    %s samples/s, %s left\n",
                number(get(job, "throughput_samples_per_second"), rate), eta);
    }
    if (yyjson_is_num(get(job, "makespan_seconds")))
        print_makespan(job, stream);
    print_tail(job, stream);
}

/* ---- lists ---- */

static const char *percent(yyjson_val *job, char text[TEXT_MAX])
{
    double total = yyjson_get_num(get(job, "samples_total")), done = yyjson_get_num(get(job, "samples_done"));
    snprintf(text, TEXT_MAX, "%.0f", total > 0.0 ? floor(100.0 * done / total) : 100.0);
    return text;
}

/* How a job stands to its deadline, in one word. */
static const char *promise_word(yyjson_val *job)
{
    yyjson_val *met = get(job, "deadline_met"), *fits = get(get(job, "forecast"), "fits");
    if (!yyjson_is_str(get(job, "deadline_at")))
        return "-";
    if (yyjson_is_bool(met))
        return yyjson_is_true(met) ? "met" : "missed";
    if (yyjson_is_str(get(job, "finished_at")))
        return "-";
    return yyjson_is_true(fits) ? "in time" : yyjson_is_false(fits) ? "at risk" : "open";
}

void render_jobs(yyjson_val *jobs, FILE *stream, bool styled)
{
    static const struct table_column columns[] = { { "job", 1 },        { "name", 0 },      { "state", 0 },
                                                   { "samples", 1 },    { "done %", 1 },    { "failed", 1 },
                                                   { "left", 1 },       { "submitted", 0 }, { "deadline", 0 },
                                                   { "waiting for", 0 } };
    size_t index, size;
    yyjson_val *job;
    char text[TEXT_MAX];
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(jobs, index, size, job)
    {
        table_row(table);
        table_cell(table, "%llu", (unsigned long long)yyjson_get_uint(get(job, "id")));
        table_cell(table, "%s", text_of(job, "name"));
        table_cell(table, "%s", text_of(job, "state"));
        table_cell(table, "%s", count(get(job, "samples_total"), text));
        table_cell(table, "%s", percent(job, text));
        table_cell(table, "%s", count(get(job, "samples_failed"), text));
        render_duration(get(job, "eta_seconds"), text, sizeof text);
        table_cell(table, "%s", strcmp(text_of(job, "state"), "running") == 0 ? text : "-");
        table_cell(table, "%.19s", text_of(job, "submitted_at"));
        table_cell(table, "%s", promise_word(job));
        table_cell(table, "%s", yyjson_is_str(get(job, "waiting")) ? text_of(job, "waiting") : "");
    }
    table_print(table, stream, styled);
    table_free(&table);
}

/* The runtimes of a worker's slots, each once. */
static void list_runtimes(yyjson_val *worker, char *text, size_t max)
{
    size_t index, size, used = 0;
    yyjson_val *slot;
    text[0] = 0;
    yyjson_arr_foreach(get(worker, "slots"), index, size, slot)
    {
        const char *runtime = text_of(slot, "runtime");
        if (!strstr(text, runtime) && used < max)
            used += (size_t)snprintf(text + used, max - used, "%s%s", used ? "," : "", runtime);
    }
}

static void list_devices(yyjson_val *worker, char *text, size_t max)
{
    size_t index, size, used = 0;
    yyjson_val *device;
    text[0] = 0;
    yyjson_arr_foreach(get(worker, "devices"), index, size, device)
    {
        if (used < max)
            used +=
                (size_t)snprintf(text + used, max - used, "%s%s", used ? "," : "", text_of(device, "kind"));
    }
}

/* "stuck: a batch runs 40 s, expected 0.2 s": of the first slot that is. False: none. */
static bool print_stuck(yyjson_val *worker, char *text, size_t max)
{
    size_t index, size;
    yyjson_val *slot;
    yyjson_arr_foreach(get(worker, "slots"), index, size, slot)
    {
        yyjson_val *runs = get(slot, "running_seconds"), *expected = get(slot, "expected_seconds");
        if (!yyjson_is_true(get(slot, "stuck")))
            continue;
        int used = snprintf(text, max, "stuck: no result");
        if (yyjson_is_num(runs))
            used = snprintf(text, max, "stuck: a batch runs %.3g s", yyjson_get_num(runs));
        if (yyjson_is_num(expected) && (size_t)used < max)
            snprintf(text + used, max - (size_t)used, ", expected %.2g s", yyjson_get_num(expected));
        return true;
    }
    return false;
}

/* "up", "draining", "up, 1 of 2 slots barred". */
static void print_state(yyjson_val *worker, char *text, size_t max)
{
    size_t index, size, barred = 0;
    yyjson_val *slot;
    if (strcmp(text_of(worker, "state"), "up") == 0 && print_stuck(worker, text, max))
        return;
    bool up = strcmp(text_of(worker, "state"), "up") == 0;
    yyjson_arr_foreach(get(worker, "slots"), index, size, slot) barred +=
        yyjson_is_str(get(slot, "barred_until"));
    const char *state = up && yyjson_is_true(get(worker, "draining")) ? "draining" : text_of(worker, "state");
    if (up && barred > 0)
        snprintf(text, max, "%s, %zu of %zu slots barred", state, barred, size);
    else
        snprintf(text, max, "%s", state);
}

void render_workers(yyjson_val *workers, FILE *stream, bool styled)
{
    static const struct table_column columns[] = { { "worker", 0 }, { "host", 0 },    { "pid", 1 },
                                                   { "state", 0 },  { "devices", 0 }, { "runtime", 0 },
                                                   { "slots", 1 } };
    size_t index, size;
    yyjson_val *worker;
    char text[TABLE_CELL_MAX];
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(workers, index, size, worker)
    {
        table_row(table);
        table_cell(table, "%s", text_of(worker, "name"));
        table_cell(table, "%s", text_of(worker, "host"));
        table_cell(table, "%llu", (unsigned long long)yyjson_get_uint(get(worker, "pid")));
        print_state(worker, text, sizeof text);
        table_cell(table, "%s", text);
        list_devices(worker, text, sizeof text);
        table_cell(table, "%s", text);
        list_runtimes(worker, text, sizeof text);
        table_cell(table, "%s", text);
        table_cell(table, "%zu", yyjson_arr_size(get(worker, "slots")));
    }
    table_print(table, stream, styled);
    table_free(&table);
}

static void print_shape(yyjson_val *shape, char *text, size_t max)
{
    size_t index, size, used = 0;
    yyjson_val *dim;
    text[0] = 0;
    yyjson_arr_foreach(shape, index, size, dim)
    {
        if (used >= max)
            return;
        if (yyjson_is_int(dim))
            used += (size_t)snprintf(text + used, max - used, "%s%lld", index ? "," : "",
                                     (long long)yyjson_get_sint(dim));
        else
            used += (size_t)snprintf(text + used, max - used, "%s?", index ? "," : "");
    }
}

static void print_tensors(yyjson_val *list, const char *what, FILE *stream)
{
    size_t index, size;
    yyjson_val *tensor;
    char shape[TABLE_CELL_MAX];
    yyjson_arr_foreach(list, index, size, tensor)
    {
        print_shape(get(tensor, "shape"), shape, sizeof shape);
        fprintf(stream, "%-11s %s: %s[%s] a sample\n", what, text_of(tensor, "name"),
                text_of(tensor, "dtype"), shape);
    }
}

static void print_batch(yyjson_val *batch, char text[TEXT_MAX])
{
    if (yyjson_is_uint(batch))
        snprintf(text, TEXT_MAX, "%llu", (unsigned long long)yyjson_get_uint(batch));
    else
        snprintf(text, TEXT_MAX, "any");
}

static const char *print_accuracy(yyjson_val *file, char text[TEXT_MAX])
{
    yyjson_val *accuracy = get(file, "accuracy");
    snprintf(text, TEXT_MAX, "-");
    if (yyjson_is_num(accuracy))
        snprintf(text, TEXT_MAX, "%.6g", yyjson_get_num(accuracy));
    return text;
}

static void print_file(struct table *table, yyjson_val *model, yyjson_val *file)
{
    char text[TEXT_MAX];
    table_row(table);
    table_cell(table, "%s", text_of(model, "name"));
    table_cell(table, "%s", text_of(model, "version"));
    table_cell(table, "%s", text_of(file, "format"));
    table_cell(table, "%s", text_of(file, "precision"));
    print_batch(get(model, "batch"), text);
    table_cell(table, "%s", text);
    table_cell(table, "%s", memory(get(file, "bytes"), text));
    table_cell(table, "%s", print_accuracy(file, text));
}

/* Of a model with several: which there are, the cheapest first. */
static void print_files(yyjson_val *model, FILE *stream)
{
    char bytes[TEXT_MAX], accuracy[TEXT_MAX];
    size_t index, size;
    yyjson_val *file;
    if (yyjson_arr_size(get(model, "variants")) < 2)
        return;
    yyjson_arr_foreach(get(model, "variants"), index, size, file) fprintf(
        stream, "%-11s %s %s, %s, accuracy %s\n", "file", text_of(file, "format"), text_of(file, "precision"),
        memory(get(file, "bytes"), bytes), print_accuracy(file, accuracy));
}

void render_models(yyjson_val *models, FILE *stream, bool styled)
{
    static const struct table_column columns[] = { { "model", 0 },     { "version", 0 }, { "format", 0 },
                                                   { "precision", 0 }, { "batch", 1 },   { "size", 1 },
                                                   { "accuracy", 1 } };
    size_t index, size;
    yyjson_val *model;
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(models, index, size, model)
    {
        size_t k, files;
        yyjson_val *file;
        if (!yyjson_is_arr(get(model, "variants")))
            print_file(table, model, model);
        yyjson_arr_foreach(get(model, "variants"), k, files, file) print_file(table, model, file);
    }
    table_print(table, stream, styled);
    table_free(&table);
}

void render_model(yyjson_val *model, FILE *stream)
{
    char batch[TEXT_MAX];
    print_batch(get(model, "batch"), batch);
    if (yyjson_is_str(get(model, "name")))
        fprintf(stream, "%-11s %s, version %s\n", "model", text_of(model, "name"), text_of(model, "version"));
    bool read = yyjson_is_str(yyjson_obj_get(model, "runtime"));
    fprintf(stream, "%-11s %s%s%s\n", "format", text_of(model, "format"), read ? ", read by " : "",
            read ? text_of(model, "runtime") : "");
    fprintf(stream, "%-11s %s\n", "precision", text_of(model, "precision"));
    fprintf(stream, "%-11s %s\n", "batch", batch);
    print_files(model, stream);
    print_tensors(get(model, "inputs"), "input", stream);
    print_tensors(get(model, "outputs"), "output", stream);
}

void render_events(yyjson_val *events, FILE *stream)
{
    size_t index, size;
    yyjson_val *event;
    yyjson_arr_foreach(events, index, size, event)
        fprintf(stream, "%s %s %s\n", text_of(event, "time"), text_of(event, "id"), text_of(event, "text"));
}

/* ---- single things
 * --------------------------------------------------------------------------------------------------- */

static void print_slots(yyjson_val *worker, FILE *stream, bool styled)
{
    static const struct table_column columns[] = { { "slot", 1 },        { "device", 0 },
                                                   { "runtime", 0 },     { "largest batch", 1 },
                                                   { "alpha ms", 1 },    { "beta ms", 1 },
                                                   { "learned from", 1 } };
    size_t index, size;
    yyjson_val *slot;
    char text[TEXT_MAX];
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(get(worker, "slots"), index, size, slot)
    {
        yyjson_val *curve = get(slot, "curve");
        table_row(table);
        table_cell(table, "%zu", index);
        table_cell(table, "%s", text_of(slot, "device"));
        table_cell(table, "%s", text_of(slot, "runtime"));
        table_cell(table, "%s", count(get(slot, "batch_max"), text));
        table_cell(table, "%s", number(get(curve, "alpha_ms"), text));
        table_cell(table, "%s", number(get(curve, "beta_ms"), text));
        table_cell(table, "%s", count(get(curve, "samples"), text));
    }
    table_print(table, stream, styled);
    table_free(&table);
}

void render_worker(yyjson_val *worker, FILE *stream, bool styled)
{
    size_t index, size;
    yyjson_val *device;
    char total[TEXT_MAX], available[TEXT_MAX];
    char state[TEXT_MAX];
    print_state(worker, state, sizeof state);
    fprintf(stream, "%s: %s, on %s, pid %llu\n", text_of(worker, "name"), state, text_of(worker, "host"),
            (unsigned long long)yyjson_get_uint(get(worker, "pid")));
    yyjson_arr_foreach(get(worker, "devices"), index, size, device) fprintf(
        stream, "device %s: %s, %s, memory %s (%s free)\n", text_of(device, "id"), text_of(device, "kind"),
        text_of(device, "name"), memory(get(device, "memory_total_bytes"), total),
        memory(get(device, "memory_free_bytes"), available));
    print_slots(worker, stream, styled);
}

void render_coordinator(yyjson_val *status, FILE *stream)
{
    char uptime[TEXT_MAX];
    yyjson_val *coordinator = get(status, "coordinator"), *jobs = get(status, "jobs");
    render_duration(get(coordinator, "uptime_seconds"), uptime, sizeof uptime);
    fprintf(stream, "coordinator %s, pid %llu, term %llu, up %s\n", text_of(coordinator, "url"),
            (unsigned long long)yyjson_get_uint(get(coordinator, "pid")),
            (unsigned long long)yyjson_get_uint(get(coordinator, "term")), uptime);
    fprintf(stream, "workers     %llu with %llu slots\n",
            (unsigned long long)yyjson_get_uint(get(status, "workers")),
            (unsigned long long)yyjson_get_uint(get(status, "slots")));
    fprintf(stream, "jobs        %llu queued, %llu running, %llu over and kept\n",
            (unsigned long long)yyjson_get_uint(get(jobs, "queued")),
            (unsigned long long)yyjson_get_uint(get(jobs, "running")),
            (unsigned long long)yyjson_get_uint(get(jobs, "kept")));
    if (yyjson_is_uint(get(status, "state_bytes")))
        fprintf(stream, "state       %.3g GB in %s, %.3g GB free there\n",
                yyjson_get_num(get(status, "state_bytes")) / 1e9, text_of(coordinator, "state_dir"),
                yyjson_get_num(get(status, "state_free_bytes")) / 1e9);
    yyjson_val *online = get(status, "online");
    if (yyjson_get_uint(get(online, "answered")) || yyjson_get_uint(get(online, "in_flight")))
        fprintf(stream, "online      %llu requests answered, %llu in flight\n",
                (unsigned long long)yyjson_get_uint(get(online, "answered")),
                (unsigned long long)yyjson_get_uint(get(online, "in_flight")));
    if (yyjson_is_str(get(coordinator, "disk_full")))
        fprintf(stream, "disk full   %s: work pauses until there is room\n",
                text_of(coordinator, "disk_full"));
}

/* ---- progress
 * -------------------------------------------------------------------------------------------------------- */

static void draw_bar(double share, int width, FILE *stream, bool styled)
{
    fputs(styled ? "\033[32m[" : "[", stream);
    for (int i = 0; i < width; i++)
        fputc((double)i < share * width ? '#' : '.', stream);
    fputs(styled ? "]\033[0m" : "]", stream);
}

/* Where there is no room for both, the figures matter more than the bar. */
static void print_bar(yyjson_val *job, FILE *stream, int columns, bool styled)
{
    char rate[TEXT_MAX], eta[TEXT_MAX], tail[200], done[TEXT_MAX], total[TEXT_MAX];
    double all = yyjson_get_num(get(job, "samples_total")), now = yyjson_get_num(get(job, "samples_done"));
    double share = all > 0.0 ? now / all : 1.0;
    render_duration(get(job, "eta_seconds"), eta, sizeof eta);
    int length = snprintf(tail, sizeof tail, " %3.0f%%  %s/%s  %s/s  %s left", floor(100.0 * share),
                          count(get(job, "samples_done"), done), count(get(job, "samples_total"), total),
                          number(get(job, "throughput_samples_per_second"), rate), eta);
    int width = columns - length - 3;
    if (width >= BAR_MIN)
        draw_bar(share, width < BAR_MAX ? width : BAR_MAX, stream, styled);
    fprintf(stream, "%.*s\n", columns - 1, tail);
}

static void print_device_line(yyjson_val *device, FILE *stream, int columns)
{
    char line[300], samples[TEXT_MAX], rate[TEXT_MAX], batch[TEXT_MAX];
    snprintf(line, sizeof line, "  %-20s %-6s %-12s %14s samples %10s/s  batch %s", text_of(device, "worker"),
             text_of(device, "kind"), text_of(device, "runtime"), count(get(device, "samples"), samples),
             number(get(device, "throughput_samples_per_second"), rate),
             count(get(device, "best_batch"), batch));
    fprintf(stream, "%.*s\n", columns - 1, line);
}

int render_progress(yyjson_val *job, FILE *stream, int columns, bool styled)
{
    size_t index, size;
    yyjson_val *device;
    int lines = 0;
    if (yyjson_is_str(get(job, "waiting"))) {
        fprintf(stream, "%.*s%.*s\n", columns - 1, "waiting: ", columns > 20 ? columns - 10 : 10,
                text_of(job, "waiting"));
        lines++;
        if (yyjson_get_uint(get(job, "samples_done")) == 0)
            return lines;
    }
    print_bar(job, stream, columns, styled);
    lines++;
    yyjson_arr_foreach(get(job, "devices"), index, size, device)
    {
        if (index == DEVICES_SHOWN) {
            fprintf(stream, "  and %zu more\n", size - index);
            return lines + 1;
        }
        print_device_line(device, stream, columns);
        lines++;
    }
    return lines;
}
