// SPDX-License-Identifier: Apache-2.0
#include "simulate_view.h"

#include "table.h"

#include <inttypes.h>

enum { TEXT_MAX = 64, ROWS_MAX = 40 };

static const char *const fault_names[] = { "none", "mild", "harsh" };

/* ---- figures as text ---- */

void simulate_duration(double seconds, char *text, size_t max)
{
    uint64_t whole = seconds < 0 ? 0 : seconds < 1e18 ? (uint64_t)seconds : (uint64_t)1e18;
    if (seconds < 0)
        snprintf(text, max, "-");
    else if (seconds < 0.01)
        snprintf(text, max, "%.3g ms", seconds * 1e3);
    else if (seconds < 120)
        snprintf(text, max, "%.4g s", seconds);
    else if (seconds < 7200)
        snprintf(text, max, "%" PRIu64 "m %02" PRIu64 "s", whole / 60, whole % 60);
    else
        snprintf(text, max, "%" PRIu64 "h %02" PRIu64 "m", whole / 3600, whole % 3600 / 60);
}

/* "12.3k", "4.56M" and so on; "-" for negative. */
static void short_number(double value, char text[TEXT_MAX])
{
    static const char units[] = " kMGTPE";
    int unit = 0;
    if (value < 0) {
        snprintf(text, TEXT_MAX, "-");
        return;
    }
    for (; value >= 9999.5 && unit < 6; unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(text, TEXT_MAX, "%.4g", value);
    else
        snprintf(text, TEXT_MAX, "%.4g%c", value, units[unit]);
}

static double per_million(double value, uint64_t samples)
{
    return value < 0 || samples == 0 ? -1 : value * 1e6 / (double)samples;
}

static double ratio_of(const struct plan_outcome *outcome)
{
    return outcome->makespan_seconds >= 0 && outcome->bound_seconds > 0
               ? outcome->makespan_seconds / outcome->bound_seconds
               : -1;
}

static void policy_name(const struct plan *plan, char name[BASELINE_NAME_MAX])
{
    if (plan->baseline)
        baseline_name(plan->baseline, name);
    else
        snprintf(name, BASELINE_NAME_MAX, "motley");
}

/* ---- a run, for people ---- */

struct sums { /* of a fleet's item */
    uint64_t samples, batches, busy_us, up_us;
    double energy_joules, cost;
};

static void add_known(double *sum, double value) { *sum = *sum < 0 || value < 0 ? -1 : *sum + value; }

static struct sums sum_group(const struct plan *plan, const struct plan_outcome *outcome, uint32_t first,
                             uint32_t count)
{
    struct sums sums = { 0 };
    for (uint32_t i = first; i < first + count; i++) {
        const struct world_worker_figures *figures = &outcome->workers[i];
        sums.samples += figures->samples;
        sums.batches += figures->batches;
        sums.busy_us += figures->busy_us;
        sums.up_us += figures->up_us;
        add_known(&sums.energy_joules, plan_worker_energy(&plan->fleet->workers[i], figures));
        add_known(&sums.cost, plan_worker_cost(&plan->fleet->workers[i], figures));
    }
    return sums;
}

static void group_row(struct table *table, const struct plan *plan, const struct fleet_group *group,
                      const struct sums *sums)
{
    char energy[TEXT_MAX], cost[TEXT_MAX];
    double samples = plan->samples ? (double)plan->samples : 1, up = sums->up_us ? (double)sums->up_us : 1;
    short_number(sums->energy_joules, energy);
    short_number(sums->cost, cost);
    table_row(table);
    table_cell(table, "%s", group->worker.name);
    table_cell(table, "%u", group->count);
    table_cell(table, "%s", group->worker.kind);
    table_cell(table, "%s", group->worker.device ? group->worker.device->name : "-");
    table_cell(table, "%.4g", fleet_worker_rate(plan->fleet, &group->worker));
    table_cell(table, "%" PRIu64, sums->samples);
    table_cell(table, "%.1f %%", 100 * (double)sums->samples / samples);
    table_cell(table, "%" PRIu64, sums->batches);
    table_cell(table, "%.1f %%", 100 * (double)sums->busy_us / up);
    table_cell(table, "%s", energy);
    table_cell(table, "%s", cost);
}

static void view_groups(const struct plan *plan, const struct plan_outcome *outcome, FILE *stream,
                        bool styled)
{
    static const struct table_column columns[] = { { "ITEM", 0 },   { "COUNT", 1 },   { "KIND", 0 },
                                                   { "DEVICE", 0 }, { "RATE/S", 1 },  { "SAMPLES", 1 },
                                                   { "SHARE", 1 },  { "BATCHES", 1 }, { "BUSY", 1 },
                                                   { "JOULES", 1 }, { "COST", 1 } };
    const struct fleet *fleet = plan->fleet;
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    uint32_t shown = fleet->groups_count < ROWS_MAX ? fleet->groups_count : ROWS_MAX;
    for (uint32_t i = 0, first = 0; table && i < shown; first += fleet->groups[i++].count) {
        struct sums sums = sum_group(plan, outcome, first, fleet->groups[i].count);
        group_row(table, plan, &fleet->groups[i], &sums);
    }
    if (table)
        table_print(table, stream, styled);
    table_free(&table);
    if (shown < fleet->groups_count)
        fprintf(stream, "and %u more items; --json lists every worker\n", fleet->groups_count - shown);
}

static void view_makespan(const struct plan *plan, const struct plan_outcome *outcome, FILE *stream)
{
    char span[TEXT_MAX], bound[TEXT_MAX], rate[TEXT_MAX];
    double ratio = ratio_of(outcome);
    simulate_duration(outcome->makespan_seconds, span, sizeof span);
    simulate_duration(outcome->bound_seconds, bound, sizeof bound);
    if (!outcome->finished)
        fprintf(stream, "makespan    not finished: %s\n", outcome->reason);
    else if (ratio >= 0)
        fprintf(stream, "makespan    %s, %.4f of the bound of %s\n", span, ratio, bound);
    else
        fprintf(stream, "makespan    %s\n", span);
    short_number(outcome->makespan_seconds > 0 ? (double)outcome->done / outcome->makespan_seconds : -1,
                 rate);
    fprintf(stream,
            "samples     %s a second; %" PRIu64 " lost, %" PRIu64 " duplicated, %" PRIu64 " failed; %" PRIu64
            " computed twice (%.2f %%)\n",
            rate, outcome->lost, outcome->duplicated, outcome->failed, outcome->duplicates,
            plan->samples ? 100 * (double)outcome->duplicates / (double)plan->samples : 0.0);
}

static void view_totals(const struct plan_outcome *outcome, FILE *stream)
{
    char total[TEXT_MAX], million[TEXT_MAX], hour[TEXT_MAX], whole[TEXT_MAX];
    if (outcome->energy_joules >= 0 && outcome->done) {
        short_number(outcome->energy_joules, total);
        short_number(per_million(outcome->energy_joules, outcome->done), million);
        fprintf(stream, "energy      %s J; %s J per million samples\n", total, million);
    }
    if (outcome->cost >= 0 && outcome->done) {
        short_number(outcome->cost, total);
        short_number(per_million(outcome->cost, outcome->done), million);
        short_number(outcome->price_per_hour, hour);
        short_number(outcome->fleet_cost, whole);
        fprintf(stream,
                "money       %s while batches ran, %s per million samples; %s for the whole fleet at %s an "
                "hour\n",
                total, million, whole, hour);
    }
    simulate_duration(outcome->wall_seconds, total, sizeof total);
    fprintf(stream, "simulated   in %s: %" PRIu64 " batches, %" PRIu64 " events, trace %016" PRIx64 "\n",
            total, outcome->batches, outcome->events, outcome->trace_hash);
}

void simulate_view_run(const struct plan *plan, const struct plan_outcome *outcome, FILE *stream, bool styled)
{
    char policy[BASELINE_NAME_MAX];
    policy_name(plan, policy);
    fprintf(stream, "%s: %" PRIu64 " samples on %u worker%s, policy %s, %s%s faults, seed %" PRIu64 "\n\n",
            plan->fleet->name, plan->samples, outcome->workers_count, outcome->workers_count == 1 ? "" : "s",
            policy,
            plan->baseline ? ""
            : plan->warm   ? "curves known, "
                           : "cold start, ",
            plan->faults == SCENARIO_NONE ? "no" : fault_names[plan->faults], plan->seed);
    view_groups(plan, outcome, stream, styled);
    fputc('\n', stream);
    view_makespan(plan, outcome, stream);
    view_totals(outcome, stream);
    if (outcome->finished && outcome->reason[0])
        fprintf(stream, "WRONG       %s\n", outcome->reason);
}

void simulate_view_deadline(double deadline_seconds, const struct plan_outcome *outcome, FILE *stream)
{
    char deadline[TEXT_MAX], spare[TEXT_MAX];
    double left = deadline_seconds - outcome->makespan_seconds;
    if (deadline_seconds <= 0 || !outcome->finished)
        return;
    simulate_duration(deadline_seconds, deadline, sizeof deadline);
    simulate_duration(left < 0 ? -left : left, spare, sizeof spare);
    fprintf(stream, "deadline    %s: %s by %s\n", deadline, left < 0 ? "missed" : "met", spare);
}

/* ---- a run, as JSON ---- */

static void add_real(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, double value)
{
    if (value >= 0)
        yyjson_mut_obj_add_real(doc, object, key, value);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

/* Names live as long as the fleet, which outlives the document. */
static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    if (text)
        yyjson_mut_obj_add_str(doc, object, key, text);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

static void add_worker(yyjson_mut_doc *doc, yyjson_mut_val *array, const struct fleet_worker *worker,
                       const struct world_worker_figures *figures)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    double up = (double)figures->up_us, busy = (double)figures->busy_us;
    add_text(doc, object, "name", worker->name);
    add_text(doc, object, "kind", worker->kind);
    add_text(doc, object, "device", worker->device ? worker->device->name : NULL);
    yyjson_mut_obj_add_uint(doc, object, "samples", figures->samples);
    yyjson_mut_obj_add_uint(doc, object, "batches", figures->batches);
    yyjson_mut_obj_add_uint(doc, object, "duplicate_samples", figures->duplicates);
    add_real(doc, object, "busy_seconds", busy / 1e6);
    add_real(doc, object, "up_seconds", up / 1e6);
    add_real(doc, object, "utilization", up > 0 ? busy / up : -1);
    add_real(doc, object, "energy_joules", plan_worker_energy(worker, figures));
    add_real(doc, object, "cost", plan_worker_cost(worker, figures));
}

static void add_workers(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct plan *plan,
                        const struct plan_outcome *outcome)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "per_worker");
    for (uint32_t i = 0; i < outcome->workers_count; i++)
        add_worker(doc, array, &plan->fleet->workers[i], &outcome->workers[i]);
}

