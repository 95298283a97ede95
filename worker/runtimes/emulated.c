// SPDX-License-Identifier: Apache-2.0
#include "emulated.h"

#include "clock.h"
#include "emulation.h"
#include "ensure.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* The runtime that computes the answers: opened when the first model needs it. */
struct inner {
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
};

struct runtime_slot {
    struct runtime_config config;
    struct rng rng;
    pthread_mutex_t mutex;  /* guards what follows up to the blank line */
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    bool cancelled, closing;
    struct inner *running; /* whose run is to be cancelled too */

    pthread_t killer;
    bool has_killer;
    struct inner built_in, files;
};

struct runtime_model {
    struct inner *inner;
    struct runtime_model *model;
    uint32_t batch_fixed;
};

static const char *const FORMATS[] = {
#ifdef MOTLEY_ORT
    "onnx",
#endif
    "synthetic",
    NULL,
};

static enum err emulated_available(struct why *why)
{
    (void)why;
    return ERR_OK;
}

/* Wait for a change of the slot's state, or for until_us. The mutex is held. */
static void wait_until(struct runtime_slot *slot, uint64_t until_us)
{
    if (until_us == EMULATION_NEVER) {
        pthread_cond_wait(&slot->changed, &slot->mutex);
        return;
    }
    struct timespec until = { .tv_sec = (time_t)(until_us / 1000000),
                              .tv_nsec = (long)(until_us % 1000000) * 1000 };
    pthread_cond_timedwait(&slot->changed, &slot->mutex, &until);
}

/* A thread of its own, because a device may die while nothing runs on it. */
static void *kill_in_time(void *argument)
{
    struct runtime_slot *slot = argument;
    uint64_t death_us = emulation_death_us(slot->config.fleet, slot->config.member, slot->config.joined_us);
    pthread_mutex_lock(&slot->mutex);
    while (!slot->closing && clock_monotonic_us() < death_us)
        wait_until(slot, death_us);
    if (!slot->closing)
        raise(SIGKILL);
    pthread_mutex_unlock(&slot->mutex);
    return NULL;
}

static enum err start_killer(struct runtime_slot *slot, struct why *why)
{
    const struct runtime_config *config = &slot->config;
    if (emulation_death_us(config->fleet, config->member, config->joined_us) == EMULATION_NEVER)
        return ERR_OK;
    if (pthread_create(&slot->killer, NULL, kill_in_time, slot) != 0)
        return why_set(why, ERR_SYSTEM, "emulated: cannot start the thread that plays the device's death");
    slot->has_killer = true;
    return ERR_OK;
}

static void init_waiting(struct runtime_slot *slot)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&slot->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&slot->mutex, NULL);
}

static void close_inner(struct inner *inner)
{
    if (inner->slot != NULL)
        inner->ops->close(&inner->slot);
}

static void emulated_close(struct runtime_slot **slot_taken)
{
    struct runtime_slot *slot = *slot_taken;
    if (slot == NULL)
        return;
    pthread_mutex_lock(&slot->mutex);
    slot->closing = true;
    pthread_cond_broadcast(&slot->changed);
    pthread_mutex_unlock(&slot->mutex);
    if (slot->has_killer)
        pthread_join(slot->killer, NULL);
    close_inner(&slot->built_in);
    close_inner(&slot->files);
    pthread_cond_destroy(&slot->changed);
    pthread_mutex_destroy(&slot->mutex);
    free(slot);
    *slot_taken = NULL;
}

static enum err emulated_open(const struct runtime_config *config, struct runtime_slot **slot,
                              struct why *why)
{
    ENSURE(config->fleet != NULL && config->member != NULL);
    *slot = calloc(1, sizeof **slot);
    if (*slot == NULL)
        return why_set(why, ERR_MEMORY, "emulated: out of memory");
    (*slot)->config = *config;
    rng_init(&(*slot)->rng, config->seed);
    init_waiting(*slot);
    /* Waits end within some microseconds, not the usual 50, or short batches would all come late. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    enum err err = start_killer(*slot, why);
    if (err != ERR_OK)
        emulated_close(slot);
    return err;
}

static enum err open_inner(struct runtime_slot *slot, struct inner *inner, const char *name, struct why *why)
{
    if (inner->slot != NULL)
        return ERR_OK;
    inner->ops = runtime_find(name);
    if (inner->ops == NULL)
        return why_set(why, ERR_UNSUPPORTED, "emulated: this build has no %s to compute the answers with",
                       name);
    struct runtime_config config = { .device = "cpu:0", .threads = 1, .numa_node = slot->config.numa_node };
    enum err err = inner->ops->available(why);
    return err != ERR_OK ? err : inner->ops->open(&config, &inner->slot, why);
}

/* Hold the slot until until_us. ERR_CANCELLED uses the cancel up. */
static enum err hold(struct runtime_slot *slot, uint64_t until_us, struct why *why)
{
    pthread_mutex_lock(&slot->mutex);
    while (!slot->cancelled && clock_monotonic_us() < until_us)
        wait_until(slot, until_us);
    bool cancelled = slot->cancelled;
    slot->cancelled = false;
    pthread_mutex_unlock(&slot->mutex);
    return cancelled ? why_set(why, ERR_CANCELLED, "emulated: cancelled") : ERR_OK;
}

static enum err hold_load(struct runtime_slot *slot, uint64_t started_us, struct why *why)
{
    const struct runtime_config *config = &slot->config;
    uint64_t until_us = started_us + emulation_load_us(config->fleet, config->member);
    if (until_us >= emulation_hang_us(config->fleet, config->member, config->joined_us))
        until_us = EMULATION_NEVER;
    return hold(slot, until_us, why);
}

static void emulated_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    (void)slot;
    if (*model == NULL)
        return;
    if ((*model)->model != NULL)
        (*model)->inner->ops->unload((*model)->inner->slot, &(*model)->model);
    free(*model);
    *model = NULL;
}

