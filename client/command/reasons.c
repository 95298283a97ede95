// SPDX-License-Identifier: Apache-2.0
#include "reasons.h"

#include "moment.h"
#include "promise.h"
#include "render.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE_ROWS_MAX = 16, JOBS_MAX = 10, GROUPS_MAX = 12, NAMES_MAX = 3, TEXT_MAX = 64 };

static yyjson_val *get(yyjson_val *object, const char *key) { return yyjson_obj_get(object, key); }

static unsigned long long uint_of(yyjson_val *object, const char *key)
{
    return (unsigned long long)yyjson_get_uint(get(object, key));
}

static const char *text_of(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(get(object, key));
    return text ? text : "-";
}

static bool is_reason(yyjson_val *place, const char *reason)
{
    return strcmp(text_of(place, "reason"), reason) == 0;
}

/* ---- one slot ---- */

/* The clause that is furthest from holding. */
static void print_clause(yyjson_val *place, char text[REASONS_SENTENCE_MAX])
{
    size_t index, size;
    yyjson_val *clause, *worst = NULL;
    yyjson_arr_foreach(get(place, "requirement"), index, size, clause)
    {
        if (!worst || yyjson_get_num(get(clause, "shortfall")) > yyjson_get_num(get(worst, "shortfall")))
            worst = clause;
    }
    if (!worst)
        snprintf(text, REASONS_SENTENCE_MAX, "not as --require says");
    else if (yyjson_is_str(get(worst, "has")))
        snprintf(text, REASONS_SENTENCE_MAX, "%.180s: has %.100s", text_of(worst, "clause"),
                 text_of(worst, "has"));
    else
        snprintf(text, REASONS_SENTENCE_MAX, "%.180s: not known there", text_of(worst, "clause"));
}

static void print_barred(yyjson_val *place, int64_t now_us, char text[REASONS_SENTENCE_MAX])
{
    char until[MOMENT_MAX];
    moment_print(get(place, "until_at"), now_us, until);
    snprintf(text, REASONS_SENTENCE_MAX, "barred until %s: chunk after chunk failed there", until);
}

static void print_loading(yyjson_val *place, int64_t now_us, char text[REASONS_SENTENCE_MAX])
{
    char until[MOMENT_MAX];
    moment_print(get(place, "until_at"), now_us, until);
    snprintf(text, REASONS_SENTENCE_MAX, "is loading the model%s%s",
             yyjson_is_str(get(place, "until_at")) ? ", probably until " : "",
             yyjson_is_str(get(place, "until_at")) ? until : "");
}

static void print_objective(yyjson_val *place, char text[REASONS_SENTENCE_MAX])
{
    if (yyjson_is_num(get(place, "cost")))
        snprintf(text, REASONS_SENTENCE_MAX, "left out by --objective or --prefer: %.3g %s a sample",
                 yyjson_get_num(get(place, "cost")), text_of(place, "unit_of_cost"));
    else
        snprintf(text, REASONS_SENTENCE_MAX, "left out by --objective or --prefer");
}

static void print_not_worth(yyjson_val *place, char text[REASONS_SENTENCE_MAX])
{
    char length[TEXT_MAX];
    render_duration(get(place, "load_seconds"), length, sizeof length);
    snprintf(text, REASONS_SENTENCE_MAX, "loading the model there (%s) would take longer than the job",
             length);
}

void reasons_sentence(yyjson_val *place, int64_t now_us, char text[REASONS_SENTENCE_MAX])
{
    static const struct {
        const char *reason, *sentence;
    } plain[] = {
        { "gone", "not connected" },
        { "format", "no runtime there takes the model's format" },
        { "draining", "its worker is being drained" },
        { "overdue", "its oldest chunk is far past its time; it gets more when it answers" },
        { "refused", "the model could not be loaded there" },
        { "paused", "no work is given out: the coordinator's disk is full, or it has just started" },
        { "quota", "the job's tenant holds as many slots as it may" },
        { "nothing", "every sample is given out already" },
        { "late", "a batch there would end after the job does" },
        { "next", "may get a chunk at any moment" },
    };
    snprintf(text, REASONS_SENTENCE_MAX, "%s", text_of(place, "reason"));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (is_reason(place, plain[i].reason))
            snprintf(text, REASONS_SENTENCE_MAX, "%s", plain[i].sentence);
    if (is_reason(place, "required"))
        print_clause(place, text);
    else if (is_reason(place, "barred"))
        print_barred(place, now_us, text);
    else if (is_reason(place, "loading"))
        print_loading(place, now_us, text);
    else if (is_reason(place, "objective"))
        print_objective(place, text);
    else if (is_reason(place, "not worth"))
        print_not_worth(place, text);
    else if (is_reason(place, "others") && !uint_of(place, "behind_job"))
        snprintf(text, REASONS_SENTENCE_MAX, "works for an online request");
    else if (is_reason(place, "others"))
        snprintf(text, REASONS_SENTENCE_MAX, "works for job %llu", uint_of(place, "behind_job"));
    else if (is_reason(place, "runs"))
        snprintf(text, REASONS_SENTENCE_MAX, "runs %llu chunk%s of it", uint_of(place, "in_flight"),
                 uint_of(place, "in_flight") == 1 ? "" : "s");
}

