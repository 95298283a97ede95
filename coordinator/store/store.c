// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include "ensure.h"
#include "file.h"
#include "journal.h"
#include "lock.h"
#include "log.h"
#include "relief.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    NONCE_BYTES = 32,
    RANGES_MAX = 1024,
    RETRY_MS_MIN = 50,
    RETRY_MS_MAX = 1000,
    BALLAST_BYTES = 1 << 20,
    BALLAST_LEAST = 64 << 20,
    OUTPUTS_SMALL = 2,
    HELD_SMALL = 64,
    SPARES_MAX = 1 << 15
};

struct range {
    uint64_t job, first, count;
};

/* Results of at most OUTPUTS_SMALL outputs, to be used again. */
struct store_spares {
    uint32_t count;
    struct store_op *first;
};

struct store {
    char state_dir[SPOOL_DIR_MAX + 1];
    char nonce[2 * NONCE_BYTES + 1];
    int lock_fd, event_fd;

    /* The loop's. */
    uint64_t next_job;
    uint64_t backlog_bytes;
    bool gathering;
    struct op_list gathered; /* not yet in posted */
    struct op_list received; /* taken out of reported */
    struct store_spares spares;

    /* The thread's, between pthread_create and pthread_join. */
    struct journal *journal;
    struct spool *spool;
    struct range ranges[RANGES_MAX]; /* done in this group, not yet in the journal */
    size_t ranges_count;
    bool thread_runs;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct op_list posted, reported;
    bool stopping, signalled;
    bool holding; /* received was not empty when it was last looked at */
    bool full, full_told, broken, broken_told;
    struct why why; /* of full, broken */
};

/* ---- operations ---- */

/* An operation and, in the same piece of memory, its arrays. */
static struct store_op *op_new(enum store_op_type type, uint32_t specs, uint32_t outputs, size_t held)
{
    struct store_op *op = calloc(1, sizeof *op + outputs * (sizeof *op->rows + sizeof *op->rows_bytes) +
                                        specs * sizeof *op->outputs + held);
    if (!op)
        return NULL;
    op->type = type;
    op->rows_bytes = (uint64_t *)(op + 1);
    op->rows = (const void **)(op->rows_bytes + outputs);
    op->outputs = specs > 0 ? (struct tensor_spec *)(void *)(op->rows + outputs) : NULL;
    op->held = (uint8_t *)(op->rows + outputs) + specs * sizeof *op->outputs;
    return op;
}

struct store_op *store_op_new(enum store_op_type type)
{
    uint32_t outputs = type == STORE_JOB_ADD || type == STORE_RESULT ? STORE_OUTPUTS_MAX : 0;
    return op_new(type, outputs, outputs, 0);
}

static struct store_op *take_spare(struct store *store)
{
    struct store_op *op = store->spares.first;
    if (!op)
        return NULL;
    uint64_t *rows_bytes = op->rows_bytes;
    const void **rows = op->rows;
    uint8_t *held = op->held;
    store->spares.first = op->next;
    store->spares.count--;
    *op = (struct store_op){ .type = STORE_RESULT, .rows = rows, .rows_bytes = rows_bytes, .held = held };
    return op;
}

struct store_op *store_result_new(struct store *store, uint32_t outputs_count, bool shaped, size_t held_bytes)
{
    if (shaped || outputs_count > OUTPUTS_SMALL || held_bytes > HELD_SMALL)
        return op_new(STORE_RESULT, shaped ? outputs_count : 0, outputs_count, held_bytes);
    struct store_op *op = take_spare(store);
    if (!op)
        op = op_new(STORE_RESULT, 0, OUTPUTS_SMALL, HELD_SMALL);
    if (op)
        op->home = &store->spares;
    return op;
}

void store_op_free(struct store_op **op)
{
    struct store_op *old = *op;
    if (!old)
        return;
    if (old->release)
        old->release(old->hint);
    free(old->text);
    free(old->text2);
    free(old->blob);
    free(old->refusal);
    if (old->home && old->home->count < SPARES_MAX) {
        old->next = old->home->first;
        old->home->first = old;
        old->home->count++;
    } else {
        free(old);
    }
    *op = NULL;
}

