// SPDX-License-Identifier: Apache-2.0
#include "floor.h"

#include "access.h"
#include "answer.h"
#include "capability.h"
#include "clock.h"
#include "online.h"
#include "precision.h"
#include "proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Silence is looked for this often: who would be found silent too long at the next look is found now. */
static const uint64_t LOOK_US = 100000;
static const uint64_t FLEET_SMALL = 200; /* workers that say all of their heartbeats */
enum { SILENCE_MS_MAX = 3600000 };
enum { KEY_WORKERS_MAX = 10000, KEY_SLOTS_MAX = 100000, HELLO_BYTES_MAX = 128 << 10, ATTEMPT_BYTES = 128 };

static struct worker *worker_of(const struct coordinator *coordinator, const struct wire_in *in)
{
    const struct peer *peer = peers_find(coordinator->peers, in->peer);
    return peer && peer->state == DIALOGUE_WORKER ? roster_at(coordinator->roster, peer->worker) : NULL;
}

/* ---- coming and going ---- */

static enum err check_protocol(const struct message_hello *hello, struct why *why)
{
    if (hello->protocol_min > PROTOCOL_MAX || hello->protocol_max < PROTOCOL_MIN)
        return why_set(why, ERR_UNSUPPORTED,
                       "this coordinator speaks protocol %d to %d, the worker %u to %u; update the older one",
                       PROTOCOL_MIN, PROTOCOL_MAX, hello->protocol_min, hello->protocol_max);
    return ERR_OK;
}

/* A large fleet's heartbeats come less often, so that their cost grows slower than it; never so rarely that
 * two that are late are taken for a death. */
static uint32_t heartbeat_ms(const struct coordinator *coordinator)
{
    uint64_t base = coordinator->heartbeat_ms, workers = roster_up_count(coordinator->roster);
    uint64_t most = coordinator->silence_us * 2 / 5000, grown = base * workers / FLEET_SMALL;
    if (grown > 2 * base)
        grown = 2 * base;
    if (grown > most)
        grown = most;
    return (uint32_t)(grown > base ? grown : base);
}

/* Twice as long as we wait for a worker's word: a coordinator that was stopped for a moment, by a debugger or
 * a slow disk, finds its workers where it left them. */
static uint32_t silence_ms(const struct coordinator *coordinator)
{
    uint64_t ms = coordinator->silence_us / 500;
    return ms < SILENCE_MS_MAX ? (uint32_t)ms : SILENCE_MS_MAX;
}

static void welcome(struct coordinator *coordinator, struct worker *worker)
{
    struct message message = { .type = MESSAGE_WELCOME };
    message.welcome = (struct message_welcome){ .protocol = PROTOCOL_MAX,
                                                .term = store_term(coordinator->store),
                                                .session = worker->session,
                                                .heartbeat_ms = heartbeat_ms(coordinator),
                                                .proof_path = coordinator->nonce_path,
                                                .silence_ms = silence_ms(coordinator) };
    coordinator_send_worker(coordinator, worker, &message);
}

void floor_tell_draining(struct coordinator *coordinator, struct worker *worker)
{
    struct message message = { .type = MESSAGE_DRAINING };
    message.draining.on = worker->draining;
    coordinator_send_worker(coordinator, worker, &message);
}

/* A process belongs to the key that it first came with: another's key must not end its session, nor take its
 * leases. Admins may do both. */
static enum err check_bound(struct coordinator *coordinator, const struct worker *worker,
                            const struct wire_in *in, struct why *why)
{
    uint8_t key[KEY_BYTES];
    access_key(in, key);
    if (!worker->bound || key_same(worker->key, key) || access_role(coordinator, in) == ROLE_ADMIN)
        return ERR_OK;
    access_lie(coordinator, worker, "another key says HELLO in its name");
    return why_set(why, ERR_REFUSED, "HELLO: this worker's identity belongs to another key; take a new one");
}

/* Records of workers, and their slots in the scheduler, stay as long as the coordinator: a key that brings a
 * new identity each time must not fill the tables for all others. */
