// SPDX-License-Identifier: Apache-2.0
/* explanation - why a job waits or is slow, and why a worker is idle, as JSON: core/explain.h's answers with
 * names and times of day. Pure: reads the tables, changes none.
 *
 * A job's object has report_job's keys (without devices) and
 *     finish_at                     expected end of all
 *     held{worker,slot,first,count,since_at,end_at,started,hedged}   who holds its end; null = nobody
 *     recalls returned hedges hedged_samples lost expired failed_batches suspects checked unchecked
 *     slots_serving jobs_before tenant_weight tenant_used_seconds
 *     slots[]                       a place (below) for each slot of a worker that is here
 * all of them null when the job is over, slots[] empty. A worker's object has id name state draining and
 *     slots[{slot,device,runtime,in_flight,window,barred_until,jobs_more,jobs[]}]
 * with a place for each open job, up to a bound; jobs_more = those beyond.
 *
 * A place: worker slot device kind, or (for a worker) job name state; takes_part reason (explain_reason_name)
 * in_flight start_at until_at load_seconds behind_job samples_per_second batch cost unit_of_cost, and
 * requirement[{clause, attribute,wanted,has,holds,alternative,shortfall}], the clauses that do not hold. */
#ifndef EXPLANATION_H
#define EXPLANATION_H

#include "explain.h"
#include "report.h"

void explanation_job(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                     const struct record *record);
void explanation_worker(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct worker *worker);

/* Does or will a slot with this reason work for the job, as things are? */
bool explanation_takes_part(enum explain_reason reason);

/* "slots": how every slot that is here stands to a job of sched. */
void explanation_slots(const struct view *view, const struct sched *sched, yyjson_mut_doc *doc,
                       yyjson_mut_val *object, uint64_t job, enum submit_objective objective);

#endif
