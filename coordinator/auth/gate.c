// SPDX-License-Identifier: Apache-2.0
#include "gate.h"

#include "clock.h"
#include "endpoint.h"
#include "wire.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
    REFUSALS_A_SECOND = 4,
    REFUSAL_MAX = 160,
    FRAMES_OF_REQUEST = 7, /* RFC 27, with CURVE's one credential */
    FRAME_MAX = 255,
};
static const uint64_t PROOF_US = 10000000;
static const char HANDLER[] = "inproc://zeromq.zap.01";

struct gate {
    void *context;
    char state_dir[PATH_MAX];
    struct key key;
    pthread_t thread;
    bool running;
    int stop_fd;
    void *zap; /* the thread's */
    atomic_ullong accepted, refused;
    struct gate_counts counts;
    struct keyring *looked; /* the loop's own reference; may be older than live */

    pthread_mutex_t lock;
    struct keyring *live;            /* what connections are judged by */
    uint8_t prover[KEY_BYTES];       /* whom gate_prove pretends to be: not told as a refusal */
    uint64_t second_us;              /* start of the second in which refusals are kept */
    uint32_t kept_count, kept_first; /* in it; those before kept_first were taken */
    char kept[REFUSALS_A_SECOND][REFUSAL_MAX];
};

/* ---- the thread: requests and answers of ZAP ---- */

struct frame {
    size_t size;
    uint8_t bytes[FRAME_MAX + 1];
};

enum { VERSION, REQUEST, DOMAIN_NAME, ADDRESS, IDENTITY, MECHANISM, CREDENTIAL };

static void read_frame(void *zap, struct frame *frame, bool *more)
{
    zmq_msg_t part;
    frame->size = 0;
    (void)zmq_msg_init(&part);
    if (zmq_msg_recv(&part, zap, 0) >= 0) {
        frame->size = zmq_msg_size(&part) < FRAME_MAX ? zmq_msg_size(&part) : FRAME_MAX;
        memcpy(frame->bytes, zmq_msg_data(&part), frame->size);
        *more = zmq_msg_more(&part);
    } else {
        *more = false;
    }
    frame->bytes[frame->size] = '\0';
    (void)zmq_msg_close(&part);
}

/* The number of frames; those past the last that is known are read to nowhere. */
static int read_request(void *zap, struct frame frames[FRAMES_OF_REQUEST])
{
    struct frame past;
    int count = 0;
    for (bool more = true; more; count++)
        read_frame(zap, count < FRAMES_OF_REQUEST ? &frames[count] : &past, &more);
    return count;
}

static bool is_text(const struct frame *frame, const char *text)
{
    return frame->size == strlen(text) && memcmp(frame->bytes, text, frame->size) == 0;
}

static bool is_sound(const struct frame *frames, int count)
{
    return count == FRAMES_OF_REQUEST && is_text(&frames[VERSION], "1.0") &&
           is_text(&frames[DOMAIN_NAME], WIRE_ZAP_DOMAIN) && is_text(&frames[MECHANISM], "CURVE") &&
           frames[CREDENTIAL].size == KEY_BYTES;
}

static void send_text(void *zap, const char *text, bool more)
{
    (void)zmq_send(zap, text, strlen(text), more ? ZMQ_SNDMORE : 0);
}

static void answer(void *zap, const struct frame *request, bool allowed, const char *user)
{
    send_text(zap, "1.0", true);
    (void)zmq_send(zap, request->bytes, request->size, ZMQ_SNDMORE);
    send_text(zap, allowed ? "200" : "400", true);
    send_text(zap, allowed ? "" : "this key is not allowed", true);
    send_text(zap, user, true);
    send_text(zap, "", false);
}

/* Under the lock. */
static void keep_refusal(struct gate *gate, const uint8_t *half, const char *address)
{
    char text[KEY_TEXT_MAX];
    uint64_t now_us = clock_monotonic_us();
    if (now_us - gate->second_us >= 1000000 && gate->kept_first == gate->kept_count) {
        gate->second_us = now_us;
        gate->kept_first = gate->kept_count = 0;
    }
    if (gate->kept_count == REFUSALS_A_SECOND)
        return;
    key_text(half, text);
    snprintf(gate->kept[gate->kept_count++], REFUSAL_MAX, "key %s from %.100s", text, address);
}

