// SPDX-License-Identifier: Apache-2.0
#include "fill.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SLOTS = 40, CROWD = 100000 };

/* The definition, by bisection: the T with sum of rate * max(0, T - max(start, now)) = samples. */
static double finish_by_bisection(const struct fill_slot *slots, uint32_t count, double now, double samples)
{
    double low = now, high = 1e9;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2, done = 0;
        for (uint32_t k = 0; k < count; k++) {
            double start = slots[k].start_us > now ? slots[k].start_us : now;
            done += slots[k].present && middle > start ? slots[k].rate * (middle - start) : 0;
        }
        *(done < samples ? &low : &high) = middle;
    }
    return low;
}

static void assert_near(double value, double expected)
{
    double miss = value - expected, most = 1e-6 * expected + 1e-6;
    assert_true(miss < most && -miss < most);
}

static void agrees_with_its_definition(void **state)
{
    (void)state;
    struct fill fill;
    struct fill_slot slots[SLOTS] = { 0 };
    struct rng rng;
    rng_init(&rng, 7);
    print_message("seed 7\n");
    fill_init(&fill);
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i].id = i;
    for (int step = 0; step < 2000; step++) {
        struct fill_slot *slot = &slots[rng_below(&rng, SLOTS)];
        if (rng_below(&rng, 5) == 0)
            fill_remove(&fill, slot);
        else
            fill_set(&fill, slot, (double)rng_below(&rng, 1000), 0.001 + rng_unit(&rng));
        fill_check(&fill);
        if (fill.count == 0)
            continue;
        double now = (double)rng_below(&rng, 1000), samples = 1 + (double)rng_below(&rng, 5000);
        assert_near(fill_finish_us(&fill, now, samples), finish_by_bisection(slots, SLOTS, now, samples));
    }
    fill_fini(&fill);
}

static void without_slots_it_never_ends(void **state)
{
    (void)state;
    struct fill fill;
    fill_init(&fill);
    assert_true(fill_finish_us(&fill, 0, 1) >= FILL_NEVER);
    assert_null(fill_first(&fill));
    assert_null(fill_last(&fill));
    assert_null(fill_from(&fill, 0));
    struct fill_slot slot = { .id = 1 };
    fill_remove(&fill, &slot);
    fill_set(&fill, &slot, 3, 1);
    fill_remove(&fill, &slot);
    fill_check(&fill);
    assert_true(fill_finish_us(&fill, 0, 1) >= FILL_NEVER);
    assert_null(fill_first(&fill));
    assert_null(fill_last(&fill));
    assert_null(fill_from(&fill, 0));
    fill_fini(&fill);
}

static void neighbours_are_in_order_of_start(void **state)
{
    (void)state;
    struct fill fill;
    struct fill_slot slots[3] = { { .id = 0 }, { .id = 1 }, { .id = 2 } };
    fill_init(&fill);
    fill_set(&fill, &slots[0], 30, 1);
    fill_set(&fill, &slots[1], 10, 1);
    fill_set(&fill, &slots[2], 10, 1);
    assert_ptr_equal(fill_first(&fill), &slots[1]);
    assert_ptr_equal(fill_next(&fill, &slots[1]), &slots[2]);
    assert_ptr_equal(fill_last(&fill), &slots[0]);
    assert_ptr_equal(fill_previous(&fill, &slots[0]), &slots[2]);
    assert_null(fill_previous(&fill, &slots[1]));
    assert_null(fill_next(&fill, &slots[0]));
    assert_ptr_equal(fill_at(&fill, 0), &slots[1]);
    assert_ptr_equal(fill_at(&fill, 1), &slots[2]);
    assert_ptr_equal(fill_at(&fill, 2), &slots[0]);
    assert_ptr_equal(fill_from(&fill, 10), &slots[1]);
    assert_ptr_equal(fill_from(&fill, 11), &slots[0]);
    assert_null(fill_from(&fill, 31));
    fill_fini(&fill);
}

/* ---- many slots ---- */

struct crowd {
    struct fill fill;
    struct rng rng;
    uint32_t count;
    struct fill_slot *slots, **sorted;
};

static void crowd_init(struct crowd *crowd, uint64_t seed, uint32_t count)
{
    *crowd = (struct crowd){ .count = count,
                             .slots = calloc(count, sizeof *crowd->slots),
                             .sorted = calloc(count, sizeof *crowd->sorted) };
    assert_non_null(crowd->slots);
    assert_non_null(crowd->sorted);
    fill_init(&crowd->fill);
    rng_init(&crowd->rng, seed);
    for (uint32_t i = 0; i < count; i++)
        crowd->slots[i].id = i + 1;
}

static void crowd_fini(struct crowd *crowd)
{
    fill_fini(&crowd->fill);
    free(crowd->slots);
    free(crowd->sorted);
}

