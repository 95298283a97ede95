// SPDX-License-Identifier: Apache-2.0
#include "probe_nvidia.h"

#include "probe_text.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CUdevice_attribute of the CUDA Driver API. */
enum {
    MEMORY_CLOCK_KHZ = 36,
    MEMORY_BUS_BITS = 37,
    PCI_BUS = 33,
    PCI_DEVICE = 34,
    PCI_DOMAIN = 50,
    MAJOR = 75,
    MINOR = 76
};

struct cuda {
    void *handle;
    int (*init)(unsigned flags);
    int (*count)(int *count);
    int (*get)(int *device, int index);
    int (*name)(char *name, int size, int device);
    int (*memory)(size_t *bytes, int device);
    int (*uuid)(uint8_t uuid[16], int device);
    int (*attribute)(int *value, int attribute, int device);
};

struct nvml_memory {
    unsigned long long total, free, used;
};

struct nvml {
    void *handle;
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*by_index)(unsigned index, void **device);
    int (*by_uuid)(const char *uuid, void **device);
    int (*name)(void *device, char *name, unsigned size);
    int (*uuid)(void *device, char *uuid, unsigned size);
    int (*memory)(void *device, struct nvml_memory *memory);
    int (*power_limit)(void *device, unsigned *milliwatts);
    int (*capability)(void *device, int *major, int *minor);
};

struct symbol {
    const char *name;
    void *function; /* where its address goes */
};

/* Open library and find each symbol; NULL, with nothing open, if one is missing. */
static void *open_library(const char *library, const struct symbol *symbols, size_t count)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle != NULL && i < count; i++) {
        void *found = dlsym(handle, symbols[i].name);
        memcpy(symbols[i].function, &found, sizeof found);
        if (found == NULL) {
            dlclose(handle);
            handle = NULL;
        }
    }
    return handle;
}

/* The driver is never closed again: it keeps threads. */
static bool open_cuda(const char *library, struct cuda *cuda)
{
    const struct symbol symbols[] = {
        { "cuInit", &cuda->init },
        { "cuDeviceGetCount", &cuda->count },
        { "cuDeviceGet", &cuda->get },
        { "cuDeviceGetName", &cuda->name },
        { "cuDeviceTotalMem_v2", &cuda->memory },
        { "cuDeviceGetUuid", &cuda->uuid },
        { "cuDeviceGetAttribute", &cuda->attribute },
    };
    cuda->handle = open_library(library, symbols, sizeof symbols / sizeof symbols[0]);
    return cuda->handle != NULL && cuda->init(0) == 0;
}

static bool open_nvml(const char *library, struct nvml *nvml)
{
    const struct symbol symbols[] = {
        { "nvmlInit_v2", &nvml->init },
        { "nvmlShutdown", &nvml->shutdown },
        { "nvmlDeviceGetCount_v2", &nvml->count },
        { "nvmlDeviceGetHandleByIndex_v2", &nvml->by_index },
        { "nvmlDeviceGetHandleByUUID", &nvml->by_uuid },
        { "nvmlDeviceGetName", &nvml->name },
        { "nvmlDeviceGetUUID", &nvml->uuid },
        { "nvmlDeviceGetMemoryInfo", &nvml->memory },
        { "nvmlDeviceGetEnforcedPowerLimit", &nvml->power_limit },
        { "nvmlDeviceGetCudaComputeCapability", &nvml->capability },
    };
    nvml->handle = open_library(library, symbols, sizeof symbols / sizeof symbols[0]);
    if (nvml->handle == NULL)
        return false;
    if (nvml->init() == 0)
        return true;
    dlclose(nvml->handle);
    return false;
}

/* What each compute capability (major * 10 + minor) computes natively: CUDA C++ Programming Guide,
 * "Arithmetic Instructions". */
static void add_precisions(struct device *device, int capability)
{
    static const struct {
        int since;
        const char *name;
    } NATIVE[] = { { 0, "fp64" },  { 0, "fp32" },  { 53, "fp16" }, { 61, "int8" },
                   { 80, "bf16" }, { 80, "tf32" }, { 89, "fp8" } };
    for (size_t i = 0; i < sizeof NATIVE / sizeof NATIVE[0]; i++)
        if (capability >= NATIVE[i].since)
            snprintf(device->precisions[device->precisions_count++], sizeof device->precisions[0], "%s",
                     NATIVE[i].name);
}

static struct device *new_device(struct machine *machine, unsigned *gpus)
{
    struct device *device = &machine->devices[machine->devices_count++];
    snprintf(device->id, sizeof device->id, "gpu:%u", (*gpus)++);
    snprintf(device->kind, sizeof device->kind, "gpu");
    snprintf(device->vendor, sizeof device->vendor, "NVIDIA");
    device->numa_node = -1;
    device->threads = 1;
    device->idle_watts = device->busy_watts = -1;
    return device;
}

static int ask(const struct cuda *cuda, int handle, int attribute)
{
    int value = 0;
    return cuda->attribute(&value, attribute, handle) == 0 ? value : 0;
}

