// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include "bounds.h"
#include "ensure.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <zmq.h>

/* What is known about one file descriptor. */
struct connection {
    uint64_t peer; /* whose messages came through it last, while not lost; 0 = none */
    bool open;
    bool spoke;     /* a whole message came through it */
    bool news;      /* one came since the last watch_guard */
    uint64_t order; /* of its opening among all */
    uint64_t bytes; /* that the kernel had received on it when the last whole message was known of */
};

struct watch {
    void *socket; /* the monitored one */
    void *events; /* our end of the monitor */
    bool routed;
    struct connection *connections; /* by file descriptor */
    size_t connections_count, open_count, open_max;
    uint64_t opened; /* connections until now */
    uint64_t *lost;  /* told in this order; at most one per connection */
    size_t lost_count, lost_first, lost_capacity;
    bool lost_server;   /* a DEALER's */
    bool is_connected;  /* a DEALER is: it and its server have greeted each other */
    uint16_t refusal;   /* a DEALER's last handshake failed with this event; 0 = it did not */
    uint32_t refusals;  /* how many did in a row */
    uint32_t cut_count; /* connections that were cut and not told of */
};

/* What a connection may send: before its first message is whole (a HELLO is half of it); of one message, with
 * what wraps it; and all of them together. A descriptor that is closed and opened again between two events is
 * cut or spared for the other one: both come again. */
static const uint64_t SILENT_BYTES = 2ull * BODY_BYTES_MAX;
static const uint64_t MESSAGE_BYTES = MESSAGE_BYTES_MAX + (MESSAGE_BYTES_MAX >> 3);
static const uint64_t ALL_BYTES = 1ull << 30;
enum { FILES_KEPT = 512, OPEN_MAX = WORKERS_MAX + CLIENTS_MAX };

enum {
    EVENTS_OF_SERVER = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED,
    EVENTS_OF_REFUSAL = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    EVENTS_OF_CLIENT = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | EVENTS_OF_REFUSAL,
};

/* The queue from the I/O thread has no high-water mark: at one, that thread would wait for us with every
 * connection of the process in its hands. It is read at each turn of the loop. */
static enum err connect_events(struct watch *watch, void *context, const char *url, struct why *why)
{
    int none = 0;
    watch->events = zmq_socket(context, ZMQ_PAIR);
    if (!watch->events)
        return why_set(why, ERR_SYSTEM, "cannot make a monitor socket: %s", zmq_strerror(zmq_errno()));
    (void)zmq_setsockopt(watch->events, ZMQ_RCVHWM, &none, sizeof none);
    (void)zmq_setsockopt(watch->events, ZMQ_LINGER, &none, sizeof none);
    if (zmq_connect(watch->events, url) != 0)
        return why_set(why, ERR_SYSTEM, "cannot watch connections: %s", zmq_strerror(zmq_errno()));
    return ERR_OK;
}

/* The rest of the process needs descriptors, too: for the answers of jobs, for the journal. At the limit
 * itself ZeroMQ's thread would turn in circles. */
static size_t room_for_connections(void)
{
    struct rlimit limit = { 0, 0 };
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    size_t files = limit.rlim_cur < OPEN_MAX ? (size_t)limit.rlim_cur : OPEN_MAX;
    return files > 2 * FILES_KEPT ? files - FILES_KEPT : files / 2;
}

enum err watch_new(void *context, void *socket, bool routed, struct watch **watch, struct why *why)
{
    char url[64];
    struct watch *made = calloc(1, sizeof *made);
    *watch = NULL;
    if (!made)
        return why_set(why, ERR_MEMORY, "no memory to watch connections");
    made->socket = socket;
    made->routed = routed;
    made->open_max = room_for_connections();
    snprintf(url, sizeof url, "inproc://motley-watch-%p", socket);
    enum err err = ERR_OK;
    if (zmq_socket_monitor(socket, url, routed ? EVENTS_OF_SERVER : EVENTS_OF_CLIENT) != 0)
        err = why_set(why, ERR_SYSTEM, "cannot watch connections: %s", zmq_strerror(zmq_errno()));
    else
        err = connect_events(made, context, url, why);
    if (err != ERR_OK)
        watch_free(&made);
    *watch = made;
    return err;
}

