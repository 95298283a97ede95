// SPDX-License-Identifier: Apache-2.0
/* The recording is played twice: once to count the lines, then to tell those that are wanted, so that the
 * figures of a line, which cost something, are asked for only where it is told. */
#include "story.h"

#include "attributes.h"
#include "explain.h"
#include "replay.h"
#include "replay_report.h"
#include "story_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ORDINARY_ENDS = 12, NOTABLE_ENDS = 40 };

/* ---- tables ---- */

static void *table_add(struct story *story, struct table *table, size_t size)
{
    if (table->count == table->capacity) {
        size_t capacity = 2 * table->capacity + 16;
        void *at = realloc(table->at, capacity * size);
        if (!at) {
            story->failed = true;
            return NULL;
        }
        table->at = at;
        table->capacity = capacity;
    }
    void *fresh = (char *)table->at + table->count++ * size;
    memset(fresh, 0, size);
    return fresh;
}

const char *story_name(const struct story *story, uint32_t worker, char text[48])
{
    const struct name *names = story->names.at;
    for (size_t i = story->names.count; i > 0; i--)
        if (names[i - 1].worker == worker)
            return names[i - 1].text;
    snprintf(text, 48, "worker %u", worker);
    return text;
}

static struct held *find_held(struct story *story, uint64_t attempt)
{
    struct held *held = story->held.at;
    for (size_t i = story->held.count; i > 0; i--)
        if (held[i - 1].attempt == attempt)
            return &held[i - 1];
    return NULL;
}

static void drop_held(struct story *story, struct held *held)
{
    struct held *all = story->held.at;
    *held = all[--story->held.count];
}

static struct part *part_of(struct story *story, uint32_t worker, uint32_t slot)
{
    struct part *parts = story->parts.at;
    for (size_t i = 0; i < story->parts.count; i++)
        if (parts[i].worker == worker && parts[i].slot == slot)
            return &parts[i];
    struct part *part = table_add(story, &story->parts, sizeof *part);
    if (part)
        *part = (struct part){ .worker = worker, .slot = slot, .first_s = story->step->seconds };
    return part;
}

static bool overlaps(const struct held *held, uint64_t first, uint64_t count)
{
    return held->first < first + count && first < held->first + held->count;
}

static bool is_out(const struct story *story, uint64_t first, uint64_t count)
{
    const struct held *held = story->held.at;
    for (size_t i = 0; i < story->held.count; i++)
        if (overlaps(&held[i], first, count))
            return true;
    return false;
}

/* ---- lines ---- */

static bool wanted(size_t at, size_t all, size_t ends, bool every)
{
    return every || at < ends || at + ends >= all;
}

static void print_gap(struct story *story)
{
    if (story->left_out && !story->options->json)
        fprintf(story->out, "            ... %zu lines; --all shows them\n", story->left_out);
    story->left_out = 0;
}

static void json_line(struct story *story, const char *what, const char *text)
{
    story->line = yyjson_mut_arr_add_obj(story->doc, story->lines);
    yyjson_mut_obj_add_real(story->doc, story->line, "seconds", story->step->seconds);
    yyjson_mut_obj_add_str(story->doc, story->line, "what", what);
    yyjson_mut_obj_add_strcpy(story->doc, story->line, "text", text);
}

/* Does this line want to be told? Counts it. */
static bool begins(struct story *story, bool notable)
{
    size_t at = notable ? story->notable++ : story->ordinary++;
    bool tell = story->telling && story->options->at_seconds < 0 &&
                wanted(at, notable ? story->notable_all : story->ordinary_all,
                       notable ? NOTABLE_ENDS : ORDINARY_ENDS, story->options->all);
    story->left_out += story->telling && !tell;
    story->line = NULL;
    return tell;
}

static void say(struct story *story, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct story *story, const char *what, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_gap(story);
    if (story->options->json)
        json_line(story, what, text);
    else
        fprintf(story->out, "%11.6f %-8s %s\n", story->step->seconds, what, text);
}

