// SPDX-License-Identifier: Apache-2.0
/* lying_client - a client that the coordinator admitted and that asks for what cannot be, what is not its
 * own, and too much of it. It spares only what a rightful administrator may do (cancel, change and drain the
 * honest ones by name): whoever runs it with a key of no such right sets `spares` to false. */
#ifndef LYING_CLIENT_H
#define LYING_CLIENT_H

#include "liar.h"
#include "sha256.h"

struct lying_client {
    struct liar liar;
    const char *dir; /* in it out/ (to be written), in/ (files to be read), state/ and canary/ */
    const char *nonce;
    bool spares;
    bool greeted;
    uint64_t request;
    uint64_t upload; /* number of the blob that it uploads now, and its next offset */
    uint64_t offset;
};

enum { LYING_BLOB_BYTES = 20000, LYING_PIECE_BYTES = 6000 };

static inline void lie_client_hello(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    struct message *message = random_message(&liar->random, MESSAGE_CLIENT_HELLO);
    message->client_hello.protocol_max = liar_one_in(liar, 20) ? 7 : 1;
    if (liar_one_in(liar, 2)) {
        message->client_hello.nonce = (const uint8_t *)client->nonce;
        message->client_hello.nonce_size = (uint32_t)strlen(client->nonce);
    }
    client->greeted = true;
    liar_say(liar, message, NULL, 0, 40);
}

/* A path that it had better not be given. */
static inline const char *lie_path(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    const char *dir = client->dir;
    unsigned number = (unsigned)liar_below(liar, 4);
    switch (liar_below(liar, 16)) {
    case 0: return liar_text(liar, "%s/out/../canary/c%u.npy", dir, number);
    case 1: return liar_text(liar, "%s/state/journal.sqlite3", dir);
    case 2: return liar_text(liar, "%s/state/nonce", dir);
    case 3: return liar_text(liar, "%s/in/fifo", dir);
    case 4: return liar_text(liar, "%s/in", dir);
    case 5: return liar_text(liar, "%s/in/flips", dir);
    case 6: return "/proc/self/environ";
    case 7: return "/proc/self/mem";
    case 8: return "relative.npy";
    case 9: return liar_text(liar, "%s/state/spool/1/published/output.npy", dir);
    case 10: return liar_text(liar, "%s/out/honest.npy", dir);
    case 11: return liar_text(liar, "%s/out//./l%u.npy", dir, number);
    case 12: return liar_text(liar, "%s/out/honest.errors.jsonl", dir);
    case 13: return liar_text(liar, "%s/in/rows%u", dir, number);
    case 14: return liar_text(liar, "%s/out/link/l%u", dir, number);
    default: return liar_text(liar, "%s/out/l%u.npy", dir, number);
    }
}

static inline const char *lie_which(struct lying_client *client, bool harmful)
{
    struct liar *liar = &client->liar;
    static const char *const ranges[] = { "1-9223372036854775807",
                                          "all",
                                          "last",
                                          "0-0",
                                          "18446744073709551615",
                                          "5-3",
                                          "honest",
                                          "1-3",
                                          "1",
                                          "-",
                                          "1,2,3,4,5,6,7,8,9",
                                          "",
                                          "99999999999999999999",
                                          "2-",
                                          "all,1",
                                          "-1" };
    if (harmful && client->spares)
        return liar_text(liar, "liar-%u", (unsigned)liar_below(liar, 6));
    return liar_one_in(liar, 3) ? liar_word(liar) : ranges[liar_below(liar, sizeof ranges / sizeof *ranges)];
}

static inline struct message_tensor *lie_tensors(struct lying_client *client, uint32_t *count)
{
    struct liar *liar = &client->liar;
    struct message_tensor *tensors = arena_take(&liar->random.arena, OUTPUTS_MAX * sizeof *tensors);
    int64_t *dims = arena_take(&liar->random.arena, 8 * sizeof *dims);
    *count = liar_one_in(liar, 8) ? (uint32_t)liar_below(liar, OUTPUTS_MAX + 1) : 1;
    for (uint32_t i = 0; i < 8; i++)
        dims[i] =
            liar_one_in(liar, 4) ? -1 : (int64_t)liar_number(liar, liar_one_in(liar, 3) ? DIMENSION_MAX : 4);
    for (uint32_t i = 0; i < *count; i++)
        tensors[i] =
            (struct message_tensor){ .name = liar_one_in(liar, 3) ? liar_word(liar) : "answer",
                                     .dtype = 1 + (uint32_t)liar_below(liar, 12),
                                     .dims = dims,
                                     .dims_count = (uint32_t)liar_below(liar, liar_one_in(liar, 4) ? 9 : 2) };
    return tensors;
}

