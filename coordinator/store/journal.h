// SPDX-License-Identifier: Apache-2.0
/* journal - the coordinator's memory in SQLite: jobs, the samples that are done or failed, accounting,
 * models. The only file that speaks SQL. Not thread-safe: one thread at a time.
 *
 *     journal_open -> journal_recover
 *         -> { journal_begin -> changes -> journal_commit or journal_rollback }* -> journal_close
 *
 * WAL, synchronous=FULL: what journal_commit returned for is on the disk. The file is locked for this
 * connection alone (locking_mode=EXCLUSIVE), because SQLite before 3.51.3 can corrupt a WAL that two
 * connections reset; nobody can look into a running coordinator's journal, and the views answer from memory.
 * Checkpoints run after a commit and their failures are told, which SQLite's automatic ones would hide.
 *
 * Done samples are kept as an interval set: ranges are merged with their neighbours on insertion, so that a
 * job of a billion samples costs what its holes cost.
 *
 * Every function that fails says so with ERR_FULL (the disk is full: roll back and try again later),
 * ERR_MEMORY or ERR_SYSTEM (nothing is sure any more: stop), besides what its own comment names. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "spool.h"
#include "store.h"

struct journal;

/* Open or make the journal and count the term up, synced. ERR_REFUSED: a newer schema, another program's
 * database, or one that another program holds; ERR_FORMAT: damaged. */
MUST_USE enum err journal_open(const char *path, struct journal **journal, struct why *why);
void journal_close(struct journal **journal);

uint64_t journal_term(const struct journal *journal);
uint64_t journal_next_job(const struct journal *journal);      /* as journal_open found it */
const uint8_t *journal_mac_key(const struct journal *journal); /* MAC_KEY_BYTES */

/* Tell everything, as store.h says. */
MUST_USE enum err journal_recover(struct journal *journal, const struct store_recovery *recovery,
                                  struct why *why);

/* What the spool must know of a job. ERR_NOT_FOUND if there is no such job. */
MUST_USE enum err journal_shape(struct journal *journal, uint64_t job, struct spool_shape *shape,
                                struct why *why);
MUST_USE enum err journal_find_job(struct journal *journal, uint64_t job, bool *found, struct why *why);

MUST_USE enum err journal_begin(struct journal *journal, struct why *why);
MUST_USE enum err journal_commit(struct journal *journal, struct why *why);
void journal_rollback(struct journal *journal);

/* Changes, inside a transaction. Those that name a job are ERR_NOT_FOUND, without effect, if there is no such
 * job. */
MUST_USE enum err journal_job_add(struct journal *journal, const struct store_op *op, struct why *why);
MUST_USE enum err journal_job_mark(struct journal *journal, const struct store_op *op, struct why *why);
MUST_USE enum err journal_job_spec(struct journal *journal, const struct store_op *op, struct why *why);
/* blob, malloc'ed: what is done of it. */
MUST_USE enum err journal_job_retry(struct journal *journal, struct store_op *op, struct why *why);
MUST_USE enum err journal_job_drop(struct journal *journal, uint64_t job, struct why *why);
MUST_USE enum err journal_done(struct journal *journal, uint64_t job, uint64_t first, uint64_t count,
                               struct why *why);
MUST_USE enum err journal_failure(struct journal *journal, const struct store_op *op, struct why *why);
MUST_USE enum err journal_tally(struct journal *journal, const struct store_op *op, struct why *why);
MUST_USE enum err journal_model_add(struct journal *journal, const struct store_op *op, struct why *why);
MUST_USE enum err journal_model_drop(struct journal *journal, const struct store_op *op,
                                     struct why *why); /* none there: ERR_OK */

#endif
