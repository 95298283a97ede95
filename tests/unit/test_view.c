// SPDX-License-Identifier: Apache-2.0
/* The keys of CONTRACT section 2 are what outsiders read: their presence, their types and their nulls are
 * checked here. */
#include "view.h"

#include "coordinator_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yyjson.h>

#include <cmocka.h>

struct desk {
    struct view view;
    struct sched *sched;
    struct events *events;
};

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof *desk);
    struct sched_config config = { .workers_max = 10, .slots_max = 100, .jobs_max = 10 };
    desk->sched = sched_new(&config, 1);
    desk->events = events_new();
    desk->view = (struct view){ .jobs = jobs_new(10),
                                .roster = roster_new(10),
                                .registry = registry_new(),
                                .events = desk->events,
                                .sched = desk->sched,
                                .url = "ipc:///here",
                                .full = "",
                                .pid = 42,
                                .term = 3,
                                .now_us = 5000000,
                                .started_us = 1000000,
                                .wall_us = 1700000000000000 };
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    sched_free(&desk->sched);
    events_free(&desk->events);
    jobs_free(&desk->view.jobs);
    roster_free(&desk->view.roster);
    registry_free(&desk->view.registry);
    free(desk);
    return 0;
}

static yyjson_doc *show(const struct desk *desk, const char *what, const char *which)
{
    char *json;
    size_t size;
    struct why why;
    if (view_json(&desk->view, what, which, &json, &size, &why))
        fail_msg("%s", why.text);
    yyjson_doc *doc = yyjson_read(json, size, 0);
    assert_non_null(doc);
    free(json);
    return doc;
}

static yyjson_val *get(yyjson_doc *doc, const char *pointer)
{
    yyjson_val *value = yyjson_doc_ptr_get(doc, pointer);
    if (!value)
        fail_msg("%s is missing", pointer);
    return value;
}

static struct record *add_job(struct desk *desk, uint64_t number, const char *name, uint64_t samples)
{
    struct message_submit submit = fixture_submit((uint8_t)number, name, samples);
    struct record *record;
    assert_int_equal(jobs_add(desk->view.jobs, number, &submit, 1700000000000000, &record, NULL), ERR_OK);
    record->model_number = registry_number(
        desk->view.registry, submit.model_blob ? submit.model_blob : (uint8_t[SHA256_BYTES]){ 0 });
    record->state = RECORD_QUEUED;
    return record;
}

static struct sched_actions actions;

static void schedule(struct desk *desk, struct record *record)
{
    struct sched_event event = { .type = SCHED_JOB_ADD, .job = record->number };
    event.add.model = record->model_number;
    event.add.formats = record->formats;
    event.add.samples = record->samples;
    sched_step(desk->sched, 2000000, &event, &actions);
    record->in_sched = true;
}

static void add_worker(struct desk *desk, bool synthetic)
{
    struct message_hello hello = fixture_hello(8, "w1", 2);
    const char *formats[] = { "of-tomorrow" };
    for (uint32_t i = 0; i < 2 && !synthetic; i++) {
        hello.slots[i].formats = formats;
        hello.slots[i].formats_count = 1;
    }
    struct worker *worker;
    assert_int_equal(roster_greet(desk->view.roster, 9, &hello, &worker, NULL), ERR_OK);
}

static void status(void **state)
{
    add_job(*state, 1, "a", 10)->state = RECORD_RUNNING;
    add_job(*state, 2, "b", 10);
    yyjson_doc *doc = show(*state, "status", "");
    assert_int_equal(yyjson_get_uint(get(doc, "/coordinator/pid")), 42);
    assert_string_equal(yyjson_get_str(get(doc, "/coordinator/url")), "ipc:///here");
    assert_int_equal(yyjson_get_uint(get(doc, "/coordinator/term")), 3);
    assert_true(yyjson_get_real(get(doc, "/coordinator/uptime_seconds")) == 4.0);
    assert_int_equal(yyjson_get_uint(get(doc, "/workers")), 0);
    assert_int_equal(yyjson_get_uint(get(doc, "/slots")), 0);
    assert_int_equal(yyjson_get_uint(get(doc, "/jobs/queued")), 1);
    assert_int_equal(yyjson_get_uint(get(doc, "/jobs/running")), 1);
    yyjson_doc_free(doc);
}

