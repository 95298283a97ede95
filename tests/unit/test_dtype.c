// SPDX-License-Identifier: Apache-2.0
#include "dtype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_name_comes_back(void **state)
{
    (void)state;
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++) {
        enum dtype dtype = (enum dtype)i;
        assert_true(dtype_bytes(dtype) > 0);
        assert_int_equal(dtype_from_npy(dtype_npy(dtype)), dtype);
        assert_int_equal(dtype_from_oip(dtype_oip(dtype)), dtype);
        assert_int_equal(dtype_from_name(dtype_name(dtype)), dtype);
    }
    assert_int_equal(dtype_bytes(DTYPE_NONE), 0);
    assert_int_equal(dtype_bytes((enum dtype)77), 0);
}

static void test_numbers_on_the_wire_do_not_move(void **state)
{
    (void)state;
    assert_int_equal(DTYPE_BOOL, 1);
    assert_int_equal(DTYPE_U8, 6);
    assert_int_equal(DTYPE_F32, 11);
    assert_int_equal(DTYPE_F64, 12);
}

static void test_unknown_and_foreign_names(void **state)
{
    (void)state;
    const char *const bad[] = { "",   ">f4", ">i8", "f4",  "<f",      "<f16", "<c8",
                                "|O", "<U3", "|S4", "|V8", "<M8[us]", "|f4",  "<" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(dtype_from_npy(bad[i]), DTYPE_NONE);
    assert_int_equal(dtype_from_npy("=f4"), DTYPE_F32);
    assert_int_equal(dtype_from_npy("<u1"), DTYPE_U8);
    assert_int_equal(dtype_from_npy(">i1"), DTYPE_I8);
    assert_int_equal(dtype_from_oip("BYTES"), DTYPE_NONE);
    assert_int_equal(dtype_from_oip(""), DTYPE_NONE);
    assert_int_equal(dtype_from_name("none"), DTYPE_NONE);
}

static void test_row_bytes(void **state)
{
    (void)state;
    struct tensor_spec spec = { .dtype = DTYPE_F32 };
    assert_int_equal(tensor_row_bytes(&spec), 4);
    spec = (struct tensor_spec){ .dtype = DTYPE_F64, .dims_count = 2, .dims = { 8, 8 } };
    assert_int_equal(tensor_row_bytes(&spec), 512);
    spec.dims[1] = -1;
    assert_int_equal(tensor_row_bytes(&spec), 0);
    spec.dims[1] = 0;
    assert_int_equal(tensor_row_bytes(&spec), 0);
    spec.dims[1] = INT64_MAX / 64;
    assert_int_equal(tensor_row_bytes(&spec), (uint64_t)(INT64_MAX / 64) * 64);
    spec.dims[1] = INT64_MAX / 32;
    assert_int_equal(tensor_row_bytes(&spec), 0);
    spec = (struct tensor_spec){ .dtype = DTYPE_U8, .dims_count = 3, .dims = { 1ll << 40, 1ll << 40, 0 } };
    assert_int_equal(tensor_row_bytes(&spec), 0);
}

static void test_print(void **state)
{
    (void)state;
    char text[256];
    struct tensor_spec spec = { .dtype = DTYPE_F32, .dims_count = 3, .dims = { 8, -1, 3 } };
    tensor_print(&spec, text, sizeof text);
    assert_string_equal(text, "float32[8,?,3]");
    tensor_print(&spec, text, 6);
    assert_string_equal(text, "float");
    spec.dims_count = 0;
    tensor_print(&spec, text, sizeof text);
    assert_string_equal(text, "float32[]");
    spec = (struct tensor_spec){ .dtype = DTYPE_U64, .dims_count = TENSOR_DIMS_MAX };
    for (int i = 0; i < TENSOR_DIMS_MAX; i++)
        spec.dims[i] = INT64_MAX;
    tensor_print(&spec, text, sizeof text);
    assert_int_equal(strlen(text), strlen("uint64[]") + TENSOR_DIMS_MAX * 19 + TENSOR_DIMS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_comes_back),
        cmocka_unit_test(test_numbers_on_the_wire_do_not_move),
        cmocka_unit_test(test_unknown_and_foreign_names),
        cmocka_unit_test(test_row_bytes),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
