// SPDX-License-Identifier: Apache-2.0
/* endgame - the end of a job, where the makespan is won or lost. Pure, private.
 *
 * What no slot could take under the finish time goes to the slot that would end it first. When nothing is
 * ready any more and a slot is idle, unstarted chunks of the slot that would finish last are recalled, if
 * splitting them would end the job sooner. */
#ifndef ENDGAME_H
#define ENDGAME_H

#include "state.h"

void endgame_place(struct sched *sched, struct job *job);
void endgame_recall(struct sched *sched);

#endif