static enum err check_newcomer(const struct coordinator *coordinator, const struct wire_in *in,
                               struct why *why)
{
    const struct message_hello *hello = &in->message->hello;
    uint8_t key[KEY_BYTES];
    uint64_t workers = 0, slots = 0;
    if (!in->keyed)
        return ERR_OK;
    access_key(in, key);
    for (uint32_t i = 0; i < roster_count(coordinator->roster); i++) {
        const struct worker *worker = roster_at(coordinator->roster, i);
        bool same = worker->bound && key_same(worker->key, key);
        workers += same;
        slots += same ? worker->slots_count : 0;
    }
    if (workers >= KEY_WORKERS_MAX || slots + hello->slots_count > KEY_SLOTS_MAX)
        return why_set(
            why, ERR_FULL,
            "HELLO: this key has brought %llu workers with %llu slots since the coordinator started, "
            "which is the most; start workers under their old state directories, or give some "
            "another key",
            (unsigned long long)workers, (unsigned long long)slots);
    return ERR_OK;
}

/* What it says of itself is kept as long, but for the attempts. */
static enum err check_description(const struct wire_in *in, struct why *why)
{
    size_t attempts = (size_t)in->message->hello.attempts_count * ATTEMPT_BYTES;
    if (!in->keyed || zmq_msg_size(in->body) <= HELLO_BYTES_MAX + attempts)
        return ERR_OK;
    return why_set(why, ERR_LIMIT, "HELLO: its devices and slots are described in more than %d bytes",
                   HELLO_BYTES_MAX);
}

static void bind_worker(struct worker *worker, const struct wire_in *in)
{
    uint8_t both[UUID_BYTES + KEY_BYTES], digest[SHA256_BYTES];
    access_key(in, worker->key);
    memcpy(both, worker->uuid, UUID_BYTES);
    memcpy(both + UUID_BYTES, worker->key, KEY_BYTES);
    sha256_bytes(both, sizeof both, digest);
    memcpy(worker->holder, digest, UUID_BYTES);
    worker->bound = true;
    trail_begin(&worker->trail);
}

void floor_hello(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_hello *hello = &in->message->hello;
    struct why why;
    struct worker *worker = roster_find(coordinator->roster, hello->worker);
    enum err err = check_protocol(hello, &why);
    if (!err && worker)
        err = check_bound(coordinator, worker, in, &why);
    if (!err)
        err = check_description(in, &why);
    if (!err && !worker)
        err = check_newcomer(coordinator, in, &why);
    if (!err && worker)
        coordinator_lose(coordinator, worker, ROSTER_LOST, "it connected anew");
    if (!err)
        err = roster_greet(coordinator->roster, in->peer, hello, &worker, &why);
    if (err) {
        coordinator_refuse(coordinator, in->peer, err, why.text);
        return;
    }
    struct peer *peer = peers_add(coordinator->peers, in->peer, DIALOGUE_WORKER);
    if (!peer) {
        roster_dismiss(coordinator->roster, worker, ROSTER_LOST, clock_wall_us());
        coordinator_refuse(coordinator, in->peer, ERR_FULL, "too many peers are connected; try again later");
        return;
    }
    peer->worker = worker->number;
    bind_worker(worker, in);
    roster_heard(coordinator->roster, worker, coordinator->now_us);
    worker->joined_us = clock_wall_us();
    coordinator_mention(coordinator, LOG_INFO, "WORKER-UP",
                        "worker %u (%s) on %s, pid %llu: %u devices, %u slots", worker->number, worker->name,
                        hello->host, (unsigned long long)hello->pid, hello->devices_count,
                        hello->slots_count);
    welcome(coordinator, worker);
    if (worker->draining != hello->draining)
        floor_tell_draining(coordinator, worker);
}

/* rules_hello saw to it that the device is listed. */
static const struct message_device *device_of(const struct message_hello *hello, uint32_t slot)
{
    uint32_t i = 0;
    while (i + 1 < hello->devices_count && strcmp(hello->devices[i].id, hello->slots[slot].device) != 0)
        i++;
    return &hello->devices[i];
}

