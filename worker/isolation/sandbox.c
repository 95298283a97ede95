// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifdef MOTLEY_SECCOMP
#include <seccomp.h>
#endif

void sandbox_no_new_privileges(void) { (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

static void no_core_file(void)
{
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
}

#ifdef MOTLEY_SECCOMP

static const int denied[] = {
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
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

/* Threads, and no processes: one of those would outlive the slot's. clone3 hides its flags behind a pointer,
 * and the C library falls back to clone. Sockets of other families than Unix's: a model has no business on a
 * network. */
static int add_rules(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp other_family = SCMP_A0(SCMP_CMP_NE, AF_UNIX);
    const struct scmp_arg_cmp no_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    int failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1, &other_family);
    if (failed == 0)
        failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &no_thread);
    if (failed == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; i < sizeof denied / sizeof denied[0] && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
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
    return filter_calls(why);
}
