// SPDX-License-Identifier: Apache-2.0
/* fleet - the fleet file: which workers to start, real or emulated (CONTRACT section 3). One schema for run,
 * up, simulate, bench.
 *
 * Reading checks everything: unknown keys, wrong types and impossible values are ERR_FORMAT with the file's
 * name, line and column; `count` is expanded, so that `workers` lists each worker process by its final name.
 * Pure after reading. */
#ifndef FLEET_H
#define FLEET_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FLEET_NAME_MAX = 64,
    FLEET_WORKERS_MAX = 100000,
    FLEET_SIZES_MAX = 32,
    FLEET_FAULTS_MAX = 16,
    FLEET_LABELS_MAX = 16,
    FLEET_BATCH_MAX_DEFAULT = 64, /* when curve.batch_max is absent */
};

struct fleet_label {
    char key[FLEET_NAME_MAX], value[FLEET_NAME_MAX];
};

/* Time of a batch of b samples: alpha + beta * b. */
struct fleet_curve {
    double alpha_ms, beta_ms;
    uint32_t batch_max;
};

enum fleet_fault_kind { FLEET_THROTTLE, FLEET_DIES, FLEET_HANGS };

struct fleet_fault {
    double at_seconds; /* after the worker joined, before time_scale */
    enum fleet_fault_kind kind;
    double factor; /* FLEET_THROTTLE: speed from then on, relative to healthy; > 0; 1.0 heals */
};

struct fleet_worker {
    char name[FLEET_NAME_MAX]; /* unique; defaults to the device's name, "local", or "worker"; -1, -2, ...
                                  with count */
    bool local; /* a real worker with what it finds; all figures below are then unused but the curve in
                   simulate */
    char device[FLEET_NAME_MAX]; /* catalog row; "" = figures of its own */
    char kind[16];               /* cpu gpu tpu npu fpga dsp mcu remote; default cpu */
    bool has_curve;
    struct fleet_curve curve;
    uint32_t sizes_count;            /* 0 = every size from 1 to batch_max */
    uint32_t sizes[FLEET_SIZES_MAX]; /* ascending, each in [1, batch_max] */
    double load_seconds;             /* default 0 */
    double link_mbit, link_rtt_ms;   /* 0 = no limit, no delay */
    double idle_watts, busy_watts;   /* negative = unknown */
    double price_per_hour;           /* negative = unknown */
    double jitter;                   /* relative standard deviation of a batch's time, in [0, 1) */
    double joins_at_seconds;
    uint32_t faults_count;
    struct fleet_fault faults[FLEET_FAULTS_MAX]; /* ascending by time */
    uint32_t labels_count;
    struct fleet_label labels[FLEET_LABELS_MAX];
};

struct fleet {
    char name[FLEET_NAME_MAX]; /* default: the file's name without folder and extension */
    double time_scale; /* > 0, default 1.0: emulated times (curve, load, joins, faults, link) are multiplied
                          by it */
    uint32_t workers_count; /* 0 is allowed: such a fleet runs nothing, and says so */
    struct fleet_worker *workers;
};

/* Read path into a fresh fleet. A `device:` that the catalog does not know is ERR_NOT_FOUND naming the
 * nearest; while there is no catalog in this build, ERR_UNSUPPORTED says to give `kind` and `curve` instead.
 * An emulated worker without `curve` is refused. */
MUST_USE enum err fleet_read(const char *path, struct fleet **fleet, struct why *why);

/* The default fleet: one local worker named after the host. */
MUST_USE enum err fleet_local(struct fleet **fleet, struct why *why);

void fleet_free(struct fleet **fleet);

/* The worker of that name, or NULL. */
const struct fleet_worker *fleet_find(const struct fleet *fleet, const char *name);

/* The best samples per second over the allowed batch sizes (CONTRACT, bound_seconds); 0 without a curve.
 * time_scale counts. */
double fleet_worker_rate(const struct fleet *fleet, const struct fleet_worker *worker);

/* The clairvoyant fluid bound in seconds for samples over this fleet (CONTRACT, bound_seconds); negative if
 * it can never finish, or if a worker's figures are unknown (a local one without a curve). */
double fleet_bound_seconds(const struct fleet *fleet, uint64_t samples);

#endif
