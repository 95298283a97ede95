// SPDX-License-Identifier: Apache-2.0
/* gate - who gets in. A thread answers ZeroMQ's questions (ZAP, RFC 27) about the key of each connection on
 * tcp: a key on the allow list passes, any other is refused before it can say a word. The thread must stand
 * before the first bind: CURVE without a ZAP handler accepts any key.
 *
 *      peer --CURVE handshake--> libzmq --ZAP request--> gate's thread: on the keyring? --200 / 400--> libzmq
 *
 * gate_prove is the self-test at start: it connects with a random key and must be refused. The loop reloads
 * the list when it changed (gate_refresh) and asks what a peer may do by its key (gate_entry). Refusals are
 * counted and told as events of the log: AUTH-KEY-REFUSED for a key that is not on the list.
 *
 * ipc connections are not asked about: the socket's and its folder's mode let only the owner of the state
 * directory in, who holds all keys anyway. They are ROLE_ADMIN. */
#ifndef GATE_H
#define GATE_H

#include "err.h"
#include "keyring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Since the start; for `motley status` and metrics. */
struct gate_counts {
    uint64_t keys_accepted, keys_refused; /* connections */
    uint64_t roles_refused;               /* right key, wrong role or tenant */
    uint64_t lies_refused;     /* results, leases, files that were not theirs; replays; forged MACs */
    uint64_t messages_refused; /* what no honest peer sends: junk, wrong state */
};

struct gate;

/* Make or load the coordinator's key and the key of the state directory's owner, who is put on the list as
 * admin; read the list; start the thread in context. ERR_SYSTEM: something answers ZAP there already. */
MUST_USE enum err gate_new(void *context, const char *state_dir, bool keyed, struct gate **gate,
                           struct why *why);
void gate_free(struct gate **gate); /* before the context ends */

const struct key *gate_key(const struct gate *gate);

/* Connect to url (our own, as bound) with a fresh random key and the right server key: refused is ERR_OK.
 * ERR_REFUSED: it got in, do not serve; ERR_TIMEOUT: neither was seen in seconds, so nothing is proven. */
MUST_USE enum err gate_prove(struct gate *gate, const char *url, struct why *why);

/* Reload if the folder changed, or anyhow (force: also files that were edited in place). True: the list was
 * read anew, and peers that are no longer on it must be dropped. One that cannot be read leaves the former
 * one in force; why then says so, else its text is "" or the first entry that was damaged. */
bool gate_refresh(struct gate *gate, bool force, struct why *why);

/* The thread reads the list, too, before it sends someone away: take over what it found. True: it is a new
 * one. A cheap call, for when a new peer speaks. */
bool gate_follow(struct gate *gate);

/* NULL: not (or no longer) allowed. Valid until the next gate_refresh or gate_follow. */
const struct keyring_entry *gate_entry(const struct gate *gate, const uint8_t public_half[KEY_BYTES]);

/* The next refusal to be logged ("key ... from 10.0.0.7"), at most a few a second; false: none. */
bool gate_refusal(struct gate *gate, char *text, size_t max);

/* The loop's to count in, but for the first two, which are as of this call. */
struct gate_counts *gate_counts(struct gate *gate);

size_t gate_keys_count(const struct gate *gate); /* on the list, with the open invitations */
size_t gate_invitations_count(const struct gate *gate);

#endif
