// SPDX-License-Identifier: Apache-2.0
/* A worker's spool: what is written is there after a death, whatever the death left of a file. */
#include "stash.h"

#include "file.h"
#include "log.h"
#include "rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RESULTS_MAX = 512, LARGE = 10000 };

static char folder[64];
static const uint8_t UUID[STASH_UUID_BYTES] = { 1, 2, 3 }, OTHER[STASH_UUID_BYTES] = { 9 };
static struct stash *stash;
static struct stash_entry entries[RESULTS_MAX];
static struct why why;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test-stash-XXXXXX");
    memset(entries, 0, sizeof entries);
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    stash_free(&stash);
    return file_remove_tree(folder, &why) != ERR_OK;
}

static void open_with(const uint8_t *uuid, uint64_t bytes_max, uint64_t file_bytes)
{
    struct stash_config config = {
        .folder = folder, .uuid = uuid, .bytes_max = bytes_max, .file_bytes = file_bytes
    };
    stash_free(&stash);
    if (stash_open(&config, &stash, &why) != ERR_OK)
        fail_msg("%s", why.text);
}

static void open_stash(void) { open_with(UUID, 1 << 20, 0); }

/* ---- results that can be told from their number ---- */

static uint8_t large[RESULTS_MAX][LARGE];

static void fill(uint8_t *bytes, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_mix64(number * 1000003 + i / 8);
}

static size_t large_bytes(uint64_t number) { return number % 3 == 2 ? LARGE - number % 7 : number % 11; }

static struct stash_result make(uint64_t number, uint8_t small[16], struct tensor_spec specs[2])
{
    struct stash_result result = {
        .lease = { .slot = (uint32_t)(number % 5),
                   .job = 7 + number % 2,
                   .first = number * 10,
                   .count = (uint32_t)(1 + number % 9),
                   .term = 3,
                   .attempt = number,
                   .mac = { (uint8_t)number, 5 } },
        .wait_us = number,
        .run_us = 2 * number,
        .energy_joules = number % 2 ? -1 : 0.5,
        .overrun = number % 4 == 1,
        .outputs_count = 2,
        .outputs = { small, large[number] },
        .sizes = { 16, large_bytes(number) },
    };
    fill(small, 16, number + 500);
    fill(large[number], result.sizes[1], number);
    if (number % 2 == 0)
        return result;
    specs[0] = (struct tensor_spec){ .dtype = DTYPE_F64, .dims_count = 1, .dims = { 2 } };
    specs[1] = (struct tensor_spec){ .dtype = DTYPE_U8, .dims_count = 2, .dims = { 1, (int64_t)number } };
    result.shapes = specs;
    return result;
}

static void add(uint64_t number)
{
    static uint8_t small[RESULTS_MAX][16];
    struct tensor_spec specs[2];
    struct stash_result result = make(number, small[number], specs);
    stash_add(stash, &result, &entries[number]);
}

static void add_many(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++)
        add(number);
    stash_write(stash);
}

/* ---- what is found again ---- */

static struct {
    uint64_t numbers[RESULTS_MAX];
    uint32_t count;
    bool wanted;
} found;

static void same_shapes(const struct stash_result *got, const struct stash_result *expected)
{
    assert_int_equal(got->shapes != NULL, expected->shapes != NULL);
    for (uint32_t i = 0; got->shapes != NULL && i < got->outputs_count; i++) {
        assert_int_equal(got->shapes[i].dtype, expected->shapes[i].dtype);
        assert_int_equal(got->shapes[i].dims_count, expected->shapes[i].dims_count);
        assert_memory_equal(got->shapes[i].dims, expected->shapes[i].dims, sizeof got->shapes[i].dims);
    }
}

static struct stash_entry *visit(void *context, const struct stash_result *got, struct stash_map *map)
{
    uint8_t small[16];
    struct tensor_spec specs[2];
    uint64_t number = got->lease.attempt;
    (void)context;
    assert_true(number < RESULTS_MAX && map != NULL);
    struct stash_result expected = make(number, small, specs);
    assert_memory_equal(&got->lease, &expected.lease, sizeof got->lease);
    assert_true(got->wait_us == expected.wait_us && got->run_us == expected.run_us);
    assert_true(got->energy_joules == expected.energy_joules && got->overrun == expected.overrun);
    assert_int_equal(got->outputs_count, expected.outputs_count);
    for (uint32_t i = 0; i < got->outputs_count; i++) {
        assert_int_equal(got->sizes[i], expected.sizes[i]);
        assert_memory_equal(got->outputs[i], expected.outputs[i], expected.sizes[i]);
    }
    same_shapes(got, &expected);
    found.numbers[found.count++] = number;
    memset(&entries[number], 0, sizeof entries[number]);
    return found.wanted ? &entries[number] : NULL;
}

