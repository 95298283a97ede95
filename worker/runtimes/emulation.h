// SPDX-License-Identifier: Apache-2.0
/* emulation - how long an emulated device takes, and when it fails: the arithmetic behind the runtime
 * `emulated`. Pure.
 *
 * Speed over time is a staircase given by the faults of the fleet file, and a batch is work to be done at
 * that speed:
 *
 *     speed 1.0 |-----+            +------      work = alpha + beta*b, times time_scale, times the jitter
 *           0.5 |     +------------+            finish = when the area under the stairs from start on reaches
 * work
 *               +-----|------------|------>
 *                 throttle 0.5   throttle 1.0
 *
 * All fault times count from joined_us and are multiplied by the fleet's time_scale. Times are microseconds
 * on the caller's clock. */
#ifndef EMULATION_H
#define EMULATION_H

#include "fleet.h"
#include "rng.h"

#include <stdint.h>

#define EMULATION_NEVER UINT64_MAX

/* The samples that the device computes for a batch of rows: the next allowed size. 0 if rows is larger than
 * the largest. */
uint32_t emulation_padded(const struct fleet_worker *member, uint32_t rows);

/* Healthy time of a batch of rows (already padded), without jitter. */
double emulation_work_us(const struct fleet *fleet, const struct fleet_worker *member, uint32_t rows);

/* Healthy time to load a model. Loading is not throttled. */
uint64_t emulation_load_us(const struct fleet *fleet, const struct fleet_worker *member);

/* A factor for one batch's time: positive, mean exactly 1, relative standard deviation jitter (within 3 % of
 * it). 1 if jitter is 0. */
double emulation_jitter(struct rng *rng, double jitter);

/* When work_us of healthy time, begun at start_us, is done under the throttles. EMULATION_NEVER if the device
 * hangs before. */
uint64_t emulation_finish_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us,
                             uint64_t start_us, double work_us);

/* When the device first dies or hangs; EMULATION_NEVER if it does not. */
uint64_t emulation_death_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us);
uint64_t emulation_hang_us(const struct fleet *fleet, const struct fleet_worker *member, uint64_t joined_us);

#endif
