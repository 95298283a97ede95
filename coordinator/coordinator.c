// SPDX-License-Identifier: Apache-2.0
#include "coordinator.h"

#include "answer.h"
#include "clock.h"
#include "ensure.h"
#include "file.h"
#include "gate.h"
#include "ledger.h"
#include "online.h"
#include "precision.h"
#include "proof.h"
#include "recorder.h"
#include "retention.h"
#include "verification.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMPLAINTS_LOGGED = 5, MENTIONS_AT_ONCE = 1000 };
static const uint64_t MENTION_US = 200000; /* when those are used up: one in so long */
static const uint64_t SECOND_US = 1000000;
static const uint64_t CALM_US = 50000; /* what nobody waits for waits so long for company */

void coordinator_wake(struct coordinator *coordinator) { coordinator->now_us = clock_monotonic_us(); }

static void tell(struct coordinator *coordinator, enum log_level level, const char *id, const char *format,
                 va_list arguments)
{
    char text[EVENT_TEXT_MAX];
    vsnprintf(text, sizeof text, format, arguments);
    log_event(level, id, "%s", text);
    events_add(coordinator->events, clock_wall_us(), id, text);
}

void coordinator_note(struct coordinator *coordinator, enum log_level level, const char *id,
                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(coordinator, level, id, format, arguments);
    va_end(arguments);
}

static bool may_complain(struct coordinator *coordinator)
{
    if (coordinator->now_us - coordinator->complaints_us >= SECOND_US) {
        if (coordinator->complaints > COMPLAINTS_LOGGED)
            coordinator_note(coordinator, LOG_WARN, "PEER-REFUSED", "%u more complaints in the same second",
                             coordinator->complaints - COMPLAINTS_LOGGED);
        coordinator->complaints_us = coordinator->now_us;
        coordinator->complaints = 0;
    }
    return coordinator->complaints++ < COMPLAINTS_LOGGED;
}

void coordinator_complain(struct coordinator *coordinator, const char *id, const char *format, ...)
{
    if (!may_complain(coordinator))
        return;
    va_list arguments;
    va_start(arguments, format);
    tell(coordinator, LOG_WARN, id, format, arguments);
    va_end(arguments);
}

static bool may_mention(struct coordinator *coordinator)
{
    uint64_t renewed = (coordinator->now_us - coordinator->notes_us) / MENTION_US;
    uint64_t room = coordinator->notes_room + renewed;
    coordinator->notes_us += renewed * MENTION_US;
    coordinator->notes_room = room < MENTIONS_AT_ONCE ? (uint32_t)room : MENTIONS_AT_ONCE;
    if (!coordinator->notes_room) {
        coordinator->notes_left_out++;
        return false;
    }
    coordinator->notes_room--;
    if (coordinator->notes_left_out)
        coordinator_note(coordinator, LOG_INFO, "NOTES-LEFT-OUT", "%u notes about workers and jobs",
                         coordinator->notes_left_out);
    coordinator->notes_left_out = 0;
    return true;
}

void coordinator_mention(struct coordinator *coordinator, enum log_level level, const char *id,
                         const char *format, ...)
{
    if (!may_mention(coordinator))
        return;
    va_list arguments;
    va_start(arguments, format);
    tell(coordinator, level, id, format, arguments);
    va_end(arguments);
}

/* ---- sending ---- */

bool coordinator_send(struct coordinator *coordinator, wire_peer peer, const struct message *message)
{
    return wire_send(coordinator->wire, peer, message, NULL, 0) == ERR_OK;
}

uint64_t coordinator_unread(const struct coordinator *coordinator, wire_peer id)
{
    const struct peer *peer = peers_find(coordinator->peers, id);
    return peer ? credit_bytes(peer->credit) : 0;
}

void coordinator_doom(struct coordinator *coordinator, wire_peer id, const char *why)
{
    struct peer *peer = peers_find(coordinator->peers, id);
    if (!peer)
        return;
    if (!peer->doom)
        peer->doom = why;
    coordinator->doomed = true;
}

static void count_frames(struct coordinator *coordinator, wire_peer id, struct wire_frame *frames,
                         uint32_t frames_count)
{
    struct peer *peer = peers_find(coordinator->peers, id);
    if (peer && !peer->credit)
        peer->credit = credit_new(coordinator->credits);
    for (uint32_t i = 0; peer && peer->credit && i < frames_count; i++)
        credit_count(peer->credit, &frames[i]);
}

