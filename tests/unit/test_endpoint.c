// SPDX-License-Identifier: Apache-2.0
#include "endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct endpoint endpoint;
static struct why why;

static enum err parse(const char *url, bool listening)
{
    return endpoint_parse(url, listening, &endpoint, &why);
}

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(parse("tcp://127.0.0.1:5555", false), ERR_OK);
    assert_string_equal(endpoint.url, "tcp://127.0.0.1:5555");
    assert_int_equal(parse("tcp://127.8.9.10:1", false), ERR_OK);
    assert_int_equal(parse("tcp://localhost:65535", false), ERR_OK);
    assert_string_equal(endpoint.url, "tcp://127.0.0.1:65535");
    assert_int_equal(parse("tcp://127.0.0.1:*", true), ERR_OK);
    assert_int_equal(parse("tcp://[::1]:7", false), ERR_OK);
    assert_true(endpoint.ipv6);
    assert_int_equal(parse("ipc:///run/motley/socket", false), ERR_OK);
    assert_string_equal(endpoint.path, "/run/motley/socket");
}

/* Whether other hosts can reach it is what wire.c goes by without keys. */
static void test_other_hosts(void **state)
{
    (void)state;
    static const char *const everywhere[] = { "tcp://*:7117", "tcp://0.0.0.0:7117", "tcp://[::]:7117" };
    static const char *const elsewhere[] = { "tcp://10.0.0.1:1", "tcp://128.0.0.1:1",
                                             "tcp://[fe80::1%eth0]:1" };
    static const char *const named[] = { "tcp://example.org:5", "tcp://127.0.0.1.example.org:5",
                                         "tcp://eth0:1" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(parse(everywhere[i], true), ERR_OK);
        assert_false(endpoint.loopback);
        assert_int_equal(parse(everywhere[i], false), ERR_USAGE);
        assert_int_equal(parse(elsewhere[i], true), ERR_OK);
        assert_false(endpoint.loopback);
        assert_int_equal(parse(elsewhere[i], false), ERR_OK);
        assert_int_equal(parse(named[i], true), ERR_USAGE);
        assert_int_equal(parse(named[i], false), ERR_OK);
        assert_false(endpoint.loopback);
    }
    assert_int_equal(parse("tcp://127.0.0.1:0", true), ERR_OK);
    assert_true(endpoint.loopback);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "tcp",
        "http://127.0.0.1:1",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:999999",
        "tcp://127.0.0.1:12x",
        "tcp://127.0.0.1:*",
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://[::]:5555",
        "tcp://exa mple.org:5555",
        "tcp://-x:5555",
        "tcp://[::1:5555",
        "tcp://[1.2.3.4]:5555",
        "tcp://:1",
        "tcp://127.0.0.1;10.0.0.1:5",
        "ipc://relative",
        "ipc://@abstract",
        "ipc://*",
        "ipc://",
        "inproc://x",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        if (parse(urls[i], false) != ERR_USAGE || why.text[0] == '\0')
            fail_msg("%s was taken", urls[i]);
}

static void test_long_path(void **state)
{
    (void)state;
    char url[200];
    snprintf(url, sizeof url, "ipc:///%0*d", ENDPOINT_PATH_MAX - 2, 0);
    assert_int_equal(parse(url, true), ERR_OK);
    snprintf(url, sizeof url, "ipc:///%0*d", ENDPOINT_PATH_MAX - 1, 0);
    assert_int_equal(parse(url, true), ERR_USAGE);
    assert_non_null(strstr(why.text, "107"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_other_hosts),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long_path),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
