// SPDX-License-Identifier: Apache-2.0
#include "retention.h"

#include "aside.h"
#include "clock.h"
#include "file.h"
#include "ledger.h"
#include "online.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const uint64_t INVENTORY_US = 60000000; /* between inventories, and ... */
static const uint64_t INVENTORY_SHARE = 50;    /* ... so many times as long as the last one took */
static const uint64_t AFTER_US = 500000;       /* from a removal to the inventory that frees its room */
static const uint64_t LOOK_US = 1000000;       /* between two applications of the rule */
static const uint64_t GRACE_US = 600000000;    /* for a clock that is set after the start; see wall_now */
static const int64_t NAMED_US = 60000000;      /* an upload was named so lately: leave it */
static const int64_t UPLOAD_US = 86400000000;  /* ... and with clients that upload around */
enum { AT_ONCE = 1000, GRACE_SHARE = 10 };

struct retention {
    struct retention_rule rule;
    uint64_t every_us, inventory_us, look_us; /* monotonic: when the next is due */
    uint64_t posted_us;                       /* an inventory is being made since; 0 = none is */
    uint64_t dropping;                        /* jobs that the store was told to drop */
    uint64_t state_bytes;
    bool bytes_fresh;      /* nothing was dropped since state_bytes was known */
    int64_t begun_wall_us; /* the time of day when this life began, and ... */
    uint64_t begun_us;     /* ... the monotonic one */
};

/* ---- the decision ---- */

static int by_end(const void *a, const void *b)
{
    const struct retention_job *left = a, *right = b;
    if (left->ended_us != right->ended_us)
        return left->ended_us < right->ended_us ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static size_t too_old(const struct retention_rule *rule, const struct retention_job *jobs, size_t count,
                      int64_t now_us)
{
    size_t gone = 0;
    if (rule->age_us == UINT64_MAX)
        return 0;
    while (gone < count && jobs[gone].ended_us < now_us &&
           (uint64_t)(now_us - jobs[gone].ended_us) >= rule->age_us)
        gone++;
    return gone;
}

static size_t too_large(const struct retention_rule *rule, const struct retention_job *jobs, size_t count,
                        uint64_t state_bytes)
{
    size_t gone = 0;
    for (; gone < count && state_bytes > rule->bytes; gone++)
        state_bytes -= jobs[gone].bytes < state_bytes ? jobs[gone].bytes : state_bytes;
    return gone;
}

size_t retention_choose(const struct retention_rule *rule, struct retention_job *jobs, size_t count,
                        int64_t now_us, uint64_t state_bytes)
{
    if (count)
        qsort(jobs, count, sizeof *jobs, by_end);
    size_t old = too_old(rule, jobs, count, now_us), large = too_large(rule, jobs, count, state_bytes);
    size_t many = count > rule->jobs ? count - (size_t)rule->jobs : 0;
    size_t most = old > large ? old : large;
    return most > many ? most : many;
}

/* ---- life ---- */

struct retention *retention_new(const struct retention_rule *rule, uint64_t every_us)
{
    struct retention *retention = calloc(1, sizeof *retention);
    if (!retention)
        return NULL;
    retention->rule.age_us = rule->age_us ? rule->age_us : RETENTION_AGE_US;
    retention->rule.jobs = rule->jobs ? rule->jobs : RETENTION_JOBS;
    retention->rule.bytes = rule->bytes ? rule->bytes : UINT64_MAX;
    retention->every_us = every_us ? every_us : INVENTORY_US;
    retention->begun_us = clock_monotonic_us();
    retention->begun_wall_us = clock_wall_us();
    return retention;
}

void retention_free(struct retention **retention)
{
    free(*retention);
    *retention = NULL;
}

uint64_t retention_bytes(const struct retention *retention) { return retention->state_bytes; }

bool retention_waits(const struct retention *retention)
{
    return retention->posted_us || retention->dropping || !retention->bytes_fresh;
}

/* ---- applying the rule ---- */

/* A clock that jumps ahead must not make all jobs old: no more time passed than the monotonic clock says. One
 * that was wrong from the start has some time to be set right: a tenth of the age, at most ten minutes. */
static int64_t wall_now(const struct retention *retention, uint64_t now_us)
{
    uint64_t passed_us = now_us - retention->begun_us, tenth_us = retention->rule.age_us / GRACE_SHARE;
    int64_t wall_us = clock_wall_us(), most_us = retention->begun_wall_us + (int64_t)passed_us;
    if (passed_us < (tenth_us < GRACE_US ? tenth_us : GRACE_US))
        return INT64_MIN;
    return wall_us < most_us ? wall_us : most_us;
}

static bool may_go(const struct record *record)
{
    return !record_open(record) && !record->removing && !record->retrying && !record->assembling;
}

/* Those that could go; malloc'ed. NULL: there are none, or there is no memory to say. */
static struct retention_job *candidates(const struct coordinator *coordinator, size_t *count)
{
    size_t all = jobs_count(coordinator->jobs);
    struct retention_job *jobs = all ? malloc(all * sizeof *jobs) : NULL;
    *count = 0;
    for (size_t i = 0; jobs && i < all; i++) {
        const struct record *record = jobs_at(coordinator->jobs, i);
        if (may_go(record))
            jobs[(*count)++] = (struct retention_job){ record->number, record->finished_us, record->bytes };
    }
    return jobs;
}

/* Cheap, so that the list is only made when something will come of it. */
static bool is_kept_by(const struct coordinator *coordinator, const struct retention_rule *rule,
                       int64_t now_us, uint64_t state_bytes)
{
    uint64_t ended = 0;
    int64_t oldest_us = INT64_MAX;
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        const struct record *record = jobs_at(coordinator->jobs, i);
        if (!may_go(record))
            continue;
        ended++;
        oldest_us = record->finished_us < oldest_us ? record->finished_us : oldest_us;
    }
    struct retention_job first = { .ended_us = oldest_us };
    return ended == 0 ||
           (ended <= rule->jobs && state_bytes <= rule->bytes && too_old(rule, &first, 1, now_us) == 0);
}

