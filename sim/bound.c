// SPDX-License-Identifier: Apache-2.0
/* The bound shares no line with the scheduler, nor with machine.c: the same schedule of faults is read once
 * more, as an integral. */
#include "bound.h"

#include <stddef.h>

static const double NEVER_US = 1e16;

static double rate_of(const struct world_device *d, const struct world_model *model)
{
    double alpha = model ? model->alpha_us : d->alpha_us, beta = model ? model->beta_us : d->beta_us;
    uint32_t most = model && model->batch_max ? model->batch_max : d->batch_max;
    uint32_t memory = model && model->memory_batch ? model->memory_batch : d->memory_batch;
    most = memory && memory < most ? memory : most;
    double best = 0;
    for (uint32_t i = 0; i < d->sizes_count; i++)
        if (d->sizes[i] <= most && d->sizes[i] / (alpha + beta * d->sizes[i]) > best)
            best = d->sizes[i] / (alpha + beta * d->sizes[i]);
    if (d->sizes_count == 0)
        best = most / (alpha + beta * most);
    return best * (d->lanes ? d->lanes : 1);
}

/* Its best rate over the models that the jobs use, and the shortest load. */
static void best_of(const struct world_config *config, const struct world_device *d, double *rate,
                    double *load_us)
{
    *rate = 0;
    *load_us = NEVER_US;
    for (uint32_t j = 0; j < config->jobs_count; j++) {
        uint32_t number = config->jobs ? config->jobs[j].model : 0;
        const struct world_model *model = number < d->models_count ? &d->models[number] : NULL;
        if (model && model->refuses)
            continue;
        double found = rate_of(d, model), load = (double)(model ? model->load_us : d->load_us);
        *rate = found > *rate ? found : *rate;
        *load_us = load < *load_us ? load : *load_us;
    }
}

static double later_part(double from, double to, double start)
{
    return to > start ? to - (from > start ? from : start) : 0;
}

/* Microseconds at full speed between start and end, for a device that joined then. */
static double full_speed_us(const struct world_device *d, double joined, double start, double end)
{
    double at = 0, speed = 1, sum = 0;
    uint32_t next = 0;
    bool legacy = d->throttle_at_us > 0;
    if (d->hangs_at_us && (double)d->hangs_at_us < end)
        end = (double)d->hangs_at_us;
    while (next < d->faults_count || legacy) {
        double fault_at = next < d->faults_count ? joined + (double)d->faults[next].at_us : NEVER_US;
        bool takes_legacy = legacy && (double)d->throttle_at_us <= fault_at;
        double turn = takes_legacy ? (double)d->throttle_at_us : fault_at;
        if (turn >= end)
            break;
        sum += speed * later_part(at, turn, start);
        at = turn;
        if (takes_legacy) {
            speed = 1 / d->throttle_by;
            legacy = false;
            continue;
        }
        if (d->faults[next].type != WORLD_THROTTLE)
            return sum;
        speed = d->faults[next++].factor;
    }
    return sum + speed * later_part(at, end, start);
}

struct flow { /* a device's part, found once */
    double rate, load_us;
};

static double done_by(const struct world_config *config, double end)
{
    double done = 0;
    for (uint32_t i = 0; i < config->devices_count; i++) {
        const struct world_device *d = &config->devices[i];
        struct flow flow;
        best_of(config, d, &flow.rate, &flow.load_us);
        uint32_t count = d->count ? d->count : 1, slots = d->slots ? d->slots : 1;
        if (flow.rate <= 0)
            continue;
        if (d->joins_every_us == 0) {
            double joined = (double)d->joins_us;
            done += count * slots * flow.rate * full_speed_us(d, joined, joined + flow.load_us, end);
            continue;
        }
        for (uint32_t k = 0; k < count; k++) {
            double joined = (double)(d->joins_us + k * d->joins_every_us);
            done += slots * flow.rate * full_speed_us(d, joined, joined + flow.load_us, end);
        }
    }
    return done;
}

double bound_us(const struct world_config *config)
{
    double total = 0, arrived = 0;
    for (uint32_t j = 0; j < config->jobs_count; j++) {
        total += (double)(config->jobs ? config->jobs[j].samples : config->samples[j]);
        double at = config->jobs ? (double)config->jobs[j].arrives_us : 0;
        arrived = at > arrived ? at : arrived;
    }
    if (total <= 0)
        return arrived;
    double low = 0, high = 1e15;
    if (done_by(config, high) < total)
        return -1;
    for (int i = 0; i < 100 && high - low > 1e-9 * high; i++) {
        double middle = (low + high) / 2;
        *(done_by(config, middle) < total ? &low : &high) = middle;
    }
    return high > arrived ? high : arrived;
}
