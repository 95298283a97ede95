// SPDX-License-Identifier: Apache-2.0
/* liar - a peer that knows the grammar and lies about everything: a raw DEALER socket, and a source of
 * messages that are well formed and false. Numbers, leases, names and hashes that were seen anywhere are
 * remembered by all liars of a run (struct rumours) and said again where they do not belong.
 *
 * A lie is made in four steps: a random message of the type's table, then what was heard put into its
 * fields, then payload frames that fit or do not, then now and then damaged bytes. Nothing waits. */
#ifndef LIAR_H
#define LIAR_H

#include "fuzz.h"
#include "prescan.h"
#include "rng.h"
#include "sha256.h"
#include "unit/random_message.h"

#include <stdarg.h>
#include <zmq.h>

enum { RUMOURS_MAX = 128, LIAR_PARTS_MAX = 64, LIAR_TEXT_MAX = 512 };

struct rumour_lease {
    struct message_lease lease;
    uint8_t mac[MAC_BYTES];
};

/* What was seen, by whomever. Rings: the oldest is forgotten. */
struct rumours {
    uint64_t jobs[RUMOURS_MAX];
    uint32_t jobs_count;
    struct rumour_lease leases[RUMOURS_MAX];
    uint32_t leases_count;
    uint8_t uuids[RUMOURS_MAX][UUID_BYTES];
    uint32_t uuids_count;
    uint8_t blobs[RUMOURS_MAX][32];
    uint32_t blobs_count;
    uint64_t term;
    const char *const *words; /* names, paths, expressions: what texts are steered to; ends with NULL */
};

struct liar {
    struct random_message random;
    struct rumours *rumours;
    struct decoder *decoder;
    void *context, *socket;
    const char *url;
    bool routed;       /* its socket is a ROUTER */
    uint8_t route[16]; /* a ROUTER's: to whom it speaks, who spoke last */
    size_t route_size;
    uint64_t said, heard;
    uint8_t head[64]; /* of the first frame of what was heard last */
    size_t head_size;
    bool refused; /* was told so */
};

static inline uint64_t liar_below(struct liar *liar, uint64_t n) { return rng_below(&liar->random.rng, n); }

static inline bool liar_one_in(struct liar *liar, uint64_t n) { return liar_below(liar, n) == 0; }

/* ---- rumours ---- */

static inline uint32_t rumour_place(uint32_t *count) { return (*count)++ % RUMOURS_MAX; }

static inline void rumour_job(struct rumours *rumours, uint64_t job)
{
    rumours->jobs[rumour_place(&rumours->jobs_count)] = job;
}

static inline void rumour_lease(struct rumours *rumours, const struct message_lease *lease)
{
    struct rumour_lease *at = &rumours->leases[rumour_place(&rumours->leases_count)];
    at->lease = *lease;
    memcpy(at->mac, lease->mac, MAC_BYTES);
    at->lease.mac = at->mac;
    rumours->term = lease->term;
    rumour_job(rumours, lease->job);
}

static inline void rumour_uuid(struct rumours *rumours, const uint8_t *uuid)
{
    memcpy(rumours->uuids[rumour_place(&rumours->uuids_count)], uuid, UUID_BYTES);
}

static inline void rumour_blob(struct rumours *rumours, const uint8_t *blob)
{
    memcpy(rumours->blobs[rumour_place(&rumours->blobs_count)], blob, 32);
}

static inline uint32_t rumour_known(uint32_t count) { return count < RUMOURS_MAX ? count : RUMOURS_MAX; }

static inline uint64_t liar_job(struct liar *liar)
{
    uint32_t known = rumour_known(liar->rumours->jobs_count);
    uint64_t job = known && !liar_one_in(liar, 4) ? liar->rumours->jobs[liar_below(liar, known)]
                                                  : 1 + liar_below(liar, 40);
    return liar_one_in(liar, 16) ? job | 1ull << liar_below(liar, 63) : job;
}

/* NULL: none was heard of. */
static inline const struct rumour_lease *liar_lease(struct liar *liar)
{
    uint32_t known = rumour_known(liar->rumours->leases_count);
    return known ? &liar->rumours->leases[liar_below(liar, known)] : NULL;
}

static inline const uint8_t *liar_blob(struct liar *liar)
{
    static const uint8_t zero[32];
    uint32_t known = rumour_known(liar->rumours->blobs_count);
    return known && !liar_one_in(liar, 4) ? liar->rumours->blobs[liar_below(liar, known)] : zero;
}

static inline const char *liar_word(struct liar *liar)
{
    uint32_t count = 0;
    while (liar->rumours->words && liar->rumours->words[count])
        count++;
    return count ? liar->rumours->words[liar_below(liar, count)] : "";
}

static inline char *liar_text(struct liar *liar, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline char *liar_text(struct liar *liar, const char *format, ...)
{
    char *text = arena_take(&liar->random.arena, LIAR_TEXT_MAX);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, LIAR_TEXT_MAX, format, arguments);
    va_end(arguments);
    return text;
}

/* Numbers that computing with them goes wrong. */
static inline double liar_double(struct liar *liar)
{
    static const double odd[] = { 0,     1e308,  1e-308, 1e300, 4.9e-324, 1e18,
                                  1e-18, 1.8e19, 9.3e18, 1e15,  1.5e-200, 1 };
    return liar_one_in(liar, 2) ? odd[liar_below(liar, sizeof odd / sizeof odd[0])]
                                : (double)liar_below(liar, 100000);
}

