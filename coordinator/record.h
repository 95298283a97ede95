// SPDX-License-Identifier: Apache-2.0
/* record - what the coordinator keeps of one job, open or over: the state that people see and what belongs to
 * its report. The scheduler's own state of an open job is elsewhere (sched_job_look); the table of records is
 * in jobs.h.
 *
 *      STORING --durable--> QUEUED --first lease--> RUNNING --all settled--> FINISHING --published--> DONE
 *         |                    \______________________/ \________________________/
 *         '-refused: gone       too many failures, cancelled, output cannot be written: FAILED, CANCELLED
 *
 * An end is visible once it is journaled. Then the record stays until it is removed (retention.h), or is
 * QUEUED again (retry.h).
 */
#ifndef RECORD_H
#define RECORD_H

#include "messages.h"
#include "sha256.h"
#include "share.h"
#include "summary.h"
#include "verification.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clerk_command;

enum { RECORD_WAITERS_MAX = 16 };

enum record_state {
    RECORD_STORING, /* not accepted yet: no view shows it */
    RECORD_QUEUED,
    RECORD_RUNNING,
    RECORD_FINISHING,
    RECORD_DONE,
    RECORD_FAILED,
    RECORD_CANCELLED,
};

/* A client that is answered when the record's next journal entry is durable. */
struct record_waiter {
    wire_peer peer;
    uint64_t request, number; /* number: what the reply says */
};

/* Samples that failed for good, for the error file. Texts belong to the job. */
struct record_failure {
    uint64_t first, count;
    const char *reason, *worker;
};

struct record {
    uint64_t number, samples;
    uint8_t uuid[UUID_BYTES];
    enum record_state state;
    enum record_state closing; /* the end that is being journaled; RECORD_STORING = none */
    char *name, *model;
    char tenant[TENANT_MAX_BYTES];
    char *reason;                                  /* why it failed; NULL = none */
    int64_t submitted_us, started_us, finished_us; /* wall clock; 0 = not yet */

    uint8_t *spec; /* the encoded SUBMIT */
    size_t spec_size;
    int32_t priority;     /* these two as last posted to the journal: the spec's once that is durable */
    uint64_t deadline_us; /* after it was accepted; 0 = none */
    uint64_t due_us;      /* the deadline that the scheduler was told; step time */
    uint32_t outputs_count;
    struct tensor_spec *outputs;
    char *output; /* where it goes, by the one name of that place; NULL = with us */
    enum output_kind output_kind;
    uint64_t failures_max; /* how many of its samples may fail before it does */
    uint32_t model_number; /* the registry's and the scheduler's */
    uint32_t formats;      /* bit of enum sched_format */

    uint32_t models_count; /* its files that it may run, in the SUBMIT's order: the registry's numbers */
    uint32_t models[VARIANTS_MAX];
    uint32_t blobs_count;
    uint8_t (*blobs)[SHA256_BYTES]; /* the uploads that it names: inputs, names, model files */

    uint64_t done, failed; /* as recovered, or as the scheduler last had it when it forgot the job */
    bool recovered;        /* accepted in an earlier life */
    bool in_sched;
    bool failing;                      /* its end is sure, its error file is being written */
    struct clerk_command *publishing;  /* a look: the clerk has it; NULL = nothing */
    uint64_t publish_again_us;         /* the output's disk was full: when to try again; 0 = not waiting */
    char *full;                        /* the output whose disk is full, until it is written; NULL = none */
    bool full_fails;                   /* it is not full: it fails */
    uint32_t assembling, assembled;    /* handout.c's */
    uint64_t told_us;                  /* when its tallies were last posted */
    struct verification *verification; /* NULL = nothing yet */
    uint64_t verification_told;        /* samples in it when it was last posted */
    uint32_t comparing;                /* comparisons that the clerk has */
    bool completing;                   /* all is settled; it waits for them */
    bool removing, retrying;           /* the store was told to drop it, or to open it again */
    uint64_t bytes;                    /* what its removal frees, as of the last survey */

    uint8_t *past; /* packed summary of earlier lives, or of all once it is over; NULL = none */
    size_t past_size;
    size_t shares_count;
    struct share *shares;
    size_t failures_count, failures_capacity;
    struct record_failure *failures;
    size_t texts_count;
    char **texts; /* the failures' words, each once */
    uint32_t waiters_count;
    struct record_waiter waiters[RECORD_WAITERS_MAX];
};

void record_free(struct record **record);

bool record_open(const struct record *record); /* STORING to FINISHING */

/* Every sample is settled, as many as must are done: its whole answer is in the spool. */
bool record_has_answer(const struct record *record);

const char *record_state_name(enum record_state state); /* CONTRACT's word */
bool record_is_visible(const struct record *record);

/* How many of its samples may fail before it does. */
uint64_t record_failures_max(const struct message_submit *submit);

/* The share of a slot, made when it is new, of that variant; index is stable while the job lives. SIZE_MAX
 * when out of memory. */
size_t record_share(struct record *record, uint32_t number, const struct message_hello *hello, uint32_t slot,
                    const char *variant);

/* A share as the journal has it. ERR_FORMAT, ERR_MEMORY: it is left out. */
MUST_USE enum err record_restore_share(struct record *record, const char *key, const uint8_t *value,
                                       size_t size);

MUST_USE enum err record_add_failure(struct record *record, uint64_t first, uint64_t count,
                                     const char *reason, const char *worker);
void record_drop_failures(struct record *record);

/* It was over and is QUEUED again, without failures and with nothing counted as done. */
void record_reopen(struct record *record);
MUST_USE enum err record_set_past(struct record *record, const uint8_t *bytes, size_t size);
MUST_USE enum err record_set_reason(struct record *record, const char *reason);

/* Its figures of all lives. True if the scheduler knows the job: then look says how it stands there. sched
 * may be NULL. */
bool record_summary(const struct record *record, const struct sched *sched, struct summary *summary,
                    struct sched_job_look *look);

/* The scheduler is about to forget the job: keep what it knows in past, here and in the shares. Best effort
 * when memory is short. */
void record_settle(struct record *record, const struct sched *sched);

/* False when too many wait already. */
bool record_wait(struct record *record, wire_peer peer, uint64_t request, uint64_t number);

#endif
