// SPDX-License-Identifier: Apache-2.0
#include "roots.h"

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(PATH_MAX_BYTES >= 4096, "realpath needs PATH_MAX bytes");

enum err roots_add(struct roots *roots, const char *path, struct why *why)
{
    struct stat status;
    if (roots->count == ROOTS_MAX)
        return why_set(why, ERR_USAGE, "--root was given more than %d times", ROOTS_MAX);
    if (!realpath(path, roots->at[roots->count]))
        return why_set_errno(why, ERR_USAGE, "--root %.300s", path);
    if (stat(roots->at[roots->count], &status) != 0 || !S_ISDIR(status.st_mode))
        return why_set(why, ERR_USAGE, "--root %.300s: is not a folder", path);
    roots->count++;
    return ERR_OK;
}

static bool is_under(const char *path, const char *root)
{
    size_t length = strlen(root);
    if (strcmp(root, "/") == 0)
        return true;
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* What is there with its own links followed, too; else the place where it would be made. */
static enum err resolve(const char *path, char resolved[PATH_MAX_BYTES], struct why *why)
{
    return realpath(path, resolved) ? ERR_OK : file_canonical(path, resolved, PATH_MAX_BYTES, why);
}

static void list(const struct roots *roots, char *text, size_t max)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < roots->count && used < max; i++) {
        int printed = snprintf(text + used, max - used, "%s%s", i ? ", " : "", roots->at[i]);
        used += printed > 0 ? (size_t)printed : 0;
    }
}

enum err roots_check(const struct roots *roots, const char *path, struct why *why)
{
    char resolved[PATH_MAX_BYTES], all[256];
    if (!roots || !roots->count)
        return ERR_OK;
    enum err err = resolve(path, resolved, why);
    if (err)
        return err;
    for (uint32_t i = 0; i < roots->count; i++)
        if (is_under(resolved, roots->at[i]))
            return ERR_OK;
    list(roots, all, sizeof all);
    return why_set(why, ERR_REFUSED,
                   "%.160s: is not in a folder that this coordinator's jobs may use (--root); those are: %s",
                   path, all);
}
