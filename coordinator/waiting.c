// SPDX-License-Identifier: Apache-2.0
#include "waiting.h"

#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_LOOKED_AT_MAX = 512, REASONS = EXPLAIN_NEXT + 1 };

static const char *format_name(uint32_t formats)
{
    return formats == SCHED_FORMAT_ONNX ? "onnx" : "synthetic";
}

static void refused(const struct view *view, const struct record *record, char text[WAITING_MAX])
{
    const struct registry_file *file = registry_file(view->registry, record->model_number);
    for (uint32_t i = 0; i < record->models_count && !*file->refused_by; i++)
        file = registry_file(view->registry, record->models[i]);
    if (*file->refused_by)
        snprintf(text, WAITING_MAX, "the model %s loads on no worker: %s (%s)", record->model, file->refusal,
                 file->refused_by);
    else
        snprintf(text, WAITING_MAX, "the model %s loads on no worker", record->model);
}

/* Why the slots that are here do not work for the job, by reason; and the nearest miss among those that its
 * requirement leaves out. */
struct survey {
    uint32_t slots, count[REASONS];
    double shortfall;              /* of the nearest */
    char nearest[WAITING_MAX / 2]; /* "gpu-3: device.memory >= 24GiB: has 16GiB" */
};

static void note_miss(const struct view *view, const struct record *record, const struct worker *worker,
                      uint32_t slot, struct survey *survey)
{
    char clause[WAITING_MAX / 4];
    const struct require_finding *worst = NULL;
    struct require_findings *findings = malloc(sizeof *findings);
    double shortfall = 0;
    if (findings && explain_requirement(view->sched, record->number, worker->number, slot, findings))
        for (uint32_t i = 0; i < findings->count; i++) {
            shortfall += findings->at[i].distance;
            if (!findings->at[i].holds && (!worst || findings->at[i].distance > worst->distance))
                worst = &findings->at[i];
        }
    if (worst && (!*survey->nearest || shortfall < survey->shortfall)) {
        require_finding_print(worst, clause, sizeof clause);
        snprintf(survey->nearest, sizeof survey->nearest, "%s: %s", worker->name, clause);
        survey->shortfall = shortfall;
    }
    free(findings);
}

static void survey_slots(const struct view *view, const struct record *record, struct survey *survey)
{
    struct explain_slot explain;
    struct explain_job whole;
    memset(survey, 0, sizeof *survey);
    bool known = explain_job(view->sched, record->number, &whole);
    for (uint32_t i = 0; known && i < roster_count(view->roster); i++) {
        const struct worker *worker = roster_at(view->roster, i);
        if (worker->state != ROSTER_UP || !worker->serving)
            continue;
        for (uint32_t k = 0; k < worker->slots_count && survey->slots < SLOTS_LOOKED_AT_MAX; k++) {
            if (!explain_slot_by(view->sched, record->number, worker->number, k, whole.finish_us, &explain))
                continue;
            survey->slots++;
            survey->count[explain.reason]++;
            if (explain.reason == EXPLAIN_REQUIRED)
                note_miss(view, record, worker, k, survey);
        }
    }
}

static size_t add_reason(char text[WAITING_MAX], size_t used, uint32_t count, const char *words)
{
    if (!count || used >= WAITING_MAX)
        return used;
    int length = snprintf(text + used, WAITING_MAX - used, "%s%u %s", used ? ", " : "", count, words);
    return used + (length > 0 ? (size_t)length : 0);
}

