// SPDX-License-Identifier: Apache-2.0
/* invite - the line that lets a machine in, as `motley key invite` prints it and a person pastes it:
 *
 *      motley-worker join tcp://10.0.0.5:7117#<SERVERKEY, 40 characters>.<TOKEN, 40 characters>
 *                         URL                 the coordinator's public key  secret half of a one-time key
 *
 * Z85 has '.' and '#' among its letters, so the parts are found from the end by their place, never by a
 * search. Keys are drawn so that a shell leaves them alone; where the URL needs quotes (IPv6's brackets) the
 * line has them. Pure. */
#ifndef INVITE_H
#define INVITE_H

#include "endpoint.h"
#include "key.h"

#include <stdbool.h>
#include <stddef.h>

enum { INVITE_MAX = ENDPOINT_MAX + 2 * KEY_TEXT_MAX, INVITE_LINE_MAX = INVITE_MAX + KEY_TEXT_MAX + 64 };

struct invite {
    char url[ENDPOINT_MAX];
    bool has_server, has_token; /* which of these were given */
    uint8_t server_half[KEY_BYTES];
    struct key token;
};

/* URL#SERVERKEY.TOKEN, all of it. ERR_USAGE says what is missing. Blanks around and the words before it, when
 * the whole line is one argument, do no harm. */
MUST_USE enum err invite_parse(const char *text, struct invite *invite, struct why *why);

/* The same, where SERVERKEY and TOKEN may be absent: what `motley doctor` takes. */
MUST_USE enum err invite_parse_place(const char *text, struct invite *invite, struct why *why);

/* The whole line, without a line feed; program is "motley-worker" or "motley". has_token must be set. */
void invite_print(const struct invite *invite, const char *program, char line[INVITE_LINE_MAX]);

/* URL#SERVERKEY alone, for `motley doctor`. */
void invite_print_place(const struct invite *invite, char text[INVITE_MAX]);

void invite_wipe(struct invite *invite);

#endif