static void print_uuid(const uint8_t u[16], char *text, size_t size)
{
    snprintf(text, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
             u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void find_numa_node(const struct cuda *cuda, int handle, struct device *device)
{
    char path[96], text[32];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%04x:%02x:%02x.0/numa_node",
             (unsigned)ask(cuda, handle, PCI_DOMAIN), (unsigned)ask(cuda, handle, PCI_BUS),
             (unsigned)ask(cuda, handle, PCI_DEVICE));
    if (probe_read("", path, text, sizeof text) && isdigit((unsigned char)text[0]))
        device->numa_node = (int32_t)strtol(text, NULL, 10);
}

/* Two transfers per clock and wire. */
static void find_bandwidth(const struct cuda *cuda, int handle, struct device *device)
{
    double bytes = 2.0 * ask(cuda, handle, MEMORY_CLOCK_KHZ) * 1000 * ask(cuda, handle, MEMORY_BUS_BITS) / 8;
    struct figure *figure = &device->figures[0];
    if (bytes <= 0)
        return;
    snprintf(figure->name, sizeof figure->name, "memory_bandwidth_bytes_per_second");
    figure->value = bytes;
    figure->grade = GRADE_CATALOG;
    device->figures_count = 1;
}

static void add_cuda_device(const struct cuda *cuda, int handle, struct device *device)
{
    uint8_t uuid[16];
    size_t bytes = 0;
    if (cuda->name(device->name, sizeof device->name, handle) != 0)
        snprintf(device->name, sizeof device->name, "GPU");
    if (cuda->uuid(uuid, handle) == 0)
        print_uuid(uuid, device->uuid, sizeof device->uuid);
    if (cuda->memory(&bytes, handle) == 0)
        device->memory_total_bytes = bytes;
    add_precisions(device, ask(cuda, handle, MAJOR) * 10 + ask(cuda, handle, MINOR));
    find_numa_node(cuda, handle, device);
    find_bandwidth(cuda, handle, device);
}

static void add_cuda_devices(const struct cuda *cuda, struct machine *machine, unsigned *gpus)
{
    int count = 0, handle;
    if (cuda->count(&count) != 0)
        return;
    for (int i = 0; i < count && machine->devices_count < PROBE_DEVICES_MAX; i++)
        if (cuda->get(&handle, i) == 0)
            add_cuda_device(cuda, handle, new_device(machine, gpus));
}

/* What NVML alone knows. The total is CUDA's where there is one: NVML counts what the driver keeps for
 * itself. */
static void add_nvml_facts(const struct nvml *nvml, void *handle, struct device *device)
{
    struct nvml_memory memory;
    unsigned milliwatts;
    if (nvml->memory(handle, &memory) == 0) {
        device->memory_total_bytes =
            device->memory_total_bytes > 0 ? device->memory_total_bytes : memory.total;
        device->memory_free_bytes =
            memory.free < device->memory_total_bytes ? memory.free : device->memory_total_bytes;
    }
    if (nvml->power_limit(handle, &milliwatts) == 0)
        device->busy_watts = milliwatts / 1000.0;
}

static void add_nvml_device(const struct nvml *nvml, void *handle, struct device *device)
{
    int major = 0, minor = 0;
    if (nvml->name(handle, device->name, sizeof device->name) != 0)
        snprintf(device->name, sizeof device->name, "GPU");
    if (nvml->uuid(handle, device->uuid, sizeof device->uuid) != 0)
        device->uuid[0] = '\0';
    if (nvml->capability(handle, &major, &minor) == 0)
        add_precisions(device, major * 10 + minor);
    add_nvml_facts(nvml, handle, device);
}

static void add_nvml_devices(const struct nvml *nvml, struct machine *machine, unsigned *gpus)
{
    unsigned count = 0;
    void *handle;
    if (nvml->count(&count) != 0)
        return;
    for (unsigned i = 0; i < count && machine->devices_count < PROBE_DEVICES_MAX; i++)
        if (nvml->by_index(i, &handle) == 0)
            add_nvml_device(nvml, handle, new_device(machine, gpus));
}

void probe_nvidia(const char *cuda_library, const char *nvml_library, struct machine *machine)
{
    struct cuda cuda;
    struct nvml nvml;
    unsigned gpus = 0;
    uint32_t first = machine->devices_count;
    bool has_cuda = open_cuda(cuda_library, &cuda);
    if (has_cuda)
        add_cuda_devices(&cuda, machine, &gpus);
    if (!open_nvml(nvml_library, &nvml))
        return;
    void *handle;
    for (uint32_t i = first; i < machine->devices_count; i++)
        if (nvml.by_uuid(machine->devices[i].uuid, &handle) == 0)
            add_nvml_facts(&nvml, handle, &machine->devices[i]);
    /* Where the driver's library works and lists none, they are hidden from us on purpose. */
    if (!has_cuda)
        add_nvml_devices(&nvml, machine, &gpus);
    nvml.shutdown();
    dlclose(nvml.handle);
}
