// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STAT_MAX = 4096,
    FIELD_STATE = 0,
    FIELD_START = 19 /* counted from the state, after the name in parentheses */
};

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between fork and exec. The reason of a failure goes back through a pipe that exec closes. */
static _Noreturn void become(char *const argv[], int output_fd, bool bound, pid_t parent, const char *extra,
                             int told)
{
    int null = open("/dev/null", O_RDONLY);
    reset_signals();
    setpgid(0, 0);
    if (bound && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() != parent)
        _exit(127);
    if (null >= 0)
        dup2(null, 0);
    if (output_fd >= 0) {
        dup2(output_fd, 1);
        dup2(output_fd, 2);
    }
    if (extra)
        putenv((char *)(uintptr_t)extra);
    execv(argv[0], argv);
    int reason = errno;
    ssize_t ignored = write(told, &reason, sizeof reason);
    (void)ignored;
    _exit(127);
}

enum err process_start(char *const argv[], int output_fd, bool bound, const char *extra,
                       struct process *process, struct why *why)
{
    int told[2], reason = 0;
    if (pipe2(told, O_CLOEXEC) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(argv, output_fd, bound, parent, extra, told[1]);
    close(told[1]);
    if (pid < 0) {
        close(told[0]);
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be started", argv[0]);
    }
    while (read(told[0], &reason, sizeof reason) < 0 && errno == EINTR)
        ;
    close(told[0]);
    if (reason) {
        waitpid(pid, NULL, 0);
        errno = reason;
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be started", argv[0]);
    }
    process->pid = pid;
    process->start_ticks = process_start_ticks(pid);
    return ERR_OK;
}

/* The text after "pid (name) ", whose name may hold anything. */
static bool read_stat(pid_t pid, char text[STAT_MAX], const char **fields)
{
    char path[64], *bytes;
    size_t size;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || file_read(path, STAT_MAX - 1, &bytes, &size, NULL) != ERR_OK)
        return false;
    memcpy(text, bytes, size + 1);
    free(bytes);
    char *end = strrchr(text, ')');
    *fields = end && end[1] == ' ' ? end + 2 : NULL;
    return *fields != NULL;
}

uint64_t process_start_ticks(pid_t pid)
{
    char text[STAT_MAX];
    const char *at;
    if (!read_stat(pid, text, &at))
        return 0;
    for (int field = FIELD_STATE; field < FIELD_START && at; field++)
        at = (at = strchr(at, ' ')) ? at + 1 : NULL;
    return at ? strtoull(at, NULL, 10) : 0;
}

bool process_lives(const struct process *process)
{
    char text[STAT_MAX];
    const char *fields;
    if (!read_stat(process->pid, text, &fields) || fields[0] == 'Z' || fields[0] == 'X')
        return false;
    return process_start_ticks(process->pid) == process->start_ticks;
}

void process_signal(const struct process *process, int signal_number)
{
    if (process_lives(process))
        kill(process->pid, signal_number);
}

void process_boot_id(char boot[PROCESS_BOOT_MAX])
{
    char *bytes;
    size_t size;
    boot[0] = 0;
    if (file_read("/proc/sys/kernel/random/boot_id", PROCESS_BOOT_MAX - 1, &bytes, &size, NULL) != ERR_OK)
        return;
    bytes[strcspn(bytes, "\n")] = 0;
    snprintf(boot, PROCESS_BOOT_MAX, "%s", bytes);
    free(bytes);
}
