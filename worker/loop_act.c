// SPDX-License-Identifier: Apache-2.0
#include "loop_state.h"

#include "clock.h"
#include "ensure.h"
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMPLAINTS_MAX = 50, EVENTS_PER_TURN = 1024, UNSAID_MAX = 8 };

_Static_assert((int)AGENT_POSTED_MAX + 1 + (int)AGENT_MODELS_MAX <= (int)EXECUTOR_QUEUE_MAX,
               "the agent's commands fit the executor's queue");
_Static_assert((int)AGENT_MODELS_MAX <= (int)EXECUTOR_MODELS_MAX,
               "the agent's model numbers are the executor's");

static const uint64_t GATHER_BYTES_MAX = 1ull << 30; /* fetched rows of one input of one lease */

void act_complain(struct loop *loop, const char *id, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    loop->complaints++;
    if (loop->complaints <= COMPLAINTS_MAX)
        log_warn(id, "%s%s", text,
                 loop->complaints == COMPLAINTS_MAX ? " (further lines like this are not shown)" : "");
    else
        log_debug(id, "%s", text);
}

struct job *act_find_job(const struct loop *loop, uint64_t number)
{
    for (uint32_t i = 0; i < loop->jobs_count; i++)
        if (loop->jobs[i]->number == number)
            return loop->jobs[i];
    return NULL;
}

static void feed_attempt(struct loop *loop, enum agent_event_type type, const struct work *work, bool ok)
{
    act_feed(loop, &(struct agent_event){
                       .type = type, .term = work->lease.term, .attempt = work->lease.attempt, .ok = ok });
}

/* ---- an emulated link
 * ---------------------------------------------------------------------------------------------------- */

/* When bytes sent now are there. */
static uint64_t link_due_us(struct link *link, uint64_t bytes)
{
    uint64_t now_us = clock_monotonic_us();
    if (link->us_per_byte <= 0 && link->half_rtt_us <= 0)
        return now_us;
    if (link->free_us < now_us)
        link->free_us = now_us;
    link->free_us += (uint64_t)((double)bytes * link->us_per_byte);
    return link->free_us + (uint64_t)link->half_rtt_us;
}

/* False: it is due now, or cannot be held back for want of memory. */
static bool hold_back(struct loop *loop, struct work *work, enum work_delayed what, uint64_t due_us)
{
    if (due_us <= clock_monotonic_us() || heap_reserve(&loop->delays, loop->works.count) != ERR_OK)
        return false;
    work->delayed = what;
    heap_set(&loop->delays, &work->delay, due_us);
    return true;
}

static void queue_result(struct loop *loop, struct work *work)
{
    struct result_list *list = &loop->outgoing;
    if (work->outgoing)
        return;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity > 0 ? list->capacity * 2 : 64;
        struct work **grown = realloc(list->at, capacity * sizeof(struct work *));
        ENSURE(grown != NULL);
        list->at = grown;
        list->capacity = capacity;
    }
    work->outgoing = true;
    list->at[list->count++] = work;
}

static struct work *work_of_delay(struct heap_item *item)
{
    return (struct work *)((char *)item - offsetof(struct work, delay));
}

void act_due(struct loop *loop, uint64_t now_us)
{
    struct heap_item *first;
    while ((first = heap_first(&loop->delays)) != NULL && first->key <= now_us) {
        struct work *work = work_of_delay(first);
        enum work_delayed what = work->delayed;
        heap_remove(&loop->delays, first);
        work->delayed = WORK_NOT_DELAYED;
        if (what == WORK_INPUT_DELAYED)
            feed_attempt(loop, AGENT_INPUT_READY, work, true);
        else if (loop->dialogue == DIALOGUE_SERVING)
            queue_result(loop, work);
    }
}

/* ---- models ---- */

/* What the log calls a model: the start of its digest. */
static const char *model_name(const struct model *model, char name[SHA256_HEX_MAX])
{
    if (model->built_in)
        return "synthetic";
    sha256_hex(model->digest, name);
    name[12] = 0;
    return name;
}

static void end_getting(struct loop *loop, uint32_t number, enum err err, const char *reason)
{
    struct model *model = &loop->models.at[number];
    pieces_forget_model(&loop->pieces, number);
    cache_fetch_free(&model->fetch);
    if (err != ERR_OK) {
        snprintf(model->reason, sizeof model->reason, "the model could not be fetched: %.400s", reason);
        act_complain(loop, "MODEL-FAILED", "%s", model->reason);
    }
    act_feed(loop, &(struct agent_event){ .type = AGENT_MODEL_READY, .model = number, .ok = err == ERR_OK });
    model->getting = false;
    models_settle(&loop->models, number);
}