static void add_chunk(struct story *story, uint32_t worker, uint32_t slot, uint64_t first, uint64_t count,
                      uint64_t attempt)
{
    if (!story->options->json || !story->line)
        return;
    yyjson_mut_obj_add_uint(story->doc, story->line, "worker", worker);
    yyjson_mut_obj_add_uint(story->doc, story->line, "slot", slot);
    yyjson_mut_obj_add_uint(story->doc, story->line, "first", first);
    yyjson_mut_obj_add_uint(story->doc, story->line, "count", count);
    yyjson_mut_obj_add_uint(story->doc, story->line, "attempt", attempt);
}

void story_where(const struct story *story, uint32_t worker, uint32_t slot, char text[96])
{
    char name[48];
    snprintf(text, 96, "%s slot %u", story_name(story, worker, name), slot);
}

/* ---- decisions and their figures ---- */

double story_seconds_until(const struct story *story, uint64_t us)
{
    return ((double)us - (double)story->step->now_us) / 1e6;
}

static void figures_text(const struct story *story, uint32_t worker, uint32_t slot, char *text, size_t size)
{
    struct sched_slot_look look;
    struct explain_job job;
    const struct sched *sched = replay_sched(story->replay);
    int used = 0;
    text[0] = 0;
    if (sched_slot_look(sched, worker, slot, &look) && look.curve_samples > 0)
        used = snprintf(
            text, size, "; %.3f ms + %.3f ms a sample within %.1f %% of %" PRIu64 " batches, best batch %u",
            look.alpha_us / 1e3, look.beta_us / 1e3, 100 * look.error, look.curve_samples, look.best_batch);
    if (explain_job(sched, story->job, &job) && job.finish_us != UINT64_MAX && job.finish_us > 0)
        snprintf(text + used, size - (size_t)used, "; the job would end in %.3f s",
                 story_seconds_until(story, job.finish_us));
}

static void add_figures(struct story *story, uint32_t worker, uint32_t slot, uint64_t expected_us)
{
    struct sched_slot_look look;
    if (!story->options->json || !story->line ||
        !sched_slot_look(replay_sched(story->replay), worker, slot, &look))
        return;
    yyjson_mut_val *curve = yyjson_mut_obj_add_obj(story->doc, story->line, "curve");
    yyjson_mut_obj_add_real(story->doc, curve, "alpha_ms", look.alpha_us / 1e3);
    yyjson_mut_obj_add_real(story->doc, curve, "beta_ms", look.beta_us / 1e3);
    yyjson_mut_obj_add_real(story->doc, curve, "error", look.error);
    yyjson_mut_obj_add_uint(story->doc, curve, "samples", look.curve_samples);
    yyjson_mut_obj_add_uint(story->doc, story->line, "best_batch", look.best_batch);
    if (expected_us)
        yyjson_mut_obj_add_real(story->doc, story->line, "expected_seconds",
                                story_seconds_until(story, expected_us));
}

/* The slot is busy until the last of its chunks ends: this one is before those that it got later in the same
 * step. 0 = unknown. */
static uint64_t expected_end(const struct story *story, const struct sched_action *lease)
{
    struct sched_slot_look look;
    const struct sched_actions *actions = story->step->actions;
    if (!sched_slot_look(replay_sched(story->replay), lease->worker, lease->slot, &look))
        return 0;
    double end_us = (double)look.busy_until_us;
    for (const struct sched_action *later = lease + 1; later < actions->at + actions->count; later++)
        if (later->type == SCHED_LEASE && later->worker == lease->worker && later->slot == lease->slot)
            end_us -= look.alpha_us + look.beta_us * (double)later->count;
    return end_us > (double)story->step->now_us ? (uint64_t)end_us : 0;
}

static void on_lease(struct story *story, const struct sched_action *action)
{
    char where[96], figures[256] = "";
    bool twice = is_out(story, action->first, action->count);
    struct part *part = part_of(story, action->worker, action->slot);
    struct held *held = table_add(story, &story->held, sizeof *held);
    if (!part || !held)
        return;
    *held = (struct held){ .worker = action->worker,
                           .slot = action->slot,
                           .first = action->first,
                           .count = action->count,
                           .attempt = action->attempt,
                           .leased_us = story->step->now_us,
                           .expected_us = expected_end(story, action) };
    part->chunks++;
    if (!begins(story, twice))
        return;
    story_where(story, action->worker, action->slot, where);
    figures_text(story, action->worker, action->slot, figures, sizeof figures);
    say(story, twice ? "hedge" : "lease", "%s: %" PRIu64 " samples from %" PRIu64 "%s, to end in %.3f s%s",
        where, action->count, action->first, twice ? " (somebody else has them, too)" : "",
        held->expected_us ? story_seconds_until(story, held->expected_us) : 0.0, figures);
    add_chunk(story, action->worker, action->slot, action->first, action->count, action->attempt);
    add_figures(story, action->worker, action->slot, held->expected_us);
}

