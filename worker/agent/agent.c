// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "ensure.h"
#include "held.h"

#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = AGENT_MODELS_MAX, MODELS_IDLE_MAX = 4 }; /* idle: loaded without a job, kept warm */

enum blob_state { BLOB_ABSENT = 0, BLOB_GETTING, BLOB_READY };

/* A model on a slot. */
enum load_state { LOAD_NONE = 0, LOAD_WANTED, LOAD_LOADING, LOAD_LOADED, LOAD_FAILED };

struct model {
    enum blob_state blob;
    uint32_t jobs_count; /* jobs that use it */
    uint64_t idle_since; /* order in which models lost their last job */
};

struct slot {
    struct held_queue ready;
    uint32_t posted_count; /* given to the executor and not ended: POSTED and RUNNING */
    struct held *running;
    uint64_t running_since_us;
    bool loading; /* one load at a time, so that the executor's queue stays bounded */
    uint8_t loads[MODELS_MAX];
};

struct job {
    uint64_t job, row_bytes;
    uint32_t model;
    uint64_t uses; /* bits of the models that LOAD and JOB named */
    uint8_t *on;   /* per slot: the model that its leases there run */
};

_Static_assert(AGENT_MODELS_MAX <= 64, "a job's models are bits of a number");

struct agent {
    struct agent_config config;
    bool connected;
    uint64_t term, now_us, heartbeat_us, heartbeat_due_us;
    struct held_table table;
    struct held_queue inputs; /* WAITING, in order of receipt */
    uint64_t charged_bytes;   /* sum of all entries' charged */
    uint64_t results_bytes;   /* sum of all entries' result_bytes */
    uint32_t unwanted_count;
    uint32_t jobs_count, jobs_capacity;
    struct job *jobs; /* ascending */
    struct model models[MODELS_MAX];
    uint64_t idle_clock;
    struct agent_actions *out; /* during a step */
    struct agent_action *late; /* actions that did not fit: a ring */
    size_t late_first, late_count, late_capacity;
    struct slot slots[];
};

struct agent *agent_new(const struct agent_config *config)
{
    ENSURE(config->heartbeat_us > 0);
    struct agent *agent = calloc(1, sizeof *agent + config->slots_count * sizeof agent->slots[0]);
    if (agent == NULL)
        return NULL;
    agent->config = *config;
    agent->heartbeat_us = config->heartbeat_us;
    agent->heartbeat_due_us = UINT64_MAX;
    held_table_init(&agent->table);
    return agent;
}

void agent_free(struct agent **agent)
{
    if (*agent == NULL)
        return;
    held_table_fini(&(*agent)->table);
    for (uint32_t i = 0; i < (*agent)->jobs_count; i++)
        free((*agent)->jobs[i].on);
    free((*agent)->jobs);
    free((*agent)->late);
    free(*agent);
    *agent = NULL;
}

/* ---- actions ---- */

/* A few kilobytes without which no promise can be kept: there is nothing better to do than to stop. */
static void grow_late(struct agent *agent)
{
    size_t capacity = agent->late_capacity ? agent->late_capacity * 2 : 64;
    struct agent_action *late = malloc(capacity * sizeof *late);
    ENSURE(late != NULL);
    for (size_t i = 0; i < agent->late_count; i++)
        late[i] = agent->late[(agent->late_first + i) % agent->late_capacity];
    free(agent->late);
    agent->late = late;
    agent->late_first = 0;
    agent->late_capacity = capacity;
}

static void emit(struct agent *agent, const struct agent_action *action)
{
    if (agent->late_count == 0 && agent->out->count < AGENT_ACTIONS_MAX) {
        agent->out->at[agent->out->count++] = *action;
        return;
    }
    if (agent->late_count == agent->late_capacity)
        grow_late(agent);
    agent->late[(agent->late_first + agent->late_count++) % agent->late_capacity] = *action;
}

static void drain_late(struct agent *agent)
{
    while (agent->late_count > 0 && agent->out->count < AGENT_ACTIONS_MAX) {
        agent->out->at[agent->out->count++] = agent->late[agent->late_first];
        agent->late_first = (agent->late_first + 1) % agent->late_capacity;
        agent->late_count--;
    }
}

