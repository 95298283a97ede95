// SPDX-License-Identifier: Apache-2.0
/* honest - one worker and one client that keep to the protocol among liars: they come again when they are
 * refused or the coordinator was away, and do jobs of the model `synthetic`. The worker alone says that it is
 * in the room `honest`. Nothing waits: pump them. */
#ifndef HONEST_H
#define HONEST_H

#include "clock.h"
#include "liar.h"

#include <yyjson.h>

enum { HONEST_JOBS_MAX = 4096, HONEST_ROW_MAX = 1 << 16, HONEST_BATCH = 8 };

struct honest_worker {
    struct liar peer;
    uint8_t uuid[UUID_BYTES];
    bool greeted;
    uint64_t row_bytes[HONEST_JOBS_MAX]; /* by job: of its only output; 0 = it cannot be done here */
    uint64_t told_us, greeted_us;        /* when a heartbeat and when HELLO was said last */
    uint64_t answered;
};

enum { HONEST_HEARTBEAT_US = 50000, HONEST_GREETING_US = 3000000 };

static inline void honest_worker_hello(struct honest_worker *worker)
{
    const char *formats[] = { "synthetic" };
    struct message_label label = { "room", "honest" };
    struct message_device device = {
        .id = "d:0", .kind = "cpu", .vendor = "", .name = "honest device", .uuid = ""
    };
    struct message_slot slot = { .device = "d:0",
                                 .runtime = "synthetic",
                                 .formats = formats,
                                 .formats_count = 1,
                                 .batch_max = HONEST_BATCH,
                                 .window = 2,
                                 .alpha_us = 1000,
                                 .beta_us = 10,
                                 .idle_watts = -1,
                                 .busy_watts = -1,
                                 .price_per_hour = -1 };
    struct message message = { .type = MESSAGE_HELLO };
    message.hello = (struct message_hello){ .protocol_min = 1,
                                            .protocol_max = 1,
                                            .worker = worker->uuid,
                                            .name = "honest",
                                            .host = "here",
                                            .labels = &label,
                                            .labels_count = 1,
                                            .devices = &device,
                                            .devices_count = 1,
                                            .slots = &slot,
                                            .slots_count = 1 };
    liar_say(&worker->peer, &message, NULL, 0, UINT64_MAX);
    message = (struct message){ .type = MESSAGE_PROOF };
    message.proof.nonce = (const uint8_t *)"";
    liar_say(&worker->peer, &message, NULL, 0, UINT64_MAX);
    worker->greeted_us = worker->told_us = clock_monotonic_us();
}

static inline void honest_worker_learn(struct honest_worker *worker, const struct message_job *job)
{
    if (job->job >= HONEST_JOBS_MAX)
        return;
    uint64_t bytes = job->outputs_count == 1 && job->inputs_count == 0
                         ? dtype_bytes((enum dtype)job->outputs[0].dtype)
                         : 0;
    for (uint32_t i = 0; bytes && i < job->outputs[0].dims_count; i++)
        bytes = job->outputs[0].dims[i] < 0 || job->outputs[0].dims[i] > HONEST_ROW_MAX
                    ? 0
                    : bytes * (uint64_t)job->outputs[0].dims[i];
    worker->row_bytes[job->job] = bytes <= HONEST_ROW_MAX ? bytes : 0;
}

static inline void honest_worker_answer(struct honest_worker *worker, const struct message_lease *lease)
{
    static uint64_t rows[HONEST_BATCH * HONEST_ROW_MAX / sizeof(uint64_t)];
    uint64_t row = lease->job < HONEST_JOBS_MAX ? worker->row_bytes[lease->job] : 0;
    bool can = row > 0 && lease->count <= HONEST_BATCH;
    for (uint32_t i = 0; can && row == sizeof rows[0] && i < lease->count; i++)
        rows[i] = rng_mix64(lease->first + i);
    struct message_result result = { .slot = lease->slot,
                                     .job = lease->job,
                                     .first = lease->first,
                                     .count = lease->count,
                                     .term = lease->term,
                                     .attempt = lease->attempt,
                                     .mac = lease->mac,
                                     .status = can ? RESULT_OK : RESULT_INPUT,
                                     .reason = can ? "" : "the honest worker cannot",
                                     .run_us = 1000,
                                     .energy_joules = -1,
                                     .frames = can };
    struct message message = { .type = MESSAGE_RESULTS };
    struct liar_frame frame = { rows, (size_t)(row * lease->count) };
    message.results = (struct message_results){ &result, 1 };
    liar_say(&worker->peer, &message, &frame, can, UINT64_MAX);
    worker->answered++;
}

static inline void honest_worker_take(struct honest_worker *worker, const struct message *message)
{
    if (message->type == MESSAGE_WELCOME)
        worker->greeted = true;
    for (uint32_t i = 0; message->type == MESSAGE_JOBS && i < message->jobs.jobs_count; i++)
        honest_worker_learn(worker, &message->jobs.jobs[i]);
    if (message->type == MESSAGE_LOAD) {
        struct message loaded = { .type = MESSAGE_LOADED };
        uint32_t slot = message->load.slot;
        loaded.loaded = (struct message_loaded){ .slot = slot, .ok = true, .load_us = 1000 };
        liar_say(&worker->peer, &loaded, NULL, 0, UINT64_MAX);
    }
    for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count; i++) {
        rumour_lease(worker->peer.rumours, &message->leases.leases[i]);
        honest_worker_answer(worker, &message->leases.leases[i]);
    }
}

