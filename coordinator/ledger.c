// SPDX-License-Identifier: Apache-2.0
#include "ledger.h"

#include "answer.h"
#include "clock.h"
#include "ensure.h"
#include "publication.h"
#include "recorder.h"
#include "retention.h"
#include "retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a crash may cost the report, against rows in the journal: a job of few slots is kept up to date, one
 * of many every second. */
static const uint64_t TALLY_SHARE_US = 20000;
static const uint64_t TALLY_MOST_US = 1000000;

/* Without memory for a record of what happened nothing may be acknowledged, which is the store's own
 * emergency too. */
static void out_of_memory(struct coordinator *coordinator, const char *what)
{
    log_error("STORE-BROKEN",
              "out of memory for %s; stopping before anything is acknowledged that is not kept", what);
    coordinator->broken = true;
}

static void post(struct coordinator *coordinator, struct store_op **op)
{
    store_post(coordinator->store, op);
}

/* ---- what is posted ---- */

enum err ledger_job_add(struct coordinator *coordinator, struct record *record)
{
    struct store_op *op = store_op_new(STORE_JOB_ADD);
    if (!op)
        return ERR_MEMORY;
    op->blob = malloc(record->spec_size);
    if (!op->blob) {
        store_op_free(&op);
        return ERR_MEMORY;
    }
    memcpy(op->blob, record->spec, record->spec_size);
    op->blob_size = record->spec_size;
    op->job = record->number;
    op->samples = record->samples;
    op->at_us = record->submitted_us;
    memcpy(op->uuid, record->uuid, UUID_BYTES);
    op->outputs_count = record->outputs_count;
    memcpy(op->outputs, record->outputs, record->outputs_count * sizeof op->outputs[0]);
    post(coordinator, &op);
    return ERR_OK;
}

enum err ledger_job_change(struct coordinator *coordinator, struct record *record, int32_t priority,
                           uint64_t deadline_us, const struct ledger_answer *answer)
{
    struct store_op *op = store_op_new(STORE_JOB_SPEC);
    if (!op ||
        jobs_changed_spec(coordinator->jobs, record, priority, deadline_us, &op->blob, &op->blob_size)) {
        if (op)
            store_op_free(&op);
        return ERR_MEMORY;
    }
    record->priority = priority;
    record->deadline_us = deadline_us;
    op->job = record->number;
    if (answer) {
        op->tag = answer->request;
        op->first = answer->peer; /* which a spec has no use for */
        op->count = answer->number;
    }
    post(coordinator, &op);
    return ERR_OK;
}

enum err ledger_model_add(struct coordinator *coordinator, const struct message_model_add *model,
                          wire_peer peer)
{
    struct store_op *op = store_op_new(STORE_MODEL_ADD);
    struct message message = { .type = MESSAGE_MODEL_ADD };
    char row[VERSION_MAX_BYTES + 2 * NAME_MAX_BYTES];
    message.model_add = *model;
    /* A row for each of its files. One that is only the version is of a time when a model had but one: it
     * comes first, and what replaced it afterwards. */
    snprintf(row, sizeof row, "%s/%s/%s", model->version, model->format, model->precision);
    bool ok = op && (op->text = strdup(model->name)) && (op->text2 = strdup(row)) &&
              message_encode(&message, &op->blob, &op->blob_size) == ERR_OK;
    if (!ok) {
        if (op)
            store_op_free(&op);
        return ERR_MEMORY;
    }
    op->tag = model->request;
    op->first = peer; /* which a model has no use for */
    post(coordinator, &op);
    return ERR_OK;
}

enum err ledger_model_drop(struct coordinator *coordinator, const char *which,
                           const struct ledger_answer *answer)
{
    struct store_op *op = store_op_new(STORE_MODEL_DROP);
    size_t name = strcspn(which, "@:");
    bool ok =
        op && (op->text = strndup(which, name)) && (!which[name] || (op->text2 = strdup(which + name + 1)));
    if (!ok) {
        if (op)
            store_op_free(&op);
        return ERR_MEMORY;
    }
    op->tag = answer->request;
    op->first = answer->peer; /* which a model has no use for */
    post(coordinator, &op);
    return ERR_OK;
}

