// SPDX-License-Identifier: Apache-2.0
/* Figures here are worked out by hand: curves without jitter, a network without delay. */
#include "baseline.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES_MAX = 4096 };

static uint8_t times_done[SAMPLES_MAX];
static struct world_worker_figures figures[64];
static struct world_report report;
static struct why why;

static void mark_done(void *context, const struct world_run *run)
{
    (void)context;
    for (uint64_t i = run->first; run->kept && i < run->first + run->count; i++)
        times_done[i]++;
}

static void run(const char *policy, const struct world_device *devices, uint32_t count, uint64_t samples)
{
    struct baseline baseline;
    const struct world_config config = { .seed = 1,
                                         .devices = devices,
                                         .devices_count = count,
                                         .jobs_count = 1,
                                         .samples = &samples,
                                         .on_run = mark_done,
                                         .workers = figures };
    memset(times_done, 0, sizeof times_done);
    assert_int_equal(baseline_parse(policy, &baseline, &why), ERR_OK);
    assert_true(baseline_run(&baseline, &config, &report));
    for (uint64_t i = 0; report.finished && i < samples && i < SAMPLES_MAX; i++)
        assert_int_equal(times_done[i], 1);
}

static struct world_device device(double alpha_ms, double beta_ms, uint32_t batch_max)
{
    return (
        struct world_device){ .alpha_us = alpha_ms * 1e3, .beta_us = beta_ms * 1e3, .batch_max = batch_max };
}

static void equal_shares_wait_for_the_slowest(void **state)
{
    (void)state;
    const struct world_device devices[] = { device(0, 40, 10), device(0, 10, 10) };
    run("equal", devices, 2, 100);
    assert_int_equal(report.makespan_us, 50 * 40000);
    assert_int_equal(figures[0].samples, 50);
    assert_int_equal(figures[1].samples, 50);
    assert_int_equal(report.batches, 10);
    /* One more sample goes to the first. */
    run("equal", devices, 2, 101);
    assert_int_equal(figures[0].samples, 51);
}

static void a_queue_serves_whoever_is_idle(void **state)
{
    (void)state;
    const struct world_device devices[] = { device(0, 40, 10), device(0, 10, 10) };
    run("pull:10", devices, 2, 100);
    /* Slow: [0, 400], [400, 800]; fast: eight of 100 ms each. */
    assert_int_equal(report.makespan_us, 800000);
    assert_int_equal(figures[0].samples, 20);
    assert_int_equal(figures[1].samples, 80);
}

static void actors_hold_four_chunks(void **state)
{
    (void)state;
    const struct world_device devices[] = { device(0, 40, 10), device(0, 10, 10) };
    run("actors:10", devices, 2, 100);
    /* Dealt out in turn: the slow one has four of the first eight, 1.6 s of work. */
    assert_int_equal(report.makespan_us, 1600000);
    assert_int_equal(figures[0].samples, 40);
    /* Less than a round: evenly, whatever the order of speed. */
    run("actors:10", devices, 2, 40);
    assert_int_equal(figures[0].samples, 20);
    assert_int_equal(figures[1].samples, 20);
}

static void batches_fit_the_device(void **state)
{
    (void)state;
    struct world_device devices[] = { device(10, 1, 64) };
    devices[0].sizes_count = 3;
    devices[0].sizes[0] = 1;
    devices[0].sizes[1] = 8;
    devices[0].sizes[2] = 64;
    devices[0].memory_batch = 16;
    run("pull:20", devices, 1, 20);
    /* 8, 8 and 4 padded to 8: three times 10 + 8 ms. */
    assert_int_equal(report.makespan_us, 54000);
    assert_int_equal(report.batches, 3);
}

static void load_join_and_link_cost_time(void **state)
{
    (void)state;
    struct world_device devices[] = { device(0, 10, 1) };
    devices[0].joins_us = 1000000;
    devices[0].load_us = 500000;
    devices[0].link_us = 1000;
    devices[0].link_us_per_sample = 100;
    run("pull:1", devices, 1, 2);
    /* Ready at 1.5 s; per chunk: ask and answer 2 ms, input 0.1 ms, 10 ms of work; the last answer 1 ms. */
    assert_int_equal(report.makespan_us, 1500000 + 2 * (2000 + 100 + 10000) + 1000);
    assert_int_equal(figures[0].up_us, report.makespan_us - 1000000);
}

static void throttling_stretches_the_rest(void **state)
{
    (void)state;
    const struct world_fault faults[] = { { .at_us = 50000, .type = WORLD_THROTTLE, .factor = 0.5 },
                                          { .at_us = 150000, .type = WORLD_THROTTLE, .factor = 1 } };
    struct world_device devices[] = { device(0, 10, 20) };
    devices[0].faults = faults;
    devices[0].faults_count = 2;
    run("equal", devices, 1, 20);
    /* 200 ms of work: 50, then 100 ms for 50, then 100. */
    assert_int_equal(report.makespan_us, 250000);
}

