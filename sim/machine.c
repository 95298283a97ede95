// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include "ensure.h"
#include "puppet.h"

#include <stdlib.h>

/* ---- how long ---- */

/* The next change of speed after `after`, and the speed from then on; false: none. */
static bool next_change(const struct world_device *d, uint64_t joined_us, uint64_t after_us, uint64_t *at_us,
                        double *speed)
{
    bool found = false;
    for (uint32_t i = 0; i < d->faults_count && !found; i++) {
        const struct world_fault *fault = &d->faults[i];
        if (joined_us + fault->at_us <= after_us || fault->type == WORLD_LEAVES)
            continue;
        *at_us = joined_us + fault->at_us;
        *speed = fault->type == WORLD_THROTTLE ? fault->factor : 0;
        found = true;
    }
    if (d->throttle_at_us > after_us && (!found || d->throttle_at_us < *at_us)) {
        *at_us = d->throttle_at_us;
        *speed = 1 / d->throttle_by;
        found = true;
    }
    if (d->hangs_at_us > after_us && (!found || d->hangs_at_us <= *at_us)) {
        *at_us = d->hangs_at_us;
        *speed = 0;
        found = true;
    }
    return found;
}

static double speed_at(const struct world_device *d, uint64_t joined_us, uint64_t now_us)
{
    double speed = d->throttle_at_us && d->throttle_at_us <= now_us ? 1 / d->throttle_by : 1;
    for (uint32_t i = 0; i < d->faults_count && joined_us + d->faults[i].at_us <= now_us; i++) {
        if (d->faults[i].type == WORLD_THROTTLE)
            speed = d->faults[i].factor;
        else if (d->faults[i].type != WORLD_LEAVES)
            return 0;
    }
    return d->hangs_at_us && d->hangs_at_us <= now_us ? 0 : speed;
}

uint64_t machine_end_us(const struct world_device *d, uint64_t joined_us, uint64_t now_us, double work_us)
{
    work_us = work_us < 1 ? 1 : work_us;
    if (d->faults_count == 0 && d->throttle_at_us == 0 && d->hangs_at_us == 0)
        return now_us + (uint64_t)work_us;
    double speed = speed_at(d, joined_us, now_us), next_speed = 1;
    uint64_t next_us;
    while (next_change(d, joined_us, now_us, &next_us, &next_speed)) {
        double until = (double)(next_us - now_us) * speed;
        if (until >= work_us)
            break;
        work_us -= until;
        now_us = next_us;
        speed = next_speed;
        if (speed <= 0)
            return UINT64_MAX;
    }
    double us = speed > 0 ? work_us / speed : -1;
    return us < 0 || us > 1e15 ? UINT64_MAX : now_us + (us < 1 ? 1 : (uint64_t)us);
}

void machine_model(const struct world_device *d, uint32_t model, struct world_model *figures)
{
    *figures = (struct world_model){ .alpha_us = d->alpha_us, .beta_us = d->beta_us, .load_us = d->load_us };
    if (model < d->models_count)
        *figures = d->models[model];
    figures->batch_max = figures->batch_max ? figures->batch_max : d->batch_max;
    figures->memory_batch = figures->memory_batch ? figures->memory_batch : d->memory_batch;
}

static uint32_t padded(const struct world_device *device, uint32_t count)
{
    for (uint32_t i = 0; i < device->sizes_count; i++)
        if (device->sizes[i] >= count)
            return device->sizes[i];
    return count;
}

bool machine_poisoned(const struct world *world, uint64_t job, uint64_t first, uint64_t count)
{
    uint32_t every = world->tasks[job - 1].job.poison_every;
    every = every ? every : world->config->weather.poison_every;
    return every > 0 && (first + count) / every > first / every;
}

bool machine_rejected(const struct world *world, uint64_t first, uint64_t count)
{
    uint32_t every = world->config->weather.rejected_every;
    return every > 0 && (first + count) / every > first / every;
}

/* ---- errands ---- */

static struct errand *errand_new(struct world *world)
{
    struct errand *errand = world->spare_errands;
    if (errand)
        world->spare_errands = errand->next;
    else
        errand = malloc(sizeof *errand);
    ENSURE(errand);
    *errand = (struct errand){ 0 };
    return errand;
}

static void errand_free(struct world *world, uint32_t at, struct errand *errand)
{
    if (!errand->load && !errand->heard && errand->start_us < errand->end_us)
        machine_heard(world, at, errand, 0);
    errand->next = world->spare_errands;
    world->spare_errands = errand;
}

