// SPDX-License-Identifier: Apache-2.0
#include "slot.h"

#include "state.h"
#include "story.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct story story;

static struct slot *make(struct sched_slot_info info)
{
    struct slot *slot = slot_new(1, 0, 0, &info);
    assert_non_null(slot);
    slot->up = true;
    return slot;
}

static void a_lying_worker_is_clamped(void **state)
{
    (void)state;
    struct sched_slot_info lies = { .batch_max = 0, .window = 0, .alpha_us = NAN, .beta_us = -INFINITY };
    struct slot *slot = make(lies);
    assert_int_equal(slot->info.batch_max, 1);
    assert_int_equal(slot->info.window, 2);
    assert_false(curve_known(&slot_model(slot, 3)->curve));
    slot_free(&slot);
    lies = (struct sched_slot_info){ .batch_max = UINT32_MAX,
                                     .window = UINT32_MAX,
                                     .window_max = UINT32_MAX,
                                     .alpha_us = 1e300,
                                     .beta_us = 1,
                                     .sizes_count = SCHED_SIZES_MAX + 9,
                                     .sizes = { 0, 4, 4, 2, 8, 1u << 30 } };
    slot = make(lies);
    assert_int_equal(slot->info.window, SCHED_WINDOW_MAX);
    assert_int_equal(slot->info.window_max, SCHED_WINDOW_MAX);
    assert_int_equal(slot->info.sizes_count, 2); /* 4, 8 */
    assert_int_equal(slot->info.batch_max, 8);
    assert_false(curve_known(&slot_model(slot, 3)->curve));
    slot_free(&slot);
    assert_null(slot);
}

static void leases_in_the_order_in_which_they_run(void **state)
{
    (void)state;
    struct slot *slot =
        make((struct sched_slot_info){ .batch_max = 10, .window = 3, .alpha_us = 100, .beta_us = 10 });
    const struct slot_model *model = slot_model(slot, 0);
    assert_ptr_equal(slot_model_find(slot, 0), model);
    assert_null(slot_model_find(slot, 1));
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(slot_has_room(slot));
        slot_lease_push(
            slot,
            &(struct lease){ .count = 10, .runs = 10, .cost = 10, .smallest = 1, .term = 1, .attempt = i });
    }
    assert_false(slot_has_room(slot));
    slot_expect(slot, 1000);
    assert_true(slot->leases[0].start_us == 1000 && slot->leases[0].end_us == 1200);
    assert_true(slot->leases[2].start_us == 1400 && slot->leases[2].end_us == 1600);
    assert_true(slot->busy_until_us == 1600);
    slot_expect(slot, 1100); /* the oldest runs since 1000 */
    assert_true(slot->busy_until_us == 1600);
    slot_expect(slot, 1500); /* it is late, so are the others */
    assert_true(slot->leases[0].end_us == 1200 && slot->busy_until_us == 1900);
    assert_ptr_equal(slot_lease_find(slot, 1, 2), &slot->leases[1]);
    assert_null(slot_lease_find(slot, 2, 2)); /* of another term */
    assert_ptr_equal(slot_lease_named(slot, 3), &slot->leases[2]);
    slot_check(slot);
    slot_lease_drop(slot, &slot->leases[1]);
    assert_int_equal(slot->leases_count, 2);
    assert_int_equal(slot->leases[1].attempt, 3);
    slot->leases[0].expired = true;
    assert_true(slot_overdue(slot));
    assert_false(slot_has_room(slot) || slot_serves(slot));
    slot_lease_drop(slot, &slot->leases[0]);
    slot_lease_drop(slot, &slot->leases[0]);
    slot_expect(slot, 1500);
    assert_true(slot->busy_until_us == 0 && !slot_overdue(slot) && slot_serves(slot));
    slot_free(&slot);
}

