// SPDX-License-Identifier: Apache-2.0
/* signature: the JSON of `motley-worker --check-model` and of the view `model`. */
#include "client_fixture.h"

#include <sys/stat.h>

static enum err parse(const char *json, struct signature *signature)
{
    struct why why = { "" };
    enum err err = signature_parse(json, strlen(json), "m.onnx", signature, &why);
    if (err != ERR_OK)
        assert_non_null(strstr(why.text, "m.onnx"));
    return err;
}

static void test_all_of_it_is_read(void **state)
{
    (void)state;
    struct signature s;
    assert_int_equal(parse("{\"format\":\"onnx\",\"runtime\":\"onnxruntime\",\"batch\":4,\"precision\":null,"
                           "\"inputs\":[{\"name\":\"a\",\"dtype\":\"float32\",\"shape\":[3,null,-1]},"
                           "{\"name\":\"b\",\"dtype\":\"int64\",\"shape\":[]}],"
                           "\"outputs\":[{\"name\":\"y\",\"dtype\":\"uint8\",\"shape\":[0]}],\"later\":{}}",
                           &s),
                     ERR_OK);
    assert_string_equal(s.format, "onnx");
    assert_string_equal(s.precision, "");
    assert_int_equal(s.batch_fixed, 4);
    assert_int_equal(s.inputs_count, 2);
    assert_int_equal(s.inputs[0].dims_count, 3);
    assert_int_equal(s.inputs[0].dims[0], 3);
    assert_int_equal(s.inputs[0].dims[1], -1);
    assert_int_equal(s.inputs[0].dims[2], -1);
    assert_int_equal(s.inputs[1].dtype, DTYPE_I64);
    assert_int_equal(s.inputs[1].dims_count, 0);
    assert_int_equal(s.outputs[0].dims[0], 0);
}

static void test_any_batch(void **state)
{
    (void)state;
    struct signature s;
    assert_int_equal(parse("{\"format\":\"onnx\",\"batch\":\"any\",\"inputs\":[],\"outputs\":[]}", &s),
                     ERR_OK);
    assert_int_equal(s.batch_fixed, 0);
}

static void test_what_is_not_a_signature_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"format\":\"onnx\"}",
        "{\"format\":7,\"inputs\":[],\"outputs\":[]}",
        "{\"format\":\"onnx\",\"batch\":-1,\"inputs\":[],\"outputs\":[]}",
        "{\"format\":\"onnx\",\"batch\":99999999999,\"inputs\":[],\"outputs\":[]}",
        "{\"format\":\"onnx\",\"inputs\":[{\"name\":\"a\",\"dtype\":\"text\",\"shape\":[]}],\"outputs\":[]}",
        "{\"format\":\"onnx\",\"inputs\":[{\"name\":\"a\",\"dtype\":\"int8\",\"shape\":[-2]}],\"outputs\":[]"
        "}",
        "{\"format\":\"onnx\",\"inputs\":[{\"name\":\"a\",\"dtype\":\"int8\",\"shape\":[1,1,1,1,1,1,1,1,1]}],"
        "\"outputs\":[]}",
        "{\"format\":\"onnx\",\"inputs\":[{\"name\":\"a\",\"dtype\":\"int8\"}],\"outputs\":[]}",
    };
    struct signature s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(bad[i], &s) != ERR_FORMAT)
            fail_msg("accepted: %s", bad[i]);
}

static void test_synthetic_is_built_in(void **state)
{
    (void)state;
    struct signature s;
    signature_synthetic(&s);
    assert_int_equal(s.inputs_count, 0);
    assert_int_equal(s.outputs_count, 1);
    assert_int_equal(tensor_row_bytes(&s.outputs[0]), 8);
}

/* A stand-in for motley-worker, named by the variable that users have for it. */
static void stand_in(const char *script)
{
    const char *path = fixture_write("worker", script, strlen(script));
    assert_int_equal(chmod(path, 0700), 0);
    setenv("MOTLEY_WORKER", path, 1);
}

static void test_a_file_is_asked_of_the_worker(void **state)
{
    (void)state;
    struct signature s;
    struct why why;
    char *json;
    stand_in("#!/bin/sh\n[ \"$1 $2 $3\" = '--check-model m.onnx --json' ] || exit 1\n"
             "echo '{\"format\":\"onnx\",\"inputs\":[],\"outputs\":[]}'\n");
    assert_int_equal(signature_of_file("m.onnx", &s, &json, &why), ERR_OK);
    assert_string_equal(s.format, "onnx");
    assert_non_null(strstr(json, "onnx"));
    free(json);
    stand_in("#!/bin/sh\necho 'a log line' >&2\necho 'motley-worker: m.onnx: is no model' >&2\nexit 2\n");
    assert_int_equal(signature_of_file("m.onnx", &s, NULL, &why), ERR_FORMAT);
    assert_string_equal(why.text, "m.onnx: is no model");
    stand_in("#!/bin/sh\nkill -9 $$\n");
    assert_int_equal(signature_of_file("m.onnx", &s, NULL, &why), ERR_RUNTIME);
    setenv("MOTLEY_WORKER", "/nowhere/worker", 1);
    assert_int_equal(signature_of_file("m.onnx", &s, NULL, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "MOTLEY_WORKER=/nowhere/worker"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it_is_read),
        cmocka_unit_test(test_any_batch),
        cmocka_unit_test(test_what_is_not_a_signature_is_refused),
        cmocka_unit_test(test_synthetic_is_built_in),
        cmocka_unit_test(test_a_file_is_asked_of_the_worker),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
