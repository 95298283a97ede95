// SPDX-License-Identifier: Apache-2.0
#include "rng.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000 };

struct fixture {
    void *context;
    char folder[64];
    char url[128];
    struct wire *server, *client;
};

static int set_up(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    const char *urls[2] = { it->url, "tcp://127.0.0.1:*" };
    struct why why;
    strcpy(it->folder, "/tmp/motley-wire-XXXXXX");
    assert_non_null(mkdtemp(it->folder));
    snprintf(it->url, sizeof it->url, "ipc://%s/socket", it->folder);
    it->context = zmq_ctx_new();
    assert_int_equal(wire_listen(it->context, urls, 2, NULL, &it->server, &why), ERR_OK);
    assert_int_equal(wire_connect(it->context, it->url, NULL, &it->client, &why), ERR_OK);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    wire_free(&it->client);
    wire_free(&it->server);
    zmq_ctx_term(it->context);
    (void)unlink(it->url + strlen("ipc://"));
    assert_int_equal(rmdir(it->folder), 0);
    free(it);
    return 0;
}

/* Wait until either is readable; fails at the deadline. */
static void wait_for(struct wire *wire)
{
    zmq_pollitem_t items[2] = { { .socket = wire_socket(wire), .events = ZMQ_POLLIN },
                                { .socket = wire_monitor_socket(wire), .events = ZMQ_POLLIN } };
    assert_true(zmq_poll(items, 2, DEADLINE_MS) > 0);
}

static void receive(struct wire *wire, struct wire_in *in)
{
    while (!wire_receive(wire, in))
        wait_for(wire);
}

static wire_peer wait_lost(struct wire *wire)
{
    wire_peer peer;
    struct wire_in in;
    while (!wire_lost(wire, &peer)) {
        wait_for(wire);
        while (wire_receive(wire, &in))
            ;
    }
    return peer;
}

/* With IMMEDIATE there is no queue before there is a connection. */
static void send_when_connected(struct wire *wire, const struct message *message,
                                const struct wire_frame *frames, uint32_t frames_count)
{
    enum err err;
    while ((err = wire_send(wire, 0, message, frames, frames_count)) == ERR_FULL) {
        zmq_pollitem_t item = { .socket = wire_socket(wire), .events = ZMQ_POLLOUT };
        assert_true(zmq_poll(&item, 1, DEADLINE_MS) > 0);
    }
    assert_int_equal(err, ERR_OK);
}

static const struct message bye = { .type = MESSAGE_BYE, .bye = { "enough" } };

static void test_there_and_back(void **state)
{
    struct fixture *it = *state;
    struct wire_in in;
    send_when_connected(it->client, &bye, NULL, 0);
    receive(it->server, &in);
    assert_non_null(in.message);
    assert_true(in.peer != 0);
    assert_int_equal(in.message->type, MESSAGE_BYE);
    assert_string_equal(in.message->bye.reason, "enough");
    const struct message refused = { .type = MESSAGE_REFUSED, .refused = { ERR_REFUSED, "no" } };
    assert_int_equal(wire_send(it->server, in.peer, &refused, NULL, 0), ERR_OK);
    receive(it->client, &in);
    assert_int_equal(in.peer, 0);
    assert_int_equal(in.message->refused.code, ERR_REFUSED);
    assert_false(wire_receive(it->client, &in));
}

static int released;

static void count_release(void *bytes, void *hint)
{
    assert_ptr_equal(hint, &released);
    free(bytes);
    __atomic_add_fetch(&released, 1, __ATOMIC_SEQ_CST);
}

static struct wire_frame owned(size_t size, int value)
{
    void *bytes = malloc(size);
    memset(bytes, value, size);
    return (struct wire_frame){ .bytes = bytes, .size = size, .release = count_release, .hint = &released };
}