static uint32_t find_with(bool wanted)
{
    found.count = 0;
    found.wanted = wanted;
    stash_adopt(stash, visit, NULL);
    return found.count;
}

static uint32_t find_again(void)
{
    open_stash();
    return find_with(true);
}

static uint32_t files_there(void)
{
    uint32_t count = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(listing);
    assert_int_equal(count, stash_files(stash));
    return count;
}

/* ---- stories ---- */

static void test_kept_until_dropped(void **state)
{
    (void)state;
    open_stash();
    assert_int_equal(find_with(true), 0);
    add_many(0, 20);
    assert_int_equal(find_again(), 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(found.numbers[i], i);
    assert_int_equal(files_there(), 1);
    for (uint64_t number = 0; number < 19; number++)
        stash_drop(stash, &entries[number]);
    assert_int_equal(files_there(), 1);
    stash_drop(stash, &entries[19]);
    assert_int_equal(files_there(), 0);
    assert_int_equal(stash_bytes(stash), 0);
    assert_int_equal(find_again(), 0);
}

/* The next record says from where on its file is needed. */
static void test_what_was_dropped_is_not_offered(void **state)
{
    (void)state;
    open_stash();
    add_many(0, 20);
    for (uint64_t number = 0; number < 15; number++)
        stash_drop(stash, &entries[number]);
    add_many(20, 21);
    assert_int_equal(find_again(), 6);
    assert_int_equal(found.numbers[0], 15);
    assert_int_equal(found.numbers[5], 20);
    assert_int_equal(find_with(true), 6); /* and what is wanted again stays */
}

/* A worker that is idle when it dies offers nothing in vain, though it never closed its spool. */
static void test_idle(void **state)
{
    (void)state;
    open_stash();
    add_many(0, 4);
    for (uint64_t number = 0; number < 4; number++)
        stash_drop(stash, &entries[number]);
    stash_write(stash); /* the end of a turn in which nothing was finished */
    struct stash *dead = stash;
    stash = NULL;
    assert_int_equal(find_again(), 0);
    stash_free(&dead);
}

static void test_nothing_wanted(void **state)
{
    (void)state;
    open_stash();
    add_many(0, 5);
    open_stash();
    assert_int_equal(find_with(false), 5);
    assert_int_equal(files_there(), 0);
}

static void test_of_another_uuid(void **state)
{
    (void)state;
    open_stash();
    add_many(0, 5);
    open_with(OTHER, 1 << 20, 0);
    assert_int_equal(find_with(true), 0);
    assert_int_equal(files_there(), 0);
}

static void test_files_change(void **state)
{
    (void)state;
    open_with(UUID, 1 << 20, 20000);
    add_many(0, 40);
    assert_true(files_there() > 5);
    for (uint64_t number = 0; number < 40; number++)
        if (number != 20)
            stash_drop(stash, &entries[number]);
    assert_true(files_there() <= 2);
    add_many(40, 41);
    open_with(UUID, 1 << 20, 20000);
    find_with(true);
    assert_true(found.count >= 2 && found.numbers[found.count - 1] == 40);
    stash_drop(stash, &entries[20]);
}

/* A file of which nothing is needed does not grow. */
static void test_steady(void **state)
{
    (void)state;
    open_stash();
    for (uint64_t turn = 0; turn < 1000; turn++) {
        add_many(0, 5);
        for (uint64_t number = 0; number < 5; number++)
            stash_drop(stash, &entries[number]);
    }
    assert_true(stash_bytes(stash) < 200000);
    assert_int_equal(files_there(), 1);
}

static void test_dropped_before_it_was_written(void **state)
{
    (void)state;
    open_stash();
    add(0);
    add(1);
    stash_drop(stash, &entries[0]);
    stash_write(stash);
    stash_drop(stash, &entries[0]); /* it has no place any more */
    add_many(2, 3);
    assert_int_equal(find_again(), 2);
    assert_int_equal(found.numbers[0], 1);
}

static void test_bounded(void **state)
{
    (void)state;
    open_with(UUID, 30000, 0);
    add_many(0, 100);
    assert_true(stash_bytes(stash) <= 30000 && entries[0].file != NULL && entries[99].file == NULL);
    stash_drop(stash, &entries[99]);
    for (uint64_t number = 0; number < 99; number++)
        stash_drop(stash, &entries[number]);
    add_many(100, 102);
    assert_true(entries[101].file != NULL);
    assert_true(find_again() >= 2);
    assert_int_equal(found.numbers[found.count - 1], 101);
}

/* The disk takes no more (here: no longer files), and then it does again. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit before, limit;
    open_stash();
    add_many(0, 4);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = stash_bytes(stash) + 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    add_many(4, 12);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(entries[3].file != NULL && entries[4].file == NULL && entries[11].file == NULL);
    add_many(12, 14);
    assert_int_equal(find_again(), 6);
    assert_int_equal(found.numbers[4], 12);
}

static void path_of_only(char path[128])
{
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.')
            snprintf(path, 128, "%s/%.40s", folder, entry->d_name);
    closedir(listing);
}

static char *spool_file(char path[128], size_t *size, uint64_t results)
{
    char *bytes;
    open_stash();
    find_with(false);
    add_many(0, results);
    path_of_only(path);
    assert_int_equal(file_read(path, 1 << 20, &bytes, size, &why), ERR_OK);
    return bytes;
}

static void put_file(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_pwrite(fd, bytes, size, 0, path, &why), ERR_OK);
    close(fd);
}

/* What was written whole is found in every prefix, and nothing else. */
static void test_every_prefix(void **state)
{
    (void)state;
    char path[128];
    size_t size;
    char *bytes = spool_file(path, &size, 5);
    uint32_t before = 0;
    for (size_t cut = 0; cut <= size; cut++) {
        put_file(path, bytes, cut);
        uint32_t count = find_again();
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(found.numbers[i], i);
        assert_true(count >= before && count <= before + 1);
        before = count;
    }
    assert_int_equal(before, 5);
    free(bytes);
}

/* A power cut: whole pages at random that were never written, bytes that are anything. */
static void test_torn(void **state)
{
    (void)state;
    const char *given = getenv("MOTLEY_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20;
    char path[128];
    size_t size;
    char *bytes = spool_file(path, &size, 40);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng;
    rng_init(&rng, seed);
    for (int round = 0; round < 300; round++) {
        char *torn = malloc(size);
        memcpy(torn, bytes, size);
        size_t from = (size_t)rng_below(&rng, size), length = 1 + (size_t)rng_below(&rng, size - from);
        if (rng_below(&rng, 2))
            memset(torn + from, 0, length);
        else
            torn[from] = (char)(torn[from] + 1 + (char)rng_below(&rng, 254));
        put_file(path, torn, size - (size_t)rng_below(&rng, 2) * (size_t)rng_below(&rng, 1000));
        uint32_t count = find_again(); /* visit compares */
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(found.numbers[i], i);
        free(torn);
    }
    free(bytes);
}

/* A process that is killed in the middle: what it had written is whole. */
static void test_killed(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        open_stash();
        for (uint64_t number = 0;; number = (number + 1) % RESULTS_MAX) {
            add_many(number, number + 1);
            if (number == 50)
                _exit(write(pipes[1], "x", 1) != 1 || pause());
        }
    }
    char byte;
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(find_again(), 51);
}

/* Outputs outlive their file, as they may still be on their way. */
static struct stash_map *kept_map;
static const uint8_t *kept_bytes;

static struct stash_entry *keep_map(void *context, const struct stash_result *got, struct stash_map *map)
{
    (void)context;
    kept_map = stash_map_ref(map);
    kept_bytes = got->outputs[0];
    return NULL;
}

static void test_map_outlives_file(void **state)
{
    (void)state;
    uint8_t expected[16];
    open_stash();
    add_many(3, 4);
    open_stash();
    stash_adopt(stash, keep_map, NULL);
    assert_int_equal(files_there(), 0);
    fill(expected, sizeof expected, 503);
    assert_memory_equal(kept_bytes, expected, sizeof expected);
    stash_map_unref(kept_map);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_kept_until_dropped),
        STORY(test_what_was_dropped_is_not_offered),
        STORY(test_idle),
        STORY(test_nothing_wanted),
        STORY(test_of_another_uuid),
        STORY(test_files_change),
        STORY(test_steady),
        STORY(test_dropped_before_it_was_written),
        STORY(test_bounded),
        STORY(test_full_disk),
        STORY(test_every_prefix),
        STORY(test_torn),
        STORY(test_killed),
        STORY(test_map_outlives_file),
    };
    signal(SIGXFSZ, SIG_IGN);
    log_init("test_stash", LOG_ERROR, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