static void on_recall(struct story *story, const struct sched_action *action)
{
    char where[96];
    struct held *held = find_held(story, action->attempt);
    if (!held || !begins(story, true))
        return;
    held->recalled = true;
    story_where(story, held->worker, held->slot, where);
    say(story, "recall", "%s: asked for %" PRIu64 " samples from %" PRIu64 " back, if it has not begun them",
        where, held->count, held->first);
    add_chunk(story, held->worker, held->slot, held->first, held->count, held->attempt);
}

static void on_load(struct story *story, const struct sched_action *action)
{
    char where[96];
    if (!begins(story, true))
        return;
    story_where(story, action->worker, action->slot, where);
    say(story, "load", "%s: load the model", where);
}

static void on_fail(struct story *story, const struct sched_action *action)
{
    if (begins(story, true))
        say(story, "fail", "%" PRIu64 " samples from %" PRIu64 " failed for good", action->count,
            action->first);
}

static void on_bar(struct story *story, const struct sched_action *action)
{
    char where[96];
    if (!begins(story, true))
        return;
    story_where(story, action->worker, action->slot, where);
    if (action->until_us)
        say(story, "bar", "%s: failed good samples again and again; nothing more for %.1f s", where,
            story_seconds_until(story, action->until_us));
    else
        say(story, "bar", "%s: is back", where);
}

const char *story_state_words(enum sched_job_state state)
{
    return state == SCHED_JOB_COMPLETE    ? "every sample is done or failed, and on the disk"
           : state == SCHED_JOB_FAILED    ? "failed: more samples failed than were allowed"
           : state == SCHED_JOB_CANCELLED ? "cancelled"
           : state == SCHED_JOB_RUNNING   ? "runs"
                                          : "waits";
}

static void on_state(struct story *story, const struct sched_action *action)
{
    if (action->state >= SCHED_JOB_COMPLETE) {
        story->ended_s = story->step->seconds;
        story->open = false;
    }
    if (begins(story, true))
        say(story, "state", "%s", story_state_words(action->state));
}

static void on_action(struct story *story, const struct sched_action *action)
{
    bool ours = action->job == story->job;
    switch (action->type) {
    case SCHED_LEASE:
        if (ours)
            on_lease(story, action);
        break;
    case SCHED_RECALL: on_recall(story, action); break;
    case SCHED_LOAD:
        if (ours)
            on_load(story, action);
        break;
    case SCHED_FAIL:
        if (ours)
            on_fail(story, action);
        break;
    case SCHED_BAR:
        if (story->open)
            on_bar(story, action);
        break;
    case SCHED_JOB_STATE:
        if (ours)
            on_state(story, action);
        break;
    default: break;
    }
}

/* ---- events ---- */

static void take_models(struct story *story, const struct sched_event *event)
{
    story->models[0] = event->add.model;
    story->models_count = 1;
    for (uint32_t i = 0; i < event->add.variants_count && i < SCHED_VARIANTS_MAX; i++)
        story->models[story->models_count++] = event->add.variants[i].model;
}

static bool is_model(const struct story *story, uint32_t model)
{
    for (uint32_t i = 0; i < story->models_count; i++)
        if (story->models[i] == model)
            return true;
    return false;
}

static void on_add(struct story *story, const struct sched_event *event)
{
    struct sched_job_look look = { 0 };
    const char *require = event->add.require && *event->add.require ? event->add.require : NULL;
    story->found = sched_job_look(replay_sched(story->replay), story->job, &look);
    story->open = story->found;
    take_models(story, event);
    if (!begins(story, true))
        return;
    say(story, "added",
        "%" PRIu64 " samples of model number %u, priority %d, tenant number %u%s%s; %u slots could run it",
        event->add.samples, event->add.model, event->add.priority, event->add.tenant,
        require ? ", requires " : "", require ? require : "", look.slots_able);
}

