// SPDX-License-Identifier: Apache-2.0
/* output: which form an answer takes, and the options of a submission. */
#include "client_fixture.h"
#include "output.h"
#include "submit.h"

#include <sys/stat.h>

static struct output_plan plan_of(const char *path, struct signature signature, bool jsonl)
{
    struct output_plan plan;
    struct why why;
    if (output_plan(path, &signature, jsonl, &plan, &why) != ERR_OK)
        fail_msg("%s: %s", path, why.text);
    return plan;
}

static void test_the_name_says_the_form(void **state)
{
    (void)state;
    struct signature one = fixture_signature();
    assert_int_equal(plan_of("/a/y.npy", one, true).kind, OUTPUT_NPY);
    assert_int_equal(plan_of("/a/y.jsonl", one, false).kind, OUTPUT_JSONL);
    assert_int_equal(plan_of("/a/y/", one, false).kind, OUTPUT_FOLDER);
    assert_string_equal(plan_of("/a/y/", one, false).path, "/a/y");
    assert_int_equal(plan_of(fixture_folder, one, false).kind, OUTPUT_FOLDER);
}

static void test_a_bare_name_gets_the_natural_ending(void **state)
{
    (void)state;
    struct signature one = fixture_signature(), two = one, open = one;
    two.outputs_count = 2;
    two.outputs[1] = two.outputs[0];
    open.outputs[0].dims[0] = -1;
    assert_string_equal(plan_of("/a/y", one, false).path, "/a/y.npy");
    assert_string_equal(plan_of("/a/y", one, true).path, "/a/y.jsonl");
    assert_string_equal(plan_of("/a/y", open, false).path, "/a/y.jsonl");
    assert_string_equal(plan_of("/a/y", two, false).path, "/a/y");
    assert_int_equal(plan_of("/a/y", two, false).kind, OUTPUT_FOLDER);
    assert_int_equal(plan_of(NULL, two, false).kind, OUTPUT_FOLDER);
    assert_string_equal(plan_of(NULL, one, false).path, "");
}

static void refuse_name(const char *path)
{
    struct output_plan plan;
    struct why why;
    struct signature one = fixture_signature();
    assert_int_equal(output_check_name(path, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "give Y.npy, Y.jsonl, or Y/"));
    assert_int_equal(output_plan(path, &one, false, &plan, &why), ERR_USAGE);
}

