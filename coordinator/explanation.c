// SPDX-License-Identifier: Apache-2.0
#include "explanation.h"

#include "online.h"

#include <stdlib.h>

enum { JOBS_SHOWN_MAX = 256 };

/* ---- a place ---- */

bool explanation_takes_part(enum explain_reason reason)
{
    switch (reason) {
    case EXPLAIN_GONE:
    case EXPLAIN_FORMAT:
    case EXPLAIN_REQUIRED:
    case EXPLAIN_DRAINING:
    case EXPLAIN_BARRED:
    case EXPLAIN_OVERDUE:
    case EXPLAIN_REFUSED:
    case EXPLAIN_OBJECTIVE:
    case EXPLAIN_NOT_WORTH:
    case EXPLAIN_LATE: return false;
    default: return true;
    }
}

static void add_clauses(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct require_findings *findings)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "requirement");
    for (uint32_t i = 0; i < findings->count; i++) {
        const struct require_finding *finding = &findings->at[i];
        if (finding->holds)
            continue;
        yyjson_mut_val *clause = yyjson_mut_arr_add_obj(doc, array);
        report_text(doc, clause, "clause", finding->clause);
        report_text(doc, clause, "attribute", *finding->attribute ? finding->attribute : NULL);
        report_text(doc, clause, "wanted", *finding->wanted ? finding->wanted : NULL);
        report_text(doc, clause, "has", *finding->has ? finding->has : NULL);
        yyjson_mut_obj_add_bool(doc, clause, "alternative", finding->alternative);
        yyjson_mut_obj_add_real(doc, clause, "shortfall", finding->distance);
    }
}

static void add_requirement(const struct sched *sched, yyjson_mut_doc *doc, yyjson_mut_val *object,
                            uint64_t job, const struct explain_slot *slot)
{
    struct require_findings *findings = malloc(sizeof *findings); /* it is large */
    if (findings && slot->reason == EXPLAIN_REQUIRED &&
        explain_requirement(sched, job, slot->worker, slot->slot, findings))
        add_clauses(doc, object, findings);
    else
        yyjson_mut_obj_add_arr(doc, object, "requirement");
    free(findings);
}

static void add_place(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                      yyjson_mut_val *object, uint64_t job, const struct explain_slot *slot,
                      enum submit_objective objective)
{
    static const char *const units[] = { NULL, "money", "joules" };
    yyjson_mut_obj_add_bool(doc, object, "takes_part", explanation_takes_part(slot->reason));
    report_text(doc, object, "reason", explain_reason_name(slot->reason));
    yyjson_mut_obj_add_uint(doc, object, "in_flight", slot->in_flight);
    report_step_time(view, doc, object, "start_at", slot->start_us);
    report_step_time(view, doc, object, "until_at", slot->until_us);
    report_number(doc, object, "load_seconds", slot->load_us > 0, (double)slot->load_us / 1e6);
    if (slot->job && !online_is(slot->job))
        yyjson_mut_obj_add_uint(doc, object, "behind_job", slot->job);
    else
        yyjson_mut_obj_add_null(doc, object, "behind_job");
    report_number(doc, object, "samples_per_second", slot->samples_per_second >= 0, slot->samples_per_second);
    if (slot->batch)
        yyjson_mut_obj_add_uint(doc, object, "batch", slot->batch);
    else
        yyjson_mut_obj_add_null(doc, object, "batch");
    report_number(doc, object, "cost", slot->cost >= 0, slot->cost);
    report_text(doc, object, "unit_of_cost", slot->cost >= 0 ? units[objective] : NULL);
    add_requirement(sched, doc, object, job, slot);
}

static const struct message_device *device_of(const struct message_hello *hello, const char *id)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, id) == 0)
            return &hello->devices[i];
    return NULL;
}

static void add_worker_places(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                              yyjson_mut_val *array, uint64_t job, uint64_t finish_us,
                              enum submit_objective objective, const struct worker *worker)
{
    struct explain_slot explain;
    const struct message_hello *hello = worker_hello(view->roster, worker);
    for (uint32_t i = 0; i < hello->slots_count; i++) {
        if (!explain_slot_by(sched, job, worker->number, i, finish_us, &explain))
            continue;
        const struct message_device *device = device_of(hello, hello->slots[i].device);
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
        report_text(doc, object, "worker", worker->name);
        yyjson_mut_obj_add_uint(doc, object, "slot", i);
        report_text(doc, object, "device", hello->slots[i].device);
        report_text(doc, object, "kind", device ? device->kind : NULL);
        add_place(view, sched, doc, object, job, &explain, objective);
    }
}

void explanation_slots(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                       yyjson_mut_val *object, uint64_t job, enum submit_objective objective)
{
    struct explain_job whole;
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "slots");
    bool known = explain_job(sched, job, &whole);
    for (uint32_t i = 0; known && i < roster_count(view->roster); i++) {
        const struct worker *worker = roster_at(view->roster, i);
        if (worker->state == ROSTER_UP && worker->serving)
            add_worker_places(view, sched, doc, array, job, whole.finish_us, objective, worker);
    }
}

/* ---- a job ---- */

