// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include "bounds.h"
#include "clock.h"
#include "dialogue.h"
#include "ensure.h"
#include "file.h"
#include "joined.h"
#include "motley.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After a lost line the next try waits a little, so that a coordinator that starts is not hammered. */
enum { RETRY_US = 50000, GREETING_US = 3000000, HANG_UPS = 3 };

static int poll_ms(uint64_t deadline_us)
{
    uint64_t now = clock_monotonic_us();
    if (now >= deadline_us)
        return 0;
    uint64_t left = (deadline_us - now + 999) / 1000;
    return left > 1000 ? 1000 : (int)left;
}

static enum err unanswered(const struct motley *connection, struct why *why)
{
    return why_set(
        why, ERR_UNREACHABLE,
        "no answer from the coordinator at %s within %.3g s; is it running? start it with `motley up`, or "
        "allow more with --connect-timeout",
        connection->url, (double)connection->timeout_us / 1e6);
}

static enum err lost(struct motley *connection, struct why *why)
{
    connection_close(connection);
    return why_set(why, ERR_UNREACHABLE, "the connection to the coordinator at %s was lost; try again",
                   connection->url);
}

void connection_close(struct motley *connection)
{
    if (connection->wire)
        wire_free(&connection->wire);
}

/* Nothing can be sent before there is a line. A refused key is told at once; a coordinator that only hangs up
 * may be one that stops, so it is tried a few times. */
static enum err await_line(struct motley *connection, uint64_t deadline_us, struct why *why)
{
    zmq_pollitem_t item = { .socket = wire_monitor_socket(connection->wire), .events = ZMQ_POLLIN };
    enum wire_refusal refusal = WIRE_NOT_REFUSED;
    do {
        if (wire_is_connected(connection->wire))
            return ERR_OK;
        refusal = wire_refused(connection->wire, why);
        bool hangs_up = refusal == WIRE_CLOSED && wire_refusals(connection->wire) >= HANG_UPS;
        if (refusal == WIRE_KEY_REFUSED || refusal == WIRE_STRANGER || (hangs_up && !connection->pid))
            return ERR_REFUSED;
        (void)zmq_poll(&item, 1, poll_ms(deadline_us));
    } while (clock_monotonic_us() < deadline_us);
    /* One that greeted us before has our key and we have its: it hung up for another reason. */
    return refusal == WIRE_CLOSED && !connection->pid ? ERR_REFUSED : unanswered(connection, why);
}

/* Wait for one message. False with *err = ERR_TIMEOUT, or ERR_UNREACHABLE when the line broke. */
static bool receive(struct motley *connection, uint64_t deadline_us, struct wire_in *in, enum err *err,
                    struct why *why)
{
    for (;;) {
        if (wire_receive(connection->wire, in))
            return true;
        zmq_pollitem_t items[2] = { { .socket = wire_socket(connection->wire), .events = ZMQ_POLLIN },
                                    { .socket = wire_monitor_socket(connection->wire),
                                      .events = ZMQ_POLLIN } };
        int ready = zmq_poll(items, 2, poll_ms(deadline_us));
        if (ready > 0 && (items[0].revents & ZMQ_POLLIN))
            continue;
        /* A DEALER reconnects by itself, but the new line is a stranger to the coordinator. */
        wire_peer lost_peer;
        if (wire_lost(connection->wire, &lost_peer)) {
            *err = lost(connection, why);
            return false;
        }
        if (clock_monotonic_us() >= deadline_us) {
            *err = why_set(why, ERR_TIMEOUT, "no answer from the coordinator at %s in time; try again",
                           connection->url);
            return false;
        }
    }
}

static enum err judge_welcome(struct motley *connection, const struct wire_in *in, struct why *why)
{
    const struct message *message = in->message;
    if (!message)
        return why_set(why, ERR_REFUSED, "%s: is not a coordinator that this client understands: %.300s",
                       connection->url, in->why.text);
    if (message->type == MESSAGE_REFUSED)
        return why_set(why, ERR_REFUSED, "the coordinator at %s refused us: %.300s", connection->url,
                       message->refused.text);
    if (!dialogue_allows(DIALOGUE_GREETING_CLIENT, message->type) || message->type != MESSAGE_CLIENT_WELCOME)
        return why_set(why, ERR_REFUSED, "%s: answered the greeting with %s; is it a Motley coordinator?",
                       connection->url, message_name(message->type));
    connection->term = message->client_welcome.term;
    connection->pid = message->client_welcome.pid;
    connection->same_host = message->client_welcome.same_host;
    snprintf(connection->role, sizeof connection->role, "%s", message->client_welcome.role);
    return ERR_OK;
}

