// SPDX-License-Identifier: Apache-2.0
/* lying_worker - a worker that the coordinator admitted and that lies: about what it is, what it did, and
 * whose work it was. It never says to be in the room `honest`. Now and then it does its work right, so that
 * its leases come and its lies are believed. */
#ifndef LYING_WORKER_H
#define LYING_WORKER_H

#include "liar.h"

enum { LYING_ROWS_MAX = 4096, LYING_RESULTS_MAX = 8 };

struct lying_worker {
    struct liar liar;
    uint8_t uuid[UUID_BYTES];
    char proof_path[PATH_MAX_BYTES];
    bool greeted;
    uint64_t rows[LYING_ROWS_MAX];
};

/* ---- what it is ---- */

static inline void lie_slot(struct liar *liar, struct message_slot *slot, uint32_t number, const char *device)
{
    static const char *const runtimes[] = { "synthetic", "onnxruntime", "emulated", "?" };
    const char **formats = arena_take(&liar->random.arena, 2 * sizeof *formats);
    formats[0] = "synthetic";
    formats[1] = "onnx";
    *slot = (struct message_slot){ .slot = number,
                                   .device = device,
                                   .runtime = runtimes[liar_below(liar, 4)],
                                   .formats = formats,
                                   .formats_count = (uint32_t)liar_below(liar, 3),
                                   .batch_max = 1 + (uint32_t)liar_number(liar, BATCH_MAX - 1),
                                   .window = 2 + (uint32_t)liar_below(liar, WINDOW_MAX - 1),
                                   .alpha_us = liar_double(liar),
                                   .beta_us = liar_double(liar),
                                   .load_us = liar_double(liar),
                                   .idle_watts = liar_double(liar),
                                   .busy_watts = -liar_double(liar),
                                   .price_per_hour = liar_double(liar) };
    if (liar_one_in(liar, 4)) {
        uint32_t count = 1 + (uint32_t)liar_below(liar, BATCH_SIZES_MAX);
        slot->batch_sizes = arena_take(&liar->random.arena, count * sizeof slot->batch_sizes[0]);
        slot->batch_sizes_count = count;
        for (uint32_t i = 0; i < count; i++)
            slot->batch_sizes[i] = liar_one_in(liar, 2) ? i + 1 : BATCH_MAX - count + i + 1;
        for (uint32_t i = 1; i < count; i++)
            if (slot->batch_sizes[i] <= slot->batch_sizes[i - 1])
                slot->batch_sizes[i] = slot->batch_sizes[i - 1] + 1;
        if (slot->batch_sizes[count - 1] > BATCH_MAX)
            slot->batch_sizes_count = 0;
    }
}

