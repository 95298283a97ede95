// SPDX-License-Identifier: Apache-2.0
/* publish - a job's answer, from the spool to its final name, as clerk.h describes it. All of it is written
 * and synced under temporary names first; the files beside the answer get their names before the answer does,
 * so that whoever sees the answer sees them. Bounded memory whatever the size. Any thread, but one
 * publication of a path at a time. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "clerk.h"

/* clerk_command.progress: stopped and naming exclude each other. */
enum publish_progress { PUBLISH_GOES_ON, PUBLISH_NAMING, PUBLISH_STOPPED };

/* On failure the temporary files are gone and an older answer still stands. ERR_FULL: no room; ERR_SYSTEM:
 * the disk fails, and may do better when asked again; ERR_REFUSED: stopped. Sorts command->failures. */
MUST_USE enum err publish(const char *state_dir, struct clerk_command *command, struct why *why);

size_t publish_stem(const char *path, enum clerk_output output);

MUST_USE enum err publish_check(const char *path, enum clerk_output output, struct why *why);

#endif
