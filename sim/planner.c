// SPDX-License-Identifier: Apache-2.0
#include "planner.h"

#include "clock.h"
#include "gantt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double batches_per_second = 250000; /* simulated; for the refusal and the estimate */
static const double heartbeats_max = 4e6;        /* in one run: a large fleet's are further apart */
static const double blind_batches = 200000, blind_workers = 512;

/* One run of the world, for its callbacks. */
struct running {
    const struct plan *plan;
    struct plan_outcome *outcome;
    uint64_t kept, batches;
    struct gantt *gantt;    /* when drawing, ... */
    const uint32_t *row_of; /* ... per worker: its row, UINT32_MAX = none */
};

/* ---- what the world asks and tells ---- */

static void on_add(void *context, uint32_t job, struct sched_event *add)
{
    const struct running *running = context;
    (void)job;
    add->add.objective = running->plan->objective;
    add->add.deadline_us = (uint64_t)(running->plan->deadline_seconds * 1e6);
}

static void on_hello(void *context, uint32_t worker, uint32_t slot, struct sched_slot_info *info)
{
    const struct running *running = context;
    const struct fleet_worker *from = &running->plan->fleet->workers[worker];
    (void)slot;
    info->busy_watts = from->busy_watts;
    info->price_per_hour = from->price_per_hour;
}

static void draw_run(const struct running *running, const struct world_run *run)
{
    uint32_t row = running->row_of[run->worker];
    if (row != UINT32_MAX)
        gantt_bar(running->gantt, row, run->start_us, run->end_us, run->first, run->kept > 0);
}

static void on_run(void *context, const struct world_run *run)
{
    struct running *running = context;
    if (running->gantt) {
        draw_run(running, run);
        return;
    }
    running->kept += run->kept;
    running->batches++;
    if (run->kept > 0 && run->end_us > running->outcome->last_us[run->worker])
        running->outcome->last_us[run->worker] = run->end_us;
    if (running->plan->progress)
        running->plan->progress(running->plan->context, running->kept, running->batches);
}

/* ---- a run ---- */

static struct world_config configure(const struct scenario *scenario, struct running *running)
{
    const struct plan *plan = running->plan;
    double workers = plan->fleet->workers_count;
    double span_us = scenario->bound_us > 0 ? scenario->bound_us : (double)scenario->last_change_us;
    double heartbeat_us = workers * span_us / heartbeats_max;
    struct world_config config = { .seed = plan->seed,
                                   .devices = scenario->devices,
                                   .devices_count = scenario->devices_count,
                                   .jobs_count = 1,
                                   .samples = &scenario->samples,
                                   .weather = scenario->weather,
                                   .context = running,
                                   .on_add = on_add,
                                   .on_hello = on_hello,
                                   .on_run = on_run,
                                   .workers = running->outcome->workers };
    config.blind = scenario->batches > blind_batches || workers > blind_workers;
    config.heartbeat_us = heartbeat_us > 1e6 ? (uint64_t)heartbeat_us : 1000000;
    config.silence_us = 3 * config.heartbeat_us;
    config.steps_max = (uint64_t)(50e6 + 60 * scenario->batches + 1000 * workers);
    /* A fleet that can never finish is watched for a minute after the last that happens to it. */
    if (scenario->bound_us < 0)
        config.until_us = scenario->last_change_us + 60000000 + 10 * config.silence_us;
    return config;
}

static bool run_once(const struct scenario *scenario, struct running *running, struct world_report *report)
{
    const struct world_config config = configure(scenario, running);
    if (running->plan->baseline)
        return baseline_run(running->plan->baseline, &config, report);
    world_run(&config, report);
    return true;
}

