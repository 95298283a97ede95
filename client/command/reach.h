// SPDX-License-Identifier: Apache-2.0
/* reach - by which URL other machines reach the coordinator of this state directory, for an invitation. */
#ifndef REACH_H
#define REACH_H

#include "address.h"

#include <stdbool.h>

/* given (may be NULL), else $MOTLEY_COORDINATOR if it is tcp, else what the coordinator of state_dir listens
 * on. A listener on all addresses (*, 0.0.0.0, [::]) becomes this host's address on its default route.
 * ERR_USAGE says what to give. */
MUST_USE enum err reach_url(const char *given, const char *state_dir, char url[ADDRESS_MAX], struct why *why);

/* Does this URL lead nowhere from other machines? */
bool reach_is_local(const char *url);

/* A listening URL with port 0 or * gets a port that is free now, so that it stays the same when the
 * coordinator is started again. */
MUST_USE enum err reach_fix_port(const char *listen, char url[ADDRESS_MAX], struct why *why);

#endif
