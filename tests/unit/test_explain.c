// SPDX-License-Identifier: Apache-2.0
/* Each reason of the enumeration by a story that brings it about, with its figures. */
#include "explain.h"

#include "state.h"
#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct story story;
static struct explain_slot said;

static enum explain_reason why(uint64_t job, uint32_t worker)
{
    assert_true(explain_slot(story.sched, job, worker, 0, &said));
    assert_int_equal(said.worker, worker);
    assert_int_equal(said.slot, 0);
    return said.reason;
}

static void runs(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 100));
    story_run_until(&story, story.now);
    assert_int_equal(why(1, 0), EXPLAIN_RUNS);
    assert_int_equal(said.in_flight, 2);
    assert_int_equal(said.batch, 16);
    assert_true(said.samples_per_second > 900 && said.samples_per_second < 1000); /* 16 in 17 ms */
    assert_int_equal(said.start_us, story.now + 34000);
    assert_true(said.finish_us > story.now + 100000 && said.finish_us < story.now + 120000);
    assert_true(said.cost < 0);
    story_end(&story);
}

static void gone_and_no_such_thing(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 100));
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 0 });
    assert_int_equal(why(1, 0), EXPLAIN_GONE);
    assert_false(explain_slot(story.sched, 2, 0, 0, &said));
    assert_false(explain_slot(story.sched, 1, 1, 0, &said));
    assert_false(explain_slot(story.sched, 1, 0, 1, &said));
    story_end(&story);
}

static void format_and_requirement(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    struct sched_event onnx = story_job(1, 100), picky = story_job(2, 100);
    onnx.add.formats = SCHED_FORMAT_ONNX;
    picky.add.require = "device.memory >= 16GB and device.kind = gpu";
    story_add(&story, onnx);
    story_add(&story, picky);
    assert_int_equal(why(1, 0), EXPLAIN_FORMAT);
    assert_int_equal(why(2, 0), EXPLAIN_REQUIRED);
    struct require_findings findings;
    assert_false(explain_requirement(story.sched, 1, 0, 0, &findings));
    assert_true(explain_requirement(story.sched, 2, 0, 0, &findings));
    assert_int_equal(findings.count, 2);
    assert_true(findings.at[0].lacks && findings.at[1].lacks);
    story_end(&story);
}

static void draining(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_step(&story, (struct sched_event){ .type = SCHED_DRAIN, .worker = 0 });
    story_add(&story, story_job(1, 100));
    assert_int_equal(why(1, 0), EXPLAIN_DRAINING);
    story_step(&story, (struct sched_event){ .type = SCHED_UNDRAIN, .worker = 0 });
    story_run_until(&story, story.now);
    assert_int_equal(why(1, 0), EXPLAIN_RUNS);
    story_end(&story);
}

static enum sched_failure worker_1_is_broken(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->worker == 1 ? SCHED_FAILED : SCHED_OK;
}

static void barred(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 6; worker++)
        story_worker(&story, worker, 1000, 1000);
    story.judge = worker_1_is_broken;
    story_add(&story, story_job(1, 100000));
    while (!story_find(&story, SCHED_BAR, 0))
        assert_true(story_next(&story, UINT64_MAX - 1));
    uint64_t until = story_find(&story, SCHED_BAR, 0)->until_us;
    story_run_until(&story, until - 100000);
    assert_int_equal(why(1, 1), EXPLAIN_BARRED);
    assert_int_equal(said.until_us, until);
    assert_int_equal(why(1, 0), EXPLAIN_RUNS);
    struct explain_job job;
    assert_true(explain_job(story.sched, 1, &job));
    assert_true(job.failed_batches >= 3 && job.slots_serving >= 4);
    story_end(&story);
}

static void overdue(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_worker(&story, 1, 1000, 1000);
    story_add(&story, story_job(1, 1));
    story.workers[0].silent = story.workers[1].silent = true;
    story_run_until(&story, story.now);
    uint32_t holder = story_find(&story, SCHED_LEASE, 0)->worker;
    story_run_until(&story, story.now + 6000000);
    assert_int_equal(why(1, 1 - holder), EXPLAIN_RUNS); /* somebody else has it now */
    story_add(&story, story_job(2, 1000));
    assert_int_equal(why(2, holder), EXPLAIN_OVERDUE);
    struct explain_job job;
    assert_true(explain_job(story.sched, 1, &job));
    assert_int_equal(job.expired, 1);
    story_end(&story);
}

