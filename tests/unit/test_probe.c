// SPDX-License-Identifier: Apache-2.0
/* The probe over this machine, over recorded trees that the test writes (two sockets; a control group with
 * limits), and over a library that plays NVIDIA's two. */
#include "file.h"
#include "probe.h"
#include "probe_cgroup.h"
#include "probe_nvidia.h"
#include "probe_text.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char root[PATH_MAX];
static struct machine machine;

static void put(const char *path, const char *text)
{
    char full[PATH_MAX + 256], *slash;
    snprintf(full, sizeof full, "%s%s", root, path);
    slash = strrchr(full, '/');
    *slash = '\0';
    assert_int_equal(file_make_dirs(full, 0700, NULL), ERR_OK);
    *slash = '/';
    assert_int_equal(file_replace(full, text, strlen(text), 0600, NULL), ERR_OK);
}

static void put_cpu(unsigned cpu, const char *name, unsigned value)
{
    char path[128], text[32];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);
    snprintf(text, sizeof text, "%02x\n", value);
    put(path, text);
}

/* Two sockets, each a NUMA node of 1 GiB with two cores of two threads: CPUs 0-3 and 4-7. */
static void put_cpus(void)
{
    for (unsigned cpu = 0; cpu < 8; cpu++) {
        put_cpu(cpu, "physical_package_id", cpu / 4);
        put_cpu(cpu, "core_id", cpu % 4 / 2);
        put_cpu(cpu, "package_cpus", 0xfU << (cpu / 4 * 4));
        put_cpu(cpu, "core_cpus", 3U << (cpu / 2 * 2));
        put_cpu(cpu, "core_siblings", 0xfU << (cpu / 4 * 4));
        put_cpu(cpu, "thread_siblings", 3U << (cpu / 2 * 2));
    }
    put("/sys/devices/system/cpu/online", "0-7\n");
    put("/sys/devices/system/cpu/possible", "0-7\n");
    put("/sys/devices/system/node/online", "0-1\n");
    put("/sys/devices/system/node/node0/cpumap", "0f\n");
    put("/sys/devices/system/node/node1/cpumap", "f0\n");
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal:  1048576 kB\nNode 0 MemFree:  524288 kB\n");
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal:  1048576 kB\nNode 1 MemFree:  262144 kB\n");
}

static void put_tree(void)
{
    char cpuinfo[4096] = "";
    for (unsigned cpu = 0; cpu < 8; cpu++)
        snprintf(cpuinfo + strlen(cpuinfo), sizeof cpuinfo - strlen(cpuinfo),
                 "processor\t: %u\nvendor_id\t: GenuineTest\nmodel name\t: Test CPU 9000\nphysical id\t: %u\n"
                 "flags\t\t: fpu avx512_fp16 amx_bf16_not\n\n",
                 cpu, cpu / 4);
    put("/proc/cpuinfo", cpuinfo);
    put("/proc/meminfo", "MemTotal:  2097152 kB\nMemFree:  786432 kB\nMemAvailable:  900000 kB\n");
    put("/proc/sys/kernel/hostname", "twin\n");
    put("/proc/sys/kernel/osrelease", "5.15.0-test\n");
    put("/etc/os-release", "NAME=\"Test\"\nPRETTY_NAME=\"Test OS 1\"\n");
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    put_cpus();
}

static int setup(void **state)
{
    (void)state;
    const char *top = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/motley-probe-XXXXXX", top != NULL ? top : "/tmp");
    return mkdtemp(root) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(root, NULL) != ERR_OK;
}

static bool has_precision(const struct device *device, const char *name)
{
    for (uint32_t i = 0; i < device->precisions_count; i++)
        if (strcmp(device->precisions[i], name) == 0)
            return true;
    return false;
}

