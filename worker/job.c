// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "ensure.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

static enum err read_specs(const struct message_tensor *tensors, uint32_t count,
                           struct tensor_spec specs[RUNTIME_TENSORS_MAX], struct why *why)
{
    enum err err = ERR_OK;
    if (count > RUNTIME_TENSORS_MAX)
        return why_set(why, ERR_LIMIT, "a job with %u tensors; %d are possible", count, RUNTIME_TENSORS_MAX);
    for (uint32_t i = 0; i < count && err == ERR_OK; i++)
        err = message_tensor_to_spec(&tensors[i], &specs[i], why);
    return err;
}

static bool all_known(const struct tensor_spec *spec)
{
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (spec->dims[i] < 0)
            return false;
    return true;
}

static bool has_zero(const struct tensor_spec *spec)
{
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (spec->dims[i] == 0)
            return true;
    return false;
}

static enum err find_row_bytes(struct job *job, uint32_t input, uint64_t said, struct why *why)
{
    const struct tensor_spec *spec = &job->inputs[input];
    uint64_t bytes = all_known(spec) ? tensor_row_bytes(spec) : 0;
    job->row_bytes[input] = bytes;
    if (bytes == 0 && !(all_known(spec) && has_zero(spec)))
        return why_set(why, ERR_UNSUPPORTED, "input '%s': its rows have an unknown size", spec->name);
    if (said != 0 && said != bytes)
        return why_set(why, ERR_FORMAT, "input '%s': its rows are said to be %llu bytes, its shape says %llu",
                       spec->name, (unsigned long long)said, (unsigned long long)bytes);
    return ERR_OK;
}

static enum err open_source(struct job *job, uint32_t input, const struct message_source *from,
                            struct why *why)
{
    struct source_place place = {
        .path = from->path,
        .offset = from->offset,
        .row_bytes = job->row_bytes[input],
        .rows = job->samples,
        .file_bytes = from->file_bytes,
        .mtime_ns = from->mtime_ns,
    };
    enum err err = source_open(&place, &job->sources[input], why);
    if (err != ERR_FILE)
        return err;
    /* We see the storage but not this file (its mode, most likely); the coordinator reads it for us. */
    log_warn("INPUT-FETCHED", "job %llu: %s; its rows are fetched instead", (unsigned long long)job->number,
             why->text);
    return ERR_OK;
}

static enum err open_inputs(struct job *job, const struct message_job *message, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < job->inputs_count && err == ERR_OK; i++) {
        const struct message_source *from = message->sources_count > 0 ? &message->sources[i] : NULL;
        err = find_row_bytes(job, i, from != NULL ? from->row_bytes : 0, why);
        if (err == ERR_OK && from != NULL && from->path != NULL && from->path[0] != 0)
            err = open_source(job, i, from, why);
    }
    return err;
}

enum err job_new(const struct message_job *message, struct job **job, struct why *why)
{
    *job = calloc(1, sizeof **job);
    if (*job == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a job");
    struct job *it = *job;
    it->number = message->job;
    it->samples = message->samples;
    it->refs = 1;
    if (message->model != NULL)
        memcpy(it->digest, message->model, SHA256_BYTES);
    it->model = JOB_MODEL_NONE;
    it->inputs_count = message->inputs_count;
    it->outputs_count = message->outputs_count;
    enum err err = read_specs(message->inputs, message->inputs_count, it->inputs, why);
    if (err == ERR_OK)
        err = read_specs(message->outputs, message->outputs_count, it->outputs, why);
    if (err != ERR_OK) {
        free(it);
        *job = NULL;
        return err;
    }
    it->broken = open_inputs(it, message, &it->why) != ERR_OK;
    return ERR_OK;
}

struct job *job_ref(struct job *job)
{
    job->refs++;
    return job;
}

void job_unref(struct job **job)
{
    struct job *it = *job;
    *job = NULL;
    if (it == NULL || --it->refs > 0)
        return;
    for (uint32_t i = 0; i < it->inputs_count; i++)
        source_free(&it->sources[i]);
    while (it->fits != NULL) {
        struct job_fit *next = it->fits->next;
        free(it->fits);
        it->fits = next;
    }
    free(it);
}

bool job_same(const struct job *job, const struct message_job *message)
{
    static const uint8_t built_in[SHA256_BYTES];
    if (memcmp(job->digest, message->model != NULL ? message->model : built_in, SHA256_BYTES) != 0)
        return false;
    if (job->samples != message->samples || job->inputs_count != message->inputs_count)
        return false;
    for (uint32_t i = 0; i < job->inputs_count; i++) {
        struct tensor_spec spec;
        struct why why;
        if (message_tensor_to_spec(&message->inputs[i], &spec, &why) != ERR_OK ||
            strcmp(spec.name, job->inputs[i].name) != 0 || spec.dtype != job->inputs[i].dtype ||
            tensor_row_bytes(&spec) != job->row_bytes[i])
            return false;
    }
    return true;
}

static uint64_t add_saturating(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

uint64_t job_fetched_bytes(const struct job *job)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < job->inputs_count; i++)
        if (job->sources[i] == NULL)
            bytes = add_saturating(bytes, job->row_bytes[i]);
    return bytes;
}