static inline uint64_t liar_number(struct liar *liar, uint64_t max)
{
    uint64_t small = liar_below(liar, 9);
    switch (liar_below(liar, 5)) {
    case 0: return max;
    case 1: return max - (small < max ? small : 0);
    case 2: return (rng_next(&liar->random.rng) >> liar_below(liar, 64)) % (max ? max : 1);
    default: return small < max ? small : max;
    }
}

/* ---- the socket ---- */

static inline void liar_connect(struct liar *liar)
{
    int none = 0, queue = 64;
    liar->socket = zmq_socket(liar->context, ZMQ_DEALER);
    if (!liar->socket)
        return; /* so many of its former ones are still being closed: the next time, then */
    (void)zmq_setsockopt(liar->socket, ZMQ_LINGER, &none, sizeof none);
    (void)zmq_setsockopt(liar->socket, ZMQ_SNDHWM, &queue, sizeof queue);
    FUZZ_CHECK(zmq_connect(liar->socket, liar->url) == 0);
    liar->refused = false;
    liar->said = liar->heard = 0;
}

static inline void liar_disconnect(struct liar *liar)
{
    if (liar->socket)
        (void)zmq_close(liar->socket);
    liar->socket = NULL;
}

static inline void liar_init(struct liar *liar, struct rumours *rumours, void *context, const char *url,
                             uint64_t seed)
{
    memset(liar, 0, sizeof *liar);
    rng_init(&liar->random.rng, seed);
    liar->rumours = rumours;
    liar->context = context;
    liar->url = url;
    liar->decoder = decoder_new();
    FUZZ_CHECK(liar->decoder);
    arena_init(&liar->random.arena, (size_t)256 << 20);
}

static inline void liar_fini(struct liar *liar)
{
    liar_disconnect(liar);
    decoder_free(&liar->decoder);
    arena_fini(&liar->random.arena);
}

static inline bool liar_send_part(struct liar *liar, const void *bytes, size_t size, bool more)
{
    return zmq_send(liar->socket, bytes, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0;
}

struct liar_frame {
    const void *bytes;
    size_t size;
};

/* A ring of bits that flip, bytes that vanish, come twice or change. */
static inline void liar_damage(struct liar *liar, uint8_t *bytes, size_t *size)
{
    for (uint64_t times = 1 + liar_below(liar, 3); times > 0 && *size > 0; times--) {
        size_t at = (size_t)liar_below(liar, *size);
        switch (liar_below(liar, 4)) {
        case 0: bytes[at] ^= (uint8_t)(1u << liar_below(liar, 8)); break;
        case 1: bytes[at] = (uint8_t)rng_next(&liar->random.rng); break;
        case 2: *size = at; break;
        default: memmove(bytes + at, bytes + at + 1, --*size - at); break;
        }
    }
}

/* Say it with these frames, whatever the message promises; damage: one in how many bodies is damaged. */
static inline void liar_say(struct liar *liar, const struct message *message, const struct liar_frame *frames,
                            uint32_t frames_count, uint64_t damage)
{
    struct why why;
    uint8_t *body;
    size_t size;
    if (!liar->socket || message_check(message, &why) || message_encode(message, &body, &size))
        return;
    if (liar_one_in(liar, damage))
        liar_damage(liar, body, &size);
    bool sent = (!liar->routed || liar_send_part(liar, liar->route, liar->route_size, true)) &&
                liar_send_part(liar, body, size, frames_count > 0);
    for (uint32_t i = 0; sent && i < frames_count; i++)
        sent = liar_send_part(liar, frames[i].bytes, frames[i].size, i + 1 < frames_count);
    liar->said += sent;
    free(body);
}

/* The next message to it; NULL: none, or one that is not understood. Its frames are dropped. */
static inline const struct message *liar_hear(struct liar *liar, zmq_msg_t *body)
{
    const struct message *message = NULL;
    struct why why;
    int more = 1, frames = 0;
    size_t more_size = sizeof more;
    if (!liar->socket || zmq_msg_recv(body, liar->socket, ZMQ_DONTWAIT) < 0)
        return NULL;
    if (liar->routed) {
        liar->route_size = zmq_msg_size(body);
        FUZZ_CHECK(liar->route_size <= sizeof liar->route && zmq_msg_more(body));
        memcpy(liar->route, zmq_msg_data(body), liar->route_size);
        FUZZ_CHECK(zmq_msg_recv(body, liar->socket, 0) >= 0);
    }
    liar->head_size = 0;
    for (more = zmq_msg_more(body); more;) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        (void)zmq_msg_recv(&part, liar->socket, 0);
        if (!frames++) {
            size_t size = zmq_msg_size(&part);
            liar->head_size = size < sizeof liar->head ? size : sizeof liar->head;
            memcpy(liar->head, zmq_msg_data(&part), liar->head_size);
        }
        (void)zmq_getsockopt(liar->socket, ZMQ_RCVMORE, &more, &more_size);
        (void)zmq_msg_close(&part);
    }
    liar->heard++;
    FUZZ_CHECK(decoder_decode(liar->decoder, zmq_msg_data(body), zmq_msg_size(body), &message, &why) ==
               ERR_OK);
    liar->refused |= message->type == MESSAGE_REFUSED;
    return message;
}

#endif