/* How long a batch takes at full speed, and how it ends. */
static double batch_us(struct world *world, const struct puppet *puppet, struct errand *errand)
{
    const struct world_device *device = puppet->device;
    struct world_model figures;
    machine_model(device, errand->model, &figures);
    uint32_t runs = padded(device, errand->lease.count);
    runs = world->tasks[errand->job - 1].job.batch_fixed > runs
               ? world->tasks[errand->job - 1].job.batch_fixed
               : runs;
    double us = figures.alpha_us + figures.beta_us * runs;
    if (device->jitter > 0) {
        double factor = 1 + device->jitter * rng_normal(&world->rng);
        us *= factor > 0.2 ? factor : 0.2;
    }
    bool is_short = puppet->short_until_us > world->now_us && runs > 2;
    if ((figures.memory_batch && runs > figures.memory_batch) || is_short) {
        errand->failure = SCHED_MEMORY;
        return figures.alpha_us;
    }
    const struct world_weather *w = &world->config->weather;
    bool fails = device->failures_per_mille > 0 && rng_below(&world->rng, 1000) < device->failures_per_mille;
    if (fails || machine_poisoned(world, errand->job, errand->lease.first, errand->lease.count) ||
        world_chance(world, w->failures_per_mille))
        errand->failure = SCHED_FAILED;
    if (machine_rejected(world, errand->lease.first, errand->lease.count))
        errand->failure = SCHED_REJECTED;
    return puppet->slow_until_us > world->now_us ? us / puppet->slow_factor : us;
}

static void begin(struct world *world, uint32_t at, struct errand *errand)
{
    struct puppet *puppet = &world->puppets[at];
    puppet->machines[errand->slot].running_count++;
    errand->running = true;
    errand->start_us = world->now_us;
    if (errand->load) {
        struct world_model figures;
        machine_model(puppet->device, errand->model, &figures);
        uint64_t hangs = machine_end_us(puppet->device, puppet->joined_us, world->now_us, 1);
        errand->end_us = hangs == UINT64_MAX ? UINT64_MAX : world->now_us + figures.load_us;
    } else {
        double us = batch_us(world, puppet, errand);
        errand->end_us = machine_end_us(puppet->device, puppet->joined_us, world->now_us, us);
    }
    if (errand->end_us != UINT64_MAX)
        agenda_add(&world->agenda, errand->end_us, HAPPENING_DEVICE_DONE, at, puppet->life)->errand = errand;
}

static void begin_more(struct world *world, uint32_t at, uint32_t slot)
{
    struct puppet *puppet = &world->puppets[at];
    struct machine *machine = &puppet->machines[slot];
    uint32_t lanes = puppet->device->lanes ? puppet->device->lanes : 1;
    for (struct errand *errand = machine->errands; errand && machine->running_count < lanes;
         errand = errand->next) {
        if (errand->running)
            continue;
        begin(world, at, errand);
        if (!errand->load)
            puppet_reply(world, &(struct agent_event){ .type = AGENT_STARTED,
                                                       .slot = slot,
                                                       .term = errand->lease.term,
                                                       .attempt = errand->lease.attempt });
    }
}

static void post(struct world *world, uint32_t at, struct errand *errand)
{
    struct errand **end = &world->puppets[at].machines[errand->slot].errands;
    while (*end)
        end = &(*end)->next;
    *end = errand;
    begin_more(world, at, errand->slot);
}

void machine_post_load(struct world *world, uint32_t at, uint32_t slot, uint32_t model, uint64_t job)
{
    struct errand *errand = errand_new(world);
    errand->load = true;
    errand->slot = slot;
    errand->model = model;
    errand->job = job;
    post(world, at, errand);
}

void machine_post_run(struct world *world, uint32_t at, const struct agent_lease *lease, uint32_t model)
{
    struct errand *errand = errand_new(world);
    errand->slot = lease->slot;
    errand->model = model;
    errand->job = lease->job;
    errand->lease = *lease;
    post(world, at, errand);
}

static void unlink_errand(struct errand **link, const struct errand *errand)
{
    while (*link != errand)
        link = &(*link)->next;
    *link = errand->next;
}

bool machine_unqueue(struct world *world, uint32_t at, uint32_t slot, uint64_t attempt)
{
    struct errand **link = &world->puppets[at].machines[slot].errands;
    for (; *link; link = &(*link)->next)
        if (!(*link)->load && !(*link)->running && (*link)->lease.attempt == attempt) {
            struct errand *gone = *link;
            *link = gone->next;
            errand_free(world, at, gone);
            return true;
        }
    return false;
}

