// SPDX-License-Identifier: Apache-2.0
/* The cache of models: what has a name there is whole and right, whoever wrote it and whatever went wrong. */
#include "cache.h"

#include "bounds.h"
#include "file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct cache *cache;
static struct why why;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test-cache-XXXXXX");
    return mkdtemp(folder) == NULL || cache_open(folder, 1000, &cache, &why) != ERR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    cache_free(&cache);
    return file_remove_tree(folder, &why) != ERR_OK;
}

static struct cache_fetch *fetch_new(const uint8_t digest[SHA256_BYTES], uint64_t bytes)
{
    struct cache_fetch *fetch;
    assert_int_equal(cache_fetch_new(cache, digest, bytes, &fetch, &why), ERR_OK);
    return fetch;
}

/* Bring a model into the cache, whole. */
static void store(const void *bytes, uint64_t size, uint8_t digest[SHA256_BYTES])
{
    bool whole;
    uint64_t offset;
    uint32_t length;
    sha256_bytes(bytes, size, digest);
    struct cache_fetch *fetch = fetch_new(digest, size);
    while (cache_fetch_next(fetch, &offset, &length))
        assert_int_equal(cache_fetch_put(fetch, offset, (const char *)bytes + offset, length, &whole, &why),
                         ERR_OK);
    assert_true(whole);
    cache_fetch_free(&fetch);
}

static unsigned files(void)
{
    char command[128], answer[16] = "";
    snprintf(command, sizeof command, "ls -A %s/cache/models | wc -l", folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(answer, sizeof answer, pipe));
    pclose(pipe);
    return (unsigned)atoi(answer);
}

/* Make an entry look as if it was last used then. */
static void age(const uint8_t digest[SHA256_BYTES], uint64_t bytes, time_t seconds)
{
    char path[PATH_MAX];
    assert_true(cache_find(cache, digest, bytes, path));
    struct timespec times[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_stored_is_found(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES], other[SHA256_BYTES] = { 1 };
    char path[PATH_MAX], *bytes;
    size_t size;
    store("a model", 7, digest);
    assert_true(cache_find(cache, digest, 7, path));
    assert_int_equal(file_read(path, 100, &bytes, &size, &why), ERR_OK);
    assert_string_equal(bytes, "a model");
    free(bytes);
    assert_false(cache_find(cache, digest, 8, path));
    assert_false(cache_find(cache, other, 7, path));
    assert_int_equal(files(), 1);
}

static void test_large_models_come_in_bounded_pieces(void **state)
{
    (void)state;
    uint64_t size = 2ull * PIECE_BYTES_MAX + 5, offset, sum = 0;
    uint32_t length;
    uint8_t digest[SHA256_BYTES], *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 7, size);
    sha256_bytes(bytes, size, digest);
    struct cache_fetch *fetch = fetch_new(digest, size);
    while (cache_fetch_next(fetch, &offset, &length)) {
        assert_int_equal(offset, sum);
        assert_in_range(length, 1, PIECE_BYTES_MAX);
        sum += length;
    }
    assert_int_equal(sum, size);
    cache_fetch_free(&fetch);
    assert_int_equal(files(), 0);
    store(bytes, size, digest);
    free(bytes);
}

static void test_pieces_out_of_order(void **state)
{
    (void)state;
    bool whole;
    char path[PATH_MAX];
    uint8_t digest[SHA256_BYTES];
    sha256_bytes("abcdef", 6, digest);
    struct cache_fetch *fetch = fetch_new(digest, 6);
    assert_int_equal(cache_fetch_put(fetch, 3, "def", 3, &whole, &why), ERR_OK);
    assert_false(whole);
    assert_false(cache_find(cache, digest, 6, path));
    assert_int_equal(cache_fetch_put(fetch, 0, "abc", 3, &whole, &why), ERR_OK);
    assert_true(whole);
    cache_fetch_free(&fetch);
    assert_true(cache_find(cache, digest, 6, path));
}

static void test_wrong_bytes_get_no_name(void **state)
{
    (void)state;
    bool whole;
    char path[PATH_MAX];
    uint8_t digest[SHA256_BYTES];
    sha256_bytes("abc", 3, digest);
    struct cache_fetch *fetch = fetch_new(digest, 3);
    assert_int_equal(cache_fetch_put(fetch, 0, "abX", 3, &whole, &why), ERR_FORMAT);
    assert_false(whole);
    cache_fetch_free(&fetch);
    assert_false(cache_find(cache, digest, 3, path));
    assert_int_equal(files(), 0);
}

