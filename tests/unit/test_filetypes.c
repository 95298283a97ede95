// SPDX-License-Identifier: Apache-2.0
#include "choice.h"
#include "file.h"
#include "magika.h"
#include "tokens.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAD = 256 };

static const char config_text[] =
    "{\"beg_size\":4,\"mid_size\":0,\"end_size\":3,\"use_inputs_at_offsets\":false,\"block_size\":6,"
    "\"medium_confidence_threshold\":0.5,\"min_file_size_for_dl\":2,\"padding_token\":256,"
    "\"target_labels_space\":[\"c\",\"elf\",\"noise\"],\"thresholds\":{\"c\":0.9},\"overwrite_map\":{"
    "\"noise\":\"txt\"}}";

static char folder[] = "/tmp/motley-filetypes-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    assert_int_equal(file_replace(path_of(name), text, strlen(text), 0600, NULL), ERR_OK);
}

static void read_config(struct magika *config)
{
    write_file("config.json", config_text);
    assert_int_equal(magika_read(path_of("config.json"), config, NULL), ERR_OK);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return (int)file_remove_tree(folder, NULL);
}

static void test_config_is_read(void **state)
{
    (void)state;
    static struct magika config;
    read_config(&config);
    assert_int_equal(config.beg_size, 4);
    assert_int_equal(config.labels_count, 3);
    assert_string_equal(config.labels[2].shown, "txt");
    assert_true(config.labels[0].threshold > 0.89f && config.labels[1].threshold < 0.51f);
}

static void refuse(const char *text, enum err wanted)
{
    static struct magika config;
    struct why why = { "" };
    write_file("bad.json", text);
    assert_int_equal(magika_read(path_of("bad.json"), &config, &why), wanted);
    assert_non_null(strstr(why.text, "bad.json"));
}

static void test_bad_config_is_refused(void **state)
{
    (void)state;
    static struct magika config;
    char spoiled[sizeof config_text];
    refuse("", ERR_FORMAT);
    refuse("[1]", ERR_FORMAT);
    refuse("{\"mid_size\":8}", ERR_UNSUPPORTED);
    for (size_t size = 0; size < sizeof config_text - 1; size++) {
        memcpy(spoiled, config_text, size);
        spoiled[size] = '\0';
        refuse(spoiled, ERR_FORMAT);
    }
    memcpy(spoiled, config_text, sizeof spoiled);
    strstr(spoiled, "block_size")[0] = 'c';
    refuse(spoiled, ERR_FORMAT);
    assert_int_equal(magika_read(path_of("absent"), &config, NULL), ERR_FILE);
}

static void test_answers_follow_thresholds(void **state)
{
    (void)state;
    static struct magika config;
    read_config(&config);
    write_file("types.json",
               "{\"c\":{\"is_text\":true},\"elf\":{\"is_text\":false},\"txt\":{\"is_text\":true}}");
    assert_int_equal(magika_read_types(path_of("types.json"), &config, NULL), ERR_OK);
    assert_string_equal(magika_answer(&config, (float[]){ 0.95f, 0.05f, 0.0f }), "c");
    assert_string_equal(magika_answer(&config, (float[]){ 0.85f, 0.10f, 0.05f }), "txt");
    assert_string_equal(magika_answer(&config, (float[]){ 0.4f, 0.6f, 0.0f }), "elf");
    assert_string_equal(magika_answer(&config, (float[]){ 0.3f, 0.4f, 0.3f }), "unknown");
    assert_string_equal(magika_answer(&config, (float[]){ 0.1f, 0.2f, 0.7f }), "txt");
    write_file("types.json", "{\"c\":{\"is_text\":true}}");
    assert_int_equal(magika_read_types(path_of("types.json"), &config, NULL), ERR_FORMAT);
}

/* The row of a file with this text; -1 in its first place if it is too short. */
static void row_of(const struct magika *config, const char *text, int32_t row[7])
{
    write_file("sample", text);
    int fd = open(path_of("sample"), O_RDONLY);
    assert_true(fd >= 0);
    enum err err = tokens_read(config, fd, "sample", row, NULL);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    if (err)
        row[0] = -1;
    close(fd);
}

static void expect_row(const struct magika *config, const char *text, const int32_t wanted[7])
{
    int32_t row[7];
    row_of(config, text, row);
    assert_memory_equal(row, wanted, sizeof row);
}

/* Expected rows are worked out by hand after the magika package's description of its features. */
static void test_tokens(void **state)
{
    (void)state;
    static struct magika config;
    int32_t row[7];
    read_config(&config);
    expect_row(&config, "abc", (int32_t[]){ 'a', 'b', 'c', PAD, 'a', 'b', 'c' });
    expect_row(&config, " a b\n", (int32_t[]){ 'a', ' ', 'b', '\n', 'a', ' ', 'b' });
    expect_row(&config, "0123456789", (int32_t[]){ '0', '1', '2', '3', '7', '8', '9' });
    expect_row(&config, "   01234567  \n", (int32_t[]){ '0', '1', '2', PAD, '5', '6', '7' });
    row_of(&config, "a", row);
    assert_int_equal(row[0], -1);
    row_of(&config, "      a", row);
    assert_int_equal(row[0], -1);
    row_of(&config, "", row);
    assert_int_equal(row[0], -1);
}

static void test_choice_is_bounded_and_repeatable(void **state)
{
    (void)state;
    struct choice all, some, again;
    char name[32], tree[256];
    snprintf(tree, sizeof tree, "%s", path_of("tree/deep"));
    assert_int_equal(file_make_dirs(tree, 0700, NULL), ERR_OK);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "tree/%s%d", i % 2 ? "deep/" : "", i);
        write_file(name, i == 7 ? "" : "x");
    }
    assert_int_equal(symlink("0", path_of("tree/link")), 0);
    snprintf(tree, sizeof tree, "%s", path_of("tree"));
    assert_int_equal(choice_make(&all, (char *[]){ tree, NULL }, 100, NULL), ERR_OK);
    assert_int_equal(choice_make(&some, (char *[]){ tree, NULL }, 10, NULL), ERR_OK);
    assert_int_equal(choice_make(&again, (char *[]){ tree, NULL }, 10, NULL), ERR_OK);
    assert_int_equal(all.files_seen, 50);
    assert_int_equal(all.count, 49);
    assert_int_equal(some.count, 10);
    for (size_t i = 0; i < 10; i++)
        assert_string_equal(some.paths[i], again.paths[i]);
    for (size_t i = 1; i < 10; i++)
        assert_true(strcmp(some.paths[i - 1], some.paths[i]) < 0);
    choice_fini(&all);
    choice_fini(&some);
    choice_fini(&again);
    assert_int_equal(choice_make(&all, (char *[]){ "/nowhere/at/all", NULL }, 10, NULL), ERR_FILE);
    choice_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_is_read),
        cmocka_unit_test(test_bad_config_is_refused),
        cmocka_unit_test(test_answers_follow_thresholds),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_choice_is_bounded_and_repeatable),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