void machine_done(struct world *world, uint32_t at, struct errand *errand)
{
    struct puppet *puppet = &world->puppets[at];
    struct machine *machine = &puppet->machines[errand->slot];
    unlink_errand(&machine->errands, errand);
    machine->running_count--;
    errand->running = false;
    struct agent_event done = { .type = errand->load ? AGENT_MODEL_LOADED : AGENT_RAN,
                                .slot = errand->slot,
                                .model = errand->model,
                                .job = errand->job,
                                .term = errand->lease.term,
                                .attempt = errand->lease.attempt,
                                .lease = errand->lease,
                                .ok = errand->failure == SCHED_OK };
    uint32_t slot = errand->slot;
    if (errand->load) {
        struct world_model figures;
        machine_model(puppet->device, errand->model, &figures);
        done.ok =
            !figures.refuses && !(at > 0 && world_chance(world, world->config->weather.refusals_per_mille));
        errand_free(world, at, errand);
    } else {
        world->report->batches++;
        puppet->figures.busy_us += errand->end_us - errand->start_us;
        errand->next = puppet->results;
        puppet->results = errand;
    }
    begin_more(world, at, slot);
    puppet_step(world, at, &done);
}

/* ---- results ---- */

struct errand *machine_result(const struct puppet *puppet, uint64_t term, uint64_t attempt)
{
    for (struct errand *errand = puppet->results; errand; errand = errand->next)
        if (errand->lease.attempt == attempt && errand->lease.term == term)
            return errand;
    return NULL;
}

struct errand *machine_unheard(const struct puppet *puppet, uint64_t term, uint64_t attempt, uint64_t first)
{
    struct errand *errand = machine_result(puppet, term, attempt);
    return errand && !errand->heard && errand->lease.first == first ? errand : NULL;
}

void machine_heard(struct world *world, uint32_t at, struct errand *errand, uint64_t kept)
{
    struct puppet *puppet = &world->puppets[at];
    bool computed = errand->failure == SCHED_OK && !errand->running;
    errand->heard = true;
    puppet->figures.samples += kept;
    puppet->figures.batches += kept > 0;
    puppet->figures.duplicates += computed ? errand->lease.count - kept : 0;
    world->report->duplicates += computed ? errand->lease.count - kept : 0;
    if (!world->config->on_run)
        return;
    uint64_t end_us = errand->end_us < world->now_us ? errand->end_us : world->now_us;
    world->config->on_run(world->config->context, &(struct world_run){ .worker = at,
                                                                       .slot = errand->slot,
                                                                       .start_us = errand->start_us,
                                                                       .end_us = end_us,
                                                                       .job = errand->job,
                                                                       .first = errand->lease.first,
                                                                       .attempt = errand->lease.attempt,
                                                                       .count = errand->lease.count,
                                                                       .kept = kept,
                                                                       .failed = !computed });
}

void machine_drop(struct world *world, uint32_t at, uint64_t term, uint64_t attempt)
{
    struct errand *errand = machine_result(&world->puppets[at], term, attempt);
    if (!errand)
        return;
    unlink_errand(&world->puppets[at].results, errand);
    errand_free(world, at, errand);
}

static void clear_list(struct world *world, uint32_t at, struct errand **list)
{
    while (*list) {
        struct errand *errand = *list;
        *list = errand->next;
        if (errand->running && !errand->load)
            world->puppets[at].figures.busy_us += world->now_us - errand->start_us;
        errand_free(world, at, errand);
    }
}

void machine_clear(struct world *world, uint32_t at)
{
    struct puppet *puppet = &world->puppets[at];
    for (uint32_t slot = 0; slot < puppet->slots_count; slot++) {
        clear_list(world, at, &puppet->machines[slot].errands);
        puppet->machines[slot].running_count = 0;
    }
    for (struct errand **link = &puppet->results; *link;) {
        struct errand *failed = *link;
        if (failed->failure == SCHED_OK) {
            link = &failed->next;
            continue;
        }
        *link = failed->next;
        errand_free(world, at, failed);
    }
}

void machine_clear_results(struct world *world, uint32_t at)
{
    clear_list(world, at, &world->puppets[at].results);
}

void machine_fini(struct world *world)
{
    for (struct errand *next, *errand = world->spare_errands; errand; errand = next) {
        next = errand->next;
        free(errand);
    }
}
