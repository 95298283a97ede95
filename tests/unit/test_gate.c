// SPDX-License-Identifier: Apache-2.0
#include "clock.h"
#include "file.h"
#include "gate.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000 };

struct fixture {
    char folder[64], ipc[128];
    void *context, *elsewhere; /* the coordinator's, and the peers' */
    struct gate *gate;
    struct wire *server;
};

static struct why why;

static int set_up(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    strcpy(it->folder, "/tmp/motley-gate-XXXXXX");
    assert_non_null(mkdtemp(it->folder));
    snprintf(it->ipc, sizeof it->ipc, "ipc://%s/socket", it->folder);
    it->context = zmq_ctx_new();
    it->elsewhere = zmq_ctx_new();
    assert_int_equal(gate_new(it->context, it->folder, true, &it->gate, &why), ERR_OK);
    const char *urls[] = { "tcp://127.0.0.1:*", it->ipc, "tcp://127.0.0.1:0" };
    const struct wire_keys keys = { .own = gate_key(it->gate) };
    if (wire_listen(it->context, urls, 3, &keys, &it->server, &why) != ERR_OK)
        fail_msg("%s", why.text);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    wire_free(&it->server);
    gate_free(&it->gate);
    zmq_ctx_term(it->context);
    zmq_ctx_term(it->elsewhere);
    assert_int_equal(file_remove_tree(it->folder, &why), ERR_OK);
    free(it);
    return 0;
}

/* Not key_make: that one takes its time. */
static struct key make_key(void)
{
    struct key key;
    assert_int_equal(crypto_box_keypair(key.public_half, key.secret_half), 0);
    return key;
}

static void allow(struct fixture *it, const struct key *key, enum role role, int64_t expires_us)
{
    struct keyring_entry entry = { .role = role, .added_us = 1, .expires_us = expires_us };
    memcpy(entry.public_half, key->public_half, KEY_BYTES);
    assert_int_equal(keyring_add(it->folder, &entry, &why), ERR_OK);
    assert_true(gate_refresh(it->gate, false, &why));
}

static struct wire *connect_to(struct fixture *it, uint32_t endpoint, const struct key *key,
                               const struct key *server)
{
    struct wire *wire;
    const struct wire_keys keys = { .own = key, .server_half = server->public_half, .role = "worker" };
    assert_int_equal(wire_connect(it->elsewhere, wire_endpoint(it->server, endpoint), &keys, &wire, &why),
                     ERR_OK);
    return wire;
}

static void wait_for(struct wire *wire)
{
    zmq_pollitem_t items[WIRE_ITEMS_MAX];
    int count = wire_poll_items(wire, items);
    assert_true(zmq_poll(items, count, DEADLINE_MS) > 0);
}

/* How the handshake ended. */
static enum wire_refusal verdict(struct wire *wire)
{
    enum wire_refusal refusal;
    for (;;) {
        if (wire_is_connected(wire))
            return WIRE_NOT_REFUSED;
        if ((refusal = wire_refused(wire, &why)) != WIRE_NOT_REFUSED)
            return refusal;
        wait_for(wire);
    }
}

static const struct message bye = { .type = MESSAGE_BYE, .bye = { "enough" } };

static void receive(struct wire *wire, struct wire_in *in)
{
    while (!wire_receive(wire, in))
        wait_for(wire);
}

static void test_a_key_on_the_list_gets_in(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key();
    struct wire_in in;
    uint8_t half[KEY_BYTES];
    allow(it, &key, ROLE_WORKER, 0);
    struct wire *client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_NOT_REFUSED);
    assert_int_equal(wire_send(client, 0, &bye, NULL, 0), ERR_OK);
    receive(it->server, &in);
    assert_non_null(in.message);
    assert_true(wire_key(&in, half));
    assert_memory_equal(half, key.public_half, KEY_BYTES);
    assert_int_equal(gate_entry(it->gate, half)->role, ROLE_WORKER);
    const struct message no = { .type = MESSAGE_REFUSED, .refused = { ERR_REFUSED, "no" } };
    assert_int_equal(wire_send(it->server, in.peer, &no, NULL, 0), ERR_OK);
    receive(client, &in);
    assert_int_equal(in.message->type, MESSAGE_REFUSED);
    assert_int_equal(gate_counts(it->gate)->keys_accepted, 1);
    assert_int_equal(gate_counts(it->gate)->keys_refused, 0);
    wire_free(&client);
}