static bool is_send(enum agent_action_type type)
{
    return type == AGENT_SEND_RESULT || type == AGENT_SEND_INPUT_FAILED || type == AGENT_SEND_RETURNED ||
           type == AGENT_SAY_LOADED || type == AGENT_HEARTBEAT;
}

/* What was to be said on a connection that is gone is either said again after the next CONNECTED or no longer
 * true. */
static void discard_sends(struct agent *agent)
{
    size_t kept = 0;
    for (size_t i = 0; i < agent->late_count; i++) {
        const struct agent_action *action = &agent->late[(agent->late_first + i) % agent->late_capacity];
        if (!is_send(action->type))
            agent->late[(agent->late_first + kept++) % agent->late_capacity] = *action;
    }
    agent->late_count = kept;
}

static void emit_lease(struct agent *agent, enum agent_action_type type, const struct held *held)
{
    emit(agent, &(struct agent_action){ .type = type,
                                        .slot = held->lease.slot,
                                        .model = held->model,
                                        .job = held->lease.job,
                                        .term = held->lease.term,
                                        .attempt = held->lease.attempt,
                                        .ok = held->ok,
                                        .lease = held->lease });
}

/* ---- jobs and models
 * --------------------------------------------------------------------------------------------------- */

/* The place of job in the ascending table, or where it would be. */
static uint32_t job_place(const struct agent *agent, uint64_t job)
{
    uint32_t low = 0, high = agent->jobs_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (agent->jobs[middle].job < job)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct job *job_find(const struct agent *agent, uint64_t job)
{
    uint32_t place = job_place(agent, job);
    return place < agent->jobs_count && agent->jobs[place].job == job ? &agent->jobs[place] : NULL;
}

/* Any job of the model, for LOADED; 0 if there is none. */
static uint64_t job_of_model(const struct agent *agent, uint32_t model)
{
    for (uint32_t i = 0; i < agent->jobs_count; i++)
        if (agent->jobs[i].uses >> model & 1)
            return agent->jobs[i].job;
    return 0;
}

static uint32_t model_meant(const struct job *job, const struct agent_event *event)
{
    return event->other ? event->model : job->model;
}

static void use_model(struct agent *agent, struct job *job, uint32_t model)
{
    uint64_t bit = (uint64_t)1 << model;
    agent->models[model].jobs_count += !(job->uses & bit);
    job->uses |= bit;
}

static void say_loaded(struct agent *agent, uint32_t slot, uint32_t model, bool ok)
{
    if (agent->connected)
        emit(agent, &(struct agent_action){ .type = AGENT_SAY_LOADED,
                                            .slot = slot,
                                            .model = model,
                                            .ok = ok,
                                            .job = job_of_model(agent, model) });
}

static bool is_loaded_somewhere(const struct agent *agent, uint32_t model)
{
    for (uint32_t slot = 0; slot < agent->config.slots_count; slot++)
        if (agent->slots[slot].loads[model] == LOAD_LOADED)
            return true;
    return false;
}

static void unload_everywhere(struct agent *agent, uint32_t model)
{
    for (uint32_t slot = 0; slot < agent->config.slots_count; slot++) {
        if (agent->slots[slot].loads[model] != LOAD_LOADED)
            continue;
        agent->slots[slot].loads[model] = LOAD_NONE;
        emit(agent, &(struct agent_action){ .type = AGENT_UNLOAD_MODEL, .slot = slot, .model = model });
    }
}

/* Unload the models that lost their jobs longest ago, so that few stay warm and a number stays free for the
 * next one. */
static void trim_models(struct agent *agent)
{
    for (;;) {
        uint32_t busy = 0, idle = 0, oldest = MODELS_MAX;
        for (uint32_t model = 0; model < MODELS_MAX; model++) {
            busy += agent->models[model].jobs_count > 0;
            if (agent->models[model].jobs_count > 0 || !is_loaded_somewhere(agent, model))
                continue;
            idle++;
            if (oldest == MODELS_MAX || agent->models[model].idle_since < agent->models[oldest].idle_since)
                oldest = model;
        }
        if (idle == 0 || (idle <= MODELS_IDLE_MAX && idle + busy < MODELS_MAX))
            return;
        unload_everywhere(agent, oldest);
    }
}

/* The model's last job went: what was only wished for is forgotten, what is loaded stays warm for a while. */
static void retire_model(struct agent *agent, uint32_t model)
{
    struct model *retired = &agent->models[model];
    retired->idle_since = ++agent->idle_clock;
    if (retired->blob == BLOB_READY)
        retired->blob = BLOB_ABSENT;
    for (uint32_t slot = 0; slot < agent->config.slots_count; slot++) {
        uint8_t *load = &agent->slots[slot].loads[model];
        if (*load == LOAD_WANTED || *load == LOAD_FAILED)
            *load = LOAD_NONE;
    }
    trim_models(agent);
}

static void start_load(struct agent *agent, uint32_t slot)
{
    struct slot *loader = &agent->slots[slot];
    for (uint32_t model = 0; model < MODELS_MAX && !loader->loading; model++) {
        if (loader->loads[model] != LOAD_WANTED || agent->models[model].blob != BLOB_READY)
            continue;
        loader->loads[model] = LOAD_LOADING;
        loader->loading = true;
        emit(agent,
             &(struct agent_action){
                 .type = AGENT_LOAD_MODEL, .slot = slot, .model = model, .job = job_of_model(agent, model) });
    }
}

static void want_blob(struct agent *agent, const struct job *job, uint32_t number)
{
    struct model *model = &agent->models[number];
    if (model->blob != BLOB_ABSENT)
        return;
    model->blob = BLOB_GETTING;
    emit(agent, &(struct agent_action){ .type = AGENT_GET_MODEL, .model = number, .job = job->job });
}

static void want_model(struct agent *agent, uint32_t slot, const struct job *job)
{
    agent->slots[slot].loads[job->on[slot]] = LOAD_WANTED;
    want_blob(agent, job, job->on[slot]);
    start_load(agent, slot);
}

/* ---- leases ---- */

static void uncharge(struct agent *agent, struct held *held)
{
    agent->charged_bytes -= held->charged;
    held->charged = 0;
}

static void drop(struct agent *agent, struct held *held)
{
    uncharge(agent, held);
    if (held->state == HELD_WAITING)
        held_unlink(&agent->inputs, held);
    if (held->state == HELD_READY)
        held_unlink(&agent->slots[held->lease.slot].ready, held);
    if (held->unwanted)
        agent->unwanted_count--;
    agent->results_bytes -= held->result_bytes;
    emit_lease(agent, AGENT_DROP, held);
    held_remove(&agent->table, held);
}

static void send_finished(struct agent *agent, const struct held *held)
{
    if (agent->connected)
        emit_lease(agent, held->input_failed ? AGENT_SEND_INPUT_FAILED : AGENT_SEND_RESULT, held);
}

static void finish(struct agent *agent, struct held *held, bool ok)
{
    uncharge(agent, held);
    held->state = HELD_FINISHED;
    held->recalled = false;
    held->ok = ok;
    send_finished(agent, held);
}

/* Ask for inputs in order of receipt, within the credit; one lease may always pass it, or nothing larger
 * would ever run. */
static void pump_inputs(struct agent *agent)
{
    struct held *held;
    while ((held = agent->inputs.first) != NULL) {
        uint64_t credit = agent->config.credit_bytes;
        bool fits = agent->charged_bytes <= credit && held->bytes <= credit - agent->charged_bytes;
        if (!fits && agent->charged_bytes > 0)
            return;
        held_unlink(&agent->inputs, held);
        held->state = HELD_FETCHING;
        held->charged = held->bytes;
        agent->charged_bytes += held->bytes;
        emit_lease(agent, AGENT_GET_INPUT, held);
    }
}

static bool results_full(const struct agent *agent)
{
    return agent->config.results_bytes_max > 0 && agent->results_bytes > agent->config.results_bytes_max;
}

/* Give the executor what can run; what waits for a model does not hold up what can run. */
static void pump_slot(struct agent *agent, uint32_t slot)
{
    struct slot *runner = &agent->slots[slot];
    bool full = results_full(agent);
    for (struct held *held = runner->ready.first, *next; held != NULL; held = next) {
        next = held->queue_after;
        uint8_t load = runner->loads[held->model];
        if (load == LOAD_LOADED && !full && runner->posted_count < AGENT_POSTED_MAX) {
            held_unlink(&runner->ready, held);
            held->state = HELD_POSTED;
            runner->posted_count++;
            emit_lease(agent, AGENT_RUN, held);
        } else if (load == LOAD_FAILED) {
            held_unlink(&runner->ready, held);
            finish(agent, held, false);
        }
    }
}

static void pump(struct agent *agent, uint32_t slot)
{
    pump_slot(agent, slot);
    pump_inputs(agent);
}

static void unqueue(struct agent *agent, struct held *held)
{
    if (!held->unqueueing)
        emit_lease(agent, AGENT_UNQUEUE, held);
    held->unqueueing = true;
}

/* Nobody wants this lease any more. What the executor has is dropped when it lets go. */
static void let_go(struct agent *agent, struct held *held)
{
    bool in_executor = held->state == HELD_POSTED || held->state == HELD_RUNNING;
    if (!in_executor) {
        drop(agent, held);
        return;
    }
    agent->unwanted_count += !held->unwanted;
    held->unwanted = true;
    if (held->state == HELD_POSTED)
        unqueue(agent, held);
}

static void give_back(struct agent *agent, struct held *held)
{
    if (agent->connected)
        emit_lease(agent, AGENT_SEND_RETURNED, held);
    drop(agent, held);
}

/* ---- events ---- */

static void on_tick(struct agent *agent)
{
    if (!agent->connected || agent->now_us < agent->heartbeat_due_us)
        return;
    agent->heartbeat_due_us = agent->now_us + agent->heartbeat_us;
    emit(agent, &(struct agent_action){ .type = AGENT_HEARTBEAT });
}

/* A recall dies with its connection: the coordinator took everything back when it lost us, and is offered
 * what we hold anew. */
static void on_disconnected(struct agent *agent)
{
    agent->connected = false;
    agent->heartbeat_due_us = UINT64_MAX;
    discard_sends(agent);
    for (struct held *held = agent->table.oldest; held != NULL; held = held->newer)
        held->recalled = false;
}

static bool reserve_job(struct agent *agent)
{
    if (agent->jobs_count < agent->jobs_capacity)
        return true;
    uint32_t capacity = agent->jobs_capacity ? agent->jobs_capacity * 2 : 4;
    struct job *jobs = realloc(agent->jobs, capacity * sizeof *jobs);
    if (jobs == NULL)
        return false;
    agent->jobs = jobs;
    agent->jobs_capacity = capacity;
    return true;
}

static void on_job(struct agent *agent, const struct agent_event *event)
{
    if (event->model >= MODELS_MAX || job_find(agent, event->job) != NULL)
        return;
    if (agent->jobs_count == AGENT_JOBS_MAX || !reserve_job(agent))
        return;
    uint8_t *on = malloc(agent->config.slots_count + 1);
    if (on == NULL)
        return;
    memset(on, (int)event->model, agent->config.slots_count + 1);
    uint32_t place = job_place(agent, event->job);
    memmove(&agent->jobs[place + 1], &agent->jobs[place],
            (agent->jobs_count - place) * sizeof agent->jobs[0]);
    agent->jobs[place] =
        (struct job){ .job = event->job, .row_bytes = event->row_bytes, .model = event->model, .on = on };
    agent->jobs_count++;
    use_model(agent, &agent->jobs[place], event->model);
}

static void on_load(struct agent *agent, const struct agent_event *event)
{
    struct job *job = job_find(agent, event->job);
    uint32_t model = job != NULL ? model_meant(job, event) : MODELS_MAX;
    if (model >= MODELS_MAX || event->slot >= agent->config.slots_count)
        return;
    use_model(agent, job, model);
    job->on[event->slot] = (uint8_t)model;
    uint8_t load = agent->slots[event->slot].loads[model];
    if (load == LOAD_LOADED)
        say_loaded(agent, event->slot, model, true);
    if (load == LOAD_NONE || load == LOAD_FAILED)
        want_model(agent, event->slot, job);
}

static void fail_load(struct agent *agent, uint32_t slot, uint32_t model)
{
    agent->slots[slot].loads[model] = LOAD_FAILED;
    say_loaded(agent, slot, model, false);
    pump(agent, slot);
}

static void on_model_ready(struct agent *agent, const struct agent_event *event)
{
    if (event->model >= MODELS_MAX || agent->models[event->model].blob != BLOB_GETTING)
        return;
    struct model *model = &agent->models[event->model];
    model->blob = event->ok && model->jobs_count > 0 ? BLOB_READY : BLOB_ABSENT;
    for (uint32_t slot = 0; slot < agent->config.slots_count; slot++) {
        if (agent->slots[slot].loads[event->model] != LOAD_WANTED)
            continue;
        if (model->blob == BLOB_READY)
            start_load(agent, slot);
        else
            fail_load(agent, slot, event->model);
    }
}

static void on_model_loaded(struct agent *agent, const struct agent_event *event)
{
    if (event->slot >= agent->config.slots_count || event->model >= MODELS_MAX)
        return;
    struct slot *slot = &agent->slots[event->slot];
    if (slot->loads[event->model] != LOAD_LOADING)
        return;
    slot->loading = false;
    slot->loads[event->model] = event->ok ? LOAD_LOADED : LOAD_NONE;
    if (agent->models[event->model].jobs_count == 0) {
        trim_models(agent);
    } else if (event->ok) {
        say_loaded(agent, event->slot, event->model, true);
        pump(agent, event->slot);
    } else {
        fail_load(agent, event->slot, event->model);
    }
    start_load(agent, event->slot);
}

/* A lease that makes no sense here (an unknown job, a full table) is given back, so that its samples do not
 * wait for us. */
static void refuse_lease(struct agent *agent, const struct agent_lease *lease)
{
    emit(agent, &(struct agent_action){ .type = AGENT_SEND_RETURNED,
                                        .slot = lease->slot,
                                        .job = lease->job,
                                        .term = lease->term,
                                        .attempt = lease->attempt,
                                        .lease = *lease });
}

static void on_lease(struct agent *agent, const struct agent_event *event)
{
    const struct agent_lease *lease = &event->lease;
    if (!agent->connected || lease->term != agent->term ||
        held_find(&agent->table, lease->term, lease->attempt) != NULL)
        return;
    const struct job *job = job_find(agent, lease->job);
    bool sensible = job != NULL && lease->slot < agent->config.slots_count && lease->count > 0;
    struct held *held = sensible ? held_add(&agent->table, lease) : NULL;
    if (held == NULL) {
        refuse_lease(agent, lease);
        return;
    }
    held->model = job->on[lease->slot];
    held->bytes = job->row_bytes > UINT64_MAX / lease->count ? UINT64_MAX : job->row_bytes * lease->count;
    held_push(&agent->inputs, held);
    if (agent->slots[lease->slot].loads[held->model] == LOAD_NONE)
        want_model(agent, lease->slot, job);
    pump_inputs(agent);
}

static void on_input_ready(struct agent *agent, struct held *held, bool ok)
{
    if (held->state != HELD_FETCHING)
        return;
    if (ok) {
        held->state = HELD_READY;
        held_push(&agent->slots[held->lease.slot].ready, held);
    } else {
        held->input_failed = true;
        finish(agent, held, false);
    }
    pump(agent, held->lease.slot);
}

static void on_started(struct agent *agent, struct held *held)
{
    struct slot *slot = &agent->slots[held->lease.slot];
    if (held->state != HELD_POSTED || slot->running != NULL)
        return;
    held->state = HELD_RUNNING;
    slot->running = held;
    slot->running_since_us = agent->now_us;
}

static void on_ran(struct agent *agent, struct held *held, const struct agent_event *event)
{
    if (held->state != HELD_POSTED && held->state != HELD_RUNNING)
        return;
    uint32_t slot = held->lease.slot;
    agent->slots[slot].posted_count--;
    if (agent->slots[slot].running == held)
        agent->slots[slot].running = NULL;
    if (held->unwanted) {
        held->state = HELD_FINISHED;
        drop(agent, held);
    } else {
        held->result_bytes = event->result_bytes;
        agent->results_bytes += held->result_bytes;
        finish(agent, held, event->ok);
    }
    pump(agent, slot);
}

static void on_recall(struct agent *agent, struct held *held)
{
    if (!agent->connected)
        return;
    if (held->state == HELD_POSTED && !held->unwanted) {
        held->recalled = true;
        unqueue(agent, held);
    } else if (held->state < HELD_POSTED) {
        give_back(agent, held);
        pump_inputs(agent);
    }
}

static void on_recalled(struct agent *agent, struct held *held, bool ok)
{
    if (!held->unqueueing)
        return;
    held->unqueueing = false;
    if (!ok || held->state != HELD_POSTED) {
        held->recalled = false;
        return;
    }
    uint32_t slot = held->lease.slot;
    agent->slots[slot].posted_count--;
    held->state = HELD_READY;
    held_push(&agent->slots[slot].ready, held);
    if (held->unwanted)
        drop(agent, held);
    else if (held->recalled)
        give_back(agent, held);
    pump(agent, slot);
}

/* Results went: what was held up by them may run. */
static void run_on(struct agent *agent, bool was_full)
{
    for (uint32_t slot = 0; was_full && !results_full(agent) && slot < agent->config.slots_count; slot++)
        pump_slot(agent, slot);
    pump_inputs(agent);
}

static void on_ack(struct agent *agent, struct held *held)
{
    bool was_full = results_full(agent);
    let_go(agent, held);
    run_on(agent, was_full);
}

static void on_forget(struct agent *agent, uint64_t number)
{
    bool was_full = results_full(agent);
    for (struct held *held = agent->table.oldest, *next; held != NULL; held = next) {
        next = held->newer;
        if (held->lease.job == number)
            let_go(agent, held);
    }
    struct job *job = job_find(agent, number);
    if (job == NULL)
        return;
    uint64_t uses = job->uses;
    uint32_t place = (uint32_t)(job - agent->jobs);
    free(job->on);
    agent->jobs_count--;
    memmove(job, job + 1, (agent->jobs_count - place) * sizeof *job);
    emit(agent, &(struct agent_action){ .type = AGENT_DROP_JOB, .job = number });
    for (uint32_t model = 0; model < MODELS_MAX; model++)
        if ((uses >> model & 1) && --agent->models[model].jobs_count == 0)
            retire_model(agent, model);
    run_on(agent, was_full);
}

/* Held there and not run yet: without its model it would wait for ever. */
static bool awaits_model(const struct agent *agent, uint32_t slot, uint32_t model)
{
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer)
        if (held->lease.slot == slot && held->model == model && held->state < HELD_FINISHED)
            return true;
    return false;
}

