// SPDX-License-Identifier: Apache-2.0
/* endgame - the end of a job, where the makespan is won or lost. Pure, private.
 *
 * When will it end, in whole batches? When nothing is ready any more and a slot is idle, unstarted chunks of
 * the slots that would finish last are recalled, if the job would end sooner when they are shared out anew.
 * What runs already is hedged. */
#ifndef ENDGAME_H
#define ENDGAME_H

#include "state.h"

/* When the samples of the job that are ready will have ended if all goes as expected: at least fluid_us, the
 * water-filling's answer. A fluid fits into any vessel, batches do not: here each slot runs whole batches and
 * a shorter one at the end, where it fits. Counts slot by slot in pools of up to ENDGAME_SLOTS; larger ones
 * are near enough to a fluid. */
double endgame_finish_us(const struct sched *sched, const struct job *job, double fluid_us);
enum { ENDGAME_SLOTS = 256 };

void endgame_recall(struct sched *sched);

/* Nothing is ready or can be recalled, slots are idle, and a batch still runs: run it a second time where
 * that would end in less than 0.8 of the time it has left, all of it or nothing, on one or several idle
 * slots. Within a budget of 1 % of the job's samples. The first result of a sample claims it. Returns when to
 * look again. */
uint64_t endgame_hedge(struct sched *sched);

/* A result of the lease claimed samples: who holds them too may forget them if it has not started. */
void endgame_won(struct sched *sched, const struct job *job, const struct lease *lease);

#endif