static void add_what(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct plan *plan)
{
    char policy[BASELINE_NAME_MAX];
    policy_name(plan, policy);
    yyjson_mut_obj_add_strcpy(doc, root, "fleet", plan->fleet->name);
    yyjson_mut_obj_add_strcpy(doc, root, "policy", policy);
    yyjson_mut_obj_add_uint(doc, root, "seed", plan->seed);
    add_text(doc, root, "faults", fault_names[plan->faults]);
    yyjson_mut_obj_add_bool(doc, root, "warm", plan->warm);
}

static void add_result(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct plan *plan,
                       const struct plan_outcome *outcome)
{
    char hash[24];
    uint64_t samples = plan->samples;
    yyjson_mut_obj_add_bool(doc, root, "finished", outcome->finished);
    if (outcome->reason[0])
        yyjson_mut_obj_add_strcpy(doc, root, "reason", outcome->reason);
    else
        yyjson_mut_obj_add_null(doc, root, "reason");
    add_real(doc, root, "makespan_seconds", outcome->makespan_seconds);
    add_real(doc, root, "bound_seconds", outcome->bound_seconds);
    add_real(doc, root, "ratio", ratio_of(outcome));
    add_real(doc, root, "samples_per_second",
             outcome->makespan_seconds > 0 ? (double)outcome->done / outcome->makespan_seconds : -1);
    add_real(doc, root, "duplicate_ratio", samples ? (double)outcome->duplicates / (double)samples : -1);
    yyjson_mut_obj_add_uint(doc, root, "lost", outcome->lost);
    yyjson_mut_obj_add_uint(doc, root, "duplicated", outcome->duplicated);
    yyjson_mut_obj_add_uint(doc, root, "failed", outcome->failed);
    yyjson_mut_obj_add_uint(doc, root, "batches", outcome->batches);
    yyjson_mut_obj_add_uint(doc, root, "events", outcome->events);
    add_real(doc, root, "wall_seconds", outcome->wall_seconds);
    snprintf(hash, sizeof hash, "%016" PRIx64, outcome->trace_hash);
    yyjson_mut_obj_add_strcpy(doc, root, "trace_hash", hash);
    add_real(doc, root, "energy_joules", outcome->energy_joules);
    add_real(doc, root, "joules_per_million_samples", per_million(outcome->energy_joules, outcome->done));
    add_real(doc, root, "cost", outcome->cost);
    add_real(doc, root, "cost_per_million_samples", per_million(outcome->cost, outcome->done));
    add_real(doc, root, "price_per_hour", outcome->price_per_hour);
    add_real(doc, root, "fleet_cost", outcome->fleet_cost);
}

