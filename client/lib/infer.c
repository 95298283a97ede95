// SPDX-License-Identifier: Apache-2.0
#include "infer.h"

#include "client.h"
#include "clock.h"
#include "connection.h"
#include "file.h"
#include "input.h"
#include "submit.h"
#include "upload.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_US = 60000000, IDS_BYTES_MAX = 64 << 20 };

/* A model file that was checked and uploaded, as long as it is the same. */
struct known_model {
    struct submit_model model;
    uint64_t bytes;
    int64_t mtime_ns;
    char name[PATH_MAX_BYTES];
};

/* All of one request. */
struct inference {
    struct motley *connection;
    struct motley_infer asked;
    struct submit_model model;
    struct input input;
    uint64_t samples, began_us, until_us, deadline_us; /* deadline_us: 0 = none */
    struct tensor_spec specs[INPUTS_MAX];
    struct message_tensor inputs[INPUTS_MAX], outputs[OUTPUTS_MAX];
    struct wire_frame frames[INPUTS_MAX];
    uint32_t inputs_count;
    void *owned[INPUTS_MAX]; /* rows that were read from a file */
    char *ids;
};

/* The answer with all that it points to. */
struct whole_answer {
    struct motley_answer answer; /* first */
    struct motley_tensor outputs[OUTPUTS_MAX];
    struct tensor_spec specs[OUTPUTS_MAX];
    struct inferred inferred;
    char *ids;
};

/* ---- the model ---- */

void infer_forget(struct motley *connection)
{
    free(connection->known);
    connection->known = NULL;
}

