// SPDX-License-Identifier: Apache-2.0
/* Everything that happens is a `struct happening` in one queue, ordered by time and then by creation. A
 * happening names the life (epoch) of the worker or coordinator it belongs to: when that life is over, it
 * happens to nobody. */
#include "world.h"

#include "agent.h"
#include "ensure.h"
#include "heap.h"
#include "ranges.h"
#include "rng.h"
#include "sched.h"

#include <stdlib.h>
#include <string.h>

enum happening_type {
    TO_COORDINATOR,
    TO_AGENT,
    DEVICE_DONE,
    AGENT_TIME,
    SCHED_TIME,
    COMMIT,
    JOIN,
    CONNECT,
    INPUT_THERE,
    REBORN
};

struct happening {
    struct heap_item item;
    enum happening_type type;
    uint32_t worker; /* index in the world, from 0 */
    uint64_t epoch;  /* of the connection, the worker's life or the coordinator's life */
    struct sched_event to_sched;
    struct agent_event to_agent;
    struct happening *next; /* of a device's queue or a commit group */
};

struct imaginary { /* one worker process with one slot */
    const struct world_device *device;
    struct agent *agent;
    uint32_t
        number; /* the coordinator's number for this life, in the life of the coordinator of number_term */
    uint64_t number_term;
    uint64_t life, connection;
    bool connected;
    uint64_t last_to_coordinator_us, last_to_agent_us;
    struct happening *queue; /* commands of the executor; the first one runs */
    uint64_t agent_due_us;
};

struct stored { /* one STORE or FAIL on its way to the disk */
    struct sched_event done;
    bool failed;
};

struct world {
    const struct world_config *config;
    struct rng rng;
    uint64_t now_us, order, hash;
    struct heap heap;
    struct sched *sched;
    uint64_t term, coordinator_life, sched_due_us;
    uint32_t next_number, workers_count;
    struct imaginary *workers;
    struct stored *pending, *committing; /* arrays */
    uint32_t pending_count, pending_capacity, committing_count;
    bool commit_running;
    struct ranges *done, *failed; /* per job: what is on the disk */
    uint64_t jobs_over;
    bool *job_over;
    struct sched_event current; /* the result that actions refer to */
    struct world_report *report;
};

/* ---- chance and time
 * ------------------------------------------------------------------------------------------------------ */

static bool weather(const struct world *world) { return world->now_us < world->config->weather.calm_us; }

static bool chance(struct world *world, uint32_t per_mille)
{
    return per_mille > 0 && weather(world) && rng_below(&world->rng, 1000) < per_mille;
}

static uint64_t spread(struct world *world, uint64_t base, uint64_t range)
{
    return base + (range ? rng_below(&world->rng, range) : 0);
}

static void trace(struct world *world, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t words[4] = { a, b, c, world->now_us };
    for (int i = 0; i < 4; i++)
        world->hash = (world->hash ^ words[i]) * 1099511628211u;
}

static struct happening *later(struct world *world, uint64_t delay_us, enum happening_type type,
                               uint32_t worker, uint64_t epoch)
{
    struct happening *h = calloc(1, sizeof *h);
    ENSURE(h);
    *h = (struct happening){
        .item = { .id = ++world->order, .index = HEAP_ABSENT }, .type = type, .worker = worker, .epoch = epoch
    };
    if (world->heap.count == world->heap.capacity)
        ENSURE(heap_reserve(&world->heap, 2 * world->heap.capacity + 64) == ERR_OK);
    heap_set(&world->heap, &h->item, world->now_us + delay_us);
    return h;
}

/* ---- messages: in order on each connection, and sometimes its end
 * ------------------------------------------------------------ */

static void run_sched(struct world *world, const struct sched_event *event);
static void run_agent(struct world *world, uint32_t at, const struct agent_event *event);

static void cut(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    if (!worker->connected)
        return;
    worker->connected = false;
    worker->connection++;
    if (world->sched)
        run_sched(world, &(struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = worker->number });
    if (!worker->agent)
        return;
    run_agent(world, at, &(struct agent_event){ .type = AGENT_DISCONNECTED });
    later(world, spread(world, 20000, 200000), CONNECT, at, worker->life);
}