bool coordinator_send_frames(struct coordinator *coordinator, wire_peer peer, const struct message *message,
                             struct wire_frame *frames, uint32_t frames_count)
{
    count_frames(coordinator, peer, frames, frames_count);
    enum err err = wire_send(coordinator->wire, peer, message, frames, frames_count);
    /* It missed what it waits for: the dialogue is over. */
    if (err)
        coordinator_doom(coordinator, peer, "it no longer takes messages");
    return err == ERR_OK;
}

/* Not lost on the spot: whoever sends may be in the middle of the scheduler's actions. */
void coordinator_send_worker(struct coordinator *coordinator, struct worker *worker,
                             const struct message *message)
{
    if (worker->state != ROSTER_UP || worker->doomed)
        return;
    worker->told_us = coordinator->now_us;
    if (!coordinator_send(coordinator, worker->peer, message))
        worker->doomed = coordinator->doomed = true;
}

void coordinator_reply(struct coordinator *coordinator, wire_peer peer, uint64_t request, enum err err,
                       const char *text, uint64_t number)
{
    struct message message = { .type = MESSAGE_REPLY };
    message.reply =
        (struct message_reply){ .request = request, .code = err, .text = err ? text : "", .number = number };
    /* A client that went away asks again, or never. */
    if (!coordinator_send_frames(coordinator, peer, &message, NULL, 0))
        log_debug("REPLY-LOST", "a client did not wait for its answer");
}

static void send_gathered(void *context, uint32_t number, const struct message *message)
{
    struct coordinator *coordinator = context;
    struct worker *worker = roster_at(coordinator->roster, number);
    if (worker)
        coordinator_send_worker(coordinator, worker, message);
}

/* What ZeroMQ still holds for it goes with the connection. */
static void cut_off(struct coordinator *coordinator, const struct peer *peer)
{
    wire_peer id = peer->id;
    const char *why = peer->doom;
    struct worker *worker =
        peer->state == DIALOGUE_WORKER ? roster_at(coordinator->roster, peer->worker) : NULL;
    if (worker) {
        coordinator_lose(coordinator, worker, ROSTER_LOST, why);
    } else {
        coordinator_complain(coordinator, "PEER-CUT", "a client: %s", why);
        online_peer_gone(coordinator, id);
        peers_remove(coordinator->peers, id);
    }
    wire_cut(coordinator->wire, id);
}

static void bury(struct coordinator *coordinator)
{
    coordinator->doomed = false;
    for (uint32_t i = 0; i < roster_count(coordinator->roster); i++)
        if (roster_at(coordinator->roster, i)->doomed)
            coordinator_doom(coordinator, roster_at(coordinator->roster, i)->peer,
                             "it no longer takes messages");
    size_t at = 0;
    for (struct peer *peer; (peer = peers_next(coordinator->peers, &at)) != NULL;) {
        if (!peer->doom)
            continue;
        cut_off(coordinator, peer);
        at = 0; /* a removal moves others */
    }
    coordinator->doomed = false;
}

static void send_said(void *context, uint32_t number, uint8_t **body, size_t size)
{
    struct coordinator *coordinator = context;
    struct worker *worker = roster_at(coordinator->roster, number);
    if (!worker || worker->state != ROSTER_UP || worker->doomed) {
        free(*body);
        *body = NULL;
    } else if (wire_send_encoded(coordinator->wire, worker->peer, body, size)) {
        worker->doomed = coordinator->doomed = true;
    }
}

/* As coordinator_send_worker, but with the others of this turn, and before its leases. */
static void say_worker(struct coordinator *coordinator, struct worker *worker, const struct message *message)
{
    uint8_t *body;
    size_t size;
    if (message_encode(message, &body, &size))
        worker->doomed = coordinator->doomed = true; /* out of memory: it would wait for ever */
    else
        outbox_say(coordinator->outbox, worker->number, &body, size);
}

void coordinator_flush(struct coordinator *coordinator)
{
    const struct outbox_ways ways = { send_gathered, send_said, coordinator };
    bool all = coordinator->now_us - coordinator->flushed_us >= CALM_US;
    coordinator->flushed_us = all ? coordinator->now_us : coordinator->flushed_us;
    outbox_flush(coordinator->outbox, all, &ways);
    if (coordinator->doomed)
        bury(coordinator);
}

