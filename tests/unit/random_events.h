// SPDX-License-Identifier: Apache-2.0
/* random_events - any event that a tape can hold, of a seed. What an event borrows lives here until the next
 * one. */
#ifndef RANDOM_EVENTS_H
#define RANDOM_EVENTS_H

#include "attributes.h"
#include "rng.h"
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_SLOTS_MAX = 5 };

struct random_events {
    struct rng rng;
    struct sched_slot_info slots[RANDOM_SLOTS_MAX];
    struct attributes *attributes[RANDOM_SLOTS_MAX];
    char require[64];
};

/* Small ones are as likely as large ones. */
static inline uint64_t random_number(struct rng *rng, uint64_t max)
{
    return (rng_next(rng) >> rng_below(rng, 64)) & max;
}

static inline double random_double(struct rng *rng)
{
    const double odd[] = { 0, -1, 1.5, 1.0 / 3, 1e300, -0.0, 1e-310, 123456.789 };
    return odd[rng_below(rng, sizeof odd / sizeof odd[0])];
}

static inline struct attributes *random_attributes(struct rng *rng)
{
    static const char *const members[] = { "fp32", "fp16", "int8" };
    static const uint32_t sizes[] = { 1, 8, 128 };
    static struct attributes_builder builder;
    char text[32];
    attributes_begin(&builder);
    snprintf(text, sizeof text, "lab-%u", (unsigned)rng_below(rng, 3));
    attributes_add_text(&builder, "host", text);
    attributes_add_number(&builder, "device.memory", (double)rng_below(rng, 1u << 30));
    attributes_add_set(&builder, "precision", members, 1 + (uint32_t)rng_below(rng, 3));
    attributes_add_version(&builder, "worker.version", "1.2.3-rc1");
    attributes_add_label(&builder, "room", rng_below(rng, 2) ? "b12" : "12");
    for (uint32_t i = 0; i < attribute_types_count(); i++)
        if (attribute_type(i)->whole)
            attributes_add_whole_set(&builder, attribute_type(i)->name, sizes,
                                     1 + (uint32_t)rng_below(rng, 3));
    return attributes_finish(&builder);
}

static inline void random_events_fini(struct random_events *events)
{
    for (int i = 0; i < RANDOM_SLOTS_MAX; i++)
        attributes_free(&events->attributes[i]);
}

static inline void random_slot(struct random_events *events, uint32_t i)
{
    struct rng *rng = &events->rng;
    struct sched_slot_info *slot = &events->slots[i];
    *slot = (struct sched_slot_info){ .formats = (uint32_t)random_number(rng, UINT32_MAX),
                                      .sizes_count = (uint32_t)rng_below(rng, SCHED_SIZES_MAX + 1),
                                      .batch_max = (uint32_t)random_number(rng, UINT32_MAX),
                                      .window = (uint32_t)random_number(rng, 64),
                                      .alpha_us = random_double(rng),
                                      .beta_us = random_double(rng),
                                      .load_us = random_double(rng),
                                      .window_max = (uint32_t)random_number(rng, 64),
                                      .precisions = (uint32_t)random_number(rng, UINT32_MAX),
                                      .class = (uint32_t)random_number(rng, 9),
                                      .memory_bytes = random_number(rng, UINT64_MAX),
                                      .busy_watts = random_double(rng),
                                      .price_per_hour = random_double(rng) };
    for (uint32_t k = 0; k < slot->sizes_count; k++)
        slot->sizes[k] = (uint32_t)random_number(rng, UINT32_MAX);
    attributes_free(&events->attributes[i]);
    if (rng_below(rng, 4))
        events->attributes[i] = random_attributes(rng);
    slot->attributes = events->attributes[i];
}

