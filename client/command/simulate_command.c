// SPDX-License-Identifier: Apache-2.0
/* motley simulate: a job on a fleet in virtual time; the policies compared; the cheapest fleet in time. */
#include "buyer.h"
#include "clock.h"
#include "command.h"
#include "file.h"
#include "planner.h"
#include "simulate_view.h"
#include "table.h"
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLICIES_MAX = 8, SEED_ROWS_MAX = 25, LENGTH_DEFAULT = 60, LENGTH_MAX = 100000 };

static const uint64_t progress_every_us = 200000, progress_after_us = 600000;
static const double long_seconds = 20;

struct policy {
    bool motley;
    struct baseline baseline;
    char name[BASELINE_NAME_MAX];
};

struct options {
    const char *fleet, *seeds, *faults, *policy, *gantt, *workload, *objective, *rate;
    uint64_t samples, seed, deadline_us, length, operations, traffic, input_bytes;
    bool warm, compare, json, random_fleets;
};

struct simulate {
    struct options options;
    struct plan plan; /* what all runs share */
    struct fleet *fleet;
    struct catalog_workload workload;
    uint64_t seed_first, seed_last;
    double deadline_seconds; /* 0 = none */
    uint32_t policies_count;
    struct policy policies[POLICIES_MAX];
    bool shows_progress, line_shown;
    uint64_t began_us, shown_us;
    char now[64]; /* what is being simulated */
};

/* ---- options ---- */

static enum err parse_seed(const char *text, char **end, uint64_t *seed)
{
    errno = 0;
    *seed = strtoull(text, end, 10);
    return text[0] >= '0' && text[0] <= '9' && !errno ? ERR_OK : ERR_USAGE;
}

static enum err take_seeds(struct simulate *simulate, struct why *why)
{
    const struct options *options = &simulate->options;
    char *end = NULL;
    simulate->seed_first = simulate->seed_last = options->seed == UINT64_MAX ? 1 : options->seed;
    if (!options->seeds)
        return ERR_OK;
    if (options->seed != UINT64_MAX)
        return why_set(why, ERR_USAGE, "--seed and --seeds: give one of them");
    bool good = parse_seed(options->seeds, &end, &simulate->seed_first) == ERR_OK && end[0] == '.' &&
                end[1] == '.' && parse_seed(end + 2, &end, &simulate->seed_last) == ERR_OK && !*end &&
                simulate->seed_first <= simulate->seed_last && simulate->seed_last < UINT64_MAX;
    if (good)
        return ERR_OK;
    return why_set(why, ERR_USAGE, "--seeds %.60s: give the first and the last, such as 1..200",
                   options->seeds);
}

static enum err take_faults(struct simulate *simulate, struct why *why)
{
    static const char *const names[] = { "none", "mild", "harsh" };
    const char *text = simulate->options.faults;
    for (int i = 0; text && i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            simulate->plan.faults = (enum scenario_faults)i;
            return ERR_OK;
        }
    return text ? why_set(why, ERR_USAGE, "--faults %.60s: give none, mild or harsh", text) : ERR_OK;
}

static enum err take_objective(struct simulate *simulate, struct why *why)
{
    static const char *const names[] = { "fastest", "cheapest", "greenest" };
    const char *text = simulate->options.objective;
    for (int i = 0; text && i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            simulate->plan.objective = (enum sched_objective)i;
            return ERR_OK;
        }
    return text ? why_set(why, ERR_USAGE, "--objective %.60s: give fastest, cheapest or greenest", text)
                : ERR_OK;
}

static enum err add_policy(struct simulate *simulate, const char *text, struct why *why)
{
    struct policy *policy = &simulate->policies[simulate->policies_count];
    *policy = (struct policy){ .motley = strcmp(text, "motley") == 0 };
    if (!policy->motley && baseline_parse(text, &policy->baseline, why) != ERR_OK)
        return ERR_USAGE;
    if (policy->motley)
        snprintf(policy->name, sizeof policy->name, "motley");
    else
        baseline_name(&policy->baseline, policy->name);
    for (uint32_t i = 0; i < simulate->policies_count; i++)
        if (strcmp(simulate->policies[i].name, policy->name) == 0)
            return ERR_OK;
    simulate->policies_count++;
    return ERR_OK;
}

