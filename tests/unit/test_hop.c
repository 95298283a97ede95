// SPDX-License-Identifier: Apache-2.0
/* hop: what stands at a port is told apart. The handshake itself is tested where a coordinator is (e2e/keys).
 */
#include "hop.h"

#include "client_fixture.h"
#include "clock.h"
#include "wire.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { LONG_US = 20000000, SHORT_US = 50000 };

/* A TCP socket on a free loopback port; listening or only holding it. */
static int stand(bool listening, char url[64])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0);
    assert_true(!listening || listen(fd, 4) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(url, 64, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static struct hop_place resolved(const char *url)
{
    struct hop_place place;
    struct hop hop;
    hop_resolve(url, &place, &hop);
    assert_int_equal(hop.state, HOP_OK);
    return place;
}

static void test_nothing_listens(void **state)
{
    (void)state;
    char url[64];
    struct hop hop;
    int fd, held = stand(false, url);
    struct hop_place place = resolved(url);
    hop_connect(&place, clock_monotonic_us() + LONG_US, &fd, &hop);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(hop.text, "refused"));
    assert_non_null(strstr(hop.todo, "motley up"));
    close(held);
    place = resolved("ipc:///nowhere/at/all.sock");
    hop_connect(&place, clock_monotonic_us() + LONG_US, &fd, &hop);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_non_null(strstr(hop.text, "no coordinator listens"));
}

static void test_names_and_urls(void **state)
{
    (void)state;
    struct hop_place place;
    struct hop hop;
    place = resolved("tcp://localhost:7117");
    assert_string_equal(place.shown, "127.0.0.1 port 7117");
    place = resolved("tcp://[::1]:7117");
    assert_string_equal(place.shown, "::1 port 7117");
    hop_resolve("http://h:1", &place, &hop);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_true(hop.todo[0] != 0);
}

/* A full queue of connections drops the next one, as a firewall would. */
static void test_silence(void **state)
{
    (void)state;
    enum { FILLERS = 4 };
    char url[64];
    struct hop hop;
    int fd, fillers[FILLERS], listener = stand(false, url);
    struct hop_place place = resolved(url);
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&place.address, place.address_size);
    }
    hop_connect(&place, clock_monotonic_us() + SHORT_US, &fd, &hop);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_non_null(strstr(hop.text, "no answer at all"));
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(listener);
}

/* Something listens, and says this (or nothing) after it was greeted. */
static struct hop greeted_by(const void *bytes, size_t size, bool ends)
{
    char url[64];
    struct hop hop;
    int fd, listener = stand(true, url);
    struct hop_place place = resolved(url);
    hop_connect(&place, clock_monotonic_us() + LONG_US, &fd, &hop);
    assert_int_equal(hop.state, HOP_OK);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(send(peer, bytes, size, 0), size);
    if (ends)
        shutdown(peer, SHUT_WR);
    hop_greet(fd, true, clock_monotonic_us() + (ends ? LONG_US : SHORT_US), &hop);
    close(fd);
    close(peer);
    close(listener);
    return hop;
}

static void test_what_is_no_coordinator(void **state)
{
    (void)state;
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    static const uint8_t half[20] = { [0] = 0xFF, [9] = 0x7F, [10] = 3 };
    struct hop hop = greeted_by(http, sizeof http - 1, true);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_non_null(strstr(hop.text, "something else"));
    hop = greeted_by(half, sizeof half, true);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_non_null(strstr(hop.text, "middle"));
    hop = greeted_by("", 0, false);
    assert_int_equal(hop.state, HOP_FAILED);
    assert_non_null(strstr(hop.text, "says nothing"));
}

/* A real socket of ZeroMQ's, without keys. */
static void test_zmtp_without_keys(void **state)
{
    (void)state;
    const char *url = "tcp://127.0.0.1:*";
    struct wire *wire;
    struct why why;
    struct hop hop;
    int fd;
    void *context = zmq_ctx_new();
    assert_int_equal(wire_listen(context, &url, 1, NULL, &wire, &why), ERR_OK);
    struct hop_place place = resolved(wire_endpoint(wire, 0));
    for (int keyed = 0; keyed < 2; keyed++) {
        hop_connect(&place, clock_monotonic_us() + LONG_US, &fd, &hop);
        assert_int_equal(hop.state, HOP_OK);
        hop_greet(fd, keyed != 0, clock_monotonic_us() + LONG_US, &hop);
        assert_int_equal(hop.state, keyed ? HOP_FAILED : HOP_OK);
        close(fd);
    }
    assert_non_null(strstr(hop.text, "NULL, not CURVE"));
    wire_free(&wire);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_listens),   cmocka_unit_test(test_silence),
        cmocka_unit_test(test_names_and_urls),    cmocka_unit_test(test_what_is_no_coordinator),
        cmocka_unit_test(test_zmtp_without_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
