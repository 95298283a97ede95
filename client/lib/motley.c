// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include "clock.h"
#include "connection.h"
#include "file.h"
#include "infer.h"
#include "joined.h"
#include "precision.h"
#include "submit.h"
#include "upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>
#include <zmq.h>

enum { DEFAULT_TIMEOUT_US = 5000000, TIMEOUT_MAX_SECONDS = 86400 };

void motley_error_set(struct motley_error *error, enum err err, const struct why *why)
{
    if (!error)
        return;
    error->code = err_exit_code(err);
    snprintf(error->text, sizeof error->text, "%s", err == ERR_OK ? "" : why->text);
}

/* ---- connecting
 * ------------------------------------------------------------------------------------------------------ */

/* A key that was joined belongs to its own coordinator: another's needs one that is given. */
static enum err find_keys(struct motley *connection, const char *given, struct why *why)
{
    char state_dir[PATH_MAX_BYTES], joined[KEY_TEXT_MAX];
    if (strncmp(connection->url, "tcp://", 6) != 0)
        return ERR_OK;
    enum err err = file_state_dir(state_dir, sizeof state_dir, why);
    if (err != ERR_OK)
        return err;
    if (!given || !*given)
        given = joined_key(state_dir, connection->url, joined);
    return identity_find(state_dir, connection->url, given, &connection->identity, why);
}

static enum err read_options(const struct motley_connect_options *options, struct motley *connection,
                             struct why *why)
{
    struct motley_connect_options known = MOTLEY_CONNECT_INIT;
    size_t first = offsetof(struct motley_connect_options, coordinator_key); /* as it was at first */
    if (options && options->size != sizeof known && options->size != first)
        return why_set(why, ERR_USAGE,
                       "motley_connect: begin with MOTLEY_CONNECT_INIT of this version's motley.h");
    if (options)
        memcpy(&known, options, options->size);
    if (known.timeout_seconds > TIMEOUT_MAX_SECONDS)
        known.timeout_seconds = TIMEOUT_MAX_SECONDS;
    connection->timeout_us =
        known.timeout_seconds > 0.0 ? (uint64_t)(known.timeout_seconds * 1e6) : DEFAULT_TIMEOUT_US;
    enum err err = address_resolve(known.coordinator, connection->url, why);
    return err == ERR_OK ? find_keys(connection, known.coordinator_key, why) : err;
}

motley *motley_connect(const struct motley_connect_options *options, void *reserved,
                       struct motley_error *error)
{
    struct why why = { "" };
    struct motley *connection = calloc(1, sizeof *connection);
    enum err err = connection ? ERR_OK : why_set(&why, ERR_MEMORY, "no memory to connect");
    if (err == ERR_OK && reserved)
        err = why_set(&why, ERR_USAGE, "motley_connect: reserved must be NULL");
    if (err == ERR_OK)
        err = read_options(options, connection, &why);
    if (err == ERR_OK && !(connection->context = zmq_ctx_new()))
        err = why_set(&why, ERR_SYSTEM, "cannot make a ZeroMQ context");
    if (err == ERR_OK)
        err = connection_open(connection, clock_monotonic_us() + connection->timeout_us, &why);
    if (err != ERR_OK)
        motley_close(&connection);
    motley_error_set(error, err, &why);
    return connection;
}

void motley_close(motley **connection)
{
    struct motley *it = connection ? *connection : NULL;
    if (!it)
        return;
    connection_close(it);
    if (it->context)
        zmq_ctx_term(it->context);
    infer_forget(it);
    identity_wipe(&it->identity);
    while (it->kept) {
        struct kept_output *next = it->kept->next;
        free(it->kept->output);
        free(it->kept);
        it->kept = next;
    }
    free(it);
    *connection = NULL;
}

/* ---- views ---- */

