// SPDX-License-Identifier: Apache-2.0
/* The batch axis of a model, the table of runtimes, and what inspecting a file says. */
#include "inspect.h"
#include "runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct tensor_spec shape(const char *name, uint32_t dims_count, const int64_t *dims)
{
    struct tensor_spec spec = { .dtype = DTYPE_F32, .dims_count = dims_count };
    snprintf(spec.name, sizeof spec.name, "%s", name);
    memcpy(spec.dims, dims, dims_count * sizeof dims[0]);
    return spec;
}

static struct model_signature model(struct tensor_spec input, struct tensor_spec output)
{
    struct model_signature signature = { .inputs_count = 1, .outputs_count = 1 };
    signature.inputs[0] = input;
    signature.outputs[0] = output;
    return signature;
}

static void any_batch_loses_its_axis(void **state)
{
    (void)state;
    struct model_signature signature =
        model(shape("x", 3, (int64_t[]){ -1, 8, 9 }), shape("y", 1, (int64_t[]){ -1 }));
    struct why why;
    assert_int_equal(signature_find_batch(&signature, &why), ERR_OK);
    assert_int_equal(signature.batch_fixed, 0);
    assert_int_equal(signature.inputs[0].dims_count, 2);
    assert_int_equal(signature.inputs[0].dims[0], 8);
    assert_int_equal(signature.inputs[0].dims[1], 9);
    assert_int_equal(signature.outputs[0].dims_count, 0);
}

static void inner_unknown_dimensions_stay(void **state)
{
    (void)state;
    struct model_signature signature =
        model(shape("ids", 2, (int64_t[]){ -1, -1 }), shape("y", 3, (int64_t[]){ -1, -1, 4 }));
    assert_int_equal(signature_find_batch(&signature, NULL), ERR_OK);
    assert_int_equal(signature.inputs[0].dims[0], -1);
    assert_int_equal(signature.outputs[0].dims[0], -1);
    assert_int_equal(signature.outputs[0].dims[1], 4);
}

static void a_static_axis_is_the_fixed_batch(void **state)
{
    (void)state;
    struct model_signature signature =
        model(shape("x", 2, (int64_t[]){ 4, 8 }), shape("y", 2, (int64_t[]){ 4, 2 }));
    assert_int_equal(signature_find_batch(&signature, NULL), ERR_OK);
    assert_int_equal(signature.batch_fixed, 4);
    assert_int_equal(signature.inputs[0].dims[0], 8);
}

/* Refused, naming the tensor and its shape, and left as it was. */
static void assert_refused(struct model_signature signature, const char *name, const char *printed)
{
    struct why why = { "" };
    struct model_signature before = signature;
    assert_int_equal(signature_find_batch(&signature, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, name));
    assert_non_null(strstr(why.text, printed));
    assert_memory_equal(&before, &signature, sizeof before);
}

static void other_axes_are_refused(void **state)
{
    (void)state;
    struct tensor_spec any = shape("x", 2, (int64_t[]){ -1, 8 }), four = shape("x", 2, (int64_t[]){ 4, 8 });
    assert_refused(model(any, shape("y", 2, (int64_t[]){ 4, 8 })), "'y'", "[4,8]");
    assert_refused(model(four, shape("y", 2, (int64_t[]){ -1, 8 })), "'y'", "[?,8]");
    assert_refused(model(four, shape("y", 2, (int64_t[]){ 5, 8 })), "'y'", "[5,8]");
    assert_refused(model(any, shape("y", 0, (int64_t[]){ 0 })), "'y'", "no dimensions");
    assert_refused(model(shape("x", 1, (int64_t[]){ 0 }), any), "'x'", "[0]");
    assert_refused(model(shape("x", 1, (int64_t[]){ (int64_t)1 << 32 }), any), "'x'", "cannot be a batch");
}

static void a_model_needs_inputs_and_outputs(void **state)
{
    (void)state;
    struct model_signature none = { .outputs_count = 1 };
    assert_refused(none, "0 inputs", "1 outputs");
}

static void runtimes_are_found_by_name(void **state)
{
    (void)state;
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL; ops++) {
        assert_ptr_equal(runtime_find((*ops)->name), *ops);
        assert_non_null((*ops)->formats[0]);
    }
    assert_non_null(runtime_find("synthetic"));
    assert_non_null(runtime_find("emulated"));
    assert_null(runtime_find("abacus"));
    assert_true(runtime_reads(runtime_find("synthetic"), "synthetic"));
    assert_false(runtime_reads(runtime_find("synthetic"), "onnx"));
}

static void the_built_in_model_is_inspected(void **state)
{
    (void)state;
    struct model_signature signature;
    const char *runtime = NULL;
    assert_int_equal(model_inspect(NULL, &signature, &runtime, NULL), ERR_OK);
    assert_string_equal(runtime, "synthetic");
    assert_string_equal(signature.outputs[0].name, "answer");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct model_signature signature;
    const char *runtime = NULL;
    struct why why = { "" };
    assert_int_equal(model_inspect("no/such/model.onnx", &signature, &runtime, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "no/such/model.onnx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_batch_loses_its_axis),         cmocka_unit_test(inner_unknown_dimensions_stay),
        cmocka_unit_test(a_static_axis_is_the_fixed_batch), cmocka_unit_test(other_axes_are_refused),
        cmocka_unit_test(a_model_needs_inputs_and_outputs), cmocka_unit_test(runtimes_are_found_by_name),
        cmocka_unit_test(the_built_in_model_is_inspected),  cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
