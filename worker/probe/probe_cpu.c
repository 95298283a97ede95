// SPDX-License-Identifier: Apache-2.0
#include "probe_cpu.h"

#include "probe_cgroup.h"
#include "probe_text.h"
#include "sha256.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A precision that the cores compute natively, and the flag in /proc/cpuinfo that says so (x86-64, then
 * arm64). */
static const struct {
    const char *flag, *precision;
} NATIVE[] = {
    { "avx512_fp16", "fp16" }, { "fphp", "fp16" }, { "avx512_bf16", "bf16" },
    { "amx_bf16", "bf16" },    { "bf16", "bf16" },
};

/* Keep only the CPUs that our affinity allows; cgroup cpusets hwloc knows by itself. */
static void restrict_to_affinity(hwloc_topology_t topology)
{
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    if (allowed == NULL)
        return;
    if (hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) == 0 && !hwloc_bitmap_iszero(allowed))
        (void)hwloc_topology_restrict(topology, allowed, 0);
    hwloc_bitmap_free(allowed);
}

static enum err load_topology(const char *root, hwloc_topology_t *topology, struct why *why)
{
    if (hwloc_topology_init(topology) != 0)
        return why_set(why, ERR_SYSTEM, "hwloc does not start");
    if (root[0] != '\0') {
        setenv("HWLOC_FSROOT", root, 1);
        setenv("HWLOC_COMPONENTS", "linux,stop", 1);
    }
    int failed = hwloc_topology_load(*topology);
    if (root[0] != '\0') {
        unsetenv("HWLOC_FSROOT");
        unsetenv("HWLOC_COMPONENTS");
    }
    if (failed == 0)
        return ERR_OK;
    hwloc_topology_destroy(*topology);
    return why_set(why, ERR_SYSTEM, "%s/sys: hwloc cannot read the machine's topology", root);
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word))
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static bool has_precision(const struct device *device, const char *precision)
{
    for (uint32_t i = 0; i < device->precisions_count; i++)
        if (strcmp(device->precisions[i], precision) == 0)
            return true;
    return false;
}

static void add_precision(struct device *device, const char *precision)
{
    if (device->precisions_count < PROBE_PRECISIONS_MAX && !has_precision(device, precision))
        snprintf(device->precisions[device->precisions_count++], sizeof device->precisions[0], "%s",
                 precision);
}

static void find_precisions(const char *root, struct device *device)
{
    char flags[8192];
    add_precision(device, "fp64");
    add_precision(device, "fp32");
    add_precision(device, "int8");
    if (!probe_value(root, "/proc/cpuinfo", "flags", ':', flags, sizeof flags) &&
        !probe_value(root, "/proc/cpuinfo", "Features", ':', flags, sizeof flags))
        return;
    for (size_t i = 0; i < sizeof NATIVE / sizeof NATIVE[0]; i++)
        if (has_word(flags, NATIVE[i].flag))
            add_precision(device, NATIVE[i].precision);
}

/* Stable over restarts without telling the machine's id, which its owner may hold secret (machine-id(5)). */
static void make_uuid(const char *root, const char *id, struct device *device)
{
    char machine_id[128], text[256];
    uint8_t digest[SHA256_BYTES];
    const uint8_t *d = digest;
    if (!probe_read(root, "/etc/machine-id", machine_id, sizeof machine_id))
        return;
    snprintf(text, sizeof text, "motley device %s of %s", id, machine_id);
    sha256_bytes(text, strlen(text), digest);
    snprintf(device->uuid, sizeof device->uuid,
             "%02x%02x%02x%02x-%02x%02x-8%01x%02x-8%01x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1], d[2], d[3],
             d[4], d[5], d[6] & 15, d[7], d[8] & 15, d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
}

/* hwloc's word, or where it has none, as in a recorded tree, the kernel's for its first CPU. */
static void copy_info(const char *root, hwloc_obj_t package, const char *name, const char *key,
                      char text[PROBE_TEXT_MAX])
{
    const char *info = package != NULL ? hwloc_obj_get_info_by_name(package, name) : NULL;
    if (info != NULL)
        snprintf(text, PROBE_TEXT_MAX, "%s", info);
    else
        probe_value(root, "/proc/cpuinfo", key, ':', text, PROBE_TEXT_MAX);
}

static hwloc_obj_t find_package(hwloc_topology_t topology, hwloc_obj_t node)
{
    hwloc_obj_t package = NULL;
    while ((package = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PACKAGE, package)) != NULL)
        if (hwloc_bitmap_intersects(package->cpuset, node->cpuset))
            return package;
    return NULL;
}

