// SPDX-License-Identifier: Apache-2.0
/* credit - what was sent to a peer and it has not read: bytes of payload that ZeroMQ holds for it. Its queues
 * count messages and not bytes, so that a peer that asks and does not read could have gigabytes held for it;
 * who sends must look here first. The loop counts up, ZeroMQ's threads count down when a frame is on its way.
 */
#ifndef CREDIT_H
#define CREDIT_H

#include "wire.h"

#include <stdint.h>

struct credits; /* of all peers together */
struct credit;  /* of one */

struct credits *credits_new(void);           /* NULL when out of memory */
void credits_free(struct credits **credits); /* after ZeroMQ's context has ended */
uint64_t credits_bytes(const struct credits *credits);

/* NULL when out of memory. Goes when it is dropped and all that was counted has left. */
struct credit *credit_new(struct credits *credits);
void credit_drop(struct credit **credit); /* may be NULL */

/* Also of NULL: none. */
uint64_t credit_bytes(const struct credit *credit);

/* Changes whenever something of it has left. */
uint64_t credit_progress(const struct credit *credit);

/* Count the frame until it has left; one that was to be copied is copied here. Without memory for that it is
 * sent uncounted. */
void credit_count(struct credit *credit, struct wire_frame *frame);

#endif