static const char *failure_name(enum sched_failure failure)
{
    switch (failure) {
    case SCHED_OK: return "ok";
    case SCHED_FAILED: return "the runtime refused the batch";
    case SCHED_MEMORY: return "device memory was short";
    case SCHED_INPUT: return "the input could not be read";
    case SCHED_REJECTED: return "a server refused the sample";
    }
    return "?";
}

static uint64_t kept(const struct story *story)
{
    uint64_t count = 0;
    for (size_t i = 0; i < story->step->actions->count; i++)
        if (story->step->actions->at[i].type == SCHED_STORE && story->step->actions->at[i].job == story->job)
            count += story->step->actions->at[i].count;
    return count;
}

static void count_result(struct story *story, const struct sched_event *event, const struct held *held)
{
    struct part *part = part_of(story, event->worker, event->slot);
    if (!part)
        return;
    uint64_t samples = kept(story);
    bool failed = event->result.failure != SCHED_OK;
    part->samples += samples;
    part->busy_us += event->result.run_us;
    part->failed += failed;
    part->dropped += !failed && samples == 0;
    part->last_s = story->step->seconds;
    if (samples == 0)
        return;
    if (story->last.last_s > 0 && (story->last.worker != part->worker || story->last.slot != part->slot))
        story->before = story->last;
    story->last = *part;
    story->last_chunk = held ? *held
                             : (struct held){ .worker = event->worker,
                                              .slot = event->slot,
                                              .first = event->first,
                                              .count = event->count };
}

static void tell_result(struct story *story, const struct sched_event *event, const struct held *held)
{
    char where[96], expected[64] = "";
    bool failed = event->result.failure != SCHED_OK, dropped = !failed && kept(story) == 0;
    if (!begins(story, failed || dropped || !held))
        return;
    story_where(story, event->worker, event->slot, where);
    if (held && held->expected_us)
        snprintf(expected, sizeof expected, ", %.3f s %s than expected when it was leased",
                 story->step->now_us > held->expected_us
                     ? (double)(story->step->now_us - held->expected_us) / 1e6
                     : (double)(held->expected_us - story->step->now_us) / 1e6,
                 story->step->now_us > held->expected_us ? "later" : "earlier");
    say(story,
        failed    ? "failed"
        : dropped ? "dropped"
                  : "result",
        "%s: %" PRIu64 " samples from %" PRIu64 " ran %.3f s%s%s%s%s", where, event->count, event->first,
        (double)event->result.run_us / 1e6, expected, failed ? "; " : "",
        failed ? failure_name(event->result.failure) : "",
        dropped ? "; others were first, or it was never leased"
        : !held ? "; leased before this life, or taken from it since"
                : "");
    add_chunk(story, event->worker, event->slot, event->first, event->count, event->attempt);
}

static void on_result(struct story *story, const struct sched_event *event)
{
    struct held *held = find_held(story, event->attempt);
    struct held copy = held ? *held : (struct held){ 0 };
    if (held)
        drop_held(story, held);
    count_result(story, event, held ? &copy : NULL);
    tell_result(story, event, held ? &copy : NULL);
}

static void on_returned(struct story *story, const struct sched_event *event)
{
    char where[96];
    struct held *held = find_held(story, event->attempt);
    if (!held)
        return;
    struct held copy = *held;
    drop_held(story, held);
    struct part *part = part_of(story, copy.worker, copy.slot);
    if (part)
        part->returned++;
    if (!begins(story, true))
        return;
    story_where(story, copy.worker, copy.slot, where);
    say(story, "returned", "%s: gave %" PRIu64 " samples from %" PRIu64 " back, not begun", where, copy.count,
        copy.first);
    add_chunk(story, copy.worker, copy.slot, copy.first, copy.count, copy.attempt);
}

