// SPDX-License-Identifier: Apache-2.0
/* process - starting children and knowing them again. A pid alone is not an identity: with its start time
 * (field 22 of /proc/<pid>/stat, see proc(5)) and the machine's boot id it is. */
#ifndef PROCESS_H
#define PROCESS_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_BOOT_MAX = 64, PROCESS_ARGS_MAX = 160 };

struct process {
    pid_t pid; /* 0 = none */
    uint64_t start_ticks;
};

/* Start argv[0] in a process group of its own, with /dev/null as input and output_fd (-1 = ours) as output
 * and errors, every signal unblocked and as by default. bound: SIGTERM when its parent dies. extra is set in
 * its environment ("NAME=value"). */
MUST_USE enum err process_start(char *const argv[], int output_fd, bool bound, const char *extra,
                                struct process *process, struct why *why);

/* The start time of a living (or not yet reaped) process; 0 if there is none. */
uint64_t process_start_ticks(pid_t pid);

/* Does this very process live? A zombie does not. */
bool process_lives(const struct process *process);

/* kill() for this very process and no other. */
void process_signal(const struct process *process, int signal);

/* Changes when the machine boots. */
void process_boot_id(char boot[PROCESS_BOOT_MAX]);

#endif