static bool is_allowed(struct gate *gate, const uint8_t *half, struct keyring **judged)
{
    pthread_mutex_lock(&gate->lock);
    *judged = keyring_hold(gate->live);
    pthread_mutex_unlock(&gate->lock);
    return keyring_find(*judged, half, clock_wall_us()) != NULL;
}

static void go_live(struct gate *gate, struct keyring *fresh)
{
    pthread_mutex_lock(&gate->lock);
    struct keyring *former = gate->live;
    gate->live = fresh;
    pthread_mutex_unlock(&gate->lock);
    keyring_free(&former);
}

/* Before someone is sent away, look whether he was put on the list just now: who was told to connect does so
 * at once. */
static bool is_allowed_by_now(struct gate *gate, const uint8_t *half)
{
    struct keyring *judged, *fresh;
    bool allowed = is_allowed(gate, half, &judged), stale = !allowed && !keyring_is_fresh(judged);
    keyring_free(&judged);
    if (!stale || keyring_read(gate->state_dir, &fresh, NULL))
        return allowed;
    allowed = keyring_find(fresh, half, clock_wall_us()) != NULL;
    go_live(gate, fresh);
    return allowed;
}

static bool judge(struct gate *gate, const uint8_t *half, const char *address)
{
    bool allowed = is_allowed_by_now(gate, half);
    pthread_mutex_lock(&gate->lock);
    bool told = !allowed && !key_same(half, gate->prover);
    if (told)
        keep_refusal(gate, half, address);
    pthread_mutex_unlock(&gate->lock);
    if (allowed)
        atomic_fetch_add(&gate->accepted, 1);
    else if (told)
        atomic_fetch_add(&gate->refused, 1);
    return allowed;
}

static void serve_one(struct gate *gate)
{
    struct frame frames[FRAMES_OF_REQUEST];
    char user[2 * KEY_BYTES + 1];
    memset(frames, 0, sizeof frames);
    int count = read_request(gate->zap, frames);
    if (!is_sound(frames, count)) {
        answer(gate->zap, &frames[REQUEST], false, "");
        return;
    }
    bool allowed = judge(gate, frames[CREDENTIAL].bytes, (const char *)frames[ADDRESS].bytes);
    sodium_bin2hex(user, sizeof user, frames[CREDENTIAL].bytes, KEY_BYTES);
    answer(gate->zap, &frames[REQUEST], allowed, allowed ? user : "");
}

static void *run(void *argument)
{
    struct gate *gate = argument;
    zmq_pollitem_t items[] = { { .socket = gate->zap, .events = ZMQ_POLLIN },
                               { .fd = gate->stop_fd, .events = ZMQ_POLLIN } };
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0 && zmq_errno() != EINTR)
            break;
        if (items[1].revents)
            break;
        if (items[0].revents)
            serve_one(gate);
    }
    (void)zmq_unbind(gate->zap, HANDLER); /* at once, for the next gate; zmq_close takes its time */
    (void)zmq_close(gate->zap);
    return NULL;
}

/* ---- life ---- */

static enum err load_keys(struct gate *gate, struct key *owner, struct why *why)
{
    char path[PATH_MAX];
    enum err err = key_path(gate->state_dir, "coordinator.secret", path, sizeof path, why);
    if (!err)
        err = key_ensure(path, &gate->key, why);
    if (!err)
        err = key_path(gate->state_dir, "own.secret", path, sizeof path, why);
    return err ? err : key_ensure(path, owner, why);
}

