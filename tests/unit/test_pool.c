// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct story story;

enum kind { CPU, GPU };

/* A worker of that kind, with a curve, a price and a draw. */
static void hire(uint32_t worker, enum kind kind, double beta_us, double price, double watts)
{
    static const char *const names[] = { "cpu", "gpu" };
    struct attributes_builder builder;
    attributes_begin(&builder);
    assert_true(attributes_add_text(&builder, "device.kind", names[kind]));
    assert_true(attributes_add_number(&builder, "device.memory", kind == GPU ? 32e9 : 8e9));
    struct attributes *attributes = attributes_finish(&builder);
    assert_non_null(attributes);
    story.workers[worker].alpha_us = 10;
    story.workers[worker].beta_us = beta_us;
    struct sched_slot_info info = story_info(&story, worker, true);
    info.attributes = attributes;
    info.price_per_hour = price;
    info.busy_watts = watts;
    story_up(&story, worker, info, 1);
    attributes_free(&attributes);
}

static struct sched_event job_with(uint64_t id, uint64_t samples, const char *require, const char *prefer)
{
    struct sched_event add = story_job(id, samples);
    add.add.require = require;
    add.add.prefer = prefer;
    return add;
}

static struct sched_event thrifty(uint64_t id, uint64_t samples, enum sched_objective objective,
                                  uint64_t deadline_us)
{
    struct sched_event add = story_job(id, samples);
    add.add.objective = objective;
    add.add.deadline_us = deadline_us;
    return add;
}

/* ---- requirements ---- */

static void only_slots_that_satisfy_get_leases(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 1000, 0, 0);
    hire(1, GPU, 1000, 0, 0);
    story_worker(&story, 2, 10, 1000); /* nothing is known of it */
    story_add(&story, job_with(1, 1000, "device.memory >= 16GB", NULL));
    story_add(&story, job_with(2, 1000, "device.kind = cpu", NULL));
    assert_true(story_run_job(&story, 1, 60000000) && story_run_job(&story, 2, 60000000));
    assert_int_equal(story_leased(&story, 1, 1), 1000);
    assert_int_equal(story_leased(&story, 2, 0), 1000);
    assert_int_equal(story_leased(&story, 0, 2), 0);
    story_end(&story);
}

/* A slot that comes later is looked at, too; a job that nobody satisfies waits, and others pass it. */
static void who_comes_later_is_looked_at(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 1000, 0, 0);
    story_add(&story, job_with(1, 100, "device.kind = gpu", NULL));
    story_add(&story, story_job(2, 100));
    assert_true(story_run_job(&story, 2, 60000000));
    assert_int_equal(story_state(&story, 1), SCHED_JOB_QUEUED);
    hire(1, GPU, 1000, 0, 0);
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(story_leased(&story, 1, 1), 100);
    story_end(&story);
}

static void a_requirement_that_does_not_parse_is_no_job(void **state)
{
    (void)state;
    struct sched_job_look look;
    story_begin(&story);
    story_add(&story, job_with(1, 100, "device.kind == gpu", NULL));
    assert_false(sched_job_look(story.sched, 1, &look));
    story_add(&story, job_with(2, 100, NULL, "colour = red"));
    assert_false(sched_job_look(story.sched, 2, &look));
    story_end(&story);
}

/* ---- preferences and objectives ---- */

static void the_preferred_run_alone_while_they_can(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 100, 0, 0); /* faster, and not wanted */
    hire(1, GPU, 1000, 0, 0);
    story_add(&story, job_with(1, 1000, NULL, "device.kind = gpu"));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(story_leased(&story, 1, 1), 1000);
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 1 });
    story_add(&story, job_with(2, 1000, NULL, "device.kind = gpu"));
    assert_true(story_run_job(&story, 2, 60000000)); /* none of them is here: then the others */
    assert_int_equal(story_leased(&story, 2, 0), 1000);
    story_end(&story);
}

/* Worker 0 costs 1 for 1,000 samples a second, worker 1 costs 5 for 2,000; worker 2 draws least a sample. */
static void begin_market(void)
{
    story_begin(&story);
    hire(0, CPU, 1000, 1, 400);
    hire(1, GPU, 500, 5, 300);
    hire(2, GPU, 4000, 9, 20);
}

static void without_a_deadline_only_the_best_run(void **state)
{
    (void)state;
    begin_market();
    story_add(&story, thrifty(1, 500, SCHED_CHEAPEST, 0));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(story_leased(&story, 1, 0), 500);
    story_add(&story, thrifty(2, 500, SCHED_GREENEST, 0));
    assert_true(story_run_job(&story, 2, 60000000));
    assert_int_equal(story_leased(&story, 2, 2), 500);
    story_add(&story, thrifty(3, 5000, SCHED_FASTEST, 0));
    assert_true(story_run_job(&story, 3, 60000000));
    for (uint32_t worker = 0; worker < 3; worker++)
        assert_true(story_leased(&story, 3, worker) > 0);
    story_end(&story);
}

/* 1,000 samples by worker 0 alone take 1 s; in 0.5 s worker 1 must help, in 5 s nobody need. */
static void a_deadline_pulls_in_the_dearer_ones(void **state)
{
    (void)state;
    begin_market();
    story_add(&story, thrifty(1, 1000, SCHED_CHEAPEST, story.now + 5000000));
    assert_true(story_run_job(&story, 1, story.now + 5000000));
    assert_int_equal(story_leased(&story, 1, 0), 1000);
    uint64_t deadline = story.now + 500000;
    story_add(&story, thrifty(2, 1000, SCHED_CHEAPEST, deadline));
    assert_true(story_run_job(&story, 2, deadline));
    assert_true(story_leased(&story, 2, 1) > 400); /* as much as it takes */
    assert_int_equal(story_leased(&story, 2, 2), 0);
    story_end(&story);
}

