// SPDX-License-Identifier: Apache-2.0
#include "forecast.h"

#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct story story, twin;
static struct forecast told;

/* Near enough to a rate of 1e6 / beta_us that alpha does not show. */
static void hire(struct story *into, uint32_t worker, double beta_us, double load_us)
{
    into->workers[worker] =
        (struct story_worker){ .alpha_us = 1, .beta_us = beta_us, .load_us = (uint64_t)load_us };
    struct sched_slot_info info = story_info(into, worker, true);
    info.load_us = load_us;
    story_up(into, worker, info, 1);
}

static void look(void *context, const struct sched *sched)
{
    const uint64_t *job = context;
    assert_true(forecast_job(sched, *job, &told));
}

static bool suppose(struct sched_event add)
{
    bool possible = sched_suppose(story.sched, story.now, &add, look, &add.job);
    sched_check(story.sched);
    return possible;
}

static void near(uint64_t got, uint64_t wanted, uint64_t off)
{
    if (got + off < wanted || got > wanted + off)
        fail_msg("%llu is not within %llu of %llu", (unsigned long long)got, (unsigned long long)off,
                 (unsigned long long)wanted);
}

/* 1,000 + 500 + 250 samples a second. */
static void the_water_level_of_known_curves(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    hire(&story, 1, 2000, 0);
    hire(&story, 2, 4000, 0);
    assert_true(suppose(story_job(1, 17500)));
    assert_true(told.known);
    near(told.done_us, story.now + 10000000, 50000);
    assert_true(told.low_us < told.done_us && told.done_us < told.high_us);
    assert_true(told.low_us >= story.now);
    assert_int_equal(told.slots, 3);
    assert_false(told.fits);
    assert_int_equal(told.slots_more, 0);
    story_add(&story, story_job(1, 17500));
    assert_true(story_run_job(&story, 1, story.now + 60000000));
    near(story.now, told.done_us, 300000);
    story_end(&story);
}

/* With its model to be loaded a slot starts later; one that would start after the end does not take part. */
static void loads_are_counted(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    hire(&story, 1, 1000, 1000000);
    hire(&story, 2, 1000, 5000000);
    assert_true(suppose(story_job(1, 3000))); /* T + (T - 1 s) = 3 s */
    near(told.done_us, story.now + 2000000, 20000);
    assert_int_equal(told.slots, 2);
    story_end(&story);
}

static void nobody_has_shown_anything(void **state)
{
    (void)state;
    story_begin(&story);
    story.workers[0] = (struct story_worker){ .alpha_us = 1, .beta_us = 1000 };
    story_up(&story, 0, story_info(&story, 0, false), 1);
    assert_true(suppose(story_job(1, 100)));
    assert_false(told.known);
    story_add(&story, story_job(1, 1000));
    story_run_until(&story, story.now + 300000);
    assert_true(forecast_job(story.sched, 1, &told));
    assert_true(told.known);
    near(told.done_us, 2000000, 100000);
    assert_true(story_run_job(&story, 1, 60000000));
    assert_false(forecast_job(story.sched, 1, &told));
    assert_false(forecast_job(story.sched, 7, &told));
    story_end(&story);
}

/* ---- other jobs ---- */

static void jobs_before_it_are_counted(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    story_step(&story, (struct sched_event){ .type = SCHED_PAUSE }); /* all of it waits */
    story_add(&story, story_job(1, 4000));
    story_step(&story, (struct sched_event){ .type = SCHED_LOADED, .loaded = { .ok = true } });
    struct sched_event urgent = story_job(2, 1000), same = story_job(3, 1000), later = story_job(4, 1000);
    urgent.add.priority = 1;
    later.add.priority = -1;
    assert_true(suppose(urgent));
    near(told.done_us, story.now + 1000000, 20000); /* nothing goes before it */
    assert_true(suppose(same));
    near(told.done_us, story.now + 2000000, 40000); /* they share: as much of the other one's as its own */
    assert_true(suppose(later));
    near(told.done_us, story.now + 5000000, 60000); /* the whole of the other one */
    same.add.tenant = 1;
    story_step(&story, (struct sched_event){ .type = SCHED_TENANT, .tenant = { .tenant = 1, .weight = 2 } });
    assert_true(suppose(same));
    near(told.done_us, story.now + 1500000, 40000); /* twice the weight: the other gets half of its time */
    story_end(&story);
}

/* ---- deadlines ---- */

