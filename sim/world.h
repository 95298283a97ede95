// SPDX-License-Identifier: Apache-2.0
/* world - the real scheduler and the real agents in virtual time: imaginary devices, network, disk and
 * deaths. Pure: one seed is one exact history, on every machine.
 *
 * The world carries out what sched and agent ask for, as the two loops do, but with delays and accidents
 * drawn from the seed. A checker outside both (checker.h) follows every word between them and counts what
 * reached the disk, sample by sample. Accidents end at weather.calm_us, what they broke is healed, and then
 * the jobs must end. What a device's own list of faults says is no accident: it happens, and stays.
 *
 *      agenda --> network --> master (sched) --> disk          who is where: scene.h
 *           \---> puppet (agent) --> machine (slots)           accident: the weather
 *
 * Times are microseconds from the world's beginning unless said otherwise. A struct filled with zeros is
 * a sound one everywhere here: absent, never, perfect. */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct sched;
struct sched_config;
struct sched_actions;
struct sched_event;
struct sched_slot_info;

enum { WORLD_SIZES_MAX = 32, WORLD_VIOLATION_MAX = 200 };

enum world_fault_type {
    WORLD_THROTTLE, /* from then on `factor` of full speed, for the rest of a running batch too; 1 heals */
    WORLD_DIES,     /* kill -9: connections reset at once; it never comes back */
    WORLD_HANGS,    /* takes work, answers heartbeats, never finishes */
    WORLD_LEAVES,   /* drains: gets nothing new, gives back what has not started, says BYE when it is empty */
};

struct world_fault {
    uint64_t at_us; /* after its joining, as in fleet files */
    enum world_fault_type type;
    double factor;
};

/* A device with one model, where it is not as with the others. */
struct world_model {
    double alpha_us, beta_us;
    uint32_t batch_max;    /* 0 = the device's */
    uint32_t memory_batch; /* 0 = the device's */
    uint64_t load_us;
    bool refuses; /* cannot load it */
};

/* A kind of worker; `count` of them are alike. */
struct world_device {
    double alpha_us,
        beta_us; /* the truth: a batch of n takes alpha + beta * n; the scheduler has to find out */
    uint32_t batch_max;
    uint32_t sizes_count, sizes[WORLD_SIZES_MAX]; /* ascending; shorter batches are padded */
    double jitter;                                /* relative standard deviation; mean 1 */
    uint64_t load_us, joins_us;
    uint64_t
        throttle_at_us; /* 0 = never; from then on (world's time) a batch takes throttle_by times as long */
    double throttle_by;
    uint64_t hangs_at_us; /* 0 = never (world's time) */
    bool warm;            /* the coordinator is told the curve in HELLO */

    uint32_t count;                   /* workers alike; 0 = 1 */
    uint64_t joins_every_us;          /* the k-th of them joins k times this later */
    uint32_t slots;                   /* 0 = 1 */
    uint32_t window;                  /* as HELLO says; 0 = 2 */
    uint32_t window_max;              /* as HELLO says: learned up to here; 0 = it is fixed */
    uint32_t lanes;                   /* batches that a slot runs at the same time; 0 = 1 */
    const struct world_model *models; /* by model number; beyond them all are as above */
    uint32_t models_count;
    const struct world_fault *faults; /* ascending by time */
    uint32_t faults_count;
    uint32_t memory_batch;                /* larger batches fail with SCHED_MEMORY; 0 = none does */
    uint32_t failures_per_mille;          /* chance that a batch fails here, in calm too */
    double prior_alpha_us, prior_beta_us; /* what HELLO says if not warm; 0 = nothing */
    uint64_t link_us;                     /* one way, on top of the weather's delay */
    double link_us_per_sample;            /* inputs travel one after the other; 0 = shared storage */
    double idle_watts, busy_watts;        /* busy 0 = unknown */
};

enum world_accident { /* bits */
                      WORLD_CUTS =
                          1, /* some workers are cut off for a while: connections reset, none can be made */
                      WORLD_SILENCE =
                          2,          /* the same, but nothing is said: words wait until silence is noticed */
                      WORLD_DEAF = 4, /* only words to the workers wait */
                      WORLD_MUTE = 8, /* only words to the coordinator wait */
                      WORLD_CRASHES = 16,    /* a worker's process dies at any moment; another starts later */
                      WORLD_FREEZES = 32,    /* a worker's process stops for a while (SIGSTOP) */
                      WORLD_LEAVERS = 64,    /* a worker drains, says BYE and comes back as a new one */
                      WORLD_RESTARTS = 128,  /* the coordinator dies at any moment */
                      WORLD_DISK_FULL = 256, /* nothing can be written for a while: PAUSE, later RESUME */
                      WORLD_DISK_SLOW = 512, /* commits take 20 times as long for a while */
                      WORLD_THROTTLES = 1024, /* a worker runs at 0.2 to 0.9 of its speed for a while */
                      WORLD_MEMORY =
                          2048, /* a worker's batches of more than a few samples fail for a while */
                      WORLD_ACCIDENTS = 12
};