static void refuse_as(struct coordinator *coordinator, wire_peer id, const char *event, enum err err,
                      const char *text)
{
    struct message message = { .type = MESSAGE_REFUSED };
    message.refused = (struct message_refused){ .code = err, .text = text };
    struct peer *peer = peers_find(coordinator->peers, id);
    struct worker *worker =
        peer && peer->state == DIALOGUE_WORKER ? roster_at(coordinator->roster, peer->worker) : NULL;
    coordinator_complain(coordinator, event, "%s: %s",
                         worker ? worker->name
                         : peer ? "a client"
                                : "a new peer",
                         text);
    if (!coordinator_send(coordinator, id, &message))
        log_debug("REFUSAL-LOST", "the refused peer did not wait to hear it");
    if (worker)
        coordinator_lose(coordinator, worker, ROSTER_LOST, "it was refused");
}

void coordinator_refuse(struct coordinator *coordinator, wire_peer id, enum err err, const char *text)
{
    refuse_as(coordinator, id, "PEER-REFUSED", err, text);
}

void coordinator_refuse_message(struct coordinator *coordinator, wire_peer id, enum err err, const char *text)
{
    gate_counts(coordinator->gate)->messages_refused++;
    refuse_as(coordinator, id, "MESSAGE-REFUSED", err, text);
}

/* ---- workers ---- */

void coordinator_lose(struct coordinator *coordinator, struct worker *worker, enum roster_state state,
                      const char *reason)
{
    if (worker->state != ROSTER_UP)
        return;
    bool served = worker->serving;
    peers_remove(coordinator->peers, worker->peer);
    outbox_drop(coordinator->outbox, worker->number);
    roster_dismiss(coordinator->roster, worker, state, clock_wall_us());
    coordinator_mention(coordinator, state == ROSTER_LEFT ? LOG_INFO : LOG_WARN,
                        state == ROSTER_LEFT ? "WORKER-LEFT" : "WORKER-LOST", "worker %u (%s): %s",
                        worker->number, worker->name, reason);
    if (served)
        coordinator_step(coordinator,
                         &(struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = worker->number });
}

void coordinator_input_path(const struct coordinator *coordinator, const struct message_input *input,
                            char *path, size_t max)
{
    if (*input->source.path)
        snprintf(path, max, "%s", input->source.path);
    else
        clerk_blob_path(coordinator->state_dir, input->blob, path, max);
}

static void describe_sources(const struct coordinator *coordinator, const struct message_submit *spec,
                             struct message_source *sources, char (*paths)[PATH_MAX_BYTES])
{
    for (uint32_t i = 0; i < spec->inputs_count; i++) {
        sources[i] = spec->inputs[i].source;
        coordinator_input_path(coordinator, &spec->inputs[i], paths[i], PATH_MAX_BYTES);
        sources[i].path = paths[i];
        if (!*spec->inputs[i].source.path) {
            sources[i].mtime_ns = 0; /* a blob never changes */
            if (!clerk_blob_find(coordinator->state_dir, spec->inputs[i].blob, &sources[i].file_bytes))
                sources[i].path = "";
        }
    }
}

static uint64_t model_bytes(const struct coordinator *coordinator, const uint8_t blob[SHA256_BYTES])
{
    uint64_t bytes = 0;
    return clerk_blob_find(coordinator->state_dir, blob, &bytes) ? bytes : 0;
}

struct record *coordinator_record(const struct coordinator *coordinator, uint64_t job)
{
    return online_is(job) ? online_find(coordinator->online, job) : jobs_find(coordinator->jobs, job);
}

