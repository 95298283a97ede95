// SPDX-License-Identifier: Apache-2.0
#include "ranges.h"

#include "ensure.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { SAMPLES = 200 };

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
    assert_null(ranges.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_an_array),
                                        cmocka_unit_test(neighbours_merge) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