static uint64_t in_order(struct world *world, uint64_t *last_us)
{
    const struct world_weather *w = &world->config->weather;
    uint64_t at = world->now_us + spread(world, w->delay_us, w->delay_spread_us);
    *last_us = at > *last_us ? at : *last_us;
    return *last_us - world->now_us;
}

static void say_to_coordinator(struct world *world, uint32_t at, const struct sched_event *event)
{
    struct imaginary *worker = &world->workers[at];
    if (!worker->connected)
        return;
    struct happening *h = later(world, in_order(world, &worker->last_to_coordinator_us), TO_COORDINATOR, at,
                                worker->connection);
    h->to_sched = *event;
    h->to_sched.worker = worker->number;
}

static void say_to_agent(struct world *world, uint32_t number, const struct agent_event *event)
{
    for (uint32_t at = 0; at < world->workers_count; at++) {
        struct imaginary *worker = &world->workers[at];
        if (!worker->connected || worker->number != number)
            continue;
        later(world, in_order(world, &worker->last_to_agent_us), TO_AGENT, at, worker->connection)->to_agent =
            *event;
        return;
    }
}

/* ---- the coordinator's loop and disk
 * ------------------------------------------------------------------------------------------ */

static void commit_later(struct world *world)
{
    if (world->commit_running || world->pending_count == 0)
        return;
    struct stored *swap = world->committing;
    world->committing = world->pending;
    world->committing_count = world->pending_count;
    world->pending = swap;
    world->pending_count = world->pending_capacity = 0;
    free(world->pending);
    world->pending = NULL;
    world->commit_running = true;
    const struct world_weather *w = &world->config->weather;
    later(world, spread(world, w->disk_us, w->disk_spread_us), COMMIT, 0, world->coordinator_life);
}

static void store(struct world *world, const struct sched_action *action, bool failed)
{
    if (world->pending_count == world->pending_capacity) {
        world->pending_capacity = world->pending_capacity ? 2 * world->pending_capacity : 64;
        world->pending = realloc(world->pending, world->pending_capacity * sizeof *world->pending);
        ENSURE(world->pending);
    }
    struct sched_event done = { .type = SCHED_STORED,
                                .job = action->job,
                                .first = action->first,
                                .count = action->count,
                                .stored = { action->settle } };
    world->pending[world->pending_count++] = (struct stored){ .done = done, .failed = failed };
}

static void job_state(struct world *world, const struct sched_action *action)
{
    if (action->state < SCHED_JOB_COMPLETE || world->job_over[action->job - 1])
        return;
    world->job_over[action->job - 1] = true;
    world->jobs_over++;
    world->report->makespan_us = world->now_us;
    struct sched_job_look look;
    if (sched_job_look(world->sched, action->job, &look))
        world->report->duplicates += look.duplicates;
    for (uint32_t at = 0; at < world->workers_count; at++)
        if (world->workers[at].connected)
            say_to_agent(world, world->workers[at].number,
                         &(struct agent_event){ .type = AGENT_FORGET, .job = action->job });
}

static void send_lease(struct world *world, const struct sched_action *action)
{
    struct agent_event event = { .type = AGENT_LEASE,
                                 .slot = action->slot,
                                 .job = action->job,
                                 .lease = { .slot = action->slot,
                                            .job = action->job,
                                            .first = action->first,
                                            .count = (uint32_t)action->count,
                                            .term = action->term,
                                            .attempt = action->attempt } };
    ENSURE(action->count >= 1);
    ENSURE(ranges_overlap(&world->done[action->job - 1], action->first, action->first + action->count) == 0);
    say_to_agent(world, action->worker,
                 &(struct agent_event){ .type = AGENT_JOB, .job = action->job, .row_bytes = 1, .ok = true });
    say_to_agent(world, action->worker, &event);
}

