// SPDX-License-Identifier: Apache-2.0
#include "solo.h"

#include "clock.h"
#include "connection.h"
#include "file.h"
#include "log.h"
#include "roster_check.h"
#include "spill.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_US = 60000000, LOOK_US = 20000, ANSWER_US = 30000000, ROOM_MIN = 17 << 20, ENDS_MAX = 3 };

/* A try is short, so that the end of a process is noticed between two. */
#define TRY_SECONDS 0.5

/* A coordinator keeps 16 MB free, and without room for its journal it could not even say so: its log is
 * there, too. */
static enum err check_room(struct solo *solo, struct why *why)
{
    uint64_t room;
    if (file_free_bytes(solo->state_dir, &room, NULL) != ERR_OK || room >= ROOM_MIN)
        return ERR_OK;
    return why_set(why, ERR_FULL,
                   "%.300s: the disk is full: a private fleet needs at least %d MiB there; make room, or set "
                   "TMPDIR to another folder",
                   spill_folder(), ROOM_MIN >> 20);
}

static enum err make_state_dir(struct solo *solo, struct why *why)
{
    snprintf(solo->state_dir, sizeof solo->state_dir, "%.3900s/motley-run-XXXXXX", spill_folder());
    if (!mkdtemp(solo->state_dir)) { /* mode 0700 */
        enum err err =
            why_set_errno(why, ERR_FILE, "%.300s: cannot make a folder there; set TMPDIR", spill_folder());
        solo->state_dir[0] = 0;
        return err;
    }
    return check_room(solo, why);
}

/* In the child. Its output goes to a log of its own: the terminal belongs to the command. */
static _Noreturn void be_supervisor(struct supervise_plan *plan)
{
    char path[PATH_MAX_BYTES];
    struct why why;
    setsid();
    snprintf(path, sizeof path, "%.4000s/supervisor.log", plan->state_dir);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log >= 0 ? log : null, 2);
    log_init("motley", LOG_INFO, 2);
    enum err err = supervise_run(plan, &why);
    _exit(err_exit_code(err));
}

