// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include "npy.h"
#include "store_fixture.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const int64_t open_row[] = { -1 };

/* ---- a disk that fails when told to: these stand before the C library's, for SQLite too ---- */

static atomic_int sync_error, write_error, writes_before_error;
static atomic_bool only_spool; /* of write_error */

static bool is_in_spool(int fd)
{
    char name[64], path[1024];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return strstr(path, "/spool/") != NULL;
}
static atomic_int failing_sync; /* counted down to the one that fails; 0 = none will */

__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    int code = atomic_load(&sync_error);
    struct stat status;
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && atomic_load(&failing_sync) > 0 && atomic_fetch_sub(&failing_sync, 1) == 1)
        code = EIO;
    if (code) {
        errno = code;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset);
__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    int code = atomic_load(&write_error);
    if (atomic_load(&only_spool) && !is_in_spool(fd))
        code = 0;
    if (code && atomic_fetch_sub(&writes_before_error, 1) <= 0) {
        errno = code;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

/* SQLite's way of saying pwrite, where it was built for large files. */
__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *bytes, size_t size,
                                                        off64_t offset);
__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *bytes, size_t size,
                                                        off64_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

static int heal_and_tear_down(void **state)
{
    atomic_store(&sync_error, 0);
    atomic_store(&failing_sync, 0);
    atomic_store(&write_error, 0);
    atomic_store(&writes_before_error, 0);
    return fixture_teardown(state);
}

/* ---- */

static struct store_op *add_job(uint64_t job, uint64_t samples)
{
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, NULL, 0);
    return fixture_job_add(job, samples, &spec, 1);
}

static void expect_recovered(const char *text)
{
    static struct fixture_memory memory;
    struct store_recovery recovery = fixture_recovery(&memory);
    struct store *store = fixture_open(&recovery);
    store_free(&store);
    assert_string_equal(memory.text, text);
}

static void expect_answer(const uint64_t *rows, uint64_t samples)
{
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, NULL, 0);
    uint8_t file[NPY_HEADER_MAX + 1024];
    size_t header = npy_header(&spec, samples, file);
    memcpy(file + header, rows, samples * sizeof *rows);
    fixture_expect_file(fixture_path("spool/1/y.npy"), file, header + samples * sizeof *rows);
}

static void test_reopen(void **state)
{
    (void)state;
    uint64_t rows[5] = { 10, 11, 12, 0, 14 };
    struct store *store = fixture_open(NULL);
    assert_int_equal(store_term(store), 1);
    assert_int_equal(store_next_job(store), 1);
    fixture_expect_text(fixture_path("nonce"), store_nonce(store));
    assert_int_equal(strlen(store_nonce(store)), 64);
    fixture_must(store, add_job(1, 5));
    assert_int_equal(store_next_job(store), 2);
    fixture_must(store, fixture_result(1, 4, 1, &rows[4], 8));
    fixture_must(store, fixture_result(1, 0, 2, &rows[0], 16));
    fixture_must(store, fixture_result(1, 2, 1, &rows[2], 8));
    struct store_op *failure = fixture_op(STORE_FAILURE, 1);
    failure->first = 3;
    failure->count = 1;
    failure->text = strdup("bad");
    fixture_must(store, failure);
    char nonce[65];
    snprintf(nonce, sizeof nonce, "%s", store_nonce(store));
    store_free(&store);
    assert_null(store);
    expect_answer(rows, 5);
    expect_recovered(
        "job 1 of 5: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+3\ndone 1: 4+1\nfailure 1: 3+1 'bad' ''\n");
    store = fixture_open(NULL);
    assert_int_equal(store_term(store), 3);
    assert_int_equal(store_next_job(store), 2);
    assert_string_not_equal(store_nonce(store), nonce);
    store_free(&store);
}

static int released;

static void count_release(void *hint)
{
    (void)hint;
    released++;
}