void coordinator_tell(struct coordinator *coordinator, struct worker *worker, struct record *record)
{
    if (!worker_tell(worker, record->number))
        return;
    trail_meet(&worker->trail.jobs, record->number);
    trail_meet(&worker->trail.models, record->model_number);
    for (uint32_t i = 0; i < record->models_count; i++)
        trail_meet(&worker->trail.models, record->models[i]);
    if (online_is(record->number))
        online_told(coordinator->online, record->number, worker->number);
    char paths[INPUTS_MAX][PATH_MAX_BYTES];
    struct message_tensor inputs[INPUTS_MAX];
    struct message_source sources[INPUTS_MAX];
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    describe_sources(coordinator, spec, sources, paths);
    for (uint32_t i = 0; i < spec->inputs_count; i++) {
        inputs[i] = spec->inputs[i].tensor;
        if (!worker->shares_storage)
            sources[i].path = "";
    }
    struct message_job job = { .job = record->number,
                               .samples = record->samples,
                               .model = spec->model_blob,
                               .format = spec->format,
                               .model_bytes = model_bytes(coordinator, spec->model_blob),
                               .inputs = inputs,
                               .inputs_count = spec->inputs_count,
                               .sources = sources,
                               .sources_count = spec->inputs_count,
                               .outputs = spec->outputs,
                               .outputs_count = spec->outputs_count };
    struct message message = { .type = MESSAGE_JOBS };
    message.jobs.jobs = &job;
    message.jobs.jobs_count = 1;
    say_worker(coordinator, worker, &message);
}

void coordinator_forget(struct coordinator *coordinator, uint64_t job)
{
    for (uint32_t i = 0; i < roster_count(coordinator->roster); i++) {
        struct worker *worker = roster_at(coordinator->roster, i);
        trail_part(&worker->trail.jobs, job);
        /* Who is away is told when it comes back: the job stays in its list. */
        if (worker->serving && worker_untell(worker, job))
            outbox_forget(coordinator->outbox, worker->number, job);
    }
}

/* ---- the scheduler's actions ---- */

typedef void carry_out(struct coordinator *coordinator, const struct sched_action *action);

static struct worker *serving(const struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = roster_at(coordinator->roster, action->worker);
    return worker && worker->serving && !worker->doomed ? worker : NULL;
}

/* Of a model with several files the one that the scheduler chose; NULL: it has one. */
static const uint8_t *variant_of(const struct coordinator *coordinator, const struct record *record,
                                 const struct sched_action *action)
{
    return record->models_count > 1 ? registry_file(coordinator->registry, action->model)->blob : NULL;
}

static void carry_load(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    struct record *record = coordinator_record(coordinator, action->job);
    if (!worker || !record)
        return;
    coordinator_tell(coordinator, worker, record);
    struct message message = { .type = MESSAGE_LOAD };
    const uint8_t *variant = variant_of(coordinator, record, action);
    message.load = (struct message_load){ .slot = action->slot,
                                          .job = action->job,
                                          .model = variant,
                                          .model_bytes = variant ? model_bytes(coordinator, variant) : 0 };
    if (online_is(action->job))
        online_loading(coordinator, action->job);
    say_worker(coordinator, worker, &message);
}

static void carry_lease(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    struct record *record = coordinator_record(coordinator, action->job);
    if (!worker || !record)
        return;
    coordinator_tell(coordinator, worker, record);
    uint64_t term = store_term(coordinator->store);
    struct proof proof = { .job = action->job,
                           .first = action->first,
                           .term = term,
                           .attempt = action->attempt,
                           .count = (uint32_t)action->count,
                           .slot = action->slot };
    memcpy(proof.worker, worker->holder, UUID_BYTES);
    uint8_t mac[MAC_BYTES];
    proof_make(&proof, store_mac_key(coordinator->store), mac);
    struct message_lease lease = { .slot = action->slot,
                                   .job = action->job,
                                   .first = action->first,
                                   .count = (uint32_t)action->count,
                                   .term = term,
                                   .attempt = action->attempt,
                                   .mac = mac };
    if (online_is(action->job))
        online_leased(coordinator, action);
    outbox_lease(coordinator->outbox, worker->number, &lease);
}

/* RECALL names attempts of this life only; an older one, held over a restart, is left to finish. */
static void carry_recall(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    if (worker && action->term == store_term(coordinator->store))
        outbox_recall(coordinator->outbox, worker->number, action->attempt);
}

static void carry_ack(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    if (!worker)
        return;
    outbox_ack(coordinator->outbox, worker->number, action->term, action->attempt);
    if (action->term == store_term(coordinator->store))
        trail_ack(&worker->trail, action->attempt);
}

