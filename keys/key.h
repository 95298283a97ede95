// SPDX-License-Identifier: Apache-2.0
/* key - a CURVE key pair (Curve25519): who a peer is on a socket. The public half is its identity everywhere:
 * in the allow list, in logs, under a lease's MAC. People see it as Z85 (ZeroMQ RFC 32): 40 characters.
 *
 * Keys that are made here are drawn again until the text of either half needs no quoting in a shell, so that
 * what a person pastes is what was printed; that costs 10 bits of 256.
 *
 * Files: the secret half alone, as text, mode 0600. A file that others can read or write, that is not ours or
 * no plain file, is refused: a key that leaked is worse than none. Thread-safe after key_start. */
#ifndef KEY_H
#define KEY_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32, KEY_TEXT_MAX = 41 /* 40 characters and the zero */ };

struct key {
    uint8_t public_half[KEY_BYTES], secret_half[KEY_BYTES];
};

/* A fresh pair. ERR_SYSTEM: no randomness. */
MUST_USE enum err key_make(struct key *key, struct why *why);

/* 40 characters of Z85 <-> 32 bytes. ERR_USAGE says what was wrong; one pair of quotes around is taken off.
 */
MUST_USE enum err key_parse(const char *text, uint8_t half[KEY_BYTES], struct why *why);
void key_text(const uint8_t half[KEY_BYTES], char text[KEY_TEXT_MAX]);

/* A public key as people give it: the 40 characters, or a file that holds them (KEY|FILE of CONTRACT). */
MUST_USE enum err key_given(const char *text_or_path, uint8_t public_half[KEY_BYTES], struct why *why);

/* ERR_NOT_FOUND: no such file. ERR_REFUSED: looser than 0600, or not ours. ERR_FORMAT: no key in it. */
MUST_USE enum err key_load(const char *path, struct key *key, struct why *why);

/* Save the secret half at path and the public half at path with ".public" in place of ".secret" (0644). An
 * existing file is never replaced: ERR_REFUSED. */
MUST_USE enum err key_save(const char *path, const struct key *key, struct why *why);

/* Load, or make and save if there is none; two processes that do it at once end with the same key. */
MUST_USE enum err key_ensure(const char *path, struct key *key, struct why *why);

bool key_same(const uint8_t one[KEY_BYTES], const uint8_t other[KEY_BYTES]); /* in constant time */
void key_wipe(struct key *key);

/* Where the keys of a state directory are: <state>/keys/coordinator.secret, own.secret, and their .public.
 * coordinator.public may stand alone: a worker or client that joined a coordinator elsewhere. */
MUST_USE enum err key_path(const char *state_dir, const char *name, char *path, size_t max, struct why *why);

#endif