/* Slots of one device share its memory. */
static uint64_t memory_of(const struct message_hello *hello, uint32_t slot)
{
    uint32_t sharers = 1;
    for (uint32_t i = 0; i < hello->slots_count; i++)
        sharers += i != slot && strcmp(hello->slots[i].device, hello->slots[slot].device) == 0;
    return device_of(hello, slot)->memory_total_bytes / sharers;
}

static uint32_t precisions_of(const struct message_device *device)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < device->precisions_count; i++)
        bits |= precision_bit(device->precisions[i]);
    return bits;
}

/* info's attributes are the caller's to free. */
static void describe_slot(struct coordinator *coordinator, const struct message_hello *hello, uint32_t index,
                          struct sched_slot_info *info)
{
    const struct message_slot *slot = &hello->slots[index];
    memset(info, 0, sizeof *info);
    info->class = classes_number(coordinator->classes, device_of(hello, index), slot);
    info->memory_bytes = memory_of(hello, index);
    info->busy_watts = slot->busy_watts;
    info->price_per_hour = slot->price_per_hour;
    info->attributes = capability_of(hello, index);
    info->formats = roster_formats(slot);
    info->precisions = precisions_of(device_of(hello, index));
    info->sizes_count = slot->batch_sizes_count;
    for (uint32_t i = 0; i < slot->batch_sizes_count && i < SCHED_SIZES_MAX; i++)
        info->sizes[i] = slot->batch_sizes[i];
    info->batch_max = slot->batch_max;
    info->window = slot->window;
    info->alpha_us = slot->alpha_us;
    info->beta_us = slot->beta_us;
    info->load_us = slot->load_us;
}

static void free_infos(struct sched_slot_info *infos, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct attributes *made = (struct attributes *)(uintptr_t)infos[i].attributes;
        attributes_free(&made);
    }
    free(infos);
}

static void step_worker(struct coordinator *coordinator, const struct worker *worker,
                        enum sched_event_type type)
{
    coordinator_step(coordinator, &(struct sched_event){ .type = type, .worker = worker->number });
}

/* A drained worker must not get a lease between its coming and its drain. */
static void announce(struct coordinator *coordinator, struct worker *worker,
                     const struct sched_slot_info *infos)
{
    bool pause = worker->draining && !coordinator->paused;
    struct sched_event event = { .type = SCHED_WORKER_UP, .worker = worker->number };
    event.up.slots_count = worker->slots_count;
    event.up.slots = infos;
    if (pause)
        step_worker(coordinator, worker, SCHED_PAUSE);
    coordinator_step(coordinator, &event);
    if (worker->draining)
        step_worker(coordinator, worker, SCHED_DRAIN);
    if (worker->undrained)
        step_worker(coordinator, worker, SCHED_UNDRAIN);
    worker->undrained = false;
    if (pause)
        step_worker(coordinator, worker, SCHED_RESUME);
}

static bool put_into_service(struct coordinator *coordinator, struct worker *worker,
                             const struct message_hello *hello)
{
    struct sched_slot_look look;
    uint32_t count = worker->slots_count;
    struct sched_slot_info *infos = calloc(count ? count : 1, sizeof *infos);
    bool whole = infos != NULL;
    for (uint32_t i = 0; whole && i < count; i++) {
        describe_slot(coordinator, hello, i, &infos[i]);
        whole = infos[i].attributes != NULL;
    }
    if (whole) {
        worker->serving = true;
        announce(coordinator, worker, infos);
    }
    if (infos)
        free_infos(infos, count);
    return whole && (!count || (sched_slot_look(coordinator->sched, worker->number, 0, &look) && look.up));
}

static bool is_proven(const struct coordinator *coordinator, const struct worker *worker,
                      const struct proof *claim, const uint8_t *mac)
{
    struct proof proof = *claim;
    memcpy(proof.worker, worker->holder, UUID_BYTES);
    return proof_holds(&proof, store_mac_key(coordinator->store), mac);
}

