// SPDX-License-Identifier: Apache-2.0
/* Emulated devices: the arithmetic of their time, exactly; then the runtime itself, whose waits are real but
 * short. No upper bound on a time is asserted: a busy machine may be late, a device must never be early. */
#include "clock.h"
#include "emulated.h"
#include "emulation.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct fleet fleet;
static struct fleet_worker member;
static struct fleet_fault faults[FLEET_FAULTS_MAX];
static uint32_t sizes[2];

static int reset(void **state)
{
    (void)state;
    fleet = (struct fleet){ .time_scale = 1.0 };
    member = (struct fleet_worker){ .name = "lab-1",
                                    .has_curve = true,
                                    .curve = { .alpha_ms = 2, .beta_ms = 1, .batch_max = 8 },
                                    .idle_watts = -1,
                                    .busy_watts = -1,
                                    .price_per_hour = -1,
                                    .sizes = sizes,
                                    .faults = faults };
    return 0;
}

static void add_fault(double at_seconds, enum fleet_fault_kind kind, double factor)
{
    faults[member.faults_count++] =
        (struct fleet_fault){ .at_seconds = at_seconds, .kind = kind, .factor = factor };
}

static uint64_t finish_us(uint64_t start_us, double work_us)
{
    return emulation_finish_us(&fleet, &member, 1000000, start_us, work_us);
}

static void batches_are_padded_to_allowed_sizes(void **state)
{
    (void)state;
    assert_int_equal(emulation_padded(&member, 3), 3);
    assert_int_equal(emulation_padded(&member, 8), 8);
    assert_int_equal(emulation_padded(&member, 9), 0);
    member.sizes_count = 2;
    sizes[0] = 2;
    sizes[1] = 8;
    assert_int_equal(emulation_padded(&member, 1), 2);
    assert_int_equal(emulation_padded(&member, 3), 8);
    assert_int_equal(emulation_padded(&member, 9), 0);
}

static void time_follows_the_curve_and_the_scale(void **state)
{
    (void)state;
    assert_true(emulation_work_us(&fleet, &member, 5) == 7000);
    member.load_seconds = 2;
    fleet.time_scale = 0.5;
    assert_true(emulation_work_us(&fleet, &member, 5) == 3500);
    assert_int_equal(emulation_load_us(&fleet, &member), 1000000);
    member.load_seconds = 1e300;
    assert_int_equal(emulation_load_us(&fleet, &member), 1000000000000000000);
}

static void jitter_has_mean_one_and_the_given_deviation(void **state)
{
    (void)state;
    static const double JITTERS[] = { 0.05, 0.3, 0.9 };
    struct rng rng;
    rng_init(&rng, 7);
    assert_true(emulation_jitter(&rng, 0) == 1);
    for (size_t i = 0; i < sizeof JITTERS / sizeof JITTERS[0]; i++) {
        double sum = 0, squares = 0;
        enum { DRAWS = 400000 };
        for (int n = 0; n < DRAWS; n++) {
            double factor = emulation_jitter(&rng, JITTERS[i]);
            assert_true(factor > 0);
            sum += factor;
            squares += factor * factor;
        }
        double mean = sum / DRAWS, deviation = sqrt(squares / DRAWS - mean * mean);
        assert_true(fabs(mean - 1) < 0.005);
        assert_true(fabs(deviation - JITTERS[i]) < 0.05 * JITTERS[i]);
    }
}

static void a_throttle_slows_the_rest_of_a_batch(void **state)
{
    (void)state;
    add_fault(1, FLEET_THROTTLE, 0.5);
    add_fault(2, FLEET_THROTTLE, 1.0);
    assert_int_equal(finish_us(1000000, 500000), 1500000);  /* over before it */
    assert_int_equal(finish_us(1000000, 1000000), 2000000); /* over as it begins */
    assert_int_equal(finish_us(1900000, 200000), 2200000);  /* 0.1 s at full speed, 0.1 s of work at half */
    assert_int_equal(finish_us(2500000, 100000), 2700000);  /* wholly within */
    assert_int_equal(finish_us(2500000, 500000), 3250000);  /* half a second at half speed, the rest healed */
    assert_int_equal(finish_us(9000000, 500000), 9500000);  /* long healed */
    fleet.time_scale = 2;
    assert_int_equal(finish_us(1000000, 2000000), 3000000);
    assert_int_equal(finish_us(3000000, 1000000), 5000000);
}

