// SPDX-License-Identifier: Apache-2.0
#include "rng.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum deed {
    DEED_NONE,
    KILL_BEFORE,
    KILL_AFTER,
    REFUSE_EIO,
    REFUSE_NOSPACE,
    WRITE_SHORT,
    WRITE_TORN,
    CUT_BEFORE,
    CUT_AFTER,
    EIO_KILL
};

static const char *const kinds[FAULT_KINDS] = { "sync", "write", "name" };
static const char *const deeds[] = { "none",  "kill-before", "kill-after", "eio",       "nospace",
                                     "short", "torn",        "cut-before", "cut-after", "eio-kill" };

static struct {
    enum fault_kind kind;
    uint64_t number, times;
    enum deed deed;
    enum deed pending; /* after the call that is under way */
    const char *only, *flag, *trace;
    long statfs;
    bool full;  /* times 0: the disk is full from the n-th on */
    bool dying; /* eio-kill has refused: the next sync is the end */
    struct rng rng;
} plan;

static bool parse(const char *text)
{
    char kind[16], deed[16];
    unsigned long long number, times = 1;
    if (sscanf(text, "%15s %llu %15s %llu", kind, &number, deed, &times) < 3)
        return false;
    plan.number = number;
    plan.times = times;
    for (int i = 0; i < FAULT_KINDS; i++)
        if (strcmp(kinds[i], kind) == 0)
            for (size_t k = 1; k < sizeof deeds / sizeof deeds[0]; k++)
                if (strcmp(deeds[k], deed) == 0) {
                    plan.kind = (enum fault_kind)i;
                    plan.deed = (enum deed)k;
                    return true;
                }
    return false;
}

void faults_load(void)
{
    const char *fault = getenv("MOTLEY_FAULT"), *seed = getenv("MOTLEY_FAULT_SEED"),
               *type = getenv("MOTLEY_FAULT_STATFS");
    plan.only = getenv("MOTLEY_FAULT_ONLY");
    plan.flag = getenv("MOTLEY_FAULT_FLAG");
    plan.trace = getenv("MOTLEY_FAULT_TRACE");
    plan.statfs = type && *type ? strtol(type, NULL, 16) : -1;
    rng_init(&plan.rng, seed ? strtoull(seed, NULL, 10) : 1);
    if (fault && strcmp(fault, "cut") == 0)
        return;
    if (fault && *fault && !parse(fault)) {
        shim_say("MOTLEY_FAULT is not understood: %s", fault);
        _exit(99);
    }
}

uint64_t faults_random(uint64_t below) { return rng_below(&plan.rng, below); }

long faults_statfs(void) { return plan.statfs; }

void faults_die(void)
{
    for (;;)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static void trace(enum fault_kind kind, const char *call, const char *path)
{
    char line[PATH_MAX + 64];
    if (!plan.trace)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, plan.trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(line, sizeof line, "%s %llu %s %s\n", kinds[kind],
                          (unsigned long long)shim_head->counts[kind], call, path);
    syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

static void fire(enum fault_kind kind, const char *call, const char *path)
{
    shim_head->fired = 1;
    shim_say("%s at %s %llu: %s %s", deeds[plan.deed], kinds[kind], (unsigned long long)plan.number, call,
             path);
}

static bool has_flag(void) { return plan.flag && syscall(SYS_faccessat, AT_FDCWD, plan.flag, F_OK) == 0; }

static enum fault_verdict refuse(void)
{
    errno = plan.deed == REFUSE_NOSPACE ? ENOSPC : EIO;
    return FAULT_REFUSE;
}

/* With TIMES 0 what takes room is refused as long as the flag stands; what gives room back is not. */
static enum fault_verdict while_full(enum fault_kind kind, const char *call)
{
    bool takes = kind == FAULT_WRITE || (kind == FAULT_NAME && !strstr("unlink rmdir rename", call));
    plan.full = has_flag();
    return plan.full && (takes || plan.kind == kind) ? refuse() : FAULT_GO;
}

static enum fault_verdict strike(void)
{
    switch (plan.deed) {
    case KILL_BEFORE: faults_die();
    case CUT_BEFORE: history_cut(); faults_die();
    case EIO_KILL: plan.dying = true; return refuse();
    case REFUSE_EIO:
    case REFUSE_NOSPACE: return refuse();
    case WRITE_SHORT: return FAULT_SHORT;
    case WRITE_TORN: plan.pending = KILL_AFTER; return FAULT_TEAR;
    default: plan.pending = plan.deed; return FAULT_GO;
    }
}

enum fault_verdict faults_before(enum fault_kind kind, const char *call, const char *path)
{
    if (plan.only && !strstr(path, plan.only))
        return FAULT_GO;
    uint64_t number = ++shim_head->counts[kind];
    trace(kind, call, path);
    if (plan.dying && kind == FAULT_SYNC)
        faults_die();
    if (plan.full)
        return while_full(kind, call);
    if (plan.deed == DEED_NONE || kind != plan.kind || number < plan.number)
        return FAULT_GO;
    if (plan.times == 0 && number == plan.number) {
        fire(kind, call, path);
        plan.full = true;
        return while_full(kind, call);
    }
    if (number == plan.number)
        fire(kind, call, path);
    return number < plan.number + plan.times ? strike() : FAULT_GO;
}

void faults_after(enum fault_kind kind)
{
    if (plan.pending == DEED_NONE || kind != plan.kind)
        return;
    if (plan.pending == CUT_AFTER)
        history_cut();
    faults_die();
}
