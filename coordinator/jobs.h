// SPDX-License-Identifier: Apache-2.0
/* jobs - the records of all jobs, open and over, by number. What was asked is kept as it came, an encoded
 * SUBMIT, and decoded when it is looked at. One owner. Memory: a few hundred bytes a job; a record's outputs
 * are kept decoded, the rest is decoded when looked at. */
#ifndef JOBS_H
#define JOBS_H

#include "record.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jobs;

struct jobs *jobs_new(size_t max); /* NULL when out of memory */
void jobs_free(struct jobs **jobs);

/* A new record in STORING. Its number is larger than all before. ERR_FULL: the table has max open jobs. */
MUST_USE enum err jobs_add(struct jobs *jobs, uint64_t number, const struct message_submit *submit,
                           int64_t now_us, struct record **job, struct why *why);

/* Is there room for one more that is open? And one that was over is being opened again, and counts. */
bool jobs_have_room(struct jobs *jobs);
void jobs_reopened(struct jobs *jobs);

/* The same in no table: yours, to be freed with record_free. */
MUST_USE enum err jobs_make(uint64_t number, const struct message_submit *submit, int64_t now_us,
                            struct record **job, struct why *why);

/* A record as the journal has it. ERR_FORMAT: its spec is not a SUBMIT of this version. */
MUST_USE enum err jobs_restore(struct jobs *jobs, const struct store_job_row *row, struct record **job,
                               struct why *why);

void jobs_remove(struct jobs *jobs, uint64_t number);

/* Pointers are valid until the job is removed. NULL: there is none. */
struct record *jobs_find(const struct jobs *jobs, uint64_t number);
struct record *jobs_find_uuid(const struct jobs *jobs, const uint8_t uuid[UUID_BYTES]);

/* A job that is open, or being opened again, and will write a file which an output at path would write too:
 * the answer itself, or what is beside it. */
struct record *jobs_find_output(struct jobs *jobs, const char *path, enum output_kind kind);

/* The bit of enum sched_format of a model format; 0 = unknown. */
uint32_t jobs_format(const char *format);

size_t jobs_count(const struct jobs *jobs);
struct record *jobs_at(const struct jobs *jobs, size_t index); /* ascending numbers */

/* What was asked, but for these two: encoded, malloc'ed. */
MUST_USE enum err jobs_changed_spec(struct jobs *jobs, const struct record *job, int32_t priority,
                                    uint64_t deadline_us, uint8_t **spec, size_t *size);

/* That is what was asked from now on. spec is taken. */
void jobs_set_spec(struct jobs *jobs, struct record *job, uint8_t **spec, size_t size);

/* What was asked. A look: valid until the next jobs_spec of the same table. */
const struct message_submit *jobs_spec(struct jobs *jobs, const struct record *job);

#endif
