// SPDX-License-Identifier: Apache-2.0
/* The built-in model: its answers are the mix of the samples' indices, whatever the batches. */
#include "rng.h"
#include "synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct model_signature signature;
    struct runtime_measure measure;
};

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    struct runtime_config config = { .device = "cpu:0", .threads = 1, .numa_node = -1 };
    memset(&fixture, 0, sizeof fixture);
    assert_int_equal(synthetic_ops.available(NULL), ERR_OK);
    assert_int_equal(synthetic_ops.open(&config, &fixture.slot, NULL), ERR_OK);
    assert_int_equal(
        synthetic_ops.load(fixture.slot, NULL, &fixture.model, &fixture.signature, &fixture.measure, NULL),
        ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_ops.unload(fixture.slot, &fixture.model);
    synthetic_ops.close(&fixture.slot);
    assert_null(fixture.model);
    assert_null(fixture.slot);
    return 0;
}

static void the_signature_says_one_number_a_sample(void **state)
{
    (void)state;
    assert_int_equal(fixture.signature.inputs_count, 0);
    assert_int_equal(fixture.signature.outputs_count, 1);
    assert_string_equal(fixture.signature.outputs[0].name, "answer");
    assert_int_equal(fixture.signature.outputs[0].dtype, DTYPE_U64);
    assert_int_equal(fixture.signature.outputs[0].dims_count, 0);
    assert_string_equal(fixture.signature.format, "synthetic");
}

static void answers_are_the_mix_of_the_index(void **state)
{
    (void)state;
    struct batch_in in = { .first = ((uint64_t)1 << 40) - 2, .rows = 5 };
    struct batch_out out;
    assert_int_equal(synthetic_ops.run(fixture.slot, fixture.model, &in, &out, NULL), ERR_OK);
    assert_int_equal(out.outputs_count, 1);
    assert_int_equal(out.outputs_bytes[0], 40);
    assert_int_equal(out.specs[0].dtype, DTYPE_U64);
    const uint64_t *answers = out.outputs[0];
    for (uint64_t i = 0; i < 5; i++)
        assert_true(answers[i] == rng_mix64(in.first + i));
    assert_true(out.energy_joules < 0);
    assert_false(out.overrun);
    batch_out_free(&out);
    batch_out_free(&out);
    assert_null(out.outputs[0]);
}

static void loading_measures_a_curve(void **state)
{
    (void)state;
    assert_true(fixture.measure.samples > 0);
    assert_true(fixture.measure.beta_us > 0);
    assert_true(fixture.measure.alpha_us >= 0);
}

static void a_file_is_refused(void **state)
{
    (void)state;
    struct runtime_model *model = NULL;
    struct why why = { "" };
    assert_int_equal(synthetic_ops.load(fixture.slot, "model.onnx", &model, &fixture.signature, NULL, &why),
                     ERR_UNSUPPORTED);
    assert_null(model);
    assert_non_null(strstr(why.text, "model.onnx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_signature_says_one_number_a_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_the_mix_of_the_index, setup, teardown),
        cmocka_unit_test_setup_teardown(loading_measures_a_curve, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