static void on_unload(struct agent *agent, const struct agent_event *event)
{
    if (event->slot >= agent->config.slots_count || event->model >= MODELS_MAX)
        return;
    uint8_t *load = &agent->slots[event->slot].loads[event->model];
    if (*load != LOAD_LOADED || awaits_model(agent, event->slot, event->model))
        return;
    *load = LOAD_NONE;
    emit(agent,
         &(struct agent_action){ .type = AGENT_UNLOAD_MODEL, .slot = event->slot, .model = event->model });
}

static void on_prefetch(struct agent *agent, const struct agent_event *event)
{
    struct job *job = job_find(agent, event->job);
    uint32_t model = job != NULL ? model_meant(job, event) : MODELS_MAX;
    if (model >= MODELS_MAX)
        return;
    use_model(agent, job, model);
    want_blob(agent, job, model);
}

static bool holds_any(const struct agent *agent, uint64_t job)
{
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer)
        if (held->lease.job == job)
            return true;
    return false;
}

static void on_adopt(struct agent *agent, const struct agent_lease *lease)
{
    if (held_find(&agent->table, lease->term, lease->attempt) != NULL)
        return;
    bool sensible = lease->slot < agent->config.slots_count && lease->count > 0;
    struct held *held = sensible ? held_add(&agent->table, lease) : NULL;
    if (held == NULL) {
        emit(agent, &(struct agent_action){ .type = AGENT_DROP,
                                            .slot = lease->slot,
                                            .job = lease->job,
                                            .term = lease->term,
                                            .attempt = lease->attempt,
                                            .lease = *lease });
        return;
    }
    held->state = HELD_FINISHED;
    held->ok = held->adopted = true;
    send_finished(agent, held);
}

