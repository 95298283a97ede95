// SPDX-License-Identifier: Apache-2.0
/* Many people, many kinds of work: tenants with quotas, requirements, models that do not fit beside each
 * other, answers that are checked elsewhere, broken devices; in bad weather. A witness hears every event and
 * every action and holds the scheduler to what its headers promise. What weather cannot show are scenes in
 * fair weather, at the end.
 *
 *     test_sim_society [FIRST [COUNT]]      default 1 400; the scenes are played with seed 1 */
#include "ensure.h"
#include "explain.h"
#include "forecast.h"
#include "require.h"
#include "rng.h"
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 4096, SLOTS = 4, LEASES = 64, JOBS = 6, SAMPLES = 2048, SETTLES = 65536, DEVICES = 8 };
enum { GPU = 1, CPU = 0, NOBODY = 255 };

static const uint64_t LEASE_FLOOR_US = 5000000;

/* ---- the witness ---- */

struct seen_lease {
    uint64_t job, attempt, first, count, given_us;
    uint32_t model;
    bool recalled, check;
};

struct seen_slot {
    uint32_t class, formats;
    uint64_t memory, barred_until_us;
    uint64_t loaded, loading; /* models, as bits */
    uint64_t load_job;
    uint32_t leases_count;
    struct seen_lease leases[LEASES];
};

struct seen_worker {
    bool up, draining;
    uint32_t slots_count;
    struct seen_slot slots[SLOTS];
};

struct seen_job {
    bool known, open, gpu, clean; /* clean: nothing of it failed so far */
    uint32_t tenant, model, verify_ppm;
    int32_t priority;
    uint64_t samples, memory, failures_max, failed, claimed, compared;
    uint8_t stored_by[SAMPLES]; /* class; NOBODY = not stored in this life */
    uint8_t failed_before[SAMPLES];
    uint8_t failed_alone[SAMPLES];
    uint32_t failed_on[SAMPLES][4]; /* different slots, by number * SLOTS + slot + 1 */
    bool rejected[SAMPLES];
};

struct seen_settle {
    uint64_t attempt, left;
    uint32_t worker, class;
    bool failed;
};

struct witness {
    const struct sched *sched; /* of the coordinator's life */
    uint64_t now_us, events;
    const struct sched_event *event;
    const struct sched_actions *actions;
    bool paused;
    uint32_t numbers_count, settles_count;
    uint32_t quotas[JOBS];
    struct seen_worker workers[NUMBERS];
    struct seen_job jobs[JOBS + 1];
    struct seen_settle settles[SETTLES];
    char broken[200];
};

static struct witness *witness;

__attribute__((format(printf, 2, 3))) static void accuse(const char *rule, const char *format, ...)
{
    if (witness->broken[0])
        return;
    int at = snprintf(witness->broken, sizeof witness->broken, "%s at %" PRIu64 " us, event %" PRIu64 ": ",
                      rule, witness->now_us, witness->events);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(witness->broken + at, sizeof witness->broken - (size_t)at, format, arguments);
    va_end(arguments);
}

static struct seen_slot *slot_of(uint32_t worker, uint32_t slot)
{
    return worker < NUMBERS && slot < witness->workers[worker].slots_count
               ? &witness->workers[worker].slots[slot]
               : NULL;
}

static struct seen_lease *lease_of(struct seen_slot *slot, uint64_t attempt)
{
    for (uint32_t i = 0; slot && i < slot->leases_count; i++)
        if (slot->leases[i].attempt == attempt)
            return &slot->leases[i];
    return NULL;
}

static void end_lease(struct seen_slot *slot, struct seen_lease *lease)
{
    size_t at = (size_t)(lease - slot->leases);
    memmove(lease, lease + 1, (slot->leases_count - 1 - at) * sizeof *lease);
    slot->leases_count--;
}

static bool said(enum sched_action_type type, uint64_t attempt)
{
    for (size_t i = 0; i < witness->actions->count; i++)
        if (witness->actions->at[i].type == type && witness->actions->at[i].attempt == attempt)
            return true;
    return false;
}

/* Somebody will say when what was claimed of the attempt is durable. */
static bool settling(uint32_t worker, uint64_t attempt)
{
    for (uint32_t i = 0; i < witness->settles_count; i++)
        if (witness->settles[i].left > 0 && witness->settles[i].attempt == attempt &&
            witness->settles[i].worker == worker)
            return true;
    return false;
}

/* ---- what it is told ---- */

static void on_up(const struct sched_event *event)
{
    ENSURE(event->worker < NUMBERS && event->up.slots_count <= SLOTS);
    if (event->worker >= witness->numbers_count)
        witness->numbers_count = event->worker + 1;
    struct seen_worker *worker = &witness->workers[event->worker];
    worker->up = true; /* it may have been here before: then it may be barred, or draining, still */
    worker->slots_count = event->up.slots_count;
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        worker->slots[i].class = event->up.slots[i].class;
        worker->slots[i].memory = event->up.slots[i].memory_bytes;
    }
}

static void on_down(const struct sched_event *event)
{
    struct seen_worker *worker = &witness->workers[event->worker];
    worker->up = false;
    for (uint32_t i = 0; i < worker->slots_count; i++) {
        worker->slots[i].leases_count = 0;
        worker->slots[i].loaded = worker->slots[i].loading = 0;
    }
}

static void on_add(const struct sched_event *event)
{
    struct seen_job *job = &witness->jobs[event->job];
    *job = (struct seen_job){ .known = true,
                              .open = true,
                              .clean = true,
                              .gpu = event->add.require != NULL,
                              .tenant = event->add.tenant,
                              .model = event->add.model,
                              .verify_ppm = event->add.verify_ppm,
                              .priority = event->add.priority,
                              .samples = event->add.samples,
                              .memory = event->add.memory_bytes,
                              .failures_max = event->add.failures_max };
    memset(job->stored_by, NOBODY, sizeof job->stored_by);
}

static void note_alone(struct seen_job *job, uint64_t sample, uint32_t slot)
{
    if (job->failed_alone[sample] < 200)
        job->failed_alone[sample]++;
    for (int i = 0; i < 4; i++) {
        if (job->failed_on[sample][i] == slot)
            return;
        if (job->failed_on[sample][i] == 0) {
            job->failed_on[sample][i] = slot;
            return;
        }
    }
}