static enum err admit_owner(struct gate *gate, const struct key *owner, struct why *why)
{
    struct keyring_entry entry = { .role = ROLE_ADMIN,
                                   .name = "owner of the state directory",
                                   .added_us = clock_wall_us() };
    const struct keyring_entry *known = keyring_find(gate->live, owner->public_half, entry.added_us);
    if (known && known->role == ROLE_ADMIN)
        return ERR_OK;
    memcpy(entry.public_half, owner->public_half, KEY_BYTES);
    enum err err = keyring_add(gate->state_dir, &entry, why);
    if (err)
        return err;
    keyring_free(&gate->live);
    return keyring_read(gate->state_dir, &gate->live, why);
}

static enum err read_list(struct gate *gate, bool keyed, struct why *why)
{
    struct key owner = { { 0 }, { 0 } };
    enum err err = keyed ? load_keys(gate, &owner, why) : ERR_OK;
    if (!err)
        err = keyring_read(gate->state_dir, &gate->live, why);
    if (!err && keyed)
        err = admit_owner(gate, &owner, why);
    if (!err)
        gate->looked = keyring_hold(gate->live);
    key_wipe(&owner);
    return err;
}

/* Signals are for the thread that waits for them. */
static enum err start_thread(struct gate *gate, struct why *why)
{
    sigset_t all, before;
    int none = 0;
    gate->zap = zmq_socket(gate->context, ZMQ_REP);
    if (!gate->zap)
        return why_set(why, ERR_SYSTEM, "cannot make a socket: %s", zmq_strerror(zmq_errno()));
    (void)zmq_setsockopt(gate->zap, ZMQ_LINGER, &none, sizeof none);
    if (zmq_bind(gate->zap, HANDLER) != 0)
        return why_set(why, ERR_SYSTEM, "cannot judge connections (%s): %s", HANDLER,
                       zmq_strerror(zmq_errno()));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gate->running = pthread_create(&gate->thread, NULL, run, gate) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return gate->running ? ERR_OK : why_set(why, ERR_SYSTEM, "cannot start a thread to judge connections");
}

static enum err open_gate(struct gate *gate, bool keyed, struct why *why)
{
    if (sodium_init() < 0)
        return why_set(why, ERR_SYSTEM, "the system gives no randomness to make keys from");
    gate->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gate->stop_fd < 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make an eventfd");
    enum err err = read_list(gate, keyed, why);
    return err || !keyed ? err : start_thread(gate, why);
}

enum err gate_new(void *context, const char *state_dir, bool keyed, struct gate **gate, struct why *why)
{
    struct gate *made = calloc(1, sizeof *made);
    *gate = made;
    if (!made)
        return why_set(why, ERR_MEMORY, "out of memory");
    made->context = context;
    made->stop_fd = -1;
    snprintf(made->state_dir, sizeof made->state_dir, "%s", state_dir);
    pthread_mutex_init(&made->lock, NULL);
    enum err err = open_gate(made, keyed, why);
    if (err)
        gate_free(gate);
    return err;
}

static void stop_thread(struct gate *gate)
{
    uint64_t one = 1;
    if (!gate->running) {
        if (gate->zap)
            (void)zmq_close(gate->zap);
        return;
    }
    ssize_t written = write(gate->stop_fd, &one, sizeof one);
    (void)written; /* an eventfd that nobody wrote to takes one */
    pthread_join(gate->thread, NULL);
}

void gate_free(struct gate **gate)
{
    struct gate *it = *gate;
    if (!it)
        return;
    stop_thread(it);
    if (it->stop_fd >= 0)
        (void)close(it->stop_fd);
    keyring_free(&it->looked);
    keyring_free(&it->live);
    pthread_mutex_destroy(&it->lock);
    key_wipe(&it->key);
    free(it);
    *gate = NULL;
}

const struct key *gate_key(const struct gate *gate) { return &gate->key; }

/* ---- the self-test ---- */

/* Where a listener on every address can be met from here. */
static void meeting_place(const char *url, char place[ENDPOINT_MAX])
{
    static const struct {
        const char *every, *here;
    } places[] = { { "tcp://0.0.0.0:", "tcp://127.0.0.1:" }, { "tcp://[::]:", "tcp://[::1]:" } };
    snprintf(place, ENDPOINT_MAX, "%s", url);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strncmp(url, places[i].every, strlen(places[i].every)) == 0)
            snprintf(place, ENDPOINT_MAX, "%s%s", places[i].here, url + strlen(places[i].every));
}

