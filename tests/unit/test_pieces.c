// SPDX-License-Identifier: Apache-2.0
/* FETCH questions: each is asked until it is answered or unwanted, few at a time, in order. */
#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pieces pieces;
static struct work *const WORK = (struct work *)&pieces;

static int set_up(void **state)
{
    (void)state;
    pieces_init(&pieces);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pieces_fini(&pieces);
    return 0;
}

static void add(uint64_t offset, struct work *work, uint32_t model)
{
    assert_true(
        pieces_add(&pieces, &(struct piece){ .work = work, .model = model, .offset = offset, .length = 1 }));
}

static void test_few_at_a_time_in_order(void **state)
{
    (void)state;
    struct piece piece, answered;
    for (uint64_t i = 0; i < 1000; i++)
        add(i, WORK, 0);
    for (uint64_t i = 0; i < PIECES_IN_FLIGHT; i++) {
        assert_true(pieces_next(&pieces, &piece));
        assert_int_equal(piece.offset, i);
    }
    assert_false(pieces_next(&pieces, &piece));
    assert_true(pieces_answer(&pieces, piece.tag, &answered));
    assert_int_equal(answered.offset, PIECES_IN_FLIGHT - 1);
    assert_false(pieces_answer(&pieces, piece.tag, &answered));
    assert_true(pieces_next(&pieces, &piece));
    assert_int_equal(piece.offset, PIECES_IN_FLIGHT);
}

static void test_asked_again_first_after_a_break(void **state)
{
    (void)state;
    struct piece piece;
    for (uint64_t i = 0; i < 20; i++)
        add(i, NULL, 1);
    for (int i = 0; i < 5; i++)
        assert_true(pieces_next(&pieces, &piece));
    uint64_t old = piece.tag;
    pieces_again(&pieces);
    assert_false(pieces_answer(&pieces, old, &piece));
    for (uint64_t i = 0; i < 20; i++) {
        assert_true(pieces_next(&pieces, &piece));
        assert_int_equal(piece.offset, i);
        assert_true(pieces_answer(&pieces, piece.tag, &piece));
    }
    assert_false(pieces_next(&pieces, &piece));
}

static void test_unwanted_are_not_asked_again(void **state)
{
    (void)state;
    struct piece piece;
    add(1, WORK, 0);
    add(2, NULL, 0);
    add(3, NULL, 5);
    add(4, WORK, 0);
    assert_true(pieces_next(&pieces, &piece));
    uint64_t tag = piece.tag;
    pieces_forget_work(&pieces, WORK);
    assert_true(pieces_answer(&pieces, tag, &piece));
    assert_true(piece.unwanted);
    assert_null(piece.work);
    assert_true(pieces_next(&pieces, &piece));
    assert_int_equal(piece.offset, 2);
    pieces_forget_model(&pieces, 0);
    pieces_again(&pieces);
    assert_true(pieces_next(&pieces, &piece));
    assert_int_equal(piece.offset, 3);
    assert_false(pieces_next(&pieces, &piece));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_few_at_a_time_in_order),
        STORY(test_asked_again_first_after_a_break),
        STORY(test_unwanted_are_not_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
