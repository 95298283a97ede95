// SPDX-License-Identifier: Apache-2.0
#include "rng.h"
#include "trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_sets(void **state)
{
    (void)state;
    enum { NUMBERS = 300 };
    struct trail trail = { 0 };
    bool in[NUMBERS] = { false };
    struct rng rng;
    rng_init(&rng, 5);
    for (int step = 0; step < 5000; step++) {
        uint64_t number = rng_below(&rng, NUMBERS);
        in[number] = rng_below(&rng, 2) == 0;
        (in[number] ? trail_meet : trail_part)(&trail.jobs, number);
        number = rng_below(&rng, NUMBERS);
        assert_int_equal(trail_has_met(&trail.jobs, number), in[number]);
    }
    assert_false(trail_has_met(&trail.models, 1));
    trail_fini(&trail);
    assert_int_equal(trail.jobs.count, 0);
}

static void test_acks(void **state)
{
    (void)state;
    struct trail trail = { 0 };
    assert_false(trail_was_acked(&trail, 0));
    trail_ack(&trail, 0);
    trail_ack(&trail, 7);
    assert_true(trail_was_acked(&trail, 0));
    assert_true(trail_was_acked(&trail, 7));
    assert_false(trail_was_acked(&trail, 7 + TRAIL_ACKED));
    trail_ack(&trail, 7 + TRAIL_ACKED);
    assert_false(trail_was_acked(&trail, 7)); /* it passes for new */
    trail_begin(&trail);
    assert_false(trail_was_acked(&trail, 0));
    trail_fini(&trail);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sets), cmocka_unit_test(test_acks) };
    return cmocka_run_group_tests_name("trail", tests, NULL, NULL);
}
