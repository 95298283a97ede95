// SPDX-License-Identifier: Apache-2.0
/* publication - a settled job's answer on its way to its final name, by the clerk; then the job is closed. A
 * job that fails leaves the file of its errors where its answer would have been. */
#ifndef PUBLICATION_H
#define PUBLICATION_H

#include "coordinator.h"

void publication_start(struct coordinator *coordinator, struct record *record);

/* The job fails for this reason: its error file, if it has one, then its end. */
void publication_fail(struct coordinator *coordinator, struct record *record, const char *reason);

/* A job that is FINISHING is wanted no more: closed as CANCELLED. False: its answer has its name already. */
bool publication_cancel(struct coordinator *coordinator, struct record *record);

/* What the clerk needs to know to write the job's answer, or a part of it; NULL when out of memory. */
struct clerk_command *publication_command(struct coordinator *coordinator, const struct record *record,
                                          enum clerk_part part);

/* The clerk's answer to it. A full disk is tried again every second; any other failure fails the job. */
void publication_ended(struct coordinator *coordinator, const struct clerk_event *event);

/* Try those again whose time came. */
void publication_retry(struct coordinator *coordinator);

#endif
