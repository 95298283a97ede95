// SPDX-License-Identifier: Apache-2.0
/* forecast - when will a job be done, between when and when, and would a deadline hold? Pure.
 *
 * The estimate is water-filling over the slots that take part, behind the jobs that go before it. The
 * interval is conformal (Vovk, Gammerman and Shafer 2005): it is as wide as the forecasts of the last jobs
 * were wrong, in units of what was expected then, so that it holds the truth in nine of ten cases whatever
 * the fleet is like. Until some jobs have ended a prior that is meant to be wide stands in.
 *
 * Times are step times of the scheduler (sched.h). Costs O(slots) and more: for people, and once a job.
 * What about a job that is not there yet? See sched_suppose.
 */
#ifndef FORECAST_H
#define FORECAST_H

#include "sched.h"

struct forecast {
    bool known;               /* false: no slot that could run it has shown its speed */
    uint64_t done_us;         /* the estimate */
    uint64_t low_us, high_us; /* nine of ten end between */
    bool fits;                /* it has a deadline, and high_us is not after it */
    uint32_t slots;           /* that take part */
    uint32_t slots_more;      /* with so many more slots like the one below it would fit; 0 = it fits, has no
                                 deadline, or no number of them would help */
    uint32_t like_worker, like_slot;
};

/* Of an open job as things stand. False: there is no such open job. */
bool forecast_job(const struct sched *sched, uint64_t job, struct forecast *forecast);

#endif
