// SPDX-License-Identifier: Apache-2.0
/* roster_check - has every worker of a fleet that is there from the start said HELLO? One whose file says
 * that it dies early is not waited for beyond that: it may be gone without a word. */
#ifndef ROSTER_CHECK_H
#define ROSTER_CHECK_H

#include "fleet.h"
#include "motley.h"

#include <stdbool.h>

/* Asks for the view `workers`. False also when it cannot be had now. waited_seconds: since the fleet's start.
 */
bool roster_check(motley *connection, const struct fleet *fleet, double waited_seconds);

/* The same for a view at hand. Pure. */
bool roster_check_json(const char *json, const struct fleet *fleet, double waited_seconds);

#endif
