// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include "endpoint.h"
#include "ensure.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ROUTING_ID_BYTES = 5, /* what ROUTER makes: a zero and a big-endian counter */

    /* Whole messages per peer. Credit keeps the queues far below; these bound the memory if it fails.
     * Receiving, a full queue stops reading and TCP holds the peer back: nothing is lost, so it is small.
     * Sending, a full queue is ERR_FULL and costs the peer its connection's standing, so it is large enough
     * for every message that its credit allows. */
    RECEIVE_QUEUE = 128,
    SEND_QUEUE = 1024,
};

#define PEER_BIT ((wire_peer)1 << 32) /* so that the counter's 0 is a peer too */
enum {
    PORT_SHIFT = 33, /* above it in a peer's number: its port */
    PORTS_MAX = WIRE_ITEMS_MAX / 2,

    /* Messages from one port before the other one is asked: an empty socket costs a system call to ask. */
    BURST = 64,
};

/* One ZeroMQ socket, with what watches its connections. */
struct port {
    void *socket;
    bool keyed; /* CURVE */
    struct watch *watch;
    int fd, watch_fd;        /* readable when something changed (ZMQ_FD) */
    bool filled, watch_told; /* there may be a message; an event of the watch */
};

struct wire {
    struct port ports[PORTS_MAX];
    uint32_t ports_count;
    uint32_t turn, burst; /* the port that is read from, and how many messages it gave since it is */
    bool routed;          /* ROUTER */
    bool waits;           /* by wire_wait: filled and watch_told are kept */
    uint8_t own_half[KEY_BYTES], server_half[KEY_BYTES]; /* public; for the words of a refusal */
    char role[16];
    char url[ENDPOINT_MAX]; /* a client's */
    struct decoder *decoder;
    uint32_t endpoints_count;
    char endpoints[WIRE_URLS_MAX][ENDPOINT_MAX];
    zmq_msg_t body;    /* of the last message received: its byte fields point into it */
    zmq_msg_t *frames; /* PAYLOAD_FRAMES_MAX; those below frames_count are initialised */
    uint32_t frames_count;
};

/* ---- options ---- */

struct option {
    int name, value;
};

/* No ZMTP heartbeats: docs/decisions/0005-no-zmtp-heartbeats.md. */
static const struct option options_of_all[] = {
    { ZMQ_LINGER, 1000 },
    { ZMQ_RCVHWM, RECEIVE_QUEUE },
    { ZMQ_SNDHWM, SEND_QUEUE },
    { ZMQ_HANDSHAKE_IVL, 3000 },
};
/* A host that vanished is found in about a minute by the kernel, whatever the two programs say. */
static const struct option options_of_tcp[] = {
    { ZMQ_TCP_KEEPALIVE, 1 },
    { ZMQ_TCP_KEEPALIVE_IDLE, 30 },
    { ZMQ_TCP_KEEPALIVE_INTVL, 10 },
    { ZMQ_TCP_KEEPALIVE_CNT, 3 },
};
static const struct option options_of_server[] = {
    { ZMQ_ROUTER_MANDATORY, 1 },
    { ZMQ_BACKLOG, 1024 },
};
/* Not ZMQ_IMMEDIATE: docs/decisions/0007-zmq-immediate.md. wire_send sees to it that nothing is queued for
 * nobody. A coordinator that was started again is found within 400 ms, which is within its grace
 * (recovery.c); not by all at once, as ZeroMQ adds up to the first interval by chance. */
static const struct option options_of_client[] = {
    { ZMQ_RECONNECT_IVL, 100 },
    { ZMQ_RECONNECT_IVL_MAX, 300 },
    { ZMQ_CONNECT_TIMEOUT, 3000 },
};

static enum err refused_by_zmq(struct why *why, const char *what, const char *where)
{
    return why_set(why, ERR_SYSTEM, "%s %.200s: %s", what, where, zmq_strerror(zmq_errno()));
}

