// SPDX-License-Identifier: Apache-2.0
/* Where a worker lives, and that it is the same one after a restart. */
#include "home.h"

#include "file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static const uint8_t DEVICES[HOME_DIGEST_BYTES] = { 1 }, OTHERS[HOME_DIGEST_BYTES] = { 2 };
static struct why why;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test-home-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(folder, &why) != ERR_OK;
}

static struct home live(const char *name)
{
    struct home home;
    if (home_open(folder, name, &home, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return home;
}

static bool identity(const struct home *home, const uint8_t *digest, uint8_t uuid[HOME_UUID_BYTES])
{
    bool kept;
    assert_int_equal(home_identity(home, digest, uuid, &kept, &why), ERR_OK);
    return kept;
}

static void expect_path(const struct home *home, const char *expected)
{
    char path[256];
    snprintf(path, sizeof path, "%s/workers/%s", folder, expected);
    assert_string_equal(home->path, path);
}

static void test_the_same_after_a_restart(void **state)
{
    (void)state;
    uint8_t first[HOME_UUID_BYTES], again[HOME_UUID_BYTES];
    struct home home = live("lab-1");
    expect_path(&home, "lab-1");
    assert_false(identity(&home, DEVICES, first));
    home_close(&home);
    home_close(&home);
    home = live("lab-1");
    expect_path(&home, "lab-1");
    assert_true(identity(&home, DEVICES, again));
    assert_memory_equal(first, again, sizeof first);
    assert_false(identity(&home, OTHERS, again));
    assert_memory_not_equal(first, again, sizeof first);
    assert_false(identity(&home, DEVICES, again));
    home_close(&home);
}

static void test_namesakes(void **state)
{
    (void)state;
    uint8_t a[HOME_UUID_BYTES], b[HOME_UUID_BYTES];
    struct home first = live("lab"), second = live("lab"), third = live("lab");
    expect_path(&first, "lab");
    expect_path(&second, "lab.2");
    expect_path(&third, "lab.3");
    identity(&first, DEVICES, a);
    identity(&second, DEVICES, b);
    assert_memory_not_equal(a, b, sizeof a);
    home_close(&second);
    second = live("lab");
    expect_path(&second, "lab.2");
    home_close(&first);
    home_close(&second);
    home_close(&third);
}

static void test_any_name(void **state)
{
    (void)state;
    char name[200];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    const char *const names[] = { "../up", "a.2", "..", "/etc", "m\xc3\xbc", name };
    const char *const paths[] = { "%2E%2E%2Fup", "a%2E2", "%2E%2E", "%2Fetc", "m%C3%BC" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct home home = live(names[i]);
        if (i < sizeof paths / sizeof paths[0])
            expect_path(&home, paths[i]);
        home_close(&home);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "uuid", "uuid 00000000-0000-0000-0000-000000000000\ndevices \n",
                                         "uuid 1b4e28ba-2fa1-11d2-883f-0016d3cca427\ndevices 01\n" };
    uint8_t uuid[HOME_UUID_BYTES];
    struct home home = live("lab");
    char path[256];
    snprintf(path, sizeof path, "%s/workers/lab/identity", folder);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(file_replace(path, texts[i], strlen(texts[i]), 0600, &why), ERR_OK);
        assert_false(identity(&home, DEVICES, uuid));
        assert_true(identity(&home, DEVICES, uuid));
    }
    home_close(&home);
}

static void test_no_room(void **state)
{
    (void)state;
    struct home home;
    char path[128];
    snprintf(path, sizeof path, "%s/workers", folder);
    assert_int_equal(file_replace(path, "", 0, 0600, &why), ERR_OK);
    assert_true(home_open(folder, "lab", &home, &why) != ERR_OK);
    assert_non_null(strstr(why.text, path));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { STORY(test_the_same_after_a_restart), STORY(test_namesakes),
                                        STORY(test_any_name), STORY(test_damaged), STORY(test_no_room) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
