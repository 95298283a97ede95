// SPDX-License-Identifier: Apache-2.0
/* keyring - the allow list: whose keys may connect, as what. A folder with one small file per key
 * (<state>/keys/allowed/<64 hex digits of the public key>.json), each written whole by rename, so that
 * `motley key` and the coordinator change it without a lock and no reader sees half of one.
 *
 * A `struct keyring` is what was read at one moment: immutable, sorted by key. Readers on several threads
 * share it by counting references; whoever reloads makes a new one. A damaged file counts as absent and is
 * told by keyring_damage: who is in doubt stays out. */
#ifndef KEYRING_H
#define KEYRING_H

#include "key.h"
#include "role.h"

#include <stddef.h>
#include <stdint.h>

enum { KEYRING_TENANTS_MAX = 16, KEYRING_NAME_MAX = 128, KEYRING_TENANT_MAX = 64, KEYRING_KEYS_MAX = 100000 };

struct keyring_entry {
    uint8_t public_half[KEY_BYTES];
    enum role role;
    enum role invited_as;         /* INVITED: what JOIN makes of it */
    char name[KEYRING_NAME_MAX];  /* for people; may be empty */
    int64_t added_us, expires_us; /* wall clock; expires 0 = never */
    uint32_t tenants_count;       /* CLIENT, READ_ONLY: the first is the default; 0 = the tenant "default" */
    char tenants[KEYRING_TENANTS_MAX][KEYRING_TENANT_MAX];
};

struct keyring;

/* Read all of state_dir's allow list. An absent folder is an empty list. */
MUST_USE enum err keyring_read(const char *state_dir, struct keyring **keyring, struct why *why);
struct keyring *keyring_hold(struct keyring *keyring); /* one more reference; thread-safe */
void keyring_free(struct keyring **keyring);

/* NULL: not allowed, or its time is over. Valid as long as the keyring. */
const struct keyring_entry *keyring_find(const struct keyring *keyring, const uint8_t public_half[KEY_BYTES],
                                         int64_t now_us);
size_t keyring_count(const struct keyring *keyring);
size_t keyring_invitations(const struct keyring *keyring); /* of them: INVITED */
const struct keyring_entry *keyring_at(const struct keyring *keyring, size_t index);
const char *keyring_damage(
    const struct keyring *keyring); /* the first file that could not be read; "" = none */

/* Is the folder as it was when keyring was read? One stat. Changes within the same clock tick are found, too
 * (inode, size and both times of the folder; a doubtful tick counts as changed). */
bool keyring_is_fresh(const struct keyring *keyring);

/* Change the folder: durable on return. add replaces the entry of the same key. drop: ERR_NOT_FOUND. */
MUST_USE enum err keyring_add(const char *state_dir, const struct keyring_entry *entry, struct why *why);
MUST_USE enum err keyring_drop(const char *state_dir, const uint8_t public_half[KEY_BYTES], struct why *why);

/* May this key's holder act for that tenant? "" = its default, which is written to chosen. */
MUST_USE enum err keyring_tenant(const struct keyring_entry *entry, const char *asked,
                                 char chosen[KEYRING_TENANT_MAX], struct why *why);

/* Does this key's holder see jobs of that tenant ("" = default)? NULL sees all, and so do ADMIN, and
 * READ_ONLY without tenants. */
bool keyring_sees(const struct keyring_entry *entry, const char *tenant);

#endif
