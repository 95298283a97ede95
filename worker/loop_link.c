// SPDX-License-Identifier: Apache-2.0
#include "loop_state.h"

#include "clock.h"
#include "ensure.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t BACKOFF_FIRST_US = 50000, BACKOFF_LAST_US = 2000000;
static const uint64_t GREETING_US = 3000000; /* a WELCOME that takes longer does not come */
static const uint64_t STEADY_US = 1000000;   /* a connection that lasted this long was a good one */
static const uint64_t TELL_WAITING_US = 3000000;
static const uint64_t DOUBT_US = 200000;
enum { COPY_BYTES = 1024 }; /* smaller payloads are copied: cheaper than counting references */

/* ---- connecting ---- */

static void pause_before_connecting(struct loop *loop)
{
    /* Between half of it and all of it: workers that lost one coordinator do not all come back at the same
     * moment. */
    uint64_t pause_us = loop->backoff_us / 2 + rng_below(&loop->rng, loop->backoff_us / 2 + 1);
    loop->reconnect_us = clock_monotonic_us() + pause_us;
    loop->backoff_us = loop->backoff_us * 2 < BACKOFF_LAST_US ? loop->backoff_us * 2 : BACKOFF_LAST_US;
}

void link_open(struct loop *loop)
{
    struct why why;
    if (loop->wire != NULL || clock_monotonic_us() < loop->reconnect_us)
        return;
    if (loop->backoff_us == 0)
        loop->backoff_us = BACKOFF_FIRST_US;
    loop->dialogue = DIALOGUE_NEW;
    loop->lost = false;
    if (wire_connect(loop->context, loop->config.url, loop->config.keys, &loop->wire, &why) == ERR_OK)
        return;
    log_warn("WORKER-WAITING", "%s", why.text);
    pause_before_connecting(loop);
}

void link_lose(struct loop *loop, const char *reason)
{
    if (loop->lost || loop->wire == NULL)
        return;
    if (loop->dialogue == DIALOGUE_SERVING)
        log_warn("WORKER-DISCONNECTED", "%s: %s; %u attempts are kept, connecting again", loop->config.url,
                 reason, agent_held_count(loop->agent));
    else
        log_info("WORKER-WAITING", "%s: %s; trying again", loop->config.url, reason);
    loop->lost = true;
}

static void give_up(struct loop *loop)
{
    bool served = loop->dialogue == DIALOGUE_SERVING;
    if (served && clock_monotonic_us() - loop->welcomed_us > STEADY_US)
        loop->backoff_us = BACKOFF_FIRST_US;
    wire_free(&loop->wire);
    loop->dialogue = DIALOGUE_NEW;
    loop->lost = false;
    loop->returned.count = 0;
    loop->silence_us = loop->doubted_us = 0;
    for (uint32_t i = 0; i < loop->outgoing.count; i++)
        if (loop->outgoing.at[i] != NULL)
            loop->outgoing.at[i]->outgoing = false;
    loop->outgoing.count = 0;
    pieces_again(&loop->pieces);
    pause_before_connecting(loop);
    if (served)
        act_feed(loop, &(struct agent_event){ .type = AGENT_DISCONNECTED });
}

/* When the silence of the coordinator is to be looked at; see doubt. */
static uint64_t silence_due_us(const struct loop *loop)
{
    if (loop->silence_us == 0)
        return UINT64_MAX;
    return loop->doubted_us > 0 ? loop->doubted_us + DOUBT_US : loop->heard_us + loop->silence_us;
}

/* Looked at twice: a worker that was stopped itself has not yet been given what came meanwhile. */
static void doubt(struct loop *loop)
{
    char reason[64];
    uint64_t now_us = clock_monotonic_us();
    if (now_us < silence_due_us(loop))
        return;
    if (loop->doubted_us == 0) {
        loop->doubted_us = now_us;
        return;
    }
    snprintf(reason, sizeof reason, "nothing was heard for %.1f s", (double)(now_us - loop->heard_us) / 1e6);
    link_lose(loop, reason);
}

uint64_t link_deadline_us(const struct loop *loop)
{
    if (loop->wire == NULL)
        return loop->reconnect_us;
    if (loop->dialogue == DIALOGUE_GREETING_WORKER)
        return loop->greeted_us + GREETING_US;
    if (loop->dialogue == DIALOGUE_SERVING)
        return silence_due_us(loop);
    return loop->told_waiting ? UINT64_MAX : loop->started_us + TELL_WAITING_US;
}

/* ---- HELLO ---- */

struct attempts {
    struct agent_lease *leases;
    struct message_attempt *at;
    uint32_t count;
};

static void note_attempt(void *context, const struct agent_lease *lease, bool finished)
{
    struct attempts *attempts = context;
    struct agent_lease *kept = &attempts->leases[attempts->count];
    *kept = *lease;
    attempts->at[attempts->count++] = (struct message_attempt){ .job = lease->job,
                                                                .first = lease->first,
                                                                .count = lease->count,
                                                                .term = lease->term,
                                                                .attempt = lease->attempt,
                                                                .slot = lease->slot,
                                                                .mac = kept->mac,
                                                                .finished = finished };
}

