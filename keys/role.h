// SPDX-License-Identifier: Apache-2.0
/* role - what the holder of a key may do. Pure. */
#ifndef ROLE_H
#define ROLE_H

#include <stdbool.h>

enum role {
    ROLE_NONE = 0,
    ROLE_WORKER,    /* take work: only a worker's messages */
    ROLE_CLIENT,    /* submit, and see and change the jobs of its own tenants */
    ROLE_READ_ONLY, /* see everything, change nothing */
    ROLE_ADMIN,     /* everything, all tenants; also a worker's messages */
    ROLE_INVITED,   /* a one-time key: may only say JOIN, to become what it was invited as */
    ROLES_COUNT
};

const char *role_name(enum role role); /* "worker" "client" "read-only" "admin" "invited" */
bool role_parse(const char *name, enum role *role);

#endif