static void note_failure(const struct sched_event *event, const struct seen_lease *lease)
{
    struct seen_job *job = &witness->jobs[lease->job];
    job->clean = false;
    if (lease->check)
        return;
    for (uint64_t i = lease->first; i < lease->first + lease->count; i++)
        job->failed_before[i] = 1;
    if (lease->count == 1)
        note_alone(job, lease->first, event->worker * SLOTS + event->slot + 1);
    if (lease->count == 1 && event->result.failure == SCHED_REJECTED &&
        witness->now_us < lease->given_us + LEASE_FLOOR_US)
        job->rejected[lease->first] = true;
}

/* Every result is acknowledged: now, or when what was claimed of it is durable. */
static void on_result(const struct sched_event *event)
{
    struct seen_slot *slot = slot_of(event->worker, event->slot);
    if (!slot || !witness->workers[event->worker].up)
        return;
    struct seen_lease *lease = lease_of(slot, event->attempt);
    bool same =
        lease && lease->job == event->job && lease->first == event->first && lease->count == event->count;
    for (uint32_t i = 0; i < witness->workers[event->worker].slots_count; i++)
        if (!same && lease_of(&witness->workers[event->worker].slots[i], event->attempt))
            return; /* nonsense about a live lease */
    if (!said(SCHED_STORE, event->attempt) && !said(SCHED_FAIL, event->attempt) &&
        !said(SCHED_ACK, event->attempt) && !settling(event->worker, event->attempt))
        accuse("ACK-NEVER", "attempt %" PRIx64 " of worker %" PRIu32, event->attempt, event->worker);
    if (!same)
        return;
    if (event->result.failure != SCHED_OK)
        note_failure(event, lease);
    end_lease(slot, lease);
}

static void on_stored(const struct sched_event *event, bool good)
{
    struct seen_settle *settle = &witness->settles[event->stored.settle];
    struct seen_job *job = &witness->jobs[event->job];
    if (event->stored.settle >= SETTLES || settle->left < event->count)
        return;
    settle->left -= event->count;
    if (settle->failed || !good)
        job->failed += event->count;
    for (uint64_t i = event->first; good && !settle->failed && i < event->first + event->count; i++)
        job->stored_by[i] = (uint8_t)settle->class;
    if (settle->left == 0 && !said(SCHED_ACK, settle->attempt))
        accuse("ACK-NEVER", "attempt %" PRIx64 " of worker %" PRIu32 ", all of which is durable",
               settle->attempt, settle->worker);
}

static void on_held(const struct sched_event *event)
{
    struct seen_slot *slot = slot_of(event->worker, event->slot);
    if (!slot || said(SCHED_ACK, event->attempt) || lease_of(slot, event->attempt))
        return;
    struct sched_slot_look look; /* what ran finds a place in the window, or its result comes without one */
    if (event->held.finished && (!sched_slot_look(witness->sched, event->worker, event->slot, &look) ||
                                 look.in_flight == slot->leases_count))
        return;
    if (!witness->jobs[event->job].open) {
        accuse("ACK-NEVER", "attempt %" PRIx64 " of worker %" PRIu32 " is of no open job", event->attempt,
               event->worker);
        return;
    }
    ENSURE(slot->leases_count < LEASES);
    slot->leases[slot->leases_count++] = (struct seen_lease){ .job = event->job,
                                                              .attempt = event->attempt,
                                                              .first = event->first,
                                                              .count = event->count,
                                                              .given_us = witness->now_us,
                                                              .model = witness->jobs[event->job].model };
}

static void on_returned(const struct sched_event *event)
{
    for (uint32_t i = 0; i < witness->workers[event->worker].slots_count; i++) {
        struct seen_slot *slot = &witness->workers[event->worker].slots[i];
        if (lease_of(slot, event->attempt))
            end_lease(slot, lease_of(slot, event->attempt));
    }
}

static void on_loaded(const struct sched_event *event)
{
    struct seen_slot *slot = slot_of(event->worker, event->slot);
    if (!slot)
        return;
    slot->loading &= ~(1ull << event->loaded.model);
    if (event->loaded.ok)
        slot->loaded |= 1ull << event->loaded.model;
}

static void hear_event(const struct sched_event *event)
{
    switch (event->type) {
    case SCHED_WORKER_UP: on_up(event); break;
    case SCHED_WORKER_DOWN: on_down(event); break;
    case SCHED_JOB_ADD: on_add(event); break;
    case SCHED_JOB_SETTLED_RANGE:
        witness->jobs[event->job].failed += event->settled.failed ? event->count : 0;
        witness->jobs[event->job].claimed += event->count;
        break;
    case SCHED_RESULT: on_result(event); break;
    case SCHED_STORED: on_stored(event, true); break;
    case SCHED_UNSTORABLE: on_stored(event, false); break;
    case SCHED_HELD: on_held(event); break;
    case SCHED_RETURNED: on_returned(event); break;
    case SCHED_LOADED: on_loaded(event); break;
    case SCHED_DRAIN: witness->workers[event->worker].draining = true; break;
    case SCHED_UNDRAIN: witness->workers[event->worker].draining = false; break;
    case SCHED_PAUSE: witness->paused = true; break;
    case SCHED_RESUME: witness->paused = false; break;
    default: break;
    }
}

/* ---- what it must see ---- */

/* By leases that cannot have expired. */
static bool holds(const struct seen_slot *slot, uint32_t tenant)
{
    if (slot->leases_count > 0 && slot->leases[0].given_us + LEASE_FLOOR_US < witness->now_us)
        return false;
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (witness->jobs[slot->leases[i].job].tenant == tenant)
            return true;
    return false;
}

static void check_quota(const struct seen_slot *slot, uint32_t tenant)
{
    uint32_t held = 0;
    for (uint32_t w = 0; w < witness->numbers_count; w++)
        for (uint32_t s = 0; s < witness->workers[w].slots_count; s++)
            held += holds(&witness->workers[w].slots[s], tenant);
    if (witness->quotas[tenant] > 0 && !holds(slot, tenant) && held >= witness->quotas[tenant])
        accuse("QUOTA", "tenant %" PRIu32 " holds %" PRIu32 " slots of %" PRIu32 " already", tenant, held,
               witness->quotas[tenant]);
}

static void check_where(const struct seen_slot *slot, const struct sched_action *a)
{
    if (witness->jobs[a->job].gpu && slot->class % 2 == CPU)
        accuse("REQUIRED", "job %" PRIu64 " on worker %" PRIu32, a->job, a->worker);
}

