// SPDX-License-Identifier: Apache-2.0
/* What the scheduler is told of a job: all that a SUBMIT wishes, and the deadline on its own clock. */
#include "clock.h"
#include "coordinator.h"
#include "coordinator_fixture.h"
#include "precision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct coordinator coordinator;
static struct sched_event event;
static const uint8_t no_blob[SHA256_BYTES];

static int set_up(void **state)
{
    (void)state;
    coordinator = (struct coordinator){ .state_dir = "/nonexistent", .now_us = 7000000 };
    coordinator.tenants = tenants_new();
    coordinator.registry = registry_new();
    return coordinator.tenants == NULL || coordinator.registry == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    tenants_free(&coordinator.tenants);
    registry_free(&coordinator.registry);
    return 0;
}

/* As a decoder gives it. */
static struct message_submit wishes(void)
{
    struct message_submit submit = fixture_submit(1, "night", 1000);
    submit.model_blob = no_blob;
    submit.require = submit.prefer = submit.tenant = "";
    return submit;
}

static enum err describe(const struct message_submit *submit, int64_t submitted_us)
{
    struct why why;
    return coordinator_job_event(&coordinator, submit, 5, 3, submitted_us, &event, &why);
}

static void no_wishes(void **state)
{
    (void)state;
    struct message_submit submit = wishes();
    assert_int_equal(describe(&submit, clock_wall_us()), ERR_OK);
    assert_int_equal(event.job, 5);
    assert_int_equal(event.add.model, 3);
    assert_int_equal(event.add.samples, 1000);
    assert_int_equal(event.add.failures_max, 50);
    assert_int_equal(event.add.tenant, 0);
    assert_int_equal(event.add.deadline_us, 0);
    assert_int_equal(event.add.objective, SCHED_FASTEST);
    assert_null(event.add.require);
    assert_null(event.add.prefer);
}

static void all_wishes(void **state)
{
    (void)state;
    struct message_submit submit = wishes();
    submit.require = "price < 1";
    submit.prefer = "device.kind = gpu";
    submit.tenant = "lab";
    submit.objective = SUBMIT_CHEAPEST;
    submit.verify_ppm = 10000;
    submit.priority = -4;
    submit.batch = 16;
    assert_int_equal(describe(&submit, clock_wall_us()), ERR_OK);
    assert_string_equal(event.add.require, "price < 1");
    assert_string_equal(event.add.prefer, "device.kind = gpu");
    assert_int_equal(event.add.tenant, 1);
    assert_int_equal(event.add.objective, SCHED_CHEAPEST);
    assert_int_equal(event.add.verify_ppm, 10000);
    assert_int_equal(event.add.priority, -4);
    assert_int_equal(event.add.batch, 16);
    while (tenants_count(coordinator.tenants) < SCHED_TENANTS_MAX) {
        char name[20];
        snprintf(name, sizeof name, "t%u", tenants_count(coordinator.tenants));
        tenants_number(coordinator.tenants, name);
    }
    submit.tenant = "one-more";
    assert_int_equal(describe(&submit, clock_wall_us()), ERR_FULL);
    assert_int_equal(event.add.tenant, 0); /* a recovered job counts there */
}

/* Five seconds of sixty have passed, perhaps under another coordinator. The test itself may be slow, but not
 * by a second per line; the clock does not go back. */
static void a_deadline_goes_on(void **state)
{
    (void)state;
    struct message_submit submit = wishes();
    submit.deadline_us = 60000000;
    assert_int_equal(describe(&submit, clock_wall_us() - 5000000), ERR_OK);
    assert_in_range(event.add.deadline_us, 7000000 + 25000000, 7000000 + 55000000);
    assert_int_equal(describe(&submit, clock_wall_us() - 90000000), ERR_OK);
    assert_int_equal(event.add.deadline_us, 7000000); /* passed: not none */
    coordinator.now_us = 0;
    assert_int_equal(describe(&submit, clock_wall_us() - 90000000), ERR_OK);
    assert_int_equal(event.add.deadline_us, 1);
}

/* The cheaper ones for slots that have the precision, the last for all. */
static void files_for_unlike_slots(void **state)
{
    (void)state;
    static const uint8_t one[SHA256_BYTES] = { 1 }, two[SHA256_BYTES] = { 2 };
    struct message_variant files[] = { { .blob = two, .format = "onnx", .precision = "fp16" },
                                       { .blob = one, .format = "onnx", .precision = "fp32" } };
    struct message_submit submit = wishes();
    submit.format = "onnx";
    submit.model_blob = one;
    registry_number(coordinator.registry, one);
    submit.variants = &files[1];
    submit.variants_count = 1;
    assert_int_equal(describe(&submit, clock_wall_us()), ERR_OK);
    assert_int_equal(event.add.variants_count, 0); /* it has but one, which runs everywhere */
    submit.variants = files;
    submit.variants_count = 2;
    assert_int_equal(describe(&submit, clock_wall_us()), ERR_OK);
    assert_int_equal(event.add.variants_count, 2);
    assert_int_equal(event.add.variants[0].model, 1);
    assert_int_equal(event.add.variants[0].formats, SCHED_FORMAT_ONNX);
    assert_int_equal(event.add.variants[0].precisions, precision_bit("fp16"));
    assert_int_equal(event.add.variants[1].model, 0);
    assert_int_equal(event.add.variants[1].precisions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_wishes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_wishes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deadline_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_for_unlike_slots, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
