// SPDX-License-Identifier: Apache-2.0
#include "dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_each_type_has_its_place(void **state)
{
    (void)state;
    const struct {
        enum dialogue_state state;
        int first, last;
    } ranges[] = {
        { DIALOGUE_WORKER, MESSAGE_PROOF, MESSAGE_BYE },
        { DIALOGUE_SERVING, MESSAGE_JOBS, MESSAGE_PULSE },
        { DIALOGUE_CLIENT, MESSAGE_SUBMIT, MESSAGE_RETRY },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        for (int type = 0; type < 80; type++) {
            bool refusal = type == MESSAGE_REFUSED && ranges[i].state == DIALOGUE_SERVING;
            bool inside = type >= ranges[i].first && type <= ranges[i].last;
            assert_int_equal(dialogue_allows(ranges[i].state, (enum message_type)type), inside || refusal);
        }
}

static void test_greetings(void **state)
{
    (void)state;
    assert_true(dialogue_allows(DIALOGUE_NEW, MESSAGE_HELLO));
    assert_true(dialogue_allows(DIALOGUE_NEW, MESSAGE_CLIENT_HELLO));
    assert_true(dialogue_allows(DIALOGUE_NEW, MESSAGE_JOIN));
    assert_false(dialogue_allows(DIALOGUE_CLIENT, MESSAGE_JOIN));
    assert_true(dialogue_allows(DIALOGUE_JOINING, MESSAGE_REPLY));
    assert_false(dialogue_allows(DIALOGUE_JOINING, MESSAGE_INFERRED));
    assert_false(dialogue_allows(DIALOGUE_NEW, MESSAGE_RESULTS));
    assert_false(dialogue_allows(DIALOGUE_WORKER, MESSAGE_HELLO));
    assert_false(dialogue_allows(DIALOGUE_CLIENT, MESSAGE_CLIENT_HELLO));
    assert_true(dialogue_allows(DIALOGUE_GREETING_WORKER, MESSAGE_WELCOME));
    assert_false(dialogue_allows(DIALOGUE_GREETING_WORKER, MESSAGE_LEASES));
    assert_true(dialogue_allows(DIALOGUE_GREETING_CLIENT, MESSAGE_CLIENT_WELCOME));
    assert_false(dialogue_allows(DIALOGUE_GREETING_CLIENT, MESSAGE_REPLY));
    assert_true(dialogue_allows(DIALOGUE_ASKING, MESSAGE_REPLY));
    assert_false(dialogue_allows(DIALOGUE_SERVING, MESSAGE_WELCOME));
}

static void test_default_is_no(void **state)
{
    (void)state;
    for (int type = -1; type < 200; type++) {
        assert_false(dialogue_allows(DIALOGUE_CLOSED, (enum message_type)type));
        assert_false(dialogue_allows((enum dialogue_state)99, (enum message_type)type));
    }
    assert_string_equal(dialogue_name(DIALOGUE_SERVING), "SERVING");
    assert_string_equal(dialogue_name((enum dialogue_state)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type_has_its_place),
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_default_is_no),
    };
    return cmocka_run_group_tests_name("dialogue", tests, NULL, NULL);
}
