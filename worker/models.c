// SPDX-License-Identifier: Apache-2.0
#include "models.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t NO_DIGEST[SHA256_BYTES];

void models_init(struct models *models, uint32_t slots_count)
{
    *models = (struct models){ .slots_count = slots_count };
}

static void clear(const struct models *models, struct model *model)
{
    cache_fetch_free(&model->fetch);
    for (uint32_t slot = 0; model->loaded != NULL && slot < models->slots_count; slot++)
        free(model->loaded[slot]);
    free(model->loaded);
    memset(model, 0, sizeof *model);
}

void models_fini(struct models *models)
{
    for (uint32_t i = 0; i < AGENT_MODELS_MAX; i++)
        clear(models, &models->at[i]);
}

uint32_t models_find(const struct models *models, const uint8_t digest[SHA256_BYTES])
{
    uint32_t number = 0;
    while (number < AGENT_MODELS_MAX &&
           !(models->at[number].used && memcmp(models->at[number].digest, digest, SHA256_BYTES) == 0))
        number++;
    return number;
}

static struct model *find(struct models *models, const uint8_t digest[SHA256_BYTES])
{
    struct model *unused = NULL;
    for (uint32_t i = 0; i < AGENT_MODELS_MAX; i++) {
        struct model *model = &models->at[i];
        if (model->used && memcmp(model->digest, digest, SHA256_BYTES) == 0)
            return model;
        if (!model->used && unused == NULL)
            unused = model;
    }
    return unused;
}

enum err models_refer(struct models *models, const uint8_t *digest, uint64_t bytes, uint32_t *number,
                      struct why *why)
{
    digest = digest != NULL ? digest : NO_DIGEST;
    struct model *model = find(models, digest);
    if (model == NULL)
        return why_set(why, ERR_FULL, "this worker has %d models already", AGENT_MODELS_MAX);
    if (!model->used) {
        model->loaded = calloc(models->slots_count > 0 ? models->slots_count : 1, sizeof(struct loaded *));
        if (model->loaded == NULL)
            return why_set(why, ERR_MEMORY, "out of memory for a model");
        memcpy(model->digest, digest, SHA256_BYTES);
        model->used = true;
        model->built_in = memcmp(digest, NO_DIGEST, SHA256_BYTES) == 0;
        model->bytes = bytes;
    }
    model->jobs_count++;
    *number = (uint32_t)(model - models->at);
    return ERR_OK;
}

void models_unrefer(struct models *models, uint32_t number)
{
    ENSURE(models->at[number].jobs_count > 0);
    models->at[number].jobs_count--;
    models_settle(models, number);
}

void models_settle(struct models *models, uint32_t number)
{
    struct model *model = &models->at[number];
    if (model->used && model->jobs_count == 0 && model->loads_count == 0 && !model->getting)
        clear(models, model);
}

enum err models_set_loaded(struct models *models, uint32_t number, uint32_t slot, const struct loaded *loaded,
                           struct why *why)
{
    struct loaded **into = &models->at[number].loaded[slot];
    if (*into == NULL)
        *into = malloc(sizeof **into);
    if (*into == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    **into = *loaded;
    return ERR_OK;
}

void models_set_unloaded(struct models *models, uint32_t number, uint32_t slot)
{
    free(models->at[number].loaded[slot]);
    models->at[number].loaded[slot] = NULL;
}