/* No slot that is here will do, for more than one reason. */
static void list_reasons(const struct survey *survey, char text[WAITING_MAX])
{
    static const struct {
        enum explain_reason reason;
        const char *words;
    } rows[] = {
        { EXPLAIN_FORMAT, "without the format" },
        { EXPLAIN_REQUIRED, "not as --require says" },
        { EXPLAIN_DRAINING, "draining" },
        { EXPLAIN_BARRED, "barred after failures" },
        { EXPLAIN_OVERDUE, "not answering" },
        { EXPLAIN_REFUSED, "without the model, which does not load" },
        { EXPLAIN_OBJECTIVE, "left out by --objective or --prefer" },
        { EXPLAIN_NOT_WORTH, "not worth the loading" },
    };
    char list[WAITING_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        used = add_reason(list, used, survey->count[rows[i].reason], rows[i].words);
    snprintf(text, WAITING_MAX, "no slot can take it: %.500s%s%.400s", list,
             *survey->nearest ? "; nearest: " : "", survey->nearest);
}

/* Slots that could take it now or later, as things are. */
static uint32_t hopeful(const struct survey *survey)
{
    uint32_t count = 0;
    for (int reason = EXPLAIN_LOADING; reason < REASONS; reason++)
        count += reason == EXPLAIN_NOT_WORTH ? 0 : survey->count[reason];
    return count + survey->count[EXPLAIN_RUNS];
}

static void busy(const struct survey *survey, const char *tenant, char text[WAITING_MAX])
{
    if (survey->count[EXPLAIN_PAUSED])
        snprintf(text, WAITING_MAX, "work to begin: the coordinator has just started");
    else if (survey->count[EXPLAIN_QUOTA] == hopeful(survey))
        snprintf(text, WAITING_MAX, "its turn: tenant %s holds as many slots as it may", tenant);
    else
        snprintf(text, WAITING_MAX, "its turn: the workers are busy with other jobs");
}

static void look_at_slots(const struct view *view, const struct record *record, char text[WAITING_MAX])
{
    struct survey survey;
    const char *tenant = jobs_spec(view->jobs, record)->tenant;
    survey_slots(view, record, &survey);
    if (hopeful(&survey))
        busy(&survey, *tenant ? tenant : "default", text);
    else if (survey.count[EXPLAIN_REQUIRED] + survey.count[EXPLAIN_FORMAT] == survey.slots && *survey.nearest)
        snprintf(text, WAITING_MAX, "no worker satisfies --require; nearest: %.900s", survey.nearest);
    else if (survey.slots && survey.count[EXPLAIN_REFUSED] == survey.slots)
        refused(view, record, text);
    else if (survey.slots)
        list_reasons(&survey, text);
    else
        snprintf(text, WAITING_MAX, "no worker");
}

bool waiting_text(const struct view *view, const struct record *record, const struct sched_job_look *look,
                  char text[WAITING_MAX])
{
    if (*view->full)
        return snprintf(text, WAITING_MAX, "disk full on %.900s", view->full) > 0;
    if (record->full)
        return snprintf(text, WAITING_MAX,
                        record->full_fails ? "the disk fails under %.900s" : "disk full on %.900s",
                        record->full) > 0;
    if (record->state == RECORD_FINISHING)
        return false;
    if (view->backlog_bytes && look->ready)
        return snprintf(text, WAITING_MAX, "a slow disk: %.0f MB of results wait to be written to %.900s",
                        (double)view->backlog_bytes / 1e6, view->state_dir) > 0;
    if (look->leased || look->settling || !look->ready)
        return false;
    if (!roster_up_count(view->roster))
        return snprintf(text, WAITING_MAX, "no worker") > 0;
    if (!(roster_up_formats(view->roster) & record->formats))
        return snprintf(text, WAITING_MAX, "no worker can take it: none has the format %s",
                        format_name(record->formats)) > 0;
    if (look->slots_loading)
        return snprintf(text, WAITING_MAX, "loading the model on %u slot%s", look->slots_loading,
                        look->slots_loading == 1 ? "" : "s") > 0;
    look_at_slots(view, record, text);
    return true;
}

bool waiting_hopeless(const struct view *view, const struct record *record, char text[WAITING_MAX])
{
    struct survey survey;
    survey_slots(view, record, &survey);
    if (hopeful(&survey) || survey.slots == SLOTS_LOOKED_AT_MAX)
        return false;
    if (survey.slots)
        list_reasons(&survey, text);
    else
        snprintf(text, WAITING_MAX, "no worker is here that could run it");
    return true;
}