/* A thousand results posted at once, out of order: reported in the order of posting, durable as one range. */
static void test_many_at_once(void **state)
{
    (void)state;
    enum { RESULTS = 5000 };
    static uint64_t rows[RESULTS];
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, RESULTS));
    released = 0;
    for (uint64_t i = 0; i < RESULTS; i++) {
        uint64_t sample = (i * 1237) % RESULTS;
        rows[sample] = sample + 5;
        struct store_op *op = fixture_result(1, sample, 1, &rows[sample], 8);
        op->tag = i;
        op->release = count_release;
        store_post(store, &op);
        assert_null(op);
    }
    assert_true(store_backlog_bytes(store) > RESULTS * 8); /* the operations count, too */
    for (uint64_t i = 0; i < RESULTS; i++)
        assert_int_equal(fixture_outcome(store, i, NULL), ERR_OK);
    assert_int_equal(released, RESULTS);
    assert_int_equal(store_backlog_bytes(store), 0);
    struct store_event event;
    assert_false(store_receive(store, &event));
    struct pollfd poller = { .fd = store_fd(store), .events = POLLIN };
    assert_int_equal(poll(&poller, 1, 0), 0);
    store_free(&store);
    expect_recovered("job 1 of 5000: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+5000\n");
}

/* What was posted is finished by store_free, and freed. */
static void test_free_finishes(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct store *store = fixture_open(NULL);
    released = 0;
    struct store_op *op = add_job(1, 1);
    store_post(store, &op);
    op = fixture_result(1, 0, 1, &row, 8);
    op->release = count_release;
    store_post(store, &op);
    store_free(&store);
    assert_int_equal(released, 1);
    expect_recovered("job 1 of 1: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+1\n");
}

static void test_refusals(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct why why;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 5));
    fixture_must(store, fixture_result(1, 0, 1, &row, 8));
    assert_int_equal(fixture_do(store, add_job(1, 9), &why), ERR_REFUSED);
    assert_int_equal(fixture_do(store, add_job(2, UINT64_C(1) << 50), &why), ERR_FULL);
    assert_non_null(strstr(why.text, fixture_dir));
    assert_int_equal(fixture_do(store, fixture_result(1, 1, 1, &row, 4), &why), ERR_FORMAT);
    assert_int_equal(fixture_do(store, fixture_result(1, 5, 1, &row, 8), &why), ERR_NOT_FOUND);
    assert_int_equal(fixture_do(store, fixture_result(2, 0, 1, &row, 8), &why), ERR_NOT_FOUND);
    assert_int_equal(fixture_do(store, fixture_op(STORE_JOB_MARK, 2), &why), ERR_NOT_FOUND);
    assert_int_equal(fixture_do(store, fixture_op(STORE_JOB_DROP, 2), &why), ERR_NOT_FOUND);
    fixture_must(store, fixture_result(1, 1, 1, &row, 8));
    store_free(&store);
    expect_recovered("job 1 of 5: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+2\n");
}

static void expect_no_rows(const char *table)
{
    sqlite3 *db;
    sqlite3_stmt *query;
    char text[64];
    snprintf(text, sizeof text, "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_open(fixture_path("journal.sqlite3"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(query, 0), 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
}

static void test_drop(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 5));
    struct store_op *op = fixture_result(1, 0, 1, &row, 8), *drop = fixture_op(STORE_JOB_DROP, 1);
    struct store_op *late = fixture_result(1, 1, 1, &row, 8);
    store_post(store, &op);
    store_post(store, &drop);
    store_post(store, &late);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_NOT_FOUND);
    assert_false(fixture_exists(fixture_path("spool/1")));
    store_free(&store);
    expect_recovered("");
    expect_no_rows("done");
    store = fixture_open(NULL);
    assert_int_equal(store_next_job(store), 2);
    store_free(&store);
}

/* A folder of a job that was never accepted goes at the next start. */
static void test_sweeps_orphans(void **state)
{
    (void)state;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 5));
    store_free(&store);
    assert_int_equal(mkdir(fixture_path("spool/2"), 0700), 0);
    store = fixture_open(NULL);
    assert_true(fixture_exists(fixture_path("spool/1")));
    assert_false(fixture_exists(fixture_path("spool/2")));
    store_free(&store);
}

/* ---- the lock ---- */

