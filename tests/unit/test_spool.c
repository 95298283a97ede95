// SPDX-License-Identifier: Apache-2.0
#include "spool.h"

#include "npy.h"
#include "rows.h"
#include "store_fixture.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Counted; this stands before the C library's. */
static int syncs;

__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static const int64_t pair[] = { 2 }, open_pair[] = { 2, -1 };

static struct spool *new_spool(void)
{
    struct spool *spool;
    struct why why;
    if (spool_new(fixture_dir, &spool, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return spool;
}

static struct spool_shape shape_of(uint64_t job, uint64_t samples, struct tensor_spec spec)
{
    return (struct spool_shape){ .job = job, .samples = samples, .outputs_count = 1, .outputs = { spec } };
}

static void must(enum err err, const struct why *why)
{
    if (err != ERR_OK)
        fail_msg("%s", why->text);
}

static enum err write_result(struct spool *spool, const struct spool_shape *shape, struct store_op *op,
                             struct why *why)
{
    enum err err = spool_knows(spool, shape->job) ? ERR_OK : spool_learn(spool, shape, why);
    if (err == ERR_OK)
        err = spool_write(spool, op, why);
    store_op_free(&op);
    return err;
}

static void must_write(struct spool *spool, const struct spool_shape *shape, struct store_op *op)
{
    struct why why;
    must(write_result(spool, shape, op, &why), &why);
}

static void test_fixed_rows(void **state)
{
    (void)state;
    struct why why;
    float rows[5][2] = { { 0 }, { 1, 2 }, { 3, 4 }, { 0 }, { NAN, -0.0f } };
    uint8_t file[NPY_HEADER_MAX + sizeof rows];
    struct spool *spool = new_spool();
    struct spool_shape shape = shape_of(3, 5, fixture_spec("y", DTYPE_F32, pair, 1));
    must(spool_reserve(spool, &shape, &why), &why);
    must_write(spool, &shape, fixture_result(3, 4, 1, rows[4], sizeof rows[4]));
    must_write(spool, &shape, fixture_result(3, 1, 2, rows[1], 2 * sizeof rows[1]));
    must(spool_sync(spool, &why), &why);
    size_t header = npy_header(&shape.outputs[0], 5, file);
    memcpy(file + header, rows, sizeof rows);
    fixture_expect_file(fixture_path("spool/3/y.npy"), file, header + sizeof rows);
    spool_free(&spool);
}

static struct store_op *varying(uint64_t job, uint64_t first, uint32_t count, int64_t length,
                                const void *rows)
{
    struct store_op *op =
        fixture_result(job, first, count, rows, count * 2 * (uint64_t)length * sizeof(int32_t));
    int64_t dims[] = { 2, length };
    op->outputs[0] = fixture_spec("y", DTYPE_I32, dims, 2);
    return op;
}

static void expect_row(struct rows *rows, uint64_t sample, int64_t length, const void *row)
{
    struct rows_place place;
    const uint8_t *bytes;
    struct why why;
    must(rows_find(rows, sample, &place, &why), &why);
    assert_int_equal(place.spec.dims[0], 2);
    assert_int_equal(place.spec.dims[1], length);
    assert_int_equal(place.bytes, 2 * length * (int64_t)sizeof(int32_t));
    for (uint64_t done = 0; done < place.bytes; done += 4) {
        must(rows_read(rows, place.offset + done, 4, &bytes, &why), &why);
        assert_memory_equal(bytes, (const char *)row + done, 4);
    }
}

/* Rows of several lengths, one larger than every buffer, written out of order and once over. */
static void test_varying_rows(void **state)
{
    (void)state;
    enum { LARGE = 200000 };
    struct why why;
    struct rows rows;
    struct rows_place place;
    int32_t *numbers = malloc(2 * LARGE * sizeof *numbers);
    for (int i = 0; i < 2 * LARGE; i++)
        numbers[i] = i * 7;
    struct spool *spool = new_spool();
    struct spool_shape shape = shape_of(1, 1000, fixture_spec("y", DTYPE_I32, open_pair, 2));
    must(spool_reserve(spool, &shape, &why), &why);
    must_write(spool, &shape, varying(1, 500, 400, 3, numbers));
    must_write(spool, &shape, varying(1, 0, 2, 0, NULL));
    must_write(spool, &shape, varying(1, 2, 1, LARGE, numbers));
    must_write(spool, &shape, varying(1, 500, 1, 5, numbers + 9));
    must(spool_sync(spool, &why), &why);
    must(rows_open(&rows, fixture_dir, &shape, 0, &why), &why);
    expect_row(&rows, 501, 3, numbers + 6);
    expect_row(&rows, 899, 3, numbers + 399 * 6);
    expect_row(&rows, 1, 0, NULL);
    expect_row(&rows, 2, LARGE, numbers);
    expect_row(&rows, 500, 5, numbers + 9);
    assert_int_equal(rows_find(&rows, 3, &place, &why), ERR_FORMAT); /* nobody wrote it */
    rows_close(&rows);
    spool_free(&spool);
    free(numbers);
}

static void test_refuses_what_does_not_fit(void **state)
{
    (void)state;
    float row[4] = { 0 };
    int64_t three[] = { 3 };
    struct why why;
    struct spool *spool = new_spool();
    struct spool_shape shape = shape_of(1, 10, fixture_spec("y", DTYPE_F32, pair, 1));
    struct spool_shape open = shape_of(2, 10, fixture_spec("y", DTYPE_I32, open_pair, 2));
    must(spool_reserve(spool, &shape, &why), &why);
    must(spool_reserve(spool, &open, &why), &why);
    assert_int_equal(write_result(spool, &shape, fixture_result(1, 0, 1, row, 7), &why), ERR_FORMAT);
    assert_int_equal(write_result(spool, &shape, fixture_result(1, 0, 2, row, 8), &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "2 rows of float32[2] take 16 bytes, this result has 8"));
    assert_int_equal(write_result(spool, &shape, fixture_result(1, 9, 2, row, 16), &why), ERR_NOT_FOUND);
    assert_int_equal(write_result(spool, &shape, fixture_result(1, UINT64_MAX, 2, row, 16), &why),
                     ERR_NOT_FOUND);
    struct store_op *op = fixture_result(1, 0, 1, row, 8);
    op->outputs_count = 2;
    assert_int_equal(write_result(spool, &shape, op, &why), ERR_FORMAT);
    op = fixture_result(1, 0, 1, row, 8);
    op->outputs[0] = fixture_spec("y", DTYPE_I32, pair, 1); /* as many bytes, but other numbers */
    assert_int_equal(write_result(spool, &shape, op, &why), ERR_FORMAT);
    op = fixture_result(1, 0, 1, row, 12);
    op->outputs[0] = fixture_spec("y", DTYPE_F32, three, 1);
    assert_int_equal(write_result(spool, &shape, op, &why), ERR_FORMAT);
    assert_int_equal(write_result(spool, &open, fixture_result(2, 0, 1, row, 8), &why),
                     ERR_FORMAT); /* says nothing */
    op = varying(2, 0, 1, 1, row);
    op->outputs[0].dims[1] = -1;
    assert_int_equal(write_result(spool, &open, op, &why), ERR_FORMAT);
    op = varying(2, 0, 1, 1, row);
    op->outputs[0].dims[0] = 3;
    op->rows_bytes[0] = 12;
    assert_int_equal(write_result(spool, &open, op, &why), ERR_FORMAT);
    must(spool_sync(spool, &why), &why);
    spool_free(&spool);
}

static void expect_reserve(struct spool *spool, struct spool_shape shape, enum err err, const char *words)
{
    struct why why;
    assert_int_equal(spool_reserve(spool, &shape, &why), err);
    if (!strstr(why.text, words))
        fail_msg("'%s' does not say '%s'", why.text, words);
    assert_false(fixture_exists(fixture_path("spool/7")));
}

static void test_refuses_to_reserve(void **state)
{
    (void)state;
    int64_t huge[] = { INT64_MAX, 4 };
    struct spool *spool = new_spool();
    expect_reserve(spool, shape_of(7, UINT64_C(1) << 50, fixture_spec("y", DTYPE_F32, pair, 1)), ERR_FULL,
                   "job 7 need");
    expect_reserve(spool, shape_of(7, UINT64_C(1) << 62, fixture_spec("y", DTYPE_F32, pair, 1)), ERR_LIMIT,
                   "more than a file");
    expect_reserve(spool, shape_of(7, 1, fixture_spec("y", DTYPE_F32, huge, 2)), ERR_LIMIT,
                   "more than a file");
    expect_reserve(spool, shape_of(7, 1, fixture_spec("y", DTYPE_NONE, pair, 1)), ERR_FORMAT,
                   "no element type");
    struct spool_shape twice = shape_of(7, 1, fixture_spec("y", DTYPE_F32, pair, 1));
    twice.outputs[twice.outputs_count++] = twice.outputs[0];
    expect_reserve(spool, twice, ERR_FORMAT, "two outputs");
    spool_free(&spool);
}

static void expect_name(const char *tensor, const char *file)
{
    char name[SPOOL_NAME_MAX];
    struct spool_shape shape = shape_of(1, 1, fixture_spec(tensor, DTYPE_F32, pair, 1));
    spool_output_name(&shape, 0, name);
    assert_string_equal(name, file);
}

static void test_names(void **state)
{
    (void)state;
    char longest[TENSOR_NAME_MAX], name[SPOOL_NAME_MAX];
    expect_name("logits_0.out-1", "logits_0.out-1");
    expect_name("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
    expect_name("a:0", "a%3A0");
    expect_name(".", "%2E");
    expect_name("", "output0");
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    struct spool_shape shape = shape_of(1, 1, fixture_spec(longest, DTYPE_F32, pair, 1));
    spool_output_name(&shape, 0, name);
    assert_true(strlen(name) < SPOOL_NAME_MAX && strcmp(name + strlen(name) - 2, "~0") == 0);
}

/* More jobs than files may be open: the oldest are closed, synced, and opened again. */
static void test_many_jobs(void **state)
{
    (void)state;
    enum { JOBS = SPOOL_FILES_MAX + 50 };
    struct why why;
    struct spool *spool = new_spool();
    syncs = 0;
    for (uint32_t round = 0; round < 2; round++)
        for (uint64_t job = 1; job <= JOBS; job++) {
            struct spool_shape shape = shape_of(job, 2, fixture_spec("y", DTYPE_U64, NULL, 0));
            if (round == 0)
                must(spool_reserve(spool, &shape, &why), &why);
            must_write(spool, &shape, fixture_result(job, round, 1, &job, sizeof job));
        }
    must(spool_sync(spool, &why), &why);
    assert_int_equal(syncs, 2 * JOBS);
    for (uint64_t job = 1; job <= JOBS; job += 51) {
        struct spool_shape shape = shape_of(job, 2, fixture_spec("y", DTYPE_U64, NULL, 0));
        uint8_t file[NPY_HEADER_MAX + 16];
        size_t header = npy_header(&shape.outputs[0], 2, file);
        memcpy(file + header, &(uint64_t[]){ job, job }, 16);
        char name[64];
        snprintf(name, sizeof name, "spool/%d/y.npy", (int)job);
        fixture_expect_file(fixture_path(name), file, header + 16);
    }
    spool_free(&spool);
}

static bool keep_even(void *context, uint64_t job)
{
    (void)context;
    return job % 2 == 0;
}

static void test_sweep(void **state)
{
    (void)state;
    struct why why;
    struct spool *spool = new_spool();
    for (uint64_t job = 1; job <= 4; job++) {
        struct spool_shape shape = shape_of(job, 2, fixture_spec("y", DTYPE_U64, NULL, 0));
        must(spool_reserve(spool, &shape, &why), &why);
    }
    assert_int_equal(mkdir(fixture_path("spool/lost+found"), 0700), 0);
    must(spool_sweep(spool, keep_even, NULL, &why), &why);
    assert_false(fixture_exists(fixture_path("spool/1")));
    assert_true(fixture_exists(fixture_path("spool/2")));
    assert_false(fixture_exists(fixture_path("spool/3")));
    assert_true(fixture_exists(fixture_path("spool/4")));
    assert_true(fixture_exists(fixture_path("spool/lost+found")));
    must(spool_remove(spool, 4, &why), &why);
    assert_false(fixture_exists(fixture_path("spool/4")));
    spool_free(&spool);
}

static void test_damaged_files(void **state)
{
    (void)state;
    uint64_t row = 5;
    struct why why;
    struct spool *spool = new_spool();
    struct spool_shape shape = shape_of(1, 100, fixture_spec("y", DTYPE_U64, NULL, 0));
    must(spool_reserve(spool, &shape, &why), &why);
    assert_int_equal(truncate(fixture_path("spool/1/y.npy"), 300), 0);
    assert_int_equal(write_result(spool, &shape, fixture_result(1, 0, 1, &row, 8), &why), ERR_FORMAT);
    assert_int_equal(unlink(fixture_path("spool/1/y.npy")), 0);
    assert_int_equal(write_result(spool, &shape, fixture_result(1, 0, 1, &row, 8), &why), ERR_FORMAT);
    spool_free(&spool);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A limit on the size of files counts as a full disk; what was appended in vain is taken back. */
static void test_file_size_limit(void **state)
{
    (void)state;
    struct why why;
    struct stat status;
    struct rows rows;
    int32_t *numbers = calloc(40000, sizeof *numbers);
    numbers[1] = 77;
    struct spool *spool = new_spool();
    struct spool_shape shape = shape_of(1, 10, fixture_spec("y", DTYPE_I32, open_pair, 2));
    struct spool_shape large = shape_of(2, 100000, fixture_spec("y", DTYPE_U64, NULL, 0));
    signal(SIGXFSZ, SIG_IGN);
    limit_files(100000);
    assert_int_equal(spool_reserve(spool, &large, &why), ERR_FULL);
    must(spool_reserve(spool, &shape, &why), &why);
    must_write(spool, &shape, varying(1, 0, 1, 1, numbers));
    must(spool_sync(spool, &why), &why);
    assert_int_equal(write_result(spool, &shape, varying(1, 1, 1, 20000, numbers), &why), ERR_FULL);
    spool_abort(spool);
    assert_int_equal(stat(fixture_path("spool/1/y.rows"), &status), 0);
    assert_int_equal(status.st_size, 8 + 16 + 8);
    limit_files(RLIM_INFINITY);
    must_write(spool, &shape, varying(1, 1, 1, 20000, numbers));
    must(spool_sync(spool, &why), &why);
    must(rows_open(&rows, fixture_dir, &shape, 0, &why), &why);
    expect_row(&rows, 0, 1, numbers);
    expect_row(&rows, 1, 20000, numbers);
    rows_close(&rows);
    spool_free(&spool);
    free(numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fixed_rows, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_varying_rows, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_what_does_not_fit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_to_reserve, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_names, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_many_jobs, fixture_setup_in_memory, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_sweep, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_files, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_file_size_limit, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