static enum err greet(struct motley *connection, uint64_t deadline_us, struct why *why)
{
    uint8_t nonce[ADDRESS_NONCE_MAX];
    struct message hello = { .type = MESSAGE_CLIENT_HELLO };
    struct wire_in in;
    enum err err = ERR_OK;
    hello.client_hello.protocol_min = PROTOCOL_MIN;
    hello.client_hello.protocol_max = PROTOCOL_MAX;
    hello.client_hello.version = MOTLEY_VERSION;
    hello.client_hello.nonce = nonce;
    hello.client_hello.nonce_size = (uint32_t)address_nonce(connection->url, nonce);
    if (wire_send(connection->wire, 0, &hello, NULL, 0) != ERR_OK)
        return lost(connection, why);
    if (receive(connection, deadline_us, &in, &err, why))
        return judge_welcome(connection, &in, why);
    return err == ERR_TIMEOUT ? unanswered(connection, why) : err;
}

/* As what our key would be let in again if it were refused: of a machine that joined as a worker it is the
 * worker's key, too. */
static const char *own_role(const char *url)
{
    char state_dir[PATH_MAX_BYTES];
    struct joined joined;
    bool worker = file_state_dir(state_dir, sizeof state_dir, NULL) == ERR_OK &&
                  joined_read(state_dir, &joined, NULL) == ERR_OK && joined.role == ROLE_WORKER &&
                  strcmp(joined.url, url) == 0;
    return worker ? "worker" : "client";
}

/* A line that broke before the first answer is not told: a greeting without an answer is tried again on a new
 * line. */
static enum err open_once(struct motley *connection, uint64_t deadline_us, struct why *why)
{
    uint64_t slice_us = clock_monotonic_us() + GREETING_US;
    const struct identity *identity = &connection->identity;
    struct wire_keys keys = { .own = &identity->own,
                              .server_half = identity->server_half,
                              .role = identity->keyed ? own_role(connection->url) : "client" };
    enum err err = wire_connect(connection->context, connection->url, identity->keyed ? &keys : NULL,
                                &connection->wire, why);
    if (err == ERR_OK)
        err = await_line(connection, deadline_us, why);
    if (err == ERR_OK)
        err = greet(connection, slice_us < deadline_us ? slice_us : deadline_us, why);
    if (err != ERR_OK)
        connection_close(connection);
    return err;
}

enum err connection_open(struct motley *connection, uint64_t deadline_us, struct why *why)
{
    for (;;) {
        connection_close(connection);
        enum err err = open_once(connection, deadline_us, why);
        uint64_t next = clock_monotonic_us() + RETRY_US;
        if (err != ERR_UNREACHABLE || next >= deadline_us)
            return err;
        clock_sleep_until_us(next);
    }
}

/* Every client's request begins with its number, so any of them gives access to it. */
static void number_request(struct motley *connection, struct message *message)
{
    _Static_assert(offsetof(struct message_submit, request) == 0 &&
                       offsetof(struct message_output_get, request) == 0 &&
                       offsetof(struct message_blob_put, request) == 0,
                   "a request's number comes first");
    ENSURE(message->type >= MESSAGE_SUBMIT && message->type < MESSAGE_CLIENT_WELCOME);
    message->view.request = ++connection->next_request;
}

enum err connection_post(struct motley *connection, struct message *message, const void *payload, size_t size,
                         uint64_t *request, struct why *why)
{
    struct wire_frame frame = { .bytes = payload, .size = size };
    return connection_post_frames(connection, message, &frame, payload ? 1 : 0, request, why);
}

enum err connection_post_frames(struct motley *connection, struct message *message,
                                const struct wire_frame *frames, uint32_t count, uint64_t *request,
                                struct why *why)
{
    if (!connection->wire)
        return why_set(why, ERR_UNREACHABLE, "not connected to the coordinator at %s; try again",
                       connection->url);
    number_request(connection, message);
    *request = message->view.request;
    enum err err = message_check(message, why);
    if (err != ERR_OK)
        return err;
    err = wire_send(connection->wire, 0, message, frames, count);
    return err == ERR_FULL || err == ERR_UNREACHABLE ? lost(connection, why)
           : err != ERR_OK ? why_set(why, err, "a request could not be sent: %s", err_name(err))
                           : ERR_OK;
}

static enum err copy_answer(struct wire_in *in, struct answer *answer, struct why *why)
{
    const struct message_reply *reply = &in->message->reply;
    answer->request = reply->request;
    answer->code = reply->code <= ERR_RUNTIME ? (enum err)reply->code : ERR_SYSTEM;
    answer->number = reply->number;
    snprintf(answer->text, sizeof answer->text, "%s",
             reply->text && *reply->text ? reply->text : "refused without a reason");
    if (in->frames_count == 0)
        return ERR_OK;
    answer->payload_size = zmq_msg_size(&in->frames[0]);
    answer->payload = malloc(answer->payload_size + 1);
    if (!answer->payload)
        return why_set(why, ERR_MEMORY, "no memory for an answer of %zu bytes", answer->payload_size);
    memcpy(answer->payload, zmq_msg_data(&in->frames[0]), answer->payload_size);
    answer->payload[answer->payload_size] = 0;
    return ERR_OK;
}