static void on_down(struct story *story, const struct sched_event *event)
{
    char name[48];
    uint64_t chunks = 0, samples = 0;
    for (size_t i = story->held.count; i > 0; i--) {
        struct held *held = (struct held *)story->held.at + i - 1;
        if (held->worker != event->worker)
            continue;
        struct part *part = part_of(story, held->worker, held->slot);
        if (part)
            part->lost++;
        chunks++;
        samples += held->count;
        drop_held(story, held);
    }
    if (chunks > 0 && begins(story, true))
        say(story, "lost", "%s: is gone with %" PRIu64 " chunks; %" PRIu64 " samples are to be run again",
            story_name(story, event->worker, name), chunks, samples);
}

static void on_loaded(struct story *story, const struct sched_event *event)
{
    char where[96];
    if (!story->open || !is_model(story, event->loaded.model) || !begins(story, true))
        return;
    story_where(story, event->worker, event->slot, where);
    if (event->loaded.ok)
        say(story, "loaded", "%s: the model is there after %.3f s", where,
            (double)event->loaded.load_us / 1e6);
    else
        say(story, "loaded", "%s: cannot load the model", where);
}

static void on_up(struct story *story, const struct sched_event *event)
{
    const struct attributes *attributes = event->up.slots_count ? event->up.slots[0].attributes : NULL;
    struct attribute attribute;
    struct name *name = table_add(story, &story->names, sizeof *name);
    if (!name)
        return;
    name->worker = event->worker;
    name->slots = event->up.slots_count;
    snprintf(name->text, sizeof name->text, "worker %u", event->worker);
    for (uint32_t i = 0; attributes && i < attributes_count(attributes); i++) {
        attributes_at(attributes, i, &attribute);
        if (strcmp(attribute.name, "worker") == 0)
            snprintf(name->text, sizeof name->text, "%.32s (%u)", attribute.text, event->worker);
    }
    if (story->open && begins(story, true))
        say(story, "joined", "%s: with %u slots", name->text, event->up.slots_count);
}

static void on_other(struct story *story, const struct sched_event *event, bool ours)
{
    char text[160];
    bool pause = event->type == SCHED_PAUSE || event->type == SCHED_RESUME;
    bool drain = event->type == SCHED_DRAIN || event->type == SCHED_UNDRAIN;
    bool change = event->type == SCHED_JOB_CHANGE || event->type == SCHED_JOB_CANCEL ||
                  event->type == SCHED_JOB_SETTLED_RANGE || event->type == SCHED_UNSTORABLE ||
                  event->type == SCHED_HELD;
    if (!(ours && change) && !(story->open && (pause || drain)))
        return;
    if (!begins(story, true))
        return;
    story_event_text(event, text, sizeof text);
    say(story, "event", "%s", text);
}

static void on_event(struct story *story, const struct sched_event *event)
{
    bool ours = event->job == story->job;
    switch (event->type) {
    case SCHED_JOB_ADD:
        if (ours && !story->found)
            on_add(story, event);
        break;
    case SCHED_RESULT:
        if (ours)
            on_result(story, event);
        break;
    case SCHED_RETURNED: on_returned(story, event); break;
    case SCHED_WORKER_DOWN: on_down(story, event); break;
    case SCHED_WORKER_UP: on_up(story, event); break;
    case SCHED_LOADED: on_loaded(story, event); break;
    default: on_other(story, event, ours); break;
    }
}

static void look_for_expiry(struct story *story)
{
    struct explain_job job;
    if (!story->open || !explain_job(replay_sched(story->replay), story->job, &job))
        return;
    if (job.expired > story->expired && begins(story, true))
        say(story, "expired", "%" PRIu64 " chunks did not come in time; their samples are to be run again",
            job.expired - story->expired);
    story->expired = job.expired;
}

/* ---- playing ---- */

static void tell_end(struct story *story)
{
    print_gap(story);
    story_end(story);
}

static void clear(struct story *story)
{
    free(story->held.at);
    free(story->parts.at);
    free(story->names.at);
    story->held = story->parts = story->names = (struct table){ 0 };
    story->last = story->before = (struct part){ 0 };
    story->found = story->open = false;
    story->expired = 0;
    story->ordinary = story->notable = 0;
    story->ended_s = -1;
}

static void take_step(struct story *story, const struct replay_step *step)
{
    if (step->kind != REPLAY_EVENT)
        return;
    story->step = step;
    on_event(story, step->event);
    for (size_t i = 0; i < step->actions->count; i++)
        on_action(story, &step->actions->at[i]);
    look_for_expiry(story);
}

