// SPDX-License-Identifier: Apache-2.0
/* Planted differences are found, and nothing else is. */
#include "compare.h"

#include "rng.h"
#include "spool.h"
#include "store_fixture.h"

#include <math.h>

static void test_equal_rows_do_not_differ(void **state)
{
    (void)state;
    const float row[] = { 1, -2, 0, NAN, INFINITY };
    struct difference difference = { 0 };
    assert_false(compare_row(&difference, DTYPE_F32, row, row, 5));
    assert_true(difference.floats);
    assert_true(difference.max_abs == 0 && difference.max_rel == 0);
    assert_false(compare_row(&difference, DTYPE_F32, row, row, 0));
    assert_int_equal(difference.differing, 0);
}

static void test_floats_differ_by_how_much(void **state)
{
    (void)state;
    const float stored[] = { 100, 1e-6f, 0 }, near[] = { 100.05f, 2e-6f, 1e-9f }, far[] = { 100, 1, 0 };
    struct difference difference = { 0 };
    /* ten times the smallest number is nothing beside the row's largest */
    assert_false(compare_row(&difference, DTYPE_F32, near, stored, 3));
    assert_true(fabs(difference.max_abs - 0.05) < 1e-4 && fabs(difference.max_rel - 0.0005) < 1e-5);
    assert_true(compare_row(&difference, DTYPE_F32, far, stored, 3));
    assert_true(fabs(difference.max_abs - 1) < 1e-4 && fabs(difference.max_rel - 0.01) < 1e-5);
    assert_int_equal(difference.differing, 1);
}

static void test_both_precisions_of_zero(void **state)
{
    (void)state;
    const double zeros[] = { 0.0, -0.0 }, others[] = { -0.0, 0.0 }, one[] = { 0.0, 1e-300 };
    struct difference difference = { 0 };
    assert_false(compare_row(&difference, DTYPE_F64, zeros, others, 2));
    assert_true(difference.max_rel == 0);
    assert_true(compare_row(&difference, DTYPE_F64, zeros, one, 2));
    assert_true(difference.max_rel == 1);
}

static void test_nan_and_infinity(void **state)
{
    (void)state;
    const uint16_t nan[] = { 0x7e00 }, other_nan[] = { 0x7e01 }, one[] = { 0x3c00 }, up[] = { 0x7c00 },
                   down[] = { 0xfc00 };
    struct difference difference = { 0 };
    assert_false(compare_row(&difference, DTYPE_F16, nan, other_nan, 1));
    assert_true(compare_row(&difference, DTYPE_F16, nan, one, 1));
    assert_true(compare_row(&difference, DTYPE_F16, up, one, 1));
    assert_true(compare_row(&difference, DTYPE_F16, up, down, 1));
    assert_true(difference.max_abs == 0 && difference.max_rel == 1);
    assert_int_equal(difference.differing, 3);
}

static void test_integers_are_equal_or_not(void **state)
{
    (void)state;
    const int64_t a[] = { 5, -1 }, b[] = { 5, -2 };
    struct difference difference = { 0 };
    assert_false(compare_row(&difference, DTYPE_I64, a, a, 2));
    assert_true(compare_row(&difference, DTYPE_I64, a, b, 2));
    assert_false(difference.floats);
    assert_int_equal(difference.differing, 1);
}

static void test_sums_add_up(void **state)
{
    (void)state;
    struct comparison a = { .samples = 2, .differing = 1, .outputs_count = 1 }, b = a;
    a.outputs[0] = (struct difference){ .differing = 1, .max_abs = 3, .max_rel = 0.1, .floats = true };
    b.outputs_count = 2;
    b.outputs[0] = (struct difference){ .differing = 2, .max_abs = 1, .max_rel = 0.2, .floats = true };
    comparison_merge(&a, &b);
    assert_int_equal(a.samples, 4);
    assert_int_equal(a.outputs_count, 2);
    assert_int_equal(a.outputs[0].differing, 3);
    assert_true(a.outputs[0].max_abs == 3 && a.outputs[0].max_rel == 0.2);
    assert_false(a.outputs[1].floats);
}

/* ---- the spool ---- */

enum { SAMPLES = 50, WIDE = 70000 }; /* a row of WIDE floats is more than is read at once */

static void write_rows(struct spool *spool, const struct spool_shape *shape, const struct store_op *op)
{
    struct why why = { "" };
    if (spool_reserve(spool, shape, &why) || spool_learn(spool, shape, &why) ||
        spool_write(spool, op, &why) || spool_sync(spool, &why))
        fail_msg("%s", why.text);
}

static struct comparison compare(const struct spool_shape *shape, const struct compare_fresh *fresh)
{
    struct comparison comparison;
    struct why why = { "" };
    if (compare_stored(fixture_dir, shape, fresh, &comparison, &why))
        fail_msg("%s", why.text);
    return comparison;
}

