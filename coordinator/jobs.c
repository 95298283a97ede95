// SPDX-License-Identifier: Apache-2.0
#include "jobs.h"

#include "clerk.h"
#include "ensure.h"
#include "file.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jobs {
    size_t max, open_count; /* open_count is only an upper bound: recounted when it reaches max */
    size_t count, capacity;
    struct record **at; /* ascending numbers */
    size_t places;      /* of by_uuid: a power of two, never more than half full */
    struct record **by_uuid;
    struct decoder *decoder;
    uint64_t decoded; /* whose spec the decoder holds; 0 = nobody's */
    const struct message *message;
};

struct jobs *jobs_new(size_t max)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return NULL;
    jobs->max = max;
    jobs->decoder = decoder_new();
    if (!jobs->decoder)
        jobs_free(&jobs);
    return jobs;
}

void jobs_free(struct jobs **jobs)
{
    if (!*jobs)
        return;
    for (size_t i = 0; i < (*jobs)->count; i++)
        record_free(&(*jobs)->at[i]);
    free((*jobs)->at);
    free((*jobs)->by_uuid);
    if ((*jobs)->decoder)
        decoder_free(&(*jobs)->decoder);
    free(*jobs);
    *jobs = NULL;
}

uint32_t jobs_format(const char *format)
{
    if (strcmp(format, "onnx") == 0)
        return SCHED_FORMAT_ONNX;
    return strcmp(format, "synthetic") == 0 ? SCHED_FORMAT_SYNTHETIC : 0;
}

static enum err keep_outputs(struct record *job, const struct message_submit *submit, struct why *why)
{
    job->outputs = calloc(submit->outputs_count ? submit->outputs_count : 1, sizeof *job->outputs);
    if (!job->outputs)
        return why_set(why, ERR_MEMORY, "out of memory for a job's outputs");
    for (uint32_t i = 0; i < submit->outputs_count; i++) {
        enum err err = message_tensor_to_spec(&submit->outputs[i], &job->outputs[i], why);
        if (err)
            return err;
    }
    job->outputs_count = submit->outputs_count;
    return ERR_OK;
}

/* An output's place by the one name that it has, so that jobs can be compared; its folder may be gone since.
 */
static char *place_of(const char *path)
{
    char canonical[PATH_MAX_BYTES];
    return strdup(file_canonical(path, canonical, sizeof canonical, NULL) == ERR_OK ? canonical : path);
}

/* Uploads that a SUBMIT names; blobs NULL: only count. */
static uint32_t name_blobs(const struct message_submit *submit, uint8_t (*blobs)[SHA256_BYTES])
{
    static const uint8_t none[SHA256_BYTES];
    const uint8_t *named[2 + VARIANTS_MAX + INPUTS_MAX];
    uint32_t named_count = 0, count = 0;
    named[named_count++] = submit->model_blob;
    named[named_count++] = submit->names_blob;
    for (uint32_t i = 0; i < submit->variants_count; i++)
        named[named_count++] = submit->variants[i].blob;
    for (uint32_t i = 0; i < submit->inputs_count; i++)
        named[named_count++] = submit->inputs[i].blob;
    for (uint32_t i = 0; i < named_count; i++) {
        if (!named[i] || memcmp(named[i], none, SHA256_BYTES) == 0)
            continue;
        if (blobs)
            memcpy(blobs[count], named[i], SHA256_BYTES);
        count++;
    }
    return count;
}

static enum err keep_blobs(struct record *job, const struct message_submit *submit, struct why *why)
{
    uint32_t count = name_blobs(submit, NULL);
    if (!count)
        return ERR_OK;
    job->blobs = malloc(count * sizeof *job->blobs);
    if (!job->blobs)
        return why_set(why, ERR_MEMORY, "out of memory for a job's record");
    job->blobs_count = name_blobs(submit, job->blobs);
    return ERR_OK;
}

