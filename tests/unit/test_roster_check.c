// SPDX-License-Identifier: Apache-2.0
/* roster_check: `up --detach` and `run` wait for those workers that are there from the start. */
#include "client_fixture.h"
#include "fleet.h"
#include "roster_check.h"

static void test_late_workers_are_not_waited_for(void **state)
{
    (void)state;
    struct fleet_worker workers[3] = { { .name = "a" },
                                       { .name = "b" },
                                       { .name = "late", .joins_at_seconds = 5.0 } };
    struct fleet fleet = { .workers_count = 3, .workers = workers };
    assert_false(roster_check_json("[]", &fleet, 0));
    assert_false(roster_check_json("[{\"name\":\"a\"}]", &fleet, 0));
    assert_true(roster_check_json("[{\"name\":\"b\"},{\"name\":\"a\"}]", &fleet, 0));
    assert_false(roster_check_json("nonsense", &fleet, 0));
    fleet.workers_count = 0;
    assert_true(roster_check_json("[]", &fleet, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_late_workers_are_not_waited_for) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
