// SPDX-License-Identifier: Apache-2.0
#include "quantity.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void reads_and_prints(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
        enum dimension dimension;
        const char *printed;
    } good[] = {
        { "0", 0, DIMENSION_PLAIN, "0" },
        { "42", 42, DIMENSION_PLAIN, "42" },
        { "007", 7, DIMENSION_PLAIN, "7" },
        { "0.20", 0.2, DIMENSION_PLAIN, "0.2" },
        { "0.001", 0.001, DIMENSION_PLAIN, "0.001" },
        { "1.000000000000000000000000", 1, DIMENSION_PLAIN, "1" },
        { "1000000", 1e6, DIMENSION_PLAIN, "1000000" },
        { "123456789012345", 123456789012345, DIMENSION_PLAIN, "123456789012345" },
        { "16GiB", 17179869184.0, DIMENSION_BYTES, "16GiB" },
        { "16384MiB", 17179869184.0, DIMENSION_BYTES, "16GiB" },
        { "17179869184B", 17179869184.0, DIMENSION_BYTES, "16GiB" },
        { "16GB", 16e9, DIMENSION_BYTES, "16GB" },
        { "1.5GiB", 1610612736.0, DIMENSION_BYTES, "1536MiB" },
        { "0.3GiB", 322122547, DIMENSION_BYTES, "322122547B" },
        { "0.2GiB", 214748365, DIMENSION_BYTES, "214748365B" },
        { "1KB", 1000, DIMENSION_BYTES, "1kB" },
        { "0B", 0, DIMENSION_BYTES, "0B" },
        { "7PiB", 7881299347898368.0, DIMENSION_BYTES, "7PiB" },
        { "100GB/s", 100e9, DIMENSION_BANDWIDTH, "100GB/s" },
        { "2GiB/s", 2147483648.0, DIMENSION_BANDWIDTH, "2GiB/s" },
        { "60W", 60, DIMENSION_WATTS, "60W" },
        { "0.5W", 0.5, DIMENSION_WATTS, "500mW" },
        { "1500W", 1500, DIMENSION_WATTS, "1.5kW" },
        { "2.5TFLOPS", 2.5e12, DIMENSION_OPS, "2.5TFLOPS" },
        { "26TOPS", 26e12, DIMENSION_OPS, "26TFLOPS" },
        { "1.1EFLOPS", 1.1e18, DIMENSION_OPS, "1.1EFLOPS" },
        { "5ms", 0.005, DIMENSION_SECONDS, "5ms" },
        { "90s", 90, DIMENSION_SECONDS, "90s" },
        { "60s", 60, DIMENSION_SECONDS, "60s" },
        { "120min", 7200, DIMENSION_SECONDS, "2h" },
        { "0.1h", 360, DIMENSION_SECONDS, "6min" },
        { "1.5GHz", 1.5e9, DIMENSION_HERTZ, "1.5GHz" },
        { "1500MHz", 1.5e9, DIMENSION_HERTZ, "1.5GHz" },
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct quantity quantity;
        char text[QUANTITY_TEXT_MAX];
        print_message("%s\n", good[i].text);
        assert_int_equal(quantity_parse(good[i].text, strlen(good[i].text), &quantity), QUANTITY_OK);
        assert_true(quantity.value == good[i].value);
        assert_int_equal(quantity.dimension, good[i].dimension);
        assert_int_equal(quantity_print(&quantity, text), strlen(good[i].printed));
        assert_string_equal(text, good[i].printed);
    }
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum quantity_parse why;
    } bad[] = {
        { "", QUANTITY_WORD },
        { "GiB", QUANTITY_WORD },
        { "-1", QUANTITY_WORD },
        { "+1", QUANTITY_WORD },
        { ".5", QUANTITY_WORD },
        { "nan", QUANTITY_WORD },
        { "5.", QUANTITY_UNIT },
        { "1.2.3", QUANTITY_UNIT },
        { "1e3", QUANTITY_UNIT },
        { "0x10", QUANTITY_UNIT },
        { "16gib", QUANTITY_UNIT },
        { "16 GiB", QUANTITY_UNIT },
        { "1234567890123456", QUANTITY_PRECISION },
        { "1.234567890123456", QUANTITY_PRECISION },
        { "1000000000000000000001", QUANTITY_PRECISION },
        { "99999999999999d", QUANTITY_PRECISION },
        { "1000000000000000000000000", QUANTITY_RANGE },
        { "10000000000000000000000", QUANTITY_RANGE },
        { "100000EFLOPS", QUANTITY_RANGE },
        { "8PiB", QUANTITY_RANGE },
        { "10PB", QUANTITY_RANGE },
        { "0.1B", QUANTITY_RANGE },
        { "0.00000000000000000000000001", QUANTITY_RANGE },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct quantity quantity;
        print_message("%s\n", bad[i].text);
        assert_int_equal(quantity_parse(bad[i].text, strlen(bad[i].text), &quantity), bad[i].why);
    }
}

