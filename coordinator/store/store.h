// SPDX-License-Identifier: Apache-2.0
/* store - what the coordinator must not forget: a thread that owns the journal (SQLite) and the spool (output files).
 *
 * The order is the design: bytes written -> files synced -> ranges journaled -> journal synced -> STORE events. The loop posts
 * operations as they arise and never waits; the thread takes all that have queued up (one group), writes their bytes, syncs each
 * touched file once, commits one transaction, and then reports every operation of the group, in order. An operation that was
 * reported is on the disk.
 *
 * A failing fsync or commit is STORE_BROKEN: nothing after it is reported, and the coordinator stops acknowledging and exits
 * (an fsync that failed once says nothing true when retried). A full disk is not that: the group's operations are kept and tried
 * again every second; STORE_FULL and STORE_RESUMED tell the loop, which pauses work and says so.
 *
 * State directory:
 *     lock                          host and pid; held by flock while a coordinator lives
 *     nonce                         32 random bytes as hex, mode 0600, new at each start: who can read it is on this host
 *     journal.sqlite3               WAL, synchronous=FULL, one connection
 *     blobs/<sha256>                models and uploaded inputs
 *     spool/<job>/<output>.npy      fixed rows, preallocated, written in place by sample index
 *     spool/<job>/<output>.rows     varying rows: appended records; spool/<job>/<output>.index: 16 bytes a sample, in place
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
enum store_job_state { STORE_JOB_OPEN = 1, STORE_JOB_FINISHING = 2, STORE_JOB_DONE = 3, STORE_JOB_FAILED = 4, STORE_JOB_CANCELLED = 5 };

enum store_op_type {
    STORE_JOB_ADD,      /* job, uuid, spec, outputs, samples: a row, and the spool reserved (ERR_FULL if it does not fit) */
    STORE_JOB_MARK,     /* job, state, reason, at_us */
    STORE_RESULT,       /* job, first, count, rows of each output */
    STORE_FAILURE,      /* job, first, count, reason, worker: these samples failed for good */
    STORE_TALLY,        /* job, key, value: accounting of one device in one job, replaces the older value */
    STORE_MODEL_ADD,    /* name, version, spec: a registered model (replaces the same name and version) */
    STORE_JOB_DROP,     /* job: retention; its rows and spool are removed */
};

/* Who owns the bytes of an operation: the store, from store_post until the operation's event was received; release is then
 * called on the loop's thread by store_receive's caller through store_op_free. */
struct store_op {
    enum store_op_type type;
    uint64_t tag;                            /* the caller's, handed back */
    uint64_t job;
    uint64_t first; uint32_t count;          /* RESULT, FAILURE */
    uint64_t samples;                        /* JOB_ADD */
    enum store_job_state state;              /* JOB_MARK */
    int64_t at_us;                           /* wall clock: JOB_ADD submitted, JOB_MARK */
    uint8_t uuid[16];                        /* JOB_ADD */
    char *text;                              /* JOB_MARK, FAILURE: reason; TALLY: key; MODEL_ADD: name. malloc'ed */
    char *text2;                             /* FAILURE: worker; MODEL_ADD: version. malloc'ed */
    uint8_t *blob; size_t blob_size;         /* JOB_ADD, MODEL_ADD: spec; TALLY: value. malloc'ed, opaque here */
    uint32_t outputs_count;                  /* JOB_ADD: specs; RESULT: rows */
    struct tensor_spec outputs[STORE_OUTPUTS_MAX];
    const void *rows[STORE_OUTPUTS_MAX];     /* RESULT: rows[k] holds this operation's samples only */
    uint64_t rows_bytes[STORE_OUTPUTS_MAX];
    void (*release)(void *hint);             /* RESULT: called once when the rows are no longer needed */
    void *hint;
};

enum store_event_type { STORE_DONE, STORE_FULL, STORE_RESUMED, STORE_BROKEN };

struct store_event {
    enum store_event_type type;
    struct store_op *op;      /* DONE: the operation, yours to free again */
    enum err err;             /* DONE: ERR_OK, or why this operation alone was refused (a row whose shape does not fit: ERR_FORMAT) */
    struct why why;           /* FULL (which path), BROKEN, refused */
};

/* What a start finds. Rows come through callbacks, in job order, so that memory is bounded by fragments, not samples. */
struct store_job_row {
    uint64_t job, samples;
    uint8_t uuid[16];
    enum store_job_state state;
    int64_t submitted_us, started_us, finished_us;   /* 0 = not yet */
    const char *reason;
    const uint8_t *spec; size_t spec_size;
};
struct store_recovery {
    void *context;
    void (*job)(void *context, const struct store_job_row *row);
    void (*done)(void *context, uint64_t job, uint64_t first, uint64_t count);                  /* ascending, merged */
    void (*failure)(void *context, uint64_t job, uint64_t first, uint64_t count, const char *reason, const char *worker);
    void (*tally)(void *context, uint64_t job, const char *key, const uint8_t *value, size_t size);
    void (*model)(void *context, const char *name, const char *version, const uint8_t *spec, size_t size);
};

struct store;

/* Take the lock (ERR_REFUSED names the holder's host and pid; a lock whose holder is gone is taken over), check the schema (a
 * newer one is ERR_REFUSED), recover, count the term up and sync it, write the nonce, then start the thread. context is a
 * ZeroMQ context. The state directory must exist (file_state_dir). */
MUST_USE enum err store_open(void *context, const char *state_dir, const struct store_recovery *recovery, struct store **store,
                             struct why *why);

/* Finish what was posted, close, release the lock. */
void store_free(struct store **store);

uint64_t store_term(const struct store *store);
uint64_t store_next_job(const struct store *store);              /* the number after the largest ever given; never reused */
const uint8_t *store_mac_key(const struct store *store);         /* MAC_KEY_BYTES, made once per state directory */
const char *store_nonce(const struct store *store);              /* hex text */

struct store_op *store_op_new(enum store_op_type type);          /* NULL when out of memory */
void store_op_free(struct store_op **op);                        /* release is called if it was not yet */

void store_post(struct store *store, struct store_op **op);      /* takes op */
uint64_t store_backlog_bytes(const struct store *store);         /* rows posted and not yet reported: back-pressure */
void *store_socket(const struct store *store);                   /* poll for ZMQ_POLLIN */
bool store_receive(struct store *store, struct store_event *event);

#endif
