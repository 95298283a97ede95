// SPDX-License-Identifier: Apache-2.0
#include "submit.h"

#include "client.h"
#include "costs.h"
#include "file.h"
#include "input.h"
#include "output.h"
#include "upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>
#include <yyjson.h>

/* ---- the model
 * ------------------------------------------------------------------------------------------------------- */

static bool looks_like_file(const char *model)
{
    struct stat status;
    size_t length = strlen(model);
    bool named = strchr(model, '/') || (length > 5 && strcmp(model + length - 5, ".onnx") == 0);
    return named || (stat(model, &status) == 0 && S_ISREG(status.st_mode));
}

static enum err take_registered(const char *model, const struct answer *answer, struct submit_model *found,
                                struct why *why)
{
    enum err err = signature_parse(answer->payload, answer->payload_size, model, &found->signature, why);
    if (err != ERR_OK)
        return err;
    yyjson_doc *doc = yyjson_read(answer->payload, answer->payload_size, 0);
    const char *hex = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "blob"));
    if (hex && sha256_parse(hex, found->blob) != ERR_OK)
        err = why_set(why, ERR_FORMAT, "%s: the coordinator does not say which file it is", model);
    yyjson_doc_free(doc);
    return err ? err : variants_parse(answer->payload, answer->payload_size, model, &found->variants, why);
}

static enum err find_registered(struct motley *connection, const char *model, struct submit_model *found,
                                struct why *why)
{
    struct message view = { .type = MESSAGE_VIEW };
    struct answer answer;
    struct why inner;
    view.view.what = "model";
    view.view.which = model;
    enum err err = connection_insist(connection, &view, &answer, &inner);
    if (err == ERR_NOT_FOUND)
        return why_set(
            why, ERR_NOT_FOUND,
            "%.200s: is neither a file nor a registered model; see `motley model list`, or give a model file",
            model);
    if (err != ERR_OK)
        return why_set(why, err, "%s", inner.text);
    err = take_registered(model, &answer, found, why);
    answer_free(&answer);
    return err;
}

