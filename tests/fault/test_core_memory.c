// SPDX-License-Identifier: Apache-2.0
/* The scheduler when an allocation fails, each of a story's in turn: refused, or a stop with the reason;
 * never tables that disagree, never a job that is forgotten. */
#include "starve.h"
#include "unit/story.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { JOBS = 5 };

static struct story *stage;

/* Samples that fail on worker 0 make suspects. */
static enum sched_failure judge(const struct story *story, const struct sched_action *lease)
{
    (void)story;
    return lease->worker == 0 && lease->job == 2 && lease->first < 8 ? SCHED_FAILED : SCHED_OK;
}

static void raise_stage(void)
{
    struct sched_config config = { .workers_max = STORY_WORKERS, .slots_max = 100, .jobs_max = STORY_JOBS };
    stage->now = 1000000;
    stage->sched = sched_new(&config, 1);
    if (stage->sched == NULL)
        _exit(0); /* refused */
    stage->judge = judge;
}

static void bring_workers(void)
{
    for (uint32_t w = 0; w < 3; w++) {
        stage->workers[w] = (struct story_worker){ .alpha_us = 1000, .beta_us = 100.0 * (w + 1) };
        struct sched_slot_info info = story_info(stage, w, true);
        info.class = w;
        info.memory_bytes = 1 << 20;
        story_up(stage, w, info, 1 + w);
    }
}

static void bring_jobs(void)
{
    static uint32_t costs[100];
    for (uint32_t i = 0; i < 100; i++)
        costs[i] = 1 + i % 7;
    for (uint64_t job = 1; job <= JOBS; job++) {
        struct sched_event add = story_job(job, 100);
        add.add.model = (uint32_t)job % 3;
        add.add.memory_bytes = 1 << 18;
        add.add.priority = (int32_t)job;
        add.add.tenant = (uint32_t)job % 2;
        add.add.verify_ppm = job == 3 ? 200000 : 0;
        add.add.costs = job == 4 ? costs : NULL;
        add.add.costs_count = job == 4 ? 100 : 0;
        add.add.deadline_us = job == 5 ? stage->now + 10000000 : 0;
        story_add(stage, add);
    }
}

static void lose_a_worker(void)
{
    for (int i = 0; i < 12; i++)
        (void)story_next(stage, UINT64_MAX);
    story_step(stage, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 1 });
    for (size_t i = stage->leases_count; i > 0; i--)
        if (stage->leases[i - 1].action.worker == 1)
            story_drop_lease(stage, i - 1);
    for (size_t i = stage->loads_count; i > 0; i--)
        if (stage->loads[i - 1].action.worker == 1)
            stage->loads[i - 1] = stage->loads[--stage->loads_count];
    struct sched_slot_info info = story_info(stage, 1, true);
    info.class = 1;
    info.memory_bytes = 1 << 20;
    story_up(stage, 1, info, 2);
}

/* A job that was not refused ends. */
static void all_end(void)
{
    struct sched_job_look look;
    for (uint64_t job = 1; job <= JOBS; job++)
        if (sched_job_look(stage->sched, job, &look))
            ENSURE(story_run_job(stage, job, stage->now + 600000000));
    errno = 0;
    sched_check(stage->sched);
}

static void tell(void)
{
    stage = __real_calloc(1, sizeof *stage);
    raise_stage();
    bring_workers();
    bring_jobs();
    lose_a_worker();
    story_step(stage, (struct sched_event){ .type = SCHED_JOB_CHANGE, .job = 1, .change = { 9, 0 } });
    story_step(stage, (struct sched_event){ .type = SCHED_DRAIN, .worker = 2 });
    story_step(stage, (struct sched_event){ .type = SCHED_UNDRAIN, .worker = 2 });
    all_end();
    story_end(stage);
    free(stage);
}

static void test_scheduler(void **state)
{
    (void)state;
    assert_true(starve_all("scheduler", tell, getenv("MOTLEY_LONG") ? 1 : 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_scheduler) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
