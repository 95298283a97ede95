// SPDX-License-Identifier: Apache-2.0
/* access - what the peers of this coordinator may do: the wire says whose key a message came by, the gate's
 * list what that key is for, permit.h which messages that allows. Peers on ipc are the owner: admins.
 *
 *      first message --access_permits--> refused | taken --access_note--> peer.role
 *      later ones    --access_permits--> refused | taken
 *      list changed  --access_turn-----> who is no longer on it, or is something else now, is lost at once
 *
 * What is refused is counted in gate_counts and logged with a stable id: AUTH-KEY-REFUSED (not on the list),
 * AUTH-ROLE-REFUSED, AUTH-TENANT-REFUSED, WORKER-LIES, MESSAGE-REFUSED. */
#ifndef ACCESS_H
#define ACCESS_H

#include "coordinator.h"
#include "gate.h"

/* May its sender say this? peer NULL: it is a connection's first word. If not, it was answered. */
bool access_permits(struct coordinator *coordinator, const struct peer *peer, const struct wire_in *in);

/* The first word was taken and the peer has an entry: keep in it whose it is. */
void access_note(struct coordinator *coordinator, const struct wire_in *in);

/* The role of the sender's key now; NONE: it has none (any more). */
enum role access_role(const struct coordinator *coordinator, const struct wire_in *in);

/* The key that a message came by; all zero on ipc. */
void access_key(const struct wire_in *in, uint8_t key[KEY_BYTES]);

/* With whose eyes this peer sees jobs (keyring_sees). NULL: all of them. Valid until the next access_turn. */
const struct keyring_entry *access_viewer(const struct coordinator *coordinator, wire_peer id);

/* For which tenant the peer acts when it asks for that one. chosen is what was asked where any is allowed.
 * ERR_REFUSED: counted and logged. */
MUST_USE enum err access_tenant(struct coordinator *coordinator, wire_peer id, const char *asked,
                                char chosen[KEYRING_TENANT_MAX], struct why *why);

/* A worker that says what cannot be true: counted, logged, and nothing else. */
void access_lie(struct coordinator *coordinator, const struct worker *worker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* MESSAGE_JOIN of one who was invited. */
void access_join(struct coordinator *coordinator, struct wire_in *in);

/* Look at the list if it changed (reload: anyhow), drop who may not stay, log who was refused. Each sweep. */
void access_turn(struct coordinator *coordinator, bool reload);

#endif
