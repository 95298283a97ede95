// SPDX-License-Identifier: Apache-2.0
/* From published results to a curve.
 *
 * MLPerf publishes two points of a curve: Offline, the rate with as large batches as one likes, which is
 * 1/beta; and the latency of one sample alone, which is alpha + beta. Where only one sample at a time was
 * measured, batches of one are all that is known to work: alpha is 0 and batch_max 1. Where only Offline was,
 * alpha is that of the middle device of the same kind, because fixed costs are alike (0.2 to 1.7 ms with
 * ResNet-50 on all GPUs measured) while rates differ by a factor of 30.
 *
 * Systems of several devices: Offline divides by their number, a single sample's latency does not. */
#include "catalog.h"

#include "catalog_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 64, MIDDLE_MAX = 256, NEAREST_COUNT = 3 };

static const double FULL_RATE_SLACK = 0.02;

size_t catalog_devices(const struct catalog_device **devices)
{
    *devices = catalog_device_rows;
    return catalog_device_rows_count;
}

size_t catalog_benchmarks(const struct catalog_benchmark **benchmarks)
{
    *benchmarks = catalog_benchmark_rows;
    return catalog_benchmark_rows_count;
}

size_t catalog_results(const struct catalog_result **results)
{
    *results = catalog_result_rows;
    return catalog_result_rows_count;
}

/* ---- names ---- */

/* The next word of a list between spaces, or false. */
static bool next_word(const char **list, char word[NAME_MAX_BYTES])
{
    *list += strspn(*list, " ");
    size_t length = strcspn(*list, " ");
    snprintf(word, NAME_MAX_BYTES, "%.*s", (int)length, *list);
    *list += length;
    return length > 0;
}

static bool is_called(const char *name, const char *own, const char *aliases)
{
    char alias[NAME_MAX_BYTES];
    if (strcmp(name, own) == 0)
        return true;
    while (next_word(&aliases, alias))
        if (strcmp(name, alias) == 0)
            return true;
    return false;
}

const struct catalog_device *catalog_find(const char *name)
{
    for (size_t i = 0; i < catalog_device_rows_count; i++)
        if (is_called(name, catalog_device_rows[i].name, catalog_device_rows[i].aliases))
            return &catalog_device_rows[i];
    return NULL;
}

const struct catalog_benchmark *catalog_find_benchmark(const char *name)
{
    for (size_t i = 0; i < catalog_benchmark_rows_count; i++)
        if (is_called(name, catalog_benchmark_rows[i].name, catalog_benchmark_rows[i].aliases))
            return &catalog_benchmark_rows[i];
    return NULL;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein's distance of the first NAME_MAX_BYTES - 1 bytes; case does not count. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES], b_length = least(strlen(b), NAME_MAX_BYTES - 1);
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] && i < NAME_MAX_BYTES; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t changed = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

/* A piece of a name is as good as a slip of one letter. */
static size_t distance_to(const char *name, const struct catalog_device *device)
{
    char alias[NAME_MAX_BYTES];
    size_t nearest = distance(name, device->name);
    if (name[0] && strcasestr(device->name, name))
        nearest = least(nearest, 1);
    for (const char *rest = device->aliases; next_word(&rest, alias);)
        nearest = least(nearest, distance(name, alias));
    return nearest;
}

void catalog_nearest(const char *name, char text[CATALOG_NEAREST_MAX])
{
    const struct catalog_device *near[NEAREST_COUNT] = { catalog_device_rows, catalog_device_rows,
                                                         catalog_device_rows };
    size_t distances[NEAREST_COUNT], used = 0;
    for (size_t i = 0; i < catalog_device_rows_count; i++) {
        size_t here = distance_to(name, &catalog_device_rows[i]), at = least(used, NEAREST_COUNT - 1);
        if (used == NEAREST_COUNT && here >= distances[at])
            continue;
        for (; at > 0 && distances[at - 1] > here; at--) {
            near[at] = near[at - 1];
            distances[at] = distances[at - 1];
        }
        near[at] = &catalog_device_rows[i];
        distances[at] = here;
        used += used < NEAREST_COUNT;
    }
    snprintf(text, CATALOG_NEAREST_MAX, "%.64s, %.64s, %.64s", near[0]->name, near[1]->name, near[2]->name);
}

/* ---- results ---- */

/* What is published of a device on a benchmark, for one device. */
struct measured {
    double rate;                         /* samples per second at the full rate */
    double latency_ms;                   /* of one sample; negative = not published */
    bool offline;                        /* false: the rate is one sample at a time */
    const struct catalog_result *result; /* that set the rate */
};