/* Ask for the next pieces. */
static void ask_model(struct loop *loop, uint32_t number, uint32_t pieces)
{
    struct piece piece = { .model = number };
    while (pieces-- > 0 && cache_fetch_next(loop->models.at[number].fetch, &piece.offset, &piece.length))
        if (!pieces_add(&loop->pieces, &piece)) {
            end_getting(loop, number, ERR_MEMORY, "out of memory");
            return;
        }
}

static void do_get_model(struct loop *loop, const struct agent_action *action)
{
    struct why why;
    struct model *model = &loop->models.at[action->model];
    ENSURE(model->used);
    model->getting = true;
    if (model->built_in || cache_find(loop->cache, model->digest, model->bytes, model->path)) {
        end_getting(loop, action->model, ERR_OK, "");
        return;
    }
    enum err err = cache_fetch_new(loop->cache, model->digest, model->bytes, &model->fetch, &why);
    if (err == ERR_OK)
        ask_model(loop, action->model, PIECES_IN_FLIGHT);
    else
        end_getting(loop, action->model, err, why.text);
}

static enum err put_model_piece(struct loop *loop, const struct piece *piece,
                                const struct message_piece *message, const void *bytes, size_t size,
                                bool *whole, struct why *why)
{
    struct model *model = &loop->models.at[piece->model];
    *whole = false;
    if (!message->ok)
        return why_set(why, ERR_REFUSED, "%s",
                       message->reason != NULL ? message->reason : "the coordinator cannot read it");
    if (size != piece->length)
        return why_set(why, ERR_FORMAT, "a piece of %zu bytes came, %u were asked for", size, piece->length);
    enum err err = cache_fetch_put(model->fetch, piece->offset, bytes, size, whole, why);
    bool here = err == ERR_OK && cache_find(loop->cache, model->digest, model->bytes, model->path);
    if (*whole && !here)
        return why_set(why, ERR_FILE, "%s: it vanished", model->path);
    *whole = here; /* perhaps because another worker of this machine was faster */
    return err;
}

static void on_model_piece(struct loop *loop, const struct piece *piece, const struct message_piece *message,
                           const void *bytes, size_t size)
{
    bool whole;
    char name[SHA256_HEX_MAX];
    struct why why = { "" };
    if (loop->models.at[piece->model].fetch == NULL)
        return;
    enum err err = put_model_piece(loop, piece, message, bytes, size, &whole, &why);
    if (err == ERR_OK && whole)
        log_info("MODEL-FETCHED", "%s: %llu bytes, verified",
                 model_name(&loop->models.at[piece->model], name),
                 (unsigned long long)loop->models.at[piece->model].bytes);
    if (err != ERR_OK || whole)
        end_getting(loop, piece->model, err, why.text);
    else
        ask_model(loop, piece->model, 1);
}

static void do_load_model(struct loop *loop, const struct agent_action *action)
{
    struct model *model = &loop->models.at[action->model];
    model->loads_count++;
    executor_post(loop->executors[action->slot],
                  &(struct executor_command){ .type = EXECUTOR_LOAD,
                                              .model = action->model,
                                              .path = model->built_in ? NULL : model->path });
}

static void do_unload_model(struct loop *loop, const struct agent_action *action)
{
    char name[SHA256_HEX_MAX];
    executor_post(loop->executors[action->slot],
                  &(struct executor_command){ .type = EXECUTOR_UNLOAD, .model = action->model });
    log_info("MODEL-UNLOADED", "%s from slot %u", model_name(&loop->models.at[action->model], name),
             action->slot);
    models_set_unloaded(&loop->models, action->model, action->slot);
    loop->models.at[action->model].loads_count--;
    models_settle(&loop->models, action->model);
}

static void do_say_loaded(struct loop *loop, const struct agent_action *action)
{
    const struct model *model = &loop->models.at[action->model];
    const struct loaded *loaded = model->loaded[action->slot];
    struct message message = { .type = MESSAGE_LOADED };
    message.loaded = (struct message_loaded){
        .slot = action->slot, .model = model->digest, .ok = action->ok, .reason = ""
    };
    if (!action->ok)
        message.loaded.reason = model->reason;
    if (action->ok && loaded != NULL) {
        message.loaded.load_us = loaded->load_us;
        message.loaded.alpha_us = loaded->alpha_us;
        message.loaded.beta_us = loaded->beta_us;
        message.loaded.batch_fixed = loaded->signature.batch_fixed;
    }
    link_say(loop, &message);
}

