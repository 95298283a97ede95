// SPDX-License-Identifier: Apache-2.0
#include "jobs.h"

#include "coordinator_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct record *add(struct jobs *jobs, uint64_t number, const char *name)
{
    struct message_submit submit = fixture_submit((uint8_t)number, name, 10 * number);
    struct record *record;
    assert_int_equal(jobs_add(jobs, number, &submit, 1234, &record, NULL), ERR_OK);
    return record;
}

static void records_are_found(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(100);
    uint8_t uuid[UUID_BYTES];
    for (uint64_t number = 1; number < 100; number += 3)
        add(jobs, number, "j");
    assert_int_equal(jobs_find(jobs, 31)->samples, 310);
    assert_null(jobs_find(jobs, 32));
    assert_null(jobs_find(jobs, 1000));
    memset(uuid, 31, sizeof uuid);
    assert_ptr_equal(jobs_find_uuid(jobs, uuid), jobs_find(jobs, 31));
    jobs_remove(jobs, 31);
    assert_null(jobs_find(jobs, 31));
    assert_non_null(jobs_find(jobs, 34));
    assert_int_equal(jobs_count(jobs), 32);
    jobs_free(&jobs);
}

static void what_was_asked_can_be_looked_at(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(100);
    struct record *a = add(jobs, 1, "a"), *b = add(jobs, 2, "b");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(jobs_spec(jobs, a)->name, "a");
        assert_int_equal(jobs_spec(jobs, b)->samples, 20);
    }
    assert_string_equal(a->outputs[0].name, "answer");
    assert_int_equal(tensor_row_bytes(&a->outputs[0]), 12);
    jobs_remove(jobs, 1);
    assert_string_equal(jobs_spec(jobs, b)->name, "b");
    jobs_free(&jobs);
}

static void open_jobs_are_bounded(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(2);
    struct message_submit submit = fixture_submit(3, "c", 1);
    struct record *record, *first = add(jobs, 1, "a");
    add(jobs, 2, "b");
    assert_int_equal(jobs_add(jobs, 3, &submit, 0, &record, NULL), ERR_FULL);
    first->state = RECORD_DONE;
    assert_int_equal(jobs_add(jobs, 3, &submit, 0, &record, NULL), ERR_OK);
    jobs_free(&jobs);
}

static void outputs_of_open_jobs_are_found(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(10);
    struct message_submit submit = fixture_submit(1, "a", 1);
    struct record *record;
    submit.output_path = "/y.npy";
    submit.output_kind = OUTPUT_NPY;
    assert_int_equal(jobs_add(jobs, 1, &submit, 0, &record, NULL), ERR_OK);
    add(jobs, 2, "b");
    assert_ptr_equal(jobs_find_output(jobs, "/y.npy", OUTPUT_NPY), record);
    assert_null(jobs_find_output(jobs, "/z.npy", OUTPUT_NPY));
    record->state = RECORD_FAILED;
    assert_null(jobs_find_output(jobs, "/y.npy", OUTPUT_NPY));
    jobs_free(&jobs);
}

