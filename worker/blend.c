// SPDX-License-Identifier: Apache-2.0
#include "blend.h"

#include "source.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 8 };

struct part {
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
};

struct runtime_slot {
    uint32_t parts_count;
    struct part parts[PARTS_MAX];
};

struct runtime_model {
    struct part *part;
    struct runtime_model *model;
};

static bool is_synthetic(const struct runtime_ops *ops) { return strcmp(ops->name, "synthetic") == 0; }

static bool usable(const struct runtime_ops *ops)
{
    struct why why;
    return strcmp(ops->name, "emulated") != 0 && ops->available(&why) == ERR_OK;
}

const char *blend_name(void)
{
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL; ops++)
        if (usable(*ops))
            return (*ops)->name;
    return "synthetic";
}

uint32_t blend_formats(const char *formats[BLEND_FORMATS_MAX])
{
    uint32_t count = 0;
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL; ops++)
        for (const char *const *format = (*ops)->formats; usable(*ops) && *format != NULL; format++)
            if (count < BLEND_FORMATS_MAX)
                formats[count++] = *format;
    return count;
}

static enum err blend_available(struct why *why)
{
    (void)why;
    return ERR_OK;
}

static void blend_close(struct runtime_slot **slot)
{
    for (uint32_t i = 0; i < (*slot)->parts_count; i++)
        (*slot)->parts[i].ops->close(&(*slot)->parts[i].slot);
    free(*slot);
    *slot = NULL;
}

/* A runtime that does not open here is left out; the others serve. */
static enum err blend_open(const struct runtime_config *config, struct runtime_slot **slot, struct why *why)
{
    struct runtime_slot *made = calloc(1, sizeof *made);
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a slot");
    source_guard_thread();
    enum err err = why_set(why, ERR_UNSUPPORTED, "no runtime of this build is usable here");
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL && made->parts_count < PARTS_MAX;
         ops++) {
        struct part *part = &made->parts[made->parts_count];
        part->ops = *ops;
        if (usable(*ops) && (err = (*ops)->open(config, &part->slot, why)) == ERR_OK)
            made->parts_count++;
    }
    if (made->parts_count == 0)
        blend_close(&made);
    *slot = made;
    return made != NULL ? ERR_OK : err;
}

static enum err blend_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                           struct model_signature *signature, struct runtime_measure *measure,
                           struct why *why)
{
    *model = NULL;
    struct runtime_model *made = calloc(1, sizeof *made);
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    enum err err = why_set(why, ERR_UNSUPPORTED, "%s: no runtime on this machine reads model files",
                           path ? path : "synthetic");
    for (uint32_t i = 0; i < slot->parts_count && made->part == NULL; i++) {
        struct part *part = &slot->parts[i];
        if (is_synthetic(part->ops) != (path == NULL))
            continue;
        err = part->ops->load(part->slot, path, &made->model, signature, measure, why);
        made->part = err == ERR_OK ? part : NULL;
    }
    if (made->part == NULL)
        free(made);
    else
        *model = made;
    return err;
}

static void blend_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    (void)slot;
    (*model)->part->ops->unload((*model)->part->slot, &(*model)->model);
    free(*model);
    *model = NULL;
}

static enum err blend_run(struct runtime_slot *slot, struct runtime_model *model, const struct batch_in *in,
                          struct batch_out *out, struct why *why)
{
    (void)slot;
    return model->part->ops->run(model->part->slot, model->model, in, out, why);
}

/* Whoever cancels is about to close the slot, so it does no harm that idle runtimes are told as well. */
static void blend_cancel(struct runtime_slot *slot)
{
    for (uint32_t i = 0; i < slot->parts_count; i++)
        if (slot->parts[i].ops->cancel != NULL)
            slot->parts[i].ops->cancel(slot->parts[i].slot);
}

static const char *const FORMATS[] = { "onnx", "synthetic", NULL };

const struct runtime_ops blend_ops = {
    .name = "blend",
    .formats = FORMATS,
    .available = blend_available,
    .open = blend_open,
    .close = blend_close,
    .load = blend_load,
    .unload = blend_unload,
    .run = blend_run,
    .cancel = blend_cancel,
};