static void test_frames_travel(void **state)
{
    struct fixture *it = *state;
    struct message_result result = { .job = 1, .count = 1, .frames = 3 };
    const struct message message = { .type = MESSAGE_RESULTS, .results = { &result, 1 } };
    const struct wire_frame frames[3] = { owned(100000, 7),
                                          { .bytes = "rows", .size = 4 },
                                          { .bytes = NULL } };
    struct wire_in in;
    zmq_msg_t kept;
    released = 0;
    send_when_connected(it->client, &bye, NULL, 0);
    receive(it->server, &in);
    assert_int_equal(wire_send(it->client, 0, &message, frames, 3), ERR_OK);
    receive(it->server, &in);
    assert_non_null(in.message);
    assert_int_equal(in.frames_count, 3);
    assert_int_equal(zmq_msg_size(&in.frames[0]), 100000);
    assert_memory_equal(zmq_msg_data(&in.frames[1]), "rows", 4);
    assert_int_equal(zmq_msg_size(&in.frames[2]), 0);
    wire_take(&in, 0, &kept);
    assert_false(wire_receive(it->server, &in));
    assert_int_equal(((uint8_t *)zmq_msg_data(&kept))[99999], 7);
    (void)zmq_msg_close(&kept);
    while (__atomic_load_n(&released, __ATOMIC_SEQ_CST) == 0)
        (void)zmq_poll(NULL, 0, 1); /* an I/O thread lets go of the bytes */
    assert_int_equal(released, 1);
}

/* Nobody is there: refused at once, and the frames are released. */
static void test_unreachable(void **state)
{
    struct fixture *it = *state;
    struct why why;
    struct wire *alone;
    char url[160];
    const struct message piece = { .type = MESSAGE_PIECE, .piece = { .ok = true } };
    struct wire_frame frame = owned(10, 1);
    released = 0;
    assert_int_equal(wire_send(it->server, 77, &piece, &frame, 1), ERR_UNREACHABLE);
    assert_int_equal(released, 1);
    snprintf(url, sizeof url, "%s-other", it->url);
    assert_int_equal(wire_connect(it->context, url, NULL, &alone, &why), ERR_OK);
    frame = owned(10, 1);
    const struct message put = { .type = MESSAGE_BLOB_PUT, .blob_put = { .total = 10 } };
    assert_int_equal(wire_send(alone, 0, &put, &frame, 1), ERR_FULL);
    assert_int_equal(released, 2);
    wire_free(&alone);
}

/* ---- peers that do not keep to it: a bare socket ---- */

static void send_parts(struct fixture *it, const char *const *parts, const size_t *sizes, int count)
{
    void *bare = zmq_socket(it->context, ZMQ_DEALER);
    assert_int_equal(zmq_connect(bare, it->url), 0);
    for (int i = 0; i < count; i++)
        assert_true(zmq_send(bare, parts[i], sizes[i], i + 1 < count ? ZMQ_SNDMORE : 0) >= 0);
    assert_int_equal(zmq_close(bare), 0);
}

static void refused_with(struct fixture *it, const char *words)
{
    struct wire_in in;
    receive(it->server, &in);
    assert_null(in.message);
    assert_int_equal(in.frames_count, 0);
    assert_true(in.peer != 0);
    if (!strstr(in.why.text, words))
        fail_msg("\"%s\" does not say \"%s\"", in.why.text, words);
}

static void test_junk_is_refused(void **state)
{
    struct fixture *it = *state;
    const char *const parts[] = { "\x92\x08\x80", "extra", "" };
    send_parts(it, (const char *const[]){ "" }, (const size_t[]){ 0 }, 1);
    refused_with(it, "truncated");
    send_parts(it, (const char *const[]){ "\xdf\x0f\xff\xff\xff" }, (const size_t[]){ 5 }, 1);
    refused_with(it, "promised");
    send_parts(it, parts, (const size_t[]){ 3, 5 }, 2); /* BYE with a frame */
    refused_with(it, "BYE: 1 payload frames where 0 belong");
}

/* A message under the name that the peer chose is not received, and costs it its connection. */
static void expect_cut(struct fixture *it)
{
    struct wire_in in;
    uint64_t cut = 0;
    for (int tries = 0; !cut && tries < DEADLINE_MS; tries++) {
        assert_false(wire_receive(it->server, &in));
        cut = wire_guard(it->server, true);
        (void)zmq_poll(NULL, 0, cut ? 0 : 1);
    }
    assert_int_equal(cut, 1);
}