static double per_device(const struct catalog_result *result)
{
    bool divides = result->quantity == CATALOG_OFFLINE || result->quantity == CATALOG_POWER_RUN_WATTS ||
                   result->quantity == CATALOG_POWER_RUN_RATE;
    return divides ? result->value / result->devices : result->value;
}

/* The best that anybody has shown: a later round is often another submitter's first try. */
static bool is_better(const struct catalog_result *result, const struct catalog_result *than)
{
    bool less = result->quantity == CATALOG_SINGLE_MS || result->quantity == CATALOG_JOULES;
    if (than == NULL)
        return true;
    return less ? per_device(result) < per_device(than) : per_device(result) > per_device(than);
}

static const struct catalog_result *find_result(const struct catalog_device *device, const char *benchmark,
                                                enum catalog_quantity quantity)
{
    size_t place = (size_t)(device - catalog_device_rows);
    const struct catalog_result *best = NULL;
    for (unsigned i = catalog_result_firsts[place]; i < catalog_result_firsts[place + 1]; i++) {
        const struct catalog_result *result = &catalog_result_rows[i];
        if (result->quantity == quantity && strcmp(result->benchmark, benchmark) == 0 &&
            is_better(result, best))
            best = result;
    }
    return best;
}

/* Another quantity of the very run of result. */
static const struct catalog_result *find_beside(const struct catalog_result *result,
                                                enum catalog_quantity quantity)
{
    for (size_t i = 0; i < catalog_result_rows_count; i++) {
        const struct catalog_result *other = &catalog_result_rows[i];
        if (other->quantity == quantity && other->order == result->order &&
            strcmp(other->device, result->device) == 0 && strcmp(other->system, result->system) == 0 &&
            strcmp(other->benchmark, result->benchmark) == 0)
            return other;
    }
    return NULL;
}

static bool measure(const struct catalog_device *device, const char *benchmark, struct measured *measured)
{
    const struct catalog_result *offline = find_result(device, benchmark, CATALOG_OFFLINE);
    const struct catalog_result *latency = find_result(device, benchmark, CATALOG_SINGLE_MS);
    const struct catalog_result *single = find_result(device, benchmark, CATALOG_SINGLE_RATE);
    const struct catalog_result *first = offline ? offline : latency ? latency : single;
    if (first == NULL)
        return false;
    *measured = (struct measured){ .latency_ms = latency  ? latency->value
                                                 : single ? 1000 / single->value
                                                          : -1,
                                   .offline = offline != NULL,
                                   .result = first };
    measured->rate = offline ? per_device(offline) : 1000 / measured->latency_ms;
    return true;
}

/* A system of such devices that was measured. */
static const struct catalog_device *find_system(const struct catalog_device *device, const char *benchmark)
{
    for (size_t i = 0; i < catalog_device_rows_count; i++) {
        const struct catalog_device *system = &catalog_device_rows[i];
        if (strcmp(system->part, device->name) == 0 &&
            find_result(system, benchmark, CATALOG_OFFLINE) != NULL)
            return system;
    }
    return NULL;
}

/* Its own results, or those of its system or its parts. *from is the row that they belong to. */
static bool measure_any(const struct catalog_device *device, const char *benchmark, struct measured *measured,
                        const struct catalog_device **from)
{
    struct measured of_part;
    const struct catalog_device *part = device->part[0] ? catalog_find(device->part) : NULL;
    bool part_is_measured = part != NULL && measure(part, benchmark, &of_part);
    *from = device;
    if (measure(device, benchmark, measured)) {
        if (measured->latency_ms < 0 && part_is_measured)
            measured->latency_ms = of_part.latency_ms;
        return true;
    }
    if (part_is_measured) {
        *from = part;
        *measured = of_part;
        measured->rate *= device->parts;
        return true;
    }
    *from = find_system(device, benchmark);
    if (*from == NULL || !measure(*from, benchmark, measured))
        return false;
    measured->rate /= (*from)->parts;
    return true;
}

/* ---- what devices of a kind have in common ---- */

