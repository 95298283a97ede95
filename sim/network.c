// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include "ensure.h"
#include "master.h"
#include "puppet.h"

static const uint64_t SILENCE_US = 3000000;

static uint64_t silence_us(const struct world *world)
{
    return world->config->silence_us ? world->config->silence_us : SILENCE_US;
}

/* ---- words ---- */

static uint64_t arrival(struct world *world, const struct puppet *puppet, uint64_t *last_us)
{
    const struct world_weather *w = &world->config->weather;
    uint64_t at =
        world->now_us + puppet->device->link_us + world_spread(world, w->delay_us, w->delay_spread_us);
    *last_us = at > *last_us ? at : *last_us;
    return *last_us;
}

void network_say_to_coordinator(struct world *world, uint32_t at, const struct sched_event *event)
{
    struct puppet *puppet = &world->puppets[at];
    if (!puppet->connected || !puppet->up)
        return;
    struct happening *h = agenda_add(&world->agenda, arrival(world, puppet, &puppet->last_up_us),
                                     HAPPENING_TO_COORDINATOR, at, puppet->connection);
    h->to_sched = word_of(event);
    h->to_sched.worker = puppet->number;
}

void network_say_to_agent(struct world *world, uint32_t at, const struct agent_event *event)
{
    struct puppet *puppet = &world->puppets[at];
    if (!puppet->up)
        return;
    struct happening *h = agenda_add(&world->agenda, arrival(world, puppet, &puppet->last_down_us),
                                     HAPPENING_TO_AGENT, at, puppet->connection);
    h->to_agent = *event;
}

static bool wait_until(struct world *world, struct happening *h, uint64_t until_us)
{
    if (until_us <= world->now_us)
        return false;
    agenda_again(&world->agenda, h, until_us);
    return true;
}

bool network_at_coordinator(struct world *world, struct happening *h)
{
    struct puppet *puppet = &world->puppets[h->worker];
    if (h->epoch != puppet->connection || !puppet->up || !world->sched)
        return false;
    if (wait_until(world, h, puppet->mute_until_us))
        return true;
    if (world_chance(world, world->config->weather.breaks_per_mille)) {
        network_reset(world, h->worker);
        return false;
    }
    bool result = h->to_sched.type == SCHED_RESULT;
    uint64_t life = puppet->life;
    struct sched_event event;
    word_say(&h->to_sched, &event);
    master_hear(world, h->worker, &event);
    if (result && puppet->life == life && puppet->agent &&
        world_chance(world, world->config->weather.crashes_per_mille))
        puppet_crash(world, h->worker);
    return false;
}

bool network_at_agent(struct world *world, struct happening *h)
{
    struct puppet *puppet = &world->puppets[h->worker];
    if (h->epoch != puppet->connection || !puppet->connected || !puppet->agent)
        return false;
    uint64_t deaf = puppet->deaf_until_us, frozen = puppet->frozen_until_us;
    if (wait_until(world, h, deaf > frozen ? deaf : frozen))
        return true;
    puppet_step(world, h->worker, &h->to_agent);
    return false;
}

/* ---- ends ---- */

static void agent_loses(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    if (!puppet->connected)
        return;
    puppet->connected = false;
    if (!puppet->agent)
        return;
    puppet_step(world, at, &(struct agent_event){ .type = AGENT_DISCONNECTED });
    world_later(world, world_spread(world, 20000, 200000), HAPPENING_CONNECT, at, puppet->life);
}

static void coordinator_loses(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    if (!puppet->up)
        return;
    puppet->up = false;
    puppet->connection++;
    if (world->sched)
        master_hear(world, at, &(struct sched_event){ .type = SCHED_WORKER_DOWN, .worker = puppet->number });
}

void network_reset(struct world *world, uint32_t at)
{
    coordinator_loses(world, at);
    if (world->puppets[at].frozen_until_us > world->now_us && world->puppets[at].connected)
        world_later(world, world->puppets[at].frozen_until_us - world->now_us, HAPPENING_RESET_HEARD, at,
                    world->puppets[at].life);
    else
        agent_loses(world, at);
}