static enum err set_options(void *socket, const struct option *options, size_t count, struct why *why)
{
    for (size_t i = 0; i < count; i++)
        if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof options[i].value) != 0)
            return refused_by_zmq(why, "cannot set up a socket", "(option)");
    return ERR_OK;
}

#define SET(socket, options, why) set_options(socket, options, sizeof(options) / sizeof(options)[0], why)

static enum err set_all_options(void *socket, bool routed, struct why *why)
{
    int64_t frame_bytes_max = PAYLOAD_BYTES_MAX;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) != 0)
        return refused_by_zmq(why, "cannot set up a socket", "(largest frame)");
    enum err err = SET(socket, options_of_all, why);
    if (err == ERR_OK)
        err = SET(socket, options_of_tcp, why);
    if (err == ERR_OK)
        err = routed ? SET(socket, options_of_server, why) : SET(socket, options_of_client, why);
    return err;
}

/* ZMQ_ZAP_ENFORCE_DOMAIN: libzmq's header names it only where unfinished parts are asked for. */
enum { ZAP_ENFORCE_DOMAIN = 93 };

/* Without it a socket whose ZAP handler is missing lets everyone in. */
static bool set_server_keys(void *socket, const struct wire_keys *keys)
{
    int on = 1;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->own->secret_half, KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, WIRE_ZAP_DOMAIN, strlen(WIRE_ZAP_DOMAIN)) == 0 &&
           zmq_setsockopt(socket, ZAP_ENFORCE_DOMAIN, &on, sizeof on) == 0;
}

static bool set_client_keys(void *socket, const struct wire_keys *keys)
{
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_half, KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->own->public_half, KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->own->secret_half, KEY_BYTES) == 0;
}

/* ---- life ---- */

static enum err wire_new(bool routed, struct wire **wire, struct why *why)
{
    struct wire *made = calloc(1, sizeof *made);
    *wire = made;
    if (!made) {
        (void)why_set(why, ERR_MEMORY, "no memory for a socket");
        return ERR_MEMORY;
    }
    made->routed = routed;
    (void)zmq_msg_init(&made->body);
    made->decoder = decoder_new();
    made->frames = malloc(PAYLOAD_FRAMES_MAX * sizeof *made->frames);
    if (!made->decoder || !made->frames)
        return why_set(why, ERR_MEMORY, "no memory for a socket");
    return ERR_OK;
}

static bool get_fd(void *socket, int *fd)
{
    size_t size = sizeof *fd;
    return zmq_getsockopt(socket, ZMQ_FD, fd, &size) == 0;
}

static enum err open_port(struct wire *wire, void *context, const struct wire_keys *keys, struct port **port,
                          struct why *why)
{
    struct port *opened = *port = &wire->ports[wire->ports_count];
    opened->keyed = keys != NULL;
    opened->socket = zmq_socket(context, wire->routed ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!opened->socket)
        return refused_by_zmq(why, "cannot make", "a socket");
    wire->ports_count++;
    enum err err = set_all_options(opened->socket, wire->routed, why);
    if (err != ERR_OK)
        return err;
    if (keys &&
        !(wire->routed ? set_server_keys(opened->socket, keys) : set_client_keys(opened->socket, keys)))
        return refused_by_zmq(why, "cannot set up a socket", "(its keys)");
    err = watch_new(context, opened->socket, wire->routed, &opened->watch, why);
    opened->filled = opened->watch_told = true;
    if (err == ERR_OK &&
        (!get_fd(opened->socket, &opened->fd) || !get_fd(watch_socket(opened->watch), &opened->watch_fd)))
        return refused_by_zmq(why, "cannot set up a socket", "(its descriptor)");
    return err;
}

static void close_frames(struct wire *wire)
{
    while (wire->frames_count > 0)
        (void)zmq_msg_close(&wire->frames[--wire->frames_count]);
}

