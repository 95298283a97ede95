// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include "document.h"
#include "file.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 << 20, BATCH_MAX_MAX = 1 << 20 };

static const double seconds_max = 1e9;

static const char *const kinds[] = { "cpu", "gpu", "tpu", "npu", "fpga", "dsp", "mcu", "remote" };

/* One item of `workers:`, which stands for count workers. */
struct item {
    struct fleet_worker worker;
    bool counted; /* `count:` was given: names are numbered */
    uint32_t count;
};

/* The fleet while its items are added. */
struct draft {
    struct fleet *fleet;
    size_t capacity;
};

/* Their logs stand beside those of the workers. */
static bool is_reserved(const char *name)
{
    return strcmp(name, "coordinator") == 0 || strcmp(name, "supervisor") == 0;
}

/* A name goes into file names, command lines and logs. */
static void read_name(struct document *in, const yaml_node_t *node, void *into)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct item *item = into;
    char *name = item->worker.name;
    document_text(in, node, name, FLEET_NAME_MAX);
    if (name[strspn(name, allowed)] || name[0] == '.' || name[0] == '-')
        document_fail(in, ERR_FORMAT, node, "'%s' is no name; use letters, digits, '-', '_' and '.'", name);
    else if (is_reserved(name))
        document_fail(in, ERR_FORMAT, node,
                      "'%s' is the name of one of a fleet's own processes; give another", name);
}

static void read_device(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    document_text(in, node, item->worker.device, FLEET_NAME_MAX);
    document_fail(in, ERR_UNSUPPORTED, node,
                  "'%s': this version has no device catalog; give kind and curve instead",
                  item->worker.device);
}

static void read_count(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    if (node->type == YAML_SCALAR_NODE && strstr((const char *)node->data.scalar.value, ".."))
        document_fail(in, ERR_FORMAT, node,
                      "'%.64s' is a range; ranges are not in this version, give one whole number",
                      (const char *)node->data.scalar.value);
    item->count = (uint32_t)document_count(in, node, 1, FLEET_WORKERS_MAX);
    item->counted = true;
}

static void read_kind(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    char kind[FLEET_NAME_MAX];
    const size_t count = sizeof kinds / sizeof kinds[0];
    document_text(in, node, kind, sizeof kind);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            memcpy(item->worker.kind, kinds[i], strlen(kinds[i]) + 1);
            return;
        }
    }
    const char *nearest = options_nearest(kind, kinds, count);
    document_fail(in, ERR_FORMAT, node, "unknown kind '%s'; %s%s", kind,
                  nearest ? "did you mean " : "use cpu gpu tpu npu fpga dsp mcu or remote",
                  nearest ? nearest : "");
}

static void read_local(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.local = document_bool(in, node);
}

static void read_alpha(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_curve *curve = into;
    curve->alpha_ms = document_number(in, node, 0, 1e9);
}

static void read_beta(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_curve *curve = into;
    curve->beta_ms = document_number(in, node, 0, 1e9);
}

static void read_batch_max(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_curve *curve = into;
    curve->batch_max = (uint32_t)document_count(in, node, 1, BATCH_MAX_MAX);
}

