// SPDX-License-Identifier: Apache-2.0
/* waiting - for what a job waits, in words for people. Pure. */
#ifndef WAITING_H
#define WAITING_H

#include "sched.h"
#include "view.h"

#include <stdbool.h>

enum { WAITING_MAX = 1024 };

/* False: it waits for nothing. look: its state in the scheduler. */
bool waiting_text(const struct view *view, const struct record *record, const struct sched_job_look *look,
                  char text[WAITING_MAX]);

/* True: no slot that is here can run it as things are, and text says why. */
bool waiting_hopeless(const struct view *view, const struct record *record, char text[WAITING_MAX]);

#endif
