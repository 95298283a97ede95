// SPDX-License-Identifier: Apache-2.0
/* job_options: what was not given is not taken for a zero that was. */
#include "client_fixture.h"
#include "job_options.h"
#include "require.h"

static enum err submit_of(const struct job_options *options, struct motley_submit *submit, const char *words)
{
    struct why why = { "" };
    enum err err = job_options_submit(options, submit, &why);
    if (err != ERR_OK && !strstr(why.text, words))
        fail_msg("\"%s\" lacks \"%s\"", why.text, words);
    return err;
}

static void test_samples_belong_to_the_built_in_model(void **state)
{
    (void)state;
    struct motley_submit submit;
    struct job_options options = JOB_OPTIONS_INIT;
    options.model = "synthetic";
    assert_int_equal(submit_of(&options, &submit, "--samples is missing"), ERR_USAGE);
    options.samples = 0;
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_int_equal(submit.samples, 0);
    options.model = "m.onnx";
    assert_int_equal(submit_of(&options, &submit, "--samples is for the model synthetic"), ERR_USAGE);
    options.samples = UINT64_MAX;
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_int_equal(submit.samples, 0);
}

static void test_a_batch_holds_something(void **state)
{
    (void)state;
    struct motley_submit submit;
    struct job_options options = JOB_OPTIONS_INIT;
    options.model = "m.onnx";
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_int_equal(submit.batch, 0);
    options.batch = 0;
    assert_int_equal(submit_of(&options, &submit, "--batch 0"), ERR_USAGE);
    options.batch = 7;
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_int_equal(submit.batch, 7);
    options.batch = (uint64_t)UINT32_MAX + 1;
    assert_int_equal(submit_of(&options, &submit, "too large"), ERR_USAGE);
}

static void assert_refused(struct job_options options, const char *words)
{
    struct motley_submit submit;
    options.model = "m.onnx";
    assert_int_equal(submit_of(&options, &submit, words), ERR_USAGE);
}

#define OPTIONS(deadline, ...)                                                                               \
    (struct job_options)                                                                                     \
    {                                                                                                        \
        .samples = UINT64_MAX, .batch = UINT64_MAX, .timeout_us = UINT64_MAX, .deadline_us = deadline,       \
        __VA_ARGS__                                                                                          \
    }

static void test_wishes_that_make_no_sense(void **state)
{
    (void)state;
    char longest[REQUIRE_TEXT_MAX + 1000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_refused(OPTIONS(0, .require = NULL), "--deadline 0");
    assert_refused(OPTIONS(UINT64_MAX, .require = "device.knid = gpu"), "device.kind");
    assert_refused(OPTIONS(UINT64_MAX, .require = "device.kind = gpu and device.kind = cpu"),
                   "no device can ever");
    assert_refused(OPTIONS(UINT64_MAX, .require = longest), "--require");
    assert_refused(OPTIONS(UINT64_MAX, .require = ""), "--require");
    assert_refused(OPTIONS(UINT64_MAX, .prefer = "price <"), "--prefer");
    assert_refused(OPTIONS(UINT64_MAX, .tenant = "two words"), "--tenant");
    assert_refused(OPTIONS(UINT64_MAX, .tenant = ""), "--tenant");
    assert_refused(OPTIONS(UINT64_MAX, .tenant = longest), "--tenant");
    const char *const shares[] = { "200%", "-1%", "5", "%", "", "nan%", "5%%", "1e9%" };
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        assert_refused(OPTIONS(UINT64_MAX, .verify = shares[i]), "--verify");
    assert_refused(OPTIONS(UINT64_MAX, .verify = "5"), "such as 5%");
    assert_refused(OPTIONS(UINT64_MAX, .priority = "999999999999"), "out of range");
    assert_refused(OPTIONS(UINT64_MAX, .priority = "high"), "whole number");
    assert_refused(OPTIONS(UINT64_MAX, .name = ""), "--name");
    assert_refused(OPTIONS(UINT64_MAX, .name = "a\nb"), "--name");
    const char *const params[] = { "colour=red",        "precisions",       "",
                                   "accuracy_min=",     "accuracy_min=0",   "accuracy_min=97",
                                   "accuracy_min=0.9x", "accuracy_min=nan", "accuracy_min=-1" };
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
        assert_refused(OPTIONS(UINT64_MAX, .params = { 1, { params[i] } }), "--param");
}

static void test_wishes(void **state)
{
    (void)state;
    struct motley_submit submit;
    struct job_options options =
        OPTIONS(1500000, .model = "m.onnx", .require = "device.memory >= 8GiB", .prefer = "label.room = b12",
                .tenant = "lab.2", .verify = "0.5%", .objective = "greenest");
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_string_equal(submit.require, "device.memory >= 8GiB");
    assert_string_equal(submit.prefer, "label.room = b12");
    assert_string_equal(submit.tenant, "lab.2");
    assert_string_equal(submit.objective, "greenest");
    assert_true(submit.deadline_seconds == 1.5);
    assert_true(submit.verify_share == 0.005);
    options =
        OPTIONS(UINT64_MAX, .model = "m", .params = { 2, { "accuracy_min=0.97", "precisions=fp16,fp32" } });
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_string_equal(submit.precisions, "fp16,fp32");
    assert_true(submit.accuracy_min == 0.97);
    options = OPTIONS(UINT64_MAX, .model = "m.onnx");
    assert_int_equal(submit_of(&options, &submit, ""), ERR_OK);
    assert_null(submit.precisions);
    assert_null(submit.require);
    assert_true(submit.deadline_seconds == 0 && submit.verify_share == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_belong_to_the_built_in_model),
        cmocka_unit_test(test_a_batch_holds_something),
        cmocka_unit_test(test_wishes_that_make_no_sense),
        cmocka_unit_test(test_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
