// SPDX-License-Identifier: Apache-2.0
/* lock - one coordinator to a state directory.
 *
 *     <state>/lock    who holds it: host, pid and the running kernel's id; empty when it was given back
 *
 * Between processes of one kernel flock decides, and a killed holder's lock is free. Hosts that share a disk
 * may not see each other's flock: so a lock that another host holds by its words, and did not give back, is
 * refused until a person says that nobody is there. A host is known again by its name or, as containers get
 * a new name at each start, by its kernel. */
#ifndef LOCK_H
#define LOCK_H

#include "err.h"

/* *fd must be -1 before, and is given back with lock_give_back also after a failure. ERR_REFUSED names the
 * holder's host and pid. */
MUST_USE enum err lock_take(const char *state_dir, int *fd, struct why *why);

/* It ended well: the lock names nobody any more. */
void lock_give_back(int *fd);

#endif
