// SPDX-License-Identifier: Apache-2.0
#include "promise.h"

#include "client_fixture.h"

#include <time.h>

static const int64_t NOW_US = 1700000000000000; /* 22:13:20 */

static int use_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static void assert_says(const char *json, const char *expected)
{
    char text[PROMISE_MAX];
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    promise_sentence(yyjson_doc_get_root(doc), NOW_US, text);
    assert_string_equal(text, expected);
    yyjson_doc_free(doc);
}

#define AT(minute) "\"2023-11-14T22:" minute ":00.000Z\""
#define FORECAST(low, done, high, fits, more, like)                                                          \
    "\"forecast\":{\"low_at\":" AT(low) ",\"done_at\":" AT(done) ",\"high_at\":" AT(                         \
        high) ",\"fits\":" fits ",\"slots\":2,\"slots_more\":" more ",\"like\":" like "}"

static void test_sentences(void **state)
{
    (void)state;
    assert_says("{" FORECAST("14", "15", "16", "null", "0", "null") "}",
                "done 22:15:00 (in 1m 40s), between 22:14:00 and 22:16:00");
    assert_says("{\"deadline_at\":" AT("20") "," FORECAST("14", "15", "16", "true", "0", "null") "}",
                "done 22:15:00 (in 1m 40s), between 22:14:00 and 22:16:00: in time for 22:20:00");
    assert_says("{\"deadline_at\":" AT("20") "," FORECAST("40", "45", "50", "false", "2", "\"gpu-3\"") "}",
                "no: earliest 22:45:00, the deadline is 22:20:00; it would fit with 2 more slots like gpu-3");
    assert_says("{\"deadline_at\":" AT("20") "," FORECAST("18", "19", "21", "false", "1", "\"gpu-3\"") "}",
                "perhaps: the deadline is 22:20:00, and it may take until 22:21:00; it would fit with 1 more "
                "slot like gpu-3");
    assert_says("{\"deadline_at\":" AT("20") "," FORECAST("40", "45", "50", "false", "0", "null") "}",
                "no: earliest 22:45:00, the deadline is 22:20:00");
    assert_says("{\"deadline_at\":\"2023-11-14T22:20:00.300Z\",\"forecast\":{\"low_at\":" AT(
                    "20") ",\"done_at\":\"2023-11-14T22:20:00.800Z\",\"fits\":false}}",
                "no: earliest 22:20:00.8, the deadline is 22:20:00.3");
    assert_says("{\"forecast\":null,\"waiting\":\"no slot can take it: 1 draining\"}",
                "no forecast: no slot can take it: 1 draining");
    assert_says("{\"forecast\":null,\"slots\":[{\"takes_part\":false}]}",
                "no forecast: no slot that is here can run it now");
    assert_says("{\"deadline_at\":" AT("20") ",\"forecast\":null}",
                "no forecast yet: no device that could run it has shown how fast it is");
    assert_says("{}", "no forecast yet: no device that could run it has shown how fast it is");
}

static void assert_lines(const char *json, const char *expected)
{
    char *text;
    size_t size;
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    FILE *stream = open_memstream(&text, &size);
    promise_print(yyjson_doc_get_root(doc), NOW_US, stream);
    fclose(stream);
    assert_string_equal(text, expected);
    yyjson_doc_free(doc);
    free(text);
}

static void test_lines(void **state)
{
    (void)state;
    assert_lines("{\"deadline_at\":null,\"deadline_met\":null,\"forecast\":null}", "");
    assert_lines("{\"deadline_at\":" AT("12") ",\"deadline_met\":true,\"forecast\":null}",
                 "deadline    22:12:00, met\n");
    assert_lines("{\"state\":\"done\",\"deadline_at\":" AT("12") ",\"deadline_met\":false,\"forecast\":null}",
                 "deadline    22:12:00, missed\n");
    assert_lines(
        "{\"state\":\"running\",\"deadline_at\":" AT("12") ",\"deadline_met\":false," FORECAST(
            "14", "15", "15", "false", "0", "null") "}",
        "deadline    22:12:00, missed\nforecast    no: earliest 22:15:00, the deadline is 22:12:00\n");
    assert_lines("{\"state\":\"cancelled\",\"finished_at\":" AT("13") ",\"deadline_at\":" AT(
                     "14") ",\"deadline_met\":null,\"forecast\":null}",
                 "deadline    22:14:00\n");
    assert_lines(
        "{\"deadline_at\":" AT("14") ",\"deadline_met\":null,\"forecast\":null}",
        "deadline    22:14:00, in 40 s\nforecast    no forecast yet: no device that could run it has "
        "shown how fast it is\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
