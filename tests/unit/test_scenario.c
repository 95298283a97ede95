// SPDX-License-Identifier: Apache-2.0
#include "scenario.h"

#include "sim_fixture.h"

static struct why why;

static void near_to(double a, double b)
{
    if (a < b * (1 - 1e-6) || a > b * (1 + 1e-6))
        fail_msg("%.9g is not %.9g", a, b);
}

static void a_group_is_one_device(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("time_scale: 2\nworkers:\n"
                 "  - name: a\n    count: 1000\n    curve: { alpha_ms: 1, beta_ms: 2, batch_max: 8 }\n"
                 "    batch_sizes: [1, 8]\n    load_seconds: 3\n    joins_at_seconds: 1\n"
                 "    link: { mbit: 8, rtt_ms: 4 }\n    power: { idle_watts: 2, busy_watts: 9 }\n"
                 "    jitter: 0.1\n    faults: [ { at_seconds: 5, throttle: 0.5 } ]\n"
                 "  - name: b\n    curve: { alpha_ms: 1, beta_ms: 2 }\n");
    struct scenario scenario;
    assert_int_equal(scenario_init(&scenario, fleet, 100, true, SCENARIO_NONE, 500, 1, &why), ERR_OK);
    assert_int_equal(scenario.devices_count, 2);
    const struct world_device *a = &scenario.devices[0];
    assert_int_equal(a->count, 1000);
    near_to(a->alpha_us, 2000);
    near_to(a->beta_us, 4000);
    assert_int_equal(a->sizes_count, 2);
    assert_int_equal(a->load_us, 6000000);
    assert_int_equal(a->joins_us, 2000000);
    assert_int_equal(a->link_us, 4000);
    near_to(a->link_us_per_sample, 1000); /* 4000 bits over 8 a microsecond, twice as slow */
    assert_int_equal(a->faults_count, 1);
    assert_int_equal(a->faults[0].at_us, 10000000);
    assert_true(a->warm);
    assert_int_equal(scenario.devices[1].count, 1);
    scenario_fini(&scenario);
    fleet_free(&fleet);
}

static void all_sizes_that_a_fleet_file_may_name(void **state)
{
    (void)state;
    char text[1024];
    size_t used = (size_t)snprintf(text, sizeof text,
                                   "workers:\n  - curve: { alpha_ms: 1, beta_ms: 1, batch_max: 99 }\n"
                                   "    batch_sizes: [1");
    for (uint32_t i = 2; i < FLEET_SIZES_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %u", i);
    snprintf(text + used, sizeof text - used, ", 99]\n");
    struct fleet *fleet = fleet_of(text);
    struct scenario scenario;
    assert_int_equal(scenario_init(&scenario, fleet, 1, false, SCENARIO_NONE, 0, 1, &why), ERR_OK);
    const struct world_device *device = &scenario.devices[0];
    assert_int_equal(device->sizes[0], 1);
    assert_int_equal(device->sizes[device->sizes_count - 1], 99);
    for (uint32_t i = 1; i < device->sizes_count; i++)
        assert_true(device->sizes[i] > device->sizes[i - 1]);
    scenario_fini(&scenario);
    fleet_free(&fleet);
}

static void what_cannot_be_simulated_is_refused(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of("name: x\nworkers: []\n");
    struct scenario scenario;
    assert_int_equal(scenario_init(&scenario, fleet, 1, false, SCENARIO_NONE, 0, 1, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "no workers"));
    scenario_fini(&scenario);
    fleet_free(&fleet);
    fleet = fleet_of("workers:\n  - local: true\n    name: here\n");
    assert_int_equal(scenario_init(&scenario, fleet, 1, false, SCENARIO_NONE, 0, 1, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "'here'"));
    assert_non_null(strstr(why.text, "curve"));
    scenario_fini(&scenario);
    fleet_free(&fleet);
}

static void a_catalog_device_starts_with_its_prior(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of("workers:\n  - device: nvidia-t4\n");
    struct scenario scenario;
    assert_int_equal(scenario_init(&scenario, fleet, 1000, false, SCENARIO_NONE, 0, 1, &why), ERR_OK);
    assert_false(scenario.devices[0].warm);
    assert_true(scenario.devices[0].prior_beta_us > 0);
    scenario_fini(&scenario);
    fleet_free(&fleet);
}

/* The world numbers its workers as the fleet does, however a group is cut up; somebody always survives. */
static void drawn_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        char text[256];
        uint32_t count = 1 + (uint32_t)(seed * 7 % 120), hit = 0, ended = 0, workers = 0;
        snprintf(
            text, sizeof text,
            "workers:\n  - name: x\n    curve: { alpha_ms: 1, beta_ms: 2 }\n    faults: [ { at_seconds: 1, "
            "throttle: 0.9 } ]\n  - name: y\n    count: %u\n    curve: { alpha_ms: 1, beta_ms: 2 }\n",
            count);
        struct fleet *fleet = fleet_of(text);
        struct scenario scenario;
        enum scenario_faults faults = seed % 2 ? SCENARIO_MILD : SCENARIO_HARSH;
        assert_int_equal(scenario_init(&scenario, fleet, 100000, false, faults, 0, seed, &why), ERR_OK);
        assert_true(scenario.bound_us > 0);
        for (uint32_t i = 0; i < scenario.devices_count; i++) {
            const struct world_device *device = &scenario.devices[i];
            workers += device->count;
            hit += device->faults_count > (i == 0);
            for (uint32_t f = 1; f < device->faults_count; f++)
                assert_true(device->faults[f - 1].at_us <= device->faults[f].at_us);
            for (uint32_t f = 0; f < device->faults_count; f++)
                ended += device->faults[f].type != WORLD_THROTTLE;
        }
        assert_int_equal(workers, count + 1);
        assert_true(hit > 0);
        assert_true(ended < workers);
        if (faults == SCENARIO_MILD && count >= 2)
            assert_int_equal(ended, (count + 1) / 100 ? (count + 1) / 100 : 1);
        scenario_fini(&scenario);
        fleet_free(&fleet);
    }
}

