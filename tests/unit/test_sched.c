// SPDX-License-Identifier: Apache-2.0
/* Scripted stories: each event's actions are the assertion. The simulator has the unscripted ones. */
#include "sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct sched_actions out;
static uint64_t now;

static struct sched *fresh(void)
{
    struct sched_config config = { .workers_max = 16, .slots_max = 16, .jobs_max = 8 };
    now = 1000;
    return sched_new(&config, 1);
}

static void step(struct sched *sched, struct sched_event event)
{
    sched_step(sched, now, &event, &out);
    sched_check(sched);
}

static const struct sched_action *find(enum sched_action_type type, size_t skip)
{
    for (size_t i = 0; i < out.count; i++)
        if (out.at[i].type == type && skip-- == 0)
            return &out.at[i];
    return NULL;
}

static void up(struct sched *sched, uint32_t worker, double alpha_us, double beta_us)
{
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC,
                                    .batch_max = 10,
                                    .window = 2,
                                    .alpha_us = alpha_us,
                                    .beta_us = beta_us };
    step(sched, (struct sched_event){ .type = SCHED_WORKER_UP, .worker = worker, .up = { 1, &info } });
}

static void add(struct sched *sched, uint64_t job, uint64_t samples)
{
    step(sched, (struct sched_event){
                    .type = SCHED_JOB_ADD,
                    .job = job,
                    .add = { .formats = SCHED_FORMAT_SYNTHETIC, .samples = samples, .failures_max = 1 } });
}

static void loaded(struct sched *sched, uint32_t worker, bool ok)
{
    step(sched, (struct sched_event){ .type = SCHED_LOADED, .worker = worker, .loaded = { .ok = ok } });
}

static struct sched_event result(const struct sched_action *lease, enum sched_failure failure)
{
    return (struct sched_event){
        .type = SCHED_RESULT,
        .worker = lease->worker,
        .slot = lease->slot,
        .job = lease->job,
        .first = lease->first,
        .count = lease->count,
        .term = lease->term,
        .attempt = lease->attempt,
        .result = { .proven = true, .failure = failure, .run_us = 1000, .energy_joules = -1 }
    };
}

static void stored(struct sched *sched, const struct sched_action *store)
{
    step(sched, (struct sched_event){ .type = SCHED_STORED,
                                      .job = store->job,
                                      .first = store->first,
                                      .count = store->count,
                                      .stored = { store->settle } });
}

static void a_job_goes_through_all_its_states(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 3);
    assert_int_equal(out.count, 0); /* nobody is there */
    up(sched, 0, 100, 10);
    assert_non_null(find(SCHED_LOAD, 0));
    loaded(sched, 0, true);
    assert_int_equal(find(SCHED_JOB_STATE, 0)->state, SCHED_JOB_RUNNING);
    struct sched_action lease = *find(SCHED_LEASE, 0);
    now += 1000;
    step(sched, result(&lease, SCHED_OK));
    struct sched_action store = *find(SCHED_STORE, 0);
    assert_null(find(SCHED_ACK, 0)); /* not before it is durable */
    struct sched_job_look look;
    assert_true(sched_job_look(sched, 1, &look));
    assert_int_equal(look.done, 0); /* nor counted */
    now += 1000;
    stored(sched, &store);
    assert_int_equal(find(SCHED_ACK, 0)->attempt, lease.attempt);
    while (!find(SCHED_JOB_STATE, 0)) {
        lease = *find(SCHED_LEASE, 0);
        step(sched, result(&lease, SCHED_OK));
        stored(sched, find(SCHED_STORE, 0));
    }
    assert_int_equal(find(SCHED_JOB_STATE, 0)->state, SCHED_JOB_COMPLETE);
    sched_job_remove(sched, 1);
    assert_false(sched_job_look(sched, 1, &look));
    sched_free(&sched);
    assert_null(sched);
}

static void the_first_result_wins(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 1);
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action lease = *find(SCHED_LEASE, 0);
    now += 1000;
    step(sched, result(&lease, SCHED_OK));
    struct sched_action store = *find(SCHED_STORE, 0);
    step(sched, result(&lease, SCHED_OK));
    assert_null(find(SCHED_STORE, 0)); /* dropped, but the worker may not forget it before it is durable */
    assert_null(find(SCHED_ACK, 0));
    stored(sched, &store);
    assert_non_null(find(SCHED_ACK, 0));
    struct sched_job_look look;
    assert_true(sched_job_look(sched, 1, &look));
    assert_int_equal(look.done, 1);
    sched_free(&sched);
}

