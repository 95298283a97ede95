// SPDX-License-Identifier: Apache-2.0
/* motley up, down: a fleet on this machine that stays. */
#include "clock.h"
#include "command.h"
#include "connection.h"
#include "file.h"
#include "fleet.h"
#include "key.h"
#include "log.h"
#include "reach.h"
#include "retention_words.h"
#include "roll.h"
#include "roster_check.h"
#include "supervise.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READY_US = 60000000,
    LOOK_US = 20000,
    DOWN_ASK_US = 10000000,
    DOWN_FORCE_US = 5000000,
    LINE_MAX_BYTES = 512
};

struct up {
    char state_dir[PATH_MAX_BYTES], fleet_path[PATH_MAX_BYTES];
    struct fleet *fleet;
    struct supervise_plan plan;
    int status_fd; /* --detach: what the supervisor tells */
    bool started;  /* it said so: the fleet that answers is ours */
    pid_t supervisor;
    uint64_t began_us;
};

/* ---- up ---- */

/* A record whose processes live is a fleet. One whose processes are gone is left for the next to replace:
 * another `up` may be about to write its own there. */
static enum err check_not_up(struct up *up, struct why *why)
{
    struct roll roll;
    struct why ignored;
    enum err err = roll_read(up->state_dir, &roll, &ignored);
    size_t living = err == ERR_OK ? roll_living(&roll) : 0;
    if (living > 0)
        err = why_set(why, ERR_USAGE,
                      "a fleet is up already in %s (%zu processes, %s); stop it with `motley down`",
                      up->state_dir, living, roll.url);
    else if (err == ERR_OK && roll.short_dir[0])
        (void)!file_remove_tree(roll.short_dir, NULL);
    roll_free(&roll);
    return living > 0 ? err : ERR_OK;
}

/* There from the first `up` on, for whoever wants to let other machines in later. */
static enum err ensure_keys(const char *state_dir, struct why *why)
{
    static const char *const names[] = { "coordinator.secret", "own.secret" };
    char path[PATH_MAX_BYTES];
    struct key key = { { 0 }, { 0 } };
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && err == ERR_OK; i++) {
        err = key_path(state_dir, names[i], path, sizeof path, why);
        if (err == ERR_OK)
            err = key_ensure(path, &key, why);
    }
    key_wipe(&key);
    return err;
}

static enum err prepare(struct up *up, const char *fleet, const char *listen, struct why *why)
{
    enum err err = file_state_dir(up->state_dir, sizeof up->state_dir, why);
    if (err == ERR_OK && fleet)
        err = file_absolute(fleet, up->fleet_path, sizeof up->fleet_path, why);
    if (err == ERR_OK)
        err = fleet ? fleet_read(up->fleet_path, &up->fleet, why) : fleet_local(&up->fleet, why);
    if (err == ERR_OK)
        err = check_not_up(up, why);
    if (err == ERR_OK)
        err = ensure_keys(up->state_dir, why);
    up->began_us = clock_monotonic_us();
    up->plan.fleet = up->fleet;
    up->plan.fleet_path = fleet ? up->fleet_path : NULL;
    up->plan.state_dir = up->state_dir;
    if (err == ERR_OK && listen)
        err = reach_fix_port(listen, up->plan.listen, why);
    up->plan.control_fd = up->plan.status_fd = -1;
    return err == ERR_OK ? supervise_place(&up->plan, why) : err;
}

static void print_up(const struct supervise_plan *plan)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "fleet", plan->fleet->name);
    yyjson_mut_obj_add_uint(doc, root, "workers", plan->fleet->workers_count);
    yyjson_mut_obj_add_str(doc, root, "url", plan->url);
    if (plan->listen[0])
        yyjson_mut_obj_add_str(doc, root, "listen", plan->listen);
    else
        yyjson_mut_obj_add_null(doc, root, "listen");
    yyjson_mut_obj_add_str(doc, root, "state_dir", plan->state_dir);
    tool_print_mut(doc);
    fflush(stdout);
    yyjson_mut_doc_free(doc);
}

static int stay(struct up *up, bool json)
{
    struct why why;
    up->plan.on_started = json ? print_up : NULL;
    enum err err = supervise_run(&up->plan, &why);
    return err == ERR_OK ? 0 : tool_fail(err, &why);
}

static _Noreturn void be_daemon(struct up *up)
{
    char path[PATH_MAX_BYTES];
    struct why why;
    setsid();
    (void)!chdir("/");
    snprintf(path, sizeof path, "%.4000s/logs", up->state_dir);
    (void)!file_make_dirs(path, 0700, NULL);
    snprintf(path, sizeof path, "%.4000s/logs/supervisor.log", up->state_dir);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log >= 0 ? log : null, 2);
    up->plan.logs = true;
    enum err err = supervise_run(&up->plan, &why);
    _exit(err_exit_code(err));
}