static void find_name(const char *root, hwloc_topology_t topology, hwloc_obj_t node, struct device *device)
{
    hwloc_obj_t package = find_package(topology, node);
    copy_info(root, package, "CPUVendor", "vendor_id", device->vendor);
    copy_info(root, package, "CPUModel", "model name", device->name);
    if (device->name[0] == '\0')
        snprintf(device->name, sizeof device->name, "CPU");
}

static void find_memory(const char *root, hwloc_obj_t node, bool alone, struct device *device)
{
    char path[64], key[64];
    uint64_t limit = probe_cgroup_memory_bytes(root);
    device->memory_total_bytes = node->attr->numanode.local_memory;
    if (alone) {
        device->memory_free_bytes = probe_kilobytes(root, "/proc/meminfo", "MemAvailable");
    } else {
        snprintf(path, sizeof path, "/sys/devices/system/node/node%u/meminfo", node->os_index);
        snprintf(key, sizeof key, "Node %u MemFree", node->os_index);
        device->memory_free_bytes = probe_kilobytes(root, path, key);
    }
    if (limit > 0 && limit < device->memory_total_bytes)
        device->memory_total_bytes = limit;
    if (device->memory_free_bytes > device->memory_total_bytes)
        device->memory_free_bytes = device->memory_total_bytes;
}

static uint32_t count_inside(hwloc_topology_t topology, hwloc_obj_t node, hwloc_obj_type_t type)
{
    int count = hwloc_get_nbobjs_inside_cpuset_by_type(topology, node->cpuset, type);
    return count > 0 ? (uint32_t)count : 0;
}

static void find_threads(const char *root, hwloc_topology_t topology, hwloc_obj_t node, struct device *device)
{
    double cpus = probe_cgroup_cpus(root);
    device->cores = count_inside(topology, node, HWLOC_OBJ_CORE);
    if (device->cores == 0)
        device->cores = count_inside(topology, node, HWLOC_OBJ_PU);
    uint32_t usable = cpus > 0 && cpus < device->cores ? (uint32_t)cpus : device->cores;
    device->threads = usable > 1 ? usable - 1 : 1;
}

static void add_node(const char *root, hwloc_topology_t topology, hwloc_obj_t node, bool alone,
                     struct machine *machine)
{
    struct device *device = &machine->devices[machine->devices_count];
    snprintf(device->id, sizeof device->id, "cpu:%u", machine->devices_count);
    snprintf(device->kind, sizeof device->kind, "cpu");
    device->idle_watts = device->busy_watts = -1;
    device->numa_node = alone ? -1 : (int32_t)node->os_index;
    find_name(root, topology, node, device);
    find_memory(root, node, alone, device);
    find_threads(root, topology, node, device);
    find_precisions(root, device);
    make_uuid(root, device->id, device);
    machine->devices_count++;
}

/* Nodes of memory alone have no CPUs; nodes of fast memory share those of an ordinary node before them. */
static bool is_device(hwloc_obj_t node, hwloc_bitmap_t taken)
{
    if (node->cpuset == NULL || hwloc_bitmap_iszero(node->cpuset) ||
        hwloc_bitmap_intersects(node->cpuset, taken))
        return false;
    return hwloc_bitmap_or(taken, taken, node->cpuset) == 0;
}

/* The nodes with CPUs of their own into nodes; their number. */
static uint32_t find_nodes(hwloc_topology_t topology, hwloc_obj_t nodes[PROBE_DEVICES_MAX])
{
    uint32_t count = 0;
    hwloc_obj_t node = NULL;
    hwloc_bitmap_t taken = hwloc_bitmap_alloc();
    if (taken == NULL)
        return 0;
    while (count < PROBE_DEVICES_MAX &&
           (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != NULL)
        if (is_device(node, taken))
            nodes[count++] = node;
    hwloc_bitmap_free(taken);
    return count;
}

enum err probe_cpu(const char *root, struct machine *machine, struct why *why)
{
    hwloc_topology_t topology;
    hwloc_obj_t nodes[PROBE_DEVICES_MAX];
    enum err err = load_topology(root, &topology, why);
    if (err != ERR_OK)
        return err;
    if (root[0] == '\0')
        restrict_to_affinity(topology);
    uint32_t count = find_nodes(topology, nodes);
    for (uint32_t i = 0; i < count && machine->devices_count < PROBE_DEVICES_MAX; i++)
        add_node(root, topology, nodes[i], count == 1, machine);
    hwloc_topology_destroy(topology);
    return count > 0 ? ERR_OK
                     : why_set(why, ERR_SYSTEM, "%s/sys: hwloc finds no NUMA node with CPUs that may be used",
                               root);
}
