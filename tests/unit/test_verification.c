// SPDX-License-Identifier: Apache-2.0
#include "verification.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct comparison found(uint64_t samples, uint64_t differing, double apart)
{
    struct comparison comparison = { .samples = samples, .differing = differing, .outputs_count = 2 };
    comparison.outputs[0] = (struct difference){ differing, apart, apart / 10, true };
    comparison.outputs[1] = (struct difference){ 0, 0, 0, false };
    return comparison;
}

static struct verification *make(void)
{
    struct verification *verification = NULL;
    struct comparison a = found(10, 1, 0.5), b = found(5, 0, 0.25);
    assert_true(verification_add(&verification, "gpu/acme/onnxruntime", "cpu/onnxruntime", &a));
    assert_true(verification_add(&verification, "cpu/onnxruntime", "gpu/acme/onnxruntime", &b));
    assert_true(verification_add(&verification, "gpu/acme/onnxruntime", "cpu/onnxruntime", &b));
    verification_skip(&verification, 7);
    return verification;
}

static void test_pairs_add_up(void **state)
{
    (void)state;
    struct verification *verification = make();
    assert_int_equal(verification->pairs_count, 2);
    assert_string_equal(verification->pairs[0].against, "cpu/onnxruntime");
    assert_int_equal(verification->pairs[0].sums.samples, 15);
    assert_int_equal(verification_checked(verification), 20);
    assert_int_equal(verification_unchecked(verification, NULL, 1), 7);
    assert_int_equal(verification_checked(NULL), 0);
    assert_int_equal(verification_unchecked(NULL, NULL, 1), 0);
    verification_free(&verification);
    assert_null(verification);
    verification_free(&verification);
}

static void test_pairs_are_bounded(void **state)
{
    (void)state;
    struct verification *verification = NULL;
    struct comparison one = found(1, 0, 0);
    char name[16];
    for (int i = 0; i < VERIFICATION_PAIRS_MAX; i++) {
        snprintf(name, sizeof name, "class %d", i);
        assert_true(verification_add(&verification, name, "cpu", &one));
    }
    assert_false(verification_add(&verification, "one more", "cpu", &one));
    assert_true(verification_add(&verification, "class 3", "cpu", &one));
    verification_free(&verification);
}

static void test_the_journals_value(void **state)
{
    (void)state;
    struct verification *verification = make(), *back = NULL;
    uint8_t *value;
    size_t size;
    assert_int_equal(verification_pack(verification, 9, &value, &size), ERR_OK);
    assert_int_equal(verification_unpack(&back, value, size), ERR_OK);
    assert_int_equal(back->unchecked, 9);
    assert_int_equal(back->pairs_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(back->pairs[i].device, verification->pairs[i].device);
        const struct comparison *a = &back->pairs[i].sums, *b = &verification->pairs[i].sums;
        assert_int_equal(a->samples, b->samples);
        assert_int_equal(a->differing, b->differing);
        assert_int_equal(a->outputs_count, 2);
        assert_true(a->outputs[0].max_abs == b->outputs[0].max_abs);
        assert_true(a->outputs[0].max_rel == b->outputs[0].max_rel);
        assert_true(a->outputs[0].floats && !a->outputs[1].floats);
    }
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(verification_unpack(&back, value, cut), ERR_FORMAT);
        assert_null(back);
    }
    uint8_t *longer = calloc(1, size + 1);
    memcpy(longer, value, size);
    assert_int_equal(verification_unpack(&back, longer, size + 1), ERR_FORMAT);
    free(longer);
    for (size_t i = 0; i < size; i++) { /* whatever a byte becomes, it is taken or refused */
        uint8_t was = value[i];
        value[i] ^= 0xff;
        enum err err = verification_unpack(&back, value, size);
        assert_true(err == ERR_OK || err == ERR_FORMAT || err == ERR_MEMORY);
        value[i] = was;
    }
    free(value);
    assert_int_equal(verification_pack(NULL, 3, &value, &size), ERR_OK);
    assert_int_equal(verification_unpack(&back, value, size), ERR_OK);
    assert_int_equal(verification_unchecked(back, NULL, 1), 3);
    free(value);
    verification_free(&back);
    verification_free(&verification);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_add_up),
        cmocka_unit_test(test_pairs_are_bounded),
        cmocka_unit_test(test_the_journals_value),
    };
    return cmocka_run_group_tests_name("verification", tests, NULL, NULL);
}
