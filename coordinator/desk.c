// SPDX-License-Identifier: Apache-2.0
#include "desk.h"

#include "access.h"
#include "clock.h"
#include "floor.h"
#include "handout.h"
#include "ledger.h"
#include "precision.h"
#include "publication.h"
#include "rehearsal.h"
#include "retention.h"
#include "retry.h"
#include "selection.h"
#include "submission.h"
#include "unread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- greeting ---- */

void desk_hello(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_client_hello *hello = &in->message->client_hello;
    const char *nonce = store_nonce(coordinator->store);
    struct why why;
    if (hello->protocol_min > PROTOCOL_MAX || hello->protocol_max < PROTOCOL_MIN) {
        why_set(&why, ERR_UNSUPPORTED,
                "this coordinator speaks protocol %d to %d, the client %u to %u; update the older one",
                PROTOCOL_MIN, PROTOCOL_MAX, hello->protocol_min, hello->protocol_max);
        coordinator_refuse(coordinator, in->peer, ERR_UNSUPPORTED, why.text);
        return;
    }
    struct peer *peer = peers_add(coordinator->peers, in->peer, DIALOGUE_CLIENT);
    if (!peer) {
        coordinator_refuse(coordinator, in->peer, ERR_FULL, "too many peers are connected; try again later");
        return;
    }
    peer->same_host =
        hello->nonce_size == strlen(nonce) && memcmp(hello->nonce, nonce, hello->nonce_size) == 0;
    struct message message = { .type = MESSAGE_CLIENT_WELCOME };
    message.client_welcome =
        (struct message_client_welcome){ .protocol = PROTOCOL_MAX,
                                         .term = store_term(coordinator->store),
                                         .pid = (uint64_t)getpid(),
                                         .same_host = peer->same_host,
                                         .role = role_name(access_role(coordinator, in)) };
    if (!coordinator_send(coordinator, in->peer, &message))
        peers_remove(coordinator->peers, in->peer);
}

/* ---- jobs ---- */

static void free_bytes(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

/* json is taken. */
static void reply_json(struct coordinator *coordinator, wire_peer peer, uint64_t request, char *json,
                       size_t size)
{
    struct message message = { .type = MESSAGE_REPLY };
    message.reply = (struct message_reply){ .request = request, .text = "" };
    struct wire_frame frame = { json, size, free_bytes, NULL };
    struct why why;
    enum err err = unread_check(coordinator, size, &why);
    if (err) {
        free(json);
        coordinator_reply(coordinator, peer, request, err, why.text, 0);
        return;
    }
    if (!coordinator_send_frames(coordinator, peer, &message, &frame, 1))
        log_debug("REPLY-LOST", "a client did not wait for its view");
}

/* The same SUBMIT again, because its answer was lost: the same answer. */
static void answer_again(struct coordinator *coordinator, struct record *record, wire_peer peer,
                         uint64_t request)
{
    if (record_is_visible(record))
        coordinator_reply(coordinator, peer, request, ERR_OK, "", record->number);
    else if (!record_wait(record, peer, request, record->number))
        coordinator_reply(coordinator, peer, request, ERR_FULL, "too many ask for the same job; ask again",
                          0);
}

static enum err accept_job(struct coordinator *coordinator, const struct message_submit *submit,
                           wire_peer peer, struct why *why)
{
    struct record *record;
    uint32_t model = registry_number(coordinator->registry, submit->model_blob);
    if (model == REGISTRY_NONE)
        return why_set(why, ERR_FULL,
                       "%d model files were used since the coordinator began, which is the most: restart it",
                       REGISTRY_FILES_MAX);
    if (tenants_number(coordinator->tenants, submit->tenant) == TENANTS_NONE)
        return why_set(why, ERR_FULL, "--tenant %s: %d tenants are known, which is the most", submit->tenant,
                       SCHED_TENANTS_MAX);
    enum err err = jobs_add(coordinator->jobs, coordinator->next_job, submit, clock_wall_us(), &record, why);
    if (err)
        return err;
    coordinator->next_job++;
    record->model_number = model;
    record->models_count = registry_numbers(coordinator->registry, submit, record->models);
    record_wait(record, peer, submit->request, record->number);
    if (ledger_job_add(coordinator, record) == ERR_OK)
        return ERR_OK;
    jobs_remove(coordinator->jobs, record->number);
    return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
}

static enum err rehearse(struct coordinator *coordinator, const struct message_submit *submit, wire_peer peer,
                         struct why *why)
{
    char *json;
    size_t size;
    enum err err = rehearsal_json(coordinator, submit, &json, &size, why);
    if (!err)
        reply_json(coordinator, peer, submit->request, json, size);
    return err;
}

/* What would have to be noted down, and would wait for room without an answer. */
static enum err check_disk(const struct coordinator *coordinator, struct why *why)
{
    if (!*coordinator->full)
        return ERR_OK;
    return why_set(
        why, ERR_FULL,
        "disk full on %.300s: nothing new is accepted until there is room; free some there, or remove jobs "
        "that are over with `motley job remove`",
        coordinator->full);
}

/* Of a full table no single tenant has more than half, so that the others can go on. */
static enum err check_share(const struct coordinator *coordinator, const char *tenant, wire_peer peer,
                            struct why *why)
{
    size_t open = 0, count = jobs_count(coordinator->jobs);
    const char *name = *tenant ? tenant : "default";
    if (count < TENANT_JOBS_OPEN_MAX || !access_viewer(coordinator, peer))
        return ERR_OK;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = jobs_at(coordinator->jobs, i);
        open += (record_open(record) || record->retrying) && strcmp(record->tenant, name) == 0;
    }
    return open < TENANT_JOBS_OPEN_MAX
               ? ERR_OK
               : why_set(why, ERR_FULL,
                         "tenant '%s' has %d open jobs, which is the most; wait for one to end", name,
                         TENANT_JOBS_OPEN_MAX);
}