static void a_hang_never_ends(void **state)
{
    (void)state;
    add_fault(1, FLEET_THROTTLE, 0.5);
    add_fault(2, FLEET_HANGS, 0);
    add_fault(3, FLEET_THROTTLE, 1.0);
    assert_int_equal(finish_us(2000000, 500000), 3000000);
    assert_true(finish_us(2000000, 500001) == EMULATION_NEVER);
    assert_true(finish_us(9000000, 1) == EMULATION_NEVER);
    assert_int_equal(emulation_hang_us(&fleet, &member, 1000000), 3000000);
    assert_true(emulation_death_us(&fleet, &member, 1000000) == EMULATION_NEVER);
}

/* A random staircase: the area under it from start to finish must be the work. */
static void the_area_under_the_throttles_is_the_work(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 2000; round++) {
        member.faults_count = 0;
        double at = 0;
        for (uint64_t i = rng_below(&rng, FLEET_FAULTS_MAX); i > 0; i--)
            add_fault(at += rng_unit(&rng), FLEET_THROTTLE, 0.1 + 2 * rng_unit(&rng));
        uint64_t start = 1000000 + rng_below(&rng, 4000000), end = finish_us(start, 700000);
        double area = 0, speed = 1, from = (double)start;
        for (uint32_t i = 0; i <= member.faults_count; i++) {
            double to = i < member.faults_count ? 1e6 + faults[i].at_seconds * 1e6 : 1e18;
            to = fmin(fmax(to, from), (double)end);
            area += (to - from) * speed;
            from = fmax(from, to);
            speed = i < member.faults_count ? faults[i].factor : 0;
        }
        assert_true(fabs(area - 700000) < 40);
    }
}

struct device {
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct model_signature signature;
};

static struct device open_device(void)
{
    struct device device = { .slot = NULL };
    struct runtime_config config = { .device = "cpu:0",
                                     .threads = 1,
                                     .numa_node = -1,
                                     .fleet = &fleet,
                                     .member = &member,
                                     .joined_us = clock_monotonic_us() };
    assert_int_equal(emulated_ops.open(&config, &device.slot, NULL), ERR_OK);
    return device;
}

static enum err load_device(struct device *device)
{
    struct runtime_measure measure = { .samples = 1 };
    struct why why;
    enum err err = emulated_ops.load(device->slot, NULL, &device->model, &device->signature, &measure, &why);
    assert_int_equal(measure.samples, 0);
    return err;
}

static void close_device(struct device *device)
{
    emulated_ops.unload(device->slot, &device->model);
    emulated_ops.close(&device->slot);
    assert_null(device->slot);
}

static void answers_are_real_and_never_early(void **state)
{
    (void)state;
    member.busy_watts = 10;
    member.load_seconds = 0.003;
    struct device device = open_device();
    uint64_t started_us = clock_monotonic_us();
    assert_int_equal(load_device(&device), ERR_OK);
    assert_true(clock_monotonic_us() - started_us >= 3000);
    struct batch_in in = { .first = 100, .rows = 5 };
    struct batch_out out;
    assert_int_equal(emulated_ops.run(device.slot, device.model, &in, &out, NULL), ERR_OK);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(((const uint64_t *)out.outputs[0])[i] == rng_mix64(100 + i));
    assert_true(out.run_us >= 7000);
    assert_true(fabs(out.energy_joules - 10e-6 * (double)out.run_us) < 1e-9);
    batch_out_free(&out);
    close_device(&device);
}