static void a_lost_worker_s_samples_go_to_another(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 1);
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action first = *find(SCHED_LEASE, 0);
    up(sched, 1, 100, 10);
    assert_int_equal(find(SCHED_LOAD, 0)->worker, 1);
    step(sched, (struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = 0 });
    loaded(sched, 1, true);
    const struct sched_action *second = find(SCHED_LEASE, 0);
    assert_int_equal(second->worker, 1);
    assert_int_equal(second->first, first.first);
    assert_true(second->attempt > first.attempt);
    sched_free(&sched);
}

static void nonsense_changes_nothing(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 5);
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action lease = *find(SCHED_LEASE, 0);
    struct sched_event forged = result(&lease, SCHED_OK);
    forged.first += 1; /* a live attempt, another range */
    step(sched, forged);
    assert_int_equal(out.count, 0);
    forged = result(&lease, SCHED_OK);
    forged.attempt += 1000;
    forged.result.proven = false; /* no such attempt */
    step(sched, forged);
    assert_null(find(SCHED_STORE, 0));
    forged.worker = 77;
    step(sched, forged);
    assert_int_equal(out.count, 0);
    step(sched, (struct sched_event){ .type = SCHED_STORED, .job = 1, .count = 5, .stored = { 12345 } });
    step(sched, (struct sched_event){ .type = SCHED_JOB_CANCEL, .job = 99 });
    step(sched, (struct sched_event){ .type = SCHED_RETURNED, .worker = 0, .term = 1, .attempt = 4711 });
    struct sched_job_look look;
    assert_true(sched_job_look(sched, 1, &look));
    assert_int_equal(look.done + look.settling, 0);
    sched_free(&sched);
}

/* The one bad sample of a batch is found by halving; the rest is computed. */
static void a_poison_sample_is_found_and_reported(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 8);
    up(sched, 0, 1e5, 1);
    loaded(sched, 0, true);
    uint64_t done = 0, failed = 0;
    struct sched_action queue[64];
    size_t head = 0, tail = 0;
    for (int steps = 0; done + failed < 8; steps++) {
        assert_true(steps < 100);
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++ % 64] = *find(SCHED_LEASE, i);
        assert_true(head < tail);
        struct sched_action lease = queue[head++ % 64];
        bool bad = lease.first <= 5 && lease.first + lease.count > 5;
        now += 1000;
        step(sched, result(&lease, bad ? SCHED_FAILED : SCHED_OK));
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++ % 64] = *find(SCHED_LEASE, i);
        const struct sched_action *store = find(SCHED_STORE, 0), *fail = find(SCHED_FAIL, 0);
        done += store ? store->count : 0;
        failed += fail ? fail->count : 0;
        if (fail)
            assert_int_equal(fail->first, 5);
        struct sched_action copy = store ? *store : fail ? *fail : (struct sched_action){ 0 };
        out.count = 0;
        if (store || fail)
            stored(sched, &copy);
    }
    assert_int_equal(failed, 1);
    assert_int_equal(done, 7);
    sched_free(&sched);
}

static void an_unstarted_chunk_is_recalled_for_an_idle_slot(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    up(sched, 0, 200000, 10000);
    add(sched, 1, 20);
    loaded(sched, 0, true);
    struct sched_action first = *find(SCHED_LEASE, 0), second = *find(SCHED_LEASE, 1);
    assert_int_equal(first.count + second.count, 20); /* all is under lease */
    up(sched, 1, 1000, 1000);                         /* it loads the model although nothing is ready */
    assert_int_equal(find(SCHED_LOAD, 0)->worker, 1);
    now += 20000; /* what was just decided stands for a while */
    loaded(sched, 1, true);
    assert_int_equal(find(SCHED_RECALL, 0)->attempt, second.attempt);
    step(sched,
         (struct sched_event){ .type = SCHED_RETURNED, .worker = 0, .term = 1, .attempt = second.attempt });
    assert_int_equal(find(SCHED_LEASE, 0)->worker, 1);
    sched_free(&sched);
}