static void this_machine_has_a_cpu(void **state)
{
    (void)state;
    struct why why = { "" };
    assert_int_equal(probe_machine("", &machine, &why), ERR_OK);
    assert_true(machine.devices_count >= 1);
    assert_true(machine.host[0] != '\0' && machine.architecture[0] != '\0');
    assert_non_null(strstr(machine.os, "Linux"));
    const struct device *cpu = &machine.devices[0];
    assert_string_equal(cpu->id, "cpu:0");
    assert_string_equal(cpu->kind, "cpu");
    assert_true(cpu->name[0] != '\0');
    assert_true(cpu->memory_total_bytes > 0 && cpu->memory_free_bytes <= cpu->memory_total_bytes);
    assert_true(cpu->cores >= 1 && cpu->threads >= 1);
    assert_true(cpu->threads == 1 || cpu->threads < cpu->cores);
    assert_true(has_precision(cpu, "fp32"));
}

static void the_same_machine_has_the_same_uuids(void **state)
{
    (void)state;
    static struct machine again;
    assert_int_equal(probe_machine("", &machine, NULL), ERR_OK);
    assert_int_equal(probe_machine("", &again, NULL), ERR_OK);
    assert_int_equal(machine.devices_count, again.devices_count);
    for (uint32_t i = 0; i < machine.devices_count; i++)
        assert_string_equal(machine.devices[i].uuid, again.devices[i].uuid);
}

static void measuring_gives_figures_of_that_grade(void **state)
{
    (void)state;
    assert_int_equal(probe_machine("", &machine, NULL), ERR_OK);
    probe_measure(&machine);
    assert_int_equal(machine.devices[0].figures_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(machine.devices[0].figures[i].value > 0);
        assert_string_equal(grade_name(machine.devices[0].figures[i].grade), "measured");
    }
}

static void a_recorded_machine_has_a_device_for_each_node(void **state)
{
    (void)state;
    struct why why = { "" };
    put_tree();
    assert_int_equal(probe_machine(root, &machine, &why), ERR_OK);
    assert_string_equal(machine.host, "twin");
    assert_string_equal(machine.os, "Test OS 1, Linux 5.15");
    assert_string_equal(machine.architecture, "x86_64");
    assert_int_equal(machine.devices_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct device *cpu = &machine.devices[i];
        assert_string_equal(cpu->name, "Test CPU 9000");
        assert_string_equal(cpu->vendor, "GenuineTest");
        assert_int_equal(cpu->numa_node, i);
        assert_int_equal(cpu->cores, 2);
        assert_int_equal(cpu->threads, 1);
        assert_int_equal(cpu->memory_total_bytes, 1 << 30);
        assert_int_equal(cpu->memory_free_bytes, (1 << 29) >> i);
        assert_true(has_precision(cpu, "fp16"));
        assert_false(has_precision(cpu, "bf16"));
        assert_int_equal(strlen(cpu->uuid), 36);
    }
    assert_string_equal(machine.devices[1].id, "cpu:1");
    assert_string_not_equal(machine.devices[0].uuid, machine.devices[1].uuid);
}

