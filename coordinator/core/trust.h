// SPDX-License-Identifier: Apache-2.0
/* trust - slots that fail good samples are barred for a while, longer each time, and get a way back. Pure,
 * private.
 *
 * A fresh chunk that fails is a strike against its slot. A success wipes the strikes out; so does the proof
 * that a sample of the chunk was bad (it failed for good elsewhere too). At TRUST_STRIKES the slot is barred
 * from new chunks; it may still try suspects, which is how it can be cleared. When the bar ends it gets one
 * chunk at a time until one goes well; another failure bars it for twice as long. */
#ifndef TRUST_H
#define TRUST_H

#include "state.h"

enum { TRUST_STRIKES = 3 };

void trust_failed(struct sched *sched, struct slot *slot); /* a fresh chunk */
void trust_cleared(struct sched *sched,
                   struct slot *slot); /* a sample of a chunk that failed there was bad */
void trust_succeeded(struct sched *sched, struct slot *slot); /* a fresh chunk */
void trust_time(struct sched *sched);                         /* bars that ended */

#endif
