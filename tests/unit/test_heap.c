// SPDX-License-Identifier: Apache-2.0
#include "heap.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 200 };

static void init_items(struct heap_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        items[i] = (struct heap_item){ .id = i, .index = HEAP_ABSENT };
}

static void test_ties_go_to_the_lower_id(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_item items[5];
    heap_init(&heap);
    init_items(items, 5);
    assert_int_equal(heap_reserve(&heap, 5), ERR_OK);
    for (size_t i = 5; i-- > 0;)
        heap_set(&heap, &items[i], 7);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(heap_first(&heap)->id, i);
        heap_remove(&heap, heap_first(&heap));
        heap_check(&heap);
    }
    assert_null(heap_first(&heap));
    heap_fini(&heap);
}

static void test_empty_and_absent(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_item item = { .id = 1, .index = HEAP_ABSENT };
    heap_init(&heap);
    assert_null(heap_first(&heap));
    heap_remove(&heap, &item);
    assert_int_equal(heap_reserve(&heap, SIZE_MAX), ERR_MEMORY);
    assert_int_equal(heap.capacity, 0);
    heap_fini(&heap);
    heap_fini(&heap);
}

/* The first by looking at all of them. */
static const struct heap_item *first_by_search(const struct heap_item *items, size_t count)
{
    const struct heap_item *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (items[i].index == HEAP_ABSENT)
            continue;
        if (!best || items[i].key < best->key || (items[i].key == best->key && items[i].id < best->id))
            best = &items[i];
    }
    return best;
}

static void test_random_operations_agree_with_a_search(void **state)
{
    (void)state;
    const char *given = getenv("MOTLEY_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261122;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng;
    struct heap heap;
    static struct heap_item items[ITEMS];
    rng_init(&rng, seed);
    heap_init(&heap);
    init_items(items, ITEMS);
    assert_int_equal(heap_reserve(&heap, ITEMS), ERR_OK);
    for (int step = 0; step < 20000; step++) {
        struct heap_item *item = &items[rng_below(&rng, ITEMS)];
        if (rng_below(&rng, 3) == 0)
            heap_remove(&heap, item);
        else
            heap_set(&heap, item, rng_below(&rng, 50));
        assert_ptr_equal(heap_first(&heap), first_by_search(items, ITEMS));
        if (step % 64 == 0)
            heap_check(&heap);
    }
    heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ties_go_to_the_lower_id),
        cmocka_unit_test(test_empty_and_absent),
        cmocka_unit_test(test_random_operations_agree_with_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
