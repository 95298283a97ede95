// SPDX-License-Identifier: Apache-2.0
/* look - the scheduler's tables as the views need them: sched_job_look, sched_slot_look and sched_tally of
 * sched.h. Pure. */
#ifndef LOOK_H
#define LOOK_H

#include "sched.h"

#endif