/* A child that opens the store, says so on the pipe, and lives until it is killed. */
static pid_t start_holder(void)
{
    int pipe_fds[2];
    char byte;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        struct why why;
        if (store_open(fixture_dir, NULL, &store, &why) == ERR_OK && write(pipe_fds[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return child;
}

static void test_lock(void **state)
{
    (void)state;
    struct store *store;
    struct why why;
    char words[64], host[256] = "";
    int status;
    pid_t child = start_holder();
    assert_int_equal(store_open(fixture_dir, NULL, &store, &why), ERR_REFUSED);
    assert_null(store);
    snprintf(words, sizeof words, "pid %ld", (long)child);
    assert_non_null(strstr(why.text, words));
    gethostname(host, sizeof host - 1);
    assert_non_null(strstr(why.text, host));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    store = fixture_open(NULL); /* the lock of a dead holder is taken over */
    assert_int_equal(store_term(store), 2);
    store_free(&store);
}

/* ---- a disk that fails at the start ---- */

/* None of SQLite's syncs of files may fail unnoticed, the one that comes with a statement's end least of all:
 * a journal without its log would lose commits. (It looks past those of folders; the nonce syncs the same.)
 */
static void test_each_sync_of_a_start_counts(void **state)
{
    (void)state;
    struct store *store;
    struct why why;
    for (int number = 1;; number++) {
        assert_int_equal(file_remove_tree(fixture_dir, &why), ERR_OK);
        assert_int_equal(mkdir(fixture_dir, 0700), 0);
        atomic_store(&failing_sync, number);
        enum err err = store_open(fixture_dir, NULL, &store, &why);
        bool reached = atomic_exchange(&failing_sync, 0) <= 0;
        if (reached && err == ERR_OK)
            fail_msg("sync %d failed, and the store is open", number);
        if (reached)
            continue;
        assert_int_equal(err, ERR_OK);
        assert_true(number > 5);
        store_free(&store);
        return;
    }
}

/* ---- a journal that is gone ---- */

/* A new one would take the answers for what a crash left, and remove them. */
static void test_journal_gone(void **state)
{
    (void)state;
    struct why why;
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, NULL, 0);
    struct store *store = fixture_open(NULL);
    fixture_must(store, fixture_job_add(1, 6, &spec, 1));
    store_free(&store);
    assert_int_equal(truncate(fixture_path("journal.sqlite3"), 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_open(fixture_dir, NULL, &store, &why), ERR_FORMAT);
        assert_non_null(strstr(why.text, "spool/1 holds answers"));
        assert_true(fixture_exists(fixture_path("spool/1/y.npy")));
        unlink(fixture_path("journal.sqlite3"));
    }
    assert_int_equal(rename(fixture_path("spool"), fixture_path("saved")), 0);
    store = fixture_open(NULL);
    store_free(&store);
}

/* ---- a full disk ---- */

static struct store_op *varying_result(uint64_t first, const uint64_t *rows, int64_t length)
{
    struct store_op *op = fixture_result(1, first, 1, rows, (uint64_t)length * 8);
    op->outputs[0] = fixture_spec("y", DTYPE_U64, &length, 1);
    return op;
}

static void expect_type(struct store *store, enum store_event_type type, const char *words)
{
    struct store_event event = fixture_event(store);
    if (event.type != type)
        fail_msg("event %d and not %d: %s", (int)event.type, (int)type, event.why.text);
    if (!strstr(event.why.text, words))
        fail_msg("'%s' does not say '%s'", event.why.text, words);
}

static void full_then_room(int code, bool varying, int writes)
{
    uint64_t rows[3] = { 7, 8, 9 };
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, open_row, varying ? 1 : 0);
    struct store *store = fixture_open(NULL);
    fixture_must(store, fixture_job_add(1, 3, &spec, 1));
    atomic_store(&writes_before_error, writes);
    atomic_store(&write_error, code);
    for (uint64_t i = 0; i < 3; i++) {
        struct store_op *op = varying ? varying_result(i, &rows[i], 1) : fixture_result(1, i, 1, &rows[i], 8);
        op->tag = i;
        store_post(store, &op);
    }
    struct store_op *wrong = fixture_result(1, 0, 1, rows, 3); /* refused, however often it is tried */
    store_post(store, &wrong);
    expect_type(store, STORE_FULL, varying ? "spool/1/y.rows" : "spool/1/y.npy");
    atomic_store(&write_error, 0);
    expect_type(store, STORE_RESUMED, "");
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(fixture_outcome(store, i, NULL), ERR_OK);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_FORMAT);
    store_free(&store);
    if (!varying)
        expect_answer(rows, 3);
    expect_recovered("job 1 of 3: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+3\n");
}

