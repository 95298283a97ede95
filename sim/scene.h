// SPDX-License-Identifier: Apache-2.0
/* scene - who and what is in a world: shared by the files of sim, private to them.
 *
 * puppet: one worker process and what stands for it when it is dead. machine: one slot of it, with its
 * errands (loads and batches, oldest first: those that run, then those that wait). An errand that ended well
 * or badly is kept among the puppet's results until the agent drops it. */
#ifndef SCENE_H
#define SCENE_H

#include "agenda.h"
#include "checker.h"
#include "ranges.h"
#include "rng.h"
#include "world.h"

struct errand {
    struct errand *next;
    bool load, running;
    bool heard; /* its run was told */
    uint32_t slot, model;
    uint64_t job;
    struct agent_lease lease;
    uint64_t start_us, end_us;
    enum sched_failure failure;
    bool sent; /* its result, on some connection */
};

struct machine {
    struct errand *errands;
    uint32_t running_count;
};

struct puppet {
    const struct world_device *device;
    struct agent *agent; /* NULL: no process */
    struct machine *machines;
    struct errand *results; /* finished and not acknowledged: its spool, which its process's death leaves */
    uint32_t device_index, slots_count;
    uint32_t number; /* the coordinator's for this worker, in its term number_term; UINT32_MAX = none */
    uint64_t number_term;
    uint64_t life, connection; /* epochs */
    bool up;                   /* the coordinator believes that it is connected */
    bool connected;            /* it believes so itself */
    bool joined, gone;         /* gone: never comes back */
    bool leaving, retires;     /* retires: goes when it left */
    bool undrained;            /* its process took the place of one that was drained */
    uint64_t joined_us, began_us, leaves_us;
    uint64_t last_up_us, last_down_us; /* of what was sent last, when it arrives: in order */
    uint64_t agent_due_us;
    double link_free_us;
    uint64_t told_job; /* the job of the last AGENT_JOB on this connection */
    /* accidents that last */
    uint64_t frozen_until_us, cut_until_us, mute_until_us, deaf_until_us, slow_until_us, short_until_us;
    double slow_factor;
    struct world_worker_figures figures;
};

struct stored { /* one STORE or FAIL on its way to the disk */
    struct word done;
    uint64_t attempt;
    bool failed;
};

struct disk {
    struct stored *pending, *committing;
    uint32_t pending_count, pending_capacity, committing_count, committing_capacity;
    bool commit_running;
    uint64_t full_until_us, slow_until_us;
    struct ranges *done, *failed; /* per job: what is on it */
};

struct task { /* a job as its owner sees it */
    struct world_job job;
    bool accepted, cancelled, over, online;
};

struct world {
    const struct world_config *config;
    struct world_report *report;
    struct rng rng;
    uint64_t now_us, hash;
    struct agenda agenda;
    struct checker *checker; /* NULL when blind */

    struct sched *sched; /* NULL: the coordinator is dead */
    struct sched_actions *sched_out;
    bool stepping;
    uint64_t term, coordinator_life, sched_due_us, ticks;
    uint32_t next_number, numbers_capacity;
    uint32_t *puppet_of;   /* by the coordinator's number */
    struct errand *judged; /* whose result the coordinator hears in this step */
    uint64_t judged_kept;

    uint32_t puppets_count, machines_count;
    struct puppet *puppets;
    struct machine *machines;
    struct agent_actions *agent_out;
    struct agent_event *replies; /* what the loop of the stepping agent answers at once */
    uint32_t replies_first, replies_count, replies_capacity;
    struct errand *spare_errands;

    uint32_t tasks_over;
    struct task *tasks;
    struct disk disk;
};

static inline bool world_stormy(const struct world *world)
{
    return world->now_us < world->config->weather.calm_us;
}

static inline bool world_chance(struct world *world, uint32_t per_mille)
{
    return per_mille > 0 && world_stormy(world) && rng_below(&world->rng, 1000) < per_mille;
}

static inline uint64_t world_spread(struct world *world, uint64_t base, uint64_t range)
{
    return base + (range ? rng_below(&world->rng, range) : 0);
}

static inline void world_trace(struct world *world, uint64_t a, uint64_t b, uint64_t c)
{
    world->hash = (world->hash ^ a) * 1099511628211u;
    world->hash = (world->hash ^ b) * 1099511628211u;
    world->hash = (world->hash ^ c) * 1099511628211u;
    world->hash = (world->hash ^ world->now_us) * 1099511628211u;
}

static inline struct happening *world_later(struct world *world, uint64_t delay_us, enum happening_type type,
                                            uint32_t worker, uint64_t epoch)
{
    return agenda_add(&world->agenda, world->now_us + delay_us, type, worker, epoch);
}

static inline bool world_broken(const struct world *world)
{
    return world->checker && checker_violation(world->checker)[0] != 0;
}

#endif