static void a_job_has_all_keys_and_unknown_is_null(void **state)
{
    const char *numbers[] = {
        "/id", "/samples_total", "/samples_done", "/samples_failed", "/duplicate_samples", "/attempts"
    };
    const char *nulls[] = {
        "/started_at",     "/finished_at",         "/makespan_seconds", "/throughput_samples_per_second",
        "/bound_seconds",  "/makespan_over_bound", "/latency_ms/p50",   "/latency_ms/p90",
        "/latency_ms/p99", "/latency_ms/p999",     "/latency_ms/max",   "/energy_joules",
        "/eta_seconds"
    };
    schedule(*state, add_job(*state, 1, "night", 10));
    yyjson_doc *doc = show(*state, "job", "night");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(yyjson_is_uint(get(doc, numbers[i])));
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        assert_true(yyjson_is_null(get(doc, nulls[i])));
    assert_string_equal(yyjson_get_str(get(doc, "/name")), "night");
    assert_string_equal(yyjson_get_str(get(doc, "/uuid")), "01010101-0101-0101-0101-010101010101");
    assert_string_equal(yyjson_get_str(get(doc, "/state")), "queued");
    assert_string_equal(yyjson_get_str(get(doc, "/waiting")), "no worker");
    assert_string_equal(yyjson_get_str(get(doc, "/model")), "synthetic");
    assert_string_equal(yyjson_get_str(get(doc, "/submitted_at")), "2023-11-14T22:13:20.000Z");
    assert_int_equal(yyjson_arr_size(get(doc, "/devices")), 0);
    yyjson_doc_free(doc);
}

static void waiting_says_for_what(void **state)
{
    struct desk *desk = *state;
    schedule(desk, add_job(desk, 1, "a", 10));
    add_worker(desk, false);
    yyjson_doc *doc = show(desk, "job", "1");
    assert_string_equal(yyjson_get_str(get(doc, "/waiting")),
                        "no worker can take it: none has the format synthetic");
    yyjson_doc_free(doc);
    desk->view.full = "/disk/journal";
    doc = show(desk, "job", "1");
    assert_string_equal(yyjson_get_str(get(doc, "/waiting")), "disk full on /disk/journal");
    yyjson_doc_free(doc);
}

static void one_is_an_object_and_several_an_array(void **state)
{
    add_job(*state, 1, "a", 10);
    const struct {
        const char *what, *which;
        bool array;
    } cases[] = {
        { "job", "1", false },  { "job", "last", false },  { "report", "a", false },
        { "job", "all", true }, { "report", "1-2", true }, { "jobs", "", true },
        { "jobs", "1", true },  { "workers", "", true },   { "models", "", true },
        { "events", "", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yyjson_doc *doc = show(*state, cases[i].what, cases[i].which);
        assert_int_equal(yyjson_is_arr(yyjson_doc_get_root(doc)), cases[i].array);
        yyjson_doc_free(doc);
    }
}

static void settle_all(struct desk *desk, struct record *record)
{
    struct message_hello hello = fixture_hello(8, "w1", 2);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct tally tally;
        tally_init(&tally);
        tally.samples = 4 + slot;
        tally.batches = 2;
        tally.busy_us = 1500000;
        tally.best_batch = 8;
        tally.energy_joules = slot ? 3.5 : 0;
        tally.energy_known = slot;
        histogram_add(&tally.batch_latency, 2000, 2);
        size_t index = record_share(record, 0, &hello, slot, "synthetic");
        assert_int_equal(share_settle(&record->shares[index], &tally), ERR_OK);
    }
    struct summary summary;
    uint8_t bytes[SUMMARY_BYTES_MAX];
    summary_init(&summary);
    summary.makespan_us = 3000000;
    summary.bound_us = 2000000;
    histogram_add(&summary.latency, 5000, 9);
    assert_int_equal(record_set_past(record, bytes, summary_pack(&summary, bytes)), ERR_OK);
    record->state = RECORD_DONE;
    record->done = 9;
    (void)desk;
}

