// SPDX-License-Identifier: Apache-2.0
#include "blame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_slot_counts_once(void **state)
{
    (void)state;
    struct blame blame = { 0 };
    assert_false(blame.suspected);
    assert_false(blame_names(&blame, 7));
    blame_add(&blame, 7);
    blame_add(&blame, 7);
    assert_true(blame.suspected);
    assert_int_equal(blame.failures, 2);
    assert_int_equal(blame.slots_count, 1);
    assert_true(blame_names(&blame, 7));
    assert_false(blame_names(&blame, 8));
    blame_add(&blame, 8);
    assert_int_equal(blame.slots_count, 2);
    assert_true(blame_names(&blame, 7) && blame_names(&blame, 8));
}

static void as_many_as_are_able_are_enough(void **state)
{
    (void)state;
    struct blame blame = { 0 };
    assert_true(blame_exhausted(&blame, &(struct able){ 0 })); /* nobody is left who could */
    assert_false(blame_exhausted(&blame, &(struct able){ 1, { 3 } }));
    blame_add(&blame, 3);
    assert_true(blame_exhausted(&blame, &(struct able){ 1, { 3 } }));
    assert_false(blame_exhausted(&blame, &(struct able){ 2, { 3, 4 } }));
    assert_false(
        blame_exhausted(&blame, &(struct able){ 1, { 4 } })); /* where it failed is gone: who came has not */
}

static void four_slots_are_enough_of_any_number(void **state)
{
    (void)state;
    struct blame blame = { 0 };
    const struct able many = { BLAME_SLOTS_MAX + 1, { 1, 2, 3, 4, 5 } };
    for (uint32_t slot = 1; slot <= BLAME_SLOTS_MAX; slot++) {
        assert_false(blame_exhausted(&blame, &many));
        blame_add(&blame, slot);
    }
    assert_true(blame_exhausted(&blame, &many));
    blame_add(&blame, 99); /* no room: it is counted, not named */
    assert_int_equal(blame.failures, BLAME_SLOTS_MAX + 1);
    assert_int_equal(blame.slots_count, BLAME_SLOTS_MAX);
    assert_false(blame_names(&blame, 99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_slot_counts_once),
        cmocka_unit_test(as_many_as_are_able_are_enough),
        cmocka_unit_test(four_slots_are_enough_of_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