uint64_t job_row_bytes(const struct job *job)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < job->inputs_count; i++)
        bytes = add_saturating(bytes, job->row_bytes[i]);
    return bytes;
}

/* ---- the model ---- */

/* The job's input of that name; a nameless one is whatever the model's only input is. */
static uint32_t find_input(const struct job *job, const struct model_signature *signature, uint32_t wanted)
{
    for (uint32_t i = 0; i < job->inputs_count; i++)
        if (strcmp(job->inputs[i].name, signature->inputs[wanted].name) == 0)
            return i;
    bool nameless = signature->inputs_count == 1 && job->inputs_count == 1 && job->inputs[0].name[0] == 0;
    return nameless ? 0 : RUNTIME_TENSORS_MAX;
}

static bool row_fits(const struct tensor_spec *given, const struct tensor_spec *wanted)
{
    if (given->dtype != wanted->dtype || given->dims_count != wanted->dims_count)
        return false;
    for (uint32_t i = 0; i < given->dims_count; i++)
        if (wanted->dims[i] >= 0 && wanted->dims[i] != given->dims[i])
            return false;
    return true;
}

static enum err match_inputs(const struct job *job, const struct model_signature *signature,
                             struct job_fit *fit, struct why *why)
{
    if (job->inputs_count != signature->inputs_count)
        return why_set(why, ERR_FORMAT, "the model takes %u inputs, the job has %u", signature->inputs_count,
                       job->inputs_count);
    for (uint32_t i = 0; i < signature->inputs_count; i++) {
        const struct tensor_spec *wanted = &signature->inputs[i];
        uint32_t given = find_input(job, signature, i);
        char wants[256], has[256];
        if (given == RUNTIME_TENSORS_MAX)
            return why_set(why, ERR_FORMAT, "the model's input '%s' is not among the job's", wanted->name);
        tensor_print(wanted, wants, sizeof wants);
        tensor_print(&job->inputs[given], has, sizeof has);
        if (!row_fits(&job->inputs[given], wanted))
            return why_set(why, ERR_FORMAT, "input '%s': the model takes %s, the job has %s", wanted->name,
                           wants, has);
        fit->order[i] = given;
        fit->specs[i] = job->inputs[given];
    }
    return ERR_OK;
}

const struct job_fit *job_fit(struct job *job, uint32_t model, const struct model_signature *signature)
{
    struct job_fit *fit = job->fits;
    while (fit != NULL && fit->model != model)
        fit = fit->next;
    if (fit != NULL || (fit = calloc(1, sizeof *fit)) == NULL)
        return fit;
    fit->model = model;
    fit->fits = match_inputs(job, signature, fit, &fit->why) == ERR_OK;
    fit->next = job->fits;
    job->fits = fit;
    return fit;
}

enum err job_check_sources(const struct job *job, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < job->inputs_count && err == ERR_OK; i++)
        if (job->sources[i] != NULL)
            err = source_check(job->sources[i], why);
    return err;
}
