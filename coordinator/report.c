// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include "clock.h"
#include "forecast.h"
#include "spool.h"
#include "summary.h"
#include "waiting.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A job's figures, from the scheduler while it knows the job and from the record otherwise. */
struct figures {
    uint64_t done, failed, eta_us;
    uint64_t span_us; /* the makespan, or how long it has been running; 0 = not started */
    bool live;
    struct sched_job_look look;
    struct summary summary;
};

/* Slots of one device under one runtime are one line. */
struct line {
    const struct share *share;
    struct tally tally;
};

void report_number(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, bool known, double value)
{
    if (known && isfinite(value))
        yyjson_mut_obj_add_real(doc, object, key, value);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

void report_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, int64_t at_us)
{
    char text[CLOCK_RFC3339_MAX];
    if (!at_us) {
        yyjson_mut_obj_add_null(doc, object, key);
        return;
    }
    clock_rfc3339(at_us, text);
    yyjson_mut_obj_add_strcpy(doc, object, key, text);
}

void report_step_time(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                      uint64_t step_us)
{
    bool known = step_us && step_us < INT64_MAX;
    report_time(doc, object, key, known ? view->wall_us + (int64_t)step_us - (int64_t)view->now_us : 0);
}

void report_run(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                const struct worker *worker, uint32_t slot)
{
    struct sched_slot_look look = { 0 };
    const struct worker_run *run = worker->runs ? &worker->runs[slot] : NULL;
    bool live =
        view->sched && worker->serving && sched_slot_look(view->sched, worker->number, slot, &look) && run;
    bool runs = live && run->attempt && view->now_us >= worker->runs_us;
    uint64_t running_us = runs ? run->elapsed_us + (view->now_us - worker->runs_us) : 0;
    report_number(doc, object, "running_seconds", runs, (double)running_us / 1e6);
    report_number(doc, object, "expected_seconds", live && look.oldest_us > 0, look.oldest_us / 1e6);
    yyjson_mut_obj_add_bool(doc, object, "stuck", live && look.overdue);
}

void report_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    if (text)
        yyjson_mut_obj_add_strcpy(doc, object, key, text);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

void report_uuid(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const uint8_t uuid[UUID_BYTES])
{
    char text[2 * UUID_BYTES + 5];
    int at = 0;
    for (int i = 0; i < UUID_BYTES; i++)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    yyjson_mut_obj_add_strcpy(doc, object, key, text);
}

static void add_quantiles(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                          const struct histogram *histogram, bool p999)
{
    bool known = histogram->count > 0;
    yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, object, key);
    report_number(doc, part, "p50", known, (double)histogram_quantile_us(histogram, 0.50) / 1e3);
    report_number(doc, part, "p90", known, (double)histogram_quantile_us(histogram, 0.90) / 1e3);
    report_number(doc, part, "p99", known, (double)histogram_quantile_us(histogram, 0.99) / 1e3);
    if (p999)
        report_number(doc, part, "p999", known, (double)histogram_quantile_us(histogram, 0.999) / 1e3);
    report_number(doc, part, "max", known, (double)histogram->max_us / 1e3);
}

static uint64_t running_us(const struct view *view, const struct record *record)
{
    int64_t until = record->finished_us ? record->finished_us : view->wall_us;
    return record->started_us && until > record->started_us ? (uint64_t)(until - record->started_us) : 0;
}

static void gather(const struct view *view, const struct record *record, struct figures *figures)
{
    memset(figures, 0, sizeof *figures);
    figures->live = record_summary(record, view->sched, &figures->summary, &figures->look);
    figures->done = record->done;
    figures->failed = record->failed;
    figures->eta_us = record->state == RECORD_DONE ? 0 : UINT64_MAX;
    if (figures->live) {
        figures->done = figures->look.done;
        figures->failed = figures->look.failed;
        figures->eta_us = figures->look.eta_us;
    }
    if (record->state != RECORD_FINISHING && record->state != RECORD_DONE)
        figures->summary.makespan_us = 0;
    figures->span_us = figures->summary.makespan_us ? figures->summary.makespan_us : running_us(view, record);
}

static bool same_line(const struct share *a, const struct share *b)
{
    return memcmp(a->worker, b->worker, UUID_BYTES) == 0 && strcmp(a->device, b->device) == 0 &&
           strcmp(a->runtime, b->runtime) == 0 && strcmp(a->variant, b->variant) == 0;
}

