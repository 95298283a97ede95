// SPDX-License-Identifier: Apache-2.0
#include "file.h"
#include "keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];
static struct why why;
static struct keyring *ring;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/motley-keyring-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(keyring_read(folder, &ring, &why), ERR_OK);
    assert_int_equal(keyring_count(ring), 0);
    assert_true(keyring_is_fresh(ring));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_free(&ring);
    return file_remove_tree(folder, &why);
}

static struct keyring_entry entry(uint8_t byte, enum role role)
{
    struct keyring_entry made = { .role = role, .name = "lab", .added_us = 1700000000000000 };
    memset(made.public_half, byte, KEY_BYTES);
    return made;
}

static void add(const struct keyring_entry *one) { assert_int_equal(keyring_add(folder, one, &why), ERR_OK); }

static void reread(void)
{
    keyring_free(&ring);
    assert_int_equal(keyring_read(folder, &ring, &why), ERR_OK);
}

static const struct keyring_entry *find(uint8_t byte, int64_t now_us)
{
    uint8_t half[KEY_BYTES];
    memset(half, byte, KEY_BYTES);
    return keyring_find(ring, half, now_us);
}

static void path_of(uint8_t byte, char path[256])
{
    int at = snprintf(path, 256, "%s/keys/allowed/", folder);
    for (int i = 0; i < KEY_BYTES; i++)
        at += snprintf(path + at, 256 - (size_t)at, "%02x", byte);
    snprintf(path + at, 256 - (size_t)at, ".json");
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct keyring_entry one = entry(9, ROLE_CLIENT), two = entry(200, ROLE_INVITED),
                         three = entry(7, ROLE_ADMIN);
    snprintf(one.name, sizeof one.name, "a \"name\" with \\ and \xc3\xa9");
    one.tenants_count = 2;
    strcpy(one.tenants[0], "vision");
    strcpy(one.tenants[1], "speech");
    two.invited_as = ROLE_WORKER;
    two.expires_us = 1700000000000500;
    add(&one);
    add(&two);
    add(&three);
    reread();
    assert_int_equal(keyring_count(ring), 3);
    assert_memory_equal(keyring_at(ring, 1), &one, sizeof one);
    assert_memory_equal(find(9, 5), &one, sizeof one);
    assert_memory_equal(find(200, 1700000000000499), &two, sizeof two);
    assert_null(find(200, 1700000000000500)); /* its time is over */
    assert_null(find(8, 5));
    assert_null(keyring_at(ring, 3));
    assert_string_equal(keyring_damage(ring), "");
    struct stat status;
    char path[256];
    path_of(9, path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    one.role = ROLE_READ_ONLY;
    add(&one); /* replaced */
    assert_int_equal(keyring_drop(folder, three.public_half, &why), ERR_OK);
    assert_int_equal(keyring_drop(folder, three.public_half, &why), ERR_NOT_FOUND);
    assert_int_equal(find(9, 5)->role, ROLE_CLIENT); /* what was read stays as it was */
    reread();
    assert_int_equal(keyring_count(ring), 2);
    assert_int_equal(find(9, 5)->role, ROLE_READ_ONLY);
}

static void test_fresh(void **state)
{
    (void)state;
    struct keyring_entry one = entry(1, ROLE_WORKER);
    add(&one);
    assert_false(keyring_is_fresh(ring));
    char path[256];
    snprintf(path, sizeof path, "%s/keys/allowed", folder);
    struct timespec soon[2] = { { time(NULL) + 100, 5 }, { time(NULL) + 100, 5 } };
    assert_int_equal(utimensat(AT_FDCWD, path, soon, 0), 0);
    reread();
    assert_false(keyring_is_fresh(ring)); /* so soon after a change another one might not be seen */
    struct timespec past[2] = { { 1700000000, 5 }, { 1700000000, 5 } };
    assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
    reread();
    assert_true(keyring_is_fresh(ring));
    one = entry(2, ROLE_WORKER);
    add(&one);
    assert_false(keyring_is_fresh(ring));
    /* A change that put the old time back is seen by the time of the inode. */
    assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
    assert_false(keyring_is_fresh(ring));
    reread();
    assert_true(keyring_is_fresh(ring));
    assert_int_equal(file_remove_tree(path, &why), ERR_OK);
    assert_false(keyring_is_fresh(ring));
    reread();
    assert_int_equal(keyring_count(ring), 0);
}

static void write_entry(uint8_t byte, const char *json)
{
    char path[256];
    path_of(byte, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(json, file);
    fclose(file);
}

/* Who is in doubt stays out, and the others stay in. */
static void test_damage(void **state)
{
    (void)state;
    char text[KEY_TEXT_MAX], json[512];
    static const char *const forms[] = {
        "",
        "{",
        "[]",
        "{\"key\":\"short\",\"role\":\"admin\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"root\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"none\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"admin\",\"name\":\"\",\"added_us\":1,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"admin\",\"name\":\"\",\"added_us\":1,\"expires_us\":\"1\",\"tenants\":[]"
        "}",
        "{\"key\":\"%s\",\"role\":\"admin\",\"name\":\"\",\"added_us\":1,\"expires_us\":-1,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"admin\",\"name\":\"\",\"added_us\":1,\"expires_us\":0}",
        "{\"key\":\"%s\",\"role\":\"admin\",\"name\":7,\"added_us\":1,\"expires_us\":0,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"client\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[3]}",
        "{\"key\":\"%s\",\"role\":\"client\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[\"\"]"
        "}",
        "{\"key\":\"%s\",\"role\":\"invited\",\"name\":\"\",\"added_us\":1,\"expires_us\":0,\"tenants\":[]}",
        "{\"key\":\"%s\",\"role\":\"invited\",\"invited_as\":\"invited\",\"name\":\"\",\"added_us\":1,"
        "\"expires_us\":0,\"tenants\":[]}",
    };
    struct keyring_entry good = entry(1, ROLE_WORKER), bad = entry(2, ROLE_WORKER);
    add(&good);
    key_text(bad.public_half, text);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *mark = strstr(forms[i], "%s");
        int before = mark ? (int)(mark - forms[i]) : (int)strlen(forms[i]);
        snprintf(json, sizeof json, "%.*s%s%s", before, forms[i], mark ? text : "", mark ? mark + 2 : "");
        write_entry(2, json);
        reread();
        if (find(2, 5) || !find(1, 5) || !*keyring_damage(ring))
            fail_msg("%s was taken", json);
    }
    /* A good entry under another key's name. */
    add(&bad);
    char from[256], to[256];
    path_of(2, from);
    path_of(3, to);
    assert_int_equal(rename(from, to), 0);
    reread();
    assert_null(find(2, 5));
    assert_null(find(3, 5));
    assert_non_null(strstr(keyring_damage(ring), "0303"));
}