enum err submit_find_model(struct motley *connection, const char *model, struct submit_model *found,
                           struct why *why)
{
    memset(found, 0, sizeof *found);
    if (strcmp(model, "synthetic") == 0) {
        signature_synthetic(&found->signature);
        return ERR_OK;
    }
    if (!looks_like_file(model))
        return find_registered(connection, model, found, why);
    if (access(model, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: the model cannot be read", model);
    enum err err = file_absolute(model, found->path, sizeof found->path, why);
    return err == ERR_OK ? signature_of_file(model, &found->signature, NULL, why) : err;
}

/* ---- options ---- */

static enum err bad_failures(const char *text, struct why *why)
{
    return why_set(why, ERR_USAGE, "--max-failures %.60s: give a number such as 10, or a share such as 5%%",
                   text);
}

enum err submit_parse_failures(const char *text, uint64_t *count, double *share, struct why *why)
{
    char *end;
    *count = UINT64_MAX;
    *share = 0.05;
    if (!text)
        return ERR_OK;
    if (*text < '0' || *text > '9')
        return bad_failures(text, why);
    errno = 0;
    if (strchr(text, '%')) {
        double percent = strtod(text, &end);
        if (strcmp(end, "%") != 0 || !(percent >= 0.0 && percent <= 100.0))
            return bad_failures(text, why);
        *share = percent / 100.0;
        return ERR_OK;
    }
    unsigned long long number = strtoull(text, &end, 10);
    if (*end || errno || number == UINT64_MAX)
        return bad_failures(text, why);
    *count = number;
    return ERR_OK;
}

/* ---- the job ---- */

/* All that a SUBMIT refers to, for as long as it is being made. */
struct submission {
    struct motley *connection;
    struct motley_submit asked;
    struct submit_model model;
    struct input input;
    struct output_plan plan;
    uint64_t samples;
    uint8_t uuid[UUID_BYTES], names[SHA256_BYTES], blobs[INPUTS_MAX][SHA256_BYTES];
    struct message_input inputs[INPUTS_MAX];
    struct message_tensor outputs[OUTPUTS_MAX];
    struct message_variant variants[VARIANTS_MAX];
    uint64_t max_failures;
    double max_failures_share;
    uint64_t deadline_us;
    uint32_t objective, verify_ppm;
    uint32_t *costs;
    bool dry_run;
};

static enum err find_objective(const char *text, uint32_t *objective, struct why *why)
{
    static const char *const names[] = { "fastest", "cheapest", "greenest" };
    *objective = SUBMIT_FASTEST;
    for (uint32_t i = 0; text && i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *objective = i;
            return ERR_OK;
        }
    return text ? why_set(why, ERR_USAGE, "--objective %.60s: give fastest, cheapest or greenest", text)
                : ERR_OK;
}

static enum err check_wishes(struct submission *s, struct why *why)
{
    const struct motley_submit *asked = &s->asked;
    double deadline_us = asked->deadline_seconds * 1e6;
    if (!(deadline_us >= 0) || deadline_us > (double)TIME_US_MAX)
        return why_set(why, ERR_USAGE, "--deadline: give a time from now, at most 35 years");
    if (!(asked->verify_share >= 0 && asked->verify_share <= 1))
        return why_set(why, ERR_USAGE, "--verify: give a share of the samples, 0%% to 100%%");
    s->deadline_us = deadline_us > 0 && deadline_us < 1 ? 1 : (uint64_t)deadline_us;
    s->verify_ppm = (uint32_t)(asked->verify_share * 1e6 + 0.5);
    return find_objective(asked->objective, &s->objective, why);
}

/* The last of those that are left runs where no other does: it is the model's file. */
static enum err choose_variants(struct submission *s, struct why *why)
{
    struct submit_model *model = &s->model;
    double least = s->asked.accuracy_min;
    if (!(least >= 0 && least <= 1))
        return why_set(why, ERR_USAGE, "accuracy_min: give a share, 0 to 1");
    enum err err = variants_choose(&model->variants, s->asked.model, s->asked.precisions, least, why);
    uint32_t count = model->variants.count;
    if (err != ERR_OK || count == 0)
        return err;
    const struct variant *last = &model->variants.at[count - 1];
    memcpy(model->blob, last->blob, sizeof model->blob);
    memcpy(model->signature.format, last->format, sizeof model->signature.format);
    for (uint32_t i = 0; i < count; i++) {
        const struct variant *at = &model->variants.at[i];
        s->variants[i] = (struct message_variant){
            .blob = at->blob, .format = at->format, .precision = at->precision, .bytes = at->bytes
        };
    }
    return ERR_OK;
}

static enum err check_options(struct submission *s, struct why *why)
{
    const struct signature *signature = &s->model.signature;
    if (s->asked.batch > BATCH_MAX)
        return why_set(why, ERR_USAGE, "--batch %u: at most %d", s->asked.batch, BATCH_MAX);
    if (signature->batch_fixed && s->asked.batch && s->asked.batch != signature->batch_fixed)
        return why_set(why, ERR_USAGE, "--batch %u: this model takes batches of %u; leave --batch away",
                       s->asked.batch, signature->batch_fixed);
    enum err err = check_wishes(s, why);
    return err ? err
               : submit_parse_failures(s->asked.max_failures, &s->max_failures, &s->max_failures_share, why);
}

static enum err open_input(struct submission *s, struct why *why)
{
    bool builtin = s->model.signature.inputs_count == 0;
    if (builtin && s->asked.input)
        return why_set(why, ERR_USAGE, "--input: the model %s takes none; give --samples N", s->asked.model);
    if (!builtin && s->asked.samples)
        return why_set(why, ERR_USAGE,
                       "--samples is for the model synthetic; the input says how many there are");
    if (!builtin && !s->asked.input)
        return why_set(why, ERR_USAGE, "--input is missing: the model %.300s needs it", s->asked.model);
    s->samples = s->asked.samples;
    if (builtin)
        return s->samples <= SAMPLES_MAX ? ERR_OK : why_set(why, ERR_LIMIT, "--samples: more than 10^15");
    enum err err = input_open(s->asked.input, &s->model.signature, &s->input, why);
    s->samples = s->input.samples;
    return err;
}

/* A file on the coordinator's host is named; everything else is uploaded as bare rows. */
static enum err send_input(struct submission *s, uint32_t k, struct why *why)
{
    struct input_array *array = &s->input.arrays[k];
    struct message_input *input = &s->inputs[k];
    uint64_t bytes = s->samples * array->row_bytes;
    message_tensor_from_spec(&array->spec, &input->tensor);
    input->source.row_bytes = array->row_bytes;
    if (s->connection->same_host && array->path[0]) {
        input->source.path = array->path;
        input->source.offset = array->offset;
        input->source.file_bytes = array->file_bytes;
        input->source.mtime_ns = array->mtime_ns;
        return ERR_OK;
    }
    input->source.file_bytes = bytes;
    input->blob = s->blobs[k];
    if (s->dry_run)
        return ERR_OK;
    return upload_bytes(s->connection, array->fd, array->offset, bytes, s->asked.input, s->blobs[k], why);
}

static enum err send_blobs(struct submission *s, struct why *why)
{
    enum err err = ERR_OK;
    uint64_t size;
    if (s->model.path[0])
        err = s->dry_run ? upload_digest(s->model.path, s->model.blob, why)
                         : upload_file(s->connection, s->model.path, s->model.blob, &size, why);
    for (uint32_t k = 0; err == ERR_OK && k < s->input.count; k++)
        err = send_input(s, k, why);
    if (err == ERR_OK && s->input.names_fd >= 0 && !s->dry_run)
        err =
            upload_bytes(s->connection, s->input.names_fd, 0, s->input.names_bytes, "the ids", s->names, why);
    return err;
}

/* "models/digits.onnx" -> "digits": what a job is called if nobody names it. */
static void default_name(const char *model, char *name, size_t max)
{
    const char *slash = strrchr(model, '/'), *from = slash ? slash + 1 : model;
    const char *dot = strrchr(from, '.');
    snprintf(name, max, "%.*s", (int)(dot && dot > from ? (size_t)(dot - from) : strlen(from)), from);
}

/* answer: the job's number, or a dry run's JSON. */
static enum err send_submit(struct submission *s, struct answer *answer, struct why *why)
{
    char name[NAME_MAX_BYTES];
    struct message message = { .type = MESSAGE_SUBMIT };
    struct message_submit *submit = &message.submit;
    default_name(s->asked.model, name, sizeof name);
    submit->uuid = s->uuid;
    submit->name = s->asked.name ? s->asked.name : name;
    submit->model = s->asked.model;
    submit->model_blob = s->model.blob;
    submit->format = s->model.signature.format;
    submit->samples = s->samples;
    submit->inputs = s->inputs;
    submit->inputs_count = s->input.count;
    submit->outputs = s->outputs;
    submit->outputs_count = s->model.signature.outputs_count;
    submit->batch_fixed = s->model.signature.batch_fixed;
    submit->output_path = s->connection->same_host ? s->plan.path : "";
    submit->output_kind = s->plan.kind;
    submit->names_blob = s->names;
    submit->priority = s->asked.priority;
    submit->batch = s->asked.batch;
    submit->max_failures = s->max_failures;
    submit->max_failures_share = s->max_failures_share;
    submit->require = s->asked.require;
    submit->prefer = s->asked.prefer;
    submit->tenant = s->asked.tenant;
    submit->deadline_us = s->deadline_us;
    submit->objective = s->objective;
    submit->verify_ppm = s->verify_ppm;
    submit->costs = s->costs;
    submit->costs_count = s->costs ? (uint32_t)s->samples : 0;
    submit->dry_run = s->dry_run;
    submit->variants = s->variants;
    submit->variants_count = s->model.variants.count;
    return connection_insist(s->connection, &message, answer, why);
}

/* The coordinator cannot write here: motley_wait on this connection will. */
static enum err keep_output(struct submission *s, uint64_t job, struct why *why)
{
    if (s->connection->same_host || !s->plan.path[0])
        return ERR_OK;
    struct kept_output *kept = calloc(1, sizeof *kept);
    if (kept)
        kept->output = strdup(s->plan.path);
    if (!kept || !kept->output) {
        free(kept);
        return why_set(why, ERR_MEMORY, "no memory; the job %llu goes on", (unsigned long long)job);
    }
    kept->job = (int64_t)job;
    kept->next = s->connection->kept;
    s->connection->kept = kept;
    return ERR_OK;
}

static enum err check_output(const struct submission *s, struct why *why)
{
    enum err err = output_check(&s->plan, why);
    if (err == ERR_OK && s->asked.input && strcmp(s->asked.input, "-") != 0)
        err = output_check_source(&s->plan, s->asked.input, why);
    if (err == ERR_OK && s->model.path[0])
        err = output_check_source(&s->plan, s->model.path, why);
    return err == ERR_OK ? output_check_room(&s->plan, &s->model.signature, s->samples, why) : err;
}

static enum err submit_all(struct submission *s, struct answer *answer, struct why *why)
{
    enum err err = submit_find_model(s->connection, s->asked.model, &s->model, why);
    if (err == ERR_OK)
        err = choose_variants(s, why);
    if (err == ERR_OK)
        err = check_options(s, why);
    if (err == ERR_OK)
        err = open_input(s, why);
    if (err == ERR_OK && s->asked.costs)
        err = costs_read(s->asked.costs, s->samples, &s->costs, why);
    if (err == ERR_OK)
        err = output_plan(s->asked.output, &s->model.signature, s->input.jsonl, &s->plan, why);
    if (err == ERR_OK)
        err = check_output(s, why);
    if (err == ERR_OK)
        err = send_blobs(s, why);
    if (err != ERR_OK)
        return err;
    uuid_generate(s->uuid);
    for (uint32_t k = 0; k < s->model.signature.outputs_count; k++)
        message_tensor_from_spec(&s->model.signature.outputs[k], &s->outputs[k]);
    err = send_submit(s, answer, why);
    return err == ERR_OK && !s->dry_run ? keep_output(s, answer->number, why) : err;
}

static enum err begin(struct submission *s, motley *connection, const struct motley_submit *asked,
                      struct why *why)
{
    s->connection = connection;
    s->input.names_fd = -1;
    for (size_t k = 0; k < INPUTS_MAX; k++)
        s->input.arrays[k].fd = -1;
    if (!asked || asked->size < sizeof asked->size || asked->size > sizeof *asked)
        return why_set(why, ERR_USAGE,
                       "motley_submit: begin with MOTLEY_SUBMIT_INIT of this version's motley.h");
    memcpy(&s->asked, asked, asked->size);
    return s->asked.model && *s->asked.model ? ERR_OK : why_set(why, ERR_USAGE, "--model is missing");
}

static enum err submit(motley *connection, const struct motley_submit *asked, bool dry_run,
                       struct answer *answer, struct motley_error *error)
{
    struct why why = { "" };
    struct submission *s = calloc(1, sizeof *s);
    if (!s) {
        motley_error_set(error, why_set(&why, ERR_MEMORY, "no memory to submit a job"), &why);
        return ERR_MEMORY;
    }
    s->dry_run = dry_run;
    enum err err = begin(s, connection, asked, &why);
    if (err == ERR_OK)
        err = submit_all(s, answer, &why);
    if (err == ERR_OK && dry_run && !answer->payload)
        err = why_set(&why, ERR_FORMAT, "the coordinator answered with nothing");
    input_close(&s->input);
    free(s->costs);
    free(s);
    motley_error_set(error, err, &why);
    return err;
}

int64_t motley_submit(motley *connection, const struct motley_submit *asked, struct motley_error *error)
{
    struct answer answer = { 0 };
    enum err err = submit(connection, asked, false, &answer, error);
    int64_t job = err == ERR_OK ? (int64_t)answer.number : -1;
    answer_free(&answer);
    return job;
}

char *motley_dry_run(motley *connection, const struct motley_submit *asked, struct motley_error *error)
{
    struct answer answer = { 0 };
    enum err err = submit(connection, asked, true, &answer, error);
    if (err == ERR_OK)
        return answer.payload;
    answer_free(&answer);
    return NULL;
}
