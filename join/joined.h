// SPDX-License-Identifier: Apache-2.0
/* joined - what a state directory remembers of the coordinator that it joined: <state>/joined.json
 *
 *      {"url":"tcp://10.0.0.5:7117","server_key":"<40
 * letters>","token":"<40>","role":"worker","name":"gpu-1", "joined_at":"2026-11-22T18:00:00.000Z"}
 *
 * token is the public half of the one-time key that was used: the same line, pasted again, is known by it.
 * Nothing in it is secret. Any thread. */
#ifndef JOINED_H
#define JOINED_H

#include "invite.h"
#include "role.h"

#include <stdint.h>

enum { JOINED_NAME_MAX = 128 };

struct joined {
    char url[ENDPOINT_MAX];
    char server_key[KEY_TEXT_MAX], token[KEY_TEXT_MAX];
    enum role role;
    char name[JOINED_NAME_MAX];
    int64_t joined_us; /* wall clock */
};

/* ERR_NOT_FOUND: it joined none. ERR_FORMAT: the file is damaged. */
MUST_USE enum err joined_read(const char *state_dir, struct joined *joined, struct why *why);

/* Replace the record, and keys/coordinator.public with it unless a coordinator of its own lives in state_dir.
 */
MUST_USE enum err joined_write(const char *state_dir, const struct joined *joined, struct why *why);

/* Was it this very invitation that was used? */
bool joined_by(const struct joined *joined, const struct invite *invite);

/* The key of the coordinator at url if that is the one that was joined and $MOTLEY_COORDINATOR_KEY does not
 * say otherwise; else NULL. What identity_find takes where the user gave no key. */
const char *joined_key(const char *state_dir, const char *url, char text[KEY_TEXT_MAX]);

#endif
