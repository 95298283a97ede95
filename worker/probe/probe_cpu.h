// SPDX-License-Identifier: Apache-2.0
/* probe_cpu - the CPU devices: one per NUMA node that has cores we may use, through hwloc (its documentation:
 * "Linux: switching the root", HWLOC_FSROOT). Allowed CPUs, affinity and the control group's limits are
 * respected. Changes the environment while it reads a recorded tree: call it before any thread is started
 * then. */
#ifndef PROBE_CPU_H
#define PROBE_CPU_H

#include "probe.h"

/* Append the devices to machine. ERR_SYSTEM if hwloc cannot read the topology. */
MUST_USE enum err probe_cpu(const char *root, struct machine *machine, struct why *why);

#endif