static void what_a_dead_worker_held_is_given_again(void **state)
{
    (void)state;
    static const char *const policies[] = { "equal", "pull:7", "actors:7" };
    const struct world_fault dies[] = { { .at_us = 95000, .type = WORLD_DIES } };
    struct world_device devices[] = { device(0, 10, 4), device(0, 20, 4) };
    devices[0].faults = dies;
    devices[0].faults_count = 1;
    for (int i = 0; i < 3; i++) {
        run(policies[i], devices, 2, 100);
        assert_true(report.finished);
        assert_int_equal(report.lost, 0);
        assert_int_equal(figures[0].samples + figures[1].samples, 100);
        assert_in_range(figures[0].samples, 4, 9);
        assert_int_equal(figures[0].up_us, 95000);
    }
}

static void a_hang_is_noticed_after_the_timeout(void **state)
{
    (void)state;
    const struct world_fault hangs[] = { { .at_us = 5000, .type = WORLD_HANGS } };
    struct world_device devices[] = { device(0, 10, 1), device(0, 10, 1) };
    devices[0].faults = hangs;
    devices[0].faults_count = 1;
    run("pull:1", devices, 2, 10);
    assert_true(report.finished);
    assert_int_equal(figures[0].samples, 0);
    assert_int_equal(report.makespan_us, 10000 + BASELINE_TIMEOUT_US + 10000);
}

static void nobody_left_is_not_finished(void **state)
{
    (void)state;
    const struct world_fault dies[] = { { .at_us = 35000, .type = WORLD_DIES } };
    struct world_device devices[] = { device(0, 10, 1) };
    devices[0].faults = dies;
    devices[0].faults_count = 1;
    run("pull:1", devices, 1, 10);
    assert_false(report.finished);
    assert_int_equal(report.lost, 7);
    assert_true(report.bound_us < 0);
}

static void small_jobs(void **state)
{
    (void)state;
    static const char *const policies[] = { "equal", "pull:16", "actors:16" };
    const struct world_device devices[] = { device(1, 10, 4), device(1, 10, 4), device(1, 10, 4) };
    for (int i = 0; i < 3; i++) {
        run(policies[i], devices, 3, 0);
        assert_true(report.finished);
        assert_int_equal(report.makespan_us, 0);
        run(policies[i], devices, 3, 1);
        assert_true(report.finished);
        assert_int_equal(report.makespan_us, 11000);
    }
}

/* Never below the bound, never lost, and the same twice. */
static void random_fleets(void **state)
{
    (void)state;
    static const char *const policies[] = { "equal", "pull:5", "actors:9" };
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng rng;
        struct world_device devices[6];
        struct world_fault faults[6];
        rng_init(&rng, seed);
        uint32_t count = 2 + (uint32_t)rng_below(&rng, 5);
        for (uint32_t i = 0; i < count; i++) {
            devices[i] = device((double)rng_below(&rng, 20), 0.1 * (double)(1 + rng_below(&rng, 99)),
                                1 + (uint32_t)rng_below(&rng, 20));
            devices[i].count = 1 + (uint32_t)rng_below(&rng, 3);
            devices[i].load_us = rng_below(&rng, 50000);
            faults[i] = (struct world_fault){ .at_us = rng_below(&rng, 500000),
                                              .type = (enum world_fault_type)rng_below(&rng, 3),
                                              .factor = 0.5 };
            devices[i].faults = &faults[i];
            devices[i].faults_count = i > 0 && rng_below(&rng, 2);
        }
        for (int p = 0; p < 3; p++) {
            uint64_t samples = rng_below(&rng, SAMPLES_MAX);
            run(policies[p], devices, count, samples);
            uint64_t hash = report.trace_hash;
            if (!report.finished || report.lost ||
                (double)report.makespan_us < report.bound_us * 0.999999 - 2)
                fail_msg("seed %llu, %s: makespan %llu us, bound %.0f us, lost %llu",
                         (unsigned long long)seed, policies[p], (unsigned long long)report.makespan_us,
                         report.bound_us, (unsigned long long)report.lost);
            run(policies[p], devices, count, samples);
            assert_true(report.trace_hash == hash);
        }
    }
}

static void names(void **state)
{
    (void)state;
    static const char *const bad[] = { "",        "pull",   "pull:",   "pull:0",  "pull:-1",
                                       "equal:3", "actors", "pull:1x", "pull: 1", "pull:1000000000000",
                                       "random",  "e" };
    struct baseline baseline;
    char name[BASELINE_NAME_MAX];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(baseline_parse(bad[i], &baseline, &why), ERR_USAGE);
        assert_non_null(strstr(why.text, "motley, equal, pull:B and actors:B"));
    }
    assert_int_equal(baseline_parse("actors:32", &baseline, &why), ERR_OK);
    baseline_name(&baseline, name);
    assert_string_equal(name, "actors:32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_shares_wait_for_the_slowest),
        cmocka_unit_test(a_queue_serves_whoever_is_idle),
        cmocka_unit_test(actors_hold_four_chunks),
        cmocka_unit_test(batches_fit_the_device),
        cmocka_unit_test(load_join_and_link_cost_time),
        cmocka_unit_test(throttling_stretches_the_rest),
        cmocka_unit_test(what_a_dead_worker_held_is_given_again),
        cmocka_unit_test(a_hang_is_noticed_after_the_timeout),
        cmocka_unit_test(nobody_left_is_not_finished),
        cmocka_unit_test(small_jobs),
        cmocka_unit_test(random_fleets),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