/* Chunks of a barred slot are of samples that failed already: it may be cleared so. */
static void check_trust(const struct seen_slot *slot, const struct seen_job *job,
                        const struct sched_action *a)
{
    bool suspect = false;
    for (uint64_t i = a->first; i < a->first + a->count; i++) {
        suspect = suspect || job->failed_before[i];
        if (job->rejected[i])
            accuse("REJECTED-AGAIN", "job %" PRIu64 ", sample %" PRIu64, a->job, i);
    }
    if (slot->barred_until_us > witness->now_us && !suspect)
        accuse("BARRED", "job %" PRIu64 ", samples %" PRIu64 "+%" PRIu64 " on worker %" PRIu32, a->job,
               a->first, a->count, a->worker);
}

/* What is stored is only run again to be compared, and by another class of device. */
static bool check_check(const struct seen_slot *slot, const struct seen_job *job,
                        const struct sched_action *a)
{
    bool check = false;
    for (uint64_t i = a->first; i < a->first + a->count; i++) {
        check = check || job->stored_by[i] != NOBODY;
        if (job->stored_by[i] == slot->class)
            accuse("CHECK-SAME", "job %" PRIu64 ", sample %" PRIu64 " by class %" PRIu32, a->job, i,
                   slot->class);
    }
    return check;
}

static void on_lease(const struct sched_action *a)
{
    struct seen_slot *slot = slot_of(a->worker, a->slot);
    struct seen_job *job = &witness->jobs[a->job];
    if (!slot || a->first + a->count > job->samples)
        return; /* the world's own checker has that */
    if (witness->paused)
        accuse("PAUSED", "job %" PRIu64 " on worker %" PRIu32, a->job, a->worker);
    check_quota(slot, job->tenant);
    check_where(slot, a);
    check_trust(slot, job, a);
    ENSURE(slot->leases_count < LEASES);
    slot->leases[slot->leases_count++] = (struct seen_lease){ .job = a->job,
                                                              .attempt = a->attempt,
                                                              .first = a->first,
                                                              .count = a->count,
                                                              .given_us = witness->now_us,
                                                              .model = a->model,
                                                              .check = check_check(slot, job, a) };
}

/* Something of it is leased to nobody: no lease of it need come back for that. */
static bool has_ready(const struct seen_job *job, uint64_t number)
{
    uint64_t leased = 0;
    for (uint32_t w = 0; w < witness->numbers_count; w++)
        for (uint32_t s = 0; s < witness->workers[w].slots_count; s++)
            for (uint32_t i = 0; i < witness->workers[w].slots[s].leases_count; i++)
                leased += witness->workers[w].slots[s].leases[i].job == number
                              ? witness->workers[w].slots[s].leases[i].count
                              : 0;
    return job->clean && job->claimed + leased < job->samples;
}

static void on_recall(const struct sched_action *a)
{
    struct seen_slot *slot = slot_of(a->worker, a->slot);
    struct seen_lease *lease = lease_of(slot, a->attempt);
    if (!lease)
        return;
    if (lease == &slot->leases[0])
        accuse("RECALL-RUNNING", "attempt %" PRIx64 " is the oldest of worker %" PRIu32, a->attempt,
               a->worker);
    if (lease->recalled)
        accuse("RECALL-AGAIN", "attempt %" PRIx64, a->attempt);
    const struct sched_event *event = witness->event;
    const struct seen_job *of = &witness->jobs[lease->job];
    if (event->type == SCHED_JOB_ADD && of->priority >= event->add.priority && has_ready(of, lease->job))
        accuse("RECALL-URGENT", "job %" PRIu64 " for job %" PRIu64, lease->job, event->job);
    lease->recalled = true;
}

static uint64_t memory_of(uint32_t model) { return 3 + 2 * (uint64_t)model; }

static void on_load(const struct sched_action *a)
{
    struct seen_slot *slot = slot_of(a->worker, a->slot);
    uint64_t taken = 0;
    if (!slot)
        return;
    check_where(slot, a);
    for (uint32_t m = 0; m < 8; m++)
        taken += (slot->loaded | slot->loading) >> m & 1 ? memory_of(m) : 0;
    if (slot->memory > 0 && taken > 0 && taken + memory_of(a->model) > slot->memory)
        accuse("MEMORY", "worker %" PRIu32 ": %" PRIu64 " + %" PRIu64 " of %" PRIu64, a->worker, taken,
               memory_of(a->model), slot->memory);
    if (slot->loading || slot->loaded >> a->model & 1)
        accuse("LOAD-TWICE", "worker %" PRIu32 " slot %" PRIu32, a->worker, a->slot);
    slot->loading = 1ull << a->model;
    slot->load_job = a->job;
}

static void on_unload(const struct sched_action *a)
{
    struct seen_slot *slot = slot_of(a->worker, a->slot);
    if (!slot)
        return;
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (slot->leases[i].model == a->model)
            accuse("UNLOAD-USED", "worker %" PRIu32 " model %" PRIu32, a->worker, a->model);
    slot->loaded &= ~(1ull << a->model);
}

/* How many slots could run the job now, at least. */
static uint32_t able(const struct seen_job *job)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < witness->numbers_count; w++)
        for (uint32_t s = 0; s < witness->workers[w].slots_count; s++) {
            const struct seen_slot *slot = &witness->workers[w].slots[s];
            bool overdue =
                slot->leases_count > 0 && slot->leases[0].given_us + LEASE_FLOOR_US < witness->now_us;
            bool may = !job->gpu || slot->class % 2 == GPU;
            count += may && witness->workers[w].up && !witness->workers[w].draining &&
                     slot->barred_until_us == 0 && !overdue && slot->loaded >> job->model & 1;
        }
    return count;
}

static void check_blame(const struct sched_action *a)
{
    const struct seen_job *job = &witness->jobs[a->job];
    const struct sched_event *event = witness->event;
    if (a->count != 1 || event->type != SCHED_RESULT || event->result.failure == SCHED_REJECTED)
        return;
    uint32_t slots = 0, wanted = able(job) < 4 ? able(job) : 4;
    for (int i = 0; i < 4; i++)
        slots += job->failed_on[a->first][i] != 0;
    if (job->failed_alone[a->first] < 2 || slots < wanted)
        accuse("FAIL-SOON",
               "job %" PRIu64 ", sample %" PRIu64 " failed alone %u times on %" PRIu32 " slots of %" PRIu32,
               a->job, a->first, job->failed_alone[a->first], slots, wanted);
}

