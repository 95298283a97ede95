// SPDX-License-Identifier: Apache-2.0
/* Input rows: mapped ones are those of the file that was submitted or none, fetched ones are whole or none.
 */
#include "source.h"

#include "bounds.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static int fd;
static struct why why;
static struct source *source;

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test-source-XXXXXX");
    fd = mkstemp(path);
    char bytes[100];
    for (int i = 0; i < 100; i++)
        bytes[i] = (char)i;
    return fd < 0 || write(fd, bytes, sizeof bytes) != sizeof bytes;
}

static int tear_down(void **state)
{
    (void)state;
    source_free(&source);
    source_free(&source);
    close(fd);
    return unlink(path);
}

/* Ten rows of nine bytes after a header of ten. */
static struct source_place place_of_file(void)
{
    struct stat stat;
    assert_int_equal(fstat(fd, &stat), 0);
    return (struct source_place){ .path = path,
                                  .offset = 10,
                                  .row_bytes = 9,
                                  .rows = 10,
                                  .file_bytes = (uint64_t)stat.st_size,
                                  .mtime_ns =
                                      (int64_t)stat.st_mtim.tv_sec * 1000000000 + stat.st_mtim.tv_nsec };
}

static enum err open_place(struct source_place place) { return source_open(&place, &source, &why); }

static void test_rows_are_where_they_are(void **state)
{
    (void)state;
    assert_int_equal(open_place(place_of_file()), ERR_OK);
    const uint8_t *rows = source_rows(source, 0, 10);
    assert_int_equal(rows[0], 10);
    assert_int_equal(rows[89], 99);
    rows = source_rows(source, 3, 2);
    assert_int_equal(rows[0], 37);
    assert_int_equal(source_check(source, &why), ERR_OK);
}

static void test_changed_files_are_refused(void **state)
{
    (void)state;
    struct source_place place = place_of_file();
    place.mtime_ns++;
    assert_int_equal(open_place(place), ERR_FORMAT);
    assert_non_null(strstr(why.text, "changed"));
    place = place_of_file();
    place.file_bytes++;
    assert_int_equal(open_place(place), ERR_FORMAT);
    place = place_of_file();
    place.rows++;
    assert_int_equal(open_place(place), ERR_FORMAT);
    assert_non_null(strstr(why.text, "truncated"));
    place = place_of_file();
    place.row_bytes = UINT64_MAX;
    assert_int_equal(open_place(place), ERR_FORMAT);
    place = place_of_file();
    place.offset = UINT64_MAX;
    assert_int_equal(open_place(place), ERR_FORMAT);
    assert_null(source);
}

static void test_what_cannot_be_opened_may_be_fetched(void **state)
{
    (void)state;
    struct source_place place = place_of_file();
    place.path = "/nowhere/at/all";
    assert_int_equal(open_place(place), ERR_FILE);
    assert_non_null(strstr(why.text, "/nowhere/at/all"));
    place.path = "/tmp";
    assert_int_equal(open_place(place), ERR_FILE);
    assert_null(source);
}

static void test_no_rows_need_no_map(void **state)
{
    (void)state;
    struct source_place place = place_of_file();
    place.rows = 0;
    assert_int_equal(open_place(place), ERR_OK);
    assert_non_null(source_rows(source, 0, 0));
    source_free(&source);
    place = place_of_file();
    place.row_bytes = 0;
    place.rows = 1000;
    assert_int_equal(open_place(place), ERR_OK);
    assert_non_null(source_rows(source, 999, 1));
}

static void test_a_change_is_seen(void **state)
{
    (void)state;
    assert_int_equal(open_place(place_of_file()), ERR_OK);
    struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(source_check(source, &why), ERR_FORMAT);
}

/* The sum over the mapped bytes, read on a thread that blocks all signals but what source_guard_thread lets
 * through. */
static void *sum_rows(void *rows)
{
    const volatile uint8_t *bytes = rows;
    unsigned long sum = 0;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    source_guard_thread();
    for (int i = 0; i < 90; i++)
        sum += bytes[i];
    return (void *)sum;
}

static void test_a_file_cut_short_ends_nobody(void **state)
{
    (void)state;
    pthread_t thread;
    void *sum;
    source_guard();
    assert_int_equal(open_place(place_of_file()), ERR_OK);
    const void *rows = source_rows(source, 0, 10);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, sum_rows, (void *)(uintptr_t)rows), 0);
    assert_int_equal(pthread_join(thread, &sum), 0);
    assert_null(sum);
    assert_int_equal(source_check(source, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "cut short"));
}

static void test_gather(void **state)
{
    (void)state;
    struct gather gather;
    uint64_t offset;
    uint32_t length;
    assert_int_equal(gather_begin(&gather, 5, 2, PIECE_BYTES_MAX, UINT64_MAX, &why), ERR_OK);
    uint8_t *piece = calloc(1, PIECE_BYTES_MAX);
    assert_non_null(piece);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(gather_next(&gather, &offset, &length));
        assert_int_equal(offset, (5 + i) * PIECE_BYTES_MAX);
        assert_int_equal(length, PIECE_BYTES_MAX);
    }
    assert_false(gather_next(&gather, &offset, &length));
    piece[0] = 2;
    assert_int_equal(gather_put(&gather, 6ull * PIECE_BYTES_MAX, piece, PIECE_BYTES_MAX, &why), ERR_OK);
    assert_false(gather_whole(&gather));
    piece[0] = 1;
    assert_int_equal(gather_put(&gather, 5ull * PIECE_BYTES_MAX, piece, PIECE_BYTES_MAX, &why), ERR_OK);
    assert_true(gather_whole(&gather));
    assert_int_equal(gather.bytes[0], 1);
    assert_int_equal(gather.bytes[PIECE_BYTES_MAX], 2);
    assert_int_equal(gather_put(&gather, 5ull * PIECE_BYTES_MAX, piece, 1, &why), ERR_FORMAT);
    free(piece);
    gather_free(&gather);
    gather_free(&gather);
}

static void test_gather_refuses_nonsense(void **state)
{
    (void)state;
    struct gather gather;
    assert_int_equal(gather_begin(&gather, 0, 2, UINT64_MAX, 1000, &why), ERR_LIMIT);
    assert_int_equal(gather_begin(&gather, UINT64_MAX, 1, 8, 1000, &why), ERR_LIMIT);
    assert_int_equal(gather_begin(&gather, 2, 5, 10, 50, &why), ERR_OK);
    assert_int_equal(gather_put(&gather, 19, "x", 1, &why), ERR_FORMAT);
    assert_int_equal(gather_put(&gather, 70, "x", 1, &why), ERR_FORMAT);
    assert_int_equal(gather_put(&gather, 69, "xy", 2, &why), ERR_FORMAT);
    assert_int_equal(gather_put(&gather, UINT64_MAX, "x", 1, &why), ERR_FORMAT);
    gather_free(&gather);
    assert_int_equal(gather_begin(&gather, 7, 3, 0, 50, &why), ERR_OK);
    assert_true(gather_whole(&gather));
    gather_free(&gather);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_rows_are_where_they_are),
        STORY(test_changed_files_are_refused),
        STORY(test_what_cannot_be_opened_may_be_fetched),
        STORY(test_no_rows_need_no_map),
        STORY(test_a_change_is_seen),
        STORY(test_a_file_cut_short_ends_nobody),
        STORY(test_gather),
        STORY(test_gather_refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