static struct record *live_job(const struct coordinator *coordinator, uint64_t number)
{
    struct record *record = coordinator_record(coordinator, number);
    return record && record->in_sched && !record->closing ? record : NULL;
}

/* The file of the job's model that the slot runs: its format and its precision, "onnx fp16". */
static void name_variant(struct coordinator *coordinator, const struct worker *worker,
                         const struct record *record, uint32_t slot, char text[2 * NAME_MAX_BYTES])
{
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    uint32_t model, i = 0;
    snprintf(text, 2 * NAME_MAX_BYTES, "%s", spec->format);
    if (!spec->variants_count ||
        !sched_slot_model(coordinator->sched, record->number, worker->number, slot, &model))
        return;
    while (i + 1 < record->models_count && record->models[i] != model)
        i++;
    const struct message_variant *variant = &spec->variants[i];
    snprintf(text, 2 * NAME_MAX_BYTES, "%s%s%s", variant->format, *variant->precision ? " " : "",
             variant->precision);
}

static void keep_share(struct coordinator *coordinator, struct worker *worker, struct record *record,
                       uint32_t slot)
{
    if (online_is(record->number))
        return; /* nobody reports on it */
    if (worker->share_job != record->number) {
        for (uint32_t i = 0; i < worker->slots_count; i++)
            worker->shares[i] = SIZE_MAX;
        worker->share_job = record->number;
    }
    if (worker->shares[slot] != SIZE_MAX)
        return;
    char variant[2 * NAME_MAX_BYTES];
    name_variant(coordinator, worker, record, slot, variant);
    worker->shares[slot] =
        record_share(record, worker->number, worker_hello(coordinator->roster, worker), slot, variant);
}

static void take_held(struct coordinator *coordinator, struct worker *worker,
                      const struct message_attempt *held)
{
    struct proof claim = { .job = held->job,
                           .first = held->first,
                           .term = held->term,
                           .attempt = held->attempt,
                           .count = held->count,
                           .slot = held->slot };
    struct record *record = live_job(coordinator, held->job);
    if (held->slot >= worker->slots_count || !is_proven(coordinator, worker, &claim, held->mac)) {
        access_lie(coordinator, worker, "it offers an attempt of job %llu that was not leased to it here",
                   (unsigned long long)held->job);
        outbox_ack(coordinator->outbox, worker->number, held->term, held->attempt);
        return;
    }
    if (!record) {
        outbox_forget(coordinator->outbox, worker->number, held->job);
        return;
    }
    trail_meet(&worker->trail.jobs, record->number);
    trail_meet(&worker->trail.models, record->model_number);
    if (!held->finished)
        coordinator_tell(coordinator, worker, record);
    keep_share(coordinator, worker, record, held->slot);
    struct sched_event event = { .type = SCHED_HELD,
                                 .worker = worker->number,
                                 .slot = held->slot,
                                 .job = held->job,
                                 .attempt = held->attempt,
                                 .term = held->term,
                                 .first = held->first,
                                 .count = held->count };
    event.held.finished = held->finished; /* its result comes by itself, maybe over a slow link */
    coordinator_step(coordinator, &event);
}

/* Jobs that ended while it was away it must still forget; of the others it is told again, as the JOBS may not
 * have reached it. */
static void renew_told(struct coordinator *coordinator, struct worker *worker)
{
    for (size_t i = 0; i < worker->told_count; i++)
        if (!live_job(coordinator, worker->told[i]))
            outbox_forget(coordinator->outbox, worker->number, worker->told[i]);
    worker->told_count = 0;
}

/* What runs or waits there needs its place in the window, and comes before what is finished. The look at its
 * HELLO that we iterate over is taken anew each time: steps in between may look at other workers'. */
static void take_all_held(struct coordinator *coordinator, struct worker *worker, bool finished)
{
    for (uint32_t i = 0; i < worker_hello(coordinator->roster, worker)->attempts_count; i++) {
        const struct message_attempt *held = &worker_hello(coordinator->roster, worker)->attempts[i];
        if (held->finished == finished)
            take_held(coordinator, worker, held);
    }
}

