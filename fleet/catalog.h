// SPDX-License-Identifier: Apache-2.0
/* catalog - what is published about devices, and what that says about their speed on a model.
 *
 * The tables are fleet/catalog/{devices,benchmarks,results}.csv, compiled in; docs/fleet-files.md tells their
 * columns. A figure that is not published is negative here and empty there, never 0; a rate of 0 says that
 * the device cannot compute in that precision. All rates are dense peaks (no sparsity), 2 operations per
 * multiply-add. Everything returned lives as long as the program. Pure, thread-safe. */
#ifndef CATALOG_H
#define CATALOG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CATALOG_BATCH_LEAST = 64, /* batch_max of a prior is a power of two in this range ... */
    CATALOG_BATCH_MOST = 1024,
    CATALOG_NEAREST_MAX = 256,
};

/* The workload that stands for a model of which nothing is known: `up`, `run` and `bench` start their workers
 * before a model is named. */
#define CATALOG_DEFAULT_BENCHMARK "resnet50"

/* A row of devices.csv: one accelerator, or a whole system of `parts` accelerators of the kind `part`. */
struct catalog_device {
    const char *name;
    const char *aliases; /* other names, between spaces; "" = none */
    const char *vendor;
    const char *kind; /* cpu gpu tpu npu fpga dsp mcu remote */
    const char *part; /* name of the row that this system consists of; "" = no such */
    uint32_t parts;   /* how many; 1 without part */
    uint32_t year;    /* 0 = not published */
    double int4_ops_per_second, int8_ops_per_second, fp16_ops_per_second, bf16_ops_per_second,
        fp32_ops_per_second;
    double memory_bytes;
    double bandwidth_bytes_per_second;
    double power_watts; /* while busy */
    const char *precisions, *host, *runtime, *source, *note;
};

/* A row of benchmarks.csv: a model with which devices were measured. */
struct catalog_benchmark {
    const char *name;
    const char *aliases; /* between spaces */
    double operations_per_sample, parameters, input_bytes;
    const char *source, *note;
};

enum catalog_quantity {
    CATALOG_OFFLINE,         /* samples per second, any number at once */
    CATALOG_SINGLE_MS,       /* milliseconds of one sample alone, 90th percentile */
    CATALOG_SINGLE_RATE,     /* samples per second, one at a time */
    CATALOG_POWER_RUN_WATTS, /* of the whole system at the wall, in a run of its own (offline) ... */
    CATALOG_POWER_RUN_RATE,  /* ... and the samples per second of that run */
    CATALOG_JOULES,          /* per sample, of the device alone */
};

/* A row of results.csv: a published measurement of a system of `devices` of the named device. */
struct catalog_result {
    const char *device, *benchmark;
    uint32_t devices;
    const char *system;
    const char *round; /* "inference-v4.1-closed" */
    uint32_t order;    /* of the round: a later one is larger */
    enum catalog_quantity quantity;
    double value; /* of the whole system */
    const char *source;
};

size_t catalog_devices(const struct catalog_device **devices);
size_t catalog_benchmarks(const struct catalog_benchmark **benchmarks);
size_t catalog_results(const struct catalog_result **results);

/* By name or alias; NULL if there is none. */
const struct catalog_device *catalog_find(const char *name);
const struct catalog_benchmark *catalog_find_benchmark(const char *name);

/* "a, b, c": up to three names or aliases that are nearest to name by edit distance, the nearest first. */
void catalog_nearest(const char *name, char text[CATALOG_NEAREST_MAX]);

/* The fastest rate among int8, fp16, bf16 and fp32, or else int4; negative if none is published. */
double catalog_peak(const struct catalog_device *device);

/* What is to be computed: a benchmark's name, or the figures of a model (`model check` estimates them). */
struct catalog_workload {
    const char *benchmark;        /* NULL = by the figures */
    double operations_per_sample; /* > 0; a multiply-add counts 2 */
    double bytes_per_sample;      /* moved through the device's memory; 0 = not known */
};

enum catalog_origin {
    CATALOG_PUBLISHED, /* this device's own result */
    CATALOG_PARTS,     /* a result of a system of such devices, divided; or of the part, multiplied */
    CATALOG_SCALED,    /* from the device's results on other benchmarks, by operations per second achieved */
    CATALOG_ROOFLINE,  /* peak times the share of it that devices of this kind achieve; at most the bandwidth
                        */
};

/* Time of a batch of b samples: alpha + beta*b. A figure of grade `catalog`: a few batches overrule it. */
struct catalog_prior {
    enum catalog_origin origin;
    const char *benchmark; /* NULL = by figures */
    double alpha_ms, beta_ms;
    bool alpha_is_estimated; /* no latency of one sample is published: the median of devices of this kind */
    uint32_t batch_max;      /* the least power of two within 2 % of the full rate */
    double share;            /* of peak that this prior achieves; negative = not known */
    double energy_joules_per_sample; /* as published, at the wall where that was measured; negative = none */
    double busy_watts; /* that energy over time, if it is the device's own; else the data sheet's; else of a
                          power run; negative = none */
    const struct catalog_result *result; /* that set beta; NULL if none did */
    const char *source;                  /* of the figure that set beta */
};

/* The prior of device for workload. ERR_USAGE: no such benchmark. ERR_UNSUPPORTED: nothing published
 * tells it; why says which figures are missing and to give `curve`. */
MUST_USE enum err catalog_prior(const struct catalog_device *device, const struct catalog_workload *workload,
                                struct catalog_prior *prior, struct why *why);

const char *catalog_origin_name(enum catalog_origin origin);

#endif
