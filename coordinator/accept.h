// SPDX-License-Identifier: Apache-2.0
/* accept - connections never take the last file descriptors: those are for the journal, the spool and the
 * answers.
 *
 * libzmq accepts on its own threads, without a bound, and its 4.3.4 ends the process when a local socket's
 * accept meets the limit of open files. So the program that links this has its own accept4(), which libzmq
 * then calls: a connection whose descriptor lies in the last part of the limit is closed at once. Its peer
 * sees that and tries again. Any thread. */
#ifndef ACCEPT_H
#define ACCEPT_H

#include <stdint.h>

/* Take the limit of open files as it is now: of it, a third is kept, at least 24 and at most 320: more
 * than the journal, the spool and the answers ever hold open. */
void accept_guard(void);

/* How many connections were refused since the last call. */
uint32_t accept_refused(void);

#endif
