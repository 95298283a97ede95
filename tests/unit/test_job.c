// SPDX-License-Identifier: Apache-2.0
/* The samples of a job, against a plain array of them; and what is promised to jobs that are checked, waited
 * for, or overtaken. */
#include "job.h"

#include "rng.h"
#include "state.h"
#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct story story;

static struct job *make(uint64_t samples)
{
    struct sched_event add = story_job(1, samples);
    struct job *job = job_new(&add, 5);
    assert_non_null(job);
    job_check(job);
    return job;
}

/* ---- samples, against an array ---- */

enum { SAMPLES = 200, STEPS = 20000, READY = 0, LEASED, SUSPECT, CLAIMED };

static uint8_t states[SAMPLES];

static void compare(const struct job *job)
{
    uint64_t counts[4] = { 0 };
    for (uint64_t i = 0; i < SAMPLES; i++) {
        counts[states[i]]++;
        assert_int_equal(ranges_overlap(&job->ready, i, i + 1), states[i] == READY);
        assert_int_equal(ranges_overlap(&job->claimed, i, i + 1), states[i] == CLAIMED);
    }
    assert_int_equal(job->ready.samples, counts[READY]);
    assert_int_equal(job_leased(job), counts[LEASED]);
    assert_int_equal(job->suspect_samples, counts[SUSPECT]);
    assert_int_equal(job->claimed.samples, counts[CLAIMED]);
    job_check(job);
}

/* Somebody has this range (its lease may have expired meanwhile): it comes back, fails or is answered. */
static void any_end(struct rng *rng, struct job *job, uint64_t first, uint64_t end)
{
    const struct blame blame = { .suspected = true, .failures = 1 };
    uint64_t low, count;
    switch (rng_below(rng, 3)) {
    case 0:
        job_give_back(job, first, end);
        for (uint64_t i = first; i < end; i++)
            states[i] = states[i] == LEASED ? READY : states[i];
        break;
    case 1:
        /* what remains of suspects that it cuts is ready again, as they are */
        for (uint32_t k = 0; k < job->suspects_count; k++) {
            const struct suspect *s = &job->suspects[k];
            for (uint64_t i = s->first;
                 s->first < end && s->first + s->count > first && i < s->first + s->count; i++)
                states[i] = READY;
        }
        for (uint64_t i = first; i < end; i++)
            states[i] = states[i] == CLAIMED ? CLAIMED : SUSPECT;
        job_suspect(job, first, (uint32_t)(end - first), &blame);
        break;
    default:
        for (uint32_t k = 0; k < job->suspects_count; k++) {
            const struct suspect *s = &job->suspects[k];
            for (uint64_t i = s->first;
                 s->first < end && s->first + s->count > first && i < s->first + s->count; i++)
                states[i] = READY;
        }
        for (uint64_t at = first; job_claim(job, at, end, &low, &count); at = low + count)
            for (uint64_t i = low; i < low + count; i++) {
                assert_int_not_equal(states[i], CLAIMED); /* nobody claims a sample twice */
                states[i] = CLAIMED;
            }
        for (uint64_t i = first; i < end; i++)
            assert_int_equal(states[i], CLAIMED);
    }
}

static void samples_are_in_one_state_each(void **state)
{
    (void)state;
    uint64_t seed = 77;
    struct rng rng;
    rng_init(&rng, seed);
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 200; round++) {
        struct job *job = make(SAMPLES);
        for (int i = 0; i < SAMPLES; i++)
            states[i] = READY;
        for (int step = 0; step < STEPS / 200; step++) {
            uint64_t first, place = rng_below(&rng, SAMPLES);
            uint32_t count, most = 1 + (uint32_t)rng_below(&rng, 12);
            uint64_t end = place + most < SAMPLES ? place + most : SAMPLES;
            struct suspect suspect;
            if (rng_below(&rng, 2) && job_take(job, most, &first, &count)) {
                for (uint64_t i = 0; i < first; i++)
                    assert_int_not_equal(states[i], READY); /* from the front */
                for (uint64_t i = first; i < first + count; i++)
                    states[i] = LEASED;
            } else if (rng_below(&rng, 3) == 0 &&
                       job_suspect_take(job, 1, &(struct able){ 1, { 1 } }, most, &suspect)) {
                assert_true(suspect.count <= most);
                for (uint64_t i = suspect.first; i < suspect.first + suspect.count; i++)
                    states[i] = LEASED;
            } else {
                any_end(&rng, job, place, end);
            }
            compare(job);
        }
        job_free(&job);
    }
}

