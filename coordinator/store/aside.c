// SPDX-License-Identifier: Apache-2.0
#include "aside.h"

#include "file.h"
#include "spool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_TRIED = 10000 };

static void path_aside(const char *state_dir, const char *name, unsigned number, char path[SPOOL_PATH_MAX])
{
    int folder = snprintf(path, SPOOL_PATH_MAX, "%s/gone/", state_dir);
    snprintf(path + folder, SPOOL_PATH_MAX - (size_t)folder, "%s", name);
    for (char *at = path + folder; *at; at++)
        if (*at == '/')
            *at = '-';
    size_t length = strlen(path);
    if (number)
        snprintf(path + length, SPOOL_PATH_MAX - length, ".%u", number);
}

/* What was set aside before under that name may not be gone yet. */
static bool move(const char *state_dir, const char *name, const char *from)
{
    char to[SPOOL_PATH_MAX];
    for (unsigned number = 0; number < NAMES_TRIED; number++) {
        path_aside(state_dir, name, number, to);
        if (rename(from, to) == 0)
            return true;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return false;
    }
    return false;
}

enum err aside_put(const char *state_dir, const char *name, struct why *why)
{
    char from[SPOOL_PATH_MAX], folder[SPOOL_PATH_MAX];
    snprintf(from, sizeof from, "%s/%s", state_dir, name);
    snprintf(folder, sizeof folder, "%s/gone", state_dir);
    if (move(state_dir, name, from))
        return ERR_OK;
    enum err err = file_make_dirs(folder, 0700, why);
    if (err)
        return err;
    if (move(state_dir, name, from) || errno == ENOENT)
        return ERR_OK;
    return why_set_errno(why, ERR_FILE, "%s: cannot be set aside", from);
}

enum err aside_empty(const char *state_dir, struct why *why)
{
    char folder[SPOOL_PATH_MAX];
    snprintf(folder, sizeof folder, "%s/gone", state_dir);
    return file_remove_tree(folder, why);
}
