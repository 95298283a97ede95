// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* What is known about one file descriptor. */
struct connection {
    uint64_t peer; /* whose messages came through it last, while not lost; 0 = none */
    bool open;
};

struct watch {
    void *socket; /* the monitored one */
    void *events; /* our end of the monitor */
    bool routed;
    struct connection *connections; /* by file descriptor */
    size_t connections_count;
    uint64_t *lost; /* told in this order; at most one per connection */
    size_t lost_count, lost_first, lost_capacity;
    bool lost_server;  /* a DEALER's */
    bool is_connected; /* a DEALER is: it and its server have greeted each other */
};

enum {
    EVENTS_OF_SERVER = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED,
    EVENTS_OF_CLIENT = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED,
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

enum err watch_new(void *context, void *socket, bool routed, struct watch **watch, struct why *why)
{
    char url[64];
    struct watch *made = calloc(1, sizeof *made);
    *watch = NULL;
    if (!made)
        return why_set(why, ERR_MEMORY, "no memory to watch connections");
    made->socket = socket;
    made->routed = routed;
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

static void on_event(struct watch *watch, uint16_t event, uint32_t fd)
{
    if (!watch->routed) {
        watch->is_connected = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        watch->lost_server |= event == ZMQ_EVENT_DISCONNECTED;
        return;
    }
    struct connection *connection = connection_of(watch, fd);
    if (!connection)
        return;
    connection->open = event == ZMQ_EVENT_ACCEPTED;
    if (!connection->open && connection->peer != 0) {
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

/* Was id `a` given before id `b`? libzmq counts ids up in 32 bits, which may wrap. */
static bool is_older(uint64_t a, uint64_t b) { return (int32_t)((uint32_t)a - (uint32_t)b) < 0; }

void watch_seen(struct watch *watch, uint64_t peer, int fd)
{
    struct connection *connection = fd >= 0 && watch->routed ? connection_of(watch, (size_t)fd) : NULL;
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

bool watch_lost(struct watch *watch, uint64_t *peer)
{
    watch_drain(watch);
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