static enum err take_policies(struct simulate *simulate, struct why *why)
{
    static const char *const compared[] = { "motley", "equal", "pull:16", "pull:64", "actors:32" };
    const char *text = simulate->options.policy;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && simulate->options.compare && i < sizeof compared / sizeof *compared;
         i++)
        err = add_policy(simulate, compared[i], why);
    if (err == ERR_OK && (text || !simulate->options.compare))
        err = add_policy(simulate, text ? text : "motley", why);
    return err;
}

/* "2500", "0.5", "1.2M". */
static bool parse_rate(const char *text, double *rate)
{
    static const char units[] = "kMG";
    char *end;
    *rate = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    for (const char *at = units; unit && at <= unit; at++)
        *rate *= 1000;
    return end > text && (!*end || (unit && !end[1])) && *rate > 0 && *rate < 1e18;
}

static enum err take_deadline(struct simulate *simulate, struct why *why)
{
    const struct options *options = &simulate->options;
    bool by_time = options->deadline_us != UINT64_MAX;
    double rate = 0;
    if (by_time && options->rate)
        return why_set(why, ERR_USAGE, "--deadline and --rate: give one of them");
    if (by_time && options->deadline_us == 0)
        return why_set(
            why, ERR_USAGE,
            "--deadline 0: that is over before it begins; give a time such as 10m, counted from the "
            "job's submission");
    if (options->rate && !parse_rate(options->rate, &rate))
        return why_set(why, ERR_USAGE, "--rate %.60s: give samples a second, such as 2500, 0.5 or 1.2M",
                       options->rate);
    if (options->rate && options->samples == 0)
        return why_set(why, ERR_USAGE, "--rate: 0 samples have no rate; give some");
    if ((by_time || options->rate) && (options->compare || options->random_fleets))
        return why_set(why, ERR_USAGE, "--deadline and --rate are not for --compare or --random-fleets");
    simulate->deadline_seconds = by_time         ? (double)options->deadline_us / 1e6
                                 : options->rate ? (double)options->samples / rate
                                                 : 0;
    simulate->plan.deadline_seconds = simulate->deadline_seconds;
    return ERR_OK;
}

static enum err take_workload(struct simulate *simulate, struct why *why)
{
    const struct options *options = &simulate->options;
    const struct catalog_benchmark *benchmark = NULL;
    if (options->workload && (options->operations || options->traffic))
        return why_set(why, ERR_USAGE, "--workload and --operations-per-sample: give one of them");
    if (options->traffic && !options->operations)
        return why_set(why, ERR_USAGE, "--traffic-per-sample needs --operations-per-sample");
    if (options->workload && !(benchmark = catalog_find_benchmark(options->workload))) {
        char names[300] = "";
        const struct catalog_benchmark *all;
        size_t count = catalog_benchmarks(&all);
        for (size_t i = 0, used = 0; i < count && used < sizeof names - 40; i++)
            used +=
                (size_t)snprintf(names + used, sizeof names - used, "%s%.32s", i ? ", " : "", all[i].name);
        return why_set(why, ERR_USAGE,
                       "--workload %.60s: nobody published how fast devices are on it; there is %s; or give "
                       "--operations-per-sample (`motley model check` says them)",
                       options->workload, names);
    }
    simulate->workload = (struct catalog_workload){ .benchmark = benchmark ? benchmark->name : NULL,
                                                    .operations_per_sample = (double)options->operations,
                                                    .bytes_per_sample = (double)options->traffic };
    if (options->input_bytes != UINT64_MAX)
        simulate->plan.sample_bytes = (double)options->input_bytes;
    else if (benchmark && benchmark->input_bytes > 0)
        simulate->plan.sample_bytes = benchmark->input_bytes;
    return ERR_OK;
}