static void carry_unload(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    if (!worker)
        return;
    struct message message = { .type = MESSAGE_UNLOAD };
    message.unload =
        (struct message_unload){ action->slot, registry_file(coordinator->registry, action->model)->blob };
    say_worker(coordinator, worker, &message);
}

static void carry_prefetch(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = serving(coordinator, action);
    struct record *record = coordinator_record(coordinator, action->job);
    if (!worker || !record)
        return;
    coordinator_tell(coordinator, worker, record);
    struct message message = { .type = MESSAGE_PREFETCH };
    const uint8_t *variant = variant_of(coordinator, record, action);
    message.prefetch = (struct message_prefetch){
        .job = action->job, .model = variant, .model_bytes = variant ? model_bytes(coordinator, variant) : 0
    };
    say_worker(coordinator, worker, &message);
}

static void carry_store(struct coordinator *coordinator, const struct sched_action *action)
{
    (online_is(action->job) ? online_store : ledger_result)(coordinator, action);
}

static void carry_fail(struct coordinator *coordinator, const struct sched_action *action)
{
    (online_is(action->job) ? online_fail : ledger_failure)(coordinator, action);
}

static void carry_job_state(struct coordinator *coordinator, const struct sched_action *action)
{
    (online_is(action->job) ? online_job_state : ledger_job_state)(coordinator, action);
}

static void carry_bar(struct coordinator *coordinator, const struct sched_action *action)
{
    struct worker *worker = roster_at(coordinator->roster, action->worker);
    if (!worker || action->slot >= worker->slots_count)
        return;
    worker->barred_until_us[action->slot] = action->until_us;
    double seconds =
        action->until_us > coordinator->now_us ? (double)(action->until_us - coordinator->now_us) / 1e6 : 0;
    if (action->until_us)
        coordinator_mention(coordinator, LOG_WARN, "SLOT-BARRED",
                            "worker %u (%s), slot %u: chunk after chunk fails there; nothing more for %.1f s",
                            worker->number, worker->name, action->slot, seconds);
    else
        coordinator_mention(coordinator, LOG_INFO, "SLOT-BACK",
                            "worker %u (%s), slot %u: it is trusted again", worker->number, worker->name,
                            action->slot);
}

static carry_out *const carriers[] = {
    [SCHED_LOAD] = carry_load,
    [SCHED_UNLOAD] = carry_unload,
    [SCHED_PREFETCH] = carry_prefetch,
    [SCHED_LEASE] = carry_lease,
    [SCHED_RECALL] = carry_recall,
    [SCHED_ACK] = carry_ack,
    [SCHED_STORE] = carry_store,
    [SCHED_FAIL] = carry_fail,
    [SCHED_COMPARE] = verification_compare,
    [SCHED_JOB_STATE] = carry_job_state,
    [SCHED_BAR] = carry_bar,
};

static void carry_all(struct coordinator *coordinator)
{
    for (size_t i = 0; i < coordinator->actions.count; i++)
        carriers[coordinator->actions.at[i].type](coordinator, &coordinator->actions.at[i]);
}

/* What did not fit into one step's actions comes with the next ones, and is drained at once: parts of a
 * result must be stored while the result is at hand. */
void coordinator_step(struct coordinator *coordinator, const struct sched_event *event)
{
    static const struct sched_event tick = { .type = SCHED_TICK };
    ENSURE(!coordinator->stepping);
    coordinator->stepping = true;
    do {
        recorder_event(coordinator->recorder, coordinator->now_us, event);
        sched_step(coordinator->sched, coordinator->now_us, event, &coordinator->actions);
        recorder_answer(coordinator->recorder, &coordinator->actions);
        carry_all(coordinator);
        event = &tick;
    } while (coordinator->actions.count == SCHED_ACTIONS_MAX);
    coordinator->stepping = false;
}

void coordinator_pace(struct coordinator *coordinator)
{
    bool pause = *coordinator->full || coordinator->slow || coordinator->grace_until_us;
    if (pause == coordinator->paused)
        return;
    coordinator->paused = pause;
    coordinator_step(coordinator, &(struct sched_event){ .type = pause ? SCHED_PAUSE : SCHED_RESUME });
}

/* The deadline is kept as time passed since the job was accepted, by the wall clock, which alone goes on
 * while no coordinator lives. One that has passed is one that came now. */
