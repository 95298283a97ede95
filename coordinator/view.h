// SPDX-License-Identifier: Apache-2.0
/* view - what the coordinator knows, as JSON with the keys of CONTRACT section 2. Pure: reads the tables,
 * changes none.
 *
 * what        which                     answer
 * status      -                         object
 * jobs        selection, "" = all       array of jobs without devices
 * job, report selection                 a job; an array for `all` and ranges
 * explain     selection                 a job with its explanation (explanation.h); an array for `all` and
 * ranges workers     name, id, "" = all        array: those here, and those that went within the last ten
 * minutes worker      name or id                a worker worker-explain  name or id            a worker with
 * its explanation models      name, "" = all            array: those added by name, by name and version model
 * name or name:version      a model: name version format runtime precision batch ("any" or a number) blob
 * bytes inputs[] outputs[] {name dtype shape[]}, null in a shape = unknown events      - array: time id text,
 * the oldest first
 *
 * Unknown numbers are null. docs/json.md has the keys that are added to CONTRACT's. */
#ifndef VIEW_H
#define VIEW_H

#include "events.h"
#include "gate.h"
#include "jobs.h"
#include "registry.h"
#include "roster.h"
#include "sched.h"
#include "tenants.h"

#include <stddef.h>
#include <stdint.h>

struct view {
    struct jobs *jobs;
    struct roster *roster;
    struct registry *registry;
    const struct tenants *tenants;
    const struct events *events;
    const struct sched *sched;          /* NULL: nothing is live */
    const struct online *online;        /* NULL: as sched */
    const struct keyring_entry *viewer; /* whose jobs it shows (keyring_sees); NULL = all */
    bool curve;                         /* some address that we listen on is tcp, hence CURVE */
    size_t keys_allowed, invitations_open;
    struct gate_counts counts;
    const char *url;  /* the first that we listen on */
    const char *full; /* the path whose disk is full; "" = none */
    const char *state_dir;
    uint64_t backlog_bytes;                 /* results that wait for a disk that is slow; 0 = it is not */
    uint64_t unread_bytes;                  /* sent, and not read by those who asked */
    uint64_t state_bytes, state_free_bytes; /* 0 = not known */
    uint64_t pid, term;
    uint64_t now_us, started_us; /* monotonic */
    int64_t wall_us;
};

/* *json is yours to free(). ERR_USAGE: no such view, or no word where it needs one; ERR_NOT_FOUND: no such
 * thing; ERR_LIMIT: the answer is larger than a payload may be; ERR_MEMORY. */
MUST_USE enum err view_json(const struct view *view, const char *what, const char *which, char **json,
                            size_t *size, struct why *why);

/* A document of this kind as text, under the same bound. */
struct yyjson_mut_doc;
MUST_USE enum err view_write(const struct yyjson_mut_doc *doc, char **json, size_t *size, struct why *why);

#endif