void link_greet(struct loop *loop)
{
    uint32_t held = agent_held_count(loop->agent);
    struct attempts attempts = { .leases = calloc(held + 1u, sizeof(struct agent_lease)),
                                 .at = calloc(held + 1u, sizeof(struct message_attempt)) };
    if (attempts.leases != NULL && attempts.at != NULL)
        agent_held(loop->agent, note_attempt, &attempts);
    struct message message = { .type = MESSAGE_HELLO, .hello = loop->config.hello->message };
    message.hello.attempts = attempts.at;
    message.hello.attempts_count = attempts.count;
    loop->dialogue = DIALOGUE_GREETING_WORKER;
    loop->greeted_us = clock_monotonic_us();
    link_say(loop, &message);
    free(attempts.leases);
    free(attempts.at);
}

void link_bye(struct loop *loop)
{
    if (loop->wire != NULL && loop->dialogue == DIALOGUE_SERVING)
        link_say(loop, &(struct message){ .type = MESSAGE_BYE,
                                          .bye = { .reason = "the worker was asked to stop" } });
}

/* ---- sending ---- */

static void send_frames(struct loop *loop, const struct message *message, const struct wire_frame *frames,
                        uint32_t count)
{
    enum err err = wire_send(loop->wire, 0, message, frames, count);
    loop->said = loop->said || message->type != MESSAGE_HEARTBEAT;
    if (err != ERR_OK)
        link_lose(loop, err == ERR_MEMORY ? "no memory to send" : "the transport takes no more");
}

void link_say(struct loop *loop, const struct message *message)
{
    if (loop->wire != NULL && !loop->lost)
        send_frames(loop, message, NULL, 0);
}

void link_ask_pieces(struct loop *loop)
{
    struct piece piece;
    while (loop->dialogue == DIALOGUE_SERVING && !loop->lost && pieces_next(&loop->pieces, &piece)) {
        struct message message = { .type = MESSAGE_FETCH };
        message.fetch = (struct message_fetch){
            .tag = piece.tag, .kind = FETCH_MODEL, .offset = piece.offset, .length = piece.length
        };
        if (piece.work != NULL) {
            message.fetch.kind = FETCH_INPUT;
            message.fetch.job = piece.work->job->number;
            message.fetch.input = piece.input;
        } else {
            message.fetch.model = loop->models.at[piece.model].digest;
        }
        link_say(loop, &message);
    }
}

/* One RESULTS message in the making; two megabytes. */
struct batch {
    struct message_result results[RESULTS_MAX];
    struct message_shape shapes[PAYLOAD_FRAMES_MAX];
    struct wire_frame frames[PAYLOAD_FRAMES_MAX];
    uint8_t rows[RESULTS_MAX][ROWS_MAX_BYTES];
    uint32_t results_count, shapes_count, frames_count;
    uint64_t bytes;
};

static void add_shapes(struct batch *batch, struct message_result *result, const struct work *work)
{
    struct message_shape *shapes = &batch->shapes[batch->shapes_count];
    for (uint32_t i = 0; i < work->outputs_count; i++)
        shapes[i] = (struct message_shape){ (uint32_t)work->shapes[i].dtype, work->shapes[i].dims,
                                            work->shapes[i].dims_count };
    result->shapes = shapes;
    result->shapes_count = work->outputs_count;
    batch->shapes_count += work->outputs_count;
}

static void add_frame(struct batch *batch, struct output *output)
{
    struct wire_frame *frame = &batch->frames[batch->frames_count++];
    *frame = (struct wire_frame){ .bytes = output->bytes, .size = output->size };
    if (output->size <= COPY_BYTES)
        return;
    atomic_fetch_add(&output->refs, 1);
    frame->release = output_release;
    frame->hint = output;
}

/* Small answers travel in the body: a frame of its own costs each of them more than itself. */
static bool add_rows(struct batch *batch, struct message_result *result, const struct work *work)
{
    size_t size = 0;
    for (uint32_t i = 0; i < work->outputs_count; i++)
        size += work->outputs[i]->size < ROWS_MAX_BYTES ? work->outputs[i]->size : ROWS_MAX_BYTES + 1;
    if (size == 0 || size > ROWS_MAX_BYTES)
        return false;
    uint8_t *rows = batch->rows[batch->results_count - 1];
    for (uint32_t i = 0, at = 0; i < work->outputs_count; i++) {
        if (work->outputs[i]->size > 0)
            memcpy(rows + at, work->outputs[i]->bytes, work->outputs[i]->size);
        at += (uint32_t)work->outputs[i]->size;
    }
    result->rows = rows;
    result->rows_size = (uint32_t)size;
    result->frames = 0;
    return true;
}

