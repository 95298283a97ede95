// SPDX-License-Identifier: Apache-2.0
/* keyed - keys for the tests of a coordinator: made once in a process, as making some that are good to paste
 * takes its time; and the list that they are on. */
#ifndef KEYED_H
#define KEYED_H

#include "keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

/* Any pair will do where nobody reads it. */
static inline struct key keyed_make(void)
{
    struct key key;
    assert_int_equal(crypto_box_keypair(key.public_half, key.secret_half), 0);
    return key;
}

/* The coordinator's key (0) and that of its state directory's owner (1). */
static inline const struct key *keyed_house(int which)
{
    static struct key keys[2];
    static const struct key none;
    if (memcmp(&keys[which], &none, sizeof none) == 0)
        keys[which] = keyed_make();
    return &keys[which];
}

/* Before a coordinator is started in a fresh state directory: it finds these instead of making its own. */
static inline void keyed_seed(const char *state_dir)
{
    static const char *const names[] = { "coordinator.secret", "own.secret" };
    char path[512];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(key_path(state_dir, names[i], path, sizeof path, NULL), ERR_OK);
        assert_int_equal(key_save(path, keyed_house(i), NULL), ERR_OK);
    }
}

static inline void keyed_allow(const char *state_dir, const struct key *key, enum role role,
                               const char *tenant)
{
    struct keyring_entry entry = { .role = role, .added_us = 1 };
    memcpy(entry.public_half, key->public_half, KEY_BYTES);
    if (tenant) {
        entry.tenants_count = 1;
        snprintf(entry.tenants[0], KEYRING_TENANT_MAX, "%s", tenant);
    }
    assert_int_equal(keyring_add(state_dir, &entry, NULL), ERR_OK);
}

#endif