/* The same server, by its socket file: no keys, and told apart from those who have one. */
static void test_both_ports(void **state)
{
    struct fixture *it = *state;
    struct wire *local, *far;
    struct wire_in in;
    uint8_t half[KEY_BYTES];
    struct key key = make_key();
    wire_peer peers[2] = { 0 }, peer;
    allow(it, &key, ROLE_CLIENT, 0);
    assert_int_equal(wire_connect(it->elsewhere, it->ipc, NULL, &local, &why), ERR_OK);
    far = connect_to(it, 2, &key, gate_key(it->gate));
    assert_int_equal(verdict(local), WIRE_NOT_REFUSED);
    assert_int_equal(verdict(far), WIRE_NOT_REFUSED);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(wire_send(local, 0, &bye, NULL, 0), ERR_OK);
        assert_int_equal(wire_send(far, 0, &bye, NULL, 0), ERR_OK);
        for (int k = 0; k < 2; k++) {
            receive(it->server, &in);
            bool keyed = wire_key(&in, half);
            assert_true(!peers[keyed] || peers[keyed] == in.peer);
            peers[keyed] = in.peer;
        }
    }
    assert_true(peers[0] && peers[1] && peers[0] != peers[1]);
    for (int k = 0; k < 2; k++) { /* each gets its own answer */
        const struct message no = { .type = MESSAGE_REFUSED, .refused = { ERR_REFUSED, k ? "far" : "near" } };
        assert_int_equal(wire_send(it->server, peers[k], &no, NULL, 0), ERR_OK);
        receive(k ? far : local, &in);
        assert_string_equal(in.message->refused.text, k ? "far" : "near");
    }
    for (int k = 0; k < 2; k++) {
        wire_free(k ? &far : &local);
        while (!wire_lost(it->server, &peer)) {
            wait_for(it->server);
            while (wire_receive(it->server, &in))
                ;
        }
        assert_int_equal(peer, peers[k]);
    }
}

static void test_a_strange_key_stays_out(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key();
    char text[KEY_TEXT_MAX], told[200];
    struct wire_in in;
    struct wire *client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_KEY_REFUSED);
    key_text(key.public_half, text);
    assert_non_null(strstr(why.text, text));
    assert_non_null(strstr(why.text, "motley key allow"));
    assert_non_null(strstr(why.text, "--role worker"));
    assert_int_equal(wire_send(client, 0, &bye, NULL, 0), ERR_FULL);
    assert_int_equal(gate_counts(it->gate)->keys_refused, 1);
    assert_true(gate_refusal(it->gate, told, sizeof told));
    assert_non_null(strstr(told, text));
    assert_non_null(strstr(told, "127.0.0.1"));
    assert_false(gate_refusal(it->gate, told, sizeof told));
    assert_false(wire_receive(it->server, &in));
    wire_free(&client);
}

/* Whoever knocks often must not fill the log, but is counted. */
static void test_refusals_are_told_sparsely(void **state)
{
    struct fixture *it = *state;
    char told[200];
    int lines = 0;
    for (int i = 0; i < 20; i++) {
        struct key key = make_key();
        struct wire *client = connect_to(it, 0, &key, gate_key(it->gate));
        assert_int_equal(verdict(client), WIRE_KEY_REFUSED);
        wire_free(&client);
    }
    while (gate_refusal(it->gate, told, sizeof told))
        lines++;
    assert_int_equal(gate_counts(it->gate)->keys_refused, 20);
    assert_in_range(lines, 1, 4);
}

