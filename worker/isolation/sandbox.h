// SPDX-License-Identifier: Apache-2.0
/* sandbox - what a process that runs other people's models gives up before it does: new privileges
 * (no_new_privs), capabilities, core files; where the kernel filters system calls (seccomp): programs and
 * processes, sockets, signals to others, making, renaming and removing files, tracing, mounts, keys, modules
 * and the like, which then fail with EPERM; and where it has Landlock (5.13): writing to any file that is no
 * device, and the memory of other processes. Reading files, threads, memory and devices (ioctl) stay, because
 * runtimes need them. It is not a jail: what its user may read, it reads, and it can put that into its
 * answers. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "err.h"

/* For good, for this process and its threads to come. ERR_UNSUPPORTED: no filter here (said in why); the rest
 * holds. */
MUST_USE enum err sandbox_enter(struct why *why);

/* Only no_new_privs, for the worker itself: nothing that it starts can gain rights. */
void sandbox_no_new_privileges(void);

#endif
