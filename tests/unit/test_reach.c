// SPDX-License-Identifier: Apache-2.0
/* reach: the URL that an invitation names. */
#include "reach.h"

#include "client_fixture.h"
#include "roll.h"

static void up(const char *listen, bool living)
{
    struct roll_entry self = { .role = "coordinator" };
    struct roll roll = { .url = "ipc:///x/motley.sock", .count = 1, .entries = &self };
    snprintf(roll.listen, sizeof roll.listen, "%s", listen);
    self.process.pid = living ? getpid() : 0;
    self.process.start_ticks = process_start_ticks(getpid());
    assert_int_equal(roll_write(fixture_folder, &roll, NULL), ERR_OK);
}

static void test_where_it_is_taken_from(void **state)
{
    (void)state;
    char url[ADDRESS_MAX];
    struct why why;
    unsetenv("MOTLEY_COORDINATOR");
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "--url"));
    up("", true);
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "--listen"));
    up("tcp://10.0.0.5:7117", true);
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_OK);
    assert_string_equal(url, "tcp://10.0.0.5:7117");
    setenv("MOTLEY_COORDINATOR", "ipc:///x/motley.sock", 1); /* not for others */
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_OK);
    assert_string_equal(url, "tcp://10.0.0.5:7117");
    setenv("MOTLEY_COORDINATOR", "tcp://here.example:1", 1);
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_OK);
    assert_string_equal(url, "tcp://here.example:1");
    assert_int_equal(reach_url("tcp://there.example:2", fixture_folder, url, &why), ERR_OK);
    assert_string_equal(url, "tcp://there.example:2");
    unsetenv("MOTLEY_COORDINATOR");
    up("tcp://10.0.0.5:7117", false); /* a record that a dead fleet left */
    assert_int_equal(reach_url(NULL, fixture_folder, url, &why), ERR_USAGE);
    static const char *const wrong[] = { "ipc:///x", "10.0.0.5:7117", "tcp://h", "tcp://h:0",
                                         "tcp://h:99999" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(reach_url(wrong[i], fixture_folder, url, &why), ERR_USAGE);
}

/* A machine without a network has no default route: then it must say what to give. */
static void test_all_addresses_are_none(void **state)
{
    (void)state;
    static const char *const all[] = { "tcp://0.0.0.0:7117", "tcp://*:7117", "tcp://[::]:7117" };
    char url[ADDRESS_MAX];
    struct why why;
    unsetenv("MOTLEY_COORDINATOR");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        up(all[i], true);
        enum err err = reach_url(NULL, fixture_folder, url, &why);
        assert_true(err == ERR_OK || (err == ERR_USAGE && strstr(why.text, "--url")));
        assert_true(err != ERR_OK || (strcmp(url, all[i]) != 0 && strstr(url, ":7117")));
    }
}

static void test_what_is_local(void **state)
{
    (void)state;
    assert_true(reach_is_local("tcp://127.0.0.1:7"));
    assert_true(reach_is_local("tcp://localhost:7"));
    assert_true(reach_is_local("ipc:///x"));
    assert_false(reach_is_local("tcp://10.0.0.5:7"));
}

static void test_a_port_is_fixed(void **state)
{
    (void)state;
    static const char *const open[] = { "tcp://127.0.0.1:0", "tcp://0.0.0.0:*", "tcp://*:0" };
    char url[ADDRESS_MAX];
    int port;
    struct why why;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_int_equal(reach_fix_port(open[i], url, &why), ERR_OK);
        assert_int_equal(sscanf(strrchr(url, ':'), ":%d", &port), 1);
        assert_in_range(port, 1, 65535);
    }
    assert_int_equal(reach_fix_port("tcp://127.0.0.1:7117", url, &why), ERR_OK);
    assert_string_equal(url, "tcp://127.0.0.1:7117");
    assert_int_equal(reach_fix_port("ipc:///x/y", url, &why), ERR_OK);
    assert_int_equal(reach_fix_port("nonsense", url, &why), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_it_is_taken_from),
        cmocka_unit_test(test_all_addresses_are_none),
        cmocka_unit_test(test_what_is_local),
        cmocka_unit_test(test_a_port_is_fixed),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