/* ZeroMQ's ROUTER takes for a routing id what a peer says that it is called. */
static void test_names_that_peers_chose(void **state)
{
    struct fixture *it = *state;
    static const struct {
        const char *bytes;
        size_t size;
    } names[] = { { "EVILNAME", 8 }, { "\1abcd", 5 }, { "x", 1 } };
    int never = -1;
    struct wire_in in;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *bare = zmq_socket(it->context, ZMQ_DEALER);
        assert_int_equal(zmq_setsockopt(bare, ZMQ_ROUTING_ID, names[i].bytes, names[i].size), 0);
        assert_int_equal(zmq_setsockopt(bare, ZMQ_RECONNECT_IVL, &never, sizeof never), 0);
        assert_int_equal(zmq_connect(bare, it->url), 0);
        assert_int_equal(zmq_send(bare, "\x92\x08\x80", 3, ZMQ_SNDMORE), 3);
        assert_int_equal(zmq_send(bare, "more", 4, 0), 4);
        expect_cut(it);
        assert_int_equal(zmq_close(bare), 0);
    }
    send_when_connected(it->client, &bye, NULL, 0); /* the others are served */
    receive(it->server, &in);
    assert_non_null(in.message);
}

static void test_too_many_frames(void **state)
{
    struct fixture *it = *state;
    struct wire_in in;
    enum { PARTS = PAYLOAD_FRAMES_MAX + 500 };
    static const char *parts[PARTS];
    static size_t sizes[PARTS];
    for (int i = 0; i < PARTS; i++) {
        parts[i] = "\x92\x08\x80";
        sizes[i] = 3;
    }
    send_parts(it, parts, sizes, PARTS);
    refused_with(it, "more than 4096 payload frames");
    assert_false(wire_receive(it->server, &in));
    send_when_connected(it->client, &bye, NULL, 0); /* and the next is whole again */
    receive(it->server, &in);
    assert_non_null(in.message);
}

/* ---- connections that end ---- */

static void test_a_lost_client_is_told(void **state)
{
    struct fixture *it = *state;
    struct wire_in in;
    wire_peer peer, lost;
    send_when_connected(it->client, &bye, NULL, 0);
    receive(it->server, &in);
    peer = in.peer;
    assert_false(wire_lost(it->server, &lost));
    wire_free(&it->client);
    assert_int_equal(wait_lost(it->server), peer);
    assert_false(wire_lost(it->server, &lost));
    enum err err;
    do /* the event may be ahead of the pipe's end */
        err = wire_send(it->server, peer, &(struct message){ .type = MESSAGE_FORGET }, NULL, 0);
    while (err == ERR_OK && zmq_poll(NULL, 0, 1) == 0);
    assert_int_equal(err, ERR_UNREACHABLE);
}

static void test_a_lost_server_is_told(void **state)
{
    struct fixture *it = *state;
    struct wire_in in;
    wire_peer lost;
    send_when_connected(it->client, &bye, NULL, 0);
    receive(it->server, &in);
    assert_false(wire_lost(it->client, &lost));
    wire_free(&it->server);
    assert_int_equal(wait_lost(it->client), 0);
}

static int child(const char *url)
{
    struct wire *wire;
    void *context = zmq_ctx_new();
    if (wire_connect(context, url, NULL, &wire, NULL) != ERR_OK)
        return 1;
    send_when_connected(wire, &bye, NULL, 0);
    (void)pause();
    return 0;
}