/* The deadline comes nearer by hand: then the dearer ones help, though the job began without them. */
static void a_changed_deadline_cuts_anew(void **state)
{
    (void)state;
    begin_market();
    story_add(&story, thrifty(1, 10000, SCHED_CHEAPEST, story.now + 60000000));
    story_run_until(&story, story.now + 1000000);
    assert_int_equal(story_leased(&story, 1, 1) + story_leased(&story, 1, 2), 0);
    story_step(&story, (struct sched_event){ .type = SCHED_JOB_CHANGE,
                                             .job = 1,
                                             .change = { .deadline_us = story.now + 4000000 } });
    assert_true(story_run_job(&story, 1, story.now + 4000000));
    assert_true(story_leased(&story, 1, 1) > 4000);
    story_end(&story);
}

static void what_has_no_figures_is_taken_last(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 1000, 0, 0); /* no price, no watts */
    hire(1, CPU, 1000, 1, 100);
    story_add(&story, thrifty(1, 500, SCHED_GREENEST, 0));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(story_leased(&story, 1, 1), 500);
    uint64_t deadline = story.now + 350000;
    story_add(&story, thrifty(2, 500, SCHED_GREENEST, deadline));
    assert_true(story_run_job(&story, 2, deadline));
    assert_true(story_leased(&story, 2, 0) > 0 && story_leased(&story, 2, 1) > 0);
    story_end(&story);
}

static void an_unknown_curve_stays_in_until_a_batch_tells(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 1000, 1, 100);
    story.workers[1] = (struct story_worker){ .alpha_us = 10, .beta_us = 1000 };
    struct sched_slot_info info = story_info(&story, 1, false);
    info.price_per_hour = 50;
    story_up(&story, 1, info, 1);
    story_add(&story, thrifty(1, 5000, SCHED_CHEAPEST, 0));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_true(story_leased(&story, 1, 1) > 0 && story_leased(&story, 1, 1) < 600);
    story_end(&story);
}

static void the_cost_is_of_a_sample(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, CPU, 1000, 3.6, 200);
    story_add(&story, thrifty(1, 100, SCHED_CHEAPEST, 0));
    const struct pool *pool = &story.sched->pools[0];
    const struct slot_model *model = slot_model_find(story.sched->workers[0].slots[0], 0);
    struct pool green = *pool, fast = *pool;
    green.objective = SCHED_GREENEST;
    fast.objective = SCHED_FASTEST;
    /* about 1,000 samples a second: a millionth of 1.0 an hour's 3,600th, and 0.2 J each */
    assert_true(pool_cost(story.sched, pool, model) > 0.99e-6 &&
                pool_cost(story.sched, pool, model) < 1.02e-6);
    assert_true(pool_cost(story.sched, &green, model) > 0.199 &&
                pool_cost(story.sched, &green, model) < 0.203);
    assert_true(pool_cost(story.sched, &fast, model) == 0);
    story_end(&story);
}

/* ---- who shares a pool, and for how long ---- */

static uint32_t pools_used(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < story.sched->pools_count; i++)
        count += story.sched->pools[i].used;
    return count;
}

static void equal_requirements_share_a_pool_and_private_ones_go(void **state)
{
    (void)state;
    begin_market();
    story_add(&story, story_job(1, 100));
    story_add(&story, story_job(2, 100));
    assert_int_equal(pools_used(), 1);
    story_add(&story, job_with(3, 100, "device.kind = gpu", NULL));
    story_add(&story, job_with(4, 100, "(device.kind=gpu)", NULL)); /* the same, as canonical texts */
    assert_int_equal(pools_used(), 2);
    story_add(&story, job_with(5, 100, NULL, "device.kind = gpu"));
    story_add(&story, thrifty(6, 100, SCHED_GREENEST, 0));
    story_add(&story, thrifty(7, 100, SCHED_GREENEST, 0));
    assert_int_equal(pools_used(), 5);
    for (uint64_t job = 1; job <= 7; job++)
        assert_true(story_run_job(&story, job, 60000000));
    assert_int_equal(pools_used(), 1); /* the plain one stays for the model's next job */
    for (uint32_t worker = 0; worker < 3; worker++)
        assert_int_equal(story.sched->workers[worker].slots[0]->members_count, 1);
    story_add(&story, job_with(8, 100, "device.kind = gpu", NULL)); /* a place that was used before */
    assert_int_equal(story.sched->pools_count, 5);
    assert_true(story_run_job(&story, 8, 60000000));
    assert_int_equal(story_leased(&story, 8, 0), 0);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_slots_that_satisfy_get_leases),
        cmocka_unit_test(who_comes_later_is_looked_at),
        cmocka_unit_test(a_requirement_that_does_not_parse_is_no_job),
        cmocka_unit_test(the_preferred_run_alone_while_they_can),
        cmocka_unit_test(without_a_deadline_only_the_best_run),
        cmocka_unit_test(a_deadline_pulls_in_the_dearer_ones),
        cmocka_unit_test(a_changed_deadline_cuts_anew),
        cmocka_unit_test(what_has_no_figures_is_taken_last),
        cmocka_unit_test(an_unknown_curve_stays_in_until_a_batch_tells),
        cmocka_unit_test(the_cost_is_of_a_sample),
        cmocka_unit_test(equal_requirements_share_a_pool_and_private_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