static void suspects_go_to_those_they_have_not_failed_on(void **state)
{
    (void)state;
    struct job *job = make(100);
    struct suspect suspect;
    const struct able three = { 3, { 1, 2, 3 } };
    struct blame blame = { .suspected = true, .failures = 1, .slots_count = 1, .slots = { 1 } };
    job_suspect(job, 10, 8, &blame);
    job_suspect(job, 30, 8, &(struct blame){ .suspected = true });
    assert_true(
        job_suspect_take(job, 1, &three, 100, &suspect)); /* slot 1 failed the first: it gets the other */
    assert_int_equal(suspect.first, 30);
    assert_false(job_suspect_take(job, 1, &three, 100, &suspect));
    assert_true(job_suspect_take(job, 2, &three, 5, &suspect)); /* no more than fits */
    assert_int_equal(suspect.first, 10);
    assert_int_equal(suspect.count, 5);
    assert_int_equal(suspect.blame.slots[0], 1);
    assert_true(job_suspect_take(job, 1, &(struct able){ 1, { 1 } }, 100,
                                 &suspect)); /* it is all that are left: again */
    assert_int_equal(suspect.first, 15);
    assert_int_equal(suspect.count, 3);
    assert_int_equal(job->suspects_count, 0);
    job_free(&job);
}

static void a_job_of_a_trillion_samples_costs_no_more(void **state)
{
    (void)state;
    struct job *job = make(1000000000000u);
    uint64_t first;
    uint32_t taken;
    assert_true(job_take(job, 64, &first, &taken));
    assert_int_equal(first + taken, 64);
    assert_true(job_has_work(job) && job_open(job));
    assert_int_equal(job_leased(job), 64);
    job_free(&job);
    assert_null(job);
}

static void accounts_are_found_by_slot(void **state)
{
    (void)state;
    struct job *job = make(1);
    assert_null(job_account(job, 5, false));
    for (uint32_t slot = 40; slot > 0; slot--)
        job_account(job, slot * 7 % 41, true)->batches = slot * 7 % 41;
    for (uint32_t slot = 1; slot <= 40; slot++)
        assert_int_equal(job_account(job, slot, false)->batches, slot);
    assert_int_equal(job->tallies_count, 40);
    assert_null(job_account(job, 41, false));
    job_free(&job);
}

/* ---- checks on another class ---- */

static void the_share_of_checks_is_what_was_asked_for(void **state)
{
    (void)state;
    struct job *job = make(100000);
    job->verify_ppm = 50000;
    struct check check;
    uint64_t chosen = 0;
    for (uint64_t first = 0; first < 100000; first += 20) {
        job->done += 20;
        job_check_choose(job, first, 20, 3);
        while (job_check_take(job, 4, 1000, &check)) {
            assert_true(check.first >= first && check.first + check.count <= first + 20);
            assert_int_equal(check.class, 3);
            chosen += check.count;
        }
    }
    assert_in_range(chosen, 4950, 5050);
    assert_false(job_check_take(job, 4, 1000, &check));
    job_check_push(job, &(struct check){ 10, 9, 3 });
    assert_false(job_check_take(job, 3, 5, &check)); /* never by the same */
    assert_true(job_check_take(job, 2, 5, &check));
    assert_int_equal(check.first, 10);
    assert_int_equal(check.count, 5);
    assert_true(job_check_take(job, 2, 5, &check));
    assert_int_equal(check.first, 15);
    assert_int_equal(check.count, 4);
    job->checks_count = 0;
    job_free(&job);
}

static void hire(uint32_t worker, uint32_t class, double beta_us)
{
    story.workers[worker] = (struct story_worker){ .alpha_us = 10, .beta_us = beta_us };
    struct sched_slot_info info = story_info(&story, worker, true);
    info.class = class;
    story_up(&story, worker, info, 1);
}

static struct sched_event checked_job(uint64_t id, uint64_t samples, uint32_t ppm)
{
    struct sched_event add = story_job(id, samples);
    add.add.verify_ppm = ppm;
    return add;
}

static uint64_t compared(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; story_find(&story, SCHED_COMPARE, i); i++) {
        const struct sched_action *a = story_find(&story, SCHED_COMPARE, i);
        assert_int_not_equal(a->class, a->worker); /* worker 0 is of class 0, and so on */
        sum += a->count;
    }
    return sum;
}

static void answers_are_checked_on_another_class(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    hire(1, 1, 1500);
    story_add(&story, checked_job(1, 5000, 100000));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_in_range(compared(), 450, 550);
    assert_int_equal(story.done, 5000); /* what is checked is not stored again */
    story_end(&story);
}

