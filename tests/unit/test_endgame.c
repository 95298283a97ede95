// SPDX-License-Identifier: Apache-2.0
#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How often each sample was leased while the story's log stood. */
static uint32_t most_leases(const struct story *story, uint64_t sample)
{
    uint32_t count = 0;
    for (size_t i = 0; i < story->log_count; i++) {
        const struct sched_action *a = &story->log[i];
        count += a->type == SCHED_LEASE && a->first <= sample && sample < a->first + a->count;
    }
    return count;
}

static uint64_t leased_twice(const struct story *story, uint64_t samples)
{
    uint64_t twice = 0;
    for (uint64_t i = 0; i < samples; i++)
        twice += most_leases(story, i) > 1;
    return twice;
}

static struct sched_job_look look(const struct story *story)
{
    struct sched_job_look look;
    assert_true(sched_job_look(story->sched, 1, &look));
    return look;
}

/* Two like slots; one falls silent when that much is done. When it ends. */
static uint64_t run_with_a_hang(struct story *story, uint64_t samples, uint64_t silent_from)
{
    story_begin(story);
    for (uint32_t i = 0; i < 2; i++)
        story_worker(story, i, 2000, 1000);
    story_add(story, story_job(1, samples));
    uint64_t began = story->now;
    while (look(story).state < SCHED_JOB_COMPLETE) {
        assert_true(story_next(story, UINT64_MAX - 1));
        story->workers[1].silent = story->done >= silent_from;
    }
    assert_int_equal(story->done, samples);
    return story->now - began;
}

static void what_hangs_at_the_end_runs_again_elsewhere(void **state)
{
    (void)state;
    static struct story story;
    /* 3200 samples take 1.8 s; the lease would expire 5 s later */
    uint64_t us = run_with_a_hang(&story, 3200, 3120);
    assert_true(us < 2000000);
    uint64_t twice = leased_twice(&story, 3200);
    assert_in_range(twice, 1, 32);
    story_end(&story);
}

/* What two hold is ready again when both have lost it, not before. */
static void a_lost_hedge_leaves_the_samples_where_they_were(void **state)
{
    (void)state;
    static struct story story;
    story_begin(&story);
    for (uint32_t i = 0; i < 2; i++)
        story_worker(&story, i, 2000, 1000);
    story_add(&story, story_job(1, 3200));
    while (leased_twice(&story, 3200) == 0 || look(&story).leased != leased_twice(&story, 3200)) {
        assert_true(story_next(&story, UINT64_MAX - 1));
        story.workers[1].silent = story.done >= 3120;
    }
    uint64_t twice = leased_twice(&story, 3200);
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 0 });
    assert_int_equal(look(&story).ready, 0);
    assert_int_equal(look(&story).leased, twice);
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 1 });
    assert_int_equal(look(&story).ready, twice);
    assert_int_equal(look(&story).leased, 0);
    story_end(&story);
}

static void but_never_more_than_one_sample_in_a_hundred(void **state)
{
    (void)state;
    static struct story story;
    uint64_t us = run_with_a_hang(&story, 320, 280); /* a batch is 5 % of it */
    assert_true(us > 5000000);                       /* its lease had to expire */
    story_end(&story);
}

static void nothing_runs_twice_where_all_goes_well(void **state)
{
    (void)state;
    static struct story story;
    run_with_a_hang(&story, 3200, UINT64_MAX);
    assert_int_equal(leased_twice(&story, 3200), 0);
    story_end(&story);
}

/* One slot says that it is as fast as the other and is ten times slower: what it has not started at the end
 * comes back. */
static void what_a_slow_slot_has_not_started_is_recalled(void **state)
{
    (void)state;
    static struct story story;
    story_begin(&story);
    story_worker(&story, 0, 2000, 1000);
    story_worker(&story, 1, 2000, 1000);
    story.workers[1].alpha_us = 20000;
    story.workers[1].beta_us = 10000;
    story_add(&story, story_job(1, 64));
    while (look(&story).state < SCHED_JOB_COMPLETE)
        assert_true(story_next(&story, UINT64_MAX - 1));
    uint64_t recalls = 0;
    for (size_t i = 0; i < story.log_count; i++)
        recalls += story.log[i].type == SCHED_RECALL;
    assert_true(recalls >= 1);
    assert_true(story.now - 1000000 <= 185000); /* its first batch alone takes 180 ms */
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_hangs_at_the_end_runs_again_elsewhere),
                                        cmocka_unit_test(a_lost_hedge_leaves_the_samples_where_they_were),
                                        cmocka_unit_test(but_never_more_than_one_sample_in_a_hundred),
                                        cmocka_unit_test(nothing_runs_twice_where_all_goes_well),
                                        cmocka_unit_test(what_a_slow_slot_has_not_started_is_recalled) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