static void read_curve(struct document *in, const yaml_node_t *node, void *into)
{
    static const struct document_key keys[] = {
        { "alpha_ms", read_alpha }, { "beta_ms", read_beta }, { "batch_max", read_batch_max }, { NULL, NULL }
    };
    struct item *item = into;
    document_mapping(in, node, keys, &item->worker.curve);
    if (!document_find(in, node, "alpha_ms") || !document_find(in, node, "beta_ms"))
        document_fail(in, ERR_FORMAT, node,
                      "needs both alpha_ms and beta_ms: a batch of b samples takes alpha + beta*b");
    else if (item->worker.curve.alpha_ms + item->worker.curve.beta_ms <= 0)
        document_fail(in, ERR_FORMAT, node, "alpha_ms and beta_ms are both 0; a batch cannot take no time");
    item->worker.has_curve = true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void read_sizes(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_worker *worker = &((struct item *)into)->worker;
    worker->sizes_count = (uint32_t)document_items(in, node, FLEET_SIZES_MAX);
    if (worker->sizes_count == 0)
        document_fail(in, ERR_FORMAT, node,
                      "is empty; name at least one size, or leave it out for every size");
    for (uint32_t i = 0; i < worker->sizes_count; i++)
        worker->sizes[i] = (uint32_t)document_count(in, document_item(in, node, i), 1, BATCH_MAX_MAX);
    qsort(worker->sizes, worker->sizes_count, sizeof worker->sizes[0], by_number);
    for (uint32_t i = 1; i < worker->sizes_count; i++)
        if (worker->sizes[i] == worker->sizes[i - 1])
            document_fail(in, ERR_FORMAT, node, "names the size %u twice", worker->sizes[i]);
}

static void read_load(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.load_seconds = document_number(in, node, 0, seconds_max);
}

static void read_mbit(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.link_mbit = document_number(in, node, 1e-3, 1e9);
}

static void read_rtt(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.link_rtt_ms = document_number(in, node, 0, 1e6);
}

static void read_link(struct document *in, const yaml_node_t *node, void *into)
{
    static const struct document_key keys[] = { { "mbit", read_mbit },
                                                { "rtt_ms", read_rtt },
                                                { NULL, NULL } };
    document_mapping(in, node, keys, into);
}

static void read_idle(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.idle_watts = document_number(in, node, 0, 1e6);
}

static void read_busy(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.busy_watts = document_number(in, node, 0, 1e6);
}

static void read_power(struct document *in, const yaml_node_t *node, void *into)
{
    static const struct document_key keys[] = { { "idle_watts", read_idle },
                                                { "busy_watts", read_busy },
                                                { NULL, NULL } };
    document_mapping(in, node, keys, into);
}

static void read_price(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.price_per_hour = document_number(in, node, 0, 1e9);
}

static void read_jitter(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.jitter = document_number(in, node, 0, 0.99);
}

static void read_joins(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->worker.joins_at_seconds = document_number(in, node, 0, seconds_max);
}

static void read_at(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_fault *fault = into;
    fault->at_seconds = document_number(in, node, 0, seconds_max);
}

static void read_throttle(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_fault *fault = into;
    fault->kind = FLEET_THROTTLE;
    fault->factor = document_number(in, node, 1e-6, 1e3);
}

static void read_end(struct document *in, const yaml_node_t *node, struct fleet_fault *fault,
                     enum fleet_fault_kind kind)
{
    fault->kind = kind;
    if (!document_bool(in, node))
        document_fail(in, ERR_FORMAT, node, "can only be true; remove the fault instead");
}

static void read_dies(struct document *in, const yaml_node_t *node, void *into)
{
    read_end(in, node, into, FLEET_DIES);
}
static void read_hangs(struct document *in, const yaml_node_t *node, void *into)
{
    read_end(in, node, into, FLEET_HANGS);
}

static void read_fault(struct document *in, const yaml_node_t *node, struct fleet_fault *fault)
{
    static const struct document_key keys[] = { { "at_seconds", read_at },
                                                { "throttle", read_throttle },
                                                { "dies", read_dies },
                                                { "hangs", read_hangs },
                                                { NULL, NULL } };
    document_mapping(in, node, keys, fault);
    int effects = !!document_find(in, node, "throttle") + !!document_find(in, node, "dies") +
                  !!document_find(in, node, "hangs");
    if (!document_find(in, node, "at_seconds") || effects != 1)
        document_fail(in, ERR_FORMAT, node, "needs at_seconds and one of throttle, dies and hangs");
}

/* Ascending by time; those of one time keep the file's order. */
static void sort_faults(struct fleet_fault *faults, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct fleet_fault fault = faults[i];
        uint32_t hole = i;
        for (; hole > 0 && faults[hole - 1].at_seconds > fault.at_seconds; hole--)
            faults[hole] = faults[hole - 1];
        faults[hole] = fault;
    }
}

static void read_faults(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_worker *worker = &((struct item *)into)->worker;
    worker->faults_count = (uint32_t)document_items(in, node, FLEET_FAULTS_MAX);
    for (uint32_t i = 0; i < worker->faults_count; i++)
        read_fault(in, document_item(in, node, i), &worker->faults[i]);
    sort_faults(worker->faults, worker->faults_count);
}

static void read_labels(struct document *in, const yaml_node_t *node, void *into)
{
    struct fleet_worker *worker = &((struct item *)into)->worker;
    worker->labels_count = (uint32_t)document_pairs(in, node, FLEET_LABELS_MAX);
    for (uint32_t i = 0; i < worker->labels_count; i++) {
        const yaml_node_t *key, *value;
        struct fleet_label *label = &worker->labels[i];
        document_pair(in, node, i, &key, &value);
        document_text(in, key, label->key, sizeof label->key);
        document_text(in, value, label->value, sizeof label->value);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(worker->labels[j].key, label->key) == 0)
                document_fail(in, ERR_FORMAT, key, "the label '%s' is given twice", label->key);
    }
}