static inline void honest_worker_pump(struct honest_worker *worker)
{
    zmq_msg_t body;
    const struct message *message;
    uint64_t now_us = clock_monotonic_us();
    if (!worker->peer.socket || worker->peer.refused ||
        (!worker->greeted && now_us - worker->greeted_us > HONEST_GREETING_US)) {
        liar_disconnect(&worker->peer);
        liar_connect(&worker->peer);
        worker->greeted = false;
        honest_worker_hello(worker);
    }
    (void)zmq_msg_init(&body);
    while ((message = liar_hear(&worker->peer, &body)))
        honest_worker_take(worker, message);
    (void)zmq_msg_close(&body);
    if (worker->greeted && now_us - worker->told_us > HONEST_HEARTBEAT_US) {
        struct message heartbeat = { .type = MESSAGE_HEARTBEAT };
        heartbeat.heartbeat.sequence = now_us & INT64_MAX;
        liar_say(&worker->peer, &heartbeat, NULL, 0, UINT64_MAX);
        worker->told_us = now_us;
    }
}

/* ---- the client ---- */

struct honest_client {
    struct liar peer;
    const char *nonce;
    bool answered;
    enum message_type asked;
    uint64_t request;
    uint32_t code;   /* of the answer */
    uint64_t number; /* in it */
    char text[REASON_MAX_BYTES];
    uint8_t *bytes; /* its payload */
    size_t size;
    yyjson_doc *doc; /* the same, of a view */
};

static inline void honest_client_come(struct honest_client *client)
{
    struct message message = { .type = MESSAGE_CLIENT_HELLO };
    liar_disconnect(&client->peer);
    liar_connect(&client->peer);
    message.client_hello = (struct message_client_hello){ .protocol_min = 1,
                                                          .protocol_max = 1,
                                                          .version = "honest",
                                                          .nonce = (const uint8_t *)client->nonce,
                                                          .nonce_size = (uint32_t)strlen(client->nonce) };
    liar_say(&client->peer, &message, NULL, 0, UINT64_MAX);
}

/* The payload of a REPLY; a view must be JSON, whatever names liars gave. */
static inline void honest_client_read(struct honest_client *client, zmq_msg_t *frame)
{
    free(client->bytes);
    yyjson_doc_free(client->doc);
    client->doc = NULL;
    client->size = zmq_msg_size(frame);
    client->bytes = malloc(client->size + 1);
    FUZZ_CHECK(client->bytes);
    memcpy(client->bytes, zmq_msg_data(frame), client->size);
    if (client->asked == MESSAGE_VIEW) {
        client->doc = yyjson_read((char *)client->bytes, client->size, 0);
        FUZZ_CHECK(client->doc);
    }
}

static inline void honest_client_fini(struct honest_client *client)
{
    free(client->bytes);
    yyjson_doc_free(client->doc);
    liar_fini(&client->peer);
}

static inline bool honest_client_hear(struct honest_client *client)
{
    zmq_msg_t body, frame;
    const struct message *message = NULL;
    struct why why;
    (void)zmq_msg_init(&body);
    (void)zmq_msg_init(&frame);
    bool came = zmq_msg_recv(&body, client->peer.socket, ZMQ_DONTWAIT) >= 0;
    bool framed = came && zmq_msg_more(&body);
    if (framed) {
        FUZZ_CHECK(zmq_msg_recv(&frame, client->peer.socket, 0) >= 0);
        FUZZ_CHECK(!zmq_msg_more(&frame));
    }
    if (came)
        FUZZ_CHECK(decoder_decode(client->peer.decoder, zmq_msg_data(&body), zmq_msg_size(&body), &message,
                                  &why) == ERR_OK);
    if (message && message->type == MESSAGE_REFUSED)
        client->peer.refused = true;
    if (message && message->type == MESSAGE_REPLY && message->reply.request == client->request) {
        client->answered = true;
        client->code = message->reply.code;
        client->number = message->reply.number;
        snprintf(client->text, sizeof client->text, "%s", message->reply.text);
        if (framed)
            honest_client_read(client, &frame);
    }
    (void)zmq_msg_close(&body);
    (void)zmq_msg_close(&frame);
    return came;
}

/* Ask, and ask again when the coordinator was away, until it is answered or patience_us is over; `meanwhile`
 * is done all the time. */
static inline bool honest_client_ask(struct honest_client *client, struct message *message,
                                     void (*meanwhile)(void *), void *context, uint64_t patience_us)
{
    uint64_t began_us = clock_monotonic_us(), said_us = 0;
    uint64_t *request = &message->view.request; /* the first field of every request */
    client->asked = message->type;
    *request = ++client->request;
    client->answered = false;
    client->number = client->code = 0;
    for (uint64_t now_us = began_us; !client->answered; now_us = clock_monotonic_us()) {
        if (now_us - began_us > patience_us)
            return false;
        if (!client->peer.socket || client->peer.refused || now_us - said_us > HONEST_GREETING_US) {
            honest_client_come(client);
            liar_say(&client->peer, message, NULL, 0, UINT64_MAX);
            said_us = now_us;
        }
        if (!honest_client_hear(client))
            meanwhile(context);
    }
    return true;
}

#endif
