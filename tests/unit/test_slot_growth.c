// SPDX-License-Identifier: Apache-2.0
#include "slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct slot *slot_of(uint32_t batch_max)
{
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC, .batch_max = batch_max, .window = 2 };
    struct slot *slot = slot_new(1, 0, 0, &info);
    assert_non_null(slot);
    return slot;
}

static struct lease lease_of(uint32_t runs)
{
    return (struct lease){ .count = runs, .runs = runs, .cost = runs, .smallest = 1 };
}

/* Run batches at the cap on a device whose memory takes at most `fits`; how many failed. */
static uint32_t run_batches(struct slot_model *model, uint32_t fits, uint32_t batches)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < batches; i++) {
        struct lease lease = lease_of(model->batch_cap);
        if (lease.runs > fits) {
            slot_model_shrink(model, &lease);
            failed++;
        } else {
            slot_model_grow(model, lease.runs);
        }
    }
    return failed;
}

static void short_memory_halves_the_batch_once(void **state)
{
    (void)state;
    struct slot *slot = slot_of(64);
    struct slot_model *model = slot_model(slot, 0);
    struct lease lease = lease_of(64);
    slot_model_shrink(model, &lease);
    slot_model_shrink(model, &lease); /* the one that was ready behind it */
    assert_int_equal(model->batch_cap, 32);
    slot_free(&slot);
}

static void the_batch_grows_to_what_memory_takes_and_seldom_fails(void **state)
{
    (void)state;
    struct slot *slot = slot_of(256);
    struct slot_model *model = slot_model(slot, 0);
    uint32_t failed = run_batches(model, 100, 1000);
    print_message("%u of 1000 batches failed, cap %u of 100\n", failed, model->batch_cap);
    assert_in_range(model->batch_cap, 80, 100);
    assert_true(failed <= 10);
    failed = run_batches(model, 100, 100000);
    print_message("%u of 100000 more failed, cap %u of 100\n", failed, model->batch_cap);
    assert_true(failed <= 100);      /* one in a thousand */
    run_batches(model, 256, 100000); /* whatever filled it is gone */
    assert_int_equal(model->batch_cap, 256);
    slot_free(&slot);
}

static void allowed_sizes_are_climbed_one_by_one(void **state)
{
    (void)state;
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC,
                                    .batch_max = 64,
                                    .window = 2,
                                    .sizes_count = 3,
                                    .sizes = { 4, 16, 64 } };
    struct slot *slot = slot_new(1, 0, 0, &info);
    struct slot_model *model = slot_model(slot, 0);
    struct lease lease = lease_of(64);
    slot_model_shrink(model, &lease); /* 32: in truth 16 */
    for (int i = 0; i < 10000 && model->batch_cap < 64; i++)
        slot_model_grow(model, 4); /* smaller ones say nothing of it */
    assert_int_equal(model->batch_cap, 32);
    for (int i = 0; i < 10000 && model->batch_cap < 64; i++)
        slot_model_grow(model, 16);
    assert_int_equal(model->batch_cap, 64);
    slot_free(&slot);
}

static void what_is_late_is_expected_to_take_as_long_again(void **state)
{
    (void)state;
    struct slot *slot = slot_of(64);
    struct slot_model *model = slot_model(slot, 0);
    curve_suggest(&model->curve, 1000, 100);
    struct lease lease = lease_of(10);
    slot_lease_push(slot, &lease);
    slot_expect(slot, 5000);
    assert_true(slot_policy(slot, model, 6000).start_us <= 7000 &&
                slot_policy(slot, model, 6000).start_us >= 7000);
    assert_true(slot_late_us(slot, 7000) <= 0);
    assert_true(slot_late_us(slot, 7500) >= 500 && slot_late_us(slot, 7500) <= 500);
    assert_true(slot_policy(slot, model, 7500).start_us >= 8000);
    slot_lease_drop(slot, &slot->leases[0]);
    slot_free(&slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(short_memory_halves_the_batch_once),
                                        cmocka_unit_test(
                                            the_batch_grows_to_what_memory_takes_and_seldom_fails),
                                        cmocka_unit_test(allowed_sizes_are_climbed_one_by_one),
                                        cmocka_unit_test(what_is_late_is_expected_to_take_as_long_again) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
