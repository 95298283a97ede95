// SPDX-License-Identifier: Apache-2.0
/* watch - which peers' connections have closed: a ROUTER does not tell, so a socket monitor's events are
 * joined with messages.
 *
 * The monitor names connections by file descriptor, a message names its peer and (ZMQ_SRCFD) the descriptor
 * that it came through. A descriptor is used again by the next connection, so what is known about it is kept
 * in step:
 *   - The I/O thread queues a connection's ACCEPTED before its first message can arrive, and its DISCONNECTED
 * before it closes the descriptor. So when a message shows a peer that is not the descriptor's known one, the
 * events queued by then are read first: the former peer's end is among them.
 *   - A peer may be gone by the time that its first message is read: its descriptor is then closed, or open
 * for another. Routing ids grow with each connection (libzmq counts them up), so an id older than the known
 * one never displaces it. What remains: a connection that dies unread-from on a descriptor that a silent
 * third one took over is noticed only when that one speaks or ends, and a host that vanishes from the network
 * closes nothing. The application's heartbeat covers both: watch makes loss known at once in the usual cases,
 * and it never takes a living peer for a lost one.
 *
 * Not thread-safe: one owner, the socket's. */
#ifndef WATCH_H
#define WATCH_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch;

/* Monitor socket (before it is bound or connected). routed: a ROUTER, peers by descriptor; else a DEALER,
 * whose one peer is 0. */
MUST_USE enum err watch_new(void *context, void *socket, bool routed, struct watch **watch, struct why *why);
void watch_free(struct watch **watch); /* before the socket is closed */

void *watch_socket(const struct watch *watch); /* for zmq_poll: readable when events wait */

/* A message of peer came through fd (-1 = unknown: the peer is not watched). */
void watch_seen(struct watch *watch, uint64_t peer, int fd);

/* Read all waiting events. */
void watch_drain(struct watch *watch);

/* Has a DEALER its server, as far as is known by now? */
bool watch_is_connected(struct watch *watch);

/* The event of a DEALER's last handshake if it failed (ZMQ_EVENT_HANDSHAKE_FAILED_*), else 0. */
uint16_t watch_refusal(struct watch *watch);
uint32_t watch_refusals(const struct watch *watch); /* how many failed in a row, as of that call */

/* Call it a few times a second. A message of many frames has no end for ZeroMQ until its last frame came:
 * none of its bounds counts what it holds until then, and a peer that goes on for ever fills the memory. So
 * TCP connections are cut that have sent more since their last whole message than any message takes (8 MiB
 * before their first one), and the largest when all of them together hold more than 1 GiB. all_heard: every
 * message that was whole has been received; if not, what is held may be whole messages, and only the sum
 * counts. Also cut, at once, are connections beyond the process's limit of descriptors, those that never
 * spoke first. Returns how many were cut since the last call; they are lost like any other. Connections over
 * ipc are not bounded: only the owner of the state directory has them. */
uint32_t watch_guard(struct watch *watch, bool all_heard);

/* Cut the peer's connection, if it has one: what is held for it is freed, and its loss is told. */
void watch_cut(struct watch *watch, uint64_t peer);

/* Cut the connection of that descriptor (-1 = unknown), unless a peer was seen on it: then it is not the one
 * that is meant any more. watch_guard counts it. */
void watch_reject(struct watch *watch, int fd);

/* A server's connections that are open, as far as is known by now. */
size_t watch_open_count(const struct watch *watch);

/* The next peer whose connection closed. A peer is told after its connection closed, and again after each
 * message of it that is seen later: so whoever makes a record of a peer at its message hears of its end. */
bool watch_lost(struct watch *watch, uint64_t *peer);
bool watch_known_lost(struct watch *watch,
                      uint64_t *peer); /* the same of the events that were read already */

#endif
