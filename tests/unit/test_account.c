// SPDX-License-Identifier: Apache-2.0
#include "account.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void latencies_are_those_of_a_tally(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7);
    struct account account = { .samples = 5, .best_batch = 3, .energy_joules = 1.5, .last_us = 9 };
    static struct tally expected, shown;
    tally_init(&expected);
    for (int i = 0; i < 2000; i++) {
        uint64_t us = rng_next(&rng) >> (i < 1000 ? 30 + rng_below(&rng, 34) : rng_below(&rng, 60));
        account_add_latency(&account, us);
        histogram_add(&expected.batch_latency, us, 1);
    }
    account_tally(&account, &shown);
    assert_memory_equal(&shown.batch_latency, &expected.batch_latency, sizeof shown.batch_latency);
    assert_int_equal(shown.samples, 5);
    assert_int_equal(shown.best_batch, 3);
    assert_true(shown.energy_joules == 1.5);
    assert_int_equal(shown.last_us, 9);
    account_fini(&account);
    assert_null(account.latency);
}

static void a_narrow_range_is_small(void **state)
{
    (void)state;
    struct account account = { 0 };
    static struct tally shown;
    account_tally(&account, &shown);
    assert_int_equal(shown.batch_latency.count, 0);
    for (uint64_t us = 10000; us < 11000; us++)
        account_add_latency(&account, us);
    assert_true(account.latency_count <= 16);
    account_tally(&account, &shown);
    assert_int_equal(shown.batch_latency.count, 1000);
    assert_int_equal(shown.batch_latency.max_us, 10999);
    account_fini(&account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latencies_are_those_of_a_tally),
        cmocka_unit_test(a_narrow_range_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