static void test_the_wrong_server_key(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key(), other = make_key();
    char text[KEY_TEXT_MAX];
    allow(it, &key, ROLE_WORKER, 0);
    struct wire *client = connect_to(it, 0, &key, &other);
    assert_int_equal(verdict(client), WIRE_CLOSED);
    while (wire_refused(client, &why) == WIRE_CLOSED && wire_refusals(client) < 3) /* it tries again */
        wait_for(client);
    key_text(other.public_half, text);
    assert_non_null(strstr(why.text, text));
    assert_non_null(strstr(why.text, "motley key show"));
    wire_free(&client);
    assert_int_equal(gate_counts(it->gate)->keys_accepted, 0);
}

static void test_without_keys_nobody_gets_in(void **state)
{
    struct fixture *it = *state;
    struct wire *client;
    assert_int_equal(wire_connect(it->elsewhere, wire_endpoint(it->server, 0), NULL, &client, &why), ERR_OK);
    assert_int_not_equal(verdict(client), WIRE_NOT_REFUSED);
    wire_free(&client);
    assert_int_equal(gate_counts(it->gate)->keys_accepted, 0);
}

static void test_a_dropped_key(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key();
    allow(it, &key, ROLE_WORKER, 0);
    struct wire *client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_NOT_REFUSED);
    assert_int_equal(keyring_drop(it->folder, key.public_half, &why), ERR_OK);
    assert_true(gate_refresh(it->gate, false, &why));
    assert_null(gate_entry(it->gate, key.public_half));
    wire_free(&client);
    client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_KEY_REFUSED);
    wire_free(&client);
}

static void test_an_expired_key(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key();
    allow(it, &key, ROLE_INVITED, 0); /* damaged: what as? */
    assert_int_equal(gate_keys_count(it->gate), 1);
    assert_non_null(strstr(why.text, "allow list"));
    allow(it, &key, ROLE_WORKER, clock_wall_us() - 1);
    assert_null(gate_entry(it->gate, key.public_half));
    struct wire *client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_KEY_REFUSED);
    wire_free(&client);
    allow(it, &key, ROLE_WORKER, clock_wall_us() + 60000000);
    client = connect_to(it, 0, &key, gate_key(it->gate));
    assert_int_equal(verdict(client), WIRE_NOT_REFUSED);
    wire_free(&client);
}

static void test_the_owner_is_admin(void **state)
{
    struct fixture *it = *state;
    char path[128];
    struct key own, again;
    snprintf(path, sizeof path, "%s/keys/own.secret", it->folder);
    assert_int_equal(key_load(path, &own, &why), ERR_OK);
    assert_int_equal(gate_entry(it->gate, own.public_half)->role, ROLE_ADMIN);
    struct key first = *gate_key(it->gate);
    wire_free(&it->server);
    gate_free(&it->gate);
    assert_int_equal(gate_new(it->context, it->folder, true, &it->gate, &why), ERR_OK);
    assert_memory_equal(gate_key(it->gate), &first, sizeof first);
    assert_int_equal(key_load(path, &again, &why), ERR_OK);
    assert_memory_equal(&again, &own, sizeof own);
    assert_int_equal(gate_keys_count(it->gate), 1);
}

static void test_an_unreadable_list_changes_nothing(void **state)
{
    struct fixture *it = *state;
    struct key key = make_key();
    char path[128];
    allow(it, &key, ROLE_WORKER, 0);
    snprintf(path, sizeof path, "%s/keys/allowed", it->folder);
    assert_int_equal(chmod(path, 0777), 0);
    assert_false(gate_refresh(it->gate, true, &why));
    assert_non_null(strstr(why.text, "others may write"));
    assert_non_null(gate_entry(it->gate, key.public_half));
    assert_int_equal(chmod(path, 0700), 0);
    assert_true(gate_refresh(it->gate, true, &why));
    assert_string_equal(why.text, "");
}

