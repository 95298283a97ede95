// SPDX-License-Identifier: Apache-2.0
#include "echo.h"

#include "ensure.h"
#include "sha256.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TERM = 1, ATTEMPT_BITS = 40, FIRST = 1000000, ROUTING_ID_MAX = 8 };

struct encoded {
    uint8_t *bytes;
    size_t size;
};

struct router {
    void *socket;
    bool latency;
    struct encoded leases[LEASES_MAX + 1], acks[LEASES_MAX + 1]; /* by how many; made when first needed */
    struct encoded inferred;
    uint8_t worker[ROUTING_ID_MAX], client[ROUTING_ID_MAX];
    size_t worker_size, client_size;
};

/* ---- what it says ---- */

static void encode(const struct message *message, struct encoded *into)
{
    ENSURE(message_encode(message, &into->bytes, &into->size) == ERR_OK);
}

static const struct encoded *leases_of(struct router *router, uint32_t count)
{
    static const uint8_t mac[MAC_BYTES] = { 1 };
    static struct message_lease leases[LEASES_MAX];
    struct message message = { .type = MESSAGE_LEASES };
    if (router->leases[count].bytes)
        return &router->leases[count];
    for (uint32_t i = 0; i < count; i++)
        leases[i] = (struct message_lease){ .slot = 0, /* which every worker has */
                                            .job = 1,
                                            .first = FIRST + i,
                                            .count = 1,
                                            .term = TERM,
                                            .attempt = ((uint64_t)TERM << ATTEMPT_BITS) + FIRST + i,
                                            .mac = mac };
    message.leases.leases = leases;
    message.leases.leases_count = count;
    encode(&message, &router->leases[count]);
    return &router->leases[count];
}

static const struct encoded *acks_of(struct router *router, uint32_t count)
{
    static uint64_t attempts[LEASES_MAX];
    struct message message = { .type = MESSAGE_ACKS };
    if (router->acks[count].bytes)
        return &router->acks[count];
    for (uint32_t i = 0; i < count; i++)
        attempts[i] = ((uint64_t)TERM << ATTEMPT_BITS) + FIRST + i;
    message.acks.term = TERM;
    message.acks.attempts = attempts;
    message.acks.attempts_count = count;
    encode(&message, &router->acks[count]);
    return &router->acks[count];
}

static const struct encoded *inferred_of(struct router *router)
{
    struct message_shape shape = { .dtype = DTYPE_U64 };
    struct message message = { .type = MESSAGE_INFERRED };
    if (router->inferred.bytes)
        return &router->inferred;
    message.inferred = (struct message_inferred){ .request = 1,
                                                  .shapes = &shape,
                                                  .shapes_count = 1,
                                                  .total_us = 100,
                                                  .queue_us = 10,
                                                  .run_us = 1,
                                                  .chunks = 1,
                                                  .worker = "mime-1",
                                                  .device = "cpu:0" };
    encode(&message, &router->inferred);
    return &router->inferred;
}