/* A coordinator that began anew does not know which jobs it told us of, and would never tell us to forget
 * them. It tells us again of those that it still wants. */
static void forget_idle_jobs(struct agent *agent)
{
    for (uint32_t i = agent->jobs_count; i > 0; i--)
        if (!holds_any(agent, agent->jobs[i - 1].job))
            on_forget(agent, agent->jobs[i - 1].job);
}

static void on_connected(struct agent *agent, const struct agent_event *event)
{
    bool anew = event->term != agent->term;
    on_disconnected(agent);
    agent->connected = true;
    agent->term = event->term;
    agent->heartbeat_us = event->heartbeat_us > 0 ? event->heartbeat_us : agent->config.heartbeat_us;
    agent->heartbeat_due_us = agent->now_us + agent->heartbeat_us;
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer)
        if (held->state == HELD_FINISHED)
            send_finished(agent, held);
    if (anew)
        forget_idle_jobs(agent);
}

/* Events that name a lease we hold; any other name is late or nonsense, and changes nothing. */
static void on_attempt(struct agent *agent, const struct agent_event *event)
{
    struct held *held = held_find(&agent->table, event->term, event->attempt);
    if (held == NULL)
        return;
    switch (event->type) {
    case AGENT_INPUT_READY: on_input_ready(agent, held, event->ok); break;
    case AGENT_STARTED: on_started(agent, held); break;
    case AGENT_RAN: on_ran(agent, held, event); break;
    case AGENT_RECALL: on_recall(agent, held); break;
    case AGENT_RECALLED: on_recalled(agent, held, event->ok); break;
    default: on_ack(agent, held);
    }
}