static inline void lie_inputs(struct lying_client *client, struct message_submit *submit)
{
    struct liar *liar = &client->liar;
    uint32_t count;
    struct message_tensor *tensors = lie_tensors(client, &count);
    submit->inputs = arena_take(&liar->random.arena, (count + 1) * sizeof submit->inputs[0]);
    submit->inputs_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct message_input *input = &submit->inputs[i];
        input->tensor = tensors[i];
        input->source.row_bytes = liar_one_in(liar, 2) ? 8 : liar_number(liar, INT64_MAX);
        input->source.offset = liar_one_in(liar, 2) ? 0 : liar_number(liar, INT64_MAX);
        if (liar_one_in(liar, 2))
            input->source.path = lie_path(client);
        else
            input->blob = liar_blob(liar);
    }
}

static inline const char *lie_expression(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    static const char *const some[] = {
        "device.kind = cpu",
        "label.room = honest",
        "not (device.kind in [cpu, gpu] or precision has fp16)",
        "device.memory >= 16GiB and device.memory < 1KiB",
        "((((((((((((((((((((((((((((((((",
        "worker.version > 1.2.3, batch.sizes has 8",
        "",
    };
    return some[liar_below(liar, sizeof some / sizeof some[0])];
}

static inline void lie_submit(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    struct message *message = random_message(&liar->random, MESSAGE_SUBMIT);
    struct message_submit *submit = &message->submit;
    static const uint64_t counts[] = { 0, 1, 7, 100, 5000, 50000, 3000000000000, SAMPLES_MAX };
    submit->request = ++client->request;
    submit->uuid = random_bytes(&liar->random, UUID_BYTES);
    submit->name = liar_text(liar, "liar-%u", (unsigned)liar_below(liar, 6));
    if (!liar_one_in(liar, 3)) {
        submit->format = liar_one_in(liar, 4) ? "onnx" : "synthetic";
        submit->model_blob = *submit->format == 'o' ? liar_blob(liar) : NULL;
        submit->variants_count = 0;
        submit->costs_count = 0;
        submit->names_blob = liar_one_in(liar, 6) ? liar_blob(liar) : NULL;
        submit->samples = counts[liar_below(liar, sizeof counts / sizeof counts[0])];
    } else if (submit->samples < 3000000000000) /* which the disk would not hold */
        submit->samples %= 50000;
    submit->tenant = liar_one_in(liar, 3) ? liar_text(liar, "t%u", (unsigned)liar_below(liar, 3)) : "";
    submit->require = lie_expression(client);
    submit->prefer = lie_expression(client);
    submit->outputs = lie_tensors(client, &submit->outputs_count);
    if (liar_one_in(liar, 2))
        lie_inputs(client, submit);
    else
        submit->inputs_count = 0;
    submit->output_path = liar_one_in(liar, 3) ? lie_path(client) : "";
    submit->batch = liar_one_in(liar, 2) ? 0 : submit->batch;
    submit->batch_fixed = liar_one_in(liar, 2) ? 0 : submit->batch_fixed;
    submit->dry_run = liar_one_in(liar, 5);
    if (liar_one_in(liar, 10)) { /* a cost for each, of the largest */
        submit->samples = 1 + liar_below(liar, 200);
        submit->costs = arena_take(&liar->random.arena, submit->samples * sizeof submit->costs[0]);
        submit->costs_count = (uint32_t)submit->samples;
        for (uint32_t i = 0; i < submit->costs_count; i++)
            submit->costs[i] = 1 + (uint32_t)liar_number(liar, UINT32_MAX - 1);
    }
    liar_say(liar, message, NULL, 0, 40);
}

