// SPDX-License-Identifier: Apache-2.0
/* address: option, variable, the fleet's record, in this order; and the nonce beside a socket. */
#include "address.h"
#include "client_fixture.h"

static void test_the_order(void **state)
{
    (void)state;
    char url[ADDRESS_MAX];
    struct why why;
    static const char record[] = "{\"url\":\"ipc:///x/motley.sock\"}";
    setenv("MOTLEY_STATE_DIR", fixture_folder, 1);
    unsetenv("MOTLEY_COORDINATOR");
    assert_int_equal(address_resolve(NULL, url, &why), ERR_UNREACHABLE);
    assert_non_null(strstr(why.text, "motley up"));
    fixture_write("fleet.json", record, strlen(record));
    assert_int_equal(address_resolve(NULL, url, &why), ERR_OK);
    assert_string_equal(url, "ipc:///x/motley.sock");
    setenv("MOTLEY_COORDINATOR", "tcp://127.0.0.1:7", 1);
    assert_int_equal(address_resolve(NULL, url, &why), ERR_OK);
    assert_string_equal(url, "tcp://127.0.0.1:7");
    assert_int_equal(address_resolve("tcp://127.0.0.1:8", url, &why), ERR_OK);
    assert_string_equal(url, "tcp://127.0.0.1:8");
    unsetenv("MOTLEY_COORDINATOR");
    fixture_write("fleet.json", "nonsense", 8);
    assert_int_equal(address_resolve(NULL, url, &why), ERR_FILE);
}

static void test_a_long_address_is_refused(void **state)
{
    (void)state;
    char url[ADDRESS_MAX], longer[2 * ADDRESS_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(address_resolve(longer, url, NULL), ERR_USAGE);
}

static void test_the_nonce(void **state)
{
    (void)state;
    uint8_t nonce[ADDRESS_NONCE_MAX];
    char url[ADDRESS_MAX];
    setenv("MOTLEY_STATE_DIR", fixture_folder, 1);
    assert_int_equal(address_nonce("tcp://127.0.0.1:1", nonce), 0);
    fixture_write("nonce", "abc\n", 4);
    snprintf(url, sizeof url, "ipc://%s/motley.sock", fixture_folder);
    assert_int_equal(address_nonce(url, nonce), 3);
    assert_memory_equal(nonce, "abc", 3);
    assert_int_equal(address_nonce("tcp://127.0.0.1:1", nonce), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order),
        cmocka_unit_test(test_a_long_address_is_refused),
        cmocka_unit_test(test_the_nonce),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