static void obey_sched(struct world *world, const struct sched_action *a)
{
    trace(world, (uint64_t)a->type + 16, a->attempt + a->job * 1000003, a->first * 31 + a->count);
    switch (a->type) {
    case SCHED_LOAD:
        say_to_agent(world, a->worker,
                     &(struct agent_event){ .type = AGENT_JOB, .job = a->job, .row_bytes = 1, .ok = true });
        say_to_agent(world, a->worker,
                     &(struct agent_event){ .type = AGENT_LOAD, .slot = a->slot, .job = a->job });
        break;
    case SCHED_LEASE: send_lease(world, a); break;
    case SCHED_RECALL:
        say_to_agent(world, a->worker,
                     &(struct agent_event){
                         .type = AGENT_RECALL, .slot = a->slot, .term = a->term, .attempt = a->attempt });
        break;
    case SCHED_ACK:
        say_to_agent(world, a->worker,
                     &(struct agent_event){ .type = AGENT_ACK, .term = a->term, .attempt = a->attempt });
        break;
    case SCHED_STORE: store(world, a, false); break;
    case SCHED_FAIL: store(world, a, true); break;
    case SCHED_JOB_STATE: job_state(world, a); break;
    }
}

static void plan_tick(struct world *world)
{
    uint64_t due = sched_deadline_us(world->sched);
    if (due == UINT64_MAX || world->sched_due_us <= due)
        return;
    world->sched_due_us = due > world->now_us ? due : world->now_us;
    later(world, world->sched_due_us - world->now_us, SCHED_TIME, 0, world->coordinator_life);
}

static void run_sched(struct world *world, const struct sched_event *event)
{
    struct sched_actions *out = malloc(sizeof *out);
    ENSURE(out);
    uint64_t life = world->coordinator_life;
    sched_step(world->sched, world->now_us, event, out);
    if (world->config->check)
        sched_check(world->sched);
    for (size_t i = 0; i < out->count && life == world->coordinator_life; i++)
        obey_sched(world, &out->at[i]);
    free(out);
    commit_later(world);
    plan_tick(world);
}

static void add_jobs(struct world *world)
{
    for (uint32_t j = 0; j < world->config->jobs_count; j++) {
        if (world->job_over[j])
            continue;
        struct sched_event add = { .type = SCHED_JOB_ADD,
                                   .job = j + 1,
                                   .add = { .model = 0,
                                            .formats = SCHED_FORMAT_SYNTHETIC,
                                            .samples = world->config->samples[j],
                                            .failures_max = UINT64_MAX } };
        run_sched(world, &add);
        for (int failed = 0; failed < 2; failed++) {
            uint64_t from = 0, low, high;
            while (ranges_next(failed ? &world->failed[j] : &world->done[j], from, &low, &high)) {
                run_sched(world, &(struct sched_event){ .type = SCHED_JOB_SETTLED_RANGE,
                                                        .job = j + 1,
                                                        .first = low,
                                                        .count = high - low,
                                                        .settled = { failed == 1 } });
                from = high;
            }
        }
    }
}

/* A new life of the coordinator: it knows what is on the disk, and nobody is connected. */
static void begin_coordinator(struct world *world)
{
    struct sched_config config = { .workers_max = 1u << 20, .slots_max = 1u << 20, .jobs_max = 1u << 16 };
    world->sched = sched_new(&config, ++world->term);
    ENSURE(world->sched);
    world->sched_due_us = UINT64_MAX;
    world->next_number = 0;
    add_jobs(world);
}

static void end_coordinator(struct world *world)
{
    sched_free(&world->sched);
    world->coordinator_life++;
    free(world->pending);
    world->pending = NULL;
    world->pending_count = world->pending_capacity = world->committing_count = 0;
    world->commit_running = false;
    for (uint32_t at = 0; at < world->workers_count; at++)
        cut(world, at);
    later(world, spread(world, 50000, 100000), REBORN, 0, world->coordinator_life);
}

static void to_disk(struct world *world, const struct stored *stored)
{
    uint64_t first = stored->done.first, end = first + stored->done.count;
    uint32_t j = (uint32_t)stored->done.job - 1;
    world->report->doubled +=
        ranges_overlap(&world->done[j], first, end) + ranges_overlap(&world->failed[j], first, end);
    ranges_add(stored->failed ? &world->failed[j] : &world->done[j], first, end);
}

