// SPDX-License-Identifier: Apache-2.0
/* sched - the scheduler: told what happened, it says what must be done. The heart of the coordinator.
 *
 * Pure: no clock, no socket, no file, no randomness; equal histories give equal actions on every machine.
 * Time is an argument in microseconds of the caller's monotonic clock and never goes back. One owner. The
 * loop carries the actions out; the simulator does the same in virtual time, replay does it from a log.
 *
 * Samples of a job are in exactly one of these states (kept as interval sets, never as lists):
 *
 *              lease                 result arrives: claimed         bytes durable
 *      READY ---------> LEASED ----------------------------> SETTLING ------------> DONE
 *        ^                |
 *        '----------------'  worker lost, recalled and returned, expired, failed (until it is its own fault:
 * FAILED)
 *
 * A chunk is one lease: consecutive samples given to one slot under one attempt number, which is never used
 * again. The first result to arrive claims its samples; another result for them is dropped and counted. A
 * result is taken for every sample that is not yet SETTLING, DONE or FAILED, from a live attempt or from one
 * that the loop proved was once leased to that worker.
 *
 * Two ids name a slot: its worker (chosen by the loop, dense, never reused for another worker process) and
 * its number there. */
#ifndef SCHED_H
#define SCHED_H

#include "err.h"
#include "tally.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCHED_SIZES_MAX = 64,
    SCHED_WINDOW_MAX = 64,
    SCHED_ACTIONS_MAX = 1024,
    SCHED_TENANTS_MAX = 1024,
    SCHED_COSTS_MAX = 65536
};

struct sched_config {
    uint32_t workers_max, slots_max, jobs_max; /* tables; more is refused */
    uint64_t chunk_cap_us;                     /* no chunk is planned to run longer; 0 = default 2 s */
    uint64_t chunk_cost_us; /* Motley's own cost per chunk, for the best batch; 0 = default 100 us */
    uint64_t
        lease_floor_us; /* a lease never expires sooner than this after its expected end; 0 = default 5 s */
};

struct attributes;

/* What a worker says of a slot in HELLO. */
struct sched_slot_info {
    uint32_t formats;                /* bit set of enum sched_format */
    uint32_t sizes_count;            /* 0 = any batch from 1 to batch_max */
    uint32_t sizes[SCHED_SIZES_MAX]; /* ascending */
    uint32_t batch_max;              /* >= 1 */
    uint32_t window;                 /* chunks in flight, clamped to [2, SCHED_WINDOW_MAX] */
    uint32_t
        window_max; /* a server that batches by itself: the window is learned, up to here; 0 = it is fixed */
    double alpha_us, beta_us; /* prior; 0, 0 = none. Absurd figures (NaN, negative, infinite) are ignored */
    double load_us;           /* expected load time, 0 = unknown */
    uint32_t precisions;      /* the loop's bits; 0 = not known: any */
    uint32_t class; /* the loop's number for its kind of device: answers of unlike classes may differ */
    uint64_t memory_bytes; /* for models; 0 = unknown: any number of them fits */
    double busy_watts;     /* <= 0 = unknown, as the price */
    double price_per_hour;
    const struct attributes *attributes; /* for requirements; borrowed for the step; NULL = it has none */
};

/* One file of a logical model: for a format and a precision. */
struct sched_variant {
    uint32_t model;        /* the loop's number for the file: curves and loads are per file */
    uint32_t formats;      /* any of these formats will do: bit set of enum sched_format */
    uint32_t precisions;   /* the loop's bits: it runs on slots that have one of them; 0 = on all */
    uint64_t memory_bytes; /* its need on the device; 0 = unknown */
};
enum { SCHED_VARIANTS_MAX = 8 };

enum sched_format { SCHED_FORMAT_SYNTHETIC = 1, SCHED_FORMAT_ONNX = 2 };

/* What a job's owner wants of the devices that run it. */
enum sched_objective {
    SCHED_FASTEST = 0,
    SCHED_CHEAPEST, /* least money, or ... */
    SCHED_GREENEST, /* ... least energy that meets the deadline; without one, the thriftiest slots alone */
};

/* Why a result is not an answer. */
enum sched_failure {
    SCHED_OK = 0,
    SCHED_FAILED,   /* the runtime refused the batch */
    SCHED_MEMORY,   /* device memory was short: halve the batch, nobody's fault */
    SCHED_INPUT,    /* the input could not be read */
    SCHED_REJECTED, /* a server refused this sample for good (a 4xx): its own error, tried nowhere else; of a
                       chunk of several, each is run alone to find out which */
};

