// SPDX-License-Identifier: Apache-2.0
#include "fill.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SLOTS = 40 };

/* The definition, by bisection: the T with sum of rate * max(0, T - max(start, now)) = samples. */
static double finish_by_bisection(const struct fill_slot *slots, double now, double samples)
{
    double low = now, high = 1e9;
    for (int i = 0; i < 200; i++) {
        double middle = (low + high) / 2, done = 0;
        for (int k = 0; k < SLOTS; k++) {
            double start = slots[k].start_us > now ? slots[k].start_us : now;
            done += slots[k].present && middle > start ? slots[k].rate * (middle - start) : 0;
        }
        *(done < samples ? &low : &high) = middle;
    }
    return low;
}

static void agrees_with_its_definition(void **state)
{
    (void)state;
    struct fill fill;
    struct fill_slot slots[SLOTS] = { 0 };
    struct rng rng;
    rng_init(&rng, 7);
    print_message("seed 7\n");
    fill_init(&fill);
    for (uint64_t i = 0; i < SLOTS; i++)
        slots[i].id = i;
    for (int step = 0; step < 2000; step++) {
        struct fill_slot *slot = &slots[rng_below(&rng, SLOTS)];
        if (rng_below(&rng, 5) == 0)
            fill_remove(&fill, slot);
        else
            fill_set(&fill, slot, (double)rng_below(&rng, 1000), 0.001 + rng_unit(&rng));
        fill_check(&fill);
        if (fill.count == 0)
            continue;
        double now = (double)rng_below(&rng, 1000), samples = 1 + (double)rng_below(&rng, 5000);
        double finish = fill_finish_us(&fill, now, samples),
               expected = finish_by_bisection(slots, now, samples);
        double miss = finish - expected;
        assert_true(miss < 1e-6 * expected + 1e-6 && -miss < 1e-6 * expected + 1e-6);
    }
}

static void without_slots_it_never_ends(void **state)
{
    (void)state;
    struct fill fill;
    fill_init(&fill);
    assert_true(fill_finish_us(&fill, 0, 1) >= FILL_NEVER);
    assert_null(fill_first(&fill));
}

static void neighbours_are_in_order_of_start(void **state)
{
    (void)state;
    struct fill fill;
    struct fill_slot slots[3] = { { .id = 0 }, { .id = 1 }, { .id = 2 } };
    fill_init(&fill);
    fill_set(&fill, &slots[0], 30, 1);
    fill_set(&fill, &slots[1], 10, 1);
    fill_set(&fill, &slots[2], 10, 1);
    assert_ptr_equal(fill_first(&fill), &slots[1]);
    assert_ptr_equal(fill_next(&fill, &slots[1]), &slots[2]);
    assert_ptr_equal(fill_last(&fill), &slots[0]);
    assert_ptr_equal(fill_previous(&fill, &slots[0]), &slots[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_its_definition),
                                        cmocka_unit_test(without_slots_it_never_ends),
                                        cmocka_unit_test(neighbours_are_in_order_of_start) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
