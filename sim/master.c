// SPDX-License-Identifier: Apache-2.0
#include "master.h"

#include "disk.h"
#include "ensure.h"
#include "machine.h"
#include "network.h"
#include "puppet.h"

#include <stdlib.h>

/* ---- carrying out what it asks for ---- */

static struct puppet *puppet_of(const struct world *world, uint32_t number, uint32_t *at)
{
    if (number >= world->next_number)
        return NULL;
    *at = world->puppet_of[number];
    struct puppet *puppet = &world->puppets[*at];
    return puppet->number == number && puppet->number_term == world->term ? puppet : NULL;
}

/* The agent is told of a job once per connection, or rather, once in a row. */
static void tell_job(struct world *world, uint32_t at, const struct sched_action *a)
{
    uint64_t job = a->job;
    struct puppet *puppet = &world->puppets[at];
    if (puppet->told_job == job)
        return;
    puppet->told_job = job;
    network_say_to_agent(world, at,
                         &(struct agent_event){
                             .type = AGENT_JOB, .job = job, .model = a->model, .row_bytes = 1, .ok = true });
}

static void lease(struct world *world, uint32_t at, const struct sched_action *a)
{
    world->report->leases++;
    tell_job(world, at, a);
    network_say_to_agent(world, at,
                         &(struct agent_event){ .type = AGENT_LEASE,
                                                .slot = a->slot,
                                                .job = a->job,
                                                .lease = { .slot = a->slot,
                                                           .job = a->job,
                                                           .first = a->first,
                                                           .count = (uint32_t)a->count,
                                                           .term = a->term,
                                                           .attempt = a->attempt } });
}

static void to_puppet(struct world *world, const struct sched_action *a)
{
    uint32_t at;
    if (!puppet_of(world, a->worker, &at))
        return;
    switch (a->type) {
    case SCHED_LOAD:
        tell_job(world, at, a);
        network_say_to_agent(world, at,
                             &(struct agent_event){ .type = AGENT_LOAD, .slot = a->slot, .job = a->job });
        break;
    case SCHED_LEASE: lease(world, at, a); break;
    case SCHED_RECALL:
        network_say_to_agent(
            world, at,
            &(struct agent_event){
                .type = AGENT_RECALL, .slot = a->slot, .term = a->term, .attempt = a->attempt });
        break;
    case SCHED_ACK:
        network_say_to_agent(
            world, at, &(struct agent_event){ .type = AGENT_ACK, .term = a->term, .attempt = a->attempt });
        break;
    case SCHED_UNLOAD:
        network_say_to_agent(
            world, at, &(struct agent_event){ .type = AGENT_UNLOAD, .slot = a->slot, .model = a->model });
        break;
    case SCHED_PREFETCH:
        tell_job(world, at, a);
        network_say_to_agent(world, at, &(struct agent_event){ .type = AGENT_PREFETCH, .job = a->job });
        break;
    default: break; /* nothing that this world's workers could be asked */
    }
}

static void forget_everywhere(struct world *world, uint64_t job)
{
    for (uint32_t at = 0; at < world->puppets_count; at++) {
        struct puppet *puppet = &world->puppets[at];
        if (!puppet->up)
            continue;
        puppet->told_job = puppet->told_job == job ? 0 : puppet->told_job;
        network_say_to_agent(world, at, &(struct agent_event){ .type = AGENT_FORGET, .job = job });
    }
}

static void job_state(struct world *world, const struct sched_action *a)
{
    struct task *task = &world->tasks[a->job - 1];
    struct world_job_figures *figures = world->config->jobs_out ? &world->config->jobs_out[a->job - 1] : NULL;
    if (figures && !task->over) {
        figures->state = (int)a->state;
        figures->started_us = figures->started_us ? figures->started_us : world->now_us;
        figures->finished_us = a->state >= SCHED_JOB_COMPLETE ? world->now_us : 0;
    }
    if (a->state < SCHED_JOB_COMPLETE || task->over)
        return;
    task->over = true;
    world->tasks_over++;
    world->report->makespan_us = world->now_us;
    if (world->tasks_over < world->config->jobs_count || world->checker)
        forget_everywhere(world, a->job);
}

