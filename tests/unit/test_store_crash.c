// SPDX-License-Identifier: Apache-2.0
/* kill -9 before and after every single sync that the store makes: what was reported is there afterwards,
 * bytes and all, and what is there is whole. */
#include "store.h"

#include "npy.h"
#include "store_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SAMPLES = 6, JOBS = 2 };

/* ---- death at a sync: these stand before the C library's, for SQLite too ---- */

static atomic_int syncs_left; /* 0 = live on */
static atomic_bool after_sync;
static const char *only_suffix = ""; /* counts only the syncs of files that end so */

static bool counts(int fd)
{
    char link[64], path[FIXTURE_PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    size_t suffix = strlen(only_suffix), size = strlen(path);
    return size >= suffix && strcmp(path + size - suffix, only_suffix) == 0;
}

static int sync_or_die(long call, int fd)
{
    bool dies = atomic_load(&syncs_left) > 0 && counts(fd) && atomic_fetch_sub(&syncs_left, 1) == 1;
    if (dies && !atomic_load(&after_sync))
        kill(getpid(), SIGKILL);
    int result = (int)syscall(call, fd);
    if (dies)
        kill(getpid(), SIGKILL);
    return result;
}

__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fdatasync(int fd) { return sync_or_die(SYS_fdatasync, fd); }

__attribute__((visibility("default"))) int fsync(int fd);
__attribute__((visibility("default"))) int fsync(int fd) { return sync_or_die(SYS_fsync, fd); }

/* ---- the victim ---- */

static uint64_t answer(uint64_t job, uint64_t sample) { return job * 1000 + sample + 7; }

struct said {
    uint8_t term, job, sample;
}; /* sample SAMPLES: the job itself */

static void say(int fd, uint64_t term, uint64_t job, uint64_t sample)
{
    struct said said = { (uint8_t)term, (uint8_t)job, (uint8_t)sample };
    if (write(fd, &said, sizeof said) != (ssize_t)sizeof said)
        _exit(3);
}

static void do_or_exit(struct store *store, struct store_op *op)
{
    struct store_event event;
    struct pollfd poller = { .fd = store_fd(store), .events = POLLIN };
    store_post(store, &op);
    if (poll(&poller, 1, FIXTURE_WAIT_MS) != 1 || !store_receive(store, &event) || event.type != STORE_DONE ||
        event.err != ERR_OK)
        _exit(4);
    store_op_free(&event.op);
}

static void run_victim(int fd)
{
    struct store *store;
    struct why why;
    struct tensor_spec spec = fixture_spec("y", DTYPE_U64, NULL, 0);
    if (store_open(fixture_dir, NULL, &store, &why) != ERR_OK)
        _exit(5);
    uint64_t term = store_term(store);
    for (uint64_t job = 1; job <= JOBS; job++) {
        do_or_exit(store, fixture_job_add(job, SAMPLES, &spec, 1));
        say(fd, term, job, SAMPLES);
        for (uint64_t i = 0; i < SAMPLES; i++) {
            uint64_t sample = (i * 5) % SAMPLES, row = answer(job, sample);
            do_or_exit(store, fixture_result(job, sample, 1, &row, sizeof row));
            say(fd, term, job, sample);
        }
    }
    store_free(&store);
    _exit(0);
}

/* Run it until it dies at the given sync; what it said is left in heard. True if it lived to its end. */
static bool run_until_sync(int sync, bool after, const char *suffix, struct said *heard, size_t *count)
{
    int fds[2], status;
    *count = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        only_suffix = suffix;
        atomic_store(&after_sync, after);
        atomic_store(&syncs_left, sync);
        close(fds[0]);
        run_victim(fds[1]);
    }
    close(fds[1]);
    while (read(fds[0], &heard[*count], sizeof *heard) == (ssize_t)sizeof *heard)
        ++*count;
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("the victim failed with %d", WEXITSTATUS(status));
    return WIFEXITED(status);
}

/* ---- the survivor ---- */

struct found {
    bool job[JOBS + 1], done[JOBS + 1][SAMPLES];
};