static void test_planted_among_stored(void **state)
{
    (void)state;
    static float rows[SAMPLES][3];
    static int64_t labels[SAMPLES];
    const int64_t dims[] = { 3 };
    struct spool *spool;
    struct rng rng;
    rng_init(&rng, 7);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        labels[i] = (int64_t)i;
        for (int k = 0; k < 3; k++)
            rows[i][k] = (float)rng_unit(&rng) + 0.5f;
    }
    struct spool_shape shape = { .job = 1, .samples = SAMPLES, .outputs_count = 2 };
    shape.outputs[0] = fixture_spec("scores", DTYPE_F32, dims, 1);
    shape.outputs[1] = fixture_spec("label", DTYPE_I64, NULL, 0);
    const void *outputs[] = { rows, labels };
    uint64_t bytes[] = { sizeof rows, sizeof labels };
    struct store_op op = { .type = STORE_RESULT,
                           .job = 1,
                           .count = SAMPLES,
                           .outputs_count = 2,
                           .rows = outputs,
                           .rows_bytes = bytes };
    assert_int_equal(spool_new(fixture_dir, &spool, NULL), ERR_OK);
    write_rows(spool, &shape, &op);
    struct compare_fresh fresh = { .first = 10, .count = 30, .rows = { rows[10], &labels[10] } };
    struct comparison same = compare(&shape, &fresh);
    assert_int_equal(same.samples, 30);
    assert_int_equal(same.differing, 0);
    rows[12][1] += 0.25f; /* one sample's scores, and another's label; sample 5 is not among them */
    labels[20] = 99;
    rows[5][0] += 1;
    struct comparison other = compare(&shape, &fresh);
    assert_int_equal(other.differing, 2);
    assert_int_equal(other.outputs[0].differing, 1);
    assert_int_equal(other.outputs[1].differing, 1);
    assert_true(fabs(other.outputs[0].max_abs - 0.25) < 1e-6);
    spool_free(&spool);
}

static void test_rows_that_vary(void **state)
{
    (void)state;
    static float rows[2][WIDE];
    const int64_t open[] = { -1 }, wide[] = { WIDE }, narrow[] = { WIDE / 2 };
    struct spool *spool;
    struct spool_shape shape = { .job = 2, .samples = 2, .outputs_count = 1 };
    shape.outputs[0] = fixture_spec("y", DTYPE_F32, open, 1);
    for (int i = 0; i < WIDE; i++)
        rows[0][i] = rows[1][i] = (float)i;
    struct tensor_spec spec = fixture_spec("y", DTYPE_F32, wide, 1);
    const void *outputs[] = { rows };
    uint64_t bytes[] = { sizeof rows };
    struct store_op op = { .type = STORE_RESULT,
                           .job = 2,
                           .count = 2,
                           .outputs_count = 1,
                           .outputs = &spec,
                           .rows = outputs,
                           .rows_bytes = bytes };
    assert_int_equal(spool_new(fixture_dir, &spool, NULL), ERR_OK);
    write_rows(spool, &shape, &op);
    struct compare_fresh fresh = { .count = 2, .rows = { rows } };
    fresh.specs[0] = spec;
    assert_int_equal(compare(&shape, &fresh).differing, 0);
    rows[1][WIDE - 1] += 1000;
    struct comparison apart = compare(&shape, &fresh);
    assert_int_equal(apart.differing, 1);
    assert_true(apart.outputs[0].max_abs == 1000);
    fresh.specs[0] = fixture_spec("y", DTYPE_F32, narrow, 1);
    apart = compare(&shape, &fresh);
    assert_int_equal(apart.differing, 2);
    assert_true(apart.outputs[0].max_rel == 1);
    spool_free(&spool);
}

static void test_no_spool_is_an_error(void **state)
{
    (void)state;
    struct spool_shape shape = { .job = 77, .samples = 2, .outputs_count = 1 };
    struct compare_fresh fresh = { .count = 1 };
    struct comparison comparison;
    shape.outputs[0] = fixture_spec("y", DTYPE_F32, NULL, 0);
    assert_int_not_equal(compare_stored(fixture_dir, &shape, &fresh, &comparison, NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_rows_do_not_differ),
        cmocka_unit_test(test_floats_differ_by_how_much),
        cmocka_unit_test(test_both_precisions_of_zero),
        cmocka_unit_test(test_nan_and_infinity),
        cmocka_unit_test(test_integers_are_equal_or_not),
        cmocka_unit_test(test_sums_add_up),
        cmocka_unit_test_setup_teardown(test_planted_among_stored, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_rows_that_vary, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_spool_is_an_error, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
