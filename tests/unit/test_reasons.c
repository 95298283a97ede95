// SPDX-License-Identifier: Apache-2.0
/* reasons: sentences for every reason, and a thousand workers in a few lines. */
#include "reasons.h"

#include "client_fixture.h"
#include "explain.h"

#include <time.h>

static int use_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static const struct reasons_style style = { .now_us = 1700000000000000, .more = "--all" };

typedef void print_reasons(yyjson_val *root, FILE *stream, const struct reasons_style *how);

/* Yours to free. */
static char *print(const char *json, print_reasons *reasons, const struct reasons_style *how)
{
    char *text;
    size_t size;
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    FILE *stream = open_memstream(&text, &size);
    reasons(yyjson_doc_get_root(doc), stream, how);
    fclose(stream);
    yyjson_doc_free(doc);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

/* No reason of the scheduler may reach a user as a bare word. */
static void test_every_reason_is_a_sentence(void **state)
{
    (void)state;
    char json[200], text[REASONS_SENTENCE_MAX];
    for (int reason = EXPLAIN_RUNS; reason <= EXPLAIN_NEXT; reason++) {
        const char *name = explain_reason_name((enum explain_reason)reason);
        snprintf(json, sizeof json, "{\"reason\":\"%s\",\"in_flight\":2,\"behind_job\":4}", name);
        yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
        reasons_sentence(yyjson_doc_get_root(doc), style.now_us, text);
        assert_string_not_equal(text, name);
        assert_true(strlen(text) > 10);
        yyjson_doc_free(doc);
    }
}

static void test_the_worst_clause_is_named(void **state)
{
    (void)state;
    char text[REASONS_SENTENCE_MAX];
    const char *json = "{\"reason\":\"required\",\"requirement\":["
                       "{\"clause\":\"device.memory >= 24GiB\",\"has\":\"16GiB\",\"shortfall\":0.33},"
                       "{\"clause\":\"label.room = b\",\"has\":null,\"shortfall\":1.0}]}";
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    reasons_sentence(yyjson_doc_get_root(doc), style.now_us, text);
    assert_string_equal(text, "label.room = b: not known there");
    yyjson_doc_free(doc);
}

static char *many(size_t count)
{
    char *json;
    size_t size;
    FILE *stream = open_memstream(&json, &size);
    fputs("{\"id\":1,\"name\":\"n\",\"state\":\"queued\",\"samples_total\":9,\"slots\":[", stream);
    for (size_t i = 0; i < count; i++)
        fprintf(stream,
                "%s{\"worker\":\"edge-%zu\",\"slot\":0,\"reason\":\"%s\",\"requirement\":[{\"clause\":"
                "\"device.memory >= 24GiB\",\"has\":\"%s\",\"shortfall\":0.5}]}",
                i ? "," : "", i, i % 10 ? "required" : "draining", i % 2 ? "8GiB" : "16GiB");
    fputs("]}", stream);
    fclose(stream);
    return json;
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void test_a_thousand_workers_are_a_few_lines(void **state)
{
    (void)state;
    struct reasons_style all = style;
    char *json = many(1000), *text = print(json, reasons_job, &style);
    assert_true(lines_of(text) < 8);
    assert_has(text, "1000 slots are here, and none works for it now:\n");
    assert_has(text, "edge-1, edge-3, edge-5 and 497 more: device.memory >= 24GiB: has 8GiB\n");
    assert_has(text, "edge-0, edge-10, edge-20 and 97 more: its worker is being drained\n");
    free(text);
    all.all = true;
    text = print(json, reasons_job, &all);
    assert_true(lines_of(text) > 1000);
    assert_has(text, "  edge-999, slot 0: device.memory >= 24GiB: has 8GiB\n");
    free(text);
    free(json);
}

static void test_a_running_job(void **state)
{
    (void)state;
    char *text = print(
        "{\"id\":3,\"name\":\"n\",\"state\":\"running\",\"samples_total\":900,\"samples_done\":100,"
        "\"finish_at\":\"2023-11-14T22:15:00.000Z\",\"jobs_before\":1,\"recalls\":4,\"returned\":3,"
        "\"held\":{\"worker\":\"slow\",\"slot\":0,\"first\":64,\"count\":32,\"since_at\":"
        "\"2023-11-14T22:13:00.000Z\",\"end_at\":\"2023-11-14T22:15:00.000Z\",\"started\":true,"
        "\"hedged\":true},\"slots\":[{\"worker\":\"slow\",\"slot\":0,\"kind\":\"cpu\",\"reason\":"
        "\"runs\",\"in_flight\":1,\"batch\":32,\"samples_per_second\":6.25},{\"worker\":\"b\",\"slot\":0,"
        "\"reason\":\"late\"}]}",
        reasons_job, &style);
    assert_has(text, "1 job goes before it.\n");
    assert_has(text, "As things are it ends at 22:15:00 (in 1m 40s).\n");
    assert_has(text,
               "Its end is held by slow, slot 0: samples 64 to 95, running since 22:13:00, expected until "
               "22:15:00; another slot runs it, too.\n");
    assert_has(text,
               "So far: 4 chunks asked back from slots that were late, 3 of them came back unstarted.\n");
    assert_has(text, "1 slot works for it:\n");
    assert_has(text, "6.25");
    assert_has(text, "1 other slot does not now:\n  b: a batch there");
    free(text);
}

static void test_a_job_that_is_over(void **state)
{
    (void)state;
    char *text = print("{\"id\":3,\"name\":\"n\",\"state\":\"failed\",\"reason\":\"all samples "
                       "failed\",\"samples_total\":9,\"slots\":[]}",
                       reasons_job, &style);
    assert_has(text, "reason      all samples failed\n");
    assert_has(text, "It is over: failed at -.\n");
    free(text);
    text = print("{\"id\":3,\"name\":\"n\",\"state\":\"done\",\"samples_total\":9,\"samples_done\":9,"
                 "\"deadline_at\":\"2023-11-14T22:10:00.000Z\",\"deadline_met\":false,\"finished_at\":"
                 "\"2023-11-14T22:12:10.000Z\",\"makespan_seconds\":10.2,\"bound_seconds\":10.0,"
                 "\"makespan_over_bound\":1.02,\"duplicate_samples\":4}",
                 reasons_job, &style);
    assert_has(text, "1.020 times the least");
    assert_has(text,
               "It is over: done at 22:12:10, 2m 10s after its deadline; 4 samples were computed twice.\n");
    assert_has(text, "--explain 3");
    free(text);
}

static void test_workers(void **state)
{
    (void)state;
    char *text =
        print("{\"name\":\"w\",\"state\":\"lost\",\"slots\":[{\"slot\":0}]}", reasons_worker, &style);
    assert_string_equal(text, "w: it is not connected, so it gets no work\n");
    free(text);
    text = print(
        "{\"name\":\"w\",\"state\":\"up\",\"draining\":true,\"slots\":[{\"slot\":0,\"device\":\"cpu:0\","
        "\"runtime\":\"r\",\"in_flight\":1,\"window\":2,\"barred_until\":"
        "\"2023-11-14T22:15:00.000Z\",\"jobs_more\":3,\"jobs\":[{\"job\":4,\"name\":\"n\",\"state\":"
        "\"running\",\"reason\":\"runs\",\"in_flight\":1,\"batch\":8,\"samples_per_second\":12}]}]}",
        reasons_worker, &style);
    assert_has(text, "w: it is being drained");
    assert_has(text, "slot 0 (cpu:0, r): 1 of 2 chunks in flight; barred until 22:15:00");
    assert_has(text, "  job 4 (n, running): runs 1 chunk of it, in batches of 8, 12 samples/s\n");
    assert_has(text, "  and 3 more jobs");
    free(text);
}

static void test_workers_that_are_alike(void **state)
{
    (void)state;
    struct reasons_style all = style;
    const char *json = "[{\"name\":\"a\",\"state\":\"up\",\"slots\":[]},{\"name\":\"b\",\"state\":\"lost\"},"
                       "{\"name\":\"c\",\"state\":\"up\",\"slots\":[]}]";
    char *text = print(json, reasons_workers, &style);
    assert_has(text, "a, c, each: it is connected\nit has no slots");
    assert_has(text, "b: it is not connected");
    free(text);
    all.all = true;
    text = print(json, reasons_workers, &all);
    assert_has(text, "\nc: it is connected\n");
    free(text);
    text = print("[]", reasons_workers, &style);
    assert_string_equal(text, "No worker is here.\n");
    free(text);
}

static void test_a_dry_run(void **state)
{
    (void)state;
    char *text = print("{\"forecast\":null,\"notes\":[\"mind this\"],\"slots\":[{\"worker\":\"a\",\"slot\":0,"
                       "\"takes_part\":true,\"reason\":\"next\"},{\"worker\":\"b\",\"slot\":1,\"takes_part\":"
                       "false,\"reason\":\"format\"}]}",
                       reasons_dry_run, &style);
    assert_has(text, "dry run: nothing is submitted\nforecast    no forecast yet");
    assert_has(text, "note        mind this\n1 slot would take part:\n");
    assert_has(text, "1 slot would not:\n  b: no runtime there takes the model's format\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reason_is_a_sentence),
        cmocka_unit_test(test_the_worst_clause_is_named),
        cmocka_unit_test(test_a_thousand_workers_are_a_few_lines),
        cmocka_unit_test(test_a_running_job),
        cmocka_unit_test(test_a_job_that_is_over),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_workers_that_are_alike),
        cmocka_unit_test(test_a_dry_run),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