static void obey(struct world *world, const struct sched_action *a)
{
    world_trace(world, (uint64_t)a->type + 16, a->attempt + a->job * 1000003, a->first * 31 + a->count);
    switch (a->type) {
    case SCHED_STORE:
        if (world->judged)
            world->judged_kept += a->count;
        disk_store(world, a, false);
        break;
    case SCHED_FAIL: disk_store(world, a, true); break;
    case SCHED_JOB_STATE: job_state(world, a); break;
    default: to_puppet(world, a); break;
    }
}

/* ---- steps ---- */

static void plan_tick(struct world *world)
{
    uint64_t due = sched_deadline_us(world->sched);
    if (due == UINT64_MAX || world->sched_due_us <= due)
        return;
    world->sched_due_us = due > world->now_us ? due : world->now_us;
    world_later(world, world->sched_due_us - world->now_us, HAPPENING_SCHED_TIME, 0, world->coordinator_life)
        ->number = ++world->ticks;
}

void master_step(struct world *world, const struct sched_event *event)
{
    ENSURE(!world->stepping && world->sched);
    if (world_broken(world))
        return;
    world->stepping = true;
    struct sched_actions *out = world->sched_out;
    if (world->checker)
        checker_event(world->checker, world->now_us, world->report->events, event);
    sched_step(world->sched, world->now_us, event, out);
    if (world->config->on_step)
        world->config->on_step(world->config->context, world->now_us, event, out);
    if (world->config->check)
        sched_check(world->sched);
    for (size_t i = 0; i < out->count && !world_broken(world); i++) {
        if (world->checker)
            checker_action(world->checker, &out->at[i]);
        if (!world_broken(world))
            obey(world, &out->at[i]);
    }
    world->stepping = false;
    disk_flush(world);
    plan_tick(world);
}

void master_hear(struct world *world, uint32_t at, const struct sched_event *event)
{
    struct puppet *puppet = &world->puppets[at];
    world->judged = event->type == SCHED_RESULT
                        ? machine_unheard(puppet, event->term, event->attempt, event->first)
                        : NULL;
    world->judged_kept = 0;
    master_step(world, event);
    if (world->judged)
        machine_heard(world, at, world->judged, world->judged_kept);
    world->judged = NULL;
}

void master_durable(struct world *world, const struct stored *stored)
{
    if (world->checker)
        checker_durable(world->checker, stored->attempt, stored->done.count);
    struct sched_event event;
    word_say(&stored->done, &event);
    master_step(world, &event);
}

void master_tick(struct world *world, uint64_t tick)
{
    if (tick != world->ticks)
        return; /* an earlier one took its place */
    world->sched_due_us = UINT64_MAX;
    master_step(world, &(struct sched_event){ .type = SCHED_TICK });
}

/* ---- lives ---- */

uint32_t master_number(struct world *world, uint32_t at)
{
    if (world->next_number == world->numbers_capacity) {
        world->numbers_capacity = world->numbers_capacity ? 2 * world->numbers_capacity : 64;
        world->puppet_of = realloc(world->puppet_of, world->numbers_capacity * sizeof *world->puppet_of);
        ENSURE(world->puppet_of);
    }
    world->puppet_of[world->next_number] = at;
    if (world->checker)
        checker_number(world->checker, world->next_number, at);
    return world->next_number++;
}

