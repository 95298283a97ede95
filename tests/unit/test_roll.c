// SPDX-License-Identifier: Apache-2.0
/* roll, process and the supervisor's lines: whom `motley down` may end. */
#include "client_fixture.h"
#include "roll.h"
#include "supervise.h"

#include <signal.h>
#include <sys/wait.h>

/* A child that stays until it is told to go. */
static struct process start_sleeper(void)
{
    char program[] = "/bin/sleep", seconds[] = "1000";
    char *argv[] = { program, seconds, NULL };
    struct process process;
    struct why why;
    if (process_start(argv, -1, true, NULL, &process, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return process;
}

static void end(struct process *process)
{
    kill(-process->pid, SIGKILL);
    assert_int_equal(waitpid(process->pid, NULL, 0), process->pid);
}

static void test_a_process_is_known_by_its_start(void **state)
{
    (void)state;
    struct process process = start_sleeper(), other = process;
    assert_true(process_lives(&process));
    assert_int_not_equal(process.start_ticks, 0);
    other.start_ticks++; /* the same number, given again to another process */
    assert_false(process_lives(&other));
    process_signal(&other, SIGKILL);
    assert_true(process_lives(&process));
    end(&process);
    assert_false(process_lives(&process));
}

static void test_a_program_that_is_not_there(void **state)
{
    (void)state;
    char program[] = "/nowhere/motley-worker";
    char *argv[] = { program, NULL };
    struct process process;
    struct why why;
    assert_int_equal(process_start(argv, -1, true, NULL, &process, &why), ERR_SYSTEM);
    assert_non_null(strstr(why.text, "/nowhere/motley-worker"));
    assert_true(waitpid(-1, NULL, WNOHANG) <= 0); /* the failed child was reaped */
}

static void test_a_roll_comes_back_as_it_was(void **state)
{
    (void)state;
    struct process process = start_sleeper();
    struct roll_entry entries[2] = { { "supervisor", "", { 1, 1 } }, { "worker", "lab \"1\"", process } };
    struct roll roll = { .url = "ipc:///a", .short_dir = "", .count = 2, .entries = entries }, back;
    struct why why;
    assert_int_equal(roll_read(fixture_folder, &back, &why), ERR_NOT_FOUND);
    roll_free(&back);
    assert_int_equal(roll_write(fixture_folder, &roll, &why), ERR_OK);
    assert_int_equal(roll_read(fixture_folder, &back, &why), ERR_OK);
    assert_string_equal(back.url, "ipc:///a");
    assert_int_equal(back.count, 2);
    assert_string_equal(back.entries[1].name, "lab \"1\"");
    assert_int_equal(back.entries[1].process.pid, process.pid);
    assert_int_equal(roll_living(&back), 1);
    end(&process);
    assert_int_equal(roll_living(&back), 0);
    roll_remove(fixture_folder, &back);
    roll_free(&back);
    assert_int_equal(roll_read(fixture_folder, &back, &why), ERR_NOT_FOUND);
    roll_free(&back);
}

static void test_another_boot_has_other_processes(void **state)
{
    (void)state;
    char text[256];
    struct roll roll;
    snprintf(
        text, sizeof text,
        "{\"url\":\"u\",\"boot\":\"then\",\"processes\":[{\"role\":\"worker\",\"pid\":%d,\"start\":%llu}]}",
        (int)getpid(), (unsigned long long)process_start_ticks(getpid()));
    fixture_write("fleet.json", text, strlen(text));
    assert_int_equal(roll_read(fixture_folder, &roll, NULL), ERR_OK);
    assert_int_equal(roll_living(&roll), 0);
    roll_free(&roll);
}

static void test_the_supervisors_lines(void **state)
{
    (void)state;
    struct supervise_event event;
    assert_true(supervise_parse("1 137 2 lab 1", &event));
    assert_int_equal(event.kind, SUPERVISE_WORKER_ENDED);
    assert_int_equal(event.status, 137);
    assert_int_equal(event.living, 2);
    assert_string_equal(event.text, "lab 1");
    assert_false(supervise_parse("nonsense", &event));
    assert_false(supervise_parse("9 0 0 x", &event));
}

static void expect_words(const char *log, const char *words)
{
    char text[300];
    fixture_write("logs/w.log", log, strlen(log));
    supervise_last_words(fixture_folder, "w", text, sizeof text);
    assert_string_equal(text, words);
}

static void test_last_words_are_complaints(void **state)
{
    (void)state;
    char text[300];
#define LOG_LINE(level) "2026-11-22T12:00:00.000Z motley-worker " level " SOME-ID"
    assert_int_equal(file_make_dirs(fixture_path("logs"), 0700, NULL), ERR_OK);
    supervise_last_words(fixture_folder, "absent", text, sizeof text);
    assert_string_equal(text, "");
    expect_words("", "");
    expect_words(LOG_LINE("info") " the model is loaded\n", "");
    expect_words(LOG_LINE("error") " no room: /a; make some\n", "no room: /a; make some");
    expect_words(LOG_LINE("error") " early\n" LOG_LINE("info") " later\n\n", "early");
    expect_words("motley-worker: --nam: no such option\n", "motley-worker: --nam: no such option");
    supervise_print_status(137, text, sizeof text);
    assert_string_equal(text, "was killed by signal 9");
    supervise_print_status(2, text, sizeof text);
    assert_string_equal(text, "ended with status 2");
}

static void test_a_long_state_directory_gets_a_short_name(void **state)
{
    (void)state;
    char folder[400];
    struct why why;
    struct supervise_plan plan = { .state_dir = fixture_folder };
    assert_int_equal(supervise_place(&plan, &why), ERR_OK);
    assert_non_null(strstr(plan.url, fixture_folder));
    assert_string_equal(plan.short_dir, "");
    snprintf(folder, sizeof folder, "%s/%0150d", fixture_folder, 0);
    assert_int_equal(file_make_dirs(folder, 0700, &why), ERR_OK);
    plan.state_dir = folder;
    assert_int_equal(supervise_place(&plan, &why), ERR_OK);
    assert_true(strlen(plan.url) - strlen("ipc://") <= 107);
    assert_int_not_equal(plan.short_dir[0], 0);
    assert_int_equal(file_remove_tree(plan.short_dir, &why), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_is_known_by_its_start),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_a_roll_comes_back_as_it_was),
        cmocka_unit_test(test_another_boot_has_other_processes),
        cmocka_unit_test(test_the_supervisors_lines),
        cmocka_unit_test(test_last_words_are_complaints),
        cmocka_unit_test(test_a_long_state_directory_gets_a_short_name),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