/* As an option takes it, rounded down: "290M". */
static void print_count(double value, char *text, size_t max)
{
    static const char *const units[] = { "", "k", "M", "G", "T" };
    size_t unit = 0;
    for (; value >= 10000 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1000;
    snprintf(text, max, "%.0f%s", value < 1 ? 1 : value - 0.5, units[unit]);
}

static enum err check_size(const struct plan *plan, const struct scenario *scenario, struct why *why)
{
    if (scenario->batches <= PLAN_BATCHES_MAX)
        return ERR_OK;
    double hours = scenario->batches / batches_per_second / 3600, most = PLAN_BATCHES_MAX / scenario->batches;
    char limit[32];
    print_count(most * (double)plan->samples, limit, sizeof limit);
    return why_set(why, ERR_LIMIT,
                   "--samples %" PRIu64
                   ": are about %.2g batches on this fleet, some %.*f hours of simulating; "
                   "give at most %s (the ratio to the bound is settled long before), or a larger batch_max",
                   plan->samples, scenario->batches, hours < 10 ? 1 : 0, hours, limit);
}

static enum err allocate(const struct plan *plan, struct plan_outcome *outcome, struct why *why)
{
    size_t workers = (size_t)plan->fleet->workers_count + 1;
    outcome->workers_count = plan->fleet->workers_count;
    outcome->workers = calloc(workers, sizeof *outcome->workers);
    outcome->last_us = calloc(workers, sizeof *outcome->last_us);
    return outcome->workers && outcome->last_us
               ? ERR_OK
               : why_set(why, ERR_MEMORY, "no memory for the figures of %u workers", outcome->workers_count);
}

double plan_worker_cost(const struct fleet_worker *worker, const struct world_worker_figures *figures)
{
    return worker->price_per_hour < 0 ? -1 : worker->price_per_hour * (double)figures->busy_us / 3.6e9;
}

double plan_worker_energy(const struct fleet_worker *worker, const struct world_worker_figures *figures)
{
    /* What it drew while it was up and idle, if nobody says how much that is? */
    bool only_idle = worker->idle_watts < 0 && figures->busy_us == 0;
    return worker->busy_watts > 0 && !only_idle ? figures->energy_joules : -1;
}

static void add_known(double *sum, double value) { *sum = *sum < 0 || value < 0 ? -1 : *sum + value; }

static void sum_up(const struct plan *plan, struct plan_outcome *outcome)
{
    outcome->energy_joules = outcome->cost = outcome->price_per_hour = 0;
    for (uint32_t i = 0; i < outcome->workers_count; i++) {
        const struct fleet_worker *worker = &plan->fleet->workers[i];
        add_known(&outcome->cost, plan_worker_cost(worker, &outcome->workers[i]));
        /* The total is of batches alone where idle watts are not known: who ran none adds nothing to it. */
        add_known(&outcome->energy_joules, worker->busy_watts > 0 ? outcome->workers[i].energy_joules : -1);
        add_known(&outcome->price_per_hour, worker->price_per_hour);
    }
    if (outcome->price_per_hour >= 0 && outcome->makespan_seconds >= 0)
        outcome->fleet_cost = outcome->price_per_hour * outcome->makespan_seconds / 3600;
}

/* Is there a worker left that neither died nor hangs? */
static bool somebody_lives(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < scenario->devices_count; i++) {
        const struct world_device *device = &scenario->devices[i];
        bool lives = true;
        for (uint32_t f = 0; f < device->faults_count; f++)
            lives = lives && device->faults[f].type == WORLD_THROTTLE;
        if (lives)
            return true;
    }
    return false;
}

static void give_reason(const struct plan *plan, const struct scenario *scenario,
                        const struct world_report *report, struct plan_outcome *outcome)
{
    char *reason = outcome->reason;
    if (report->violation[0])
        snprintf(reason, PLAN_REASON_MAX, "a rule was broken: %s", report->violation);
    else if (!report->finished && !somebody_lives(scenario))
        snprintf(reason, PLAN_REASON_MAX,
                 "nobody is left alive: every worker died or hung, %" PRIu64 " of %" PRIu64
                 " samples were done by then",
                 outcome->done, plan->samples);
    else if (!report->finished)
        snprintf(reason, PLAN_REASON_MAX,
                 "gave up after %" PRIu64 " events with %" PRIu64 " of %" PRIu64 " samples done",
                 report->events, outcome->done, plan->samples);
    else if (report->lost || report->doubled)
        snprintf(reason, PLAN_REASON_MAX, "%" PRIu64 " samples were lost and %" PRIu64 " duplicated",
                 report->lost, report->doubled);
}

