// SPDX-License-Identifier: Apache-2.0
/* store - what the coordinator must not forget: a thread that owns the journal (SQLite) and the spool (output
 * files).
 *
 * The order is the design: bytes written -> files synced -> ranges journaled -> journal synced -> STORE
 * events. The loop posts operations as they arise and never waits; the thread takes all that have queued up
 * (one group), writes their bytes, syncs each touched file once, commits one transaction, and then reports
 * every operation of the group, in order. An operation that was reported is on the disk.
 *
 * A failing fsync or commit is STORE_BROKEN: nothing after it is reported, and the coordinator stops
 * acknowledging and exits (an fsync that failed once says nothing true when retried). A full disk is not
 * that: the group's operations are kept and tried again, soon at first and then every second; STORE_FULL and
 * STORE_RESUMED tell the loop, which pauses work and says so. What need not wait does not (relief.h): new
 * jobs and models are refused with ERR_FULL, jobs that are dropped or cancelled are so at once. EFBIG (a
 * limit on the size of files, RLIMIT_FSIZE) counts as full: raised from outside (prlimit), work goes on. But
 * an fsync that says ENOSPC is STORE_BROKEN.
 *
 * State directory:
 *     lock                       host and pid; held by flock while a coordinator lives
 *     nonce                      32 random bytes as hex, 0600, new at each start: who reads it is on this
 * host journal.sqlite3            WAL, synchronous=FULL, one connection blobs/<sha256>             models and
 * uploaded inputs spool/<job>/<output>.npy   fixed rows, preallocated, written in place by sample index
 *     spool/<job>/<output>.rows  varying rows: appended records
 *     spool/<job>/<output>.index varying rows: 16 bytes a sample, in place
 */
#ifndef STORE_H
#define STORE_H

#include "dtype.h"
#include "err.h"
#include "sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_OUTPUTS_MAX = 16, STORE_SCHEMA = 1 };

/* States as journaled; the loop derives the finer ones of CONTRACT section 2. */
enum store_job_state {
    STORE_JOB_OPEN = 1,
    STORE_JOB_FINISHING = 2,
    STORE_JOB_DONE = 3,
    STORE_JOB_FAILED = 4,
    STORE_JOB_CANCELLED = 5
};

/* JOB_ADD: the job's row, and the spool reserved; refused with ERR_FULL if it does not fit. JOB_MARK: reason
 * NULL keeps the old one; OPEN sets started_us unless it is set, and clears finished_us and the reason;
 * FINISHING and the final states set finished_us unless it is set, so that it says when the last sample
 * settled. */
enum store_op_type {
    STORE_JOB_ADD,    /* job, uuid, spec, outputs, samples, at_us */
    STORE_JOB_MARK,   /* job, state, reason, at_us */
    STORE_RESULT,     /* job, first, count, rows of each output */
    STORE_FAILURE,    /* job, first, count, reason, worker: these samples failed for good */
    STORE_TALLY,      /* job, key, value: accounting of one device in one job, replaces the older value */
    STORE_MODEL_ADD,  /* name, version, spec: a registered model (replaces the same name and version) */
    STORE_JOB_SPEC,   /* job, spec: in place of the older one */
    STORE_JOB_RETRY,  /* job, which is over: open again, its failures forgotten; the event's op says what is
                         done of it:  blob is an array of struct store_range */
    STORE_JOB_DROP,   /* job: retention; its rows and spool are removed */
    STORE_MODEL_DROP, /* name, version (NULL = all): no longer registered */
};

struct store_range {
    uint64_t first, count;
};

/* Who owns the bytes of an operation: the store, from store_post until the operation's event was received;
 * release is then called on the loop's thread by store_receive's caller through store_op_free. */
struct store_op {
    enum store_op_type type;
    uint64_t tag; /* the caller's, handed back */
    uint64_t job;
    uint64_t first;             /* RESULT, FAILURE */
    uint32_t count;             /* RESULT, FAILURE */
    uint64_t samples;           /* JOB_ADD */
    enum store_job_state state; /* JOB_MARK */
    int64_t at_us;              /* wall clock: JOB_ADD submitted, JOB_MARK */
    uint8_t uuid[16];           /* JOB_ADD */
    char *text;    /* JOB_MARK, FAILURE: reason; TALLY: key; MODEL_ADD, MODEL_DROP: name. malloc'ed */
    char *text2;   /* FAILURE: worker; MODEL_ADD, MODEL_DROP: version. malloc'ed */
    uint8_t *blob; /* JOB_ADD, JOB_SPEC, MODEL_ADD: spec; TALLY: value. malloc'ed, opaque here */
    size_t blob_size;
    /* JOB_ADD: what each output's rows look like. RESULT: what this operation's rows look like: all dims
     * known where the job's have a -1; elsewhere dtype DTYPE_NONE means "as declared". */
    uint32_t outputs_count;
    struct tensor_spec *outputs; /* RESULT: NULL = all as declared */
    const void **rows;           /* RESULT: rows[k] holds this operation's samples only */
    uint64_t *rows_bytes;
    uint8_t *held;   /* RESULT: room for rows that are a copy of the operation's own; see store_result_new */
    uint32_t worker; /* RESULT: the caller's, handed back */
    void (*release)(void *hint); /* RESULT: called once when the rows are no longer needed */
    void *hint;