static pid_t start_child(const char *url)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl("/proc/self/exe", "test_wire", "--child", url, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void killed_child_is_told(struct fixture *it, const char *url)
{
    struct wire_in in;
    pid_t pid = start_child(url);
    receive(it->server, &in);
    wire_peer peer = in.peer;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(wait_lost(it->server), peer);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_killed_process_is_told(void **state)
{
    struct fixture *it = *state;
    killed_child_is_told(it, it->url);
    killed_child_is_told(it, wire_endpoint(it->server, 1)); /* tcp */
    killed_child_is_told(it, it->url);
}

/* Clients come and go, so that file descriptors are used again and events and messages cross: each peer that
 * spoke is told as lost, and only after it left. A client says who it is in its BYE; the server answers
 * nothing. */
enum { CLIENTS = 400, CLIENTS_OPEN_MAX = 8 };

struct churn {
    struct wire *clients[CLIENTS];
    wire_peer peers[CLIENTS];
    bool left[CLIENTS], told[CLIENTS];
    uint32_t heard, lost;
};

static void churn_serve(struct fixture *it, struct churn *churn)
{
    struct wire_in in;
    wire_peer peer;
    while (wire_receive(it->server, &in)) {
        assert_non_null(in.message);
        wire_peer *known = &churn->peers[atoi(in.message->bye.reason)];
        assert_true(*known == 0 || *known == in.peer);
        churn->heard += *known == 0;
        *known = in.peer;
        if (in.peer % 4 == 0)
            break; /* so that some are told before all of their messages are read */
    }
    while (wire_lost(it->server, &peer)) {
        uint32_t i = 0;
        while (i < CLIENTS && churn->peers[i] != peer)
            i++;
        assert_true(i < CLIENTS && churn->left[i]);
        churn->lost += !churn->told[i];
        churn->told[i] = true;
    }
}

static void churn_arrive(struct fixture *it, struct churn *churn, uint32_t i)
{
    char name[16];
    struct why why;
    const struct message message = { .type = MESSAGE_BYE, .bye = { name } };
    snprintf(name, sizeof name, "%u", i);
    assert_int_equal(wire_connect(it->context, i % 2 ? it->url : wire_endpoint(it->server, 1), NULL,
                                  &churn->clients[i], &why),
                     ERR_OK);
    for (uint32_t k = 0; k <= i % 3; k++)
        send_when_connected(churn->clients[i], &message, NULL, 0);
}

static void churn_leave(struct churn *churn, uint32_t i)
{
    churn->left[i] = true;
    wire_free(&churn->clients[i]);
}

static void test_clients_come_and_go(void **state)
{
    struct fixture *it = *state;
    struct churn *churn = calloc(1, sizeof *churn);
    uint64_t seed = (uint64_t)time(NULL);
    struct rng rng;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        churn_arrive(it, churn, i);
        while (oldest <= i && (i - oldest >= CLIENTS_OPEN_MAX || rng_below(&rng, 2)))
            churn_leave(churn, oldest++);
        if (rng_below(&rng, 4) == 0)
            churn_serve(it, churn);
    }
    while (oldest < CLIENTS)
        churn_leave(churn, oldest++);
    while (churn->lost < CLIENTS) {
        churn_serve(it, churn);
        if (churn->lost < CLIENTS)
            wait_for(it->server);
    }
    assert_int_equal(churn->heard, CLIENTS);
    free(churn);
}

/* ---- listening ---- */

static void test_listening(void **state)
{
    struct fixture *it = *state;
    struct stat stat_of;
    struct wire *second;
    struct why why;
    const char *url = it->url;
    assert_int_equal(stat(it->url + strlen("ipc://"), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    assert_string_equal(wire_endpoint(it->server, 0), it->url);
    assert_memory_equal(wire_endpoint(it->server, 1), "tcp://127.0.0.1:", 16);
    assert_string_equal(wire_endpoint(it->server, 2), "");
    assert_int_equal(wire_listen(it->context, &url, 1, NULL, &second, &why), ERR_SYSTEM);
    assert_non_null(strstr(why.text, "another process listens"));
    url = wire_endpoint(it->server, 1);
    assert_int_equal(wire_listen(it->context, &url, 1, NULL, &second, &why), ERR_SYSTEM);
    url = "tcp://0.0.0.0:5555";
    assert_int_equal(wire_listen(it->context, &url, 1, NULL, &second, &why), ERR_USAGE);
    url = "ipc:///no/such/folder/socket";
    assert_int_equal(wire_listen(it->context, &url, 1, NULL, &second, &why), ERR_SYSTEM);
    assert_null(second);
}

/* The path of a server that was killed is taken over. */
static void test_a_stale_path_is_replaced(void **state)
{
    struct fixture *it = *state;
    struct why why;
    char url[160];
    snprintf(url, sizeof url, "%s-stale", it->url);
    const char *path = url + strlen("ipc://"), *const urls[] = { url };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(close(fd), 0);
    struct wire *wire;
    assert_int_equal(wire_listen(it->context, urls, 1, NULL, &wire, &why), ERR_OK);
    wire_free(&wire);
    (void)unlink(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_frames_travel),
        TEST(test_unreachable),
        TEST(test_junk_is_refused),
        TEST(test_names_that_peers_chose),
        TEST(test_too_many_frames),
        TEST(test_a_lost_client_is_told),
        TEST(test_a_lost_server_is_told),
        TEST(test_a_killed_process_is_told),
        TEST(test_clients_come_and_go),
        TEST(test_listening),
        TEST(test_a_stale_path_is_replaced),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
