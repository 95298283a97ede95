// SPDX-License-Identifier: Apache-2.0
#include "placement.h"

#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct story story;

static struct sched_event job_of(uint64_t id, uint64_t samples, uint32_t model, uint64_t memory)
{
    struct sched_event add = story_job(id, samples);
    add.add.model = model;
    add.add.memory_bytes = memory;
    return add;
}

/* A slot that is said to need so long for a load, beside one that has the model and ends the job in 1.7 s. */
static bool loads_beside(double load_us)
{
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 1600));
    story_run_until(&story, story.now + 1000);
    struct sched_slot_info info = story_info(&story, 0, true);
    info.load_us = load_us;
    story.workers[1] = story.workers[0];
    story.hold_loads = true;
    story_forget(&story);
    story_up(&story, 1, info, 1);
    bool loads = story_find(&story, SCHED_LOAD, 0) != NULL;
    story_end(&story);
    return loads;
}

static void a_load_must_be_worth_it(void **state)
{
    (void)state;
    assert_true(loads_beside(0)); /* unknown: try */
    assert_true(loads_beside(1000000));
    assert_false(loads_beside(2000000));
}

static void with_nobody_else_any_load_is_worth_it(void **state)
{
    (void)state;
    story_begin(&story);
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC, .batch_max = 16, .load_us = 1e9 };
    story_up(&story, 0, info, 1);
    story_add(&story, story_job(1, 1));
    assert_non_null(story_find(&story, SCHED_LOAD, 0));
    story_end(&story);
}

/* ---- memory ---- */

static void begin_small(uint64_t memory_bytes)
{
    story_begin(&story);
    story.workers[0] = (struct story_worker){ .alpha_us = 1000, .beta_us = 1000, .load_us = 100000 };
    struct sched_slot_info info = story_info(&story, 0, true);
    info.memory_bytes = memory_bytes;
    story_up(&story, 0, info, 1);
}

static const struct slot_model *model_of(uint32_t model)
{
    return slot_model_find(story.sched->workers[0].slots[0], model);
}

static void the_model_used_longest_ago_goes(void **state)
{
    (void)state;
    begin_small(10);
    for (uint32_t m = 1; m <= 3; m++) {
        story_add(&story, job_of(m, 16, m, 3));
        assert_true(story_run_job(&story, m, story.now + 10000000));
    }
    story_add(&story, job_of(4, 16, 1, 3)); /* model 1 is now the youngest */
    assert_true(story_run_job(&story, 4, story.now + 10000000));
    assert_null(story_find(&story, SCHED_UNLOAD, 0)); /* three of them fit */
    story_run_until(&story, story.now + 10000000);
    story_add(&story, job_of(5, 16, 5, 3));
    assert_int_equal(story_count(&story, SCHED_UNLOAD), 1);
    assert_int_equal(story_find(&story, SCHED_UNLOAD, 0)->model, 2);
    assert_true(story_run_job(&story, 5, story.now + 10000000));
    story_run_until(&story, story.now + 10000000);
    story_forget(&story);
    story_add(&story, job_of(6, 16, 6, 10)); /* as large as all: everything goes */
    assert_int_equal(story_count(&story, SCHED_UNLOAD), 3);
    assert_true(story_run_job(&story, 6, story.now + 10000000));
    story_run_until(&story, story.now + 10000000);
    story_add(&story, job_of(7, 16, 7, 1000)); /* larger than the device says it is: it is tried */
    assert_true(story_run_job(&story, 7, story.now + 10000000));
    story_end(&story);
}

static void none_in_use_goes_and_none_used_just_now(void **state)
{
    (void)state;
    begin_small(10);
    story_add(&story, job_of(1, 8000, 1, 8));
    story_run_until(&story, story.now + 5000000);
    story_add(&story, job_of(2, 16, 2, 8)); /* as urgent as the other: it may wait */
    story_run_until(&story, story.now + 1000);
    assert_null(story_find(&story, SCHED_UNLOAD, 0));
    assert_true(story_run_job(&story, 1, story.now + 60000000));
    assert_int_equal(story_state(&story, 2), SCHED_JOB_QUEUED);
    assert_true(story_run_job(&story, 2, story.now + 3000000)); /* but the model is not kept for ever */
    story_end(&story);
}

