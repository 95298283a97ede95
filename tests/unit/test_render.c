// SPDX-License-Identifier: Apache-2.0
/* render: what people read, from the coordinator's JSON. */
#include "client_fixture.h"
#include "render.h"

typedef void render_plain(yyjson_val *root, FILE *stream);
typedef void render_styled(yyjson_val *root, FILE *stream, bool styled);

/* Print into text (yours to free). */
static char *print(const char *json, render_plain *plain, render_styled *fancy)
{
    char *text = NULL;
    size_t size;
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    FILE *stream = open_memstream(&text, &size);
    if (plain)
        plain(yyjson_doc_get_root(doc), stream);
    else
        fancy(yyjson_doc_get_root(doc), stream, false);
    fclose(stream);
    yyjson_doc_free(doc);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static const char done[] = "{\"id\":3,\"name\":\"digits\",\"state\":\"done\",\"samples_total\":1797,"
                           "\"samples_done\":1797,\"samples_failed\":0,"
                           "\"duplicate_samples\":0,\"makespan_seconds\":1.5,\"throughput_samples_per_"
                           "second\":1198.0,\"bound_seconds\":1.471,"
                           "\"makespan_over_bound\":1.0197,\"latency_ms\":{\"p50\":0.02345,\"p90\":1.5,"
                           "\"p99\":23.456,\"p999\":1234.5,\"max\":2000},"
                           "\"output\":\"/a/y.npy\",\"devices\":["
                           "{\"worker\":\"fast\",\"device\":\"gpu:0\",\"kind\":\"gpu\",\"runtime\":"
                           "\"emulated\",\"samples\":1700,\"best_batch\":56,"
                           "\"busy_seconds\":1.47,\"throughput_samples_per_second\":1133.3,\"batch_latency_"
                           "ms\":{\"p50\":132.0,\"p99\":140.0}},"
                           "{\"worker\":\"s\",\"device\":\"cpu:0\",\"kind\":\"cpu\",\"runtime\":"
                           "\"onnxruntime\",\"samples\":97,\"best_batch\":null,"
                           "\"busy_seconds\":null,\"throughput_samples_per_second\":null,\"batch_latency_"
                           "ms\":{\"p50\":null,\"p99\":null}}]}";

static void test_a_report(void **state)
{
    (void)state;
    char *text = print(done, NULL, render_report);
    assert_string_equal(
        text, "job 3 (digits): done, 1,797 samples\n"
              "worker  device  kind  runtime      samples  best batch  samples/s  batch p50 ms  batch p99 ms "
              " busy %\n"
              "fast    gpu:0   gpu   emulated       1,700          56       1133           132           140 "
              "     98\n"
              "s       cpu:0   cpu   onnxruntime       97           -          -             -             - "
              "      -\n"
              "makespan    1.5 s, 1198 samples/s\n"
              "bound       1.47 s: the makespan is 1.020 times the least that these devices could take\n"
              "latency     p50 0.023, p90 1.50, p99 23.5, p99.9 1234, max 2000 ms\n"
              "answers     /a/y.npy\n");
    free(text);
}

static void test_unknown_is_never_zero(void **state)
{
    (void)state;
    char *text =
        print("{\"id\":1,\"name\":null,\"state\":\"failed\",\"samples_total\":5,\"samples_done\":2,"
              "\"samples_failed\":3,\"makespan_seconds\":null,\"throughput_samples_per_second\":null,"
              "\"bound_seconds\":null,\"makespan_over_bound\":null,\"latency_ms\":{},\"reason\":\"too many "
              "failed\","
              "\"devices\":[]}",
              NULL, render_report);
    assert_string_equal(
        text, "job 1 (-): failed, 2 of 5 samples, 3 failed\nno device took part\nmakespan    -, - samples/s\n"
              "bound       unknown\nlatency     p50 -, p90 -, p99 -, p99.9 -, max - ms\n"
              "reason      too many failed\n");
    free(text);
}

static void test_answers_are_named_where_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *state, *answer, *has;
    } cases[] = { { "done", "true", "answers     /a/y.npy\n" },
                  { "failed", "true", "answers     are kept: motley job results 4 --output Y\n" },
                  { "failed", "false", NULL },
                  { "cancelled", "false", NULL },
                  { "running", "false", NULL } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[300];
        snprintf(json, sizeof json,
                 "{\"id\":4,\"state\":\"%s\",\"answer\":%s,\"samples_total\":1,\"samples_done\":1,"
                 "\"output\":\"/a/y.npy\"}",
                 cases[i].state, cases[i].answer);
        char *text = print(json, render_status, NULL);
        if (cases[i].has)
            assert_has(text, cases[i].has);
        else
            assert_null(strstr(text, "answers"));
        assert_has(text, ", 1 sample\n");
        free(text);
    }
}

