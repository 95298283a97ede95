// SPDX-License-Identifier: Apache-2.0
/* party - a coordinator's loop in a thread, and workers and clients written by hand that speak to it: for
 * tests of whole dialogues. Nothing waits but for messages, and those with a deadline. */
#ifndef PARTY_H
#define PARTY_H

#include "clock.h"
#include "file.h"
#include "keyed.h"
#include "loop.h"
#include "rng.h"
#include "sha256.h"
#include "wire.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

#include <cmocka.h>

enum { PARTY_PATIENCE_S = 30 };

struct party_house {
    char dir[256], state[300], url[400];
    struct loop_config config;
    const char *urls[1];
    struct loop *loop;
    pthread_t thread;
};

struct party {
    void *context;
    struct wire *wire;
    struct wire_in in; /* the last message received */
    uint64_t request;
    uint8_t uuid[UUID_BYTES];
    uint64_t life; /* a worker: what its HELLO says, as the next two */
    struct message_attempt *attempts;
    uint32_t attempts_count;
    char proof_path[PATH_MAX_BYTES];
};

static void *party_run(void *argument)
{
    struct party_house *house = argument;
    struct why why = { "" };
    if (loop_run(house->loop, &why))
        fprintf(stderr, "%s\n", why.text);
    return NULL;
}

/* Stop it as on SIGTERM, and start it again over the same state. */
static inline void party_restart(struct party_house *house)
{
    struct why why = { "" };
    loop_stop(house->loop);
    pthread_join(house->thread, NULL);
    loop_free(&house->loop);
    if (loop_new(&house->config, &house->loop, &why))
        fail_msg("%s", why.text);
    assert_int_equal(pthread_create(&house->thread, NULL, party_run, house), 0);
}

static inline int party_set_up(void **state)
{
    struct party_house *house = calloc(1, sizeof *house);
    struct why why = { "" };
    snprintf(house->dir, sizeof house->dir, "/tmp/motley-party-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    snprintf(house->state, sizeof house->state, "%s/state", house->dir);
    assert_int_equal(file_make_dirs(house->state, 0700, NULL), ERR_OK);
    keyed_seed(house->state);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    house->urls[0] = house->url;
    house->config = (struct loop_config){ .state_dir = house->state,
                                          .urls = house->urls,
                                          .urls_count = 1,
                                          .heartbeat_ms = 100,
                                          .silence_us = (uint64_t)PARTY_PATIENCE_S * 1000000 };
    if (loop_new(&house->config, &house->loop, &why))
        fail_msg("%s", why.text);
    assert_int_equal(pthread_create(&house->thread, NULL, party_run, house), 0);
    *state = house;
    return 0;
}

static inline int party_tear_down(void **state)
{
    struct party_house *house = *state;
    loop_stop(house->loop);
    pthread_join(house->thread, NULL);
    loop_free(&house->loop);
    assert_int_equal(file_remove_tree(house->dir, NULL), ERR_OK);
    free(house);
    return 0;
}

static inline void party_connect(struct party *party, const struct party_house *house)
{
    struct why why;
    party->context = zmq_ctx_new();
    if (wire_connect(party->context, house->url, NULL, &party->wire, &why))
        fail_msg("%s", why.text);
}

/* By tcp, with a key of its own. */
static inline void party_connect_keyed(struct party *party, const char *url, const struct key *key)
{
    struct why why;
    const struct wire_keys keys = { .own = key, .server_half = keyed_house(0)->public_half };
    memset(party, 0, sizeof *party);
    party->context = zmq_ctx_new();
    if (wire_connect(party->context, url, &keys, &party->wire, &why))
        fail_msg("%s", why.text);
}

static inline void party_leave(struct party *party)
{
    wire_free(&party->wire);
    zmq_ctx_term(party->context);
}

/* The connection may not stand yet: a message is offered until it is taken. */
static inline void party_say(struct party *party, const struct message *message,
                             const struct wire_frame *frames, uint32_t count)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (wire_send(party->wire, 0, message, frames, count)) {
        assert_true(clock_monotonic_us() < deadline);
        zmq_pollitem_t item = { wire_monitor_socket(party->wire), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 10);
        wire_peer lost;
        while (wire_lost(party->wire, &lost))
            continue;
    }
}

static inline const struct message *party_hear(struct party *party)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (!wire_receive(party->wire, &party->in)) {
        assert_true(clock_monotonic_us() < deadline);
        zmq_pollitem_t item = { wire_socket(party->wire), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 20);
    }
    if (!party->in.message)
        fail_msg("%s", party->in.why.text);
    return party->in.message;
}

static inline const struct message *party_expect(struct party *party, enum message_type type)
{
    const struct message *message = party_hear(party);
    if (message->type != type)
        fail_msg("%s where %s was expected: %s", message_name(message->type), message_name(type),
                 message->type == MESSAGE_REFUSED ? message->refused.text
                 : message->type == MESSAGE_REPLY ? message->reply.text
                                                  : "");
    return message;
}

/* Other messages are passed over. */
static inline const struct message *party_await(struct party *party, enum message_type type)
{
    const struct message *message;
    do
        message = party_hear(party);
    while (message->type != type);
    return message;
}

/* A client's greeting, and the answer to it. */
static inline const struct message *party_greet(struct party *client)
{
    struct message message = { .type = MESSAGE_CLIENT_HELLO };
    message.client_hello =
        (struct message_client_hello){ .protocol_min = 1, .protocol_max = 1, .version = "test" };
    party_say(client, &message, NULL, 0);
    return party_hear(client);
}

