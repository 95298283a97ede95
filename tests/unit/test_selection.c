// SPDX-License-Identifier: Apache-2.0
#include "selection.h"

#include "coordinator_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Jobs 1 to 9; 4 is not accepted yet; 2 and 6 are called "night". */
static int set_up(void **state)
{
    struct jobs *jobs = jobs_new(100);
    for (uint8_t number = 1; number <= 9; number++) {
        struct message_submit submit = fixture_submit(number, number == 2 || number == 6 ? "night" : "", 1);
        struct record *record;
        assert_int_equal(jobs_add(jobs, number, &submit, 0, &record, NULL), ERR_OK);
        if (number != 4)
            record->state = RECORD_QUEUED;
    }
    *state = jobs;
    return 0;
}

static int tear_down(void **state)
{
    struct jobs *jobs = *state;
    jobs_free(&jobs);
    return 0;
}

static void check(const struct jobs *jobs, const char *which, bool several, size_t count, uint64_t first,
                  uint64_t last)
{
    struct selection selection;
    assert_int_equal(selection_init(&selection, jobs, NULL, which, NULL), ERR_OK);
    assert_int_equal(selection.several, several);
    assert_int_equal(selection.count, count);
    assert_int_equal(selection.numbers[0], first);
    assert_int_equal(selection.numbers[count - 1], last);
    selection_fini(&selection);
}

static void words_mean_jobs(void **state)
{
    check(*state, "3", false, 1, 3, 3);
    check(*state, "last", false, 1, 9, 9);
    check(*state, "all", true, 8, 1, 9);
    check(*state, "", true, 8, 1, 9);
    check(*state, "3-7", true, 4, 3, 7);
    check(*state, "5-5", true, 1, 5, 5);
    check(*state, "8-1000", true, 2, 8, 9);
    check(*state, "night", false, 1, 6, 6);
}

static void words_that_mean_none_are_refused(void **state)
{
    const char *unknown[] = { "77", "4", "10-12", "day", "3-", "-3", "3-x", "3x", "99999999999999999999999" };
    struct selection selection;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(selection_init(&selection, *state, NULL, unknown[i], NULL), ERR_NOT_FOUND);
    assert_int_equal(selection_init(&selection, *state, NULL, "7-3", NULL), ERR_USAGE);
}

static void no_job_at_all(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(1);
    struct selection selection;
    assert_int_equal(selection_init(&selection, jobs, NULL, "last", NULL), ERR_NOT_FOUND);
    assert_int_equal(selection_init(&selection, jobs, NULL, "all", NULL), ERR_OK);
    assert_int_equal(selection.count, 0);
    selection_fini(&selection);
    jobs_free(&jobs);
}

static void names_that_mean_something_else(void **state)
{
    (void)state;
    assert_true(selection_can_name("digits"));
    assert_true(selection_can_name("3rd"));
    assert_false(selection_can_name("3"));
    assert_false(selection_can_name("3-7"));
    assert_false(selection_can_name("last"));
    assert_false(selection_can_name("all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_mean_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_that_mean_none_are_refused, set_up, tear_down),
        cmocka_unit_test(no_job_at_all),
        cmocka_unit_test(names_that_mean_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
