// SPDX-License-Identifier: Apache-2.0
/* pool - which slots may run which jobs, and when they could start. Pure, private.
 *
 * Jobs of one model with equal requirements share a pool; a job with a preference or an objective has its
 * own. Every slot whose format and attributes will do has a member in the pool, made when the pool or the
 * slot appears; the members that could start now or soon are in the pool's fill.
 *
 * An objective (or a preference) cuts the pool: members are taken in the order of (preferred, cost per
 * sample) until those taken can end the job by its deadline; the dearer ones stay out. Without a deadline
 * only the best remain. A slot whose curve is not known yet stays in: a batch tells what it costs. */
#ifndef POOL_H
#define POOL_H

#include "state.h"

/* Find or make the job's pool. False: the requirement does not parse, or memory is out. */
bool pool_join(struct sched *sched, struct job *job, const struct sched_event *add);
void pool_leave(struct sched *sched, struct job *job); /* the job is over */

/* A slot appeared: a member in every pool that will have it. */
void pool_welcome(struct sched *sched, struct slot *slot);

/* Could the slot run the pool's jobs, if it were free and had the model? */
bool pool_allows(const struct sched *sched, const struct slot *slot, uint32_t pool);

/* Cut the job's pool, if it is its own. */
void pool_cut(struct sched *sched, const struct job *job);
/* Cut all pools with objectives anew where it is time. */
void pool_cut_all(struct sched *sched);

/* Money or energy per sample on a slot by the pool's objective; negative = unknown. */
double pool_cost(const struct sched *sched, const struct pool *pool, const struct slot_model *model);

/* The slot could not load that file: where there is another variant that suits it, it takes that. */
void pool_refused(struct sched *sched, struct slot *slot, const struct slot_model *model);

void pool_free(struct pool *pool);

#endif