static void commit(struct world *world)
{
    bool last_act = chance(world, world->config->weather.restarts_per_mille);
    bool durable = !last_act || rng_below(&world->rng, 2) == 0;
    uint32_t count = world->committing_count;
    struct stored *group = world->committing;
    world->committing = NULL;
    world->committing_count = 0;
    world->commit_running = false;
    for (uint32_t i = 0; durable && i < count; i++)
        to_disk(world, &group[i]);
    if (last_act)
        end_coordinator(world);
    for (uint32_t i = 0; !last_act && i < count; i++)
        run_sched(world, &group[i].done);
    free(group);
    if (!last_act)
        commit_later(world);
}

/* ---- the worker's loop and device
 * ---------------------------------------------------------------------------------------------- */

static uint32_t padded(const struct world_device *device, uint32_t count)
{
    for (uint32_t i = 0; i < device->sizes_count; i++)
        if (device->sizes[i] >= count)
            return device->sizes[i];
    return count;
}

static uint64_t batch_us(struct world *world, const struct world_device *device, uint32_t count)
{
    double us = device->alpha_us + device->beta_us * padded(device, count);
    if (device->jitter > 0) {
        double factor = 1 + device->jitter * rng_normal(&world->rng);
        us *= factor > 0.2 ? factor : 0.2;
    }
    uint64_t from = device->throttle_at_us;
    double now = (double)world->now_us;
    if (from > 0 && now + us > (double)from) {
        double before = now < (double)from ? (double)from - now : 0;
        us = before + (us - before) * device->throttle_by;
    }
    return us < 1 ? 1 : (uint64_t)us;
}

/* The first command of the queue begins. */
static void begin_command(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    const struct happening *command = worker->queue;
    if (!command)
        return;
    bool load = command->to_agent.type == AGENT_MODEL_LOADED;
    uint64_t hangs = worker->device->hangs_at_us;
    uint64_t us =
        load ? worker->device->load_us : batch_us(world, worker->device, command->to_agent.lease.count);
    if (!load)
        run_agent(world, at,
                  &(struct agent_event){ .type = AGENT_STARTED,
                                         .slot = 0,
                                         .term = command->to_agent.term,
                                         .attempt = command->to_agent.attempt });
    if (hangs == 0 || world->now_us + us < hangs)
        later(world, us, DEVICE_DONE, at, worker->life);
}

static void queue_command(struct world *world, uint32_t at, const struct agent_event *answer)
{
    struct happening *command = calloc(1, sizeof *command);
    ENSURE(command);
    command->to_agent = *answer;
    struct happening **end = &world->workers[at].queue;
    while (*end)
        end = &(*end)->next;
    *end = command;
    if (world->workers[at].queue == command)
        begin_command(world, at);
}

/* What the executor does: take a queued command back, unless it is the one that runs. */
static bool unqueue(struct world *world, uint32_t at, uint64_t attempt)
{
    struct happening *first = world->workers[at].queue;
    for (struct happening **link = first ? &first->next : NULL; link && *link; link = &(*link)->next)
        if ((*link)->to_agent.type == AGENT_RAN && (*link)->to_agent.attempt == attempt) {
            struct happening *gone = *link;
            *link = gone->next;
            free(gone);
            return true;
        }
    return false;
}

static bool poisoned(const struct world *world, const struct agent_lease *lease)
{
    uint32_t every = world->config->weather.poison_every;
    return every > 0 && (lease->first + lease->count) / every > lease->first / every;
}

static void send_result(struct world *world, uint32_t at, const struct agent_action *a)
{
    const struct agent_lease *lease = &a->lease;
    bool fails = !a->ok || poisoned(world, lease);
    struct sched_event result = { .type = SCHED_RESULT,
                                  .slot = lease->slot,
                                  .job = lease->job,
                                  .attempt = lease->attempt,
                                  .term = lease->term,
                                  .first = lease->first,
                                  .count = lease->count,
                                  .result = {
                                      .proven = true,
                                      .failure = fails ? SCHED_FAILED : SCHED_OK,
                                      .energy_joules = -1,
                                      .run_us = batch_us(world, world->workers[at].device, lease->count) } };
    say_to_coordinator(world, at, &result);
    if (world->config->weather.lies && chance(world, 50)) {
        say_to_coordinator(world, at, &result); /* twice */
        result.attempt += 1 + rng_below(&world->rng, 3);
        result.result.proven = false;
        say_to_coordinator(world, at, &result); /* somebody else's, or nobody's */
        result.attempt = lease->attempt;
        result.first += 1;
        say_to_coordinator(world, at, &result); /* another range than was leased */
    }
}