void watch_free(struct watch **watch)
{
    struct watch *it = *watch;
    if (!it)
        return;
    (void)zmq_socket_monitor(it->socket, NULL, 0);
    if (it->events)
        (void)zmq_close(it->events);
    free(it->connections);
    free(it->lost);
    free(it);
    *watch = NULL;
}

void *watch_socket(const struct watch *watch) { return watch->events; }

/* The connection of fd; NULL when there is no memory for it: it is then not watched, and the heartbeat
 * remains. */
static struct connection *connection_of(struct watch *watch, size_t fd)
{
    if (fd < watch->connections_count)
        return &watch->connections[fd];
    size_t count = watch->connections_count ? watch->connections_count : 64;
    while (count <= fd)
        count *= 2;
    struct connection *grown = realloc(watch->connections, count * sizeof *grown);
    if (!grown)
        return NULL;
    memset(grown + watch->connections_count, 0, (count - watch->connections_count) * sizeof *grown);
    watch->connections = grown;
    watch->connections_count = count;
    return &grown[fd];
}

static void tell_lost(struct watch *watch, uint64_t peer)
{
    if (watch->lost_first == watch->lost_count)
        watch->lost_first = watch->lost_count = 0;
    if (watch->lost_count == watch->lost_capacity) {
        size_t capacity = watch->lost_capacity ? watch->lost_capacity * 2 : 64;
        uint64_t *grown = realloc(watch->lost, capacity * sizeof *grown);
        if (!grown)
            return; /* the heartbeat remains */
        watch->lost = grown;
        watch->lost_capacity = capacity;
    }
    watch->lost[watch->lost_count++] = peer;
}

static void on_client_event(struct watch *watch, uint16_t event)
{
    watch->is_connected = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    watch->lost_server |= event == ZMQ_EVENT_DISCONNECTED;
    if (event & EVENTS_OF_REFUSAL) {
        watch->refusal = event;
        watch->refusals++;
    } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        watch->refusal = 0;
        watch->refusals = 0;
    }
}

/* Its DISCONNECTED follows. */
static void cut(struct watch *watch, struct connection *connection)
{
    (void)shutdown((int)(connection - watch->connections), SHUT_RDWR);
    connection->open = false;
    watch->open_count--;
    watch->cut_count++;
}

/* One more than there is room for: the oldest that never said a whole word goes, as half-open connections
 * live for seconds and an honest peer's handshake takes milliseconds. If all spoke, the newest. */
static void make_room(struct watch *watch, struct connection *newest)
{
    struct connection *victim = newest;
    for (size_t fd = 0; fd < watch->connections_count; fd++) {
        struct connection *connection = &watch->connections[fd];
        if (connection->open && !connection->spoke && connection->order < victim->order)
            victim = connection;
    }
    cut(watch, victim);
}

static void on_accepted(struct watch *watch, struct connection *connection)
{
    watch->open_count += !connection->open;
    *connection = (struct connection){ .peer = connection->peer, .open = true, .order = ++watch->opened };
    if (watch->open_count > watch->open_max)
        make_room(watch, connection);
}

static void on_event(struct watch *watch, uint16_t event, uint32_t fd)
{
    if (!watch->routed) {
        on_client_event(watch, event);
        return;
    }
    struct connection *connection = connection_of(watch, fd);
    if (!connection)
        return;
    if (event == ZMQ_EVENT_ACCEPTED) {
        on_accepted(watch, connection);
        return;
    }
    watch->open_count -= connection->open;
    connection->open = false;
    if (connection->peer != 0) {
        tell_lost(watch, connection->peer);
        connection->peer = 0;
    }
}

