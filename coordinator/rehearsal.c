// SPDX-License-Identifier: Apache-2.0
#include "rehearsal.h"

#include "clock.h"
#include "explain.h"
#include "explanation.h"
#include "recorder.h"

#include <stdio.h>
#include <string.h>

struct rehearsal {
    struct view view;
    const struct message_submit *submit;
    uint64_t job;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
};

/* What the slots that could serve the job say of themselves. */
struct survey {
    uint64_t slots, taking_part, able, without_cost; /* able: but for the objective */
    uint64_t left_out;                               /* by the objective or the preference */
    uint32_t class;                                  /* of one of them */
    bool classes_differ;
};

static const struct message_device *device_of(const struct message_hello *hello, const char *id)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, id) == 0)
            return &hello->devices[i];
    return NULL;
}

static bool says_cost(const struct message_slot *slot, uint32_t objective)
{
    return objective == SUBMIT_CHEAPEST   ? slot->price_per_hour > 0
           : objective == SUBMIT_GREENEST ? slot->busy_watts > 0
                                          : true;
}

static void survey_worker(const struct rehearsal *it, const struct sched *sched, struct classes *classes,
                          uint64_t finish_us, const struct worker *worker, struct survey *survey)
{
    struct explain_slot explain;
    const struct message_hello *hello = worker_hello(it->view.roster, worker);
    for (uint32_t i = 0; i < hello->slots_count; i++) {
        if (!explain_slot_by(sched, it->job, worker->number, i, finish_us, &explain))
            continue;
        survey->slots++;
        bool takes_part = explanation_takes_part(explain.reason),
             able = takes_part || explain.reason == EXPLAIN_OBJECTIVE;
        survey->able += able;
        survey->left_out += explain.reason == EXPLAIN_OBJECTIVE;
        survey->without_cost += able && !says_cost(&hello->slots[i], it->submit->objective);
        if (!takes_part)
            continue;
        uint32_t class = classes_number(classes, device_of(hello, hello->slots[i].device), &hello->slots[i]);
        survey->classes_differ = survey->classes_differ || (survey->taking_part && class != survey->class);
        survey->class = class;
        survey->taking_part++;
    }
}

static void add_notes(struct rehearsal *it, const struct survey *survey)
{
    char text[200];
    yyjson_mut_val *notes = yyjson_mut_obj_add_arr(it->doc, it->root, "notes");
    if (!survey->slots)
        yyjson_mut_arr_add_str(it->doc, notes, "no worker is here: it would wait for one");
    else if (!survey->taking_part)
        yyjson_mut_arr_add_str(it->doc, notes, "no slot that is here would take part: it would wait");
    if (it->submit->verify_ppm && survey->taking_part && !survey->classes_differ)
        yyjson_mut_arr_add_str(it->doc, notes,
                               "--verify compares unlike devices, and all that would take part are alike");
    if (survey->without_cost) {
        snprintf(text, sizeof text,
                 "--objective %s: %llu of the %llu slots that could run it do not say their %s",
                 it->submit->objective == SUBMIT_CHEAPEST ? "cheapest" : "greenest",
                 (unsigned long long)survey->without_cost, (unsigned long long)survey->able,
                 it->submit->objective == SUBMIT_CHEAPEST ? "price" : "watts");
        yyjson_mut_arr_add_strcpy(it->doc, notes, text);
    }
}

/* Why fewer work than could: users of --prefer expect a wish, and get a choice. */
static void note_preference(struct rehearsal *it, const struct survey *survey)
{
    char text[200];
    if (!*it->submit->prefer || !survey->left_out)
        return;
    snprintf(text, sizeof text, "--prefer: %llu of the %llu slots that could run it are not preferred and %s",
             (unsigned long long)survey->left_out, (unsigned long long)survey->able,
             it->submit->deadline_us
                 ? "not needed for the deadline"
                 : "would not work for it; with a --deadline they would if they are needed");
    yyjson_mut_arr_add_strcpy(it->doc, yyjson_mut_obj_get(it->root, "notes"), text);
}

static void look(void *context, const struct sched *sched)
{
    struct rehearsal *it = context;
    struct survey survey = { 0 };
    struct explain_job whole;
    struct classes *classes = explain_job(sched, it->job, &whole) ? classes_new() : NULL;
    report_forecast(&it->view, sched, it->doc, it->root, it->job, it->submit->deadline_us > 0);
    explanation_slots(&it->view, sched, it->doc, it->root, it->job,
                      (enum submit_objective)it->submit->objective);
    for (uint32_t i = 0; classes && i < roster_count(it->view.roster); i++) {
        const struct worker *worker = roster_at(it->view.roster, i);
        if (worker->state == ROSTER_UP && worker->serving)
            survey_worker(it, sched, classes, whole.finish_us, worker, &survey);
    }
    classes_free(&classes);
    yyjson_mut_obj_add_uint(it->doc, it->root, "slots_taking_part", survey.taking_part);
    add_notes(it, &survey);
    note_preference(it, &survey);
}

static enum err rehearse(struct coordinator *coordinator, struct rehearsal *it, struct why *why)
{
    const struct message_submit *submit = it->submit;
    struct sched_event event;
    uint32_t model = registry_number(coordinator->registry, submit->model_blob);
    int64_t now_us = it->view.wall_us;
    if (model == REGISTRY_NONE)
        return why_set(why, ERR_MEMORY, "the coordinator is out of memory");
    enum err err = coordinator_job_event(coordinator, submit, it->job, model, now_us, &event, why);
    if (err)
        return err;
    yyjson_mut_obj_add_bool(it->doc, it->root, "dry_run", true);
    report_text(it->doc, it->root, "name", submit->name);
    report_text(it->doc, it->root, "model", submit->model);
    yyjson_mut_obj_add_uint(it->doc, it->root, "samples_total", submit->samples);
    yyjson_mut_obj_add_sint(it->doc, it->root, "priority", submit->priority);
    report_wishes(it->doc, it->root, submit);
    report_time(it->doc, it->root, "deadline_at",
                submit->deadline_us ? now_us + (int64_t)submit->deadline_us : 0);
    recorder_suppose(coordinator->recorder, coordinator->now_us, &event);
    return sched_suppose(coordinator->sched, coordinator->now_us, &event, look, it)
               ? ERR_OK
               : why_set(why, ERR_FULL, "the scheduler has no room for a further job");
}

enum err rehearsal_json(struct coordinator *coordinator, const struct message_submit *submit, char **json,
                        size_t *size, struct why *why)
{
    struct rehearsal it = { .view = coordinator_view(coordinator),
                            .submit = submit,
                            .job = coordinator->next_job,
                            .doc = yyjson_mut_doc_new(NULL) };
    if (!it.doc)
        return why_set(why, ERR_MEMORY, "out of memory for an answer");
    it.root = yyjson_mut_obj(it.doc);
    yyjson_mut_doc_set_root(it.doc, it.root);
    enum err err = rehearse(coordinator, &it, why);
    if (!err)
        err = view_write(it.doc, json, size, why);
    yyjson_mut_doc_free(it.doc);
    return err;
}
