// SPDX-License-Identifier: Apache-2.0
#include "follow.h"

#include "clock.h"
#include "moment.h"
#include "promise.h"
#include "render.h"
#include "tool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WAITED_LOOKS = 20 };

struct bar {
    const struct follow_plan *plan;
    bool terminal, styled;
    int lines;         /* drawn now */
    char waiting[512]; /* for what the job waits, away from a terminal */
    unsigned waited;   /* looks since then */
    bool away;         /* the coordinator is, and that was told */
};

static int columns_of(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 80;
}

static void wipe(struct bar *bar)
{
    if (bar->lines > 0)
        fprintf(stderr, "\033[%dA\033[J", bar->lines);
    bar->lines = 0;
}

/* Away from a terminal only what a user must act on: for what a job waits, in whatever state, once it has
 * done so for two seconds. */
static void tell_waiting(struct bar *bar, yyjson_val *job)
{
    const char *waiting = yyjson_get_str(yyjson_obj_get(job, "waiting"));
    bool same = waiting && strncmp(waiting, bar->waiting, sizeof bar->waiting - 1) == 0;
    bar->waited = same ? bar->waited + 1 : 0;
    if (bar->waited == WAITED_LOOKS)
        fprintf(stderr, "motley: the job waits: %s\n", waiting);
    if (!same)
        snprintf(bar->waiting, sizeof bar->waiting, "%s", waiting ? waiting : "");
}

/* The forecast of a job that was promised for some time. */
static int draw_promise(yyjson_val *job, int columns)
{
    char text[PROMISE_MAX];
    if (!yyjson_is_str(yyjson_obj_get(job, "deadline_at")) ||
        !yyjson_is_null(yyjson_obj_get(job, "deadline_met")))
        return 0;
    promise_sentence(job, clock_wall_us(), text);
    fprintf(stderr, "%.*s\n", columns - 1, text);
    return 1;
}

void follow_tell_away(yyjson_val *job, bool *away)
{
    char text[MOMENT_MAX];
    yyjson_val *since = yyjson_obj_get(job, "coordinator_away_since");
    if ((since != NULL) == *away)
        return;
    *away = since != NULL;
    moment_print(since, clock_wall_us(), text);
    if (since)
        fprintf(stderr, "motley: the coordinator is away since %s: waiting for it; job %lld is safe\n", text,
                (long long)yyjson_get_sint(yyjson_obj_get(job, "id")));
    else
        fprintf(stderr, "motley: the coordinator is back\n");
}

static int on_progress(void *context, const char *status_json)
{
    struct bar *bar = context;
    yyjson_doc *doc = yyjson_read(status_json, strlen(status_json), 0);
    yyjson_val *job = yyjson_doc_get_root(doc);
    if (job && (yyjson_obj_get(job, "coordinator_away_since") != NULL) != bar->away) {
        wipe(bar);
        follow_tell_away(job, &bar->away);
    }
    if (job && !bar->plan->quiet && !bar->away) {
        if (bar->terminal) {
            wipe(bar);
            int columns = columns_of(stderr);
            bar->lines = render_progress(job, stderr, columns, bar->styled);
            bar->lines += draw_promise(job, columns);
        } else {
            tell_waiting(bar, job);
        }
    }
    int stop = tool_interrupted() || (bar->plan->check && bar->plan->check(bar->plan->context, job));
    yyjson_doc_free(doc);
    return stop;
}

int follow(motley *connection, const struct follow_plan *plan, struct motley_error *error)
{
    struct bar bar = { .plan = plan, .terminal = isatty(fileno(stderr)) != 0, .styled = tool_styled(stderr) };
    int code = motley_wait(connection, plan->job, plan->timeout_seconds, on_progress, &bar, error);
    wipe(&bar);
    return code;
}