/* An event is two frames: 16 bits of event and 32 of value, then the endpoint, which is not needed. */
static bool read_event(struct watch *watch)
{
    uint8_t bytes[6];
    char endpoint[8];
    uint16_t event;
    uint32_t value;
    int size = zmq_recv(watch->events, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    (void)zmq_recv(watch->events, endpoint, sizeof endpoint, 0);
    ENSURE(size == sizeof bytes);
    memcpy(&event, bytes, sizeof event);
    memcpy(&value, bytes + sizeof event, sizeof value);
    if (event & (EVENTS_OF_SERVER | EVENTS_OF_CLIENT) && value <= INT32_MAX)
        on_event(watch, event, value);
    return true;
}

void watch_drain(struct watch *watch)
{
    while (read_event(watch))
        ;
}

bool watch_is_connected(struct watch *watch)
{
    watch_drain(watch);
    return watch->is_connected;
}

uint16_t watch_refusal(struct watch *watch)
{
    watch_drain(watch);
    return watch->refusal;
}

uint32_t watch_refusals(const struct watch *watch) { return watch->refusals; }

/* Was id `a` given before id `b`? libzmq counts ids up in 32 bits, which may wrap. */
static bool is_older(uint64_t a, uint64_t b) { return (int32_t)((uint32_t)a - (uint32_t)b) < 0; }

void watch_seen(struct watch *watch, uint64_t peer, int fd)
{
    struct connection *connection = fd >= 0 && watch->routed ? connection_of(watch, (size_t)fd) : NULL;
    if (connection)
        connection->spoke = connection->news = true;
    if (!connection || connection->peer == peer)
        return;
    watch_drain(watch);
    connection = connection_of(watch, (size_t)fd); /* the drain may have moved it */
    uint64_t former = connection->peer;
    bool is_gone = !connection->open || (former != 0 && is_older(peer, former));
    if (is_gone) {
        tell_lost(watch, peer);
        return;
    }
    if (former != 0)
        tell_lost(watch, former);
    connection->peer = peer;
}

/* What the kernel has received on it; false: no TCP. */
static bool received_bytes(const struct watch *watch, const struct connection *connection, uint64_t *bytes)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int fd = (int)(connection - watch->connections);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return false;
    *bytes = info.tcpi_bytes_received;
    return size >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof *bytes;
}

/* What it sent of a message that has no end yet. */
static uint64_t unfinished_bytes(const struct watch *watch, struct connection *connection)
{
    uint64_t bytes;
    if (!connection->open || !received_bytes(watch, connection, &bytes))
        return 0;
    if (connection->news || bytes < connection->bytes)
        connection->bytes = bytes;
    connection->news = false;
    return bytes - connection->bytes;
}

/* The most that it may hold. */
static uint64_t bytes_allowed(const struct connection *connection, bool all_heard)
{
    if (!connection->spoke)
        return SILENT_BYTES;
    return all_heard ? MESSAGE_BYTES : UINT64_MAX;
}

uint32_t watch_guard(struct watch *watch, bool all_heard)
{
    uint64_t sum = 0, most = 0;
    struct connection *largest = NULL;
    watch_drain(watch);
    for (size_t fd = 0; watch->routed && fd < watch->connections_count; fd++) {
        struct connection *connection = &watch->connections[fd];
        uint64_t bytes = unfinished_bytes(watch, connection);
        if (bytes > bytes_allowed(connection, all_heard)) {
            cut(watch, connection);
            continue;
        }
        sum += bytes;
        largest = bytes > most ? connection : largest;
        most = bytes > most ? bytes : most;
    }
    if (sum > ALL_BYTES)
        cut(watch, largest);
    uint32_t count = watch->cut_count;
    watch->cut_count = 0;
    return count;
}

void watch_cut(struct watch *watch, uint64_t peer)
{
    watch_drain(watch);
    for (size_t fd = 0; watch->routed && fd < watch->connections_count; fd++)
        if (watch->connections[fd].open && watch->connections[fd].peer == peer) {
            cut(watch, &watch->connections[fd]);
            watch->cut_count--; /* the caller knows */
        }
}

void watch_reject(struct watch *watch, int fd)
{
    watch_drain(watch);
    struct connection *connection = fd >= 0 && watch->routed ? connection_of(watch, (size_t)fd) : NULL;
    if (connection && connection->open && connection->peer == 0)
        cut(watch, connection);
}

size_t watch_open_count(const struct watch *watch) { return watch->open_count; }

bool watch_lost(struct watch *watch, uint64_t *peer)
{
    watch_drain(watch);
    return watch_known_lost(watch, peer);
}

bool watch_known_lost(struct watch *watch, uint64_t *peer)
{
    *peer = 0;
    if (watch->lost_server) {
        watch->lost_server = false;
        return true;
    }
    if (watch->lost_first == watch->lost_count)
        return false;
    *peer = watch->lost[watch->lost_first++];
    return true;
}