enum sched_event_type {
    SCHED_TICK, /* the deadline came; also drains actions that did not fit */
    SCHED_WORKER_UP,
    SCHED_WORKER_DOWN, /* connection lost, silent, or said BYE */
    SCHED_JOB_ADD,
    SCHED_JOB_SETTLED_RANGE, /* recovery, right after JOB_ADD: these samples are done (or failed) already */
    SCHED_JOB_CANCEL,
    SCHED_JOB_CHANGE, /* its priority and deadline from now on */
    SCHED_TENANT,     /* a tenant's weight and quota; without it: weight 1, no quota */
    SCHED_DRAIN,      /* the worker gets no new leases; what has not started is asked back */
    SCHED_UNDRAIN,
    SCHED_LOADED, /* the answer to a SCHED_LOAD */
    SCHED_RESULT,
    SCHED_STORED,     /* the bytes of a SCHED_STORE, or the record of a SCHED_FAIL, are durable */
    SCHED_UNSTORABLE, /* the store refused the bytes of a SCHED_STORE (wrong shape): the samples failed */
    SCHED_RETURNED,   /* a recalled attempt that had not started */
    SCHED_HELD,       /* after WORKER_UP: the worker still holds this proven attempt, running or queued */
    SCHED_PAUSE,      /* storage is full: no new leases until ... */
    SCHED_RESUME,
};

struct sched_event {
    enum sched_event_type type;
    uint32_t worker, slot; /* all but TICK, JOB_*, STORED, PAUSE, RESUME */
    uint64_t job;
    uint64_t attempt, term; /* RESULT, RETURNED, HELD */
    uint64_t first;         /* RESULT, HELD, JOB_SETTLED_RANGE */
    uint64_t count;
    union {
        struct {
            uint32_t slots_count;
            const struct sched_slot_info *slots; /* borrowed for the step */
        } up;
        struct {
            uint32_t model;   /* the loop's number for the model's file: curves and loads are per file */
            uint32_t formats; /* any of these formats will do: bit set */
            uint32_t variants_count; /* more than one file: those below instead, the best first: a slot runs
                                        the first that it has the format and precision for and can load */
            struct sched_variant variants[SCHED_VARIANTS_MAX];
            uint64_t samples;
            int32_t priority;      /* larger first */
            uint32_t batch;        /* fixed samples per chunk, 0 = learned */
            uint32_t batch_fixed;  /* the model's static batch axis, 0 = any */
            uint64_t failures_max; /* the job fails when more samples than this failed */
            uint32_t tenant;       /* the loop's number, below SCHED_TENANTS_MAX */
            uint64_t deadline_us;  /* step time; 0 = none */
            enum sched_objective objective;
            const char *require,
                *prefer;           /* expressions that require_parse takes; borrowed; NULL = any slot */
            uint32_t verify_ppm;   /* this share of the samples is run again on another class of device */
            uint64_t memory_bytes; /* the model's need on the device; 0 = unknown */
            uint32_t costs_count;  /* 0 = all samples cost the same; else as many as samples, */
            const uint32_t
                *costs;  /* ... each > 0, in any unit (tokens, pixels, seconds of audio); borrowed */
            bool online; /* a request that somebody waits for: before all batch jobs, earliest deadline first;
                            its STORE and FAIL are answered by STORED at once, nothing of it is on disk */
        } add;
        struct {
            int32_t priority;
            uint64_t deadline_us;
        } change;
        struct {
            uint32_t tenant;
            double weight;        /* > 0 */
            uint32_t slots_quota; /* it holds at most so many slots at a time; 0 = no quota */
        } tenant;
        struct {
            bool failed;
        } settled;
        struct {
            uint32_t model;
            bool ok;
            uint64_t load_us;
            double alpha_us, beta_us; /* measured at load; 0 = not measured */
        } loaded;
        struct {
            bool proven; /* the loop verified that this attempt was leased to this worker */
            enum sched_failure failure;
            uint64_t run_us, wait_us;
            double energy_joules; /* negative = unknown */
            bool overrun;
            bool again; /* it may have come before: if nothing of it is wanted, that is no work done twice */
        } result;
        struct {
            bool finished; /* it ran, and its result is on its way: its place in a window is not needed */
        } held;
        struct {
            uint32_t settle;
        } stored; /* STORED, UNSTORABLE: the action's settle; first, count, job as in the action */
    };
};

