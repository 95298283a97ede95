// SPDX-License-Identifier: Apache-2.0
/* wire - ZeroMQ frames <-> messages. Frames of one message: [routing id (ROUTER only)] body payload*.
 *
 * Not thread-safe: one owner per socket. Nothing here blocks: sends and receives are DONTWAIT, the loop
 * polls. A send that the transport refuses (EAGAIN, EHOSTUNREACH) is ERR_FULL or ERR_UNREACHABLE and the
 * message is gone: application credit, not high-water marks, keeps that from happening; the caller treats it
 * as a lost peer. On a client ERR_FULL also says that there is no connection (yet): nothing is queued for a
 * coordinator that is not there, so HELLO is tried again until it goes out.
 *
 * A connection that closes is told by wire_lost, at once. One turn of a loop: wire_receive until it says
 * false, then wire_lost until it says false; so that what a peer said before it died is heard first. */
#ifndef WIRE_H
#define WIRE_H

#include "key.h"
#include "messages.h"

#include <poll.h>
#include <zmq.h>

/* A peer as ROUTER names it: 5 bytes chosen by the socket, as a number: never 0, never used again before 2^32
 * connections. 0 on a DEALER. Peers that choose their own (ZMQ_ROUTING_ID) are not heard but cut, and counted
 * by wire_guard. */
typedef uint64_t wire_peer;

/* One received message. Payload frames are kept as zmq_msg_t, so that their bytes are never copied. */
struct wire_in {
    wire_peer peer;
    const struct message *message; /* NULL if the body was refused: then why says what was wrong */
    struct why why;
    uint32_t frames_count;
    zmq_msg_t *frames; /* payload; take one with wire_take */
    bool keyed;        /* it came by CURVE: wire_key says whose it is */
    zmq_msg_t *body;
};

struct wire;

#define WIRE_ZAP_DOMAIN "motley"

/* Keys make a tcp socket one that speaks CURVE, and let it be on any address. Copied. */
struct wire_keys {
    const struct key *own;
    const uint8_t *server_half; /* connecting: whom we mean to speak to */
    const char *role;           /* connecting: what we want to be, for the words of a refusal */
};

/* Socket options that ZeroMQ's defaults get wrong are set here (DESIGN section 8): MAXMSGSIZE,
 * RECONNECT_IVL_MAX, HANDSHAKE_IVL, LINGER, BACKLOG, ROUTER_MANDATORY. Server: bound to each url; client: a
 * DEALER connected to url.
 *
 * keys NULL: no CURVE, and tcp on loopback only: for tests within one process. With keys every tcp url is
 * CURVE, on any address, and asks the ZAP handler of WIRE_ZAP_DOMAIN about each connection: it must run
 * before. An ipc url never is: its mode guards it. CURVE belongs to a socket, so a server with keys has a
 * socket of its own for each of the two kinds (a port); peers of both are one kind of number.
 *
 * ERR_USAGE: not a url that can be listened on or connected to (endpoint.h); ERR_SYSTEM: bind failed, with
 * the reason, also when another process serves the same ipc path. A stale ipc path is replaced; the new one
 * has mode 0600. */
MUST_USE enum err wire_listen(void *context, const char *const *urls, uint32_t urls_count,
                              const struct wire_keys *keys, struct wire **wire, struct why *why);
MUST_USE enum err wire_connect(void *context, const char *url, const struct wire_keys *keys,
                               struct wire **wire, struct why *why);
void wire_free(struct wire **wire);

/* Fill in what to poll (WIRE_ITEMS_MAX at most), and how many: readable when a message came, or a connection
 * opened or closed. All must be read: wire_lost and a wire_receive that says false do. */
enum { WIRE_ITEMS_MAX = 4 };
int wire_poll_items(const struct wire *wire, zmq_pollitem_t items[WIRE_ITEMS_MAX]);