static void a_workers_samples_are_what_the_bound_is_made_of(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("time_scale: 2\nworkers:\n  - curve: { alpha_ms: 0, beta_ms: 5 }\n"
                 "    load_seconds: 1\n    joins_at_seconds: 1\n    faults:\n"
                 "      - { at_seconds: 2, throttle: 0.5 }\n      - { at_seconds: 4, dies: true }\n");
    const struct fleet_worker *worker = &fleet->workers[0];
    /* 100 a second from 4 s, 50 from 6 s, none from 10 s. */
    near_to(1 + scenario_worker_samples(fleet, worker, 4), 1);
    near_to(scenario_worker_samples(fleet, worker, 5), 100);
    near_to(scenario_worker_samples(fleet, worker, 8), 300);
    near_to(scenario_worker_samples(fleet, worker, 20), 400);
    near_to(fleet_bound_seconds(fleet, 300), 8);
    fleet_free(&fleet);
}

/* The world's bound and the fleet reader's are written apart from each other: they must agree. */
static void both_bounds_agree_on_drawn_fleets(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fleet *fleet;
        struct scenario scenario;
        uint64_t samples;
        assert_int_equal(scenario_draw_fleet(seed, 60, &fleet, &samples, &why), ERR_OK);
        assert_in_range(fleet->workers_count, 2, 64);
        assert_true(samples > 0);
        assert_int_equal(scenario_init(&scenario, fleet, samples, false, SCENARIO_NONE, 0, seed, &why),
                         ERR_OK);
        near_to(scenario.bound_us / 1e6, fleet_bound_seconds(fleet, samples));
        double work = 0;
        for (uint32_t i = 0; i < fleet->workers_count; i++)
            work += scenario_worker_samples(fleet, &fleet->workers[i], scenario.bound_us / 1e6);
        near_to(work, (double)samples);
        scenario_fini(&scenario);
        fleet_free(&fleet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_one_device),
        cmocka_unit_test(all_sizes_that_a_fleet_file_may_name),
        cmocka_unit_test(what_cannot_be_simulated_is_refused),
        cmocka_unit_test(a_catalog_device_starts_with_its_prior),
        cmocka_unit_test(drawn_faults),
        cmocka_unit_test(a_workers_samples_are_what_the_bound_is_made_of),
        cmocka_unit_test(both_bounds_agree_on_drawn_fleets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