static void on_store(const struct sched_action *a)
{
    if (a->type == SCHED_FAIL)
        check_blame(a);
    if (a->settle >= SETTLES)
        return;
    witness->settles_count = a->settle >= witness->settles_count ? a->settle + 1 : witness->settles_count;
    struct seen_settle *settle = &witness->settles[a->settle];
    const struct seen_slot *slot = slot_of(witness->event->worker, witness->event->slot);
    *settle = (struct seen_settle){ .attempt = a->attempt,
                                    .left = settle->left + a->count,
                                    .worker = a->worker,
                                    .class = slot ? slot->class : NOBODY,
                                    .failed = a->type == SCHED_FAIL };
    witness->jobs[a->job].claimed += a->count;
}

static void on_compare(const struct sched_action *a)
{
    struct seen_job *job = &witness->jobs[a->job];
    const struct seen_slot *slot = slot_of(a->worker, a->slot);
    for (uint64_t i = a->first; i < a->first + a->count; i++)
        if (job->stored_by[i] != a->class || !slot || slot->class == a->class)
            accuse("COMPARE", "job %" PRIu64 ", sample %" PRIu64, a->job, i);
    job->compared += a->count;
    double most = 1.05 * (double)job->samples * job->verify_ppm / 1e6 + 64;
    if ((double)job->compared > most)
        accuse("COMPARE-MUCH", "job %" PRIu64 ": %" PRIu64 " samples", a->job, job->compared);
}

static void on_state(const struct sched_action *a)
{
    struct seen_job *job = &witness->jobs[a->job];
    if (a->state < SCHED_JOB_COMPLETE)
        return;
    if ((a->state == SCHED_JOB_FAILED && job->failed <= job->failures_max) ||
        (a->state == SCHED_JOB_COMPLETE && job->failed > job->failures_max))
        accuse("FAILURES", "job %" PRIu64 ": %" PRIu64 " samples failed, at most %" PRIu64 " may", a->job,
               job->failed, job->failures_max);
    job->open = false;
    for (uint32_t w = 0; w < witness->numbers_count; w++)
        for (uint32_t s = 0; s < witness->workers[w].slots_count; s++) {
            struct seen_slot *slot = &witness->workers[w].slots[s];
            for (uint32_t i = slot->leases_count; i > 0; i--)
                if (slot->leases[i - 1].job == a->job)
                    end_lease(slot, &slot->leases[i - 1]);
            if (slot->loading && slot->load_job == a->job)
                slot->loading = 0; /* need not be answered */
        }
}

static void on_prefetch(const struct sched_action *a)
{
    uint32_t told = 0;
    for (size_t i = 0; i < witness->actions->count; i++)
        told += witness->actions->at[i].type == SCHED_PREFETCH && witness->actions->at[i].job == a->job &&
                witness->actions->at[i].worker == a->worker;
    if (told > 1)
        accuse("PREFETCH-AGAIN", "worker %" PRIu32, a->worker);
}

/* A drain asks everything back that waits. What is old may have expired, and was asked back then. */
static void check_drained(uint32_t number)
{
    const struct seen_worker *worker = &witness->workers[number];
    for (uint32_t s = 0; s < worker->slots_count; s++)
        for (uint32_t i = 1; i < worker->slots[s].leases_count; i++) {
            const struct seen_lease *lease = &worker->slots[s].leases[i];
            if (!lease->recalled && lease->given_us + LEASE_FLOOR_US > witness->now_us)
                accuse("DRAIN-KEEPS", "attempt %" PRIx64 " of worker %" PRIu32, lease->attempt, number);
        }
}

static void hear_action(const struct sched_action *a)
{
    struct seen_slot *slot = slot_of(a->worker, a->slot);
    switch (a->type) {
    case SCHED_LEASE: on_lease(a); break;
    case SCHED_RECALL: on_recall(a); break;
    case SCHED_LOAD: on_load(a); break;
    case SCHED_UNLOAD: on_unload(a); break;
    case SCHED_PREFETCH: on_prefetch(a); break;
    case SCHED_STORE:
    case SCHED_FAIL: on_store(a); break;
    case SCHED_COMPARE: on_compare(a); break;
    case SCHED_JOB_STATE: on_state(a); break;
    case SCHED_BAR:
        if (slot)
            slot->barred_until_us = a->until_us;
        break;
    default: break;
    }
}

static void hear(void *context, uint64_t now_us, const struct sched_event *event,
                 const struct sched_actions *actions)
{
    (void)context;
    witness->now_us = now_us;
    witness->events++;
    witness->event = event;
    witness->actions = actions;
    hear_event(event);
    for (size_t i = 0; i < actions->count; i++)
        hear_action(&actions->at[i]);
    if (event->type == SCHED_DRAIN && event->worker < NUMBERS)
        check_drained(event->worker);
}

/* A new coordinator knows what is on the disk, and nothing else. */
static void forget(void *context, const struct sched_config *config, uint64_t term, uint64_t now_us)
{
    (void)context;
    (void)config;
    (void)term;
    (void)now_us;
    memset(witness->workers, 0, witness->numbers_count * sizeof witness->workers[0]);
    memset(witness->jobs, 0, sizeof witness->jobs);
    memset(witness->settles, 0, witness->settles_count * sizeof witness->settles[0]);
    witness->numbers_count = witness->settles_count = 0;
    witness->paused = false;
}

/* ---- what it may ask ---- */

static bool works_for(const struct seen_slot *slot, uint64_t job)
{
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (slot->leases[i].job == job)
            return true;
    return false;
}

static enum explain_reason wanted_reason(const struct seen_worker *worker, const struct seen_slot *slot,
                                         uint64_t job)
{
    return !worker->up                                        ? EXPLAIN_GONE
           : works_for(slot, job)                             ? EXPLAIN_RUNS
           : witness->jobs[job].gpu && slot->class % 2 == CPU ? EXPLAIN_REQUIRED
           : worker->draining                                 ? EXPLAIN_DRAINING
           : slot->barred_until_us > 0                        ? EXPLAIN_BARRED
                                                              : EXPLAIN_NEXT;
}