/* What no single key can tell: `batch_sizes` may stand before or after `curve`. */
static void check_item(struct document *in, const yaml_node_t *node, struct item *item)
{
    struct fleet_worker *worker = &item->worker;
    uint32_t largest = worker->sizes_count ? worker->sizes[worker->sizes_count - 1] : 0;
    if (!worker->local && !worker->has_curve)
        document_fail(in, ERR_FORMAT, node,
                      "an emulated worker needs a curve, such as curve: { alpha_ms: 20, beta_ms: 10 }; a "
                      "real one needs local: true");
    if (worker->has_curve && worker->curve.batch_max == 0)
        worker->curve.batch_max = largest > FLEET_BATCH_MAX_DEFAULT ? largest : FLEET_BATCH_MAX_DEFAULT;
    if (worker->has_curve && largest > worker->curve.batch_max)
        document_fail(in, ERR_FORMAT, document_find(in, node, "batch_sizes"),
                      "batch_sizes: %u is more than the curve's batch_max of %u", largest,
                      worker->curve.batch_max);
    if (!worker->name[0])
        snprintf(worker->name, sizeof worker->name, "%s", worker->local ? "local" : "worker");
}

static bool reserve(struct document *in, struct draft *draft, size_t wanted)
{
    if (wanted <= draft->capacity)
        return true;
    size_t capacity = wanted > 2 * draft->capacity ? wanted : 2 * draft->capacity;
    struct fleet_worker *workers = realloc(draft->fleet->workers, capacity * sizeof *workers);
    if (!workers) {
        document_fail(in, ERR_MEMORY, NULL, "no memory for %zu workers", wanted);
        return false;
    }
    draft->fleet->workers = workers;
    draft->capacity = capacity;
    return true;
}

static void add_workers(struct document *in, const yaml_node_t *node, struct draft *draft,
                        const struct item *item)
{
    struct fleet *fleet = draft->fleet;
    size_t wanted = (size_t)fleet->workers_count + item->count;
    if (wanted > FLEET_WORKERS_MAX)
        document_fail(in, ERR_LIMIT, node, "makes %zu workers; at most %d are supported", wanted,
                      FLEET_WORKERS_MAX);
    if (in->err != ERR_OK || !reserve(in, draft, wanted))
        return;
    for (uint32_t i = 1; i <= item->count; i++) {
        struct fleet_worker *worker = &fleet->workers[fleet->workers_count++];
        *worker = item->worker;
        if (!item->counted)
            continue;
        int length = snprintf(worker->name, sizeof worker->name, "%s-%u", item->worker.name, i);
        if (length >= (int)sizeof worker->name)
            document_fail(in, ERR_FORMAT, node, "name: '%s' is too long to be numbered", item->worker.name);
    }
}

static const struct document_key worker_keys[] = {
    { "name", read_name },         { "device", read_device },
    { "count", read_count },       { "labels", read_labels },
    { "local", read_local },       { "kind", read_kind },
    { "curve", read_curve },       { "batch_sizes", read_sizes },
    { "load_seconds", read_load }, { "link", read_link },
    { "power", read_power },       { "price_per_hour", read_price },
    { "jitter", read_jitter },     { "joins_at_seconds", read_joins },
    { "faults", read_faults },     { NULL, NULL },
};

static struct fleet_worker healthy_worker(void)
{
    return (struct fleet_worker){ .kind = "cpu", .idle_watts = -1, .busy_watts = -1, .price_per_hour = -1 };
}

static void read_workers(struct document *in, const yaml_node_t *node, void *into)
{
    size_t count = document_items(in, node, FLEET_WORKERS_MAX);
    for (size_t i = 0; i < count && in->err == ERR_OK; i++) {
        struct item item = { .worker = healthy_worker(), .count = 1 };
        const yaml_node_t *value = document_item(in, node, i);
        document_mapping(in, value, worker_keys, &item);
        check_item(in, value, &item);
        add_workers(in, value, into, &item);
    }
}

static void read_fleet_name(struct document *in, const yaml_node_t *node, void *into)
{
    struct draft *draft = into;
    document_text(in, node, draft->fleet->name, FLEET_NAME_MAX);
}

