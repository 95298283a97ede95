// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct curve learned(double alpha_us, double beta_us)
{
    struct curve curve;
    curve_init(&curve, alpha_us, beta_us);
    curve.batches = 100;
    curve.batch_tried = 1u << 20;
    return curve;
}

static const struct policy_limits limits = { .chunk_cap_us = 2e6, .chunk_cost_us = 100 };

static void the_best_batch_is_the_smallest_good_one(void **state)
{
    (void)state;
    struct curve curve = learned(20000, 2000);
    struct policy_slot slot = { .curve = &curve, .batch_max = 256 };
    uint32_t best = policy_best_batch(&slot, &limits);
    double most = 256 / (20100 + 2000.0 * 256);
    assert_true(best / (20100 + 2000.0 * best) >= 0.998 * most);
    assert_true((best - 1) / (20100 + 2000.0 * (best - 1)) < 0.998 * most);
}

static void the_cap_in_seconds_holds_but_one_sample_always_goes(void **state)
{
    (void)state;
    struct curve curve = learned(0, 5e6);
    struct policy_slot slot = { .curve = &curve, .batch_max = 256 };
    assert_int_equal(policy_best_batch(&slot, &limits), 1);
    curve = learned(1e6, 1e5);
    assert_true(curve_time_us(&curve, policy_best_batch(&slot, &limits)) <= 2e6);
}

static void a_young_curve_is_tried_carefully(void **state)
{
    (void)state;
    struct curve curve;
    curve_init(&curve, 0, 0);
    struct policy_slot slot = { .curve = &curve, .batch_max = 256 };
    assert_int_equal(policy_best_batch(&slot, &limits), 1);
    assert_true(policy_exploring(&slot, &limits));
    curve_observe(&curve, 1, 30000);
    assert_in_range(policy_best_batch(&slot, &limits), 12, 16);
    assert_true(policy_exploring(&slot, &limits)); /* the best so far is the largest so far */
    curve_observe(&curve, 16, 30000);
    curve_observe(&curve, 256, 30000);
    assert_false(policy_exploring(&slot, &limits));
}

static void the_cap_stretches_where_it_costs_too_much(void **state)
{
    (void)state;
    struct curve curve = learned(1.8e6, 1e5); /* two within the cap, ten times one at most */
    struct policy_slot slot = { .curve = &curve, .batch_max = 256 };
    struct policy_limits soft = limits;
    soft.chunk_most_us = 8e6;
    assert_int_equal(policy_best_batch(&slot, &limits), 2);
    assert_true(policy_best_batch(&slot, &soft) > 50);
    assert_true(curve_time_us(&curve, policy_best_batch(&slot, &soft)) <= 10 * 1.9e6);
    curve = learned(10000, 1e5); /* here the cap costs nothing worth a long wait */
    assert_true(curve_time_us(&curve, policy_best_batch(&slot, &soft)) <= 2e6);
}

/* What fits in a room, by trying every number of whole batches and every tail. */
static uint64_t most_by_trying(const struct policy_slot *slot, uint32_t best, double room_us)
{
    uint64_t most = 0;
    for (uint64_t whole = 0; (double)whole * curve_time_us(slot->curve, best) <= room_us + 1e-3; whole++)
        for (uint32_t tail = 0; tail <= best; tail++) {
            double us = (double)whole * curve_time_us(slot->curve, best) +
                        (tail ? curve_time_us(slot->curve, tail) : 0);
            most = us <= room_us + 1e-3 && whole * best + tail > most ? whole * best + tail : most;
        }
    return most;
}

static void the_most_in_a_room_is_whole_batches_and_a_tail(void **state)
{
    (void)state;
    struct curve curve = learned(1000, 100);
    struct policy_slot slot = { .curve = &curve, .batch_max = 16, .start_us = 50 };
    for (double room_us = 1; room_us < 12000; room_us += 37)
        assert_int_equal(policy_most(&slot, 16, 50 + room_us), most_by_trying(&slot, 16, room_us));
    assert_int_equal(policy_most(&slot, 16, 10), 0);
    const uint32_t sizes[] = { 1, 4, 16 };
    slot.sizes = sizes;
    slot.sizes_count = 3;
    assert_int_equal(policy_most(&slot, 16, 50 + 2 * 2600 + 1400 + 1100), 16 + 16 + 4 + 1);
    assert_int_equal(policy_most(&slot, 16, 50 + 1300), 1);
}

static void only_allowed_sizes_are_planned(void **state)
{
    (void)state;
    struct curve curve = learned(1000, 10);
    const uint32_t sizes[] = { 1, 8, 64 };
    struct policy_slot slot = { .curve = &curve, .sizes = sizes, .sizes_count = 3, .batch_max = 64 };
    assert_int_equal(policy_best_batch(&slot, &limits), 64);
    assert_int_equal(policy_padded(&slot, 9), 64);
    assert_int_equal(policy_padded(&slot, 65), 0);
    assert_int_equal(policy_chunk(&slot, &limits, 1000, 1000 + 10 * 63), 8); /* 64 would end too late */
    assert_int_equal(policy_chunk(&slot, &limits, 5, 1e9), 5);               /* the rest is padded */
}

static void the_finish_guard_holds(void **state)
{
    (void)state;
    struct curve curve = learned(1000, 100);
    struct policy_slot slot = { .curve = &curve, .batch_max = 64, .start_us = 500 };
    assert_int_equal(policy_chunk(&slot, &limits, 1000, 500 + 1000 + 100 * 10), 10);
    assert_int_equal(policy_chunk(&slot, &limits, 1000, 500 + 1000 + 50), 0);
    assert_int_equal(policy_chunk(&slot, &limits, 0, 1e9), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_best_batch_is_the_smallest_good_one),
                                        cmocka_unit_test(the_cap_in_seconds_holds_but_one_sample_always_goes),
                                        cmocka_unit_test(a_young_curve_is_tried_carefully),
                                        cmocka_unit_test(the_cap_stretches_where_it_costs_too_much),
                                        cmocka_unit_test(the_most_in_a_room_is_whole_batches_and_a_tail),
                                        cmocka_unit_test(only_allowed_sizes_are_planned),
                                        cmocka_unit_test(the_finish_guard_holds) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