/* Attempts that it holds, as it says: of others, of other lives, of nobody. */
static inline void lie_attempts(struct liar *liar, struct message_hello *hello)
{
    uint32_t count = (uint32_t)liar_below(liar, liar_one_in(liar, 8) ? 2000 : 6);
    hello->attempts = arena_take(&liar->random.arena, (count + 1) * sizeof hello->attempts[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct rumour_lease *known = liar_lease(liar);
        if (!known)
            return;
        struct message_attempt *attempt = &hello->attempts[hello->attempts_count++];
        *attempt = (struct message_attempt){ .job = known->lease.job,
                                             .first = known->lease.first,
                                             .count = known->lease.count,
                                             .term = known->lease.term,
                                             .attempt = known->lease.attempt,
                                             .slot = known->lease.slot,
                                             .mac = known->mac,
                                             .finished = liar_one_in(liar, 3) };
        if (liar_one_in(liar, 4))
            attempt->slot = (uint32_t)liar_below(liar, SLOTS_MAX);
        if (liar_one_in(liar, 4))
            attempt->first = liar_number(liar, SAMPLES_MAX - attempt->count);
        if (liar_one_in(liar, 4))
            attempt->attempt += liar_below(liar, 3);
        if (liar_one_in(liar, 4))
            attempt->job = liar_job(liar) & INT64_MAX;
    }
}

static inline void lie_hello(struct lying_worker *worker)
{
    struct liar *liar = &worker->liar;
    struct rumours *rumours = liar->rumours;
    struct message *message = random_message(&liar->random, MESSAGE_HELLO);
    struct message_hello *hello = &message->hello;
    uint32_t slots = liar_one_in(liar, 12) ? SLOTS_MAX : 1 + (uint32_t)liar_below(liar, 3);
    hello->protocol_min = 1;
    hello->protocol_max = liar_one_in(liar, 20) ? 1 + (uint32_t)liar_below(liar, 60000) : 1;
    if (liar_one_in(liar, 3)) {
        memcpy(worker->uuid, random_bytes(&liar->random, UUID_BYTES), UUID_BYTES);
        rumour_uuid(rumours, worker->uuid);
    } else if (liar_one_in(liar, 4) && rumours->uuids_count) {
        memcpy(worker->uuid, rumours->uuids[liar_below(liar, rumour_known(rumours->uuids_count))],
               UUID_BYTES);
    }
    hello->worker = worker->uuid;
    if (liar_one_in(liar, 2))
        hello->name = liar_text(liar, "%.100s", liar_word(liar));
    hello->slots = arena_take(&liar->random.arena, slots * sizeof hello->slots[0]);
    hello->slots_count = hello->devices_count ? slots : 0;
    for (uint32_t i = 0; i < hello->slots_count; i++)
        lie_slot(liar, &hello->slots[i], i, hello->devices[i % hello->devices_count].id);
    hello->attempts_count = 0;
    lie_attempts(liar, hello);
    for (uint32_t i = 0; i < hello->labels_count; i++)
        hello->labels[i].value = "b12";
    worker->greeted = true;
    liar_say(liar, message, NULL, 0, 40);
}

static inline void lie_proof(struct lying_worker *worker)
{
    struct liar *liar = &worker->liar;
    struct message message = { .type = MESSAGE_PROOF };
    uint32_t size = (uint32_t)liar_below(liar, NONCE_BYTES_MAX + 1);
    message.proof = (struct message_proof){ random_bytes(&liar->random, size), size };
    liar_say(liar, &message, NULL, 0, 40);
}

/* ---- what it did ---- */

static inline void lie_loaded(struct lying_worker *worker, uint32_t slot, bool right)
{
    struct liar *liar = &worker->liar;
    struct message *message = random_message(&liar->random, MESSAGE_LOADED);
    struct message_loaded *loaded = &message->loaded;
    loaded->slot = slot;
    loaded->model = right ? NULL : liar_blob(liar);
    loaded->ok = right || liar_one_in(liar, 2);
    loaded->alpha_us = liar_double(liar);
    loaded->beta_us = liar_double(liar);
    loaded->load_us = liar_number(liar, TIME_US_MAX);
    liar_say(liar, message, NULL, 0, 40);
}

/* The rows in the body: as many as there should be, or not. */
static inline void lie_inside(struct lying_worker *worker, struct message_result *result,
                              const struct message_lease *lease)
{
    struct liar *liar = &worker->liar;
    if (!liar_one_in(liar, 3))
        return;
    result->rows_size = lease->count <= 32 && liar_one_in(liar, 2)
                            ? 8 * lease->count
                            : (uint32_t)liar_below(liar, ROWS_MAX_BYTES + 1);
    result->rows = random_bytes(&liar->random, result->rows_size);
    result->frames = liar_one_in(liar, 6) ? result->frames : 0;
}

static inline void lie_result(struct lying_worker *worker, struct message_result *result,
                              const struct message_lease *lease, bool right)
{
    struct liar *liar = &worker->liar;
    static const uint8_t forged[MAC_BYTES] = { 1 };
    *result = (struct message_result){ .slot = lease->slot,
                                       .job = lease->job,
                                       .first = lease->first,
                                       .count = lease->count,
                                       .term = lease->term,
                                       .attempt = lease->attempt,
                                       .mac = lease->mac,
                                       .reason = "",
                                       .run_us = liar_number(liar, TIME_US_MAX),
                                       .wait_us = liar_number(liar, TIME_US_MAX),
                                       .energy_joules = liar_double(liar),
                                       .frames = 1 };
    if (right)
        return;
    switch (liar_below(liar, 9)) {
    case 0: result->slot = (uint32_t)liar_below(liar, SLOTS_MAX); break;
    case 1: result->job = liar_job(liar) & INT64_MAX; break;
    case 2: result->first = liar_number(liar, SAMPLES_MAX - BATCH_MAX); break;
    case 3: result->count = 1 + (uint32_t)liar_number(liar, BATCH_MAX - 1); break;
    case 4: result->term = liar_number(liar, INT64_MAX); break;
    case 5: result->attempt += 1 + liar_below(liar, 3); break;
    case 6: result->mac = forged; break;
    case 7: result->frames = (uint32_t)liar_below(liar, OUTPUTS_MAX + 1); break;
    default: break;
    }
    if (liar_one_in(liar, 3))
        result->status = (uint32_t)liar_below(liar, 4);
    if (result->status)
        result->frames = 0;
    lie_inside(worker, result, lease);
    result->again = liar_one_in(liar, 4);
    if (liar_one_in(liar, 3)) {
        result->shapes_count = result->frames;
        result->shapes = arena_take(&liar->random.arena, (result->frames + 1) * sizeof result->shapes[0]);
        int64_t *dims = arena_take(&liar->random.arena, 8 * sizeof *dims);
        for (uint32_t i = 0; i < 8; i++)
            dims[i] = (int64_t)liar_number(liar, DIMENSION_MAX);
        for (uint32_t i = 0; i < result->frames; i++)
            result->shapes[i] = (struct message_shape){ .dtype = 1 + (uint32_t)liar_below(liar, 12),
                                                        .dims = dims,
                                                        .dims_count = (uint32_t)liar_below(liar, 9) };
    }
}

/* Rows of a lease: the right ones where `right`, else of any length. */
static inline struct liar_frame lie_rows(struct lying_worker *worker, const struct message_lease *lease,
                                         bool right)
{
    struct liar *liar = &worker->liar;
    uint32_t count = lease->count < LYING_ROWS_MAX ? lease->count : LYING_ROWS_MAX;
    uint64_t *rows = arena_take(&liar->random.arena, LYING_ROWS_MAX * sizeof *rows);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = rng_mix64(lease->first + i);
    size_t size = count * sizeof rows[0];
    if (!right && liar_one_in(liar, 2))
        size = (size_t)liar_below(liar, LYING_ROWS_MAX * sizeof rows[0]);
    return (struct liar_frame){ rows, size };
}

static inline void lie_results(struct lying_worker *worker, const struct message_lease *lease, bool right)
{
    struct liar *liar = &worker->liar;
    struct message message = { .type = MESSAGE_RESULTS };
    struct message_result results[LYING_RESULTS_MAX];
    struct liar_frame frames[LYING_RESULTS_MAX * OUTPUTS_MAX + 4];
    uint32_t count = right ? 1 : 1 + (uint32_t)liar_below(liar, LYING_RESULTS_MAX), framed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct rumour_lease *known = liar_lease(liar);
        const struct message_lease *of = right || !known || liar_one_in(liar, 2) ? lease : &known->lease;
        lie_result(worker, &results[i], of, right);
        for (uint32_t k = 0; k < results[i].frames; k++)
            frames[framed++] = lie_rows(worker, of, right);
    }
    if (!right && liar_one_in(liar, 12))
        framed = (uint32_t)liar_below(liar, framed + 1);
    message.results = (struct message_results){ results, count };
    liar_say(liar, &message, frames, framed, right ? 1000000 : 40);
}