static inline void random_add(struct random_events *events, struct sched_event *event)
{
    struct rng *rng = &events->rng;
    snprintf(events->require, sizeof events->require, "device.memory >= %uGiB", (unsigned)rng_below(rng, 99));
    event->add.model = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.formats = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.samples = random_number(rng, UINT64_MAX);
    event->add.priority = (int32_t)(uint32_t)random_number(rng, UINT32_MAX);
    event->add.batch = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.batch_fixed = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.failures_max = random_number(rng, UINT64_MAX);
    event->add.tenant = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.deadline_us = random_number(rng, UINT64_MAX);
    event->add.objective = (enum sched_objective)rng_below(rng, SCHED_GREENEST + 1);
    event->add.require = rng_below(rng, 2) ? events->require : NULL;
    event->add.prefer = rng_below(rng, 2) ? "" : NULL;
    event->add.verify_ppm = (uint32_t)random_number(rng, UINT32_MAX);
    event->add.memory_bytes = random_number(rng, UINT64_MAX);
    event->add.online = rng_below(rng, 2);
    event->add.variants_count = (uint32_t)rng_below(rng, SCHED_VARIANTS_MAX + 1);
    static uint32_t costs[100];
    event->add.costs_count = (uint32_t)rng_below(rng, 3) * 50;
    event->add.costs = event->add.costs_count ? costs : NULL;
    for (uint32_t i = 0; i < event->add.costs_count; i++)
        costs[i] = (uint32_t)random_number(rng, UINT32_MAX);
    for (uint32_t i = 0; i < event->add.variants_count; i++) {
        event->add.variants[i].model = (uint32_t)random_number(rng, UINT32_MAX);
        event->add.variants[i].formats = (uint32_t)random_number(rng, UINT32_MAX);
        event->add.variants[i].precisions = (uint32_t)random_number(rng, UINT32_MAX);
        event->add.variants[i].memory_bytes = random_number(rng, UINT64_MAX);
    }
}

static inline void random_result(struct rng *rng, struct sched_event *event)
{
    event->result.proven = rng_below(rng, 2);
    event->result.failure = (enum sched_failure)rng_below(rng, SCHED_REJECTED + 1);
    event->result.run_us = random_number(rng, UINT64_MAX);
    event->result.wait_us = random_number(rng, UINT64_MAX);
    event->result.energy_joules = random_double(rng);
    event->result.overrun = rng_below(rng, 2);
}

static inline void random_parts(struct random_events *events, struct sched_event *event)
{
    struct rng *rng = &events->rng;
    switch (event->type) {
    case SCHED_WORKER_UP:
        event->up.slots_count = (uint32_t)rng_below(rng, RANDOM_SLOTS_MAX + 1);
        event->up.slots = events->slots;
        for (uint32_t i = 0; i < event->up.slots_count; i++)
            random_slot(events, i);
        break;
    case SCHED_JOB_ADD: random_add(events, event); break;
    case SCHED_JOB_SETTLED_RANGE: event->settled.failed = rng_below(rng, 2); break;
    case SCHED_JOB_CHANGE:
        event->change.priority = (int32_t)(uint32_t)random_number(rng, UINT32_MAX);
        event->change.deadline_us = random_number(rng, UINT64_MAX);
        break;
    case SCHED_TENANT:
        event->tenant.tenant = (uint32_t)random_number(rng, UINT32_MAX);
        event->tenant.weight = random_double(rng);
        event->tenant.slots_quota = (uint32_t)random_number(rng, UINT32_MAX);
        break;
    case SCHED_LOADED:
        event->loaded.model = (uint32_t)random_number(rng, UINT32_MAX);
        event->loaded.ok = rng_below(rng, 2);
        event->loaded.load_us = random_number(rng, UINT64_MAX);
        event->loaded.alpha_us = random_double(rng);
        event->loaded.beta_us = random_double(rng);
        break;
    case SCHED_RESULT: random_result(rng, event); break;
    case SCHED_STORED:
    case SCHED_UNSTORABLE: event->stored.settle = (uint32_t)random_number(rng, UINT32_MAX); break;
    default: break;
    }
}

static inline void random_event(struct random_events *events, enum sched_event_type type,
                                struct sched_event *event)
{
    struct rng *rng = &events->rng;
    memset(event, 0, sizeof *event);
    event->type = type;
    event->worker = (uint32_t)random_number(rng, UINT32_MAX);
    event->slot = (uint32_t)random_number(rng, UINT32_MAX);
    event->job = random_number(rng, UINT64_MAX);
    event->attempt = random_number(rng, UINT64_MAX);
    event->term = random_number(rng, UINT64_MAX);
    event->first = random_number(rng, UINT64_MAX);
    event->count = random_number(rng, UINT64_MAX);
    random_parts(events, event);
}

#endif
