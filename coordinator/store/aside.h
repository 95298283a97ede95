// SPDX-License-Identifier: Apache-2.0
/* aside - what nobody needs any more, out of the way at once and off the disk later: renaming is quick and
 * whole, freeing the room of large files is not. Any thread.
 *
 *     <state>/gone/    what was set aside; emptied by the clerk, soon and at each start */
#ifndef ASIDE_H
#define ASIDE_H

#include "err.h"

/* Move <state>/<name> there ("spool/7"). What is not there is aside already. */
MUST_USE enum err aside_put(const char *state_dir, const char *name, struct why *why);

/* Free the room of all that was set aside. Slow. */
MUST_USE enum err aside_empty(const char *state_dir, struct why *why);

#endif
