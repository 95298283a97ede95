// SPDX-License-Identifier: Apache-2.0
/* explanation, waiting, forecasts: the scheduler's reasons as users read them, from real tables. */
#include "explanation.h"

#include "capability.h"
#include "coordinator_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct view view;
static struct sched *sched;
static struct sched_actions actions;

static int set_up(void **state)
{
    (void)state;
    sched = sched_new(&(struct sched_config){ .workers_max = 10, .slots_max = 100, .jobs_max = 10 }, 1);
    view = (struct view){ .jobs = jobs_new(10),
                          .roster = roster_new(10),
                          .registry = registry_new(),
                          .tenants = tenants_new(),
                          .events = events_new(),
                          .sched = sched,
                          .url = "ipc:///here",
                          .full = "",
                          .now_us = 4000000,
                          .started_us = 1000000,
                          .wall_us = 1700000000000000 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct events *events = (struct events *)(uintptr_t)view.events;
    struct tenants *tenants = (struct tenants *)(uintptr_t)view.tenants;
    sched_check(sched);
    sched_free(&sched);
    events_free(&events);
    tenants_free(&tenants);
    jobs_free(&view.jobs);
    roster_free(&view.roster);
    registry_free(&view.registry);
    return 0;
}

static void step(const struct sched_event *event) { sched_step(sched, 4000000, event, &actions); }

/* A worker with one slot and so much memory, known to the scheduler as the floor makes it known. */
static struct worker *add_worker(uint8_t uuid, const char *name, uint64_t memory_bytes)
{
    struct message_hello hello = fixture_hello(uuid, name, 1);
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC | SCHED_FORMAT_ONNX,
                                    .batch_max = 8,
                                    .window = 2,
                                    .alpha_us = 1000,
                                    .beta_us = 1000 };
    struct worker *worker;
    hello.devices[0].memory_total_bytes = memory_bytes;
    struct attributes *attributes = capability_of(&hello, 0);
    assert_non_null(attributes);
    assert_int_equal(roster_greet(view.roster, 9u + uuid, &hello, &worker, NULL), ERR_OK);
    worker->serving = true;
    info.attributes = attributes;
    struct sched_event event = { .type = SCHED_WORKER_UP, .worker = worker->number };
    event.up.slots_count = 1;
    event.up.slots = &info;
    step(&event);
    attributes_free(&attributes);
    return worker;
}

static struct record *add_job(uint64_t number, const char *require, uint64_t deadline_us)
{
    struct message_submit submit = fixture_submit((uint8_t)number, "night", 100);
    struct record *record;
    submit.require = require;
    submit.tenant = "lab";
    submit.deadline_us = deadline_us;
    submit.objective = SUBMIT_GREENEST;
    submit.verify_ppm = 20000;
    assert_int_equal(jobs_add(view.jobs, number, &submit, view.wall_us, &record, NULL), ERR_OK);
    record->model_number = registry_number(view.registry, (uint8_t[SHA256_BYTES]){ 0 });
    record->state = RECORD_QUEUED;
    struct sched_event event = { .type = SCHED_JOB_ADD, .job = number };
    event.add.model = record->model_number;
    event.add.formats = record->formats;
    event.add.samples = record->samples;
    event.add.require = require;
    event.add.deadline_us = deadline_us ? view.now_us + deadline_us : 0;
    step(&event);
    record->in_sched = true;
    return record;
}

static yyjson_doc *show(const char *what, const char *which)
{
    char *json;
    size_t size;
    struct why why;
    if (view_json(&view, what, which, &json, &size, &why))
        fail_msg("%s", why.text);
    yyjson_doc *doc = yyjson_read(json, size, 0);
    assert_non_null(doc);
    free(json);
    return doc;
}

static const char *text(yyjson_doc *doc, const char *pointer)
{
    const char *found = yyjson_get_str(yyjson_doc_ptr_get(doc, pointer));
    if (!found)
        fail_msg("%s is no text", pointer);
    return found;
}

static uint64_t number(yyjson_doc *doc, const char *pointer)
{
    yyjson_val *value = yyjson_doc_ptr_get(doc, pointer);
    if (!yyjson_is_uint(value))
        fail_msg("%s is no number", pointer);
    return yyjson_get_uint(value);
}

static bool is_null(yyjson_doc *doc, const char *pointer)
{
    return yyjson_is_null(yyjson_doc_ptr_get(doc, pointer));
}

