// SPDX-License-Identifier: Apache-2.0
#include "role.h"

#include <stddef.h>
#include <string.h>

static const char *const names[ROLES_COUNT] = {
    [ROLE_NONE] = "none",           [ROLE_WORKER] = "worker", [ROLE_CLIENT] = "client",
    [ROLE_READ_ONLY] = "read-only", [ROLE_ADMIN] = "admin",   [ROLE_INVITED] = "invited",
};

const char *role_name(enum role role) { return (size_t)role < ROLES_COUNT ? names[role] : "none"; }

bool role_parse(const char *name, enum role *role)
{
    for (enum role each = ROLE_WORKER; each < ROLE_INVITED; each++) {
        if (strcmp(name, names[each]) != 0)
            continue;
        *role = each;
        return true;
    }
    return false;
}