void desk_submit(struct coordinator *coordinator, struct wire_in *in)
{
    struct message_submit mine = in->message->submit; /* but whose it is, its key says */
    const struct message_submit *submit = &mine;
    char tenant[KEYRING_TENANT_MAX];
    struct why why;
    enum err err = access_tenant(coordinator, in->peer, submit->tenant, tenant, &why);
    mine.tenant = tenant;
    struct record *same = err ? NULL : jobs_find_uuid(coordinator->jobs, submit->uuid);
    if (same && keyring_sees(access_viewer(coordinator, in->peer), same->tenant)) {
        answer_again(coordinator, same, in->peer, submit->request);
        return;
    }
    bool same_host = peers_find(coordinator->peers, in->peer)->same_host;
    if (!err && same)
        err = why_set(&why, ERR_REFUSED, "this job's identity is another one's; submit it anew");
    if (!err)
        err = submission_check(submit, coordinator->state_dir, same_host, coordinator->roots,
                               coordinator->jobs, &why);
    if (!err && !submit->dry_run)
        err = check_disk(coordinator, &why);
    if (!err)
        err = check_share(coordinator, submit->tenant, in->peer, &why);
    if (!err)
        err = submit->dry_run ? rehearse(coordinator, submit, in->peer, &why)
                              : accept_job(coordinator, submit, in->peer, &why);
    if (err)
        coordinator_reply(coordinator, in->peer, submit->request, err, why.text, 0);
}

static bool cancel_one(struct coordinator *coordinator, struct record *record)
{
    if (record->state == RECORD_FINISHING)
        return publication_cancel(coordinator, record);
    bool open = record->state == RECORD_QUEUED || record->state == RECORD_RUNNING;
    if (!open || record->closing)
        return false;
    coordinator_step(coordinator, &(struct sched_event){ .type = SCHED_JOB_CANCEL, .job = record->number });
    return record->closing == RECORD_CANCELLED;
}

/* Answered when the last one's end is durable, as the store reports in order. */
void desk_cancel(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_cancel *cancel = &in->message->cancel;
    struct selection selection;
    struct why why;
    enum err err = selection_init(&selection, coordinator->jobs, access_viewer(coordinator, in->peer),
                                  cancel->which, &why);
    if (err) {
        coordinator_reply(coordinator, in->peer, cancel->request, err, why.text, 0);
        return;
    }
    uint64_t cancelled = 0;
    struct record *last = NULL;
    for (size_t i = 0; i < selection.count; i++) {
        struct record *record = jobs_find(coordinator->jobs, selection.numbers[i]);
        if (!cancel_one(coordinator, record))
            continue;
        cancelled++;
        last = record;
    }
    selection_fini(&selection);
    if (!last || !record_wait(last, in->peer, cancel->request, cancelled))
        coordinator_reply(coordinator, in->peer, cancel->request, ERR_OK, "", cancelled);
}

