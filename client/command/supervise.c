// SPDX-License-Identifier: Apache-2.0
#include "supervise.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "process.h"
#include "roll.h"
#include "signature.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    IPC_PATH_MAX = 107,
    STOP_WORKERS_US = 3000000, /* then the coordinator is told, too */
    STOP_KILL_US = 5000000,    /* then nobody is asked any more */
    BACKOFF_FIRST_US = 100000,
    BACKOFF_LAST_US = 5000000,
    STEADY_US = 10000000, /* a coordinator that lived so long starts with a fresh backoff */
    LOG_TAIL = 4096,
    LAST_LINES = 4,
};

struct supervisor {
    struct supervise_plan *plan;
    struct roll roll; /* entry 0: ourselves, 1: the coordinator, then the workers */
    char coordinator[PATH_MAX_BYTES], worker[PATH_MAX_BYTES], environment[PATH_MAX_BYTES + 32];
    uint64_t coordinator_began_us, restart_us, backoff_us;
    uint64_t stopping_since_us; /* 0 = no */
    bool coordinator_told;
    int signal_fd, lock_fd;
};

/* ---- the place
 * ------------------------------------------------------------------------------------------------------- */

static enum err make_short_name(struct supervise_plan *plan, struct why *why)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char link[PATH_MAX_BYTES + 8];
    snprintf(plan->short_dir, sizeof plan->short_dir, "%s/motley-XXXXXX",
             runtime && *runtime == '/' && strlen(runtime) < 60 ? runtime : "/tmp");
    if (!mkdtemp(plan->short_dir)) { /* mode 0700 */
        plan->short_dir[0] = 0;
        return why_set_errno(why, ERR_FILE,
                             "%s: is too long for a socket's name, and no short one could be made",
                             plan->state_dir);
    }
    snprintf(link, sizeof link, "%s/s", plan->short_dir);
    if (symlink(plan->state_dir, link) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be made", link);
    snprintf(plan->url, sizeof plan->url, "ipc://%.180s/motley.sock", link);
    return ERR_OK;
}

enum err supervise_place(struct supervise_plan *plan, struct why *why)
{
    plan->short_dir[0] = 0;
    if (strlen(plan->state_dir) + sizeof "/motley.sock" - 1 > IPC_PATH_MAX)
        return make_short_name(plan, why);
    snprintf(plan->url, sizeof plan->url, "ipc://%.180s/motley.sock", plan->state_dir);
    return ERR_OK;
}

/* ---- telling ---- */

static void tell(const struct supervisor *s, enum supervise_event_kind kind, int status, uint32_t living,
                 const char *text)
{
    char line[400];
    int length = snprintf(line, sizeof line, "%d %d %u %.255s\n", (int)kind, status, living, text);
    if (s->plan->status_fd < 0 || length <= 0)
        return;
    ssize_t ignored = write(s->plan->status_fd, line, (size_t)length);
    (void)ignored;
}

bool supervise_parse(const char *line, struct supervise_event *event)
{
    int kind, used = 0;
    if (sscanf(line, "%d %d %u %n", &kind, &event->status, &event->living, &used) != 3 || used == 0)
        return false;
    event->kind = (enum supervise_event_kind)kind;
    snprintf(event->text, sizeof event->text, "%s", line + used);
    return kind >= SUPERVISE_STARTED && kind <= SUPERVISE_FAILED;
}

static void log_path(const char *state_dir, const char *name, char *path, size_t max)
{
    snprintf(path, max, "%s/logs/%s.log", state_dir, name);
}

/* A log line is "time program level ID text". */
static bool find_complaint(const char *line, char *text, size_t max)
{
    char level[8] = "";
    int used = 0;
    bool logged = *line >= '0' && *line <= '9' && strchr(line, 'T') &&
                  sscanf(line, "%*s %*s %7s %*s %n", level, &used) == 1 && used > 0;
    if (!*line || (logged && strcmp(level, "error") != 0 && strcmp(level, "warn") != 0))
        return false;
    snprintf(text, max, "%s", logged ? line + used : line);
    return true;
}

