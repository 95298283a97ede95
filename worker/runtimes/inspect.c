// SPDX-License-Identifier: Apache-2.0
#include "inspect.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_candidate(const struct runtime_ops *ops, const char *path)
{
    if (strcmp(ops->name, "emulated") == 0)
        return false;
    return (path == NULL) == runtime_reads(ops, "synthetic");
}

static enum err try_runtime(const struct runtime_ops *ops, const char *path,
                            struct model_signature *signature, struct why *why)
{
    struct runtime_config config = { .device = "cpu:0", .threads = 1, .numa_node = -1 };
    struct runtime_slot *slot = NULL;
    struct runtime_model *model = NULL;
    enum err err = ops->available(why);
    if (err == ERR_OK)
        err = ops->open(&config, &slot, why);
    if (err != ERR_OK)
        return err;
    err = ops->load(slot, path, &model, signature, NULL, why);
    if (err == ERR_OK)
        ops->unload(slot, &model);
    ops->close(&slot);
    return err;
}

/* The sentence begins with the path already. */
static void note_refusal(char refusals[WHY_MAX], const char *name, const char *path, const struct why *why)
{
    size_t length = strlen(refusals), path_length = path != NULL ? strlen(path) : 0;
    const char *words = why->text;
    if (path_length > 0 && strncmp(words, path, path_length) == 0 &&
        strncmp(words + path_length, ": ", 2) == 0)
        words += path_length + 2;
    snprintf(refusals + length, WHY_MAX - length, "%s%s: %s", length > 0 ? "; " : "", name, words);
}

enum err model_inspect(const char *path, struct model_signature *signature, const char **runtime_name,
                       struct why *why)
{
    char refusals[WHY_MAX] = "";
    enum err most = ERR_UNSUPPORTED;
    if (path != NULL && access(path, R_OK) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL; ops++) {
        if (!is_candidate(*ops, path))
            continue;
        struct why refusal = { "" };
        enum err err = try_runtime(*ops, path, signature, &refusal);
        if (err == ERR_OK) {
            *runtime_name = (*ops)->name;
            return ERR_OK;
        }
        note_refusal(refusals, (*ops)->name, path, &refusal);
        most = err;
    }
    const char *none = "this build reads no model files; build it with -DMOTLEY_ORT=ON";
    return why_set(why, most, "%s: no runtime here loads it: %s", path != NULL ? path : "synthetic",
                   refusals[0] != '\0' ? refusals : none);
}