static bool can_change(const struct record *record)
{
    bool open = record->state == RECORD_QUEUED || record->state == RECORD_RUNNING;
    return open && !record->closing && !record->failing && !record->completing;
}

/* A deadline from now on, as the record keeps it: counted from when the job was accepted. */
static uint64_t deadline_since(const struct record *record, uint64_t deadline_us)
{
    if (!deadline_us)
        return 0;
    int64_t since_us = clock_wall_us() - record->submitted_us + (int64_t)deadline_us;
    return since_us < 1 ? 1 : since_us > (int64_t)TIME_US_MAX ? TIME_US_MAX : (uint64_t)since_us;
}

static enum err change_one(struct coordinator *coordinator, struct record *record,
                           const struct message_change *change, const struct ledger_answer *answer)
{
    int32_t priority = change->what & CHANGE_PRIORITY ? change->priority : record->priority;
    uint64_t deadline_us =
        change->what & CHANGE_DEADLINE ? deadline_since(record, change->deadline_us) : record->deadline_us;
    return ledger_job_change(coordinator, record, priority, deadline_us, answer);
}

/* How many of them can be changed; *last is the last of those. */
static uint64_t changeable(const struct coordinator *coordinator, const struct selection *selection,
                           uint64_t *last)
{
    uint64_t count = 0;
    for (size_t i = 0; i < selection->count; i++) {
        if (!can_change(jobs_find(coordinator->jobs, selection->numbers[i])))
            continue;
        *last = selection->numbers[i];
        count++;
    }
    return count;
}

/* Answered when the last one's change is durable, as the store reports in order. */
void desk_change(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_change *change = &in->message->change;
    struct selection selection;
    struct why why = { "" };
    uint64_t last = 0;
    enum err err = selection_init(&selection, coordinator->jobs, access_viewer(coordinator, in->peer),
                                  change->which, &why);
    if (!err)
        err = check_disk(coordinator, &why);
    uint64_t count = err ? 0 : changeable(coordinator, &selection, &last);
    for (size_t i = 0; count && !err && i < selection.count; i++) {
        struct record *record = jobs_find(coordinator->jobs, selection.numbers[i]);
        struct ledger_answer answer = { in->peer, change->request, (uint32_t)count };
        if (can_change(record) &&
            (err = change_one(coordinator, record, change, record->number == last ? &answer : NULL)))
            why_set(&why, err, "the coordinator is out of memory");
    }
    selection_fini(&selection);
    if (err || !count)
        coordinator_reply(coordinator, in->peer, change->request, err, why.text, 0);
}

enum { CHANGED_AT_ONCE = 1000 };

static enum err retry_one(struct coordinator *coordinator, const struct record *record, wire_peer peer,
                          struct why *why)
{
    enum err err = retry_check(coordinator, record, why);
    return err || record->retrying ? err : check_share(coordinator, record->tenant, peer, why);
}

/* Answered when the last of them is open again durably, as the store reports in order. */
void desk_retry(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_retry *ask = &in->message->retry;
    struct selection selection;
    struct why why = { "" };
    struct record *last = NULL;
    uint64_t count = 0;
    enum err err =
        selection_init(&selection, coordinator->jobs, access_viewer(coordinator, in->peer), ask->which, &why);
    if (!err)
        err = check_disk(coordinator, &why);
    for (size_t i = 0; i < selection.count && !err && count < CHANGED_AT_ONCE; i++) {
        struct record *record = jobs_find(coordinator->jobs, selection.numbers[i]);
        enum err refused = retry_one(coordinator, record, in->peer, &why);
        if (refused && selection.several)
            continue;
        err = refused ? refused : retry_begin(coordinator, record, &why);
        last = record;
        count++;
    }
    selection_fini(&selection);
    if (err || !last || !record_wait(last, in->peer, ask->request, count))
        coordinator_reply(coordinator, in->peer, ask->request, err, why.text, count);
}

/* ---- removing ---- */