void supervise_last_words(const char *state_dir, const char *name, char *text, size_t max)
{
    char path[PATH_MAX_BYTES], bytes[LOG_TAIL + 1];
    struct stat status;
    text[0] = 0;
    log_path(state_dir, name, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t from = fstat(fd, &status) == 0 && status.st_size > LOG_TAIL ? status.st_size - LOG_TAIL : 0;
    ssize_t got = pread(fd, bytes, LOG_TAIL, from);
    close(fd);
    bytes[got > 0 ? got : 0] = 0;
    for (int looked = 0; looked < LAST_LINES && got > 0; looked++) {
        while (got > 0 && bytes[got - 1] == '\n')
            bytes[--got] = 0;
        char *line = strrchr(bytes, '\n');
        line = line ? line + 1 : bytes;
        if (find_complaint(line, text, max))
            return;
        got = line - bytes;
        *line = 0;
    }
}

void supervise_print_status(int status, char *text, size_t max)
{
    if (status > 128 && status < 128 + NSIG)
        snprintf(text, max, "was killed by signal %d", status - 128);
    else
        snprintf(text, max, "ended with status %d", status);
}

/* ---- starting
 * -------------------------------------------------------------------------------------------------------- */

static int open_log(const struct supervisor *s, const char *name)
{
    char path[PATH_MAX_BYTES];
    if (!s->plan->logs)
        return -1;
    log_path(s->plan->state_dir, name, path, sizeof path);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static enum err start(struct supervisor *s, struct roll_entry *entry, char *const argv[], const char *log,
                      struct why *why)
{
    int fd = open_log(s, log);
    enum err err = process_start(argv, fd, true, s->environment, &entry->process, why);
    if (fd >= 0)
        close(fd);
    return err;
}

#define WORD(text) ((char *)(uintptr_t)(text)) /* argv is not written to */

_Static_assert(2 * OPTION_LIST_MAX + 15 <= PROCESS_ARGS_MAX, "all tenants fit on a command line");

/* Behind the count words that are there; how many there are then. */
static size_t add_keeping(const struct supervise_plan *plan, char **argv, size_t count)
{
    const struct {
        const char *option, *value;
    } rows[] = { { "--keep", plan->keep },
                 { "--keep-jobs", plan->keep_jobs },
                 { "--keep-bytes", plan->keep_bytes } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].value)
            continue;
        argv[count++] = WORD(rows[i].option);
        argv[count++] = WORD(rows[i].value);
    }
    return count;
}

static enum err start_coordinator(struct supervisor *s, struct why *why)
{
    const struct supervise_plan *plan = s->plan;
    char *argv[PROCESS_ARGS_MAX] = { s->coordinator,   WORD("--state-dir"), WORD(plan->state_dir),
                                     WORD("--listen"), WORD(plan->url),     WORD("--supervised") };
    size_t count = 6;
    if (plan->listen[0]) {
        argv[count++] = WORD("--listen");
        argv[count++] = WORD(plan->listen);
    }
    count = add_keeping(plan, argv, count);
    for (size_t i = 0; plan->tenants && i < plan->tenants->count; i++) {
        argv[count++] = WORD("--tenant");
        argv[count++] = WORD(plan->tenants->at[i]);
    }
    s->coordinator_began_us = clock_monotonic_us();
    return start(s, &s->roll.entries[1], argv, "coordinator", why);
}

static enum err start_worker(struct supervisor *s, const struct fleet_worker *worker,
                             struct roll_entry *entry, struct why *why)
{
    char *argv[PROCESS_ARGS_MAX] = { s->worker, WORD("--coordinator"), s->plan->url, WORD("--supervised") };
    size_t count = 4;
    argv[count++] = worker->local ? WORD("--name") : WORD("--member");
    argv[count++] = WORD(worker->name);
    if (!worker->local) {
        argv[count++] = WORD("--fleet");
        argv[count++] = WORD(s->plan->fleet_path);
    }
    if (s->plan->fleeting) { /* none of its processes comes back to find what it left */
        argv[count++] = WORD("--spool-bytes");
        argv[count++] = WORD("0");
    }
    if (s->plan->isolate && worker->local) /* an emulated device has nothing to isolate */
        argv[count++] = WORD("--isolate");
    snprintf(entry->role, sizeof entry->role, "worker");
    snprintf(entry->name, sizeof entry->name, "%s", worker->name);
    return start(s, entry, argv, worker->name, why);
}

static enum err start_all(struct supervisor *s, struct why *why)
{
    const struct fleet *fleet = s->plan->fleet;
    s->roll.count = 2;
    snprintf(s->roll.entries[1].role, sizeof s->roll.entries[1].role, "coordinator");
    enum err err = start_coordinator(s, why);
    for (uint32_t i = 0; err == ERR_OK && i < fleet->workers_count; i++)
        err = start_worker(s, &fleet->workers[i], &s->roll.entries[s->roll.count++], why);
    if (err == ERR_OK && !s->plan->fleeting)
        err = roll_write(s->plan->state_dir, &s->roll, why);
    return err;
}