/* It is there and good, but cannot be read just now: no list is better than one without it. */
static void test_no_more_files(void **state)
{
    (void)state;
    struct keyring_entry one = entry(1, ROLE_WORKER);
    struct keyring *short_one;
    struct rlimit before, none_left;
    add(&one);
    reread();
    int next = open("/dev/null", O_RDONLY);
    assert_int_equal(close(next), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none_left = before;
    none_left.rlim_cur = (rlim_t)next + 1; /* for the folder */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    enum err err = keyring_read(folder, &short_one, &why);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err, ERR_FILE);
    assert_null(short_one);
    reread();
    assert_non_null(find(1, 5));
}

static void test_a_folder_that_others_can_write(void **state)
{
    (void)state;
    struct keyring_entry one = entry(1, ROLE_WORKER);
    struct keyring *refused;
    char path[256];
    add(&one);
    snprintf(path, sizeof path, "%s/keys/allowed", folder);
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(keyring_read(folder, &refused, &why), ERR_REFUSED);
    assert_null(refused);
    assert_int_equal(chmod(path, 0700), 0);
}

static void test_tenants(void **state)
{
    (void)state;
    char chosen[KEYRING_TENANT_MAX];
    struct keyring_entry one = entry(1, ROLE_CLIENT), admin = entry(2, ROLE_ADMIN);
    assert_int_equal(keyring_tenant(&one, "", chosen, &why), ERR_OK);
    assert_string_equal(chosen, "default");
    assert_int_equal(keyring_tenant(&one, "vision", chosen, &why), ERR_REFUSED);
    one.tenants_count = 2;
    strcpy(one.tenants[0], "vision");
    strcpy(one.tenants[1], "speech");
    assert_int_equal(keyring_tenant(&one, "", chosen, &why), ERR_OK);
    assert_string_equal(chosen, "vision");
    assert_int_equal(keyring_tenant(&one, "speech", chosen, &why), ERR_OK);
    assert_string_equal(chosen, "speech");
    assert_int_equal(keyring_tenant(&one, "default", chosen, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "'default'"));
    assert_int_equal(keyring_tenant(&admin, "anyone", chosen, &why), ERR_OK);
    assert_string_equal(chosen, "anyone");
    assert_int_equal(keyring_tenant(&admin, "", chosen, &why), ERR_OK);
    assert_string_equal(chosen, "default");
}

static void test_references(void **state)
{
    (void)state;
    struct keyring *second = keyring_hold(ring);
    keyring_free(&second);
    assert_null(second);
    assert_int_equal(keyring_count(ring), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back), TEST(test_fresh),
        TEST(test_damage),         TEST(test_a_folder_that_others_can_write),
        TEST(test_tenants),        TEST(test_references),
        TEST(test_no_more_files),
    };
    return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
