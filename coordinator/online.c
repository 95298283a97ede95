// SPDX-License-Identifier: Apache-2.0
#include "online.h"

#include "access.h"
#include "answer.h"
#include "clerk.h"
#include "clock.h"
#include "explain.h"
#include "forecast.h"
#include "recorder.h"
#include "unread.h"
#include "waiting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASES_NOTED = 16, TERM_SHIFT = 39, TEXT_BYTES = 200 };
static const uint64_t ROOM_BYTES = BODY_BYTES_MAX; /* of a message, left for its body */
static const uint64_t TIMEOUT_US_MAX = 3600000000; /* a request holds one of few places */
static const uint64_t NUMBERS = 1ull << 62;

/* When a part was leased: the attempts of the last few. */
struct noted {
    uint64_t attempt, at_us;
};

struct request {
    struct record *record;
    wire_peer peer; /* 0 = it went */
    bool keyed;
    uint8_t key[KEY_BYTES];                  /* whose it is */
    uint64_t tag;                            /* the client's number for it */
    uint64_t came_us, until_us, deadline_us; /* deadline_us: 0 = none */
    struct parcel *inputs;
    uint64_t bytes; /* held, of inputs and outputs */
    uint32_t told_count, told_capacity, *told;

    struct tensor_spec specs[OUTPUTS_MAX]; /* of the rows that came */
    uint8_t *outputs[OUTPUTS_MAX];
    uint64_t row_bytes[OUTPUTS_MAX];
    bool begun; /* the outputs' buffers are there */

    struct noted leases[LEASES_NOTED];
    uint32_t leases_count, chunks;
    uint64_t loading_us, load_us; /* since when it waits for a load; how long it did */
    uint64_t queue_us, run_us;
    char worker[NAME_MAX_BYTES], device[NAME_MAX_BYTES];

    enum err err; /* it will not be answered, and why */
    struct why why;
    bool ended; /* the scheduler is done with it */
    struct request *next;
};

/* What the scheduler will be told when it may be. */
struct settled {
    uint64_t job, first, count;
    uint32_t settle;
};

struct online {
    struct request *first; /* the oldest first */
    uint32_t count;
    uint64_t bytes, counter;
    uint64_t answered, refused, late, failed;
    size_t settled_count, settled_capacity;
    struct settled *settled;
    bool look_for_refusals;
};

struct online *online_new(void) { return calloc(1, sizeof(struct online)); }

static void request_free(struct request *request)
{
    record_free(&request->record);
    if (request->inputs)
        parcel_release(request->inputs);
    for (uint32_t k = 0; k < OUTPUTS_MAX; k++)
        free(request->outputs[k]);
    free(request->told);
    free(request);
}

void online_free(struct online **online)
{
    while (*online && (*online)->first) {
        struct request *request = (*online)->first;
        (*online)->first = request->next;
        request_free(request);
    }
    if (*online)
        free((*online)->settled);
    free(*online);
    *online = NULL;
}

static struct request *find(const struct online *online, uint64_t job)
{
    struct request *request = online_is(job) ? online->first : NULL;
    while (request && request->record->number != job)
        request = request->next;
    return request;
}

struct record *online_find(const struct online *online, uint64_t job)
{
    struct request *request = find(online, job);
    return request ? request->record : NULL;
}

const char *online_model(const struct online *online, uint32_t model)
{
    for (const struct request *request = online->first; request; request = request->next)
        if (request->record->model_number == model)
            return request->record->model;
    return NULL;
}

bool online_uses(const struct online *online, const uint8_t blob[SHA256_BYTES])
{
    for (const struct request *request = online->first; request; request = request->next)
        for (uint32_t i = 0; i < request->record->blobs_count; i++)
            if (memcmp(request->record->blobs[i], blob, SHA256_BYTES) == 0)
                return true;
    return false;
}

struct online_counts online_counts(const struct online *online)
{
    return (struct online_counts){ .in_flight = online->count,
                                   .answered = online->answered,
                                   .refused = online->refused,
                                   .late = online->late,
                                   .failed = online->failed };
}