static enum err await_verdict(struct wire *wire, const char *url, struct why *why)
{
    uint64_t deadline_us = clock_monotonic_us() + PROOF_US;
    struct why refusal = { "" };
    while (clock_monotonic_us() < deadline_us) {
        zmq_pollitem_t item = { .socket = wire_monitor_socket(wire), .events = ZMQ_POLLIN };
        if (wire_is_connected(wire))
            return why_set(why, ERR_REFUSED,
                           "%s: a random key was let in, so anybody would be; this libzmq cannot be used for "
                           "tcp (was it built with CURVE?): listen on ipc only",
                           url);
        if (wire_refused(wire, &refusal) == WIRE_KEY_REFUSED)
            return ERR_OK;
        (void)zmq_poll(&item, 1, 100);
    }
    return why_set(why, ERR_TIMEOUT,
                   "%s: cannot prove that a random key is refused: no verdict was seen in %d s%s%.200s", url,
                   (int)(PROOF_US / 1000000), *refusal.text ? "; last: " : "", refusal.text);
}

/* Not key_make: nobody reads this key, so it may look as it likes. */
enum err gate_prove(struct gate *gate, const char *url, struct why *why)
{
    char place[ENDPOINT_MAX];
    struct key stranger;
    struct wire *wire;
    if (crypto_box_keypair(stranger.public_half, stranger.secret_half) != 0)
        return why_set(why, ERR_SYSTEM, "cannot make a key");
    pthread_mutex_lock(&gate->lock);
    memcpy(gate->prover, stranger.public_half, KEY_BYTES);
    pthread_mutex_unlock(&gate->lock);
    meeting_place(url, place);
    const struct wire_keys keys = { .own = &stranger, .server_half = gate->key.public_half };
    enum err err = wire_connect(gate->context, place, &keys, &wire, why);
    if (err)
        return err;
    err = await_verdict(wire, url, why);
    wire_free(&wire);
    return err;
}

/* ---- the list ---- */

bool gate_follow(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    bool changed = gate->live != gate->looked;
    struct keyring *former = gate->looked;
    if (changed)
        gate->looked = keyring_hold(gate->live);
    pthread_mutex_unlock(&gate->lock);
    if (changed)
        keyring_free(&former);
    return changed;
}

bool gate_refresh(struct gate *gate, bool force, struct why *why)
{
    struct keyring *fresh;
    bool followed = gate_follow(gate);
    why->text[0] = '\0';
    if ((force || !keyring_is_fresh(gate->looked)) && !keyring_read(gate->state_dir, &fresh, why)) {
        go_live(gate, fresh);
        followed = gate_follow(gate) || followed;
    }
    if (followed && !*why->text)
        snprintf(why->text, sizeof why->text, "%.500s", keyring_damage(gate->looked));
    return followed;
}

const struct keyring_entry *gate_entry(const struct gate *gate, const uint8_t public_half[KEY_BYTES])
{
    return keyring_find(gate->looked, public_half, clock_wall_us());
}

size_t gate_keys_count(const struct gate *gate) { return keyring_count(gate->looked); }

size_t gate_invitations_count(const struct gate *gate) { return keyring_invitations(gate->looked); }

bool gate_refusal(struct gate *gate, char *text, size_t max)
{
    pthread_mutex_lock(&gate->lock);
    bool any = gate->kept_first < gate->kept_count;
    if (any)
        snprintf(text, max, "%s", gate->kept[gate->kept_first++]);
    pthread_mutex_unlock(&gate->lock);
    return any;
}

struct gate_counts *gate_counts(struct gate *gate)
{
    gate->counts.keys_accepted = atomic_load(&gate->accepted);
    gate->counts.keys_refused = atomic_load(&gate->refused);
    return &gate->counts;
}
