// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef MOTLEY_SECCOMP
#include <seccomp.h>
#endif

#if defined(__has_include)
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define HAS_LANDLOCK
#endif
#endif

void sandbox_no_new_privileges(void) { (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

static void no_core_file(void)
{
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* What root has beyond the files that are root's. */
static void no_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 }, { 0, 0, 0 } };
    (void)syscall(SYS_capset, &header, none);
}

/* ---- files: nothing is written but to devices ---- */

#ifdef HAS_LANDLOCK

static void allow_devices(int rules)
{
    struct landlock_path_beneath_attr devices = { .allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE };
    devices.parent_fd = open("/dev", O_PATH | O_CLOEXEC);
    if (devices.parent_fd < 0)
        return;
    (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &devices, 0);
    (void)close(devices.parent_fd);
}

/* Also keeps it from the memory of processes that are not in this sandbox. Kernels before 5.13 have none of
 * it. */
static void write_nowhere(void)
{
    const struct landlock_ruleset_attr attributes = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM
    };
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (rules < 0)
        return;
    allow_devices(rules);
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
    (void)close(rules);
}

#else

static void write_nowhere(void) {}

#endif

/* ---- system calls ---- */

#ifdef MOTLEY_SECCOMP

/* Programs, other processes, networks, what files are called and whose they are, the system itself. */
static const int denied[] = {
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(creat),
    SCMP_SYS(truncate),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(sethostname),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(io_uring_setup),
};

/* Calls of which some arguments are denied: threads may be made and no processes, signals may go to itself,
 * files that are not there may not be made. */
static int deny_some(scmp_filter_ctx filter)
{
    const struct {
        int call;
        struct scmp_arg_cmp when;
    } rows[] = {
        { SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0) },
        { SCMP_SYS(kill), SCMP_A0(SCMP_CMP_NE, (uint64_t)getpid()) },
        { SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_NE, (uint64_t)getpid()) },
        { SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_NE, 0) },
        { SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT) },
        { SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT) },
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && failed == 0; i++)
        failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), rows[i].call, 1, &rows[i].when);
    return failed;
}

/* Of two of them the C library has other ways, which show their flags. */
static int add_rules(scmp_filter_ctx filter)
{
    int failed = deny_some(filter);
    for (size_t i = 0; i < sizeof denied / sizeof denied[0] && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
    if (failed == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (failed == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
    return failed;
}

static enum err filter_calls(struct why *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed = filter == NULL ? -ENOMEM : add_rules(filter);
    if (failed == 0)
        failed = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    if (failed == 0)
        return ERR_OK;
    errno = -failed;
    return why_set_errno(why, ERR_UNSUPPORTED, "system calls are not filtered here");
}

#else

static enum err filter_calls(struct why *why)
{
    return why_set(why, ERR_UNSUPPORTED, "system calls are not filtered: built without libseccomp");
}

#endif

enum err sandbox_enter(struct why *why)
{
    sandbox_no_new_privileges();
    no_core_file();
    no_capabilities();
    write_nowhere();
    return filter_calls(why);
}
