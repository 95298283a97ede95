// SPDX-License-Identifier: Apache-2.0
/* handout - the answer of a settled job for clients that ask for its files: assembled in the spool beside the
 * job's rows by the clerk when first asked for; those who ask meanwhile wait. It stays there, and is never
 * what stands at the job's output path: that is the user's.
 *
 * A client finds the form by asking for output.npy, output.jsonl, output/<name>.npy, in this order, so the
 * form that the job was submitted with is the first that there is. Rows that turned out to vary have no
 * .npy form, whatever was asked for: output.jsonl is what there is of them. */
#ifndef HANDOUT_H
#define HANDOUT_H

#include "coordinator.h"

enum { HANDOUT_PEER = 1 }; /* clerk_command.peer of what is assembled here */

/* Is the file one of a form that the job's answer is handed out in? */
bool handout_offers(const struct record *record, const char *file);

/* Answer fetch (taken) with a piece of the file, a name that clerk_published_path accepts, or with why not.
 * The record has an answer. */
void handout_give(struct coordinator *coordinator, struct record *record, const char *file,
                  struct fetch **fetch);

/* The clerk is done with one. */
void handout_assembled(struct coordinator *coordinator, const struct clerk_event *event);

/* Drop those who wait, unanswered. */
void handout_drop(struct coordinator *coordinator);

#endif