/* It is not told of it again, and forgets it when it ends; out of memory: only when it comes anew. */
void online_told(struct online *online, uint64_t job, uint32_t worker)
{
    struct request *request = find(online, job);
    if (!request)
        return;
    if (request->told_count == request->told_capacity) {
        uint32_t capacity = request->told_capacity ? 2 * request->told_capacity : 4;
        uint32_t *told = realloc(request->told, capacity * sizeof *told);
        if (!told)
            return;
        request->told = told;
        request->told_capacity = capacity;
    }
    request->told[request->told_count++] = worker;
}

/* ---- checking ---- */

static enum err check_model(const struct coordinator *coordinator, const struct message_infer *ask,
                            struct why *why)
{
    static const uint8_t none[SHA256_BYTES];
    uint64_t bytes;
    bool built_in = memcmp(ask->model_blob, none, SHA256_BYTES) == 0;
    if (!jobs_format(ask->format))
        return why_set(why, ERR_UNSUPPORTED, "model format '%s' is not known; use onnx or synthetic",
                       ask->format);
    if ((strcmp(ask->format, "synthetic") == 0) != built_in)
        return why_set(why, ERR_USAGE, "model %.300s: format %s needs %s", ask->model, ask->format,
                       built_in ? "a model file" : "no file");
    if (!built_in && !clerk_blob_find(coordinator->state_dir, ask->model_blob, &bytes))
        return why_set(why, ERR_NOT_FOUND, "model %.300s: its file was not uploaded; upload it first",
                       ask->model);
    if (!built_in)
        clerk_blob_touch(coordinator->state_dir, ask->model_blob);
    return ask->outputs_count ? ERR_OK : why_set(why, ERR_USAGE, "model %.300s: names no output", ask->model);
}

static enum err check_input(const struct wire_in *in, uint32_t k, struct why *why)
{
    const struct message_infer *ask = &in->message->infer;
    struct tensor_spec spec;
    enum err err = message_tensor_to_spec(&ask->inputs[k], &spec, why);
    if (err)
        return err;
    uint64_t row = tensor_row_bytes(&spec), size = zmq_msg_size(&in->frames[k]);
    if (!row || row > PAYLOAD_BYTES_MAX || row * ask->samples != size)
        return why_set(why, ERR_FORMAT,
                       "input '%s': %" PRIu64 " bytes came, its shape and %u samples take %" PRIu64,
                       spec.name, size, ask->samples, row * ask->samples);
    return ERR_OK;
}

static enum err check_output(const struct message_infer *ask, uint32_t k, uint64_t *sum, struct why *why)
{
    struct tensor_spec spec;
    enum err err = message_tensor_to_spec(&ask->outputs[k], &spec, why);
    if (err)
        return err;
    uint64_t row = tensor_row_bytes(&spec);
    if (row > PAYLOAD_BYTES_MAX || row * ask->samples > PAYLOAD_BYTES_MAX)
        return why_set(why, ERR_LIMIT,
                       "output '%s': %u answers of %" PRIu64
                       " bytes are more than one message holds; submit a job",
                       spec.name, ask->samples, row);
    *sum += row * ask->samples;
    return ERR_OK;
}

static enum err check(struct coordinator *coordinator, const struct wire_in *in, struct why *why)
{
    const struct message_infer *ask = &in->message->infer;
    uint64_t sum = 0;
    enum err err = check_model(coordinator, ask, why);
    if (!err && in->frames_count != ask->inputs_count)
        err = why_set(why, ERR_FORMAT, "INFER: %u payload frames where %u inputs are named", in->frames_count,
                      ask->inputs_count);
    for (uint32_t k = 0; k < ask->inputs_count && !err; k++)
        err = check_input(in, k, why);
    for (uint32_t k = 0; k < ask->outputs_count && !err; k++)
        err = check_output(ask, k, &sum, why);
    if (!err && sum > MESSAGE_BYTES_MAX - ROOM_BYTES)
        err = why_set(why, ERR_LIMIT, "the answer of %u samples is more than one message holds; submit a job",
                      ask->samples);
    return err;
}