static int by_start(const void *a, const void *b)
{
    const struct fill_slot *x = *(struct fill_slot *const *)a, *y = *(struct fill_slot *const *)b;
    if (x->start_us < y->start_us || x->start_us > y->start_us)
        return x->start_us < y->start_us ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Every look against the plainly sorted slots. */
static void crowd_compare(struct crowd *crowd)
{
    uint32_t count = 0;
    fill_check(&crowd->fill);
    for (uint32_t i = 0; i < crowd->count; i++)
        if (crowd->slots[i].present)
            crowd->sorted[count++] = &crowd->slots[i];
    qsort(crowd->sorted, count, sizeof *crowd->sorted, by_start);
    assert_int_equal(crowd->fill.count, count);
    assert_ptr_equal(fill_first(&crowd->fill), count ? crowd->sorted[0] : NULL);
    assert_ptr_equal(fill_last(&crowd->fill), count ? crowd->sorted[count - 1] : NULL);
    for (uint32_t i = 0; i < count; i++) {
        const struct fill_slot *at = crowd->sorted[i], *before = i > 0 ? crowd->sorted[i - 1] : NULL;
        assert_ptr_equal(fill_at(&crowd->fill, i), at);
        assert_ptr_equal(fill_previous(&crowd->fill, at), before);
        assert_ptr_equal(fill_next(&crowd->fill, at), i + 1 < count ? crowd->sorted[i + 1] : NULL);
        if (!before || before->start_us < at->start_us) {
            assert_ptr_equal(fill_from(&crowd->fill, at->start_us), at);
            assert_ptr_equal(fill_from(&crowd->fill, before ? before->start_us + 0.25 : 0), at);
        }
    }
    assert_null(fill_from(&crowd->fill, count ? crowd->sorted[count - 1]->start_us + 0.25 : 0));
    if (count == 0)
        return;
    double now = (double)rng_below(&crowd->rng, 100), samples = 1 + (double)rng_below(&crowd->rng, 100000);
    assert_near(fill_finish_us(&crowd->fill, now, samples),
                finish_by_bisection(crowd->slots, crowd->count, now, samples));
}

/* Few starts: many are equal, as those of slots that idle. comes: of 8, so many put something in. */
static void crowd_stir(struct crowd *crowd, uint32_t steps, uint32_t starts, uint32_t comes)
{
    for (uint32_t i = 0; i < steps; i++) {
        struct fill_slot *slot = &crowd->slots[rng_below(&crowd->rng, crowd->count)];
        if (rng_below(&crowd->rng, 8) >= comes)
            fill_remove(&crowd->fill, slot);
        else
            fill_set(&crowd->fill, slot, (double)rng_below(&crowd->rng, starts) / 2,
                     0.001 + rng_unit(&crowd->rng));
    }
}

static void looks_agree_with_a_sorted_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct crowd crowd;
        print_message("%sseed %d", seed > 1 ? ", " : "", (int)seed);
        crowd_init(&crowd, seed, 1 + (uint32_t)(seed * seed));
        for (uint32_t round = 0; round < 8; round++) {
            crowd_stir(&crowd, crowd.count / 2, round % 2 ? 5 : 1000, round < 4 ? 7 : 2);
            crowd_compare(&crowd);
        }
        while (crowd.fill.count > 0)
            fill_remove(&crowd.fill, fill_at(&crowd.fill, rng_below(&crowd.rng, crowd.fill.count)));
        crowd_compare(&crowd);
        crowd_fini(&crowd);
    }
    print_message("\n");
}

static void a_hundred_thousand_slots(void **state)
{
    (void)state;
    struct crowd crowd;
    print_message("seed 3\n");
    crowd_init(&crowd, 3, CROWD);
    for (uint32_t i = 0; i < CROWD; i++)
        fill_set(&crowd.fill, &crowd.slots[i], 0, 1);
    crowd_compare(&crowd);
    crowd_stir(&crowd, 2 * CROWD, 1000000, 7);
    crowd_compare(&crowd);
    double now = 0;
    for (uint32_t i = 0; i < 2 * CROWD; i++) { /* as in a job: the first that ends gets more to do */
        struct fill_slot *slot = fill_first(&crowd.fill);
        now = slot->start_us;
        fill_set(&crowd.fill, slot, now + 1 + (double)rng_below(&crowd.rng, 500000), slot->rate);
    }
    crowd_compare(&crowd);
    crowd_fini(&crowd);
}

/* Slots that came, moved and went by other ways leave no trace in the last bit of any answer. */
static void equal_contents_give_equal_answers(void **state)
{
    (void)state;
    struct crowd walked, direct;
    print_message("seeds 11, 12\n");
    crowd_init(&walked, 11, 3000);
    crowd_init(&direct, 12, 3000);
    crowd_stir(&walked, 30000, 5000, 6);
    crowd_stir(&direct, 3000, 50, 6);
    for (uint32_t i = 3000; i > 0; i--) {
        const struct fill_slot *slot = &walked.slots[i - 1];
        if (slot->present)
            fill_set(&direct.fill, &direct.slots[i - 1], slot->start_us, slot->rate);
        else
            fill_remove(&direct.fill, &direct.slots[i - 1]);
    }
    for (int i = 0; i < 1000; i++) {
        double now = (double)rng_below(&walked.rng, 3000),
               samples = 1 + (double)rng_below(&walked.rng, 1000000);
        double one = fill_finish_us(&walked.fill, now, samples),
               other = fill_finish_us(&direct.fill, now, samples);
        assert_memory_equal(&one, &other, sizeof one);
    }
    crowd_fini(&walked);
    crowd_fini(&direct);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_its_definition),
                                        cmocka_unit_test(without_slots_it_never_ends),
                                        cmocka_unit_test(neighbours_are_in_order_of_start),
                                        cmocka_unit_test(looks_agree_with_a_sorted_list),
                                        cmocka_unit_test(a_hundred_thousand_slots),
                                        cmocka_unit_test(equal_contents_give_equal_answers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