/* What goes with what. */
static enum err check_options(const struct simulate *simulate, struct why *why)
{
    const struct options *options = &simulate->options;
    if (options->random_fleets ? options->fleet != NULL : options->fleet == NULL)
        return why_set(why, ERR_USAGE, "%s: give --fleet FILE, or --random-fleets",
                       options->fleet ? "--fleet and --random-fleets" : "--fleet is missing");
    if (!options->random_fleets && options->samples == UINT64_MAX)
        return why_set(why, ERR_USAGE, "--samples is missing: say how many");
    if (!options->random_fleets && options->length != LENGTH_DEFAULT)
        return why_set(why, ERR_USAGE, "--length is for --random-fleets");
    if (options->length == 0 || options->length > LENGTH_MAX)
        return why_set(why, ERR_USAGE, "--length %" PRIu64 ": give 1 to %d batches", options->length,
                       LENGTH_MAX);
    if (options->gantt && (options->compare || simulate->seed_first != simulate->seed_last))
        return why_set(why, ERR_USAGE, "--gantt draws one run; leave --compare and --seeds out");
    return ERR_OK;
}

static enum err take_options(struct simulate *simulate, struct why *why)
{
    enum err (*const steps[])(struct simulate *, struct why *) = { take_seeds,     take_faults,
                                                                   take_objective, take_policies,
                                                                   take_deadline,  take_workload };
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < sizeof steps / sizeof steps[0]; i++)
        err = steps[i](simulate, why);
    if (err == ERR_OK)
        err = check_options(simulate, why);
    simulate->plan.samples = simulate->options.samples;
    simulate->plan.warm = simulate->options.warm;
    return err;
}

/* ---- progress ---- */

static void hide_progress(struct simulate *simulate)
{
    if (simulate->line_shown)
        fputs("\r\033[K", stderr);
    simulate->line_shown = false;
}

static bool is_time_to_show(struct simulate *simulate)
{
    uint64_t now_us = clock_monotonic_us();
    if (now_us - simulate->began_us < progress_after_us || now_us - simulate->shown_us < progress_every_us)
        return false;
    simulate->shown_us = now_us;
    simulate->line_shown = true;
    return true;
}

static void show_run(void *context, uint64_t kept, uint64_t batches)
{
    struct simulate *simulate = context;
    if (batches % 1024 != 0 || !is_time_to_show(simulate))
        return;
    double samples = simulate->plan.samples ? (double)simulate->plan.samples : 1;
    fprintf(stderr, "\r\033[Ksimulating%s: %.0f %% of the samples, %" PRIu64 " batches", simulate->now,
            100 * (double)kept / samples, batches);
}

/* Between short runs, of which none is long enough for a line of its own. */
static void show_seed(struct simulate *simulate)
{
    if (!simulate->shows_progress || simulate->seed_first == simulate->seed_last ||
        !is_time_to_show(simulate))
        return;
    fprintf(stderr, "\r\033[Ksimulating%s: %" PRIu64 " of %" PRIu64 " seeds done", simulate->now,
            simulate->plan.seed - simulate->seed_first, simulate->seed_last - simulate->seed_first + 1);
}

/* Once, before the first run. */
static void tell_estimate(const struct simulate *simulate)
{
    char text[64];
    double seeds = (double)(simulate->seed_last - simulate->seed_first) + 1;
    if (!simulate->shows_progress)
        return;
    double seconds = plan_estimate_seconds(&simulate->plan) * seeds * simulate->policies_count;
    if (seconds < long_seconds)
        return;
    simulate_duration(seconds, text, sizeof text);
    fprintf(stderr, "motley: simulating this will take about %s; Ctrl-C ends it\n", text);
}

static void show_search(void *context, uint32_t simulated, double cost)
{
    struct simulate *simulate = context;
    if (simulate->shows_progress && is_time_to_show(simulate))
        fprintf(stderr, "\r\033[Ksearching: %u fleets simulated, now at a cost of %.4g", simulated, cost);
}

/* ---- fleets ---- */

static enum err open_fleet(struct simulate *simulate, struct why *why)
{
    bool told = simulate->workload.benchmark || simulate->workload.operations_per_sample > 0;
    const struct fleet_reading reading = { .ranges = true, .workload = told ? &simulate->workload : NULL };
    enum err err = fleet_open(simulate->options.fleet, &reading, &simulate->fleet, why);
    if (err == ERR_NOT_FOUND) /* a device of the catalog: the file is at fault */
        err = ERR_USAGE;
    return err;
}