static uint64_t frames_bytes(const struct wire_in *in)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < in->frames_count; k++)
        bytes += zmq_msg_size(&in->frames[k]);
    return bytes;
}

/* Nobody takes more than half of the room: no key, and on ipc, where all are the owner, no connection. */
static enum err check_share(const struct online *online, const struct wire_in *in, struct why *why)
{
    uint8_t key[KEY_BYTES];
    uint64_t count = 0, bytes = frames_bytes(in);
    access_key(in, key);
    for (const struct request *request = online->first; request; request = request->next)
        if (request->keyed == in->keyed &&
            (in->keyed ? key_same(request->key, key) : request->peer == in->peer)) {
            count++;
            bytes += request->bytes;
        }
    if (count < ONLINE_MAX / 2 && (count == 0 || bytes <= ONLINE_BYTES_MAX / 2))
        return ERR_OK;
    return why_set(why, ERR_FULL,
                   "busy: %" PRIu64 " online requests of yours are in flight, which is your share; try again",
                   count);
}

static enum err check_room(const struct coordinator *coordinator, const struct wire_in *in, struct why *why)
{
    const struct online *online = coordinator->online;
    if (online->count >= ONLINE_MAX)
        return why_set(why, ERR_FULL, "busy: %d online requests are in flight, which is the most; try again",
                       ONLINE_MAX);
    enum err err = check_share(online, in, why);
    if (err)
        return err;
    if (online->bytes + frames_bytes(in) > ONLINE_BYTES_MAX)
        return why_set(why, ERR_FULL, "busy: the online requests in flight hold %" PRIu64 " MiB; try again",
                       online->bytes >> 20);
    if (*coordinator->full)
        return why_set(why, ERR_FULL, "no work is done now: the disk of %.300s is full; make room",
                       coordinator->full);
    return unread_check(coordinator, ONLINE_BYTES_MAX, why);
}

/* ---- making ---- */

/* The same as a job's SUBMIT, so that all that is done with jobs can be done with it. */
static enum err make_record(struct coordinator *coordinator, const struct message_infer *ask,
                            const char *tenant, struct record **record, struct why *why)
{
    static const uint8_t nobody[UUID_BYTES];
    struct message_input inputs[INPUTS_MAX] = { 0 };
    struct message_submit submit = { .uuid = nobody,
                                     .model = ask->model,
                                     .model_blob = ask->model_blob,
                                     .format = ask->format,
                                     .samples = ask->samples,
                                     .inputs = inputs,
                                     .inputs_count = ask->inputs_count,
                                     .outputs = ask->outputs,
                                     .outputs_count = ask->outputs_count,
                                     .batch_fixed = ask->batch_fixed,
                                     .name = "",
                                     .tenant = tenant,
                                     .output_path = "" };
    uint64_t number = NUMBERS | store_term(coordinator->store) << TERM_SHIFT | coordinator->online->counter++;
    for (uint32_t k = 0; k < ask->inputs_count; k++) {
        struct tensor_spec spec;
        if (message_tensor_to_spec(&ask->inputs[k], &spec, why))
            return ERR_FORMAT;
        inputs[k].tensor = ask->inputs[k];
        inputs[k].source.row_bytes = tensor_row_bytes(&spec);
    }
    enum err err = jobs_make(number, &submit, clock_wall_us(), record, why);
    if (err)
        return err;
    (*record)->model_number = registry_number(coordinator->registry, ask->model_blob);
    if ((*record)->model_number == REGISTRY_NONE) {
        record_free(record);
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    }
    return ERR_OK;
}

static uint64_t later(uint64_t now_us, uint64_t us)
{
    return now_us + (!us ? ONLINE_TIMEOUT_US : us < TIMEOUT_US_MAX ? us : TIMEOUT_US_MAX);
}

