// SPDX-License-Identifier: Apache-2.0
/* An actor is one lane of a slot: it works off its chunks in order, batch by batch. Each has one happening in
 * the heap, its next; happenings of one moment go in the order in which they were made, which is what deals
 * the first chunks out in turn. */
#include "baseline.h"

#include "heap.h"
#include "rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double jitter_least = 0.05;
static const uint64_t steps_default = UINT64_C(1) << 40;

struct chunk {
    uint64_t first, left;
    uint64_t there_us; /* its inputs are */
};

struct actor {
    struct heap_item item;
    const struct world_device *device;
    struct rng rng;
    uint32_t worker, slot;
    uint64_t joins_us, ready_us;
    uint64_t end_us; /* of its life; UINT64_MAX = none */
    enum world_fault_type end;
    bool filling; /* takes chunks, one a turn */
    bool over;
    uint32_t held, batch; /* chunks; samples of the running batch, 0 = none */
    uint64_t start_us, stop_us;
    struct chunk chunks[BASELINE_IN_FLIGHT];
};

struct run {
    const struct baseline *baseline;
    const struct world_config *config;
    struct world_report *report;
    struct heap heap;
    struct actor *actors;
    uint64_t *links; /* per worker: when its link is free */
    uint32_t actors_count, workers_count, in_flight;
    uint64_t samples, pool; /* pool: the first sample that nobody has had */
    uint64_t left;          /* samples without a result */
    uint64_t now_us, order;
    struct chunk *lost; /* to be given again */
    size_t lost_count, lost_capacity;
    uint32_t *idle; /* a ring of actors without work, the longest idle first */
    uint32_t idle_first, idle_count;
    bool short_of_memory;
};

/* ---- names ---- */

enum err baseline_parse(const char *text, struct baseline *baseline, struct why *why)
{
    static const char *const names[] = { "equal", "pull", "actors" };
    size_t length = strcspn(text, ":");
    for (int i = 0; i < 3; i++) {
        if (strncmp(names[i], text, length) != 0 || names[i][length])
            continue;
        char *end = NULL;
        errno = 0;
        bool digit = text[length] == ':' && text[length + 1] >= '0' && text[length + 1] <= '9';
        unsigned long batch = digit ? strtoul(text + length + 1, &end, 10) : 0;
        bool fits = digit && !*end && !errno && batch >= 1 && batch <= UINT32_MAX;
        if (i == BASELINE_EQUAL ? text[length] != 0 : !fits)
            break;
        *baseline = (struct baseline){ .type = (enum baseline_type)i, .batch = (uint32_t)batch };
        return ERR_OK;
    }
    return why_set(
        why, ERR_USAGE,
        "--policy %.60s: no such policy; the policies are motley, equal, pull:B and actors:B, where "
        "B is a number of samples such as pull:16",
        text);
}

void baseline_name(const struct baseline *baseline, char name[BASELINE_NAME_MAX])
{
    if (baseline->type == BASELINE_EQUAL)
        snprintf(name, BASELINE_NAME_MAX, "equal");
    else
        snprintf(name, BASELINE_NAME_MAX, "%s:%u", baseline->type == BASELINE_PULL ? "pull" : "actors",
                 baseline->batch);
}

/* ---- devices ---- */

static uint32_t at_least_1(uint32_t number) { return number ? number : 1; }

static uint32_t largest_batch(const struct world_device *device)
{
    uint32_t most = device->batch_max;
    if (device->memory_batch && device->memory_batch < most)
        most = device->memory_batch;
    for (uint32_t i = device->sizes_count; i-- > 0;)
        if (device->sizes[i] <= most)
            return device->sizes[i];
    return at_least_1(most);
}

static uint32_t padded(const struct world_device *device, uint32_t count)
{
    for (uint32_t i = 0; i < device->sizes_count; i++)
        if (device->sizes[i] >= count)
            return device->sizes[i];
    return count;
}

static uint64_t one_way_us(const struct run *run, const struct actor *actor)
{
    const struct world_weather *weather = &run->config->weather;
    return weather->delay_us + weather->delay_spread_us / 2 + actor->device->link_us;
}

