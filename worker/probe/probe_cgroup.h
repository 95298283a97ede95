// SPDX-License-Identifier: Apache-2.0
/* probe_cgroup - how much of the machine this process's control group may use (Linux cgroup-v2.rst: cpu.max,
 * memory.max; the same of version 1). The tightest limit from our own group up to the top holds. Any thread.
 */
#ifndef PROBE_CGROUP_H
#define PROBE_CGROUP_H

#include <stdint.h>

double probe_cgroup_cpus(const char *root);           /* processors' worth of time; 0 = no limit */
uint64_t probe_cgroup_memory_bytes(const char *root); /* 0 = no limit */

#endif