static void take_report(const struct plan *plan, const struct scenario *scenario,
                        const struct world_report *report, struct plan_outcome *outcome)
{
    outcome->finished = report->finished;
    outcome->lost = report->lost;
    outcome->duplicated = report->doubled;
    outcome->failed = report->failed;
    outcome->done = plan->samples - report->lost - report->failed;
    outcome->duplicates = report->duplicates;
    outcome->batches = report->batches;
    outcome->events = report->events;
    outcome->trace_hash = report->trace_hash;
    outcome->makespan_seconds = report->finished ? (double)report->makespan_us / 1e6 : -1;
    outcome->bound_seconds = scenario->bound_us < 0 ? -1 : scenario->bound_us / 1e6;
    if (plan->faults == SCENARIO_NONE)
        outcome->bound_seconds = fleet_bound_seconds(plan->fleet, plan->samples);
    give_reason(plan, scenario, report, outcome);
    sum_up(plan, outcome);
}

static enum err make_scenario(const struct plan *plan, struct scenario *scenario, struct why *why)
{
    return scenario_init(scenario, plan->fleet, plan->samples, plan->warm, plan->faults, plan->sample_bytes,
                         plan->seed, why);
}

double plan_estimate_seconds(const struct plan *plan)
{
    struct scenario scenario;
    struct why why;
    double seconds = -1;
    if (make_scenario(plan, &scenario, &why) == ERR_OK && scenario.batches <= PLAN_BATCHES_MAX)
        seconds = scenario.batches / batches_per_second;
    scenario_fini(&scenario);
    return seconds;
}

enum err plan_run(const struct plan *plan, struct plan_outcome *outcome, struct why *why)
{
    struct scenario scenario;
    struct world_report report;
    struct running running = { .plan = plan, .outcome = outcome };
    *outcome = (struct plan_outcome){ .makespan_seconds = -1, .bound_seconds = -1, .fleet_cost = -1 };
    uint64_t began_us = clock_monotonic_us();
    enum err err = make_scenario(plan, &scenario, why);
    if (err == ERR_OK)
        err = check_size(plan, &scenario, why);
    if (err == ERR_OK)
        err = allocate(plan, outcome, why);
    if (err == ERR_OK && !run_once(&scenario, &running, &report))
        err = why_set(why, ERR_MEMORY, "no memory to simulate %u workers", outcome->workers_count);
    if (err == ERR_OK)
        take_report(plan, &scenario, &report, outcome);
    scenario_fini(&scenario);
    outcome->wall_seconds = (double)(clock_monotonic_us() - began_us) / 1e6;
    return err;
}

void plan_outcome_fini(struct plan_outcome *outcome)
{
    free(outcome->workers);
    free(outcome->last_us);
    outcome->workers = NULL;
    outcome->last_us = NULL;
}

/* ---- the picture ---- */

struct drawing {
    struct gantt_picture picture;
    struct gantt_row rows[GANTT_ROWS_MAX];
    struct gantt_mark *marks;
    uint32_t chosen[GANTT_ROWS_MAX]; /* workers, ascending */
    uint32_t *row_of;
    char title[256], subtitle[256], note[256];
    char abouts[GANTT_ROWS_MAX][64];
};

/* A worker that something befell is worth a row, then one that ended late. */
struct rank {
    bool eventful;
    uint64_t last_us;
    uint32_t worker;
};

static int by_interest(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->eventful != y->eventful)
        return x->eventful ? -1 : 1;
    if (x->last_us != y->last_us)
        return x->last_us > y->last_us ? -1 : 1;
    return (x->worker > y->worker) - (x->worker < y->worker);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The most eventful take half of the rows at most. */
