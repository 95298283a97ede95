// SPDX-License-Identifier: Apache-2.0
/* ensure - assertions that stay on in every build. For our own mistakes only: never for what a peer, a file
 * or the operating system may do. Pure but for the message on stderr and abort(). */
#ifndef ENSURE_H
#define ENSURE_H

/* Print what did not hold and where, then abort. */
_Noreturn void ensure_failed(const char *condition, const char *file, int line);

#define ENSURE(condition) ((condition) ? (void)0 : ensure_failed(#condition, __FILE__, __LINE__))

#endif