/* What both a new and a restored record take from the SUBMIT. */
static enum err describe(struct record *job, const struct message_submit *submit, struct why *why)
{
    job->name = strdup(submit->name);
    job->model = strdup(submit->model);
    if (!job->name || !job->model)
        return why_set(why, ERR_MEMORY, "out of memory for a job's record");
    snprintf(job->tenant, sizeof job->tenant, "%s",
             submit->tenant && *submit->tenant ? submit->tenant : "default");
    job->samples = submit->samples;
    job->failures_max = record_failures_max(submit);
    job->priority = submit->priority;
    job->deadline_us = submit->deadline_us;
    job->output_kind = (enum output_kind)submit->output_kind;
    if (*submit->output_path && !(job->output = place_of(submit->output_path)))
        return why_set(why, ERR_MEMORY, "out of memory for a job's record");
    memcpy(job->uuid, submit->uuid, UUID_BYTES);
    job->formats = jobs_format(submit->format);
    if (!job->formats)
        return why_set(why, ERR_UNSUPPORTED, "model format '%s' is not known; use onnx or synthetic",
                       submit->format);
    enum err err = keep_blobs(job, submit, why);
    return err ? err : keep_outputs(job, submit, why);
}

/* ---- by uuid: open addressing, a removal moves back what it parted from its place ---- */

static size_t home(const struct jobs *jobs, const uint8_t uuid[UUID_BYTES])
{
    uint64_t half;
    memcpy(&half, uuid, sizeof half);
    return (size_t)rng_mix64(half) & (jobs->places - 1);
}

/* Where it is, or the empty place where it would go. */
static size_t seek(const struct jobs *jobs, const uint8_t uuid[UUID_BYTES])
{
    size_t place = home(jobs, uuid);
    while (jobs->by_uuid[place] && memcmp(jobs->by_uuid[place]->uuid, uuid, UUID_BYTES) != 0)
        place = (place + 1) & (jobs->places - 1);
    return place;
}

static bool index_has_room(struct jobs *jobs)
{
    if (2 * (jobs->count + 1) <= jobs->places)
        return true;
    size_t places = jobs->places ? 2 * jobs->places : 128;
    struct record **by_uuid = calloc(places, sizeof *by_uuid);
    if (!by_uuid)
        return false;
    free(jobs->by_uuid);
    jobs->by_uuid = by_uuid;
    jobs->places = places;
    for (size_t i = 0; i < jobs->count; i++)
        by_uuid[seek(jobs, jobs->at[i]->uuid)] = jobs->at[i];
    return true;
}

static void index_remove(struct jobs *jobs, const struct record *job)
{
    size_t mask = jobs->places - 1, hole = seek(jobs, job->uuid);
    if (jobs->by_uuid[hole] != job)
        return; /* a journal of old may have one twice */
    for (size_t next = (hole + 1) & mask; jobs->by_uuid[next]; next = (next + 1) & mask)
        if (((next - home(jobs, jobs->by_uuid[next]->uuid)) & mask) >= ((next - hole) & mask)) {
            jobs->by_uuid[hole] = jobs->by_uuid[next];
            hole = next;
        }
    jobs->by_uuid[hole] = NULL;
}

struct record *jobs_find_uuid(const struct jobs *jobs, const uint8_t uuid[UUID_BYTES])
{
    return jobs->places ? jobs->by_uuid[seek(jobs, uuid)] : NULL;
}

static enum err insert(struct jobs *jobs, struct record *job, struct why *why)
{
    ENSURE(jobs->count == 0 || jobs->at[jobs->count - 1]->number < job->number);
    if (jobs->count == jobs->capacity) {
        size_t capacity = jobs->capacity ? 2 * jobs->capacity : 64;
        struct record **at = realloc(jobs->at, capacity * sizeof *at);
        if (!at)
            return why_set(why, ERR_MEMORY, "out of memory for %zu jobs", capacity);
        jobs->at = at;
        jobs->capacity = capacity;
    }
    if (!index_has_room(jobs))
        return why_set(why, ERR_MEMORY, "out of memory for %zu jobs", jobs->count + 1);
    jobs->at[jobs->count++] = job;
    jobs->by_uuid[seek(jobs, job->uuid)] = job;
    jobs->open_count++;
    return ERR_OK;
}

