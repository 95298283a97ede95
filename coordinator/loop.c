// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include "accept.h"
#include "access.h"
#include "clock.h"
#include "coordinator.h"
#include "desk.h"
#include "dialogue.h"
#include "floor.h"
#include "gate.h"
#include "handout.h"
#include "ledger.h"
#include "online.h"
#include "publication.h"
#include "recorder.h"
#include "recovery.h"
#include "retention.h"
#include "unread.h"
#include "verification.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    HEARTBEAT_MS = 500,
    MESSAGES_A_TURN = 4096,
    SLOTS_ALL_MAX = 1000000,
    SWEEP_MS = 100,
    IDLE_MS = 1000,
    CONTEXT_SOCKETS = 1023,
    CHOKED_TIMES = 16,
};
static const uint64_t SILENCE_US = 2500000; /* found within 3 s, with the time between looks */
static const uint64_t STALL_US = 2000000;   /* more than an idle turn takes */
static const uint64_t SWEEP_US = 100000;
static const uint64_t REFUSED_EVERY_US = 10000000; /* told at most */
static const uint64_t RELOAD = 1ull << 32;         /* in the counter that loop_stop counts by ones in */
static const uint64_t BACKLOG_BYTES = 64ull << 20;

struct loop {
    struct coordinator coordinator;
    int stop_fd;
    bool stopped;
    bool reload; /* of the allow list, at the next sweep, whether it seems to have changed or not */
    uint64_t swept_us, guarded_us, refused_told_us;
};

/* ---- messages ---- */

typedef void on_message(struct coordinator *coordinator, struct wire_in *in);

static on_message *const handlers[] = {
    [MESSAGE_HELLO] = floor_hello,        [MESSAGE_PROOF] = floor_proof,
    [MESSAGE_LOADED] = floor_loaded,      [MESSAGE_RESULTS] = floor_results,
    [MESSAGE_RETURNED] = floor_returned,  [MESSAGE_HEARTBEAT] = floor_heartbeat,
    [MESSAGE_FETCH] = floor_fetch,        [MESSAGE_BYE] = floor_bye,
    [MESSAGE_CLIENT_HELLO] = desk_hello,  [MESSAGE_SUBMIT] = desk_submit,
    [MESSAGE_VIEW] = desk_view,           [MESSAGE_CANCEL] = desk_cancel,
    [MESSAGE_BLOB_FIND] = desk_blob_find, [MESSAGE_BLOB_PUT] = desk_blob_put,
    [MESSAGE_MODEL_ADD] = desk_model_add, [MESSAGE_OUTPUT_GET] = desk_output_get,
    [MESSAGE_DRAIN] = desk_drain,         [MESSAGE_INFER] = online_infer,
    [MESSAGE_CHANGE] = desk_change,       [MESSAGE_REMOVE] = desk_remove,
    [MESSAGE_JOIN] = access_join,         [MESSAGE_RETRY] = desk_retry,
};

static bool has_handler(enum message_type type)
{
    return (size_t)type < sizeof handlers / sizeof handlers[0] && handlers[type];
}

static void refuse_untimely(struct coordinator *coordinator, const struct wire_in *in,
                            enum dialogue_state state)
{
    char text[128];
    snprintf(text, sizeof text, "%s cannot come now (%s)%s", message_name(in->message->type),
             dialogue_name(state), state == DIALOGUE_NEW ? "; say HELLO" : "");
    coordinator_refuse_message(coordinator, in->peer, ERR_REFUSED, text);
}

static void hear(struct coordinator *coordinator, struct wire_in *in)
{
    struct peer *peer = peers_find(coordinator->peers, in->peer);
    enum dialogue_state state = peer ? peer->state : DIALOGUE_NEW;
    if (state == DIALOGUE_WORKER)
        roster_heard(coordinator->roster, roster_at(coordinator->roster, peer->worker), coordinator->now_us);
    if (peer && in->message && !unread_may_ask(coordinator, peer, in->message->type))
        return;
    if (!in->message)
        coordinator_refuse_message(coordinator, in->peer, ERR_FORMAT, in->why.text);
    else if (!dialogue_allows(state, in->message->type) || !has_handler(in->message->type))
        refuse_untimely(coordinator, in, state);
    else if (access_permits(coordinator, peer, in)) {
        handlers[in->message->type](coordinator, in);
        if (!peer)
            access_note(coordinator, in);
    }
}