static void shows_four_digits_rounded_down(void **state)
{
    (void)state;
    static const struct {
        double value;
        enum dimension dimension;
        const char *shown;
    } rows[] = {
        { 17179869184.0, DIMENSION_BYTES, "16GiB" },
        { 17179869183.0, DIMENSION_BYTES, "15.99GiB" },
        { 25757220864.0, DIMENSION_BYTES, "23.98GiB" },
        { 1000, DIMENSION_BYTES, "1kB" },
        { 12345678912.33, DIMENSION_BANDWIDTH, "12.34GB/s" },
        { 8.2999999e12, DIMENSION_OPS, "8.299TFLOPS" },
        { 0.000123456, DIMENSION_SECONDS, "123.4us" },
        { 1.0 / 3, DIMENSION_PLAIN, "0.3333" },
        { 123456, DIMENSION_PLAIN, "123456" },
        { 1234567890, DIMENSION_PLAIN, "1234000000" },
        { 0, DIMENSION_WATTS, "0W" },
        { 1e300, DIMENSION_WATTS, NULL },
        { 1e300, DIMENSION_BYTES, NULL },
        { 5e-324, DIMENSION_SECONDS, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[QUANTITY_TEXT_MAX];
        struct quantity quantity = { rows[i].value, rows[i].dimension };
        assert_true(quantity_show(&quantity, text) < sizeof text);
        if (rows[i].shown)
            assert_string_equal(text, rows[i].shown);
    }
}

/* What is printed is read as the same number, and printed the same again, for whatever can be read. */
static void print_and_parse_are_inverse(void **state)
{
    (void)state;
    static const char *const units[] = { "",   "B",  "kB",  "GiB", "PiB", "MB/s", "mW", "kW",
                                         "ns", "us", "min", "h",   "GHz", "TOPS", "d",  "GFLOPS" };
    uint64_t seed = 20;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng;
    rng_init(&rng, seed);
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        char text[64], first[QUANTITY_TEXT_MAX], second[QUANTITY_TEXT_MAX];
        uint64_t digits = rng_below(&rng, 1000000000000000ull) >> rng_below(&rng, 50);
        int behind = (int)rng_below(&rng, 12);
        snprintf(text, sizeof text, "%llu", (unsigned long long)digits);
        if (behind)
            snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(digits / 1000000), behind,
                     (unsigned long long)(digits % 1000));
        strcat(text, units[rng_below(&rng, sizeof units / sizeof units[0])]);
        struct quantity quantity, again;
        if (quantity_parse(text, strlen(text), &quantity))
            continue;
        size_t size = quantity_print(&quantity, first);
        assert_int_equal(quantity_parse(first, size, &again), QUANTITY_OK);
        if (again.value != quantity.value)
            print_message("%s -> %s\n", text, first);
        assert_true(again.value == quantity.value && again.dimension == quantity.dimension);
        quantity_print(&again, second);
        assert_string_equal(first, second);
        taken++;
    }
    assert_true(taken > 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),
        cmocka_unit_test(refuses),
        cmocka_unit_test(shows_four_digits_rounded_down),
        cmocka_unit_test(print_and_parse_are_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
