// SPDX-License-Identifier: Apache-2.0
/* scenario - a fleet file as the world's devices, with what may befall them.
 *
 * Workers alike are one device with a count, so that 100,000 of them cost little; worker i of the world is
 * worker i of the fleet. Pure; borrows nothing from the fleet once made. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "fleet.h"
#include "world.h"

/* On top of the faults that the fleet file names, drawn from the seed. moment: within the time that the bound
 * says the job takes. At least one worker is spared what lasts for ever. */
enum scenario_faults {
    SCENARIO_NONE,  /* 0.1 ms of network delay, 2 ms for a commit, nothing else */
    SCENARIO_MILD,  /* around half-time one worker in a hundred, at least one, drops to half of its speed, and
                       as many others die (in a fleet of one: none); the network and the disk as without */
    SCENARIO_HARSH, /* one in five slows to 0.2 to 0.9 of its speed at a moment, half of them for ever; one in
                       twenty dies and one in fifty hangs (where there are enough, at least one); messages are
                       delayed up to 5 ms, commits up to 22 ms, and until half again the bound's time: cut,
                       silent and one-way connections, crashed and stopped processes, leavers, a full and a
                       slow disk, coordinators that die, batches that fail */
};

struct scenario {
    struct world_device *devices;
    uint32_t devices_count;
    struct world_fault *faults; /* of all devices */
    uint64_t samples;
    struct world_weather weather;
    double bound_us;         /* with the drawn faults; negative = it can never finish */
    double batches;          /* about so many make up the job */
    uint64_t last_change_us; /* nothing joins, slows or dies later */
};

/* sample_bytes: of a sample's inputs, for links; 0 = they cost nothing. ERR_USAGE: a fleet without workers,
 * or a real worker without a curve. Free with scenario_fini, also on failure. */
MUST_USE enum err scenario_init(struct scenario *scenario, const struct fleet *fleet, uint64_t samples,
                                bool warm, enum scenario_faults faults, double sample_bytes, uint64_t seed,
                                struct why *why);
void scenario_fini(struct scenario *scenario);

/* Samples that one worker of this kind can do in seconds at the most, from its join on: what the fluid bound
 * is made of. With the file's faults; time_scale counts. */
double scenario_worker_samples(const struct fleet *fleet, const struct fleet_worker *worker, double seconds);

/* A fleet drawn from seed: 2 to 64 emulated workers of one slot, speeds spread up to 300 : 1, alpha up to
 * three batches' worth of beta, some with load times, late joins and fixed batch sizes. *samples: as many as
 * keep it busy for `length` batches of its slowest slot. */
MUST_USE enum err scenario_draw_fleet(uint64_t seed, uint32_t length, struct fleet **fleet, uint64_t *samples,
                                      struct why *why);

#endif