static void one_at_a_time_after_three_strikes(void **state)
{
    (void)state;
    struct slot *slot = make((struct sched_slot_info){ .batch_max = 10, .window = 4 });
    slot->strikes = 3;
    assert_true(slot_has_room(slot));
    slot_lease_push(slot, &(struct lease){ .count = 1, .runs = 1, .cost = 1, .smallest = 1, .attempt = 1 });
    assert_false(slot_has_room(slot));
    slot->strikes = 2;
    assert_true(slot_has_room(slot));
    slot_free(&slot);
}

/* ---- memory ---- */

static void short_memory_halves_down_to_the_smallest(void **state)
{
    (void)state;
    struct slot *slot = make((struct sched_slot_info){ .batch_max = 100, .window = 2 });
    struct slot_model *model = slot_model(slot, 0);
    assert_int_equal(slot_model_smallest(model), 1);
    slot_model_shrink(model, &(struct lease){ .runs = 60 });
    assert_int_equal(model->batch_cap, 30);
    slot_model_shrink(model, &(struct lease){ .runs = 90 }); /* given before it was known */
    assert_int_equal(model->batch_cap, 30);
    slot_model_shrink(model, &(struct lease){ .runs = 1 });
    assert_int_equal(model->batch_cap, 1);
    slot_free(&slot);
    slot = make(
        (struct sched_slot_info){ .batch_max = 32, .window = 2, .sizes_count = 3, .sizes = { 4, 8, 32 } });
    model = slot_model(slot, 0);
    slot_model_shrink(model, &(struct lease){ .runs = 4 });
    assert_int_equal(model->batch_cap, 4);
    slot_model_fix(model, 16);
    assert_int_equal(slot_model_smallest(model), 16);
    struct policy_slot view = slot_policy(slot, model, 50);
    assert_true(view.sizes_count == 1 && view.sizes[0] == 16 && view.start_us == 50);
    slot_model_fix(model, 64); /* another job says another thing of the same model, and a third one nothing */
    slot_model_fix(model, 0);
    assert_int_equal(model->batch_cap, 32);
    slot_free(&slot);
}

static enum sched_failure more_than_5_is_too_much(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->count > 5 ? SCHED_MEMORY : SCHED_OK;
}

static void short_memory_fails_nothing_and_is_remembered(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story.judge = more_than_5_is_too_much;
    story_add(&story, story_job(1, 500));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(story.failed, 0);
    assert_int_equal(story.done, 500);
    assert_int_equal(story.sched->workers[0].slots[0]->strikes, 0); /* nobody's fault */
    story_forget(&story);
    story_add(&story, story_job(2, 500));
    story_run_until(&story, story.now);
    assert_true(story_find(&story, SCHED_LEASE, 0)->count <= 5);
    story_end(&story);
}

/* ---- pools ---- */

static void members_are_found_by_pool(void **state)
{
    (void)state;
    struct slot *slot = make((struct sched_slot_info){ .batch_max = 1, .window = 2 });
    struct slot_model *model = slot_model(slot, 0);
    const uint32_t pools[] = { 7, 3, 11, 0, 5 };
    for (int i = 0; i < 5; i++)
        assert_non_null(slot_member_add(slot, pools[i], model));
    for (int i = 0; i < 5; i++)
        assert_int_equal(slot_member(slot, pools[i])->pool, pools[i]);
    assert_null(slot_member(slot, 4));
    slot_member_remove(slot, 5);
    assert_null(slot_member(slot, 5));
    assert_int_equal(slot->members_count, 4);
    assert_int_equal(slot_member(slot, 11)->pool, 11);
    struct member *member = slot_member(slot, 3);
    assert_false(slot_member_ready(slot, member));
    member->admitted = true;
    model->state = SLOT_MODEL_READY;
    assert_true(slot_member_ready(slot, member));
    slot->draining = true;
    assert_false(slot_member_ready(slot, member));
    slot_free(&slot);
}

/* ---- drains ---- */