/* What a client could not send any more was for a connection that is gone: it must not reach the next one. */
static void forget_unsent(struct wire *wire)
{
    int none = 0;
    struct port *port = &wire->ports[0];
    if (!wire->routed && port->socket && port->watch && !watch_is_connected(port->watch))
        (void)zmq_setsockopt(port->socket, ZMQ_LINGER, &none, sizeof none);
}

void wire_free(struct wire **wire)
{
    struct wire *it = *wire;
    if (!it)
        return;
    close_frames(it);
    (void)zmq_msg_close(&it->body);
    forget_unsent(it);
    for (uint32_t i = 0; i < it->ports_count; i++) {
        watch_free(&it->ports[i].watch);
        (void)zmq_close(it->ports[i].socket);
    }
    decoder_free(&it->decoder);
    free(it->frames);
    free(it);
    *wire = NULL;
}

/* Does someone serve this path? zmq_bind would unlink it and take its place without a word. */
static bool is_served(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool served = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return served;
}

static enum err not_without_keys(const struct endpoint *endpoint, const char *url, struct why *why)
{
    if (endpoint->path || endpoint->loopback)
        return ERR_OK;
    return why_set(why, ERR_USAGE, "%.200s: is not a loopback address, and other hosts need keys", url);
}

/* The port for such an endpoint: with keys, ipc and tcp are different ones. */
static enum err find_port(struct wire *wire, void *context, const struct endpoint *endpoint,
                          const struct wire_keys *keys, struct port **port, struct why *why)
{
    const struct wire_keys *wanted = endpoint->path ? NULL : keys;
    for (uint32_t i = 0; i < wire->ports_count; i++) {
        *port = &wire->ports[i];
        if ((*port)->keyed == (wanted != NULL))
            return ERR_OK;
    }
    return open_port(wire, context, wanted, port, why);
}

