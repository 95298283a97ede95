// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_takes_are_zeroed_aligned_and_stay(void **state)
{
    (void)state;
    struct arena arena;
    unsigned char *taken[200];
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        taken[i] = arena_take(&arena, 1 + i * 7);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % sizeof(void *), 0);
        for (size_t k = 0; k < 1 + i * 7; k++)
            assert_int_equal(taken[i][k], 0);
        memset(taken[i], (int)i, 1 + i * 7);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < 1 + i * 7; k++)
            assert_int_equal(taken[i][k], i);
    arena_fini(&arena);
}

static void test_limit_is_kept(void **state)
{
    (void)state;
    struct arena arena;
    size_t total = 0;
    arena_init(&arena, 100000);
    while (arena_take(&arena, 1000))
        total += 1000;
    assert_in_range(total, 90000, 100000);
    assert_in_range(arena.held_bytes, total, 100000);
    assert_null(arena_take(&arena, 100001));
    assert_null(arena_take(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_non_null(arena_take(&arena, 50000));
    arena_fini(&arena);
}

static void test_second_round_needs_one_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 300; i++)
        assert_non_null(arena_take(&arena, 1000));
    arena_reset(&arena);
    size_t held_bytes = arena.held_bytes;
    struct arena_chunk *chunk = arena.chunks;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            assert_non_null(arena_take(&arena, 1000));
        assert_int_equal(arena.held_bytes, held_bytes);
        assert_ptr_equal(arena.chunks, chunk);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    assert_null(arena.chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_are_zeroed_aligned_and_stay),
        cmocka_unit_test(test_limit_is_kept),
        cmocka_unit_test(test_second_round_needs_one_chunk),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
