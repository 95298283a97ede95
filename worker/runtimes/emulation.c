// SPDX-License-Identifier: Apache-2.0
#include "emulation.h"

#include <math.h>

uint32_t emulation_padded(const struct fleet_worker *member, uint32_t rows)
{
    if (member->sizes_count == 0)
        return rows <= member->curve.batch_max ? rows : 0;
    for (uint32_t i = 0; i < member->sizes_count; i++)
        if (rows <= member->sizes[i])
            return member->sizes[i];
    return 0;
}

double emulation_work_us(const struct fleet *fleet, const struct fleet_worker *member, uint32_t rows)
{
    return (member->curve.alpha_ms + member->curve.beta_ms * rows) * 1000.0 * fleet->time_scale;
}

/* Any double as a time: what lies past 30,000 years is that far. */
static uint64_t whole_us(double us) { return us < 1e18 ? (uint64_t)(us + 0.5) : (uint64_t)1e18; }

uint64_t emulation_load_us(const struct fleet *fleet, const struct fleet_worker *member)
{
    return whole_us(member->load_seconds * 1e6 * fleet->time_scale);
}

/* exp(s*z) is positive for any jitter below 1. Its mean for rng_normal's z, a sum of twelve uniforms, is
 * known exactly: (sinh(s/2) / (s/2))^12; divided by that, the mean is 1, and not 1 less what a cut at zero
 * would add. */
double emulation_jitter(struct rng *rng, double jitter)
{
    if (jitter <= 0)
        return 1;
    double s = sqrt(log1p(jitter * jitter));
    double uniform_mean = sinh(s / 2) / (s / 2);
    return exp(s * rng_normal(rng)) / pow(uniform_mean, 12);
}

static uint64_t fault_us(const struct fleet *fleet, const struct fleet_fault *fault, uint64_t joined_us)
{
    return joined_us + whole_us(fault->at_seconds * 1e6 * fleet->time_scale);
}

static uint64_t first_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us,
                         enum fleet_fault_kind kind)
{
    for (uint32_t i = 0; i < member->faults_count; i++)
        if (member->faults[i].kind == kind)
            return fault_us(fleet, &member->faults[i], joined_us);
    return EMULATION_NEVER;
}

uint64_t emulation_death_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us)
{
    return first_us(fleet, member, joined_us, FLEET_DIES);
}

uint64_t emulation_hang_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us)
{
    return first_us(fleet, member, joined_us, FLEET_HANGS);
}

uint64_t emulation_finish_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us,
                             uint64_t start_us, double work_us)
{
    double at_us = (double)start_us, speed = 1;
    for (uint32_t i = 0; i < member->faults_count; i++) {
        const struct fleet_fault *fault = &member->faults[i];
        double next_us = (double)fault_us(fleet, fault, joined_us);
        if (next_us > at_us) {
            if (at_us + work_us / speed <= next_us)
                break;
            work_us -= (next_us - at_us) * speed;
            at_us = next_us;
        }
        if (fault->kind == FLEET_HANGS)
            return EMULATION_NEVER;
        if (fault->kind == FLEET_THROTTLE)
            speed = fault->factor;
    }
    return whole_us(at_us + work_us / speed);
}