static void the_nearest_miss_is_named(void **state)
{
    (void)state;
    add_worker(1, "small", (uint64_t)4 << 30);
    add_worker(2, "large", (uint64_t)16 << 30);
    add_job(1, "device.memory >= 24GiB", 0);
    yyjson_doc *doc = show("job", "1");
    assert_string_equal(text(doc, "/waiting"), "no worker satisfies --require; nearest: large: device.memory "
                                               ">= 24GiB: has 16GiB");
    yyjson_doc_free(doc);
    doc = show("explain", "1");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/slots")), 2);
    assert_string_equal(text(doc, "/slots/0/worker"), "small");
    assert_string_equal(text(doc, "/slots/0/reason"), "required");
    assert_string_equal(text(doc, "/slots/0/requirement/0/attribute"), "device.memory");
    assert_string_equal(text(doc, "/slots/0/requirement/0/wanted"), "24GiB");
    assert_string_equal(text(doc, "/slots/0/requirement/0/has"), "4GiB");
    assert_true(yyjson_is_false(yyjson_doc_ptr_get(doc, "/slots/1/takes_part")));
    assert_true(is_null(doc, "/held"));
    assert_int_equal(number(doc, "/recalls"), 0);
    yyjson_doc_free(doc);
}

static void wishes_and_unknown_promises(void **state)
{
    (void)state;
    add_job(1, "device.kind = cpu", 60000000);
    yyjson_doc *doc = show("job", "1");
    assert_string_equal(text(doc, "/tenant"), "lab");
    assert_string_equal(text(doc, "/objective"), "greenest");
    assert_string_equal(text(doc, "/require"), "device.kind = cpu");
    assert_true(is_null(doc, "/prefer"));
    assert_true(yyjson_get_real(yyjson_doc_ptr_get(doc, "/verify_share")) == 0.02);
    assert_string_equal(text(doc, "/deadline_at"), "2023-11-14T22:14:20.000Z");
    assert_true(is_null(doc, "/deadline_met"));
    assert_true(is_null(doc, "/forecast")); /* no worker */
    assert_string_equal(text(doc, "/waiting"), "no worker");
    yyjson_doc_free(doc);
}

static void a_forecast_has_wall_times(void **state)
{
    (void)state;
    add_worker(1, "w", 0);
    add_job(1, NULL, 60000000);
    yyjson_doc *doc = show("job", "1");
    assert_true(strcmp(text(doc, "/forecast/low_at"), text(doc, "/forecast/done_at")) <= 0);
    assert_true(strcmp(text(doc, "/forecast/done_at"), text(doc, "/forecast/high_at")) <= 0);
    assert_true(strncmp(text(doc, "/forecast/done_at"), "2023-11-14T22:13:", 17) == 0);
    assert_true(yyjson_is_true(yyjson_doc_ptr_get(doc, "/forecast/fits")));
    assert_int_equal(number(doc, "/forecast/slots_more"), 0);
    assert_true(is_null(doc, "/forecast/like"));
    yyjson_doc_free(doc);
    add_job(2, NULL, 1000); /* cannot be */
    doc = show("job", "2");
    assert_true(yyjson_is_false(yyjson_doc_ptr_get(doc, "/forecast/fits")));
    yyjson_doc_free(doc);
    doc = show("jobs", "");
    assert_true(yyjson_is_obj(yyjson_doc_ptr_get(doc, "/0/forecast")));
    yyjson_doc_free(doc);
}

static void a_met_deadline_and_a_missed_one(void **state)
{
    (void)state;
    struct record *record = add_job(1, NULL, 60000000);
    record->state = RECORD_DONE;
    record->in_sched = false;
    record->finished_us = view.wall_us + 60000000;
    yyjson_doc *doc = show("job", "1");
    assert_true(yyjson_is_true(yyjson_doc_ptr_get(doc, "/deadline_met")));
    yyjson_doc_free(doc);
    record->finished_us++;
    doc = show("job", "1");
    assert_true(yyjson_is_false(yyjson_doc_ptr_get(doc, "/deadline_met")));
    yyjson_doc_free(doc);
    record->state = RECORD_FAILED;
    doc = show("job", "1");
    assert_true(yyjson_is_false(yyjson_doc_ptr_get(doc, "/deadline_met")));
    yyjson_doc_free(doc);
    record->state = RECORD_CANCELLED; /* whoever cancels waits for nothing */
    doc = show("explain", "1");
    assert_true(is_null(doc, "/deadline_met"));
    assert_true(is_null(doc, "/recalls") && is_null(doc, "/held") && is_null(doc, "/finish_at"));
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/slots")), 0);
    yyjson_doc_free(doc);
}