static void obey_agent(struct world *world, uint32_t at, const struct agent_action *a)
{
    struct agent_event answer = { .slot = a->slot,
                                  .model = a->model,
                                  .job = a->job,
                                  .term = a->term,
                                  .attempt = a->attempt,
                                  .ok = true,
                                  .lease = a->lease };
    trace(world, a->type, a->attempt, at);
    switch (a->type) {
    case AGENT_GET_MODEL:
        answer.type = AGENT_MODEL_READY;
        later(world, 1, INPUT_THERE, at, world->workers[at].life)->to_agent = answer;
        break;
    case AGENT_LOAD_MODEL:
        answer.type = AGENT_MODEL_LOADED;
        queue_command(world, at, &answer);
        break;
    case AGENT_SAY_LOADED:
        say_to_coordinator(world, at,
                           &(struct sched_event){
                               .type = SCHED_LOADED,
                               .slot = a->slot,
                               .loaded = { .ok = a->ok, .load_us = world->workers[at].device->load_us } });
        break;
    case AGENT_GET_INPUT:
        answer.type = AGENT_INPUT_READY;
        answer.term = a->lease.term;
        answer.attempt = a->lease.attempt;
        later(world, 1, INPUT_THERE, at, world->workers[at].life)->to_agent = answer;
        break;
    case AGENT_RUN:
        answer.type = AGENT_RAN;
        answer.term = a->lease.term;
        answer.attempt = a->lease.attempt;
        queue_command(world, at, &answer);
        break;
    case AGENT_UNQUEUE:
        answer.type = AGENT_RECALLED;
        answer.ok = unqueue(world, at, a->attempt);
        later(world, 1, INPUT_THERE, at, world->workers[at].life)->to_agent = answer;
        break;
    case AGENT_SEND_RESULT:
    case AGENT_SEND_INPUT_FAILED: send_result(world, at, a); break;
    case AGENT_SEND_RETURNED:
        say_to_coordinator(
            world, at,
            &(struct sched_event){
                .type = SCHED_RETURNED, .slot = a->slot, .term = a->term, .attempt = a->attempt });
        break;
    case AGENT_DROP:
    case AGENT_DROP_JOB:
    case AGENT_UNLOAD_MODEL:
    case AGENT_HEARTBEAT: break;
    }
}

static void plan_agent_tick(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    uint64_t due = worker->agent ? agent_deadline_us(worker->agent) : UINT64_MAX;
    if (due == UINT64_MAX || worker->agent_due_us <= due)
        return;
    worker->agent_due_us = due > world->now_us ? due : world->now_us;
    later(world, worker->agent_due_us - world->now_us, AGENT_TIME, at, worker->life);
}

static void run_agent(struct world *world, uint32_t at, const struct agent_event *event)
{
    struct imaginary *worker = &world->workers[at];
    struct agent_actions *out = malloc(sizeof *out);
    ENSURE(out && worker->agent);
    uint64_t life = worker->life;
    agent_step(worker->agent, world->now_us, event, out);
    if (world->config->check)
        agent_check(worker->agent);
    for (size_t i = 0; i < out->count && worker->life == life; i++)
        obey_agent(world, at, &out->at[i]);
    free(out);
    if (worker->life == life)
        plan_agent_tick(world, at);
}

static void device_done(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    struct happening *command = worker->queue;
    ENSURE(command);
    struct agent_event answer = command->to_agent;
    worker->queue = command->next;
    free(command);
    world->report->batches += answer.type == AGENT_RAN;
    answer.ok = answer.type != AGENT_RAN || !chance(world, world->config->weather.failures_per_mille);
    begin_command(world, at);
    run_agent(world, at, &answer);
}

static void begin_worker(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    struct agent_config config = { .slots_count = 1, .heartbeat_us = 1000000, .credit_bytes = 1u << 30 };
    worker->agent = agent_new(&config);
    ENSURE(worker->agent);
    worker->agent_due_us = UINT64_MAX;
    later(world, 1, CONNECT, at, worker->life);
}

