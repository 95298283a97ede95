// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include "document.h"
#include "ensure.h"
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

/* A group while it is read; what its worker points to is copied to the heap at the end. */
struct item {
    struct fleet_group group;
    char name[FLEET_NAME_MAX], device[FLEET_NAME_MAX]; /* as given; "" = not given */
    uint32_t sizes[FLEET_SIZES_MAX];
    struct fleet_fault faults[FLEET_FAULTS_MAX];
    struct fleet_label labels[FLEET_LABELS_MAX];
};

/* The fleet while its groups are added. */
struct draft {
    struct fleet *fleet;
    const struct fleet_reading *reading;
    size_t capacity;
    uint64_t workers_max; /* of all groups so far, at their largest counts */
};

/* Their logs stand beside those of the workers. */
static bool is_reserved(const char *name)
{
    return strcmp(name, "coordinator") == 0 || strcmp(name, "supervisor") == 0;
}

/* A name goes into file names, command lines and logs. */
static bool is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return !name[strspn(name, allowed)] && name[0] != '.' && name[0] != '-';
}

static void read_name(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    char *name = item->name;
    document_text(in, node, name, FLEET_NAME_MAX);
    if (!is_name(name))
        document_fail(in, ERR_FORMAT, node, "'%s' is no name; use letters, digits, '-', '_' and '.'", name);
    else if (is_reserved(name))
        document_fail(in, ERR_FORMAT, node,
                      "'%s' is the name of one of a fleet's own processes; give another", name);
}

static void read_device(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    char name[FLEET_NAME_MAX], nearest[CATALOG_NEAREST_MAX];
    document_text(in, node, name, sizeof name);
    item->group.worker.device = catalog_find(name);
    if (item->group.worker.device != NULL || in->err != ERR_OK) {
        memcpy(item->device, name, sizeof name);
        return;
    }
    catalog_nearest(name, nearest);
    document_fail(in, ERR_FORMAT, node,
                  "the catalog has no '%s'; the nearest are %s; or leave device out and give kind and curve",
                  name, nearest);
}

/* "2..20", in *min and *max. The text of a scalar ends with a zero. */
static bool parse_range(const char *text, uint32_t *min, uint32_t *max)
{
    unsigned low, high;
    int end = 0;
    if (strspn(text, "0123456789.") != strlen(text) || strlen(text) > 16 ||
        sscanf(text, "%u..%u%n", &low, &high, &end) != 2 || text[end] != 0)
        return false;
    *min = low;
    *max = high;
    return high >= 1 && low <= high && high <= FLEET_WORKERS_MAX;
}

static void read_range(struct document *in, const yaml_node_t *node, struct fleet_group *group)
{
    const char *text = (const char *)node->data.scalar.value;
    if (!parse_range(text, &group->count_min, &group->count_max))
        document_fail(in, ERR_FORMAT, node,
                      "'%.64s' is no range; give the least and the most, such as 1..20, at most %d", text,
                      FLEET_WORKERS_MAX);
}

static void read_count(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.counted = true;
    if (node->type == YAML_SCALAR_NODE && strstr((const char *)node->data.scalar.value, "..")) {
        read_range(in, node, &item->group);
        return;
    }
    item->group.count_min = (uint32_t)document_count(in, node, 1, FLEET_WORKERS_MAX);
    item->group.count_max = item->group.count_min;
}

