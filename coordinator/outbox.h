// SPDX-License-Identifier: Apache-2.0
/* outbox - what one turn of the loop has for each worker, gathered so that it leaves as one message of each
 * kind, all of them at once: what a message costs, and each waking of a worker, is what bounds a coordinator.
 * Pure. A line that cannot be kept for want of memory is dropped: a lease then expires, an acknowledgement is
 * given again when the worker offers the result again. */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "messages.h"
#include "sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

struct outbox *outbox_new(void); /* NULL when out of memory */
void outbox_free(struct outbox **outbox);

/* A whole message, as message_encode made it: taken. It goes before all that follows, in the order in which
 * they were given. */
void outbox_say(struct outbox *outbox, uint32_t worker, uint8_t **body, size_t size);
void outbox_lease(struct outbox *outbox, uint32_t worker,
                  const struct message_lease *lease); /* its mac is copied */
void outbox_recall(struct outbox *outbox, uint32_t worker, uint64_t attempt);
void outbox_ack(struct outbox *outbox, uint32_t worker, uint64_t term, uint64_t attempt);
void outbox_forget(struct outbox *outbox, uint32_t worker, uint64_t job);

/* While calm, nobody waits for the acks and forgets that come: they go with what else comes, or with all. */
void outbox_calm(struct outbox *outbox, bool calm);

void outbox_drop(struct outbox *outbox, uint32_t worker); /* it is gone: nothing of its is sent */

/* Where they go: body is taken by send_encoded. They must not add to the outbox. */
struct outbox_ways {
    void (*send)(void *context, uint32_t worker, const struct message *message);
    void (*send_encoded)(void *context, uint32_t worker, uint8_t **body, size_t size);
    void *context;
};

/* Give away everything gathered for workers that have lines which are not calm, or for all workers: worker by
 * worker in the order in which they first got a line: what was said, leases, recalls, acks, forgets, each
 * within the bounds of bounds.h. */
void outbox_flush(struct outbox *outbox, bool all, const struct outbox_ways *ways);

#endif
