// SPDX-License-Identifier: Apache-2.0
#include "trust.h"

#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct story story;

static enum sched_failure worker_1_is_broken(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->worker == 1 ? SCHED_FAILED : SCHED_OK;
}

static enum sched_failure all_fail(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    (void)lease;
    return SCHED_FAILED;
}

static enum sched_failure sample_100_is_bad(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->first <= 100 && lease->first + lease->count > 100 ? SCHED_FAILED : SCHED_OK;
}

static const struct slot *slot_of(uint32_t worker) { return story.sched->workers[worker].slots[0]; }

static void three_strikes_bar_a_slot_and_each_bar_is_twice_as_long(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 6; worker++)
        story_worker(&story, worker, 1000, 1000);
    story.judge = worker_1_is_broken;
    story_add(&story, story_job(1, 100000));
    uint64_t length = 1000000;
    for (int bar = 0; bar < 4; bar++) {
        while (!story_find(&story, SCHED_BAR, 0))
            assert_true(story_next(&story, UINT64_MAX - 1));
        const struct sched_action *told = story_find(&story, SCHED_BAR, 0);
        assert_int_equal(told->worker, 1);
        assert_int_equal(told->until_us, story.now + length);
        uint64_t until = told->until_us;
        story_forget(&story);
        story_run_until(&story, until - 1);
        assert_null(story_find(&story, SCHED_BAR, 0));
        for (size_t i = 0; story_find(&story, SCHED_LEASE, i);
             i++) /* suspects alone, none of which it failed */
            assert_true(story_find(&story, SCHED_LEASE, i)->worker != 1 ||
                        story_find(&story, SCHED_LEASE, i)->count < 16);
        story_forget(&story);
        story_run_until(&story, until);
        assert_int_equal(story_find(&story, SCHED_BAR, 0)->until_us, 0); /* a way back: ... */
        assert_true(slot_of(1)->leases_count <= 1);                      /* one chunk at a time */
        story_forget(&story);
        length *= 2;
    }
    assert_int_equal(story.failed, 0);
    story_end(&story);
}

static void a_success_clears_it(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 4; worker++)
        story_worker(&story, worker, 1000, 1000);
    story.judge = worker_1_is_broken;
    story_add(&story, story_job(1, 100000));
    while (!story_find(&story, SCHED_BAR, 0))
        assert_true(story_next(&story, UINT64_MAX - 1));
    uint64_t until = story_find(&story, SCHED_BAR, 0)->until_us;
    story.judge = NULL; /* it is mended */
    story_run_until(&story, until + 2000000);
    assert_int_equal(slot_of(1)->strikes, 0);
    assert_int_equal(slot_of(1)->bars, 0);
    assert_int_equal(slot_of(1)->barred_until_us, 0);
    assert_int_equal(slot_of(1)->leases_count, 2);
    story_end(&story);
}

/* A device fails in turn with good work: it never has three strikes together. */
static enum sched_failure worker_1_fails_two_of_three(const struct story *told,
                                                      const struct sched_action *lease)
{
    static uint32_t turn;
    (void)told;
    return lease->worker == 1 && lease->count > 8 && turn++ % 3 < 2 ? SCHED_FAILED : SCHED_OK;
}

static void strikes_are_those_since_the_last_success(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 4; worker++)
        story_worker(&story, worker, 1000, 1000);
    story.judge = worker_1_fails_two_of_three;
    story_add(&story, story_job(1, 20000));
    assert_true(story_run_job(&story, 1, 100000000));
    assert_null(story_find(&story, SCHED_BAR, 0));
    assert_int_equal(story.failed, 0);
    story_end(&story);
}

/* The slot on which a bad sample's chunk failed first is cleared when the sample is shown to be bad. */
static void a_proven_bad_sample_clears_it(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 4; worker++)
        story_worker(&story, worker, 1000, 1000);
    struct slot *slot = story.sched->workers[1].slots[0];
    for (int i = 0; i < TRUST_STRIKES; i++)
        trust_failed(story.sched, slot);
    assert_int_equal(slot->barred_until_us, story.sched->now_us + 1000000);
    assert_false(slot_serves(slot));
    trust_cleared(story.sched, slot);
    assert_int_equal(slot->barred_until_us, 0);
    assert_int_equal(slot->strikes, TRUST_STRIKES - 1);
    story_step(&story, (struct sched_event){ .type = SCHED_TICK });
    assert_int_equal(story.out.count, 2); /* barred, and back */
    story.judge = sample_100_is_bad;
    story_add(&story, story_job(1, 1000));
    assert_true(story_run_job(&story, 1, 100000000));
    assert_int_equal(story.failed, 1);
    assert_int_equal(story.done, 999);
    assert_true(slot->strikes < TRUST_STRIKES);
    for (uint32_t worker = 0; worker < 4; worker++)
        assert_int_equal(slot_of(worker)->barred_until_us, 0);
    story_end(&story);
}

static void a_broken_device_fails_no_good_sample(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 5; worker++)
        story_worker(&story, worker, 1000, 1000);
    story.judge = worker_1_is_broken;
    story_add(&story, story_job(1, 5000));
    assert_true(story_run_job(&story, 1, 100000000));
    assert_int_equal(story_state(&story, 1), SCHED_JOB_COMPLETE);
    assert_int_equal(story.failed, 0);
    assert_int_equal(story.done, 5000);
    story_end(&story);
}

static void one_slot_alone_never_stalls(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story.judge = all_fail;
    story_add(&story, story_job(1, 300));
    assert_true(story_run_job(&story, 1, 3600000000u));
    assert_int_equal(story_state(&story, 1), SCHED_JOB_COMPLETE);
    assert_int_equal(story.failed, 300);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_strikes_bar_a_slot_and_each_bar_is_twice_as_long),
        cmocka_unit_test(a_success_clears_it),
        cmocka_unit_test(strikes_are_those_since_the_last_success),
        cmocka_unit_test(a_proven_bad_sample_clears_it),
        cmocka_unit_test(a_broken_device_fails_no_good_sample),
        cmocka_unit_test(one_slot_alone_never_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
