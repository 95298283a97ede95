// SPDX-License-Identifier: Apache-2.0
#include "file.h"
#include "identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

static char folder[64];
static struct why why;
static struct identity identity;
static const char *const URL = "tcp://10.0.0.1:7117";

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/motley-identity-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return unsetenv("MOTLEY_COORDINATOR_KEY");
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(folder, &why);
}

static struct key coordinator(char text[KEY_TEXT_MAX])
{
    struct key key;
    assert_int_equal(key_make(&key, &why), ERR_OK);
    key_text(key.public_half, text);
    return key;
}

static void test_ipc_needs_none(void **state)
{
    (void)state;
    char path[128];
    assert_int_equal(identity_find(folder, "ipc:///run/x", "nonsense", &identity, &why), ERR_OK);
    assert_false(identity.keyed);
    snprintf(path, sizeof path, "%s/keys", folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_what_is_given_goes_first(void **state)
{
    (void)state;
    char text[3][KEY_TEXT_MAX], path[128];
    struct key keys[3];
    for (int i = 0; i < 3; i++)
        keys[i] = coordinator(text[i]);
    assert_int_equal(identity_find(folder, URL, NULL, &identity, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "motley key show"));
    assert_non_null(strstr(why.text, "motley key invite"));
    assert_false(identity.keyed);
    snprintf(path, sizeof path, "%s/keys/coordinator.secret", folder);
    assert_int_equal(key_save(path, &keys[2], &why), ERR_OK);
    assert_int_equal(identity_find(folder, URL, NULL, &identity, &why), ERR_OK);
    assert_memory_equal(identity.server_half, keys[2].public_half, KEY_BYTES);
    assert_int_equal(setenv("MOTLEY_COORDINATOR_KEY", text[1], 1), 0);
    assert_int_equal(identity_find(folder, URL, NULL, &identity, &why), ERR_OK);
    assert_memory_equal(identity.server_half, keys[1].public_half, KEY_BYTES);
    assert_int_equal(identity_find(folder, URL, text[0], &identity, &why), ERR_OK);
    assert_memory_equal(identity.server_half, keys[0].public_half, KEY_BYTES);
    assert_int_equal(identity_find(folder, URL, "short", &identity, &why), ERR_USAGE);
    assert_int_equal(setenv("MOTLEY_COORDINATOR_KEY", "/no/such/file", 1), 0);
    assert_int_equal(identity_find(folder, URL, NULL, &identity, &why), ERR_USAGE);
}

static void test_the_own_key_stays(void **state)
{
    (void)state;
    char text[KEY_TEXT_MAX];
    struct identity again;
    (void)coordinator(text);
    assert_int_equal(identity_find(folder, URL, text, &identity, &why), ERR_OK);
    assert_true(identity.keyed);
    assert_int_equal(identity_find(folder, URL, text, &again, &why), ERR_OK);
    assert_memory_equal(&again.own, &identity.own, sizeof again.own);
    identity_wipe(&again);
    assert_false(again.keyed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ipc_needs_none),
        TEST(test_what_is_given_goes_first),
        TEST(test_the_own_key_stays),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