/* All right, but for the last one's rows, which are named and do not come. */
static inline void lie_short(struct lying_worker *worker, const struct message_leases *leases)
{
    struct message message = { .type = MESSAGE_RESULTS };
    struct message_result results[LYING_RESULTS_MAX];
    struct liar_frame frames[LYING_RESULTS_MAX];
    uint32_t count = leases->leases_count < LYING_RESULTS_MAX ? leases->leases_count : LYING_RESULTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        lie_result(worker, &results[i], &leases->leases[i], true);
        frames[i] = lie_rows(worker, &leases->leases[i], true);
    }
    message.results = (struct message_results){ results, count };
    liar_say(&worker->liar, &message, frames, count - 1, UINT64_MAX);
}

static inline void lie_numbers(struct lying_worker *worker, enum message_type type)
{
    struct liar *liar = &worker->liar;
    struct message *message = random_message(&liar->random, type);
    uint64_t *attempts = arena_take(&liar->random.arena, 64 * sizeof *attempts);
    uint32_t count = (uint32_t)liar_below(liar, 65);
    for (uint32_t i = 0; i < count; i++) {
        const struct rumour_lease *known = liar_lease(liar);
        attempts[i] = known ? known->lease.attempt + liar_below(liar, 2) : liar_number(liar, INT64_MAX);
    }
    if (type == MESSAGE_RETURNED)
        message->returned = (struct message_returned){ attempts, count };
    for (uint32_t i = 0; type == MESSAGE_HEARTBEAT && i < message->heartbeat.running_count && i < count; i++)
        message->heartbeat.running[i].attempt = attempts[i];
    liar_say(liar, message, NULL, 0, 40);
}

