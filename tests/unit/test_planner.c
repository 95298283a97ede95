// SPDX-License-Identifier: Apache-2.0
#include "planner.h"

#include "sim_fixture.h"

static struct why why;

static void three_devices_near_the_bound(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(THREE_DEVICES);
    struct plan plan = { .fleet = fleet, .samples = 3000, .seed = 1 };
    struct plan_outcome cold, warm, equal;
    struct baseline baseline = { .type = BASELINE_EQUAL };
    assert_int_equal(plan_run(&plan, &cold, &why), ERR_OK);
    plan.warm = true;
    assert_int_equal(plan_run(&plan, &warm, &why), ERR_OK);
    plan.baseline = &baseline;
    assert_int_equal(plan_run(&plan, &equal, &why), ERR_OK);
    assert_true(cold.finished && warm.finished && equal.finished);
    assert_true(cold.bound_seconds > 4.95 && cold.bound_seconds < 4.96);
    assert_true(warm.makespan_seconds >= warm.bound_seconds);
    assert_true(warm.makespan_seconds <= 1.04 * warm.bound_seconds);
    assert_true(cold.makespan_seconds <= 1.08 * cold.bound_seconds);
    assert_true(equal.makespan_seconds > 40);
    assert_int_equal(cold.workers_count, 3);
    assert_int_equal(cold.workers[0].samples + cold.workers[1].samples + cold.workers[2].samples, 3000);
    assert_true(cold.energy_joules < 0 && cold.cost < 0 && cold.price_per_hour < 0);
    plan_outcome_fini(&cold);
    plan_outcome_fini(&warm);
    plan_outcome_fini(&equal);
    fleet_free(&fleet);
}

static void one_seed_is_one_history(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(THREE_DEVICES);
    for (int faults = SCENARIO_NONE; faults <= SCENARIO_HARSH; faults++) {
        struct plan plan = {
            .fleet = fleet, .samples = 500, .seed = 7, .faults = (enum scenario_faults)faults
        };
        struct plan_outcome first, second;
        assert_int_equal(plan_run(&plan, &first, &why), ERR_OK);
        assert_int_equal(plan_run(&plan, &second, &why), ERR_OK);
        assert_string_equal(first.reason, "");
        assert_true(first.trace_hash == second.trace_hash && first.events == second.events);
        plan_outcome_fini(&first);
        plan_outcome_fini(&second);
    }
    fleet_free(&fleet);
}

static void energy_and_money(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("workers:\n"
                 "  - name: a\n    curve: { alpha_ms: 0, beta_ms: 10, batch_max: 10 }\n"
                 "    power: { idle_watts: 10, busy_watts: 110 }\n    price_per_hour: 36\n");
    struct plan plan = { .fleet = fleet, .samples = 1000, .seed = 1, .warm = true };
    struct plan_outcome outcome;
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_OK);
    /* Ten seconds of work at 110 W and a little idling; 0.01 a second. */
    assert_true(outcome.energy_joules >= 1100 && outcome.energy_joules < 1103);
    assert_true(outcome.cost >= 0.1 && outcome.cost < 0.1005);
    assert_true(outcome.price_per_hour == 36);
    assert_true(outcome.fleet_cost > outcome.cost && outcome.fleet_cost < 0.1005);
    assert_true(outcome.last_us[0] >= 10000000);
    plan_outcome_fini(&outcome);
    fleet_free(&fleet);
}

static void nobody_left_alive(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("workers:\n  - curve: { alpha_ms: 0, beta_ms: 10, batch_max: 10 }\n    faults: [ { "
                 "at_seconds: 3, dies: true } ]\n  - name: b\n    curve: { alpha_ms: 0, beta_ms: 10 }\n"
                 "    faults: [ { at_seconds: 2, hangs: true } ]\n");
    struct plan plan = { .fleet = fleet, .samples = 100000, .seed = 1 };
    struct plan_outcome outcome;
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_OK);
    assert_false(outcome.finished);
    assert_true(outcome.makespan_seconds < 0 && outcome.bound_seconds < 0);
    assert_non_null(strstr(outcome.reason, "nobody is left alive"));
    assert_in_range(outcome.done, 300, 500);
    plan_outcome_fini(&outcome);
    fleet_free(&fleet);
}

static void small_and_huge_jobs(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(THREE_DEVICES);
    struct plan plan = { .fleet = fleet, .seed = 1 };
    struct plan_outcome outcome;
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_OK);
    assert_true(outcome.finished && outcome.makespan_seconds < 0.1);
    plan_outcome_fini(&outcome);
    plan.samples = 1;
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_OK);
    assert_true(outcome.finished && outcome.done == 1);
    plan_outcome_fini(&outcome);
    plan.samples = 1000000000000;
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "hours"));
    plan_outcome_fini(&outcome);
    fleet_free(&fleet);
}

static void many_workers_are_drawn_as_a_few_rows(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("workers:\n  - name: w\n    count: 200\n    curve: { alpha_ms: 1, beta_ms: 5 }\n");
    struct plan plan = { .fleet = fleet, .samples = 20000, .seed = 3, .faults = SCENARIO_MILD };
    struct plan_outcome outcome;
    char path[] = "/tmp/planner-XXXXXX", bytes[400];
    int fd = mkstemp(path);
    assert_int_equal(plan_run(&plan, &outcome, &why), ERR_OK);
    assert_int_equal(plan_draw(&plan, &outcome, path, &why), ERR_OK);
    close(fd);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    bytes[fread(bytes, 1, sizeof bytes - 1, file)] = 0;
    fclose(file);
    assert_non_null(strstr(bytes, "<svg"));
    assert_non_null(strstr(bytes, "20000 samples on 200 workers"));
    unlink(path);
    plan_outcome_fini(&outcome);
    fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_devices_near_the_bound),
        cmocka_unit_test(one_seed_is_one_history),
        cmocka_unit_test(energy_and_money),
        cmocka_unit_test(nobody_left_alive),
        cmocka_unit_test(small_and_huge_jobs),
        cmocka_unit_test(many_workers_are_drawn_as_a_few_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
