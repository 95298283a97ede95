// SPDX-License-Identifier: Apache-2.0
#include "journal.h"

#include "rng.h"
#include "store_fixture.h"

#include <sqlite3.h>
#include <time.h>

static const int64_t dims[] = { 2, -1 };

static struct journal *open_journal(void)
{
    struct journal *journal;
    struct why why;
    if (journal_open(fixture_path("j.sqlite3"), &journal, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return journal;
}

static void ok(enum err err, const struct why *why)
{
    if (err != ERR_OK)
        fail_msg("%s", why->text);
}

static struct store_op *text_op(enum store_op_type type, uint64_t job, const char *text, const char *text2,
                                const char *blob)
{
    struct store_op *op = fixture_op(type, job);
    op->text = text ? strdup(text) : NULL;
    op->text2 = text2 ? strdup(text2) : NULL;
    op->blob = blob ? (uint8_t *)strdup(blob) : NULL;
    op->blob_size = blob ? strlen(blob) : 0;
    return op;
}

typedef enum err change_function(struct journal *, const struct store_op *, struct why *);

static enum err apply(struct journal *journal, change_function *change, struct store_op *op)
{
    struct why why;
    enum err err = change(journal, op, &why);
    store_op_free(&op);
    return err;
}

static void add_job(struct journal *journal, uint64_t job)
{
    struct tensor_spec outputs[2] = { fixture_spec("a", DTYPE_F32, dims, 2),
                                      fixture_spec("b", DTYPE_I64, dims, 0) };
    assert_int_equal(apply(journal, journal_job_add, fixture_job_add(job, 100, outputs, 2)), ERR_OK);
}

static void expect_recovered(struct journal *journal, const char *text)
{
    static struct fixture_memory memory;
    struct store_recovery recovery = fixture_recovery(&memory);
    struct why why;
    ok(journal_recover(journal, &recovery, &why), &why);
    assert_string_equal(memory.text, text);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct why why;
    struct journal *journal = open_journal();
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 1);
    add_job(journal, 2);
    assert_int_equal(apply(journal, journal_model_add, text_op(STORE_MODEL_ADD, 0, "m", "1", "old")), ERR_OK);
    assert_int_equal(apply(journal, journal_model_add, text_op(STORE_MODEL_ADD, 0, "m", "1", "new")), ERR_OK);
    assert_int_equal(apply(journal, journal_tally, text_op(STORE_TALLY, 2, "key", NULL, "before")), ERR_OK);
    assert_int_equal(apply(journal, journal_tally, text_op(STORE_TALLY, 2, "key", NULL, "after")), ERR_OK);
    struct store_op *failure = text_op(STORE_FAILURE, 1, "bad shape", "lab-1", NULL);
    failure->first = 7;
    failure->count = 2;
    assert_int_equal(apply(journal, journal_failure, failure), ERR_OK);
    ok(journal_done(journal, 1, 10, 5, &why), &why);
    ok(journal_commit(journal, &why), &why);
    journal_close(&journal);
    journal = open_journal();
    expect_recovered(
        journal,
        "model m 1=new\n"
        "job 1 of 100: state 1, 1001-0-0, '', spec, 0101\ndone 1: 10+5\nfailure 1: 7+2 'bad shape' 'lab-1'\n"
        "job 2 of 100: state 1, 1002-0-0, '', spec, 0202\ntally 2: key=after\n");
    journal_close(&journal);
}

static void mark(struct journal *journal, enum store_job_state job_state, const char *reason, int64_t at_us)
{
    struct store_op *op = text_op(STORE_JOB_MARK, 1, reason, NULL, NULL);
    op->state = job_state;
    op->at_us = at_us;
    assert_int_equal(apply(journal, journal_job_mark, op), ERR_OK);
}

static void test_marks(void **state)
{
    (void)state;
    struct why why;
    struct journal *journal = open_journal();
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 1);
    mark(journal, STORE_JOB_OPEN, NULL, 20);
    mark(journal, STORE_JOB_OPEN, NULL, 30);
    expect_recovered(journal, "job 1 of 100: state 1, 1001-20-0, '', spec, 0101\n");
    mark(journal, STORE_JOB_FINISHING, NULL, 40);
    mark(journal, STORE_JOB_FAILED, "disk full", 50);
    expect_recovered(journal, "job 1 of 100: state 4, 1001-20-40, 'disk full', spec, 0101\n");
    mark(journal, STORE_JOB_CANCELLED, NULL, 60);
    expect_recovered(journal, "job 1 of 100: state 5, 1001-20-40, 'disk full', spec, 0101\n");
    mark(journal, STORE_JOB_OPEN, NULL, 70);
    expect_recovered(journal, "job 1 of 100: state 1, 1001-20-0, '', spec, 0101\n");
    journal_rollback(journal);
    expect_recovered(journal, "");
    journal_close(&journal);
}

