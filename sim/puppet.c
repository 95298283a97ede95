// SPDX-License-Identifier: Apache-2.0
#include "puppet.h"

#include "ensure.h"
#include "machine.h"
#include "master.h"
#include "network.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t HEARTBEAT_US = 1000000, LEAVING_US = 30000000, BYE_US = 100000;

/* ---- carrying out what the agent asks for ---- */

static void tell_lies(struct world *world, uint32_t at, struct sched_event *result)
{
    uint64_t attempt = result->attempt;
    network_say_to_coordinator(world, at, result); /* twice */
    result->attempt += 1 + rng_below(&world->rng, 3);
    result->result.proven = false;
    network_say_to_coordinator(world, at, result); /* somebody else's, or nobody's */
    result->attempt = attempt;
    result->first += 1;
    network_say_to_coordinator(world, at, result); /* another range than was leased */
}

static void send_result(struct world *world, uint32_t at, const struct agent_action *a)
{
    const struct puppet *puppet = &world->puppets[at];
    const struct agent_lease *lease = &a->lease;
    struct errand *errand = machine_result(puppet, lease->term, lease->attempt);
    struct sched_event result = { .type = SCHED_RESULT,
                                  .slot = lease->slot,
                                  .job = lease->job,
                                  .attempt = lease->attempt,
                                  .term = lease->term,
                                  .first = lease->first,
                                  .count = lease->count };
    result.result.proven = true;
    result.result.failure = a->type == AGENT_SEND_INPUT_FAILED ? SCHED_INPUT
                            : errand                           ? errand->failure
                            : a->ok                            ? SCHED_OK
                                                               : SCHED_FAILED;
    result.result.run_us = errand ? errand->end_us - errand->start_us : 0;
    double watts = puppet->device->busy_watts;
    result.result.energy_joules = watts > 0 ? watts * (double)result.result.run_us / 1e6 : -1;
    result.result.again = errand && errand->sent;
    if (errand)
        errand->sent = true;
    network_say_to_coordinator(world, at, &result);
    if (world->config->weather.lies && world_chance(world, 50))
        tell_lies(world, at, &result);
}

static void get_input(struct world *world, uint32_t at, const struct agent_action *a)
{
    struct puppet *puppet = &world->puppets[at];
    struct agent_event ready = { .type = AGENT_INPUT_READY,
                                 .slot = a->slot,
                                 .term = a->lease.term,
                                 .attempt = a->lease.attempt,
                                 .ok = !world_chance(world, world->config->weather.inputs_per_mille) };
    double per_sample = puppet->device->link_us_per_sample, now = (double)world->now_us;
    if (per_sample <= 0) {
        puppet_reply(world, &ready);
        return;
    }
    puppet->link_free_us =
        (puppet->link_free_us > now ? puppet->link_free_us : now) + per_sample * a->lease.count;
    world_later(world, (uint64_t)(puppet->link_free_us - now), HAPPENING_INPUT_THERE, at, puppet->life)
        ->to_agent = ready;
}

static void unqueue(struct world *world, uint32_t at, const struct agent_action *a)
{
    bool back = machine_unqueue(world, at, a->slot, a->attempt);
    puppet_reply(
        world,
        &(struct agent_event){
            .type = AGENT_RECALLED, .slot = a->slot, .term = a->term, .attempt = a->attempt, .ok = back });
}

static void say_loaded(struct world *world, uint32_t at, const struct agent_action *a)
{
    struct world_model figures;
    machine_model(world->puppets[at].device, a->model, &figures);
    struct sched_event event = { .type = SCHED_LOADED, .slot = a->slot, .job = a->job };
    event.loaded.model = a->model;
    event.loaded.ok = a->ok;
    event.loaded.load_us = figures.load_us;
    network_say_to_coordinator(world, at, &event);
}

static void obey(struct world *world, uint32_t at, const struct agent_action *a)
{
    world_trace(world, a->type, a->attempt, at);
    switch (a->type) {
    case AGENT_GET_MODEL:
        puppet_reply(world,
                     &(struct agent_event){ .type = AGENT_MODEL_READY, .model = a->model, .ok = true });
        break;
    case AGENT_LOAD_MODEL: machine_post_load(world, at, a->slot, a->model, a->job); break;
    case AGENT_SAY_LOADED: say_loaded(world, at, a); break;
    case AGENT_GET_INPUT: get_input(world, at, a); break;
    case AGENT_RUN: machine_post_run(world, at, &a->lease, a->model); break;
    case AGENT_UNQUEUE: unqueue(world, at, a); break;
    case AGENT_SEND_RESULT:
    case AGENT_SEND_INPUT_FAILED: send_result(world, at, a); break;
    case AGENT_SEND_RETURNED:
        network_say_to_coordinator(
            world, at,
            &(struct sched_event){
                .type = SCHED_RETURNED, .slot = a->slot, .term = a->term, .attempt = a->attempt });
        break;
    case AGENT_DROP: machine_drop(world, at, a->term, a->attempt); break;
    default: break; /* bookkeeping of the real loop; heartbeats: see network_silent */
    }
}

/* ---- steps ---- */

void puppet_reply(struct world *world, const struct agent_event *event)
{
    if (world->replies_count == world->replies_capacity) {
        world->replies_capacity = world->replies_capacity ? 2 * world->replies_capacity : 64;
        world->replies = realloc(world->replies, world->replies_capacity * sizeof *world->replies);
        ENSURE(world->replies);
    }
    world->replies[world->replies_count++] = *event;
}

static void plan_tick(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    uint64_t due = agent_deadline_us(puppet->agent);
    if (due == UINT64_MAX || puppet->agent_due_us <= due)
        return;
    puppet->agent_due_us = due > world->now_us ? due : world->now_us;
    world_later(world, puppet->agent_due_us - world->now_us, HAPPENING_AGENT_TIME, at, puppet->life);
}