static void ask_slots(const struct sched *sched, uint64_t job)
{
    for (uint32_t w = 0; w < witness->numbers_count; w++)
        for (uint32_t s = 0; s < witness->workers[w].slots_count; s++) {
            struct explain_slot explain;
            enum explain_reason wanted =
                wanted_reason(&witness->workers[w], &witness->workers[w].slots[s], job);
            bool known = explain_slot(sched, job, w, s, &explain);
            if (!known ||
                (explain.reason != wanted && (wanted < EXPLAIN_NEXT || explain.reason <= EXPLAIN_BARRED)))
                accuse("EXPLAIN", "worker %" PRIu32 " slot %" PRIu32 " job %" PRIu64 ": %s, not %s", w, s,
                       job, known ? explain_reason_name(explain.reason) : "nothing",
                       explain_reason_name(wanted));
        }
}

static void ask(void *context, uint32_t index, const struct sched *sched, uint64_t now_us)
{
    (void)context;
    (void)index;
    (void)now_us;
    for (uint64_t job = 1; job <= JOBS; job++) {
        struct sched_job_look look;
        if (!witness->jobs[job].known || !witness->jobs[job].open || !sched_job_look(sched, job, &look))
            continue;
        ask_slots(sched, job);
        if (look.done + look.failed + look.settling + look.leased + look.ready != look.samples)
            accuse("LOOK", "job %" PRIu64 " does not add up", job);
    }
}

/* ---- what a seed draws ---- */

struct society {
    struct world_device devices[DEVICES];
    struct world_fault faults[DEVICES];
    struct world_job jobs[JOBS];
    struct world_config config;
    struct attributes *attributes[2];
    bool gpu[JOBS];
    uint32_t tenants[JOBS], verify_ppm[JOBS];
    uint64_t deadlines[JOBS];
    uint64_t memory;
};

static struct society society;

static bool one_in(struct rng *rng, uint32_t n) { return rng_below(rng, n) == 0; }

static void ask_for(void *context, uint32_t job, struct sched_event *add)
{
    (void)context;
    add->add.tenant = society.tenants[job];
    add->add.require = society.gpu[job] ? "device.kind = gpu" : NULL;
    add->add.verify_ppm = society.verify_ppm[job];
    add->add.memory_bytes = memory_of(add->add.model);
    add->add.deadline_us = society.deadlines[job];
}

/* Workers take turns: even ones are of class 0 or 2 and no GPU, odd ones of class 1. */
static void introduce(void *context, uint32_t worker, uint32_t slot, struct sched_slot_info *info)
{
    (void)context;
    (void)slot;
    info->class = worker % 2 ? 1 : worker % 4;
    info->attributes = society.attributes[worker % 2];
    info->memory_bytes = society.memory;
}

static void set_quotas(void *context, struct sched *sched)
{
    witness->sched = sched;
    static struct sched_actions out;
    (void)context;
    for (uint32_t t = 0; t < JOBS; t++)
        sched_step(
            sched, 0,
            &(struct sched_event){
                .type = SCHED_TENANT,
                .tenant = { .tenant = t, .weight = 1 + (double)t, .slots_quota = witness->quotas[t] } },
            &out);
}

static void draw_devices(struct rng *rng)
{
    bool broken = one_in(rng, 2);
    for (uint32_t i = 0; i < DEVICES; i++) {
        double beta = 100 * (double)(1 + rng_below(rng, 100));
        society.devices[i] = (struct world_device){ .alpha_us = beta * (double)rng_below(rng, 40) / 20,
                                                    .beta_us = beta,
                                                    .batch_max = 1 + (uint32_t)rng_below(rng, 32),
                                                    .load_us = rng_below(rng, 300000),
                                                    .warm = one_in(rng, 2) };
        if (one_in(rng, 4))
            society.devices[i].slots = 2 + (uint32_t)rng_below(rng, SLOTS - 1);
        if (i > 1 && broken && one_in(rng, 4))
            society.devices[i].failures_per_mille = 1000;
        else if (i > 1 && one_in(rng, 10))
            society.devices[i].failures_per_mille = (uint32_t)rng_below(rng, 300);
        if (i > 1 && one_in(rng, 8))
            society.devices[i].memory_batch = 1 + (uint32_t)rng_below(rng, 8);
        society.faults[i] = (struct world_fault){ .at_us = rng_below(rng, 3000000), .type = WORLD_HANGS };
        if (i > 1 && one_in(rng, 10)) {
            society.devices[i].faults = &society.faults[i];
            society.devices[i].faults_count = 1;
        }
    }
}

static void draw_jobs(struct rng *rng)
{
    bool checks = one_in(rng, 2), quotas = one_in(rng, 2);
    uint32_t fixed = one_in(rng, 3) ? 1 + (uint32_t)rng_below(rng, 6) : 0; /* of model 2 */
    for (uint32_t j = 0; j < JOBS; j++) {
        society.jobs[j] = (struct world_job){ .samples = rng_below(rng, 1500),
                                              .arrives_us = rng_below(rng, 3000000),
                                              .model = (uint32_t)rng_below(rng, 3),
                                              .priority = (int32_t)rng_below(rng, 3),
                                              .failures_max = one_in(rng, 3) ? 1 + rng_below(rng, 20) : 0 };
        society.jobs[j].batch_fixed = society.jobs[j].model == 2 ? fixed : 0;
        society.jobs[j].cancel_at_us =
            one_in(rng, 6) ? 1 + society.jobs[j].arrives_us + rng_below(rng, 2000000) : 0;
        society.gpu[j] = one_in(rng, 3);
        society.tenants[j] = (uint32_t)rng_below(rng, 3);
        society.verify_ppm[j] = checks && one_in(rng, 2) ? (uint32_t)rng_below(rng, 1000000) : 0;
        society.deadlines[j] = one_in(rng, 4) ? 1 + rng_below(rng, 9000000) : 0;
        witness->quotas[j] = quotas && one_in(rng, 2) ? 1 + (uint32_t)rng_below(rng, 4) : 0;
    }
}

static void draw_weather(struct rng *rng, struct world_weather *weather)
{
    *weather = (struct world_weather){ .calm_us = 6000000,
                                       .delay_us = rng_below(rng, 2000),
                                       .delay_spread_us = rng_below(rng, 3000),
                                       .disk_us = rng_below(rng, 5000),
                                       .disk_spread_us = rng_below(rng, 10000) };
    weather->breaks_per_mille = one_in(rng, 3) ? (uint32_t)rng_below(rng, 30) : 0;
    weather->crashes_per_mille = one_in(rng, 3) ? (uint32_t)rng_below(rng, 30) : 0;
    weather->restarts_per_mille = one_in(rng, 3) ? (uint32_t)rng_below(rng, 20) : 0;
    weather->poison_every = one_in(rng, 3) ? 50 + (uint32_t)rng_below(rng, 300) : 0;
    weather->rejected_every = one_in(rng, 4) ? 30 + (uint32_t)rng_below(rng, 200) : 0;
    weather->lies = one_in(rng, 4);
    weather->accidents = (one_in(rng, 2) ? WORLD_LEAVERS : 0) | (one_in(rng, 2) ? WORLD_DISK_FULL : 0) |
                         (one_in(rng, 4) ? WORLD_SILENCE : 0) | (one_in(rng, 4) ? WORLD_CRASHES : 0);
    weather->accident_every_us = one_in(rng, 3) ? 0 : 100000 + rng_below(rng, 1000000);
}