static bool is_known(const struct motley *connection, const char *name, const struct stat *status)
{
    const struct known_model *known = connection->known;
    return known && strcmp(known->name, name) == 0 && known->bytes == (uint64_t)status->st_size &&
           known->mtime_ns == (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static void remember(struct inference *it, const struct stat *status)
{
    struct motley *connection = it->connection;
    infer_forget(connection);
    struct known_model *known = connection->known = calloc(1, sizeof *known);
    if (!known || strlen(it->asked.model) >= sizeof known->name) {
        infer_forget(connection);
        return;
    }
    known->model = it->model;
    known->bytes = (uint64_t)status->st_size;
    known->mtime_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    strcpy(known->name, it->asked.model);
}

/* To look at a model file takes a process and to upload it takes its bytes: once on a connection. */
static enum err find_model(struct inference *it, struct why *why)
{
    struct stat status = { 0 };
    uint64_t size;
    bool there = stat(it->asked.model, &status) == 0;
    if (there && is_known(it->connection, it->asked.model, &status)) {
        it->model = it->connection->known->model;
        return ERR_OK;
    }
    enum err err = submit_find_model(it->connection, it->asked.model, &it->model, why);
    if (err != ERR_OK || !it->model.path[0])
        return err;
    err = upload_file(it->connection, it->model.path, it->model.blob, &size, why);
    if (err == ERR_OK && there)
        remember(it, &status);
    return err;
}

/* ---- the input ---- */

static enum err too_large(const struct inference *it, struct why *why)
{
    return why_set(
        why, ERR_LIMIT,
        "%llu samples are more than one online request holds (%d MiB an array); use `motley submit`",
        (unsigned long long)it->samples, PAYLOAD_BYTES_MAX >> 20);
}

static enum err check_size(const struct inference *it, const struct tensor_spec *specs, uint32_t count,
                           struct why *why)
{
    uint64_t sum = 0;
    if (it->samples == 0)
        return why_set(why, ERR_USAGE, "there are no samples: nothing to ask");
    for (uint32_t k = 0; k < count; k++) {
        uint64_t row = tensor_row_bytes(&specs[k]);
        if (it->samples > BATCH_MAX || row > PAYLOAD_BYTES_MAX || row * it->samples > PAYLOAD_BYTES_MAX)
            return too_large(it, why);
        sum += row * it->samples;
    }
    return sum > MESSAGE_BYTES_MAX - BODY_BYTES_MAX || it->samples > BATCH_MAX ? too_large(it, why) : ERR_OK;
}

static void place(struct inference *it, uint32_t k, const void *rows)
{
    message_tensor_from_spec(&it->specs[k], &it->inputs[k]);
    it->frames[k] =
        (struct wire_frame){ .bytes = rows, .size = tensor_row_bytes(&it->specs[k]) * it->samples };
}

static enum err read_rows(struct inference *it, uint32_t k, struct why *why)
{
    const struct input_array *array = &it->input.arrays[k];
    size_t size = array->row_bytes * it->samples;
    it->owned[k] = malloc(size + 1);
    if (!it->owned[k])
        return why_set(why, ERR_MEMORY, "no memory for %zu bytes of input", size);
    place(it, k, it->owned[k]);
    return file_pread(array->fd, it->owned[k], size, array->offset, it->asked.input, why);
}

static enum err read_ids(struct inference *it, struct why *why)
{
    size_t size = it->input.names_bytes;
    if (it->input.names_fd < 0 || size > IDS_BYTES_MAX)
        return ERR_OK;
    it->ids = calloc(1, size + 1);
    return it->ids ? file_pread(it->input.names_fd, it->ids, size, 0, it->asked.input, why)
                   : why_set(why, ERR_MEMORY, "no memory for the ids");
}

static enum err take_file(struct inference *it, struct why *why)
{
    enum err err = input_open(it->asked.input, &it->model.signature, &it->input, why);
    if (err != ERR_OK)
        return err;
    it->samples = it->input.samples;
    it->inputs_count = it->input.count;
    for (uint32_t k = 0; k < it->inputs_count; k++)
        it->specs[k] = it->input.arrays[k].spec;
    err = check_size(it, it->specs, it->inputs_count, why);
    for (uint32_t k = 0; k < it->inputs_count && err == ERR_OK; k++)
        err = read_rows(it, k, why);
    return err == ERR_OK ? read_ids(it, why) : err;
}

static enum err describe(const struct motley_tensor *tensor, struct tensor_spec *spec, struct why *why)
{
    const char *name = tensor->name ? tensor->name : "";
    *spec = (struct tensor_spec){ .dtype = dtype_from_oip(tensor->datatype ? tensor->datatype : "") };
    if (spec->dtype == DTYPE_NONE)
        return why_set(why, ERR_USAGE, "input '%.100s': datatype %.60s is not known; give FP32 and its like",
                       name, tensor->datatype ? tensor->datatype : "NULL");
    if (tensor->dims_count < 1 || tensor->dims_count > TENSOR_DIMS_MAX + 1 || strlen(name) >= TENSOR_NAME_MAX)
        return why_set(why, ERR_USAGE,
                       "input '%.100s': give 1 to %d dimensions, the samples' first, and a shorter name",
                       name, TENSOR_DIMS_MAX + 1);
    strcpy(spec->name, name);
    spec->dims_count = tensor->dims_count - 1;
    for (uint32_t i = 0; i < tensor->dims_count; i++)
        if (tensor->dims[i] < 0 || tensor->dims[i] > PAYLOAD_BYTES_MAX)
            return why_set(why, ERR_USAGE, "input '%.100s': a dimension of %lld", name,
                           (long long)tensor->dims[i]);
    memcpy(spec->dims, tensor->dims + 1, spec->dims_count * sizeof spec->dims[0]);
    return ERR_OK;
}

static enum err take_array(struct inference *it, const struct motley_tensor *from, uint32_t k,
                           struct why *why)
{
    uint64_t wanted = tensor_row_bytes(&it->specs[k]) * it->samples;
    if ((uint64_t)from->dims[0] != it->samples || from->bytes != wanted || !from->data)
        return why_set(why, ERR_USAGE,
                       "input '%.100s': %zu bytes of %lld samples, where %llu of %llu are needed",
                       it->specs[k].name, from->bytes, (long long)from->dims[0], (unsigned long long)wanted,
                       (unsigned long long)it->samples);
    place(it, k, from->data);
    return ERR_OK;
}

static enum err take_arrays(struct inference *it, struct why *why)
{
    const struct signature *signature = &it->model.signature;
    struct tensor_spec given[INPUTS_MAX];
    uint32_t pick[INPUTS_MAX], count = (uint32_t)it->asked.inputs_count;
    if (it->asked.inputs_count > INPUTS_MAX || !it->asked.inputs)
        return why_set(why, ERR_USAGE, "inputs: %zu of them; at most %d", it->asked.inputs_count, INPUTS_MAX);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < count && err == ERR_OK; i++)
        err = describe(&it->asked.inputs[i], &given[i], why);
    if (err == ERR_OK)
        err = input_match(given, count, signature, pick, why);
    if (err != ERR_OK)
        return err;
    it->inputs_count = signature->inputs_count;
    it->samples = (uint64_t)it->asked.inputs[pick[0]].dims[0];
    for (uint32_t k = 0; k < it->inputs_count; k++) {
        it->specs[k] = given[pick[k]];
        memcpy(it->specs[k].name, signature->inputs[k].name, sizeof it->specs[k].name);
    }
    err = check_size(it, it->specs, it->inputs_count, why);
    for (uint32_t k = 0; k < it->inputs_count && err == ERR_OK; k++)
        err = take_array(it, &it->asked.inputs[pick[k]], k, why);
    return err;
}

static enum err take_input(struct inference *it, struct why *why)
{
    bool builtin = it->model.signature.inputs_count == 0;
    bool given = it->asked.input || it->asked.inputs_count;
    if (builtin && given)
        return why_set(why, ERR_USAGE, "--input: the model %.300s takes none; give --samples N",
                       it->asked.model);
    if (!builtin && !given)
        return why_set(why, ERR_USAGE, "--input is missing: the model %.300s needs it", it->asked.model);
    if (!builtin && it->asked.samples)
        return why_set(why, ERR_USAGE,
                       "--samples is for the model synthetic; the input says how many there are");
    it->samples = it->asked.samples;
    if (builtin)
        return check_size(it, it->model.signature.outputs, it->model.signature.outputs_count, why);
    return it->asked.input ? take_file(it, why) : take_arrays(it, why);
}

/* ---- asking ---- */

static uint64_t left_us(uint64_t until_us, uint64_t now_us)
{
    return until_us > now_us ? until_us - now_us : 1;
}

static void compose(struct inference *it, struct message *message)
{
    uint64_t now_us = clock_monotonic_us();
    struct message_infer *ask = &message->infer;
    *message = (struct message){ .type = MESSAGE_INFER };
    ask->model = it->asked.model;
    ask->model_blob = it->model.blob;
    ask->format = it->model.signature.format;
    ask->samples = (uint32_t)it->samples;
    ask->inputs = it->inputs;
    ask->inputs_count = it->inputs_count;
    ask->outputs = it->outputs;
    ask->outputs_count = it->model.signature.outputs_count;
    ask->batch_fixed = it->model.signature.batch_fixed;
    ask->deadline_us = it->deadline_us ? left_us(it->deadline_us, now_us) : 0;
    ask->timeout_us = left_us(it->until_us, now_us);
}

/* The coordinator says itself when the time is over; it is believed to be dead only some time after that. */
static enum err collect(struct inference *it, uint64_t request, struct answer *answer, struct why *why)
{
    uint64_t until_us = it->until_us + it->connection->timeout_us;
    for (;;) {
        enum err err = connection_collect(it->connection, until_us, answer, why);
        if (err == ERR_TIMEOUT) {
            connection_close(it->connection);
            return why_set(why, ERR_TIMEOUT, "the coordinator at %s does not answer", it->connection->url);
        }
        if (err != ERR_OK)
            return err;
        if (answer->request == request)
            return ERR_OK;
        answer_free(answer);
    }
}

static enum err ask_once(struct inference *it, struct answer *answer, struct why *why)
{
    struct message message;
    uint64_t request;
    compose(it, &message);
    enum err err =
        connection_post_frames(it->connection, &message, it->frames, it->inputs_count, &request, why);
    if (err == ERR_OK)
        err = collect(it, request, answer, why);
    if (err == ERR_OK && answer->code != ERR_OK)
        err = why_set(why, answer->code, "%s", answer->text);
    else if (err == ERR_OK && !answer->inferred)
        err = why_set(why, ERR_REFUSED, "the coordinator answered without an answer");
    if (err != ERR_OK)
        answer_free(answer);
    return err;
}

/* To ask again costs nothing but the run: nothing was kept. */
static enum err ask(struct inference *it, struct answer *answer, struct why *why)
{
    for (;;) {
        uint64_t now_us = clock_monotonic_us(), line_us = now_us + it->connection->timeout_us;
        line_us = line_us < it->until_us ? line_us : it->until_us;
        enum err err = it->connection->wire ? ERR_OK : connection_open(it->connection, line_us, why);
        if (err == ERR_OK)
            err = ask_once(it, answer, why);
        if (err != ERR_UNREACHABLE || it->connection->wire || clock_monotonic_us() >= it->until_us)
            return err;
    }
}

/* ---- the answer ---- */

static enum err take_output(struct inference *it, struct whole_answer *whole, uint32_t k, struct why *why)
{
    struct tensor_spec *spec = &whole->specs[k];
    struct motley_tensor *tensor = &whole->outputs[k];
    *spec = whole->inferred.specs[k];
    memcpy(spec->name, it->model.signature.outputs[k].name, sizeof spec->name);
    if (tensor_row_bytes(spec) * it->samples != whole->inferred.bytes[k])
        return why_set(why, ERR_FORMAT, "output '%s': the coordinator's answer has %zu bytes", spec->name,
                       whole->inferred.bytes[k]);
    tensor->name = spec->name;
    tensor->datatype = dtype_oip(spec->dtype);
    tensor->dims_count = spec->dims_count + 1;
    tensor->dims[0] = (int64_t)it->samples;
    memcpy(tensor->dims + 1, spec->dims, spec->dims_count * sizeof spec->dims[0]);
    tensor->data = whole->inferred.rows[k];
    tensor->bytes = whole->inferred.bytes[k];
    return ERR_OK;
}

static void take_times(struct inference *it, struct whole_answer *whole, uint64_t asked_us)
{
    struct motley_answer *answer = &whole->answer;
    const struct inferred *said = &whole->inferred;
    uint64_t total_us = clock_monotonic_us() - asked_us, known_us = said->queue_us + said->run_us;
    answer->samples = it->samples;
    answer->total_ms = (double)total_us / 1e3;
    answer->queue_ms = (double)said->queue_us / 1e3;
    answer->run_ms = (double)said->run_us / 1e3;
    answer->network_ms = total_us > known_us ? (double)(total_us - known_us) / 1e3 : 0;
    answer->load_ms = (double)said->load_us / 1e3;
    answer->chunks = said->chunks;
    answer->worker = said->worker;
    answer->device = said->device;
}

/* answer's parts are taken. */
static enum err make_answer(struct inference *it, struct answer *answer, uint64_t asked_us,
                            struct motley_answer **made, struct why *why)
{
    struct whole_answer *whole = calloc(1, sizeof *whole);
    if (!whole || !answer->inferred) {
        free(whole);
        return why_set(why, ERR_MEMORY, "no memory for an answer");
    }
    *made = &whole->answer;
    whole->inferred = *answer->inferred;
    answer->inferred->outputs_count = 0;
    take_times(it, whole, asked_us);
    whole->ids = it->ids;
    whole->answer.ids = it->ids && *it->ids ? it->ids : NULL;
    it->ids = NULL;
    whole->answer.outputs = whole->outputs;
    whole->answer.outputs_count = it->model.signature.outputs_count;
    enum err err =
        whole->inferred.outputs_count == it->model.signature.outputs_count
            ? ERR_OK
            : why_set(why, ERR_FORMAT, "the coordinator answered with other outputs than were asked");
    for (uint32_t k = 0; k < whole->inferred.outputs_count && err == ERR_OK; k++)
        err = take_output(it, whole, k, why);
    if (err != ERR_OK)
        motley_answer_free(made);
    return err;
}

void motley_answer_free(struct motley_answer **answer)
{
    struct whole_answer *whole = answer ? (struct whole_answer *)*answer : NULL;
    if (!whole)
        return;
    for (uint32_t k = 0; k < whole->inferred.outputs_count; k++)
        free(whole->inferred.rows[k]);
    free(whole->ids);
    free(whole);
    *answer = NULL;
}

/* ---- the whole ---- */

static enum err set_times(struct inference *it, struct why *why)
{
    double deadline = it->asked.deadline_seconds, timeout = it->asked.timeout_seconds,
           most = (double)TIME_US_MAX / 2e6;
    if (!(deadline >= 0 && deadline <= most) || !(timeout >= 0 && timeout <= most))
        return why_set(why, ERR_USAGE, "--deadline, --timeout: give times from now, at most 17 years");
    uint64_t now_us = clock_monotonic_us();
    it->until_us = now_us + (timeout > 0 ? (uint64_t)(timeout * 1e6) + 1 : TIMEOUT_US);
    it->deadline_us = deadline > 0 ? now_us + (uint64_t)(deadline * 1e6) + 1 : 0;
    if (it->deadline_us && it->deadline_us < it->until_us)
        it->until_us = it->deadline_us;
    return ERR_OK;
}

/* What is done once for a model and what the files need does not count: the clock starts with the question.
 */
static enum err infer(struct inference *it, struct motley_answer **made, struct why *why)
{
    struct answer answer = { 0 };
    enum err err = it->asked.model && *it->asked.model ? find_model(it, why)
                                                       : why_set(why, ERR_USAGE, "--model is missing");
    if (err == ERR_OK)
        err = take_input(it, why);
    if (err == ERR_OK)
        err = set_times(it, why);
    if (err != ERR_OK)
        return err;
    for (uint32_t k = 0; k < it->model.signature.outputs_count; k++)
        message_tensor_from_spec(&it->model.signature.outputs[k], &it->outputs[k]);
    uint64_t asked_us = clock_monotonic_us();
    err = ask(it, &answer, why);
    if (err == ERR_NOT_FOUND)
        infer_forget(it->connection); /* another coordinator, which does not have the model's file */
    if (err == ERR_OK)
        err = make_answer(it, &answer, asked_us, made, why);
    answer_free(&answer);
    return err;
}

static struct inference *inference_new(struct motley *connection, const struct motley_infer *asked)
{
    struct inference *it = calloc(1, sizeof *it);
    if (!it)
        return NULL;
    it->connection = connection;
    it->asked = *asked;
    it->input.names_fd = -1;
    for (size_t k = 0; k < INPUTS_MAX; k++)
        it->input.arrays[k].fd = -1;
    return it;
}

static void inference_free(struct inference *it)
{
    input_close(&it->input);
    for (uint32_t k = 0; k < INPUTS_MAX; k++)
        free(it->owned[k]);
    free(it->ids);
    free(it);
}

struct motley_answer *motley_infer(motley *connection, const struct motley_infer *asked,
                                   struct motley_error *error)
{
    struct why why = { "" };
    struct motley_answer *answer = NULL;
    struct inference *it = NULL;
    enum err err = ERR_OK;
    if (!asked || asked->size != sizeof *asked)
        err =
            why_set(&why, ERR_USAGE, "motley_infer: begin with MOTLEY_INFER_INIT of this version's motley.h");
    else if (!(it = inference_new(connection, asked)))
        err = why_set(&why, ERR_MEMORY, "no memory to ask");
    if (it) {
        err = infer(it, &answer, &why);
        inference_free(it);
    }
    motley_error_set(error, err, &why);
    return answer;
}