enum sched_action_type {
    SCHED_LOAD,     /* worker, slot, job, model: load that file of the job's model there */
    SCHED_UNLOAD,   /* worker, slot, model: its memory is needed */
    SCHED_PREFETCH, /* worker, job: have the job's model in the cache, it is next */
    SCHED_LEASE,    /* worker, slot, job, first, count, attempt, model */
    SCHED_RECALL,   /* worker, attempt: give it back if it has not started */
    SCHED_ACK,      /* worker, term, attempt: the worker may forget it (stored, or dropped) */
    SCHED_STORE,    /* job, first, count, settle: write this part of the result just given, then say STORED */
    SCHED_FAIL, /* job, first, count, settle: record that these samples failed for the reason just given, then
                   STORED */
    SCHED_COMPARE, /* job, first, count, worker, slot, class: compare this part of the result just given with
                      what is stored of it, which a device of that class answered; no STORED */
    SCHED_JOB_STATE, /* job, state */
    SCHED_BAR,       /* worker, slot, until_us: it failed distinct samples again and again; 0 = it is back */
};

/* The order of a job's states here; `finishing` and what follows is the loop's work. */
enum sched_job_state {
    SCHED_JOB_QUEUED = 0, /* nothing of it was leased yet */
    SCHED_JOB_RUNNING,
    SCHED_JOB_COMPLETE, /* every sample is DONE or FAILED, all durable: publish it; the scheduler has
                           forgotten its leases */
    SCHED_JOB_FAILED,   /* more failures than allowed */
    SCHED_JOB_CANCELLED,
};

struct sched_action {
    enum sched_action_type type;
    uint32_t worker, slot;
    uint64_t job, first, count;
    uint64_t term, attempt;
    uint32_t settle, model, class;
    uint64_t until_us;
    enum sched_job_state state;
};

struct sched_actions {
    size_t count;
    struct sched_action at[SCHED_ACTIONS_MAX];
};

struct sched;

/* NULL when out of memory. term: of this coordinator's life, below 2^23; an attempt's number is unique over
 * all terms. */
struct sched *sched_new(const struct sched_config *config, uint64_t term);
void sched_free(struct sched **sched);

/* Apply one event at now_us. Overwrites *out with what must now be done, in order. Nonsense from a peer
 * (unknown worker, slot, job, attempt, impossible counts) changes nothing. Actions beyond SCHED_ACTIONS_MAX
 * stay inside; the deadline is then now. */
void sched_step(struct sched *sched, uint64_t now_us, const struct sched_event *event,
                struct sched_actions *out);

/* When the next SCHED_TICK is due; UINT64_MAX = never. */
uint64_t sched_deadline_us(const struct sched *sched);

/* ENSURE that all tables agree with each other. For tests: O(everything). */
void sched_check(const struct sched *sched);

/* Add a job as if, let look look (at forecasts and explanations of add->job), and take it away again: nothing
 * of it stays. False: it could not be added. */
bool sched_suppose(struct sched *sched, uint64_t now_us, const struct sched_event *add,
                   void (*look)(void *context, const struct sched *sched), void *context);

/* ---- looks, for views: valid until the next step
 * ----------------------------------------------------------------------- */

struct sched_job_look {
    enum sched_job_state state;
    uint64_t samples, done, failed, settling, leased, ready;
    uint64_t duplicates; /* executions dropped because another won */
    uint64_t attempts;   /* leases given */
    uint32_t slots_able; /* slots up that have the format and did not fail to load the model */
    uint32_t slots_loading;
    uint64_t eta_us;   /* time until all is done by water-filling; UINT64_MAX unknown */
    uint64_t bound_us; /* fluid bound from the job's start, with the curves as learned so far; 0 unknown */
    uint64_t added_us, started_us, settled_us; /* step times; 0 = not yet */
    const struct histogram *latency;           /* lease given to result durable, per sample */
};
/* False if there is no such job (it was never added, or was removed). A complete job stays until
 * sched_job_remove. */
bool sched_job_look(const struct sched *sched, uint64_t job, struct sched_job_look *look);
void sched_job_remove(struct sched *sched, uint64_t job); /* only in states COMPLETE, FAILED, CANCELLED */

/* The accounting of a slot in a job; NULL if it took no part. Valid until the next call, too. */
const struct tally *sched_tally(const struct sched *sched, uint64_t job, uint32_t worker, uint32_t slot);

struct sched_slot_look {
    bool up;
    uint32_t in_flight, window;
    double alpha_us, beta_us,
        error; /* of the model last run there; error: relative, one standard deviation; samples 0 = prior */
    uint64_t curve_samples; /* batches behind the curve */
    uint32_t best_batch;
    uint64_t busy_until_us;
    double oldest_us; /* how long its oldest chunk should run; 0 = it has none, or nobody knows */
    bool overdue;     /* ... and that one is so late that the samples are for others, too */
};
/* The model's number that the slot runs of the job, or would; false if the job is not for the slot. */
bool sched_slot_model(const struct sched *sched, uint64_t job, uint32_t worker, uint32_t slot,
                      uint32_t *model);

bool sched_slot_look(const struct sched *sched, uint32_t worker, uint32_t slot, struct sched_slot_look *look);

#endif
