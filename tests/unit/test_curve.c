// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool near(double a, double b, double share) { return a <= b * (1 + share) && a >= b * (1 - share); }

static void two_sizes_show_the_line(void **state)
{
    (void)state;
    struct curve curve;
    curve_init(&curve, 0, 0);
    assert_false(curve_known(&curve));
    curve_observe(&curve, 1, 20000 + 2000);
    curve_observe(&curve, 4, 20000 + 8000);
    curve_observe(&curve, 16, 20000 + 32000);
    assert_true(near(curve.alpha_us, 20000, 0.02) && near(curve.beta_us, 2000, 0.02));
    assert_int_equal(curve.batch_tried, 16);
}

static void a_change_of_speed_is_followed_within_six_batches(void **state)
{
    (void)state;
    struct curve curve;
    curve_init(&curve, 0, 0);
    for (uint64_t i = 1; i <= 30; i++)
        curve_observe(&curve, 1 + i % 8, 100 + 50 * (double)(1 + i % 8));
    for (int i = 0; i < 6; i++)
        curve_observe(&curve, 8, 2 * (100 + 50 * 8));
    assert_true(near(curve_time_us(&curve, 8), 2 * (100 + 50 * 8), 0.15));
}

static void absurd_figures_change_nothing(void **state)
{
    (void)state;
    struct curve curve, before;
    curve_init(&curve, -5, 1e300);
    assert_false(curve_known(&curve));
    curve_init(&curve, 0, -1);
    curve_observe(&curve, 4, 1000);
    before = curve;
    curve_observe(&curve, 0, 1000);
    curve_observe(&curve, 4, -1);
    curve_observe(&curve, 4, 1e300);
    assert_memory_equal(&curve, &before, sizeof curve);
    curve_suggest(&curve, 1, 1);
    assert_memory_equal(&curve, &before, sizeof curve);
}

static void a_prior_gives_way_to_what_is_shown(void **state)
{
    (void)state;
    struct curve curve;
    curve_init(&curve, 10, 1);
    assert_true(curve_known(&curve));
    for (uint64_t i = 0; i < 12; i++)
        curve_observe(&curve, 1 + i, 100 * (double)(1 + i));
    assert_true(near(curve_time_us(&curve, 12), 1200, 0.1));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_sizes_show_the_line),
                                        cmocka_unit_test(a_change_of_speed_is_followed_within_six_batches),
                                        cmocka_unit_test(absurd_figures_change_nothing),
                                        cmocka_unit_test(a_prior_gives_way_to_what_is_shown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