/* The fleet of this seed: the file's, or one drawn. */
static enum err choose_fleet(struct simulate *simulate, uint64_t seed, struct why *why)
{
    simulate->plan.seed = seed;
    if (simulate->options.random_fleets) {
        uint64_t samples;
        fleet_free(&simulate->fleet);
        enum err err =
            scenario_draw_fleet(seed, (uint32_t)simulate->options.length, &simulate->fleet, &samples, why);
        if (err != ERR_OK)
            return err;
        if (simulate->options.samples == UINT64_MAX)
            simulate->plan.samples = samples;
    }
    simulate->plan.fleet = simulate->fleet;
    return ERR_OK;
}

/* ---- one run ---- */

static enum err run_policy(struct simulate *simulate, const struct policy *policy,
                           struct plan_outcome *outcome, struct why *why)
{
    simulate->plan.baseline = policy->motley ? NULL : &policy->baseline;
    enum err err = plan_run(&simulate->plan, outcome, why);
    if (simulate->seed_first == simulate->seed_last)
        hide_progress(simulate);
    return err;
}

static bool is_good(const struct simulate *simulate, const struct plan_outcome *outcome)
{
    return outcome->finished && !outcome->reason[0] &&
           (simulate->deadline_seconds == 0 || outcome->makespan_seconds <= simulate->deadline_seconds);
}

static bool has_slow_links(const struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        if (fleet->groups[i].worker.link_mbit > 0)
            return true;
    return false;
}

static void print_run(const struct simulate *simulate, const struct plan_outcome *outcome)
{
    if (simulate->options.json) {
        yyjson_mut_doc *doc = simulate_json_run(&simulate->plan, outcome, simulate->deadline_seconds);
        tool_print_mut(doc);
        yyjson_mut_doc_free(doc);
        return;
    }
    simulate_view_run(&simulate->plan, outcome, stdout, tool_styled(stdout));
    simulate_view_deadline(simulate->deadline_seconds, outcome, stdout);
    if (simulate->plan.sample_bytes <= 0 && has_slow_links(simulate->fleet))
        puts("links       inputs count as empty; --input-bytes says how large a sample's are");
}

static int run_one(struct simulate *simulate, struct why *why)
{
    struct plan_outcome outcome;
    enum err err = choose_fleet(simulate, simulate->seed_first, why);
    if (err != ERR_OK)
        return tool_fail(err, why);
    tell_estimate(simulate);
    err = run_policy(simulate, &simulate->policies[0], &outcome, why);
    bool good = err == ERR_OK && is_good(simulate, &outcome);
    if (err == ERR_OK && simulate->options.gantt)
        err = plan_draw(&simulate->plan, &outcome, simulate->options.gantt, why);
    if (err == ERR_OK)
        print_run(simulate, &outcome);
    if (err == ERR_OK && outcome.reason[0])
        fprintf(stderr, "motley: %s\n", outcome.reason);
    plan_outcome_fini(&outcome);
    return err != ERR_OK ? tool_fail(err, why) : good ? MOTLEY_OK : MOTLEY_FAILED;
}

/* ---- many runs ---- */

struct tally_of_policy {
    uint64_t runs, unfinished, lost, duplicated;
    uint64_t rated, worst_seed; /* runs with a ratio to the bound */
    double ratios, worst;
    uint64_t paired; /* runs that motley finished too */
    double of_motley, worst_of_motley, makespan;
};

static void count_run(const struct simulate *simulate, const struct plan_outcome *outcome,
                      double motley_seconds, struct tally_of_policy *tally)
{
    tally->runs++;
    tally->lost += outcome->lost;
    tally->duplicated += outcome->duplicated;
    tally->unfinished += !outcome->finished;
    if (!outcome->finished)
        return;
    tally->makespan += outcome->makespan_seconds;
    double ratio = outcome->bound_seconds > 0 ? outcome->makespan_seconds / outcome->bound_seconds : 0;
    if (ratio > 0) {
        tally->rated++;
        tally->ratios += ratio;
        if (ratio > tally->worst) {
            tally->worst = ratio;
            tally->worst_seed = simulate->plan.seed;
        }
    }
    if (motley_seconds > 0) {
        double share = outcome->makespan_seconds / motley_seconds;
        tally->paired++;
        tally->of_motley += share;
        tally->worst_of_motley = share > tally->worst_of_motley ? share : tally->worst_of_motley;
    }
}