static void a_worker_that_never_answers_loses_its_chunk(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 1);
    up(sched, 0, 1000, 1000);
    loaded(sched, 0, true);
    struct sched_action hung = *find(SCHED_LEASE, 0);
    up(sched, 1, 1000, 1000);
    loaded(sched, 1, true);
    assert_null(find(SCHED_LEASE, 0)); /* not yet */
    now = sched_deadline_us(sched);
    step(sched, (struct sched_event){ .type = SCHED_TICK });
    assert_int_equal(find(SCHED_LEASE, 0)->worker, 1);
    now += 1000;
    step(sched, result(&hung, SCHED_OK)); /* late, and still welcome: it came first */
    assert_non_null(find(SCHED_STORE, 0));
    sched_free(&sched);
}

static void a_job_of_nothing_is_complete_at_once(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 0);
    assert_int_equal(find(SCHED_JOB_STATE, 0)->state, SCHED_JOB_COMPLETE);
    sched_free(&sched);
}

static void while_paused_nothing_is_leased(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    step(sched, (struct sched_event){ .type = SCHED_PAUSE });
    add(sched, 1, 5);
    up(sched, 0, 100, 10);
    assert_int_equal(out.count, 0);
    assert_true(sched_deadline_us(sched) == UINT64_MAX); /* nobody spins */
    step(sched, (struct sched_event){ .type = SCHED_RESUME });
    assert_non_null(find(SCHED_LOAD, 0));
    sched_free(&sched);
}

/* A model with a static batch axis of 4 gets batches of 4, and a last one that is padded. */
static void a_fixed_batch_is_never_exceeded(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    step(sched, (struct sched_event){
                    .type = SCHED_JOB_ADD,
                    .job = 1,
                    .add = { .formats = SCHED_FORMAT_SYNTHETIC, .samples = 9, .batch_fixed = 4 } });
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action queue[8];
    size_t head = 0, tail = 0, small = 0;
    uint64_t done = 0;
    for (size_t i = 0; find(SCHED_LEASE, i); i++)
        queue[tail++] = *find(SCHED_LEASE, i);
    while (done < 9) {
        assert_true(head < tail && tail < 6);
        struct sched_action lease = queue[head++];
        assert_true(lease.count <= 4);
        small += lease.count < 4;
        done += lease.count;
        now += 200;
        step(sched, result(&lease, SCHED_OK));
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++] = *find(SCHED_LEASE, i);
    }
    assert_int_equal(small, 1);
    sched_free(&sched);
}

/* Memory that is short for the smallest size that can run is a failure like any other, not a reason to try
 * for ever. */
static void short_memory_shrinks_or_fails(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    step(sched, (struct sched_event){ .type = SCHED_JOB_ADD,
                                      .job = 1,
                                      .add = { .formats = SCHED_FORMAT_SYNTHETIC,
                                               .samples = 4,
                                               .batch_fixed = 4,
                                               .failures_max = 4 } });
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action queue[64] = { *find(SCHED_LEASE, 0) };
    size_t head = 0, tail = 1;
    uint64_t failed = 0;
    for (int steps = 0; failed < 4; steps++) {
        assert_true(steps < 40 && head < tail);
        now += 200;
        struct sched_action lease = queue[head++];
        step(sched, result(&lease, SCHED_MEMORY));
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++] = *find(SCHED_LEASE, i);
        failed += find(SCHED_FAIL, 0) ? find(SCHED_FAIL, 0)->count : 0;
    }
    sched_free(&sched);
}

/* Two of three workers fail every batch: the third computes all, and no good sample is called bad. */
static void bad_workers_do_not_fail_good_samples(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    struct sched_action queue[256];
    size_t head = 0, tail = 0;
    uint64_t done = 0, samples = 30;
    add(sched, 1, samples);
    for (uint32_t worker = 0; worker < 3; worker++) {
        up(sched, worker, 1000, 100);
        step(sched, (struct sched_event){ .type = SCHED_LOADED, .worker = worker, .loaded = { .ok = true } });
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++ % 256] = *find(SCHED_LEASE, i);
    }
    for (int steps = 0; done < samples; steps++) {
        assert_true(steps < 2000 && head < tail);
        struct sched_action lease = queue[head++ % 256], stores[8];
        now += 1000;
        step(sched, result(&lease, lease.worker == 1 ? SCHED_OK : SCHED_FAILED));
        assert_null(find(SCHED_FAIL, 0));
        size_t count = 0;
        for (; find(SCHED_STORE, count); count++)
            stores[count] = *find(SCHED_STORE, count);
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++ % 256] = *find(SCHED_LEASE, i);
        for (size_t i = 0; i < count; i++) {
            done += stores[i].count;
            stored(sched, &stores[i]);
            for (size_t k = 0; find(SCHED_LEASE, k); k++)
                queue[tail++ % 256] = *find(SCHED_LEASE, k);
        }
    }
    sched_free(&sched);
}