static void test_a_name_that_no_answer_can_have(void **state)
{
    (void)state;
    static const char *const names[] = { "", "-", "/a/x.txt", "x.NPY", "/a.d/x.npz", "x.", "/dev/null" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        refuse_name(names[i]);
    refuse_name(fixture_write("plain", "", 0));
    assert_int_equal(output_check_name("/a.d/y", NULL), ERR_OK);
    assert_int_equal(output_check_name("/a/.hidden", NULL), ERR_OK);
    assert_int_equal(output_check_name("/a/y.v2/", NULL), ERR_OK);
}

static void must_spare(const char *output, const char *source, bool same)
{
    struct why why;
    struct output_plan plan = plan_of(output, fixture_signature(), false);
    assert_int_equal(output_check_source(&plan, source, &why), same ? ERR_USAGE : ERR_OK);
    if (same)
        assert_non_null(strstr(why.text, "would overwrite it"));
}

static void test_an_answer_never_takes_its_sources_place(void **state)
{
    (void)state;
    char source[128], folder[128], link[128];
    snprintf(folder, sizeof folder, "%s", fixture_path("in"));
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(source, sizeof source, "%s", fixture_write("in/x.npy", "x", 1));
    snprintf(link, sizeof link, "%s", fixture_path("linked.npy"));
    assert_int_equal(symlink(source, link), 0);
    must_spare(source, source, true);
    must_spare(link, source, true);
    must_spare(source, link, true);
    must_spare(folder, source, true); /* a folder is replaced as a whole */
    must_spare(folder, link, true);
    must_spare(fixture_path("in/y.npy"), source, false);
    snprintf(source, sizeof source, "%s", fixture_path("in/way.npy"));
    assert_int_equal(symlink(fixture_write("far.npy", "x", 1), source), 0);
    must_spare(folder, source, true); /* a link in it would go, too */
    must_spare(fixture_path("other.npy"), source, false);
    snprintf(source, sizeof source, "%s", fixture_write("y.index.jsonl", "x", 1));
    must_spare(fixture_path("y.npy"), source, true);
}

static void test_the_disk_must_have_room(void **state)
{
    (void)state;
    struct why why;
    uint64_t bytes;
    struct signature one = fixture_signature(), open = one;
    struct output_plan plan = plan_of(fixture_path("room.npy"), one, false);
    open.outputs[0].dims[0] = -1;
    assert_true(output_bytes(&plan, &one, 1000, &bytes));
    assert_int_equal(bytes, 12000);
    assert_true(output_bytes(&plan, &one, UINT64_MAX / 2, &bytes));
    assert_true(bytes == UINT64_MAX);
    assert_false(output_bytes(&plan, &open, 1, &bytes));
    assert_int_equal(output_check_room(&plan, &one, 10, &why), ERR_OK);
    assert_int_equal(output_check_room(&plan, &open, (uint64_t)1 << 50, &why), ERR_OK);
    assert_int_equal(output_check_room(&plan, &one, (uint64_t)1 << 50, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "free there"));
}

static void test_one_npy_cannot_hold_two_outputs(void **state)
{
    (void)state;
    struct output_plan plan;
    struct why why;
    struct signature two = fixture_signature();
    two.outputs_count = 2;
    assert_int_equal(output_plan("/a/y.npy", &two, false, &plan, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "give a folder"));
}

static void test_a_place_that_cannot_be_written_is_found(void **state)
{
    (void)state;
    char path[128];
    struct why why;
    struct output_plan plan = plan_of(fixture_path("y.npy"), fixture_signature(), false);
    assert_int_equal(output_check(&plan, &why), ERR_OK);
    plan = plan_of(fixture_path("absent/y.npy"), fixture_signature(), false);
    assert_int_equal(output_check(&plan, &why), ERR_FILE);
    snprintf(path, sizeof path, "%s", fixture_write("taken", "", 0));
    strcat(path, "/");
    plan = plan_of(path, fixture_signature(), false);
    assert_int_equal(output_check(&plan, &why), ERR_FILE);
}

static void test_the_stem_is_without_the_ending(void **state)
{
    (void)state;
    char stem[128];
    struct output_plan plan = plan_of("/a/y.npy", fixture_signature(), false);
    output_stem(&plan, stem, sizeof stem);
    assert_string_equal(stem, "/a/y");
    plan = plan_of("/a/y/", fixture_signature(), false);
    output_stem(&plan, stem, sizeof stem);
    assert_string_equal(stem, "/a/y");
}

static void test_failures_are_a_number_or_a_share(void **state)
{
    (void)state;
    static const char *const bad[] = { "",    "x",    "-1",
                                       "5 %", "101%", "1.5",
                                       "%",   "3%x",  "99999999999999999999999" };
    uint64_t count;
    double share;
    assert_int_equal(submit_parse_failures(NULL, &count, &share, NULL), ERR_OK);
    assert_true(count == UINT64_MAX && share > 0.0499 && share < 0.0501);
    assert_int_equal(submit_parse_failures("0", &count, &share, NULL), ERR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(submit_parse_failures("2.5%", &count, &share, NULL), ERR_OK);
    assert_true(count == UINT64_MAX && share > 0.02499 && share < 0.02501);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(submit_parse_failures(bad[i], &count, &share, NULL), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_name_says_the_form),
        cmocka_unit_test(test_a_bare_name_gets_the_natural_ending),
        cmocka_unit_test(test_one_npy_cannot_hold_two_outputs),
        cmocka_unit_test(test_a_place_that_cannot_be_written_is_found),
        cmocka_unit_test(test_a_name_that_no_answer_can_have),
        cmocka_unit_test(test_an_answer_never_takes_its_sources_place),
        cmocka_unit_test(test_the_disk_must_have_room),
        cmocka_unit_test(test_the_stem_is_without_the_ending),
        cmocka_unit_test(test_failures_are_a_number_or_a_share),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
