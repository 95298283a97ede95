// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_MAX = 3, ARGUMENTS_MAX = 80 };

static struct {
    const char *model;
    uint64_t batch, deadline_us;
    double rate;
    bool wait;
    struct option_list params;
} given;

static const struct option_row rows[] = {
    { "model", 'm', OPTION_TEXT, &given.model, "FILE|NAME", "the model to run" },
    { "batch", 0, OPTION_COUNT, &given.batch, "N", "samples per batch (default: learned)" },
    { "rate", 0, OPTION_NUMBER, &given.rate, "Q", "queries per second" },
    { "deadline", 0, OPTION_DURATION, &given.deadline_us, "TIME", "when it must be done" },
    { "wait", 'w', OPTION_FLAG, &given.wait, NULL, "wait for the job to end" },
    { "param", 0, OPTION_LIST, &given.params, "K=V", "a parameter of the model; may be given several times" },
    { 0 },
};

static const struct option_usage usage = {
    .command = "motley submit",
    .synopsis = "--model M --input X [OPTION...]",
    .about = "Hands a job to the coordinator and prints its number. Give --wait to follow it until it has "
             "ended; the job goes on "
             "when you stop waiting.",
    .examples = "  motley submit --model digits.onnx --input digits.npy\n",
};

static const char *words[WORDS_MAX];
static size_t words_count;
static bool helped;
static struct why why;

/* Parse a line that is split at spaces. */
static enum err parse(const char *line)
{
    static char copy[4096];
    char *argv[ARGUMENTS_MAX + 1] = { copy }, *save = NULL;
    int argc = 1;
    memset(&given, 0, sizeof given);
    why.text[0] = 0;
    snprintf(copy, sizeof copy, "motley %s", line);
    (void)strtok_r(copy, " ", &save);
    for (char *word; (word = strtok_r(NULL, " ", &save));) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    return options_parse(&usage, rows, argc, argv, words, WORDS_MAX, &words_count, &helped, &why);
}

static void refuse(const char *line, const char *says)
{
    assert_int_equal(parse(line), ERR_USAGE);
    if (!strstr(why.text, says))
        fail_msg("'%s' does not say '%s'", why.text, says);
}

static void test_all_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("first --model a.onnx --batch=64 -w second"), ERR_OK);
    assert_string_equal(given.model, "a.onnx");
    assert_int_equal(given.batch, 64);
    assert_true(given.wait);
    assert_int_equal(words_count, 2);
    assert_string_equal(words[0], "first");
    assert_string_equal(words[1], "second");
    assert_false(helped);
    assert_int_equal(parse("-m b.onnx -- --wait -x"), ERR_OK);
    assert_string_equal(given.model, "b.onnx");
    assert_false(given.wait);
    assert_int_equal(words_count, 2);
    assert_string_equal(words[0], "--wait");
    assert_int_equal(parse("--model=a=b --model= -"), ERR_OK);
    assert_string_equal(given.model, "");
    assert_string_equal(words[0], "-");
    assert_int_equal(parse("--model - --rate -1.5"), ERR_OK);
    assert_string_equal(given.model, "-");
    assert_true(given.rate < -1.4 && given.rate > -1.6);
    assert_int_equal(parse(""), ERR_OK);
    assert_int_equal(words_count, 0);
    assert_null(given.model);
}