static enum err start_daemon(struct up *up, struct why *why)
{
    int status[2];
    if (pipe2(status, O_CLOEXEC | O_NONBLOCK) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    fflush(NULL);
    up->supervisor = fork();
    if (up->supervisor == 0) {
        close(status[0]);
        up->plan.status_fd = status[1];
        be_daemon(up);
    }
    close(status[1]);
    up->status_fd = status[0];
    return up->supervisor < 0 ? why_set_errno(why, ERR_SYSTEM, "cannot start a supervisor") : ERR_OK;
}

static bool may_end(const struct up *up, const char *name)
{
    const struct fleet_worker *worker = fleet_find(up->fleet, name);
    for (uint32_t i = 0; worker && i < worker->faults_count; i++)
        if (worker->faults[i].kind == FLEET_DIES)
            return true;
    return false;
}

static enum err judge_event(struct up *up, const struct supervise_event *event, struct why *why)
{
    char words[300], how[64];
    switch (event->kind) {
    case SUPERVISE_STARTED: up->started = true; return ERR_OK;
    case SUPERVISE_FAILED:
        return why_set(why, event->status == 2 ? ERR_USAGE : ERR_SYSTEM, "%s", event->text);
    case SUPERVISE_WORKER_ENDED:
        if (may_end(up, event->text))
            return ERR_OK;
        break;
    case SUPERVISE_COORDINATOR_ENDED: break;
    }
    supervise_last_words(up->state_dir, event->text, words, sizeof words);
    supervise_print_status(event->status, how, sizeof how);
    return why_set(why, event->status == 2 ? ERR_USAGE : ERR_SYSTEM, "%.64s %s%s%s (see %.200s/logs)",
                   event->text, how, words[0] ? ": " : "", words, up->state_dir);
}

/* What the supervisor told since the last call. ERR_SYSTEM when it is gone. */
static enum err read_events(struct up *up, char line[LINE_MAX_BYTES], size_t *used, struct why *why)
{
    struct supervise_event event;
    enum err err = ERR_OK;
    char *end;
    ssize_t got = read(up->status_fd, line + *used, LINE_MAX_BYTES - 1 - *used);
    if (got == 0)
        return why_set(why, ERR_SYSTEM, "the supervisor ended; see %s/logs/supervisor.log", up->state_dir);
    *used += got > 0 ? (size_t)got : 0;
    line[*used] = 0;
    while (err == ERR_OK && (end = strchr(line, '\n')) != NULL) {
        *end = 0;
        if (supervise_parse(line, &event))
            err = judge_event(up, &event, why);
        *used -= (size_t)(end + 1 - line);
        memmove(line, end + 1, *used + 1);
    }
    return err;
}

static bool all_here(struct up *up, motley **connection)
{
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    options.coordinator = up->plan.url;
    options.timeout_seconds = 0.5;
    if (!*connection)
        *connection = motley_connect(&options, NULL, NULL);
    double waited_seconds = (double)(clock_monotonic_us() - up->began_us) / 1e6;
    return *connection && roster_check(*connection, up->fleet, waited_seconds);
}

static enum err await_workers(struct up *up, struct why *why)
{
    char line[LINE_MAX_BYTES];
    size_t used = 0;
    uint64_t deadline = clock_monotonic_us() + READY_US;
    motley *connection = NULL;
    enum err err;
    while ((err = read_events(up, line, &used, why)) == ERR_OK &&
           !(up->started && all_here(up, &connection))) {
        if (tool_interrupted())
            err = why_set(why, ERR_CANCELLED, "cancelled");
        else if (clock_monotonic_us() > deadline)
            err = why_set(why, ERR_TIMEOUT, "not every worker came within %d s; see %s/logs",
                          READY_US / 1000000, up->state_dir);
        if (err != ERR_OK)
            break;
        clock_sleep_until_us(clock_monotonic_us() + LOOK_US);
    }
    motley_close(&connection);
    return err;
}

static int detach(struct up *up, bool json)
{
    struct why why;
    int status;
    tool_catch_interrupts();
    enum err err = start_daemon(up, &why);
    if (err == ERR_OK)
        err = await_workers(up, &why);
    if (err == ERR_OK && json) {
        print_up(&up->plan);
        return 0;
    }
    if (err == ERR_OK) {
        fprintf(stderr, "motley: fleet %s is up: %u workers, coordinator at %s%s%s\n", up->fleet->name,
                up->fleet->workers_count, up->plan.url, up->plan.listen[0] ? " and " : "", up->plan.listen);
        return 0;
    }
    if (up->supervisor > 0) {
        kill(up->supervisor, SIGTERM);
        while (waitpid(up->supervisor, &status, 0) < 0 && errno == EINTR)
            ;
    }
    return tool_fail(err, &why);
}

int command_up(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley up", "[--fleet F] [--detach] [--listen URL] [--tenant NAME=WEIGHT[:SLOTS]]... [--json]",
        "Start a coordinator and workers on this machine and watch over them: a coordinator that ends is "
        "started again, a worker is\n"
        "not. Ctrl-C or `motley down` stops them; jobs are kept. With --detach the command returns when "
        "every worker said hello, and the\n"
        "logs are in the state directory ($MOTLEY_STATE_DIR, else ~/.local/state/motley). With --listen "
        "tcp://..., other machines may come, each with a key: `motley key invite` prints the line to type "
        "there.",
        "  motley up --detach && motley submit --model synthetic --samples 1000 --wait; motley down\n"
        "  motley up --detach --listen tcp://0.0.0.0:7117 && motley key invite --role worker\n"
    };
    struct up up = { .status_fd = -1 };
    struct why why;
    const char *fleet = NULL, *listen = NULL;
    struct option_list tenants = { 0 };
    bool away = false, json = false;
    int code;
    const struct option_row rows[] = {
        { "fleet", 'f', OPTION_TEXT, &fleet, "FILE",
          "a fleet file (default: one worker with what it finds)" },
        { "detach", 'd', OPTION_FLAG, &away, NULL, "return when every worker said hello" },
        { "listen", 0, OPTION_TEXT, &listen, "URL",
          "listen there, too: tcp://0.0.0.0:7117 for other machines, which need keys" },
        { "tenant", 0, OPTION_LIST, &tenants, "NAME=WEIGHT[:SLOTS]",
          "a tenant's share of the devices, and how many slots it may hold; may be repeated" },
        { "keep", 0, OPTION_TEXT, &up.plan.keep, "TIME",
          "how long jobs that are over are kept, with their answers (default 30d; forever)" },
        { "keep-jobs", 0, OPTION_TEXT, &up.plan.keep_jobs, "N",
          "how many of them at most (default 100k; all)" },
        { "keep-bytes", 0, OPTION_TEXT, &up.plan.keep_bytes, "BYTES",
          "the state directory's size at most, such as 100GB: the oldest of them go (default: any)" },
        { "isolate", 0, OPTION_FLAG, &up.plan.isolate, NULL,
          "local workers run models in sandboxed processes: one that crashes ends an attempt, not the "
          "worker" },
        { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs once the fleet is started" },
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    struct retention_words words;
    enum err err = retention_words_read(up.plan.keep, up.plan.keep_jobs, up.plan.keep_bytes, &words, &why);
    if (err == ERR_OK)
        err = prepare(&up, fleet, listen, &why);
    up.plan.tenants = &tenants;
    code = err != ERR_OK ? tool_fail(err, &why) : away ? detach(&up, json) : stay(&up, json);
    if (up.status_fd >= 0)
        close(up.status_fd);
    fleet_free(&up.fleet);
    return code;
}

/* ---- down ---- */

static void signal_role(const struct roll *roll, bool supervisor, int number)
{
    for (size_t i = 0; i < roll->count; i++)
        if ((strcmp(roll->entries[i].role, "supervisor") == 0) == supervisor)
            process_signal(&roll->entries[i].process, number);
}

/* Poll until all are gone or the time is over. */
static bool await_gone(const struct roll *roll, uint64_t patience_us)
{
    uint64_t deadline = clock_monotonic_us() + patience_us;
    while (roll_living(roll) > 0) {
        if (clock_monotonic_us() > deadline)
            return false;
        clock_sleep_until_us(clock_monotonic_us() + LOOK_US);
    }
    return true;
}

/* The supervisor stops the others; without one they are told directly. */
static enum err stop_all(const struct roll *roll, struct why *why)
{
    bool led = false;
    for (size_t i = 0; i < roll->count; i++)
        led = led ||
              (strcmp(roll->entries[i].role, "supervisor") == 0 && process_lives(&roll->entries[i].process));
    signal_role(roll, led, SIGTERM);
    if (await_gone(roll, DOWN_ASK_US))
        return ERR_OK;
    signal_role(roll, true, SIGKILL);
    signal_role(roll, false, SIGKILL);
    return await_gone(roll, DOWN_FORCE_US)
               ? ERR_OK
               : why_set(why, ERR_SYSTEM, "%zu processes of the fleet could not be ended; see ps",
                         roll_living(roll));
}

int command_down(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley down", "[--json]",
        "Stop the fleet that `motley up` started, and wait until all its processes are gone, also when its\n"
        "coordinator or supervisor is dead. Jobs that are not done go on after the next `motley up`.",
        NULL
    };
    bool json = false;
    const struct option_row rows[] = { { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    char state_dir[PATH_MAX_BYTES];
    struct roll roll = { .count = 0 };
    struct why why;
    int code;
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = file_state_dir(state_dir, sizeof state_dir, &why);
    if (err == ERR_OK)
        err = roll_read(state_dir, &roll, &why);
    if (err == ERR_NOT_FOUND) {
        if (json)
            puts("{\"stopped\": 0}");
        else
            fprintf(stderr, "motley: nothing to stop: %s\n", why.text);
        return 0;
    }
    size_t living = err == ERR_OK ? roll_living(&roll) : 0;
    if (err == ERR_OK)
        err = stop_all(&roll, &why);
    if (err == ERR_OK)
        roll_remove(state_dir, &roll);
    if (err == ERR_OK && json)
        printf("{\"stopped\": %zu}\n", living);
    roll_free(&roll);
    return err == ERR_OK ? 0 : tool_fail(err, &why);
}