yyjson_mut_doc *simulate_json_run(const struct plan *plan, const struct plan_outcome *outcome,
                                  double deadline_seconds)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    if (!root)
        return doc;
    yyjson_mut_doc_set_root(doc, root);
    add_what(doc, root, plan);
    yyjson_mut_obj_add_uint(doc, root, "workers", outcome->workers_count);
    yyjson_mut_obj_add_uint(doc, root, "samples", plan->samples);
    add_result(doc, root, plan, outcome);
    if (deadline_seconds > 0) {
        bool meets = outcome->finished && outcome->makespan_seconds <= deadline_seconds;
        add_real(doc, root, "deadline_seconds", deadline_seconds);
        yyjson_mut_obj_add_bool(doc, root, "meets_deadline", meets);
    }
    add_workers(doc, root, plan, outcome);
    return doc;
}

/* ---- the buyer's answer ---- */

static const char *const currencies[] = {
    [BUYER_PRICE] = "price an hour", [BUYER_WATTS] = "watts", [BUYER_WORKERS] = "workers"
};

static void offer_row(struct table *table, const char *what, const struct fleet *fleet,
                      const struct buyer_question *question, const struct buyer_offer *offer)
{
    char span[TEXT_MAX], cost[TEXT_MAX], joules[TEXT_MAX], hourly[TEXT_MAX];
    uint64_t samples = question->plan.samples;
    double spare = question->deadline_seconds - offer->makespan_seconds;
    if (!offer->there)
        return;
    simulate_duration(offer->finished ? offer->makespan_seconds : -1, span, sizeof span);
    short_number(per_million(offer->cost, samples), cost);
    short_number(per_million(offer->energy_joules, samples), joules);
    short_number(offer->hourly, hourly);
    table_row(table);
    table_cell(table, "%s", what);
    for (uint32_t i = 0, columns = 0; i < fleet->groups_count && columns < TABLE_COLUMNS_MAX - 7; i++)
        if (fleet->groups[i].count_min < fleet->groups[i].count_max) {
            table_cell(table, "%u", offer->counts[i]);
            columns++;
        }
    table_cell(table, "%s", hourly);
    table_cell(table, "%s", span);
    char margin[TEXT_MAX];
    simulate_duration(spare < 0 ? -spare : spare, margin, sizeof margin);
    table_cell(table, "%s%s", margin, spare < 0 ? " late" : " spare");
    table_cell(table, "%s", cost);
    table_cell(table, "%s", joules);
}

