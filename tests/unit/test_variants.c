// SPDX-License-Identifier: Apache-2.0
#include "variants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct variants variants;
static struct why why;

static void have(const char *precision, double accuracy)
{
    struct variant *at = &variants.at[variants.count++];
    memset(at, 0, sizeof *at);
    snprintf(at->precision, sizeof at->precision, "%s", precision);
    at->accuracy = accuracy;
}

static int set_up(void **state)
{
    (void)state;
    variants.count = 0;
    have("int8", 0.9);
    have("fp16", 0);
    have("fp32", 0.95);
    return 0;
}

static void left(enum err err, const char *expected)
{
    char text[100] = "";
    assert_int_equal(err, ERR_OK);
    for (uint32_t i = 0; i < variants.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 variants.at[i].precision);
    assert_string_equal(text, expected);
}

static void all_are_allowed_unless_said(void **state)
{
    (void)state;
    left(variants_choose(&variants, "m", NULL, 0, &why), "int8 fp16 fp32");
    left(variants_choose(&variants, "m", "fp16,fp32", 0, &why), "fp16 fp32");
    left(variants_choose(&variants, "m", "FP32", 0, &why), "fp32");
}

static void an_unknown_accuracy_meets_no_floor(void **state)
{
    (void)state;
    left(variants_choose(&variants, "m", NULL, 0.9, &why), "int8 fp32");
    left(variants_choose(&variants, "m", "int8,fp16,fp32", 0.91, &why), "fp32");
    assert_int_equal(variants_choose(&variants, "m", NULL, 0.96, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "fp32 (accuracy 0.95)"));
}

static void bad_wishes(void **state)
{
    (void)state;
    static const char *const bad[] = { "", ",", "half", "fp16 fp32", "fp16,,fp32", "fp160000000000000000" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(variants_choose(&variants, "m", bad[i], 0, &why), ERR_USAGE);
    assert_int_equal(variants_choose(&variants, "m", "fp64", 0, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "fp16 (accuracy not known)"));
    variants.count = 0;
    assert_int_equal(variants_choose(&variants, "m.onnx", "fp16", 0, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "m.onnx is none"));
    assert_int_equal(variants_choose(&variants, "m.onnx", NULL, 0, &why), ERR_OK);
}

static enum err parse(const char *json) { return variants_parse(json, strlen(json), "m", &variants, &why); }

static void what_the_coordinator_says(void **state)
{
    (void)state;
    char json[2000] = "{\"variants\":[";
    static const char one[] =
        "{\"format\":\"onnx\",\"precision\":\"fp16\",\"bytes\":7,\"accuracy\":null,"
        "\"blob\":\"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\"}";
    assert_int_equal(parse("{}"), ERR_OK); /* one that knows of no variants */
    assert_int_equal(variants.count, 0);
    for (int i = 0; i < VARIANTS_MAX; i++)
        snprintf(json + strlen(json), sizeof json - strlen(json), "%s%s", i ? "," : "", one);
    size_t end = strlen(json);
    snprintf(json + end, sizeof json - end, "]}");
    assert_int_equal(parse(json), ERR_OK);
    assert_int_equal(variants.count, VARIANTS_MAX);
    assert_int_equal(variants.at[7].blob[31], 32);
    assert_int_equal(variants.at[7].bytes, 7);
    snprintf(json + end, sizeof json - end, ",%s]}", one);
    assert_int_equal(parse(json), ERR_FORMAT); /* too many */
    assert_int_equal(parse("{\"variants\":[{\"format\":\"onnx\",\"blob\":\"01\"}]}"), ERR_FORMAT);
    assert_int_equal(parse("{\"variants\":[7]}"), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_are_allowed_unless_said, set_up),
        cmocka_unit_test_setup(an_unknown_accuracy_meets_no_floor, set_up),
        cmocka_unit_test_setup(bad_wishes, set_up),
        cmocka_unit_test_setup(what_the_coordinator_says, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
