// SPDX-License-Identifier: Apache-2.0
/* The ids of JSON lines become names: JSON strings, one a line, one per sample. */
#include "client_fixture.h"
#include "input.h"

#define REST "\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,2]}]}\n"

static void assert_names(const char *text, const char *names)
{
    char got[4096] = "";
    struct input input;
    struct why why = { "" };
    struct signature signature = fixture_signature();
    const char *path = fixture_write("ids.jsonl", text, strlen(text));
    if (input_open(path, &signature, &input, &why) != ERR_OK)
        fail_msg("%s", why.text);
    if (!names) {
        assert_int_equal(input.names_fd, -1);
    } else {
        assert_int_equal(input.names_bytes, strlen(names));
        assert_int_equal(file_pread(input.names_fd, got, strlen(names), 0, "names", NULL), ERR_OK);
        assert_string_equal(got, names);
    }
    input_close(&input);
}

static void test_without_ids_there_are_no_names(void **state)
{
    (void)state;
    assert_names("{" REST "{" REST, NULL);
}

static void test_ids_are_kept_as_json_strings(void **state)
{
    (void)state;
    assert_names("{\"id\":\"a\"," REST "{\"id\":\"q\\\"\\n\\u00e9\"," REST, "\"a\"\n\"q\\\"\\n\xc3\xa9\"\n");
}

static void test_lines_without_one_are_named_by_their_index(void **state)
{
    (void)state;
    assert_names("{" REST "{" REST "{\"id\":\"c\"," REST "{" REST, "\"0\"\n\"1\"\n\"c\"\n\"3\"\n");
}

static void test_an_id_must_be_a_string(void **state)
{
    (void)state;
    struct input input;
    struct why why;
    struct signature signature = fixture_signature();
    static const char text[] = "{" REST "{\"id\":7," REST;
    assert_int_equal(input_open(fixture_write("n.jsonl", text, strlen(text)), &signature, &input, &why),
                     ERR_FORMAT);
    assert_non_null(strstr(why.text, "line 2: \"id\" is not a string"));
    input_close(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_ids_there_are_no_names),
        cmocka_unit_test(test_ids_are_kept_as_json_strings),
        cmocka_unit_test(test_lines_without_one_are_named_by_their_index),
        cmocka_unit_test(test_an_id_must_be_a_string),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