static void read_time_scale(struct document *in, const yaml_node_t *node, void *into)
{
    struct draft *draft = into;
    draft->fleet->time_scale = document_number(in, node, 1e-6, 1e6);
}

/* The file's name without folder and extension. */
static void name_after_file(struct fleet *fleet, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    size_t length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    snprintf(fleet->name, sizeof fleet->name, "%.*s",
             (int)(length < FLEET_NAME_MAX ? length : FLEET_NAME_MAX - 1), base);
    for (char *at = fleet->name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '_';
}

static int by_name(const void *a, const void *b)
{
    const struct fleet_worker *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);
    return order ? order : (*x > *y) - (*x < *y);
}

static void check_names(struct document *in, const yaml_node_t *workers, const struct fleet *fleet)
{
    if (in->err != ERR_OK || fleet->workers_count == 0)
        return;
    const struct fleet_worker **sorted = malloc(fleet->workers_count * sizeof(void *));
    if (!sorted) {
        document_fail(in, ERR_MEMORY, NULL, "no memory for %u workers", fleet->workers_count);
        return;
    }
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        sorted[i] = &fleet->workers[i];
    qsort(sorted, fleet->workers_count, sizeof(void *), by_name);
    for (uint32_t i = 1; i < fleet->workers_count; i++)
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            document_fail(in, ERR_FORMAT, workers, "workers: two are named '%s'; give each a name of its own",
                          sorted[i]->name);
    free(sorted);
}

static enum err read_bytes(const char *path, const char *bytes, size_t size, struct fleet *fleet,
                           struct why *why)
{
    static const struct document_key keys[] = { { "name", read_fleet_name },
                                                { "workers", read_workers },
                                                { "time_scale", read_time_scale },
                                                { NULL, NULL } };
    struct document in;
    struct draft draft = { .fleet = fleet };
    fleet->time_scale = 1.0;
    name_after_file(fleet, path);
    const yaml_node_t *root = document_load(&in, path, bytes, size, why);
    if (root) {
        const yaml_node_t *workers = document_find(&in, root, "workers");
        document_mapping(&in, root, keys, &draft);
        if (!workers)
            document_fail(&in, ERR_FORMAT, root, "needs the key 'workers', a list");
        check_names(&in, workers, fleet);
    }
    return document_close(&in);
}

static struct fleet *fleet_new(struct why *why)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    if (!fleet)
        (void)why_set(why, ERR_MEMORY, "no memory for a fleet");
    return fleet;
}

enum err fleet_read(const char *path, struct fleet **fleet, struct why *why)
{
    char *bytes;
    size_t size;
    *fleet = NULL;
    enum err err = file_read(path, FILE_BYTES_MAX, &bytes, &size, why);
    if (err != ERR_OK)
        return err;
    *fleet = fleet_new(why);
    err = *fleet ? read_bytes(path, bytes, size, *fleet, why) : ERR_MEMORY;
    free(bytes);
    if (err != ERR_OK)
        fleet_free(fleet);
    return err;
}

/* The host's name, with what read_name would refuse replaced. */
static void name_after_host(char name[FLEET_NAME_MAX])
{
    if (gethostname(name, FLEET_NAME_MAX) != 0)
        name[0] = 0;
    name[FLEET_NAME_MAX - 1] = 0;
    for (char *at = name; *at; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (!letter && (at == name || !strchr("._-", *at)))
            *at = 'x';
    }
    if (!name[0] || is_reserved(name))
        memcpy(name, "local", sizeof "local");
}

enum err fleet_local(struct fleet **fleet, struct why *why)
{
    *fleet = fleet_new(why);
    if (!*fleet)
        return ERR_MEMORY;
    (*fleet)->workers = calloc(1, sizeof *(*fleet)->workers);
    if (!(*fleet)->workers) {
        fleet_free(fleet);
        return why_set(why, ERR_MEMORY, "no memory for a fleet");
    }
    memcpy((*fleet)->name, "local", sizeof "local");
    (*fleet)->time_scale = 1.0;
    (*fleet)->workers_count = 1;
    (*fleet)->workers[0] = healthy_worker();
    (*fleet)->workers[0].local = true;
    name_after_host((*fleet)->workers[0].name);
    return ERR_OK;
}

void fleet_free(struct fleet **fleet)
{
    if (!*fleet)
        return;
    free((*fleet)->workers);
    free(*fleet);
    *fleet = NULL;
}

