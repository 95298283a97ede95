// SPDX-License-Identifier: Apache-2.0
#include "dialogue.h"

#define BIT(type) ((uint64_t)1 << MESSAGE_##type)

static const struct {
    const char *name;
    uint64_t allowed; /* a bit per message type */
} states[] = {
    [DIALOGUE_NEW] = { "NEW", BIT(HELLO) | BIT(CLIENT_HELLO) | BIT(JOIN) },
    [DIALOGUE_WORKER] = { "WORKER", BIT(PROOF) | BIT(LOADED) | BIT(RESULTS) | BIT(RETURNED) | BIT(HEARTBEAT) |
                                        BIT(FETCH) | BIT(BYE) },
    [DIALOGUE_CLIENT] = { "CLIENT", BIT(SUBMIT) | BIT(VIEW) | BIT(CANCEL) | BIT(BLOB_FIND) | BIT(BLOB_PUT) |
                                        BIT(MODEL_ADD) | BIT(OUTPUT_GET) | BIT(DRAIN) | BIT(INFER) |
                                        BIT(CHANGE) | BIT(REMOVE) | BIT(RETRY) },
    [DIALOGUE_CLOSED] = { "CLOSED", 0 },
    [DIALOGUE_GREETING_WORKER] = { "GREETING_WORKER", BIT(WELCOME) | BIT(REFUSED) },
    [DIALOGUE_SERVING] = { "SERVING", BIT(JOBS) | BIT(LOAD) | BIT(LEASES) | BIT(RECALL) | BIT(ACKS) |
                                          BIT(PIECE) | BIT(FORGET) | BIT(UNLOAD) | BIT(PREFETCH) |
                                          BIT(DRAINING) | BIT(PULSE) | BIT(REFUSED) },
    [DIALOGUE_GREETING_CLIENT] = { "GREETING_CLIENT", BIT(CLIENT_WELCOME) | BIT(REFUSED) },
    [DIALOGUE_ASKING] = { "ASKING", BIT(REPLY) | BIT(INFERRED) | BIT(REFUSED) },
    [DIALOGUE_JOINING] = { "JOINING", BIT(REPLY) | BIT(REFUSED) },
};

enum { STATES = sizeof states / sizeof states[0] };

bool dialogue_allows(enum dialogue_state state, enum message_type type)
{
    if ((unsigned)state >= STATES || (unsigned)type > 63)
        return false;
    return states[state].allowed >> type & 1;
}

const char *dialogue_name(enum dialogue_state state)
{
    return (unsigned)state < STATES ? states[state].name : "?";
}