static void with_one_class_alone_the_job_ends_unchecked(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    hire(1, 0, 1500);
    story_add(&story, checked_job(1, 1000, 500000));
    assert_true(story_run_job(&story, 1, 60000000));
    assert_int_equal(compared(), 0);
    assert_int_equal(story.sched->jobs[0]->checked, 0);
    assert_true(story.sched->jobs[0]->unchecked > 300);
    story_end(&story);
}

/* The worker that runs a check goes away; another of that class comes, and then none. */
static void a_lost_check_is_given_again(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    hire(1, 1, 1000000);
    hire(2, 1, 1000000);
    story_add(&story, checked_job(1, 500, 1000000));
    story_run_until(&story, story.now + 2000000);
    assert_int_equal(story.done, 500);
    assert_int_equal(story_state(&story, 1), SCHED_JOB_RUNNING); /* it waits for its checks */
    uint64_t before = story.sched->jobs[0]->checks_leased;
    assert_true(before > 0);
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 1 });
    for (size_t i = story.leases_count; i > 0; i--)
        if (story.leases[i - 1].action.worker == 1)
            story_drop_lease(&story, i - 1);
    hire(3, 3, 1000);
    assert_true(story_run_job(&story, 1, story.now + 100000000));
    assert_int_equal(story.sched->jobs[0]->checked, 500);
    story_end(&story);
}

static void checks_that_nobody_can_make_any_more_are_given_up(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    hire(1, 1, 1000000);
    story_add(&story, checked_job(1, 500, 1000000));
    story_run_until(&story, story.now + 2000000);
    assert_int_equal(story_state(&story, 1), SCHED_JOB_RUNNING);
    story_step(&story, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 1 });
    assert_int_equal(story_state(&story, 1), SCHED_JOB_COMPLETE);
    const struct job *job = story.sched->jobs[0];
    assert_int_equal(job->checked + job->unchecked, 500);
    story_end(&story);
}

static enum sched_failure checks_fail(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->worker == 1 ? SCHED_FAILED : SCHED_OK;
}

static void a_check_that_fails_is_no_sample_s_fault(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    hire(1, 1, 1000);
    story.judge = checks_fail;
    story_add(&story, checked_job(1, 500, 1000000));
    assert_true(story_run_job(&story, 1, 600000000));
    assert_int_equal(story.done, 500);
    assert_int_equal(story.failed, 0);
    story_end(&story);
}

/* ---- requests that somebody waits for ---- */

static struct sched_event online(uint64_t id, uint64_t samples, uint64_t slack_us)
{
    struct sched_event add = story_job(id, samples);
    add.add.online = true;
    add.add.deadline_us = slack_us ? story.now + slack_us : 0;
    return add;
}

static void requests_go_before_batch_jobs_and_the_most_urgent_first(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    struct sched_event batch = story_job(1, 10000);
    batch.add.priority = 1000000;
    story_add(&story, batch);
    story_run_until(&story, story.now + 100000);
    story_forget(&story);
    story_add(&story, online(2, 1, 500000));
    story_add(&story, online(3, 1, 100000));
    story_add(&story, online(4, 1, 0));
    assert_true(story_run_job(&story, 4, story.now + 200000));
    uint64_t order[3] = { 0 };
    for (size_t i = 0, at = 0; story_find(&story, SCHED_LEASE, i); i++)
        if (story_find(&story, SCHED_LEASE, i)->job > 1)
            order[at++ % 3] = story_find(&story, SCHED_LEASE, i)->job;
    assert_true(story_count(&story, SCHED_RECALL) >= 1); /* the batch that had not started gave way */
    assert_int_equal(order[1], 3);                       /* 2 went at once, then by deadline */
    assert_int_equal(order[2], 4);
    story_end(&story);
}

static void beside_requests_batches_are_short(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000); /* 1 ms a sample */
    story_add(&story, story_job(1, 100000));
    story_run_until(&story, story.now + 1000000);
    story_forget(&story);
    story_run_until(&story, story.now + 100000);
    assert_true(story_find(&story, SCHED_LEASE, 0)->count > 8);
    story_add(&story, online(2, 1, 10000)); /* 10 ms: half of it may be waited */
    assert_true(story_run_job(&story, 2, story.now + 100000));
    story_run_until(&story, story.now + 40000);
    story_forget(&story);
    story_run_until(&story, story.now + 1000000);
    for (size_t i = 0; story_find(&story, SCHED_LEASE, i); i++)
        assert_true(story_find(&story, SCHED_LEASE, i)->count <= 5);
    story_run_until(&story, story.now + 20000000);
    story_forget(&story);
    story_run_until(&story, story.now + 100000);
    assert_true(story_find(&story, SCHED_LEASE, 1)->count > 8); /* nobody came for ten seconds */
    story_end(&story);
}

