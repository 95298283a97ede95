// SPDX-License-Identifier: Apache-2.0
/* retention - what is kept of jobs that are over, and which of their files. Which jobs go is decided by pure
 * functions; the rest is thin: the clerk looks over the state directory now and then (an inventory), what it
 * found is judged here, and jobs that go are dropped by the store, whose files are then aside and soon gone.
 *
 *      job over --older than the rule says, one too many, too many bytes, or `job remove`--> STORE_JOB_DROP
 *                                                                                             |
 *      files of it, and uploads that no job and no model names any more <--inventory-- its room is free
 *
 * An upload that nobody names goes a minute after it was last named if no client that uploads is connected,
 * and after a day in any case. Part of the loop's thread. docs/operating.md says it to users. */
#ifndef RETENTION_H
#define RETENTION_H

#include "coordinator.h"

#define RETENTION_AGE_US (30ull * 86400 * 1000000) /* these are the defaults */
enum { RETENTION_JOBS = 100000 };

/* UINT64_MAX in any of them: no such rule. */
struct retention_rule {
    uint64_t age_us; /* a job goes so long after its end */
    uint64_t jobs;   /* so many that are over are kept */
    uint64_t bytes;  /* in the state directory as a whole, open jobs' and models' share included */
};

struct retention_job {
    uint64_t number;
    int64_t ended_us; /* wall clock */
    uint64_t bytes;   /* what is free when it goes, those that ended before it being gone */
};

/* Which jobs go, whose end was first: they are sorted by that, and so many of the first must go. state_bytes
 * 0 = not known. Pure. */
size_t retention_choose(const struct retention_rule *rule, struct retention_job *jobs, size_t count,
                        int64_t now_us, uint64_t state_bytes);

/* ---- the doing ---- */

struct retention;

/* Values of the rule that are 0 are the default's; every_us: how often to look it over, 0 = a minute. NULL
 * when out of memory.
 */
struct retention *retention_new(const struct retention_rule *rule, uint64_t every_us);
void retention_free(struct retention **retention);

/* A few times a second: apply the rule, ask for an inventory. */
void retention_turn(struct coordinator *coordinator);

/* The clerk's answer to one. */
void retention_counted(struct coordinator *coordinator, struct clerk_event *event);

/* A job ended, by now durably. */
void retention_ended(struct coordinator *coordinator);

/* Something was set aside: have its room freed soon. */
void retention_hurry(struct coordinator *coordinator);

/* May it go now? ERR_REFUSED: it is not over; ERR_FULL: its answer is being put together. */
MUST_USE enum err retention_check(const struct record *record, struct why *why);

/* Drop a job that may go. Its record goes, and its waiters are answered, when that is durable. */
MUST_USE enum err retention_remove(struct coordinator *coordinator, struct record *record);
void retention_removed(struct coordinator *coordinator, struct store_event *event);

/* Something will be there to be done soon: the turns should come often. */
bool retention_waits(const struct retention *retention);

/* What the state directory took when it was last looked over; 0 = not known. */
uint64_t retention_bytes(const struct retention *retention);

#endif