static void read_kind(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    char kind[FLEET_NAME_MAX];
    const size_t count = sizeof kinds / sizeof kinds[0];
    document_text(in, node, kind, sizeof kind);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            item->group.worker.kind = kinds[i];
            item->group.kind_given = true;
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
    item->group.worker.local = document_bool(in, node);
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
    document_mapping(in, node, keys, &item->group.worker.curve);
    if (!document_find(in, node, "alpha_ms") || !document_find(in, node, "beta_ms"))
        document_fail(in, ERR_FORMAT, node,
                      "needs both alpha_ms and beta_ms: a batch of b samples takes alpha + beta*b");
    else if (item->group.worker.curve.alpha_ms + item->group.worker.curve.beta_ms <= 0)
        document_fail(in, ERR_FORMAT, node, "alpha_ms and beta_ms are both 0; a batch cannot take no time");
    item->group.worker.has_curve = item->group.curve_given = true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void read_sizes(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    uint32_t count = (uint32_t)document_items(in, node, FLEET_SIZES_MAX);
    if (count == 0)
        document_fail(in, ERR_FORMAT, node,
                      "is empty; name at least one size, or leave it out for every size");
    for (uint32_t i = 0; i < count; i++)
        item->sizes[i] = (uint32_t)document_count(in, document_item(in, node, i), 1, BATCH_MAX_MAX);
    qsort(item->sizes, count, sizeof item->sizes[0], by_number);
    for (uint32_t i = 1; i < count; i++)
        if (item->sizes[i] == item->sizes[i - 1])
            document_fail(in, ERR_FORMAT, node, "names the size %u twice", item->sizes[i]);
    item->group.worker.sizes_count = count;
}

static void read_load(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.load_seconds = document_number(in, node, 0, seconds_max);
}

static void read_mbit(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.link_mbit = document_number(in, node, 1e-3, 1e9);
}

static void read_rtt(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.link_rtt_ms = document_number(in, node, 0, 1e6);
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
    item->group.worker.idle_watts = document_number(in, node, 0, 1e6);
}

static void read_busy(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.busy_watts = document_number(in, node, 0, 1e6);
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
    item->group.worker.price_per_hour = document_number(in, node, 0, 1e9);
}

static void read_jitter(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.jitter = document_number(in, node, 0, 0.99);
}

static void read_joins(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    item->group.worker.joins_at_seconds = document_number(in, node, 0, seconds_max);
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
    struct item *item = into;
    uint32_t count = (uint32_t)document_items(in, node, FLEET_FAULTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        read_fault(in, document_item(in, node, i), &item->faults[i]);
    sort_faults(item->faults, count);
    item->group.worker.faults_count = count;
}

static void read_labels(struct document *in, const yaml_node_t *node, void *into)
{
    struct item *item = into;
    uint32_t count = (uint32_t)document_pairs(in, node, FLEET_LABELS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const yaml_node_t *key, *value;
        struct fleet_label *label = &item->labels[i];
        document_pair(in, node, i, &key, &value);
        document_text(in, key, label->key, sizeof label->key);
        document_text(in, value, label->value, sizeof label->value);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(item->labels[j].key, label->key) == 0)
                document_fail(in, ERR_FORMAT, key, "the label '%s' is given twice", label->key);
    }
    item->group.worker.labels_count = count;
}

/* Some aliases, such as mcu:NUCLEO_L4R5ZI, are no names for a worker. */
static const char *default_name(const struct item *item)
{
    if (item->group.worker.device == NULL)
        return item->group.worker.local ? "local" : "worker";
    return is_name(item->device) ? item->device : item->group.worker.device->name;
}

/* What no single key can tell: `batch_sizes` may stand before or after `curve`. */
static void check_item(struct document *in, const yaml_node_t *node, struct item *item)
{
    struct fleet_worker *worker = &item->group.worker;
    uint32_t largest = worker->sizes_count ? item->sizes[worker->sizes_count - 1] : 0;
    if (worker->local && worker->device)
        document_fail(in, ERR_FORMAT, node,
                      "has both local and device; a real worker has what it finds, an emulated one is not "
                      "local");
    if (!worker->local && !worker->has_curve && !worker->device)
        document_fail(in, ERR_FORMAT, node,
                      "an emulated worker needs a curve, such as curve: { alpha_ms: 20, beta_ms: 10 }, or a "
                      "device of the catalog; a real one needs local: true");
    if (worker->has_curve && worker->curve.batch_max == 0)
        worker->curve.batch_max = largest > FLEET_BATCH_MAX_DEFAULT ? largest : FLEET_BATCH_MAX_DEFAULT;
    if (worker->has_curve && largest > worker->curve.batch_max)
        document_fail(in, ERR_FORMAT, document_find(in, node, "batch_sizes"),
                      "batch_sizes: %u is more than the curve's batch_max of %u", largest,
                      worker->curve.batch_max);
    if (!item->name[0])
        snprintf(item->name, sizeof item->name, "%s", default_name(item));
}

static uint32_t decimals(uint32_t number)
{
    uint32_t count = 1;
    for (; number >= 10; number /= 10)
        count++;
    return count;
}

static void check_count(struct document *in, const yaml_node_t *node, struct draft *draft,
                        const struct item *item)
{
    const struct fleet_group *group = &item->group;
    draft->workers_max += group->count_max;
    if (group->count_min != group->count_max && !draft->reading->ranges)
        document_fail(
            in, ERR_FORMAT, document_find(in, node, "count"),
            "count: %u..%u is a range, which only `motley simulate` can choose from; give one whole "
            "number",
            group->count_min, group->count_max);
    if (draft->workers_max > FLEET_WORKERS_MAX)
        document_fail(in, ERR_LIMIT, node, "makes %llu workers; at most %d are supported",
                      (unsigned long long)draft->workers_max, FLEET_WORKERS_MAX);
    if (group->counted && strlen(item->name) + 1 + decimals(group->count_max) >= FLEET_NAME_MAX)
        document_fail(in, ERR_FORMAT, node, "name: '%s' is too long to be numbered", item->name);
}

static bool reserve(struct document *in, struct draft *draft)
{
    if (draft->fleet->groups_count < draft->capacity)
        return true;
    size_t capacity = draft->capacity ? 2 * draft->capacity : 8;
    struct fleet_group *groups = realloc(draft->fleet->groups, capacity * sizeof *groups);
    if (!groups) {
        document_fail(in, ERR_MEMORY, NULL, "no memory for its workers");
        return false;
    }
    draft->fleet->groups = groups;
    draft->capacity = capacity;
    return true;
}

/* A copy of count things of size, or NULL for none; *good becomes false without memory. */
static const void *copy_of(const void *things, size_t count, size_t size, bool *good)
{
    void *copy = count ? malloc(count * size) : NULL;
    if (copy)
        memcpy(copy, things, count * size);
    *good = *good && (copy || count == 0);
    return copy;
}

static void add_group(struct document *in, struct draft *draft, const struct item *item)
{
    bool good = true;
    if (in->err != ERR_OK || !reserve(in, draft))
        return;
    struct fleet_group *group = &draft->fleet->groups[draft->fleet->groups_count++];
    *group = item->group;
    struct fleet_worker *worker = &group->worker;
    worker->name = copy_of(item->name, strlen(item->name) + 1, 1, &good);
    worker->sizes = copy_of(item->sizes, worker->sizes_count, sizeof *item->sizes, &good);
    worker->faults = copy_of(item->faults, worker->faults_count, sizeof *item->faults, &good);
    worker->labels = copy_of(item->labels, worker->labels_count, sizeof *item->labels, &good);
    if (!good)
        document_fail(in, ERR_MEMORY, NULL, "no memory for its workers");
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
    struct item item;
    size_t count = document_items(in, node, FLEET_WORKERS_MAX);
    for (size_t i = 0; i < count && in->err == ERR_OK; i++) {
        const yaml_node_t *value = document_item(in, node, i);
        item.group = (struct fleet_group){ .worker = healthy_worker(), .count_min = 1, .count_max = 1 };
        item.group.line = (uint32_t)value->start_mark.line + 1;
        item.group.column = (uint32_t)value->start_mark.column + 1;
        item.name[0] = item.device[0] = 0;
        memset(item.faults, 0, sizeof item.faults);
        document_mapping(in, value, worker_keys, &item);
        check_item(in, value, &item);
        check_count(in, value, into, &item);
        add_group(in, into, &item);
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

/* ---- from groups to workers ---- */

static void take_shared(struct fleet_group *group, struct fleet_worker *worker)
{
    *worker = group->worker;
    worker->prior = group->worker.prior ? &group->prior : NULL;
}

/* The numbered names of a group one after the other; returns the end. */
static char *name_workers(const struct fleet_group *group, uint32_t count, struct fleet_worker *workers,
                          char *at)
{
    for (uint32_t i = 0; i < count && group->counted; i++) {
        workers[i].name = at;
        at += sprintf(at, "%s-%u", group->worker.name, i + 1) + 1;
    }
    return at;
}

enum err fleet_choose(struct fleet *fleet, const uint32_t *counts, struct why *why)
{
    size_t workers_count = 0, bytes = 0, at = 0;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        const struct fleet_group *group = &fleet->groups[i];
        ENSURE(counts[i] >= group->count_min && counts[i] <= group->count_max);
        workers_count += counts[i];
        bytes += group->counted ? counts[i] * (strlen(group->worker.name) + 2 + decimals(counts[i])) : 0;
    }
    struct fleet_worker *workers = calloc(workers_count + 1, sizeof *workers);
    char *names = malloc(bytes + 1), *end = names;
    if (!workers || !names) {
        free(workers);
        free(names);
        return why_set(why, ERR_MEMORY, "no memory for %zu workers", workers_count);
    }
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        fleet->groups[i].count = counts[i];
        for (uint32_t j = 0; j < counts[i]; j++)
            take_shared(&fleet->groups[i], &workers[at + j]);
        end = name_workers(&fleet->groups[i], counts[i], &workers[at], end);
        at += counts[i];
    }
    free(fleet->workers);
    free(fleet->names);
    fleet->workers = workers;
    fleet->names = names;
    fleet->workers_count = (uint32_t)workers_count;
    return ERR_OK;
}

static enum err expand(struct fleet *fleet, struct why *why)
{
    uint32_t *counts = malloc((fleet->groups_count + 1) * sizeof *counts);
    if (!counts)
        return why_set(why, ERR_MEMORY, "no memory for a fleet");
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        counts[i] = fleet->groups[i].count_max;
    enum err err = fleet_choose(fleet, counts, why);
    free(counts);
    return err;
}

/* ---- catalog devices ---- */

static bool needs_prior(const struct fleet_group *group)
{
    return group->worker.device != NULL && !group->curve_given;
}

/* The file's own figures stay. */
static void adopt(const struct catalog_prior *prior, struct fleet_group *group)
{
    struct fleet_worker *worker = &group->worker;
    uint32_t largest = worker->sizes_count ? worker->sizes[worker->sizes_count - 1] : 0;
    group->prior = *prior;
    worker->prior = &group->prior;
    worker->has_curve = true;
    worker->curve = (struct fleet_curve){ prior->alpha_ms, prior->beta_ms, prior->batch_max };
    if (largest > worker->curve.batch_max)
        worker->curve.batch_max = largest;
    if (!group->busy_given)
        worker->busy_watts = prior->busy_watts;
}

static void take_catalog(struct fleet_group *group)
{
    struct fleet_worker *worker = &group->worker;
    if (worker->device == NULL)
        return;
    if (!group->kind_given)
        worker->kind = worker->device->kind;
    group->busy_given = worker->busy_watts >= 0;
    if (!group->busy_given)
        worker->busy_watts = worker->device->power_watts;
    worker->memory_bytes = worker->device->memory_bytes > 0 ? worker->device->memory_bytes : 0;
}

/* The weights as int8 are the least that any runtime needs. */
static enum err check_memory(const struct fleet_group *group, const struct catalog_workload *workload,
                             struct why *why)
{
    const struct catalog_benchmark *benchmark =
        workload->benchmark ? catalog_find_benchmark(workload->benchmark) : NULL;
    double memory = group->worker.memory_bytes;
    if (benchmark == NULL || memory <= 0 || benchmark->parameters <= memory)
        return ERR_OK;
    return why_set(why, ERR_UNSUPPORTED,
                   "%s: %s has %.4g MB of weights, and the device %.4g MB of memory; leave it out, or give "
                   "curve",
                   group->worker.device->name, benchmark->name, benchmark->parameters / 1e6, memory / 1e6);
}

/* All or none: the first that cannot be resolved is *failed. */
static enum err resolve(struct fleet *fleet, const struct catalog_workload *workload, bool fits,
                        struct fleet_group **failed, struct why *why)
{
    struct catalog_prior *priors = malloc((fleet->groups_count + 1) * sizeof *priors);
    enum err err = ERR_OK;
    if (!priors)
        return why_set(why, ERR_MEMORY, "no memory for a fleet");
    for (uint32_t i = 0; err == ERR_OK && i < fleet->groups_count; i++) {
        struct fleet_group *group = &fleet->groups[i];
        *failed = group;
        if (needs_prior(group) && fits)
            err = check_memory(group, workload, why);
        if (err == ERR_OK && needs_prior(group))
            err = catalog_prior(group->worker.device, workload, &priors[i], why);
    }
    for (uint32_t i = 0; err == ERR_OK && i < fleet->groups_count; i++)
        if (needs_prior(&fleet->groups[i]))
            adopt(&priors[i], &fleet->groups[i]);
    free(priors);
    return err;
}

/* Let the workers have what their groups have, but for their names. */
static void refresh(struct fleet *fleet)
{
    struct fleet_worker *worker = fleet->workers;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        for (uint32_t j = 0; j < fleet->groups[i].count; j++, worker++) {
            const char *name = worker->name;
            take_shared(&fleet->groups[i], worker);
            worker->name = name;
        }
    }
}