static void add_held(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                     const struct explain_job *explain)
{
    if (!explain->held) {
        yyjson_mut_obj_add_null(doc, object, "held");
        return;
    }
    const struct worker *worker = roster_at(view->roster, explain->worker);
    yyjson_mut_val *held = yyjson_mut_obj_add_obj(doc, object, "held");
    report_text(doc, held, "worker", worker ? worker->name : NULL);
    yyjson_mut_obj_add_uint(doc, held, "slot", explain->slot);
    yyjson_mut_obj_add_uint(doc, held, "first", explain->first);
    yyjson_mut_obj_add_uint(doc, held, "count", explain->count);
    report_step_time(view, doc, held, "since_at", explain->since_us);
    report_step_time(view, doc, held, "end_at", explain->end_us);
    yyjson_mut_obj_add_bool(doc, held, "started", !explain->unstarted);
    yyjson_mut_obj_add_bool(doc, held, "hedged", explain->hedged);
}

static void add_counts(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct explain_job *explain)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        { "recalls", explain ? explain->recalls : 0 },
        { "returned", explain ? explain->returned : 0 },
        { "hedges", explain ? explain->hedges : 0 },
        { "hedged_samples", explain ? explain->hedged_samples : 0 },
        { "lost", explain ? explain->lost : 0 },
        { "expired", explain ? explain->expired : 0 },
        { "failed_batches", explain ? explain->failed_batches : 0 },
        { "suspects", explain ? explain->suspects : 0 },
        { "checked", explain ? explain->checked : 0 },
        { "unchecked", explain ? explain->unchecked : 0 },
        { "slots_serving", explain ? explain->slots_serving : 0 },
        { "jobs_before", explain ? explain->jobs_before : 0 },
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (explain)
            yyjson_mut_obj_add_uint(doc, object, counts[i].key, counts[i].value);
        else
            yyjson_mut_obj_add_null(doc, object, counts[i].key);
    }
}

void explanation_job(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                     const struct record *record)
{
    struct explain_job explain;
    bool live = record->in_sched && view->sched && record->state != RECORD_FINISHING &&
                explain_job(view->sched, record->number, &explain);
    enum submit_objective objective = (enum submit_objective)jobs_spec(view->jobs, record)->objective;
    report_job(view, doc, object, record, false);
    report_step_time(view, doc, object, "finish_at", live ? explain.finish_us : 0);
    if (live)
        add_held(view, doc, object, &explain);
    else
        yyjson_mut_obj_add_null(doc, object, "held");
    add_counts(doc, object, live ? &explain : NULL);
    report_number(doc, object, "tenant_weight", live, live ? explain.tenant_weight : 0);
    report_number(doc, object, "tenant_used_seconds", live, live ? explain.tenant_used_seconds : 0);
    if (live)
        explanation_slots(view, view->sched, doc, object, record->number, objective);
    else
        yyjson_mut_obj_add_arr(doc, object, "slots");
}

/* ---- a worker ---- */

static void add_slot_jobs(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                          const struct worker *worker, uint32_t slot)
{
    struct explain_slot explain;
    uint64_t shown = 0, open = 0;
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "jobs");
    for (size_t i = 0; i < jobs_count(view->jobs); i++) {
        const struct record *record = jobs_at(view->jobs, i);
        bool live = record->in_sched && record->state != RECORD_FINISHING &&
                    keyring_sees(view->viewer, record->tenant);
        open += live;
        if (!live || shown == JOBS_SHOWN_MAX ||
            !explain_slot(view->sched, record->number, worker->number, slot, &explain))
            continue;
        shown++;
        yyjson_mut_val *job = yyjson_mut_arr_add_obj(doc, array);
        yyjson_mut_obj_add_uint(doc, job, "job", record->number);
        report_text(doc, job, "name", record->name);
        report_text(doc, job, "state", record_state_name(record->state));
        enum submit_objective objective = (enum submit_objective)jobs_spec(view->jobs, record)->objective;
        add_place(view, view->sched, doc, job, record->number, &explain, objective);
    }
    yyjson_mut_obj_add_uint(doc, object, "jobs_more", open - shown);
}

static void add_slot(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *array,
                     const struct worker *worker, const struct message_slot *slot)
{
    struct sched_slot_look look = { 0 };
    bool live =
        view->sched && worker->serving && sched_slot_look(view->sched, worker->number, slot->slot, &look);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    yyjson_mut_obj_add_uint(doc, object, "slot", slot->slot);
    report_text(doc, object, "device", slot->device);
    report_text(doc, object, "runtime", slot->runtime);
    yyjson_mut_obj_add_uint(doc, object, "in_flight", look.in_flight);
    yyjson_mut_obj_add_uint(doc, object, "window", slot->window);
    report_step_time(view, doc, object, "barred_until", worker->barred_until_us[slot->slot]);
    report_run(view, doc, object, worker, slot->slot);
    if (live)
        add_slot_jobs(view, doc, object, worker, slot->slot);
    else
        yyjson_mut_obj_add_arr(doc, object, "jobs");
}

void explanation_worker(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct worker *worker)
{
    const struct message_hello *hello = worker_hello(view->roster, worker);
    report_uuid(doc, object, "id", worker->uuid);
    report_text(doc, object, "name", worker->name);
    report_text(doc, object, "state", roster_state_name(worker->state));
    yyjson_mut_obj_add_bool(doc, object, "draining", worker->draining);
    report_time(doc, object, "left_at", worker->left_us);
    yyjson_mut_val *slots = yyjson_mut_obj_add_arr(doc, object, "slots");
    for (uint32_t i = 0; i < hello->slots_count; i++)
        add_slot(view, doc, slots, worker, &hello->slots[i]);
}