void agent_step(struct agent *agent, uint64_t now_us, const struct agent_event *event,
                struct agent_actions *out)
{
    ENSURE(now_us >= agent->now_us);
    agent->now_us = now_us;
    agent->out = out;
    out->count = 0;
    drain_late(agent);
    switch (event->type) {
    case AGENT_TICK: on_tick(agent); break;
    case AGENT_CONNECTED: on_connected(agent, event); break;
    case AGENT_DISCONNECTED: on_disconnected(agent); break;
    case AGENT_JOB: on_job(agent, event); break;
    case AGENT_LOAD: on_load(agent, event); break;
    case AGENT_MODEL_READY: on_model_ready(agent, event); break;
    case AGENT_MODEL_LOADED: on_model_loaded(agent, event); break;
    case AGENT_LEASE: on_lease(agent, event); break;
    case AGENT_FORGET: on_forget(agent, event->job); break;
    case AGENT_UNLOAD: on_unload(agent, event); break;
    case AGENT_PREFETCH: on_prefetch(agent, event); break;
    case AGENT_ADOPT: on_adopt(agent, &event->lease); break;
    default: on_attempt(agent, event);
    }
    agent->out = NULL;
}

uint64_t agent_deadline_us(const struct agent *agent)
{
    return agent->late_count > 0 ? agent->now_us : agent->heartbeat_due_us;
}