/* The runtime names the file in our cache, which tells a user nothing: the sentence is about the model
 * anyway.
 */
static void without_path(const char *text, const char *path, char *reason, size_t max)
{
    size_t length = strlen(path), used = 0;
    if (length && strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    for (const char *at = text; *at && used + 3 < max;) {
        bool names_it = length && strncmp(at, path, length) == 0;
        used += (size_t)snprintf(reason + used, max - used, "%.*s", names_it ? 2 : 1, names_it ? "it" : at);
        at += names_it ? length : 1;
    }
    reason[used] = 0;
}

static void on_loaded(struct loop *loop, uint32_t slot, const struct executor_event *event)
{
    char name[SHA256_HEX_MAX];
    struct model *model = &loop->models.at[event->model];
    struct why why = event->why;
    bool measured = event->measure.samples > 0;
    struct loaded loaded = { .signature = event->signature,
                             .load_us = event->load_us,
                             .alpha_us =
                                 measured && event->measure.alpha_us > 0 ? event->measure.alpha_us : 0,
                             .beta_us = measured && event->measure.beta_us > 0 ? event->measure.beta_us : 0 };
    enum err err = event->err;
    if (err == ERR_OK)
        err = models_set_loaded(&loop->models, event->model, slot, &loaded, &why);
    if (err == ERR_OK) {
        log_info("MODEL-LOADED", "%s on slot %u in %.3f s", model_name(model, name), slot,
                 (double)event->load_us / 1e6);
    } else {
        without_path(why.text, model->path, model->reason, sizeof model->reason);
        act_complain(loop, "MODEL-FAILED", "%s on slot %u: %s", model_name(model, name), slot, why.text);
        model->loads_count--;
    }
    act_feed(loop,
             &(struct agent_event){
                 .type = AGENT_MODEL_LOADED, .slot = slot, .model = event->model, .ok = err == ERR_OK });
    models_settle(&loop->models, event->model);
}

/* ---- inputs ---- */

static void fail_input(struct loop *loop, struct work *work, enum err err, const char *reason)
{
    pieces_forget_work(&loop->pieces, work);
    act_complain(loop, "INPUT-FAILED", "job %llu, samples from %llu: %s", (unsigned long long)work->lease.job,
                 (unsigned long long)work->lease.first, reason);
    work_fail(work, err == ERR_MEMORY || err == ERR_LIMIT ? RESULT_MEMORY : RESULT_INPUT, reason);
    work_drop_input(work);
    feed_attempt(loop, AGENT_INPUT_READY, work, false);
}

static void input_came(struct loop *loop, struct work *work)
{
    for (uint32_t i = 0; i < work->job->inputs_count; i++)
        if (work->inputs[i] == NULL)
            return;
    if (!hold_back(loop, work, WORK_INPUT_DELAYED, work->input_due_us))
        feed_attempt(loop, AGENT_INPUT_READY, work, true);
}

static enum err begin_gather(struct loop *loop, struct work *work, uint32_t input, struct why *why)
{
    struct job *job = work->job;
    struct piece piece = { .work = work, .input = input };
    if (work->gathers == NULL)
        work->gathers = calloc(job->inputs_count, sizeof *work->gathers);
    if (work->gathers == NULL)
        return why_set(why, ERR_MEMORY, "no memory for inputs");
    struct gather *gather = &work->gathers[input];
    enum err err = gather_begin(gather, work->lease.first, work->lease.count, job->row_bytes[input],
                                GATHER_BYTES_MAX, why);
    if (err == ERR_OK && gather_whole(gather))
        work->inputs[input] = gather->bytes;
    while (err == ERR_OK && gather_next(gather, &piece.offset, &piece.length))
        if (!pieces_add(&loop->pieces, &piece))
            err = why_set(why, ERR_MEMORY, "no memory to fetch inputs");
    return err;
}

static enum err begin_inputs(struct loop *loop, struct work *work, struct why *why)
{
    struct job *job = work->job;
    const struct agent_lease *lease = &work->lease;
    if (job->broken)
        return why_set(why, ERR_FORMAT, "%s", job->why.text);
    if (lease->first > job->samples || lease->count > job->samples - lease->first)
        return why_set(why, ERR_FORMAT, "the lease has samples that the job has not");
    enum err err = job_check_sources(job, why);
    for (uint32_t i = 0; i < job->inputs_count && err == ERR_OK; i++) {
        if (job->sources[i] != NULL)
            work->inputs[i] = source_rows(job->sources[i], lease->first, lease->count);
        else
            err = begin_gather(loop, work, i, why);
    }
    return err;
}

static void do_get_input(struct loop *loop, const struct agent_action *action)
{
    struct why why;
    struct job *job = act_find_job(loop, action->job);
    struct work *work = job != NULL ? works_add(&loop->works, &action->lease, job) : NULL;
    if (work == NULL) {
        act_complain(loop, "INPUT-FAILED", "job %llu: out of memory", (unsigned long long)action->job);
        act_feed(loop, &(struct agent_event){
                           .type = AGENT_INPUT_READY, .term = action->term, .attempt = action->attempt });
        return;
    }
    work->model = action->model;
    work->received_us = clock_monotonic_us();
    work->input_due_us = link_due_us(&loop->down, job_row_bytes(job) * action->lease.count);
    enum err err = begin_inputs(loop, work, &why);
    if (err != ERR_OK)
        fail_input(loop, work, err, why.text);
    else
        input_came(loop, work);
}

static void on_input_piece(struct loop *loop, const struct piece *piece, const struct message_piece *message,
                           const void *bytes, size_t size)
{
    struct why why;
    struct work *work = piece->work;
    enum err err = ERR_OK;
    if (work->gathers == NULL)
        return;
    if (!message->ok)
        err = why_set(&why, ERR_FORMAT, "%s",
                      message->reason != NULL ? message->reason : "the coordinator cannot read it");
    else if (size != piece->length)
        err = why_set(&why, ERR_FORMAT, "a piece of %zu bytes came, %u were asked for", size, piece->length);
    else
        err = gather_put(&work->gathers[piece->input], piece->offset, bytes, size, &why);
    if (err != ERR_OK) {
        fail_input(loop, work, err, why.text);
    } else if (gather_whole(&work->gathers[piece->input])) {
        work->inputs[piece->input] = work->gathers[piece->input].bytes;
        input_came(loop, work);
    }
}

void act_on_piece(struct loop *loop, const struct piece *piece, const struct message_piece *message,
                  const void *bytes, size_t size)
{
    if (piece->work != NULL)
        on_input_piece(loop, piece, message, bytes, size);
    else
        on_model_piece(loop, piece, message, bytes, size);
}

/* ---- runs and results
 * ---------------------------------------------------------------------------------------------------- */

static void do_run(struct loop *loop, const struct agent_action *action)
{
    struct work *work = works_find(&loop->works, action->term, action->attempt);
    ENSURE(work != NULL);
    const struct loaded *loaded = loop->models.at[action->model].loaded[action->slot];
    ENSURE(loaded != NULL);
    struct job *job = work->job;
    const struct job_fit *fit = job_fit(job, action->model, &loaded->signature);
    if (fit == NULL || !fit->fits) {
        work_fail(work, fit == NULL ? RESULT_MEMORY : RESULT_FAILED,
                  fit == NULL ? "no memory for a job" : fit->why.text);
        feed_attempt(loop, AGENT_RAN, work, false);
        return;
    }
    struct executor_command command = {
        .type = EXECUTOR_RUN,
        .tag = (uint64_t)(uintptr_t)work,
        .model = action->model,
        .in = { .first = work->lease.first, .rows = work->lease.count, .specs = fit->specs }
    };
    for (uint32_t i = 0; i < job->inputs_count; i++)
        command.in.inputs[i] = work->inputs[fit->order[i]];
    executor_post(loop->executors[action->slot], &command);
}

static void do_unqueue(struct loop *loop, const struct agent_action *action)
{
    struct work *work = works_find(&loop->works, action->term, action->attempt);
    ENSURE(work != NULL);
    feed_attempt(loop, AGENT_RECALLED, work,
                 executor_recall(loop->executors[action->slot], (uint64_t)(uintptr_t)work));
}

/* The answer is in memory; what can still spoil it is its size, or a file that was changed while it was read.
 */
static void keep_result(struct work *work, struct executor_event *event)
{
    struct why why = event->why;
    enum err err = event->err;
    if (err == ERR_OK && job_check_sources(work->job, &why) != ERR_OK) {
        work_fail(work, RESULT_INPUT, why.text);
        return;
    }
    if (err == ERR_OK)
        err = work_take_outputs(work, &event->out, &why);
    if (err == ERR_MEMORY || (err == ERR_LIMIT && work->lease.count > 1))
        work_fail(work, RESULT_MEMORY, why.text);
    else if (err != ERR_OK)
        work_fail(work, RESULT_FAILED, why.text);
}

static void on_ran(struct loop *loop, uint32_t slot, struct executor_event *event)
{
    struct work *work = (struct work *)(uintptr_t)event->tag;
    work->wait_us = event->started_us > work->received_us ? event->started_us - work->received_us : 0;
    work->run_us = event->out.run_us;
    work->energy_joules = event->err == ERR_OK ? event->out.energy_joules : -1;
    work->overrun = event->out.overrun;
    keep_result(work, event);
    work_drop_input(work);
    log_debug("BATCH-RAN", "job %llu, samples %llu to %llu on slot %u: %.3f ms",
              (unsigned long long)work->lease.job, (unsigned long long)work->lease.first,
              (unsigned long long)(work->lease.first + work->lease.count - 1), slot,
              (double)work->run_us / 1000);
    if (work->status != RESULT_OK)
        act_complain(loop, "BATCH-FAILED", "job %llu, samples %llu to %llu on slot %u: %s",
                     (unsigned long long)work->lease.job, (unsigned long long)work->lease.first,
                     (unsigned long long)(work->lease.first + work->lease.count - 1), slot,
                     work->reason != NULL ? work->reason : "");
    struct agent_event ran = { .type = AGENT_RAN,
                               .term = work->lease.term,
                               .attempt = work->lease.attempt,
                               .ok = work->status == RESULT_OK,
                               .result_bytes = work_output_bytes(work) };
    act_feed(loop, &ran);
    work = works_find(&loop->works, ran.term, ran.attempt);
    if (work != NULL)
        spool_result(loop, work);
}

/* A result without a run (its model does not load) gets its reason here. */
static void do_send_result(struct loop *loop, const struct agent_action *action)
{
    struct work *work = works_find(&loop->works, action->term, action->attempt);
    if (work == NULL || work->delayed == WORK_RESULT_DELAYED)
        return;
    if (!action->ok)
        work_fail(work, RESULT_FAILED, loop->models.at[action->model].reason);
    if (!hold_back(loop, work, WORK_RESULT_DELAYED, link_due_us(&loop->up, work_output_bytes(work))))
        queue_result(loop, work);
}

static void do_send_returned(struct loop *loop, const struct agent_action *action)
{
    struct returned_list *list = &loop->returned;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity > 0 ? list->capacity * 2 : 64;
        uint64_t *grown = realloc(list->at, capacity * sizeof *grown);
        ENSURE(grown != NULL);
        list->at = grown;
        list->capacity = capacity;
    }
    list->at[list->count++] = action->attempt;
}