static void limit_eventful(struct rank *ranks, uint32_t count)
{
    uint32_t eventful = 0;
    for (uint32_t i = 0; i < count; i++) {
        eventful += ranks[i].eventful;
        if (eventful > GANTT_ROWS_MAX / 2)
            ranks[i].eventful = false;
    }
}

static bool choose_rows(const struct scenario *scenario, const struct plan_outcome *outcome,
                        struct drawing *drawing)
{
    uint32_t count = outcome->workers_count;
    struct rank *ranks = calloc((size_t)count + 1, sizeof *ranks);
    drawing->row_of = malloc(((size_t)count + 1) * sizeof *drawing->row_of);
    for (uint32_t i = 0; ranks && i < count; i++)
        ranks[i] = (struct rank){ scenario->devices[outcome->workers[i].device].faults_count > 0,
                                  outcome->last_us[i], i };
    if (!ranks || !drawing->row_of) {
        free(ranks);
        return false;
    }
    qsort(ranks, count, sizeof *ranks, by_interest);
    limit_eventful(ranks, count);
    qsort(ranks, count, sizeof *ranks, by_interest);
    uint32_t rows = count < GANTT_ROWS_MAX ? count : GANTT_ROWS_MAX;
    for (uint32_t i = 0; i < rows; i++)
        drawing->chosen[i] = ranks[i].worker;
    free(ranks);
    qsort(drawing->chosen, rows, sizeof *drawing->chosen, by_number);
    memset(drawing->row_of, 0xFF, ((size_t)count + 1) * sizeof *drawing->row_of);
    for (uint32_t i = 0; i < rows; i++)
        drawing->row_of[drawing->chosen[i]] = i;
    drawing->picture.rows_count = rows;
    return true;
}

static uint64_t fill_rows(const struct plan *plan, const struct scenario *scenario,
                          const struct plan_outcome *outcome, struct drawing *drawing)
{
    struct gantt_mark *mark = drawing->marks;
    uint64_t last_us = 0;
    for (uint32_t i = 0; i < drawing->picture.rows_count; i++) {
        uint32_t worker = drawing->chosen[i];
        const struct world_worker_figures *figures = &outcome->workers[worker];
        const struct world_device *device = &scenario->devices[figures->device];
        struct gantt_row *row = &drawing->rows[i];
        snprintf(drawing->abouts[i], sizeof drawing->abouts[i], "%" PRIu64 " samples, %.0f %% busy",
                 figures->samples,
                 figures->up_us ? 100 * (double)figures->busy_us / (double)figures->up_us : 0.0);
        *row = (struct gantt_row){ .name = plan->fleet->workers[worker].name,
                                   .about = drawing->abouts[i],
                                   .joins_us = device->joins_us,
                                   .load_us = device->load_us,
                                   .marks = mark,
                                   .marks_count = device->faults_count };
        for (uint32_t f = 0; f < device->faults_count; f++, mark++) {
            const struct world_fault *fault = &device->faults[f];
            mark->at_us = device->joins_us + fault->at_us;
            mark->kind = fault->type == WORLD_THROTTLE ? GANTT_SPEED
                         : fault->type == WORLD_HANGS  ? GANTT_HANGS
                                                       : GANTT_DIES;
            mark->factor = fault->factor;
        }
        last_us = outcome->last_us[worker] > last_us ? outcome->last_us[worker] : last_us;
    }
    return last_us;
}