static enum err make_request(struct coordinator *coordinator, struct wire_in *in, struct request **made,
                             struct why *why)
{
    const struct message_infer *ask = &in->message->infer;
    struct online *online = coordinator->online;
    struct request *request = *made = calloc(1, sizeof *request);
    char tenant[KEYRING_TENANT_MAX];
    if (!request)
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    enum err err = access_tenant(coordinator, in->peer, "", tenant, why);
    if (!err)
        err = make_record(coordinator, ask, tenant, &request->record, why);
    if (err) {
        free(request);
        return err;
    }
    request->peer = in->peer;
    request->keyed = in->keyed;
    access_key(in, request->key);
    request->tag = ask->request;
    request->came_us = coordinator->now_us;
    request->deadline_us = ask->deadline_us ? coordinator->now_us + ask->deadline_us : 0;
    request->until_us = later(coordinator->now_us, ask->timeout_us);
    if (request->deadline_us && request->deadline_us < request->until_us)
        request->until_us = request->deadline_us;
    request->bytes = frames_bytes(in);
    request->inputs = parcel_take(in);
    if (!request->inputs) {
        request_free(request);
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    }
    struct request **at = &online->first;
    while (*at)
        at = &(*at)->next;
    *at = request;
    online->count++;
    online->bytes += request->bytes;
    return ERR_OK;
}

/* It will not be answered; the first reason stands. */
static void fail(struct request *request, enum err err, const char *text)
{
    if (!request->err)
        request->err = why_set(&request->why, err, "%s", text);
}

/* ---- admission ---- */

struct outlook {
    const struct coordinator *coordinator;
    const struct request *request;
    struct forecast forecast;
    bool known;
    double alone_us;      /* how long it would take if all slots that may run it had nothing else to do */
    uint64_t earliest_us; /* nothing could be done about that */
};

static double alone_us(const struct outlook *outlook, const struct sched *sched)
{
    struct explain_slot slot;
    double rate = 0;
    uint64_t job = outlook->request->record->number;
    for (uint32_t i = 0; i < roster_count(outlook->coordinator->roster); i++) {
        const struct worker *worker = roster_at(outlook->coordinator->roster, i);
        for (uint32_t k = 0; worker->serving && k < worker->slots_count; k++)
            if (explain_slot(sched, job, i, k, &slot) && slot.samples_per_second > 0)
                rate += slot.samples_per_second;
    }
    return rate > 0 ? (double)outlook->request->record->samples * 1e6 / rate : 0;
}

/* The early end of the forecast, but not before the work could be done at all. */
static void look(void *context, const struct sched *sched)
{
    struct outlook *outlook = context;
    const struct request *request = outlook->request;
    outlook->known =
        forecast_job(sched, request->record->number, &outlook->forecast) && outlook->forecast.known;
    outlook->alone_us = alone_us(outlook, sched);
    double least_us = (double)request->came_us + outlook->alone_us;
    outlook->earliest_us = outlook->forecast.low_us;
    if ((double)outlook->earliest_us < least_us && least_us < 9e18)
        outlook->earliest_us = (uint64_t)least_us;
}

/* Refused when not even the early end of the forecast holds. If only the batches of jobs stand in the way,
 * the scheduler is told of the request all the same: that makes the batches short for those to come. True: go
 * on. */
static bool admit(struct coordinator *coordinator, struct request *request, const struct sched_event *event)
{
    struct outlook outlook = { .coordinator = coordinator, .request = request };
    if (!request->deadline_us)
        return true;
    if (!sched_suppose(coordinator->sched, coordinator->now_us, event, look, &outlook) || !outlook.known ||
        outlook.earliest_us <= request->deadline_us)
        return true;
    double within = (double)(request->deadline_us - request->came_us);
    bool shorten = outlook.alone_us <= within / 2;
    uint64_t about_us =
        outlook.forecast.done_us > outlook.earliest_us ? outlook.forecast.done_us : outlook.earliest_us;
    char text[TEXT_BYTES];
    snprintf(text, sizeof text,
             "cannot be answered within %.4g ms: it would take about %.4g ms, %.4g ms at the earliest%s",
             within / 1e3, (double)(about_us - request->came_us) / 1e3,
             (double)(outlook.earliest_us - request->came_us) / 1e3,
             shorten ? "; batches are kept short from now on, try again" : "");
    fail(request, ERR_TIMEOUT, text);
    coordinator->online->refused++;
    request->ended = !shorten;
    return shorten;
}