static void hear_the_end(struct coordinator *coordinator, wire_peer id)
{
    struct peer *peer = peers_find(coordinator->peers, id);
    if (!peer)
        return;
    if (peer->state == DIALOGUE_WORKER)
        coordinator_lose(coordinator, roster_at(coordinator->roster, peer->worker), ROSTER_LOST,
                         "its connection closed");
    else {
        online_peer_gone(coordinator, id);
        peers_remove(coordinator->peers, id);
    }
}

/* While more waits for the disk than memory should hold nothing more is leased: what comes still is what is
 * out already. That is a bound in practice; CHOKED_TIMES as much is one in any case: nothing is read then,
 * not even questions. */
static bool choke(struct coordinator *coordinator)
{
    bool before = coordinator->choked;
    uint64_t waiting = store_backlog_bytes(coordinator->store), most = coordinator->backlog_max_bytes;
    coordinator->choked = waiting > CHOKED_TIMES * most;
    coordinator->slow = waiting > most || (coordinator->slow && waiting > most / 2);
    coordinator_pace(coordinator);
    if (before && !coordinator->choked)
        floor_excuse(coordinator);
    return coordinator->choked;
}

/* True when all that has arrived was read. */
static bool read_wire(struct coordinator *coordinator)
{
    struct wire_in in;
    wire_peer lost;
    for (int count = 0; count < MESSAGES_A_TURN; count++) {
        if (choke(coordinator))
            return false;
        if (wire_receive(coordinator->wire, &in)) {
            hear(coordinator, &in);
            continue;
        }
        while (wire_lost(coordinator->wire, &lost))
            hear_the_end(coordinator, lost);
        return true;
    }
    return false;
}

/* ---- the store and the clerk ---- */

static void read_store(struct coordinator *coordinator)
{
    struct store_event event;
    while (!coordinator->broken && store_receive(coordinator->store, &event))
        ledger_event(coordinator, &event);
}

static void on_piece(struct coordinator *coordinator, struct clerk_event *event)
{
    struct fetch *fetch = fetches_answered(coordinator->fetches, event);
    unread_answered(coordinator, fetch);
    if (fetch->for_client)
        desk_piece(coordinator, event, fetch);
    else
        floor_piece(coordinator, event, fetch);
    fetch_free(&fetch);
}

static void on_published(struct coordinator *coordinator, struct clerk_event *event)
{
    if (event->command->peer == HANDOUT_PEER)
        handout_assembled(coordinator, event);
    else
        publication_ended(coordinator, event);
}

static void read_clerk(struct coordinator *coordinator)
{
    static void (*const events[])(struct coordinator *,
                                  struct clerk_event *) = { [CLERK_PUBLISH] = on_published,
                                                            [CLERK_BLOB_PUT] = desk_blob_taken,
                                                            [CLERK_READ] = on_piece,
                                                            [CLERK_COMPARE] = verification_compared,
                                                            [CLERK_INVENTORY] = retention_counted };
    struct clerk_event event;
    while (clerk_receive(coordinator->clerk, &event)) {
        events[event.command->type](coordinator, &event);
        clerk_event_free(&event);
    }
}

/* ---- turns ---- */

static void tell_refused(struct loop *loop)
{
    struct coordinator *coordinator = &loop->coordinator;
    bool lately = loop->refused_told_us && coordinator->now_us - loop->refused_told_us < REFUSED_EVERY_US;
    uint32_t count = lately ? 0 : accept_refused();
    if (!count)
        return;
    loop->refused_told_us = coordinator->now_us;
    coordinator_complain(coordinator, "FILES-SHORT",
                         "%u connections were refused, as few files may still be opened: raise the limit "
                         "(`ulimit -n`, LimitNOFILE= of the service); peers try again",
                         count);
}

/* A coordinator that did not come to listen (a stopped process, a swapping host) must not take that for its
 * workers' silence. */
static void sweep(struct loop *loop)
{
    struct coordinator *coordinator = &loop->coordinator;
    uint64_t passed_us = coordinator->now_us - loop->swept_us;
    if (passed_us < SWEEP_US)
        return;
    loop->swept_us = coordinator->now_us;
    if (passed_us > STALL_US)
        floor_excuse(coordinator);
    else
        floor_listen(coordinator);
    ledger_tallies(coordinator);
    publication_retry(coordinator);
    retention_turn(coordinator);
    unread_turn(coordinator);
    access_turn(coordinator, loop->reload);
    loop->reload = false;
    recorder_breathe(coordinator->recorder, coordinator->now_us);
    tell_refused(loop);
}

