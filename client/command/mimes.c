// SPDX-License-Identifier: Apache-2.0
/* Each connection's descriptor (ZMQ_FD) is watched by one epoll: with a thousand of them zmq_poll would ask
 * each at every turn. Such a descriptor tells changes, not states (zmq_getsockopt(3)), so a socket is read
 * until it is empty each time that it was told of, and again after each time that something was sent. */
#include "mimes.h"

#include "clock.h"
#include "wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TOLD_MAX = 64, WAIT_MS = 20, SOCKETS_EACH = 3, SOCKETS_MORE = 64 };

struct string {
    struct mime *mime;
    struct wire *wire;
    bool greeted, lost;
    uint64_t beat_us;
};

struct mimes {
    struct mimes_plan plan;
    char *url;
    void *context;
    struct string *strings;
    int epoll_fd;
    bool runs;
    pthread_t thread;
    uint64_t due_us; /* of all that was looked at: the next result, or beat */
    atomic_bool stop;
    atomic_uint greeted, welcome, lost;
    atomic_ullong leased, finished, acknowledged;
};

/* ---- one string ---- */

static void give_up(struct mimes *mimes, struct string *string)
{
    if (string->lost)
        return;
    string->lost = true;
    atomic_fetch_add(&mimes->lost, 1);
}

static bool say(struct mimes *mimes, struct string *string, const struct message *message)
{
    if (wire_send(string->wire, 0, message, NULL, 0) == ERR_OK)
        return true;
    give_up(mimes, string);
    return false;
}

static void count(struct mimes *mimes, const struct mime *mime, const struct mime *before)
{
    if (mime->leased > before->leased)
        atomic_fetch_add(&mimes->leased, mime->leased - before->leased);
    if (mime->acknowledged > before->acknowledged)
        atomic_fetch_add(&mimes->acknowledged, mime->acknowledged - before->acknowledged);
    if (mime->welcome && !before->welcome)
        atomic_fetch_add(&mimes->welcome, 1);
}

static bool hear_all(struct mimes *mimes, struct string *string)
{
    struct wire_in in;
    bool heard = false;
    while (!string->lost && wire_receive(string->wire, &in)) {
        struct mime before = *string->mime;
        struct message reply;
        heard = true;
        if (!in.message || in.message->type == MESSAGE_REFUSED)
            give_up(mimes, string);
        else if (mime_hear(string->mime, in.message, clock_monotonic_us(), &reply))
            say(mimes, string, &reply);
        count(mimes, string->mime, &before);
    }
    return heard;
}

static bool answer_all(struct mimes *mimes, struct string *string)
{
    struct message message;
    bool said = false;
    while (!string->lost && mime_results(string->mime, clock_monotonic_us(), &message)) {
        said = true;
        say(mimes, string, &message);
        atomic_fetch_add(&mimes->finished, message.results.results_count);
    }
    return said;
}

static void greet(struct mimes *mimes, struct string *string)
{
    struct message message;
    if (string->greeted || string->lost || !wire_is_connected(string->wire))
        return;
    string->greeted = true;
    mime_hello(string->mime, &message);
    if (say(mimes, string, &message))
        atomic_fetch_add(&mimes->greeted, 1);
    if (mimes->plan.begins) {
        mime_begin(string->mime);
        atomic_fetch_add(&mimes->welcome, 1);
    }
}

/* Read, answer, and read again what came meanwhile. */
static void pull(struct mimes *mimes, struct string *string)
{
    bool more = true;
    while (more && !string->lost && !atomic_load(&mimes->stop)) {
        more = hear_all(mimes, string);
        more = answer_all(mimes, string) || more;
    }
}

/* ---- all ---- */

static bool beat(struct mimes *mimes, struct string *string, uint64_t now_us)
{
    struct message message;
    if (string->lost || !string->mime->welcome || now_us < string->beat_us)
        return false;
    string->beat_us = now_us + (uint64_t)string->mime->heartbeat_ms * 1000;
    mime_heartbeat(string->mime, &message);
    return say(mimes, string, &message);
}

