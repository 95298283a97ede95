// SPDX-License-Identifier: Apache-2.0
#include "probe_cgroup.h"

#include "probe_text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP_MAX = 1024 };

/* A version 1 file without a limit holds a number near 2^63, cut to a page. */
static const uint64_t UNLIMITED_BYTES = (uint64_t)1 << 62;

/* Is controller among the comma-separated names of list, which has length bytes? */
static int lists(const char *list, size_t length, const char *controller)
{
    size_t wanted = strlen(controller);
    for (size_t at = 0; at + wanted <= length; at += strcspn(list + at, ",") + 1)
        if (strncmp(list + at, controller, wanted) == 0 &&
            (at + wanted == length || list[at + wanted] == ','))
            return 1;
    return 0;
}

/* Our group under a version 1 controller, or version 2's for "". "" if unknown: then only the top is looked
 * at. */
static void find_group(const char *root, const char *controller, char group[GROUP_MAX])
{
    char text[8192], *rest = text, *line;
    group[0] = '\0';
    if (!probe_read(root, "/proc/self/cgroup", text, sizeof text))
        return;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        size_t length = (size_t)(path - controllers - 1);
        if (controller[0] == '\0' ? length == 0 : lists(controllers + 1, length, controller))
            snprintf(group, GROUP_MAX, "%s", strcmp(path + 1, "/") == 0 ? "" : path + 1);
    }
}

/* Call look for the folder of our group and of each above it. */
static void for_each_group(const char *root, const char *mount, const char *controller,
                           void (*look)(const char *root, const char *folder, void *found), void *found)
{
    char group[GROUP_MAX], folder[GROUP_MAX + 64];
    find_group(root, controller, group);
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        look(root, folder, found);
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static void take_cpus(double *least, double quota, double period)
{
    if (quota > 0 && period > 0 && (*least <= 0 || quota / period < *least))
        *least = quota / period;
}

static void look_cpu_max(const char *root, const char *folder, void *found)
{
    char path[PATH_MAX], text[64], *period = NULL;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!probe_read(root, path, text, sizeof text))
        return;
    double quota = strtod(text, &period); /* "max" reads as no number at all: 0 */
    take_cpus(found, quota, strtod(period, NULL));
}

static void look_cfs_quota(const char *root, const char *folder, void *found)
{
    char path[PATH_MAX], text[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!probe_read(root, path, text, sizeof text))
        return;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    take_cpus(found, strtod(text, NULL), (double)probe_number(root, path)); /* -1 = no limit */
}

double probe_cgroup_cpus(const char *root)
{
    double least = 0;
    for_each_group(root, "/sys/fs/cgroup", "", look_cpu_max, &least);
    for_each_group(root, "/sys/fs/cgroup/cpu", "cpu", look_cfs_quota, &least);
    return least;
}

static void take_memory(uint64_t *least, uint64_t bytes)
{
    if (bytes > 0 && bytes < UNLIMITED_BYTES && (*least == 0 || bytes < *least))
        *least = bytes;
}

static void look_memory_max(const char *root, const char *folder, void *found)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    take_memory(found, probe_number(root, path));
}

static void look_memory_limit(const char *root, const char *folder, void *found)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
    take_memory(found, probe_number(root, path));
}

uint64_t probe_cgroup_memory_bytes(const char *root)
{
    uint64_t least = 0;
    for_each_group(root, "/sys/fs/cgroup", "", look_memory_max, &least);
    for_each_group(root, "/sys/fs/cgroup/memory", "memory", look_memory_limit, &least);
    return least;
}