static void print_item(const struct simulate *simulate, const struct plan_outcome *outcome, bool *first)
{
    yyjson_mut_doc *doc = simulate_json_run(&simulate->plan, outcome, simulate->deadline_seconds);
    char *text = doc ? yyjson_mut_write(doc, 0, NULL) : NULL;
    printf("%s%s", *first ? "[\n" : ",\n", text ? text : "null");
    *first = false;
    free(text);
    yyjson_mut_doc_free(doc);
}

static void seed_row(struct table *table, const struct simulate *simulate, const struct plan_outcome *outcome)
{
    char span[64], bound[64];
    simulate_duration(outcome->makespan_seconds, span, sizeof span);
    simulate_duration(outcome->bound_seconds, bound, sizeof bound);
    table_row(table);
    table_cell(table, "%" PRIu64, simulate->plan.seed);
    table_cell(table, "%u", outcome->workers_count);
    table_cell(table, "%" PRIu64, simulate->plan.samples);
    table_cell(table, "%s", span);
    table_cell(table, "%s", bound);
    if (outcome->finished && outcome->bound_seconds > 0)
        table_cell(table, "%.4f", outcome->makespan_seconds / outcome->bound_seconds);
    else
        table_cell(table, "-");
    table_cell(table, "%" PRIu64, outcome->lost);
    table_cell(table, "%" PRIu64, outcome->duplicated);
    table_cell(table, "%" PRIu64, outcome->duplicates);
}

static struct table *seed_table(const struct simulate *simulate)
{
    static const struct table_column columns[] = { { "SEED", 1 },     { "WORKERS", 1 },    { "SAMPLES", 1 },
                                                   { "MAKESPAN", 1 }, { "BOUND", 1 },      { "RATIO", 1 },
                                                   { "LOST", 1 },     { "DUPLICATED", 1 }, { "TWICE", 1 } };
    bool wanted = !simulate->options.json && simulate->policies_count == 1 &&
                  simulate->seed_last - simulate->seed_first < SEED_ROWS_MAX;
    return wanted ? table_new(columns, sizeof columns / sizeof columns[0]) : NULL;
}

/* Every policy with this seed, on one fleet. */
static enum err run_seed(struct simulate *simulate, struct tally_of_policy *tallies, struct table *table,
                         bool *first, bool *good, struct why *why)
{
    double motley_seconds = 0;
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < simulate->policies_count; i++) {
        struct plan_outcome outcome;
        snprintf(simulate->now, sizeof simulate->now, " %s, seed %" PRIu64, simulate->policies[i].name,
                 simulate->plan.seed);
        show_seed(simulate);
        err = run_policy(simulate, &simulate->policies[i], &outcome, why);
        if (err == ERR_OK) {
            if (simulate->policies[i].motley && outcome.finished)
                motley_seconds = outcome.makespan_seconds;
            count_run(simulate, &outcome, motley_seconds, &tallies[i]);
            *good = *good && is_good(simulate, &outcome);
            if (simulate->options.json || outcome.reason[0])
                hide_progress(simulate);
            if (simulate->options.json)
                print_item(simulate, &outcome, first);
            if (table)
                seed_row(table, simulate, &outcome);
            if (outcome.reason[0])
                fprintf(stderr, "motley: %s, seed %" PRIu64 ": %s\n", simulate->policies[i].name,
                        simulate->plan.seed, outcome.reason);
        }
        plan_outcome_fini(&outcome);
    }
    return err;
}

static void mean_and_worst(struct table *table, bool many, uint64_t count, double sum, double worst)
{
    double mean = sum / (double)(count ? count : 1);
    table_cell(table, count ? "%.3f" : "-", mean);
    if (many)
        table_cell(table, count ? "%.3f" : "-", worst);
}