/* When work_us of healthy work ends that begins at from_us. */
static uint64_t work_ends_us(const struct actor *actor, uint64_t from_us, double work_us)
{
    double factor = 1, at = (double)from_us;
    for (uint32_t i = 0; i < actor->device->faults_count; i++) {
        const struct world_fault *fault = &actor->device->faults[i];
        double when = (double)actor->joins_us + (double)fault->at_us;
        if (fault->type != WORLD_THROTTLE)
            continue;
        if (when > at) {
            if (work_us <= (when - at) * factor)
                break;
            work_us -= (when - at) * factor;
            at = when;
        }
        factor = fault->factor;
    }
    at += work_us / factor;
    return at < 1e18 ? (uint64_t)(at + 0.5) : (uint64_t)1e18;
}

static double batch_us(struct actor *actor, uint32_t count)
{
    const struct world_device *device = actor->device;
    double us = device->alpha_us + device->beta_us * padded(device, count);
    double factor = device->jitter > 0 ? 1 + device->jitter * rng_normal(&actor->rng) : 1;
    return us * (factor > jitter_least ? factor : jitter_least);
}

/* ---- happenings ---- */

static void post(struct run *run, struct actor *actor, uint64_t at_us)
{
    actor->item.id = run->order++;
    heap_set(&run->heap, &actor->item, at_us);
}

static void note(struct run *run, uint64_t value)
{
    run->report->trace_hash = rng_mix64(run->report->trace_hash ^ value);
}

static void tell(struct run *run, const struct actor *actor, uint64_t end_us, uint64_t kept)
{
    const struct chunk *chunk = &actor->chunks[0];
    struct world_worker_figures *figures = run->config->workers;
    const struct world_run told = { .worker = actor->worker,
                                    .slot = actor->slot,
                                    .start_us = actor->start_us,
                                    .end_us = end_us,
                                    .job = 1,
                                    .first = chunk->first,
                                    .count = actor->batch,
                                    .kept = kept };
    if (figures) {
        figures[actor->worker].busy_us += end_us - actor->start_us;
        figures[actor->worker].samples += kept;
        figures[actor->worker].batches += kept > 0;
    }
    if (run->config->on_run)
        run->config->on_run(run->config->context, &told);
    note(run, chunk->first);
    note(run, end_us ^ ((uint64_t)actor->worker << 40));
}

static bool next_span(struct run *run, struct chunk *chunk)
{
    if (run->lost_count > 0) {
        *chunk = run->lost[--run->lost_count];
        return true;
    }
    uint64_t rest = run->samples - run->pool;
    if (rest == 0)
        return false;
    *chunk = (struct chunk){ .first = run->pool,
                             .left = rest < run->baseline->batch ? rest : run->baseline->batch };
    run->pool += chunk->left;
    return true;
}

/* Over the wire: the question, the answer, then the inputs one after the other. */
static void hand_over(struct run *run, struct actor *actor, struct chunk chunk, uint64_t ways)
{
    uint64_t *link = &run->links[actor->worker], from = run->now_us + ways * one_way_us(run, actor);
    if (*link < from)
        *link = from;
    *link += (uint64_t)(actor->device->link_us_per_sample * (double)chunk.left);
    chunk.there_us = *link > actor->ready_us ? *link : actor->ready_us;
    actor->chunks[actor->held++] = chunk;
}

static bool give(struct run *run, struct actor *actor)
{
    struct chunk chunk;
    if (actor->held == run->in_flight || !next_span(run, &chunk))
        return false;
    hand_over(run, actor, chunk, 2);
    return true;
}

static bool is_dead(const struct run *run, const struct actor *actor)
{
    return actor->over || (actor->end != WORLD_HANGS && actor->end_us <= run->now_us);
}

static void rest(struct run *run, struct actor *actor)
{
    run->idle[(run->idle_first + run->idle_count++) % run->actors_count] = (uint32_t)(actor - run->actors);
}

static void wake_idle(struct run *run)
{
    while (run->idle_count > 0 && (run->lost_count > 0 || run->pool < run->samples)) {
        struct actor *actor = &run->actors[run->idle[run->idle_first]];
        run->idle_first = (run->idle_first + 1) % run->actors_count;
        run->idle_count--;
        if (!is_dead(run, actor) && give(run, actor))
            post(run, actor, run->now_us);
    }
}

static void keep_lost(struct run *run, const struct chunk *chunk)
{
    if (run->lost_count == run->lost_capacity) {
        size_t capacity = run->lost_capacity ? 2 * run->lost_capacity : 64;
        struct chunk *grown = realloc(run->lost, capacity * sizeof *grown);
        run->short_of_memory = run->short_of_memory || !grown;
        if (!grown)
            return;
        run->lost = grown;
        run->lost_capacity = capacity;
    }
    run->lost[run->lost_count++] = *chunk;
}