/* Everything that has its time: greetings, beats, results that had to wait. When the next is. */
static uint64_t look_at_all(struct mimes *mimes, uint64_t now_us)
{
    uint64_t next_us = now_us + (uint64_t)WAIT_MS * 1000;
    for (uint32_t i = 0; i < mimes->plan.workers; i++) {
        struct string *string = &mimes->strings[i];
        greet(mimes, string);
        bool beaten = beat(mimes, string, now_us);
        if (beaten || mime_due_us(string->mime) <= now_us || !string->mime->welcome)
            pull(mimes, string);
        uint64_t due_us = mime_due_us(string->mime);
        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}

static int wait_ms(uint64_t until_us)
{
    uint64_t now_us = clock_monotonic_us();
    return until_us > now_us ? (int)((until_us - now_us + 999) / 1000) : 0;
}

static void *thread_main(void *argument)
{
    struct mimes *mimes = argument;
    struct epoll_event told[TOLD_MAX];
    uint64_t look_us = 0;
    while (!atomic_load(&mimes->stop)) {
        int count = epoll_wait(mimes->epoll_fd, told, TOLD_MAX, wait_ms(look_us));
        for (int i = 0; i < count; i++)
            pull(mimes, told[i].data.ptr);
        uint64_t now_us = clock_monotonic_us();
        if (now_us >= look_us)
            look_us = look_at_all(mimes, now_us);
    }
    return NULL;
}

/* ---- life ---- */

static enum err tie(struct mimes *mimes, uint32_t number, struct why *why)
{
    struct string *string = &mimes->strings[number];
    const struct wire_keys keys = { mimes->plan.key, mimes->plan.server_half, "worker" };
    int fd;
    size_t size = sizeof fd;
    enum err err = mime_new(&mimes->plan.each, number, &string->mime);
    if (err != ERR_OK)
        return why_set(why, err, "no memory for a mime");
    err = wire_connect(mimes->context, mimes->url, &keys, &string->wire, why);
    if (err != ERR_OK)
        return err;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = string };
    if (zmq_getsockopt(wire_socket(string->wire), ZMQ_FD, &fd, &size) != 0 ||
        epoll_ctl(mimes->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot watch a connection");
    return ERR_OK;
}

static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if it must stay as it is, connecting says so */
}

static enum err start(struct mimes *mimes, struct why *why)
{
    enum err err = ERR_OK;
    mimes->strings = calloc(mimes->plan.workers, sizeof *mimes->strings);
    mimes->url = strdup(mimes->plan.url);
    mimes->context = zmq_ctx_new();
    mimes->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!mimes->strings || !mimes->url || !mimes->context || mimes->epoll_fd < 0)
        return why_set(why, ERR_MEMORY, "no memory for %u mimes", mimes->plan.workers);
    raise_limits();
    (void)zmq_ctx_set(mimes->context, ZMQ_MAX_SOCKETS,
                      (int)mimes->plan.workers * SOCKETS_EACH + SOCKETS_MORE);
    for (uint32_t i = 0; i < mimes->plan.workers && err == ERR_OK; i++)
        err = tie(mimes, i, why);
    if (err != ERR_OK)
        return err;
    errno = pthread_create(&mimes->thread, NULL, thread_main, mimes);
    mimes->runs = errno == 0;
    return mimes->runs ? ERR_OK : why_set_errno(why, ERR_SYSTEM, "cannot start a thread");
}

enum err mimes_start(const struct mimes_plan *plan, struct mimes **mimes, struct why *why)
{
    struct mimes *made = *mimes = calloc(1, sizeof *made);
    if (!made)
        return why_set(why, ERR_MEMORY, "no memory for mimes");
    made->plan = *plan;
    made->epoll_fd = -1;
    enum err err = start(made, why);
    if (err != ERR_OK)
        mimes_stop(mimes);
    return err;
}

void mimes_look(const struct mimes *mimes, struct mimes_counts *counts)
{
    *counts = (struct mimes_counts){ .greeted = atomic_load(&mimes->greeted),
                                     .welcome = atomic_load(&mimes->welcome),
                                     .lost = atomic_load(&mimes->lost),
                                     .leased = atomic_load(&mimes->leased),
                                     .finished = atomic_load(&mimes->finished),
                                     .acknowledged = atomic_load(&mimes->acknowledged) };
}

double mimes_cpu_seconds(const struct mimes *mimes)
{
    clockid_t clock;
    struct timespec time;
    if (pthread_getcpuclockid(mimes->thread, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0.0;
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void mimes_stop(struct mimes **mimes)
{
    struct mimes *it = *mimes;
    if (!it)
        return;
    atomic_store(&it->stop, true);
    if (it->runs)
        pthread_join(it->thread, NULL);
    for (uint32_t i = 0; it->strings && i < it->plan.workers; i++) {
        wire_free(&it->strings[i].wire);
        mime_free(&it->strings[i].mime);
    }
    if (it->context)
        zmq_ctx_term(it->context);
    if (it->epoll_fd >= 0)
        close(it->epoll_fd);
    free(it->strings);
    free(it->url);
    free(it);
    *mimes = NULL;
}
