// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 4000 };

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static uint64_t seed_of_test(void)
{
    const char *given = getenv("MOTLEY_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261122;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static void test_every_bucket_edge(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit <= 40; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (uint64_t)((INT64_C(1) << bit) + delta);
            struct histogram h;
            histogram_init(&h);
            histogram_add(&h, value, 1);
            histogram_add(&h, 1ull << 40, 1); /* so that max_us does not cut */
            uint64_t clamped = value > 1ull << 40 ? 1ull << 40 : value;
            double middle = (double)histogram_quantile_us(&h, 0.5);
            double error = middle > (double)clamped ? middle - (double)clamped : (double)clamped - middle;
            assert_true(error <= (double)clamped / 32.0);
        }
    }
}

static void test_empty_and_extremes(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h);
    assert_int_equal(histogram_quantile_us(&h, 0.5), 0);
    histogram_add(&h, 5, 0);
    assert_int_equal(h.count, 0);
    histogram_add(&h, UINT64_MAX, 1);
    assert_int_equal(h.max_us, 1ull << 40);
    assert_int_equal(histogram_quantile_us(&h, 1.0), 1ull << 40);
    histogram_init(&h);
    histogram_add(&h, 1000, 3);
    assert_in_range(histogram_quantile_us(&h, 0.0), 960, 1000); /* never above the largest */
    assert_in_range(histogram_quantile_us(&h, 1.0), 960, 1000);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h);
    for (uint64_t v = 0; v < 10; v++)
        histogram_add(&h, v, 1);
    assert_int_equal(histogram_quantile_us(&h, 0.0), 0);
    assert_int_equal(histogram_quantile_us(&h, 0.5), 4);
    assert_int_equal(histogram_quantile_us(&h, 0.51), 5);
    assert_int_equal(histogram_quantile_us(&h, 0.9), 8);
    assert_int_equal(histogram_quantile_us(&h, 1.0), 9);
}

static void test_quantiles_agree_with_sorting(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    static struct histogram whole, half[2];
    struct rng rng;
    rng_init(&rng, seed_of_test());
    histogram_init(&whole);
    histogram_init(&half[0]);
    histogram_init(&half[1]);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = rng_next(&rng) >> (24 + rng_below(&rng, 40));
        histogram_add(&whole, values[i], 1);
        histogram_add(&half[i % 2], values[i], 1);
    }
    qsort(values, VALUES, sizeof values[0], by_value);
    for (uint64_t k = 1; k <= VALUES; k += 37) {
        double exact = (double)values[k - 1], got = (double)histogram_quantile_us(&whole, (double)k / VALUES);
        assert_true(got >= exact * (1 - 1.0 / 32) - 1e-9 && got <= exact * (1 + 1.0 / 32) + 1e-9);
    }
    histogram_merge(&half[0], &half[1]);
    assert_memory_equal(&half[0], &whole, sizeof whole);
}

static void test_pack_and_unpack(void **state)
{
    (void)state;
    static struct histogram h, back;
    static uint8_t bytes[HISTOGRAM_BYTES_MAX];
    struct rng rng;
    rng_init(&rng, seed_of_test());
    for (int round = 0; round < 50; round++) {
        histogram_init(&h);
        for (uint64_t n = rng_below(&rng, 300); n > 0; n--)
            histogram_add(&h, rng_next(&rng) >> (20 + rng_below(&rng, 44)), 1 + (rng_next(&rng) >> 40));
        size_t size = histogram_pack(&h, bytes);
        assert_true(size <= HISTOGRAM_BYTES_MAX);
        assert_int_equal(histogram_unpack(&back, bytes, size), 1);
        assert_memory_equal(&back, &h, sizeof h);
    }
}

static void test_the_fullest_histogram_fits(void **state)
{
    (void)state;
    static struct histogram h, back;
    static uint8_t bytes[HISTOGRAM_BYTES_MAX];
    histogram_init(&h);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        h.buckets[i] = UINT64_MAX / HISTOGRAM_BUCKETS;
        h.count += h.buckets[i];
    }
    h.max_us = 1ull << 40;
    size_t size = histogram_pack(&h, bytes);
    assert_true(size <= HISTOGRAM_BYTES_MAX);
    assert_int_equal(histogram_unpack(&back, bytes, size), 1);
    assert_memory_equal(&back, &h, sizeof h);
}

static void refuse(const uint8_t *bytes, size_t size)
{
    struct histogram h;
    assert_int_equal(histogram_unpack(&h, bytes, size), 0);
    assert_int_equal(h.count, 0);
    assert_int_equal(h.max_us, 0);
}

static void test_bad_packed_bytes_are_refused(void **state)
{
    (void)state;
    struct histogram h;
    uint8_t bytes[HISTOGRAM_BYTES_MAX];
    histogram_init(&h);
    histogram_add(&h, 3, 1000);
    histogram_add(&h, 70, 2);
    size_t size = histogram_pack(&h, bytes);
    for (size_t cut = 0; cut < size; cut++)
        refuse(bytes, cut);
    refuse((const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0, 4, 0 }, 10);          /* a bucket of nothing */
    refuse((const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 10);          /* no step */
    refuse((const uint8_t[]){ 4, 0, 0, 0, 0, 0, 0, 0, 4, 1 }, 10);          /* max in another bucket */
    refuse((const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0, 0x84, 0, 1 }, 11);    /* longer than needed */
    refuse((const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x7f, 1 }, 11); /* a bucket that is not there */
    refuse((const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0 }, 8);                 /* a maximum of nothing */
    /* two counts whose sum passes 64 bits */
    refuse((const uint8_t[]){ 1,    0,    0,    0,    0,    0,    0,    0, 1, 0xff, 0xff,
                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1 },
           21);
    assert_int_equal(histogram_unpack(&h, (const uint8_t[]){ 3, 0, 0, 0, 0, 0, 0, 0, 4, 1 }, 10), 1);
    assert_int_equal(h.buckets[3], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bucket_edge),
        cmocka_unit_test(test_empty_and_extremes),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_quantiles_agree_with_sorting),
        cmocka_unit_test(test_pack_and_unpack),
        cmocka_unit_test(test_the_fullest_histogram_fits),
        cmocka_unit_test(test_bad_packed_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
