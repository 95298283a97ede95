// SPDX-License-Identifier: Apache-2.0
/* motley job change: another priority or deadline for jobs that are not over. */
#include "clock.h"
#include "command.h"
#include "job_options.h"
#include "moment.h"
#include "promise.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

struct asked {
    struct tool_link link;
    const char *words[WORDS_MAX];
    size_t words_count;
    const char *priority, *deadline;
    struct motley_change change;
    int changed;
    yyjson_mut_doc *jobs; /* --json: the views of those that were changed; NULL = none yet */
};

static enum err take_deadline(struct asked *asked, struct why *why)
{
    uint64_t deadline_us = 0;
    bool none = strcmp(asked->deadline, "none") == 0;
    if (!none && options_duration(asked->deadline, &deadline_us) != ERR_OK)
        return why_set(why, ERR_USAGE, "--deadline %.60s: give a time from now on, such as 10m, or none",
                       asked->deadline);
    if (!none && deadline_us == 0)
        return why_set(why, ERR_USAGE,
                       "--deadline 0: give a time from now on, such as 10m, or none to take it away");
    asked->change.set_deadline = 1;
    asked->change.deadline_seconds = (double)deadline_us / 1e6;
    return ERR_OK;
}

static enum err take_options(struct asked *asked, struct why *why)
{
    enum err err = ERR_OK;
    if (asked->words_count == 0)
        return why_set(why, ERR_USAGE, "job change: which job? give its number, its name, `last` or `all`");
    if (!asked->priority && !asked->deadline)
        return why_set(why, ERR_USAGE, "job change: what? give --priority N, --deadline TIME or both");
    if (asked->priority) {
        asked->change.set_priority = 1;
        err = job_options_priority(asked->priority, &asked->change.priority, why);
    }
    return err == ERR_OK && asked->deadline ? take_deadline(asked, why) : err;
}

/* ---- showing ---- */

static const char *text_of(yyjson_val *job, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(job, key));
    return text ? text : "";
}

static bool is_open(yyjson_val *job)
{
    const char *state = text_of(job, "state");
    return strcmp(state, "queued") == 0 || strcmp(state, "running") == 0;
}

static int64_t id_of(yyjson_val *job) { return (int64_t)yyjson_get_uint(yyjson_obj_get(job, "id")); }

static void print_priority(yyjson_val *before, yyjson_val *after)
{
    int64_t old = yyjson_get_sint(yyjson_obj_get(before, "priority")),
            now = yyjson_get_sint(yyjson_obj_get(after, "priority"));
    if (old == now)
        printf(" priority %" PRId64 ", as it was", now);
    else
        printf(" priority %" PRId64 " -> %" PRId64, old, now);
}

static void print_deadline(yyjson_val *before, yyjson_val *after)
{
    yyjson_val *old = yyjson_obj_get(before, "deadline_at"), *now = yyjson_obj_get(after, "deadline_at");
    char from[MOMENT_MAX], to[MOMENT_MAX];
    int64_t now_us = clock_wall_us();
    moment_print(old, now_us, from);
    moment_print(now, now_us, to);
    if (!yyjson_is_str(old) && !yyjson_is_str(now))
        printf(" no deadline, as it was");
    else
        printf(" deadline %s -> %s", yyjson_is_str(old) ? from : "none", yyjson_is_str(now) ? to : "none");
}

/* "job 12 (resnet): priority 0 -> 5, deadline none -> 12:10:00", and what is promised for it now. */
static void show_change(const struct asked *asked, yyjson_val *before, yyjson_val *after)
{
    char promise[PROMISE_MAX];
    printf("job %" PRId64 " (%s):", id_of(after), text_of(after, "name"));
    if (asked->change.set_priority)
        print_priority(before, after);
    if (asked->change.set_priority && asked->change.set_deadline)
        putchar(',');
    if (asked->change.set_deadline)
        print_deadline(before, after);
    putchar('\n');
    if (!yyjson_is_str(yyjson_obj_get(after, "deadline_at")))
        return;
    promise_sentence(after, clock_wall_us(), promise);
    printf("  %s\n", promise);
}

static void keep_json(struct asked *asked, yyjson_val *job)
{
    if (!asked->jobs) {
        asked->jobs = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(asked->jobs, yyjson_mut_arr(asked->jobs));
    }
    yyjson_mut_arr_append(yyjson_mut_doc_get_root(asked->jobs), yyjson_val_mut_copy(asked->jobs, job));
}

