// SPDX-License-Identifier: Apache-2.0
/* answer - one result of a worker as it arrived: whose it is, its rows, and whether they are what the job
 * asked for. The rows stay in the frames they came in; every store operation that points into them holds the
 * parcel. Small ones came in the message's body, and are copied into the operation. */
#ifndef ANSWER_H
#define ANSWER_H

#include "record.h"
#include "roster.h"
#include "store.h"
#include "wire.h"

/* The payload frames of one message, closed when nobody holds them any more. One thread. NULL: a message
 * without frames needs none. */
struct parcel {
    uint32_t holders, frames_count;
    zmq_msg_t frames[];
};

struct parcel *parcel_take(struct wire_in *in); /* held once; NULL when out of memory */
void parcel_hold(struct parcel *parcel);
void parcel_release(void *parcel); /* fits store_op.release */

struct answer {
    const struct message_result *result;
    const struct record *record;
    const struct worker *worker;
    struct parcel *parcel;
    const uint8_t *rows[STORE_OUTPUTS_MAX];
    uint64_t row_bytes[STORE_OUTPUTS_MAX];
    enum sched_failure failure;
    struct why reason; /* of the failure */
};

/* Fill answer from a result whose frames start at frames_first of the parcel. A result that is no answer, or
 * whose rows are not what the job declared, gets a failure and its reason. */
void answer_init(struct answer *answer, const struct message_result *result, const struct record *record,
                 const struct worker *worker, struct parcel *parcel, uint32_t frames_first);

/* A STORE_RESULT for samples [first, first + count) of the answer; NULL when out of memory. */
struct store_op *answer_op(const struct answer *answer, struct store *store, uint64_t first, uint64_t count);

#endif
