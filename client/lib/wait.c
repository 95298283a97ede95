// SPDX-License-Identifier: Apache-2.0
/* Waiting asks for the job's state ten times a second: a lost line is then nothing special, the next question
 * goes to whoever listens there. A coordinator that is away for NOTICE_US is told of; one that stays away for
 * OUTAGE_US is given up; the job is not. */
#include "client.h"

#include "clock.h"
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum {
    PERIOD_US = 100000,
    NOTICE_US = 3000000,
    OUTAGE_US = 60000000,
    INTERRUPTED = 130,
    RETRY_SLICE_US = 500000
};

struct watcher {
    struct motley *connection;
    int64_t job;
    uint64_t deadline_us;
    motley_progress *progress;
    void *context;
    uint64_t silent_since_us; /* 0 = the coordinator answers */
    int64_t silent_wall_us;   /* the same, as time of day */
    char *status;             /* the last view, malloc'ed */
};

/* One view. A connection that is away is tried in short slices, so that Ctrl-C is noticed. */
static enum err look(struct watcher *w, struct why *why)
{
    char which[24];
    struct message view = { .type = MESSAGE_VIEW };
    struct answer answer = { 0 };
    enum err err = ERR_OK;
    snprintf(which, sizeof which, "%lld", (long long)w->job);
    view.view.what = "job";
    view.view.which = which;
    if (!w->connection->wire)
        err = connection_open(w->connection, clock_monotonic_us() + RETRY_SLICE_US, why);
    if (err == ERR_OK)
        err = connection_ask(w->connection, &view, &answer, why);
    if (err == ERR_OK && answer.payload) {
        free(w->status);
        w->status = answer.payload;
        w->silent_since_us = 0;
    }
    return err;
}

/* The last view, with since when the coordinator is away; malloc'ed. */
static char *status_while_away(const struct watcher *w)
{
    char since[CLOCK_RFC3339_MAX];
    yyjson_doc *doc = w->status ? yyjson_read(w->status, strlen(w->status), 0) : NULL;
    yyjson_mut_doc *copy = doc ? yyjson_doc_mut_copy(doc, NULL) : yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = copy ? yyjson_mut_doc_get_root(copy) : NULL;
    if (copy && !root) {
        yyjson_mut_doc_set_root(copy, root = yyjson_mut_obj(copy));
        yyjson_mut_obj_add_int(copy, root, "id", w->job);
    }
    clock_rfc3339(w->silent_wall_us, since);
    yyjson_mut_obj_add_str(copy, root, "coordinator_away_since", since);
    char *text = copy ? yyjson_mut_write(copy, 0, NULL) : NULL;
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(doc);
    return text;
}

/* Non-zero: the caller wants no more. */
static int tell_progress(const struct watcher *w)
{
    bool away = w->silent_since_us && clock_monotonic_us() - w->silent_since_us >= NOTICE_US;
    char *text = w->progress && away ? status_while_away(w) : NULL;
    const char *status = text ? text : w->status;
    int stop = w->progress && status ? w->progress(w->context, status) : 0;
    free(text);
    return stop;
}

/* began_us: when the look began that ended with err. */
static enum err patience(struct watcher *w, enum err err, uint64_t began_us, struct why *why)
{
    uint64_t now = clock_monotonic_us();
    if (err != ERR_UNREACHABLE)
        return err;
    if (w->silent_since_us == 0) {
        w->silent_since_us = began_us;
        w->silent_wall_us = clock_wall_us() - (int64_t)(now - began_us);
    }
    if (now - w->silent_since_us < OUTAGE_US)
        return ERR_OK;
    return why_set(why, ERR_UNREACHABLE,
                   "the coordinator at %s was away for %d s; job %lld is safe and goes on when it is back: "
                   "motley job wait %lld",
                   w->connection->url, OUTAGE_US / 1000000, (long long)w->job, (long long)w->job);
}

/* ERR_OK with *over false: still going on. */
static enum err judge(const struct watcher *w, bool *over, struct why *why)
{
    yyjson_doc *doc = w->status ? yyjson_read(w->status, strlen(w->status), 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *state = yyjson_get_str(yyjson_obj_get(root, "state"));
    const char *reason = yyjson_get_str(yyjson_obj_get(root, "reason"));
    uint64_t failed = yyjson_get_uint(yyjson_obj_get(root, "samples_failed"));
    enum err err = ERR_OK;
    *over = true;
    if (state && strcmp(state, "failed") == 0)
        err = why_set(why, ERR_RUNTIME, "job %lld failed: %.400s", (long long)w->job,
                      reason ? reason : "see motley job status");
    else if (state && strcmp(state, "cancelled") == 0)
        err = why_set(why, ERR_CANCELLED, "job %lld was cancelled", (long long)w->job);
    else if (state && strcmp(state, "done") == 0 && failed > 0)
        err = why_set(why, ERR_RUNTIME,
                      "job %lld: %llu samples failed; see the .errors.jsonl beside its output",
                      (long long)w->job, (unsigned long long)failed);
    else
        *over = state && strcmp(state, "done") == 0;
    yyjson_doc_free(doc);
    return err;
}

static enum err watch_job(struct watcher *w, bool *stopped, struct why *why)
{
    uint64_t next = clock_monotonic_us();
    for (;;) {
        bool over = false;
        uint64_t began_us = clock_monotonic_us();
        enum err err = patience(w, look(w, why), began_us, why);
        if (err == ERR_OK)
            err = judge(w, &over, why);
        if (tell_progress(w) != 0 && !over) {
            *stopped = true;
            return ERR_OK;
        }
        if (err != ERR_OK || over)
            return err;
        if (clock_monotonic_us() >= w->deadline_us)
            return why_set(why, ERR_TIMEOUT,
                           "job %lld is not done in the time allowed; it goes on: motley job wait %lld",
                           (long long)w->job, (long long)w->job);
        next += PERIOD_US;
        if (next < clock_monotonic_us())
            next = clock_monotonic_us() + PERIOD_US / 10;
        clock_sleep_until_us(next < w->deadline_us ? next : w->deadline_us);
    }
}

/* An output that the coordinator could not write here. */
static int fetch_kept(struct motley *connection, int64_t job, struct motley_error *error)
{
    for (struct kept_output *kept = connection->kept; kept; kept = kept->next)
        if (kept->job == job)
            return motley_results(connection, job, kept->output, error);
    return MOTLEY_OK;
}

int motley_wait(motley *connection, int64_t job, double timeout_seconds, motley_progress *progress,
                void *context, struct motley_error *error)
{
    struct why why = { "" };
    struct watcher w = { .connection = connection, .job = job, .progress = progress, .context = context };
    bool stopped = false;
    w.deadline_us = timeout_seconds < 0.0 || timeout_seconds > 1e9
                        ? UINT64_MAX
                        : clock_monotonic_us() + (uint64_t)(timeout_seconds * 1e6);
    enum err err = watch_job(&w, &stopped, &why);
    free(w.status);
    motley_error_set(error, err, &why);
    if (stopped)
        return INTERRUPTED;
    int code = err_exit_code(err);
    if (code == MOTLEY_OK || (code == MOTLEY_FAILED && connection->wire)) {
        struct motley_error fetched = { 0, "" };
        if (fetch_kept(connection, job, &fetched) != MOTLEY_OK && code == MOTLEY_OK) {
            if (error)
                *error = fetched;
            return fetched.code;
        }
    }
    return code;
}