    struct store_spares *home; /* the store's own: where it goes when it is freed; NULL = to free() */
    struct store_op *next;     /* so are these three, from store_post to store_receive */
    enum err err;
    struct why *refusal;
};

enum store_event_type { STORE_DONE, STORE_FULL, STORE_RESUMED, STORE_BROKEN };

/* An operation refused alone left no trace. Reasons: ERR_FORMAT (a row whose shape does not fit, a damaged
 * spool file), ERR_NOT_FOUND (no such job, a range outside it), ERR_REFUSED (the job's number is taken),
 * ERR_FULL (JOB_ADD, MODEL_ADD: no room), ERR_CANCELLED (RESULT: on a full disk, of a job that was
 * cancelled), ERR_LIMIT, ERR_FILE. */
struct store_event {
    enum store_event_type type;
    struct store_op *op; /* DONE: the operation, yours to free again */
    enum err err;        /* DONE: ERR_OK, or why this operation alone was refused */
    struct why why;      /* FULL (which path), BROKEN, refused */
};

/* What a start finds. Rows come through callbacks (each may be NULL), so that memory is bounded by fragments,
 * not samples: the models, then job by job in order of number: job, its done ranges, its failures, its
 * tallies. Pointers hold until the return. */
struct store_job_row {
    uint64_t job, samples;
    uint8_t uuid[16];
    enum store_job_state state;
    int64_t submitted_us, started_us, finished_us; /* 0 = not yet */
    const char *reason;
    const uint8_t *spec;
    size_t spec_size;
};
struct store_recovery {
    void *context;
    void (*job)(void *context, const struct store_job_row *row);
    void (*done)(void *context, uint64_t job, uint64_t first, uint64_t count); /* ascending, merged */
    void (*failure)(void *context, uint64_t job, uint64_t first, uint64_t count, const char *reason,
                    const char *worker);
    void (*tally)(void *context, uint64_t job, const char *key, const uint8_t *value, size_t size);
    void (*model)(void *context, const char *name, const char *version, const uint8_t *spec, size_t size);
};

struct store;

/* Take the lock (ERR_REFUSED names the holder's host and pid; a lock whose holder is gone is taken over),
 * check the schema (a newer one is ERR_REFUSED), recover, count the term up and sync it, remove what a crash
 * left in the spool of jobs that were never accepted, write the nonce, then start the thread. The state
 * directory must exist (file_state_dir). recovery may be NULL. */
MUST_USE enum err store_open(const char *state_dir, const struct store_recovery *recovery,
                             struct store **store, struct why *why);

/* Finish what was posted (on a full disk: try once more, then drop it, as nobody was told of it), free what
 * was not received, close, release the lock. */
void store_free(struct store **store);

uint64_t store_term(const struct store *store);
uint64_t store_next_job(const struct store *store);      /* after the largest ever given; never reused */
const uint8_t *store_mac_key(const struct store *store); /* MAC_KEY_BYTES, made once per state directory */
const char *store_nonce(const struct store *store);      /* hex text */

struct store_op *store_op_new(enum store_op_type type); /* room for all outputs. NULL when out of memory */
void store_op_free(struct store_op **op);               /* release is called if it was not yet */

/* A RESULT of so many outputs and no more, without outputs unless shaped, and with held_bytes of held. The
 * small ones that were freed are used again, so that a steady stream of results allocates nothing. Not to be
 * freed after the store. */
struct store_op *store_result_new(struct store *store, uint32_t outputs_count, bool shaped,
                                  size_t held_bytes);

/* Takes op. Between store_gather and store_flush what is posted waits for the latter, so that the many
 * results of one turn of the loop make one group, and wake the thread once. */
void store_post(struct store *store, struct store_op **op);
void store_gather(struct store *store);
void store_flush(struct store *store);

/* Of what was posted and not yet received, the operations themselves included: back-pressure. */
uint64_t store_backlog_bytes(const struct store *store);
int store_fd(const struct store *store); /* readable while store_receive has something; never read it */

/* The next event, or false. DONE events come in the order of store_post, but for what a full disk made wait.
 * FULL and RESUMED tell a change since they were last told; BROKEN comes once, after the last DONE. */
bool store_receive(struct store *store, struct store_event *event);

#endif
