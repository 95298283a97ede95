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

/* ---- variants ---- */

static int64_t eight[] = { 8 };
static struct message_tensor row = { .name = "x", .dtype = DTYPE_F32, .dims = eight, .dims_count = 1 };

static struct message_model_add file_in(const char *precision, const uint8_t digest[SHA256_BYTES])
{
    return (struct message_model_add){ .name = "m",
                                       .version = "1",
                                       .format = "onnx",
                                       .precision = precision,
                                       .blob = digest,
                                       .inputs = &row,
                                       .inputs_count = 1,
                                       .outputs = &row,
                                       .outputs_count = 1 };
}

static void another_precision_is_another_file(void **state)
{
    (void)state;
    static const char *const given[] = { "fp32", "", "int8", "bf16", "fp16", "int8" };
    static const char *const sorted[] = { "int8", "fp16", "bf16", "fp32", "" };
    struct registry *registry = registry_new();
    struct why why;
    for (uint8_t i = 0; i < 6; i++) {
        uint8_t digest[SHA256_BYTES] = { (uint8_t)(i + 1) };
        struct message_model_add model = file_in(given[i], digest);
        assert_int_equal(registry_check(registry, &model, &why), ERR_OK);
        assert_int_equal(registry_add(registry, &model, &why), ERR_OK);
    }
    add(registry, "a", "1", 9);
    add(registry, "m", "2", 9);
    assert_int_equal(registry_count(registry), 7);
    size_t last = registry_find(registry, "m:1"), first = registry_first(registry, last);
    assert_int_equal(last - first, 4);
    for (size_t i = first; i <= last; i++) {
        assert_string_equal(registry_at(registry, i)->precision, sorted[i - first]);
        assert_int_equal(registry_last(registry, i), last);
    }
    assert_int_equal(registry_at(registry, first)->blob[0], 6); /* the second int8 replaced the first */
    registry_free(&registry);
}

static void files_of_a_model_take_and_give_the_same(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    struct why why;
    static const uint8_t one[SHA256_BYTES] = { 1 }, two[SHA256_BYTES] = { 2 };
    int64_t nine[] = { 9 };
    struct message_tensor other = row, half = row, named = row;
    other.dims = nine;
    half.dtype = DTYPE_F16;
    named.name = "y";
    struct message_model_add model = file_in("fp32", one);
    assert_int_equal(registry_add(registry, &model, NULL), ERR_OK);
    struct message_tensor *const wrong[] = { &other, &half, &named };
    for (size_t i = 0; i < 3; i++) {
        model = file_in("fp16", two);
        model.inputs = wrong[i];
        assert_int_equal(registry_check(registry, &model, &why), ERR_USAGE);
        assert_non_null(strstr(why.text, "inputs differ from those of its file in onnx fp32"));
        model = file_in("fp32", two); /* it replaces the only one */
        model.inputs = wrong[i];
        assert_int_equal(registry_check(registry, &model, &why), ERR_OK);
    }
    model = file_in("fp16", two);
    model.batch_fixed = 4;
    assert_int_equal(registry_check(registry, &model, &why), ERR_USAGE);
    model = file_in("fp16", one);
    assert_int_equal(registry_check(registry, &model, &why), ERR_USAGE); /* the same file */
    model = file_in("fp17", two);
    assert_int_equal(registry_check(registry, &model, &why), ERR_USAGE);
    model = file_in("fp16", two);
    assert_int_equal(registry_check(registry, &model, &why), ERR_OK);
    registry_free(&registry);
}

static void the_numbers_of_a_submit(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    static const uint8_t one[SHA256_BYTES] = { 1 }, two[SHA256_BYTES] = { 2 };
    struct message_variant files[] = { { .blob = two }, { .blob = one } };
    struct message_submit submit = { .model_blob = one };
    uint32_t numbers[VARIANTS_MAX];
    assert_int_equal(registry_numbers(registry, &submit, numbers), 1);
    assert_int_equal(numbers[0], 0);
    submit.variants = files;
    submit.variants_count = 2;
    assert_int_equal(registry_numbers(registry, &submit, numbers), 2);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[1], 0);
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
        cmocka_unit_test(another_precision_is_another_file),
        cmocka_unit_test(files_of_a_model_take_and_give_the_same),
        cmocka_unit_test(the_numbers_of_a_submit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