/* ---- looks ---- */

void agent_held(const struct agent *agent,
                void (*visit)(void *context, const struct agent_lease *lease, bool finished), void *context)
{
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer)
        if (!held->unwanted)
            visit(context, &held->lease, held->state == HELD_FINISHED);
}

uint32_t agent_held_count(const struct agent *agent) { return agent->table.count - agent->unwanted_count; }

bool agent_running(const struct agent *agent, uint32_t slot, uint64_t *attempt, uint64_t *since_us)
{
    ENSURE(slot < agent->config.slots_count);
    const struct held *running = agent->slots[slot].running;
    if (running == NULL)
        return false;
    *attempt = running->lease.attempt;
    *since_us = agent->slots[slot].running_since_us;
    return true;
}

static void check_queue(const struct held_queue *queue, enum held_state state)
{
    uint32_t count = 0;
    const struct held *before = NULL;
    for (const struct held *held = queue->first; held != NULL; held = held->queue_after) {
        ENSURE(held->state == state && held->queue_before == before);
        before = held;
        count++;
    }
    ENSURE(queue->last == before && queue->count == count);
}

static void check_held(const struct agent *agent, const struct held *held)
{
    ENSURE(held->lease.slot < agent->config.slots_count && held->lease.count > 0);
    ENSURE(held->charged == 0 || held->charged == held->bytes);
    ENSURE((held->state != HELD_WAITING && held->state != HELD_FINISHED) || held->charged == 0);
    ENSURE(!held->recalled || (held->state < HELD_FINISHED && agent->connected));
    ENSURE(!held->unwanted || held->state == HELD_POSTED || held->state == HELD_RUNNING);
    ENSURE(held->unwanted || held->adopted || job_find(agent, held->lease.job) != NULL);
    ENSURE(held->result_bytes == 0 || held->state == HELD_FINISHED);
    ENSURE(held->state != HELD_RUNNING || agent->slots[held->lease.slot].running == held);
}