/* ---- watching
 * -------------------------------------------------------------------------------------------------------- */

static uint32_t living_workers(const struct supervisor *s)
{
    uint32_t living = 0;
    for (size_t i = 2; i < s->roll.count; i++)
        living += s->roll.entries[i].process.pid > 0;
    return living;
}

static void on_coordinator_end(struct supervisor *s, int status)
{
    uint64_t now = clock_monotonic_us();
    bool steady = now - s->coordinator_began_us > STEADY_US;
    s->backoff_us = steady || s->backoff_us == 0 ? BACKOFF_FIRST_US : s->backoff_us * 2;
    if (s->backoff_us > BACKOFF_LAST_US)
        s->backoff_us = BACKOFF_LAST_US;
    s->restart_us = now + s->backoff_us;
    if (s->stopping_since_us)
        return;
    log_warn("COORDINATOR-ENDED", "the coordinator ended with status %d; it is started again in %.1f s",
             status, (double)s->backoff_us / 1e6);
    tell(s, SUPERVISE_COORDINATOR_ENDED, status, living_workers(s), "coordinator");
}

static void on_worker_end(struct supervisor *s, const struct roll_entry *entry, int status)
{
    if (s->stopping_since_us)
        return;
    log_warn("WORKER-ENDED", "worker %s ended with status %d; %u are left", entry->name, status,
             living_workers(s));
    tell(s, SUPERVISE_WORKER_ENDED, status, living_workers(s), entry->name);
}

static void on_child_end(struct supervisor *s, pid_t pid, int raw)
{
    int status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    for (size_t i = 1; i < s->roll.count; i++) {
        struct roll_entry *entry = &s->roll.entries[i];
        if (entry->process.pid != pid)
            continue;
        entry->process.pid = 0;
        if (i == 1)
            on_coordinator_end(s, status);
        else
            on_worker_end(s, entry, status);
        return;
    }
}

static void reap(struct supervisor *s)
{
    int raw;
    pid_t pid;
    while ((pid = waitpid(-1, &raw, WNOHANG)) > 0)
        on_child_end(s, pid, raw);
}

static void restart_if_due(struct supervisor *s)
{
    struct why why;
    if (s->stopping_since_us || s->roll.entries[1].process.pid > 0 || clock_monotonic_us() < s->restart_us)
        return;
    enum err err = start_coordinator(s, &why);
    if (err == ERR_OK && !s->plan->fleeting)
        err = roll_write(s->plan->state_dir, &s->roll, &why);
    if (err != ERR_OK) {
        log_error("COORDINATOR-START", "%s", why.text);
        s->restart_us = clock_monotonic_us() + BACKOFF_LAST_US;
    }
}

/* ---- stopping
 * -------------------------------------------------------------------------------------------------------- */

static void signal_workers(struct supervisor *s, int number)
{
    for (size_t i = 2; i < s->roll.count; i++)
        if (s->roll.entries[i].process.pid > 0)
            kill(s->roll.entries[i].process.pid, number);
}

static void begin_stop(struct supervisor *s)
{
    if (s->stopping_since_us)
        return;
    s->stopping_since_us = clock_monotonic_us();
    signal_workers(s, SIGTERM);
}

/* Workers first, so that they can say goodbye; then the coordinator; then by force. True when all are gone.
 */
static bool push_stop(struct supervisor *s)
{
    uint64_t spent = clock_monotonic_us() - s->stopping_since_us;
    struct process *coordinator = &s->roll.entries[1].process;
    bool workers = living_workers(s) > 0;
    if (coordinator->pid > 0 && !s->coordinator_told && (!workers || spent > STOP_WORKERS_US)) {
        kill(coordinator->pid, SIGTERM);
        s->coordinator_told = true;
    }
    if (spent > STOP_KILL_US) {
        signal_workers(s, SIGKILL);
        if (coordinator->pid > 0)
            kill(coordinator->pid, SIGKILL);
    }
    return !workers && coordinator->pid <= 0;
}

/* ---- the loop
 * -------------------------------------------------------------------------------------------------------- */

static void on_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            begin_stop(s);
    reap(s);
}

static int next_wait_ms(const struct supervisor *s)
{
    if (s->stopping_since_us)
        return 50;
    if (s->roll.entries[1].process.pid > 0)
        return -1;
    uint64_t now = clock_monotonic_us();
    return now >= s->restart_us ? 0 : (int)((s->restart_us - now) / 1000 + 1);
}

