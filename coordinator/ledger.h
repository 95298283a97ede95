// SPDX-License-Identifier: Apache-2.0
/* ledger - the coordinator's dealings with the store: what must be durable is posted here, and what became
 * durable has its consequences here. The order of DESIGN section 6: durable first, then told to the
 * scheduler, acknowledged, visible. */
#ifndef LEDGER_H
#define LEDGER_H

#include "coordinator.h"

/* Post a new job's record. Its waiters are answered when it is durable, or refused. */
MUST_USE enum err ledger_job_add(struct coordinator *coordinator, struct record *record);

/* Post a model; peer's request is answered when it is durable, and only then is it in the registry. */
MUST_USE enum err ledger_model_add(struct coordinator *coordinator, const struct message_model_add *model,
                                   wire_peer peer);

/* Who is told when something is durable, and of how many. */
struct ledger_answer {
    wire_peer peer;
    uint64_t request;
    uint32_t number; /* > 0 */
};

/* Post that a model (NAME, NAME@VERSION or NAME:VERSION) is registered no longer. Once durable answer is
 * given: how many files that were. */
MUST_USE enum err ledger_model_drop(struct coordinator *coordinator, const char *which,
                                    const struct ledger_answer *answer);

/* Post an open job's new priority and deadline (after it was accepted; 0 = none). Once durable the views show
 * it, the scheduler is told, and answer, which may be NULL, is given. */
MUST_USE enum err ledger_job_change(struct coordinator *coordinator, struct record *record, int32_t priority,
                                    uint64_t deadline_us, const struct ledger_answer *answer);

/* The scheduler's actions: store rows of the answer at hand; record that its samples failed; a job's state
 * changed. */
void ledger_result(struct coordinator *coordinator, const struct sched_action *action);
void ledger_failure(struct coordinator *coordinator, const struct sched_action *action);
void ledger_job_state(struct coordinator *coordinator, const struct sched_action *action);

/* The job's end: journal it; once durable it is visible and its waiters are answered. reason may be NULL. */
void ledger_close(struct coordinator *coordinator, struct record *record, enum record_state end,
                  const char *reason);

/* Post the accounting of running jobs that changed, often for few slots, once a second for many. */
void ledger_tallies(struct coordinator *coordinator);

/* Something the store reported. */
void ledger_event(struct coordinator *coordinator, struct store_event *event);

/* A comparison of its answers came back: the last one lets a job go on that waits for them. */
void ledger_compared(struct coordinator *coordinator, struct record *record);

/* An accepted job goes to the scheduler: a new one, or one of an earlier life. */
void ledger_schedule(struct coordinator *coordinator, struct record *record);

#endif
