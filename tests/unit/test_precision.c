// SPDX-License-Identifier: Apache-2.0
#include "precision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void from_cheap_to_dear(void **state)
{
    (void)state;
    static const char *const names[] = { "int4", "int8", "fp8",  "fp16", "bf16",
                                         "tf32", "fp32", "fp64", "",     "x" };
    uint32_t all = 0;
    for (int i = 0; i < 10; i++) {
        uint32_t bit = precision_bit(names[i]);
        assert_true(i < 8 ? bit && !(all & bit) : !bit);
        all |= bit;
        for (int k = 0; k < 10; k++) {
            int order = precision_compare(names[i], names[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    assert_int_equal(precision_bit("FP16"), precision_bit("fp16"));
    assert_int_equal(precision_compare("FP16", "fp16"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(from_cheap_to_dear) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