static void draw(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed * 7919);
    society.config = (struct world_config){ .seed = seed,
                                            .devices = society.devices,
                                            .devices_count = 2 + (uint32_t)rng_below(&rng, DEVICES - 1),
                                            .jobs = society.jobs,
                                            .jobs_count = 1 + (uint32_t)rng_below(&rng, JOBS),
                                            .check = true,
                                            .steps_max = 300000,
                                            .on_add = ask_for,
                                            .on_hello = introduce,
                                            .on_life = set_quotas,
                                            .on_begin = forget,
                                            .on_step = hear,
                                            .on_added = ask };
    society.memory = one_in(&rng, 2) ? 6 + rng_below(&rng, 10) : 0;
    draw_devices(&rng);
    draw_jobs(&rng);
    draw_weather(&rng, &society.config.weather);
}

static bool good(uint64_t seed, bool loud)
{
    struct world_report report;
    forget(NULL, NULL, 0, 0);
    witness->events = 0;
    witness->broken[0] = 0;
    draw(seed);
    world_run(&society.config, &report);
    bool fine = report.finished && report.lost == 0 && report.doubled == 0 && !report.violation[0] &&
                !witness->broken[0];
    if (loud || !fine)
        printf("seed %" PRIu64 ": %s, lost %" PRIu64 ", doubled %" PRIu64
               ", makespan %.3f s, batches %" PRIu64 ", events %" PRIu64 ", trace %016" PRIx64 "%s%s%s%s\n",
               seed, report.finished ? "finished" : "NOT FINISHED", report.lost, report.doubled,
               (double)report.makespan_us / 1e6, report.batches, report.events, report.trace_hash,
               report.violation[0] ? ", " : "", report.violation, witness->broken[0] ? ", " : "",
               witness->broken);
    return fine;
}

static void make_attributes(void)
{
    for (int gpu = 0; gpu < 2; gpu++) {
        struct attributes_builder builder;
        attributes_begin(&builder);
        ENSURE(attributes_add_text(&builder, "device.kind", gpu ? "gpu" : "cpu"));
        society.attributes[gpu] = attributes_finish(&builder);
        ENSURE(society.attributes[gpu]);
    }
}

/* ---- scenes in fair weather ---- */

struct scene {
    struct world_config config;
    struct world_report report;
    struct world_job_figures ends[4];
    uint64_t run[16], batches[16], failed[16]; /* samples and batches by worker */
    double busy_us[4];                         /* by job, from `from_us` to `to_us` */
    uint64_t from_us, to_us, compared, done_us, deadlines[4];
    uint32_t verify_ppm, classes[16], tenants[4], workers;
    double off;                  /* workers > 0: of expected ends, at most */
    struct explain_slot told[2]; /* of workers 0 and 1, when the second job came */
};

static void scene_add(void *context, uint32_t job, struct sched_event *add)
{
    const struct scene *scene = context;
    add->add.verify_ppm = scene->verify_ppm;
    add->add.tenant = scene->tenants[job];
    add->add.deadline_us = scene->deadlines[job];
}

/* Tenant 3 may hold one slot. */
static void scene_life(void *context, struct sched *sched)
{
    static struct sched_actions out;
    (void)context;
    sched_step(sched, 0,
               &(struct sched_event){ .type = SCHED_TENANT,
                                      .tenant = { .tenant = 3, .weight = 1, .slots_quota = 1 } },
               &out);
}

static void scene_hello(void *context, uint32_t worker, uint32_t slot, struct sched_slot_info *info)
{
    const struct scene *scene = context;
    (void)slot;
    info->class = scene->classes[worker];
}

static void scene_run(void *context, const struct world_run *run)
{
    struct scene *scene = context;
    scene->run[run->worker] += run->count;
    scene->batches[run->worker]++;
    scene->failed[run->worker] += run->failed;
    if (run->start_us >= scene->from_us && run->end_us <= scene->to_us)
        scene->busy_us[run->job - 1] += (double)(run->end_us - run->start_us);
}

static void scene_step(void *context, uint64_t now_us, const struct sched_event *event,
                       const struct sched_actions *actions)
{
    struct scene *scene = context;
    (void)now_us;
    (void)event;
    for (size_t i = 0; i < actions->count; i++)
        scene->compared += actions->at[i].type == SCHED_COMPARE ? actions->at[i].count : 0;
}

/* One slot's part of the water level: from when, and how fast. */
struct tap {
    double start_us, rate;
};

/* Sum of rate * (T - start) over those that start before T = samples, by bisection. */
static double water_level(const struct tap *taps, uint32_t count, double samples)
{
    double low = 0, high = 1e13;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2, done = 0;
        for (uint32_t k = 0; k < count; k++)
            done += middle > taps[k].start_us ? taps[k].rate * (middle - taps[k].start_us) : 0;
        *(done < samples ? &low : &high) = middle;
    }
    return high;
}

/* By what share the expected end of the job is off what follows from the figures of each slot. */
static double level_off(const struct sched *sched, uint64_t job, uint32_t workers, uint64_t now_us)
{
    struct tap taps[16];
    struct explain_slot slot;
    struct sched_job_look look;
    ENSURE(workers <= 16 && sched_job_look(sched, job, &look));
    for (uint32_t w = 0; w < workers; w++) {
        ENSURE(explain_slot(sched, job, w, 0, &slot));
        taps[w] = (struct tap){ (double)slot.start_us, slot.samples_per_second / 1e6 };
    }
    double level = water_level(taps, workers, (double)look.ready);
    return ((double)slot.finish_us - level) / (level - (double)now_us);
}

