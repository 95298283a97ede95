// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include "accident.h"
#include "bound.h"
#include "disk.h"
#include "ensure.h"
#include "machine.h"
#include "master.h"
#include "network.h"
#include "puppet.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t STEPS_MAX = 50000000;

uint32_t world_workers(const struct world_config *config)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->devices_count; i++)
        count += config->devices[i].count ? config->devices[i].count : 1;
    return count;
}

double world_bound_us(const struct world_config *config) { return bound_us(config); }

/* ---- what happens ---- */

/* A stopped process does nothing; what would have happened to it happens when it goes on. */
static bool frozen(struct world *world, struct happening *h)
{
    uint64_t until = world->puppets[h->worker].frozen_until_us;
    if (until <= world->now_us)
        return false;
    agenda_again(&world->agenda, h, until);
    return true;
}

static bool to_puppet(struct world *world, struct happening *h)
{
    struct puppet *puppet = &world->puppets[h->worker];
    if (h->epoch != puppet->life)
        return false;
    if (frozen(world, h))
        return true;
    switch (h->type) {
    case HAPPENING_INPUT_THERE: puppet_step(world, h->worker, &h->to_agent); break;
    case HAPPENING_DEVICE_DONE: machine_done(world, h->worker, h->errand); break;
    case HAPPENING_JOIN: puppet_begin(world, h->worker); break;
    case HAPPENING_CONNECT: network_connect(world, h->worker); break;
    case HAPPENING_BYE: puppet_bye(world, h->worker); break;
    case HAPPENING_RESET_HEARD:
        if (puppet->connected && !puppet->up)
            network_agent_gives_up(world, h->worker);
        break;
    default: /* AGENT_TIME */
        puppet->agent_due_us = UINT64_MAX;
        puppet_step(world, h->worker, &(struct agent_event){ .type = AGENT_TICK });
    }
    return false;
}

static void to_master(struct world *world, const struct happening *h)
{
    if (h->type == HAPPENING_REBORN) {
        master_begin(world);
    } else if (h->epoch == world->coordinator_life && world->sched) {
        if (h->type == HAPPENING_COMMIT)
            disk_commit(world);
        else if (h->type == HAPPENING_GRACE_OVER)
            master_go_on(world);
        else if (h->type == HAPPENING_ANSWERED)
            master_durable(world, &(struct stored){ .done = h->to_sched, .attempt = h->to_sched.attempt });
        else
            master_tick(world, h->number);
    }
}

/* True: it went back into the agenda. */
static bool happen(struct world *world, struct happening *h)
{
    switch (h->type) {
    case HAPPENING_TO_COORDINATOR: return network_at_coordinator(world, h);
    case HAPPENING_TO_AGENT: return network_at_agent(world, h);
    case HAPPENING_DEVICE_DONE:
    case HAPPENING_INPUT_THERE:
    case HAPPENING_AGENT_TIME:
    case HAPPENING_JOIN:
    case HAPPENING_CONNECT:
    case HAPPENING_BYE:
    case HAPPENING_RESET_HEARD: return to_puppet(world, h);
    case HAPPENING_SILENCE: network_silence_over(world, h->worker, h->epoch); break;
    case HAPPENING_FAULT_DIES: puppet_end(world, h->worker); break;
    case HAPPENING_FAULT_LEAVES: puppet_leave(world, h->worker, true); break;
    case HAPPENING_SCHED_TIME:
    case HAPPENING_COMMIT:
    case HAPPENING_ANSWERED:
    case HAPPENING_GRACE_OVER:
    case HAPPENING_REBORN: to_master(world, h); break;
    case HAPPENING_ARRIVES: master_job_arrives(world, h->worker); break;
    case HAPPENING_CANCELS: master_job_cancels(world, h->worker); break;
    case HAPPENING_DISK_FREE: disk_free(world); break;
    case HAPPENING_ACCIDENT: accident_happens(world); break;
    }
    return false;
}

/* ---- the run ---- */

static void place_puppets(struct world *world)
{
    const struct world_config *config = world->config;
    uint32_t at = 0, machine = 0;
    for (uint32_t i = 0; i < config->devices_count; i++) {
        const struct world_device *device = &config->devices[i];
        for (uint32_t k = 0; k < (device->count ? device->count : 1); k++, at++) {
            struct puppet *puppet = &world->puppets[at];
            puppet->device = device;
            puppet->device_index = i;
            puppet->slots_count = device->slots ? device->slots : 1;
            puppet->machines = &world->machines[machine];
            puppet->number = UINT32_MAX;
            machine += puppet->slots_count;
            world_later(world, device->joins_us + k * device->joins_every_us, HAPPENING_JOIN, at, 0);
        }
    }
}

static uint32_t count_slots(const struct world_config *config)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->devices_count; i++)
        count += (config->devices[i].count ? config->devices[i].count : 1) *
                 (config->devices[i].slots ? config->devices[i].slots : 1);
    return count;
}