/* What was chosen, the runner-up, and what fails: a column per range. */
static void view_offers(const struct fleet *fleet, const struct buyer_question *question,
                        const struct buyer_answer *answer, FILE *stream, bool styled)
{
    static const char *const hourly[] = { "PRICE/H", "WATTS", "WORKERS" };
    struct table_column columns[TABLE_COLUMNS_MAX] = { { "", 0 } };
    size_t count = 1;
    for (uint32_t i = 0; i < fleet->groups_count && count < TABLE_COLUMNS_MAX - 6; i++)
        if (fleet->groups[i].count_min < fleet->groups[i].count_max)
            columns[count++] = (struct table_column){ fleet->groups[i].worker.name, 1 };
    columns[count++] = (struct table_column){ hourly[answer->currency], 1 };
    columns[count++] = (struct table_column){ "MAKESPAN", 1 };
    columns[count++] = (struct table_column){ "MARGIN", 1 };
    columns[count++] = (struct table_column){ "COST/M", 1 };
    columns[count++] = (struct table_column){ "JOULES/M", 1 };
    struct table *table = table_new(columns, count);
    if (!table)
        return;
    offer_row(table, "best", fleet, question, &answer->best);
    offer_row(table, "runner-up", fleet, question, &answer->runner_up);
    offer_row(table, answer->best.there ? "too slow" : "nearest", fleet, question, &answer->near);
    table_print(table, stream, styled);
    table_free(&table);
}

static void view_choice(const struct fleet *fleet, const struct buyer_offer *best, FILE *stream)
{
    const char *comma = "";
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        if (best->counts[i] == 0)
            continue;
        fprintf(stream, "%s%u %s", comma, best->counts[i], fleet->groups[i].worker.name);
        comma = ", ";
    }
}