static void drop(struct coordinator *coordinator, const struct retention_job *jobs, size_t count)
{
    size_t gone = 0;
    for (size_t i = 0; i < count && i < AT_ONCE; i++) {
        struct record *record = jobs_find(coordinator->jobs, jobs[i].number);
        gone += record && retention_remove(coordinator, record) == ERR_OK;
    }
    if (gone)
        coordinator_note(coordinator, LOG_INFO, "JOBS-EXPIRED",
                         "%zu ended jobs are kept no longer, the first is job %" PRIu64
                         "; see --keep, --keep-jobs and --keep-bytes",
                         gone, jobs[0].number);
}

static void apply(struct coordinator *coordinator)
{
    struct retention *retention = coordinator->retention;
    int64_t now_us = wall_now(retention, coordinator->now_us);
    uint64_t bytes = retention->bytes_fresh ? retention->state_bytes : 0;
    size_t count;
    retention->look_us = coordinator->now_us + LOOK_US;
    if (retention->dropping || is_kept_by(coordinator, &retention->rule, now_us, bytes))
        return;
    struct retention_job *jobs = candidates(coordinator, &count);
    if (jobs)
        drop(coordinator, jobs, retention_choose(&retention->rule, jobs, count, now_us, bytes));
    free(jobs);
}

/* ---- inventories ---- */

static void ask(struct coordinator *coordinator)
{
    struct retention *retention = coordinator->retention;
    struct clerk_command *command = clerk_command_new(CLERK_INVENTORY);
    if (!command)
        return;
    retention->posted_us = coordinator->now_us;
    clerk_post(coordinator->clerk, &command);
}

void retention_turn(struct coordinator *coordinator)
{
    struct retention *retention = coordinator->retention;
    if (coordinator->now_us >= retention->look_us)
        apply(coordinator);
    if (!retention->posted_us && coordinator->now_us >= retention->inventory_us)
        ask(coordinator);
}

static void set_aside(struct coordinator *coordinator, const char *name)
{
    struct why why;
    if (aside_put(coordinator->state_dir, name, &why))
        coordinator_note(coordinator, LOG_WARN, "FILES-LEFT", "%s", why.text);
    else
        log_debug("FILES-GONE", "%s", name);
    coordinator->retention->inventory_us = coordinator->now_us + AFTER_US;
}

/* Folders of jobs that are none (a removal that a crash cut short): numbers are never given twice. */
static void judge_folders(struct coordinator *coordinator, const struct inventory *inventory)
{
    char name[48];
    for (size_t i = 0; i < inventory->folders_count; i++) {
        const struct inventory_folder *folder = &inventory->folders[i];
        struct record *record = jobs_find(coordinator->jobs, folder->job);
        if (record)
            record->bytes = folder->bytes;
        if (record || folder->job >= coordinator->next_job)
            continue;
        snprintf(name, sizeof name, "spool/%" PRIu64, folder->job);
        set_aside(coordinator, name);
    }
}

/* An upload goes with the last of its users to go: whose end was last, or nobody. */
struct user {
    bool kept;
    struct record *last; /* over; NULL = none names it */
};

static void note_users(const struct coordinator *coordinator, const struct inventory *inventory,
                       struct user *users)
{
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++) {
        struct record *record = jobs_at(coordinator->jobs, i);
        for (uint32_t k = 0; k < record->blobs_count; k++) {
            const struct inventory_blob *blob = inventory_find(inventory, record->blobs[k]);
            struct user *user = blob ? &users[blob - inventory->blobs] : NULL;
            if (user && record_open(record))
                user->kept = true;
            else if (user && (!user->last || user->last->finished_us <= record->finished_us))
                user->last = record;
        }
    }
    for (size_t i = 0; i < registry_count(coordinator->registry); i++) {
        const struct inventory_blob *blob =
            inventory_find(inventory, registry_blob(coordinator->registry, i));
        if (blob)
            users[blob - inventory->blobs].kept = true;
    }
}

