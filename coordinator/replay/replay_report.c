// SPDX-License-Identifier: Apache-2.0
#include "replay_report.h"

#include "clock.h"
#include "file.h"
#include "replay.h"
#include "story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yyjson.h>

enum { TYPES = 32, JOBS_SHOWN = 40 };
static const size_t FILE_MAX = (size_t)8 << 30;

struct told_job {
    uint64_t id, samples, done, failed, attempts, duplicates;
    double added_s, ended_s; /* ended: negative = not */
    bool over;
    enum sched_job_state state;
};

struct summary {
    const struct replay_options *options;
    struct tape_life life;
    uint64_t events, types[TYPES], actions, answered, different, passed;
    double span_s, cpu_s;
    struct replay_step first; /* that differs */
    size_t first_actions;
    char first_event[160];
    bool stopped, unfinished; /* unfinished: the last event has no answer */
    char reason[64];
    enum tape_read over;
    struct why why;
    size_t jobs_count, jobs_capacity;
    struct told_job *jobs;
};

/* ---- gathering ---- */

static struct told_job *find_job(struct summary *summary, uint64_t id)
{
    for (size_t i = summary->jobs_count; i > 0; i--)
        if (summary->jobs[i - 1].id == id)
            return &summary->jobs[i - 1];
    return NULL;
}

static bool add_job(struct summary *summary, const struct replay_step *step)
{
    if (find_job(summary, step->event->job))
        return true;
    if (summary->jobs_count == summary->jobs_capacity) {
        size_t capacity = 2 * summary->jobs_capacity + 16;
        struct told_job *jobs = realloc(summary->jobs, capacity * sizeof *jobs);
        if (!jobs)
            return false;
        summary->jobs = jobs;
        summary->jobs_capacity = capacity;
    }
    summary->jobs[summary->jobs_count++] = (struct told_job){
        .id = step->event->job, .samples = step->event->add.samples, .added_s = step->seconds, .ended_s = -1
    };
    return true;
}

static void look_at_job(const struct replay *replay, struct told_job *job)
{
    struct sched_job_look look;
    if (!sched_job_look(replay_sched(replay), job->id, &look))
        return;
    job->done = look.done;
    job->failed = look.failed;
    job->attempts = look.attempts;
    job->duplicates = look.duplicates;
    job->state = look.state;
    job->over = look.state >= SCHED_JOB_COMPLETE;
}

static void end_jobs(struct summary *summary, const struct replay *replay, const struct replay_step *step)
{
    for (size_t i = 0; i < step->actions->count; i++) {
        const struct sched_action *action = &step->actions->at[i];
        struct told_job *job = action->type == SCHED_JOB_STATE && action->state >= SCHED_JOB_COMPLETE
                                   ? find_job(summary, action->job)
                                   : NULL;
        if (!job)
            continue;
        look_at_job(replay, job);
        job->ended_s = step->seconds;
    }
}

static void compare(struct summary *summary, const struct replay_step *step)
{
    summary->unfinished = !step->answered;
    summary->answered += step->answered;
    if (!step->answered || step->same)
        return;
    if (summary->different++ == 0) {
        summary->first = *step;
        summary->first_actions = step->actions->count;
        story_event_text(step->event, summary->first_event, sizeof summary->first_event);
    }
}

static bool take_event(struct summary *summary, const struct replay *replay, const struct replay_step *step)
{
    summary->events++;
    summary->types[step->event->type % TYPES]++;
    summary->actions += step->actions->count;
    summary->span_s = step->seconds;
    if (summary->options->check)
        sched_check(replay_sched(replay));
    if (step->event->type == SCHED_JOB_ADD && !add_job(summary, step))
        return false;
    end_jobs(summary, replay, step);
    compare(summary, step);
    return true;
}

static enum err gather(struct summary *summary, struct replay *replay, struct why *why)
{
    struct replay_step step;
    uint64_t began_us = clock_monotonic_us();
    while ((summary->over = replay_next(replay, &step, &summary->why)) == TAPE_READ) {
        summary->passed += step.kind == REPLAY_PASSED;
        if (step.kind == REPLAY_EVENT && !take_event(summary, replay, &step))
            return why_set(why, ERR_MEMORY, "out of memory");
        if (step.kind == REPLAY_STOP) {
            summary->stopped = true;
            memcpy(summary->reason, step.reason, sizeof summary->reason);
        }
    }
    summary->cpu_s = (double)(clock_monotonic_us() - began_us) / 1e6;
    for (size_t i = 0; i < summary->jobs_count; i++)
        if (!summary->jobs[i].over)
            look_at_job(replay, &summary->jobs[i]);
    return ERR_OK;
}

/* ---- words ---- */