static void test_a_status_says_for_what_it_waits(void **state)
{
    (void)state;
    char *text = print("{\"id\":1,\"name\":\"x\",\"state\":\"queued\",\"waiting\":\"no worker reads "
                       "onnx\",\"samples_total\":5,"
                       "\"samples_done\":0,\"samples_failed\":0}",
                       render_status, NULL);
    assert_has(text, "waiting     no worker reads onnx\n");
    free(text);
}

static void test_lists(void **state)
{
    (void)state;
    char *text =
        print("[{\"id\":12,\"name\":\"x\",\"state\":\"running\",\"samples_total\":1000,\"samples_done\":999,"
              "\"samples_failed\":1,\"eta_seconds\":75,\"submitted_at\":\"2026-11-22T12:00:00.000Z\","
              "\"waiting\":null}]",
              NULL, render_jobs);
    assert_has(text, " 12  x     running    1,000      99       1  75 s  2026-11-22T12:00:00");
    free(text);
    text = print("[{\"name\":\"w\",\"host\":\"h\",\"pid\":7,\"state\":\"up\",\"devices\":[{\"kind\":\"cpu\"},"
                 "{\"kind\":\"gpu\"}],"
                 "\"slots\":[{\"runtime\":\"emulated\"},{\"runtime\":\"emulated\"}]}]",
                 NULL, render_workers);
    assert_has(text, "w       h       7  up     cpu,gpu  emulated      2\n");
    free(text);
    text = print("{\"format\":\"onnx\",\"runtime\":\"onnxruntime\",\"precision\":\"fp32\",\"batch\":\"any\","
                 "\"inputs\":[{\"name\":\"x\",\"dtype\":\"float32\",\"shape\":[3,null]}],\"outputs\":[]}",
                 render_model, NULL);
    assert_has(text, "input       x: float32[3,?] a sample\n");
    free(text);
}

static void test_progress_fits_the_terminal(void **state)
{
    (void)state;
    char *text = NULL, *line;
    size_t size;
    yyjson_doc *doc = yyjson_read(done, strlen(done), 0);
    for (int columns = 40; columns <= 200; columns += 20) {
        FILE *stream = open_memstream(&text, &size);
        int lines = render_progress(yyjson_doc_get_root(doc), stream, columns, false), seen = 0;
        fclose(stream);
        for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), seen++)
            assert_true((int)strlen(line) < columns);
        assert_int_equal(lines, 3);
        assert_int_equal(seen, lines);
        free(text);
    }
    yyjson_doc_free(doc);
}

static char *progress(const char *json, int columns, int *lines)
{
    char *text = NULL;
    size_t size;
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    FILE *stream = open_memstream(&text, &size);
    *lines = render_progress(yyjson_doc_get_root(doc), stream, columns, false);
    fclose(stream);
    yyjson_doc_free(doc);
    return text;
}

static void test_narrow_terminals_keep_the_figures(void **state)
{
    (void)state;
    int lines;
    char *text = progress(done, 45, &lines);
    assert_has(text, "100%  1,797/1,797  1198/s  - left\n");
    free(text);
    for (int columns = 40; columns < 80; columns++) {
        text = progress(done, columns, &lines);
        assert_true((int)strcspn(text, "\n") < columns);
        assert_null(strstr(text, "[]"));
        assert_has(text, "- left\n");
        free(text);
    }
    text = progress(done, 100, &lines);
    assert_has(text, "[########################################] 100%  1,797/1,797");
    free(text);
}

static void test_a_job_under_way_says_for_what_it_waits(void **state)
{
    (void)state;
    int lines;
    char *text = progress("{\"state\":\"finishing\",\"waiting\":\"disk full on /a\",\"samples_total\":5,"
                          "\"samples_done\":5}",
                          80, &lines);
    assert_has(text, "waiting: disk full on /a\n");
    assert_has(text, "100%  5/5");
    assert_int_equal(lines, 2);
    free(text);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = { { "0.0123", "12.3 ms" }, { "3.456", "3.46 s" }, { "99.5", "99.5 s" },
                  { "150", "2m 30s" },     { "3700", "1h 01m" },  { "200000", "2d 07h" },
                  { "null", "-" },         { "-1", "-" },         { "0", "0 ms" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        yyjson_doc *doc = yyjson_read(cases[i].json, strlen(cases[i].json), 0);
        render_duration(yyjson_doc_get_root(doc), text, sizeof text);
        assert_string_equal(text, cases[i].text);
        yyjson_doc_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report),
        cmocka_unit_test(test_unknown_is_never_zero),
        cmocka_unit_test(test_answers_are_named_where_they_are),
        cmocka_unit_test(test_narrow_terminals_keep_the_figures),
        cmocka_unit_test(test_a_job_under_way_says_for_what_it_waits),
        cmocka_unit_test(test_a_status_says_for_what_it_waits),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_progress_fits_the_terminal),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