static void serve(struct coordinator *coordinator, struct worker *worker)
{
    renew_told(coordinator, worker);
    if (!put_into_service(coordinator, worker, worker_hello(coordinator->roster, worker))) {
        coordinator_refuse(coordinator, worker->peer, ERR_FULL,
                           "the coordinator has no room for these slots");
        return;
    }
    if (worker_hello(coordinator->roster, worker)->attempts_count)
        coordinator->reoffered = true;
    take_all_held(coordinator, worker, false);
    take_all_held(coordinator, worker, true);
    worker_settle_hello(coordinator->roster, worker);
}

void floor_proof(struct coordinator *coordinator, struct wire_in *in)
{
    struct worker *worker = worker_of(coordinator, in);
    const struct message_proof *proof = &in->message->proof;
    const char *nonce = store_nonce(coordinator->store);
    if (worker->serving)
        return;
    worker->shares_storage =
        proof->nonce_size == strlen(nonce) && memcmp(proof->nonce, nonce, proof->nonce_size) == 0;
    serve(coordinator, worker);
}

/* Any word that only a worker in service has to say counts as a proof of nothing: it is served, but not given
 * paths. */
static struct worker *in_service(struct coordinator *coordinator, const struct wire_in *in)
{
    struct worker *worker = worker_of(coordinator, in);
    if (!worker->serving)
        serve(coordinator, worker);
    return worker->serving ? worker : NULL;
}

static void note_runs(const struct coordinator *coordinator, struct worker *worker,
                      const struct message_heartbeat *heartbeat)
{
    memset(worker->runs, 0, worker->slots_count * sizeof *worker->runs);
    for (uint32_t i = 0; i < heartbeat->running_count; i++) {
        const struct message_running *running = &heartbeat->running[i];
        if (running->slot < worker->slots_count)
            worker->runs[running->slot] = (struct worker_run){ running->attempt, running->elapsed_us };
    }
    worker->runs_us = coordinator->now_us;
}

/* A word for a worker that heard nothing for a while, so that it can tell silence from a dead link. */
static void answer_pulse(struct coordinator *coordinator, struct worker *worker, uint64_t sequence)
{
    bool knows_it = worker->life > 0;
    if (!knows_it || coordinator->now_us - worker->told_us < heartbeat_ms(coordinator) * 500ull)
        return;
    struct message message = { .type = MESSAGE_PULSE };
    message.pulse.sequence = sequence;
    coordinator_send_worker(coordinator, worker, &message);
}

void floor_heartbeat(struct coordinator *coordinator, struct wire_in *in)
{
    struct worker *worker = worker_of(coordinator, in);
    const struct message_heartbeat *heartbeat = &in->message->heartbeat;
    worker->memory_free_bytes = heartbeat->memory_free_bytes;
    note_runs(coordinator, worker, heartbeat);
    answer_pulse(coordinator, worker, heartbeat->sequence);
}

void floor_bye(struct coordinator *coordinator, struct wire_in *in)
{
    const char *reason = in->message->bye.reason;
    coordinator_lose(coordinator, worker_of(coordinator, in), ROSTER_LEFT,
                     *reason ? reason : "it said goodbye");
}

void floor_listen(struct coordinator *coordinator)
{
    char reason[64];
    struct worker *worker;
    while ((worker = roster_quietest(coordinator->roster)) &&
           coordinator->now_us - worker->heard_us + LOOK_US >= coordinator->silence_us) {
        snprintf(reason, sizeof reason, "it said nothing for %.1f s",
                 (double)(coordinator->now_us - worker->heard_us) / 1e6);
        coordinator_lose(coordinator, worker, ROSTER_LOST, reason);
    }
}

void floor_excuse(struct coordinator *coordinator)
{
    for (uint32_t i = 0; i < roster_count(coordinator->roster); i++)
        roster_at(coordinator->roster, i)->heard_us = coordinator->now_us;
}