static const char *state_name(enum sched_job_state state)
{
    static const char *const names[] = { "queued", "running", "complete", "failed", "cancelled" };
    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

static void end_words(const struct summary *summary, char *text, size_t size)
{
    if (summary->over == TAPE_DAMAGED)
        snprintf(text, size, "damaged: %s", summary->why.text);
    else if (summary->stopped && strcmp(summary->reason, "cap") == 0)
        snprintf(text, size, "the recording reached its cap; the coordinator went on");
    else if (summary->stopped)
        snprintf(text, size, "the coordinator was stopped");
    else if (summary->unfinished && summary->events)
        snprintf(text, size, "the coordinator died in the step of event %" PRIu64, summary->events);
    else
        snprintf(text, size, "in the middle: the coordinator was killed, or still runs%s%s",
                 summary->over == TAPE_TORN ? "; " : "", summary->over == TAPE_TORN ? summary->why.text : "");
}

static double rate(const struct summary *summary)
{
    return summary->cpu_s > 0 ? (double)summary->events / summary->cpu_s : 0;
}

static void time_words(uint64_t wall_us, char *text, size_t size)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(text, size, "?");
}

/* ---- text ---- */

static void print_types(const struct summary *summary, FILE *out)
{
    const char *between = "  of them";
    for (unsigned i = 0; i < TYPES; i++)
        if (summary->types[i]) {
            fprintf(out, "%s %" PRIu64 " %s", between, summary->types[i],
                    tape_event_name((enum sched_event_type)i));
            between = ",";
        }
    if (summary->events)
        fprintf(out, "\n");
}

static void print_verdict(const struct summary *summary, FILE *out)
{
    const struct replay_step *first = &summary->first;
    if (!summary->different) {
        fprintf(out, "the same actions as then in every step that has an answer (%" PRIu64 ")\n",
                summary->answered);
        return;
    }
    fprintf(out,
            "OTHER ACTIONS than then in %" PRIu64 " of %" PRIu64 " steps; first at event %" PRIu64
            ", %.6f s (%s): %" PRIu64 " actions then, %zu now\n",
            summary->different, summary->answered, first->number, first->seconds, summary->first_event,
            first->actions_then, summary->first_actions);
}

static void print_jobs(const struct summary *summary, FILE *out)
{
    size_t count = summary->jobs_count,
           shown = summary->options->all || count < JOBS_SHOWN ? count : JOBS_SHOWN;
    if (count)
        fprintf(out, "%8s %-9s %12s %12s %8s %10s %12s %12s\n", "job", "state", "samples", "done", "failed",
                "chunks", "added s", "ended s");
    for (size_t i = count - shown; i < count; i++) {
        const struct told_job *job = &summary->jobs[i];
        char name[24];
        snprintf(name, sizeof name, story_is_online(job->id) ? "online" : "%" PRIu64, job->id);
        fprintf(out, "%8s %-9s %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %10" PRIu64 " %12.3f ", name,
                state_name(job->state), job->samples, job->done, job->failed, job->attempts, job->added_s);
        if (job->ended_s < 0)
            fprintf(out, "%12s\n", "-");
        else
            fprintf(out, "%12.3f\n", job->ended_s);
    }
    if (shown < count)
        fprintf(out, "  and %zu jobs before these; --all shows them\n", count - shown);
}

static void print_text(const struct summary *summary, FILE *out)
{
    char when[64], end[WHY_MAX + 64];
    time_words(summary->life.wall_us, when, sizeof when);
    end_words(summary, end, sizeof end);
    fprintf(out, "%s: term %" PRIu64 " of a coordinator, begun %s\n", summary->options->path,
            summary->life.term, when);
    fprintf(out, "%" PRIu64 " events in %.3f s, answered by %" PRIu64 " actions; it ends: %s\n",
            summary->events, summary->span_s, summary->actions, end);
    print_types(summary, out);
    fprintf(out, "replayed in %.3f s: %.0f steps a second\n", summary->cpu_s, rate(summary));
    print_verdict(summary, out);
    print_jobs(summary, out);
}

/* ---- JSON ---- */

static void json_jobs(const struct summary *summary, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "jobs");
    for (size_t i = 0; i < summary->jobs_count; i++) {
        const struct told_job *job = &summary->jobs[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, array);
        yyjson_mut_obj_add_uint(doc, one, "id", job->id);
        yyjson_mut_obj_add_str(doc, one, "state", state_name(job->state));
        yyjson_mut_obj_add_uint(doc, one, "samples_total", job->samples);
        yyjson_mut_obj_add_uint(doc, one, "samples_done", job->done);
        yyjson_mut_obj_add_uint(doc, one, "samples_failed", job->failed);
        yyjson_mut_obj_add_uint(doc, one, "duplicate_samples", job->duplicates);
        yyjson_mut_obj_add_uint(doc, one, "attempts", job->attempts);
        yyjson_mut_obj_add_real(doc, one, "added_seconds", job->added_s);
        if (job->ended_s < 0)
            yyjson_mut_obj_add_null(doc, one, "ended_seconds");
        else
            yyjson_mut_obj_add_real(doc, one, "ended_seconds", job->ended_s);
    }
}

