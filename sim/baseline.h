// SPDX-License-Identifier: Apache-2.0
/* baseline - how others would divide the work: the policies that Motley is compared with, on the same
 * devices, links, loads and faults.
 *
 * equal     the samples are split evenly, once, over the workers that are there at the beginning
 * pull:B    one shared queue; an idle slot takes the next B samples (Gearman, Celery, beanstalkd, task pools)
 * actors:B  chunks of B go to the actor that holds the fewest, in turn, up to four each (actor pools)
 *
 * All of them are treated kindly: they know each device's largest batch and memory, report each batch when it
 * ends, need no coordinator's time and no disk, see a dead worker at once, and never duplicate work. What
 * they do not do is look at how fast a device is. A hang is noticed BASELINE_TIMEOUT_US after the batch
 * should have ended; what a lost worker held is given to the next that is idle. The weather's accidents do
 * not touch them, only its mean delay and the devices' own faults do. Pure: one seed is one history. */
#ifndef BASELINE_H
#define BASELINE_H

#include "err.h"
#include "world.h"

enum { BASELINE_TIMEOUT_US = 60000000, BASELINE_IN_FLIGHT = 4, BASELINE_NAME_MAX = 32 };

enum baseline_type { BASELINE_EQUAL, BASELINE_PULL, BASELINE_ACTORS };

struct baseline {
    enum baseline_type type;
    uint32_t batch; /* B; unused by equal */
};

/* "equal", "pull:16", "actors:32". ERR_USAGE names the known ones. */
MUST_USE enum err baseline_parse(const char *text, struct baseline *baseline, struct why *why);

void baseline_name(const struct baseline *baseline, char name[BASELINE_NAME_MAX]);

/* Run config's first job under this policy, as world_run would. Of config it heeds seed, devices, the first
 * job's samples, the weather's delay, steps_max, on_run and workers; of a device all but models, failures and
 * priors, and faults alone (not throttle_at_us and hangs_at_us). report.events counts what happened;
 * report.lost what nobody was left to do. False: no memory. */
MUST_USE bool baseline_run(const struct baseline *baseline, const struct world_config *config,
                           struct world_report *report);

#endif
