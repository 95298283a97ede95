// SPDX-License-Identifier: Apache-2.0
/* publication - a settled job's answer on its way to its final name, by the clerk; then the job is closed. */
#ifndef PUBLICATION_H
#define PUBLICATION_H

#include "coordinator.h"

void publication_start(struct coordinator *coordinator, struct record *record);

/* The clerk's answer to it. A full disk is tried again every second; any other failure fails the job. */
void publication_ended(struct coordinator *coordinator, const struct clerk_event *event);

/* Try those again whose time came. */
void publication_retry(struct coordinator *coordinator);

#endif