static void remove_jobs(struct coordinator *coordinator, const struct message_remove *ask, wire_peer peer)
{
    struct selection selection;
    struct why why = { "" };
    struct record *last = NULL;
    uint64_t count = 0;
    enum err err =
        selection_init(&selection, coordinator->jobs, access_viewer(coordinator, peer), ask->which, &why);
    for (size_t i = 0; i < selection.count && !err && count < CHANGED_AT_ONCE; i++) {
        struct record *record = jobs_find(coordinator->jobs, selection.numbers[i]);
        enum err refused = retention_check(record, &why);
        if (refused && selection.several)
            continue;
        err = refused ? refused : retention_remove(coordinator, record);
        last = record;
        count++;
    }
    selection_fini(&selection);
    if (err == ERR_MEMORY)
        why_set(&why, err, "the coordinator is out of memory");
    if (err || !last || !record_wait(last, peer, ask->request, count))
        coordinator_reply(coordinator, peer, ask->request, err, why.text, count);
}

static void remove_model(struct coordinator *coordinator, const struct message_remove *ask, wire_peer peer)
{
    const struct ledger_answer answer = { peer, ask->request, 1 };
    struct why why;
    enum err err = ERR_OK;
    if (registry_find(coordinator->registry, ask->which) == SIZE_MAX)
        err = why_set(&why, ERR_NOT_FOUND, "no such model: %s; `motley model list` shows those there are",
                      ask->which);
    else if ((err = check_disk(coordinator, &why)))
        log_debug("REMOVE-REFUSED", "%s", why.text);
    else if (ledger_model_drop(coordinator, ask->which, &answer))
        err = why_set(&why, ERR_MEMORY, "the coordinator is out of memory");
    if (err)
        coordinator_reply(coordinator, peer, ask->request, err, why.text, 0);
}

/* Answered when the last of them is gone durably, as the store reports in order. */
void desk_remove(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_remove *ask = &in->message->remove;
    if (ask->what == REMOVE_MODEL && access_viewer(coordinator, in->peer)) {
        coordinator_reply(coordinator, in->peer, ask->request, ERR_REFUSED,
                          "models are everybody's: removing one needs a key with the role admin", 0);
        return;
    }
    (ask->what == REMOVE_JOBS ? remove_jobs : remove_model)(coordinator, ask, in->peer);
}

void desk_view(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_view *ask = &in->message->view;
    struct view view = coordinator_view(coordinator);
    view.viewer = access_viewer(coordinator, in->peer);
    struct why why;
    char *json;
    size_t size;
    enum err err = view_json(&view, ask->what, ask->which, &json, &size, &why);
    if (err) {
        coordinator_reply(coordinator, in->peer, ask->request, err, why.text, 0);
        return;
    }
    reply_json(coordinator, in->peer, ask->request, json, size);
}

/* ---- workers ---- */

/* True if that changed anything. */
static bool drain_one(struct coordinator *coordinator, struct worker *worker, bool draining)
{
    if (worker->draining == draining)
        return false;
    worker->draining = draining;
    coordinator_step(coordinator, &(struct sched_event){ .type = draining ? SCHED_DRAIN : SCHED_UNDRAIN,
                                                         .worker = worker->number });
    floor_tell_draining(coordinator, worker);
    coordinator_note(coordinator, LOG_INFO, draining ? "WORKER-DRAINED" : "WORKER-RESUMED",
                     "worker %u (%s): %s", worker->number, worker->name,
                     draining ? "it gets no new work" : "it takes part again");
    return true;
}

/* One that said goodbye is over; one that was only lost may come back. */
static bool is_meant(const struct worker *worker, const char *which, const struct worker *found)
{
    bool named = worker == found || strcmp(which, "all") == 0 || strcmp(which, worker->name) == 0;
    return named && worker->state != ROSTER_LEFT;
}

void desk_drain(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_drain *drain = &in->message->drain;
    const struct worker *found = roster_find_word(coordinator->roster, drain->which);
    uint64_t meant = strcmp(drain->which, "all") == 0, changed = 0;
    struct why why;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < roster_count(coordinator->roster); i++) {
        struct worker *worker = roster_at(coordinator->roster, i);
        if (!is_meant(worker, drain->which, found))
            continue;
        meant++;
        changed += drain_one(coordinator, worker, !drain->resume);
    }
    if (!meant)
        err = why_set(&why, ERR_NOT_FOUND,
                      "no such worker here: %s; `motley worker list` shows those there are", drain->which);
    coordinator_reply(coordinator, in->peer, drain->request, err, why.text, changed);
}

/* ---- blobs and models ---- */