void ledger_result(struct coordinator *coordinator, const struct sched_action *action)
{
    ENSURE(coordinator->answer && coordinator->answer->record->number == action->job);
    struct store_op *op = answer_op(coordinator->answer, coordinator->store, action->first, action->count);
    if (!op) {
        out_of_memory(coordinator, "a result");
        return;
    }
    op->tag = action->settle;
    post(coordinator, &op);
}

enum { FAILURE_FOUND_BY_STORE = 1 }; /* store_op.at_us of a FAILURE: which event its settling is */

static void post_failure(struct coordinator *coordinator, const struct store_op *about, const char *reason,
                         const char *worker, int64_t kind)
{
    struct store_op *op = store_op_new(STORE_FAILURE);
    if (!op || !(op->text = strdup(reason)) || !(op->text2 = strdup(worker))) {
        if (op)
            store_op_free(&op);
        out_of_memory(coordinator, "a failure");
        return;
    }
    op->job = about->job;
    op->first = about->first;
    op->count = about->count;
    op->tag = about->tag;
    op->at_us = kind;
    post(coordinator, &op);
}

void ledger_failure(struct coordinator *coordinator, const struct sched_action *action)
{
    ENSURE(coordinator->answer && coordinator->answer->record->number == action->job);
    struct store_op about = {
        .job = action->job, .first = action->first, .count = (uint32_t)action->count, .tag = action->settle
    };
    post_failure(coordinator, &about, coordinator->answer->reason.text, coordinator->answer->worker->name, 0);
}

static void post_mark(struct coordinator *coordinator, const struct record *record,
                      enum store_job_state state, const char *reason, int64_t at_us)
{
    struct store_op *op = store_op_new(STORE_JOB_MARK);
    if (!op || (reason && !(op->text = strdup(reason)))) {
        if (op)
            store_op_free(&op);
        out_of_memory(coordinator, "a job's state");
        return;
    }
    op->job = record->number;
    op->state = state;
    op->at_us = at_us;
    post(coordinator, &op);
}

/* Accounting may be lost: it is not worth stopping for. */
static void post_tally(struct coordinator *coordinator, uint64_t job, const char *key, uint8_t *value,
                       size_t size)
{
    struct store_op *op = store_op_new(STORE_TALLY);
    if (op)
        op->text = strdup(key);
    if (!op || !op->text) {
        if (op)
            store_op_free(&op);
        free(value);
        return;
    }
    op->job = job;
    op->blob = value;
    op->blob_size = size;
    post(coordinator, &op);
}

static void post_share(struct coordinator *coordinator, const struct record *record, struct share *share)
{
    struct tally tally;
    char key[SHARE_KEY_MAX];
    uint8_t *value;
    size_t size;
    share_tally(share, coordinator->sched, record->number, &tally);
    if (share_mark(&tally) == share->told || share_pack(share, &tally, &value, &size))
        return;
    share->told = share_mark(&tally);
    share_key(share, key);
    post_tally(coordinator, record->number, key, value, size);
}

static void post_summary(struct coordinator *coordinator, const struct record *record)
{
    struct summary summary;
    struct sched_job_look look;
    uint8_t *value = malloc(SUMMARY_BYTES_MAX);
    if (!value)
        return;
    record_summary(record, coordinator->sched, &summary, &look);
    uint32_t size = summary_pack(&summary, value);
    post_tally(coordinator, record->number, SUMMARY_KEY, value, size);
}

static void post_verification(struct coordinator *coordinator, struct record *record)
{
    uint64_t unchecked = verification_unchecked(record->verification,
                                                record->in_sched ? coordinator->sched : NULL, record->number);
    uint64_t told = verification_checked(record->verification) + unchecked;
    uint8_t *value;
    size_t size;
    if (told == record->verification_told ||
        verification_pack(record->verification, unchecked, &value, &size))
        return;
    record->verification_told = told;
    post_tally(coordinator, record->number, VERIFICATION_KEY, value, size);
}