static void refused_loading_and_not_worth(void **state)
{
    (void)state;
    story_begin(&story);
    story.workers[1].refuses = true;
    story_worker(&story, 0, 1000, 1000);
    story_worker(&story, 1, 1000, 1000);
    story_add(&story, story_job(1, 3000));
    story_run_until(&story, story.now + 10000);
    assert_int_equal(why(1, 1), EXPLAIN_REFUSED);
    story.hold_loads = true;
    story.workers[2] = story.workers[0];
    struct sched_slot_info info = story_info(&story, 2, true);
    info.load_us = 500000;
    story_up(&story, 2, info, 1);
    assert_int_equal(why(1, 2), EXPLAIN_LOADING);
    assert_int_equal(said.load_us, 500000);
    assert_int_equal(said.until_us, story.now + 500000);
    info.load_us = 1e9;
    story_up(&story, 3, info, 1);
    assert_int_equal(why(1, 3), EXPLAIN_NOT_WORTH);
    assert_int_equal(said.load_us, 1000000000);
    assert_true(said.finish_us < story.now + 4000000);
    story_end(&story);
}

static void objective(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 2; worker++) {
        story.workers[worker] = (struct story_worker){ .alpha_us = 10, .beta_us = 1000 };
        struct sched_slot_info info = story_info(&story, worker, true);
        info.busy_watts = worker ? 500 : 100;
        story_up(&story, worker, info, 1);
    }
    struct sched_event green = story_job(1, 1000);
    green.add.objective = SCHED_GREENEST;
    story_add(&story, green);
    story_run_until(&story, story.now + 1000);
    assert_int_equal(why(1, 1), EXPLAIN_OBJECTIVE);
    assert_true(said.cost > 0.49 && said.cost < 0.51);
    assert_int_equal(why(1, 0), EXPLAIN_RUNS);
    assert_true(said.cost > 0.099 && said.cost < 0.102);
    story_end(&story);
}

static void paused_and_nothing(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 100));
    story_run_until(&story, story.now);
    story_step(&story, (struct sched_event){ .type = SCHED_PAUSE });
    story_add(&story, story_job(2, 100));
    assert_int_equal(why(2, 0), EXPLAIN_PAUSED);
    story_run_until(&story, story.now + 1000000);
    assert_int_equal(why(1, 0), EXPLAIN_PAUSED); /* what was out came back, and nothing goes out */
    story_step(&story, (struct sched_event){ .type = SCHED_RESUME });
    assert_true(story_run_job(&story, 1, story.now + 1000000));
    assert_int_equal(why(1, 0), EXPLAIN_NOTHING); /* it is over */
    story_end(&story);
}

static void nothing_is_left_to_lease(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_worker(&story, 1, 1000, 1000);
    story_add(&story, story_job(1, 1));
    story_run_until(&story, story.now);
    uint32_t holder = story_find(&story, SCHED_LEASE, 0)->worker;
    assert_int_equal(why(1, holder), EXPLAIN_RUNS);
    assert_int_equal(why(1, 1 - holder), EXPLAIN_NOTHING);
    story_end(&story);
}

static void quota(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 3; worker++)
        story_worker(&story, worker, 1000, 1000);
    story_step(&story, (struct sched_event){ .type = SCHED_TENANT,
                                             .tenant = { .tenant = 0, .weight = 1, .slots_quota = 2 } });
    story_add(&story, story_job(1, 1000));
    story_run_until(&story, story.now);
    uint32_t runs = 0, kept = 0;
    for (uint32_t worker = 0; worker < 3; worker++) {
        runs += why(1, worker) == EXPLAIN_RUNS;
        kept += said.reason == EXPLAIN_QUOTA;
    }
    assert_int_equal(runs, 2);
    assert_int_equal(kept, 1);
    story_run_until(&story, story.now + 200000);
    assert_int_equal(story.sched->queues.tenants[0].slots_held, 2);
    story_end(&story);
}

