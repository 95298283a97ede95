// SPDX-License-Identifier: Apache-2.0
/* holder - the coordinator that uses a state directory of this machine, from what it leaves there: `lock`
 * (its host and pid) and `listening` (its URLs, one a line). */
#ifndef HOLDER_H
#define HOLDER_H

#include "endpoint.h"

#include <stdbool.h>

/* Its process; 0: none lives here. Asked of /proc and not by taking the lock: a coordinator that starts at
 * this moment must not meet us. */
long holder_pid(const char *state_dir);

/* How this machine reaches it: by its first ipc URL, else by its first tcp one (0.0.0.0: 127.0.0.1); false:
 * it lives not. */
bool holder_here(const char *state_dir, char url[ENDPOINT_MAX]);

/* The first tcp URL that it listens on; false: it lives not, or has none. */
bool holder_listens(const char *state_dir, char url[ENDPOINT_MAX]);

#endif
