// SPDX-License-Identifier: Apache-2.0
/* mime - a worker without devices, for measuring a coordinator: it takes leases of the model `synthetic`
 * and has the right answers ready at once, or when the time of a batch has passed, one batch at a time on
 * each slot. Pure: told what was heard and what time it is, it says what is to be sent; mimes.h does that.
 *
 *      HELLO -> WELCOME -> PROOF;  LOAD -> LOADED;  LEASES -> (batch_us) -> RESULTS -> ACKS
 *
 * It computes nothing, keeps no results for a coordinator that comes back, and never gives a lease back (a
 * worker need not: RECALL names leases that have not started, and these start when they come). */
#ifndef MIME_H
#define MIME_H

#include "messages.h"
#include "sha256.h"

#include <stdbool.h>

struct mime_plan {
    uint32_t slots, window;
    uint64_t batch_us; /* what a batch takes; 0 = nothing */
};

struct mime_lease {
    struct message_lease lease; /* mac points to the one below */
    uint8_t mac[MAC_BYTES];
    uint64_t due_us;
};

struct mime {
    struct mime_plan plan;
    uint8_t uuid[UUID_BYTES];
    char name[NAME_MAX_BYTES];
    bool welcome, loaded; /* loaded: it was told what to load and said that it has */
    uint32_t heartbeat_ms;
    uint64_t beats;
    uint64_t leased, finished, acknowledged; /* chunks */
    struct mime_lease *held;                 /* in the order in which they came */
    uint32_t held_count, held_capacity;
    uint64_t *free_us; /* of each slot: when it has run all that it holds */
    struct message_slot *slots;
    struct message_result *results; /* of the RESULTS that was said last, as the next two */
    uint64_t *answers;
    struct mime_lease *said;
};

/* ERR_MEMORY. number makes its name and uuid. */
MUST_USE enum err mime_new(const struct mime_plan *plan, uint32_t number, struct mime **mime);
void mime_free(struct mime **mime);

/* Its HELLO; what it points to is the mime's. */
void mime_hello(struct mime *mime, struct message *message);

/* Without a coordinator that leases: as if each slot's window were filled with leases of a job. */
void mime_begin(struct mime *mime);

/* It heard a message. True: reply is to be sent. */
bool mime_hear(struct mime *mime, const struct message *message, uint64_t now_us, struct message *reply);

/* When the next result is due; UINT64_MAX: it holds no lease. */
uint64_t mime_due_us(const struct mime *mime);

/* Say what is due: one RESULTS (at most RESULTS_MAX results, more with the next call), valid until the next
 * call. It has no payload: the answers are small. False: nothing is. */
bool mime_results(struct mime *mime, uint64_t now_us, struct message *message);

void mime_heartbeat(struct mime *mime, struct message *message);

#endif
