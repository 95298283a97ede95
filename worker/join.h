// SPDX-License-Identifier: Apache-2.0
/* join - `motley-worker join URL#SERVERKEY.TOKEN`: come in by an invitation (admission.h), then be a worker
 * as usual; and with which keys a worker speaks. */
#ifndef JOIN_H
#define JOIN_H

#include "identity.h"
#include "joined.h"

#include <stdbool.h>

struct join_wish {
    const char *line;      /* URL#SERVERKEY.TOKEN */
    const char *name;      /* of this worker; NULL = the host's */
    const char *state_dir; /* absolute */
    uint64_t timeout_us;
};

/* Done, or done before. url receives where to connect. After a failure that the way is to blame for it says
 * on stderr how to test it. */
MUST_USE enum err join_in(const struct join_wish *wish, char url[], size_t url_max, struct why *why);

/* The coordinator that this state directory joined, else the one that runs in it; url: ENDPOINT_MAX.
 * ERR_USAGE: none, saying how to name one. */
MUST_USE enum err join_remembered(const char *state_dir, char url[], size_t url_max, struct why *why);

/* What the machine was called when it joined url; false: it did not, or was not. */
bool join_name(const char *state_dir, const char *url, char name[JOINED_NAME_MAX]);

/* The keys for url: server_key as the user gave it, or NULL. */
MUST_USE enum err join_keys(const char *state_dir, const char *url, const char *server_key,
                            struct identity *identity, struct why *why);

#endif