/* Views of one selection before and after, both by ascending numbers; jobs may have come between. */
static void show_all(struct asked *asked, yyjson_val *before, yyjson_val *after)
{
    yyjson_arr_iter old = yyjson_arr_iter_with(before), now = yyjson_arr_iter_with(after);
    yyjson_val *was = yyjson_arr_iter_next(&old), *job;
    while ((job = yyjson_arr_iter_next(&now))) {
        while (was && id_of(was) < id_of(job))
            was = yyjson_arr_iter_next(&old);
        if (!was || id_of(was) != id_of(job) || !is_open(job))
            continue;
        if (asked->link.json)
            keep_json(asked, job);
        else
            show_change(asked, was, job);
    }
}

/* ---- doing ---- */

static int fail_over(yyjson_val *job)
{
    fprintf(stderr, "motley: job %" PRId64 " is %s: nothing of it is left to be changed\n", id_of(job),
            text_of(job, "state"));
    return MOTLEY_FAILED;
}

static int tell(struct asked *asked, yyjson_val *before, yyjson_val *after, int count)
{
    if (yyjson_is_arr(after)) {
        show_all(asked, before, after);
        return 0;
    }
    if (count == 0)
        return fail_over(after);
    if (asked->link.json)
        keep_json(asked, after);
    else
        show_change(asked, before, after);
    return 0;
}

/* A word that means one job is looked up once: `last` may be another one a moment later. */
static int change_word(motley *connection, struct asked *asked, const char *word)
{
    char number[24];
    struct motley_error error;
    int code = 0;
    yyjson_doc *before = tool_view(connection, "job", word, &code), *after = NULL;
    yyjson_val *root = yyjson_doc_get_root(before);
    if (yyjson_is_obj(root)) {
        snprintf(number, sizeof number, "%" PRId64, id_of(root));
        word = number;
    }
    int count = before ? motley_change(connection, word, &asked->change, &error) : 0;
    if (count < 0)
        code = tool_fail_error(&error);
    else if (before)
        after = tool_view(connection, "job", word, &code);
    if (after) {
        asked->changed += count;
        code = tell(asked, root, yyjson_doc_get_root(after), count);
    }
    yyjson_doc_free(before);
    yyjson_doc_free(after);
    return code;
}

static void print_json(struct asked *asked)
{
    yyjson_mut_doc *doc = asked->jobs ? asked->jobs : yyjson_mut_doc_new(NULL);
    yyjson_mut_val *jobs = asked->jobs ? yyjson_mut_doc_get_root(doc) : yyjson_mut_arr(doc);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_int(doc, root, "changed", asked->changed);
    yyjson_mut_obj_add_val(doc, root, "jobs", jobs);
    tool_print_mut(doc);
    asked->jobs = doc;
}

int command_job_change(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley job change", "JOB... [--priority N] [--deadline TIME|none] [--json]",
        "Give jobs that are not over another priority, another deadline, or both. It is kept when the "
        "coordinator restarts; work that a job of a lower priority has not begun makes room at once. JOB is "
        "a "
        "job's number, its name, `last`, `all`, or a range such as 3-7.",
        "  motley job change 12 --priority 5\n"
        "  motley job change last --deadline 10m\n"
        "  motley job change all --deadline none\n"
    };
    struct asked asked = { .change = MOTLEY_CHANGE_INIT };
    const struct option_row rows[] = {
        { "priority", 0, OPTION_TEXT, &asked.priority, "N", "larger runs first" },
        { "deadline", 0, OPTION_TEXT, &asked.deadline, "TIME|none",
          "when it should be done, such as 10m from now on; none takes it away" },
        TOOL_LINK_ROWS(asked.link),
        { 0 }
    };
    struct why why;
    int code;
    if (!tool_parse(&usage, rows, argc, argv, asked.words, WORDS_MAX, &asked.words_count, &code))
        return code;
    enum err err = take_options(&asked, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    motley *connection = tool_connect(&asked.link, &code);
    for (size_t i = 0; connection && code == 0 && i < asked.words_count; i++)
        code = change_word(connection, &asked, asked.words[i]);
    if (connection && code == 0 && asked.link.json)
        print_json(&asked);
    else if (connection && code == 0)
        printf("%d changed\n", asked.changed);
    yyjson_mut_doc_free(asked.jobs);
    motley_close(&connection);
    return code;
}
