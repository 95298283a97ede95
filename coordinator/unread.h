// SPDX-License-Identifier: Apache-2.0
/* unread - peers that ask and do not read: how much is read from the disk for each, and when one is cut off.
 * Bounds in bounds.h. Part of the loop's thread. */
#ifndef UNREAD_H
#define UNREAD_H

#include "coordinator.h"

/* fetches_room for fetches_pump; context: the coordinator. What it lets through is read for the peer ... */
bool unread_room(void *context, const struct fetch *fetch);

/* ... until the clerk has answered. */
void unread_answered(struct coordinator *coordinator, const struct fetch *fetch);

/* May this message of peer be answered? False: it is cut off, as too much is unread already. */
bool unread_may_ask(struct coordinator *coordinator, const struct peer *peer, enum message_type type);

/* So many bytes more for anyone? ERR_FULL says that others do not read. */
MUST_USE enum err unread_check(const struct coordinator *coordinator, uint64_t bytes, struct why *why);

/* Now and then: cut off who has stalled. */
void unread_turn(struct coordinator *coordinator);

#endif