static enum err copy_rows(struct inferred *inferred, uint32_t k, const struct message_shape *shape,
                          zmq_msg_t *frame, struct why *why)
{
    struct tensor_spec *spec = &inferred->specs[k];
    spec->dtype = (enum dtype)shape->dtype;
    spec->dims_count = shape->dims_count; /* within its bound: the decoder saw to it */
    if (shape->dims_count)
        memcpy(spec->dims, shape->dims, shape->dims_count * sizeof spec->dims[0]);
    inferred->bytes[k] = zmq_msg_size(frame);
    inferred->rows[k] = malloc(inferred->bytes[k] + 1);
    if (!inferred->rows[k])
        return why_set(why, ERR_MEMORY, "no memory for an answer of %zu bytes", inferred->bytes[k]);
    memcpy(inferred->rows[k], zmq_msg_data(frame), inferred->bytes[k]);
    return ERR_OK;
}

static enum err copy_inferred(struct wire_in *in, struct answer *answer, struct why *why)
{
    const struct message_inferred *said = &in->message->inferred;
    struct inferred *inferred = answer->inferred = calloc(1, sizeof *inferred);
    if (!inferred)
        return why_set(why, ERR_MEMORY, "no memory for an answer");
    answer->request = said->request;
    inferred->total_us = said->total_us;
    inferred->queue_us = said->queue_us;
    inferred->run_us = said->run_us;
    inferred->load_us = said->load_us;
    inferred->chunks = said->chunks;
    snprintf(inferred->worker, sizeof inferred->worker, "%s", said->worker);
    snprintf(inferred->device, sizeof inferred->device, "%s", said->device);
    enum err err = ERR_OK;
    for (uint32_t k = 0; k < said->shapes_count && err == ERR_OK; k++) {
        inferred->outputs_count++;
        err = copy_rows(inferred, k, &said->shapes[k], &in->frames[k], why);
    }
    return err;
}

static enum err copy_any(struct wire_in *in, struct answer *answer, struct why *why)
{
    enum err err = in->message->type == MESSAGE_REPLY
                       ? copy_answer(in, answer, why)
                       : message_frames_check(in->message, in->frames_count, why);
    if (err == ERR_OK && in->message->type == MESSAGE_INFERRED)
        err = copy_inferred(in, answer, why);
    if (err != ERR_OK)
        answer_free(answer);
    return err;
}

enum err connection_collect(struct motley *connection, uint64_t deadline_us, struct answer *answer,
                            struct why *why)
{
    struct wire_in in;
    enum err err = ERR_OK;
    memset(answer, 0, sizeof *answer);
    if (!connection->wire)
        return why_set(why, ERR_UNREACHABLE, "not connected to the coordinator at %s; try again",
                       connection->url);
    if (!receive(connection, deadline_us, &in, &err, why))
        return err;
    if (in.message && in.message->type != MESSAGE_REFUSED &&
        dialogue_allows(DIALOGUE_ASKING, in.message->type))
        return copy_any(&in, answer, why);
    if (in.message && in.message->type == MESSAGE_REFUSED)
        err = why_set(why, ERR_REFUSED, "the coordinator at %s refused: %.300s", connection->url,
                      in.message->refused.text);
    else
        err = why_set(why, ERR_REFUSED, "the coordinator at %s sent what a client does not expect: %.300s",
                      connection->url, in.message ? message_name(in.message->type) : in.why.text);
    connection_close(connection);
    return err;
}

void answer_free(struct answer *answer)
{
    free(answer->payload);
    for (uint32_t k = 0; answer->inferred && k < answer->inferred->outputs_count; k++)
        free(answer->inferred->rows[k]);
    free(answer->inferred);
    memset(answer, 0, sizeof *answer);
}

static enum err collect_one(struct motley *connection, uint64_t request, struct answer *answer,
                            struct why *why)
{
    uint64_t deadline = clock_monotonic_us() + connection->timeout_us;
    for (;;) {
        enum err err = connection_collect(connection, deadline, answer, why);
        if (err == ERR_TIMEOUT) {
            connection_close(connection);
            return unanswered(connection, why);
        }
        if (err != ERR_OK || answer->request == request)
            return err;
        answer_free(answer);
    }
}

enum err connection_ask(struct motley *connection, struct message *message, struct answer *answer,
                        struct why *why)
{
    struct answer own = { 0 };
    uint64_t request;
    enum err err = connection_post(connection, message, NULL, 0, &request, why);
    if (err == ERR_OK)
        err = collect_one(connection, request, &own, why);
    if (err == ERR_OK && own.code != ERR_OK)
        err = why_set(why, own.code, "%s", own.text);
    if (err == ERR_OK && answer)
        *answer = own;
    else
        answer_free(&own);
    return err;
}

enum err connection_insist(struct motley *connection, struct message *message, struct answer *answer,
                           struct why *why)
{
    uint64_t deadline = clock_monotonic_us() + connection->timeout_us;
    for (;;) {
        enum err err = connection->wire ? ERR_OK : connection_open(connection, deadline, why);
        if (err == ERR_OK)
            err = connection_ask(connection, message, answer, why);
        /* An open connection with this code: the coordinator itself said so. */
        if (err != ERR_UNREACHABLE || connection->wire || clock_monotonic_us() >= deadline)
            return err;
    }
}
