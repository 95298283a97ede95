// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include "probe_cpu.h"
#include "probe_nvidia.h"
#include "probe_text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

static enum err check_root(const char *root, struct why *why)
{
    char path[PATH_MAX];
    struct stat stat_buffer;
    if (root[0] == '\0')
        return ERR_OK;
    if ((size_t)snprintf(path, sizeof path, "%s/sys", root) >= sizeof path)
        return why_set(why, ERR_USAGE, "%.64s...: is too long a path", root);
    if (stat(path, &stat_buffer) != 0)
        return why_set_errno(why, ERR_FILE, "%s: a recorded tree has /proc and /sys below it", path);
    return ERR_OK;
}

/* "Debian GNU/Linux 12 (bookworm), Linux 6.1": of the release only the two numbers that say what the kernel
 * can do. */
static void find_os(const char *root, const char *release, struct machine *machine)
{
    char name[64];
    unsigned major = 0, minor = 0;
    if (!probe_value(root, "/etc/os-release", "PRETTY_NAME", '=', name, sizeof name))
        snprintf(name, sizeof name, "Linux");
    if (sscanf(release, "%u.%u", &major, &minor) == 2)
        snprintf(machine->os, sizeof machine->os, "%s, Linux %u.%u", name, major, minor);
    else
        snprintf(machine->os, sizeof machine->os, "%s", name);
}

static void describe_here(struct machine *machine)
{
    struct utsname names;
    if (uname(&names) != 0)
        memset(&names, 0, sizeof names);
    snprintf(machine->host, sizeof machine->host, "%s", names.nodename);
    snprintf(machine->architecture, sizeof machine->architecture, "%.31s", names.machine);
    find_os("", names.release, machine);
}

/* A recorded tree does not hold uname's answer; the names in cpuinfo tell the two common architectures apart.
 */
static void describe_tree(const char *root, struct machine *machine)
{
    char release[128], line[32];
    if (!probe_read(root, "/proc/sys/kernel/hostname", machine->host, sizeof machine->host))
        snprintf(machine->host, sizeof machine->host, "recorded");
    probe_read(root, "/proc/sys/kernel/osrelease", release, sizeof release);
    find_os(root, release, machine);
    if (probe_value(root, "/proc/cpuinfo", "CPU implementer", ':', line, sizeof line))
        snprintf(machine->architecture, sizeof machine->architecture, "aarch64");
    else if (probe_value(root, "/proc/cpuinfo", "vendor_id", ':', line, sizeof line))
        snprintf(machine->architecture, sizeof machine->architecture, "x86_64");
}

enum err probe_machine(const char *root, struct machine *machine, struct why *why)
{
    memset(machine, 0, sizeof *machine);
    enum err err = check_root(root, why);
    if (err != ERR_OK)
        return err;
    if (root[0] == '\0')
        describe_here(machine);
    else
        describe_tree(root, machine);
    err = probe_cpu(root, machine, why);
    if (err == ERR_OK && root[0] == '\0')
        probe_nvidia(PROBE_CUDA_LIBRARY, PROBE_NVML_LIBRARY, machine);
    return err;
}

const char *grade_name(enum grade grade)
{
    static const char *const NAMES[] = { "", "catalog", "measured", "learned" };
    return NAMES[grade];
}