struct sums {
    uint32_t waiting, unwanted;
    uint64_t charged, results;
};

static void check_slot(const struct agent *agent, uint32_t number)
{
    const struct slot *slot = &agent->slots[number];
    uint32_t ready = 0, posted = 0, loading = 0;
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer) {
        if (held->lease.slot != number)
            continue;
        ready += held->state == HELD_READY;
        posted += held->state == HELD_POSTED || held->state == HELD_RUNNING;
    }
    check_queue(&slot->ready, HELD_READY);
    ENSURE(slot->ready.count == ready && slot->posted_count == posted && posted <= AGENT_POSTED_MAX);
    ENSURE(slot->running == NULL || slot->running->state == HELD_RUNNING);
    for (uint32_t model = 0; model < MODELS_MAX; model++) {
        loading += slot->loads[model] == LOAD_LOADING;
        bool idle = agent->models[model].jobs_count == 0;
        ENSURE(!idle || (slot->loads[model] != LOAD_WANTED && slot->loads[model] != LOAD_FAILED));
        ENSURE(slot->loads[model] != LOAD_WANTED || agent->models[model].blob != BLOB_ABSENT);
    }
    ENSURE(loading == slot->loading);
}

static void check_models(const struct agent *agent)
{
    uint32_t jobs[MODELS_MAX] = { 0 };
    for (uint32_t i = 0; i < agent->jobs_count; i++) {
        ENSURE(i == 0 || agent->jobs[i - 1].job < agent->jobs[i].job);
        for (uint32_t model = 0; model < MODELS_MAX; model++)
            jobs[model] += (uint32_t)(agent->jobs[i].uses >> model & 1);
        for (uint32_t slot = 0; slot < agent->config.slots_count; slot++)
            ENSURE(agent->jobs[i].uses >> agent->jobs[i].on[slot] & 1);
    }
    for (uint32_t model = 0; model < MODELS_MAX; model++) {
        ENSURE(jobs[model] == agent->models[model].jobs_count);
        ENSURE(jobs[model] > 0 || agent->models[model].blob != BLOB_READY);
    }
}

void agent_check(const struct agent *agent)
{
    struct sums sums = { 0 };
    held_table_check(&agent->table);
    for (const struct held *held = agent->table.oldest; held != NULL; held = held->newer) {
        check_held(agent, held);
        sums.waiting += held->state == HELD_WAITING;
        sums.unwanted += held->unwanted;
        sums.charged += held->charged;
        sums.results += held->result_bytes;
    }
    check_queue(&agent->inputs, HELD_WAITING);
    check_models(agent);
    ENSURE(sums.waiting == agent->inputs.count && sums.unwanted == agent->unwanted_count);
    ENSURE(sums.charged == agent->charged_bytes && sums.results == agent->results_bytes);
    ENSURE(agent->inputs.first == NULL || agent->charged_bytes > 0);
    ENSURE((agent->heartbeat_due_us == UINT64_MAX) == !agent->connected);
    for (uint32_t slot = 0; slot < agent->config.slots_count; slot++)
        check_slot(agent, slot);
}
