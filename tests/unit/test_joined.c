// SPDX-License-Identifier: Apache-2.0
/* joined: what is remembered of a coordinator, and whose key it is. */
#include "joined.h"

#include "address.h"
#include "client_fixture.h"

#include <sys/stat.h>

static struct joined example(struct invite *invite)
{
    struct joined joined = { .role = ROLE_CLIENT, .name = "lap \"top\"", .joined_us = 1700000000000000 };
    struct key server;
    struct why why;
    memset(invite, 0, sizeof *invite);
    assert_int_equal(key_make(&server, &why), ERR_OK);
    assert_int_equal(key_make(&invite->token, &why), ERR_OK);
    memcpy(invite->server_half, server.public_half, KEY_BYTES);
    snprintf(invite->url, sizeof invite->url, "tcp://10.0.0.5:7117");
    snprintf(joined.url, sizeof joined.url, "%s", invite->url);
    key_text(invite->server_half, joined.server_key);
    key_text(invite->token.public_half, joined.token);
    mkdir(fixture_path("keys"), 0700);
    return joined;
}

static void test_it_is_remembered(void **state)
{
    (void)state;
    struct invite invite;
    struct joined joined = example(&invite), read;
    char text[KEY_TEXT_MAX], url[ADDRESS_MAX];
    uint8_t half[KEY_BYTES];
    struct why why;
    setenv("MOTLEY_STATE_DIR", fixture_folder, 1);
    unsetenv("MOTLEY_COORDINATOR");
    unsetenv("MOTLEY_COORDINATOR_KEY");
    assert_int_equal(joined_read(fixture_folder, &read, &why), ERR_NOT_FOUND);
    assert_int_equal(joined_write(fixture_folder, &joined, &why), ERR_OK);
    assert_int_equal(joined_read(fixture_folder, &read, &why), ERR_OK);
    assert_string_equal(read.name, joined.name);
    assert_int_equal(read.role, ROLE_CLIENT);
    assert_true(joined_by(&read, &invite));
    assert_int_equal(address_resolve(NULL, url, &why), ERR_OK);
    assert_string_equal(url, joined.url);
    assert_int_equal(key_given(fixture_path("keys/coordinator.public"), half, &why), ERR_OK);
    assert_memory_equal(half, invite.server_half, KEY_BYTES);
    assert_string_equal(joined_key(fixture_folder, joined.url, text), joined.server_key);
    assert_null(joined_key(fixture_folder, "tcp://10.0.0.6:7117", text));
    setenv("MOTLEY_COORDINATOR_KEY", "another", 1);
    assert_null(joined_key(fixture_folder, joined.url, text));
    unsetenv("MOTLEY_COORDINATOR_KEY");
    struct invite other = invite;
    assert_int_equal(key_make(&other.token, &why), ERR_OK);
    assert_false(joined_by(&read, &other));
}

static void test_a_coordinator_of_ones_own_keeps_its_key(void **state)
{
    (void)state;
    struct invite invite;
    struct joined joined = example(&invite);
    char text[KEY_TEXT_MAX];
    uint8_t half[KEY_BYTES];
    struct key own;
    struct why why;
    unlink(fixture_path("keys/coordinator.public"));
    assert_int_equal(key_ensure(fixture_path("keys/coordinator.secret"), &own, &why), ERR_OK);
    assert_int_equal(joined_write(fixture_folder, &joined, &why), ERR_OK);
    assert_int_equal(key_given(fixture_path("keys/coordinator.public"), half, &why), ERR_OK);
    assert_memory_equal(half, own.public_half, KEY_BYTES);
    assert_string_equal(joined_key(fixture_folder, joined.url, text), joined.server_key);
}

static void test_damage_is_told(void **state)
{
    (void)state;
    static const char *const wrong[] = { "",
                                         "{",
                                         "[]",
                                         "{\"url\":\"tcp://h:1\"}",
                                         "{\"url\":\"\",\"server_key\":\"\"}",
                                         "{\"url\":\"tcp://h:1\",\"server_key\":\"short\"}" };
    struct joined read;
    struct why why;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fixture_write("joined.json", wrong[i], strlen(wrong[i]));
        assert_int_equal(joined_read(fixture_folder, &read, &why), ERR_FORMAT);
        assert_non_null(strstr(why.text, "joined.json"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_remembered),
        cmocka_unit_test(test_a_coordinator_of_ones_own_keeps_its_key),
        cmocka_unit_test(test_damage_is_told),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
