// SPDX-License-Identifier: Apache-2.0
/* job_options: what was not given is not taken for a zero that was. */
#include "client_fixture.h"
#include "job_options.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_belong_to_the_built_in_model),
        cmocka_unit_test(test_a_batch_holds_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