/* ---- work ---- */

static bool record_uses(const struct record *record, uint32_t number)
{
    bool uses = record->model_number == number;
    for (uint32_t i = 0; i < record->models_count && !uses; i++)
        uses = record->models[i] == number;
    return uses;
}

/* What the users of a model file call it. */
static const char *model_name(const struct coordinator *coordinator, uint32_t number)
{
    for (size_t i = jobs_count(coordinator->jobs); i-- > 0;)
        if (record_uses(jobs_at(coordinator->jobs, i), number))
            return jobs_at(coordinator->jobs, i)->model;
    const char *online = online_model(coordinator->online, number);
    return online ? online : "of an earlier job";
}

void floor_loaded(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_loaded *loaded = &in->message->loaded;
    struct worker *worker = in_service(coordinator, in);
    uint32_t number = registry_find_number(coordinator->registry, loaded->model);
    if (!worker || number == REGISTRY_NONE || loaded->slot >= worker->slots_count)
        return;
    if (!loaded->ok) {
        struct registry_file *file = registry_file(coordinator->registry, number);
        online_refused(coordinator->online);
        snprintf(file->refused_by, sizeof file->refused_by, "%s", worker->name);
        snprintf(file->refusal, sizeof file->refusal, "%s",
                 *loaded->reason ? loaded->reason : "it gave no reason");
        coordinator_mention(coordinator, LOG_WARN, "MODEL-REFUSED", "worker %u (%s), slot %u: model %s: %s",
                            worker->number, worker->name, loaded->slot, model_name(coordinator, number),
                            file->refusal);
    }
    struct sched_event event = { .type = SCHED_LOADED, .worker = worker->number, .slot = loaded->slot };
    event.loaded.model = number;
    event.loaded.ok = loaded->ok;
    event.loaded.load_us = loaded->load_us;
    event.loaded.alpha_us = loaded->alpha_us;
    event.loaded.beta_us = loaded->beta_us;
    coordinator_step(coordinator, &event);
}

/* Within a session nobody has to say an acknowledged result again. */
static bool is_repeated(const struct coordinator *coordinator, const struct worker *worker,
                        const struct message_result *result)
{
    return result->term == store_term(coordinator->store) && trail_was_acked(&worker->trail, result->attempt);
}

static void take_result(struct coordinator *coordinator, struct worker *worker,
                        const struct message_result *result, struct parcel *parcel, uint32_t frames_first)
{
    struct proof claim = { .job = result->job,
                           .first = result->first,
                           .term = result->term,
                           .attempt = result->attempt,
                           .count = result->count,
                           .slot = result->slot };
    struct record *record = live_job(coordinator, result->job);
    bool proven = result->slot < worker->slots_count && is_proven(coordinator, worker, &claim, result->mac);
    if (!proven)
        access_lie(coordinator, worker, "a result of job %llu that was not leased to it",
                   (unsigned long long)result->job);
    else if (is_repeated(coordinator, worker, result)) {
        access_lie(coordinator, worker, "the result of attempt %llu again, after it was acknowledged",
                   (unsigned long long)result->attempt);
        proven = false;
    }
    if (!proven || !record) {
        outbox_ack(coordinator->outbox, worker->number, result->term, result->attempt);
        if (proven)
            outbox_forget(coordinator->outbox, worker->number, result->job);
        return;
    }
    struct answer answer = { 0 };
    answer_init(&answer, result, record, worker, parcel, frames_first);
    keep_share(coordinator, worker, record, result->slot);
    struct sched_event event = { .type = SCHED_RESULT,
                                 .worker = worker->number,
                                 .slot = result->slot,
                                 .job = result->job,
                                 .attempt = result->attempt,
                                 .term = result->term,
                                 .first = result->first,
                                 .count = result->count };
    event.result.proven = true;
    event.result.failure = answer.failure;
    event.result.run_us = result->run_us;
    event.result.wait_us = result->wait_us;
    event.result.energy_joules = result->energy_joules;
    event.result.overrun = result->overrun;
    event.result.again = result->again;
    coordinator->answer = &answer;
    coordinator_step(coordinator, &event);
    coordinator->answer = NULL;
}