const struct fleet_worker *fleet_find(const struct fleet *fleet, const char *name)
{
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        if (strcmp(fleet->workers[i].name, name) == 0)
            return &fleet->workers[i];
    return NULL;
}

static double rate_of_batch(const struct fleet_curve *curve, uint32_t batch)
{
    return batch * 1000.0 / (curve->alpha_ms + curve->beta_ms * batch);
}

double fleet_worker_rate(const struct fleet *fleet, const struct fleet_worker *worker)
{
    if (!worker->has_curve)
        return 0;
    /* With alpha >= 0 a larger batch is never slower per sample: the largest allowed one is the best. */
    uint32_t batch = worker->sizes_count ? worker->sizes[worker->sizes_count - 1] : worker->curve.batch_max;
    return rate_of_batch(&worker->curve, batch) / fleet->time_scale;
}

/* The bound. Each worker's rate is piecewise constant, so that the work done by time t is piecewise linear
 * and does not fall. Between the two neighbouring breakpoints that enclose the answer it is a straight line.
 * Work and rates are sums of positive terms only, taken afresh at each breakpoint that is looked at: nothing
 * is subtracted, so nothing cancels. */

static double starts_at(const struct fleet *fleet, const struct fleet_worker *worker)
{
    return (worker->joins_at_seconds + worker->load_seconds) * fleet->time_scale;
}

static double fault_at(const struct fleet *fleet, const struct fleet_worker *worker, uint32_t index)
{
    return (worker->joins_at_seconds + worker->faults[index].at_seconds) * fleet->time_scale;
}

/* Samples that worker has done by time t at the most; *rate is what it does per second right after t. */
static double work_by(const struct fleet *fleet, const struct fleet_worker *worker, double t, double *rate)
{
    double healthy = fleet_worker_rate(fleet, worker), factor = 1, from = starts_at(fleet, worker), work = 0;
    bool alive = true;
    for (uint32_t i = 0; i < worker->faults_count && alive; i++) {
        double at = fault_at(fleet, worker, i);
        if (at > t)
            break;
        if (at > from) {
            work += healthy * factor * (at - from);
            from = at;
        }
        alive = worker->faults[i].kind == FLEET_THROTTLE;
        factor = alive ? worker->faults[i].factor : 0;
    }
    *rate = t >= starts_at(fleet, worker) ? healthy * factor : 0;
    return t > from ? work + healthy * factor * (t - from) : work;
}

static double fleet_work_by(const struct fleet *fleet, double t, double *rate)
{
    double work = 0;
    *rate = 0;
    for (uint32_t i = 0; i < fleet->workers_count; i++) {
        double own;
        work += work_by(fleet, &fleet->workers[i], t, &own);
        *rate += own;
    }
    return work;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* All times at which a rate changes, ascending, beginning with 0; yours to free. */
static double *breakpoints(const struct fleet *fleet, size_t *count)
{
    double *times = malloc(((size_t)fleet->workers_count * (1 + FLEET_FAULTS_MAX) + 1) * sizeof *times);
    *count = 0;
    if (!times)
        return NULL;
    times[(*count)++] = 0;
    for (uint32_t i = 0; i < fleet->workers_count; i++) {
        const struct fleet_worker *worker = &fleet->workers[i];
        times[(*count)++] = starts_at(fleet, worker);
        for (uint32_t f = 0; f < worker->faults_count; f++)
            times[(*count)++] = fault_at(fleet, worker, f);
    }
    qsort(times, *count, sizeof *times, by_time);
    return times;
}

/* The last breakpoint at which less than samples are done. The first one, 0, always is such. */
static double last_before(const struct fleet *fleet, const double *times, size_t count, double samples)
{
    size_t low = 0, high = count; /* times[low] is before, times[high] is not */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        double rate;
        if (fleet_work_by(fleet, times[middle], &rate) < samples)
            low = middle;
        else
            high = middle;
    }
    return times[low];
}

double fleet_bound_seconds(const struct fleet *fleet, uint64_t samples)
{
    size_t count;
    double rate;
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        if (!fleet->workers[i].has_curve)
            return -1;
    if (samples == 0)
        return 0;
    double *times = breakpoints(fleet, &count);
    if (!times)
        return -1;
    double from = last_before(fleet, times, count, (double)samples);
    free(times);
    double work = fleet_work_by(fleet, from, &rate);
    return rate > 0 ? from + ((double)samples - work) / rate : -1;
}