void desk_blob_find(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_blob_find *ask = &in->message->blob_find;
    uint64_t bytes = 0;
    peers_note_upload(coordinator->peers, peers_find(coordinator->peers, in->peer));
    bool found = clerk_blob_find(coordinator->state_dir, ask->blob, &bytes);
    if (found)
        clerk_blob_touch(coordinator->state_dir, ask->blob);
    if (found)
        coordinator_reply(coordinator, in->peer, ask->request, ERR_OK, "", bytes);
    else
        coordinator_reply(coordinator, in->peer, ask->request, ERR_NOT_FOUND, "it was not uploaded", 0);
}

static void close_frame(void *hint)
{
    zmq_msg_close(hint);
    free(hint);
}

static enum err post_piece(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_blob_put *put = &in->message->blob_put;
    struct clerk_command *command = clerk_command_new(CLERK_BLOB_PUT);
    zmq_msg_t *frame = malloc(sizeof *frame);
    if (!command || !frame) {
        if (command)
            clerk_command_free(&command);
        free(frame);
        return ERR_MEMORY;
    }
    wire_take(in, 0, frame);
    command->tag = put->request;
    command->peer = in->peer;
    memcpy(command->blob, put->blob, SHA256_BYTES);
    command->offset = put->offset;
    command->total = put->total;
    command->bytes = zmq_msg_data(frame);
    command->size = zmq_msg_size(frame);
    command->release = close_frame;
    command->hint = frame;
    clerk_post(coordinator->clerk, &command);
    return ERR_OK;
}

static enum err check_piece(const struct wire_in *in, const struct peer *peer, struct why *why)
{
    const struct message_blob_put *put = &in->message->blob_put;
    if (in->frames_count != 1)
        return why_set(why, ERR_FORMAT, "BLOB_PUT: %u payload frames where one is needed", in->frames_count);
    uint64_t size = zmq_msg_size(&in->frames[0]);
    if (size > PIECE_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "BLOB_PUT: a piece of %" PRIu64 " bytes; at most %d", size,
                       PIECE_BYTES_MAX);
    if (put->total > (uint64_t)MODEL_BYTES_MAX_GIB << 30 || put->offset > put->total ||
        size > put->total - put->offset)
        return why_set(why, ERR_LIMIT, "BLOB_PUT: past the end of the blob, or a blob over %d GiB",
                       MODEL_BYTES_MAX_GIB);
    if (peer->pieces == PIECES_IN_FLIGHT)
        return why_set(why, ERR_LIMIT, "BLOB_PUT: more than %d unanswered pieces", PIECES_IN_FLIGHT);
    return ERR_OK;
}

void desk_blob_put(struct coordinator *coordinator, struct wire_in *in)
{
    struct peer *peer = peers_find(coordinator->peers, in->peer);
    struct why why;
    uint64_t request = in->message->blob_put.request;
    peers_note_upload(coordinator->peers, peer);
    enum err err = check_piece(in, peer, &why);
    if (!err && (err = post_piece(coordinator, in)))
        why_set(&why, err, "the coordinator is out of memory");
    if (err)
        coordinator_reply(coordinator, in->peer, request, err, why.text, 0);
    else
        peer->pieces++;
}

void desk_blob_taken(struct coordinator *coordinator, struct clerk_event *event)
{
    struct peer *peer = peers_find(coordinator->peers, event->command->peer);
    if (!peer)
        return;
    if (peer->pieces)
        peer->pieces--;
    coordinator_reply(coordinator, peer->id, event->command->tag, event->err, event->why.text, event->total);
}

/* Others' jobs name models by name and version: what is behind one only an admin exchanges. */
static enum err check_model_replaced(const struct coordinator *coordinator,
                                     const struct message_model_add *model, wire_peer peer, struct why *why)
{
    if (!access_viewer(coordinator, peer))
        return ERR_OK;
    for (size_t i = 0; i < registry_count(coordinator->registry); i++) {
        const struct message_model_add *other = registry_at(coordinator->registry, i);
        if (strcmp(other->name, model->name) == 0 && strcmp(other->version, model->version) == 0 &&
            strcmp(other->format, model->format) == 0 &&
            precision_compare(other->precision, model->precision) == 0 &&
            memcmp(other->blob, model->blob, SHA256_BYTES) != 0)
            return why_set(why, ERR_REFUSED,
                           "model %.300s is registered with another file; give another --version, or ask an "
                           "admin",
                           model->name);
    }
    return ERR_OK;
}