static void print_comparison(const struct simulate *simulate, const struct tally_of_policy *tallies)
{
    static const struct table_column one[] = { { "POLICY", 0 },
                                               { "MAKESPAN", 1 },
                                               { "OF THE BOUND", 1 },
                                               { "OF MOTLEY", 1 },
                                               { "NOT FINISHED", 1 } },
                                     several[] = { { "POLICY", 0 },       { "MEAN MAKESPAN", 1 },
                                                   { "OF THE BOUND", 1 }, { "WORST", 1 },
                                                   { "OF MOTLEY", 1 },    { "WORST", 1 },
                                                   { "NOT FINISHED", 1 } };
    bool many = simulate->seed_last > simulate->seed_first;
    struct table *table = many ? table_new(several, sizeof several / sizeof several[0])
                               : table_new(one, sizeof one / sizeof one[0]);
    for (uint32_t i = 0; table && i < simulate->policies_count; i++) {
        const struct tally_of_policy *tally = &tallies[i];
        uint64_t finished = tally->runs - tally->unfinished;
        char span[64];
        simulate_duration(finished ? tally->makespan / (double)finished : -1, span, sizeof span);
        table_row(table);
        table_cell(table, "%s", simulate->policies[i].name);
        table_cell(table, "%s", span);
        mean_and_worst(table, many, tally->rated, tally->ratios, tally->worst);
        mean_and_worst(table, many, tally->paired, tally->of_motley, tally->worst_of_motley);
        table_cell(table, "%" PRIu64, tally->unfinished);
    }
    if (table)
        table_print(table, stdout, tool_styled(stdout));
    table_free(&table);
}

static void print_summary(const struct tally_of_policy *tally)
{
    printf("ratio       ");
    if (tally->rated)
        printf("mean %.4f, worst %.4f (seed %" PRIu64 ")\n", tally->ratios / (double)tally->rated,
               tally->worst, tally->worst_seed);
    else
        puts("-");
    printf("samples     %" PRIu64 " lost, %" PRIu64 " duplicated; %" PRIu64 " of %" PRIu64 " runs finished\n",
           tally->lost, tally->duplicated, tally->runs - tally->unfinished, tally->runs);
}

static void print_many(const struct simulate *simulate, const struct tally_of_policy *tallies,
                       struct table *table)
{
    char wall[64], what[96];
    uint64_t runs = simulate->seed_last - simulate->seed_first + 1;
    static const char *const faults[] = { "no", "mild", "harsh" };
    if (simulate->options.random_fleets || !simulate->fleet)
        snprintf(what, sizeof what, "random fleets, %" PRIu64 " batches of the slowest slot",
                 simulate->options.length);
    else
        snprintf(what, sizeof what, "%s: %" PRIu64 " samples on %u workers", simulate->fleet->name,
                 simulate->plan.samples, simulate->fleet->workers_count);
    printf("%s, %s, %s faults, seeds %" PRIu64 "..%" PRIu64 "\n\n", what,
           simulate->plan.warm ? "curves known" : "cold start", faults[simulate->plan.faults],
           simulate->seed_first, simulate->seed_last);
    if (table)
        table_print(table, stdout, tool_styled(stdout));
    if (table)
        putchar('\n');
    if (simulate->policies_count > 1)
        print_comparison(simulate, tallies);
    else
        print_summary(&tallies[0]);
    simulate_duration((double)(clock_monotonic_us() - simulate->began_us) / 1e6, wall, sizeof wall);
    printf("%ssimulated   %" PRIu64 " run%s in %s\n", simulate->policies_count > 1 ? "\n" : "",
           runs * simulate->policies_count, runs * simulate->policies_count == 1 ? "" : "s", wall);
}

static int run_many(struct simulate *simulate, struct why *why)
{
    struct tally_of_policy tallies[POLICIES_MAX] = { { 0 } };
    struct table *table = seed_table(simulate);
    bool first = true, good = true;
    enum err err = ERR_OK;
    for (uint64_t seed = simulate->seed_first; err == ERR_OK && seed <= simulate->seed_last; seed++) {
        err = choose_fleet(simulate, seed, why);
        if (err == ERR_OK && seed == simulate->seed_first)
            tell_estimate(simulate);
        if (err == ERR_OK)
            err = run_seed(simulate, tallies, table, &first, &good, why);
    }
    hide_progress(simulate);
    if (simulate->options.json && !first)
        puts("\n]");
    if (!simulate->options.json && err == ERR_OK)
        print_many(simulate, tallies, table);
    table_free(&table);
    return err != ERR_OK ? tool_fail(err, why) : good ? MOTLEY_OK : MOTLEY_FAILED;
}

/* ---- the buyer's question ---- */