static enum err load_inner(struct runtime_slot *slot, const char *path, struct runtime_model *model,
                           struct model_signature *signature, struct why *why)
{
    model->inner = path == NULL ? &slot->built_in : &slot->files;
    enum err err = open_inner(slot, model->inner, path == NULL ? "synthetic" : "onnxruntime", why);
    if (err == ERR_OK)
        err = model->inner->ops->load(model->inner->slot, path, &model->model, signature, NULL, why);
    if (err != ERR_OK)
        return err;
    model->batch_fixed = signature->batch_fixed;
    if (model->batch_fixed > 0 && emulation_padded(slot->config.member, model->batch_fixed) == 0)
        return why_set(why, ERR_LIMIT, "%s: has a fixed batch of %u, more than the emulated device %s takes",
                       path == NULL ? "the model" : path, model->batch_fixed, slot->config.member->name);
    return ERR_OK;
}

static enum err emulated_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                              struct model_signature *signature, struct runtime_measure *measure,
                              struct why *why)
{
    uint64_t started_us = clock_monotonic_us();
    if (measure != NULL)
        memset(measure, 0, sizeof *measure);
    *model = calloc(1, sizeof **model);
    if (*model == NULL)
        return why_set(why, ERR_MEMORY, "emulated: out of memory");
    enum err err = load_inner(slot, path, *model, signature, why);
    if (err == ERR_OK)
        err = hold_load(slot, started_us, why);
    if (err != ERR_OK)
        emulated_unload(slot, model);
    return err;
}

/* When the batch will be done; ERR_LIMIT if the device does not take it. */
static enum err plan(struct runtime_slot *slot, const struct runtime_model *model, uint32_t rows,
                     uint64_t started_us, uint64_t *finish_us, struct why *why)
{
    const struct runtime_config *config = &slot->config;
    uint32_t padded = emulation_padded(config->member, rows > model->batch_fixed ? rows : model->batch_fixed);
    if (padded == 0)
        return why_set(why, ERR_LIMIT, "a batch of %u samples is larger than the emulated device %s takes",
                       rows, config->member->name);
    double work_us = emulation_work_us(config->fleet, config->member, padded) *
                     emulation_jitter(&slot->rng, config->member->jitter);
    *finish_us = emulation_finish_us(config->fleet, config->member, config->joined_us, started_us, work_us);
    return ERR_OK;
}

static void set_running(struct runtime_slot *slot, struct inner *inner)
{
    pthread_mutex_lock(&slot->mutex);
    slot->running = inner;
    pthread_mutex_unlock(&slot->mutex);
}

/* Real answers, then the wait. A cancel that already reached the inner run is used up by the hold as well.
 * One that comes in the inner run's last instant may stop the next inner run too: whoever cancels is about to
 * close the slot. */
static enum err compute(struct runtime_slot *slot, struct runtime_model *model, const struct batch_in *in,
                        uint64_t finish_us, struct batch_out *out, struct why *why)
{
    struct inner *inner = model->inner;
    set_running(slot, inner);
    enum err err = inner->ops->run(inner->slot, model->model, in, out, why);
    set_running(slot, NULL);
    out->overrun = err == ERR_OK && clock_monotonic_us() > finish_us;
    enum err held = hold(slot, err == ERR_OK ? finish_us : 0, why);
    if (err == ERR_OK && held != ERR_OK)
        batch_out_free(out);
    return err == ERR_OK ? held : err;
}

static enum err emulated_run(struct runtime_slot *slot, struct runtime_model *model,
                             const struct batch_in *in, struct batch_out *out, struct why *why)
{
    memset(out, 0, sizeof *out);
    uint64_t started_us = clock_monotonic_us(), finish_us = started_us;
    enum err err = plan(slot, model, in->rows, started_us, &finish_us, why);
    if (err == ERR_OK)
        err = compute(slot, model, in, finish_us, out, why);
    if (err != ERR_OK)
        return err;
    double watts = slot->config.member->busy_watts;
    out->run_us = clock_monotonic_us() - started_us;
    out->energy_joules = watts >= 0 ? watts * (double)out->run_us / 1e6 : -1;
    return ERR_OK;
}

static void emulated_cancel(struct runtime_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    slot->cancelled = true;
    if (slot->running != NULL && slot->running->ops->cancel != NULL)
        slot->running->ops->cancel(slot->running->slot);
    pthread_cond_broadcast(&slot->changed);
    pthread_mutex_unlock(&slot->mutex);
}

const struct runtime_ops emulated_ops = {
    .name = "emulated",
    .formats = FORMATS,
    .available = emulated_available,
    .open = emulated_open,
    .close = emulated_close,
    .load = emulated_load,
    .unload = emulated_unload,
    .run = emulated_run,
    .cancel = emulated_cancel,
};