static enum err bind_port(struct wire *wire, const struct port *port, const struct endpoint *endpoint,
                          const char *url, struct why *why)
{
    int ipv6 = endpoint->ipv6;
    (void)zmq_setsockopt(port->socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (zmq_bind(port->socket, endpoint->url) != 0)
        return refused_by_zmq(why, "cannot listen on", url);
    if (endpoint->path && chmod(endpoint->path, 0600) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot protect %.200s", url);
    size_t size = ENDPOINT_MAX;
    if (zmq_getsockopt(port->socket, ZMQ_LAST_ENDPOINT, wire->endpoints[wire->endpoints_count], &size) != 0)
        return refused_by_zmq(why, "cannot ask for the endpoint of", url);
    wire->endpoints_count++;
    return ERR_OK;
}

static enum err listen_one(struct wire *wire, void *context, const char *url, const struct wire_keys *keys,
                           struct why *why)
{
    struct endpoint endpoint;
    struct port *port;
    enum err err = endpoint_parse(url, true, &endpoint, why);
    if (err == ERR_OK && !keys)
        err = not_without_keys(&endpoint, url, why);
    if (err != ERR_OK)
        return err;
    if (endpoint.path && is_served(endpoint.path))
        return why_set(why, ERR_SYSTEM,
                       "%.200s: another process listens there; stop it or choose another path", url);
    err = find_port(wire, context, &endpoint, keys, &port, why);
    return err == ERR_OK ? bind_port(wire, port, &endpoint, url, why) : err;
}

enum err wire_listen(void *context, const char *const *urls, uint32_t urls_count,
                     const struct wire_keys *keys, struct wire **wire, struct why *why)
{
    *wire = NULL;
    if (urls_count == 0 || urls_count > WIRE_URLS_MAX)
        return why_set(why, ERR_USAGE, "%u addresses to listen on; 1 to %d are possible", urls_count,
                       WIRE_URLS_MAX);
    enum err err = wire_new(true, wire, why);
    for (uint32_t i = 0; i < urls_count && err == ERR_OK; i++)
        err = listen_one(*wire, context, urls[i], keys, why);
    if (err != ERR_OK)
        wire_free(wire);
    return err;
}

static enum err connect_one(struct wire *wire, void *context, const struct endpoint *endpoint,
                            const struct wire_keys *keys, struct why *why)
{
    struct port *port;
    int ipv6 = endpoint->ipv6;
    enum err err = open_port(wire, context, keys, &port, why);
    if (err != ERR_OK)
        return err;
    (void)zmq_setsockopt(port->socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (zmq_connect(port->socket, endpoint->url) != 0)
        return refused_by_zmq(why, "cannot connect to", endpoint->url);
    return ERR_OK;
}

static void note_keys(struct wire *wire, const char *url, const struct wire_keys *keys)
{
    snprintf(wire->url, sizeof wire->url, "%s", url);
    if (!keys)
        return;
    memcpy(wire->own_half, keys->own->public_half, KEY_BYTES);
    memcpy(wire->server_half, keys->server_half, KEY_BYTES);
    snprintf(wire->role, sizeof wire->role, "%s", keys->role ? keys->role : "client");
}

enum err wire_connect(void *context, const char *url, const struct wire_keys *keys, struct wire **wire,
                      struct why *why)
{
    struct endpoint endpoint;
    *wire = NULL;
    enum err err = endpoint_parse(url, false, &endpoint, why);
    if (err == ERR_OK && endpoint.path)
        keys = NULL;
    if (err == ERR_OK && !keys)
        err = not_without_keys(&endpoint, url, why);
    if (err == ERR_OK)
        err = wire_new(false, wire, why);
    if (err == ERR_OK)
        err = connect_one(*wire, context, &endpoint, keys, why);
    if (err != ERR_OK)
        wire_free(wire);
    else
        note_keys(*wire, url, keys);
    return err;
}

int wire_poll_items(const struct wire *wire, zmq_pollitem_t items[WIRE_ITEMS_MAX])
{
    int count = 0;
    for (uint32_t i = 0; i < wire->ports_count; i++) {
        const struct port *port = &wire->ports[i];
        items[count++] = (zmq_pollitem_t){ .socket = port->socket, .events = ZMQ_POLLIN };
        items[count++] = (zmq_pollitem_t){ .socket = watch_socket(port->watch), .events = ZMQ_POLLIN };
    }
    return count;
}

/* A descriptor of ZeroMQ's is readable when something changed, and reading or sending takes that away: so the
 * socket itself is asked after the sends of a turn, and then nothing comes unnoticed. */
static bool is_filled(const struct port *port)
{
    int events = 0;
    size_t size = sizeof events;
    return port->filled ||
           (zmq_getsockopt(port->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN));
}

void wire_wait(struct wire *wire, bool listening, struct pollfd *own, int own_count, long timeout_ms)
{
    struct pollfd all[WIRE_OWN_MAX + WIRE_ITEMS_MAX];
    nfds_t count = (nfds_t)own_count;
    ENSURE(own_count <= WIRE_OWN_MAX);
    wire->waits = true;
    memcpy(all, own, count * sizeof *own);
    for (uint32_t i = 0; listening && i < wire->ports_count; i++) {
        struct port *port = &wire->ports[i];
        port->filled = is_filled(port);
        timeout_ms = port->filled ? 0 : timeout_ms;
        all[count++] = (struct pollfd){ .fd = port->fd, .events = POLLIN };
        all[count++] = (struct pollfd){ .fd = port->watch_fd, .events = POLLIN };
    }
    if (poll(all, count, (int)timeout_ms) <= 0)
        for (nfds_t i = 0; i < count; i++)
            all[i].revents = 0;
    memcpy(own, all, (size_t)own_count * sizeof *own);
    for (uint32_t i = 0; listening && i < wire->ports_count; i++) {
        wire->ports[i].filled = wire->ports[i].filled || all[own_count + 2 * (int)i].revents;
        wire->ports[i].watch_told = wire->ports[i].watch_told || all[own_count + 2 * (int)i + 1].revents;
    }
}

void *wire_socket(const struct wire *wire) { return wire->ports[0].socket; }

void *wire_monitor_socket(const struct wire *wire) { return watch_socket(wire->ports[0].watch); }

const char *wire_endpoint(const struct wire *wire, uint32_t index)
{
    return index < wire->endpoints_count ? wire->endpoints[index] : "";
}

/* ---- sending ---- */

static enum err send_error(void)
{
    switch (zmq_errno()) {
    case EAGAIN: return ERR_FULL;
    case EHOSTUNREACH: return ERR_UNREACHABLE;
    default: return ERR_SYSTEM;
    }
}

static enum err send_part(void *socket, zmq_msg_t *part, bool more)
{
    if (zmq_msg_send(part, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0)
        return ERR_OK;
    enum err err = send_error();
    (void)zmq_msg_close(part);
    return err;
}

static enum err send_peer(const struct wire *wire, void *socket, wire_peer peer)
{
    zmq_msg_t part;
    if (!wire->routed)
        return ERR_OK;
    uint8_t id[ROUTING_ID_BYTES];
    for (int i = ROUTING_ID_BYTES - 1; i >= 0; i--, peer >>= 8)
        id[i] = i > 0 ? (uint8_t)peer : 0;
    if (zmq_msg_init_size(&part, sizeof id) != 0)
        return ERR_MEMORY;
    memcpy(zmq_msg_data(&part), id, sizeof id);
    return send_part(socket, &part, true);
}

static void release_body(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

static enum err frame_to_part(const struct wire_frame *frame, zmq_msg_t *part)
{
    if (frame->release) {
        void *bytes = (void *)(uintptr_t)frame->bytes;
        if (zmq_msg_init_data(part, bytes, frame->size, frame->release, frame->hint) == 0)
            return ERR_OK;
        frame->release(bytes, frame->hint);
        return ERR_MEMORY;
    }
    if (zmq_msg_init_size(part, frame->size) != 0)
        return ERR_MEMORY;
    if (frame->size > 0)
        memcpy(zmq_msg_data(part), frame->bytes, frame->size);
    return ERR_OK;
}

static enum err send_frame(void *socket, const struct wire_frame *frame, bool more)
{
    zmq_msg_t part;
    enum err err = frame_to_part(frame, &part);
    return err == ERR_OK ? send_part(socket, &part, more) : err;
}

/* The frames are given away whatever happens. */
static void drop_frames(const struct wire_frame *frames, uint32_t frames_count)
{
    for (uint32_t i = 0; i < frames_count; i++)
        if (frames[i].release)
            frames[i].release((void *)(uintptr_t)frames[i].bytes, frames[i].hint);
}

/* A message of which a part went out cannot be taken back. Empty parts end it, one more than its frames, so
 * that the receiver counts too many and refuses it. Only the lack of memory for a part leads here: ZeroMQ
 * refuses a message at its first part or not at all. */
static void end_torn(void *socket, uint32_t frames_missing)
{
    for (uint32_t i = 0; i <= frames_missing; i++) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        (void)send_part(socket, &part, i < frames_missing);
    }
}

/* Body and frames, the routing id being out. */
static enum err send_rest(void *socket, bool routed, const struct wire_frame *body,
                          const struct wire_frame *frames, uint32_t frames_count)
{
    enum err err = send_frame(socket, body, frames_count > 0);
    bool begun = routed || err == ERR_OK;
    uint32_t sent = 0;
    for (; sent < frames_count && err == ERR_OK; sent++)
        err = send_frame(socket, &frames[sent], sent + 1 < frames_count);
    if (err == ERR_OK)
        return ERR_OK;
    drop_frames(frames + sent, frames_count - sent);
    if (begun)
        end_torn(socket, frames_count + 1);
    return err;
}

static enum err send_all(struct wire *wire, wire_peer peer, const struct wire_frame *body,
                         const struct wire_frame *frames, uint32_t frames_count)
{
    uint32_t port = (uint32_t)(peer >> PORT_SHIFT);
    ENSURE(port < wire->ports_count);
    void *socket = wire->ports[port].socket;
    enum err err = send_peer(wire, socket, peer);
    if (err == ERR_OK)
        return send_rest(socket, wire->routed, body, frames, frames_count);
    drop_frames(body, 1);
    drop_frames(frames, frames_count);
    return err;
}

static void check_sent(const struct message *message, const struct wire_frame *frames, uint32_t frames_count)
{
    size_t bytes = 0;
    struct why why;
    ENSURE(frames_count <= PAYLOAD_FRAMES_MAX);
    if (message_frames_check(message, frames_count, &why) != ERR_OK)
        ensure_failed(why.text, __FILE__, __LINE__);
    for (uint32_t i = 0; i < frames_count; i++) {
        ENSURE(frames[i].size <= PAYLOAD_BYTES_MAX);
        bytes += frames[i].size;
    }
    ENSURE(bytes <= MESSAGE_BYTES_MAX - BODY_BYTES_MAX);
}

enum err wire_send(struct wire *wire, wire_peer peer, const struct message *message,
                   const struct wire_frame *frames, uint32_t frames_count)
{
    uint8_t *bytes;
    size_t size;
    check_sent(message, frames, frames_count);
    ENSURE(wire->routed == (peer != 0));
    bool is_away = !wire->routed && !watch_is_connected(wire->ports[0].watch);
    enum err err = is_away ? ERR_FULL : message_encode(message, &bytes, &size);
    if (err != ERR_OK) {
        drop_frames(frames, frames_count);
        return err;
    }
    struct wire_frame body = { .bytes = bytes, .size = size, .release = release_body };
    return send_all(wire, peer, &body, frames, frames_count);
}

enum err wire_send_encoded(struct wire *wire, wire_peer peer, uint8_t **body, size_t size)
{
    struct wire_frame frame = { .bytes = *body, .size = size, .release = release_body };
    ENSURE(wire->routed && peer != 0);
    *body = NULL;
    return send_all(wire, peer, &frame, NULL, 0);
}

/* ---- receiving ---- */

/* Peer 0 of a ROUTER: the id is none of the socket's own making. */
static bool read_peer(struct wire *wire, uint32_t port, wire_peer *peer, bool *more)
{
    zmq_msg_t part;
    *peer = 0;
    *more = true;
    if (!wire->routed)
        return true;
    (void)zmq_msg_init(&part);
    bool received = zmq_msg_recv(&part, wire->ports[port].socket, ZMQ_DONTWAIT) >= 0;
    if (received) {
        const uint8_t *id = zmq_msg_data(&part);
        bool counted = zmq_msg_size(&part) == ROUTING_ID_BYTES && id[0] == 0;
        for (int i = 1; counted && i < ROUTING_ID_BYTES; i++)
            *peer = *peer << 8 | id[i];
        if (counted)
            *peer |= PEER_BIT | (wire_peer)port << PORT_SHIFT;
        *more = zmq_msg_more(&part);
    }
    (void)zmq_msg_close(&part);
    return received;
}

/* Read the payload into frames, or past the first bound to nowhere. */
static enum err read_frames(struct wire *wire, void *socket, bool more, struct why *why)
{
    enum err err = ERR_OK;
    size_t bytes = zmq_msg_size(&wire->body);
    while (more) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&part);
            return why_set(why, ERR_FORMAT, "a message ended within its frames");
        }
        more = zmq_msg_more(&part);
        bytes += zmq_msg_size(&part);
        if (err == ERR_OK && (wire->frames_count == PAYLOAD_FRAMES_MAX || bytes > MESSAGE_BYTES_MAX))
            err = why_set(why, ERR_LIMIT, "a message of more than %d payload frames or %d bytes",
                          PAYLOAD_FRAMES_MAX, MESSAGE_BYTES_MAX);
        if (err == ERR_OK) {
            zmq_msg_t *frame = &wire->frames[wire->frames_count++];
            (void)zmq_msg_init(frame);
            (void)zmq_msg_move(frame, &part);
        } else {
            close_frames(wire);
        }
        (void)zmq_msg_close(&part);
    }
    return err;
}

static void decode(struct wire *wire, enum err err, struct wire_in *in)
{
    if (err == ERR_OK)
        err = decoder_decode(wire->decoder, zmq_msg_data(&wire->body), zmq_msg_size(&wire->body),
                             &in->message, &in->why);
    if (err == ERR_OK)
        err = message_frames_check(in->message, wire->frames_count, &in->why);
    if (err != ERR_OK) {
        in->message = NULL;
        close_frames(wire);
    }
    in->frames = wire->frames;
    in->frames_count = wire->frames_count;
}

/* A ROUTER takes for a routing id what a peer says that it is called (ZMQ_ROUTING_ID). Since ZMTP 3 its
 * messages carry that name, along with its socket type; older peers' carry neither, and cannot be told apart.
 * What remains: a name that begins with a zero reads as an empty one. It would have to be another's 32 bits,
 * which are counted from a random start and told to nobody; ROUTER refuses one that is in use. */
static bool named_itself(wire_peer peer, zmq_msg_t *body)
{
    const char *name = zmq_msg_gets(body, "Identity");
    return peer == 0 || (name && *name) || !zmq_msg_gets(body, "Socket-Type");
}

/* All of it is read, and the connection ends. */
static void turn_away(struct wire *wire, struct port *port)
{
    struct why why;
    watch_reject(port->watch, zmq_msg_get(&wire->body, ZMQ_SRCFD));
    (void)read_frames(wire, port->socket, zmq_msg_more(&wire->body), &why);
    close_frames(wire);
}

/* Body: false when there is none, on a client. */
static bool read_body(struct wire *wire, const struct port *port, bool *more)
{
    (void)zmq_msg_close(&wire->body);
    (void)zmq_msg_init(&wire->body);
    if (!*more || zmq_msg_recv(&wire->body, port->socket, ZMQ_DONTWAIT) >= 0)
        return true;
    *more = false;
    return wire->routed;
}

/* The next message of a peer that has its id from the socket. */
static bool read_head(struct wire *wire, uint32_t index, wire_peer *peer, bool *more)
{
    struct port *port = &wire->ports[index];
    while (read_peer(wire, index, peer, more)) {
        if (!read_body(wire, port, more))
            return false;
        if (!wire->routed || !named_itself(*peer, &wire->body))
            return true;
        turn_away(wire, port);
    }
    port->filled = false;
    return false;
}

static bool receive_from(struct wire *wire, uint32_t index, struct wire_in *in)
{
    struct port *port = &wire->ports[index];
    bool more;
    if ((wire->waits && !port->filled) || !read_head(wire, index, &in->peer, &more))
        return false;
    if (wire->routed)
        watch_seen(port->watch, in->peer, zmq_msg_get(&wire->body, ZMQ_SRCFD));
    in->keyed = port->keyed;
    in->body = &wire->body;
    enum err err = read_frames(wire, port->socket, more && zmq_msg_more(&wire->body), &in->why);
    decode(wire, err, in);
    return true;
}

static void next_port(struct wire *wire)
{
    wire->turn = (wire->turn + 1) % wire->ports_count;
    wire->burst = 0;
}

static void hear_watch(struct wire *wire, struct port *port)
{
    if (!wire->waits || port->watch_told)
        watch_drain(port->watch);
    port->watch_told = false;
}

bool wire_receive(struct wire *wire, struct wire_in *in)
{
    memset(in, 0, sizeof *in);
    close_frames(wire);
    if (wire->burst++ == BURST)
        next_port(wire);
    for (uint32_t tried = 0; tried < wire->ports_count; tried++) {
        if (receive_from(wire, wire->turn, in))
            return true;
        hear_watch(wire, &wire->ports[wire->turn]);
        next_port(wire);
    }
    return false;
}

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool wire_key(const struct wire_in *in, uint8_t public_half[KEY_BYTES])
{
    memset(public_half, 0, KEY_BYTES);
    const char *text = in->keyed ? zmq_msg_gets(in->body, "User-Id") : NULL;
    if (!text || strlen(text) != (size_t)2 * KEY_BYTES)
        return in->keyed;
    for (int i = 0; i < KEY_BYTES; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            memset(public_half, 0, KEY_BYTES);
            return true;
        }
        public_half[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void wire_take(struct wire_in *in, uint32_t index, zmq_msg_t *frame)
{
    ENSURE(index < in->frames_count);
    (void)zmq_msg_init(frame);
    (void)zmq_msg_move(frame, &in->frames[index]);
}

uint32_t wire_guard(struct wire *wire, bool all_heard)
{
    uint32_t cut = 0;
    for (uint32_t i = 0; i < wire->ports_count; i++)
        cut += watch_guard(wire->ports[i].watch, all_heard);
    return cut;
}

void wire_cut(struct wire *wire, wire_peer peer)
{
    for (uint32_t i = 0; i < wire->ports_count; i++)
        watch_cut(wire->ports[i].watch, peer);
}

size_t wire_connections(const struct wire *wire)
{
    size_t count = 0;
    for (uint32_t i = 0; i < wire->ports_count; i++)
        count += watch_open_count(wire->ports[i].watch);
    return count;
}

bool wire_is_connected(struct wire *wire) { return watch_is_connected(wire->ports[0].watch); }

static enum wire_refusal tell_refused_key(const struct wire *wire, struct why *why)
{
    char own[KEY_TEXT_MAX];
    key_text(wire->own_half, own);
    (void)why_set(why, ERR_REFUSED,
                  "the coordinator at %s does not know our key %s, or not any more; on its host run `motley "
                  "key allow %s --role %s`",
                  wire->url, own, own, wire->role);
    return WIRE_KEY_REFUSED;
}

static enum wire_refusal tell_closed(const struct wire *wire, struct why *why)
{
    char server[KEY_TEXT_MAX];
    key_text(wire->server_half, server);
    (void)why_set(why, ERR_REFUSED,
                  "%s hung up during the handshake: either its key is not %s (`motley key show` prints it on "
                  "its host; give it with --coordinator-key), or the coordinator stopped just then",
                  wire->url, server);
    return WIRE_CLOSED;
}

enum wire_refusal wire_refused(struct wire *wire, struct why *why)
{
    switch (watch_refusal(wire->ports[0].watch)) {
    case 0: return WIRE_NOT_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return tell_refused_key(wire, why);
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        if (wire->ports[0].keyed)
            return tell_closed(wire, why);
        return WIRE_NOT_REFUSED; /* without keys nobody is refused: it stopped */
    default:
        (void)why_set(why, ERR_REFUSED, "%s: what listens there does not speak as a Motley coordinator does",
                      wire->url);
        return WIRE_STRANGER;
    }
}

uint32_t wire_refusals(const struct wire *wire) { return watch_refusals(wire->ports[0].watch); }

bool wire_lost(struct wire *wire, wire_peer *peer)
{
    for (uint32_t i = 0; i < wire->ports_count; i++) {
        hear_watch(wire, &wire->ports[i]);
        if (watch_known_lost(wire->ports[i].watch, peer))
            return true;
    }
    return false;
}