static bool frames_add_up(const struct wire_in *in)
{
    const struct message_results *results = &in->message->results;
    uint64_t frames = 0;
    for (uint32_t i = 0; i < results->results_count; i++)
        frames += results->results[i].frames;
    return frames == in->frames_count;
}

void floor_results(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_results *results = &in->message->results;
    struct worker *worker = in_service(coordinator, in);
    if (!worker)
        return;
    if (!frames_add_up(in)) {
        coordinator_refuse_message(coordinator, in->peer, ERR_FORMAT,
                                   "RESULTS: its results name more or fewer frames than came with it");
        return;
    }
    struct parcel *parcel = in->frames_count > 0 ? parcel_take(in) : NULL;
    if (!parcel && in->frames_count > 0) {
        coordinator_refuse(coordinator, in->peer, ERR_MEMORY,
                           "the coordinator is out of memory; connect again");
        return;
    }
    uint32_t frames_first = 0;
    for (uint32_t i = 0; i < results->results_count; i++) {
        take_result(coordinator, worker, &results->results[i], parcel, frames_first);
        frames_first += results->results[i].frames;
    }
    if (parcel)
        parcel_release(parcel);
}

void floor_returned(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_returned *returned = &in->message->returned;
    struct worker *worker = in_service(coordinator, in);
    for (uint32_t i = 0; worker && i < returned->attempts_count; i++)
        coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_RETURNED,
                                                             .worker = worker->number,
                                                             .attempt = returned->attempts[i],
                                                             .term = store_term(coordinator->store) });
}

/* ---- pieces ---- */

static enum err find_model(struct coordinator *coordinator, const struct message_fetch *ask,
                           struct fetch *fetch, struct why *why)
{
    char path[PATH_MAX_BYTES];
    /* Only models: not every upload is every worker's business. */
    if (registry_find_number(coordinator->registry, ask->model) == REGISTRY_NONE)
        return why_set(why, ERR_NOT_FOUND, "FETCH: no job uses this model");
    clerk_blob_path(coordinator->state_dir, ask->model, path, sizeof path);
    fetch->path = strdup(path);
    return fetch->path ? ERR_OK : why_set(why, ERR_MEMORY, "the coordinator is out of memory");
}

static enum err find_input(struct coordinator *coordinator, const struct message_fetch *ask,
                           struct fetch *fetch, struct why *why)
{
    char path[PATH_MAX_BYTES];
    const struct record *record = live_job(coordinator, ask->job);
    const struct message_submit *spec = record ? jobs_spec(coordinator->jobs, record) : NULL;
    if (!spec || ask->input >= spec->inputs_count)
        return why_set(why, ERR_NOT_FOUND, "FETCH: job %llu has no input %u, or is over",
                       (unsigned long long)ask->job, ask->input);
    const struct message_input *input = &spec->inputs[ask->input];
    uint64_t total = input->source.row_bytes * spec->samples; /* checked when the job was accepted */
    if (ask->offset > total || ask->length > total - ask->offset)
        return why_set(why, ERR_LIMIT, "FETCH: past the end of job %llu's input %u",
                       (unsigned long long)ask->job, ask->input);
    coordinator_input_path(coordinator, input, path, sizeof path);
    fetch->path = strdup(path);
    fetch->base = input->source.offset;
    fetch->total = total;
    if (*input->source.path) {
        fetch->file_bytes = input->source.file_bytes;
        fetch->mtime_ns = input->source.mtime_ns;
    }
    return fetch->path ? ERR_OK : why_set(why, ERR_MEMORY, "the coordinator is out of memory");
}

/* A worker has the files of jobs that it was told of, no others': not every upload is every worker's
 * business. */
