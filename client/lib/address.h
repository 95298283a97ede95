// SPDX-License-Identifier: Apache-2.0
/* address - where the coordinator is, and what it left in its state directory for those who may read it. Any
 * thread. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_MAX = 256, ADDRESS_NONCE_MAX = 256 };

/* given (may be NULL), else $MOTLEY_COORDINATOR, else the url in fleet.json that `motley up` left in the
 * state directory, else the coordinator that was joined (joined.h), else the one that runs in the state
 * directory (holder.h). ERR_UNREACHABLE says how to start one
 * when none is named. */
MUST_USE enum err address_resolve(const char *given, char url[ADDRESS_MAX], struct why *why);

/* The nonce beside the coordinator's ipc socket, or in the state directory. Its length; 0 if it cannot be
 * read. */
size_t address_nonce(const char *url, uint8_t nonce[ADDRESS_NONCE_MAX]);

#endif
