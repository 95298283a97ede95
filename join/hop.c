// SPDX-License-Identifier: Apache-2.0
#include "hop.h"

#include "clock.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_BYTES = 64, SIGNATURE_BYTES = 10, MECHANISM_AT = 12, MECHANISM_BYTES = 20 };

/* ---- words ---- */

static void say(char text[HOP_TEXT_MAX], const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void say(char text[HOP_TEXT_MAX], const char *format, va_list arguments)
{
    (void)vsnprintf(text, HOP_TEXT_MAX, format, arguments);
}

#define SAY(hop, as)                                                                                         \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        (hop)->state = (as);                                                                                 \
        (hop)->todo[0] = 0;                                                                                  \
        va_start(arguments, format);                                                                         \
        say((hop)->text, format, arguments);                                                                 \
        va_end(arguments);                                                                                   \
    } while (0)

void hop_ok(struct hop *hop, const char *format, ...) { SAY(hop, HOP_OK); }

void hop_skip(struct hop *hop, const char *format, ...) { SAY(hop, HOP_SKIPPED); }

void hop_fail(struct hop *hop, const char *format, ...) { SAY(hop, HOP_FAILED); }

void hop_todo(struct hop *hop, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(hop->todo, format, arguments);
    va_end(arguments);
}

/* ---- the address ---- */

void hop_bound_lookups(void) { (void)setenv("RES_OPTIONS", "timeout:2 attempts:1", 0); }

static void resolve_path(const char *path, struct hop_place *place, struct hop *hop)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&place->address;
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
    snprintf(place->shown, sizeof place->shown, "%s", path);
    place->address_size = sizeof *address;
    hop_ok(hop, "the socket %s of this machine", path);
}

/* tcp://HOST:PORT without brackets around HOST. endpoint_parse saw to its form. */
static void split(const char *url, char host[ENDPOINT_MAX], char port[8])
{
    const char *at = url + strlen("tcp://"), *colon = strrchr(at, ':');
    int skipped = *at == '[';
    snprintf(host, ENDPOINT_MAX, "%.*s", (int)(colon - at) - 2 * skipped, at + skipped);
    snprintf(port, 8, "%s", colon + 1);
}

static void show_address(const struct addrinfo *found, const char *port, struct hop_place *place)
{
    char numeric[96] = "?";
    (void)getnameinfo(found->ai_addr, found->ai_addrlen, numeric, sizeof numeric, NULL, 0, NI_NUMERICHOST);
    snprintf(place->shown, sizeof place->shown, "%s port %s", numeric, port);
}

static void resolve_name(const char *url, bool ipv6, struct hop_place *place, struct hop *hop)
{
    char host[ENDPOINT_MAX], port[8];
    struct addrinfo wanted = { .ai_family = ipv6 ? AF_INET6 : AF_INET, .ai_socktype = SOCK_STREAM }, *found;
    split(url, host, port);
    int error = getaddrinfo(host, port, &wanted, &found);
    if (error != 0) {
        hop_fail(hop, "%s is not known: %s", host, gai_strerror(error));
        hop_todo(hop, "check the name, or use the host's address: tcp://ADDRESS:%s", port);
        return;
    }
    memcpy(&place->address, found->ai_addr, found->ai_addrlen);
    place->address_size = found->ai_addrlen;
    show_address(found, port, place);
    freeaddrinfo(found);
    hop_ok(hop, "%s is %s", host, place->shown);
}

void hop_resolve(const char *url, struct hop_place *place, struct hop *hop)
{
    struct endpoint endpoint;
    struct why why;
    memset(place, 0, sizeof *place);
    if (endpoint_parse(url, false, &endpoint, &why) != ERR_OK) {
        hop_fail(hop, "%.300s", why.text);
        hop_todo(hop, "give tcp://HOST:PORT");
    } else if (endpoint.path) {
        resolve_path(endpoint.path, place, hop);
    } else {
        resolve_name(endpoint.url, endpoint.ipv6, place, hop);
    }
}

/* ---- the connection ---- */

static int left_ms(uint64_t deadline_us)
{
    uint64_t now = clock_monotonic_us();
    return now >= deadline_us ? 0 : (int)((deadline_us - now + 999) / 1000);
}

static bool await_fd(int fd, short events, uint64_t deadline_us)
{
    struct pollfd item = { .fd = fd, .events = events };
    int ready;
    do
        ready = poll(&item, 1, left_ms(deadline_us));
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* 0, or errno. */
static int connect_by(int fd, const struct hop_place *place, uint64_t deadline_us)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, (const struct sockaddr *)&place->address, place->address_size) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EAGAIN)
        return errno;
    if (!await_fd(fd, POLLOUT, deadline_us))
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static void explain_local(const struct hop_place *place, int error, struct hop *hop)
{
    if (error == ENOENT || error == ECONNREFUSED) {
        hop_fail(hop, "no coordinator listens at %s", place->shown);
        hop_todo(hop, "start one with `motley up --detach`");
    } else {
        hop_fail(hop, "%s cannot be reached: %s", place->shown, strerror(error));
        hop_todo(hop, "use it as the user whose coordinator it is");
    }
}

static void explain_remote(const struct hop_place *place, int error, struct hop *hop)
{
    switch (error) {
    case ECONNREFUSED:
        hop_fail(hop, "%s: connection refused: the host is there, and nothing listens on that port",
                 place->shown);
        hop_todo(hop,
                 "start the coordinator there with `motley up --listen tcp://0.0.0.0:7117`, and check the "
                 "port");
        break;
    case ETIMEDOUT:
        hop_fail(hop, "%s: no answer at all: the host is off, or a firewall drops what is sent",
                 place->shown);
        hop_todo(hop, "check the address; let the port through the firewall of the coordinator's host");
        break;
    case EHOSTUNREACH:
    case ENETUNREACH:
        hop_fail(hop, "%s: no route to that host from here", place->shown);
        hop_todo(hop, "check the address and this machine's network; are both in one network?");
        break;
    default:
        hop_fail(hop, "%s: %s", place->shown, strerror(error));
        hop_todo(hop, "check the address and this machine's network");
    }
}

