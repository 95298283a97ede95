// SPDX-License-Identifier: Apache-2.0
/* probe - what hardware is here. Reads, never changes, and is safe to run on any machine: no driver, no GPU,
 * odd sysfs.
 *
 * Sources: hwloc (packages, cores, NUMA nodes, memory, allowed CPUs: cgroups and affinity are respected), the
 * CUDA driver library and NVML through dlopen (absent: no such devices, no error). root is "" for this
 * machine or the top of a recorded tree of /proc and /sys (only files below it are then read; CUDA and NVML
 * are not asked). */
#ifndef PROBE_H
#define PROBE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum { PROBE_DEVICES_MAX = 64, PROBE_FIGURES_MAX = 16, PROBE_PRECISIONS_MAX = 16, PROBE_TEXT_MAX = 128 };

enum grade { GRADE_NONE = 0, GRADE_CATALOG, GRADE_MEASURED, GRADE_LEARNED };

struct figure {
    char name[48]; /* with its unit: "copy_bandwidth_bytes_per_second", "fp32_flops" */
    double value;
    enum grade grade;
};

struct device {
    char id[32];                                                 /* unique on this worker: "cpu:0", "gpu:0" */
    char kind[16];                                               /* cpu gpu tpu npu fpga dsp mcu remote */
    char vendor[PROBE_TEXT_MAX], name[PROBE_TEXT_MAX], uuid[64]; /* uuid: stable over restarts; "" unknown */
    uint64_t memory_total_bytes, memory_free_bytes;              /* 0 = unknown */
    int32_t numa_node;                                           /* -1 = not bound to one */
    uint32_t threads;                                            /* CPU threads that a slot on it may use */
    uint32_t cores;                                              /* 0 = unknown */
    double idle_watts, busy_watts;                               /* negative = unknown */
    uint32_t precisions_count;
    char precisions[PROBE_PRECISIONS_MAX][16]; /* "fp32", "fp16", "bf16", "int8" */
    uint32_t figures_count;
    struct figure figures[PROBE_FIGURES_MAX];
};

struct machine {
    char host[PROBE_TEXT_MAX];
    char os[PROBE_TEXT_MAX]; /* "Debian GNU/Linux 12, Linux 6.1" */
    char architecture[32];
    uint32_t devices_count;
    struct device devices[PROBE_DEVICES_MAX];
};

/* Fill machine. One CPU device per NUMA node with CPUs we may use ("cpu:0" on most machines); one device per
 * NVIDIA GPU. threads of a CPU device: the cores we may use less one where more than one (the loops and the
 * clients need it), at least 1. */
MUST_USE enum err probe_machine(const char *root, struct machine *machine, struct why *why);

/* Fill the `measured` figures of CPU devices: memory copy bandwidth and an fp32 multiply-add rate, one core,
 * <= 100 ms in all. */
void probe_measure(struct machine *machine);

const char *grade_name(enum grade grade); /* "catalog", "measured", "learned", "" */

#endif