/* The slot runs dry for a more urgent job whose model needs the memory; no chunk that runs is lost. */
static void a_more_urgent_job_gets_the_memory(void **state)
{
    (void)state;
    begin_small(10);
    story_add(&story, job_of(1, 16000, 1, 8));
    story_run_until(&story, story.now + 5000000);
    struct sched_event urgent = job_of(2, 16, 2, 8);
    urgent.add.priority = 9;
    story_add(&story, urgent);
    story_run_until(&story, story.now + 1000);
    assert_null(story_find(&story, SCHED_UNLOAD, 0)); /* a chunk of the other one runs */
    assert_true(story_run_job(&story, 2, story.now + 200000));
    assert_int_equal(story_find(&story, SCHED_UNLOAD, 0)->model, 1);
    assert_int_equal(story_state(&story, 1), SCHED_JOB_RUNNING);
    assert_true(story_run_job(&story, 1, story.now + 60000000));
    story_end(&story);
}

/* A model whose load took 1 s is kept for 10 s after its last chunk. */
static void a_model_is_kept_for_ten_of_its_loads(void **state)
{
    (void)state;
    begin_small(10);
    story.workers[0].load_us = 1000000;
    story_add(&story, job_of(1, 16, 1, 8));
    assert_true(story_run_job(&story, 1, story.now + 10000000));
    uint64_t used = model_of(1)->used_us;
    story_run_until(&story, used + 9000000);
    story_add(&story, job_of(2, 16, 2, 8));
    assert_null(story_find(&story, SCHED_UNLOAD, 0));
    story_run_until(&story, used + 10000000);
    assert_null(story_find(&story, SCHED_UNLOAD, 0));
    while (!story_find(&story, SCHED_UNLOAD, 0))
        assert_true(story_next(&story, used + 10200000)); /* asked again soon after */
    assert_true(story.now > used + 10000000);
    assert_true(story_run_job(&story, 2, story.now + 10000000));
    story_end(&story);
}

static void unknown_memory_holds_everything(void **state)
{
    (void)state;
    begin_small(0);
    for (uint32_t m = 1; m <= 5; m++) {
        story_add(&story, job_of(m, 16, m, 1ull << 40));
        assert_true(story_run_job(&story, m, story.now + 10000000));
        story_run_until(&story, story.now + 10000000);
    }
    assert_null(story_find(&story, SCHED_UNLOAD, 0));
    story_end(&story);
}

/* ---- the next job's model ---- */

static void a_busy_worker_is_told_once_what_comes_next(void **state)
{
    (void)state;
    story_begin(&story);
    story.workers[0] = story.workers[1] = (struct story_worker){ .alpha_us = 1000, .beta_us = 1000 };
    story_up(&story, 0, story_info(&story, 0, true), 3);
    story_add(&story, story_job(1, 100000));
    story_run_until(&story, story.now + 1000);
    story_forget(&story);
    story_add(&story, job_of(2, 100, 2, 0));
    assert_int_equal(story_count(&story, SCHED_PREFETCH), 1);
    assert_int_equal(story_find(&story, SCHED_PREFETCH, 0)->worker, 0);
    assert_int_equal(story_find(&story, SCHED_PREFETCH, 0)->job, 2);
    story_forget(&story);
    story_run_until(&story, story.now + 10000);
    assert_null(story_find(&story, SCHED_PREFETCH, 0));
    story_end(&story);
}

static void an_idle_worker_loads_and_is_not_told(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, job_of(1, 100, 2, 0));
    assert_null(story_find(&story, SCHED_PREFETCH, 0));
    assert_non_null(story_find(&story, SCHED_LOAD, 0));
    story_end(&story);
}

static void a_model_that_cannot_be_loaded_is_not_asked_for_again(void **state)
{
    (void)state;
    story_begin(&story);
    story.workers[1].refuses = true;
    story_worker(&story, 1, 1000, 1000);
    story_add(&story, story_job(1, 100));
    story_run_until(&story, story.now + 100000000);
    assert_int_equal(story_count(&story, SCHED_LOAD), 1);
    assert_int_equal(story_count(&story, SCHED_LEASE), 0);
    story_worker(&story, 0, 1000, 1000);
    assert_true(story_run_job(&story, 1, story.now + 1000000));
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_must_be_worth_it),
        cmocka_unit_test(with_nobody_else_any_load_is_worth_it),
        cmocka_unit_test(the_model_used_longest_ago_goes),
        cmocka_unit_test(none_in_use_goes_and_none_used_just_now),
        cmocka_unit_test(a_more_urgent_job_gets_the_memory),
        cmocka_unit_test(a_model_is_kept_for_ten_of_its_loads),
        cmocka_unit_test(unknown_memory_holds_everything),
        cmocka_unit_test(a_busy_worker_is_told_once_what_comes_next),
        cmocka_unit_test(an_idle_worker_loads_and_is_not_told),
        cmocka_unit_test(a_model_that_cannot_be_loaded_is_not_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