static inline void party_client(struct party *client, const struct party_house *house)
{
    memset(client, 0, sizeof *client);
    party_connect(client, house);
    assert_int_equal(party_greet(client)->type, MESSAGE_CLIENT_WELCOME);
}

/* A worker's greeting, and the answer to it: one slot, of a kind of device. */
static inline const struct message *party_offer(struct party *worker, const char *name, const char *kind,
                                                double alpha_us, uint8_t uuid)
{
    const char *formats[] = { "synthetic", "onnx" };
    struct message_device device = {
        .id = "d:0", .kind = kind, .vendor = "", .name = "Testing device", .uuid = ""
    };
    struct message_slot slot = { .slot = 0,
                                 .device = "d:0",
                                 .runtime = "testing",
                                 .formats = formats,
                                 .formats_count = 2,
                                 .batch_max = 8,
                                 .window = 2,
                                 .alpha_us = alpha_us,
                                 .beta_us = alpha_us / 100,
                                 .idle_watts = -1,
                                 .busy_watts = -1,
                                 .price_per_hour = -1 };
    struct message message = { .type = MESSAGE_HELLO };
    memset(worker->uuid, uuid, UUID_BYTES);
    message.hello = (struct message_hello){ .protocol_min = 1,
                                            .protocol_max = 1,
                                            .worker = worker->uuid,
                                            .name = name,
                                            .host = "here",
                                            .version = "test",
                                            .pid = 1,
                                            .devices = &device,
                                            .devices_count = 1,
                                            .slots = &slot,
                                            .slots_count = 1,
                                            .attempts = worker->attempts,
                                            .attempts_count = worker->attempts_count,
                                            .life = worker->life };
    party_say(worker, &message, NULL, 0);
    return party_hear(worker);
}

/* It does not share the coordinator's storage. */
static inline void party_prove(struct party *worker)
{
    struct message message = { .type = MESSAGE_PROOF };
    message.proof = (struct message_proof){ .nonce = (const uint8_t *)"" };
    party_say(worker, &message, NULL, 0);
}

static inline void party_worker(struct party *worker, const struct party_house *house, const char *name,
                                const char *kind, double alpha_us, uint8_t uuid)
{
    memset(worker, 0, sizeof *worker);
    party_connect(worker, house);
    assert_int_equal(party_offer(worker, name, kind, alpha_us, uuid)->type, MESSAGE_WELCOME);
    party_prove(worker);
}

static inline void party_loaded(struct party *worker, const uint8_t model[SHA256_BYTES], bool ok,
                                const char *reason)
{
    struct message message = { .type = MESSAGE_LOADED };
    message.loaded = (struct message_loaded){ .model = model, .ok = ok, .reason = reason, .load_us = 1000 };
    party_say(worker, &message, NULL, 0);
}

/* A lease with its own copy of the MAC. */
struct party_lease {
    struct message_lease lease;
    uint8_t mac[MAC_BYTES];
};

static inline void party_keep(struct party_lease *kept, const struct message_lease *lease)
{
    kept->lease = *lease;
    memcpy(kept->mac, lease->mac, MAC_BYTES);
    kept->lease.mac = kept->mac;
}

/* rows: one frame; NULL = it failed with that reason. */
static inline void party_result(struct party *worker, const struct message_lease *lease, const void *rows,
                                size_t size, const char *reason)
{
    struct message_result result = { .slot = lease->slot,
                                     .job = lease->job,
                                     .first = lease->first,
                                     .count = lease->count,
                                     .term = lease->term,
                                     .attempt = lease->attempt,
                                     .mac = lease->mac,
                                     .status = rows ? RESULT_OK : RESULT_FAILED,
                                     .reason = reason,
                                     .wait_us = 5,
                                     .run_us = 700,
                                     .energy_joules = -1,
                                     .frames = rows ? 1 : 0 };
    struct message message = { .type = MESSAGE_RESULTS };
    struct wire_frame frame = { rows, size, NULL, NULL };
    if (rows && size > 0 && size <= ROWS_MAX_BYTES && lease->attempt % 2) { /* either way is right */
        result.rows = rows;
        result.rows_size = (uint32_t)size;
        result.frames = 0;
    }
    message.results = (struct message_results){ &result, 1 };
    party_say(worker, &message, &frame, result.frames);
}

/* A view as a document, yours to free. */
static inline yyjson_doc *party_view(struct party *client, const char *what, const char *which)
{
    struct message message = { .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .request = ++client->request, .what = what, .which = which };
    party_say(client, &message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    if (reply->code)
        fail_msg("%s", reply->text);
    yyjson_doc *doc =
        yyjson_read(zmq_msg_data(&client->in.frames[0]), zmq_msg_size(&client->in.frames[0]), 0);
    assert_non_null(doc);
    return doc;
}

/* The next lease, whatever comes before it; the built-in model loads. */
static inline void party_next_lease(struct party *worker, struct party_lease *kept)
{
    static const uint8_t built_in[SHA256_BYTES];
    for (;;) {
        const struct message *message = party_hear(worker);
        if (message->type == MESSAGE_LOAD)
            party_loaded(worker, built_in, true, "");
        if (message->type == MESSAGE_LEASES) {
            party_keep(kept, &message->leases.leases[0]);
            return;
        }
    }
}

#endif
