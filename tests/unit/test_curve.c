// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include "rng.h"

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

/* A curve that has seen thirty batches of mixed sizes with this jitter. */
static struct curve practised(struct rng *rng, double jitter)
{
    struct curve curve;
    curve_init(&curve, 0, 0);
    for (uint64_t i = 1; i <= 30; i++)
        curve_observe(&curve, (double)(1 + i % 8),
                      (100 + 50 * (double)(1 + i % 8)) * (1 + jitter * rng_normal(rng)));
    return curve;
}

static void half_speed_is_believed_after_one_batch_and_so_is_recovery(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    struct curve curve = practised(&rng, 0);
    curve_observe(&curve, 8, 1.4 * (100 + 50 * 8)); /* it came in the midst of this batch */
    curve_observe(&curve, 8, 2 * (100 + 50 * 8));
    assert_true(near(curve_time_us(&curve, 8), 2 * (100 + 50 * 8), 0.02));
    assert_true(near(curve_time_us(&curve, 1), 2 * (100 + 50), 0.02)); /* the shape is as it was */
    curve_observe(&curve, 8, 100 + 50 * 8);
    assert_true(near(curve_time_us(&curve, 8), 100 + 50 * 8, 0.02));
}

static void half_speed_is_seen_through_jitter_in_three_batches(void **state)
{
    (void)state;
    int bad = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct curve curve = practised(&rng, 0.1);
        for (int i = 0; i < 3; i++)
            curve_observe(&curve, 8, 2 * (100 + 50 * 8) * (1 + 0.1 * rng_normal(&rng)));
        double miss = curve_time_us(&curve, 8) / (2 * (100 + 50 * 8));
        bad += miss < 0.75 || miss > 1.25;
    }
    assert_true(bad <= 4); /* of 200 */
}

static void jitter_alone_changes_little(void **state)
{
    (void)state;
    uint64_t off = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct curve curve = practised(&rng, 0.1);
        for (int i = 0; i < 100; i++) {
            curve_observe(&curve, 8, (100 + 50 * 8) * (1 + 0.1 * rng_normal(&rng)));
            off += !near(curve_time_us(&curve, 8), 100 + 50 * 8, 0.1);
        }
    }
    assert_true(off < 200); /* 1 % of the predictions are worse than one standard deviation of the jitter */
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
        curve_observe(&curve, (double)(1 + i), 100 * (double)(1 + i));
    assert_true(near(curve_time_us(&curve, 12), 1200, 0.1));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_sizes_show_the_line),
                                        cmocka_unit_test(
                                            half_speed_is_believed_after_one_batch_and_so_is_recovery),
                                        cmocka_unit_test(half_speed_is_seen_through_jitter_in_three_batches),
                                        cmocka_unit_test(jitter_alone_changes_little),
                                        cmocka_unit_test(absurd_figures_change_nothing),
                                        cmocka_unit_test(a_prior_gives_way_to_what_is_shown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