static void a_finished_job_reports_its_devices(void **state)
{
    struct record *record = add_job(*state, 1, "a", 9);
    settle_all(*state, record);
    yyjson_doc *doc = show(*state, "report", "last");
    assert_true(yyjson_get_real(get(doc, "/makespan_seconds")) == 3.0);
    assert_true(yyjson_get_real(get(doc, "/makespan_over_bound")) == 1.5);
    assert_true(yyjson_get_real(get(doc, "/throughput_samples_per_second")) == 3.0);
    assert_true(yyjson_get_real(get(doc, "/energy_joules")) == 3.5);
    assert_true(yyjson_get_real(get(doc, "/latency_ms/max")) == 5.0);
    assert_int_equal(yyjson_arr_size(get(doc, "/devices")), 2);
    assert_string_equal(yyjson_get_str(get(doc, "/devices/0/runtime")), "synthetic");
    assert_int_equal(yyjson_get_uint(get(doc, "/devices/0/samples")), 4);
    assert_true(yyjson_is_null(get(doc, "/devices/0/energy_joules")));
    assert_true(yyjson_is_null(get(doc, "/devices/0/energy_grade")));
    assert_string_equal(yyjson_get_str(get(doc, "/devices/1/energy_grade")), "catalog");
    assert_string_equal(yyjson_get_str(get(doc, "/devices/1/kind")), "cpu");
    assert_string_equal(yyjson_get_str(get(doc, "/devices/1/device")), "cpu0");
    assert_string_equal(yyjson_get_str(get(doc, "/devices/1/worker")), "w1");
    assert_string_equal(yyjson_get_str(get(doc, "/devices/1/variant")), "synthetic");
    assert_int_equal(yyjson_get_uint(get(doc, "/devices/1/best_batch")), 8);
    assert_int_equal(yyjson_get_uint(get(doc, "/devices/1/batches")), 2);
    assert_true(yyjson_get_real(get(doc, "/devices/1/busy_seconds")) == 1.5);
    assert_true(yyjson_is_real(get(doc, "/devices/1/throughput_samples_per_second")));
    assert_true(yyjson_is_real(get(doc, "/devices/1/batch_latency_ms/p99")));
    assert_int_equal(yyjson_get_uint(get(doc, "/devices/1/duplicate_samples")), 0);
    yyjson_doc_free(doc);
}

/* A heartbeat tells of the whole host, of which the worker may have only a part. */
static void free_memory_is_at_most_all(void **state)
{
    struct desk *desk = *state;
    static const uint64_t told[] = { 400, 4000 }, shown[] = { 400, 1000 };
    add_worker(desk, true);
    for (int i = 0; i < 2; i++) {
        roster_at(desk->view.roster, 0)->memory_free_bytes = told[i];
        yyjson_doc *doc = show(desk, "workers", "");
        assert_int_equal(yyjson_get_uint(get(doc, "/0/devices/0/memory_free_bytes")), shown[i]);
        yyjson_doc_free(doc);
    }
}