static bool is_idle(const struct coordinator *coordinator, const struct inventory_blob *blob, int64_t used_us)
{
    int64_t least_us = blob->part || peers_uploading(coordinator->peers) ? UPLOAD_US : NAMED_US;
    return clock_wall_us() - used_us > least_us && !online_uses(coordinator->online, blob->digest);
}

/* It is looked at again: it may have been named since the inventory. */
static void release(struct coordinator *coordinator, const struct inventory_blob *blob)
{
    char hex[SHA256_HEX_MAX], name[SHA256_HEX_MAX + 16], path[PATH_MAX_BYTES + sizeof name];
    struct stat status;
    sha256_hex(blob->digest, hex);
    snprintf(name, sizeof name, "blobs/%s%s", hex, blob->part ? ".part" : "");
    snprintf(path, sizeof path, "%s/%s", coordinator->state_dir, name);
    if (stat(path, &status) == 0 && is_idle(coordinator, blob, (int64_t)status.st_mtim.tv_sec * 1000000))
        set_aside(coordinator, name);
}

/* While the disk is full a model may wait for its record, which names a blob that nobody else does. */
static void judge_blobs(struct coordinator *coordinator, const struct inventory *inventory)
{
    struct user *users = inventory->blobs_count ? calloc(inventory->blobs_count, sizeof *users) : NULL;
    if (!users)
        return;
    note_users(coordinator, inventory, users);
    for (size_t i = 0; i < inventory->blobs_count; i++) {
        const struct inventory_blob *blob = &inventory->blobs[i];
        if (!users[i].kept && users[i].last)
            users[i].last->bytes += blob->bytes;
        else if (!users[i].kept && !*coordinator->full && is_idle(coordinator, blob, blob->used_us))
            release(coordinator, blob);
    }
    free(users);
}

static void forget_bytes(const struct coordinator *coordinator)
{
    for (size_t i = 0; i < jobs_count(coordinator->jobs); i++)
        jobs_at(coordinator->jobs, i)->bytes = 0;
}

void retention_counted(struct coordinator *coordinator, struct clerk_event *event)
{
    struct retention *retention = coordinator->retention;
    uint64_t took_us = coordinator->now_us - retention->posted_us;
    uint64_t every_us =
        took_us * INVENTORY_SHARE > retention->every_us ? took_us * INVENTORY_SHARE : retention->every_us;
    bool asked = retention->inventory_us > retention->posted_us; /* something went while it was made */
    if (!asked)
        retention->inventory_us = coordinator->now_us + every_us;
    retention->posted_us = 0;
    if (event->err)
        coordinator_note(coordinator, LOG_WARN, "FILES-LEFT", "%s", event->why.text);
    const struct inventory *inventory = event->command->inventory;
    if (!inventory)
        return;
    retention->state_bytes = inventory->bytes;
    retention->bytes_fresh = !asked && !retention->dropping;
    forget_bytes(coordinator);
    judge_folders(coordinator, inventory);
    judge_blobs(coordinator, inventory);
    apply(coordinator);
}

void retention_hurry(struct coordinator *coordinator)
{
    struct retention *retention = coordinator->retention;
    if (retention->posted_us || retention->inventory_us > coordinator->now_us + AFTER_US)
        retention->inventory_us = coordinator->now_us + AFTER_US;
}

void retention_ended(struct coordinator *coordinator)
{
    struct retention *retention = coordinator->retention;
    if (retention->look_us > coordinator->now_us + LOOK_US)
        retention->look_us = coordinator->now_us + LOOK_US;
}

/* ---- removing ---- */

enum err retention_check(const struct record *record, struct why *why)
{
    if (record_open(record))
        return why_set(why, ERR_REFUSED,
                       "job %" PRIu64 " is %s: cancel it first, with `motley job cancel %" PRIu64 "`",
                       record->number, record_state_name(record->state), record->number);
    if (record->assembling || record->retrying)
        return why_set(why, ERR_FULL,
                       "job %" PRIu64 ": it is being fetched or retried; try again in a moment",
                       record->number);
    return ERR_OK;
}

enum err retention_remove(struct coordinator *coordinator, struct record *record)
{
    struct retention *retention = coordinator->retention;
    if (record->removing)
        return ERR_OK;
    struct store_op *op = store_op_new(STORE_JOB_DROP);
    if (!op)
        return ERR_MEMORY;
    op->job = record->number;
    record->removing = true;
    retention->dropping++;
    retention->bytes_fresh = false;
    store_post(coordinator->store, &op);
    return ERR_OK;
}

void retention_removed(struct coordinator *coordinator, struct store_event *event)
{
    struct retention *retention = coordinator->retention;
    retention->dropping--;
    if (event->err)
        log_error("DROP-FAILED", "job %" PRIu64 ": %s", event->op->job, event->why.text);
    retention->inventory_us = coordinator->now_us + AFTER_US;
    log_debug("JOB-DROPPED", "job %" PRIu64, event->op->job);
}