char *motley_view(motley *connection, const char *what, const char *which, struct motley_error *error)
{
    struct why why = { "" };
    struct answer answer = { 0 };
    struct message view = { .type = MESSAGE_VIEW };
    view.view.what = what;
    view.view.which = which ? which : "";
    enum err err = connection_insist(connection, &view, &answer, &why);
    if (err == ERR_OK && !answer.payload)
        err = why_set(&why, ERR_FORMAT, "%s: the coordinator answered with nothing", what);
    motley_error_set(error, err, &why);
    return answer.payload;
}

int motley_cancel(motley *connection, const char *which, struct motley_error *error)
{
    struct why why = { "" };
    struct answer answer = { 0 };
    struct message cancel = { .type = MESSAGE_CANCEL };
    cancel.cancel.which = which;
    enum err err = connection_insist(connection, &cancel, &answer, &why);
    int count = err == ERR_OK ? (int)answer.number : -1;
    answer_free(&answer);
    motley_error_set(error, err, &why);
    return count;
}

/* At most so many go at a time, so that no answer takes long. */
enum { REMOVED_AT_ONCE = 1000 };

static enum err remove_once(struct motley *connection, uint32_t what, const char *which, uint64_t *count,
                            struct why *why)
{
    struct answer answer = { 0 };
    struct message message = { .type = MESSAGE_REMOVE };
    message.remove.what = what;
    message.remove.which = which;
    enum err err = connection_insist(connection, &message, &answer, why);
    *count = answer.number;
    answer_free(&answer);
    return err;
}

int64_t motley_remove(motley *connection, const char *which, struct motley_error *error)
{
    struct why why = { "" };
    uint64_t count = 0, all = 0;
    enum err err;
    do {
        err = remove_once(connection, REMOVE_JOBS, which, &count, &why);
        all += err == ERR_OK ? count : 0;
    } while (err == ERR_OK && count >= REMOVED_AT_ONCE);
    if (err == ERR_NOT_FOUND && all > 0) /* a range of which nothing is left */
        err = ERR_OK;
    motley_error_set(error, err, &why);
    return err == ERR_OK ? (int64_t)all : -1;
}

int motley_model_remove(motley *connection, const char *which, struct motley_error *error)
{
    struct why why = { "" };
    uint64_t count = 0;
    enum err err = remove_once(connection, REMOVE_MODEL, which, &count, &why);
    motley_error_set(error, err, &why);
    return err == ERR_OK ? (int)count : -1;
}

int motley_retry(motley *connection, const char *which, struct motley_error *error)
{
    struct why why = { "" };
    struct answer answer = { 0 };
    struct message message = { .type = MESSAGE_RETRY };
    message.retry.which = which;
    enum err err = connection_insist(connection, &message, &answer, &why);
    int count = err == ERR_OK ? (int)answer.number : -1;
    answer_free(&answer);
    motley_error_set(error, err, &why);
    return count;
}

static enum err read_change(const struct motley_change *asked, struct message_change *change, struct why *why)
{
    if (asked->size != sizeof *asked)
        return why_set(why, ERR_USAGE,
                       "motley_change: begin with MOTLEY_CHANGE_INIT of this version's motley.h");
    if (!asked->set_priority && !asked->set_deadline)
        return why_set(why, ERR_USAGE, "nothing to change: give a priority, a deadline or both");
    double deadline_us = asked->deadline_seconds * 1e6;
    if (asked->set_deadline && (!(deadline_us >= 0) || deadline_us > (double)TIME_US_MAX))
        return why_set(why, ERR_USAGE, "--deadline: give a time from now, at most 35 years");
    if (asked->set_priority) {
        change->what |= CHANGE_PRIORITY;
        change->priority = asked->priority;
    }
    if (asked->set_deadline) {
        change->what |= CHANGE_DEADLINE;
        change->deadline_us = deadline_us > 0 && deadline_us < 1 ? 1 : (uint64_t)deadline_us;
    }
    return ERR_OK;
}