/* Two jobs may not write one file, whether it is an answer or what is beside one. */
static void files_beside_outputs_count(void **state)
{
    (void)state;
    static const struct {
        const char *mine, *other;
        enum output_kind my_kind, other_kind;
        bool collide;
    } cases[] = {
        { "/q.npy", "/q.jsonl", OUTPUT_NPY, OUTPUT_JSONL, true },
        { "/q.npy", "/q", OUTPUT_NPY, OUTPUT_FOLDER, true },
        { "/q.npy", "/q.errors.jsonl", OUTPUT_NPY, OUTPUT_JSONL, true },
        { "/q.npy", "/q.index.jsonl", OUTPUT_NPY, OUTPUT_JSONL, true },
        { "/q.npy", "/q.other.jsonl", OUTPUT_NPY, OUTPUT_JSONL, false },
        { "/q.npy", "/qq.jsonl", OUTPUT_NPY, OUTPUT_JSONL, false },
        { "/q.npy", "/q", OUTPUT_FOLDER, OUTPUT_FOLDER, false },
        { "/tmp", "/tmp/x.npy", OUTPUT_FOLDER, OUTPUT_NPY, true },
        { "/tmp", "/tmpx.npy", OUTPUT_FOLDER, OUTPUT_NPY, false },
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct jobs *jobs = jobs_new(10);
        struct message_submit submit = fixture_submit(1, "a", 1);
        struct record *record;
        bool turned = i % 2;
        submit.output_path = turned ? cases[i / 2].other : cases[i / 2].mine;
        submit.output_kind = turned ? cases[i / 2].other_kind : cases[i / 2].my_kind;
        assert_int_equal(jobs_add(jobs, 1, &submit, 1, &record, NULL), ERR_OK);
        bool collide = jobs_find_output(jobs, turned ? cases[i / 2].mine : cases[i / 2].other,
                                        turned ? cases[i / 2].my_kind : cases[i / 2].other_kind) != NULL;
        if (collide != cases[i / 2].collide)
            fail_msg("%s and %s: %d", cases[i / 2].mine, cases[i / 2].other, collide);
        jobs_free(&jobs);
    }
}

static void an_output_has_one_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/motley-jobs-XXXXXX", link[64], real[96], linked[96];
    struct jobs *jobs = jobs_new(10);
    struct message_submit submit = fixture_submit(1, "a", 1);
    struct record *record;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s-link", folder);
    snprintf(real, sizeof real, "%s/y.npy", folder);
    snprintf(linked, sizeof linked, "%s/y.npy", link);
    assert_int_equal(symlink(folder, link), 0);
    submit.output_path = linked;
    submit.output_kind = OUTPUT_NPY;
    assert_int_equal(jobs_add(jobs, 1, &submit, 1, &record, NULL), ERR_OK);
    assert_ptr_equal(jobs_find_output(jobs, real, OUTPUT_NPY), record);
    jobs_free(&jobs);
    unlink(link);
    rmdir(folder);
}

static void the_journal_gives_them_back(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(10), *later = jobs_new(10);
    struct record *record = add(jobs, 5, "a"), *back;
    struct store_job_row row = { .job = 5,
                                 .samples = 50,
                                 .state = STORE_JOB_OPEN,
                                 .submitted_us = 1,
                                 .started_us = 2,
                                 .reason = "",
                                 .spec = record->spec,
                                 .spec_size = record->spec_size };
    assert_int_equal(jobs_restore(later, &row, &back, NULL), ERR_OK);
    assert_int_equal(back->state, RECORD_RUNNING);
    assert_int_equal(back->samples, 50);
    assert_true(back->recovered);
    assert_string_equal(jobs_spec(later, back)->name, "a");
    row.job = 6;
    for (size_t size = 0; size < record->spec_size; size++) {
        row.spec_size = size;
        assert_int_not_equal(jobs_restore(later, &row, &back, NULL), ERR_OK);
    }
    assert_int_equal(jobs_count(later), 1);
    jobs_free(&jobs);
    jobs_free(&later);
}

static void limits_of_failure(void **state)
{
    (void)state;
    struct message_submit submit = fixture_submit(1, "a", 1000);
    assert_int_equal(record_failures_max(&submit), 50);
    submit.max_failures_share = 1;
    assert_int_equal(record_failures_max(&submit), 1000);
    submit.max_failures_share = 0;
    assert_int_equal(record_failures_max(&submit), 0);
    submit.max_failures = 3;
    assert_int_equal(record_failures_max(&submit), 3);
}

