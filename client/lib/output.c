// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_FORMS "Y.npy, Y.jsonl, or Y/ for a folder"

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

static bool has_ending(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot && dot > name;
}

enum err output_check_name(const char *path, struct why *why)
{
    struct stat status;
    enum output_kind kind;
    if (!*path)
        return why_set(why, ERR_USAGE, "--output: is empty; give " OUTPUT_FORMS);
    if (strcmp(path, "-") == 0)
        return why_set(why, ERR_USAGE,
                       "--output -: answers cannot go to standard output; give " OUTPUT_FORMS);
    if (kind_by_name(path, &kind))
        return ERR_OK;
    if (has_ending(path))
        return why_set(why, ERR_USAGE, "%.300s: answers do not come in that form; give " OUTPUT_FORMS, path);
    if (stat(path, &status) == 0)
        return why_set(why, ERR_USAGE, "%.300s: is there and is not a folder; give " OUTPUT_FORMS, path);
    return ERR_OK;
}

enum err output_plan(const char *path, const struct signature *signature, bool jsonl,
                     struct output_plan *plan, struct why *why)
{
    memset(plan, 0, sizeof *plan);
    plan->kind = natural_kind(signature, jsonl);
    if (!path)
        return ERR_OK;
    enum err err = output_check_name(path, why);
    bool named = kind_by_name(path, &plan->kind);
    if (err == ERR_OK)
        err = file_absolute(path, plan->path, sizeof plan->path - 8, why);
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

static void parent_of(const char *path, char parent[PATH_MAX_BYTES])
{
    snprintf(parent, PATH_MAX_BYTES, "%.*s", PATH_MAX_BYTES - 1, path);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = 0;
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
    if (there && !S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is there and is not a plain file; give another name", plan->path);
    parent_of(plan->path, parent);
    if (!is_folder(parent))
        return why_set(why, ERR_FILE, "%s: there is no folder %s; make it first", plan->path, parent);
    return try_folder(parent, plan->path, why);
}

static bool is_same(const char *a, const char *b)
{
    struct stat left, right;
    return stat(a, &left) == 0 && stat(b, &right) == 0 && left.st_dev == right.st_dev &&
           left.st_ino == right.st_ino;
}

/* An answer of several files replaces its whole folder. */
static bool overwrites(const struct output_plan *plan, const char *source)
{
    static const char *const endings[] = { ".index.jsonl", ".errors.jsonl" };
    char name[PATH_MAX_BYTES], beside[PATH_MAX_BYTES + 16];
    bool same = is_same(plan->path, source);
    if (plan->kind == OUTPUT_FOLDER && file_absolute(source, beside, PATH_MAX_BYTES, NULL) == ERR_OK) {
        char *real = realpath(source, NULL);
        parent_of(beside, name);
        same = same || is_same(plan->path, name);
        parent_of(real ? real : beside, name);
        same = same || is_same(plan->path, name);
        free(real);
    }
    output_stem(plan, name, sizeof name);
    for (int i = 0; i < 2; i++) {
        snprintf(beside, sizeof beside, "%s%s", name, endings[i]);
        same = same || is_same(beside, source);
    }
    return same;
}

enum err output_check_source(const struct output_plan *plan, const char *source, struct why *why)
{
    if (!plan->path[0] || !overwrites(plan, source))
        return ERR_OK;
    return why_set(why, ERR_USAGE, "%.200s: the answers in %.200s would overwrite it; give another --output",
                   source, plan->path);
}

bool output_bytes(const struct output_plan *plan, const struct signature *signature, uint64_t samples,
                  uint64_t *bytes)
{
    *bytes = 0;
    if (plan->kind == OUTPUT_JSONL || has_open_shape(signature))
        return false;
    for (uint32_t k = 0; k < signature->outputs_count; k++) {
        uint64_t rows = tensor_row_bytes(&signature->outputs[k]);
        if (__builtin_mul_overflow(rows, samples, &rows) || __builtin_add_overflow(*bytes, rows, bytes))
            *bytes = UINT64_MAX;
    }
    return true;
}

enum err output_check_room(const struct output_plan *plan, const struct signature *signature,
                           uint64_t samples, struct why *why)
{
    char parent[PATH_MAX_BYTES];
    uint64_t needed, room;
    if (!plan->path[0] || !output_bytes(plan, signature, samples, &needed))
        return ERR_OK;
    parent_of(plan->path, parent);
    if (file_free_bytes(parent, &room, NULL) != ERR_OK || needed <= room)
        return ERR_OK;
    return why_set(
        why, ERR_FILE,
        "%.300s: the answers take %llu bytes, but only %llu are free there; make room or give another "
        "--output",
        plan->path, (unsigned long long)needed, (unsigned long long)room);
}

void output_stem(const struct output_plan *plan, char *stem, size_t max)
{
    size_t length = strlen(plan->path);
    if (ends_with(plan->path, ending_of(plan->kind)))
        length -= strlen(ending_of(plan->kind));
    snprintf(stem, max, "%.*s", (int)length, plan->path);
}
