// SPDX-License-Identifier: Apache-2.0
#include "unread.h"

static const uint64_t SECOND_US = 1000000;
enum { SMALL_BYTES = 64 << 10 }; /* goes out whatever others do */

bool unread_room(void *context, const struct fetch *fetch)
{
    const struct coordinator *coordinator = context;
    struct peer *peer = peers_find(coordinator->peers, fetch->peer);
    if (!peer)
        return true; /* it went; nothing will be sent */
    if (credit_bytes(peer->credit) + peer->reading >= PEER_AHEAD_BYTES)
        return false;
    peer->reading += fetch->length;
    return true;
}

void unread_answered(struct coordinator *coordinator, const struct fetch *fetch)
{
    struct peer *peer = peers_find(coordinator->peers, fetch->peer);
    if (peer)
        peer->reading -= fetch->length < peer->reading ? fetch->length : peer->reading;
}

bool unread_may_ask(struct coordinator *coordinator, const struct peer *peer, enum message_type type)
{
    if (peer->doom)
        return false;
    bool asks = peer->state == DIALOGUE_CLIENT || type == MESSAGE_FETCH;
    if (!asks || credit_bytes(peer->credit) < PEER_UNREAD_BYTES)
        return true;
    coordinator_doom(coordinator, peer->id, "it asks for more and does not read what it was sent");
    return false;
}

enum err unread_check(const struct coordinator *coordinator, uint64_t bytes, struct why *why)
{
    uint64_t unread = credits_bytes(coordinator->credits);
    if (bytes <= SMALL_BYTES || unread < ALL_UNREAD_BYTES)
        return ERR_OK;
    return why_set(why, ERR_FULL, "busy: %llu MiB wait for clients and workers that do not read; try again",
                   (unsigned long long)(unread >> 20));
}

static bool has_stalled(struct coordinator *coordinator, struct peer *peer, bool pressed)
{
    uint64_t progress = credit_progress(peer->credit);
    uint64_t limit_us = (pressed ? PEER_STALL_SECONDS : PEER_STALL_MOST_SECONDS) * SECOND_US;
    if (!credit_bytes(peer->credit) || progress != peer->progress || !peer->stalled_us)
        peer->stalled_us = coordinator->now_us;
    peer->progress = progress;
    return coordinator->now_us - peer->stalled_us >= limit_us;
}

void unread_turn(struct coordinator *coordinator)
{
    uint64_t unread = credits_bytes(coordinator->credits);
    size_t at = 0;
    if (!unread || coordinator->now_us < coordinator->unread_us)
        return;
    coordinator->unread_us = coordinator->now_us + SECOND_US;
    for (struct peer *peer; (peer = peers_next(coordinator->peers, &at)) != NULL;)
        if (peer->credit && has_stalled(coordinator, peer, unread >= ALL_UNREAD_BYTES / 2))
            coordinator_doom(coordinator, peer->id, "it does not read what it was sent");
}
