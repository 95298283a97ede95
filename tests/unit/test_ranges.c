// SPDX-License-Identifier: Apache-2.0
#include "ranges.h"

#include "ensure.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SAMPLES = 200, MANY = 100000 };

static uint64_t count(const bool *bits, uint64_t first, uint64_t end)
{
    uint64_t sum = 0;
    for (uint64_t i = first; i < end; i++)
        sum += bits[i];
    return sum;
}

static void gaps_match(const struct ranges *ranges, const bool *bits)
{
    uint64_t from = 0, low, high;
    while (ranges_gap(ranges, from, SAMPLES, &low, &high)) {
        assert_int_equal(count(bits, from, low), low - from);
        assert_int_equal(count(bits, low, high), 0);
        assert_true(high == SAMPLES || bits[high]);
        from = high;
    }
    assert_int_equal(count(bits, from, SAMPLES), SAMPLES - from);
}

/* Ten thousand random changes, against a plain array of flags. */
static void agrees_with_an_array(void **state)
{
    (void)state;
    struct ranges ranges;
    bool bits[SAMPLES] = { false };
    struct rng rng;
    rng_init(&rng, 42);
    print_message("seed 42\n");
    ranges_init(&ranges);
    for (int step = 0; step < 10000; step++) {
        uint64_t first = rng_below(&rng, SAMPLES), end = first + rng_below(&rng, SAMPLES - first + 1);
        bool add = rng_below(&rng, 2);
        uint64_t had = count(bits, first, end);
        assert_int_equal(ranges_overlap(&ranges, first, end), had);
        if (add)
            ranges_add(&ranges, first, end);
        else
            assert_int_equal(ranges_remove(&ranges, first, end), had);
        for (uint64_t i = first; i < end; i++)
            bits[i] = add;
        ranges_check(&ranges);
        assert_int_equal(ranges.samples, count(bits, 0, SAMPLES));
        gaps_match(&ranges, bits);
    }
    ranges_fini(&ranges);
}

static void neighbours_merge(void **state)
{
    (void)state;
    struct ranges ranges;
    ranges_init(&ranges);
    ranges_add(&ranges, 0, 10);
    ranges_add(&ranges, 20, 30);
    assert_int_equal(ranges.intervals, 2);
    ranges_add(&ranges, 10, 20);
    assert_int_equal(ranges.intervals, 1);
    assert_int_equal(ranges_remove(&ranges, 5, 6), 1);
    assert_int_equal(ranges.intervals, 2);
    ranges_fini(&ranges);
    assert_int_equal(ranges.intervals, 0);
}

/* So many that they need many blocks: every other sample, then holes filled and torn at random, then all. */
static void agrees_with_an_array_of_many(void **state)
{
    (void)state;
    struct ranges ranges;
    struct rng rng;
    bool *bits = calloc(MANY, sizeof *bits);
    assert_non_null(bits);
    rng_init(&rng, 43);
    print_message("seed 43\n");
    ranges_init(&ranges);
    for (uint64_t i = 0; i < MANY; i += 2) {
        ranges_add(&ranges, i, i + 1);
        bits[i] = true;
    }
    assert_int_equal(ranges.intervals, MANY / 2);
    for (int step = 0; step < 200000; step++) {
        uint64_t first = rng_below(&rng, MANY), most = rng_below(&rng, 100) ? 4 : 5000;
        uint64_t end = first + rng_below(&rng, MANY - first < most ? MANY - first + 1 : most), low, high;
        bool add = rng_below(&rng, step < 100000 ? 4 : 2);
        uint64_t had = count(bits, first, end);
        if (add)
            ranges_add(&ranges, first, end);
        else
            assert_int_equal(ranges_remove(&ranges, first, end), had);
        for (uint64_t i = first; i < end; i++)
            bits[i] = add;
        assert_int_equal(ranges_overlap(&ranges, first, end), add ? end - first : 0);
        if (ranges_gap(&ranges, first, MANY, &low, &high))
            assert_true(low >= first && !bits[low] && !bits[high - 1] && (high == MANY || bits[high]));
        if (step % 10000)
            continue;
        ranges_check(&ranges);
        assert_int_equal(ranges.samples, count(bits, 0, MANY));
        for (uint64_t from = 0; ranges_next(&ranges, from, &low, &high); from = high)
            assert_true(count(bits, from, low) == 0 && count(bits, low, high) == high - low);
    }
    ranges_add(&ranges, 0, MANY);
    ranges_check(&ranges);
    assert_int_equal(ranges.intervals, 1);
    assert_int_equal(ranges_remove(&ranges, 0, MANY), MANY);
    assert_int_equal(ranges.intervals, 0);
    ranges_fini(&ranges);
    free(bits);
}

/* A hole in each interval in turn, whatever the number of those before and after it. */
static void a_hole_anywhere(void **state)
{
    (void)state;
    for (uint64_t intervals = 1; intervals < 600; intervals += intervals < 120 ? 17 : 1)
        for (uint64_t hole = intervals > 2 ? intervals - 3 : 0; hole < intervals; hole++) {
            struct ranges ranges;
            ranges_init(&ranges);
            for (uint64_t i = 0; i < intervals; i++)
                ranges_add(&ranges, 10 * i, 10 * i + 9);
            assert_int_equal(ranges_remove(&ranges, 10 * hole + 3, 10 * hole + 5), 2);
            ranges_check(&ranges);
            assert_int_equal(ranges.intervals, intervals + 1);
            assert_int_equal(ranges.samples, 9 * intervals - 2);
            assert_int_equal(ranges_overlap(&ranges, 10 * hole, 10 * hole + 10), 7);
            ranges_fini(&ranges);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_an_array),
                                        cmocka_unit_test(agrees_with_an_array_of_many),
                                        cmocka_unit_test(a_hole_anywhere),
                                        cmocka_unit_test(neighbours_merge) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
