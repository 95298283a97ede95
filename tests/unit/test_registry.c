// SPDX-License-Identifier: Apache-2.0
#include "registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(struct registry *registry, const char *name, const char *version, uint8_t blob)
{
    uint8_t digest[SHA256_BYTES];
    memset(digest, blob, sizeof digest);
    struct message_model_add model = {
        .name = name, .version = version, .format = "onnx", .precision = "fp32", .blob = digest, .bytes = blob
    };
    assert_int_equal(registry_add(registry, &model, NULL), ERR_OK);
}

static uint64_t bytes_of(struct registry *registry, const char *which)
{
    size_t index = registry_find(registry, which);
    return index == SIZE_MAX ? 0 : registry_at(registry, index)->bytes;
}

static void models_are_found_by_name_and_version(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    add(registry, "digits", "1.9", 1);
    add(registry, "digits", "1.10", 2);
    add(registry, "digit", "7", 3);
    add(registry, "zebra", "", 4);
    assert_int_equal(bytes_of(registry, "digits"), 2); /* 1.10 is newer than 1.9 */
    assert_int_equal(bytes_of(registry, "digits:1.9"), 1);
    assert_int_equal(bytes_of(registry, "digits@1.10"), 2);
    assert_int_equal(bytes_of(registry, "digit"), 3);
    assert_int_equal(bytes_of(registry, "zebra"), 4);
    assert_int_equal(bytes_of(registry, "digits:2"), 0);
    assert_int_equal(bytes_of(registry, "dig"), 0);
    assert_string_equal(registry_at(registry, 0)->name, "digit");
    registry_free(&registry);
}

static void the_same_name_and_version_is_replaced(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    add(registry, "digits", "1", 1);
    add(registry, "digits", "1", 9);
    assert_int_equal(registry_count(registry), 1);
    assert_int_equal(bytes_of(registry, "digits"), 9);
    struct message_model_add nameless = { .name = "", .version = "1", .format = "onnx" };
    assert_int_equal(registry_add(registry, &nameless, NULL), ERR_USAGE);
    registry_free(&registry);
}

static void the_journal_gives_them_back(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    uint8_t digest[SHA256_BYTES] = { 5 }, *bytes;
    size_t size;
    struct message message = { .type = MESSAGE_MODEL_ADD };
    message.model_add = (struct message_model_add){
        .name = "m", .version = "1", .format = "onnx", .precision = "", .blob = digest, .bytes = 55
    };
    assert_int_equal(message_encode(&message, &bytes, &size), ERR_OK);
    assert_int_equal(registry_restore(registry, bytes, size, NULL), ERR_OK);
    assert_int_equal(bytes_of(registry, "m"), 55);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_not_equal(registry_restore(registry, bytes, cut, NULL), ERR_OK);
    free(bytes);
    registry_free(&registry);
}

static void files_have_small_numbers(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    uint8_t digest[SHA256_BYTES] = { 0 };
    for (uint8_t i = 0; i < 100; i++) {
        digest[0] = i;
        assert_int_equal(registry_find_number(registry, digest), REGISTRY_NONE);
        assert_int_equal(registry_number(registry, digest), i);
        assert_int_equal(registry_number(registry, digest), i);
    }
    assert_int_equal(registry_file(registry, 42)->blob[0], 42);
    registry_free(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_found_by_name_and_version),
        cmocka_unit_test(the_same_name_and_version_is_replaced),
        cmocka_unit_test(the_journal_gives_them_back),
        cmocka_unit_test(files_have_small_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
