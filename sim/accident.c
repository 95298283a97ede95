// SPDX-License-Identifier: Apache-2.0
#include "accident.h"

#include "disk.h"
#include "master.h"
#include "network.h"
#include "puppet.h"

static const uint64_t LASTS_US = 6000000;

void accident_plan(struct world *world)
{
    const struct world_weather *w = &world->config->weather;
    if (w->accident_every_us == 0 || w->accidents == 0 || !world_stormy(world))
        return;
    uint64_t wait = world_spread(world, w->accident_every_us / 2, w->accident_every_us);
    if (world->now_us + wait < w->calm_us)
        world_later(world, wait + 1, HAPPENING_ACCIDENT, 0, 0);
}

static enum world_accident draw(struct world *world)
{
    uint32_t bits = world->config->weather.accidents;
    uint32_t nth = (uint32_t)rng_below(&world->rng, (uint64_t)__builtin_popcount(bits));
    while (nth-- > 0)
        bits &= bits - 1;
    return (enum world_accident)(bits & -bits);
}

static uint64_t until_us(struct world *world)
{
    uint64_t until = world->now_us + world_spread(world, 1000, LASTS_US),
             calm = world->config->weather.calm_us;
    return until < calm ? until : calm;
}

static void strike(struct world *world, uint32_t at, enum world_accident accident, uint64_t until)
{
    struct puppet *puppet = &world->puppets[at];
    switch (accident) {
    case WORLD_CUTS:
        puppet->cut_until_us = until;
        network_reset(world, at);
        break;
    case WORLD_SILENCE: puppet->mute_until_us = puppet->deaf_until_us = until; break;
    case WORLD_DEAF: puppet->deaf_until_us = until; break;
    case WORLD_MUTE: puppet->mute_until_us = until; break;
    case WORLD_FREEZES: puppet->frozen_until_us = until; break;
    case WORLD_CRASHES: puppet_crash(world, at); break;
    case WORLD_LEAVERS: puppet_leave(world, at, false); break;
    case WORLD_THROTTLES:
        puppet->slow_until_us = until;
        puppet->slow_factor = 0.2 + 0.7 * rng_unit(&world->rng);
        break;
    case WORLD_MEMORY: puppet->short_until_us = until; break;
    default: break;
    }
    if (accident == WORLD_SILENCE || accident == WORLD_DEAF || accident == WORLD_MUTE ||
        accident == WORLD_FREEZES)
        network_silent(world, at);
}

static bool of_connection(enum world_accident accident)
{
    return accident == WORLD_CUTS || accident == WORLD_SILENCE || accident == WORLD_DEAF ||
           accident == WORLD_MUTE;
}

/* What befalls the network befalls one worker or about half of them; all else, one. */
static void strike_some(struct world *world, enum world_accident accident)
{
    uint64_t until = until_us(world);
    if (!of_connection(accident) || rng_below(&world->rng, 2)) {
        strike(world, (uint32_t)rng_below(&world->rng, world->puppets_count), accident, until);
        return;
    }
    for (uint32_t at = 0; at < world->puppets_count; at++)
        if (rng_below(&world->rng, 2))
            strike(world, at, accident, until);
}

void accident_happens(struct world *world)
{
    enum world_accident accident = draw(world);
    if (accident == WORLD_RESTARTS) {
        if (world->sched)
            master_crash(world);
    } else if (accident == WORLD_DISK_FULL) {
        disk_fill(world, until_us(world));
    } else if (accident == WORLD_DISK_SLOW) {
        world->disk.slow_until_us = until_us(world);
    } else if (world->puppets_count > 0) {
        strike_some(world, accident);
    }
    accident_plan(world);
}