static void scene_added(void *context, uint32_t job, const struct sched *sched, uint64_t now_us)
{
    struct scene *scene = context;
    struct forecast forecast;
    if (scene->workers > 0 && job > 0) {
        double off = level_off(sched, job + 1, scene->workers, now_us);
        scene->off = off < 0 ? -off > scene->off ? -off : scene->off : off > scene->off ? off : scene->off;
    }
    for (uint32_t w = 0; w < 2 && job == 1; w++)
        explain_slot(sched, 1, w, 0, &scene->told[w]);
    if (job == 1 && forecast_job(sched, 2, &forecast) && forecast.known)
        scene->done_us = forecast.done_us;
}

static void play(struct scene *scene, const struct world_device *devices, uint32_t devices_count,
                 const struct world_job *jobs, uint32_t jobs_count)
{
    struct world_weather weather = scene->config.weather;
    weather.delay_us = 200;
    weather.disk_us = 2000;
    scene->config = (struct world_config){ .seed = 1,
                                           .devices = devices,
                                           .devices_count = devices_count,
                                           .jobs = jobs,
                                           .jobs_count = jobs_count,
                                           .jobs_out = scene->ends,
                                           .weather = weather,
                                           .steps_max = 5000000,
                                           .context = scene,
                                           .on_add = scene_add,
                                           .on_life = scene_life,
                                           .on_added = scene_added,
                                           .on_hello = scene_hello,
                                           .on_run = scene_run,
                                           .on_step = scene_step };
    world_run(&scene->config, &scene->report);
}

static bool ended_well(const struct scene *scene)
{
    const struct world_report *report = &scene->report;
    return report->finished && report->lost == 0 && report->doubled == 0 && !report->violation[0];
}

__attribute__((format(printf, 2, 3))) static bool say(bool kept, const char *format, ...)
{
    va_list arguments;
    printf("%s: ", kept ? "kept" : "BROKEN");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    return kept;
}

static bool a_broken_device_wastes_little(void)
{
    struct world_device devices[] = {
        { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .warm = true, .count = 5 },
        { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .warm = true, .failures_per_mille = 1000 }
    };
    const struct world_job job = { .samples = 200000 };
    struct scene scene = { 0 };
    play(&scene, devices, 2, &job, 1);
    double ratio = (double)scene.report.makespan_us / (200000 / 5 * 1062.5);
    return say(ended_well(&scene) && scene.report.failed == 0 && scene.batches[5] < 60 && ratio < 1.02,
               "a device that fails everything is given %" PRIu64 " batches in %.0f s, fails %" PRIu64
               " samples, and costs %.2f %%",
               scene.batches[5], (double)scene.report.makespan_us / 1e6, scene.report.failed,
               100 * (ratio - 1));
}

/* Nobody else could have run them: what is run twice was lost by a broken connection. */
static bool broken_connections_lose_nothing(void)
{
    const struct world_device device = { .alpha_us = 20000, .beta_us = 1000, .batch_max = 16, .warm = true };
    const struct world_job job = { .samples = 40000 };
    struct scene scene = { .config = { .weather = { .calm_us = UINT64_MAX, .breaks_per_mille = 30 } } };
    play(&scene, &device, 1, &job, 1);
    double again = (double)scene.run[0] / 40000 - 1;
    return say(ended_well(&scene) && again < 0.001,
               "a device behind a connection that breaks again and again runs %.2f %% of the samples twice",
               100 * again);
}

static bool the_last_is_served(void)
{
    const struct world_device device = { .alpha_us = 1000, .beta_us = 10000, .batch_max = 16, .warm = true };
    const struct world_job jobs[] = { { .samples = 30000, .priority = 1 }, { .samples = 5 } };
    struct scene scene = { 0 };
    play(&scene, &device, 1, jobs, 2);
    return say(ended_well(&scene) && scene.ends[1].finished_us > 25000000 &&
                   scene.ends[1].finished_us < 70000000,
               "behind a more urgent job of %.0f s a small one is done after %.0f s",
               (double)scene.ends[0].finished_us / 1e6, (double)scene.ends[1].finished_us / 1e6);
}

static bool the_earlier_deadline_goes_first(void)
{
    const struct world_device device = { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .warm = true };
    const struct world_job jobs[] = { { .samples = 4000 }, { .samples = 4000, .arrives_us = 100000 } };
    struct scene scene = { .deadlines = { 60000000, 5000000 } };
    play(&scene, &device, 1, jobs, 2);
    return say(ended_well(&scene) && scene.ends[1].finished_us < 5000000,
               "with the earlier deadline the later job is done after %.1f s, the other after %.1f s",
               (double)scene.ends[1].finished_us / 1e6, (double)scene.ends[0].finished_us / 1e6);
}

static bool who_comes_back_shares(void)
{
    const struct world_device device = { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .warm = true };
    const struct world_job jobs[] = { { .samples = 200000 }, { .samples = 60000, .arrives_us = 80000000 } };
    struct scene scene = { .tenants = { 0, 1 }, .from_us = 81000000, .to_us = 120000000 };
    play(&scene, &device, 1, jobs, 2);
    double share = scene.busy_us[1] / (scene.busy_us[0] + scene.busy_us[1]);
    return say(ended_well(&scene) && share > 0.45 && share < 0.55,
               "a tenant that comes after 80 s gets %.3f of the time from then on", share);
}

static bool windows_grow(void)
{
    struct world_device device = {
        .alpha_us = 40000, .beta_us = 2000, .batch_max = 1, .warm = true, .lanes = 16, .window = 16
    };
    const struct world_job job = { .samples = 20000 };
    struct scene fixed = { 0 }, learned = { 0 };
    play(&fixed, &device, 1, &job, 1);
    device.window = 0;
    device.window_max = 32;
    play(&learned, &device, 1, &job, 1);
    double ratio = (double)learned.report.makespan_us / (double)fixed.report.makespan_us;
    return say(ended_well(&fixed) && ended_well(&learned) && ratio < 1.3,
               "a server that batches by itself, its window learned, takes %.2f times as long as with the "
               "right one",
               ratio);
}

static bool every_check_is_made(void)
{
    const struct world_fault death = { .at_us = 6000000, .type = WORLD_DIES };
    const struct world_device devices[] = {
        { .alpha_us = 1000, .beta_us = 500, .batch_max = 16, .warm = true },
        { .alpha_us = 1000, .beta_us = 2000, .batch_max = 16, .warm = true },
        { .alpha_us = 1000,
          .beta_us = 3000,
          .batch_max = 16,
          .warm = true,
          .faults = &death,
          .faults_count = 1 },
    };
    const struct world_job job = { .samples = 20000 };
    struct scene scene = { .verify_ppm = 1000000, .classes = { 0, 1, 1 } };
    play(&scene, devices, 3, &job, 1);
    return say(ended_well(&scene) && scene.compared == 20000,
               "of 20,000 samples %" PRIu64 " are checked on another class of device, though one dies",
               scene.compared);
}