static void add_result(struct batch *batch, const struct work *work)
{
    const struct agent_lease *lease = &work->lease;
    bool ok = work->status == RESULT_OK;
    struct message_result *result = &batch->results[batch->results_count++];
    *result = (struct message_result){
        .slot = lease->slot,
        .job = lease->job,
        .first = lease->first,
        .count = lease->count,
        .term = lease->term,
        .attempt = lease->attempt,
        .mac = lease->mac,
        .status = work->status,
        .reason = ok                     ? ""
                  : work->reason != NULL ? work->reason
                                         : "unknown",
        .wait_us = work->wait_us,
        .run_us = work->run_us,
        .energy_joules = work->energy_joules,
        .overrun = work->overrun,
        .frames = ok ? work->outputs_count : 0,
        .again = work->sent,
    };
    if (!ok)
        return;
    if (work->shapes != NULL)
        add_shapes(batch, result, work);
    if (add_rows(batch, result, work))
        return;
    for (uint32_t i = 0; i < work->outputs_count; i++)
        add_frame(batch, work->outputs[i]);
    batch->bytes += work_output_bytes(work);
}

static void send_batch(struct loop *loop, struct batch *batch)
{
    struct message message = { .type = MESSAGE_RESULTS,
                               .results = { .results = batch->results,
                                            .results_count = batch->results_count } };
    if (batch->results_count > 0)
        send_frames(loop, &message, batch->frames, batch->frames_count);
    batch->results_count = batch->shapes_count = batch->frames_count = 0;
    batch->bytes = 0;
}

/* Half of a message's bytes, so that its body and the largest of one result's outputs always fit besides. */
static bool batch_takes(const struct batch *batch, const struct work *work)
{
    return batch->results_count < RESULTS_MAX &&
           batch->frames_count + work->outputs_count <= PAYLOAD_FRAMES_MAX &&
           batch->shapes_count + work->outputs_count <= PAYLOAD_FRAMES_MAX &&
           (batch->results_count == 0 || batch->bytes + work_output_bytes(work) <= MESSAGE_BYTES_MAX / 2);
}

static void send_results(struct loop *loop)
{
    struct batch *batch = loop->batch != NULL ? loop->batch : (loop->batch = calloc(1, sizeof *loop->batch));
    if (batch == NULL) {
        link_lose(loop, "no memory to send");
        return;
    }
    for (uint32_t i = 0; i < loop->outgoing.count && !loop->lost; i++) {
        struct work *work = loop->outgoing.at[i];
        if (work == NULL)
            continue;
        if (!batch_takes(batch, work))
            send_batch(loop, batch);
        if (loop->lost)
            break;
        work->outgoing = false;
        add_result(batch, work);
        work->sent = true;
    }
    if (!loop->lost)
        send_batch(loop, batch);
}

static void send_returned(struct loop *loop)
{
    struct returned_list *returned = &loop->returned;
    for (uint32_t first = 0; first < returned->count; first += ATTEMPTS_MAX) {
        uint32_t left = returned->count - first;
        struct message message = { .type = MESSAGE_RETURNED,
                                   .returned = { &returned->at[first],
                                                 left < ATTEMPTS_MAX ? left : ATTEMPTS_MAX } };
        link_say(loop, &message);
    }
    returned->count = 0;
}

/* ---- the end of a turn
 * --------------------------------------------------------------------------------------------------- */

static void tell_waiting(struct loop *loop)
{
    if (loop->told_waiting || loop->dialogue == DIALOGUE_SERVING ||
        clock_monotonic_us() < loop->started_us + TELL_WAITING_US)
        return;
    log_info("WORKER-WAITING", "%s: no coordinator answers yet; trying again for ever", loop->config.url);
    loop->told_waiting = true;
}

/* A refused handshake is tried again and again, and told once. One that only breaks off may be a coordinator
 * that stops: that is told with the waiting. */
static void tell_refused(struct loop *loop)
{
    struct why why;
    if (loop->dialogue == DIALOGUE_SERVING)
        loop->told_refused = false;
    if (loop->wire == NULL || loop->told_refused || loop->dialogue != DIALOGUE_NEW)
        return;
    enum wire_refusal refusal = wire_refused(loop->wire, &why);
    bool may_stop = refusal == WIRE_CLOSED && clock_monotonic_us() < loop->started_us + TELL_WAITING_US;
    if (refusal == WIRE_NOT_REFUSED || may_stop)
        return;
    log_warn("WORKER-REFUSED", "%s", why.text);
    loop->told_refused = true;
}

void link_settle(struct loop *loop)
{
    if (loop->wire != NULL && loop->dialogue == DIALOGUE_SERVING && !loop->lost) {
        if (loop->outgoing.count > 0)
            send_results(loop);
        if (!loop->lost)
            loop->outgoing.count = 0;
        send_returned(loop);
        link_ask_pieces(loop);
        doubt(loop);
    }
    if (loop->dialogue == DIALOGUE_GREETING_WORKER && clock_monotonic_us() >= loop->greeted_us + GREETING_US)
        link_lose(loop, "no WELCOME came");
    tell_refused(loop);
    tell_waiting(loop);
    if (loop->lost)
        give_up(loop);
}