void simulate_view_answer(const struct fleet *fleet, const struct buyer_question *question,
                          const struct buyer_answer *answer, FILE *stream, bool styled)
{
    char deadline[TEXT_MAX];
    simulate_duration(question->deadline_seconds, deadline, sizeof deadline);
    fprintf(stream, "%s: %" PRIu64 " samples within %s (%.4g a second), least %s\n\n", fleet->name,
            question->plan.samples, deadline, (double)question->plan.samples / question->deadline_seconds,
            currencies[answer->currency]);
    if (answer->best.there) {
        fputs("buy         ", stream);
        view_choice(fleet, &answer->best, stream);
        fputs("\n\n", stream);
    } else {
        fputs("buy         nothing: no fleet within these counts is in time\n\n", stream);
    }
    view_offers(fleet, question, answer, stream, styled);
    if (answer->currency != (question->greenest ? BUYER_WATTS : BUYER_PRICE))
        fprintf(stream, "\n%s not every ranged item has %s: the least %s is sought instead\n",
                question->greenest ? "watts      " : "price      ",
                question->greenest ? "busy watts" : "price_per_hour", currencies[answer->currency]);
    fprintf(stream, "\nsearched    %.4g combinations: %u simulated, the others settled by the bound; %s\n",
            answer->combinations, answer->simulated,
            !answer->exhaustive  ? "not exhaustive: a cheaper one may exist"
            : answer->best.there ? "nothing cheaper is in time"
                                 : "none is in time");
    fputs("COST/M and JOULES/M are per million samples, of the whole fleet while the job runs.\n", stream);
}

static void add_counts(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct fleet *fleet,
                       const struct buyer_offer *offer)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "counts");
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        const struct fleet_worker *worker = &fleet->groups[i].worker;
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, array);
        add_text(doc, item, "name", worker->name);
        add_text(doc, item, "kind", worker->kind);
        add_text(doc, item, "device", worker->device ? worker->device->name : NULL);
        yyjson_mut_obj_add_uint(doc, item, "count", offer->counts[i]);
    }
}

static void add_offer(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const struct fleet *fleet,
                      const struct buyer_question *question, const struct buyer_offer *offer)
{
    uint64_t samples = question->plan.samples;
    if (!offer->there) {
        yyjson_mut_obj_add_null(doc, root, key);
        return;
    }
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, root, key);
    double late = offer->makespan_seconds - question->deadline_seconds;
    yyjson_mut_obj_add_uint(doc, object, "workers", offer->workers);
    add_counts(doc, object, fleet, offer);
    add_real(doc, object, "makespan_seconds", offer->finished ? offer->makespan_seconds : -1);
    add_real(doc, object, "bound_seconds", offer->bound_seconds);
    add_real(doc, object, "late_seconds", !offer->finished ? -1 : late > 0 ? late : 0);
    add_real(doc, object, "price_per_hour", offer->price_per_hour);
    add_real(doc, object, "cost", offer->cost);
    add_real(doc, object, "cost_per_million_samples", per_million(offer->cost, samples));
    add_real(doc, object, "energy_joules", offer->energy_joules);
    add_real(doc, object, "joules_per_million_samples", per_million(offer->energy_joules, samples));
}

yyjson_mut_doc *simulate_json_answer(const struct fleet *fleet, const struct buyer_question *question,
                                     const struct buyer_answer *answer)
{
    static const char *const names[] = { "price_per_hour", "busy_watts", "workers" };
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    if (!root)
        return doc;
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_strcpy(doc, root, "fleet", fleet->name);
    yyjson_mut_obj_add_uint(doc, root, "samples", question->plan.samples);
    add_real(doc, root, "deadline_seconds", question->deadline_seconds);
    add_real(doc, root, "rate_samples_per_second",
             (double)question->plan.samples / question->deadline_seconds);
    add_text(doc, root, "least", names[answer->currency]);
    yyjson_mut_obj_add_bool(doc, root, "exhaustive", answer->exhaustive);
    if (answer->combinations < 1e18) /* 12 ranges may be more than any integer */
        yyjson_mut_obj_add_uint(doc, root, "combinations", (uint64_t)answer->combinations);
    else
        add_real(doc, root, "combinations", answer->combinations);
    yyjson_mut_obj_add_uint(doc, root, "simulated", answer->simulated);
    add_offer(doc, root, "best", fleet, question, &answer->best);
    add_offer(doc, root, "runner_up", fleet, question, &answer->runner_up);
    add_offer(doc, root, answer->best.there ? "too_slow" : "nearest", fleet, question, &answer->near);
    return doc;
}
