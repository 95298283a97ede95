// SPDX-License-Identifier: Apache-2.0
/* simulate_view - what `motley simulate` found, for people and as JSON. Pure but for the stream. What is not
 * known is "-" for people and null in JSON. */
#ifndef SIMULATE_VIEW_H
#define SIMULATE_VIEW_H

#include "buyer.h"
#include "planner.h"

#include <stdio.h>
#include <yyjson.h>

/* A run: the table of its fleet's items, then makespan, samples, energy and money. */
void simulate_view_run(const struct plan *plan, const struct plan_outcome *outcome, FILE *stream,
                       bool styled);

/* The same with a deadline: does it hold? Nothing for a deadline of 0. */
void simulate_view_deadline(double deadline_seconds, const struct plan_outcome *outcome, FILE *stream);

/* CONTRACT section 2, and: fleet policy seed faults warm finished reason batches failed samples_per_second
 * energy_joules joules_per_million_samples cost cost_per_million_samples price_per_hour fleet_cost
 * deadline_seconds meets_deadline. NULL: no memory. */
yyjson_mut_doc *simulate_json_run(const struct plan *plan, const struct plan_outcome *outcome,
                                  double deadline_seconds);

/* The answer to the buyer's question. */
void simulate_view_answer(const struct fleet *fleet, const struct buyer_question *question,
                          const struct buyer_answer *answer, FILE *stream, bool styled);
yyjson_mut_doc *simulate_json_answer(const struct fleet *fleet, const struct buyer_question *question,
                                     const struct buyer_answer *answer);

/* "1h 02m", "3.4 s"; "-" for negative. */
void simulate_duration(double seconds, char *text, size_t max);

#endif
