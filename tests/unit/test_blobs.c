// SPDX-License-Identifier: Apache-2.0
#include "blobs.h"

#include "store_fixture.h"

enum { SIZE = 1000000, PIECE = 70000 };

static uint8_t bytes[SIZE], digest[SHA256_BYTES];
static char whole_path[FIXTURE_PATH_MAX], part_path[FIXTURE_PATH_MAX + 8];

static int setup(void **state)
{
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    sha256_bytes(bytes, SIZE, digest);
    int result = fixture_setup(state);
    blobs_path(fixture_dir, digest, whole_path, sizeof whole_path);
    snprintf(part_path, sizeof part_path, "%s.part", whole_path);
    return result;
}

static struct blobs *new_blobs(void)
{
    struct blobs *blobs;
    struct why why;
    if (blobs_new(fixture_dir, &blobs, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return blobs;
}

static enum err put(struct blobs *blobs, size_t offset, size_t size, uint64_t *held)
{
    struct why why = { "" };
    enum err err = blobs_put(blobs, digest, offset, SIZE, bytes + offset, size, held, &why);
    if ((err != ERR_OK) != (why.text[0] != 0))
        fail_msg("%s: '%s'", err_name(err), why.text);
    return err;
}

/* Send pieces from byte from to byte to. */
static void send_span(struct blobs *blobs, size_t from, size_t to)
{
    uint64_t held;
    while (from < to) {
        size_t size = to - from < PIECE ? to - from : PIECE;
        assert_int_equal(put(blobs, from, size, &held), ERR_OK);
        assert_true(held >= from + size);
        from += size;
    }
}

static void expect_whole(void)
{
    uint64_t size = 0;
    assert_true(blobs_find(fixture_dir, digest, &size));
    assert_int_equal(size, SIZE);
    fixture_expect_file(whole_path, bytes, SIZE);
    assert_false(fixture_exists(part_path));
}

static void test_pieces(void **state)
{
    (void)state;
    uint64_t size, held;
    struct blobs *blobs = new_blobs();
    send_span(blobs, 0, SIZE - 1);
    assert_false(blobs_find(fixture_dir, digest, &size));
    send_span(blobs, SIZE - 1, SIZE);
    expect_whole();
    assert_int_equal(put(blobs, 0, PIECE, &held), ERR_OK); /* sent again: it is there */
    assert_int_equal(held, SIZE);
    blobs_free(&blobs);
}

static void test_out_of_order(void **state)
{
    (void)state;
    uint64_t held;
    struct why why;
    struct blobs *blobs = new_blobs();
    send_span(blobs, 0, PIECE);
    assert_int_equal(blobs_put(blobs, digest, 2 * PIECE, SIZE, bytes, 10, &held, &why), ERR_FORMAT);
    assert_int_equal(held, PIECE);
    assert_non_null(strstr(why.text, "70000 bytes of the blob are held"));
    assert_int_equal(blobs_put(blobs, digest, SIZE - 5, SIZE, bytes, 10, &held, &why), ERR_FORMAT);
    assert_int_equal(blobs_put(blobs, digest, UINT64_MAX, SIZE, bytes, 10, &held, &why), ERR_FORMAT);
    assert_int_equal(blobs_put(blobs, digest, PIECE, SIZE + 1, bytes, 10, &held, &why), ERR_FORMAT);
    assert_int_equal(blobs_put(blobs, digest, 5, SIZE, bytes, 10, &held, &why), ERR_FORMAT); /* disagrees */
    assert_non_null(strstr(why.text, "disagrees"));
    send_span(blobs, PIECE, SIZE);
    expect_whole();
    blobs_free(&blobs);
}

/* Two clients send the same blob, in turn and with pieces of other sizes. */
static void test_two_at_once(void **state)
{
    (void)state;
    uint64_t held;
    struct blobs *blobs = new_blobs();
    send_span(blobs, 0, 5 * PIECE);
    assert_int_equal(put(blobs, 0, 100, &held), ERR_OK);
    assert_int_equal(held, 5 * PIECE);
    assert_int_equal(put(blobs, 100, 5 * PIECE, &held), ERR_OK); /* partly held */
    assert_int_equal(held, 5 * PIECE + 100);
    assert_int_equal(put(blobs, 5 * PIECE, PIECE, &held), ERR_OK); /* the first one goes on */
    send_span(blobs, 5 * PIECE + 100, SIZE);
    expect_whole();
    assert_int_equal(put(blobs, 6 * PIECE, PIECE, &held), ERR_OK);
    assert_int_equal(held, SIZE);
    blobs_free(&blobs);
}

static void test_wrong_bytes(void **state)
{
    (void)state;
    uint64_t held, size;
    struct blobs *blobs = new_blobs();
    bytes[12] ^= 1;
    send_span(blobs, 0, 5 * PIECE);
    bytes[12] ^= 1;
    assert_int_equal(put(blobs, 0, PIECE, &held), ERR_OK); /* differs at its start: begins anew */
    assert_int_equal(held, PIECE);
    bytes[PIECE + 3] ^= 1;
    send_span(blobs, PIECE, 14 * PIECE);
    bytes[PIECE + 3] ^= 1;
    assert_int_equal(put(blobs, 14 * PIECE, SIZE - 14 * PIECE, &held), ERR_FORMAT); /* the digest tells */
    assert_int_equal(held, 0);
    assert_false(blobs_find(fixture_dir, digest, &size));
    assert_false(fixture_exists(part_path));
    send_span(blobs, 0, SIZE);
    expect_whole();
    blobs_free(&blobs);
}

static void test_resumed_after_restart(void **state)
{
    (void)state;
    uint64_t held;
    struct blobs *blobs = new_blobs();
    send_span(blobs, 0, 9 * PIECE);
    blobs_free(&blobs);
    blobs = new_blobs();
    assert_int_equal(put(blobs, 10 * PIECE, PIECE, &held), ERR_FORMAT);
    assert_int_equal(held, 9 * PIECE);
    send_span(blobs, 9 * PIECE, SIZE);
    expect_whole();
    blobs_free(&blobs);
}

/* A power cut left zeros where bytes were: the same client, sending again from the start, gets through. */
static void test_resumed_after_a_power_cut(void **state)
{
    (void)state;
    static const uint8_t zeros[5000];
    struct blobs *blobs = new_blobs();
    uint64_t held;
    send_span(blobs, 0, 8 * PIECE);
    blobs_free(&blobs);
    int fd = open(part_path, O_RDWR);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 3 * PIECE + 77), sizeof zeros);
    close(fd);
    blobs = new_blobs();
    send_span(blobs, 0, 4 * PIECE);
    /* What was received in this life is not let go of. */
    assert_int_equal(
        blobs_put(blobs, digest, 2 * PIECE, SIZE, zeros, sizeof zeros, &held, &(struct why){ "" }),
        ERR_FORMAT);
    send_span(blobs, 4 * PIECE, SIZE);
    expect_whole();
    blobs_free(&blobs);
}

