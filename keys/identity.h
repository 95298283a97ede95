// SPDX-License-Identifier: Apache-2.0
/* identity - with which keys a worker or client speaks to a coordinator: its own pair and the coordinator's
 * public half. Any thread; what it makes on disk is made once.
 *
 *      url         own key                          the coordinator's key
 *      ipc://...   none is needed                   none is needed
 *      tcp://...   <state>/keys/own.secret, made    given, else $MOTLEY_COORDINATOR_KEY, else
 *                  if absent                        <state>/keys/coordinator.public */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "key.h"

struct identity {
    bool keyed; /* false: url is ipc, the rest is zero, pass no keys to wire_connect */
    struct key own;
    uint8_t server_half[KEY_BYTES];
};

/* server_key: what the user gave as the coordinator's key (40 characters, or a file that holds them), or
 * NULL. ERR_USAGE: no key of the coordinator is known, saying how to get it; or what was given is none.
 * Others as key_ensure. */
MUST_USE enum err identity_find(const char *state_dir, const char *url, const char *server_key,
                                struct identity *identity, struct why *why);

/* The coordinator's key alone, by the same rule. */
MUST_USE enum err identity_server(const char *state_dir, const char *url, const char *server_key,
                                  uint8_t server_half[KEY_BYTES], struct why *why);

void identity_wipe(struct identity *identity);

#endif