/* ---- many slots ---- */

struct group {
    char sentence[REASONS_SENTENCE_MAX];
    size_t count, names_count;
    const char *names[NAMES_MAX];
};

struct groups {
    size_t count, capacity;
    struct group *at;
};

static struct group *group_of(struct groups *groups, const char *sentence)
{
    for (size_t i = groups->count; i-- > 0;)
        if (strcmp(groups->at[i].sentence, sentence) == 0)
            return &groups->at[i];
    if (groups->count == groups->capacity) {
        size_t capacity = groups->capacity ? 2 * groups->capacity : 16;
        struct group *grown = realloc(groups->at, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        groups->at = grown;
        groups->capacity = capacity;
    }
    struct group *group = &groups->at[groups->count++];
    memset(group, 0, sizeof *group);
    snprintf(group->sentence, sizeof group->sentence, "%s", sentence);
    return group;
}

static void add_to_group(struct groups *groups, yyjson_val *place, const char *sentence)
{
    struct group *group = group_of(groups, sentence);
    if (!group)
        return;
    group->count++;
    if (group->names_count < NAMES_MAX)
        group->names[group->names_count++] = text_of(place, "worker");
}

static int larger_first(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->count != y->count ? (x->count > y->count ? -1 : 1) : strcmp(x->sentence, y->sentence);
}

static void print_group(const struct group *group, FILE *stream)
{
    fputs("  ", stream);
    for (size_t i = 0; i < group->names_count; i++)
        fprintf(stream, "%s%s", i ? ", " : "", group->names[i]);
    if (group->count > group->names_count)
        fprintf(stream, " and %zu more", group->count - group->names_count);
    fprintf(stream, ": %s\n", group->sentence);
}

static void print_groups(struct groups *groups, FILE *stream, const char *more)
{
    size_t left = 0;
    if (groups->count > 1)
        qsort(groups->at, groups->count, sizeof *groups->at, larger_first);
    for (size_t i = 0; i < groups->count; i++) {
        if (i < GROUPS_MAX)
            print_group(&groups->at[i], stream);
        else
            left += groups->at[i].count;
    }
    if (left)
        fprintf(stream, "  and %zu more slots for other reasons; %s shows each\n", left, more);
}

typedef bool is_meant(yyjson_val *place);

static size_t count_places(yyjson_val *places, is_meant *meant)
{
    size_t index, size, count = 0;
    yyjson_val *place;
    yyjson_arr_foreach(places, index, size, place) count += meant(place);
    return count;
}

static bool runs(yyjson_val *place) { return is_reason(place, "runs"); }
static bool does_not_run(yyjson_val *place) { return !runs(place); }
static bool would_run(yyjson_val *place) { return yyjson_is_true(get(place, "takes_part")); }
static bool would_not_run(yyjson_val *place) { return !would_run(place); }

/* "1 slot would not:", "3 slots would not:"; one and many are the rest of the line. */
static void print_title(size_t count, const char *one, const char *many, FILE *stream)
{
    fprintf(stream, "%zu %s\n", count, count == 1 ? one : many);
}

/* Those that do not take part, alike ones together. */
static void print_others(yyjson_val *places, is_meant *meant, FILE *stream, const struct reasons_style *style)
{
    size_t index, size;
    char text[REASONS_SENTENCE_MAX];
    struct groups groups = { 0 };
    yyjson_val *place;
    yyjson_arr_foreach(places, index, size, place)
    {
        if (!meant(place))
            continue;
        reasons_sentence(place, style->now_us, text);
        if (style->all)
            fprintf(stream, "  %s, slot %llu: %s\n", text_of(place, "worker"), uint_of(place, "slot"), text);
        else
            add_to_group(&groups, place, text);
    }
    print_groups(&groups, stream, style->more);
    free(groups.at);
}

static const char *figure(yyjson_val *value, char text[TEXT_MAX])
{
    if (!yyjson_is_num(value))
        return "-";
    snprintf(text, TEXT_MAX, yyjson_get_num(value) < 10 ? "%.3g" : "%.0f", yyjson_get_num(value));
    return text;
}

static void add_row(struct table *table, yyjson_val *place, bool now, int64_t now_us)
{
    char text[TEXT_MAX], sentence[REASONS_SENTENCE_MAX];
    table_row(table);
    table_cell(table, "%s", text_of(place, "worker"));
    table_cell(table, "%llu", uint_of(place, "slot"));
    table_cell(table, "%s", text_of(place, "kind"));
    table_cell(table, "%s", figure(get(place, "batch"), text));
    table_cell(table, "%s", figure(get(place, "samples_per_second"), text));
    table_cell(table, "%s", figure(get(place, "cost"), text));
    reasons_sentence(place, now_us, sentence);
    table_cell(table, "%s", now ? sentence : "");
}

static void print_table(yyjson_val *places, is_meant *meant, FILE *stream, const struct reasons_style *style)
{
    static const struct table_column columns[] = { { "worker", 0 }, { "slot", 1 },      { "kind", 0 },
                                                   { "batch", 1 },  { "samples/s", 1 }, { "cost/sample", 1 },
                                                   { "now", 0 } };
    size_t index, size, shown = 0, count = count_places(places, meant);
    yyjson_val *place;
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(places, index, size, place)
    {
        if (!meant(place) || (!style->all && shown == TABLE_ROWS_MAX))
            continue;
        add_row(table, place, true, style->now_us);
        shown++;
    }
    if (shown)
        table_print(table, stream, style->styled);
    if (count > shown)
        fprintf(stream, "and %zu more slots; %s shows them\n", count - shown, style->more);
    table_free(&table);
}

/* ---- a job ---- */

static void print_end(yyjson_val *job, FILE *stream, const struct reasons_style *style)
{
    char text[MOMENT_MAX], end[MOMENT_MAX];
    yyjson_val *held = get(job, "held");
    if (yyjson_is_str(get(job, "finish_at"))) {
        int64_t finish_us = 0;
        moment_parse(get(job, "finish_at"), &finish_us);
        moment_print_distance(finish_us, style->now_us, text);
        moment_print(get(job, "finish_at"), style->now_us, end);
        fprintf(stream, "As things are it ends at %s (%s).\n", end, text);
    }
    if (!yyjson_is_obj(held))
        return;
    bool started = yyjson_is_true(get(held, "started"));
    unsigned long long first = uint_of(held, "first"), count = uint_of(held, "count");
    moment_print(get(held, "since_at"), style->now_us, text);
    moment_print(get(held, "end_at"), style->now_us, end);
    char samples[TEXT_MAX];
    if (count == 1)
        snprintf(samples, sizeof samples, "sample %llu", first);
    else
        snprintf(samples, sizeof samples, "samples %llu to %llu", first, first + count - 1);
    fprintf(stream, "Its end is held by %s, slot %llu: %s, %s %s, expected until %s%s.\n",
            text_of(held, "worker"), uint_of(held, "slot"), samples,
            started ? "running since" : "waiting there to start at", text, end,
            yyjson_is_true(get(held, "hedged")) ? "; another slot runs it, too" : "");
}

static void print_count(FILE *stream, yyjson_val *job, const char *key, const char *words, bool *any)
{
    if (!uint_of(job, key))
        return;
    fprintf(stream, "%s%llu %s", *any ? ", " : "So far: ", uint_of(job, key), words);
    *any = true;
}

static void print_measures(yyjson_val *job, FILE *stream)
{
    bool any = false;
    print_count(stream, job, "recalls", "chunks asked back from slots that were late", &any);
    print_count(stream, job, "returned", "of them came back unstarted", &any);
    print_count(stream, job, "hedged_samples", "samples run twice at the end", &any);
    print_count(stream, job, "lost", "chunks lost with their workers", &any);
    print_count(stream, job, "expired", "chunks taken from slots that did not answer", &any);
    print_count(stream, job, "failed_batches", "chunks failed", &any);
    print_count(stream, job, "suspects", "parts of failed chunks still to be tried", &any);
    print_count(stream, job, "checked", "samples run again for --verify", &any);
    print_count(stream, job, "unchecked", "samples that no other kind of device could verify", &any);
    if (any)
        fputs(".\n", stream);
}

static bool is_over(yyjson_val *job)
{
    const char *state = text_of(job, "state");
    return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
}

/* "; 2m 10s after its deadline" */
static void print_lateness(yyjson_val *job, char text[TEXT_MAX + 32])
{
    char length[TEXT_MAX];
    int64_t deadline_us, finished_us;
    text[0] = 0;
    if (!moment_parse(get(job, "deadline_at"), &deadline_us) ||
        !moment_parse(get(job, "finished_at"), &finished_us))
        return;
    bool late = finished_us > deadline_us;
    render_seconds((double)(late ? finished_us - deadline_us : deadline_us - finished_us) / 1e6, length,
                   sizeof length);
    snprintf(text, TEXT_MAX + 32, ", %s %s its deadline", length, late ? "after" : "before");
}

static void print_over(yyjson_val *job, FILE *stream, const struct reasons_style *style)
{
    char when[MOMENT_MAX], lateness[TEXT_MAX + 32];
    unsigned long long twice = uint_of(job, "duplicate_samples"), id = uint_of(job, "id");
    moment_print(get(job, "finished_at"), style->now_us, when);
    print_lateness(job, lateness);
    fprintf(stream, "It is over: %s at %s%s", text_of(job, "state"), when, lateness);
    if (strcmp(text_of(job, "state"), "done") != 0)
        fputs(".\n", stream);
    else if (twice)
        fprintf(stream, "; %llu samples were computed twice.\n", twice);
    else
        fputs("; no sample was computed twice.\n", stream);
    fprintf(stream,
            "Its story, lease by lease: motley-coordinator --replay STATE/events/TERM.tape --explain %llu, "
            "where STATE is the coordinator's state directory and TERM the newest of its recordings that has "
            "the job.\n",
            id);
}

void reasons_job(yyjson_val *job, FILE *stream, const struct reasons_style *style)
{
    yyjson_val *places = get(job, "slots");
    render_status(job, stream);
    promise_print(job, style->now_us, stream);
    if (is_over(job)) {
        print_over(job, stream, style);
        return;
    }
    if (strcmp(text_of(job, "state"), "finishing") == 0) {
        fputs("All its samples are settled; its answer is being written.\n", stream);
        return;
    }
    if (uint_of(job, "jobs_before"))
        fprintf(stream, "%llu job%s before it.\n", uint_of(job, "jobs_before"),
                uint_of(job, "jobs_before") == 1 ? " goes" : "s go");
    print_end(job, stream, style);
    print_measures(job, stream);
    size_t serving = count_places(places, runs), others = count_places(places, does_not_run);
    if (serving) {
        print_title(serving, "slot works for it:", "slots work for it:", stream);
        print_table(places, runs, stream, style);
    }
    if (others && serving)
        print_title(others, "other slot does not now:", "other slots do not now:", stream);
    else if (others)
        print_title(others, "slot is here, and does not work for it now:",
                    "slots are here, and none works for it now:", stream);
    print_others(places, does_not_run, stream, style);
    if (yyjson_arr_size(places) == 0)
        fputs("No worker is here.\n", stream);
}

void reasons_dry_run(yyjson_val *answer, FILE *stream, const struct reasons_style *style)
{
    size_t index, size;
    char text[PROMISE_MAX];
    yyjson_val *note, *places = get(answer, "slots");
    size_t serving = count_places(places, would_run), others = count_places(places, would_not_run);
    promise_sentence(answer, style->now_us, text);
    fprintf(stream, "dry run: nothing is submitted\nforecast    %s\n", text);
    yyjson_arr_foreach(get(answer, "notes"), index, size, note)
        fprintf(stream, "note        %s\n", yyjson_get_str(note));
    if (serving) {
        print_title(serving, "slot would take part:", "slots would take part:", stream);
        print_table(places, would_run, stream, style);
    }
    if (others)
        print_title(others, "slot would not:", "slots would not:", stream);
    print_others(places, would_not_run, stream, style);
}

/* ---- a worker ---- */

static void print_slot_job(yyjson_val *job, FILE *stream, const struct reasons_style *style)
{
    char text[REASONS_SENTENCE_MAX], batch[TEXT_MAX], rate[TEXT_MAX];
    reasons_sentence(job, style->now_us, text);
    fprintf(stream, "  job %llu (%s, %s): %s", uint_of(job, "job"), text_of(job, "name"),
            text_of(job, "state"), text);
    if (runs(job))
        fprintf(stream, ", in batches of %s, %s samples/s", figure(get(job, "batch"), batch),
                figure(get(job, "samples_per_second"), rate));
    fputs("\n", stream);
}

static void print_slot(yyjson_val *slot, FILE *stream, const struct reasons_style *style)
{
    size_t index, size;
    char until[MOMENT_MAX];
    yyjson_val *job;
    unsigned long long more = uint_of(slot, "jobs_more");
    fprintf(stream, "slot %llu (%s, %s): %llu of %llu chunks in flight", uint_of(slot, "slot"),
            text_of(slot, "device"), text_of(slot, "runtime"), uint_of(slot, "in_flight"),
            uint_of(slot, "window"));
    moment_print(get(slot, "barred_until"), style->now_us, until);
    if (yyjson_is_str(get(slot, "barred_until")))
        fprintf(stream, "; barred until %s, because chunk after chunk failed there", until);
    fputs("\n", stream);
    yyjson_arr_foreach(get(slot, "jobs"), index, size, job)
    {
        if (style->all || index < JOBS_MAX)
            print_slot_job(job, stream, style);
        else
            more++;
    }
    if (more)
        fprintf(stream, "  and %llu more jobs%s\n", more, style->all ? "" : "; --all shows more of them");
    if (size == 0)
        fputs("  idle: no job is open\n", stream);
}

/* All but the name. */
static void print_worker(yyjson_val *worker, FILE *stream, const struct reasons_style *style)
{
    size_t index, size;
    yyjson_val *slot;
    bool here = strcmp(text_of(worker, "state"), "up") == 0;
    fprintf(stream, ": %s\n",
            !here ? "it is not connected, so it gets no work"
            : yyjson_is_true(get(worker, "draining"))
                ? "it is being drained: it finishes what it has begun and gets nothing new; `motley worker "
                  "resume` ends that"
                : "it is connected");
    yyjson_arr_foreach(get(worker, "slots"), index, size, slot)
    {
        if (here)
            print_slot(slot, stream, style);
    }
    if (here && size == 0)
        fputs("it has no slots: none of its devices has a runtime\n", stream);
}

void reasons_worker(yyjson_val *worker, FILE *stream, const struct reasons_style *style)
{
    fputs(text_of(worker, "name"), stream);
    print_worker(worker, stream, style);
}

struct told_worker {
    char *text;
    size_t place; /* in the list */
    const char *name;
};

static int alike_together(const void *a, const void *b)
{
    const struct told_worker *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

static void print_alike(const struct told_worker *told, size_t count, FILE *stream)
{
    for (size_t i = 0; i < count && i < NAMES_MAX; i++)
        fprintf(stream, "%s%s", i ? ", " : "", told[i].name);
    if (count > NAMES_MAX)
        fprintf(stream, " and %zu more, each", count - NAMES_MAX);
    else if (count > 1)
        fputs(", each", stream);
    fputs(told->text, stream);
}

/* Yours to free; NULL if memory is short. */
static char *worker_text(yyjson_val *worker, const struct reasons_style *style)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    print_worker(worker, stream, style);
    return fclose(stream) == 0 ? text : NULL;
}

void reasons_workers(yyjson_val *workers, FILE *stream, const struct reasons_style *style)
{
    size_t index, size, count = 0, alike;
    yyjson_val *worker;
    struct told_worker *told = calloc(yyjson_arr_size(workers) + 1, sizeof *told);
    yyjson_arr_foreach(workers, index, size, worker)
    {
        char *text = told ? worker_text(worker, style) : NULL;
        if (text)
            told[count++] = (struct told_worker){ text, index, text_of(worker, "name") };
    }
    if (count > 1 && !style->all)
        qsort(told, count, sizeof *told, alike_together);
    for (size_t i = 0; i < count; i += alike) {
        for (alike = 1; !style->all && i + alike < count && !strcmp(told[i].text, told[i + alike].text);)
            alike++;
        fputs(i ? "\n" : "", stream);
        print_alike(&told[i], alike, stream);
    }
    for (size_t i = 0; i < count; i++)
        free(told[i].text);
    free(told);
    if (size == 0)
        fputs("No worker is here.\n", stream);
}
