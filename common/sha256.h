// SPDX-License-Identifier: Apache-2.0
/* sha256 - content addresses of blobs, and keyed short MACs, over libsodium. Thread-safe. */
#ifndef SHA256_H
#define SHA256_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_HEX_MAX = 65, MAC_BYTES = 16, MAC_KEY_BYTES = 32 };

void sha256_bytes(const void *bytes, size_t size, uint8_t digest[SHA256_BYTES]);
MUST_USE enum err sha256_file(const char *path, uint8_t digest[SHA256_BYTES], uint64_t *size_bytes,
                              struct why *why);
void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_MAX]);
MUST_USE enum err sha256_parse(const char *hex,
                               uint8_t digest[SHA256_BYTES]); /* 64 hex digits, nothing else */

/* SipHash-2-4 of 128 bits under the first half of key, made for short messages (Aumasson and Bernstein, 2012;
 * docs/decisions/0008-siphash.md), and its comparison in constant time. */
void mac_compute(const uint8_t key[MAC_KEY_BYTES], const void *bytes, size_t size, uint8_t mac[MAC_BYTES]);
int mac_equal(const uint8_t a[MAC_BYTES], const uint8_t b[MAC_BYTES]);

#endif