static enum err check_purchase(const struct simulate *simulate, struct why *why)
{
    const struct options *options = &simulate->options;
    if (simulate->deadline_seconds == 0)
        return why_set(
            why, ERR_USAGE,
            "%.200s: has a range of counts, to find the cheapest fleet that is fast enough: say how "
            "fast with --deadline TIME or --rate SAMPLES-A-SECOND",
            options->fleet);
    if (options->compare || !simulate->policies[0].motley)
        return why_set(why, ERR_USAGE,
                       "%.200s: has a range of counts; --compare and --policy need fixed ones",
                       options->fleet);
    if (options->objective && simulate->plan.objective == SCHED_FASTEST)
        return why_set(why, ERR_USAGE,
                       "--objective fastest: the fastest fleet of a range is all of it; give cheapest or "
                       "greenest");
    if (options->samples == 0)
        return why_set(why, ERR_USAGE, "--samples 0: needs no fleet at all");
    return ERR_OK;
}

static enum err draw_best(struct simulate *simulate, struct why *why)
{
    struct plan_outcome outcome;
    enum err err = choose_fleet(simulate, simulate->seed_first, why);
    if (err != ERR_OK)
        return err;
    err = run_policy(simulate, &simulate->policies[0], &outcome, why);
    if (err == ERR_OK)
        err = plan_draw(&simulate->plan, &outcome, simulate->options.gantt, why);
    plan_outcome_fini(&outcome);
    return err;
}