static void test_lists_gather_and_others_take_the_last(void **state)
{
    (void)state;
    assert_int_equal(parse("--param a=1 --param=b=2 --model x --model y"), ERR_OK);
    assert_int_equal(given.params.count, 2);
    assert_string_equal(given.params.at[0], "a=1");
    assert_string_equal(given.params.at[1], "b=2");
    assert_string_equal(given.model, "y");
    char line[OPTION_LIST_MAX * 16 + 32] = "";
    for (int i = 0; i <= OPTION_LIST_MAX; i++)
        strcat(line, "--param=a ");
    refuse(line, "more than 64");
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("--modle x", "did you mean --model?");
    refuse("--bacth=3", "did you mean --batch?");
    refuse("--quite-something-else", "see motley submit --help");
    refuse("--x", "see motley submit --help");
    refuse("-x", "unknown option -x");
    refuse("-wm", "unknown option -wm");
    refuse("--model", "--model needs a value: --model FILE|NAME");
    refuse("--model --wait", "needs a value");
    refuse("-m", "needs a value");
    refuse("--wait=yes", "takes no value");
    refuse("a b c d", "unexpected 'd'");
    refuse("--batch 1.5", "'1.5' is not a whole number");
    refuse("--batch=", "not a whole number");
    refuse("--rate fast", "not a number");
    refuse("--deadline soon", "not a duration");
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint64_t count;
    } good[] = {
        { "--batch 0", 0 },
        { "--batch 1_000_000", 1000000 },
        { "--batch 10k", 10000 },
        { "--batch 2M", 2000000 },
        { "--batch 3G", 3000000000 },
        { "--batch 18446744073709551615", UINT64_MAX },
        { "--batch 007", 7 },
        { "--batch 1T", 1000000000000 },
        { "--batch 1e12", 1000000000000 },
        { "--batch 3e+2", 300 },
        { "--batch 0e0", 0 },
    };
    const char *const bad[] = { "-1",
                                "+1",
                                "_1",
                                "1_",
                                "1__0",
                                "1_k",
                                "k",
                                "1kk",
                                "1K",
                                "1 ",
                                "0x10",
                                "1e",
                                "e3",
                                "1e-3",
                                "1e3k",
                                "1e20",
                                "1e999",
                                "1.5e3",
                                "18446744073709551616",
                                "18446744073709551615k" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse(good[i].line), ERR_OK);
        assert_int_equal(given.batch, good[i].count);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *argv[] = { (char[]){ "x" }, (char[]){ "--batch" }, NULL };
        char value[40];
        snprintf(value, sizeof value, "%s", bad[i]);
        argv[2] = value;
        assert_int_equal(options_parse(&usage, rows, 3, argv, words, WORDS_MAX, &words_count, &helped, &why),
                         ERR_USAGE);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    const char *const bad[] = { "inf", "nan", "0x10", "1e999", ".", "1.2.3", "1e", "--1" };
    assert_int_equal(parse("--rate 1e3"), ERR_OK);
    assert_true(given.rate > 999.9 && given.rate < 1000.1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[40];
        snprintf(line, sizeof line, "--rate=%s", bad[i]);
        assert_int_equal(parse(line), ERR_USAGE);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {
        { "0", 0 },
        { "10m", 600000000 },
        { "1.5s", 1500000 },
        { "200ms", 200000 },
        { "2h", 7200000000 },
        { "3", 3000000 },
        { "0.1", 100000 },
        { "7us", 7 },
        { "1d", 86400000000 },
        { "0.0000004", 0 },
        { "36525d", 3155760000000000 },
    };
    const char *const bad[] = {
        "", "s", "-1s", "1 s", "1sec", "1e3s", "inf", "36526d", "1h30m", "1..5s", "99999999999999999999"
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t us = 1;
        assert_int_equal(options_duration(good[i].text, &us), ERR_OK);
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t us = 77;
        assert_int_equal(options_duration(bad[i], &us), ERR_USAGE);
        assert_int_equal(us, 77);
    }
    assert_int_equal(parse("--deadline 10m"), ERR_OK);
    assert_int_equal(given.deadline_us, 600000000);
}

static void test_nearest(void **state)
{
    (void)state;
    const char *const names[] = { "device.kind", "device.memory", "labels", "id" };
    const size_t count = sizeof names / sizeof names[0];
    char huge[1000];
    assert_string_equal(options_nearest("device.memry", names, count), "device.memory");
    assert_string_equal(options_nearest("lable", names, count), "labels");
    assert_string_equal(options_nearest("device.kond", names, count), "device.kind");
    assert_string_equal(options_nearest("is", names, count), "id");
    assert_null(options_nearest("xy", names, count));
    assert_null(options_nearest("quantum", names, count));
    assert_null(options_nearest("", names, count));
    assert_null(options_nearest("labels", names, 0));
    memset(huge, 'h', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_null(options_nearest(huge, names, count));
    assert_null(options_nearest("h", (const char *const[]){ huge }, 1));
}

static void test_help_lists_every_option_within_80_columns(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    options_help(&usage, rows, stream);
    fclose(stream);
    assert_int_equal(strncmp(text, "Usage: motley submit --model M", 30), 0);
    assert_non_null(strstr(text, "  -m, --model FILE|NAME  the model to run\n"));
    assert_non_null(strstr(text, "      --batch N          samples per batch"));
    assert_non_null(strstr(text, "  -h, --help             show this help\n"));
    assert_non_null(strstr(text, "Examples:\n  motley submit --model digits.onnx"));
    size_t column = 0;
    for (size_t i = 0; i < size; i++) {
        column = text[i] == '\n' ? 0 : column + 1;
        assert_true(column <= 80);
    }
    free(text);
}

static void test_help_stops_parsing(void **state)
{
    (void)state;
    int saved = dup(1);
    assert_true(freopen("/dev/null", "w", stdout) != NULL);
    enum err err = parse("--wait --help --no-such-option");
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    assert_int_equal(err, ERR_OK);
    assert_true(helped);
    assert_true(given.wait);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_forms),
        cmocka_unit_test(test_lists_gather_and_others_take_the_last),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_help_lists_every_option_within_80_columns),
        cmocka_unit_test(test_help_stops_parsing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
