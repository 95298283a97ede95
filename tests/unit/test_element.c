// SPDX-License-Identifier: Apache-2.0
#include "element.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(enum dtype dtype, const void *element, const char *json, double number)
{
    char text[ELEMENT_TEXT_MAX];
    assert_int_equal(element_json(dtype, element, text), strlen(json));
    assert_string_equal(text, json);
    double value = element_number(dtype, element);
    assert_true(value == number || (isnan(value) && isnan(number)));
}

static void test_integers(void **state)
{
    (void)state;
    const uint64_t ones = UINT64_MAX;
    expect(DTYPE_BOOL, &(uint8_t){ 2 }, "true", 1);
    expect(DTYPE_BOOL, &(uint8_t){ 0 }, "false", 0);
    expect(DTYPE_I8, &ones, "-1", -1);
    expect(DTYPE_I16, &ones, "-1", -1);
    expect(DTYPE_I32, &ones, "-1", -1);
    expect(DTYPE_I64, &ones, "-1", -1);
    expect(DTYPE_U8, &ones, "255", 255);
    expect(DTYPE_U16, &ones, "65535", 65535);
    expect(DTYPE_U32, &ones, "4294967295", 4294967295.0);
    expect(DTYPE_U64, &ones, "18446744073709551615", 18446744073709551615.0);
    expect(DTYPE_I64, &(int64_t){ INT64_MIN }, "-9223372036854775808", -9223372036854775808.0);
}

static void test_floats(void **state)
{
    (void)state;
    expect(DTYPE_F16, &(uint16_t){ 0x3c00 }, "1", 1);
    expect(DTYPE_F16, &(uint16_t){ 0xc000 }, "-2", -2);
    expect(DTYPE_F16, &(uint16_t){ 0x0001 }, "5.96046448e-08", 5.9604644775390625e-08);
    expect(DTYPE_F16, &(uint16_t){ 0x7bff }, "65504", 65504);
    expect(DTYPE_F16, &(uint16_t){ 0xfc00 }, "\"-Infinity\"", -INFINITY);
    expect(DTYPE_F16, &(uint16_t){ 0x7e00 }, "\"NaN\"", NAN);
    expect(DTYPE_F32, &(float){ 0.1f }, "0.100000001", (double)0.1f);
    expect(DTYPE_F64, &(double){ 0.1 }, "0.10000000000000001", 0.1);
    expect(DTYPE_F64, &(double){ INFINITY }, "\"Infinity\"", INFINITY);
    expect(DTYPE_F64, &(double){ -1.7976931348623157e308 }, "-1.7976931348623157e+308",
           -1.7976931348623157e308);
}

static void test_kinds(void **state)
{
    (void)state;
    for (int dtype = DTYPE_NONE; dtype < DTYPE_COUNT; dtype++)
        assert_int_equal(dtype_is_float((enum dtype)dtype),
                         strncmp(dtype_name((enum dtype)dtype), "float", 5) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests_name("element", tests, NULL, NULL);
}
