// SPDX-License-Identifier: Apache-2.0
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

void sha256_bytes(const void *bytes, size_t size, uint8_t digest[SHA256_BYTES])
{
    crypto_hash_sha256(digest, bytes, size);
}

static enum err hash_fd(int fd, const char *path, uint8_t digest[SHA256_BYTES], uint64_t *size_bytes,
                        struct why *why)
{
    uint8_t buffer[READ_BYTES];
    uint64_t total = 0;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
        if (got == 0)
            break;
        crypto_hash_sha256_update(&state, buffer, (size_t)got);
        total += (uint64_t)got;
    }
    crypto_hash_sha256_final(&state, digest);
    if (size_bytes)
        *size_bytes = total;
    return ERR_OK;
}

enum err sha256_file(const char *path, uint8_t digest[SHA256_BYTES], uint64_t *size_bytes, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    enum err err = hash_fd(fd, path, digest, size_bytes, why);
    close(fd);
    return err;
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_MAX])
{
    sodium_bin2hex(hex, SHA256_HEX_MAX, digest, SHA256_BYTES);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err sha256_parse(const char *hex, uint8_t digest[SHA256_BYTES])
{
    if (strlen(hex) != SHA256_HEX_MAX - 1)
        return ERR_FORMAT;
    uint8_t parsed[SHA256_BYTES];
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_FORMAT;
        parsed[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(digest, parsed, SHA256_BYTES);
    return ERR_OK;
}

void mac_compute(const uint8_t key[MAC_KEY_BYTES], const void *bytes, size_t size, uint8_t mac[MAC_BYTES])
{
    _Static_assert(MAC_BYTES == crypto_shorthash_siphashx24_BYTES, "a MAC is what SipHash gives");
    _Static_assert(MAC_KEY_BYTES >= crypto_shorthash_siphashx24_KEYBYTES, "the key is long enough");
    crypto_shorthash_siphashx24(mac, bytes, size, key);
}

int mac_equal(const uint8_t a[MAC_BYTES], const uint8_t b[MAC_BYTES])
{
    return sodium_memcmp(a, b, MAC_BYTES) == 0;
}