/* No slot has the format and did not refuse the model. */
static void look_for_refusal(struct coordinator *coordinator, struct request *request)
{
    struct sched_job_look job;
    char text[WHY_MAX];
    const struct registry_file *file = registry_file(coordinator->registry, request->record->model_number);
    if (!*file->refused_by || request->leases_count ||
        !sched_job_look(coordinator->sched, request->record->number, &job) || job.slots_able)
        return;
    snprintf(text, sizeof text, "model %.100s could not be loaded on %.60s: %.300s", request->record->model,
             file->refused_by, file->refusal);
    fail(request, ERR_RUNTIME, text);
}

static void schedule(struct coordinator *coordinator, struct request *request)
{
    struct sched_event event;
    struct sched_job_look job;
    struct why why;
    struct record *record = request->record;
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    if (coordinator_job_event(coordinator, spec, record->number, record->model_number, record->submitted_us,
                              &event, &why))
        log_debug("TENANT-UNKNOWN", "%s", why.text);
    event.add.online = true;
    event.add.deadline_us = request->deadline_us; /* a time-out alone makes no batch shorter */
    event.add.failures_max = 0;
    if (!admit(coordinator, request, &event))
        return;
    record->in_sched = true;
    coordinator_step(coordinator, &event);
    if (!sched_job_look(coordinator->sched, record->number, &job)) {
        record->in_sched = false;
        request->ended = true;
        fail(request, ERR_FULL, "busy: the scheduler has no room for a further request; try again");
        return;
    }
    look_for_refusal(coordinator, request);
}

void online_infer(struct coordinator *coordinator, struct wire_in *in)
{
    uint64_t tag = in->message->infer.request;
    struct request *request;
    struct why why;
    enum err err = check(coordinator, in, &why);
    if (!err)
        err = check_room(coordinator, in, &why);
    if (!err)
        err = make_request(coordinator, in, &request, &why);
    if (!err) {
        schedule(coordinator, request);
        return;
    }
    coordinator->online->refused++;
    coordinator_reply(coordinator, in->peer, tag, err, why.text, 0);
}

/* ---- what happens to it ---- */

void online_loading(struct coordinator *coordinator, uint64_t job)
{
    struct request *request = find(coordinator->online, job);
    if (request && !request->loading_us && !request->chunks)
        request->loading_us = coordinator->now_us;
}

void online_leased(struct coordinator *coordinator, const struct sched_action *action)
{
    struct request *request = find(coordinator->online, action->job);
    const struct worker *worker = roster_at(coordinator->roster, action->worker);
    if (!request)
        return;
    if (request->loading_us && !request->leases_count)
        request->load_us = coordinator->now_us - request->loading_us;
    request->leases[request->leases_count++ % LEASES_NOTED] =
        (struct noted){ action->attempt, coordinator->now_us };
    if (worker)
        snprintf(request->worker, sizeof request->worker, "%s", worker->name);
}

static uint64_t leased_us(const struct request *request, uint64_t attempt)
{
    uint32_t kept = request->leases_count < LEASES_NOTED ? request->leases_count : LEASES_NOTED;
    for (uint32_t i = 0; i < kept; i++)
        if (request->leases[i].attempt == attempt)
            return request->leases[i].at_us;
    return request->came_us;
}

/* The times are the worker's word: they are no longer than what passed here. */
static void note_part(struct coordinator *coordinator, struct request *request, const struct answer *answer)
{
    const struct message_result *result = answer->result;
    uint64_t leased = leased_us(request, result->attempt), passed_us = coordinator->now_us - leased;
    const struct message_hello *hello = worker_hello(coordinator->roster, answer->worker);
    request->chunks++;
    request->run_us = result->run_us < passed_us ? result->run_us : passed_us;
    uint64_t waited_us = passed_us - request->run_us;
    request->queue_us =
        leased - request->came_us + (result->wait_us < waited_us ? result->wait_us : waited_us);
    snprintf(request->worker, sizeof request->worker, "%s", answer->worker->name);
    if (result->slot < hello->slots_count)
        snprintf(request->device, sizeof request->device, "%s", hello->slots[result->slot].device);
}

