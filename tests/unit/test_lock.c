// SPDX-License-Identifier: Apache-2.0
#include "lock.h"

#include "store_fixture.h"

static void leave(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The words of a holder that did not end well. */
static void leave(const char *format, ...)
{
    char words[500];
    struct why why;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    assert_int_equal(file_replace(fixture_path("lock"), words, (size_t)length, 0600, &why), ERR_OK);
}

static enum err try_lock(struct why *why)
{
    int fd = -1;
    enum err err = lock_take(fixture_dir, &fd, why);
    lock_give_back(&fd);
    assert_int_equal(fd, -1);
    return err;
}

static void test_own_words(void **state)
{
    (void)state;
    char host[256] = "", want[300], *words;
    size_t size;
    int fd = -1;
    gethostname(host, sizeof host - 1);
    assert_int_equal(lock_take(fixture_dir, &fd, NULL), ERR_OK);
    assert_int_equal(file_read(fixture_path("lock"), 1000, &words, &size, NULL), ERR_OK);
    snprintf(want, sizeof want, "host %s, pid %ld\nkernel ", host, (long)getpid());
    assert_int_equal(strncmp(words, want, strlen(want)), 0);
    free(words);
    lock_give_back(&fd);
    fixture_expect_text(fixture_path("lock"), "");
}

static void test_second_is_refused(void **state)
{
    (void)state;
    struct why why;
    char want[64];
    int fd = -1;
    assert_int_equal(lock_take(fixture_dir, &fd, NULL), ERR_OK);
    assert_int_equal(try_lock(&why), ERR_REFUSED);
    snprintf(want, sizeof want, "pid %ld", (long)getpid());
    assert_non_null(strstr(why.text, want));
    assert_int_equal(try_lock(&why), ERR_REFUSED); /* the first refusal did not give it back */
    lock_give_back(&fd);
    assert_int_equal(try_lock(&why), ERR_OK);
}

/* Killed on this host, also in a container, whose name is another each time. */
static void test_taken_over(void **state)
{
    (void)state;
    char host[256] = "", *kernel;
    size_t size;
    struct why why;
    gethostname(host, sizeof host - 1);
    leave("host %s, pid 4\nkernel of-before-the-boot\n", host);
    assert_int_equal(try_lock(&why), ERR_OK);
    assert_int_equal(file_read("/proc/sys/kernel/random/boot_id", 100, &kernel, &size, NULL), ERR_OK);
    leave("host a1b2c3, pid 4\nkernel %s", kernel);
    free(kernel);
    assert_int_equal(try_lock(&why), ERR_OK);
    leave("host %.3s", "elsewhere"); /* cut short */
    assert_int_equal(try_lock(&why), ERR_OK);
    leave("%s", "");
    assert_int_equal(try_lock(&why), ERR_OK);
}

static void test_another_host(void **state)
{
    (void)state;
    struct why why;
    leave("host elsewhere, pid 4711\nkernel of-another\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_lock(&why), ERR_REFUSED);
        assert_non_null(strstr(why.text, "host elsewhere (pid 4711)"));
        assert_non_null(strstr(why.text, "remove this file"));
    }
    leave("host elsewhere, pid 4711\n"); /* as an earlier version wrote it */
    assert_int_equal(try_lock(&why), ERR_REFUSED);
    assert_int_equal(unlink(fixture_path("lock")), 0);
    assert_int_equal(try_lock(&why), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_words, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_second_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_taken_over, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_another_host, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
