// SPDX-License-Identifier: Apache-2.0
#include "promise.h"

#include "moment.h"

#include <string.h>

static yyjson_val *get(yyjson_val *object, const char *key) { return yyjson_obj_get(object, key); }

/* What would make it fit. */
static void print_remedy(yyjson_val *forecast, char *text, size_t max)
{
    uint64_t more = yyjson_get_uint(get(forecast, "slots_more"));
    const char *like = yyjson_get_str(get(forecast, "like"));
    text[0] = 0;
    if (more && like)
        snprintf(text, max, "; it would fit with %llu more slot%s like %.80s", (unsigned long long)more,
                 more == 1 ? "" : "s", like);
}

static void print_done(yyjson_val *forecast, int64_t now_us, char text[PROMISE_MAX])
{
    char done[MOMENT_MAX], low[MOMENT_MAX], high[MOMENT_MAX], distance[MOMENT_MAX] = "";
    int64_t done_us;
    moment_print(get(forecast, "done_at"), now_us, done);
    moment_print(get(forecast, "low_at"), now_us, low);
    moment_print(get(forecast, "high_at"), now_us, high);
    if (moment_parse(get(forecast, "done_at"), &done_us))
        moment_print_distance(done_us, now_us, distance);
    if (strcmp(low, high) == 0)
        snprintf(text, PROMISE_MAX, "done %s (%s)", done, distance);
    else
        snprintf(text, PROMISE_MAX, "done %s (%s), between %s and %s", done, distance, low, high);
}

/* Two times side by side: a reader must see which is the earlier. */
static void print_two(yyjson_val *one, yyjson_val *other, int64_t now_us, char a[MOMENT_MAX],
                      char b[MOMENT_MAX])
{
    moment_print(one, now_us, a);
    moment_print(other, now_us, b);
    for (int digits = 1; digits <= 3 && strcmp(a, b) == 0; digits += 2) {
        moment_print_fine(one, now_us, digits, a);
        moment_print_fine(other, now_us, digits, b);
    }
}

/* Not in time for sure. */
static void print_doubt(yyjson_val *forecast, yyjson_val *deadline, int64_t now_us, char text[PROMISE_MAX])
{
    char by[MOMENT_MAX], at[MOMENT_MAX], remedy[160];
    int64_t deadline_us = 0, done_us = 0;
    moment_parse(deadline, &deadline_us);
    moment_parse(get(forecast, "done_at"), &done_us);
    bool hope = done_us <= deadline_us;
    print_two(deadline, get(forecast, hope ? "high_at" : "done_at"), now_us, by, at);
    print_remedy(forecast, remedy, sizeof remedy);
    if (hope)
        snprintf(text, PROMISE_MAX, "perhaps: the deadline is %s, and it may take until %s%s", by, at,
                 remedy);
    else
        snprintf(text, PROMISE_MAX, "no: earliest %s, the deadline is %s%s", at, by, remedy);
}

/* A dry run and an explanation have the slots: does any of them take part? */
static bool none_takes_part(yyjson_val *job)
{
    size_t index, size;
    yyjson_val *place, *places = get(job, "slots");
    yyjson_arr_foreach(places, index, size, place)
    {
        if (yyjson_is_true(get(place, "takes_part")))
            return false;
    }
    return yyjson_arr_size(places) > 0;
}

static void print_unknown(yyjson_val *job, char text[PROMISE_MAX])
{
    const char *waiting = yyjson_get_str(get(job, "waiting"));
    if (waiting && strncmp(waiting, "no ", 3) == 0)
        snprintf(text, PROMISE_MAX, "no forecast: %.200s", waiting);
    else if (none_takes_part(job))
        snprintf(text, PROMISE_MAX, "no forecast: no slot that is here can run it now");
    else
        snprintf(text, PROMISE_MAX, "no forecast yet: no device that could run it has shown how fast it is");
}

void promise_sentence(yyjson_val *job, int64_t now_us, char text[PROMISE_MAX])
{
    char by[MOMENT_MAX], high[MOMENT_MAX];
    yyjson_val *forecast = get(job, "forecast"), *deadline = get(job, "deadline_at");
    if (!yyjson_is_obj(forecast)) {
        print_unknown(job, text);
        return;
    }
    if (yyjson_is_str(deadline) && !yyjson_is_true(get(forecast, "fits"))) {
        print_doubt(forecast, deadline, now_us, text);
        return;
    }
    print_done(forecast, now_us, text);
    if (!yyjson_is_str(deadline))
        return;
    print_two(deadline, get(forecast, "high_at"), now_us, by, high);
    size_t used = strlen(text);
    snprintf(text + used, PROMISE_MAX - used, ": in time for %s", by);
}

static bool is_over(yyjson_val *job)
{
    const char *state = yyjson_get_str(get(job, "state"));
    return yyjson_is_str(get(job, "finished_at")) || yyjson_is_true(get(job, "deadline_met")) ||
           (state &&
            (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0));
}

void promise_print(yyjson_val *job, int64_t now_us, FILE *stream)
{
    char text[PROMISE_MAX], by[MOMENT_MAX], distance[MOMENT_MAX];
    yyjson_val *deadline = get(job, "deadline_at"), *met = get(job, "deadline_met");
    int64_t deadline_us;
    if (moment_parse(deadline, &deadline_us)) {
        moment_print(deadline, now_us, by);
        moment_print_distance(deadline_us, now_us, distance);
        const char *how = yyjson_is_true(met)    ? ", met"
                          : yyjson_is_false(met) ? ", missed"
                          : is_over(job)         ? ""
                                                 : NULL;
        fprintf(stream, "deadline    %s%s%s\n", by, how ? how : ", ", how ? "" : distance);
    }
    bool open = !is_over(job) && yyjson_is_str(deadline);
    if (!yyjson_is_obj(get(job, "forecast")) && !open)
        return;
    promise_sentence(job, now_us, text);
    fprintf(stream, "forecast    %s\n", text);
}