static void test_old_parts_go(void **state)
{
    (void)state;
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct blobs *blobs = new_blobs();
    send_span(blobs, 0, PIECE);
    blobs_free(&blobs);
    assert_int_equal(utimensat(AT_FDCWD, part_path, times, 0), 0);
    blobs = new_blobs();
    assert_false(fixture_exists(part_path));
    blobs_free(&blobs);
}

static void test_empty(void **state)
{
    (void)state;
    uint8_t empty[SHA256_BYTES];
    uint64_t held, size = 1;
    struct why why;
    struct blobs *blobs = new_blobs();
    sha256_bytes("", 0, empty);
    assert_int_equal(blobs_put(blobs, empty, 0, 0, "", 0, &held, &why), ERR_OK);
    assert_true(blobs_find(fixture_dir, empty, &size));
    assert_int_equal(size, 0);
    blobs_free(&blobs);
}

/* More uploads than are held open. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = BLOBS_UPLOADS_MAX + 20 };
    uint8_t digests[MANY][SHA256_BYTES];
    uint64_t held;
    struct why why;
    struct blobs *blobs = new_blobs();
    for (size_t i = 0; i < MANY; i++)
        sha256_bytes(bytes + i, 1000, digests[i]);
    for (size_t half = 0; half < 1000; half += 500)
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal(blobs_put(blobs, digests[i], half, 1000, bytes + i + half, 500, &held, &why),
                             ERR_OK);
    for (size_t i = 0; i < MANY; i++)
        assert_true(blobs_find(fixture_dir, digests[i], &held));
    blobs_free(&blobs);
}

static void test_full_disk(void **state)
{
    (void)state;
    uint64_t held;
    struct why why;
    struct stat status;
    if (!fixture_mount(fixture_dir, 1))
        return;
    struct blobs *blobs = new_blobs();
    assert_int_equal(blobs_put(blobs, digest, 0, 2 << 20, bytes, PIECE, &held, &why), ERR_FULL);
    assert_int_equal(put(blobs, 0, PIECE, &held), ERR_OK);
    int hog = open(fixture_path("hog"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(hog, bytes, 65536) > 0)
        continue;
    close(hog);
    assert_int_equal(put(blobs, PIECE, 3 * PIECE, &held), ERR_FULL);
    assert_int_equal(held, PIECE);
    assert_int_equal(stat(part_path, &status), 0);
    assert_int_equal(status.st_size, PIECE); /* what was written in part is taken back */
    assert_int_equal(unlink(fixture_path("hog")), 0);
    assert_int_equal(put(blobs, PIECE, 3 * PIECE, &held), ERR_OK);
    assert_int_equal(held, 4 * PIECE);
    blobs_free(&blobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pieces, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_two_at_once, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_bytes, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_resumed_after_restart, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_resumed_after_a_power_cut, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_old_parts_go, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
