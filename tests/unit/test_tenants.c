// SPDX-License-Identifier: Apache-2.0
#include "tenants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tenants *tenants;

static int set_up(void **state)
{
    (void)state;
    tenants = tenants_new();
    return tenants == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    tenants_free(&tenants);
    tenants_free(&tenants);
    return 0;
}

static void numbers_are_in_order_of_appearance(void **state)
{
    (void)state;
    assert_int_equal(tenants_number(tenants, ""), 0);
    assert_int_equal(tenants_number(tenants, "default"), 0);
    assert_int_equal(tenants_number(tenants, "lab"), 1);
    assert_int_equal(tenants_number(tenants, "Lab"), 2); /* another one */
    assert_int_equal(tenants_number(tenants, "lab"), 1);
    assert_int_equal(tenants_count(tenants), 3);
    assert_string_equal(tenants_at(tenants, 2)->name, "Lab");
    assert_true(tenants_at(tenants, 2)->weight == 1);
    assert_int_equal(tenants_at(tenants, 2)->slots_quota, 0);
}

static void weights_and_quotas(void **state)
{
    (void)state;
    assert_int_equal(tenants_configure(tenants, "lab=3", NULL), ERR_OK);
    assert_int_equal(tenants_configure(tenants, "night.shift=0.25:8", NULL), ERR_OK);
    assert_int_equal(tenants_configure(tenants, "default=2:1", NULL), ERR_OK);
    assert_int_equal(tenants_configure(tenants, "lab=1.5", NULL), ERR_USAGE); /* which would count? */
    assert_int_equal(tenants_count(tenants), 3);
    assert_true(tenants_at(tenants, 0)->weight == 2 && tenants_at(tenants, 0)->slots_quota == 1);
    assert_true(tenants_at(tenants, 1)->weight == 3 && tenants_at(tenants, 1)->slots_quota == 0);
    assert_true(tenants_at(tenants, 2)->weight == 0.25 && tenants_at(tenants, 2)->slots_quota == 8);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "",         "=1",        "lab",    "lab=",    "lab=x",       "lab=0",    "lab=-1",
        "lab=nan",  "lab=inf",   "lab=1:", "lab=1:0", "lab=1:x",     "lab=1:-2", "lab=1:2:3",
        "lab=1e30", "lab=1e-30", "la b=1", "-lab=1",  "l\xC3\xA4=1", "lab= 1",   "lab=1:9999999999",
        "a/b=1",    "lab=0x1g",  "lab=1 "
    };
    char longest[200];
    struct why why;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        why.text[0] = 0;
        if (tenants_configure(tenants, wrong[i], &why) != ERR_USAGE || !strstr(why.text, "--tenant"))
            fail_msg("%s: %s", wrong[i], why.text);
    }
    snprintf(longest, sizeof longest, "%0*d=1", TENANT_MAX_BYTES, 0);
    assert_int_equal(tenants_configure(tenants, longest, &why), ERR_USAGE);
    assert_int_equal(tenants_configure(tenants, longest + 1, &why), ERR_OK);
    assert_int_equal(tenants_count(tenants), 2);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    char name[40];
    for (int i = 1; i < SCHED_TENANTS_MAX; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(tenants_number(tenants, name), i);
    }
    assert_int_equal(tenants_number(tenants, "one-more"), TENANTS_NONE);
    assert_int_equal(tenants_configure(tenants, "one-more=1", NULL), ERR_LIMIT);
    assert_int_equal(tenants_number(tenants, "t17"), 17);
    assert_int_equal(tenants_configure(tenants, "t17=4", NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_in_order_of_appearance, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_and_quotas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
