// SPDX-License-Identifier: Apache-2.0
#include "file.h"
#include "roots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

static char folder[64], inside[128], outside[128];
static struct roots roots;
static struct why why;

static const char *path(const char *name)
{
    static char made[256];
    snprintf(made, sizeof made, "%s/%s", folder, name);
    return made;
}

static void touch(const char *name)
{
    FILE *file = fopen(path(name), "w");
    assert_non_null(file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    memset(&roots, 0, sizeof roots);
    strcpy(folder, "/tmp/motley-roots-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(inside, sizeof inside, "%s/in", folder);
    snprintf(outside, sizeof outside, "%s/inner", folder); /* the root's name begins its own */
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(mkdir(outside, 0700), 0);
    touch("in/a.npy");
    touch("inner/b.npy");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(folder, &why);
}

static void test_inside(void **state)
{
    (void)state;
    assert_int_equal(roots_check(&roots, path("inner/b.npy"), &why), ERR_OK); /* none: no limit */
    assert_int_equal(roots_check(NULL, path("inner/b.npy"), &why), ERR_OK);
    assert_int_equal(roots_add(&roots, inside, &why), ERR_OK);
    assert_int_equal(roots_check(&roots, path("in/a.npy"), &why), ERR_OK);
    assert_int_equal(roots_check(&roots, path("in/new.npy"), &why), ERR_OK);
    assert_int_equal(roots_check(&roots, path("inner/b.npy"), &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, inside));
    assert_int_equal(roots_check(&roots, path("in/../inner/b.npy"), &why), ERR_REFUSED);
    assert_int_equal(roots_check(&roots, path("new.npy"), &why), ERR_REFUSED);
    assert_int_equal(roots_check(&roots, "/etc/passwd", &why), ERR_REFUSED);
    assert_int_equal(roots_check(&roots, path("gone/new.npy"), &why), ERR_FILE);
    assert_int_equal(roots_add(&roots, outside, &why), ERR_OK);
    assert_int_equal(roots_check(&roots, path("inner/b.npy"), &why), ERR_OK);
}

static void test_links(void **state)
{
    (void)state;
    char link_path[256];
    assert_int_equal(roots_add(&roots, inside, &why), ERR_OK);
    strcpy(link_path, path("in/file"));
    assert_int_equal(symlink(path("inner/b.npy"), link_path), 0);
    assert_int_equal(roots_check(&roots, link_path, &why), ERR_REFUSED);
    strcpy(link_path, path("in/folder"));
    assert_int_equal(symlink(outside, link_path), 0);
    assert_int_equal(roots_check(&roots, path("in/folder/new.npy"), &why), ERR_REFUSED);
    strcpy(link_path, path("inner/back"));
    assert_int_equal(symlink(path("in/a.npy"), link_path), 0);
    assert_int_equal(roots_check(&roots, link_path, &why), ERR_OK); /* where it leads counts */
}

static void test_what_can_be_a_root(void **state)
{
    (void)state;
    assert_int_equal(roots_add(&roots, path("in/a.npy"), &why), ERR_USAGE);
    assert_int_equal(roots_add(&roots, path("none"), &why), ERR_USAGE);
    assert_int_equal(roots.count, 0);
    for (int i = 0; i < ROOTS_MAX; i++)
        assert_int_equal(roots_add(&roots, "/", &why), ERR_OK);
    assert_int_equal(roots_add(&roots, "/", &why), ERR_USAGE);
    assert_int_equal(roots_check(&roots, "/etc/passwd", &why), ERR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_inside), TEST(test_links), TEST(test_what_can_be_a_root) };
    return cmocka_run_group_tests_name("roots", tests, NULL, NULL);
}
