// SPDX-License-Identifier: Apache-2.0
/* hop - the steps of the way to a coordinator, each tested alone, so that a failure says which it is:
 *
 *      name -> address -> connection -> ZMTP greeting (ZeroMQ RFC 23) -> CURVE handshake, admission
 *
 * Each takes at most until its deadline and says in words what it found and what to do. Blocks; any thread.
 * Looking a name up is the one step that the resolver bounds and not the deadline: see hop_bound_lookups. */
#ifndef HOP_H
#define HOP_H

#include "endpoint.h"
#include "key.h"

#include <stdint.h>
#include <sys/socket.h>

enum hop_state { HOP_OK, HOP_FAILED, HOP_SKIPPED };

enum { HOP_TEXT_MAX = 400 };

struct hop {
    enum hop_state state;
    char text[HOP_TEXT_MAX]; /* what was found */
    char todo[HOP_TEXT_MAX]; /* FAILED: what to do about it; else "" */
};

void hop_ok(struct hop *hop, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hop_skip(struct hop *hop, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hop_fail(struct hop *hop, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hop_todo(struct hop *hop, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where a URL leads to. */
struct hop_place {
    struct sockaddr_storage address;
    socklen_t address_size; /* 0 = unknown */
    char shown[160];        /* "10.0.0.5 port 7117", or the socket's path */
};

/* Few and short tries for names that no server knows; before the first of them, and for the whole process. */
void hop_bound_lookups(void);

/* The address of a URL that endpoint_parse took. */
void hop_resolve(const char *url, struct hop_place *place, struct hop *hop);

/* Connect; *fd is -1 unless it is HOP_OK, and the caller's to close. Refused, no route, time-out and a
 * missing socket are told apart. */
void hop_connect(const struct hop_place *place, uint64_t deadline_us, int *fd, struct hop *hop);

/* Exchange greetings on fd: does it speak ZMTP, and with keys (CURVE) where keyed, without where not? */
void hop_greet(int fd, bool keyed, uint64_t deadline_us, struct hop *hop);

/* What a handshake with keys came to. */
enum hop_entry {
    HOP_LET_IN,
    HOP_KEY_REFUSED,  /* the coordinator has the key that was expected, and does not know ours */
    HOP_WRONG_SERVER, /* it hung up: it has another key than server_half */
    HOP_NO_CURVE,     /* what listens there does not speak CURVE */
    HOP_NO_ANSWER,
};

struct wire;

/* Wait until a client's wire is let in, or it is plain that it will not be. */
enum hop_entry hop_await(struct wire *wire, uint64_t deadline_us);

/* The same for a connection that is made for the purpose and closed again. */
enum hop_entry hop_enter(const char *url, const struct key *own, const uint8_t server_half[KEY_BYTES],
                         uint64_t deadline_us);

#endif
