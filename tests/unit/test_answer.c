// SPDX-License-Identifier: Apache-2.0
/* Results whose rows came in the message's body: how they are cut, refused, and copied into an operation. */
#include "answer.h"

#include "store_fixture.h"

/* Two outputs: one byte, and three floats, of each sample. */
static struct tensor_spec outputs[2];
static struct record record = { .number = 7, .outputs = outputs, .outputs_count = 2 };
static const struct worker worker = { .number = 3 };

static int setup(void **state)
{
    const int64_t three[] = { 3 };
    outputs[0] = fixture_spec("class", DTYPE_U8, NULL, 0);
    outputs[1] = fixture_spec("scores", DTYPE_F32, three, 1);
    return fixture_setup(state);
}

static struct message_result result_of(const void *rows, uint32_t size, uint32_t count)
{
    return (struct message_result){
        .job = 7, .first = 100, .count = count, .rows = rows, .rows_size = size, .reason = ""
    };
}

static enum sched_failure judge(const struct message_result *result, struct answer *answer)
{
    *answer = (struct answer){ 0 };
    answer_init(answer, result, &record, &worker, NULL, 0);
    return answer->failure;
}

static void test_rows_are_cut(void **state)
{
    (void)state;
    struct answer answer;
    uint8_t rows[2 * 13];
    for (uint8_t i = 0; i < sizeof rows; i++)
        rows[i] = i;
    struct message_result result = result_of(rows, sizeof rows, 2);
    assert_int_equal(judge(&result, &answer), SCHED_OK);
    assert_ptr_equal(answer.rows[0], rows);
    assert_ptr_equal(answer.rows[1], rows + 2);
    assert_int_equal(answer.row_bytes[0], 1);
    assert_int_equal(answer.row_bytes[1], 12);

    struct store *store = fixture_open(NULL);
    struct store_op *op = answer_op(&answer, store, 101, 1); /* the other sample was another's */
    assert_non_null(op);
    memset(rows, 0xff, sizeof rows); /* the message is gone */
    assert_int_equal(op->worker, 3);
    assert_int_equal(op->rows_bytes[0], 1);
    assert_int_equal(*(const uint8_t *)op->rows[0], 1);
    assert_int_equal(op->rows_bytes[1], 12);
    for (uint8_t i = 0; i < 12; i++)
        assert_int_equal(((const uint8_t *)op->rows[1])[i], 14 + i);
    store_op_free(&op);
    struct store_op *again = answer_op(&answer, store, 100, 2); /* maybe in the same memory */
    assert_int_equal(again->count, 2);
    assert_int_equal(again->first, 100);
    assert_int_equal(again->rows_bytes[1], 24);
    assert_null(again->release);
    store_op_free(&again);
    store_free(&store);
}

static void test_more_than_a_small_operation_holds(void **state)
{
    (void)state;
    struct answer answer;
    uint8_t rows[ROWS_MAX_BYTES / 13 * 13];
    memset(rows, 5, sizeof rows);
    struct message_result result = result_of(rows, sizeof rows, sizeof rows / 13);
    assert_int_equal(judge(&result, &answer), SCHED_OK);
    struct store *store = fixture_open(NULL);
    struct store_op *op = answer_op(&answer, store, 100, result.count);
    assert_non_null(op);
    assert_memory_equal(op->rows[1], rows, 12 * result.count);
    store_op_free(&op);
    store_free(&store);
}

static void test_rows_that_do_not_fit(void **state)
{
    (void)state;
    static const uint8_t rows[64];
    struct answer answer;
    for (uint32_t size = 1; size < 40; size++) {
        struct message_result result = result_of(rows, size, 2);
        assert_int_equal(judge(&result, &answer), size == 26 ? SCHED_OK : SCHED_FAILED);
    }
    struct message_shape shape = { .dtype = DTYPE_U8 };
    struct message_result odd = result_of(rows, 26, 2);
    odd.shapes = &shape;
    odd.shapes_count = 1;
    assert_int_equal(judge(&odd, &answer), SCHED_FAILED);
    record.outputs_count = 0;
    struct message_result none = result_of(rows, 26, 2);
    assert_int_equal(judge(&none, &answer), SCHED_FAILED);
    record.outputs_count = 2;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_are_cut, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_more_than_a_small_operation_holds, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_rows_that_do_not_fit, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