/* Blob `number`'s bytes are known to all liars. */
static inline void lie_blob_bytes(uint64_t number, uint8_t bytes[LYING_BLOB_BYTES], uint8_t digest[32])
{
    struct rng rng;
    rng_init(&rng, number);
    for (size_t i = 0; i < LYING_BLOB_BYTES; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    sha256_bytes(bytes, LYING_BLOB_BYTES, digest);
}

static inline void lie_upload(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    struct message message = { .type = MESSAGE_BLOB_PUT };
    uint8_t *bytes = arena_take(&liar->random.arena, LYING_BLOB_BYTES);
    uint8_t *digest = arena_take(&liar->random.arena, 32);
    if (client->offset >= LYING_BLOB_BYTES || liar_one_in(liar, 20)) {
        client->upload = liar_below(liar, 12);
        client->offset = 0;
    }
    lie_blob_bytes(client->upload, bytes, digest);
    uint64_t left = LYING_BLOB_BYTES - client->offset;
    size_t size = (size_t)(left < LYING_PIECE_BYTES ? left : LYING_PIECE_BYTES);
    struct liar_frame frame = { bytes + client->offset, size };
    message.blob_put = (struct message_blob_put){
        .request = ++client->request, .blob = digest, .offset = client->offset, .total = LYING_BLOB_BYTES
    };
    if (!client->offset)
        rumour_blob(liar->rumours, digest);
    client->offset += size;
    switch (liar_below(liar, 12)) {
    case 0: message.blob_put.offset = liar_number(liar, INT64_MAX); break;
    case 1: message.blob_put.total = liar_number(liar, INT64_MAX); break;
    case 2: frame.size = (size_t)liar_below(liar, size + 1); break;
    case 3: message.blob_put.offset /= 2; break;
    case 4: message.blob_put.blob = liar_blob(liar); break;
    case 5: *digest ^= 1; break; /* never to be whole */
    default: break;
    }
    if (message.blob_put.offset > message.blob_put.total)
        message.blob_put.offset = message.blob_put.total;
    liar_say(liar, &message, &frame, liar_one_in(liar, 40) ? 0 : 1, 100);
}

static inline void lie_model_add(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    struct message *message = random_message(&liar->random, MESSAGE_MODEL_ADD);
    struct message_model_add *model = &message->model_add;
    model->name = liar_text(liar, "m%u", (unsigned)liar_below(liar, 5));
    model->version = liar_one_in(liar, 2) ? "1" : "99999999999999999999.000000000000000";
    model->format = "onnx";
    model->precision = liar_one_in(liar, 2) ? "fp16" : "";
    model->blob = liar_blob(liar);
    model->inputs = lie_tensors(client, &model->inputs_count);
    model->outputs = lie_tensors(client, &model->outputs_count);
    liar_say(liar, message, NULL, 0, 40);
}

static inline void lie_infer(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    struct message *message = random_message(&liar->random, MESSAGE_INFER);
    struct message_infer *infer = &message->infer;
    struct liar_frame frames[INPUTS_MAX + 1];
    uint8_t *bytes = arena_take(&liar->random.arena, 65536);
    infer->request = ++client->request;
    infer->samples = 1 + (uint32_t)liar_number(liar, liar_one_in(liar, 2) ? 64 : BATCH_MAX - 1);
    infer->format = liar_one_in(liar, 6) ? "onnx" : "synthetic";
    infer->model_blob = *infer->format == 'o' ? liar_blob(liar) : NULL;
    infer->outputs = lie_tensors(client, &infer->outputs_count);
    infer->inputs = lie_tensors(client, &infer->inputs_count);
    if (liar_one_in(liar, 2))
        infer->inputs_count = 0;
    infer->timeout_us = liar_one_in(liar, 2) ? 100000 : liar_number(liar, TIME_US_MAX);
    infer->deadline_us = liar_one_in(liar, 2) ? 0 : liar_number(liar, TIME_US_MAX);
    uint32_t count = liar_one_in(liar, 12) ? (uint32_t)liar_below(liar, INPUTS_MAX + 1) : infer->inputs_count;
    for (uint32_t i = 0; i < count; i++)
        frames[i] = (struct liar_frame){ bytes, liar_one_in(liar, 2) ? 8ull * (infer->samples % 8192)
                                                                     : (size_t)liar_below(liar, 65536) };
    liar_say(liar, message, frames, count, 60);
}

static inline void lie_view(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    static const char *const whats[] = { "status",         "jobs",    "job",    "report",
                                         "explain",        "workers", "worker", "models",
                                         "worker-explain", "model",   "events", "?" };
    struct message message = { .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .request = ++client->request,
                                          .what = whats[liar_below(liar, sizeof whats / sizeof whats[0])],
                                          .which = lie_which(client, false) };
    for (uint64_t times = liar_one_in(liar, 30) ? 40 : 1; times > 0; times--)
        liar_say(liar, &message, NULL, 0, 60);
}

static inline void lie_output_get(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    static const char *const files[] = { "output.npy",          "output.jsonl",
                                         "output.errors.jsonl", "output.index.jsonl",
                                         "output/answer.npy",   "../../../nonce",
                                         "output/../../x.npy",  "output/.npy",
                                         "output/a/b.npy",      "",
                                         "/etc/hostname",       ".errors.jsonl" };
    struct message message = { .type = MESSAGE_OUTPUT_GET };
    message.output_get =
        (struct message_output_get){ .request = ++client->request,
                                     .job = liar_job(liar) & INT64_MAX,
                                     .file = files[liar_below(liar, sizeof files / sizeof files[0])],
                                     .offset = liar_number(liar, liar_one_in(liar, 2) ? 1000 : INT64_MAX),
                                     .length = 1 + (uint32_t)liar_number(liar, PIECE_BYTES_MAX - 1) };
    for (uint64_t times = liar_one_in(liar, 20) ? 20 : 1; times > 0 && message.output_get.job; times--)
        liar_say(liar, &message, NULL, 0, 60);
}

static inline void lie_order(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    static const enum message_type types[] = { MESSAGE_CANCEL, MESSAGE_CHANGE, MESSAGE_DRAIN, MESSAGE_REMOVE,
                                               MESSAGE_RETRY };
    enum message_type type = types[liar_below(liar, sizeof types / sizeof types[0])];
    struct message *message = random_message(&liar->random, type);
    const char *which = lie_which(client, true);
    if (type == MESSAGE_CANCEL)
        message->cancel.which = which;
    else if (type == MESSAGE_CHANGE)
        message->change.which = which;
    else if (type == MESSAGE_REMOVE)
        message->remove.which = which;
    else if (type == MESSAGE_RETRY)
        message->retry.which = which;
    else
        message->drain.which = which;
    for (uint64_t times = liar_one_in(liar, 20) ? 30 : 1; times > 0; times--)
        liar_say(liar, message, NULL, 0, 60);
}

/* What it may not say now, or not so. */
static inline void lie_anything(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    enum message_type type = message_types[liar_below(liar, MESSAGE_TYPES)];
    bool harmful = type == MESSAGE_CANCEL || type == MESSAGE_CHANGE || type == MESSAGE_DRAIN ||
                   type == MESSAGE_REMOVE || type == MESSAGE_RETRY;
    if (!harmful || !client->spares)
        liar_say(liar, random_message(&liar->random, type), NULL, 0, 10);
}

static inline void lying_client_hear(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    zmq_msg_t body;
    const struct message *message;
    (void)zmq_msg_init(&body);
    if (liar_one_in(liar, 4)) /* else it is slow to read */
        for (int i = 0; i < 64 && (message = liar_hear(liar, &body)); i++)
            if (message->type == MESSAGE_REPLY && !message->reply.code && message->reply.number &&
                message->reply.number < 10000)
                rumour_job(liar->rumours, message->reply.number);
    (void)zmq_msg_close(&body);
}

static inline void lying_client_act(struct lying_client *client)
{
    struct liar *liar = &client->liar;
    if (!liar->socket || liar->refused || liar_one_in(liar, 200)) {
        liar_disconnect(liar);
        liar_connect(liar);
        client->greeted = false;
    }
    lying_client_hear(client);
    if (!client->greeted && !liar_one_in(liar, 10)) {
        lie_client_hello(client);
        return;
    }
    switch (liar_below(liar, 12)) {
    case 0:
    case 1: lie_submit(client); break;
    case 2:
    case 3:
    case 4: lie_upload(client); break;
    case 5: lie_model_add(client); break;
    case 6: lie_infer(client); break;
    case 7: lie_view(client); break;
    case 8:
    case 9: lie_output_get(client); break;
    case 10: lie_order(client); break;
    default:
        if (liar_one_in(liar, 10))
            lie_anything(client);
        break;
    }
    arena_reset(&liar->random.arena);
}

#endif