static void test_another_spec(void **state)
{
    (void)state;
    struct why why;
    struct journal *journal = open_journal();
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 1);
    add_job(journal, 2);
    ok(journal_commit(journal, &why), &why);
    ok(journal_begin(journal, &why), &why);
    assert_int_equal(apply(journal, journal_job_spec, text_op(STORE_JOB_SPEC, 1, NULL, NULL, "new")), ERR_OK);
    journal_rollback(journal);
    ok(journal_begin(journal, &why), &why);
    assert_int_equal(apply(journal, journal_job_spec, text_op(STORE_JOB_SPEC, 2, NULL, NULL, "new")), ERR_OK);
    ok(journal_commit(journal, &why), &why);
    journal_close(&journal);
    journal = open_journal();
    expect_recovered(journal, "job 1 of 100: state 1, 1001-0-0, '', spec, 0101\n"
                              "job 2 of 100: state 1, 1002-0-0, '', new, 0202\n");
    journal_close(&journal);
}

static void test_no_such_job(void **state)
{
    (void)state;
    struct why why;
    struct spool_shape shape;
    struct journal *journal = open_journal();
    ok(journal_begin(journal, &why), &why);
    assert_int_equal(apply(journal, journal_job_mark, text_op(STORE_JOB_MARK, 9, NULL, NULL, NULL)),
                     ERR_NOT_FOUND);
    assert_int_equal(apply(journal, journal_failure, text_op(STORE_FAILURE, 9, "x", "y", NULL)),
                     ERR_NOT_FOUND);
    assert_int_equal(apply(journal, journal_tally, text_op(STORE_TALLY, 9, "x", NULL, "y")), ERR_NOT_FOUND);
    assert_int_equal(apply(journal, journal_job_spec, text_op(STORE_JOB_SPEC, 9, NULL, NULL, "y")),
                     ERR_NOT_FOUND);
    assert_int_equal(journal_job_drop(journal, 9, &why), ERR_NOT_FOUND);
    assert_int_equal(journal_shape(journal, 9, &shape, &why), ERR_NOT_FOUND);
    ok(journal_commit(journal, &why), &why);
    expect_recovered(journal, "");
    journal_close(&journal);
}

static void test_shape(void **state)
{
    (void)state;
    struct why why;
    struct spool_shape shape;
    struct journal *journal = open_journal();
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 3);
    ok(journal_shape(journal, 3, &shape, &why), &why);
    assert_int_equal(shape.job, 3);
    assert_int_equal(shape.samples, 100);
    assert_int_equal(shape.outputs_count, 2);
    assert_string_equal(shape.outputs[0].name, "a");
    assert_int_equal(shape.outputs[0].dtype, DTYPE_F32);
    assert_int_equal(shape.outputs[0].dims_count, 2);
    assert_int_equal(shape.outputs[0].dims[1], -1);
    assert_string_equal(shape.outputs[1].name, "b");
    assert_int_equal(shape.outputs[1].dims_count, 0);
    journal_rollback(journal);
    journal_close(&journal);
}

/* Numbers are not given again, though the jobs are gone; the term grows with each start; the key stays. */
static void test_numbers(void **state)
{
    (void)state;
    struct why why;
    uint8_t key[MAC_KEY_BYTES];
    struct journal *journal = open_journal();
    assert_int_equal(journal_term(journal), 1);
    assert_int_equal(journal_next_job(journal), 1);
    memcpy(key, journal_mac_key(journal), sizeof key);
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 41);
    ok(journal_done(journal, 41, 0, 10, &why), &why);
    ok(journal_commit(journal, &why), &why);
    ok(journal_begin(journal, &why), &why);
    ok(journal_job_drop(journal, 41, &why), &why);
    ok(journal_commit(journal, &why), &why);
    journal_close(&journal);
    journal = open_journal();
    assert_int_equal(journal_term(journal), 2);
    assert_int_equal(journal_next_job(journal), 42);
    assert_memory_equal(journal_mac_key(journal), key, sizeof key);
    ok(journal_begin(journal, &why), &why);
    add_job(journal, 41); /* only to see that its ranges went with it */
    expect_recovered(journal, "job 41 of 100: state 1, 1041-0-0, '', spec, 2929\n");
    journal_rollback(journal);
    journal_close(&journal);
}