static void list_clear(struct op_list *list)
{
    for (struct store_op *op; (op = list_pop(list)) != NULL;)
        store_op_free(&op);
}

static uint64_t bytes_of(const struct store_op *op)
{
    if (op->type != STORE_RESULT)
        return 0;
    uint64_t bytes = sizeof *op + op->outputs_count * (sizeof op->rows[0] + sizeof op->rows_bytes[0]);
    for (uint32_t k = 0; k < op->outputs_count; k++)
        bytes += op->rows_bytes[k];
    return bytes;
}

/* ---- applying one operation; ERR_OK also when it was refused ---- */

static enum err refuse(struct store_op *op, enum err err, const struct why *why)
{
    op->err = err;
    op->refusal = malloc(sizeof *op->refusal);
    if (op->refusal)
        *op->refusal = *why;
    return ERR_OK;
}

/* Failures that concern one request alone. ERR_FULL is not among them: the group waits for room. */
static bool is_refusal(enum err err)
{
    return err == ERR_FORMAT || err == ERR_NOT_FOUND || err == ERR_REFUSED || err == ERR_LIMIT ||
           err == ERR_FILE;
}

static enum err flush_ranges(struct store *store, struct why *why);

static enum err remember_done(struct store *store, const struct store_op *op, struct why *why)
{
    struct range *last = store->ranges_count ? &store->ranges[store->ranges_count - 1] : NULL;
    if (op->count == 0)
        return ERR_OK;
    if (last && last->job == op->job && last->first + last->count == op->first) {
        last->count += op->count;
        return ERR_OK;
    }
    enum err err = store->ranges_count == RANGES_MAX ? flush_ranges(store, why) : ERR_OK;
    if (err == ERR_OK)
        store->ranges[store->ranges_count++] = (struct range){ op->job, op->first, op->count };
    return err;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->job != y->job)
        return x->job < y->job ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Results of a group mostly touch each other: what is merged here is one change of the journal and not many.
 */