static void post_accounts(struct coordinator *coordinator, struct record *record)
{
    record->told_us = coordinator->now_us;
    for (size_t i = 0; i < record->shares_count; i++)
        post_share(coordinator, record, &record->shares[i]);
    post_summary(coordinator, record);
    post_verification(coordinator, record);
}

static bool is_tally_due(const struct coordinator *coordinator, const struct record *record)
{
    uint64_t every_us = record->shares_count * TALLY_SHARE_US;
    return coordinator->now_us - record->told_us >= (every_us < TALLY_MOST_US ? every_us : TALLY_MOST_US);
}

void ledger_tallies(struct coordinator *coordinator)
{
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        struct record *record = jobs_at(coordinator->jobs, i);
        if (record->state == RECORD_RUNNING && !record->closing && is_tally_due(coordinator, record))
            post_accounts(coordinator, record);
    }
}

/* ---- a job's states ---- */

/* Now, but a clock that was set back must not let a job end before it began. */
static int64_t moment_after(const struct record *record)
{
    int64_t now_us = clock_wall_us(),
            last_us = record->started_us ? record->started_us : record->submitted_us;
    return now_us > last_us ? now_us : last_us;
}

void ledger_close(struct coordinator *coordinator, struct record *record, enum record_state end,
                  const char *reason)
{
    static const enum store_job_state states[] = { [RECORD_DONE] = STORE_JOB_DONE,
                                                   [RECORD_FAILED] = STORE_JOB_FAILED,
                                                   [RECORD_CANCELLED] = STORE_JOB_CANCELLED };
    if (record->closing)
        return;
    record->closing = end;
    if (!record->finished_us)
        record->finished_us = moment_after(record);
    if (reason && record_set_reason(record, reason))
        log_warn("MEMORY-SHORT", "job %llu ends without its reason being kept",
                 (unsigned long long)record->number);
    post_accounts(coordinator, record);
    post_mark(coordinator, record, states[end], reason, record->finished_us);
}

void ledger_schedule(struct coordinator *coordinator, struct record *record)
{
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    struct sched_event event;
    struct sched_job_look look;
    struct why why;
    if (coordinator_job_event(coordinator, spec, record->number, record->model_number, record->submitted_us,
                              &event, &why))
        log_warn("TENANT-UNKNOWN", "job %llu counts as the default tenant's: %s",
                 (unsigned long long)record->number, why.text);
    record->in_sched = true;
    record->due_us = event.add.deadline_us;
    coordinator_step(coordinator, &event);
    if (sched_job_look(coordinator->sched, record->number, &look))
        return;
    /* Only a requirement that an earlier version wrote and this one cannot read. */
    record->in_sched = false;
    ledger_close(coordinator, record, RECORD_FAILED, "its --require cannot be read by this version");
}

static void on_running(struct coordinator *coordinator, struct record *record)
{
    if (record->state != RECORD_QUEUED)
        return;
    record->state = RECORD_RUNNING;
    record->started_us = moment_after(record);
    record->told_us = coordinator->now_us;
    post_mark(coordinator, record, STORE_JOB_OPEN, NULL, record->started_us);
}

static void complete(struct coordinator *coordinator, struct record *record)
{
    record->state = RECORD_FINISHING;
    if (!record->finished_us)
        record->finished_us = moment_after(record);
    coordinator_forget(coordinator, record->number);
    post_accounts(coordinator, record);
    post_mark(coordinator, record, STORE_JOB_FINISHING, NULL, record->finished_us);
    publication_start(coordinator, record);
}

static void on_complete(struct coordinator *coordinator, struct record *record)
{
    if (record->comparing)
        record->completing = true;
    else
        complete(coordinator, record);
}

void ledger_compared(struct coordinator *coordinator, struct record *record)
{
    if (!record->completing || record->comparing)
        return;
    record->completing = false;
    complete(coordinator, record);
}