static enum err fork_supervisor(struct solo *solo, struct supervise_plan *plan, struct why *why)
{
    int control[2], status[2];
    if (pipe2(control, O_CLOEXEC) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    if (pipe2(status, O_CLOEXEC | O_NONBLOCK) != 0) {
        close(control[0]);
        close(control[1]);
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(control[1]);
        close(status[0]);
        plan->control_fd = control[0];
        plan->status_fd = status[1];
        be_supervisor(plan);
    }
    close(control[0]);
    close(status[1]);
    solo->control_fd = control[1];
    solo->status_fd = status[0];
    solo->supervisor = pid > 0 ? pid : 0;
    return pid < 0 ? why_set_errno(why, ERR_SYSTEM, "cannot start a supervisor") : ERR_OK;
}

enum err solo_start(const char *fleet_path, struct solo *solo, struct why *why)
{
    char absolute[PATH_MAX_BYTES];
    struct supervise_plan plan = { .fleeting = true, .logs = true };
    memset(solo, 0, sizeof *solo);
    solo->control_fd = solo->status_fd = -1;
    enum err err = fleet_path ? file_absolute(fleet_path, absolute, sizeof absolute, why) : ERR_OK;
    if (err == ERR_OK)
        err = fleet_path ? fleet_read(absolute, &solo->fleet, why) : fleet_local(&solo->fleet, why);
    if (err == ERR_OK && solo->fleet->workers_count == 0)
        err = why_set(why, ERR_USAGE, "%s: has no workers, so nothing can run on it; add one", fleet_path);
    if (err == ERR_OK)
        err = make_state_dir(solo, why);
    plan.fleet = solo->fleet;
    plan.fleet_path = fleet_path ? absolute : NULL;
    plan.state_dir = solo->state_dir;
    if (err == ERR_OK)
        err = supervise_place(&plan, why);
    if (err != ERR_OK)
        return err;
    memcpy(solo->url, plan.url, sizeof solo->url);
    solo->workers_living = solo->fleet->workers_count;
    return fork_supervisor(solo, &plan, why);
}

/* ---- what the supervisor tells
 * ---------------------------------------------------------------------------------------- */

static void complain(struct solo *solo, const struct supervise_event *event)
{
    char words[300], how[64];
    bool coordinator = event->kind == SUPERVISE_COORDINATOR_ENDED;
    const char *who = coordinator ? "coordinator" : event->text;
    if (solo->complaint[0] && !(coordinator && solo->last.kind == SUPERVISE_COORDINATOR_ENDED))
        return;
    supervise_last_words(solo->state_dir, who, words, sizeof words);
    supervise_print_status(event->status, how, sizeof how);
    solo->last = *event;
    snprintf(solo->complaint, sizeof solo->complaint, "%s %.64s %s%s%.300s", coordinator ? "the" : "worker",
             who, how, words[0] ? ": " : "", words);
}

static void on_event(struct solo *solo, const struct supervise_event *event)
{
    switch (event->kind) {
    case SUPERVISE_STARTED: solo->started = true; break;
    case SUPERVISE_FAILED:
        solo->failed = true;
        snprintf(solo->complaint, sizeof solo->complaint, "%s", event->text);
        break;
    case SUPERVISE_WORKER_ENDED:
        solo->workers_living = event->living;
        complain(solo, event);
        break;
    case SUPERVISE_COORDINATOR_ENDED:
        solo->coordinator_ends++;
        complain(solo, event);
        break;
    }
}

static void take_lines(struct solo *solo)
{
    char *end;
    struct supervise_event event;
    solo->line[solo->line_used] = 0;
    while ((end = strchr(solo->line, '\n')) != NULL) {
        *end = 0;
        if (supervise_parse(solo->line, &event))
            on_event(solo, &event);
        solo->line_used -= (size_t)(end + 1 - solo->line);
        memmove(solo->line, end + 1, solo->line_used + 1);
    }
    if (solo->line_used == sizeof solo->line - 1)
        solo->line_used = 0;
}

bool solo_poll(struct solo *solo)
{
    for (;;) {
        ssize_t got =
            read(solo->status_fd, solo->line + solo->line_used, sizeof solo->line - 1 - solo->line_used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0) {
            solo->failed = true;
            if (!solo->complaint[0])
                snprintf(solo->complaint, sizeof solo->complaint, "the private fleet's supervisor ended");
        }
        if (got <= 0)
            break;
        solo->line_used += (size_t)got;
        take_lines(solo);
    }
    return !solo->failed && solo->workers_living > 0;
}

/* ---- connecting
 * ------------------------------------------------------------------------------------------------------- */

static bool may_end_early(const struct solo *solo, const char *name)
{
    const struct fleet_worker *worker = fleet_find(solo->fleet, name);
    for (uint32_t i = 0; worker && i < worker->faults_count; i++)
        if (worker->faults[i].kind == FLEET_DIES)
            return true;
    return false;
}

/* Has something ended that must not end now? */
static enum err check_start(struct solo *solo, struct why *why)
{
    bool good = solo_poll(solo);
    if (tool_interrupted())
        return why_set(why, ERR_CANCELLED, "cancelled");
    if (good && solo->coordinator_ends >= ENDS_MAX)
        return why_set(why, ERR_SYSTEM, "the private fleet did not start: %.400s (%u times)", solo->complaint,
                       solo->coordinator_ends);
    if (good && (!solo->complaint[0] || solo->last.kind != SUPERVISE_WORKER_ENDED ||
                 may_end_early(solo, solo->last.text)))
        return ERR_OK;
    int status = solo->last.kind == SUPERVISE_WORKER_ENDED ? solo->last.status : 1;
    return why_set(why, status == 2 ? ERR_USAGE : ERR_SYSTEM, "the private fleet did not start: %s",
                   solo->complaint);
}

static motley *try_connect(const struct solo *solo, struct motley_error *error)
{
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    options.coordinator = solo->url;
    options.timeout_seconds = TRY_SECONDS;
    motley *connection = motley_connect(&options, NULL, error);
    if (connection)
        connection->timeout_us = ANSWER_US;
    return connection;
}

static uint64_t last_join_us(const struct solo *solo)
{
    double last = 0.0;
    for (uint32_t i = 0; i < solo->fleet->workers_count; i++)
        if (solo->fleet->workers[i].joins_at_seconds > last)
            last = solo->fleet->workers[i].joins_at_seconds;
    last *= solo->fleet->time_scale * 1e6;
    return clock_monotonic_us() + (last < 1e15 ? (uint64_t)last : (uint64_t)1e15);
}

bool solo_is_complete(const struct solo *solo)
{
    return solo->complete_us > 0 && clock_monotonic_us() >= solo->complete_us;
}

motley *solo_connect(struct solo *solo, enum err *err, struct why *why)
{
    uint64_t began = clock_monotonic_us(), deadline = began + START_US;
    struct motley_error error = { 0, "" };
    motley *connection = NULL;
    while ((*err = check_start(solo, why)) == ERR_OK) {
        if (!connection)
            connection = try_connect(solo, &error);
        if (connection &&
            roster_check(connection, solo->fleet, (double)(clock_monotonic_us() - began) / 1e6)) {
            solo->complete_us = last_join_us(solo);
            return connection;
        }
        if (clock_monotonic_us() > deadline) {
            *err = why_set(why, ERR_TIMEOUT, "the private fleet did not start within %d s%s%s",
                           START_US / 1000000, error.text[0] ? ": " : "", error.text);
            break;
        }
        clock_sleep_until_us(clock_monotonic_us() + LOOK_US);
    }
    motley_close(&connection);
    return NULL;
}

void solo_stop(struct solo *solo)
{
    int status;
    if (solo->control_fd >= 0)
        close(solo->control_fd);
    if (solo->supervisor > 0)
        while (waitpid(solo->supervisor, &status, 0) < 0 && errno == EINTR)
            ;
    if (solo->status_fd >= 0)
        close(solo->status_fd);
    /* The supervisor removes it; this is for one that could not be started, or was killed. */
    if (solo->state_dir[0])
        (void)!file_remove_tree(solo->state_dir, NULL);
    fleet_free(&solo->fleet);
    memset(solo, 0, sizeof *solo);
    solo->control_fd = solo->status_fd = -1;
}