struct world_weather {                  /* all 0: perfect */
    uint64_t calm_us;                   /* no accidents from then on */
    uint64_t delay_us, delay_spread_us; /* one way; in order on a connection, in any order between them */
    uint64_t disk_us, disk_spread_us;   /* a group commit */
    uint32_t breaks_per_mille;          /* chance that a message breaks its connection instead of arriving */
    uint32_t crashes_per_mille;         /* chance that a finished batch is the worker's last act */
    uint32_t restarts_per_mille; /* chance that a commit is the coordinator's last act: only the beginning of
                                    what it wrote, or nothing, or all of it, is durable then */
    uint32_t failures_per_mille; /* chance that a batch fails for no reason */
    uint32_t poison_every;       /* every n-th sample fails wherever it runs; 0 = none */
    uint32_t rejected_every;     /* every n-th sample is refused for good (SCHED_REJECTED); 0 = none */
    bool lies;                   /* some results say nonsense: wrong attempt, wrong range, twice */
    uint32_t inputs_per_mille;   /* chance that a lease's input cannot be read */
    uint32_t refusals_per_mille; /* chance that a model cannot be loaded; never on worker 0 */
    uint32_t unstorable_per_mille; /* chance that the store refuses a result */
    uint32_t accidents;            /* bits of enum world_accident: which may happen, ... */
    uint64_t accident_every_us;    /* ... and how often, on average; 0 = none */
};

struct world_job {
    uint64_t samples, arrives_us;
    uint64_t cancel_at_us; /* 0 = never */
    uint32_t model;        /* number */
    int32_t priority;
    uint32_t batch, batch_fixed; /* as in SCHED_JOB_ADD */
    uint64_t failures_max;       /* 0 = any number may fail */
    uint32_t poison_every;       /* 0 = as the weather says */
};

/* One batch that a device ran, told once: when the coordinator hears of it (kept: samples that it claimed),
 * or when it never will (kept 0). first and count name the lease, also for a failed batch. */
struct world_run {
    uint32_t worker, slot;
    uint64_t start_us, end_us;
    uint64_t job, first, attempt;
    uint32_t count;
    uint64_t kept;
    bool failed;
};

struct world_worker_figures {
    uint32_t device;           /* index in config.devices */
    uint64_t samples, batches; /* kept */
    uint64_t duplicates;       /* samples computed and dropped */
    uint64_t busy_us;          /* all slots together, lost work too */
    uint64_t up_us;            /* its process ran */
    double energy_joules; /* idle watts while up and the rest while busy (lanes count once); 0 = unknown */
};

struct world_job_figures {
    uint64_t started_us, finished_us; /* 0 = not */
    uint64_t done, failed;
    int state; /* enum sched_job_state */
};

struct world_config {
    uint64_t seed;
    const struct world_device *devices;
    uint32_t devices_count;
    uint32_t jobs_count;
    const uint64_t *samples; /* of each job, all submitted at 0; unused with `jobs` */
    struct world_weather weather;
    bool check;         /* sched_check and agent_check after each step: slow */
    uint64_t steps_max; /* give up (finished = false) after so many events; 0 = 50 million */

    const struct world_job *jobs;     /* or NULL; job i has number i + 1 */
    bool blind;                       /* no checker but for what is on the disk: for speed and scale */
    uint64_t until_us;                /* give up at this time; 0 = never */
    uint64_t heartbeat_us;            /* 0 = 1 s */
    uint64_t silence_us;              /* after which a silent connection is given up; 0 = 3 s */
    uint64_t grace_us;                /* a coordinator that was started again leases nothing for so long */
    double hedge_share;               /* of a job's samples that may be leased twice; 0 = 0.01 */
    const struct sched_config *sched; /* chunk_cap_us and so on; its tables are not used; NULL = defaults */

    /* All optional. What the world does not know of: fill in the rest of a SCHED_JOB_ADD, of a slot's HELLO.
     */
    void *context;
    void (*on_add)(void *context, uint32_t job_index, struct sched_event *add);
    void (*on_life)(void *context,
                    struct sched *sched); /* a coordinator begins: before its jobs and workers */
    /* For recordings: how a coordinator begins, and what its scheduler was told and answered. */
    void (*on_begin)(void *context, const struct sched_config *config, uint64_t term, uint64_t now_us);
    void (*on_step)(void *context, uint64_t now_us, const struct sched_event *event,
                    const struct sched_actions *actions);
    void (*on_added)(void *context, uint32_t job_index, const struct sched *sched, uint64_t now_us);
    void (*on_hello)(void *context, uint32_t worker, uint32_t slot, struct sched_slot_info *info);
    void (*on_run)(void *context, const struct world_run *run);
    struct world_worker_figures *workers; /* the caller's, world_workers(config) of them */
    struct world_job_figures *jobs_out;   /* the caller's, jobs_count of them */
};

struct world_report {
    bool finished;
    uint64_t makespan_us;   /* the last job's completion */
    double bound_us;        /* the clairvoyant fluid bound of the devices; accidents are not in it */
    uint64_t lost, doubled; /* samples that never reached the disk; that did twice. Both must be 0 */
    uint64_t duplicates;    /* samples computed again and dropped */
    uint64_t failed;        /* samples reported as failed */
    uint64_t batches, events, trace_hash;
    uint64_t leases, hedged; /* hedged: samples leased while somebody else had a good lease of them */
    uint64_t commits, restarts, crashes; /* what happened */
    double energy_joules;
    char violation[WORLD_VIOLATION_MAX]; /* of the first rule that was broken: its name, the time, the event's
                                            number; "" = none. The world stops there */
};

/* Run the history of config. report is always filled. */
void world_run(const struct world_config *config, struct world_report *report);

/* How many workers the devices stand for. */
uint32_t world_workers(const struct world_config *config);

/* The clairvoyant fluid bound, computed apart from the scheduler: the least T with the sum over slots of the
 * integral over [0, T] of rate(t) = samples of all jobs. A slot's rate is its best over its allowed batch
 * sizes (and, if the jobs use several models, over those: still a bound), times the throttle of the moment;
 * zero before join + load, and from its death, hang or leaving on. Not before the last arrival. Negative if
 * it can never finish. */
double world_bound_us(const struct world_config *config);

#endif