static bool is_full(struct jobs *jobs)
{
    if (jobs->open_count < jobs->max)
        return false;
    jobs->open_count = 0;
    for (size_t i = 0; i < jobs->count; i++)
        jobs->open_count += record_open(jobs->at[i]) || jobs->at[i]->retrying;
    return jobs->open_count >= jobs->max;
}

bool jobs_have_room(struct jobs *jobs) { return !is_full(jobs); }

void jobs_reopened(struct jobs *jobs) { jobs->open_count++; }

enum err jobs_make(uint64_t number, const struct message_submit *submit, int64_t now_us, struct record **job,
                   struct why *why)
{
    struct record *fresh = *job = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory for a job");
    fresh->number = number;
    fresh->submitted_us = now_us;
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = *submit;
    enum err err = message_encode(&message, &fresh->spec, &fresh->spec_size);
    if (err)
        why_set(why, err, "out of memory for a job");
    else
        err = describe(fresh, submit, why);
    if (err)
        record_free(job);
    return err;
}

enum err jobs_add(struct jobs *jobs, uint64_t number, const struct message_submit *submit, int64_t now_us,
                  struct record **job, struct why *why)
{
    if (is_full(jobs))
        return why_set(why, ERR_FULL, "%zu jobs are open, which is the most; wait for one to end", jobs->max);
    enum err err = jobs_make(number, submit, now_us, job, why);
    if (!err)
        err = insert(jobs, *job, why);
    if (err && *job)
        record_free(job);
    return err;
}

static enum record_state state_from_store(const struct store_job_row *row)
{
    static const enum record_state states[] = { [STORE_JOB_OPEN] = RECORD_QUEUED,
                                                [STORE_JOB_FINISHING] = RECORD_FINISHING,
                                                [STORE_JOB_DONE] = RECORD_DONE,
                                                [STORE_JOB_FAILED] = RECORD_FAILED,
                                                [STORE_JOB_CANCELLED] = RECORD_CANCELLED };
    if (row->state == STORE_JOB_OPEN && row->started_us)
        return RECORD_RUNNING;
    return states[row->state];
}

static enum err restore(struct jobs *jobs, struct record *job, const struct store_job_row *row,
                        struct why *why)
{
    job->number = row->job;
    job->recovered = true;
    job->submitted_us = row->submitted_us;
    job->started_us = row->started_us;
    job->finished_us = row->finished_us;
    job->spec = malloc(row->spec_size ? row->spec_size : 1);
    if (!job->spec || (row->reason && *row->reason && record_set_reason(job, row->reason)))
        return why_set(why, ERR_MEMORY, "out of memory for job %llu", (unsigned long long)row->job);
    memcpy(job->spec, row->spec, row->spec_size);
    job->spec_size = row->spec_size;
    if (row->state < STORE_JOB_OPEN || row->state > STORE_JOB_CANCELLED)
        return why_set(why, ERR_FORMAT, "job %llu has state %d, which is none", (unsigned long long)row->job,
                       (int)row->state);
    job->state = state_from_store(row);
    const struct message *message;
    enum err err = decoder_decode(jobs->decoder, job->spec, job->spec_size, &message, why);
    if (!err && message->type != MESSAGE_SUBMIT)
        err = why_set(why, ERR_FORMAT, "job %llu: its record is a %s", (unsigned long long)row->job,
                      message_name(message->type));
    return err ? err : describe(job, &message->submit, why);
}

enum err jobs_restore(struct jobs *jobs, const struct store_job_row *row, struct record **job,
                      struct why *why)
{
    struct record *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory for a job");
    jobs->decoded = 0;
    enum err err = restore(jobs, fresh, row, why);
    if (!err)
        err = insert(jobs, fresh, why);
    if (err)
        record_free(&fresh);
    else
        *job = fresh;
    return err;
}