static void do_drop(struct loop *loop, const struct agent_action *action)
{
    struct work *work = works_find(&loop->works, action->term, action->attempt);
    if (work == NULL)
        return;
    heap_remove(&loop->delays, &work->delay);
    if (work->gathers != NULL)
        pieces_forget_work(&loop->pieces, work);
    for (uint32_t i = 0; work->outgoing && i < loop->outgoing.count; i++)
        if (loop->outgoing.at[i] == work)
            loop->outgoing.at[i] = NULL;
    spool_drop(loop, work);
    works_remove(&loop->works, &work);
}

static void do_drop_job(struct loop *loop, const struct agent_action *action)
{
    for (uint32_t i = 0; i < loop->jobs_count; i++) {
        struct job *job = loop->jobs[i];
        if (job->number != action->job)
            continue;
        loop->jobs[i] = loop->jobs[--loop->jobs_count];
        for (uint32_t model = 0; model < AGENT_MODELS_MAX; model++)
            if (job->models >> model & 1)
                models_unrefer(&loop->models, model);
        job_unref(&job);
        return;
    }
}

/* An emulated device's memory is not this machine's. 0 = unknown. */
static uint64_t memory_free_bytes(const struct loop *loop)
{
    return loop->config.member ? 0 : (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Anything that we say is a sign of life, and what it causes is one of the coordinator's. A long batch is to
 * be heard of, so that it can be told from a stuck one. */
static bool may_be_left_out(const struct loop *loop)
{
    uint64_t attempt, since_us, now_us = clock_monotonic_us();
    bool needed = !loop->said || !loop->heard || loop->unsaid >= UNSAID_MAX;
    for (uint32_t slot = 0; slot < loop->slots_count && !needed; slot++)
        needed =
            agent_running(loop->agent, slot, &attempt, &since_us) && now_us - since_us >= loop->heartbeat_us;
    return !needed;
}

static void do_heartbeat(struct loop *loop, const struct agent_action *action)
{
    (void)action;
    bool left_out = may_be_left_out(loop);
    loop->said = loop->heard = false;
    loop->unsaid = left_out ? loop->unsaid + 1 : 0;
    if (left_out)
        return;
    struct message_running running[SLOTS_MAX];
    struct message message = { .type = MESSAGE_HEARTBEAT };
    message.heartbeat.sequence = ++loop->heartbeats;
    message.heartbeat.running = running;
    message.heartbeat.memory_free_bytes = memory_free_bytes(loop);
    uint64_t now_us = clock_monotonic_us();
    for (uint32_t slot = 0; slot < loop->slots_count; slot++) {
        uint64_t attempt, since_us;
        if (agent_running(loop->agent, slot, &attempt, &since_us))
            running[message.heartbeat.running_count++] =
                (struct message_running){ slot, attempt, now_us - since_us };
    }
    link_say(loop, &message);
}

/* ---- the agent ---- */

static void do_action(struct loop *loop, const struct agent_action *action)
{
    static void (*const DO[])(struct loop *, const struct agent_action *) = {
        [AGENT_GET_MODEL] = do_get_model,
        [AGENT_LOAD_MODEL] = do_load_model,
        [AGENT_SAY_LOADED] = do_say_loaded,
        [AGENT_GET_INPUT] = do_get_input,
        [AGENT_RUN] = do_run,
        [AGENT_UNQUEUE] = do_unqueue,
        [AGENT_SEND_RESULT] = do_send_result,
        [AGENT_SEND_INPUT_FAILED] = do_send_result,
        [AGENT_SEND_RETURNED] = do_send_returned,
        [AGENT_DROP] = do_drop,
        [AGENT_DROP_JOB] = do_drop_job,
        [AGENT_UNLOAD_MODEL] = do_unload_model,
        [AGENT_HEARTBEAT] = do_heartbeat,
    };
    DO[action->type](loop, action);
}

static void push_event(struct event_queue *queue, const struct agent_event *event)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity > 0 ? queue->capacity * 2 : 256;
        struct agent_event *grown = malloc(capacity * sizeof *grown);
        ENSURE(grown != NULL);
        for (size_t i = 0; i < queue->count; i++)
            grown[i] = queue->at[(queue->first + i) % queue->capacity];
        free(queue->at);
        *queue = (struct event_queue){ .at = grown, .count = queue->count, .capacity = capacity };
    }
    queue->at[(queue->first + queue->count++) % queue->capacity] = *event;
}