enum err fleet_resolve(struct fleet *fleet, const struct catalog_workload *workload, struct why *why)
{
    struct fleet_group *failed = NULL;
    enum err err = resolve(fleet, workload, true, &failed, why);
    if (err == ERR_OK)
        refresh(fleet);
    return err;
}

static enum err resolve_read(struct fleet *fleet, const char *path, const struct fleet_reading *reading,
                             struct why *why)
{
    static const struct catalog_workload unknown = { .benchmark = CATALOG_DEFAULT_BENCHMARK };
    struct fleet_group *failed = NULL;
    struct why inner = { "" };
    const struct catalog_workload *workload = reading->workload ? reading->workload : &unknown;
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        take_catalog(&fleet->groups[i]);
    enum err err = resolve(fleet, workload, reading->workload != NULL, &failed, &inner);
    if (err != ERR_OK && failed)
        return why_set(
            why, err, "%.300s:%u:%u: %.500s%s", path, failed->line, failed->column, inner.text,
            reading->workload ? "" : " (" CATALOG_DEFAULT_BENCHMARK " stands for a model not known yet)");
    return err;
}

/* ---- reading ---- */

static enum err read_bytes(const char *path, const char *bytes, size_t size,
                           const struct fleet_reading *reading, struct fleet *fleet, struct why *why)
{
    static const struct document_key keys[] = { { "name", read_fleet_name },
                                                { "workers", read_workers },
                                                { "time_scale", read_time_scale },
                                                { NULL, NULL } };
    struct document in;
    struct draft draft = { .fleet = fleet, .reading = reading };
    fleet->time_scale = 1.0;
    name_after_file(fleet, path);
    const yaml_node_t *root = document_load(&in, path, bytes, size, why);
    if (root) {
        const yaml_node_t *workers = document_find(&in, root, "workers");
        document_mapping(&in, root, keys, &draft);
        if (!workers)
            document_fail(&in, ERR_FORMAT, root, "needs the key 'workers', a list");
        if (in.err == ERR_OK)
            in.err = expand(fleet, why);
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

enum err fleet_open(const char *path, const struct fleet_reading *reading, struct fleet **fleet,
                    struct why *why)
{
    char *bytes;
    size_t size;
    *fleet = NULL;
    enum err err = file_read(path, FILE_BYTES_MAX, &bytes, &size, why);
    if (err != ERR_OK)
        return err;
    *fleet = fleet_new(why);
    err = *fleet ? read_bytes(path, bytes, size, reading, *fleet, why) : ERR_MEMORY;
    free(bytes);
    if (err == ERR_OK)
        err = resolve_read(*fleet, path, reading, why);
    if (err == ERR_OK)
        refresh(*fleet);
    else
        fleet_free(fleet);
    return err;
}

enum err fleet_read(const char *path, struct fleet **fleet, struct why *why)
{
    static const struct fleet_reading plain = { .ranges = false };
    return fleet_open(path, &plain, fleet, why);
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

/* One local group of that name. */
static bool make_local(struct fleet *fleet, const char *name)
{
    bool good = true;
    fleet->groups = calloc(1, sizeof *fleet->groups);
    if (!fleet->groups)
        return false;
    fleet->groups_count = 1;
    fleet->groups[0] = (struct fleet_group){ .worker = healthy_worker(), .count_min = 1, .count_max = 1 };
    fleet->groups[0].worker.local = true;
    fleet->groups[0].worker.name = copy_of(name, strlen(name) + 1, 1, &good);
    return good;
}

enum err fleet_local(struct fleet **fleet, struct why *why)
{
    char name[FLEET_NAME_MAX];
    *fleet = fleet_new(why);
    if (!*fleet)
        return ERR_MEMORY;
    memcpy((*fleet)->name, "local", sizeof "local");
    (*fleet)->time_scale = 1.0;
    name_after_host(name);
    enum err err =
        make_local(*fleet, name) ? expand(*fleet, why) : why_set(why, ERR_MEMORY, "no memory for a fleet");
    if (err != ERR_OK)
        fleet_free(fleet);
    return err;
}

static void free_group(struct fleet_group *group)
{
    free((void *)group->worker.name);
    free((void *)group->worker.sizes);
    free((void *)group->worker.faults);
    free((void *)group->worker.labels);
}

void fleet_free(struct fleet **fleet)
{
    if (!*fleet)
        return;
    for (uint32_t i = 0; i < (*fleet)->groups_count; i++)
        free_group(&(*fleet)->groups[i]);
    free((*fleet)->groups);
    free((*fleet)->workers);
    free((*fleet)->names);
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
    size_t most = 1;
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        most += 1 + fleet->workers[i].faults_count;
    double *times = malloc(most * sizeof *times);
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