static void others_go_first(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 1000));
    story_run_until(&story, story.now);
    struct sched_event later = story_job(2, 1000);
    later.add.priority = -1;
    story_add(&story, later);
    assert_int_equal(why(2, 0), EXPLAIN_OTHERS);
    assert_int_equal(said.job, 1);
    struct explain_job job;
    assert_true(explain_job(story.sched, 2, &job));
    assert_int_equal(job.jobs_before, 1);
    assert_false(job.held);
    story_end(&story);
}

/* A fast and a slow slot, and so little left that the slow one would only delay the end. */
static void late(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 10, 100);
    story_worker(&story, 1, 10, 1000000);
    story_add(&story, story_job(1, 200));
    story_run_until(&story, story.now);
    assert_int_equal(why(1, 1), EXPLAIN_LATE);
    assert_true(said.finish_us < story.now + 1000000);
    assert_int_equal(said.batch, 1); /* two would be above the cap of 2 s */
    assert_true(story_run_job(&story, 1, story.now + 100000));
    assert_int_equal(story_leased(&story, 1, 1), 0);
    story_end(&story);
}

static void look_at_supposed(void *context, const struct sched *sched)
{
    struct explain_slot *into = context;
    assert_true(explain_slot(sched, 2, 0, 0, into));
}

static void supposed_would_be_next(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_add(&story, story_job(1, 16));
    assert_true(story_run_job(&story, 1, 10000000));
    struct sched_event add = story_job(2, 100);
    assert_true(sched_suppose(story.sched, story.now, &add, look_at_supposed, &said));
    assert_int_equal(said.reason, EXPLAIN_NEXT);
    assert_int_equal(said.start_us, story.now);
    assert_true(said.finish_us > story.now + 100000 && said.finish_us < story.now + 120000);
    story_end(&story);
}

/* ---- the job ---- */

static void what_holds_the_end(void **state)
{
    (void)state;
    story_begin(&story);
    story_worker(&story, 0, 1000, 1000);
    story_worker(&story, 1, 1000, 30000);
    story_add(&story, story_job(1, 200));
    story_run_until(&story, story.now + 60000);
    struct explain_job job;
    assert_true(explain_job(story.sched, 1, &job));
    assert_true(job.held);
    assert_true(job.slots_serving >= 1 && job.finish_us > story.now && job.finish_us < story.now + 1000000);
    double end = 0;
    for (uint32_t worker = 0; worker < 2; worker++) {
        const struct slot *slot = story.sched->workers[worker].slots[0];
        for (uint32_t i = 0; i < slot->leases_count; i++)
            if (slot->leases[i].end_us > end) {
                end = slot->leases[i].end_us;
                assert_true(job.end_us >= (uint64_t)end);
            }
    }
    assert_int_equal(job.end_us, (uint64_t)end);
    assert_true(job.count >= 1 && job.since_us < job.end_us);
    assert_true(story_run_job(&story, 1, story.now + 1000000));
    assert_true(explain_job(story.sched, 1, &job));
    assert_false(job.held);
    assert_int_equal(job.finish_us, story.now);
    assert_true(job.tenant_used_seconds > 0.19 && job.tenant_weight == 1);
    assert_false(explain_job(story.sched, 9, &job));
    story_end(&story);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = EXPLAIN_RUNS; i <= EXPLAIN_NEXT; i++) {
        assert_non_null(explain_reason_name((enum explain_reason)i));
        for (int k = EXPLAIN_RUNS; k < i; k++)
            assert_string_not_equal(explain_reason_name((enum explain_reason)i),
                                    explain_reason_name((enum explain_reason)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs),
        cmocka_unit_test(gone_and_no_such_thing),
        cmocka_unit_test(format_and_requirement),
        cmocka_unit_test(draining),
        cmocka_unit_test(barred),
        cmocka_unit_test(overdue),
        cmocka_unit_test(refused_loading_and_not_worth),
        cmocka_unit_test(objective),
        cmocka_unit_test(paused_and_nothing),
        cmocka_unit_test(nothing_is_left_to_lease),
        cmocka_unit_test(quota),
        cmocka_unit_test(others_go_first),
        cmocka_unit_test(late),
        cmocka_unit_test(supposed_would_be_next),
        cmocka_unit_test(what_holds_the_end),
        cmocka_unit_test(every_reason_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