void hop_connect(const struct hop_place *place, uint64_t deadline_us, int *fd, struct hop *hop)
{
    *fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = *fd < 0 ? errno : connect_by(*fd, place, deadline_us);
    if (error == 0) {
        hop_ok(hop, "%s answers", place->shown);
        return;
    }
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    if (place->address.ss_family == AF_UNIX)
        explain_local(place, error, hop);
    else
        explain_remote(place, error, hop);
}

/* ---- ZMTP ---- */

/* signature, version 3.0, mechanism, as-server 0, filler: RFC 23. */
static void make_greeting(bool keyed, uint8_t bytes[GREETING_BYTES])
{
    memset(bytes, 0, GREETING_BYTES);
    bytes[0] = 0xFF;
    bytes[9] = 0x7F;
    bytes[10] = 3;
    memcpy(bytes + MECHANISM_AT, keyed ? "CURVE" : "NULL", keyed ? 5 : 4);
}

static size_t read_by(int fd, uint8_t *bytes, size_t size, uint64_t deadline_us)
{
    size_t used = 0;
    while (used < size && await_fd(fd, POLLIN, deadline_us)) {
        ssize_t got = recv(fd, bytes + used, size - used, 0);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
            break;
        used += got > 0 ? (size_t)got : 0;
    }
    return used;
}

static void judge_mechanism(const char *mechanism, bool keyed, struct hop *hop)
{
    if (strcmp(mechanism, keyed ? "CURVE" : "NULL") == 0) {
        hop_ok(hop, "it speaks ZMTP, %s", keyed ? "with keys (CURVE)" : "without keys, as it should here");
        return;
    }
    hop_fail(hop, "it speaks ZMTP with the mechanism %s, not %s", mechanism, keyed ? "CURVE" : "NULL");
    hop_todo(hop, "is it a Motley coordinator, and of this version? Check host and port");
}

void hop_greet(int fd, bool keyed, uint64_t deadline_us, struct hop *hop)
{
    uint8_t ours[GREETING_BYTES], theirs[GREETING_BYTES] = { 0 };
    char mechanism[MECHANISM_BYTES + 1] = "";
    make_greeting(keyed, ours);
    /* The version is enough for an answer; whom our mechanism does not suit would hang up before it. */
    ssize_t sent = send(fd, ours, MECHANISM_AT, MSG_NOSIGNAL);
    size_t got = read_by(fd, theirs, sizeof theirs, deadline_us);
    bool is_zmtp = got >= SIGNATURE_BYTES && theirs[0] == 0xFF && theirs[9] == 0x7F;
    if (sent < MECHANISM_AT || got == 0) {
        hop_fail(hop, "something listens there and says nothing");
        hop_todo(hop,
                 "is it the coordinator's port? One that is stopped or overloaded is silent, too: see its "
                 "log");
    } else if (!is_zmtp) {
        hop_fail(hop, "something else listens there: it does not speak ZMTP");
        hop_todo(hop, "check the port: `motley up` on the coordinator's host says which it listens on");
    } else if (got < sizeof theirs) {
        hop_fail(hop, "it speaks ZMTP, and ended in the middle of its greeting");
        hop_todo(hop, "see the coordinator's log");
    } else {
        for (size_t i = 0; i < MECHANISM_BYTES && theirs[MECHANISM_AT + i] >= 'A'; i++)
            mechanism[i] = (char)(theirs[MECHANISM_AT + i] & 0x7F);
        judge_mechanism(mechanism, keyed, hop);
    }
}

/* ---- the handshake ---- */

/* A coordinator that stops hangs up without a word, too: only one that does so again and again has another
 * key. */
enum { CLOSED_US = 1500000 };

enum hop_entry hop_await(struct wire *wire, uint64_t deadline_us)
{
    zmq_pollitem_t item = { .socket = wire_monitor_socket(wire), .events = ZMQ_POLLIN };
    uint64_t begun_us = clock_monotonic_us();
    enum wire_refusal refusal;
    struct why why;
    do {
        if (wire_is_connected(wire))
            return HOP_LET_IN;
        refusal = wire_refused(wire, &why);
        if (refusal == WIRE_KEY_REFUSED)
            return HOP_KEY_REFUSED;
        if (refusal == WIRE_STRANGER)
            return HOP_NO_CURVE;
        if (refusal == WIRE_CLOSED && clock_monotonic_us() > begun_us + CLOSED_US)
            return HOP_WRONG_SERVER;
        int ms = left_ms(deadline_us);
        (void)zmq_poll(&item, 1, ms < 100 ? ms : 100);
    } while (clock_monotonic_us() < deadline_us);
    return refusal == WIRE_CLOSED ? HOP_WRONG_SERVER : HOP_NO_ANSWER;
}

enum hop_entry hop_enter(const char *url, const struct key *own, const uint8_t server_half[KEY_BYTES],
                         uint64_t deadline_us)
{
    struct wire_keys keys = { .own = own, .server_half = server_half, .role = "client" };
    struct wire *wire = NULL;
    struct why why;
    void *context = zmq_ctx_new();
    enum hop_entry entry = HOP_NO_ANSWER;
    if (context && wire_connect(context, url, &keys, &wire, &why) == ERR_OK)
        entry = hop_await(wire, deadline_us);
    wire_free(&wire);
    if (context)
        (void)zmq_ctx_term(context);
    return entry;
}