static void kill_worker(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    agent_free(&worker->agent);
    worker->life++;
    while (worker->queue) {
        struct happening *gone = worker->queue;
        worker->queue = gone->next;
        free(gone);
    }
    bool told = worker->connected && world->sched;
    worker->connection += worker->connected;
    worker->connected = false;
    if (told)
        run_sched(world, &(struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = worker->number });
    worker->number = UINT32_MAX; /* the process that replaces it is another worker */
    later(world, spread(world, 100000, 300000), JOIN, at, worker->life);
}

struct held_visit {
    struct world *world;
    uint32_t at;
};

static void offer_held(void *context, const struct agent_lease *lease, bool finished)
{
    struct held_visit *visit = context;
    if (!finished)
        say_to_coordinator(visit->world, visit->at,
                           &(struct sched_event){ .type = SCHED_HELD,
                                                  .slot = lease->slot,
                                                  .job = lease->job,
                                                  .first = lease->first,
                                                  .count = lease->count,
                                                  .term = lease->term,
                                                  .attempt = lease->attempt });
}

static void connect_worker(struct world *world, uint32_t at)
{
    struct imaginary *worker = &world->workers[at];
    if (!world->sched) {
        later(world, 50000, CONNECT, at, worker->life);
        return;
    }
    const struct world_device *d = worker->device;
    if (worker->number == UINT32_MAX || worker->number_term != world->term)
        worker->number = world->next_number++;
    worker->number_term = world->term;
    worker->connected = true;
    worker->connection++;
    worker->last_to_agent_us = worker->last_to_coordinator_us = world->now_us;
    struct sched_slot_info info = { .formats = SCHED_FORMAT_SYNTHETIC,
                                    .sizes_count = d->sizes_count,
                                    .batch_max = d->batch_max,
                                    .window = 2,
                                    .alpha_us = d->warm ? d->alpha_us : 0,
                                    .beta_us = d->warm ? d->beta_us : 0,
                                    .load_us = (double)d->load_us };
    memcpy(info.sizes, d->sizes, d->sizes_count * sizeof *d->sizes);
    run_sched(world,
              &(struct sched_event){ .type = SCHED_WORKER_UP, .worker = worker->number, .up = { 1, &info } });
    struct held_visit visit = { world, at };
    agent_held(worker->agent, offer_held, &visit);
    run_agent(world, at, &(struct agent_event){ .type = AGENT_CONNECTED, .term = world->term });
}

/* ---- the run ---- */

static void to_coordinator(struct world *world, const struct happening *h)
{
    if (h->epoch != world->workers[h->worker].connection || !world->sched)
        return;
    if (chance(world, world->config->weather.breaks_per_mille)) {
        cut(world, h->worker);
        return;
    }
    run_sched(world, &h->to_sched);
    if (h->to_sched.type == SCHED_RESULT && world->workers[h->worker].agent &&
        chance(world, world->config->weather.crashes_per_mille))
        kill_worker(world, h->worker);
}

static void happen(struct world *world, const struct happening *h)
{
    struct imaginary *worker = &world->workers[h->worker];
    bool lives = h->epoch == worker->life;
    switch (h->type) {
    case TO_COORDINATOR: to_coordinator(world, h); break;
    case TO_AGENT:
        if (h->epoch == worker->connection && worker->agent)
            run_agent(world, h->worker, &h->to_agent);
        break;
    case INPUT_THERE:
        if (lives)
            run_agent(world, h->worker, &h->to_agent);
        break;
    case DEVICE_DONE:
        if (lives)
            device_done(world, h->worker);
        break;
    case AGENT_TIME:
        if (lives && worker->agent) {
            worker->agent_due_us = UINT64_MAX;
            run_agent(world, h->worker, &(struct agent_event){ .type = AGENT_TICK });
        }
        break;
    case JOIN:
        if (lives)
            begin_worker(world, h->worker);
        break;
    case CONNECT:
        if (lives && !worker->connected)
            connect_worker(world, h->worker);
        break;
    case SCHED_TIME:
        if (h->epoch == world->coordinator_life && world->sched) {
            world->sched_due_us = UINT64_MAX;
            run_sched(world, &(struct sched_event){ .type = SCHED_TICK });
        }
        break;
    case COMMIT:
        if (h->epoch == world->coordinator_life && world->sched)
            commit(world);
        break;
    case REBORN: begin_coordinator(world); break;
    }
}

