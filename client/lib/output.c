// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool has_open_shape(const struct signature *signature)
{
    for (uint32_t i = 0; i < signature->outputs_count; i++)
        for (uint32_t d = 0; d < signature->outputs[i].dims_count; d++)
            if (signature->outputs[i].dims[d] < 0)
                return true;
    return false;
}

static enum output_kind natural_kind(const struct signature *signature, bool jsonl)
{
    if (jsonl || has_open_shape(signature))
        return OUTPUT_JSONL;
    return signature->outputs_count == 1 ? OUTPUT_NPY : OUTPUT_FOLDER;
}

static const char *ending_of(enum output_kind kind)
{
    return kind == OUTPUT_NPY ? ".npy" : kind == OUTPUT_JSONL ? ".jsonl" : "";
}

/* True when the name itself says the form. */
static bool kind_by_name(const char *path, enum output_kind *kind)
{
    if (ends_with(path, ".npy"))
        *kind = OUTPUT_NPY;
    else if (ends_with(path, ".jsonl"))
        *kind = OUTPUT_JSONL;
    else if (ends_with(path, "/") || is_folder(path))
        *kind = OUTPUT_FOLDER;
    else
        return false;
    return true;
}

enum err output_plan(const char *path, const struct signature *signature, bool jsonl,
                     struct output_plan *plan, struct why *why)
{
    memset(plan, 0, sizeof *plan);
    plan->kind = natural_kind(signature, jsonl);
    if (!path || !*path)
        return ERR_OK;
    bool named = kind_by_name(path, &plan->kind);
    enum err err = file_absolute(path, plan->path, sizeof plan->path - 8, why);
    if (err != ERR_OK)
        return err;
    if (!named)
        strcat(plan->path, ending_of(plan->kind));
    if (plan->kind == OUTPUT_NPY && signature->outputs_count != 1)
        return why_set(
            why, ERR_USAGE,
            "%s: one .npy cannot hold the model's %u outputs; give a folder (--output Y/) or Y.jsonl", path,
            signature->outputs_count);
    return ERR_OK;
}

/* Permissions do not tell everything (a read-only or a special file system, root): make a file there and take
 * it away. */
static enum err try_folder(const char *folder, const char *path, struct why *why)
{
    char name[PATH_MAX_BYTES + 32];
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(name, sizeof name, "%s/.motley-XXXXXX", folder);
        fd = mkstemp(name);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: its folder cannot be written", path);
    close(fd);
    return ERR_OK;
}

enum err output_check(const struct output_plan *plan, struct why *why)
{
    char parent[PATH_MAX_BYTES];
    struct stat status;
    if (!plan->path[0])
        return ERR_OK;
    bool there = stat(plan->path, &status) == 0;
    if (there && S_ISDIR(status.st_mode) && plan->kind != OUTPUT_FOLDER)
        return why_set(why, ERR_FILE, "%s: is a folder, but the answer is one file; give another name",
                       plan->path);
    if (there && !S_ISDIR(status.st_mode) && plan->kind == OUTPUT_FOLDER)
        return why_set(why, ERR_FILE,
                       "%s: is not a folder, but the answer is several files; give another name", plan->path);
    memcpy(parent, plan->path, sizeof parent);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = 0;
    if (!is_folder(parent))
        return why_set(why, ERR_FILE, "%s: there is no folder %s; make it first", plan->path, parent);
    return try_folder(parent, plan->path, why);
}

void output_stem(const struct output_plan *plan, char *stem, size_t max)
{
    size_t length = strlen(plan->path);
    if (ends_with(plan->path, ending_of(plan->kind)))
        length -= strlen(ending_of(plan->kind));
    snprintf(stem, max, "%.*s", (int)length, plan->path);
}
