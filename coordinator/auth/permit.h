// SPDX-License-Identifier: Apache-2.0
/* permit - which messages a role may send: default deny. Pure. dialogue.h says which may come when; both must
 * agree. The table in permit.c is the one in docs/security.md.
 *
 *      INVITED    JOIN
 *      WORKER     HELLO, and what a worker says
 *      READ_ONLY  CLIENT_HELLO, VIEW
 *      CLIENT     CLIENT_HELLO, VIEW, and all that concerns jobs and adds models
 *      ADMIN      all but JOIN */
#ifndef PERMIT_H
#define PERMIT_H

#include "messages.h"
#include "role.h"

bool permit(enum role role, enum message_type type);

/* What a role that lacks the permission should have been: for the sentence that refuses it. */
const char *permit_needs(enum message_type type);

#endif
