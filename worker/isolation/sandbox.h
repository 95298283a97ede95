// SPDX-License-Identifier: Apache-2.0
/* sandbox - what a process that runs other people's models gives up before it does: new privileges
 * (no_new_privs), core files, and, where the kernel filters system calls (seccomp), starting programs,
 * network sockets, tracing, mounts, keys, kernel modules and the like: those then fail with EPERM. Reading
 * files, threads, memory and devices (ioctl) stay, because runtimes need them. It is not a jail: what it may
 * read, it reads. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "err.h"

/* For good, for this process and its threads to come. ERR_UNSUPPORTED: no filter here (said in why); the rest
 * holds. */
MUST_USE enum err sandbox_enter(struct why *why);

/* Only no_new_privs, for the worker itself: nothing that it starts can gain rights. */
void sandbox_no_new_privileges(void);

#endif