static void merge_line(const struct view *view, const struct record *record, struct line *line)
{
    tally_init(&line->tally);
    for (size_t i = 0; i < record->shares_count; i++) {
        if (!same_line(line->share, &record->shares[i]))
            continue;
        struct tally tally;
        share_tally(&record->shares[i], record->in_sched ? view->sched : NULL, record->number, &tally);
        uint32_t best = line->tally.best_batch > tally.best_batch ? line->tally.best_batch : tally.best_batch;
        tally_merge(&line->tally, &tally);
        line->tally.best_batch = best;
    }
}

static bool is_first_of_line(const struct record *record, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (same_line(&record->shares[i], &record->shares[index]))
            return false;
    return true;
}

static void add_line(yyjson_mut_doc *doc, yyjson_mut_val *array, const struct line *line, uint64_t span_us)
{
    const struct tally *tally = &line->tally;
    bool energy = tally->energy_known > 0;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    report_text(doc, object, "worker", line->share->worker_name);
    report_text(doc, object, "device", line->share->device);
    report_text(doc, object, "kind", line->share->kind);
    report_text(doc, object, "runtime", line->share->runtime);
    report_text(doc, object, "variant", line->share->variant);
    yyjson_mut_obj_add_uint(doc, object, "samples", tally->samples);
    yyjson_mut_obj_add_uint(doc, object, "batches", tally->batches);
    if (tally->best_batch)
        yyjson_mut_obj_add_uint(doc, object, "best_batch", tally->best_batch);
    else
        yyjson_mut_obj_add_null(doc, object, "best_batch");
    yyjson_mut_obj_add_real(doc, object, "busy_seconds", (double)tally->busy_us / 1e6);
    report_number(doc, object, "throughput_samples_per_second", span_us > 0,
                  (double)tally->samples * 1e6 / (double)span_us);
    add_quantiles(doc, object, "batch_latency_ms", &tally->batch_latency, false);
    report_number(doc, object, "energy_joules", energy, tally->energy_joules);
    report_text(doc, object, "energy_grade",
                !energy                                         ? NULL
                : strcmp(line->share->runtime, "emulated") == 0 ? "catalog"
                                                                : "measured");
    yyjson_mut_obj_add_uint(doc, object, "duplicate_samples", tally->duplicate_samples);
    yyjson_mut_obj_add_uint(doc, object, "failed_batches", tally->failed_batches);
    yyjson_mut_obj_add_uint(doc, object, "overruns", tally->overruns);
}

static void add_devices(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct record *record, uint64_t span_us)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "devices");
    for (size_t i = 0; i < record->shares_count; i++) {
        if (!is_first_of_line(record, i))
            continue;
        struct line line = { .share = &record->shares[i] };
        merge_line(view, record, &line);
        add_line(doc, array, &line, span_us);
    }
}

static void add_energy(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                       const struct record *record)
{
    double joules = 0;
    uint64_t known = 0;
    for (size_t i = 0; i < record->shares_count; i++) {
        struct tally tally;
        share_tally(&record->shares[i], record->in_sched ? view->sched : NULL, record->number, &tally);
        joules += tally.energy_joules;
        known += tally.energy_known;
    }
    report_number(doc, object, "energy_joules", known > 0, joules);
}

/* The outputs' names, and their files' in an answer of several outputs. */
static void add_outputs(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct record *record)
{
    char file[SPOOL_NAME_MAX];
    struct spool_shape shape = { .outputs_count = record->outputs_count };
    memcpy(shape.outputs, record->outputs, record->outputs_count * sizeof shape.outputs[0]);
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "outputs");
    for (uint32_t k = 0; k < shape.outputs_count; k++) {
        yyjson_mut_val *output = yyjson_mut_arr_add_obj(doc, array);
        spool_output_name(&shape, k, file);
        report_text(doc, output, "name", record->outputs[k].name);
        report_text(doc, output, "file", file);
    }
}

void report_wishes(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct message_submit *spec)
{
    static const char *const objectives[] = {
        [SUBMIT_FASTEST] = "fastest", [SUBMIT_CHEAPEST] = "cheapest", [SUBMIT_GREENEST] = "greenest"
    };
    report_text(doc, object, "tenant", *spec->tenant ? spec->tenant : "default");
    report_text(doc, object, "objective", objectives[spec->objective]);
    report_text(doc, object, "require", *spec->require ? spec->require : NULL);
    report_text(doc, object, "prefer", *spec->prefer ? spec->prefer : NULL);
    report_number(doc, object, "verify_share", spec->verify_ppm > 0, spec->verify_ppm / 1e6);
}

