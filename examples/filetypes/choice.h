// SPDX-License-Identifier: Apache-2.0
/* choice - a bounded, repeatable choice among the regular files below some folders.
 *
 * Each path is hashed, and the files with the least hashes are taken: a fair sample of the whole tree in
 * memory for `limit` paths, the same on every run while the files are the same. Links are not followed; empty
 * and unreadable files, and names with a line feed, are passed over. */
#ifndef CHOICE_H
#define CHOICE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct choice {
    size_t count;
    char **paths;        /* sorted by name */
    uint64_t files_seen; /* regular files below the folders */
};

/* Choose at most limit (> 0) files below the NULL-terminated list of folders. A folder that is not there is
 * ERR_FILE. */
MUST_USE enum err choice_make(struct choice *choice, char *const *folders, size_t limit, struct why *why);

void choice_fini(struct choice *choice);

#endif
