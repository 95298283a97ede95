// SPDX-License-Identifier: Apache-2.0
/* supervise - run a fleet's processes on this machine: one coordinator, one motley-worker per worker of the
 * fleet.
 *
 *      start all --> watch: a dead coordinator comes back, a dead worker is told and stays dead
 *                      |
 *                      '-- SIGTERM, SIGINT, or the end of control_fd --> SIGTERM all, SIGKILL after 5 s,
 * until all are gone
 *
 * The caller's process becomes the supervisor: one thread, no sockets, SIGCHLD and its like blocked. It is
 * killed? The processes notice (they are started with --supervised and die with it) and fleet.json still
 * names them. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "address.h"
#include "bounds.h"
#include "fleet.h"
#include "options.h"

#include <stdbool.h>

struct supervise_plan {
    const struct fleet *fleet;
    const char *fleet_path;            /* absolute; NULL = the default fleet */
    const char *state_dir;             /* absolute, there, ours alone */
    char url[ADDRESS_MAX];             /* where the coordinator listens: supervise_place */
    char short_dir[PATH_MAX_BYTES];    /* "" = none */
    char listen[ADDRESS_MAX];          /* a further URL, its port known; "" = none */
    const struct option_list *tenants; /* the coordinator's --tenant; NULL = none */
    const char *keep, *keep_jobs,
        *keep_bytes; /* the coordinator's options of these names; NULL = not given */
    bool isolate;    /* local workers run models in processes of their own (--isolate) */
    bool fleeting;   /* one job's fleet: state_dir is removed at the end */
    bool logs;       /* the children's output goes to <state_dir>/logs/, else to ours */
    int control_fd;  /* its end stops the fleet; -1 = none */
    int status_fd;   /* a line per event: supervise_parse; -1 = none */
    void (*on_started)(const struct supervise_plan *plan); /* (optional) all processes are started */
};

/* What the lines of status_fd say. */
enum supervise_event_kind {
    SUPERVISE_STARTED,
    SUPERVISE_WORKER_ENDED,
    SUPERVISE_COORDINATOR_ENDED,
    SUPERVISE_FAILED
};
struct supervise_event {
    enum supervise_event_kind kind;
    int status;      /* WORKER_ENDED, COORDINATOR_ENDED: as a shell shows it */
    uint32_t living; /* workers left */
    char text[256];  /* the worker's name; FAILED: the reason */
};

/* Choose the coordinator's URL in state_dir: ipc:// with at most 107 bytes of path (sun_path of unix(7)),
 * through a short name in $XDG_RUNTIME_DIR or /tmp when state_dir is too long. Makes that name. */
MUST_USE enum err supervise_place(struct supervise_plan *plan, struct why *why);

/* Returns when all processes are gone. ERR_OK after a stop that was asked for. */
MUST_USE enum err supervise_run(struct supervise_plan *plan, struct why *why);

/* One line of status_fd. False: not a line of ours. */
bool supervise_parse(const char *line, struct supervise_event *event);

/* What a child's log ends with, if that is a complaint: the last of its latest lines that is an error, a
 * warning or no log line at all, less its time and id; else "". */
void supervise_last_words(const char *state_dir, const char *name, char *text, size_t max);

/* "ended with status 2", "was killed by signal 9": an event's status. */
void supervise_print_status(int status, char *text, size_t max);

#endif