static void on_failed(struct coordinator *coordinator, struct record *record)
{
    struct sched_job_look look = { 0 };
    char reason[WHY_MAX];
    sched_job_look(coordinator->sched, record->number, &look);
    const char *last =
        record->failures_count ? record->failures[record->failures_count - 1].reason : "unknown";
    unsigned long long failed = look.failed, most = record->failures_max;
    snprintf(reason, sizeof reason, "%llu sample%s failed, where %llu may; the last one: %.400s", failed,
             failed == 1 ? "" : "s", most, last);
    coordinator_forget(coordinator, record->number);
    publication_fail(coordinator, record, reason);
}

static void on_cancelled(struct coordinator *coordinator, struct record *record)
{
    coordinator_forget(coordinator, record->number);
    ledger_close(coordinator, record, RECORD_CANCELLED, NULL);
}

static void on_queued(struct coordinator *coordinator, struct record *record)
{
    (void)coordinator;
    (void)record;
}

void ledger_job_state(struct coordinator *coordinator, const struct sched_action *action)
{
    static void (*const handlers[])(struct coordinator *, struct record *) = {
        [SCHED_JOB_QUEUED] = on_queued,       [SCHED_JOB_RUNNING] = on_running,
        [SCHED_JOB_COMPLETE] = on_complete,   [SCHED_JOB_FAILED] = on_failed,
        [SCHED_JOB_CANCELLED] = on_cancelled,
    };
    struct record *record = jobs_find(coordinator->jobs, action->job);
    ENSURE(record);
    handlers[action->state](coordinator, record);
}

/* ---- what became durable ---- */

typedef void op_done(struct coordinator *coordinator, struct store_event *event);

static void answer_waiters(struct coordinator *coordinator, struct record *record, enum err err,
                           const char *text)
{
    for (uint32_t i = 0; i < record->waiters_count; i++)
        coordinator_reply(coordinator, record->waiters[i].peer, record->waiters[i].request, err, text,
                          record->waiters[i].number);
    record->waiters_count = 0;
}

static void job_added(struct coordinator *coordinator, struct store_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->op->job);
    ENSURE(record);
    if (event->err) {
        coordinator_mention(coordinator, LOG_WARN, "JOB-REFUSED", "job %llu: %s",
                            (unsigned long long)record->number, event->why.text);
        answer_waiters(coordinator, record, event->err, event->why.text);
        jobs_remove(coordinator->jobs, record->number);
        return;
    }
    record->state = RECORD_QUEUED;
    coordinator_mention(coordinator, LOG_INFO, "JOB-ACCEPTED", "job %llu (%s): model %s, %llu samples",
                        (unsigned long long)record->number, record->name, record->model,
                        (unsigned long long)record->samples);
    answer_waiters(coordinator, record, ERR_OK, "");
    ledger_schedule(coordinator, record);
}

/* The scheduler is told both: a deadline that was not changed must be the one that it has. */
static void tell_change(struct coordinator *coordinator, struct record *record, bool other_deadline)
{
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    struct sched_event event = { .type = SCHED_JOB_CHANGE, .job = record->number };
    if (other_deadline)
        record->due_us = coordinator_deadline(coordinator, spec, record->submitted_us);
    event.change.priority = spec->priority;
    event.change.deadline_us = record->due_us;
    coordinator_mention(coordinator, LOG_INFO, "JOB-CHANGED", "job %llu (%s): priority %d, %s",
                        (unsigned long long)record->number, record->name, (int)spec->priority,
                        !other_deadline     ? "the deadline as it was"
                        : spec->deadline_us ? "another deadline"
                                            : "no deadline");
    coordinator_step(coordinator, &event);
}

static void spec_changed(struct coordinator *coordinator, struct store_event *event)
{
    struct store_op *op = event->op;
    struct record *record = jobs_find(coordinator->jobs, op->job);
    ENSURE(record);
    const struct message_submit *spec = jobs_spec(coordinator->jobs, record);
    uint64_t deadline_us = spec->deadline_us;
    if (event->err) {
        record->priority = spec->priority;
        record->deadline_us = deadline_us;
        log_error("CHANGE-NOT-KEPT", "job %llu: %s", (unsigned long long)op->job, event->why.text);
    } else {
        jobs_set_spec(coordinator->jobs, record, &op->blob, op->blob_size);
        bool other_deadline = jobs_spec(coordinator->jobs, record)->deadline_us != deadline_us;
        if (record->in_sched)
            tell_change(coordinator, record, other_deadline);
    }
    if (op->count)
        coordinator_reply(coordinator, op->first, op->tag, event->err, event->why.text, op->count);
}