static struct agent_event pop_event(struct event_queue *queue)
{
    struct agent_event event = queue->at[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return event;
}

/* An action may at once cause an event (a mapped input is ready when it is asked for), which then waits for
 * its turn: the agent's actions are done in the order that it gave them. */
void act_feed(struct loop *loop, const struct agent_event *event)
{
    push_event(&loop->events, event);
    if (loop->feeding)
        return;
    loop->feeding = true;
    while (loop->events.count > 0) {
        struct agent_event next = pop_event(&loop->events);
        agent_step(loop->agent, clock_monotonic_us(), &next, &loop->actions);
        for (size_t i = 0; i < loop->actions.count; i++)
            do_action(loop, &loop->actions.at[i]);
    }
    loop->feeding = false;
}

/* ---- executors ---- */

void act_executor(struct loop *loop, uint32_t slot)
{
    struct executor_event *event;
    for (int i = 0; i < EVENTS_PER_TURN && executor_receive(loop->executors[slot], &event); i++) {
        switch (event->type) {
        case EXECUTOR_LOADED: on_loaded(loop, slot, event); break;
        case EXECUTOR_STARTED:
            feed_attempt(loop, AGENT_STARTED, (struct work *)(uintptr_t)event->tag, true);
            break;
        case EXECUTOR_RAN: on_ran(loop, slot, event); break;
        case EXECUTOR_OPENED:
        case EXECUTOR_UNLOADED: break;
        }
        executor_event_free(&event);
    }
}