static enum err flush_ranges(struct store *store, struct why *why)
{
    struct range *ranges = store->ranges;
    size_t count = store->ranges_count;
    store->ranges_count = 0;
    if (count > 1)
        qsort(ranges, count, sizeof ranges[0], compare_ranges);
    for (size_t i = 0; i < count;) {
        struct range range = ranges[i++];
        for (; i < count && ranges[i].job == range.job && ranges[i].first == range.first + range.count; i++)
            range.count += ranges[i].count;
        enum err err = journal_done(store->journal, range.job, range.first, range.count, why);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err apply_job_add(struct store *store, struct store_op *op, struct why *why)
{
    struct spool_shape shape = { .job = op->job, .samples = op->samples, .outputs_count = op->outputs_count };
    if (op->job == 0 || op->job >= INT64_MAX || op->samples > INT64_MAX ||
        op->outputs_count > STORE_OUTPUTS_MAX)
        return why_set(why, ERR_LIMIT, "job %" PRIu64 ": its number, samples or outputs are out of range",
                       op->job);
    bool there = false;
    enum err err = journal_find_job(store->journal, op->job, &there, why);
    if (err != ERR_OK || there)
        return there ? why_set(why, ERR_REFUSED, "job %" PRIu64 " is there already", op->job) : err;
    memcpy(shape.outputs, op->outputs, op->outputs_count * sizeof shape.outputs[0]);
    err = spool_reserve(store->spool, &shape, why);
    if (err == ERR_FULL) /* it may never fit: it must not hold up the others */
        return refuse(op, err, why);
    return err == ERR_OK ? journal_job_add(store->journal, op, why) : err;
}

static enum err apply_result(struct store *store, struct store_op *op, struct why *why)
{
    enum err err = ERR_OK;
    if (!spool_knows(store->spool, op->job)) {
        struct spool_shape shape;
        err = journal_shape(store->journal, op->job, &shape, why);
        if (err == ERR_OK)
            err = spool_learn(store->spool, &shape, why);
    }
    if (err == ERR_OK)
        err = spool_write(store->spool, op, why);
    return err == ERR_OK ? remember_done(store, op, why) : err;
}

/* The files go after the commit: a job that comes back by a rollback needs them. */
static enum err apply_drop(struct store *store, struct store_op *op, struct why *why)
{
    enum err err = flush_ranges(store, why);
    if (err == ERR_OK)
        err = journal_job_drop(store->journal, op->job, why);
    if (err == ERR_OK)
        spool_forget(store->spool, op->job);
    return err;
}

static enum err apply_retry(struct store *store, struct store_op *op, struct why *why)
{
    enum err err = flush_ranges(store, why);
    return err == ERR_OK ? journal_job_retry(store->journal, op, why) : err;
}

static enum err apply(struct store *store, struct store_op *op, struct why *why)
{
    switch (op->type) {
    case STORE_JOB_ADD: return apply_job_add(store, op, why);
    case STORE_JOB_MARK: return journal_job_mark(store->journal, op, why);
    case STORE_RESULT: return apply_result(store, op, why);
    case STORE_FAILURE: return journal_failure(store->journal, op, why);
    case STORE_TALLY: return journal_tally(store->journal, op, why);
    case STORE_MODEL_ADD: return journal_model_add(store->journal, op, why);
    case STORE_JOB_SPEC: return journal_job_spec(store->journal, op, why);
    case STORE_JOB_RETRY: return apply_retry(store, op, why);
    case STORE_JOB_DROP: return apply_drop(store, op, why);
    case STORE_MODEL_DROP: return journal_model_drop(store->journal, op, why);
    }
    return why_set(why, ERR_REFUSED, "the store knows no operation %d", (int)op->type);
}

/* ---- a group ---- */

static enum err apply_group(struct store *store, const struct op_list *group, struct why *why)
{
    for (struct store_op *op = group->first; op; op = op->next) {
        enum err err = apply(store, op, why);
        if (is_refusal(err))
            err = refuse(op, err, why);
        if (err != ERR_OK)
            return err;
    }
    return flush_ranges(store, why);
}

static void forget_refusals(const struct op_list *group)
{
    for (struct store_op *op = group->first; op; op = op->next) {
        free(op->refusal);
        op->refusal = NULL;
        op->err = ERR_OK;
    }
}

static void remove_dropped(struct store *store, const struct op_list *group)
{
    struct why why;
    for (struct store_op *op = group->first; op; op = op->next)
        if (op->type == STORE_JOB_DROP && op->err == ERR_OK &&
            spool_discard(store->spool, op->job, &why) != ERR_OK)
            log_warn("SPOOL-LEFT", "%s; it goes at the next start", why.text);
}

/* The order is the design: bytes, their sync, ranges, their sync. */
static enum err write_group(struct store *store, const struct op_list *group, struct why *why)
{
    forget_refusals(group);
    store->ranges_count = 0;
    enum err err = journal_begin(store->journal, why);
    if (err == ERR_OK)
        err = apply_group(store, group, why);
    if (err == ERR_OK)
        err = spool_sync(store->spool, why);
    if (err == ERR_OK)
        err = journal_commit(store->journal, why);
    if (err == ERR_OK) {
        remove_dropped(store, group);
        return ERR_OK;
    }
    journal_rollback(store->journal);
    spool_abort(store->spool);
    return err;
}

/* ---- the thread ---- */

static bool has_news(const struct store *store)
{
    return store->holding || store->reported.first || store->full != store->full_told ||
           (store->broken && !store->broken_told);
}

/* The descriptor is readable exactly while there is news. Under the mutex. */
static void update_signal(struct store *store)
{
    uint64_t number = 1;
    bool news = has_news(store);
    if (news == store->signalled)
        return;
    ssize_t moved =
        news ? write(store->event_fd, &number, sizeof number) : read(store->event_fd, &number, sizeof number);
    ENSURE(moved == (ssize_t)sizeof number);
    store->signalled = news;
}

/* Wait for operations; false when it is time to stop and none is left. */
static bool take_group(struct store *store, struct op_list *group)
{
    pthread_mutex_lock(&store->mutex);
    while (!store->posted.first && !store->stopping)
        pthread_cond_wait(&store->wake, &store->mutex);
    list_append(group, &store->posted);
    pthread_mutex_unlock(&store->mutex);
    return group->first != NULL;
}

static struct timespec deadline_in(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* Tell that there is no room and wait for a while; false when it is time to stop. */
static bool wait_for_room(struct store *store, int ms, const struct why *why)
{
    struct timespec until = deadline_in(ms);
    pthread_mutex_lock(&store->mutex);
    store->full = true;
    store->why = *why;
    update_signal(store);
    while (!store->stopping && pthread_cond_timedwait(&store->wake, &store->mutex, &until) != ETIMEDOUT)
        continue;
    bool goes_on = !store->stopping;
    pthread_mutex_unlock(&store->mutex);
    return goes_on;
}

/* ---- a full disk ---- */

/* A little room that is ours when there is none else, to note down what makes more. Missing, it is only
 * missed then. */
static void make_ballast(const struct store *store)
{
    char path[SPOOL_PATH_MAX];
    uint64_t room = 0;
    if (file_free_bytes(store->state_dir, &room, NULL) || room < BALLAST_LEAST)
        return;
    snprintf(path, sizeof path, "%s/ballast", store->state_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (fallocate(fd, 0, 0, BALLAST_BYTES) != 0)
        unlink(path);
    close(fd);
}

static bool throw_ballast(const struct store *store)
{
    char path[SPOOL_PATH_MAX];
    snprintf(path, sizeof path, "%s/ballast", store->state_dir);
    return unlink(path) == 0;
}

/* Jobs that are refused had their room taken in the try that failed. */
static void free_refused(struct store *store, const struct op_list *refused)
{
    struct why why;
    for (const struct store_op *op = refused->first; op; op = op->next)
        if (op->type == STORE_JOB_ADD && spool_remove(store->spool, op->job, &why) != ERR_OK)
            log_warn("SPOOL-LEFT", "%s; it goes at the next start", why.text);
}

static void report(struct store *store, struct op_list *list)
{
    pthread_mutex_lock(&store->mutex);
    list_append(&store->reported, list);
    update_signal(store);
    pthread_mutex_unlock(&store->mutex);
}

/* What need not wait: see relief.h. Any failure but a full disk is returned. */
static enum err relieve(struct store *store, struct op_list *group, struct why *why)
{
    struct relief relief;
    enum err err = ERR_OK;
    pthread_mutex_lock(&store->mutex);
    list_append(group, &store->posted);
    pthread_mutex_unlock(&store->mutex);
    relief_take(group, &relief, why);
    free_refused(store, &relief.refused);
    report(store, &relief.refused);
    if (!relief.first.first)
        return ERR_OK;
    err = write_group(store, &relief.first, why);
    if (err == ERR_FULL && throw_ballast(store))
        err = write_group(store, &relief.first, why);
    if (err == ERR_OK) {
        report(store, &relief.unwanted);
        report(store, &relief.first);
    }
    list_append(group, &relief.unwanted);
    list_append(group, &relief.first);
    return err == ERR_FULL ? ERR_OK : err;
}

/* ERR_FULL only when it is time to stop. */
static enum err write_until_room(struct store *store, struct op_list *group, struct why *why)
{
    int wait_ms = RETRY_MS_MIN;
    bool goes_on = true;
    for (;;) {
        enum err err = write_group(store, group, why);
        if (err != ERR_FULL || !goes_on)
            return err;
        struct why full = *why;
        err = relieve(store, group, why);
        if (err != ERR_OK)
            return err;
        if (!group->first)
            return ERR_OK;
        goes_on = wait_for_room(store, wait_ms, &full);
        wait_ms = wait_ms * 2 < RETRY_MS_MAX ? wait_ms * 2 : RETRY_MS_MAX;
    }
}

static void report_group(struct store *store, struct op_list *group)
{
    bool was_full = store->full; /* written by this thread only */
    if (was_full)
        make_ballast(store);
    pthread_mutex_lock(&store->mutex);
    store->full = false;
    list_append(&store->reported, group);
    update_signal(store);
    pthread_mutex_unlock(&store->mutex);
}

static void report_broken(struct store *store, const struct why *why)
{
    pthread_mutex_lock(&store->mutex);
    store->broken = true;
    store->why = *why;
    update_signal(store);
    pthread_mutex_unlock(&store->mutex);
}

/* Operations are freed on the loop's thread only, as their release is promised to be called there. */
static void give_back(struct store *store, struct op_list *group)
{
    pthread_mutex_lock(&store->mutex);
    list_append(group, &store->posted);
    list_append(&store->posted, group);
    pthread_mutex_unlock(&store->mutex);
}

static void *thread_main(void *argument)
{
    struct store *store = argument;
    struct op_list group;
    struct why why = { "" };
    enum err err = ERR_OK;
    list_init(&group);
    while (err == ERR_OK && take_group(store, &group)) {
        err = write_until_room(store, &group, &why);
        if (err == ERR_OK)
            report_group(store, &group);
    }
    if (err == ERR_FULL)
        log_warn("STORE-FULL", "%s; what was not yet acknowledged is dropped", why.text);
    else if (err != ERR_OK)
        report_broken(store, &why);
    give_back(store, &group);
    return NULL;
}

/* ---- opening ---- */

static enum err write_nonce(struct store *store, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    uint8_t bytes[NONCE_BYTES];
    snprintf(path, sizeof path, "%s/nonce", store->state_dir);
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return why_set_errno(why, ERR_SYSTEM, "the system gives no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(store->nonce + 2 * i, 3, "%02x", bytes[i]);
    return file_replace(path, store->nonce, sizeof store->nonce - 1, 0600, why);
}

static bool keeps_job(void *context, uint64_t job)
{
    struct store *store = context;
    struct why why;
    bool there = true;
    return journal_find_job(store->journal, job, &there, &why) != ERR_OK || there;
}

/* A new journal would take the answers of all jobs for what a crash left, and remove them. */
static enum err check_journal(const struct store *store, const char *path, struct why *why)
{
    struct stat status;
    uint64_t job;
    if ((stat(path, &status) == 0 && status.st_size > 0) || !spool_find_job(store->state_dir, &job))
        return ERR_OK;
    return why_set(why, ERR_FORMAT,
                   "%s: is missing or empty, but spool/%" PRIu64
                   " holds answers; restore it from a backup, or move the folder spool away to begin anew",
                   path, job);
}

/* Whoever made the state directory may have died before its name was synced. */
static enum err sync_name(const char *state_dir, struct why *why)
{
    char parent[SPOOL_PATH_MAX];
    snprintf(parent, sizeof parent, "%s/..", state_dir);
    enum err err = file_sync_dir(parent, why);
    return err == ERR_FILE ? ERR_OK : err; /* a folder that we may not read: others made what is in it */
}

static enum err open_files(struct store *store, const struct store_recovery *recovery, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    enum err err = lock_take(store->state_dir, &store->lock_fd, why);
    if (err == ERR_OK)
        err = sync_name(store->state_dir, why);
    if (err != ERR_OK)
        return err;
    snprintf(path, sizeof path, "%s/journal.sqlite3", store->state_dir);
    err = check_journal(store, path, why);
    if (err == ERR_OK)
        err = journal_open(path, &store->journal, why);
    if (err == ERR_OK && recovery)
        err = journal_recover(store->journal, recovery, why);
    if (err == ERR_OK)
        err = spool_new(store->state_dir, &store->spool, why);
    if (err == ERR_OK)
        err = spool_sweep(store->spool, keeps_job, store, why);
    return err == ERR_OK ? write_nonce(store, why) : err;
}

static void init_waiting(struct store *store)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&store->gathered);
    list_init(&store->received);
    list_init(&store->posted);
    list_init(&store->reported);
}

static enum err start(struct store *store, const struct store_recovery *recovery, struct why *why)
{
    enum err err = open_files(store, recovery, why);
    if (err != ERR_OK)
        return err;
    store->next_job = journal_next_job(store->journal);
    make_ballast(store);
    store->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->event_fd < 0)
        return why_set_errno(why, ERR_SYSTEM, "the store cannot make an eventfd");
    errno = pthread_create(&store->thread, NULL, thread_main, store);
    if (errno != 0)
        return why_set_errno(why, ERR_SYSTEM, "the store cannot start its thread");
    store->thread_runs = true;
    return ERR_OK;
}

enum err store_open(const char *state_dir, const struct store_recovery *recovery, struct store **store,
                    struct why *why)
{
    *store = NULL;
    if (strlen(state_dir) > SPOOL_DIR_MAX)
        return why_set(why, ERR_LIMIT,
                       "%.100s...: the state directory's path is longer than %d bytes; choose a shorter one",
                       state_dir, SPOOL_DIR_MAX);
    struct store *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "no memory for the store");
    snprintf(fresh->state_dir, sizeof fresh->state_dir, "%s", state_dir);
    fresh->lock_fd = fresh->event_fd = -1;
    init_waiting(fresh);
    enum err err = start(fresh, recovery, why);
    if (err == ERR_OK)
        *store = fresh;
    else
        store_free(&fresh);
    return err;
}

static void stop_thread(struct store *store)
{
    if (!store->thread_runs)
        return;
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
}

void store_free(struct store **store)
{
    struct store *old = *store;
    if (!old)
        return;
    store_flush(old);
    stop_thread(old);
    list_clear(&old->posted);
    list_clear(&old->reported);
    list_clear(&old->received);
    for (struct store_op *op; (op = old->spares.first) != NULL;) {
        old->spares.first = op->next;
        free(op);
    }
    spool_free(&old->spool);
    journal_close(&old->journal);
    if (old->event_fd >= 0)
        close(old->event_fd);
    lock_give_back(&old->lock_fd);
    pthread_cond_destroy(&old->wake);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *store = NULL;
}

/* ---- the loop's side ---- */

uint64_t store_term(const struct store *store) { return journal_term(store->journal); }

uint64_t store_next_job(const struct store *store) { return store->next_job; }

const uint8_t *store_mac_key(const struct store *store) { return journal_mac_key(store->journal); }

const char *store_nonce(const struct store *store) { return store->nonce; }

int store_fd(const struct store *store) { return store->event_fd; }

static void post(struct store *store, struct op_list *list)
{
    pthread_mutex_lock(&store->mutex);
    list_append(&store->posted, list);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_post(struct store *store, struct store_op **op)
{
    struct store_op *taken = *op;
    *op = NULL;
    if (taken->type == STORE_JOB_ADD && taken->job >= store->next_job)
        store->next_job = taken->job + 1;
    store->backlog_bytes += bytes_of(taken);
    list_push(&store->gathered, taken);
    if (!store->gathering)
        post(store, &store->gathered);
}

void store_gather(struct store *store) { store->gathering = true; }

void store_flush(struct store *store)
{
    store->gathering = false;
    if (store->gathered.first)
        post(store, &store->gathered);
}

uint64_t store_backlog_bytes(const struct store *store) { return store->backlog_bytes; }

static void describe_done(struct store_event *event, struct store_op *op)
{
    event->type = STORE_DONE;
    event->op = op;
    event->err = op->err;
    if (op->refusal)
        event->why = *op->refusal;
    else if (op->err != ERR_OK)
        (void)why_set(&event->why, op->err, "the operation was refused (%s)", err_name(op->err));
}

/* Under the mutex: what is not a DONE. */
static bool next_change(struct store *store, struct store_event *event)
{
    if (store->full != store->full_told) {
        store->full_told = store->full;
        event->type = store->full ? STORE_FULL : STORE_RESUMED;
        if (store->full)
            event->why = store->why;
        return true;
    }
    if (store->received.first || store->reported.first || !store->broken || store->broken_told)
        return false;
    store->broken_told = true;
    event->type = STORE_BROKEN;
    event->err = ERR_SYSTEM;
    event->why = store->why;
    return true;
}

/* Whole groups are taken over from the thread; the descriptor stays readable until the last of them is
 * received. */
bool store_receive(struct store *store, struct store_event *event)
{
    event->op = NULL;
    event->err = ERR_OK;
    event->why.text[0] = 0;
    struct store_op *op = list_pop(&store->received);
    if (!op || !store->received.first) {
        pthread_mutex_lock(&store->mutex);
        bool changed = !op && next_change(store, event);
        if (!changed)
            list_append(&store->received, &store->reported);
        if (!changed && !op)
            op = list_pop(&store->received);
        store->holding = store->received.first != NULL;
        update_signal(store);
        pthread_mutex_unlock(&store->mutex);
        if (changed)
            return true;
    }
    if (!op)
        return false;
    store->backlog_bytes -= bytes_of(op);
    describe_done(event, op);
    return true;
}
