// SPDX-License-Identifier: Apache-2.0
#include "proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[MAC_KEY_BYTES] = { 1, 2, 3 };

static struct proof lease(void)
{
    return (struct proof){
        .job = 1, .first = 2, .term = 3, .attempt = 4, .count = 5, .slot = 6, .worker = { 7, 8 }
    };
}

static void a_lease_proves_itself(void **state)
{
    (void)state;
    struct proof proof = lease();
    uint8_t mac[MAC_BYTES];
    proof_make(&proof, key, mac);
    assert_true(proof_holds(&proof, key, mac));
}

/* Every byte of what is claimed is under the MAC, but for the padding of the struct. */
static void nothing_of_it_can_be_changed(void **state)
{
    (void)state;
    const struct {
        size_t at, size;
    } fields[] = {
        { offsetof(struct proof, job), 8 },
        { offsetof(struct proof, first), 8 },
        { offsetof(struct proof, term), 8 },
        { offsetof(struct proof, attempt), 8 },
        { offsetof(struct proof, count), 4 },
        { offsetof(struct proof, slot), 4 },
        { offsetof(struct proof, worker), UUID_BYTES },
    };
    struct proof right = lease();
    uint8_t mac[MAC_BYTES];
    proof_make(&right, key, mac);
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
        for (size_t i = 0; i < fields[f].size; i++) {
            struct proof wrong = right;
            ((uint8_t *)&wrong)[fields[f].at + i] ^= 0x10;
            assert_false(proof_holds(&wrong, key, mac));
        }
}

static void another_key_or_mac_is_refused(void **state)
{
    (void)state;
    struct proof proof = lease();
    uint8_t mac[MAC_BYTES], other[MAC_KEY_BYTES] = { 1, 2, 4 };
    proof_make(&proof, key, mac);
    assert_false(proof_holds(&proof, other, mac));
    for (int i = 0; i < MAC_BYTES; i++) {
        mac[i] ^= 1;
        assert_false(proof_holds(&proof, key, mac));
        mac[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_proves_itself),
        cmocka_unit_test(nothing_of_it_can_be_changed),
        cmocka_unit_test(another_key_or_mac_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
