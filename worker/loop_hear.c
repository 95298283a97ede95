// SPDX-License-Identifier: Apache-2.0
#include "loop_state.h"

#include "clock.h"
#include "file.h"
#include "log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGES_PER_TURN = 256 };

/* ---- WELCOME ---- */

/* Only ever a nonce: what the coordinator names is not to lead us to a key, nor into a pipe that nobody
 * writes to. */
static bool is_nonce(const char *path)
{
    static const char name[] = "/nonce";
    struct stat status;
    size_t length = path != NULL ? strlen(path) : 0;
    return length >= sizeof name && path[0] == '/' && strcmp(path + length - (sizeof name - 1), name) == 0 &&
           lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* The nonce that only those who share the coordinator's storage can read; nothing if we do not. */
static void say_proof(struct loop *loop, const char *path)
{
    char *nonce = NULL;
    size_t size = 0;
    if (is_nonce(path) && file_read(path, NONCE_BYTES_MAX, &nonce, &size, NULL) != ERR_OK)
        size = 0;
    link_say(loop,
             &(struct message){ .type = MESSAGE_PROOF,
                                .proof = { .nonce = (const uint8_t *)nonce, .nonce_size = (uint32_t)size } });
    free(nonce);
}

static void on_welcome(struct loop *loop, const struct message *message)
{
    const struct message_welcome *welcome = &message->welcome;
    if (welcome->protocol < PROTOCOL_MIN || welcome->protocol > PROTOCOL_MAX) {
        link_lose(loop, "it speaks another version of the protocol");
        return;
    }
    loop->dialogue = DIALOGUE_SERVING;
    loop->told_waiting = true;
    loop->welcomed_us = clock_monotonic_us();
    loop->term = welcome->term;
    loop->session = welcome->session;
    loop->heartbeats = 0;
    loop->heartbeat_us = (uint64_t)welcome->heartbeat_ms * 1000;
    loop->silence_us = (uint64_t)welcome->silence_ms * 1000;
    loop->unsaid = 0;
    log_info("WORKER-CONNECTED", "%s as %s, %u slots, term %llu", loop->config.url,
             loop->config.hello->message.name, loop->slots_count, (unsigned long long)welcome->term);
    say_proof(loop, welcome->proof_path);
    act_feed(loop, &(struct agent_event){
                       .type = AGENT_CONNECTED, .term = welcome->term, .heartbeat_us = loop->heartbeat_us });
}

static void on_refused(struct loop *loop, const struct message *message)
{
    log_warn("WORKER-REFUSED", "%s: %s", loop->config.url,
             message->refused.text != NULL ? message->refused.text : "");
    link_lose(loop, "it refused us");
}

/* ---- work ---- */

static void add_job(struct loop *loop, const struct message_job *from)
{
    struct job *job = NULL;
    struct why why = { "too many jobs" };
    if (loop->jobs_count == AGENT_JOBS_MAX || job_new(from, &job, &why) != ERR_OK || job == NULL) {
        act_complain(loop, "JOB-IGNORED", "job %llu: %s", (unsigned long long)from->job, why.text);
        return;
    }
    if (job->broken)
        act_complain(loop, "INPUT-FAILED", "job %llu: %s", (unsigned long long)job->number, job->why.text);
    loop->jobs[loop->jobs_count++] = job;
    if (models_refer(&loop->models, from->model, from->model_bytes, &job->model, &job->model_why) != ERR_OK) {
        job->model = JOB_MODEL_NONE;
        return;
    }
    job->models = (uint64_t)1 << job->model;
    act_feed(loop, &(struct agent_event){ .type = AGENT_JOB,
                                          .job = job->number,
                                          .model = job->model,
                                          .row_bytes = job_fetched_bytes(job) });
}

static void forget_job(struct loop *loop, uint64_t number)
{
    struct job *job = act_find_job(loop, number);
    if (job == NULL || job->model != JOB_MODEL_NONE) { /* results may be left of a job that is not known */
        act_feed(loop, &(struct agent_event){ .type = AGENT_FORGET, .job = number });
        return;
    }
    uint32_t place = 0;
    while (loop->jobs[place] != job)
        place++;
    loop->jobs[place] = loop->jobs[--loop->jobs_count];
    job_unref(&job);
}

/* A job that we know under another content belongs to another coordinator's life: ours is over. */
static void on_jobs(struct loop *loop, const struct message *message)
{
    for (uint32_t i = 0; i < message->jobs.jobs_count; i++) {
        const struct message_job *from = &message->jobs.jobs[i];
        const struct job *known = act_find_job(loop, from->job);
        if (known != NULL && job_same(known, from))
            continue;
        forget_job(loop, from->job);
        add_job(loop, from);
    }
}

static void say_impossible(struct loop *loop, uint32_t slot, const struct job *job, const uint8_t *model,
                           const char *reason)
{
    act_complain(loop, "MODEL-FAILED", "job %llu: %s", (unsigned long long)job->number, reason);
    link_say(loop, &(struct message){ .type = MESSAGE_LOADED,
                                      .loaded = { .slot = slot, .model = model, .reason = reason } });
}

/* The number of the file that a LOAD or a PREFETCH names, which the job then refers to; of the job's model if
 * it names none. */
static enum err find_variant(struct loop *loop, struct job *job, const uint8_t *digest, uint64_t bytes,
                             uint32_t *number, struct why *why)
{
    static const uint8_t none[SHA256_BYTES];
    *number = job->model;
    if (memcmp(digest, none, SHA256_BYTES) == 0 || memcmp(digest, job->digest, SHA256_BYTES) == 0)
        return ERR_OK;
    enum err err = models_refer(&loop->models, digest, bytes, number, why);
    if (err != ERR_OK)
        return err;
    if (job->models >> *number & 1)
        models_unrefer(&loop->models, *number); /* once is enough */
    job->models |= (uint64_t)1 << *number;
    return ERR_OK;
}

static void on_load(struct loop *loop, const struct message *message)
{
    const struct message_load *load = &message->load;
    struct job *job = act_find_job(loop, load->job);
    struct why why;
    uint32_t model;
    if (job == NULL || load->slot >= loop->slots_count) {
        act_complain(loop, "MESSAGE-IGNORED", "LOAD of job %llu on slot %u: there is no such job or slot",
                     (unsigned long long)load->job, load->slot);
        return;
    }
    if (job->model == JOB_MODEL_NONE)
        say_impossible(loop, load->slot, job, job->digest, job->model_why.text);
    else if (find_variant(loop, job, load->model, load->model_bytes, &model, &why) != ERR_OK)
        say_impossible(loop, load->slot, job, load->model, why.text);
    else
        act_feed(loop, &(struct agent_event){ .type = AGENT_LOAD,
                                              .slot = load->slot,
                                              .job = load->job,
                                              .model = model,
                                              .other = model != job->model });
}

static void on_leases(struct loop *loop, const struct message *message)
{
    for (uint32_t i = 0; i < message->leases.leases_count; i++) {
        const struct message_lease *from = &message->leases.leases[i];
        struct agent_event event = { .type = AGENT_LEASE };
        event.lease = (struct agent_lease){ .slot = from->slot,
                                            .job = from->job,
                                            .first = from->first,
                                            .count = from->count,
                                            .term = from->term,
                                            .attempt = from->attempt };
        if (from->mac != NULL)
            memcpy(event.lease.mac, from->mac, sizeof event.lease.mac);
        act_feed(loop, &event);
    }
}

static void on_recall(struct loop *loop, const struct message *message)
{
    for (uint32_t i = 0; i < message->recall.attempts_count; i++)
        act_feed(loop, &(struct agent_event){ .type = AGENT_RECALL,
                                              .term = loop->term,
                                              .attempt = message->recall.attempts[i] });
}

static void on_acks(struct loop *loop, const struct message *message)
{
    for (uint32_t i = 0; i < message->acks.attempts_count; i++)
        act_feed(loop, &(struct agent_event){ .type = AGENT_ACK,
                                              .term = message->acks.term,
                                              .attempt = message->acks.attempts[i] });
}

static void on_forget(struct loop *loop, const struct message *message)
{
    for (uint32_t i = 0; i < message->forget.jobs_count; i++)
        forget_job(loop, message->forget.jobs[i]);
}

static void on_unload(struct loop *loop, const struct message *message)
{
    uint32_t model = models_find(&loop->models, message->unload.model);
    if (model < AGENT_MODELS_MAX)
        act_feed(loop,
                 &(struct agent_event){ .type = AGENT_UNLOAD, .slot = message->unload.slot, .model = model });
}

static void on_prefetch(struct loop *loop, const struct message *message)
{
    const struct message_prefetch *prefetch = &message->prefetch;
    struct job *job = act_find_job(loop, prefetch->job);
    struct why why;
    uint32_t model;
    if (job == NULL || job->model == JOB_MODEL_NONE ||
        find_variant(loop, job, prefetch->model, prefetch->model_bytes, &model, &why) != ERR_OK)
        return;
    act_feed(loop,
             &(struct agent_event){
                 .type = AGENT_PREFETCH, .job = job->number, .model = model, .other = model != job->model });
}

static void on_draining(struct loop *loop, const struct message *message)
{
    loop->config.hello->message.draining = message->draining.on;
    log_info("WORKER-DRAINING", message->draining.on ? "it is being drained" : "it takes part again");
}

/* ---- all ---- */

static void on_piece(struct loop *loop, const struct wire_in *in)
{
    struct piece piece;
    const struct message_piece *message = &in->message->piece;
    if (!pieces_answer(&loop->pieces, message->tag, &piece)) {
        act_complain(loop, "MESSAGE-IGNORED", "PIECE %llu: nothing was asked under this tag",
                     (unsigned long long)message->tag);
        return;
    }
    const void *bytes = in->frames_count == 1 ? zmq_msg_data(&in->frames[0]) : NULL;
    size_t size = in->frames_count == 1 ? zmq_msg_size(&in->frames[0]) : 0;
    if (!piece.unwanted)
        act_on_piece(loop, &piece, message, bytes, size);
}

static void hear(struct loop *loop, const struct wire_in *in)
{
    static void (*const HANDLERS[])(struct loop *, const struct message *) = {
        [MESSAGE_WELCOME] = on_welcome,   [MESSAGE_JOBS] = on_jobs,       [MESSAGE_LOAD] = on_load,
        [MESSAGE_LEASES] = on_leases,     [MESSAGE_RECALL] = on_recall,   [MESSAGE_ACKS] = on_acks,
        [MESSAGE_FORGET] = on_forget,     [MESSAGE_UNLOAD] = on_unload,   [MESSAGE_PREFETCH] = on_prefetch,
        [MESSAGE_DRAINING] = on_draining, [MESSAGE_REFUSED] = on_refused,
    };
    if (in->message == NULL) {
        act_complain(loop, "MESSAGE-IGNORED", "%s", in->why.text);
        return;
    }
    enum message_type type = in->message->type;
    if (!dialogue_allows(loop->dialogue, type)) {
        act_complain(loop, "MESSAGE-IGNORED", "%s makes no sense now (%s)", message_name(type),
                     dialogue_name(loop->dialogue));
        return;
    }
    if (type == MESSAGE_PIECE)
        on_piece(loop, in);
    else if ((size_t)type < sizeof HANDLERS / sizeof HANDLERS[0] && HANDLERS[type] != NULL)
        HANDLERS[type](loop, in->message);
}

void hear_all(struct loop *loop)
{
    struct wire_in in;
    for (int i = 0; i < MESSAGES_PER_TURN && !loop->lost && wire_receive(loop->wire, &in); i++) {
        loop->heard = true;
        loop->heard_us = clock_monotonic_us();
        loop->doubted_us = 0;
        hear(loop, &in);
    }
}