static double fluid_bound_us(const struct world_config *config)
{
    double total = 0, end = 0;
    for (uint32_t j = 0; j < config->jobs_count; j++)
        total += (double)config->samples[j];
    double low = 0, high = 1e15;
    for (int i = 0; i < 200; i++) {
        end = (low + high) / 2;
        double done = 0;
        for (uint32_t d = 0; d < config->devices_count; d++) {
            const struct world_device *device = &config->devices[d];
            uint32_t n = device->sizes_count ? device->sizes[device->sizes_count - 1] : device->batch_max;
            double rate = n / (device->alpha_us + device->beta_us * n),
                   start = (double)(device->joins_us + device->load_us);
            double stop = device->hangs_at_us ? (double)device->hangs_at_us : 1e15,
                   turn = (double)device->throttle_at_us;
            stop = stop < end ? stop : end;
            if (device->throttle_at_us && turn < stop)
                done += rate * ((turn > start ? turn - start : 0) +
                                (stop - (turn > start ? turn : start)) / device->throttle_by);
            else if (stop > start)
                done += rate * (stop - start);
        }
        *(done < total ? &low : &high) = end;
    }
    return end;
}

static void count_samples(struct world *world)
{
    for (uint32_t j = 0; j < world->config->jobs_count; j++) {
        world->report->lost += world->config->samples[j] - world->done[j].samples - world->failed[j].samples;
        world->report->failed += world->failed[j].samples;
    }
}

static void world_begin(struct world *world, const struct world_config *config, struct world_report *report)
{
    *report = (struct world_report){ 0 };
    *world = (struct world){ .config = config,
                             .report = report,
                             .hash = 1469598103934665603u,
                             .workers_count = config->devices_count };
    rng_init(&world->rng, config->seed);
    heap_init(&world->heap);
    world->workers = calloc(config->devices_count + 1, sizeof *world->workers);
    world->done = calloc(config->jobs_count + 1, sizeof *world->done);
    world->failed = calloc(config->jobs_count + 1, sizeof *world->failed);
    world->job_over = calloc(config->jobs_count + 1, sizeof *world->job_over);
    ENSURE(world->workers && world->done && world->failed && world->job_over);
    for (uint32_t at = 0; at < config->devices_count; at++) {
        world->workers[at].device = &config->devices[at];
        later(world, config->devices[at].joins_us, JOIN, at, 0);
    }
    begin_coordinator(world);
}

static void world_end(struct world *world)
{
    for (uint32_t at = 0; at < world->workers_count; at++) {
        agent_free(&world->workers[at].agent);
        for (struct happening *next, *h = world->workers[at].queue; h; h = next) {
            next = h->next;
            free(h);
        }
    }
    for (struct heap_item *item = heap_first(&world->heap); item; item = heap_first(&world->heap)) {
        heap_remove(&world->heap, item);
        free(item);
    }
    for (uint32_t j = 0; j < world->config->jobs_count; j++) {
        ranges_fini(&world->done[j]);
        ranges_fini(&world->failed[j]);
    }
    sched_free(&world->sched);
    heap_fini(&world->heap);
    free(world->pending);
    free(world->committing);
    free(world->workers);
    free(world->done);
    free(world->failed);
    free(world->job_over);
}

void world_run(const struct world_config *config, struct world_report *report)
{
    struct world world;
    world_begin(&world, config, report);
    uint64_t most = config->steps_max ? config->steps_max : 50000000;
    while (world.jobs_over < config->jobs_count && report->events < most) {
        struct heap_item *item = heap_first(&world.heap);
        if (!item)
            break;
        heap_remove(&world.heap, item);
        struct happening *h = (struct happening *)(void *)item;
        ENSURE(item->key >= world.now_us);
        world.now_us = item->key;
        report->events++;
        happen(&world, h);
        free(h);
    }
    report->finished = world.jobs_over == config->jobs_count;
    report->bound_us = fluid_bound_us(config);
    report->trace_hash = world.hash;
    count_samples(&world);
    world_end(&world);
}