static enum sched_failure sample_3_is_refused(const struct story *told, const struct sched_action *lease)
{
    (void)told;
    return lease->first <= 3 && lease->first + lease->count > 3 ? SCHED_REJECTED : SCHED_OK;
}

static void a_refused_sample_fails_at_once_and_strikes_nobody(void **state)
{
    (void)state;
    story_begin(&story);
    for (uint32_t worker = 0; worker < 4; worker++)
        hire(worker, 0, 1000);
    story.judge = sample_3_is_refused;
    story_add(&story, story_job(1, 64));
    assert_true(story_run_job(&story, 1, story.now + 10000000));
    assert_int_equal(story.failed, 1);
    assert_int_equal(story_find(&story, SCHED_FAIL, 0)->first, 3);
    assert_int_equal(story.done, 63);
    size_t tries = 0;
    for (size_t i = 0; story_find(&story, SCHED_LEASE, i); i++)
        tries +=
            story_find(&story, SCHED_LEASE, i)->first == 3 && story_find(&story, SCHED_LEASE, i)->count == 1;
    assert_int_equal(tries, 1); /* alone once: nobody else is asked */
    for (uint32_t worker = 0; worker < 4; worker++)
        assert_int_equal(story.sched->workers[worker].slots[0]->strikes, 0);
    story_end(&story);
}

/* ---- more urgent jobs ---- */

static void an_urgent_job_recalls_only_what_has_not_started_and_is_less_urgent(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 10000);
    hire(1, 0, 10000);
    struct sched_event low = story_job(1, 10000), mine = story_job(2, 10000), high = story_job(3, 10000);
    mine.add.priority = 5;
    high.add.priority = 5;
    story_add(&story, low);
    story_run_until(&story, story.now + 1000);
    assert_int_equal(story.leases_count, 4);
    story_forget(&story);
    story_add(&story, mine);
    assert_int_equal(story_count(&story, SCHED_RECALL), 2); /* one on each, behind the one that runs */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(story_find(&story, SCHED_RECALL, i)->job, 1);
    assert_true(story_leased(&story, 2, 0) > 0 && story_leased(&story, 2, 1) > 0);
    story_forget(&story);
    story_add(&story, high); /* as urgent: it waits for its turn */
    assert_int_equal(story_count(&story, SCHED_RECALL), 0);
    story_step(&story,
               (struct sched_event){ .type = SCHED_JOB_CHANGE, .job = 3, .change = { .priority = 9 } });
    assert_int_equal(story_count(&story, SCHED_RECALL), 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(story_find(&story, SCHED_RECALL, i)->job, 2);
    story_end(&story);
}

static void a_cancelled_job_holds_nothing(void **state)
{
    (void)state;
    story_begin(&story);
    hire(0, 0, 1000);
    story_add(&story, story_job(1, 10000));
    story_add(&story, story_job(2, 100));
    story_run_until(&story, story.now + 1000);
    story_step(&story, (struct sched_event){ .type = SCHED_JOB_CANCEL, .job = 1 });
    assert_int_equal(story_state(&story, 1), SCHED_JOB_CANCELLED);
    assert_int_equal(story.sched->jobs[0]->leases, 0);
    assert_true(story.leases_count > 0 && story.leases[0].action.job == 2); /* at once */
    assert_true(story_run_job(&story, 2, story.now + 1000000));
    sched_job_remove(story.sched, 1);
    sched_job_remove(story.sched, 2);
    sched_check(story.sched);
    assert_int_equal(story.sched->jobs_count, 0);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_in_one_state_each),
        cmocka_unit_test(suspects_go_to_those_they_have_not_failed_on),
        cmocka_unit_test(a_job_of_a_trillion_samples_costs_no_more),
        cmocka_unit_test(accounts_are_found_by_slot),
        cmocka_unit_test(the_share_of_checks_is_what_was_asked_for),
        cmocka_unit_test(answers_are_checked_on_another_class),
        cmocka_unit_test(with_one_class_alone_the_job_ends_unchecked),
        cmocka_unit_test(a_lost_check_is_given_again),
        cmocka_unit_test(checks_that_nobody_can_make_any_more_are_given_up),
        cmocka_unit_test(a_check_that_fails_is_no_sample_s_fault),
        cmocka_unit_test(requests_go_before_batch_jobs_and_the_most_urgent_first),
        cmocka_unit_test(beside_requests_batches_are_short),
        cmocka_unit_test(a_refused_sample_fails_at_once_and_strikes_nobody),
        cmocka_unit_test(an_urgent_job_recalls_only_what_has_not_started_and_is_less_urgent),
        cmocka_unit_test(a_cancelled_job_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