static void find_job(void *context, const struct store_job_row *row)
{
    struct found *found = context;
    assert_in_range(row->job, 1, JOBS);
    assert_int_equal(row->samples, SAMPLES);
    found->job[row->job] = true;
}

static void find_done(void *context, uint64_t job, uint64_t first, uint64_t count)
{
    struct found *found = context;
    for (uint64_t i = first; i < first + count; i++)
        found->done[job][i] = true;
}

static void check_bytes(const struct found *found, uint64_t job)
{
    char name[64];
    struct npy_array array;
    uint64_t size, row;
    int64_t mtime_ns;
    struct why why;
    snprintf(name, sizeof name, "spool/%d/y.npy", (int)job);
    if (npy_open(fixture_path(name), &array, &size, &mtime_ns, &why) != ERR_OK)
        fail_msg("%s", why.text);
    int fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
    for (uint64_t sample = 0; sample < SAMPLES; sample++) {
        assert_int_equal(pread(fd, &row, sizeof row, (off_t)(array.offset + sample * sizeof row)),
                         sizeof row);
        if (found->done[job][sample])
            assert_int_equal(row, answer(job, sample));
    }
    close(fd);
}

static struct found survive(const struct said *heard, size_t count)
{
    char name[64];
    struct found found = { 0 };
    struct store_recovery recovery = { .context = &found, .job = find_job, .done = find_done };
    struct store *store = fixture_open(&recovery);
    for (size_t i = 0; i < count; i++) {
        assert_true(store_term(store) > heard[i].term);
        assert_true(store_next_job(store) > heard[i].job);
        assert_true(found.job[heard[i].job]);
        if (heard[i].sample < SAMPLES)
            assert_true(found.done[heard[i].job][heard[i].sample]);
    }
    store_free(&store);
    for (uint64_t job = 1; job <= JOBS; job++) {
        snprintf(name, sizeof name, "spool/%d", (int)job);
        assert_int_equal(fixture_exists(fixture_path(name)), found.job[job]);
        if (found.job[job])
            check_bytes(&found, job);
    }
    return found;
}

static void die_at_every_sync(bool after)
{
    struct said heard[JOBS * (SAMPLES + 1)];
    bool over = false;
    int sync = 0;
    size_t count;
    while (!over) {
        assert_int_equal(fixture_setup_in_memory(NULL), 0);
        over = run_until_sync(++sync, after, "", heard, &count);
        (void)survive(heard, count);
        assert_int_equal(fixture_teardown(NULL), 0);
    }
    assert_int_equal(count, JOBS * (SAMPLES + 1));
    assert_true(sync > 2 * JOBS * SAMPLES); /* at least the spool's and the journal's sync for each result */
}

static void test_death_before_syncs(void **state)
{
    (void)state;
    die_at_every_sync(false);
}

static void test_death_after_syncs(void **state)
{
    (void)state;
    die_at_every_sync(true);
}

/* The bytes are written and synced, the journal does not say so yet: the sample is not done. The first two
 * syncs of a .npy are those of the two jobs' reservation or of a result before. */
static void test_written_but_not_journaled(void **state)
{
    (void)state;
    struct said heard[JOBS * (SAMPLES + 1)];
    size_t count;
    assert_int_equal(fixture_setup_in_memory(NULL), 0);
    assert_false(run_until_sync(4, true, "y.npy", heard, &count)); /* reserved, first, second, third result */
    assert_int_equal(count, 3);                                    /* the job and two results were reported */
    struct found found = survive(heard, count);
    for (uint64_t i = 0; i < SAMPLES; i++)
        assert_int_equal(found.done[1][(i * 5) % SAMPLES], i < 2);
    /* Computed again, it takes its place. */
    struct store *store = fixture_open(NULL);
    uint64_t row = answer(1, 10 % SAMPLES);
    fixture_must(store, fixture_result(1, 10 % SAMPLES, 1, &row, sizeof row));
    store_free(&store);
    found = survive(heard, count);
    assert_true(found.done[1][10 % SAMPLES]);
    assert_int_equal(fixture_teardown(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_before_syncs),
        cmocka_unit_test(test_death_after_syncs),
        cmocka_unit_test(test_written_but_not_journaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