uint64_t coordinator_deadline(const struct coordinator *coordinator, const struct message_submit *spec,
                              int64_t submitted_us)
{
    if (!spec->deadline_us)
        return 0;
    int64_t left_us = submitted_us + (int64_t)spec->deadline_us - clock_wall_us();
    return coordinator->now_us + (left_us > 0 ? (uint64_t)left_us : 0) + !coordinator->now_us;
}

/* A slot runs the first whose precision it has; the last runs everywhere, as a model's only file does. */
static void describe_variants(struct coordinator *coordinator, const struct message_submit *spec,
                              struct sched_event *event)
{
    _Static_assert((int)VARIANTS_MAX == (int)SCHED_VARIANTS_MAX, "a job's variants fit");
    uint32_t numbers[VARIANTS_MAX];
    uint32_t count = spec->variants_count > 1 ? registry_numbers(coordinator->registry, spec, numbers) : 0;
    for (uint32_t i = 0; i < count; i++)
        event->add.variants[i] = (struct sched_variant){
            .model = numbers[i],
            .formats = jobs_format(spec->variants[i].format),
            .precisions = i + 1 < count ? precision_bit(spec->variants[i].precision) : 0,
            .memory_bytes = model_bytes(coordinator, spec->variants[i].blob),
        };
    event->add.variants_count = count;
}

enum err coordinator_job_event(struct coordinator *coordinator, const struct message_submit *spec,
                               uint64_t number, uint32_t model, int64_t submitted_us,
                               struct sched_event *event, struct why *why)
{
    uint32_t tenant = tenants_number(coordinator->tenants, spec->tenant);
    *event = (struct sched_event){ .type = SCHED_JOB_ADD, .job = number };
    event->add.model = model;
    event->add.formats = jobs_format(spec->format);
    event->add.samples = spec->samples;
    event->add.priority = spec->priority;
    event->add.batch = spec->batch;
    event->add.batch_fixed = spec->batch_fixed;
    event->add.failures_max = record_failures_max(spec);
    event->add.tenant = tenant == TENANTS_NONE ? 0 : tenant;
    event->add.deadline_us = coordinator_deadline(coordinator, spec, submitted_us);
    event->add.objective = (enum sched_objective)spec->objective;
    event->add.require = *spec->require ? spec->require : NULL;
    event->add.prefer = *spec->prefer ? spec->prefer : NULL;
    event->add.verify_ppm = spec->verify_ppm;
    event->add.costs = spec->costs;
    event->add.costs_count = spec->costs_count;
    event->add.memory_bytes =
        model_bytes(coordinator, spec->model_blob); /* its weights are the least that it needs */
    describe_variants(coordinator, spec, event);
    return tenant != TENANTS_NONE
               ? ERR_OK
               : why_set(why, ERR_FULL, "--tenant %s: %d tenants are known, which is the most", spec->tenant,
                         SCHED_TENANTS_MAX);
}

struct view coordinator_view(const struct coordinator *coordinator)
{
    uint64_t free_bytes = 0;
    if (file_free_bytes(coordinator->state_dir, &free_bytes, NULL))
        free_bytes = 0; /* a figure for people only */
    return (struct view){ .jobs = coordinator->jobs,
                          .roster = coordinator->roster,
                          .registry = coordinator->registry,
                          .tenants = coordinator->tenants,
                          .events = coordinator->events,
                          .sched = coordinator->sched,
                          .online = coordinator->online,
                          .curve = coordinator->curve,
                          .keys_allowed =
                              gate_keys_count(coordinator->gate) - gate_invitations_count(coordinator->gate),
                          .invitations_open = gate_invitations_count(coordinator->gate),
                          .counts = *gate_counts(coordinator->gate),
                          .url = coordinator->url,
                          .full = coordinator->full,
                          .state_dir = coordinator->state_dir,
                          .unread_bytes = credits_bytes(coordinator->credits),
                          .backlog_bytes = coordinator->slow ? store_backlog_bytes(coordinator->store) : 0,
                          .state_bytes = retention_bytes(coordinator->retention),
                          .state_free_bytes = free_bytes,
                          .pid = (uint64_t)getpid(),
                          .term = store_term(coordinator->store),
                          .now_us = coordinator->now_us,
                          .started_us = coordinator->started_us,
                          .wall_us = clock_wall_us() };
}