/* What the rows of an answer look like. */
static void row_spec(const struct answer *answer, uint32_t k, struct tensor_spec *spec)
{
    *spec = answer->record->outputs[k];
    if (!answer->result->shapes_count)
        return;
    const struct message_shape *shape = &answer->result->shapes[k];
    spec->dtype = (enum dtype)shape->dtype;
    spec->dims_count = shape->dims_count;
    if (shape->dims_count > 0)
        memcpy(spec->dims, shape->dims, shape->dims_count * sizeof spec->dims[0]);
}

static bool declared(const struct tensor_spec *spec, const struct tensor_spec *wanted)
{
    bool same = spec->dtype == wanted->dtype && spec->dims_count == wanted->dims_count;
    for (uint32_t i = 0; same && i < spec->dims_count; i++)
        same = wanted->dims[i] < 0 || spec->dims[i] == wanted->dims[i];
    return same;
}

static bool begin(struct online *online, struct request *request, const struct answer *answer)
{
    uint64_t sum = 0, samples = request->record->samples;
    uint32_t count = request->record->outputs_count;
    for (uint32_t k = 0; k < count; k++) {
        row_spec(answer, k, &request->specs[k]);
        request->row_bytes[k] = answer->row_bytes[k];
        if (!declared(&request->specs[k], &request->record->outputs[k])) {
            fail(request, ERR_FORMAT, "the worker's answer is not of the shape that the model declares");
            return false;
        }
        if (request->row_bytes[k] > PAYLOAD_BYTES_MAX || request->row_bytes[k] * samples > PAYLOAD_BYTES_MAX)
            sum = ONLINE_BYTES_MAX;
        sum += request->row_bytes[k] * samples;
    }
    if (sum > MESSAGE_BYTES_MAX - ROOM_BYTES || online->bytes + sum > ONLINE_BYTES_MAX) {
        fail(request, ERR_LIMIT, "the answer is more than one message holds; submit a job");
        return false;
    }
    online->bytes += sum;
    request->bytes += sum;
    request->begun = true;
    for (uint32_t k = 0; k < count; k++)
        if (!(request->outputs[k] = malloc(request->row_bytes[k] * samples + 1))) {
            fail(request, ERR_MEMORY, "the coordinator is out of memory");
            return false;
        }
    return true;
}

static bool same_rows(const struct request *request, const struct answer *answer)
{
    struct tensor_spec spec;
    for (uint32_t k = 0; k < request->record->outputs_count; k++) {
        row_spec(answer, k, &spec);
        if (answer->row_bytes[k] != request->row_bytes[k] || !declared(&spec, &request->specs[k]))
            return false;
    }
    return true;
}

static void keep_rows(struct online *online, struct request *request, const struct answer *answer,
                      uint64_t first, uint64_t count)
{
    uint64_t skip = first - answer->result->first;
    if (!request->begun && !begin(online, request, answer))
        return;
    if (!same_rows(request, answer)) {
        fail(request, ERR_UNSUPPORTED,
             "the answers' shapes differ from sample to sample; submit a job with an output Y.jsonl");
        return;
    }
    for (uint32_t k = 0; k < request->record->outputs_count; k++)
        if (request->row_bytes[k] > 0)
            memcpy(request->outputs[k] + first * request->row_bytes[k],
                   answer->rows[k] + skip * request->row_bytes[k], count * request->row_bytes[k]);
}

static void settle(struct coordinator *coordinator, const struct sched_action *action)
{
    struct online *online = coordinator->online;
    if (online->settled_count == online->settled_capacity) {
        size_t capacity = online->settled_capacity ? 2 * online->settled_capacity : 64;
        struct settled *settled = realloc(online->settled, capacity * sizeof *settled);
        if (!settled) { /* as when the store cannot take a result */
            log_error("STORE-BROKEN", "out of memory for an online answer");
            coordinator->broken = true;
            return;
        }
        online->settled = settled;
        online->settled_capacity = capacity;
    }
    online->settled[online->settled_count++] =
        (struct settled){ action->job, action->first, action->count, action->settle };
}