/* Also while no message is read: what peers send then is held as well. */
static void guard(struct loop *loop, bool all_heard)
{
    struct coordinator *coordinator = &loop->coordinator;
    if (coordinator->now_us - loop->guarded_us < SWEEP_US)
        return;
    loop->guarded_us = coordinator->now_us;
    uint32_t cut = wire_guard(coordinator->wire, all_heard);
    if (cut)
        coordinator_complain(coordinator, "PEER-CUT",
                             "%u connections sent more than a message takes without ending one, chose their "
                             "own routing id, or "
                             "were too many",
                             cut);
}

static long patience_ms(const struct loop *loop)
{
    const struct coordinator *coordinator = &loop->coordinator;
    bool soon = roster_up_count(coordinator->roster) || fetches_waiting(coordinator->fetches) ||
                retention_waits(coordinator->retention) || wire_connections(coordinator->wire);
    long idle = soon ? SWEEP_MS : IDLE_MS;
    uint64_t deadline_us = sched_deadline_us(coordinator->sched);
    if (coordinator->grace_until_us && coordinator->grace_until_us < deadline_us)
        deadline_us = coordinator->grace_until_us;
    if (online_due_us(coordinator->online) < deadline_us)
        deadline_us = online_due_us(coordinator->online);
    if (deadline_us <= coordinator->now_us)
        return 0;
    uint64_t wait_ms = (deadline_us - coordinator->now_us + 999) / 1000;
    return wait_ms < (uint64_t)idle ? (long)wait_ms : idle;
}

/* What loop_stop and loop_reload have added to the counter. */
static void read_wishes(struct loop *loop)
{
    uint64_t wishes = 0;
    if (read(loop->stop_fd, &wishes, sizeof wishes) != sizeof wishes)
        return;
    loop->stopped = loop->stopped || wishes % RELOAD != 0;
    loop->reload = loop->reload || wishes >= RELOAD;
}

static void wait_for_events(struct loop *loop)
{
    struct coordinator *coordinator = &loop->coordinator;
    enum { OWN = 3 };
    struct pollfd own[OWN] = {
        { loop->stop_fd, POLLIN, 0 },
        { store_fd(coordinator->store), POLLIN, 0 },
        { clerk_fd(coordinator->clerk), POLLIN, 0 },
    };
    wire_wait(coordinator->wire, !coordinator->choked, own, OWN, patience_ms(loop));
    if (own[0].revents)
        read_wishes(loop);
    coordinator_wake(coordinator);
}

static void turn(struct loop *loop)
{
    struct coordinator *coordinator = &loop->coordinator;
    store_gather(coordinator->store);
    bool all_heard = read_wire(coordinator);
    read_store(coordinator);
    read_clerk(coordinator);
    recovery_look(coordinator);
    if (sched_deadline_us(coordinator->sched) <= coordinator->now_us)
        coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_TICK });
    online_turn(coordinator);
    guard(loop, all_heard);
    if (all_heard)
        sweep(loop);
    fetches_pump(coordinator->fetches, credits_bytes(coordinator->credits), unread_room, coordinator);
    coordinator_flush(coordinator);
    store_flush(coordinator->store);
    choke(coordinator); /* what the store reported may have made room: do not sleep on it */
}

enum err loop_run(struct loop *loop, struct why *why)
{
    struct coordinator *coordinator = &loop->coordinator;
    while (!loop->stopped && !coordinator->broken) {
        wait_for_events(loop);
        if (!loop->stopped)
            turn(loop);
    }
    return coordinator->broken
               ? why_set(why, ERR_SYSTEM, "%s: the store failed; see the log", coordinator->state_dir)
               : ERR_OK;
}

void loop_stop(struct loop *loop)
{
    uint64_t one = 1;
    /* An eventfd that is full is readable, which is all that is wanted. */
    if (write(loop->stop_fd, &one, sizeof one) < 0)
        return;
}

void loop_reload(struct loop *loop)
{
    if (write(loop->stop_fd, &RELOAD, sizeof RELOAD) < 0)
        return;
}

const char *loop_url(const struct loop *loop) { return loop->coordinator.url; }

/* ---- life ---- */

