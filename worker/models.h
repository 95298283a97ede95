// SPDX-License-Identifier: Apache-2.0
/* models - the models that this worker's jobs use, by the small number that the agent and the executors know
 * them by. A number is used again once no job refers to its model, no slot has it loaded and nothing is on
 * its way. One owner. */
#ifndef MODELS_H
#define MODELS_H

#include "agent.h"
#include "cache.h"
#include "messages.h"
#include "runtime.h"

/* A model on a slot, as its last load left it. */
struct loaded {
    struct model_signature signature;
    uint64_t load_us;
    double alpha_us, beta_us;
};

struct model {
    bool used;
    bool built_in;
    bool getting; /* the agent waits for MODEL_READY */
    uint8_t digest[SHA256_BYTES];
    uint64_t bytes;
    uint32_t jobs_count;  /* jobs that refer to it */
    uint32_t loads_count; /* slots to which a LOAD went and no UNLOAD yet */
    struct cache_fetch *fetch;
    char path[PATH_MAX];           /* in the cache, once it is there */
    char reason[REASON_MAX_BYTES]; /* why it cannot be had or loaded */
    struct loaded **loaded;        /* per slot; NULL = not loaded */
};

struct models {
    uint32_t slots_count;
    struct model at[AGENT_MODELS_MAX];
};

void models_init(struct models *models, uint32_t slots_count);
void models_fini(struct models *models);

/* The number of a job's model, which is then referred to once more; digest NULL = built-in. ERR_FULL: too
 * many models at once; ERR_MEMORY. */
MUST_USE enum err models_refer(struct models *models, const uint8_t *digest, uint64_t bytes, uint32_t *number,
                               struct why *why);
void models_unrefer(struct models *models, uint32_t number);

/* The number of a model that is known by its digest; AGENT_MODELS_MAX if none is. */
uint32_t models_find(const struct models *models, const uint8_t digest[SHA256_BYTES]);

/* Free the number if nothing holds it any more. To be called after getting, loads_count or jobs_count went
 * down. */
void models_settle(struct models *models, uint32_t number);

/* Note how a load ended. ERR_MEMORY. */
MUST_USE enum err models_set_loaded(struct models *models, uint32_t number, uint32_t slot,
                                    const struct loaded *loaded, struct why *why);
void models_set_unloaded(struct models *models, uint32_t number, uint32_t slot);

#endif
