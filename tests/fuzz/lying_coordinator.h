// SPDX-License-Identifier: Apache-2.0
/* lying_coordinator - what a worker connected to, and what lies to it: jobs that cannot be, leases for slots
 * that are not there, pieces that nobody asked for, files to be read that are none. Also honest, when asked.
 */
#ifndef LYING_COORDINATOR_H
#define LYING_COORDINATOR_H

#include "liar.h"

#include <string.h>

enum { LYING_TAGS_MAX = 16 };

struct lying_coordinator {
    struct liar liar; /* its socket is a ROUTER */
    const char *dir;  /* in it in/, with odd files */
    bool honest;      /* for the time being */
    uint64_t term, attempt;
    uint64_t tags[LYING_TAGS_MAX], lengths[LYING_TAGS_MAX];
    uint32_t tags_count;
    uint64_t hellos, results; /* heard */
    uint64_t answered;        /* samples of the honest job that came with the right bytes */
    uint64_t honest_job;
};

static inline const char *lying_coordinator_path(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    static const char *const names[] = { "fifo", "", "rows0", "rows1", "nonce", "flips", "missing" };
    switch (liar_below(liar, 8)) {
    case 0: return "/proc/self/mem";
    case 1: return "/dev/zero";
    case 2: return "relative";
    default: return liar_text(liar, "%s/in/%s", coordinator->dir, names[liar_below(liar, 7)]);
    }
}

static inline void lying_coordinator_welcome(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    struct message *message = random_message(&liar->random, MESSAGE_WELCOME);
    struct message_welcome *welcome = &message->welcome;
    welcome->term = coordinator->term = coordinator->honest ? (coordinator->term >> 1) + 1 : welcome->term;
    if (coordinator->honest || liar_one_in(liar, 2)) {
        welcome->protocol = 1;
        welcome->heartbeat_ms = 100;
    }
    welcome->proof_path = coordinator->honest ? "" : lying_coordinator_path(coordinator);
    liar_say(liar, message, NULL, 0, coordinator->honest ? UINT64_MAX : 40);
}

static inline void lying_coordinator_job(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    struct message *message = random_message(&liar->random, MESSAGE_JOBS);
    struct message_jobs *jobs = &message->jobs;
    for (uint32_t i = 0; i < jobs->jobs_count; i++) {
        struct message_job *job = &jobs->jobs[i];
        job->job = 1 + liar_below(liar, 12);
        if (liar_one_in(liar, 2)) {
            job->format = liar_one_in(liar, 4) ? "onnx" : "synthetic";
            job->model = *job->format == 'o' ? liar_blob(liar) : NULL;
            job->samples = liar_one_in(liar, 2) ? 1000 : SAMPLES_MAX;
        }
        for (uint32_t k = 0; k < job->sources_count; k++) {
            job->sources[k].path = liar_one_in(liar, 3) ? "" : lying_coordinator_path(coordinator);
            job->sources[k].row_bytes = liar_one_in(liar, 2) ? 8 : liar_number(liar, INT64_MAX);
            job->sources[k].offset = liar_one_in(liar, 2) ? 0 : liar_number(liar, INT64_MAX);
            job->sources[k].file_bytes = liar_one_in(liar, 2) ? 8192 : job->sources[k].file_bytes;
            job->sources[k].mtime_ns = liar_one_in(liar, 2) ? 0 : job->sources[k].mtime_ns;
        }
    }
    liar_say(liar, message, NULL, 0, 40);
}

static inline void lying_coordinator_lease(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    struct message message = { .type = MESSAGE_LEASES };
    uint32_t count = 1 + (uint32_t)liar_below(liar, liar_one_in(liar, 20) ? 300 : 4);
    struct message_lease *leases = arena_take(&liar->random.arena, count * sizeof *leases);
    static const uint8_t mac[MAC_BYTES] = { 7 };
    for (uint32_t i = 0; i < count; i++) {
        struct message_lease *lease = &leases[i];
        *lease = (struct message_lease){
            .slot = (uint32_t)liar_below(liar, liar_one_in(liar, 3) ? 256 : 2),
            .job = 1 + liar_below(liar, 13),
            .first = liar_number(liar, SAMPLES_MAX - BATCH_MAX),
            .count = 1 + (uint32_t)liar_number(liar, liar_one_in(liar, 4) ? BATCH_MAX - 1 : 64),
            .term = liar_one_in(liar, 6) ? liar_number(liar, INT64_MAX) : coordinator->term,
            .attempt = liar_one_in(liar, 5) ? coordinator->attempt : ++coordinator->attempt,
            .mac = mac
        };
    }
    message.leases = (struct message_leases){ leases, count };
    liar_say(liar, &message, NULL, 0, 40);
}

