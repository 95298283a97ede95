// SPDX-License-Identifier: Apache-2.0
/* world - the real scheduler and the real agents in virtual time: imaginary devices, network, disk and
 * deaths. Pure: one seed is one exact history, on every machine.
 *
 * The world carries out what sched and agent ask for, as the two loops do, but with delays drawn from the
 * seed: messages travel in order per connection, connections break and come back, workers die and are
 * replaced, the coordinator dies and starts again from what was durable. A checker outside both counts what
 * reached the disk, sample by sample. Weather ends at calm_us; after that the jobs must end. */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

enum { WORLD_SIZES_MAX = 16 };

struct world_device {
    double alpha_us, beta_us; /* the truth; the scheduler has to find out */
    uint32_t batch_max;
    uint32_t sizes_count, sizes[WORLD_SIZES_MAX];
    double jitter; /* relative standard deviation */
    uint64_t load_us, joins_us;
    uint64_t throttle_at_us; /* 0 = never; from then on a batch takes throttle_by times as long */
    double throttle_by;
    uint64_t hangs_at_us; /* 0 = never */
    bool warm;            /* the coordinator is told the curve in HELLO */
};

struct world_weather {                  /* all 0: perfect */
    uint64_t calm_us;                   /* no accidents from then on */
    uint64_t delay_us, delay_spread_us; /* one way */
    uint64_t disk_us, disk_spread_us;   /* a group commit */
    uint32_t breaks_per_mille;          /* chance that a message breaks its connection instead of arriving */
    uint32_t crashes_per_mille;         /* chance that a finished batch is the worker's last act */
    uint32_t restarts_per_mille; /* chance that a commit is the coordinator's last act (it may or may not be
                                    durable) */
    uint32_t failures_per_mille; /* chance that a batch fails for no reason */
    uint32_t poison_every;       /* every n-th sample fails wherever it runs; 0 = none */
    bool lies;                   /* some results say nonsense: wrong attempt, wrong range, twice */
};

struct world_config {
    uint64_t seed;
    const struct world_device *devices;
    uint32_t devices_count;
    uint32_t jobs_count;
    const uint64_t *samples; /* of each job, all submitted at 0 */
    struct world_weather weather;
    bool check;         /* sched_check and agent_check after each step */
    uint64_t steps_max; /* give up (finished = false) after so many events; 0 = 50 million */
};

struct world_report {
    bool finished;
    uint64_t makespan_us;   /* the last job's completion */
    double bound_us;        /* the clairvoyant fluid bound of the devices; accidents are not in it */
    uint64_t lost, doubled; /* samples that never reached the disk; that did twice. Both must be 0 */
    uint64_t duplicates;    /* samples computed again and dropped, by the scheduler's count */
    uint64_t failed;        /* samples reported as failed */
    uint64_t batches, events, trace_hash;
};

/* Run the history of config. report is always filled. */
void world_run(const struct world_config *config, struct world_report *report);

#endif