static void shares_survive_in_the_journal(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(10);
    struct record *record = add(jobs, 1, "a");
    struct message_hello hello = fixture_hello(9, "w1", 2);
    assert_int_equal(record_share(record, 4, &hello, 1, "synthetic"), 0);
    assert_int_equal(record_share(record, 4, &hello, 0, "synthetic"), 1);
    assert_int_equal(record_share(record, 4, &hello, 1, "synthetic"), 0);
    struct tally tally, back;
    char key[SHARE_KEY_MAX];
    uint8_t *value;
    size_t size;
    tally_init(&tally);
    tally.samples = 99;
    histogram_add(&tally.batch_latency, 500, 3);
    share_key(&record->shares[0], key);
    assert_int_equal(share_pack(&record->shares[0], &tally, &value, &size), ERR_OK);
    struct record *other = add(jobs, 2, "b");
    assert_int_equal(record_restore_share(other, key, value, size), ERR_OK);
    assert_string_equal(other->shares[0].worker_name, "w1");
    assert_string_equal(other->shares[0].runtime, "emulated");
    assert_int_equal(other->shares[0].slot, 1);
    share_tally(&other->shares[0], NULL, 2, &back);
    assert_int_equal(back.samples, 99);
    assert_int_equal(back.batch_latency.count, 3);
    assert_int_equal(record_share(other, 7, &hello, 1, "synthetic"),
                     0); /* the worker came back: its share goes on */
    for (size_t cut = 0; cut < size; cut++)
        assert_int_not_equal(record_restore_share(other, key, value, cut), ERR_OK);
    assert_int_not_equal(record_restore_share(other, "nonsense", value, size), ERR_OK);
    assert_int_equal(other->shares_count, 1);
    free(value);
    jobs_free(&jobs);
}

static void summaries_survive_in_the_journal(void **state)
{
    (void)state;
    struct summary summary, back;
    uint8_t bytes[SUMMARY_BYTES_MAX];
    summary_init(&summary);
    summary.attempts = 5;
    summary.makespan_us = 77;
    histogram_add(&summary.latency, 1000, 10);
    uint32_t size = summary_pack(&summary, bytes);
    assert_true(summary_unpack(&back, bytes, size));
    assert_int_equal(back.attempts, 5);
    assert_int_equal(back.makespan_us, 77);
    assert_int_equal(back.latency.count, 10);
    for (uint32_t cut = 0; cut < size; cut++)
        assert_false(summary_unpack(&back, bytes, cut));
}

/* That of an earlier life is not the bound of what was done in two. */
static void an_unknown_bound_replaces_a_known_one(void **state)
{
    (void)state;
    struct summary summary;
    struct sched_job_look look = { .bound_us = 7 };
    summary_init(&summary);
    summary_add(&summary, &look);
    assert_int_equal(summary.bound_us, 7);
    look.bound_us = 0;
    summary_add(&summary, &look);
    assert_int_equal(summary.bound_us, 0);
}

static void failures_keep_their_words(void **state)
{
    (void)state;
    struct jobs *jobs = jobs_new(10);
    struct record *record = add(jobs, 1, "a");
    char reason[32];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(reason, sizeof reason, "reason %u", i % 3);
        assert_int_equal(record_add_failure(record, i, 1, reason, "w1"), ERR_OK);
    }
    assert_string_equal(record->failures[199].reason, "reason 1");
    assert_string_equal(record->failures[199].worker, "w1");
    assert_int_equal(record->texts_count, 4);
    jobs_free(&jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_found),
        cmocka_unit_test(what_was_asked_can_be_looked_at),
        cmocka_unit_test(open_jobs_are_bounded),
        cmocka_unit_test(outputs_of_open_jobs_are_found),
        cmocka_unit_test(files_beside_outputs_count),
        cmocka_unit_test(an_output_has_one_name),
        cmocka_unit_test(the_journal_gives_them_back),
        cmocka_unit_test(limits_of_failure),
        cmocka_unit_test(shares_survive_in_the_journal),
        cmocka_unit_test(summaries_survive_in_the_journal),
        cmocka_unit_test(an_unknown_bound_replaces_a_known_one),
        cmocka_unit_test(failures_keep_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