void online_store(struct coordinator *coordinator, const struct sched_action *action)
{
    struct request *request = find(coordinator->online, action->job);
    if (request && coordinator->answer) {
        note_part(coordinator, request, coordinator->answer);
        if (!request->err)
            keep_rows(coordinator->online, request, coordinator->answer, action->first, action->count);
    }
    settle(coordinator, action);
}

void online_fail(struct coordinator *coordinator, const struct sched_action *action)
{
    struct request *request = find(coordinator->online, action->job);
    char text[WHY_MAX];
    if (request && coordinator->answer) {
        snprintf(text, sizeof text, "sample %" PRIu64 " failed on %.60s: %.400s", action->first,
                 coordinator->answer->worker->name, coordinator->answer->reason.text);
        fail(request, ERR_RUNTIME, text);
    }
    settle(coordinator, action);
}

void online_job_state(struct coordinator *coordinator, const struct sched_action *action)
{
    struct request *request = find(coordinator->online, action->job);
    if (!request || action->state == SCHED_JOB_QUEUED || action->state == SCHED_JOB_RUNNING)
        return;
    request->ended = true;
    if (action->state != SCHED_JOB_COMPLETE)
        fail(request, ERR_RUNTIME, "it failed");
}

void online_refused(struct online *online) { online->look_for_refusals = true; }

void online_peer_gone(struct coordinator *coordinator, wire_peer peer)
{
    for (struct request *request = coordinator->online->first; request; request = request->next) {
        if (request->peer != peer)
            continue;
        request->peer = 0;
        fail(request, ERR_CANCELLED, "the client went");
    }
}

enum err online_rows(const struct online *online, const struct message_fetch *ask, const void **bytes,
                     uint64_t *total, struct why *why)
{
    const struct request *request = find(online, ask->job);
    if (!request || ask->input >= request->inputs->frames_count)
        return why_set(why, ERR_NOT_FOUND, "FETCH: the request has no input %u, or is over", ask->input);
    zmq_msg_t *frame = &request->inputs->frames[ask->input];
    *total = zmq_msg_size(frame);
    if (ask->offset > *total || ask->length > *total - ask->offset)
        return why_set(why, ERR_LIMIT, "FETCH: past the end of the request's input %u", ask->input);
    *bytes = (const uint8_t *)zmq_msg_data(frame) + ask->offset;
    return ERR_OK;
}

/* ---- turns ---- */

static void tell_settled(struct coordinator *coordinator)
{
    struct online *online = coordinator->online;
    for (size_t i = 0; i < online->settled_count; i++) {
        struct settled about = online->settled[i];
        struct sched_event event = {
            .type = SCHED_STORED, .job = about.job, .first = about.first, .count = about.count
        };
        event.stored.settle = about.settle;
        coordinator_step(coordinator, &event);
    }
    online->settled_count = 0;
}

static void describe_wait(const struct coordinator *coordinator, const struct request *request, char *text,
                          size_t max)
{
    struct sched_job_look job = { 0 };
    sched_job_look(coordinator->sched, request->record->number, &job);
    const struct view view = coordinator_view(coordinator);
    char none[WAITING_MAX];
    const char *reason = "every slot that could run it was busy";
    if (request->leases_count) {
        snprintf(text, max, "it was on its way on %.60s", request->worker);
        return;
    }
    if (job.slots_loading)
        reason = "its model was still being loaded";
    else if (coordinator->grace_until_us)
        reason = "the coordinator has just started";
    else if (waiting_hopeless(&view, request->record, none))
        reason = none;
    snprintf(text, max, "%.*s", (int)(max - 1), reason);
}