static inline void lie_fetch(struct lying_worker *worker)
{
    struct liar *liar = &worker->liar;
    uint64_t times = liar_one_in(liar, 20) ? 20 : 1;
    struct message *message = random_message(&liar->random, MESSAGE_FETCH);
    struct message_fetch *fetch = &message->fetch;
    for (uint64_t i = 0; i < times; i++) {
        fetch->tag++;
        fetch->model = liar_blob(liar);
        fetch->job = liar_job(liar) & INT64_MAX;
        fetch->input = (uint32_t)liar_below(liar, liar_one_in(liar, 4) ? 16 : 2);
        fetch->offset = liar_number(liar, liar_one_in(liar, 2) ? 4096 : INT64_MAX);
        fetch->length = 1 + (uint32_t)liar_number(liar, liar_one_in(liar, 3) ? PIECE_BYTES_MAX - 1 : 4096);
        if (fetch->job || fetch->kind == FETCH_MODEL)
            liar_say(liar, message, NULL, 0, 200);
    }
}

/* ---- hearing and saying ---- */

static inline void lying_worker_take_leases(struct lying_worker *worker, const struct message_leases *leases)
{
    struct liar *liar = &worker->liar;
    if (leases->leases_count > 1 && liar_one_in(liar, 5)) {
        lie_short(worker, leases);
        return;
    }
    for (uint32_t i = 0; i < leases->leases_count; i++) {
        const struct message_lease *lease = &leases->leases[i];
        rumour_lease(liar->rumours, lease);
        switch (liar_below(liar, 6)) {
        case 0: break; /* kept */
        case 1: lie_results(worker, lease, false); break;
        case 2:
            lie_results(worker, lease, true);
            lie_results(worker, lease, true); /* twice */
            break;
        default: lie_results(worker, lease, true); break;
        }
    }
}

static inline void lying_worker_hear(struct lying_worker *worker)
{
    struct liar *liar = &worker->liar;
    zmq_msg_t body;
    const struct message *message;
    (void)zmq_msg_init(&body);
    for (int i = 0; i < 64 && (message = liar_hear(liar, &body)); i++) {
        if (message->type == MESSAGE_LOAD && !liar_one_in(liar, 8))
            lie_loaded(worker, message->load.slot, !liar_one_in(liar, 8));
        else if (message->type == MESSAGE_LEASES)
            lying_worker_take_leases(worker, &message->leases);
        else if (message->type == MESSAGE_WELCOME)
            snprintf(worker->proof_path, sizeof worker->proof_path, "%s", message->welcome.proof_path);
    }
    (void)zmq_msg_close(&body);
}

static inline void lying_worker_act(struct lying_worker *worker)
{
    struct liar *liar = &worker->liar;
    if (!liar->socket || liar->refused || liar_one_in(liar, 150)) {
        liar_disconnect(liar);
        liar_connect(liar);
        worker->greeted = false;
    }
    lying_worker_hear(worker);
    const struct rumour_lease *known = liar_lease(liar);
    if (!worker->greeted && !liar_one_in(liar, 10)) {
        lie_hello(worker);
        if (liar_one_in(liar, 2))
            lie_proof(worker);
        return;
    }
    switch (liar_below(liar, 12)) {
    case 0: lie_loaded(worker, (uint32_t)liar_below(liar, SLOTS_MAX), false); break;
    case 1:
    case 2:
    case 3:
        if (known)
            lie_results(worker, &known->lease, false);
        break;
    case 4: lie_numbers(worker, MESSAGE_RETURNED); break;
    case 5: lie_numbers(worker, MESSAGE_HEARTBEAT); break;
    case 6:
    case 7: lie_fetch(worker); break;
    case 8: lie_proof(worker); break;
    case 9: liar_say(liar, random_message(&liar->random, MESSAGE_HEARTBEAT), NULL, 0, 3); break;
    case 10:
        if (liar_one_in(liar, 10))
            liar_say(liar, random_message(&liar->random, MESSAGE_BYE), NULL, 0, 40);
        break;
    default:
        if (liar_one_in(liar, 10)) /* what it may not say now */
            liar_say(liar, random_message(&liar->random, message_types[liar_below(liar, MESSAGE_TYPES)]),
                     NULL, 0, 10);
        break;
    }
    arena_reset(&liar->random.arena);
}

#endif