static bool now_is_when(const struct story *story, uint64_t events)
{
    return story->telling && story->options->at_seconds >= 0 && events == story->until;
}

/* Once through. At a moment that was asked for, how things stand is told instead of lines. */
static enum err play(struct story *story, const uint8_t *bytes, size_t size, struct why *why)
{
    struct replay_step step;
    uint64_t events = 0;
    clear(story);
    enum err err = replay_new(bytes, size, &story->replay, why);
    if (err)
        return err;
    while (!story->failed && !now_is_when(story, events) &&
           replay_next(story->replay, &step, NULL) == TAPE_READ) {
        take_step(story, &step);
        events += step.kind == REPLAY_EVENT;
        if (step.seconds <= story->options->at_seconds && !story->telling)
            story->until = events;
    }
    if (now_is_when(story, events) && events > 0)
        story_stand(story);
    else if (story->telling && story->options->at_seconds < 0)
        tell_end(story);
    replay_free(&story->replay);
    return story->failed ? why_set(why, ERR_MEMORY, "out of memory") : ERR_OK;
}

static enum err not_found(const struct story *story, struct why *why)
{
    return why_set(why, ERR_NOT_FOUND,
                   "%s: job %" PRIu64 " is not in this recording%s; without --explain all of its "
                   "jobs are listed",
                   story->options->path, story->job,
                   story->options->at_seconds >= 0 ? ", or not at that second" : "");
}

static enum err play_twice(struct story *story, const uint8_t *bytes, size_t size, struct why *why)
{
    enum err err = play(story, bytes, size, why);
    if (err)
        return err;
    if (!story->found)
        return not_found(story, why);
    story->ordinary_all = story->ordinary;
    story->notable_all = story->notable;
    story->telling = true;
    err = play(story, bytes, size, why);
    return !err && !story->found ? not_found(story, why) : err;
}

enum err story_tell(const struct replay_options *options, const uint8_t *bytes, size_t size, FILE *out,
                    struct why *why)
{
    struct story story = { .options = options, .out = out, .job = options->explain };
    if (options->json) {
        story.doc = yyjson_mut_doc_new(NULL);
        story.root = yyjson_mut_obj(story.doc);
        yyjson_mut_doc_set_root(story.doc, story.root);
        yyjson_mut_obj_add_uint(story.doc, story.root, "id", story.job);
        if (options->at_seconds < 0)
            story.lines = yyjson_mut_obj_add_arr(story.doc, story.root, "story");
    }
    enum err err = play_twice(&story, bytes, size, why);
    if (!err && options->json && !story_write_json(story.doc, out))
        err = why_set(why, ERR_SYSTEM, "the story cannot be written");
    yyjson_mut_doc_free(story.doc);
    clear(&story);
    return err;
}

/* ---- in words ---- */

void story_event_text(const struct sched_event *event, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", tape_event_name(event->type));
    bool slot = event->type == SCHED_RESULT || event->type == SCHED_LOADED || event->type == SCHED_RETURNED ||
                event->type == SCHED_HELD;
    bool worker = slot || event->type == SCHED_WORKER_UP || event->type == SCHED_WORKER_DOWN ||
                  event->type == SCHED_DRAIN || event->type == SCHED_UNDRAIN;
    size_t at = used > 0 && (size_t)used < size ? (size_t)used : size - 1;
    if (worker)
        at += (size_t)snprintf(text + at, size - at, " of worker %u", event->worker);
    if (slot && at < size)
        at += (size_t)snprintf(text + at, size - at, " slot %u", event->slot);
    if (story_is_online(event->job) && at < size)
        at += (size_t)snprintf(text + at, size - at, ", online request");
    else if (event->job && at < size)
        at += (size_t)snprintf(text + at, size - at, ", job %" PRIu64, event->job);
    if (event->count && at < size)
        snprintf(text + at, size - at, ", %" PRIu64 " samples from %" PRIu64, event->count, event->first);
}

bool story_write_json(const struct yyjson_mut_doc *doc, FILE *out)
{
    size_t size;
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &size);
    bool written = text && fwrite(text, 1, size, out) == size && fputc('\n', out) != EOF;
    free(text);
    return written;
}