static void give_up(struct coordinator *coordinator, struct request *request)
{
    char text[WHY_MAX], reason[TEXT_BYTES];
    if (request->err || request->until_us > coordinator->now_us)
        return;
    describe_wait(coordinator, request, reason, sizeof reason);
    snprintf(text, sizeof text, "not answered within %.4g ms: %s",
             (double)(request->until_us - request->came_us) / 1e3, reason);
    fail(request, ERR_TIMEOUT, text);
    coordinator->online->late++;
}

static void release(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

static void reply(struct coordinator *coordinator, struct request *request)
{
    struct message_shape shapes[OUTPUTS_MAX];
    struct wire_frame frames[OUTPUTS_MAX];
    struct message message = { .type = MESSAGE_INFERRED };
    uint32_t count = request->record->outputs_count;
    for (uint32_t k = 0; k < count; k++) {
        shapes[k] = (struct message_shape){ .dtype = (uint32_t)request->specs[k].dtype,
                                            .dims = request->specs[k].dims,
                                            .dims_count = request->specs[k].dims_count };
        frames[k] = (struct wire_frame){ request->outputs[k],
                                         request->row_bytes[k] * request->record->samples, release, NULL };
        request->outputs[k] = NULL;
    }
    message.inferred = (struct message_inferred){ .request = request->tag,
                                                  .shapes = shapes,
                                                  .shapes_count = count,
                                                  .total_us = coordinator->now_us - request->came_us,
                                                  .queue_us = request->queue_us,
                                                  .run_us = request->run_us,
                                                  .load_us = request->load_us,
                                                  .chunks = request->chunks,
                                                  .worker = request->worker,
                                                  .device = request->device };
    coordinator->online->answered++;
    if (!coordinator_send_frames(coordinator, request->peer, &message, frames, count))
        log_debug("REPLY-LOST", "a client did not wait for its answer");
}

static void forget(struct coordinator *coordinator, struct request *request)
{
    uint64_t job = request->record->number;
    for (uint32_t i = 0; i < request->told_count; i++) {
        struct worker *worker = roster_at(coordinator->roster, request->told[i]);
        /* Who is away is told when it comes back, as of any job. */
        if (worker)
            trail_part(&worker->trail.jobs, job);
        if (worker && worker->serving && worker_untell(worker, job))
            outbox_forget(coordinator->outbox, worker->number, job);
    }
    if (request->record->in_sched) {
        recorder_remove(coordinator->recorder, job);
        sched_job_remove(coordinator->sched, job);
    }
}

static void end(struct coordinator *coordinator, struct request *request)
{
    struct online *online = coordinator->online;
    if (!request->err && request->peer)
        reply(coordinator, request);
    else if (request->peer)
        coordinator_reply(coordinator, request->peer, request->tag, request->err, request->why.text, 0);
    online->failed += request->err && request->err != ERR_TIMEOUT;
    forget(coordinator, request);
    online->bytes -= request->bytes;
    online->count--;
    request_free(request);
}

/* Those that are over leave the list; a step may end others. */
static void end_all(struct coordinator *coordinator)
{
    for (struct request **at = &coordinator->online->first; *at;) {
        struct request *request = *at;
        if (!request->ended) {
            at = &request->next;
            continue;
        }
        *at = request->next;
        end(coordinator, request);
    }
}

void online_turn(struct coordinator *coordinator)
{
    struct online *online = coordinator->online;
    outbox_calm(coordinator->outbox, true); /* its answer is what is waited for */
    tell_settled(coordinator);
    outbox_calm(coordinator->outbox, false);
    for (struct request *request = online->first; request; request = request->next) {
        if (online->look_for_refusals && !request->ended)
            look_for_refusal(coordinator, request);
        if (!request->ended)
            give_up(coordinator, request);
        if (request->err && !request->ended)
            coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_JOB_CANCEL,
                                                                 .job = request->record->number });
    }
    online->look_for_refusals = false;
    outbox_calm(coordinator->outbox, true);
    end_all(coordinator);
    outbox_calm(coordinator->outbox, false);
}

uint64_t online_due_us(const struct online *online)
{
    uint64_t due_us = UINT64_MAX;
    for (const struct request *request = online->first; request; request = request->next)
        due_us = request->until_us < due_us ? request->until_us : due_us;
    return due_us;
}
