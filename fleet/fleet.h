// SPDX-License-Identifier: Apache-2.0
/* fleet - the fleet file: which workers to start, real or emulated (CONTRACT section 3). One schema for run,
 * up, simulate, bench.
 *
 * Reading checks everything: unknown keys, wrong types and impossible values are ERR_FORMAT with the file's
 * name, line and column; `count` is expanded, so that `workers` lists each worker process by its final name.
 * 100,000 workers cost some 20 MB: what is alike is shared. Pure after reading. */
#ifndef FLEET_H
#define FLEET_H

#include "catalog.h"
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

/* One worker process. What it points to is shared by all workers of its group and lives as long as the fleet.
 */
struct fleet_worker {
    const char *name; /* unique, shorter than FLEET_NAME_MAX; defaults to the device as given, "local", or
                         "worker"; -1, -2, ... with count */
    const char *kind; /* cpu gpu tpu npu fpga dsp mcu remote; default the device's, else cpu */
    const struct catalog_device *device; /* NULL = figures of its own */
    const struct catalog_prior *prior;   /* where the curve came from; NULL = it is the file's own */
    bool local;     /* a real worker with what it finds; all figures below are then unused but the curve in
                       simulate */
    bool has_curve; /* false for a local one without figures */
    struct fleet_curve curve;
    double load_seconds;           /* default 0 */
    double link_mbit, link_rtt_ms; /* 0 = no limit, no delay */
    double idle_watts, busy_watts; /* negative = unknown */
    double price_per_hour;         /* negative = unknown */
    double jitter;                 /* relative standard deviation of a batch's time, in [0, 1) */
    double joins_at_seconds;
    double memory_bytes;  /* of the device; 0 = unknown */
    uint32_t sizes_count; /* 0 = every size from 1 to batch_max */
    uint32_t faults_count, labels_count;
    const uint32_t *sizes;            /* ascending, each in [1, batch_max] */
    const struct fleet_fault *faults; /* ascending by time */
    const struct fleet_label *labels;
};

/* One item of `workers:`, which stands for count workers. */
struct fleet_group {
    struct fleet_worker worker;    /* its name is without number */
    bool counted;                  /* `count` was given: names are numbered */
    uint32_t count;                /* as expanded in `workers` */
    uint32_t count_min, count_max; /* equal but for a range */
    uint32_t line, column;         /* of the item in the file */
    bool kind_given, curve_given, busy_given;
    struct catalog_prior prior; /* with a device and no curve of the file's own, once resolved */
};

struct fleet {
    char name[FLEET_NAME_MAX]; /* default: the file's name without folder and extension */
    double time_scale; /* > 0, default 1.0: emulated times (curve, load, joins, faults, link) are multiplied
                          by it */
    uint32_t workers_count;       /* 0 is allowed: such a fleet runs nothing, and says so */
    struct fleet_worker *workers; /* those of a group stand together, in the file's order */
    uint32_t groups_count;
    struct fleet_group *groups;
    char *names; /* of the numbered workers */
};

/* How to read. */
struct fleet_reading {
    bool ranges; /* allow `count: 1..20`; the fleet then has the most workers, see fleet_choose */
    const struct catalog_workload *workload; /* NULL = CATALOG_DEFAULT_BENCHMARK */
};

/* Read path into a fresh fleet: ranges are refused, and catalog devices have the curve of the default
 * workload. A `device:` that the catalog does not know is ERR_FORMAT naming the nearest; one whose
 * published figures do not tell a curve is ERR_UNSUPPORTED and says what to give. An emulated worker with
 * neither `device` nor `curve` is refused. */
MUST_USE enum err fleet_read(const char *path, struct fleet **fleet, struct why *why);

/* The same, in the caller's way. */
MUST_USE enum err fleet_open(const char *path, const struct fleet_reading *reading, struct fleet **fleet,
                             struct why *why);

/* Give every catalog device without a curve of its own the curve of workload, in groups and workers. May be
 * called again with another workload. On failure the fleet is as before. */
MUST_USE enum err fleet_resolve(struct fleet *fleet, const struct catalog_workload *workload,
                                struct why *why);

/* Make counts[i] workers of group i, each in [count_min, count_max]: what a planner tries. Pointers into
 * `workers` are void afterwards. ERR_MEMORY leaves the fleet as before. */
MUST_USE enum err fleet_choose(struct fleet *fleet, const uint32_t *counts, struct why *why);

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