static void print_answer(const struct simulate *simulate, const struct buyer_question *question,
                         const struct buyer_answer *answer)
{
    if (!simulate->options.json) {
        simulate_view_answer(simulate->fleet, question, answer, stdout, tool_styled(stdout));
        return;
    }
    yyjson_mut_doc *doc = simulate_json_answer(simulate->fleet, question, answer);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

static int buy(struct simulate *simulate, struct why *why)
{
    struct buyer_question question = { .plan = simulate->plan,
                                       .seed_first = simulate->seed_first,
                                       .seed_last = simulate->seed_last,
                                       .deadline_seconds = simulate->deadline_seconds,
                                       .greenest = simulate->plan.objective == SCHED_GREENEST,
                                       .progress = show_search,
                                       .context = simulate };
    struct buyer_answer answer = { 0 };
    enum err err = check_purchase(simulate, why);
    question.plan.progress = NULL;
    /* What is bought is to be used fully: the objective chose the fleet, not the slots in it. */
    question.plan.objective = SCHED_FASTEST;
    question.plan.deadline_seconds = 0;
    if (err == ERR_OK)
        err = buyer_ask(simulate->fleet, &question, &answer, why);
    hide_progress(simulate);
    if (err == ERR_OK && simulate->options.gantt)
        err = draw_best(simulate, why);
    if (err == ERR_OK)
        print_answer(simulate, &question, &answer);
    bool found = answer.best.there;
    buyer_answer_fini(&answer);
    return err != ERR_OK ? tool_fail(err, why) : found ? MOTLEY_OK : MOTLEY_FAILED;
}

/* ---- the command ---- */

/* Find out before an hour of simulating. */
static enum err check_gantt(const char *path, struct why *why)
{
    char temporary[PATH_MAX + 32];
    int fd = -1;
    enum err err = file_begin(path, temporary, sizeof temporary, &fd, why);
    if (err == ERR_OK)
        file_discard(&fd, temporary);
    return err;
}

static int simulate_all(struct simulate *simulate)
{
    struct why why;
    enum err err = take_options(simulate, &why);
    if (err == ERR_OK && simulate->options.gantt)
        err = check_gantt(simulate->options.gantt, &why);
    if (err == ERR_OK && !simulate->options.random_fleets)
        err = open_fleet(simulate, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    simulate->began_us = clock_monotonic_us();
    simulate->shows_progress = isatty(2);
    if (simulate->shows_progress) {
        simulate->plan.progress = show_run;
        simulate->plan.context = simulate;
    }
    if (simulate->fleet && buyer_asks(simulate->fleet))
        return buy(simulate, &why);
    if (simulate->policies_count == 1 && simulate->seed_first == simulate->seed_last)
        return run_one(simulate, &why);
    return run_many(simulate, &why);
}

static const struct option_usage usage = {
    "motley simulate", "--fleet F --samples N [OPTION...]",
    "Run a job over a fleet in virtual time: the scheduler and the workers' agents are the real ones, "
    "devices, "
    "links and faults are imaginary. An hour takes a moment, nothing is started. It prints when the job "
    "would "
    "end, how near that is to the least possible time (the bound), what each device did, and what it costs "
    "in "
    "energy and money. Where the fleet file gives ranges (count: 1..20), it finds the cheapest fleet that "
    "keeps --deadline or --rate. One seed is one history, always the same.",
    "  motley simulate --fleet lab.yaml --samples 3000\n"
    "  motley simulate --fleet lab.yaml --samples 1M --workload resnet50 --gantt lab.svg\n"
    "  motley simulate --fleet lab.yaml --samples 3000 --compare      # against equal shares, queues, "
    "actors\n"
    "  motley simulate --fleet lab.yaml --samples 3000 --faults harsh --seeds 1..100\n"
    "  motley simulate --fleet shop.yaml --samples 10M --deadline 1h  # shop.yaml has count: 0..20\n"
    "  motley simulate --random-fleets --seeds 1..200 --compare       # how good is it on any fleet?\n"
};

int command_simulate(int argc, char **argv)
{
    struct simulate simulate = { .options = { .samples = UINT64_MAX,
                                              .seed = UINT64_MAX,
                                              .deadline_us = UINT64_MAX,
                                              .input_bytes = UINT64_MAX,
                                              .length = LENGTH_DEFAULT } };
    struct options *o = &simulate.options;
    int code;
    const struct option_row rows[] = {
        { "fleet", 'f', OPTION_TEXT, &o->fleet, "FILE", "a fleet file" },
        { "samples", 'n', OPTION_COUNT, &o->samples, "N", "how many samples the job has" },
        { "warm", 0, OPTION_FLAG, &o->warm, NULL, "the scheduler knows the devices' curves from the start" },
        { "seed", 0, OPTION_COUNT, &o->seed, "S", "of jitter, faults and weather (default 1)" },
        { "seeds", 0, OPTION_TEXT, &o->seeds, "A..B", "one run for each; mean and worst" },
        { "faults", 0, OPTION_TEXT, &o->faults, "none|mild|harsh",
          "what goes wrong besides the fleet file's faults: mild: a slot halves its speed and one dies; "
          "harsh: everything" },
        { "policy", 'p', OPTION_TEXT, &o->policy, "P",
          "motley, or equal, pull:B, actors:B: how others divide work (B samples at a time)" },
        { "compare", 0, OPTION_FLAG, &o->compare, NULL, "all policies on the same fleet, as a table" },
        { "gantt", 0, OPTION_TEXT, &o->gantt, "FILE.svg", "draw the run: a row per slot, a bar per batch" },
        { "workload", 'w', OPTION_TEXT, &o->workload, "NAME",
          "what devices of the catalog run (default resnet50)" },
        { "operations-per-sample", 0, OPTION_COUNT, &o->operations, "N",
          "a workload of your own: operations, as `motley model check` estimates them, ..." },
        { "traffic-per-sample", 0, OPTION_COUNT, &o->traffic, "BYTES",
          "... and bytes moved through the device's memory" },
        { "input-bytes", 0, OPTION_COUNT, &o->input_bytes, "BYTES",
          "of a sample's inputs, for links (default: the workload's; without one, 0)" },
        { "deadline", 'd', OPTION_DURATION, &o->deadline_us, "TIME",
          "the job must end within this; with ranges: find the cheapest fleet" },
        { "rate", 'r', OPTION_TEXT, &o->rate, "N", "the same as samples a second" },
        { "objective", 0, OPTION_TEXT, &o->objective, "fastest|cheapest|greenest",
          "of the job; with ranges: the least price (cheapest, the default) or watts (greenest) an hour" },
        { "random-fleets", 0, OPTION_FLAG, &o->random_fleets, NULL,
          "instead of --fleet: each seed draws one of 2 to 64 slots, up to 300 : 1" },
        { "length", 0, OPTION_COUNT, &o->length, "N",
          "with --random-fleets: the job is N batches of the slowest slot long (default 60)" },
        { "json", 0, OPTION_FLAG, &o->json, NULL, "print JSON for programs" },
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    code = simulate_all(&simulate);
    fleet_free(&simulate.fleet);
    return code;
}