void desk_model_add(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_model_add *model = &in->message->model_add;
    struct why why;
    uint64_t bytes;
    enum err err;
    if ((err = registry_check(coordinator->registry, model, &why)) ||
        (err = check_model_replaced(coordinator, model, in->peer, &why)) ||
        (err = check_disk(coordinator, &why)))
        coordinator_reply(coordinator, in->peer, model->request, err, why.text, 0);
    else if (!clerk_blob_find(coordinator->state_dir, model->blob, &bytes))
        coordinator_reply(coordinator, in->peer, model->request, ERR_NOT_FOUND,
                          "the model's file was not uploaded", 0);
    else {
        clerk_blob_touch(coordinator->state_dir, model->blob); /* nothing names it until it is journaled */
        if (ledger_model_add(coordinator, model, in->peer))
            coordinator_reply(coordinator, in->peer, model->request, ERR_MEMORY,
                              "the coordinator is out of memory", 0);
    }
}

/* ---- outputs ---- */

/* Always from the spool: what stands at the output's path may be another's by now, or gone. */
static enum err find_output(struct coordinator *coordinator, const struct message_output_get *get,
                            const struct keyring_entry *viewer, struct record **found, char *path, size_t max,
                            struct why *why)
{
    struct record *record = *found = jobs_find(coordinator->jobs, get->job);
    if (!record || !record_is_visible(record) || !keyring_sees(viewer, record->tenant))
        return why_set(why, ERR_NOT_FOUND, "no such job: %" PRIu64, get->job);
    if (record->output_kind == OUTPUT_NONE)
        return why_set(why, ERR_NOT_FOUND, "job %" PRIu64 " was submitted without an output", get->job);
    if (!record_has_answer(record))
        return why_set(why, ERR_REFUSED, "job %" PRIu64 " is %s: there is no whole answer%s", get->job,
                       record_state_name(record->state), record_open(record) ? " yet" : "");
    if (!handout_offers(record, get->file))
        return why_set(why, ERR_NOT_FOUND, "job %" PRIu64 " has its answer in another form than %s", get->job,
                       get->file);
    return clerk_published_path(coordinator->state_dir, get->job, get->file, path, max, why);
}

static enum err ask_output(struct coordinator *coordinator, const struct message_output_get *get,
                           struct peer *peer, struct why *why)
{
    char path[PATH_MAX_BYTES];
    struct record *record;
    if (peer->pieces == PIECES_IN_FLIGHT)
        return why_set(why, ERR_LIMIT, "OUTPUT_GET: more than %d unanswered", PIECES_IN_FLIGHT);
    enum err err =
        find_output(coordinator, get, access_viewer(coordinator, peer->id), &record, path, sizeof path, why);
    if (err)
        return err;
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch || !(fetch->path = strdup(path))) {
        fetch_free(&fetch);
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    }
    fetch->peer = peer->id;
    fetch->for_client = true;
    fetch->tag = get->request;
    fetch->offset = get->offset;
    fetch->length = get->length;
    peer->pieces++;
    handout_give(coordinator, record, get->file, &fetch);
    return ERR_OK;
}

void desk_output_get(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_output_get *get = &in->message->output_get;
    struct why why;
    enum err err = ask_output(coordinator, get, peers_find(coordinator->peers, in->peer), &why);
    if (err)
        coordinator_reply(coordinator, in->peer, get->request, err, why.text, 0);
}

void desk_piece(struct coordinator *coordinator, struct clerk_event *event, const struct fetch *fetch)
{
    struct peer *peer = peers_find(coordinator->peers, fetch->peer);
    if (!peer)
        return;
    if (peer->pieces)
        peer->pieces--;
    if (event->err) {
        coordinator_reply(coordinator, fetch->peer, fetch->tag, event->err, event->why.text, 0);
        return;
    }
    struct message message = { .type = MESSAGE_REPLY };
    message.reply = (struct message_reply){ .request = fetch->tag, .text = "", .number = event->total };
    struct wire_frame frame = { event->bytes, event->size, free_bytes, NULL };
    event->bytes = NULL;
    if (!coordinator_send_frames(coordinator, fetch->peer, &message, &frame, 1))
        log_debug("REPLY-LOST", "a client did not wait for its results");
}
