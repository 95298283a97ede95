// SPDX-License-Identifier: Apache-2.0
#include "tape_fields.h"

#include "tape.h"

#include <string.h>

/* A new event or field of sched.h: add it here, at the end of its table. What is missing is found by
 * -Wswitch below, and by test_tape, which knows the sizes of the structs. */

#define ROW(type, member, letter, largest)                                                                   \
    {                                                                                                        \
        .name = #member, .kind = (letter), .size = (uint16_t)sizeof(((type *)0)->member),                    \
        .offset = (uint16_t)offsetof(type, member), .max = (largest)                                         \
    }
#define EVENT(member, letter)        ROW(struct sched_event, member, letter, 0)
#define BELOW(member, letter, count) ROW(struct sched_event, member, letter, (count)-1)
#define LIFE(member, letter)         ROW(struct tape_life, member, letter, 0)
#define SLOT(member, letter)         ROW(struct sched_slot_info, member, letter, 0)
#define VARIANT(member)              ROW(struct sched_variant, member, 'u', 0)

const struct field layout_common[] = { EVENT(worker, 'u'),  EVENT(slot, 'u'),
                                       EVENT(job, 'u'),     EVENT(term, 'u'),
                                       EVENT(attempt, 'a'), EVENT(first, 'u'),
                                       EVENT(count, 'u'),   { 0 } };

static const struct field none[] = { { 0 } };

static const struct field up[] = { EVENT(up.slots, 's'), { 0 } };

static const struct field add[] = {
    EVENT(add.model, 'u'),        EVENT(add.formats, 'u'),
    EVENT(add.samples, 'u'),      EVENT(add.priority, 'i'),
    EVENT(add.batch, 'u'),        EVENT(add.batch_fixed, 'u'),
    EVENT(add.failures_max, 'u'), EVENT(add.tenant, 'u'),
    EVENT(add.deadline_us, 'u'),  BELOW(add.objective, 'u', SCHED_GREENEST + 1),
    EVENT(add.require, 't'),      EVENT(add.prefer, 't'),
    EVENT(add.verify_ppm, 'u'),   EVENT(add.memory_bytes, 'u'),
    BELOW(add.online, 'u', 2),    EVENT(add.variants, 'V'),
    EVENT(add.costs, 'c'),        { 0 },
};

static const struct field settled[] = { BELOW(settled.failed, 'u', 2), { 0 } };

static const struct field change[] = { EVENT(change.priority, 'i'), EVENT(change.deadline_us, 'u'), { 0 } };

static const struct field tenant[] = {
    EVENT(tenant.tenant, 'u'), EVENT(tenant.weight, 'd'), EVENT(tenant.slots_quota, 'u'), { 0 }
};

static const struct field loaded[] = {
    EVENT(loaded.model, 'u'),    BELOW(loaded.ok, 'u', 2),   EVENT(loaded.load_us, 'u'),
    EVENT(loaded.alpha_us, 'd'), EVENT(loaded.beta_us, 'd'), { 0 },
};

static const struct field result[] = {
    BELOW(result.proven, 'u', 2),     BELOW(result.failure, 'u', SCHED_REJECTED + 1),
    EVENT(result.run_us, 'u'),        EVENT(result.wait_us, 'u'),
    EVENT(result.energy_joules, 'd'), BELOW(result.overrun, 'u', 2),
    BELOW(result.again, 'u', 2),      { 0 },
};

static const struct field kept[] = { BELOW(held.finished, 'u', 2), { 0 } };

static const struct field stored[] = { EVENT(stored.settle, 'u'), { 0 } };

static const struct field slot[] = {
    SLOT(formats, 'u'),    SLOT(sizes, 'l'),          SLOT(batch_max, 'u'),
    SLOT(window, 'u'),     SLOT(alpha_us, 'd'),       SLOT(beta_us, 'd'),
    SLOT(load_us, 'd'),    SLOT(class, 'u'),          SLOT(memory_bytes, 'u'),
    SLOT(busy_watts, 'd'), SLOT(price_per_hour, 'd'), SLOT(attributes, 'A'),
    SLOT(window_max, 'u'), SLOT(precisions, 'u'),     { 0 },
};

static const struct field variant[] = {
    VARIANT(model), VARIANT(formats), VARIANT(precisions), VARIANT(memory_bytes), { 0 }
};

static const struct field life[] = {
    LIFE(term, 'u'),
    LIFE(now_us, 'u'),
    LIFE(wall_us, 'u'),
    LIFE(config.workers_max, 'u'),
    LIFE(config.slots_max, 'u'),
    LIFE(config.jobs_max, 'u'),
    LIFE(config.chunk_cap_us, 'u'),
    LIFE(config.chunk_cost_us, 'u'),
    LIFE(config.lease_floor_us, 'u'),
    { 0 },
};

const struct layout layout_life = { RECORD_LIFE, "life", life }, layout_slot = { '_', "slot", slot },
                    layout_variant = { '%', "variant", variant };

const struct layout *layout_event(enum sched_event_type type)
{
    static const struct layout tick = { 'T', "tick", none }, worker_up = { 'U', "worker-up", up },
                               worker_down = { 'D', "worker-down", none }, job_add = { 'J', "job-add", add },
                               range = { 'G', "settled-range", settled }, cancel = { 'C', "cancel", none },
                               job_change = { 'c', "change", change }, share = { 't', "tenant", tenant },
                               drain = { 'd', "drain", none }, undrain = { 'n', "undrain", none },
                               load = { 'M', "loaded", loaded }, answer = { 'R', "result", result },
                               durable = { 'S', "stored", stored }, refused = { 'X', "unstorable", stored },
                               returned = { 'B', "returned", none }, held = { 'H', "held", kept },
                               pause = { 'P', "pause", none }, resume = { 'r', "resume", none };
    switch (type) {
    case SCHED_TICK: return &tick;
    case SCHED_WORKER_UP: return &worker_up;
    case SCHED_WORKER_DOWN: return &worker_down;
    case SCHED_JOB_ADD: return &job_add;
    case SCHED_JOB_SETTLED_RANGE: return &range;
    case SCHED_JOB_CANCEL: return &cancel;
    case SCHED_JOB_CHANGE: return &job_change;
    case SCHED_TENANT: return &share;
    case SCHED_DRAIN: return &drain;
    case SCHED_UNDRAIN: return &undrain;
    case SCHED_LOADED: return &load;
    case SCHED_RESULT: return &answer;
    case SCHED_STORED: return &durable;
    case SCHED_UNSTORABLE: return &refused;
    case SCHED_RETURNED: return &returned;
    case SCHED_HELD: return &held;
    case SCHED_PAUSE: return &pause;
    case SCHED_RESUME: return &resume;
    }
    return NULL;
}

const struct layout *layout_by_name(const char *name, size_t size, enum sched_event_type *type)
{
    const struct layout *found;
    for (unsigned i = 0; (found = layout_event((enum sched_event_type)i)); i++)
        if (strlen(found->name) == size && memcmp(found->name, name, size) == 0) {
            *type = (enum sched_event_type)i;
            return found;
        }
    return NULL;
}

const char *tape_event_name(enum sched_event_type type)
{
    const struct layout *layout = layout_event(type);
    return layout ? layout->name : "?";
}