double catalog_peak(const struct catalog_device *device)
{
    double rates[] = { device->int8_ops_per_second, device->fp16_ops_per_second, device->bf16_ops_per_second,
                       device->fp32_ops_per_second },
           peak = 0;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        peak = rates[i] > peak ? rates[i] : peak;
    if (peak <= 0 && device->int4_ops_per_second > 0)
        peak = device->int4_ops_per_second;
    return peak > 0 ? peak : -1;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(double *values, size_t count)
{
    if (count == 0)
        return -1;
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double alpha_of(const struct measured *measured)
{
    double alpha_ms = measured->latency_ms - 1000 / measured->rate;
    return alpha_ms > 0 ? alpha_ms : 0;
}

/* Negative if no device of that kind has both figures. */
static double alpha_of_kind(const char *kind, const char *benchmark)
{
    double alphas[MIDDLE_MAX];
    size_t count = 0;
    struct measured measured;
    for (size_t i = 0; i < catalog_device_rows_count && count < MIDDLE_MAX; i++) {
        const struct catalog_device *device = &catalog_device_rows[i];
        if (strcmp(device->kind, kind) == 0 && measure(device, benchmark, &measured) && measured.offline &&
            measured.latency_ms >= 0)
            alphas[count++] = alpha_of(&measured);
    }
    return middle(alphas, count);
}

/* Of peak; kind NULL = of all. Negative if none is known. */
static double share_of_kind(const char *kind, const struct catalog_benchmark *benchmark)
{
    double shares[MIDDLE_MAX];
    size_t count = 0;
    struct measured measured;
    if (benchmark->operations_per_sample <= 0)
        return -1;
    for (size_t i = 0; i < catalog_device_rows_count && count < MIDDLE_MAX; i++) {
        const struct catalog_device *device = &catalog_device_rows[i];
        double peak = catalog_peak(device);
        if ((kind == NULL || strcmp(device->kind, kind) == 0) && peak > 0 &&
            measure(device, benchmark->name, &measured))
            shares[count++] = benchmark->operations_per_sample * measured.rate / peak;
    }
    return middle(shares, count);
}

/* Operations per second that the device achieves on the benchmarks whose operations are known. */
static double achieved_by(const struct catalog_device *device)
{
    double rates[MIDDLE_MAX];
    size_t count = 0;
    struct measured measured;
    const struct catalog_device *from;
    for (size_t i = 0; i < catalog_benchmark_rows_count && count < MIDDLE_MAX; i++) {
        const struct catalog_benchmark *benchmark = &catalog_benchmark_rows[i];
        if (benchmark->operations_per_sample > 0 && measure_any(device, benchmark->name, &measured, &from))
            rates[count++] = benchmark->operations_per_sample * measured.rate;
    }
    return middle(rates, count);
}

/* ---- the prior ---- */

static uint32_t batch_for(double alpha_ms, double beta_ms)
{
    uint32_t batch = CATALOG_BATCH_LEAST;
    while (batch < CATALOG_BATCH_MOST && alpha_ms > FULL_RATE_SLACK * beta_ms * batch)
        batch *= 2;
    return batch;
}

static void set_alpha(const char *kind, const char *benchmark, struct catalog_prior *prior)
{
    double alpha_ms = alpha_of_kind(kind, benchmark);
    if (alpha_ms < 0)
        alpha_ms = alpha_of_kind(kind, CATALOG_DEFAULT_BENCHMARK);
    prior->alpha_is_estimated = true;
    prior->alpha_ms = alpha_ms > 0 ? alpha_ms : 0;
}

static bool from_results(const struct catalog_device *device, const char *benchmark,
                         struct catalog_prior *prior)
{
    struct measured measured;
    const struct catalog_device *from;
    if (!measure_any(device, benchmark, &measured, &from))
        return false;
    prior->origin = from == device ? CATALOG_PUBLISHED : CATALOG_PARTS;
    prior->source = measured.result->source;
    prior->result = measured.result;
    prior->beta_ms = 1000 / measured.rate;
    if (measured.latency_ms >= 0)
        prior->alpha_ms = measured.offline ? alpha_of(&measured) : 0;
    else
        set_alpha(device->kind, benchmark, prior);
    prior->batch_max = measured.offline ? batch_for(prior->alpha_ms, prior->beta_ms) : 1;
    return true;
}

static bool from_operations(const struct catalog_device *device, const struct catalog_benchmark *like,
                            const struct catalog_workload *workload, struct catalog_prior *prior)
{
    double achieved = achieved_by(device), peak = catalog_peak(device);
    prior->origin = achieved > 0 ? CATALOG_SCALED : CATALOG_ROOFLINE;
    if (achieved <= 0 && peak > 0) {
        double share = share_of_kind(device->kind, like);
        achieved = peak * (share > 0 ? share : share_of_kind(NULL, like));
    }
    if (achieved <= 0)
        return false;
    prior->source = device->source;
    prior->beta_ms = 1000 * workload->operations_per_sample / achieved;
    double moving_ms = 1000 * workload->bytes_per_sample / device->bandwidth_bytes_per_second;
    if (workload->bytes_per_sample > 0 && moving_ms > prior->beta_ms)
        prior->beta_ms = moving_ms;
    set_alpha(device->kind, like->name, prior);
    prior->batch_max = batch_for(prior->alpha_ms, prior->beta_ms);
    return true;
}

/* Joules of the device alone, of the run that set the rate or else the least. */
static const struct catalog_result *find_joules(const struct catalog_device *device, const char *benchmark,
                                                const struct catalog_prior *prior)
{
    const struct catalog_result *beside = prior->result ? find_beside(prior->result, CATALOG_JOULES) : NULL;
    return beside ? beside : find_result(device, benchmark, CATALOG_JOULES);
}

/* A device's own energy was measured with this very load, so it goes before the data sheet's power. */
static void set_energy(const struct catalog_device *device, const char *benchmark,
                       struct catalog_prior *prior)
{
    const struct catalog_result *joules = find_joules(device, benchmark, prior);
    const struct catalog_result *watts = find_result(device, benchmark, CATALOG_POWER_RUN_WATTS);
    const struct catalog_result *rate = watts ? find_beside(watts, CATALOG_POWER_RUN_RATE) : NULL;
    if (joules != NULL)
        prior->energy_joules_per_sample = joules->value;
    else if (rate != NULL)
        prior->energy_joules_per_sample = watts->value / rate->value;
    if (joules != NULL)
        prior->busy_watts = joules->value * 1000 / prior->beta_ms;
    else if (device->power_watts >= 0)
        prior->busy_watts = device->power_watts;
    else if (watts != NULL)
        prior->busy_watts = per_device(watts);
}

static enum err refuse(const struct catalog_device *device, const struct catalog_workload *workload,
                       const struct catalog_benchmark *benchmark, struct why *why)
{
    if (benchmark != NULL && workload->operations_per_sample <= 0)
        return why_set(
            why, ERR_UNSUPPORTED,
            "%s: no result is published for %s, nor how many operations a sample of it takes; give "
            "curve: { alpha_ms: ..., beta_ms: ... }",
            device->name, benchmark->name);
    return why_set(why, ERR_UNSUPPORTED,
                   "%s: neither a rate in operations per second nor a result%s%s is published; give curve: { "
                   "alpha_ms: ..., beta_ms: ... }",
                   device->name, benchmark ? " for " : "", benchmark ? benchmark->name : "");
}

static double positive(double value) { return value > 0 ? value : 0; }

enum err catalog_prior(const struct catalog_device *device, const struct catalog_workload *workload,
                       struct catalog_prior *prior, struct why *why)
{
    struct catalog_workload wanted = *workload;
    const struct catalog_benchmark *benchmark =
        wanted.benchmark ? catalog_find_benchmark(wanted.benchmark) : NULL;
    const struct catalog_benchmark *like =
        benchmark ? benchmark : catalog_find_benchmark(CATALOG_DEFAULT_BENCHMARK);
    *prior = (struct catalog_prior){ .energy_joules_per_sample = -1, .share = -1, .busy_watts = -1 };
    if (wanted.benchmark != NULL && benchmark == NULL)
        return why_set(why, ERR_USAGE, "%.64s: no such benchmark in the catalog; see docs/fleet-files.md",
                       wanted.benchmark);
    if (benchmark != NULL) {
        wanted.operations_per_sample = positive(benchmark->operations_per_sample);
        wanted.bytes_per_sample = positive(benchmark->input_bytes);
        prior->benchmark = benchmark->name;
    }
    if ((benchmark == NULL || !from_results(device, benchmark->name, prior)) &&
        (wanted.operations_per_sample <= 0 || !from_operations(device, like, &wanted, prior)))
        return refuse(device, &wanted, benchmark, why);
    if (benchmark != NULL)
        set_energy(device, benchmark->name, prior);
    else
        prior->busy_watts = device->power_watts;
    double peak = catalog_peak(device);
    if (peak > 0 && wanted.operations_per_sample > 0)
        prior->share = wanted.operations_per_sample * 1000 / prior->beta_ms / peak;
    return ERR_OK;
}

const char *catalog_origin_name(enum catalog_origin origin)
{
    static const char *const names[] = { "published", "parts", "scaled", "roofline" };
    return names[origin];
}
