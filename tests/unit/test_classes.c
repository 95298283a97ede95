// SPDX-License-Identifier: Apache-2.0
#include "classes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t number(struct classes *classes, const char *kind, const char *vendor, const char *runtime)
{
    struct message_device device = { .kind = kind, .vendor = vendor };
    struct message_slot slot = { .runtime = runtime };
    return classes_number(classes, &device, &slot);
}

static void alike_is_one_class(void **state)
{
    (void)state;
    struct classes *classes = classes_new();
    assert_int_equal(number(classes, "gpu", "nvidia", "onnxruntime"), 0);
    assert_int_equal(number(classes, "gpu", "amd", "onnxruntime"), 1);
    assert_int_equal(number(classes, "cpu", "", "onnxruntime"), 2);
    assert_int_equal(number(classes, "gpu", "nvidia", "emulated"), 3);
    assert_int_equal(number(classes, "gpu", "nvidia", "onnxruntime"), 0);
    assert_int_equal(classes_count(classes), 4);
    assert_string_equal(classes_name(classes, 0), "gpu/nvidia/onnxruntime");
    assert_string_equal(classes_name(classes, 2), "cpu/onnxruntime");
    classes_free(&classes);
    classes_free(&classes);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    struct classes *classes = classes_new();
    char vendor[40];
    for (int i = 0; i < 2 * CLASSES_MAX; i++) {
        snprintf(vendor, sizeof vendor, "v%d", i);
        number(classes, "gpu", vendor, "r");
    }
    assert_int_equal(classes_count(classes), CLASSES_MAX);
    assert_int_equal(number(classes, "gpu", "yet another", "r"), CLASSES_MAX - 1);
    assert_int_equal(number(classes, "gpu", "v3", "r"), 3);
    classes_free(&classes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alike_is_one_class),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