static void step_once(struct world *world, uint32_t at, const struct agent_event *event)
{
    struct puppet *puppet = &world->puppets[at];
    agent_step(puppet->agent, world->now_us, event, world->agent_out);
    if (world->config->check)
        agent_check(puppet->agent);
    for (size_t i = 0; i < world->agent_out->count; i++)
        obey(world, at, &world->agent_out->at[i]);
}

/* Replies that were there before the event came first in the world; the event is what made them. */
void puppet_step(struct world *world, uint32_t at, const struct agent_event *event)
{
    step_once(world, at, event);
    for (uint32_t i = 0; i < world->replies_count; i++) {
        struct agent_event reply = world->replies[i];
        step_once(world, at, &reply);
    }
    world->replies_count = 0;
    plan_tick(world, at);
}

/* ---- lives ---- */

static void plan_faults(struct world *world, uint32_t at)
{
    const struct world_device *device = world->puppets[at].device;
    for (uint32_t i = 0; i < device->faults_count; i++) {
        enum world_fault_type type = device->faults[i].type;
        if (type == WORLD_DIES || type == WORLD_LEAVES)
            world_later(world, device->faults[i].at_us,
                        type == WORLD_DIES ? HAPPENING_FAULT_DIES : HAPPENING_FAULT_LEAVES, at, 0);
    }
}

/* What is in its spool, in the order in which it was finished. */
static void adopt_results(struct world *world, uint32_t at, struct errand *errand)
{
    if (!errand)
        return;
    adopt_results(world, at, errand->next);
    errand->sent = true;
    step_once(world, at, &(struct agent_event){ .type = AGENT_ADOPT, .lease = errand->lease });
}

void puppet_begin(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    if (puppet->gone)
        return;
    if (!puppet->joined) {
        puppet->joined = true;
        puppet->joined_us = world->now_us;
        plan_faults(world, at);
    }
    struct agent_config config = { .slots_count = puppet->slots_count,
                                   .heartbeat_us = world->config->heartbeat_us ? world->config->heartbeat_us
                                                                               : HEARTBEAT_US,
                                   .credit_bytes = 1u << 30 };
    puppet->agent = agent_new(&config);
    ENSURE(puppet->agent);
    puppet->began_us = world->now_us;
    puppet->agent_due_us = UINT64_MAX;
    puppet->link_free_us = 0;
    adopt_results(world, at, puppet->results);
    world_later(world, 1, HAPPENING_CONNECT, at, puppet->life);
}

static void end_process(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    machine_clear(world, at);
    if (puppet->agent)
        puppet->figures.up_us += world->now_us - puppet->began_us;
    agent_free(&puppet->agent);
    puppet->life++;
    puppet->connected = false; /* nobody is left to be told */
    puppet->undrained = puppet->leaving;
    puppet->leaving = false;
    puppet->frozen_until_us = 0;
    network_reset(world, at);
}

void puppet_crash(struct world *world, uint32_t at)
{
    if (!world->puppets[at].agent)
        return;
    world->report->crashes++;
    end_process(world, at);
    world_later(world, world_spread(world, 100000, 300000), HAPPENING_JOIN, at, world->puppets[at].life);
}

void puppet_end(struct world *world, uint32_t at)
{
    world->puppets[at].gone = true;
    if (world->puppets[at].agent)
        end_process(world, at);
    machine_clear_results(world, at);
}

void puppet_leave(struct world *world, uint32_t at, bool retires)
{
    struct puppet *puppet = &world->puppets[at];
    puppet->retires = puppet->retires || retires;
    if (!puppet->agent || puppet->leaving)
        return;
    puppet->leaving = true;
    puppet->leaves_us = world->now_us + LEAVING_US;
    if (puppet->up && world->sched)
        master_hear(world, at, &(struct sched_event){ .type = SCHED_DRAIN, .worker = puppet->number });
    world_later(world, BYE_US, HAPPENING_BYE, at, puppet->life);
}

/* Its owner has thought again. */
static void stay(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    puppet->leaving = false;
    master_hear(world, at, &(struct sched_event){ .type = SCHED_UNDRAIN, .worker = puppet->number });
}

/* Empty means: it holds nothing, and nothing that was said to it before the drain is on its way. */
void puppet_bye(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    if (!puppet->leaving)
        return;
    bool empty = puppet->connected && puppet->up && agent_held_count(puppet->agent) == 0 &&
                 puppet->last_down_us <= world->now_us;
    if (!empty && world->now_us < puppet->leaves_us) {
        world_later(world, BYE_US, HAPPENING_BYE, at, puppet->life);
        return;
    }
    if (puppet->retires)
        puppet_end(world, at);
    else if (empty && puppet->number % 2 == 0 && world->sched)
        stay(world, at);
    else
        puppet_crash(world, at);
}

void puppet_hello(const struct world_device *d, struct sched_slot_info *info)
{
    *info = (struct sched_slot_info){ .formats = SCHED_FORMAT_SYNTHETIC,
                                      .sizes_count = d->sizes_count,
                                      .batch_max = d->batch_max,
                                      .window = d->window ? d->window : 2,
                                      .window_max = d->window_max,
                                      .alpha_us = d->warm ? d->alpha_us : d->prior_alpha_us,
                                      .beta_us = d->warm ? d->beta_us : d->prior_beta_us,
                                      .load_us = (double)d->load_us };
    if (d->busy_watts > 0)
        info->busy_watts = d->busy_watts;
    memcpy(info->sizes, d->sizes, d->sizes_count * sizeof *d->sizes);
}