static void add_job(struct world *world, uint32_t index)
{
    const struct world_job *job = &world->tasks[index].job;
    struct sched_event event = { .type = SCHED_JOB_ADD, .job = index + 1 };
    event.add.model = job->model;
    event.add.formats = SCHED_FORMAT_SYNTHETIC;
    event.add.samples = job->samples;
    event.add.priority = job->priority;
    event.add.batch = job->batch;
    event.add.batch_fixed = job->batch_fixed;
    event.add.failures_max = job->failures_max ? job->failures_max : UINT64_MAX;
    if (world->config->on_add)
        world->config->on_add(world->config->context, index, &event);
    world->tasks[index].online = event.add.online;
    master_step(world, &event);
    if (world->config->on_added && world->sched)
        world->config->on_added(world->config->context, index, world->sched, world->now_us);
}

static void settle_job(struct world *world, uint32_t index)
{
    for (int failed = 0; failed < 2; failed++) {
        const struct ranges *ranges = failed ? &world->disk.failed[index] : &world->disk.done[index];
        uint64_t from = 0, low, high;
        while (ranges_next(ranges, from, &low, &high)) {
            struct sched_event event = {
                .type = SCHED_JOB_SETTLED_RANGE, .job = index + 1, .first = low, .count = high - low
            };
            event.settled.failed = failed == 1;
            master_step(world, &event);
            from = high;
        }
    }
}

void master_begin(struct world *world)
{
    struct sched_config config = { 0 };
    if (world->config->sched)
        config = *world->config->sched;
    config.workers_max = config.slots_max = 1u << 22;
    config.jobs_max = 1u << 16;
    world->sched = sched_new(&config, ++world->term);
    ENSURE(world->sched);
    world->sched_due_us = UINT64_MAX;
    world->next_number = 0;
    if (world->config->on_begin)
        world->config->on_begin(world->config->context, &config, world->term, world->now_us);
    if (world->config->on_life)
        world->config->on_life(world->config->context, world->sched);
    if (world->checker)
        checker_term(world->checker);
    bool grace = world->config->grace_us > 0 && world->term > 1;
    if (world->disk.full_until_us > world->now_us || grace)
        master_step(world, &(struct sched_event){ .type = SCHED_PAUSE });
    if (grace)
        world_later(world, world->config->grace_us, HAPPENING_GRACE_OVER, 0, world->coordinator_life);
    for (uint32_t j = 0; j < world->config->jobs_count; j++)
        if (world->tasks[j].accepted && !world->tasks[j].over) {
            add_job(world, j);
            settle_job(world, j);
            if (world->tasks[j].cancelled && !world->tasks[j].over)
                master_step(world, &(struct sched_event){ .type = SCHED_JOB_CANCEL, .job = j + 1 });
        }
}

void master_go_on(struct world *world)
{
    if (world->disk.full_until_us <= world->now_us)
        master_step(world, &(struct sched_event){ .type = SCHED_RESUME });
}

void master_crash(struct world *world)
{
    disk_crash(world);
    sched_free(&world->sched);
    world->coordinator_life++;
    world->report->restarts++;
    for (uint32_t at = 0; at < world->puppets_count; at++)
        network_reset(world, at);
    world_later(world, world_spread(world, 50000, 100000), HAPPENING_REBORN, 0, world->coordinator_life);
}

void master_fini(struct world *world)
{
    sched_free(&world->sched);
    free(world->puppet_of);
}

/* ---- owners of jobs: what was accepted is never forgotten ---- */

void master_job_arrives(struct world *world, uint32_t index)
{
    if (!world->sched) {
        world_later(world, 50000, HAPPENING_ARRIVES, index, 0);
        return;
    }
    world->tasks[index].accepted = true;
    add_job(world, index);
}

void master_job_cancels(struct world *world, uint32_t index)
{
    struct task *task = &world->tasks[index];
    if (task->over)
        return;
    if (!world->sched || !task->accepted) {
        world_later(world, 50000, HAPPENING_CANCELS, index, 0);
        return;
    }
    task->cancelled = true;
    master_step(world, &(struct sched_event){ .type = SCHED_JOB_CANCEL, .job = index + 1 });
}