static void an_open_job_misses_its_deadline_when_it_passes(void **state)
{
    (void)state;
    add_worker(1, "w", 0);
    add_job(1, NULL, 60000000);
    view.wall_us += 60000001;
    yyjson_doc *doc = show("job", "1");
    assert_true(yyjson_is_false(yyjson_doc_ptr_get(doc, "/deadline_met")));
    yyjson_doc_free(doc);
    view.wall_us -= 60000001;
}

static void several_reasons_are_counted(void **state)
{
    (void)state;
    add_worker(1, "small", (uint64_t)4 << 30);
    struct worker *large = add_worker(2, "large", (uint64_t)32 << 30);
    large->draining = true;
    step(&(struct sched_event){ .type = SCHED_DRAIN, .worker = large->number });
    add_job(1, "device.memory >= 24GiB", 0);
    yyjson_doc *doc = show("job", "1");
    assert_string_equal(text(doc, "/waiting"), "no slot can take it: 1 not as --require says, 1 draining; "
                                               "nearest: small: device.memory >= 24GiB: has 4GiB");
    yyjson_doc_free(doc);
    doc = show("worker", "large");
    assert_true(yyjson_is_true(yyjson_doc_ptr_get(doc, "/draining")));
    assert_string_equal(text(doc, "/state"), "up");
    yyjson_doc_free(doc);
}

static void why_a_worker_is_idle(void **state)
{
    (void)state;
    struct worker *worker = add_worker(1, "w", (uint64_t)4 << 30);
    yyjson_doc *doc = show("worker-explain", "w");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/slots/0/jobs")), 0);
    yyjson_doc_free(doc);
    add_job(1, "device.memory >= 24GiB", 0);
    add_job(2, NULL, 0);
    worker->barred_until_us[0] = view.now_us + 1000000;
    doc = show("worker-explain", "w");
    assert_string_equal(text(doc, "/slots/0/barred_until"), "2023-11-14T22:13:21.000Z");
    assert_int_equal(number(doc, "/slots/0/jobs/0/job"), 1);
    assert_string_equal(text(doc, "/slots/0/jobs/0/reason"), "required");
    assert_string_equal(text(doc, "/slots/0/jobs/1/reason"), "loading");
    assert_int_equal(number(doc, "/slots/0/jobs_more"), 0);
    yyjson_doc_free(doc);
    doc = show("worker-explain", "all");
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 1);
    assert_string_equal(text(doc, "/0/slots/0/jobs/0/reason"), "required");
    yyjson_doc_free(doc);
    roster_dismiss(view.roster, worker, ROSTER_LOST, view.wall_us);
    doc = show("worker-explain", "w");
    assert_string_equal(text(doc, "/state"), "lost");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/slots/0/jobs")), 0);
    yyjson_doc_free(doc);
}

/* Each sees what keeps the worker from its own jobs only. */
static void jobs_of_other_tenants_are_not_shown(void **state)
{
    (void)state;
    struct keyring_entry other = { .role = ROLE_CLIENT, .tenants_count = 1 };
    snprintf(other.tenants[0], sizeof other.tenants[0], "physics");
    add_worker(1, "w", (uint64_t)4 << 30);
    add_job(1, "device.memory >= 24GiB", 0);
    view.viewer = &other;
    yyjson_doc *doc = show("worker-explain", "w");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(doc, "/slots/0/jobs")), 0);
    assert_int_equal(number(doc, "/slots/0/jobs_more"), 0);
    yyjson_doc_free(doc);
    snprintf(other.tenants[0], sizeof other.tenants[0], "lab");
    doc = show("worker-explain", "w");
    assert_int_equal(number(doc, "/slots/0/jobs/0/job"), 1);
    yyjson_doc_free(doc);
}

static void nobody_of_that_name(void **state)
{
    (void)state;
    char *json;
    size_t size;
    struct why why;
    assert_int_equal(view_json(&view, "explain", "7", &json, &size, &why), ERR_NOT_FOUND);
    assert_int_equal(view_json(&view, "explain", "", &json, &size, &why), ERR_USAGE);
    assert_int_equal(view_json(&view, "worker-explain", "w", &json, &size, &why), ERR_NOT_FOUND);
    assert_int_equal(view_json(&view, "worker-explain", "", &json, &size, &why), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nearest_miss_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wishes_and_unknown_promises, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forecast_has_wall_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_met_deadline_and_a_missed_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_open_job_misses_its_deadline_when_it_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_reasons_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(why_a_worker_is_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobs_of_other_tenants_are_not_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_of_that_name, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