static void watch(struct supervisor *s)
{
    char ignored[64];
    for (;;) {
        struct pollfd polls[2] = { { .fd = s->signal_fd, .events = POLLIN },
                                   { .fd = s->plan->control_fd, .events = POLLIN } };
        if (poll(polls, 2, next_wait_ms(s)) < 0 && errno != EINTR)
            begin_stop(s);
        if (polls[0].revents)
            on_signal(s);
        if (polls[1].revents && read(s->plan->control_fd, ignored, sizeof ignored) <= 0) {
            s->plan->control_fd = -1;
            begin_stop(s);
        }
        restart_if_due(s);
        if (s->stopping_since_us && push_stop(s))
            return;
    }
}

static enum err take_signals(struct supervisor *s, struct why *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot watch for signals");
    return ERR_OK;
}

/* Two fleets in one state directory would fight over it. */
static enum err take_lock(struct supervisor *s, struct why *why)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "%s/fleet.lock", s->plan->state_dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return why_set(why, ERR_USAGE, "a fleet is up already in %s; stop it with `motley down`",
                       s->plan->state_dir);
    return ERR_OK;
}

static enum err prepare(struct supervisor *s, struct why *why)
{
    char logs[PATH_MAX_BYTES];
    snprintf(logs, sizeof logs, "%s/logs", s->plan->state_dir);
    snprintf(s->environment, sizeof s->environment, "MOTLEY_STATE_DIR=%s", s->plan->state_dir);
    snprintf(s->roll.url, sizeof s->roll.url, "%s", s->plan->url);
    snprintf(s->roll.listen, sizeof s->roll.listen, "%s", s->plan->listen);
    snprintf(s->roll.short_dir, sizeof s->roll.short_dir, "%s", s->plan->short_dir);
    s->roll.entries = calloc((size_t)s->plan->fleet->workers_count + 2, sizeof *s->roll.entries);
    if (!s->roll.entries)
        return why_set(why, ERR_MEMORY, "no memory for a fleet of %u", s->plan->fleet->workers_count);
    snprintf(s->roll.entries[0].role, sizeof s->roll.entries[0].role, "supervisor");
    s->roll.entries[0].process.pid = getpid();
    s->roll.entries[0].process.start_ticks = process_start_ticks(getpid());
    enum err err = file_make_dirs(logs, 0700, why);
    if (err == ERR_OK)
        err = take_lock(s, why);
    if (err == ERR_OK)
        err = signature_program("motley-coordinator", "MOTLEY_COORDINATOR_PROGRAM", s->coordinator,
                                sizeof s->coordinator, why);
    if (err == ERR_OK)
        err = signature_program("motley-worker", "MOTLEY_WORKER", s->worker, sizeof s->worker, why);
    return err == ERR_OK ? take_signals(s, why) : err;
}

static void clean_up(struct supervisor *s)
{
    if (s->plan->fleeting) {
        if (s->plan->short_dir[0])
            (void)!file_remove_tree(s->plan->short_dir, NULL);
        (void)!file_remove_tree(s->plan->state_dir, NULL);
    } else {
        roll_remove(s->plan->state_dir, &s->roll);
    }
}

enum err supervise_run(struct supervise_plan *plan, struct why *why)
{
    struct supervisor s = { .plan = plan, .signal_fd = -1, .lock_fd = -1 };
    enum err err = prepare(&s, why);
    bool ours = s.lock_fd >= 0 && err == ERR_OK;
    if (err == ERR_OK)
        err = start_all(&s, why);
    if (err == ERR_OK) {
        log_info("FLEET-UP", "%u workers, coordinator at %s", living_workers(&s), plan->url);
        tell(&s, SUPERVISE_STARTED, 0, living_workers(&s), plan->url);
        if (plan->on_started)
            plan->on_started(plan);
    } else {
        log_error("FLEET-START", "%s", why->text);
        tell(&s, SUPERVISE_FAILED, err_exit_code(err), 0, why->text);
        begin_stop(&s);
    }
    if (ours)
        watch(&s);
    if (ours || plan->fleeting)
        clean_up(&s);
    else if (plan->short_dir[0])
        (void)!file_remove_tree(plan->short_dir, NULL);
    if (s.signal_fd >= 0)
        close(s.signal_fd);
    if (s.lock_fd >= 0)
        close(s.lock_fd);
    roll_free(&s.roll);
    return err;
}