static void a_deadline_fits_or_how_many_slots_would_make_it(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    struct sched_event add = story_job(1, 10000);
    add.add.deadline_us = story.now + 30000000;
    assert_true(suppose(add));
    assert_true(told.fits);
    assert_int_equal(told.slots_more, 0);
    add.add.deadline_us = story.now + 4000000;
    assert_true(suppose(add));
    assert_false(told.fits);
    assert_int_equal(told.like_worker, 0);
    assert_in_range(told.slots_more, 2, 6);
    uint32_t more = told.slots_more;
    for (uint32_t i = 1; i <= more; i++) {
        if (i + 1 < more) {
            assert_true(suppose(add));
            assert_false(told.fits);
        }
        hire(&story, i, 1000, 0);
    }
    assert_true(suppose(add));
    assert_true(told.high_us <= add.add.deadline_us + 400000); /* it promised no more than an estimate */
    story_add(&story, add);
    assert_true(story_run_job(&story, 1, add.add.deadline_us));
    story_end(&story);
}

static void no_number_of_slots_helps_against_the_past(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    struct sched_event add = story_job(1, 10000);
    add.add.deadline_us = 1;
    assert_true(suppose(add));
    assert_true(told.known);
    assert_false(told.fits);
    assert_int_equal(told.slots_more, 0);
    add.add.deadline_us = story.now + 20; /* shorter than a chunk */
    assert_true(suppose(add));
    assert_int_equal(told.slots_more, 0);
    story_end(&story);
}

/* The interval follows how wrong the past ones were: equal jobs one after the other are well known soon. */
static void the_interval_learns(void **state)
{
    (void)state;
    story_begin(&story);
    hire(&story, 0, 1000, 0);
    hire(&story, 1, 3000, 0);
    uint64_t wide = 0;
    uint32_t inside = 0;
    for (uint64_t job = 1; job <= 60; job++) {
        story_add(&story, story_job(job, 500 + job * 37 % 400));
        assert_true(forecast_job(story.sched, job, &told));
        wide = job == 10 ? told.high_us - told.low_us : wide;
        assert_true(story_run_job(&story, job, story.now + 60000000));
        inside += job > 20 && story.now >= told.low_us && story.now <= told.high_us;
        story_forget(&story);
    }
    assert_true(told.high_us - told.low_us < wide);
    assert_true(inside >= 32); /* of 40; equal jobs are no random sample */
    story_end(&story);
}

/* ---- suppositions ---- */

static bool same_action(const struct sched_action *a, const struct sched_action *b)
{
    return a->type == b->type && a->worker == b->worker && a->slot == b->slot && a->job == b->job &&
           a->first == b->first && a->count == b->count && a->attempt == b->attempt && a->state == b->state &&
           a->settle == b->settle;
}

static void begin_both(void)
{
    struct story *both[] = { &story, &twin };
    for (int i = 0; i < 2; i++) {
        story_begin(both[i]);
        hire(both[i], 0, 1000, 0);
        hire(both[i], 1, 3000, 0);
        story_add(both[i], story_job(1, 3000));
    }
}

/* Of two histories that are otherwise equal, one has suppositions all the time. */
static void a_supposition_leaves_nothing(void **state)
{
    (void)state;
    begin_both();
    for (int i = 0; i < 40; i++) {
        struct sched_event add = story_job(2, 1 + (uint64_t)i * 1000);
        add.add.model = (uint32_t)i % 3;
        add.add.priority = i % 5 - 2;
        add.add.require = i % 2 ? "device.kind = gpu" : NULL;
        add.add.prefer = i % 3 ? NULL : "device.kind = cpu";
        add.add.objective = i % 4 ? SCHED_FASTEST : SCHED_GREENEST;
        add.add.deadline_us = i % 7 ? 0 : story.now + 1000;
        assert_true(suppose(add));
        struct sched_job_look gone;
        assert_false(sched_job_look(story.sched, 2, &gone));
        assert_int_equal(sched_deadline_us(story.sched), sched_deadline_us(twin.sched));
        story_run_until(&story, story.now + 50000);
        story_run_until(&twin, twin.now + 50000);
    }
    struct sched_event bad = story_job(2, 10), again = story_job(1, 10);
    bad.add.require = "no such thing";
    assert_false(suppose(bad));
    assert_false(suppose(again)); /* there is a job of that number */
    assert_true(story_run_job(&story, 1, 60000000) && story_run_job(&twin, 1, 60000000));
    assert_int_equal(story.now, twin.now);
    assert_int_equal(story.log_count, twin.log_count);
    for (size_t i = 0; i < story.log_count; i++)
        assert_true(same_action(&story.log[i], &twin.log[i]));
    story_end(&story);
    story_end(&twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_water_level_of_known_curves),
        cmocka_unit_test(loads_are_counted),
        cmocka_unit_test(nobody_has_shown_anything),
        cmocka_unit_test(jobs_before_it_are_counted),
        cmocka_unit_test(a_deadline_fits_or_how_many_slots_would_make_it),
        cmocka_unit_test(no_number_of_slots_helps_against_the_past),
        cmocka_unit_test(the_interval_learns),
        cmocka_unit_test(a_supposition_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
