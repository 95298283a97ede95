// SPDX-License-Identifier: Apache-2.0
/* outbox - what one turn of the loop has for each worker, gathered so that it leaves as one message of each
 * kind: per-message cost is what bounds a coordinator. Pure. A line that cannot be kept for want of memory is
 * dropped: a lease then expires, an acknowledgement is given again when the worker offers the result again.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "messages.h"
#include "sha256.h"

#include <stdint.h>

struct outbox;

struct outbox *outbox_new(void); /* NULL when out of memory */
void outbox_free(struct outbox **outbox);

void outbox_lease(struct outbox *outbox, uint32_t worker,
                  const struct message_lease *lease); /* its mac is copied */
void outbox_recall(struct outbox *outbox, uint32_t worker, uint64_t attempt);
void outbox_ack(struct outbox *outbox, uint32_t worker, uint64_t term, uint64_t attempt);
void outbox_forget(struct outbox *outbox, uint32_t worker, uint64_t job);

void outbox_drop(struct outbox *outbox, uint32_t worker); /* it is gone: nothing of its is sent */

/* Give send everything gathered, worker by worker in the order in which they first got a line: leases,
 * recalls, acks, forgets, each within the bounds of bounds.h. The outbox is then empty. send must not add to
 * it. */
typedef void outbox_send(void *context, uint32_t worker, const struct message *message);
void outbox_flush(struct outbox *outbox, outbox_send *send, void *context);

#endif