static bool forecasts_count_others(void)
{
    const struct world_device device = { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .warm = true };
    const struct world_job jobs[] = { { .samples = 40000, .priority = 1 },
                                      { .samples = 20000, .arrives_us = 1000000 } };
    struct scene scene = { 0 };
    play(&scene, &device, 1, jobs, 2);
    double off = ((double)scene.done_us - (double)scene.ends[1].finished_us) /
                 ((double)scene.ends[1].finished_us - 1e6);
    return say(ended_well(&scene) && off > -0.05 && off < 0.05,
               "behind a more urgent job the forecast is off by %.1f %%", 100 * off);
}

/* Jobs that wait behind another, on slots that become free at very different times, and on idle ones. */
static bool the_end_is_the_water_level(void)
{
    struct world_device devices[8] = { { 0 } };
    for (uint32_t i = 0; i < 8; i++)
        devices[i] =
            (struct world_device){ .alpha_us = 100 << i, .beta_us = 200 << i, .batch_max = 64, .warm = true };
    const struct world_job jobs[] = { { .samples = 60000 },
                                      { .samples = 3000, .arrives_us = 3000000, .priority = -1 },
                                      { .samples = 300, .arrives_us = 4000000, .priority = -2 },
                                      { .samples = 100000, .arrives_us = 60000000 } };
    struct scene scene = { .workers = 8, .tenants = { 0, 0, 0, 3 } };
    play(&scene, devices, 8, jobs, 4);
    return say(ended_well(&scene) && scene.off < 0.01,
               "expected ends are at most %.2f %% off the water level of what is said of each slot",
               100 * scene.off);
}

static double speed_off(const struct explain_slot *told, double alpha_us, double beta_us)
{
    double off = told->samples_per_second * (alpha_us + beta_us * told->batch) / told->batch / 1e6 - 1;
    return off < 0 ? -off : off;
}

static bool throttled_devices_are_known(void)
{
    const struct world_device devices[] = {
        { .alpha_us = 5000, .beta_us = 1000, .batch_max = 16, .warm = true },
        { .alpha_us = 5000, .beta_us = 1000, .batch_max = 16, .throttle_at_us = 8000000, .throttle_by = 4 },
    };
    const struct world_job jobs[] = { { .samples = 30000 }, { .samples = 10, .arrives_us = 12000000 } };
    struct scene scene = { 0 };
    play(&scene, devices, 2, jobs, 2);
    double off = speed_off(&scene.told[0], 5000, 1000), slow_off = speed_off(&scene.told[1], 20000, 4000);
    return say(ended_well(&scene) && off < 0.03 && slow_off < 0.05,
               "the speed of a device is known within %.2f %%, that of one that was throttled within %.2f %%",
               100 * off, 100 * slow_off);
}

/* All is leased to a slow device when a fast one comes: it gets what has not started. */
static bool late_comers_help(void)
{
    const struct world_device devices[] = {
        { .alpha_us = 900000, .beta_us = 1000000, .batch_max = 1, .warm = true },
        { .alpha_us = 1000, .beta_us = 10000, .batch_max = 1, .warm = true, .joins_us = 500000 },
    };
    const struct world_job job = { .samples = 2 };
    struct scene scene = { 0 };
    play(&scene, devices, 2, &job, 1);
    return say(ended_well(&scene) && scene.report.makespan_us < 2500000,
               "two samples that a slow device holds are done after %.1f s, because a fast one came",
               (double)scene.report.makespan_us / 1e6);
}

/* Each of two devices can load one of two models only, and is asked for the other first. */
static bool refusals_are_heard(void)
{
    const struct world_model first[] = { { .refuses = true }, { .alpha_us = 1000, .beta_us = 1000 } };
    const struct world_model second[] = { { .alpha_us = 1000, .beta_us = 1000 }, { .refuses = true } };
    const struct world_device devices[] = {
        { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .models = first, .models_count = 2 },
        { .alpha_us = 1000, .beta_us = 1000, .batch_max = 16, .models = second, .models_count = 2 },
    };
    const struct world_job jobs[] = { { .samples = 40000 },
                                      { .samples = 4000, .model = 1, .arrives_us = 1000000 } };
    struct scene scene = { 0 };
    play(&scene, devices, 2, jobs, 2);
    return say(ended_well(&scene) && scene.ends[1].finished_us < 20000000,
               "a device that refused one model runs the other: done after %.1f s, not %.1f",
               (double)scene.ends[1].finished_us / 1e6, (double)scene.ends[0].finished_us / 1e6);
}

/* A device whose memory does not hold the one batch that the model runs in. */
static bool hopeless_memory_ends(void)
{
    const struct world_device device = {
        .alpha_us = 1000, .beta_us = 1000, .batch_max = 4, .warm = true, .memory_batch = 3
    };
    const struct world_job job = { .samples = 40, .batch_fixed = 4 };
    struct scene scene = { 0 };
    play(&scene, &device, 1, &job, 1);
    return say(ended_well(&scene),
               "where no batch fits into memory, the job ends, with %" PRIu64 " samples failed",
               scene.report.failed);
}

static bool play_all(void)
{
    bool fine = a_broken_device_wastes_little();
    fine = broken_connections_lose_nothing() && fine;
    fine = the_last_is_served() && fine;
    fine = the_earlier_deadline_goes_first() && fine;
    fine = who_comes_back_shares() && fine;
    fine = windows_grow() && fine;
    fine = every_check_is_made() && fine;
    fine = the_end_is_the_water_level() && fine;
    fine = throttled_devices_are_known() && fine;
    fine = late_comers_help() && fine;
    fine = refusals_are_heard() && fine;
    fine = hopeless_memory_ends() && fine;
    return forecasts_count_others() && fine;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, bad = 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 400;
    witness = calloc(1, sizeof *witness);
    ENSURE(witness);
    make_attributes();
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint64_t seed = first; seed < first + count; seed++)
        bad += !good(seed, count == 1);
    printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " bad\n", count, first, bad);
    bad += first == 1 && !play_all();
    for (int gpu = 0; gpu < 2; gpu++)
        attributes_free(&society.attributes[gpu]);
    free(witness);
    return bad > 0;
}