static void a_worker_has_its_devices_and_slots(void **state)
{
    add_worker(*state, true);
    yyjson_doc *doc = show(*state, "workers", "");
    const char *texts[] = { "/0/id",
                            "/0/name",
                            "/0/host",
                            "/0/state",
                            "/0/labels/room",
                            "/0/devices/0/id",
                            "/0/devices/0/kind",
                            "/0/devices/0/name",
                            "/0/devices/0/figures/copy_bandwidth/grade",
                            "/0/slots/0/device",
                            "/0/slots/0/runtime",
                            "/0/slots/0/formats/0" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(yyjson_is_str(get(doc, texts[i])));
    assert_true(yyjson_is_null(get(doc, "/0/devices/0/vendor")));
    assert_true(yyjson_is_null(get(doc, "/0/devices/0/memory_free_bytes")));
    assert_int_equal(yyjson_get_uint(get(doc, "/0/devices/0/memory_total_bytes")), 1000);
    assert_true(yyjson_get_bool(get(doc, "/0/devices/0/precisions/int8")));
    assert_true(yyjson_is_arr(get(doc, "/0/models")));
    assert_int_equal(yyjson_get_uint(get(doc, "/0/slots/1/id")), 1);
    assert_int_equal(yyjson_get_uint(get(doc, "/0/slots/1/window")), 2);
    assert_true(yyjson_get_real(get(doc, "/0/slots/1/curve/alpha_ms")) == 1.0);
    assert_true(yyjson_is_null(get(doc, "/0/slots/1/curve/error")));
    yyjson_doc_free(doc);
    doc = show(*state, "worker", "08080808-0808-0808-0808-080808080808");
    assert_string_equal(yyjson_get_str(get(doc, "/name")), "w1");
    yyjson_doc_free(doc);
}

static void a_model_says_what_it_takes(void **state)
{
    struct desk *desk = *state;
    uint8_t blob[SHA256_BYTES] = { 0xab };
    int64_t dims[] = { 8, -1 };
    struct message_tensor input = { .name = "x", .dtype = DTYPE_F32, .dims = dims, .dims_count = 2 };
    struct message_model_add model = { .name = "digits",
                                       .version = "1",
                                       .format = "onnx",
                                       .precision = "",
                                       .blob = blob,
                                       .bytes = 5,
                                       .inputs = &input,
                                       .inputs_count = 1 };
    assert_int_equal(registry_add(desk->view.registry, &model, NULL), ERR_OK);
    yyjson_doc *doc = show(desk, "model", "digits");
    assert_string_equal(yyjson_get_str(get(doc, "/batch")), "any");
    assert_string_equal(yyjson_get_str(get(doc, "/inputs/0/dtype")), "float32");
    assert_int_equal(yyjson_get_uint(get(doc, "/inputs/0/shape/0")), 8);
    assert_true(yyjson_is_null(get(doc, "/inputs/0/shape/1")));
    assert_int_equal(strncmp(yyjson_get_str(get(doc, "/blob")), "ab00", 4), 0);
    yyjson_doc_free(doc);
}

static void what_is_not_there_is_refused(void **state)
{
    struct desk *desk = *state;
    const struct {
        const char *what, *which;
        enum err err;
    } cases[] = {
        { "weather", "", ERR_USAGE },        { "job", "", ERR_USAGE },
        { "worker", "", ERR_USAGE },         { "job", "1", ERR_NOT_FOUND },
        { "worker", "w", ERR_NOT_FOUND },    { "model", "m", ERR_NOT_FOUND },
        { "report", "last", ERR_NOT_FOUND },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *json;
        size_t size;
        assert_int_equal(view_json(&desk->view, cases[i].what, cases[i].which, &json, &size, NULL),
                         cases[i].err);
        assert_null(json);
    }
}

static void events_are_the_last_thousand(void **state)
{
    struct desk *desk = *state;
    char text[EVENT_TEXT_MAX + 8];
    for (int i = 0; i < EVENTS_MAX + 5; i++)
        events_add(desk->events, 1700000000000000 + i, "TEST", i == 6 ? "the oldest kept" : "another");
    memset(text, 'x', sizeof text);
    memcpy(text + EVENT_TEXT_MAX - 2, "\xc3\xa9", 3); /* cut in the middle of a character */
    events_add(desk->events, 1, "TEST", text);
    yyjson_doc *doc = show(desk, "events", "");
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), EVENTS_MAX);
    assert_string_equal(yyjson_get_str(get(doc, "/0/id")), "TEST");
    assert_string_equal(yyjson_get_str(get(doc, "/0/text")), "the oldest kept");
    assert_int_equal(strlen(yyjson_get_str(get(doc, "/999/text"))), EVENT_TEXT_MAX - 2);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_has_all_keys_and_unknown_is_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waiting_says_for_what, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_is_an_object_and_several_an_array, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_finished_job_reports_its_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(free_memory_is_at_most_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_has_its_devices_and_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_says_what_it_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_the_last_thousand, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