/* Wait for that, or for one of own as poll(2) does, for at most so many milliseconds; not listening: for own
 * alone. In place of zmq_poll, which asks each socket twice, and each asking is a system call or two. After
 * the first call wire_receive and wire_lost look only where something is known to be: always wait like this,
 * or never. own_count is at most WIRE_OWN_MAX. */
enum { WIRE_OWN_MAX = 8 };
void wire_wait(struct wire *wire, bool listening, struct pollfd *own, int own_count, long timeout_ms);

/* The same, of a client or of a server without keys: they have one port. */
void *wire_socket(const struct wire *wire);
void *wire_monitor_socket(const struct wire *wire);

/* The endpoint of urls[index], with the port that `*` became. "" on a client. */
const char *wire_endpoint(const struct wire *wire, uint32_t index);

enum { WIRE_URLS_MAX = 8 };

/* A payload frame to send: borrowed bytes that are copied (release NULL), or handed over and freed with
 * release(bytes, hint) from a ZeroMQ thread when sent. Ownership passes also when the send fails. */
struct wire_frame {
    const void *bytes;
    size_t size;
    void (*release)(void *bytes, void *hint);
    void *hint;
};

MUST_USE enum err wire_send(struct wire *wire, wire_peer peer, const struct message *message,
                            const struct wire_frame *frames, uint32_t frames_count);

/* A server: a message without frames, as message_encode made it; taken whatever happens. */
MUST_USE enum err wire_send_encoded(struct wire *wire, wire_peer peer, uint8_t **body, size_t size);

/* Receive one whole message without blocking. False: nothing there. True: in is filled; it is valid until the
 * next call with the same wire (frames not taken are closed then). Messages over MESSAGE_BYTES_MAX or
 * PAYLOAD_FRAMES_MAX are read to their end in bounded memory and come as refused. */
bool wire_receive(struct wire *wire, struct wire_in *in);

/* The public key of the one who sent it, which the handshake proved. False: it came by ipc. All zero, which
 * is on nobody's list, if the ZAP handler let it in without a name. */
bool wire_key(const struct wire_in *in, uint8_t public_half[KEY_BYTES]);

/* Move a payload frame out of in, to outlive it; close it with zmq_msg_close. */
void wire_take(struct wire_in *in, uint32_t index, zmq_msg_t *frame);

/* A server: cut the connections that hold too much of a message without an end, or are too many (watch.h);
 * says how many. Call it a few times a second; all_heard: wire_receive has said false. */
uint32_t wire_guard(struct wire *wire, bool all_heard);
size_t wire_connections(
    const struct wire *wire); /* that are open: while there are none, nothing is to be guarded */

/* A server: close the connection of a peer. What was not yet sent is lost. It is told by wire_lost like any
 * other. */
void wire_cut(struct wire *wire, wire_peer peer);

/* A client: has it its server? Asks what the monitor socket told: poll that one, not for ZMQ_POLLOUT. */
bool wire_is_connected(struct wire *wire);

/* A client: was its last handshake refused? That looks like silence otherwise. Stands until a later handshake
 * succeeds. why says which keys these were and what to do. */
enum wire_refusal {
    WIRE_NOT_REFUSED,
    WIRE_KEY_REFUSED, /* the coordinator knows us, and our key is not (or no longer) on its list */
    WIRE_CLOSED,   /* it hung up without a word: it has another key than we were told; or it just stopped */
    WIRE_STRANGER, /* what listens there speaks no CURVE */
};
enum wire_refusal wire_refused(struct wire *wire, struct why *why);

/* How many handshakes failed in a row, as of wire_refused: one that was broken off may be a coordinator that
 * stops, several are not. */
uint32_t wire_refusals(const struct wire *wire);

/* The next peer whose connection has closed (a DEALER's coordinator is peer 0); false when there is none. A
 * peer is told once a message of it was received, and again if messages that were on their way come after
 * that: whoever makes a record of a peer at its first message hears of its end; ignore peers that have no
 * record. Not told: a host that vanished from the network, and a rare race (watch.h): heartbeats find those.
 */
bool wire_lost(struct wire *wire, wire_peer *peer);

#endif