static void a_control_group_limits_threads_and_memory(void **state)
{
    (void)state;
    put_tree();
    put("/proc/self/cgroup", "0::/jobs/one\n");
    put("/sys/fs/cgroup/jobs/one/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/jobs/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/jobs/one/memory.max", "1000000\n");
    put("/sys/fs/cgroup/jobs/memory.max", "max\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("/sys/fs/cgroup/memory.max", "2000000\n");
    assert_true(probe_cgroup_cpus(root) == 1.5);
    assert_int_equal(probe_cgroup_memory_bytes(root), 1000000);
    assert_int_equal(probe_machine(root, &machine, NULL), ERR_OK);
    assert_int_equal(machine.devices[0].threads, 1);
    assert_int_equal(machine.devices[0].memory_total_bytes, 1000000);
    assert_int_equal(machine.devices[0].memory_free_bytes, 1000000);
}

static void a_version_one_group_limits_too(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/\n");
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(probe_cgroup_cpus(root) == 0.5);
    assert_int_equal(probe_cgroup_memory_bytes(root), 0);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    assert_int_equal(probe_cgroup_memory_bytes(root), 4096);
}

static void no_limits_are_no_limits(void **state)
{
    (void)state;
    assert_true(probe_cgroup_cpus(root) == 0);
    assert_int_equal(probe_cgroup_memory_bytes(root), 0);
}

static void a_tree_without_sys_is_refused(void **state)
{
    (void)state;
    struct why why = { "" };
    assert_int_equal(probe_machine(root, &machine, &why), ERR_FILE);
    assert_non_null(strstr(why.text, root));
}

static void values_are_read_from_their_lines(void **state)
{
    (void)state;
    char value[8];
    put("/proc/x", "modelling: no\nmodel : one two three\nmodel: later\nkB:  12 kB\nquoted=\"q\"\n");
    assert_true(probe_value(root, "/proc/x", "model", ':', value, sizeof value));
    assert_string_equal(value, "one two");
    assert_true(probe_value(root, "/proc/x", "quoted", '=', value, sizeof value));
    assert_string_equal(value, "q");
    assert_false(probe_value(root, "/proc/x", "absent", ':', value, sizeof value));
    assert_string_equal(value, "");
    assert_int_equal(probe_kilobytes(root, "/proc/x", "kB"), 12288);
    assert_false(probe_read(root, "/proc/none", value, sizeof value));
}

static void no_driver_means_no_gpu(void **state)
{
    (void)state;
    memset(&machine, 0, sizeof machine);
    probe_nvidia("no-such-cuda.so", "no-such-nvml.so", &machine);
    assert_int_equal(machine.devices_count, 0);
    probe_nvidia("libc.so.6", "libc.so.6", &machine);
    assert_int_equal(machine.devices_count, 0);
}

static void cuda_says_which_gpus_and_nvml_the_rest(void **state)
{
    (void)state;
    memset(&machine, 0, sizeof machine);
    probe_nvidia(FAKE_NVIDIA, FAKE_NVIDIA, &machine);
    assert_int_equal(machine.devices_count, 1);
    const struct device *gpu = &machine.devices[0];
    assert_string_equal(gpu->id, "gpu:0");
    assert_string_equal(gpu->kind, "gpu");
    assert_string_equal(gpu->vendor, "NVIDIA");
    assert_string_equal(gpu->name, "Fake GPU 40");
    assert_string_equal(gpu->uuid, "GPU-11111111-1111-1111-1111-111111111111");
    assert_true(gpu->memory_total_bytes == 15ULL << 30);
    assert_true(gpu->memory_free_bytes == 12ULL << 30);
    assert_true(gpu->busy_watts == 250.5);
    assert_true(has_precision(gpu, "bf16"));
    assert_false(has_precision(gpu, "fp8"));
    assert_int_equal(gpu->figures_count, 1);
    assert_true(gpu->figures[0].value == 64e9);
    assert_int_equal(gpu->threads, 1);
}

static void nvml_stands_in_where_cuda_does_not_work(void **state)
{
    (void)state;
    setenv("FAKE_CUDA_BROKEN", "1", 1);
    memset(&machine, 0, sizeof machine);
    probe_nvidia(FAKE_NVIDIA, FAKE_NVIDIA, &machine);
    unsetenv("FAKE_CUDA_BROKEN");
    assert_int_equal(machine.devices_count, 2);
    assert_string_equal(machine.devices[1].id, "gpu:1");
    assert_string_equal(machine.devices[1].name, "NVML GPU 1");
    assert_string_equal(machine.devices[1].uuid, "GPU-1");
    assert_true(machine.devices[1].memory_total_bytes == 16ULL << 30);
    assert_false(has_precision(&machine.devices[1], "fp16"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_has_a_cpu),
        cmocka_unit_test(the_same_machine_has_the_same_uuids),
        cmocka_unit_test(measuring_gives_figures_of_that_grade),
        cmocka_unit_test_setup_teardown(a_recorded_machine_has_a_device_for_each_node, setup, teardown),
        cmocka_unit_test_setup_teardown(a_control_group_limits_threads_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_one_group_limits_too, setup, teardown),
        cmocka_unit_test_setup_teardown(no_limits_are_no_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_without_sys_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_read_from_their_lines, setup, teardown),
        cmocka_unit_test(no_driver_means_no_gpu),
        cmocka_unit_test(cuda_says_which_gpus_and_nvml_the_rest),
        cmocka_unit_test(nvml_stands_in_where_cuda_does_not_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