static void test_full_disk(void **state)
{
    (void)state;
    full_then_room(ENOSPC, false, 0);
}

/* The record finds room and its entry does not: the record is taken back before the next try. */
static void test_quota(void **state)
{
    (void)state;
    struct stat status;
    full_then_room(EDQUOT, true, 1);
    assert_int_equal(stat(fixture_path("spool/1/y.rows"), &status), 0);
    assert_int_equal(status.st_size, 8 + 3 * (8 + 8));
}

static void test_file_too_big(void **state)
{
    (void)state;
    full_then_room(EFBIG, true, 0);
}

/* The journal's own file finds no room. */
static void test_full_journal(void **state)
{
    (void)state;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&write_error, EDQUOT);
    struct store_op *op = fixture_op(STORE_JOB_MARK, 1);
    op->state = STORE_JOB_OPEN;
    op->at_us = 5;
    store_post(store, &op);
    expect_type(store, STORE_FULL, "journal.sqlite3");
    atomic_store(&write_error, 0);
    expect_type(store, STORE_RESUMED, "");
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    store_free(&store);
    expect_recovered("job 1 of 3: state 1, 1001-5-0, '', spec, 0101\n");
}

/* Stopped while full: what nobody was told of is dropped, and everything is freed. */
static void test_stop_while_full(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&write_error, ENOSPC);
    released = 0;
    struct store_op *op = fixture_result(1, 0, 1, &row, 8);
    op->release = count_release;
    store_post(store, &op);
    expect_type(store, STORE_FULL, "");
    store_free(&store);
    atomic_store(&write_error, 0);
    assert_int_equal(released, 1);
    expect_recovered("job 1 of 3: state 1, 1001-0-0, '', spec, 0101\n");
}

/* A real small disk, filled up by a third party and freed again. */
static void test_small_disk(void **state)
{
    (void)state;
    static uint8_t block[1 << 20];
    static uint64_t rows[64 << 10];
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, open_row, 1);
    if (!fixture_mount(fixture_dir, 24))
        return;
    struct store *store = fixture_open(NULL);
    struct why why;
    assert_int_equal(fixture_do(store, add_job(2, 3 << 20), &why), ERR_FULL);
    fixture_must(store, fixture_job_add(1, 3, &spec, 1));
    int hog = open(fixture_path("hog"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(hog, block, sizeof block) > 0)
        continue;
    close(hog);
    struct store_op *op = varying_result(0, rows, 64 << 10);
    store_post(store, &op);
    expect_type(store, STORE_FULL, "No space left");
    assert_int_equal(unlink(fixture_path("hog")), 0);
    expect_type(store, STORE_RESUMED, "");
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    store_free(&store);
    expect_recovered("job 1 of 3: state 1, 1001-0-0, '', spec, 0101\ndone 1: 0+1\n");
}

static void fill_up(const char *path)
{
    static uint8_t block[1 << 20];
    int hog = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t size = sizeof block; size >= 512; size /= 2)
        while (write(hog, block, size) > 0)
            continue;
    close(hog);
}

static void post_mark(struct store *store, uint64_t job, enum store_job_state state)
{
    struct store_op *op = fixture_op(STORE_JOB_MARK, job);
    op->state = state;
    op->at_us = 5;
    store_post(store, &op);
}

/* Its result is refused, and then nothing waits for room any more, whichever is told first. */
static void expect_cancelled(struct store *store)
{
    int resumed = 0;
    for (int done = 0; done < 2 || !resumed;) {
        struct store_event event = fixture_event(store);
        resumed += event.type == STORE_RESUMED;
        if (event.type != STORE_DONE)
            continue;
        assert_int_equal(event.err, done++ ? ERR_OK : ERR_CANCELLED);
        store_op_free(&event.op);
    }
    assert_int_equal(resumed, 1);
}

/* Whoever makes room need not wait for it: jobs are cancelled and dropped while others' results wait; new
 * ones are refused at once. */