/* Its life ended, or its silence was noticed: what it held is for the next idle one. */
static void lose(struct run *run, struct actor *actor)
{
    if (actor->batch && actor->end_us > actor->start_us)
        tell(run, actor, actor->end_us, 0);
    for (uint32_t i = 0; i < actor->held; i++)
        keep_lost(run, &actor->chunks[i]);
    actor->over = true;
    actor->held = 0;
    wake_idle(run);
}

static void start_batch(struct run *run, struct actor *actor)
{
    uint32_t most = largest_batch(actor->device);
    actor->batch = actor->chunks[0].left < most ? (uint32_t)actor->chunks[0].left : most;
    actor->start_us = run->now_us;
    actor->stop_us = work_ends_us(actor, run->now_us, batch_us(actor, actor->batch));
    uint64_t next_us = actor->stop_us;
    if (actor->end_us < actor->stop_us && actor->end == WORLD_HANGS)
        next_us = actor->stop_us + BASELINE_TIMEOUT_US;
    else if (actor->end_us < actor->stop_us && actor->end == WORLD_DIES)
        next_us = actor->end_us;
    post(run, actor, next_us);
}

static void end_batch(struct run *run, struct actor *actor)
{
    struct chunk *chunk = &actor->chunks[0];
    uint64_t known_us = actor->stop_us + one_way_us(run, actor);
    tell(run, actor, actor->stop_us, actor->batch);
    chunk->first += actor->batch;
    chunk->left -= actor->batch;
    run->left -= actor->batch;
    run->report->batches++;
    if (known_us > run->report->makespan_us)
        run->report->makespan_us = known_us;
    actor->batch = 0;
    if (chunk->left > 0)
        return;
    memmove(actor->chunks, actor->chunks + 1, --actor->held * sizeof *actor->chunks);
    (void)give(run, actor);
}

static void go_on(struct run *run, struct actor *actor)
{
    if (actor->held == 0) {
        rest(run, actor);
    } else if (actor->chunks[0].there_us > run->now_us) {
        uint64_t next_us = actor->chunks[0].there_us;
        post(run, actor, actor->end != WORLD_HANGS && actor->end_us < next_us ? actor->end_us : next_us);
    } else {
        start_batch(run, actor);
    }
}

static void happen(struct run *run, struct actor *actor)
{
    bool interrupted = actor->batch > 0 && actor->end_us < actor->stop_us && actor->end != WORLD_LEAVES;
    if (actor->batch > 0 && !interrupted)
        end_batch(run, actor);
    if (interrupted || is_dead(run, actor)) {
        lose(run, actor);
        return;
    }
    if (actor->filling && give(run, actor) && actor->held < run->in_flight) {
        post(run, actor, run->now_us);
        return;
    }
    actor->filling = false;
    go_on(run, actor);
}

/* ---- the run ---- */

static void find_end(struct actor *actor)
{
    actor->end_us = UINT64_MAX;
    for (uint32_t i = 0; i < actor->device->faults_count; i++) {
        const struct world_fault *fault = &actor->device->faults[i];
        if (fault->type == WORLD_THROTTLE)
            continue;
        actor->end_us = actor->joins_us + fault->at_us;
        actor->end = fault->type;
        return;
    }
}

static void add_actors(struct run *run, const struct world_device *device, uint32_t worker, uint32_t number)
{
    uint32_t lanes = at_least_1(device->lanes), count = at_least_1(device->slots) * lanes;
    for (uint32_t i = 0; i < count; i++) {
        struct actor *actor = &run->actors[run->actors_count];
        *actor = (struct actor){ .device = device, .worker = worker, .slot = i / lanes, .filling = true };
        actor->item.index = HEAP_ABSENT;
        actor->joins_us = device->joins_us + number * device->joins_every_us;
        actor->ready_us = actor->joins_us + device->load_us;
        rng_init(&actor->rng, rng_mix64(run->config->seed) ^ rng_mix64(run->actors_count));
        find_end(actor);
        run->actors_count++;
    }
}

