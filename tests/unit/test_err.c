// SPDX-License-Identifier: Apache-2.0
/* err, log and clock: what people read. */
#include "clock.h"
#include "err.h"
#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void test_why_holds_the_sentence_and_the_code(void **state)
{
    (void)state;
    struct why why;
    assert_int_equal(why_set(&why, ERR_FILE, "%s: is empty; give a %s", "a.npy", ".npy file"), ERR_FILE);
    assert_string_equal(why.text, "a.npy: is empty; give a .npy file");
    assert_int_equal(why_set(NULL, ERR_LIMIT, "%d", 1), ERR_LIMIT);
}

static void test_why_is_cut_and_kept_on_one_line(void **state)
{
    (void)state;
    struct why why;
    char name[2 * WHY_MAX];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    name[3] = '\n';
    (void)why_set(&why, ERR_FILE, "%s", name);
    assert_int_equal(strlen(why.text), WHY_MAX - 1);
    assert_null(strchr(why.text, '\n'));
}

static void test_why_is_never_empty(void **state)
{
    (void)state;
    struct why why;
    (void)why_set(&why, ERR_FILE, "%s", "");
    assert_true(why.text[0] != 0);
}

static void test_why_can_wrap_its_own_text(void **state)
{
    (void)state;
    struct why why;
    (void)why_set(&why, ERR_FILE, "inner");
    (void)why_set(&why, ERR_FILE, "outer: %s", why.text);
    assert_string_equal(why.text, "outer: inner");
}

static void test_errno_is_appended_and_kept(void **state)
{
    (void)state;
    struct why why;
    errno = ENOENT;
    assert_int_equal(why_set_errno(&why, ERR_FILE, "x.npy: cannot be opened"), ERR_FILE);
    assert_string_equal(why.text, "x.npy: cannot be opened: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void test_exit_codes_are_the_contract(void **state)
{
    (void)state;
    assert_int_equal(err_exit_code(ERR_OK), 0);
    assert_int_equal(err_exit_code(ERR_USAGE), 2);
    assert_int_equal(err_exit_code(ERR_FILE), 2);
    assert_int_equal(err_exit_code(ERR_LIMIT), 2);
    assert_int_equal(err_exit_code(ERR_UNREACHABLE), 3);
    assert_int_equal(err_exit_code(ERR_REFUSED), 3);
    assert_int_equal(err_exit_code(ERR_NOT_FOUND), 4);
    assert_int_equal(err_exit_code(ERR_TIMEOUT), 5);
    assert_int_equal(err_exit_code(ERR_CANCELLED), 6);
    assert_int_equal(err_exit_code(ERR_RUNTIME), 1);
    assert_string_equal(err_name(ERR_NOT_FOUND), "not-found");
    assert_string_equal(err_name((enum err)999), "unknown");
}

static void test_rfc3339(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_MAX];
    clock_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_rfc3339(1795348800123999, text);
    assert_string_equal(text, "2026-11-22T12:00:00.123Z");
    clock_rfc3339(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_rfc3339(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void test_monotonic_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic_us();
    clock_sleep_until_us(before);
    assert_true(clock_monotonic_us() >= before);
    assert_true(clock_wall_us() > 1577836800000000); /* 2020 */
}

static size_t slurp(int fd, char *text, size_t max)
{
    ssize_t got = pread(fd, text, max - 1, 0);
    assert_true(got >= 0);
    text[got] = 0;
    return (size_t)got;
}

static void test_log_line(void **state)
{
    (void)state;
    char text[4096], when[CLOCK_RFC3339_MAX];
    int fd = memfd_create("log", 0);
    assert_true(fd >= 0);
    log_init("motley-worker", LOG_INFO, fd);
    log_debug("NOT-SHOWN", "%d", 1);
    log_warn("WORKER-LOST", "worker %d\nsaid nothing", 3);
    size_t size = slurp(fd, text, sizeof text);
    assert_string_equal(text + strlen("2026-11-22T12:00:00.123Z "),
                        "motley-worker warn WORKER-LOST worker 3?said nothing\n");
    clock_rfc3339(clock_wall_us(), when);
    assert_memory_equal(text, when, 2);
    assert_int_equal(text[size - 1], '\n');
    close(fd);
    log_init("", LOG_INFO, 2);
}

static void test_long_log_line_is_cut(void **state)
{
    (void)state;
    static char text[8192], longer[6000];
    memset(longer, 'y', sizeof longer - 1);
    int fd = memfd_create("log", 0);
    log_init("", LOG_DEBUG, fd);
    log_error("LONG", "%s", longer);
    size_t size = slurp(fd, text, sizeof text);
    assert_in_range(size, 1000, 2048);
    assert_int_equal(text[size - 1], '\n');
    assert_int_equal(text[size - 2], 'y');
    close(fd);
    log_init("", LOG_INFO, 2);
}

static void test_log_levels(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("loud", &level));
    assert_int_equal(level, LOG_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why_holds_the_sentence_and_the_code),
        cmocka_unit_test(test_why_is_cut_and_kept_on_one_line),
        cmocka_unit_test(test_why_is_never_empty),
        cmocka_unit_test(test_why_can_wrap_its_own_text),
        cmocka_unit_test(test_errno_is_appended_and_kept),
        cmocka_unit_test(test_exit_codes_are_the_contract),
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_monotonic_does_not_go_back),
        cmocka_unit_test(test_log_line),
        cmocka_unit_test(test_long_log_line_is_cut),
        cmocka_unit_test(test_log_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