/* Index of the first job whose number is not below number. */
static size_t lower_bound(const struct jobs *jobs, uint64_t number)
{
    size_t low = 0, high = jobs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (jobs->at[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void jobs_remove(struct jobs *jobs, uint64_t number)
{
    size_t index = lower_bound(jobs, number);
    if (index == jobs->count || jobs->at[index]->number != number)
        return;
    if (jobs->decoded == number)
        jobs->decoded = 0;
    index_remove(jobs, jobs->at[index]);
    record_free(&jobs->at[index]);
    jobs->count--;
    memmove(jobs->at + index, jobs->at + index + 1, (jobs->count - index) * sizeof *jobs->at);
    if (jobs->open_count)
        jobs->open_count--;
}

struct record *jobs_find(const struct jobs *jobs, uint64_t number)
{
    size_t index = lower_bound(jobs, number);
    return index < jobs->count && jobs->at[index]->number == number ? jobs->at[index] : NULL;
}

struct place {
    const char *path;
    size_t stem, length;
    bool folder;
};

static struct place place_init(const char *path, enum output_kind kind)
{
    return (struct place){ path, clerk_output_stem(path, (enum clerk_output)kind), strlen(path),
                           kind == OUTPUT_FOLDER };
}

/* Would writing b touch the answer a? */
static bool touches(const struct place *a, const struct place *b)
{
    if (b->folder && strncmp(a->path, b->path, b->length) == 0 && a->path[b->length] == '/')
        return true;
    if (strncmp(a->path, b->path, b->stem) != 0)
        return false;
    const char *rest = a->path + b->stem;
    return strcmp(rest, ".index.jsonl") == 0 || strcmp(rest, ".errors.jsonl") == 0 ||
           strcmp(a->path, b->path) == 0;
}

static bool collide(const struct place *a, const struct place *b)
{
    bool same_stem = a->stem == b->stem && strncmp(a->path, b->path, a->stem) == 0;
    return same_stem || touches(a, b) || touches(b, a);
}

struct record *jobs_find_output(struct jobs *jobs, const char *path, enum output_kind kind)
{
    struct record *found = NULL;
    char *canonical = place_of(path);
    struct place wanted = place_init(canonical ? canonical : path, kind);
    for (size_t i = 0; i < jobs->count && !found; i++) {
        struct record *job = jobs->at[i];
        if (!(record_open(job) || job->retrying) || !job->output)
            continue;
        struct place taken = place_init(job->output, job->output_kind);
        if (collide(&wanted, &taken))
            found = job;
    }
    free(canonical);
    return found;
}

size_t jobs_count(const struct jobs *jobs) { return jobs->count; }

struct record *jobs_at(const struct jobs *jobs, size_t index)
{
    ENSURE(index < jobs->count);
    return jobs->at[index];
}

const struct message_submit *jobs_spec(struct jobs *jobs, const struct record *job)
{
    if (jobs->decoded != job->number) {
        /* The bytes were decoded, or made by our own encoder, when the record was made: they are no longer
         * from outside. */
        enum err err = decoder_decode(jobs->decoder, job->spec, job->spec_size, &jobs->message, NULL);
        ENSURE(!err);
        jobs->decoded = job->number;
    }
    return &jobs->message->submit;
}

enum err jobs_changed_spec(struct jobs *jobs, const struct record *job, int32_t priority,
                           uint64_t deadline_us, uint8_t **spec, size_t *size)
{
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = *jobs_spec(jobs, job);
    message.submit.priority = priority;
    message.submit.deadline_us = deadline_us;
    return message_encode(&message, spec, size);
}

void jobs_set_spec(struct jobs *jobs, struct record *job, uint8_t **spec, size_t size)
{
    free(job->spec);
    job->spec = *spec;
    job->spec_size = size;
    *spec = NULL;
    if (jobs->decoded == job->number)
        jobs->decoded = 0;
}