static bool prepare(struct run *run)
{
    const struct world_config *config = run->config;
    size_t actors = 0;
    for (uint32_t d = 0; d < config->devices_count; d++) {
        const struct world_device *device = &config->devices[d];
        actors += (size_t)at_least_1(device->count) * at_least_1(device->slots) * at_least_1(device->lanes);
    }
    run->workers_count = world_workers(config);
    run->actors = calloc(actors + 1, sizeof *run->actors);
    run->idle = calloc(actors + 1, sizeof *run->idle);
    run->links = calloc((size_t)run->workers_count + 1, sizeof *run->links);
    if (!run->actors || !run->idle || !run->links || heap_reserve(&run->heap, actors + 1) != ERR_OK)
        return false;
    for (uint32_t d = 0, worker = 0; d < config->devices_count; d++)
        for (uint32_t i = 0; i < at_least_1(config->devices[d].count); i++, worker++) {
            add_actors(run, &config->devices[d], worker, i);
            if (config->workers)
                config->workers[worker] = (struct world_worker_figures){ .device = d };
        }
    return true;
}

/* To each that is there at the beginning; to the first that come if nobody is. */
static void split_evenly(struct run *run)
{
    uint64_t first_us = UINT64_MAX, share, more;
    uint32_t present = 0;
    for (uint32_t i = 0; i < run->actors_count; i++)
        first_us = run->actors[i].joins_us < first_us ? run->actors[i].joins_us : first_us;
    for (uint32_t i = 0; i < run->actors_count; i++)
        present += run->actors[i].joins_us == first_us;
    share = run->samples / present;
    more = run->samples % present;
    run->now_us = first_us;
    for (uint32_t i = 0; i < run->actors_count; i++) {
        uint64_t count = share + (more > 0);
        if (run->actors[i].joins_us != first_us || count == 0)
            continue;
        more -= more > 0;
        hand_over(run, &run->actors[i], (struct chunk){ .first = run->pool, .left = count }, 1);
        run->pool += count;
    }
}

static void start(struct run *run)
{
    run->in_flight = run->baseline->type == BASELINE_ACTORS ? BASELINE_IN_FLIGHT : 1;
    if (run->baseline->type == BASELINE_EQUAL && run->actors_count > 0)
        split_evenly(run);
    for (uint32_t i = 0; i < run->actors_count; i++) {
        struct actor *actor = &run->actors[i];
        bool early = actor->end != WORLD_HANGS && actor->end_us < actor->ready_us;
        post(run, actor, early ? actor->end_us : actor->ready_us);
    }
}

static void sum_up(struct run *run)
{
    struct world_report *report = run->report;
    struct world_worker_figures *figures = run->config->workers;
    report->finished = run->left == 0;
    report->lost = run->left;
    report->bound_us = world_bound_us(run->config);
    uint64_t over_us = report->finished ? report->makespan_us : run->now_us;
    for (uint32_t i = 0; figures && i < run->actors_count; i++) {
        const struct actor *actor = &run->actors[i];
        const struct world_device *device = actor->device;
        uint64_t until_us = actor->end != WORLD_HANGS && actor->end_us < over_us ? actor->end_us : over_us;
        struct world_worker_figures *own = &figures[actor->worker];
        own->up_us = until_us > actor->joins_us ? until_us - actor->joins_us : 0;
        if (device->busy_watts > 0)
            own->energy_joules = (device->idle_watts * (double)own->up_us +
                                  (device->busy_watts - device->idle_watts) * (double)own->busy_us /
                                      at_least_1(device->lanes)) /
                                 1e6;
    }
    for (uint32_t i = 0; figures && i < run->workers_count; i++)
        report->energy_joules += figures[i].energy_joules;
}

static void run_all(struct run *run)
{
    uint64_t steps_max = run->config->steps_max ? run->config->steps_max : steps_default;
    struct heap_item *first;
    while (run->left > 0 && !run->short_of_memory && run->report->events < steps_max &&
           (first = heap_first(&run->heap)) != NULL) {
        run->now_us = first->key;
        run->report->events++;
        heap_remove(&run->heap, first);
        happen(run, (struct actor *)first); /* its first member */
    }
}

bool baseline_run(const struct baseline *baseline, const struct world_config *config,
                  struct world_report *report)
{
    struct run run = { .baseline = baseline, .config = config, .report = report };
    *report = (struct world_report){ .trace_hash = config->seed };
    run.samples = run.left = config->jobs ? config->jobs[0].samples : config->samples[0];
    heap_init(&run.heap);
    bool good = prepare(&run);
    if (good) {
        start(&run);
        run_all(&run);
        sum_up(&run);
    }
    good = good && !run.short_of_memory;
    heap_fini(&run.heap);
    free(run.actors);
    free(run.idle);
    free(run.links);
    free(run.lost);
    return good;
}
