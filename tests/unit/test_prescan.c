// SPDX-License-Identifier: Apache-2.0
#include "prescan.h"
#include "rng.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#define CHECK(bytes, expected) assert_int_equal(check(bytes, sizeof bytes - 1, NULL), expected)

static struct why why;

/* In a block of its own length, so that the sanitizer sees a read past the end. */
static enum err check(const char *bytes, size_t size, struct prescan *found)
{
    struct prescan ignored;
    uint8_t *copy = malloc(size + !size);
    memcpy(copy, bytes, size);
    enum err err = prescan_check(copy, size, found ? found : &ignored, &why);
    free(copy);
    return err;
}

static void test_bombs_are_refused(void **state)
{
    (void)state;
    CHECK("\xdf\x0f\xff\xff\xff", ERR_FORMAT);
    CHECK("\xdd\xff\xff\xff\xff", ERR_FORMAT);
    CHECK("\xdf\xff\xff\xff\xff", ERR_FORMAT);
    CHECK("\xde\xff\xff", ERR_FORMAT);
    CHECK("\xc6\xff\xff\xff\xff", ERR_FORMAT);
    CHECK("\xdb\xff\xff\xff\xff", ERR_FORMAT);
    CHECK("\x93\xdd\x00\x00\x00\x02\x00\x00", ERR_FORMAT); /* each fits alone, together they do not */
}

static void test_every_kind_is_known(void **state)
{
    (void)state;
    CHECK("\xc0", ERR_OK);
    CHECK("\xc2", ERR_OK);
    CHECK("\xc3", ERR_OK);
    CHECK("\x7f", ERR_OK);
    CHECK("\xe0", ERR_OK);
    CHECK("\xcc\x01", ERR_OK);
    CHECK("\xcf\x01\x02\x03\x04\x05\x06\x07\x08", ERR_OK);
    CHECK("\xd3\x01\x02\x03\x04\x05\x06\x07\x08", ERR_OK);
    CHECK("\xcb\x01\x02\x03\x04\x05\x06\x07\x08", ERR_OK);
    CHECK("\xca\x01\x02\x03\x04", ERR_OK);
    CHECK("\xa2hi", ERR_OK);
    CHECK("\xd9\x02hi", ERR_OK);
    CHECK("\xc5\x00\x02hi", ERR_OK);
    CHECK("\xdc\x00\x01\xc0", ERR_OK);
    CHECK("\xde\x00\x01\xc0\xc0", ERR_OK);
    CHECK("\x80", ERR_OK);
}

static void test_what_is_not_used_is_refused(void **state)
{
    (void)state;
    CHECK("\xc1", ERR_FORMAT);
    CHECK("\xc7\x01\x01\x00", ERR_FORMAT); /* ext 8 */
    CHECK("\xd4\x01\x00", ERR_FORMAT);     /* fixext 1 */
    CHECK("\xd8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ERR_FORMAT);
    CHECK("\x00\x00", ERR_FORMAT); /* two objects */
    CHECK("", ERR_FORMAT);
}

static void test_depth(void **state)
{
    (void)state;
    struct prescan found;
    assert_int_equal(check("\x91\x91\x91\x91\x91\x91\x91\x91\x00", 9, &found), ERR_OK);
    assert_int_equal(found.depth, DEPTH_MAX);
    assert_int_equal(found.elements, 9);
    CHECK("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00", ERR_LIMIT);
    CHECK("\x91\x91\x91\x91\x91\x91\x91\x91\x90", ERR_LIMIT);
    CHECK("\x91\x91\x91\x91\x91\x91\x91\x91\x80", ERR_LIMIT);
    assert_int_equal(check("\x92\x91\x90\x81\x00\x91\x00", 7, &found), ERR_OK); /* levels close again */
    assert_int_equal(found.depth, 3);
}

static void test_too_many_elements(void **state)
{
    (void)state;
    struct prescan found;
    size_t size = 5 + ELEMENTS_MAX;
    uint8_t *bytes = calloc(1, size);
    memcpy(bytes, "\xdd\x00\x10\x00\x00", 5);
    assert_int_equal(prescan_check(bytes, size, &found, &why), ERR_LIMIT);
    memcpy(bytes, "\xdd\x00\x0f\xff\xff", 5);
    assert_int_equal(prescan_check(bytes, size - 1, &found, &why), ERR_OK);
    assert_int_equal(found.elements, ELEMENTS_MAX);
    free(bytes);
}

/* Random bytes, weighted to containers: whatever passes, msgpack-c reads as one whole object, and within its
 * elements. */
static void test_msgpack_agrees(void **state)
{
    (void)state;
    struct rng rng;
    uint64_t seed = (uint64_t)time(NULL);
    int passed = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    for (int turn = 0; turn < 200000; turn++) {
        char bytes[24];
        struct prescan found;
        size_t size = 1 + rng_below(&rng, sizeof bytes - 1), offset = 0;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(rng_below(&rng, 3) ? rng_below(&rng, 0xE0) : 0x90 + rng_below(&rng, 4));
        if (check(bytes, size, &found) != ERR_OK)
            continue;
        passed++;
        msgpack_zone zone;
        msgpack_object tree;
        assert_true(msgpack_zone_init(&zone, 4096));
        assert_int_equal(msgpack_unpack(bytes, size, &offset, &zone, &tree), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, size);
        msgpack_zone_destroy(&zone);
    }
    assert_true(passed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bombs_are_refused),           cmocka_unit_test(test_every_kind_is_known),
        cmocka_unit_test(test_what_is_not_used_is_refused), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_too_many_elements),           cmocka_unit_test(test_msgpack_agrees),
    };
    return cmocka_run_group_tests_name("prescan", tests, NULL, NULL);
}