static void tell_end(struct coordinator *coordinator, const struct record *record)
{
    static const char *const ids[] = {
        [RECORD_DONE] = "JOB-DONE", [RECORD_FAILED] = "JOB-FAILED", [RECORD_CANCELLED] = "JOB-CANCELLED"
    };
    coordinator_mention(coordinator, record->state == RECORD_FAILED ? LOG_WARN : LOG_INFO, ids[record->state],
                        "job %llu (%s): %llu of %llu samples done, %llu failed%s%s",
                        (unsigned long long)record->number, record->name, (unsigned long long)record->done,
                        (unsigned long long)record->samples, (unsigned long long)record->failed,
                        record->reason ? "; " : "", record->reason ? record->reason : "");
}

static void job_marked(struct coordinator *coordinator, struct store_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->op->job);
    ENSURE(record);
    bool last = event->op->state != STORE_JOB_OPEN && event->op->state != STORE_JOB_FINISHING;
    if (!last || !record->closing)
        return;
    record_settle(record, coordinator->sched);
    if (record->in_sched) {
        recorder_remove(coordinator->recorder, record->number);
        sched_job_remove(coordinator->sched, record->number);
    }
    record->in_sched = false;
    record->state = record->closing;
    if (!record_has_answer(record))
        record_drop_failures(record);
    tell_end(coordinator, record);
    answer_waiters(coordinator, record, ERR_OK, "");
    retention_ended(coordinator);
}

static void settle(struct coordinator *coordinator, const struct store_op *op, enum sched_event_type type)
{
    struct sched_event event = { .type = type, .job = op->job, .first = op->first, .count = op->count };
    event.stored.settle = (uint32_t)op->tag;
    coordinator_step(coordinator, &event);
}

/* Rows that the store cannot take are failed samples, and that too must be durable before it counts. The
 * worker may be gone by then; the roster remembers it. */
static void result_stored(struct coordinator *coordinator, struct store_event *event)
{
    const struct worker *worker = roster_at(coordinator->roster, event->op->worker);
    if (event->err && event->err != ERR_CANCELLED) /* of a cancelled job nobody wants them */
        post_failure(coordinator, event->op, event->why.text, worker ? worker->name : "",
                     FAILURE_FOUND_BY_STORE);
    else
        settle(coordinator, event->op, SCHED_STORED);
}

static void failure_stored(struct coordinator *coordinator, struct store_event *event)
{
    struct store_op *op = event->op;
    struct record *record = jobs_find(coordinator->jobs, op->job);
    if (event->err)
        log_error("FAILURE-NOT-KEPT", "job %llu, sample %llu: %s", (unsigned long long)op->job,
                  (unsigned long long)op->first, event->why.text);
    if (record && record->in_sched && record_add_failure(record, op->first, op->count, op->text, op->text2))
        log_warn("MEMORY-SHORT", "job %llu: a failure is missing from its error file",
                 (unsigned long long)op->job);
    settle(coordinator, op, op->at_us == FAILURE_FOUND_BY_STORE ? SCHED_UNSTORABLE : SCHED_STORED);
}

static void tally_stored(struct coordinator *coordinator, struct store_event *event)
{
    (void)coordinator;
    if (event->err)
        log_warn("TALLY-NOT-KEPT", "job %llu: %s", (unsigned long long)event->op->job, event->why.text);
}