static enum err check_fetch(struct coordinator *coordinator, const struct worker *worker,
                            const struct message_fetch *ask, struct why *why)
{
    uint32_t model = ask->kind == FETCH_MODEL ? registry_find_number(coordinator->registry, ask->model) : 0;
    bool known = ask->kind == FETCH_MODEL ? model != REGISTRY_NONE : live_job(coordinator, ask->job) != NULL;
    bool met = ask->kind == FETCH_MODEL ? trail_has_met(&worker->trail.models, model)
                                        : trail_has_met(&worker->trail.jobs, ask->job);
    if (!known || met)
        return ERR_OK; /* who asks for what is not there any more is told so */
    access_lie(coordinator, worker, "it asks for the %s of a job that it was not told of",
               ask->kind == FETCH_MODEL ? "model" : "input");
    return why_set(why, ERR_REFUSED, "FETCH: of a job that this worker was not told of");
}

static void send_piece(struct coordinator *coordinator, wire_peer peer, uint64_t tag, const char *failure,
                       uint64_t total, struct wire_frame *frame)
{
    struct message message = { .type = MESSAGE_PIECE };
    message.piece = (struct message_piece){
        .tag = tag, .ok = !failure, .reason = failure ? failure : "", .total = total
    };
    if (!coordinator_send_frames(coordinator, peer, &message, frame, frame ? 1 : 0))
        log_debug("PIECE-LOST", "a worker did not wait for what it had asked");
}

/* An online request's rows are at hand. */
static void send_rows(struct coordinator *coordinator, wire_peer peer, const struct message_fetch *ask)
{
    struct wire_frame frame = { .size = ask->length };
    uint64_t total = 0;
    struct why why;
    enum err err = online_rows(coordinator->online, ask, &frame.bytes, &total, &why);
    send_piece(coordinator, peer, ask->tag, err ? why.text : NULL, total, err ? NULL : &frame);
}

void floor_fetch(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_fetch *ask = &in->message->fetch;
    struct why why;
    struct worker *worker = in_service(coordinator, in);
    if (!worker)
        return;
    struct peer *peer = peers_find(coordinator->peers, in->peer);
    if (peer->pieces == PIECES_IN_FLIGHT) {
        coordinator_refuse_message(coordinator, in->peer, ERR_LIMIT,
                                   "FETCH: more unanswered ones than the protocol allows");
        return;
    }
    if (check_fetch(coordinator, worker, ask, &why)) {
        send_piece(coordinator, in->peer, ask->tag, why.text, 0, NULL);
        return;
    }
    if (ask->kind == FETCH_INPUT && online_is(ask->job)) {
        send_rows(coordinator, in->peer, ask);
        return;
    }
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) {
        send_piece(coordinator, in->peer, ask->tag, "the coordinator is out of memory", 0, NULL);
        return;
    }
    fetch->peer = in->peer;
    fetch->tag = ask->tag;
    fetch->offset = ask->offset;
    fetch->length = ask->length;
    enum err err = (ask->kind == FETCH_MODEL ? find_model : find_input)(coordinator, ask, fetch, &why);
    if (err) {
        fetch_free(&fetch);
        send_piece(coordinator, in->peer, ask->tag, why.text, 0, NULL);
        return;
    }
    peer->pieces++;
    fetches_ask(coordinator->fetches, &fetch);
}

static void free_bytes(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

void floor_piece(struct coordinator *coordinator, struct clerk_event *event, const struct fetch *fetch)
{
    struct peer *peer = peers_find(coordinator->peers, fetch->peer);
    if (!peer || peer->state != DIALOGUE_WORKER)
        return;
    if (peer->pieces)
        peer->pieces--;
    uint64_t total = fetch->total ? fetch->total : event->total;
    if (!event->err && event->size != fetch->length)
        event->err = why_set(&event->why, ERR_FORMAT, "%s: ends before what was asked", fetch->path);
    if (event->err) {
        send_piece(coordinator, fetch->peer, fetch->tag, event->why.text, total, NULL);
        return;
    }
    struct wire_frame frame = { event->bytes, event->size, free_bytes, NULL };
    event->bytes = NULL;
    send_piece(coordinator, fetch->peer, fetch->tag, NULL, total, &frame);
}