/* The name of a worker that may be gone. */
static const char *worker_name(const struct view *view, uint32_t number)
{
    const struct worker *worker = roster_at(view->roster, number);
    return worker ? worker->name : NULL;
}

void report_forecast(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                     yyjson_mut_val *object, uint64_t job, bool deadline)
{
    struct forecast forecast;
    if (!sched || !forecast_job(sched, job, &forecast) || !forecast.known) {
        yyjson_mut_obj_add_null(doc, object, "forecast");
        return;
    }
    yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, object, "forecast");
    report_step_time(view, doc, part, "done_at", forecast.done_us);
    report_step_time(view, doc, part, "low_at", forecast.low_us);
    report_step_time(view, doc, part, "high_at", forecast.high_us);
    yyjson_mut_obj_add(part, yyjson_mut_str(doc, "fits"),
                       deadline ? yyjson_mut_bool(doc, forecast.fits) : yyjson_mut_null(doc));
    yyjson_mut_obj_add_uint(doc, part, "slots", forecast.slots);
    yyjson_mut_obj_add_uint(doc, part, "slots_more", forecast.slots_more);
    report_text(doc, part, "like", forecast.slots_more ? worker_name(view, forecast.like_worker) : NULL);
}

static void add_identity(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                         const struct record *record, const struct figures *figures)
{
    char waiting[WAITING_MAX];
    bool waits = figures->live && waiting_text(view, record, &figures->look, waiting);
    yyjson_mut_obj_add_uint(doc, object, "id", record->number);
    report_uuid(doc, object, "uuid", record->uuid);
    report_text(doc, object, "name", record->name);
    report_text(doc, object, "state", record_state_name(record->state));
    report_text(doc, object, "waiting", waits ? waiting : NULL);
    report_text(doc, object, "reason", record->reason);
    report_text(doc, object, "model", record->model);
    const struct message_submit *spec = jobs_spec(view->jobs, record);
    report_text(doc, object, "output", *spec->output_path ? spec->output_path : NULL);
    yyjson_mut_obj_add_bool(doc, object, "answer", record_has_answer(record));
    add_outputs(doc, object, record);
    yyjson_mut_obj_add_sint(doc, object, "priority", spec->priority);
    report_wishes(doc, object, spec);
}

static bool deadline_passed(const struct view *view, const struct record *record, int64_t deadline_at)
{
    return (record_open(record) ? view->wall_us : record->finished_us) > deadline_at;
}

/* Was it done by then? False as soon as the time has passed. Null while that is open, without a deadline, and
 * of a job that was ended before it. */
static void add_deadline(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                         const struct record *record, uint64_t deadline_us)
{
    int64_t deadline_at = deadline_us ? record->submitted_us + (int64_t)deadline_us : 0;
    report_time(doc, object, "deadline_at", deadline_at);
    if (deadline_at && record->state == RECORD_DONE)
        yyjson_mut_obj_add_bool(doc, object, "deadline_met", record->finished_us <= deadline_at);
    else if (deadline_at && record->state != RECORD_CANCELLED && deadline_passed(view, record, deadline_at))
        yyjson_mut_obj_add_bool(doc, object, "deadline_met", false);
    else
        yyjson_mut_obj_add_null(doc, object, "deadline_met");
}

/* A forecast looks at every slot: in lists only those who were promised something get one. */
static void add_promise(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct record *record, const struct figures *figures, bool always)
{
    uint64_t deadline_us = jobs_spec(view->jobs, record)->deadline_us;
    bool ask = figures->live && record->state != RECORD_FINISHING && (always || deadline_us);
    add_deadline(view, doc, object, record, deadline_us);
    report_forecast(view, ask ? view->sched : NULL, doc, object, record->number, deadline_us > 0);
}

