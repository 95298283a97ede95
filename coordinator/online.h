// SPDX-License-Identifier: Apache-2.0
/* online - requests that somebody waits for: answered from memory, before all jobs, never journaled. To the
 * scheduler and to workers each is a small job with a number of its own kind; everything else of it is here.
 *
 *      INFER --checked--> waiting --first lease--> running --all parts came--> INFERRED
 *        |                   \________________________/
 *        '-- refused           time over, failed, client gone: a REPLY, and the job is cancelled
 *
 * Bounded in number and bytes, half of both for one key (on ipc for one connection), and in time: what comes
 * beyond is refused at once, so that it can be asked elsewhere. With a deadline it is refused at once too
 * when the forecast says that it cannot be kept. Numbers are 2^62 + the term + a counter: never a journaled
 * job's, never used twice, not even by another life of the coordinator.
 *
 * Part of the loop's thread. The scheduler's STORE and FAIL for such jobs are answered by online_turn, as it
 * may not be told anything while its actions are being carried out. */
#ifndef ONLINE_H
#define ONLINE_H

#include "coordinator.h"

enum { ONLINE_MAX = 256, ONLINE_TIMEOUT_US = 60000000 };
#define ONLINE_BYTES_MAX (256ull << 20) /* of inputs and answers of all of them */

struct online;

struct online *online_new(void); /* NULL when out of memory */
void online_free(struct online **online);

/* INFER. */
void online_infer(struct coordinator *coordinator, struct wire_in *in);

static inline bool online_is(uint64_t job) { return job >> 62 == 1; }

/* Its record, which only lives here; NULL: there is none, or no longer. */
struct record *online_find(const struct online *online, uint64_t job);

/* What the users of a model file call it; NULL: no request uses it. */
const char *online_model(const struct online *online, uint32_t model);

/* Does a request run this model file? */
bool online_uses(const struct online *online, const uint8_t blob[SHA256_BYTES]);

/* What happens to it. */
void online_told(struct online *online, uint64_t job, uint32_t worker); /* it was sent a JOBS */
void online_loading(struct coordinator *coordinator, uint64_t job);
void online_leased(struct coordinator *coordinator, const struct sched_action *action);
void online_store(struct coordinator *coordinator, const struct sched_action *action);
void online_fail(struct coordinator *coordinator, const struct sched_action *action);
void online_job_state(struct coordinator *coordinator, const struct sched_action *action);
void online_refused(struct online *online); /* a model could not be loaded somewhere */
void online_peer_gone(struct coordinator *coordinator, wire_peer peer);

/* A look at length bytes of an input's rows from offset, and how many there are. ERR_NOT_FOUND, ERR_LIMIT. */
MUST_USE enum err online_rows(const struct online *online, const struct message_fetch *ask,
                              const void **bytes, uint64_t *total, struct why *why);

/* Once a turn, after what has arrived was heard: settle, answer, give up. */
void online_turn(struct coordinator *coordinator);
uint64_t online_due_us(const struct online *online); /* when the next is to be given up; UINT64_MAX = none */

/* For `motley status`. */
struct online_counts {
    uint64_t in_flight, answered;
    uint64_t refused; /* at once */
    uint64_t late, failed;
};
struct online_counts online_counts(const struct online *online);

#endif