static void test_pieces_outside_are_refused(void **state)
{
    (void)state;
    bool whole;
    uint8_t digest[SHA256_BYTES];
    sha256_bytes("abc", 3, digest);
    struct cache_fetch *fetch = fetch_new(digest, 3);
    assert_int_equal(cache_fetch_put(fetch, 2, "ab", 2, &whole, &why), ERR_FORMAT);
    assert_int_equal(cache_fetch_put(fetch, UINT64_MAX, "ab", 2, &whole, &why), ERR_FORMAT);
    assert_int_equal(cache_fetch_put(fetch, 0, "", 0, &whole, &why), ERR_FORMAT);
    assert_int_equal(cache_fetch_put(fetch, 0, "ab", 2, &whole, &why), ERR_OK);
    assert_int_equal(cache_fetch_put(fetch, 0, "ab", 2, &whole, &why), ERR_FORMAT);
    cache_fetch_free(&fetch);
}

static void test_impossible_sizes(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES] = { 0 };
    struct cache_fetch *fetch;
    assert_int_equal(cache_fetch_new(cache, digest, 0, &fetch, &why), ERR_LIMIT);
    assert_int_equal(cache_fetch_new(cache, digest, UINT64_MAX, &fetch, &why), ERR_LIMIT);
    assert_null(fetch);
}

static void test_two_workers_fetch_the_same(void **state)
{
    (void)state;
    bool whole;
    char path[PATH_MAX];
    uint8_t digest[SHA256_BYTES];
    sha256_bytes("abc", 3, digest);
    struct cache_fetch *one = fetch_new(digest, 3), *other = fetch_new(digest, 3);
    assert_int_equal(cache_fetch_put(one, 0, "abc", 3, &whole, &why), ERR_OK);
    assert_true(cache_find(cache, digest, 3, path));
    assert_int_equal(cache_fetch_put(other, 0, "abc", 3, &whole, &why), ERR_OK);
    assert_true(whole);
    assert_true(cache_find(cache, digest, 3, path));
    cache_fetch_free(&one);
    cache_fetch_free(&other);
    assert_int_equal(files(), 1);
}

static void test_least_recently_used_goes_first(void **state)
{
    (void)state;
    char path[PATH_MAX], bytes[400];
    uint8_t digests[3][SHA256_BYTES];
    for (int i = 0; i < 3; i++) {
        memset(bytes, i, sizeof bytes);
        store(bytes, sizeof bytes, digests[i]);
    }
    assert_true(cache_find(cache, digests[0], 400, path)); /* none is old enough yet: the bound gives way */
    age(digests[0], 400, 3000);
    age(digests[1], 400, 5000);
    age(digests[2], 400, 10);
    cache_trim(cache, 0);
    assert_false(cache_find(cache, digests[1], 400, path));
    assert_true(cache_find(cache, digests[0], 400, path));
    age(digests[0], 400, 3000);
    cache_trim(cache, 800);
    assert_false(cache_find(cache, digests[0], 400, path));
    assert_true(cache_find(cache, digests[2], 400, path));
}

static void test_old_temporaries_are_removed(void **state)
{
    (void)state;
    char path[PATH_MAX];
    uint8_t digest[SHA256_BYTES] = { 3 };
    struct cache_fetch *fetch = fetch_new(digest, 3);
    cache_trim(cache, 0);
    assert_int_equal(files(), 1);
    snprintf(path, sizeof path, "touch -d '3 days ago' %s/cache/models/*.tmp-*", folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "touch -d '3 days ago' %s/cache/models/not-ours", folder);
    assert_int_equal(system(path), 0);
    cache_trim(cache, 100000);
    assert_int_equal(files(), 1);
    cache_fetch_free(&fetch);
}

static void test_no_place(void **state)
{
    (void)state;
    struct cache *none;
    assert_int_equal(cache_open("/proc/nowhere", 1000, &none, &why), ERR_FILE);
    assert_null(none);
    cache_free(&none);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_stored_is_found),
        STORY(test_large_models_come_in_bounded_pieces),
        STORY(test_pieces_out_of_order),
        STORY(test_wrong_bytes_get_no_name),
        STORY(test_pieces_outside_are_refused),
        STORY(test_impossible_sizes),
        STORY(test_two_workers_fetch_the_same),
        STORY(test_least_recently_used_goes_first),
        STORY(test_old_temporaries_are_removed),
        STORY(test_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