int motley_change(motley *connection, const char *which, const struct motley_change *change,
                  struct motley_error *error)
{
    struct why why = { "" };
    struct answer answer = { 0 };
    struct message message = { .type = MESSAGE_CHANGE };
    message.change.which = which;
    enum err err = read_change(change, &message.change, &why);
    if (err == ERR_OK)
        err = connection_insist(connection, &message, &answer, &why);
    int count = err == ERR_OK ? (int)answer.number : -1;
    answer_free(&answer);
    motley_error_set(error, err, &why);
    return count;
}

int motley_drain(motley *connection, const char *which, int resume, struct motley_error *error)
{
    struct why why = { "" };
    struct answer answer = { 0 };
    struct message drain = { .type = MESSAGE_DRAIN };
    drain.drain.which = which;
    drain.drain.resume = resume != 0;
    enum err err = connection_insist(connection, &drain, &answer, &why);
    int count = err == ERR_OK ? (int)answer.number : -1;
    answer_free(&answer);
    motley_error_set(error, err, &why);
    return count;
}

/* ---- models ---- */

/* Jobs name a model as NAME or NAME:VERSION. */
static enum err check_word(const char *what, const char *word, struct why *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (*word && !word[strspn(word, allowed)])
        return ERR_OK;
    return why_set(why, ERR_USAGE, "'%.100s' is no %s of a model; use letters, digits, '.', '_' and '-'",
                   word, what);
}

static enum err check_model_name(const char *name, const char *version, struct why *why)
{
    enum err err = check_word("name", name, why);
    if (err == ERR_OK && version)
        err = check_word("version", version, why);
    if (err == ERR_OK && strcmp(name, "synthetic") == 0)
        err = why_set(why, ERR_USAGE, "synthetic is the name of the built-in model; give another one");
    return err;
}

static enum err check_variant(const char *precision, double accuracy, struct why *why)
{
    if (precision && !precision_bit(precision))
        return why_set(why, ERR_USAGE, "--precision %.60s: give %s", precision, PRECISION_NAMES);
    if (!(accuracy >= 0 && accuracy <= 1))
        return why_set(why, ERR_USAGE, "--accuracy: give a share, 0 to 1");
    return ERR_OK;
}

static enum err add_model(struct motley *connection, const char *file, const char *name, const char *version,
                          const char *precision, double accuracy, struct why *why)
{
    struct signature signature;
    struct message message = { .type = MESSAGE_MODEL_ADD };
    struct message_model_add *add = &message.model_add;
    struct message_tensor inputs[INPUTS_MAX], outputs[OUTPUTS_MAX];
    uint8_t digest[SHA256_BYTES];
    enum err err = check_model_name(name, version, why);
    if (err == ERR_OK)
        err = check_variant(precision, accuracy, why);
    if (err == ERR_OK)
        err = signature_of_file(file, &signature, NULL, why);
    if (err == ERR_OK)
        err = upload_file(connection, file, digest, &add->bytes, why);
    if (err != ERR_OK)
        return err;
    for (uint32_t k = 0; k < signature.inputs_count; k++)
        message_tensor_from_spec(&signature.inputs[k], &inputs[k]);
    for (uint32_t k = 0; k < signature.outputs_count; k++)
        message_tensor_from_spec(&signature.outputs[k], &outputs[k]);
    add->name = name;
    add->version = version ? version : "1";
    add->format = signature.format;
    add->precision = precision ? precision : signature.precision;
    add->accuracy = accuracy;
    add->blob = digest;
    add->inputs = inputs;
    add->inputs_count = signature.inputs_count;
    add->outputs = outputs;
    add->outputs_count = signature.outputs_count;
    add->batch_fixed = signature.batch_fixed;
    return connection_insist(connection, &message, NULL, why);
}

int motley_model_add(motley *connection, const char *file, const char *name, const char *version,
                     struct motley_error *error)
{
    return motley_variant_add(connection, file, name, version, NULL, 0, error);
}

int motley_variant_add(motley *connection, const char *file, const char *name, const char *version,
                       const char *precision, double accuracy, struct motley_error *error)
{
    struct why why = { "" };
    enum err err = add_model(connection, file, name, version, precision, accuracy, &why);
    motley_error_set(error, err, &why);
    return err_exit_code(err);
}