static void test_the_proof(void **state)
{
    struct fixture *it = *state;
    char told[200];
    for (uint32_t i = 0; i < 3; i += 2)
        assert_int_equal(gate_prove(it->gate, wire_endpoint(it->server, i), &why), ERR_OK);
    assert_int_equal(gate_counts(it->gate)->keys_refused, 0);
    assert_false(gate_refusal(it->gate, told, sizeof told));
    struct key key = make_key();
    struct wire *wild;
    const char *every = "tcp://0.0.0.0:*";
    const struct wire_keys keys = { .own = gate_key(it->gate) };
    (void)key;
    assert_int_equal(wire_listen(it->context, &every, 1, &keys, &wild, &why), ERR_OK);
    assert_int_equal(gate_prove(it->gate, wire_endpoint(wild, 0), &why), ERR_OK);
    wire_free(&wild);
}

/* A handler that lets everyone in, and one that is not there: what the proof is for. */
static void *let_all_in(void *zap)
{
    for (;;) {
        char frames[7][256];
        int count = 0, more = 1, size[7];
        size_t more_size = sizeof more;
        for (; more && count < 7; count++) {
            size[count] = zmq_recv(zap, frames[count], 256, 0);
            if (size[count] < 0) {
                zmq_close(zap);
                return NULL;
            }
            zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &more_size);
        }
        zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(zap, frames[1], (size_t)size[1], ZMQ_SNDMORE);
        zmq_send(zap, "200", 3, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, 0);
    }
}

static void *open_socket(void *context, const struct key *key, char url[128])
{
    int on = 1, none = 0;
    size_t size = 128;
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on);
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret_half, KEY_BYTES);
    assert_int_equal(zmq_bind(socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, url, &size), 0);
    return socket;
}

static void test_the_proof_fails_without_a_handler(void **state)
{
    struct fixture *it = *state;
    void *context = zmq_ctx_new();
    char url[128];
    void *socket = open_socket(context, gate_key(it->gate), url);
    assert_int_equal(gate_prove(it->gate, url, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "let in"));
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void test_the_proof_fails_with_a_bad_handler(void **state)
{
    struct fixture *it = *state;
    void *context = zmq_ctx_new(), *zap = zmq_socket(context, ZMQ_REP);
    char url[128];
    pthread_t thread;
    assert_int_equal(zmq_bind(zap, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(pthread_create(&thread, NULL, let_all_in, zap), 0);
    const char *every = "tcp://127.0.0.1:*";
    const struct wire_keys keys = { .own = gate_key(it->gate) };
    struct wire *wire;
    assert_int_equal(wire_listen(context, &every, 1, &keys, &wire, &why), ERR_OK);
    snprintf(url, sizeof url, "%s", wire_endpoint(wire, 0));
    assert_int_equal(gate_prove(it->gate, url, &why), ERR_REFUSED);
    wire_free(&wire);
    zmq_ctx_shutdown(context);
    pthread_join(thread, NULL);
    zmq_ctx_term(context);
}

/* Our own sockets ask for a handler and let nobody in without. */
static void test_no_handler_no_entry(void **state)
{
    struct fixture *it = *state;
    struct key own = make_key(), key = make_key();
    void *context = zmq_ctx_new();
    const char *url = "tcp://127.0.0.1:*";
    const struct wire_keys keys = { .own = &own };
    struct wire *server = it->server, *client;
    allow(it, &key, ROLE_WORKER, 0);
    assert_int_equal(wire_listen(context, &url, 1, &keys, &it->server, &why), ERR_OK);
    client = connect_to(it, 0, &key, &own);
    assert_int_not_equal(verdict(client), WIRE_NOT_REFUSED);
    wire_free(&client);
    wire_free(&it->server);
    it->server = server;
    zmq_ctx_term(context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_on_the_list_gets_in),
        TEST(test_both_ports),
        TEST(test_a_strange_key_stays_out),
        TEST(test_refusals_are_told_sparsely),
        TEST(test_the_wrong_server_key),
        TEST(test_without_keys_nobody_gets_in),
        TEST(test_a_dropped_key),
        TEST(test_an_expired_key),
        TEST(test_the_owner_is_admin),
        TEST(test_an_unreadable_list_changes_nothing),
        TEST(test_the_proof),
        TEST(test_the_proof_fails_without_a_handler),
        TEST(test_the_proof_fails_with_a_bad_handler),
        TEST(test_no_handler_no_entry),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