static inline void lying_coordinator_attempts(struct lying_coordinator *coordinator, enum message_type type)
{
    struct liar *liar = &coordinator->liar;
    struct message message = { .type = type };
    uint32_t count = (uint32_t)liar_below(liar, 40);
    uint64_t *attempts = arena_take(&liar->random.arena, (count + 1) * sizeof *attempts);
    for (uint32_t i = 0; i < count; i++)
        attempts[i] =
            liar_one_in(liar, 4) ? liar_number(liar, INT64_MAX) : liar_below(liar, coordinator->attempt + 2);
    if (type == MESSAGE_RECALL)
        message.recall = (struct message_recall){ attempts, count };
    else if (type == MESSAGE_ACKS)
        message.acks = (struct message_acks){ coordinator->term, attempts, count };
    else {
        for (uint32_t i = 0; i < count; i++)
            attempts[i] = 1 + attempts[i] % 14;
        message.forget = (struct message_forget){ attempts, count };
    }
    liar_say(liar, &message, NULL, 0, 40);
}

static inline void lying_coordinator_piece(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    struct message *message = random_message(&liar->random, MESSAGE_PIECE);
    struct message_piece *piece = &message->piece;
    uint8_t *bytes = arena_take(&liar->random.arena, 65536);
    struct liar_frame frame = { bytes, (size_t)liar_below(liar, 65536) };
    if (coordinator->tags_count && !liar_one_in(liar, 5)) {
        uint32_t at = (uint32_t)liar_below(liar, coordinator->tags_count);
        piece->tag = coordinator->tags[at];
        if (!liar_one_in(liar, 4) && coordinator->lengths[at] <= 65536)
            frame.size = (size_t)coordinator->lengths[at];
        if (!liar_one_in(liar, 4)) {
            coordinator->tags[at] = coordinator->tags[--coordinator->tags_count];
            coordinator->lengths[at] = coordinator->lengths[coordinator->tags_count];
        }
    }
    if (liar_one_in(liar, 2))
        piece->ok = true;
    liar_say(liar, message, &frame, liar_one_in(liar, 10) ? !piece->ok : piece->ok, 60);
}

static inline void lying_coordinator_load(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    struct message message = { .type = liar_one_in(liar, 3) ? MESSAGE_PREFETCH : MESSAGE_LOAD };
    if (message.type == MESSAGE_LOAD)
        message.load =
            (struct message_load){ .slot = (uint32_t)liar_below(liar, liar_one_in(liar, 3) ? 256 : 2),
                                   .job = 1 + liar_below(liar, 13),
                                   .model = liar_one_in(liar, 2) ? NULL : liar_blob(liar),
                                   .model_bytes = liar_number(liar, INT64_MAX) };
    else
        message.prefetch = (struct message_prefetch){ .job = 1 + liar_below(liar, 13),
                                                      .model = liar_blob(liar),
                                                      .model_bytes = liar_number(liar, INT64_MAX) };
    liar_say(liar, &message, NULL, 0, 40);
}

/* ---- hearing ---- */

static inline void lying_coordinator_take(struct lying_coordinator *coordinator,
                                          const struct message *message)
{
    coordinator->hellos += message->type == MESSAGE_HELLO;
    if (message->type == MESSAGE_HELLO && (coordinator->honest || !liar_one_in(&coordinator->liar, 10)))
        lying_coordinator_welcome(coordinator);
    if (message->type == MESSAGE_FETCH && coordinator->tags_count < LYING_TAGS_MAX) {
        coordinator->tags[coordinator->tags_count] = message->fetch.tag;
        coordinator->lengths[coordinator->tags_count++] = message->fetch.length;
    }
    if (message->type == MESSAGE_RESULTS)
        coordinator->results += message->results.results_count;
}

static inline void lying_coordinator_act(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    static const enum message_type simple[] = { MESSAGE_UNLOAD,  MESSAGE_DRAINING, MESSAGE_REPLY,
                                                MESSAGE_REFUSED, MESSAGE_HELLO,    MESSAGE_INFERRED,
                                                MESSAGE_SUBMIT,  MESSAGE_WELCOME };
    if (!liar->route_size)
        return;
    switch (liar_below(liar, 12)) {
    case 0:
    case 1: lying_coordinator_job(coordinator); break;
    case 2:
    case 3: lying_coordinator_load(coordinator); break;
    case 4:
    case 5: lying_coordinator_lease(coordinator); break;
    case 6: lying_coordinator_attempts(coordinator, MESSAGE_RECALL); break;
    case 7: lying_coordinator_attempts(coordinator, MESSAGE_ACKS); break;
    case 8: lying_coordinator_attempts(coordinator, MESSAGE_FORGET); break;
    case 9:
    case 10: lying_coordinator_piece(coordinator); break;
    default: {
        enum message_type type = simple[liar_below(liar, liar_one_in(liar, 30) ? 8 : 2)];
        liar_say(liar, random_message(&liar->random, type), NULL, 0, 20);
        break;
    }
    }
    arena_reset(&liar->random.arena);
}

#endif