static void a_drained_worker_ends_what_runs_and_gives_back_the_rest(void **state)
{
    (void)state;
    story_begin(&story);
    story.workers[0] = story.workers[1] = (struct story_worker){ .alpha_us = 1000, .beta_us = 1000 };
    story_up(&story, 0, story_info(&story, 0, true), 2);
    story_up(&story, 1, story_info(&story, 1, true), 1);
    story_add(&story, story_job(1, 2000));
    story_run_until(&story, story.now + 100000);
    story_forget(&story);
    story_step(&story, (struct sched_event){ .type = SCHED_DRAIN, .worker = 0 });
    assert_int_equal(story_count(&story, SCHED_RECALL), 2); /* the waiting one of each slot */
    story_run_until(&story, story.now + 100000);
    assert_int_equal(story_leased(&story, 1, 0), 0);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(story.sched->workers[0].slots[i]->leases_count, 0);
    assert_true(story_leased(&story, 1, 1) > 0);
    story_forget(&story);
    story_step(&story, (struct sched_event){ .type = SCHED_UNDRAIN, .worker = 0 });
    assert_true(story_leased(&story, 1, 0) > 0); /* at once */
    assert_true(story_run_job(&story, 1, story.now + 10000000));
    assert_int_equal(story.done, 2000);
    assert_int_equal(story.sched->jobs[0]->lost, 0);
    story_end(&story);
}

static void a_drain_of_everybody_stops_and_loses_nothing(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 200));
    story_run_until(&story, story.now + 50000);
    story_step(&story, (struct sched_event){ .type = SCHED_DRAIN, .worker = 0 });
    story_step(&story, (struct sched_event){ .type = SCHED_DRAIN, .worker = 0 });  /* again: nothing */
    story_step(&story, (struct sched_event){ .type = SCHED_DRAIN, .worker = 30 }); /* nobody */
    assert_false(story_run_job(&story, 1, story.now + 100000000));
    assert_int_equal(story.leases_count, 0);
    story_step(&story, (struct sched_event){ .type = SCHED_UNDRAIN, .worker = 0 });
    assert_true(story_run_job(&story, 1, story.now + 10000000));
    assert_int_equal(story.done, 200);
    story_end(&story);
}

/* A coordinator that lives long sees more models than anybody needs at a time. */
static void models_that_nobody_asks_for_are_forgotten(void **state)
{
    (void)state;
    struct slot *slot = make((struct sched_slot_info){ .batch_max = 8, .window = 2 });
    struct slot_model *loaded = slot_model(slot, 1), *member = slot_model(slot, 2);
    loaded->state = SLOT_MODEL_READY;
    assert_non_null(slot_member_add(slot, 7, member));
    slot_model(slot, 3)->state = SLOT_MODEL_REFUSED;
    for (uint32_t model = 100; model < 1000; model++) {
        struct slot_model *before = slot_model(slot, model - 1), *fresh = slot_model(slot, model);
        assert_ptr_equal(slot_model_find(slot, model - 1), before); /* what was asked for just now stays */
        assert_ptr_equal(slot_model_find(slot, model), fresh);
    }
    assert_int_equal(slot->models_count, SLOT_MODELS_MAX);
    assert_ptr_equal(slot_model_find(slot, 1), loaded);
    assert_ptr_equal(slot_model_find(slot, 2), member);
    assert_null(slot_model_find(slot, 3));
    slot_free(&slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lying_worker_is_clamped),
        cmocka_unit_test(leases_in_the_order_in_which_they_run),
        cmocka_unit_test(one_at_a_time_after_three_strikes),
        cmocka_unit_test(short_memory_halves_down_to_the_smallest),
        cmocka_unit_test(short_memory_fails_nothing_and_is_remembered),
        cmocka_unit_test(members_are_found_by_pool),
        cmocka_unit_test(models_that_nobody_asks_for_are_forgotten),
        cmocka_unit_test(a_drained_worker_ends_what_runs_and_gives_back_the_rest),
        cmocka_unit_test(a_drain_of_everybody_stops_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