static void json_difference(const struct summary *summary, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    const struct replay_step *first = &summary->first;
    yyjson_mut_obj_add_uint(doc, root, "steps_compared", summary->answered);
    yyjson_mut_obj_add_uint(doc, root, "steps_different", summary->different);
    if (!summary->different) {
        yyjson_mut_obj_add_null(doc, root, "first_difference");
        return;
    }
    yyjson_mut_val *one = yyjson_mut_obj_add_obj(doc, root, "first_difference");
    yyjson_mut_obj_add_uint(doc, one, "event", first->number);
    yyjson_mut_obj_add_real(doc, one, "seconds", first->seconds);
    yyjson_mut_obj_add_str(doc, one, "what", summary->first_event);
    yyjson_mut_obj_add_uint(doc, one, "actions_then", first->actions_then);
    yyjson_mut_obj_add_uint(doc, one, "actions_now", summary->first_actions);
}

static void json_types(const struct summary *summary, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    yyjson_mut_val *types = yyjson_mut_obj_add_obj(doc, root, "event_types");
    for (unsigned i = 0; i < TYPES; i++)
        if (summary->types[i])
            yyjson_mut_obj_add_uint(doc, types, tape_event_name((enum sched_event_type)i), summary->types[i]);
}

static enum err print_json(const struct summary *summary, FILE *out, struct why *why)
{
    char when[64], end[WHY_MAX + 64];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    time_words(summary->life.wall_us, when, sizeof when);
    end_words(summary, end, sizeof end);
    yyjson_mut_obj_add_uint(doc, root, "term", summary->life.term);
    yyjson_mut_obj_add_str(doc, root, "begun_at", when);
    yyjson_mut_obj_add_uint(doc, root, "events", summary->events);
    yyjson_mut_obj_add_real(doc, root, "span_seconds", summary->span_s);
    yyjson_mut_obj_add_str(doc, root, "end", end);
    json_types(summary, doc, root);
    yyjson_mut_obj_add_uint(doc, root, "actions", summary->actions);
    yyjson_mut_obj_add_real(doc, root, "replay_seconds", summary->cpu_s);
    yyjson_mut_obj_add_real(doc, root, "steps_per_second", rate(summary));
    json_difference(summary, doc, root);
    json_jobs(summary, doc, root);
    bool written = story_write_json(doc, out);
    yyjson_mut_doc_free(doc);
    return written ? ERR_OK : why_set(why, ERR_SYSTEM, "the report cannot be written");
}

/* ---- both ---- */

static enum err verdict(const struct summary *summary, struct why *why)
{
    if (summary->over == TAPE_DAMAGED)
        return why_set(why, ERR_FORMAT, "%s: %s", summary->options->path, summary->why.text);
    if (summary->different)
        return why_set(why, ERR_RUNTIME,
                       "%s: the actions are not those of then; the first that differ are of event %" PRIu64
                       ", %.6f s (%s)",
                       summary->options->path, summary->first.number, summary->first.seconds,
                       summary->first_event);
    return ERR_OK;
}

static enum err summarise(const struct replay_options *options, struct replay *replay, FILE *out,
                          struct why *why)
{
    struct summary summary = { .options = options, .life = *replay_life(replay) };
    enum err err = gather(&summary, replay, why);
    if (!err && options->json)
        err = print_json(&summary, out, why);
    else if (!err)
        print_text(&summary, out);
    free(summary.jobs);
    return err ? err : verdict(&summary, why);
}

static enum err tell_last(const struct replay_options *options, struct replay *replay, const char *bytes,
                          size_t size, FILE *out, struct why *why)
{
    struct replay_step step;
    struct replay_options numbered = *options;
    while (replay_next(replay, &step, NULL) == TAPE_READ)
        if (step.kind == REPLAY_EVENT && step.event->type == SCHED_JOB_ADD &&
            !story_is_online(step.event->job))
            numbered.explain = step.event->job;
    if (!numbered.explain)
        return why_set(why, ERR_NOT_FOUND, "%s: no job was added in this recording", options->path);
    return story_tell(&numbered, (const uint8_t *)bytes, size, out, why);
}

enum err replay_report(const struct replay_options *options, FILE *out, struct why *why)
{
    char *bytes;
    size_t size;
    struct replay *replay;
    struct why reason = { "" };
    enum err err = file_read(options->path, FILE_MAX, &bytes, &size, why);
    if (err)
        return err;
    err = replay_new((const uint8_t *)bytes, size, &replay, &reason);
    if (err)
        why_set(why, err, "%s: %s", options->path, reason.text);
    else if (options->explain_last)
        err = tell_last(options, replay, bytes, size, out, why);
    else if (options->explain)
        err = story_tell(options, (const uint8_t *)bytes, size, out, why);
    else
        err = summarise(options, replay, out, why);
    if (replay)
        replay_free(&replay);
    free(bytes);
    return err;
}
