// SPDX-License-Identifier: Apache-2.0
#include "moment.h"

#include "client_fixture.h"

#include <time.h>

static int use_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static yyjson_doc *value(const char *json) { return yyjson_read(json, strlen(json), 0); }

static const char *printed(const char *json, int64_t now_us)
{
    static char text[MOMENT_MAX];
    yyjson_doc *doc = value(json);
    moment_print(yyjson_doc_get_root(doc), now_us, text);
    yyjson_doc_free(doc);
    return text;
}

static void test_times_of_day(void **state)
{
    (void)state;
    const int64_t now_us = 1700000000000000; /* 2023-11-14 22:13:20 */
    assert_string_equal(printed("\"2023-11-14T22:14:20.500Z\"", now_us), "22:14:20");
    assert_string_equal(printed("\"2023-11-15T00:00:00.000Z\"", now_us), "2023-11-15 00:00:00");
    assert_string_equal(printed("null", now_us), "-");
    assert_string_equal(printed("\"soon\"", now_us), "-");
    assert_string_equal(printed("17", now_us), "-");
}

static void test_times_that_are_close(void **state)
{
    (void)state;
    char text[MOMENT_MAX];
    yyjson_doc *doc = value("\"2023-11-14T22:14:20.345Z\"");
    moment_print_fine(yyjson_doc_get_root(doc), 1700000000000000, 1, text);
    assert_string_equal(text, "22:14:20.3");
    moment_print_fine(yyjson_doc_get_root(doc), 1700000000000000, 3, text);
    assert_string_equal(text, "22:14:20.345");
    yyjson_doc_free(doc);
}

static void test_parsing(void **state)
{
    (void)state;
    int64_t wall_us = 0;
    yyjson_doc *doc = value("\"2023-11-14T22:13:20.123Z\"");
    assert_true(moment_parse(yyjson_doc_get_root(doc), &wall_us));
    assert_in_range(wall_us, 1700000000122999, 1700000000123000);
    yyjson_doc_free(doc);
}

static void test_distances(void **state)
{
    (void)state;
    char text[MOMENT_MAX];
    moment_print_distance(5000000, 1000000, text);
    assert_string_equal(text, "in 4 s");
    moment_print_distance(1000000, 201000000, text);
    assert_string_equal(text, "3m 20s ago");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_of_day),
        cmocka_unit_test(test_times_that_are_close),
        cmocka_unit_test(test_parsing),
        cmocka_unit_test(test_distances),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
