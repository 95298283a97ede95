// SPDX-License-Identifier: Apache-2.0
/* job - what this worker knows of a job: its tensors, where its rows are, and how they fit its model. Counted
 * references: the table of jobs and every lease that is held own one; the last closes its files. One owner.
 */
#ifndef JOB_H
#define JOB_H

#include "messages.h"
#include "runtime.h"
#include "sha256.h"
#include "source.h"

/* How a job's inputs fit one of its models, once that is loaded. */
struct job_fit {
    uint32_t model;
    bool fits;
    struct why why;                                /* !fits */
    uint32_t order[RUNTIME_TENSORS_MAX];           /* the job's input behind each of the model's */
    struct tensor_spec specs[RUNTIME_TENSORS_MAX]; /* the job's inputs in the model's order */
    struct job_fit *next;
};

struct job {
    uint64_t number, samples;
    uint32_t refs;
    uint8_t digest[SHA256_BYTES]; /* of its model; all zero = built-in */
    uint32_t model;               /* the loop's number; JOB_MODEL_NONE = it has none: model_why says why */
    uint64_t models;              /* bits of all the loop's numbers that it refers to: its variants' too */
    uint32_t inputs_count, outputs_count;
    struct tensor_spec inputs[RUNTIME_TENSORS_MAX], outputs[RUNTIME_TENSORS_MAX];
    uint64_t row_bytes[RUNTIME_TENSORS_MAX];
    struct source *sources[RUNTIME_TENSORS_MAX]; /* NULL = fetched */
    bool broken; /* its inputs cannot be read here: why says so, every lease fails */
    struct why why, model_why;
    struct job_fit *fits;
};

#define JOB_MODEL_NONE UINT32_MAX

/* ERR_MEMORY, or ERR_FORMAT for tensors that make no sense. An input that cannot be read makes it broken, not
 * an error. */
MUST_USE enum err job_new(const struct message_job *message, struct job **job, struct why *why);
struct job *job_ref(struct job *job);
void job_unref(struct job **job); /* nulls */

/* Is the message about the same job with the same content? */
bool job_same(const struct job *job, const struct message_job *message);

/* Bytes of a row over all inputs that are fetched; over all inputs. */
uint64_t job_fetched_bytes(const struct job *job);
uint64_t job_row_bytes(const struct job *job);

/* Compare with the signature of the model as it was loaded, the first time only; stays while the job lives.
 * NULL when out of memory. */
const struct job_fit *job_fit(struct job *job, uint32_t model, const struct model_signature *signature);

/* ERR_FORMAT if a mapped input's file changed. */
MUST_USE enum err job_check_sources(const struct job *job, struct why *why);

#endif
