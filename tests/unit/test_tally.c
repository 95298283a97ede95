// SPDX-License-Identifier: Apache-2.0
#include "tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void packs_and_comes_back(void **state)
{
    (void)state;
    static uint8_t bytes[TALLY_BYTES_MAX];
    static struct tally tally, back;
    tally_init(&tally);
    tally.samples = 7;
    tally.busy_us = UINT64_MAX - 3;
    tally.energy_joules = 1.25;
    tally.best_batch = 16;
    for (uint64_t us = 1; us < 1u << 30; us *= 3)
        histogram_add(&tally.batch_latency, us, us % 5 + 1);
    uint32_t size = tally_pack(&tally, bytes);
    assert_true(tally_unpack(&back, bytes, size));
    assert_memory_equal(&tally, &back, sizeof tally);
    for (uint32_t cut = 0; cut < size; cut++)
        assert_false(tally_unpack(&back, bytes, cut));
    bytes[0] = 2;
    assert_false(tally_unpack(&back, bytes, size));
}

static void merging_adds_up(void **state)
{
    (void)state;
    static struct tally a, b;
    tally_init(&a);
    tally_init(&b);
    a.samples = 3, a.first_us = 50, a.last_us = 60;
    b.samples = 4, b.first_us = 40, b.last_us = 55;
    histogram_add(&b.batch_latency, 10, 2);
    tally_merge(&a, &b);
    assert_int_equal(a.samples, 7);
    assert_int_equal(a.first_us, 40);
    assert_int_equal(a.last_us, 60);
    assert_int_equal(a.batch_latency.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(packs_and_comes_back),
                                        cmocka_unit_test(merging_adds_up) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
