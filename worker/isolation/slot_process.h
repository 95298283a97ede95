// SPDX-License-Identifier: Apache-2.0
/* slot_process - what runs in the process of an isolated slot: opens one runtime and serves one call at a
 * time until the worker's end of the socket closes. */
#ifndef SLOT_PROCESS_H
#define SLOT_PROCESS_H

#include "runtime.h"

/* The word that makes a program a slot process: PROGRAM SLOT_PROCESS_WORD SOCKET MEMORY (two descriptors). */
#define SLOT_PROCESS_WORD "--slot-process"

/* Serve; find names the runtimes of this program. The exit status. */
int slot_process_main(int argc, char **argv, const struct runtime_ops *(*find)(const char *name));

#endif
