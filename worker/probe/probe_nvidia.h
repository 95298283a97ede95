// SPDX-License-Identifier: Apache-2.0
/* probe_nvidia - NVIDIA GPUs, through the CUDA driver's library (which GPUs this process may use:
 * CUDA_VISIBLE_DEVICES counts) and NVML (free memory, power limit), both opened when asked. No CUDA context
 * is made, so no GPU memory is used.
 *
 * What each is asked is documented in NVIDIA's "CUDA Driver API" and "NVML API Reference"; the few prototypes
 * are declared here, because no header of either is needed to build. A library that is absent, or that fails,
 * means no devices: never an error. */
#ifndef PROBE_NVIDIA_H
#define PROBE_NVIDIA_H

#include "probe.h"

#define PROBE_CUDA_LIBRARY "libcuda.so.1"
#define PROBE_NVML_LIBRARY "libnvidia-ml.so.1"

/* Append a device of kind "gpu" for each GPU that CUDA lists, or that NVML lists where there is no CUDA.
 * "gpu:0" is the first. */
void probe_nvidia(const char *cuda_library, const char *nvml_library, struct machine *machine);

#endif
