// SPDX-License-Identifier: Apache-2.0
#include "proof.h"

#include <string.h>

enum { CLAIM_BYTES = 4 * 8 + 2 * 4 + UUID_BYTES };

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

/* Byte by byte and of fixed width: a struct's padding and byte order must not be part of what a MAC means. */
static void claim(const struct proof *proof, uint8_t bytes[CLAIM_BYTES])
{
    uint8_t *at = bytes;
    at = put(at, proof->job, 8);
    at = put(at, proof->first, 8);
    at = put(at, proof->term, 8);
    at = put(at, proof->attempt, 8);
    at = put(at, proof->count, 4);
    at = put(at, proof->slot, 4);
    memcpy(at, proof->worker, UUID_BYTES);
}

void proof_make(const struct proof *proof, const uint8_t key[MAC_KEY_BYTES], uint8_t mac[MAC_BYTES])
{
    uint8_t bytes[CLAIM_BYTES];
    claim(proof, bytes);
    mac_compute(key, bytes, sizeof bytes, mac);
}

bool proof_holds(const struct proof *proof, const uint8_t key[MAC_KEY_BYTES], const uint8_t mac[MAC_BYTES])
{
    uint8_t right[MAC_BYTES];
    proof_make(proof, key, right);
    return mac_equal(right, mac) != 0;
}
