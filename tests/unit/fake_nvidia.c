// SPDX-License-Identifier: Apache-2.0
/* fake_nvidia - a library with as much of the CUDA driver's and NVML's interface as the probe uses: two GPUs,
 * of which CUDA lists only the second (as CUDA_VISIBLE_DEVICES=1 does) and none at all, with an error, where
 * FAKE_CUDA_BROKEN is set. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE __attribute__((visibility("default")))

struct fake_memory {
    unsigned long long total, free, used;
};

FAKE int cuInit(unsigned flags);
FAKE int cuDeviceGetCount(int *count);
FAKE int cuDeviceGet(int *device, int index);
FAKE int cuDeviceGetName(char *name, int size, int device);
FAKE int cuDeviceTotalMem_v2(size_t *bytes, int device);
FAKE int cuDeviceGetUuid(uint8_t uuid[16], int device);
FAKE int cuDeviceGetAttribute(int *value, int attribute, int device);
FAKE int nvmlInit_v2(void);
FAKE int nvmlShutdown(void);
FAKE int nvmlDeviceGetCount_v2(unsigned *count);
FAKE int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
FAKE int nvmlDeviceGetHandleByUUID(const char *uuid, void **device);
FAKE int nvmlDeviceGetName(void *device, char *name, unsigned size);
FAKE int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size);
FAKE int nvmlDeviceGetMemoryInfo(void *device, struct fake_memory *memory);
FAKE int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts);
FAKE int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);

static char handles[2];

int cuInit(unsigned flags) { return flags != 0 || getenv("FAKE_CUDA_BROKEN") != NULL ? 35 : 0; }

int cuDeviceGetCount(int *count)
{
    *count = 1;
    return 0;
}

int cuDeviceGet(int *device, int index)
{
    *device = index + 40;
    return 0;
}

int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "Fake GPU %d", device);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    (void)device;
    *bytes = (size_t)15 << 30;
    return 0;
}

int cuDeviceGetUuid(uint8_t uuid[16], int device)
{
    (void)device;
    memset(uuid, 0x11, 16);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == 75   ? 8
             : attribute == 76 ? 6
             : attribute == 36 ? 1000000
             : attribute == 37 ? 256
                               : 0;
    return 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &handles[index];
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = &handles[1];
    return strcmp(uuid, "GPU-11111111-1111-1111-1111-111111111111") == 0 ? 0 : 6;
}

int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    snprintf(name, size, "NVML GPU %d", (int)((char *)device - handles));
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size)
{
    snprintf(uuid, size, "GPU-%d", (int)((char *)device - handles));
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct fake_memory *memory)
{
    (void)device;
    *memory = (struct fake_memory){ .total = 16ULL << 30, .free = 12ULL << 30, .used = 4ULL << 30 };
    return 0;
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts)
{
    (void)device;
    *milliwatts = 250500;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    (void)device;
    *major = 5;
    *minor = 0;
    return 0;
}