static void model_added(struct coordinator *coordinator, struct store_event *event)
{
    struct why why = event->why;
    enum err err = event->err;
    if (!err)
        err = registry_restore(coordinator->registry, event->op->blob, event->op->blob_size, &why);
    if (!err)
        coordinator_mention(coordinator, LOG_INFO, "MODEL-ADDED", "model %s version %.*s", event->op->text,
                            (int)strcspn(event->op->text2, "/"), event->op->text2);
    coordinator_reply(coordinator, event->op->first, event->op->tag, err, why.text, 0);
}

static void model_dropped(struct coordinator *coordinator, struct store_event *event)
{
    char which[NAME_MAX_BYTES + VERSION_MAX_BYTES];
    struct store_op *op = event->op;
    size_t count = 0;
    snprintf(which, sizeof which, "%s%s%s", op->text, op->text2 ? "@" : "", op->text2 ? op->text2 : "");
    if (!event->err)
        count = registry_remove(coordinator->registry, which);
    if (count)
        coordinator_mention(coordinator, LOG_INFO, "MODEL-REMOVED", "model %s: %zu file%s", which, count,
                            count == 1 ? "" : "s");
    coordinator_reply(coordinator, op->first, op->tag, event->err, event->why.text, count);
}

static void job_retried(struct coordinator *coordinator, struct store_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->op->job);
    ENSURE(record);
    if (!retry_journaled(coordinator, record, event))
        answer_waiters(coordinator, record, event->err, event->why.text);
    else
        answer_waiters(coordinator, record, ERR_OK, "");
}

static void job_dropped(struct coordinator *coordinator, struct store_event *event)
{
    struct record *record = jobs_find(coordinator->jobs, event->op->job);
    ENSURE(record);
    retention_removed(coordinator, event);
    answer_waiters(coordinator, record, event->err, event->why.text);
    if (event->err)
        record->removing = false;
    else
        jobs_remove(coordinator->jobs, record->number);
}

static void on_done(struct coordinator *coordinator, struct store_event *event)
{
    static op_done *const handlers[] = {
        [STORE_JOB_ADD] = job_added,        [STORE_JOB_MARK] = job_marked,   [STORE_RESULT] = result_stored,
        [STORE_FAILURE] = failure_stored,   [STORE_TALLY] = tally_stored,    [STORE_MODEL_ADD] = model_added,
        [STORE_JOB_DROP] = job_dropped,     [STORE_JOB_RETRY] = job_retried, [STORE_JOB_SPEC] = spec_changed,
        [STORE_MODEL_DROP] = model_dropped,
    };
    handlers[event->op->type](coordinator, event);
    store_op_free(&event->op);
}

/* The store's sentence starts with the path: "/disk/journal.sqlite3: no room ...". */
static void keep_full_path(struct coordinator *coordinator, const char *text)
{
    const char *end = *text == '/' ? strstr(text, ": ") : NULL;
    if (end)
        snprintf(coordinator->full, sizeof coordinator->full, "%.*s", (int)(end - text), text);
    else
        snprintf(coordinator->full, sizeof coordinator->full, "%s", coordinator->state_dir);
}

static void on_full(struct coordinator *coordinator, struct store_event *event)
{
    keep_full_path(coordinator, event->why.text);
    coordinator_note(coordinator, LOG_ERROR, "STORE-FULL", "%s; work pauses until there is room",
                     event->why.text);
    coordinator_pace(coordinator);
}

static void on_resumed(struct coordinator *coordinator, struct store_event *event)
{
    (void)event;
    coordinator->full[0] = 0;
    coordinator_note(coordinator, LOG_INFO, "STORE-RESUMED", "there is room again; work goes on");
    coordinator_pace(coordinator);
}

static void on_broken(struct coordinator *coordinator, struct store_event *event)
{
    coordinator_note(coordinator, LOG_ERROR, "STORE-BROKEN", "%s; nothing more can be acknowledged",
                     event->why.text);
    coordinator->broken = true;
}

void ledger_event(struct coordinator *coordinator, struct store_event *event)
{
    static op_done *const handlers[] = { [STORE_DONE] = on_done,
                                         [STORE_FULL] = on_full,
                                         [STORE_RESUMED] = on_resumed,
                                         [STORE_BROKEN] = on_broken };
    handlers[event->type](coordinator, event);
}
