// SPDX-License-Identifier: Apache-2.0
/* dialogue - which message may come when, per peer: default deny. Pure. The table in dialogue.c is the one in
 * protocol.md.
 *
 *              HELLO            WELCOME sent
 *      NEW ------------> (loop) ------------> WORKER --BYE--> CLOSED
 *       '- CLIENT_HELLO -> (loop) ----------> CLIENT
 *       '- JOIN: answered, and nothing more
 *
 * Both sides use it: the coordinator judges what a peer sends, a worker or a client judges what the
 * coordinator sends. */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include "messages.h"

enum dialogue_state {
    DIALOGUE_NEW = 0, /* coordinator's view of a peer that has said nothing yet */
    DIALOGUE_WORKER,
    DIALOGUE_CLIENT,
    DIALOGUE_CLOSED,
    DIALOGUE_GREETING_WORKER, /* a worker's view: HELLO sent, WELCOME awaited */
    DIALOGUE_SERVING,         /* a worker's view after WELCOME */
    DIALOGUE_GREETING_CLIENT, /* a client's view: CLIENT_HELLO sent */
    DIALOGUE_ASKING,          /* a client's view after CLIENT_WELCOME */
    DIALOGUE_JOINING,         /* the view of one who was invited: JOIN sent */
};

/* May a message of this type arrive in this state? */
bool dialogue_allows(enum dialogue_state state, enum message_type type);

const char *dialogue_name(enum dialogue_state state);

#endif