void network_coordinator_gives_up(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    coordinator_loses(world, at);
    uint64_t hears_us = world->now_us + world_spread(world, 1, silence_us(world));
    hears_us = puppet->frozen_until_us > hears_us ? puppet->frozen_until_us : hears_us;
    world_later(world, hears_us - world->now_us, HAPPENING_RESET_HEARD, at, puppet->life);
}

void network_agent_gives_up(struct world *world, uint32_t at) { agent_loses(world, at); }

void network_silent(struct world *world, uint32_t at)
{
    world_later(world, world_spread(world, silence_us(world), 500000), HAPPENING_SILENCE, at,
                world->puppets[at].connection);
}

void network_silence_over(struct world *world, uint32_t at, uint64_t connection)
{
    struct puppet *puppet = &world->puppets[at];
    if (puppet->connection != connection || !puppet->agent)
        return;
    bool unheard = puppet->mute_until_us > world->now_us || puppet->frozen_until_us > world->now_us;
    if (unheard && puppet->up)
        network_coordinator_gives_up(world, at);
    else if (puppet->deaf_until_us > world->now_us && puppet->connected)
        network_agent_gives_up(world, at);
}

/* ---- beginnings ---- */

static void say_hello(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    struct sched_slot_info infos[64];
    ENSURE(puppet->slots_count <= 64);
    for (uint32_t slot = 0; slot < puppet->slots_count; slot++) {
        puppet_hello(puppet->device, &infos[slot]);
        if (world->config->on_hello)
            world->config->on_hello(world->config->context, at, slot, &infos[slot]);
    }
    master_hear(world, at,
                &(struct sched_event){ .type = SCHED_WORKER_UP,
                                       .worker = puppet->number,
                                       .up = { puppet->slots_count, infos } });
    if (puppet->leaving || puppet->undrained)
        master_hear(world, at,
                    &(struct sched_event){ .type = puppet->leaving ? SCHED_DRAIN : SCHED_UNDRAIN,
                                           .worker = puppet->number });
    puppet->undrained = false;
}

struct held_visit {
    struct world *world;
    uint32_t at;
    bool finished; /* these, or the others */
};

static void offer_held(void *context, const struct agent_lease *lease, bool finished)
{
    struct held_visit *visit = context;
    if (finished != visit->finished)
        return;
    network_say_to_coordinator(visit->world, visit->at,
                               &(struct sched_event){ .type = SCHED_HELD,
                                                      .slot = lease->slot,
                                                      .job = lease->job,
                                                      .first = lease->first,
                                                      .count = lease->count,
                                                      .term = lease->term,
                                                      .attempt = lease->attempt,
                                                      .held = { finished } });
}

static uint64_t unreachable_until_us(const struct puppet *puppet)
{
    uint64_t until = puppet->cut_until_us;
    until = puppet->mute_until_us > until ? puppet->mute_until_us : until;
    return puppet->deaf_until_us > until ? puppet->deaf_until_us : until;
}

void network_connect(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    uint64_t until = unreachable_until_us(puppet);
    if (puppet->connected || !puppet->agent)
        return;
    if (!world->sched || until > world->now_us) {
        uint64_t wait = until > world->now_us ? until - world->now_us : 50000;
        world_later(world, wait + 1, HAPPENING_CONNECT, at, puppet->life);
        return;
    }
    coordinator_loses(world, at); /* it said HELLO anew before its silence was noticed */
    if (puppet->number == UINT32_MAX || puppet->number_term != world->term)
        puppet->number = master_number(world, at);
    puppet->number_term = world->term;
    puppet->connected = puppet->up = true;
    puppet->connection++;
    puppet->told_job = 0;
    puppet->last_down_us = puppet->last_up_us = world->now_us;
    say_hello(world, at);
    struct held_visit visit = { world, at, false };
    agent_held(puppet->agent, offer_held, &visit);
    visit.finished = true; /* after what needs a place in the window */
    agent_held(puppet->agent, offer_held, &visit);
    puppet_step(world, at, &(struct agent_event){ .type = AGENT_CONNECTED, .term = world->term });
}