static void send_to(const struct router *router, const uint8_t *id, size_t id_size,
                    const struct encoded *body, const void *frame, size_t frame_size)
{
    if (id_size == 0 || zmq_send(router->socket, id, id_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return;
    (void)zmq_send(router->socket, body->bytes, body->size, (frame ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
    if (frame)
        (void)zmq_send(router->socket, frame, frame_size, ZMQ_DONTWAIT);
}

/* ---- what it hears ---- */

/* A body is [type, {1: [...], ...}]: an array of two, the type, a map, the field's number, the array. */
uint32_t echo_results(const uint8_t *body, size_t size)
{
    if (size < 7 || body[0] != 0x92 || body[1] != MESSAGE_RESULTS || body[2] != 0x81 || body[3] != 1)
        return 0;
    if ((body[4] & 0xF0) == 0x90)
        return body[4] & 0x0F;
    return body[4] == 0xDC ? (uint32_t)body[5] << 8 | body[6] : 0;
}

static void hear_dispatch(struct router *router, const uint8_t *id, size_t id_size, const uint8_t *body,
                          size_t size)
{
    uint32_t count = echo_results(body, size);
    if (count == 0 || count > LEASES_MAX)
        return;
    send_to(router, id, id_size, acks_of(router, count), NULL, 0);
    send_to(router, id, id_size, leases_of(router, count), NULL, 0);
}

static void hear_latency(struct router *router, const uint8_t *id, size_t id_size, const uint8_t *body,
                         size_t size)
{
    static const uint64_t answer = 1;
    enum message_type type = size > 1 ? (enum message_type)body[1] : MESSAGE_NONE;
    if (type == MESSAGE_HELLO) {
        memcpy(router->worker, id, id_size);
        router->worker_size = id_size;
    } else if (type == MESSAGE_INFER) {
        memcpy(router->client, id, id_size);
        router->client_size = id_size;
        send_to(router, router->worker, router->worker_size, leases_of(router, 1), NULL, 0);
    } else if (type == MESSAGE_RESULTS) {
        send_to(router, router->client, router->client_size, inferred_of(router), &answer, sizeof answer);
    }
}

static bool receive(struct router *router, zmq_msg_t *part, int flags)
{
    (void)zmq_msg_close(part);
    (void)zmq_msg_init(part);
    return zmq_msg_recv(part, router->socket, flags) >= 0;
}

static void serve_one(struct router *router, zmq_msg_t *part, zmq_msg_t *body)
{
    uint8_t id[ROUTING_ID_MAX];
    size_t id_size = 0;
    if (!receive(router, part, 0) || (id_size = zmq_msg_size(part)) > sizeof id)
        return;
    memcpy(id, zmq_msg_data(part), id_size);
    if (!zmq_msg_more(part) || !receive(router, body, 0))
        return;
    bool more = zmq_msg_more(body);
    while (more && receive(router, part, 0))
        more = zmq_msg_more(part);
    (router->latency ? hear_latency : hear_dispatch)(router, id, id_size, zmq_msg_data(body),
                                                     zmq_msg_size(body));
}

/* ---- the process ---- */

/* Without one that answers ZeroMQ's questions (ZAP, RFC 27) a CURVE socket of ours lets nobody in. */
static void *let_in(void *socket)
{
    char version[8], request[64], rest[256];
    int more;
    size_t size = sizeof more;
    for (;;) {
        int version_size = zmq_recv(socket, version, sizeof version, 0),
            request_size = zmq_recv(socket, request, sizeof request, 0);
        if (version_size < 0 || request_size < 0)
            return NULL;
        do {
            (void)zmq_recv(socket, rest, sizeof rest, 0);
        } while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more);
        (void)zmq_send(socket, version, (size_t)version_size, ZMQ_SNDMORE);
        (void)zmq_send(socket, request, (size_t)request_size, ZMQ_SNDMORE);
        (void)zmq_send(socket, "200", 3, ZMQ_SNDMORE);
        (void)zmq_send(socket, "", 0, ZMQ_SNDMORE);
        (void)zmq_send(socket, "bench", 5, ZMQ_SNDMORE);
        (void)zmq_send(socket, "", 0, 0);
    }
}

static bool start_letting_in(void *context)
{
    pthread_t thread;
    void *socket = zmq_socket(context, ZMQ_REP);
    return socket && zmq_bind(socket, "inproc://zeromq.zap.01") == 0 &&
           pthread_create(&thread, NULL, let_in, socket) == 0;
}

static _Noreturn void be_echo(bool latency, const struct key *key, pid_t parent, int told)
{
    static const char *const urls[] = { "tcp://127.0.0.1:*" };
    static struct router router;
    const struct wire_keys keys = { .own = key };
    void *context = zmq_ctx_new();
    struct wire *wire;
    struct why why;
    zmq_msg_t part, body;
    signal(SIGINT, SIG_IGN); /* the parent's affair */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || !start_letting_in(context) ||
        wire_listen(context, urls, 1, &keys, &wire, &why) != ERR_OK)
        _exit(1);
    const char *url = wire_endpoint(wire, 0);
    if (write(told, url, strlen(url) + 1) < 0)
        _exit(1);
    router = (struct router){ .socket = wire_socket(wire), .latency = latency };
    (void)zmq_msg_init(&part);
    (void)zmq_msg_init(&body);
    for (;;)
        serve_one(&router, &part, &body);
}

enum err echo_start(bool latency, struct echo *echo, struct why *why)
{
    int told[2];
    *echo = (struct echo){ 0 };
    enum err err = key_make(&echo->key, why);
    if (err != ERR_OK)
        return err;
    if (pipe2(told, O_CLOEXEC) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_echo(latency, &echo->key, parent, told[1]);
    close(told[1]);
    echo->pid = pid > 0 ? pid : 0;
    ssize_t got = pid > 0 ? read(told[0], echo->url, sizeof echo->url - 1) : -1;
    close(told[0]);
    if (got > 0)
        return ERR_OK;
    echo_stop(echo);
    return why_set(why, ERR_SYSTEM, "the reference could not be started");
}

void echo_stop(struct echo *echo)
{
    if (echo->pid > 0) {
        kill(echo->pid, SIGKILL);
        while (waitpid(echo->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    key_wipe(&echo->key);
    *echo = (struct echo){ 0 };
}