static void add_counts(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct record *record,
                       const struct figures *figures)
{
    yyjson_mut_obj_add_uint(doc, object, "samples_total", record->samples);
    yyjson_mut_obj_add_uint(doc, object, "samples_done", figures->done);
    yyjson_mut_obj_add_uint(doc, object, "samples_failed", figures->failed);
    yyjson_mut_obj_add_uint(doc, object, "duplicate_samples", figures->summary.duplicates);
    yyjson_mut_obj_add_uint(doc, object, "attempts", figures->summary.attempts);
    report_time(doc, object, "submitted_at", record->submitted_us);
    report_time(doc, object, "started_at", record->started_us);
    report_time(doc, object, "finished_at", record->finished_us);
}

static void add_times(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct figures *figures)
{
    double makespan = (double)figures->summary.makespan_us / 1e6,
           bound = (double)figures->summary.bound_us / 1e6;
    report_number(doc, object, "makespan_seconds", makespan > 0, makespan);
    report_number(doc, object, "throughput_samples_per_second", figures->span_us && figures->done,
                  (double)figures->done * 1e6 / (double)figures->span_us);
    report_number(doc, object, "bound_seconds", bound > 0, bound);
    report_number(doc, object, "makespan_over_bound", makespan > 0 && bound > 0, makespan / bound);
    report_number(doc, object, "eta_seconds", figures->eta_us != UINT64_MAX, (double)figures->eta_us / 1e6);
}

static void add_difference(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct difference *difference)
{
    report_number(doc, object, "max_abs", difference->floats, difference->max_abs);
    report_number(doc, object, "max_rel", difference->floats, difference->max_rel);
}

static void add_pair(yyjson_mut_doc *doc, yyjson_mut_val *array, const struct record *record,
                     const struct verified_pair *pair)
{
    struct difference whole = { 0 };
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    report_text(doc, object, "device", pair->device);
    report_text(doc, object, "against", pair->against);
    yyjson_mut_obj_add_uint(doc, object, "samples", pair->sums.samples);
    yyjson_mut_obj_add_uint(doc, object, "differing", pair->sums.differing);
    for (uint32_t k = 0; k < pair->sums.outputs_count; k++) {
        const struct difference *each = &pair->sums.outputs[k];
        whole.floats = whole.floats || each->floats;
        whole.max_abs = each->max_abs > whole.max_abs ? each->max_abs : whole.max_abs;
        whole.max_rel = each->max_rel > whole.max_rel ? each->max_rel : whole.max_rel;
    }
    add_difference(doc, object, &whole);
    yyjson_mut_val *outputs = yyjson_mut_obj_add_arr(doc, object, "outputs");
    for (uint32_t k = 0; k < pair->sums.outputs_count && k < record->outputs_count; k++) {
        yyjson_mut_val *output = yyjson_mut_arr_add_obj(doc, outputs);
        report_text(doc, output, "name", record->outputs[k].name);
        yyjson_mut_obj_add_uint(doc, output, "differing", pair->sums.outputs[k].differing);
        add_difference(doc, output, &pair->sums.outputs[k]);
    }
}

/* What --verify found; null where it was not asked for. */
static void add_verification(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                             const struct record *record)
{
    const struct verification *found = record->verification;
    if (!jobs_spec(view->jobs, record)->verify_ppm) {
        yyjson_mut_obj_add_null(doc, object, "verify");
        return;
    }
    uint64_t checked = verification_checked(found);
    uint64_t unchecked = verification_unchecked(found, record->in_sched ? view->sched : NULL, record->number);
    yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, object, "verify");
    yyjson_mut_obj_add_uint(doc, part, "samples_checked", checked);
    yyjson_mut_obj_add_uint(doc, part, "samples_unchecked", unchecked);
    report_text(doc, part, "note",
                !unchecked ? NULL
                : checked  ? "some samples could not be run again on another kind of device"
                           : "no other kind of device was there to run samples again");
    yyjson_mut_val *pairs = yyjson_mut_obj_add_arr(doc, part, "pairs");
    for (uint32_t i = 0; found && i < found->pairs_count; i++)
        add_pair(doc, pairs, record, &found->pairs[i]);
}

void report_job(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                const struct record *record, bool devices)
{
    struct figures figures;
    gather(view, record, &figures);
    add_identity(view, doc, object, record, &figures);
    add_counts(doc, object, record, &figures);
    add_times(doc, object, &figures);
    add_promise(view, doc, object, record, &figures, devices);
    add_quantiles(doc, object, "latency_ms", &figures.summary.latency, true);
    add_energy(view, doc, object, record);
    add_verification(view, doc, object, record);
    if (devices)
        add_devices(view, doc, object, record, figures.span_us);
}