static void configure(struct coordinator *coordinator, const struct loop_config *config)
{
    snprintf(coordinator->state_dir, sizeof coordinator->state_dir, "%s", config->state_dir);
    snprintf(coordinator->nonce_path, sizeof coordinator->nonce_path, "%s/nonce", config->state_dir);
    coordinator->heartbeat_ms = config->heartbeat_ms ? config->heartbeat_ms : HEARTBEAT_MS;
    coordinator->silence_us = config->silence_us ? config->silence_us : SILENCE_US;
    coordinator->backlog_max_bytes = config->backlog_max_bytes ? config->backlog_max_bytes : BACKLOG_BYTES;
    coordinator->grace_us = config->grace_us;
    coordinator->roots = config->roots;
    coordinator_wake(coordinator);
    coordinator->started_us = coordinator->now_us;
}

static enum err make_tables(struct coordinator *coordinator, const struct loop_config *config,
                            struct why *why)
{
    const struct retention_rule rule = { config->keep_us, config->keep_jobs, config->keep_bytes };
    coordinator->peers = peers_new(WORKERS_MAX + CLIENTS_MAX);
    coordinator->roster = roster_new(WORKERS_MAX);
    coordinator->jobs = jobs_new(JOBS_OPEN_MAX);
    coordinator->registry = registry_new();
    coordinator->tenants = tenants_new();
    coordinator->classes = classes_new();
    coordinator->outbox = outbox_new();
    coordinator->events = events_new();
    coordinator->online = online_new();
    coordinator->credits = credits_new();
    coordinator->retention = retention_new(&rule, config->inventory_us);
    coordinator->context = zmq_ctx_new();
    bool ok = coordinator->peers && coordinator->roster && coordinator->jobs && coordinator->registry &&
              coordinator->tenants && coordinator->classes && coordinator->outbox && coordinator->events &&
              coordinator->online && coordinator->retention && coordinator->credits && coordinator->context;
    return ok ? ERR_OK : why_set(why, ERR_MEMORY, "out of memory for the coordinator's tables");
}

/* Nobody has to go without a coordinator because the usual recording cannot be made. */
static enum err open_recording(struct coordinator *coordinator, const struct loop_config *settings,
                               const struct sched_config *config, struct why *why)
{
    const struct recorder_life life = { .config = config,
                                        .term = store_term(coordinator->store),
                                        .now_us = coordinator->now_us,
                                        .wall_us = clock_wall_us(),
                                        .max_bytes = settings->record_max_bytes };
    if (!settings->record)
        return ERR_OK;
    if (strcmp(settings->record, "always-on") != 0)
        return recorder_open(settings->record, &life, &coordinator->recorder, why);
    struct why reason;
    if (recorder_open_state(coordinator->state_dir, &life, &coordinator->recorder, &reason))
        coordinator_note(coordinator, LOG_WARN, "NOT-RECORDING", "%s", reason.text);
    return ERR_OK;
}

static enum err open_store(struct coordinator *coordinator, const struct loop_config *settings,
                           struct recovery *recovery, struct why *why)
{
    struct store_recovery callbacks = recovery_callbacks(recovery);
    enum err err = store_open(coordinator->state_dir, &callbacks, &coordinator->store, why);
    if (err)
        return err;
    coordinator->next_job = store_next_job(coordinator->store);
    struct sched_config config = { .workers_max = WORKERS_MAX,
                                   .slots_max = SLOTS_ALL_MAX,
                                   .jobs_max = JOBS_OPEN_MAX };
    coordinator->sched = sched_new(&config, store_term(coordinator->store));
    return coordinator->sched ? open_recording(coordinator, settings, &config, why)
                              : why_set(why, ERR_MEMORY, "out of memory for the scheduler");
}

static enum err introduce_tenants(struct coordinator *coordinator, const struct loop_config *config,
                                  struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < config->tenants_count && !err; i++)
        err = tenants_configure(coordinator->tenants, config->tenants[i], why);
    for (uint32_t i = 0; i < tenants_count(coordinator->tenants) && !err; i++) {
        const struct tenant_row *row = tenants_at(coordinator->tenants, i);
        struct sched_event event = { .type = SCHED_TENANT };
        event.tenant.tenant = i;
        event.tenant.weight = row->weight;
        event.tenant.slots_quota = row->slots_quota;
        coordinator_step(coordinator, &event);
    }
    return err;
}

static enum err open_clerk(struct coordinator *coordinator, struct why *why)
{
    enum err err = clerk_new(coordinator->state_dir, &coordinator->clerk, why);
    if (err)
        return err;
    coordinator->fetches = fetches_new(coordinator->clerk, ALL_UNREAD_BYTES);
    return coordinator->fetches ? ERR_OK
                                : why_set(why, ERR_MEMORY, "out of memory for the coordinator's tables");
}

