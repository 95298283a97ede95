// SPDX-License-Identifier: Apache-2.0
#include "dialogue.h"
#include "permit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_first_words(void **state)
{
    (void)state;
    static const struct {
        enum role role;
        bool hello, client_hello, join;
    } rows[] = { { ROLE_NONE, false, false, false },  { ROLE_WORKER, true, false, false },
                 { ROLE_CLIENT, false, true, false }, { ROLE_READ_ONLY, false, true, false },
                 { ROLE_ADMIN, true, true, false },   { ROLE_INVITED, false, false, true },
                 { ROLES_COUNT, false, false, false } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(permit(rows[i].role, MESSAGE_HELLO), rows[i].hello);
        assert_int_equal(permit(rows[i].role, MESSAGE_CLIENT_HELLO), rows[i].client_hello);
        assert_int_equal(permit(rows[i].role, MESSAGE_JOIN), rows[i].join);
    }
}

/* Of what a client may say at all: an admin all, a client all but DRAIN, a viewer VIEW alone; so a message
 * that is new to the dialogue is nobody's until it is put down here. */
static void test_requests(void **state)
{
    (void)state;
    for (int number = 0; number < 64; number++) {
        enum message_type type = (enum message_type)number;
        if (!dialogue_allows(DIALOGUE_CLIENT, type))
            continue;
        assert_int_equal(permit(ROLE_ADMIN, type), true);
        assert_int_equal(permit(ROLE_CLIENT, type), type != MESSAGE_DRAIN);
        assert_int_equal(permit(ROLE_READ_ONLY, type), type == MESSAGE_VIEW);
        assert_false(permit(ROLE_WORKER, type));
        assert_false(permit(ROLE_INVITED, type));
        assert_false(permit(ROLE_NONE, type));
    }
}

static void test_a_workers_words(void **state)
{
    (void)state;
    for (int number = 0; number < 64; number++) {
        enum message_type type = (enum message_type)number;
        if (!dialogue_allows(DIALOGUE_WORKER, type))
            continue;
        for (enum role role = ROLE_NONE; role < ROLES_COUNT; role++)
            assert_int_equal(permit(role, type), role == ROLE_WORKER || role == ROLE_ADMIN);
    }
}

static void test_needs(void **state)
{
    (void)state;
    assert_string_equal(permit_needs(MESSAGE_HELLO), "worker");
    assert_string_equal(permit_needs(MESSAGE_SUBMIT), "client");
    assert_string_equal(permit_needs(MESSAGE_DRAIN), "admin");
    assert_string_equal(permit_needs(MESSAGE_JOIN), "invited");
    assert_false(permit(ROLE_ADMIN, (enum message_type)64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_words),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_a_workers_words),
        cmocka_unit_test(test_needs),
    };
    return cmocka_run_group_tests_name("permit", tests, NULL, NULL);
}
