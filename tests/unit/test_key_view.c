// SPDX-License-Identifier: Apache-2.0
/* key_view: the allow list as JSON and as a table. */
#include "key_view.h"

#include "client_fixture.h"

static const int64_t NOW_US = 1700000000000000; /* 2023-11-14 22:13:20 UTC */

static yyjson_doc *listed(const struct keyring_entry *entries, size_t count)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(root, key_view_entry(doc, &entries[i], NOW_US));
    yyjson_doc *copy = yyjson_mut_doc_imut_copy(doc, NULL);
    yyjson_mut_doc_free(doc);
    return copy;
}

static const char *text_at(yyjson_doc *doc, size_t index, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(yyjson_arr_get(yyjson_doc_get_root(doc), index), key));
}

static void test_the_list(void **state)
{
    (void)state;
    struct keyring_entry entries[2] = {
        { .role = ROLE_CLIENT,
          .name = "laptop",
          .added_us = NOW_US,
          .tenants_count = 2,
          .tenants = { "a", "b" } },
        { .role = ROLE_INVITED,
          .invited_as = ROLE_WORKER,
          .added_us = NOW_US - 1000000,
          .expires_us = NOW_US - 1 },
    };
    char *printed;
    size_t size;
    setenv("TZ", "UTC", 1);
    yyjson_doc *doc = listed(entries, 2);
    assert_string_equal(text_at(doc, 0, "role"), "client");
    assert_string_equal(text_at(doc, 0, "added_at"), "2023-11-14T22:13:20.000Z");
    assert_null(text_at(doc, 0, "expires_at"));
    assert_null(text_at(doc, 1, "name"));
    assert_string_equal(text_at(doc, 1, "invited_as"), "worker");
    FILE *stream = open_memstream(&printed, &size);
    key_view_list(yyjson_doc_get_root(doc), stream, false, NOW_US);
    fclose(stream);
    assert_non_null(strstr(printed, "laptop"));
    assert_non_null(strstr(printed, "a,b"));
    assert_non_null(strstr(printed, "invited as worker"));
    assert_non_null(strstr(printed, "(over)"));
    free(printed);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_the_list) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