/* Whoever listens on tcp without a gate that works is open to everyone. */
static enum err prove(struct coordinator *coordinator, const struct loop_config *config, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < config->urls_count && !err; i++) {
        const char *url = wire_endpoint(coordinator->wire, i);
        if (strncmp(url, "tcp://", 6) != 0)
            continue;
        err = gate_prove(coordinator->gate, url, why);
        coordinator->curve = true;
    }
    return err;
}

/* For `motley key invite` on this host: where others reach us. Nothing depends on it, so it is not synced. */
static void leave_urls(const struct coordinator *coordinator, uint32_t urls_count)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "%.4000s/listening", coordinator->state_dir);
    FILE *file = fopen(path, "we");
    for (uint32_t i = 0; file && i < urls_count; i++)
        fprintf(file, "%s\n", wire_endpoint(coordinator->wire, i));
    if (file)
        (void)fclose(file);
}

static enum err listen_on(struct coordinator *coordinator, const struct loop_config *config, struct why *why)
{
    bool keyed = false;
    for (uint32_t i = 0; i < config->urls_count; i++)
        keyed = keyed || strncmp(config->urls[i], "tcp://", 6) == 0;
    enum err err = gate_new(coordinator->context, coordinator->state_dir, keyed, &coordinator->gate, why);
    if (err)
        return err;
    const struct wire_keys keys = { .own = gate_key(coordinator->gate) };
    err = wire_listen(coordinator->context, config->urls, config->urls_count, &keys, &coordinator->wire, why);
    if (!err)
        err = prove(coordinator, config, why);
    if (err)
        return err;
    leave_urls(coordinator, config->urls_count);
    snprintf(coordinator->url, sizeof coordinator->url, "%s", wire_endpoint(coordinator->wire, 0));
    coordinator_note(coordinator, LOG_INFO, "LISTENING", "on %s, term %llu, state in %s", coordinator->url,
                     (unsigned long long)store_term(coordinator->store), coordinator->state_dir);
    return ERR_OK;
}

static enum err start(struct coordinator *coordinator, const struct loop_config *config, struct why *why)
{
    struct recovery *recovery = recovery_new(coordinator);
    enum err err =
        recovery ? make_tables(coordinator, config, why) : why_set(why, ERR_MEMORY, "out of memory");
    if (!err)
        err = open_store(coordinator, config, recovery, why);
    if (!err)
        err = introduce_tenants(coordinator, config, why);
    if (!err)
        err = open_clerk(coordinator, why);
    if (!err)
        err = recovery_schedule(recovery, why);
    if (!err)
        err = listen_on(coordinator, config, why);
    recovery_free(&recovery);
    return err;
}

enum err loop_new(const struct loop_config *config, struct loop **loop, struct why *why)
{
    struct loop *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory");
    configure(&fresh->coordinator, config);
    fresh->swept_us = fresh->coordinator.now_us;
    fresh->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum err err = fresh->stop_fd < 0 ? why_set_errno(why, ERR_SYSTEM, "no event descriptor")
                                      : start(&fresh->coordinator, config, why);
    if (err)
        loop_free(&fresh);
    *loop = fresh;
    return err;
}

/* The clerk and the store first: their threads may hold frames and bytes. Fetches last: ZeroMQ's threads
 * count in it. */
static void close_all(struct coordinator *coordinator)
{
    if (coordinator->clerk)
        clerk_free(&coordinator->clerk);
    if (coordinator->store)
        store_free(&coordinator->store);
    if (coordinator->wire)
        wire_free(&coordinator->wire);
    gate_free(&coordinator->gate);
    if (coordinator->context)
        zmq_ctx_term(coordinator->context);
    handout_drop(coordinator);
    fetches_free(&coordinator->fetches);
    online_free(&coordinator->online);
    retention_free(&coordinator->retention);
    recorder_close(&coordinator->recorder);
    if (coordinator->sched)
        sched_free(&coordinator->sched);
    peers_free(&coordinator->peers);
    roster_free(&coordinator->roster);
    jobs_free(&coordinator->jobs);
    registry_free(&coordinator->registry);
    tenants_free(&coordinator->tenants);
    classes_free(&coordinator->classes);
    outbox_free(&coordinator->outbox);
    events_free(&coordinator->events);
    credits_free(&coordinator->credits);
}

void loop_free(struct loop **loop)
{
    if (!*loop)
        return;
    close_all(&(*loop)->coordinator);
    if ((*loop)->stop_fd >= 0)
        close((*loop)->stop_fd);
    free(*loop);
    *loop = NULL;
}