static void test_relief(void **state)
{
    (void)state;
    static uint64_t rows[512 << 10]; /* more than ballast */
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, open_row, 1);
    if (!fixture_mount(fixture_dir, 96))
        return;
    struct store *store = fixture_open(NULL);
    assert_true(fixture_exists(fixture_path("ballast")));
    for (uint64_t job = 1; job <= 3; job++)
        fixture_must(store, fixture_job_add(job, 3, &spec, 1));
    post_mark(store, 2, STORE_JOB_DONE);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    fill_up(fixture_path("hog"));
    struct store_op *op = varying_result(0, rows, 512 << 10), *more = fixture_job_add(4, 3, &spec, 1);
    store_post(store, &op);
    expect_type(store, STORE_FULL, "No space left");
    store_post(store, &more);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_FULL);
    assert_false(fixture_exists(fixture_path("spool/4")));
    struct store_op *drop = fixture_op(STORE_JOB_DROP, 2);
    store_post(store, &drop);
    assert_int_equal(fixture_outcome(store, 0, NULL), ERR_OK);
    assert_false(fixture_exists(fixture_path("ballast")));
    assert_false(fixture_exists(fixture_path("spool/2")));
    post_mark(store, 1, STORE_JOB_CANCELLED);
    expect_cancelled(store);
    assert_int_equal(unlink(fixture_path("hog")), 0);
    store_free(&store);
    expect_recovered(
        "job 1 of 3: state 5, 1001-0-5, '', spec, 0101\njob 3 of 3: state 1, 1003-0-0, '', spec, 0303\n");
}

/* Nobody is told that his result is not wanted before the end of its job is durable. */
static void test_unwanted_after_the_end(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&writes_before_error, 0);
    atomic_store(&only_spool, true);
    atomic_store(&write_error, ENOSPC);
    struct store_op *op = fixture_result(1, 0, 1, &row, 8);
    store_post(store, &op);
    expect_type(store, STORE_FULL, "No space left");
    atomic_store(&sync_error, EIO);
    post_mark(store, 1, STORE_JOB_CANCELLED);
    expect_type(store, STORE_BROKEN, "");
    atomic_store(&write_error, 0);
    atomic_store(&only_spool, false);
    atomic_store(&sync_error, 0);
    store_free(&store);
}

/* ---- a broken one ---- */

static void broken_by(int code)
{
    uint64_t row = 1;
    struct store_event event;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&sync_error, code);
    struct store_op *op = fixture_result(1, 0, 1, &row, 8);
    store_post(store, &op);
    expect_type(store, STORE_BROKEN, "synced");
    atomic_store(&sync_error, 0);
    op = fixture_result(1, 1, 1, &row, 8);
    store_post(store, &op);
    assert_false(store_receive(store, &event));
    store_free(&store);
    expect_recovered("job 1 of 3: state 1, 1001-0-0, '', spec, 0101\n");
}

static void test_failed_sync(void **state)
{
    (void)state;
    broken_by(EIO);
}

/* Delayed allocation: the sync finds that there is no room. What was written before may be lost, so it is no
 * "full". */
static void test_sync_finds_no_room(void **state)
{
    (void)state;
    broken_by(ENOSPC);
}

static void test_failed_journal_sync(void **state)
{
    (void)state;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&sync_error, ENOSPC);
    struct store_op *op = fixture_op(STORE_JOB_MARK, 1);
    op->state = STORE_JOB_OPEN;
    op->at_us = 5;
    store_post(store, &op);
    expect_type(store, STORE_BROKEN, "journal.sqlite3");
    atomic_store(&sync_error, 0);
    store_free(&store);
}

static void test_failed_write(void **state)
{
    (void)state;
    uint64_t row = 1;
    struct store *store = fixture_open(NULL);
    fixture_must(store, add_job(1, 3));
    atomic_store(&write_error, EIO);
    struct store_op *op = fixture_result(1, 0, 1, &row, 8);
    store_post(store, &op);
    expect_type(store, STORE_BROKEN, "cannot be written");
    atomic_store(&write_error, 0);
    store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopen, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_free_finishes, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_drop, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_sweeps_orphans, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_lock, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_each_sync_of_a_start_counts, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_journal_gone, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_quota, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_file_too_big, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_full_journal, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_stop_while_full, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_unwanted_after_the_end, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_relief, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_small_disk, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_failed_sync, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_sync_finds_no_room, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_failed_journal_sync, fixture_setup, heal_and_tear_down),
        cmocka_unit_test_setup_teardown(test_failed_write, fixture_setup, heal_and_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
