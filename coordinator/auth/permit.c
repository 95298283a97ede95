// SPDX-License-Identifier: Apache-2.0
#include "permit.h"

#define BIT(type) ((uint64_t)1 << MESSAGE_##type)

/* A worker's words come in the state WORKER alone, so that HELLO is what is judged. */
#define WORKERS (BIT(HELLO) | (BIT(CLIENT_HELLO) - BIT(PROOF)))
#define VIEWERS (BIT(CLIENT_HELLO) | BIT(VIEW))
#define CLIENTS                                                                                              \
    (VIEWERS | BIT(SUBMIT) | BIT(CANCEL) | BIT(CHANGE) | BIT(REMOVE) | BIT(RETRY) | BIT(INFER) |             \
     BIT(OUTPUT_GET) | BIT(BLOB_FIND) | BIT(BLOB_PUT) | BIT(MODEL_ADD))

static const uint64_t permitted[ROLES_COUNT] = {
    [ROLE_WORKER] = WORKERS,    [ROLE_CLIENT] = CLIENTS,
    [ROLE_READ_ONLY] = VIEWERS, [ROLE_ADMIN] = WORKERS | CLIENTS | BIT(DRAIN),
    [ROLE_INVITED] = BIT(JOIN),
};

bool permit(enum role role, enum message_type type)
{
    return (unsigned)role < ROLES_COUNT && (unsigned)type < 64 && (permitted[role] >> type & 1);
}

const char *permit_needs(enum message_type type)
{
    for (enum role role = ROLE_WORKER; role < ROLES_COUNT; role++)
        if (permit(role, type))
            return role_name(role);
    return role_name(ROLE_NONE);
}
