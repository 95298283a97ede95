// SPDX-License-Identifier: Apache-2.0
#include "sha256.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* FIPS 180-4, example "abc". */
static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void test_known_digest(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES], parsed[SHA256_BYTES];
    char hex[SHA256_HEX_MAX];
    sha256_bytes("abc", 3, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, abc_hex);
    assert_int_equal(sha256_parse(hex, parsed), ERR_OK);
    assert_memory_equal(parsed, digest, SHA256_BYTES);
}

static void test_parse_refuses_everything_else(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    char text[80];
    assert_int_equal(sha256_parse("", digest), ERR_FORMAT);
    snprintf(text, sizeof text, "%s0", abc_hex);
    assert_int_equal(sha256_parse(text, digest), ERR_FORMAT);
    snprintf(text, sizeof text, "%s", abc_hex);
    text[63] = 0;
    assert_int_equal(sha256_parse(text, digest), ERR_FORMAT);
    for (const char *bad = "g/:@`G -x"; *bad; bad++) {
        snprintf(text, sizeof text, "%s", abc_hex);
        text[31] = *bad;
        assert_int_equal(sha256_parse(text, digest), ERR_FORMAT);
    }
    snprintf(text, sizeof text, "%s", abc_hex);
    text[0] = 'B';
    assert_int_equal(sha256_parse(text, digest), ERR_OK);
}

static void test_file_digest_equals_bytes_digest(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    uint8_t whole[SHA256_BYTES], digest[SHA256_BYTES];
    uint64_t size = 0;
    char path[64];
    memset(bytes, 'm', sizeof bytes);
    int fd = memfd_create("blob", 0);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(sha256_file(path, digest, &size, NULL), ERR_OK);
    assert_int_equal(size, sizeof bytes);
    sha256_bytes(bytes, sizeof bytes, whole);
    assert_memory_equal(digest, whole, SHA256_BYTES);
    close(fd);
}

static void test_absent_file(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    uint64_t size;
    struct why why;
    assert_int_equal(sha256_file("/nonexistent/model.onnx", digest, &size, &why), ERR_FILE);
    assert_non_null(strstr(why.text, "/nonexistent/model.onnx"));
    assert_int_equal(sha256_file("/", digest, &size, &why), ERR_FILE);
}

static void test_mac_depends_on_key_and_bytes(void **state)
{
    (void)state;
    uint8_t key[MAC_KEY_BYTES] = { 1 }, other[MAC_KEY_BYTES] = { 2 };
    uint8_t a[MAC_BYTES], b[MAC_BYTES];
    mac_compute(key, "lease", 5, a);
    mac_compute(key, "lease", 5, b);
    assert_true(mac_equal(a, b));
    mac_compute(other, "lease", 5, b);
    assert_false(mac_equal(a, b));
    mac_compute(key, "leasf", 5, b);
    assert_false(mac_equal(a, b));
    memcpy(b, a, MAC_BYTES);
    b[MAC_BYTES - 1] ^= 1;
    assert_false(mac_equal(a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digest),
        cmocka_unit_test(test_parse_refuses_everything_else),
        cmocka_unit_test(test_file_digest_equals_bytes_digest),
        cmocka_unit_test(test_absent_file),
        cmocka_unit_test(test_mac_depends_on_key_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