static void write_texts(const struct plan *plan, const struct plan_outcome *outcome, struct drawing *drawing)
{
    static const char *const faults[] = { "no faults", "mild faults", "harsh faults" };
    char policy[BASELINE_NAME_MAX] = "motley", ratio[48] = "", finish[48] = "not finished";
    if (plan->baseline)
        baseline_name(plan->baseline, policy);
    if (outcome->finished)
        snprintf(finish, sizeof finish, "makespan %.4g s", outcome->makespan_seconds);
    if (outcome->finished && outcome->bound_seconds > 0)
        snprintf(ratio, sizeof ratio, ", %.4f of the bound",
                 outcome->makespan_seconds / outcome->bound_seconds);
    snprintf(drawing->title, sizeof drawing->title, "%s: %" PRIu64 " samples on %u worker%s, %s%s",
             plan->fleet->name, plan->samples, outcome->workers_count, outcome->workers_count == 1 ? "" : "s",
             finish, ratio);
    snprintf(drawing->subtitle, sizeof drawing->subtitle,
             "policy %s, %s, %s, seed %" PRIu64 "; %" PRIu64 " batches, %" PRIu64 " samples computed twice; "
             "simulated by Motley",
             policy,
             plan->baseline ? "every batch size known"
             : plan->warm   ? "curves known"
                            : "cold start",
             faults[plan->faults], plan->seed, outcome->batches, outcome->duplicates);
    if (outcome->workers_count > drawing->picture.rows_count)
        snprintf(
            drawing->note, sizeof drawing->note,
            "%u of %u workers are shown: those that something befell (half of the rows at most), and those "
            "that ended last",
            drawing->picture.rows_count, outcome->workers_count);
}

static enum err prepare_drawing(const struct plan *plan, const struct scenario *scenario,
                                const struct plan_outcome *outcome, struct drawing *drawing, struct why *why)
{
    size_t marks = 0;
    bool good = choose_rows(scenario, outcome, drawing);
    for (uint32_t i = 0; good && i < drawing->picture.rows_count; i++)
        marks += scenario->devices[outcome->workers[drawing->chosen[i]].device].faults_count;
    good = good && (drawing->marks = calloc(marks + 1, sizeof *drawing->marks)) != NULL;
    if (!good)
        return why_set(why, ERR_MEMORY, "no memory for the picture");
    uint64_t last_us = fill_rows(plan, scenario, outcome, drawing);
    write_texts(plan, outcome, drawing);
    struct gantt_picture *picture = &drawing->picture;
    picture->title = drawing->title;
    picture->subtitle = drawing->subtitle;
    picture->note = drawing->note[0] ? drawing->note : NULL;
    picture->rows = drawing->rows;
    picture->samples = plan->samples;
    picture->bound_us = outcome->bound_seconds < 0 ? -1 : outcome->bound_seconds * 1e6;
    picture->finish_us = outcome->finished ? (uint64_t)(outcome->makespan_seconds * 1e6) : 0;
    picture->end_us = outcome->finished ? picture->finish_us : last_us;
    if (picture->bound_us > (double)picture->end_us)
        picture->end_us = (uint64_t)picture->bound_us;
    if (picture->end_us == 0)
        picture->end_us = 1;
    return ERR_OK;
}

enum err plan_draw(const struct plan *plan, const struct plan_outcome *outcome, const char *path,
                   struct why *why)
{
    struct scenario scenario;
    struct world_report report;
    struct drawing *drawing = calloc(1, sizeof *drawing);
    struct gantt *gantt = NULL;
    enum err err = make_scenario(plan, &scenario, why);
    if (err == ERR_OK && !drawing)
        err = why_set(why, ERR_MEMORY, "no memory for the picture");
    if (err == ERR_OK)
        err = prepare_drawing(plan, &scenario, outcome, drawing, why);
    if (err == ERR_OK && !(gantt = gantt_new(&drawing->picture)))
        err = why_set(why, ERR_MEMORY, "no memory for the picture");
    /* The figures of the first run are written once more, the same. */
    struct plan_outcome same = *outcome;
    struct running running = { .plan = plan, .outcome = &same, .gantt = gantt };
    running.row_of = drawing ? drawing->row_of : NULL;
    if (err == ERR_OK && !run_once(&scenario, &running, &report))
        err = why_set(why, ERR_MEMORY, "no memory to simulate");
    if (err == ERR_OK)
        err = gantt_write(gantt, path, why);
    gantt_free(&gantt);
    scenario_fini(&scenario);
    if (drawing) {
        free(drawing->marks);
        free(drawing->row_of);
    }
    free(drawing);
    return err;
}