static void place_tasks(struct world *world)
{
    const struct world_config *config = world->config;
    for (uint32_t j = 0; j < config->jobs_count; j++) {
        struct world_job *job = &world->tasks[j].job;
        if (config->jobs)
            *job = config->jobs[j];
        else
            job->samples = config->samples[j];
        if (job->arrives_us == 0)
            master_job_arrives(world, j);
        else
            world_later(world, job->arrives_us, HAPPENING_ARRIVES, j, 0);
        if (job->cancel_at_us > 0)
            world_later(world, job->cancel_at_us, HAPPENING_CANCELS, j, 0);
    }
}

static void begin(struct world *world, const struct world_config *config, struct world_report *report)
{
    *report = (struct world_report){ 0 };
    *world = (struct world){ .config = config, .report = report, .hash = 1469598103934665603u };
    rng_init(&world->rng, config->seed);
    agenda_init(&world->agenda);
    world->puppets_count = world_workers(config);
    world->machines_count = count_slots(config);
    world->puppets = calloc(world->puppets_count + 1, sizeof *world->puppets);
    world->machines = calloc(world->machines_count + 1, sizeof *world->machines);
    world->tasks = calloc(config->jobs_count + 1, sizeof *world->tasks);
    world->sched_out = malloc(sizeof *world->sched_out);
    world->agent_out = malloc(sizeof *world->agent_out);
    ENSURE(world->puppets && world->machines && world->tasks && world->sched_out && world->agent_out);
    disk_init(world);
    place_puppets(world);
    if (!config->blind)
        world->checker = checker_new(world);
    master_begin(world);
    place_tasks(world);
    accident_plan(world);
}

static void write_figures(struct world *world)
{
    for (uint32_t at = 0; at < world->puppets_count; at++) {
        struct puppet *puppet = &world->puppets[at];
        if (puppet->agent)
            puppet->figures.up_us += world->now_us - puppet->began_us;
        machine_clear(world, at);
        machine_clear_results(world, at);
        struct world_worker_figures *figures = &puppet->figures;
        const struct world_device *d = puppet->device;
        figures->device = puppet->device_index;
        double lanes = d->lanes ? d->lanes : 1, slots = d->slots ? d->slots : 1;
        double busy_us = (double)figures->busy_us / (lanes * slots);
        if (d->busy_watts > 0)
            figures->energy_joules =
                (d->idle_watts * (double)figures->up_us + (d->busy_watts - d->idle_watts) * busy_us) / 1e6;
        world->report->energy_joules += figures->energy_joules;
        if (world->config->workers)
            world->config->workers[at] = *figures;
    }
}

static void count_samples(struct world *world)
{
    for (uint32_t j = 0; j < world->config->jobs_count; j++) {
        uint64_t done = world->disk.done[j].samples, failed = world->disk.failed[j].samples;
        const struct task *task = &world->tasks[j];
        bool whole = !task->cancelled && (!task->job.failures_max || failed <= task->job.failures_max);
        world->report->lost += whole ? task->job.samples - done - failed : 0;
        world->report->failed += failed;
        if (world->config->jobs_out) {
            world->config->jobs_out[j].done = done;
            world->config->jobs_out[j].failed = failed;
        }
    }
}

static void end(struct world *world)
{
    for (uint32_t at = 0; at < world->puppets_count; at++)
        agent_free(&world->puppets[at].agent);
    machine_fini(world);
    master_fini(world);
    disk_fini(world);
    checker_free(&world->checker);
    agenda_fini(&world->agenda);
    free(world->replies);
    free(world->puppets);
    free(world->machines);
    free(world->tasks);
    free(world->sched_out);
    free(world->agent_out);
}

static bool goes_on(const struct world *world)
{
    const struct world_config *config = world->config;
    return world->tasks_over < config->jobs_count && !world_broken(world) &&
           world->report->events < (config->steps_max ? config->steps_max : STEPS_MAX) &&
           (config->until_us == 0 || world->now_us <= config->until_us);
}

void world_run(const struct world_config *config, struct world_report *report)
{
    struct world world;
    begin(&world, config, report);
    while (goes_on(&world)) {
        uint64_t at_us;
        struct happening *h = agenda_take(&world.agenda, &at_us);
        if (!h)
            break;
        ENSURE(at_us >= world.now_us);
        world.now_us = at_us;
        report->events++;
        if (!happen(&world, h))
            agenda_done(&world.agenda, h);
    }
    report->finished = world.tasks_over == config->jobs_count;
    if (world.checker)
        snprintf(report->violation, sizeof report->violation, "%s", checker_violation(world.checker));
    report->hedged = world.checker ? checker_hedged(world.checker) : 0;
    report->bound_us = world_bound_us(config);
    report->trace_hash = world.hash;
    write_figures(&world);
    count_samples(&world);
    end(&world);
}