/* ---- ranges against a bitmap ---- */

enum { SAMPLES = 200 };

struct bitmap {
    bool done[SAMPLES + 1], seen[SAMPLES + 1];
    uint64_t end; /* of the last range told */
};

static void see_done(void *context, uint64_t job, uint64_t first, uint64_t count)
{
    struct bitmap *bitmap = context;
    assert_int_equal(job, 1);
    assert_true(count > 0 && first + count <= SAMPLES);
    assert_true(first > bitmap->end || bitmap->end == 0); /* ascending, and not touching: merged */
    for (uint64_t i = first; i < first + count; i++)
        bitmap->seen[i] = true;
    bitmap->end = first + count;
}

static void insert_random(struct journal *journal, struct rng *rng, struct bitmap *bitmap)
{
    struct why why;
    uint64_t first = rng_below(rng, SAMPLES), count = 1 + rng_below(rng, rng_below(rng, 4) ? 4 : 40);
    if (first + count > SAMPLES)
        count = SAMPLES - first;
    ok(journal_done(journal, 1, first, count, &why), &why);
    for (uint64_t i = first; i < first + count; i++)
        bitmap->done[i] = true;
}

static void test_ranges_merge(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    struct why why;
    struct rng rng;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    struct journal *journal = open_journal();
    for (int round = 0; round < 20; round++) {
        struct bitmap bitmap = { .end = 0 };
        struct store_recovery recovery = { .context = &bitmap, .done = see_done };
        ok(journal_begin(journal, &why), &why);
        add_job(journal, 1);
        for (int i = 0; i < 30; i++) {
            insert_random(journal, &rng, &bitmap);
            memset(bitmap.seen, 0, sizeof bitmap.seen);
            bitmap.end = 0;
            ok(journal_recover(journal, &recovery, &why), &why);
            assert_memory_equal(bitmap.done, bitmap.seen, sizeof bitmap.done);
        }
        journal_rollback(journal);
    }
    journal_close(&journal);
}

/* ---- refusals ---- */

static void run_sql(const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(fixture_path("j.sqlite3"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void expect_refused(enum err err, const char *words)
{
    struct journal *journal;
    struct why why;
    assert_int_equal(journal_open(fixture_path("j.sqlite3"), &journal, &why), err);
    assert_null(journal);
    if (!strstr(why.text, words))
        fail_msg("'%s' does not say '%s'", why.text, words);
}

static void test_refuses_newer(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    journal_close(&journal);
    run_sql("PRAGMA user_version = 2");
    expect_refused(ERR_REFUSED, "newer Motley (schema 2, this one knows 1)");
    run_sql("PRAGMA user_version = 1");
    journal = open_journal();
    assert_int_equal(journal_term(journal), 2); /* the refused start changed nothing */
    journal_close(&journal);
}

static void test_refuses_others(void **state)
{
    (void)state;
    struct why why;
    run_sql("CREATE TABLE other (x)");
    expect_refused(ERR_REFUSED, "another program's database");
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    ok(file_replace(fixture_path("j.sqlite3"), junk, sizeof junk, 0600, &why), &why);
    expect_refused(ERR_FORMAT, "damaged or no journal");
}

static void test_refuses_one_in_use(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    expect_refused(ERR_REFUSED, "another program has the journal open");
    journal_close(&journal);
    journal = open_journal();
    journal_close(&journal);
}

/* Enough commits for several checkpoints: the write-ahead log does not grow with them. */
static void test_checkpoints(void **state)
{
    (void)state;
    struct why why;
    struct stat status;
    char *big = malloc(200001);
    memset(big, 'v', 200000);
    big[200000] = 0;
    struct journal *journal = open_journal();
    for (int i = 0; i < 120; i++) {
        ok(journal_begin(journal, &why), &why);
        if (i == 0)
            add_job(journal, 1);
        assert_int_equal(apply(journal, journal_tally, text_op(STORE_TALLY, 1, "key", NULL, big)), ERR_OK);
        ok(journal_commit(journal, &why), &why);
    }
    assert_int_equal(stat(fixture_path("j.sqlite3-wal"), &status), 0);
    assert_true(status.st_size < 12 << 20);
    free(big);
    journal_close(&journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_marks, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_another_spec, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_such_job, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_shape, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_numbers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ranges_merge, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_newer, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_others, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_one_in_use, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_checkpoints, fixture_setup_in_memory, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
