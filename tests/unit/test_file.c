// SPDX-License-Identifier: Apache-2.0
#include "file.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[256];

/* A name inside this test's own folder; valid until the next eight calls. */
static const char *in_folder(const char *name)
{
    static char names[8][512];
    static unsigned next;
    char *path = names[next++ % 8];
    snprintf(path, sizeof names[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/motley-file-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == ERR_OK ? 0 : -1;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void test_replace_and_read(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    const char *path = in_folder("a.txt");
    assert_int_equal(file_replace(path, "one", 3, 0600, NULL), ERR_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(file_replace(path, "second", 6, 0644, NULL), ERR_OK);
    assert_int_equal(mode_of(path), 0644);
    assert_int_equal(file_read(path, 100, &bytes, &size, NULL), ERR_OK);
    assert_int_equal(size, 6);
    assert_string_equal(bytes, "second");
    free(bytes);
}

static void test_read_bounds(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    struct why why;
    const char *path = in_folder("bound");
    assert_int_equal(file_replace(path, "12345", 5, 0600, NULL), ERR_OK);
    assert_int_equal(file_read(path, 5, &bytes, &size, NULL), ERR_OK);
    free(bytes);
    assert_int_equal(file_read(path, 4, &bytes, &size, &why), ERR_LIMIT);
    assert_null(bytes);
    assert_int_equal(file_read(in_folder("absent"), 4, &bytes, &size, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "absent"));
    assert_int_equal(file_read(folder, 4, &bytes, &size, &why), ERR_FILE);
}

static void test_read_of_a_large_and_of_a_sizeless_file(void **state)
{
    (void)state;
    static char large[300000];
    char *bytes;
    size_t size;
    memset(large, 'z', sizeof large);
    assert_int_equal(file_replace(in_folder("large"), large, sizeof large, 0600, NULL), ERR_OK);
    assert_int_equal(file_read(in_folder("large"), sizeof large, &bytes, &size, NULL), ERR_OK);
    assert_int_equal(size, sizeof large);
    assert_memory_equal(bytes, large, sizeof large);
    free(bytes);
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &bytes, &size, NULL), ERR_OK);
    assert_true(size > 0);
    assert_int_equal(strlen(bytes), size);
    free(bytes);
}

static void test_pread_says_truncated(void **state)
{
    (void)state;
    char bytes[8];
    struct why why;
    const char *path = in_folder("short");
    assert_int_equal(file_replace(path, "12345", 5, 0600, NULL), ERR_OK);
    int fd = open(path, O_RDONLY);
    assert_int_equal(file_pread(fd, bytes, 4, 1, path, &why), ERR_OK);
    assert_memory_equal(bytes, "2345", 4);
    assert_int_equal(file_pread(fd, bytes, 5, 1, path, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "truncated"));
    assert_non_null(strstr(why.text, path));
    assert_int_equal(file_pread(fd, bytes, 5, UINT64_MAX, path, &why), ERR_LIMIT);
    close(fd);
    assert_int_equal(file_pread(-1, bytes, 5, 0, path, &why), ERR_FILE);
}

static void test_pwrite_and_full_disk(void **state)
{
    (void)state;
    struct why why;
    const char *path = in_folder("written");
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(file_pwrite(fd, "abc", 3, 4, path, &why), ERR_OK);
    char back[7];
    assert_int_equal(file_pread(fd, back, 7, 0, path, &why), ERR_OK);
    assert_memory_equal(back, "\0\0\0\0abc", 7);
    assert_int_equal(file_pwrite(fd, "abc", 3, UINT64_MAX - 1, path, &why), ERR_LIMIT);
    close(fd);
    fd = open("/dev/full", O_WRONLY);
    if (fd >= 0) {
        assert_int_equal(file_pwrite(fd, "abc", 3, 0, "/dev/full", &why), ERR_FULL);
        assert_non_null(strstr(why.text, "No space left"));
        close(fd);
    }
}

static void test_begin_publish_discard(void **state)
{
    (void)state;
    char temporary[600];
    int fd;
    const char *path = in_folder("published");
    assert_int_equal(file_begin(path, temporary, sizeof temporary, &fd, NULL), ERR_OK);
    assert_true(strlen(temporary) < strlen(path) + 32);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(file_pwrite(fd, "x", 1, 0, temporary, NULL), ERR_OK);
    assert_int_equal(file_publish(&fd, temporary, path, NULL), ERR_OK);
    assert_int_equal(fd, -1);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(temporary, F_OK), -1);

    assert_int_equal(file_begin(path, temporary, sizeof temporary, &fd, NULL), ERR_OK);
    file_discard(&fd, temporary);
    file_discard(&fd, temporary);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(access(path, F_OK), 0);
}

/* A writer that lives holds its temporary locked; names that are not ours stay, too. */
static void test_begin_removes_what_killed_writers_left(void **state)
{
    (void)state;
    static const char *const stay[] = { "t.npy.tmp-12345678-0", "t.npy.tmp-12-", "t.npy.tmp-1-2x",
                                        "t.npy.tmp-0012abcd-7", "other.tmp-123-4" };
    char living[600], temporary[600];
    int living_fd, fd;
    const char *path = in_folder("t.npy");
    assert_int_equal(file_begin(path, living, sizeof living, &living_fd, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
        close(open(in_folder(stay[i]), O_CREAT | O_WRONLY, 0600));
    close(open(in_folder("t.npy.tmp-123-4"), O_CREAT | O_WRONLY, 0600));
    assert_int_equal(file_begin(path, temporary, sizeof temporary, &fd, NULL), ERR_OK);
    assert_int_equal(access(in_folder("t.npy.tmp-123-4"), F_OK), -1);
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
        assert_int_equal(access(in_folder(stay[i]), F_OK), 0);
    assert_int_equal(access(living, F_OK), 0);
    file_discard(&fd, temporary);
    assert_int_equal(file_publish(&living_fd, living, path, NULL), ERR_OK);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_begin_refuses_early(void **state)
{
    (void)state;
    char temporary[600], tiny[8];
    int fd;
    struct why why;
    assert_int_equal(file_begin(in_folder("no/such/y.npy"), temporary, sizeof temporary, &fd, &why),
                     ERR_FILE);
    assert_int_equal(fd, -1);
    assert_int_equal(file_begin(folder, temporary, sizeof temporary, &fd, &why), ERR_FILE);
    assert_int_equal(file_begin("/dev/null", temporary, sizeof temporary, &fd, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "not a plain file"));
    assert_int_equal(file_begin(in_folder("y"), tiny, sizeof tiny, &fd, &why), ERR_LIMIT);
}

static void test_failed_publish_leaves_nothing(void **state)
{
    (void)state;
    char temporary[600];
    int fd;
    struct why why;
    assert_int_equal(file_begin(in_folder("late"), temporary, sizeof temporary, &fd, &why), ERR_OK);
    assert_int_equal(mkdir(in_folder("late"), 0700), 0);
    assert_int_equal(file_publish(&fd, temporary, in_folder("late"), &why), ERR_FILE);
    assert_int_equal(fd, -1);
    assert_int_equal(access(temporary, F_OK), -1);
}

static void test_make_dirs(void **state)
{
    (void)state;
    struct why why;
    assert_int_equal(file_make_dirs(in_folder("d1//d2/d3/"), 0700, &why), ERR_OK);
    assert_int_equal(mode_of(in_folder("d1/d2/d3")), 0700);
    assert_int_equal(file_make_dirs(in_folder("d1/d2"), 0700, &why), ERR_OK);
    assert_int_equal(file_replace(in_folder("plain"), "", 0, 0600, NULL), ERR_OK);
    assert_int_equal(file_make_dirs(in_folder("plain"), 0700, &why), ERR_FILE);
    assert_int_equal(file_make_dirs(in_folder("plain/below"), 0700, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "Not a directory"));
    assert_int_equal(file_make_dirs("", 0700, &why), ERR_FILE);
}

static void test_state_dir_names(void **state)
{
    (void)state;
    char path[1024];
    const char *own = in_folder("state-own"), *xdg = in_folder("xdg"), *home = in_folder("home");
    setenv("MOTLEY_STATE_DIR", own, 1);
    setenv("XDG_STATE_HOME", xdg, 1);
    setenv("HOME", home, 1);
    assert_int_equal(file_state_dir(path, sizeof path, NULL), ERR_OK);
    assert_string_equal(path, own);
    assert_int_equal(mode_of(path), 0700);
    unsetenv("MOTLEY_STATE_DIR");
    assert_int_equal(file_state_dir(path, sizeof path, NULL), ERR_OK);
    assert_string_equal(path, in_folder("xdg/motley"));
    setenv("XDG_STATE_HOME", "relative", 1);
    assert_int_equal(file_state_dir(path, sizeof path, NULL), ERR_OK);
    assert_string_equal(path, in_folder("home/.local/state/motley"));
    assert_int_equal(file_state_dir(path, 10, NULL), ERR_LIMIT);
    unsetenv("XDG_STATE_HOME");
}

static void test_state_dir_must_be_private(void **state)
{
    (void)state;
    char path[1024];
    struct why why;
    const char *own = in_folder("state-open");
    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(chmod(own, 0750), 0);
    setenv("MOTLEY_STATE_DIR", own, 1);
    assert_int_equal(file_state_dir(path, sizeof path, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "0750"));
    assert_non_null(strstr(why.text, "MOTLEY_STATE_DIR"));
    assert_int_equal(chmod(own, 0700), 0);
    assert_int_equal(file_state_dir(path, sizeof path, &why), ERR_OK);
    unsetenv("MOTLEY_STATE_DIR");
}

static void test_remove_tree_does_not_follow_links(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(in_folder("keep"), 0700, NULL), ERR_OK);
    assert_int_equal(file_replace(in_folder("keep/precious"), "x", 1, 0600, NULL), ERR_OK);
    assert_int_equal(file_make_dirs(in_folder("tree/a/b"), 0700, NULL), ERR_OK);
    assert_int_equal(file_replace(in_folder("tree/a/f"), "x", 1, 0600, NULL), ERR_OK);
    assert_int_equal(symlink(in_folder("keep"), in_folder("tree/a/link")), 0);
    assert_int_equal(symlink("nowhere", in_folder("tree/dangling")), 0);
    assert_int_equal(file_remove_tree(in_folder("tree"), NULL), ERR_OK);
    assert_int_equal(access(in_folder("tree"), F_OK), -1);
    assert_int_equal(access(in_folder("keep/precious"), F_OK), 0);
    assert_int_equal(file_remove_tree(in_folder("tree"), NULL), ERR_OK);
}

static void test_program_dir(void **state)
{
    (void)state;
    char path[4096], tiny[2];
    assert_int_equal(file_program_dir(path, sizeof path, NULL), ERR_OK);
    assert_int_equal(path[0], '/');
    assert_int_equal(access(path, X_OK), 0);
    assert_int_equal(file_program_dir(tiny, sizeof tiny, NULL), ERR_LIMIT);
}

static void check_absolute(const char *path, const char *expected)
{
    char absolute[512];
    assert_int_equal(file_absolute(path, absolute, sizeof absolute, NULL), ERR_OK);
    assert_string_equal(absolute, expected);
}

static void test_absolute(void **state)
{
    (void)state;
    char here[512], expected[600], tiny[8];
    check_absolute("/", "/");
    check_absolute("//a//b/", "/a/b");
    check_absolute("/a/./b/../c", "/a/c");
    check_absolute("/../../x", "/x");
    check_absolute("/a/..", "/");
    check_absolute("/a/.../b..", "/a/.../b..");
    assert_non_null(getcwd(here, sizeof here));
    check_absolute(".", here);
    snprintf(expected, sizeof expected, "%s/x.npy", here);
    check_absolute("y/../x.npy", expected);
    assert_int_equal(file_absolute("", tiny, sizeof tiny, NULL), ERR_FILE);
    assert_int_equal(file_absolute("/abcdef", tiny, sizeof tiny, NULL), ERR_OK);
    assert_int_equal(file_absolute("/abcdefg", tiny, sizeof tiny, NULL), ERR_LIMIT);
}

static void test_canonical(void **state)
{
    (void)state;
    char canonical[512], real[PATH_MAX], expected[PATH_MAX + 64], tiny[8];
    assert_int_equal(file_make_dirs(in_folder("c/real"), 0700, NULL), ERR_OK);
    assert_int_equal(symlink("real", in_folder("c/link")), 0);
    assert_non_null(realpath(in_folder("c/real"), real));
    snprintf(expected, sizeof expected, "%s/x.npy", real);
    const char *names[] = { "c/real/x.npy", "c/link/x.npy", "c/link/../link//x.npy", "c/./link/x.npy/" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(file_canonical(in_folder(names[i]), canonical, sizeof canonical, NULL), ERR_OK);
        assert_string_equal(canonical, expected);
    }
    assert_int_equal(file_canonical("/x.npy", canonical, sizeof canonical, NULL), ERR_OK);
    assert_string_equal(canonical, "/x.npy");
    assert_int_equal(file_canonical("/x.npyy", tiny, sizeof tiny, NULL), ERR_OK);
    assert_int_equal(file_canonical("/x.npyyy", tiny, sizeof tiny, NULL), ERR_LIMIT);
    assert_int_equal(file_canonical(in_folder("c/none/x"), canonical, sizeof canonical, NULL), ERR_FILE);
}

static void test_free_bytes(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_int_equal(file_free_bytes(folder, &bytes, NULL), ERR_OK);
    assert_true(bytes > 0);
    assert_int_equal(file_free_bytes(in_folder("absent-file"), &bytes, NULL), ERR_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_and_read),
        cmocka_unit_test(test_read_bounds),
        cmocka_unit_test(test_read_of_a_large_and_of_a_sizeless_file),
        cmocka_unit_test(test_pread_says_truncated),
        cmocka_unit_test(test_pwrite_and_full_disk),
        cmocka_unit_test(test_begin_publish_discard),
        cmocka_unit_test(test_begin_removes_what_killed_writers_left),
        cmocka_unit_test(test_begin_refuses_early),
        cmocka_unit_test(test_failed_publish_leaves_nothing),
        cmocka_unit_test(test_make_dirs),
        cmocka_unit_test(test_state_dir_names),
        cmocka_unit_test(test_state_dir_must_be_private),
        cmocka_unit_test(test_remove_tree_does_not_follow_links),
        cmocka_unit_test(test_program_dir),
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_free_bytes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