static void a_curve_that_the_cpu_cannot_keep_is_an_overrun(void **state)
{
    (void)state;
    member.curve = (struct fleet_curve){ .alpha_ms = 0, .beta_ms = 1e-9, .batch_max = 1000000 };
    struct device device = open_device();
    assert_int_equal(load_device(&device), ERR_OK);
    struct batch_in in = { .rows = 1000000 };
    struct batch_out out;
    assert_int_equal(emulated_ops.run(device.slot, device.model, &in, &out, NULL), ERR_OK);
    assert_true(out.overrun);
    batch_out_free(&out);
    close_device(&device);
}

static void a_batch_too_large_is_refused(void **state)
{
    (void)state;
    struct device device = open_device();
    assert_int_equal(load_device(&device), ERR_OK);
    struct batch_in in = { .rows = 9 };
    struct batch_out out;
    struct why why = { "" };
    assert_int_equal(emulated_ops.run(device.slot, device.model, &in, &out, &why), ERR_LIMIT);
    assert_int_equal(out.outputs_count, 0);
    assert_non_null(strstr(why.text, "lab-1"));
    close_device(&device);
}

static void *cancel(void *slot)
{
    emulated_ops.cancel(slot);
    return NULL;
}

/* The canceller may come before, in or after the moment that the run begins to wait: all end the run. */
static void a_hung_run_ends_by_cancel(void **state)
{
    (void)state;
    struct device device = open_device();
    assert_int_equal(load_device(&device), ERR_OK);
    add_fault(0, FLEET_HANGS, 0);
    struct batch_in in = { .rows = 1 };
    struct batch_out out;
    for (int round = 0; round < 20; round++) {
        pthread_t canceller;
        assert_int_equal(pthread_create(&canceller, NULL, cancel, device.slot), 0);
        assert_int_equal(emulated_ops.run(device.slot, device.model, &in, &out, NULL), ERR_CANCELLED);
        assert_int_equal(out.outputs_count, 0);
        pthread_join(canceller, NULL);
    }
    close_device(&device);
}

static void a_load_on_a_hung_device_ends_by_cancel(void **state)
{
    (void)state;
    add_fault(0, FLEET_HANGS, 0);
    struct device device = open_device();
    emulated_ops.cancel(device.slot);
    assert_int_equal(load_device(&device), ERR_CANCELLED);
    assert_null(device.model);
    close_device(&device);
}

/* In a child, which must die by SIGKILL while it does nothing. */
static void a_device_dies_idle(void **state)
{
    (void)state;
    add_fault(0.001, FLEET_DIES, 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_device();
        for (;;)
            pause();
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_device_closed_before_its_death_lives(void **state)
{
    (void)state;
    add_fault(1e6, FLEET_DIES, 0);
    struct device device = open_device();
    assert_int_equal(load_device(&device), ERR_OK);
    close_device(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(batches_are_padded_to_allowed_sizes, reset),
        cmocka_unit_test_setup(time_follows_the_curve_and_the_scale, reset),
        cmocka_unit_test_setup(jitter_has_mean_one_and_the_given_deviation, reset),
        cmocka_unit_test_setup(a_throttle_slows_the_rest_of_a_batch, reset),
        cmocka_unit_test_setup(a_hang_never_ends, reset),
        cmocka_unit_test_setup(the_area_under_the_throttles_is_the_work, reset),
        cmocka_unit_test_setup(a_device_dies_idle, reset),
        cmocka_unit_test_setup(answers_are_real_and_never_early, reset),
        cmocka_unit_test_setup(a_curve_that_the_cpu_cannot_keep_is_an_overrun, reset),
        cmocka_unit_test_setup(a_batch_too_large_is_refused, reset),
        cmocka_unit_test_setup(a_hung_run_ends_by_cancel, reset),
        cmocka_unit_test_setup(a_load_on_a_hung_device_ends_by_cancel, reset),
        cmocka_unit_test_setup(a_device_closed_before_its_death_lives, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