/* A more urgent job whose model the slot has not shown yet is tried as soon as the slot has run dry, not
 * after all others. */
static void an_urgent_unknown_model_is_not_starved(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    add(sched, 1, 1000);
    up(sched, 0, 0, 0);
    loaded(sched, 0, true);
    struct sched_action lease = *find(SCHED_LEASE, 0);
    struct sched_event urgent = { .type = SCHED_JOB_ADD, .job = 2 };
    urgent.add.model = 1;
    urgent.add.formats = SCHED_FORMAT_SYNTHETIC;
    urgent.add.samples = 5;
    urgent.add.priority = 10;
    step(sched, urgent);
    assert_non_null(find(SCHED_LOAD, 0));
    now += 1000;
    step(sched, result(&lease, SCHED_OK));
    struct sched_action queue[64];
    size_t head = 0, tail = 0;
    for (size_t i = 0; find(SCHED_LEASE, i); i++)
        queue[tail++] = *find(SCHED_LEASE, i);
    step(sched,
         (struct sched_event){ .type = SCHED_LOADED, .worker = 0, .loaded = { .model = 1, .ok = true } });
    for (int steps = 0;; steps++) {
        assert_true(steps < 4); /* what is in flight, and then the urgent one */
        for (size_t i = 0; find(SCHED_LEASE, i); i++)
            queue[tail++] = *find(SCHED_LEASE, i);
        assert_true(head < tail);
        lease = queue[head++];
        if (lease.job == 2)
            break;
        now += 1000;
        step(sched, result(&lease, SCHED_OK));
    }
    sched_free(&sched);
}

/* Said again in another life, with a proof that is as good as ever: it adds nothing to what was measured. */
static void results_of_a_former_term_are_not_measured_again(void **state)
{
    (void)state;
    struct sched *sched = fresh();
    struct tally before, after;
    add(sched, 1, 5000);
    up(sched, 0, 100, 10);
    loaded(sched, 0, true);
    struct sched_action lease = *find(SCHED_LEASE, 0);
    step(sched, result(&lease, SCHED_OK));
    struct sched_action store = *find(SCHED_STORE, 0);
    stored(sched, &store);
    before = *sched_tally(sched, 1, 0, lease.slot);
    assert_int_equal(before.samples, lease.count);
    for (int i = 0; i < 6; i++) {
        struct sched_event old = result(&lease, i % 2 ? SCHED_FAILED : SCHED_OK);
        old.term = lease.term - 1;
        step(sched, old);
    }
    after = *sched_tally(sched, 1, 0, lease.slot);
    assert_int_equal(after.busy_us, before.busy_us);
    assert_int_equal(after.duplicate_samples, before.duplicate_samples);
    assert_int_equal(after.failed_batches, before.failed_batches);
    sched_free(&sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_goes_through_all_its_states),
        cmocka_unit_test(the_first_result_wins),
        cmocka_unit_test(a_lost_worker_s_samples_go_to_another),
        cmocka_unit_test(nonsense_changes_nothing),
        cmocka_unit_test(a_poison_sample_is_found_and_reported),
        cmocka_unit_test(an_unstarted_chunk_is_recalled_for_an_idle_slot),
        cmocka_unit_test(a_worker_that_never_answers_loses_its_chunk),
        cmocka_unit_test(a_job_of_nothing_is_complete_at_once),
        cmocka_unit_test(while_paused_nothing_is_leased),
        cmocka_unit_test(bad_workers_do_not_fail_good_samples),
        cmocka_unit_test(an_urgent_unknown_model_is_not_starved),
        cmocka_unit_test(a_fixed_batch_is_never_exceeded),
        cmocka_unit_test(results_of_a_former_term_are_not_measured_again),
        cmocka_unit_test(short_memory_shrinks_or_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
