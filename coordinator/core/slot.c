// SPDX-License-Identifier: Apache-2.0
#include "slot.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

static const double LOAD_MOST_US = 1e10, PRIOR_MOST_US = 1e11,
                    FIGURE_MOST = 1e9; /* hours, a day, gigawatts */
enum { PATIENCE = 16, PATIENCE_MOST = 1024, THOUGHTS = 4, SLOT_MODELS_KEPT = 16 };

/* What cannot be meant is as good as not said. */
static double sane(double figure, double most) { return figure >= 0 && figure <= most ? figure : 0; }

static void clamp(struct sched_slot_info *info)
{
    info->load_us = sane(info->load_us, LOAD_MOST_US);
    info->busy_watts = sane(info->busy_watts, FIGURE_MOST);
    info->price_per_hour = sane(info->price_per_hour, FIGURE_MOST);
    bool prior = info->alpha_us >= 0 && info->beta_us >= 0 &&
                 info->alpha_us + info->beta_us * info->batch_max <= PRIOR_MOST_US;
    info->alpha_us = prior ? info->alpha_us : 0;
    info->beta_us = prior ? info->beta_us : 0;
    info->window = info->window < 2 ? 2 : info->window > SCHED_WINDOW_MAX ? SCHED_WINDOW_MAX : info->window;
    info->window_max = info->window_max > SCHED_WINDOW_MAX ? SCHED_WINDOW_MAX : info->window_max;
    info->batch_max = info->batch_max < 1 ? 1 : info->batch_max > 1u << 20 ? 1u << 20 : info->batch_max;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < info->sizes_count && i < SCHED_SIZES_MAX; i++)
        if (info->sizes[i] >= 1 && info->sizes[i] <= info->batch_max &&
            (kept == 0 || info->sizes[i] > info->sizes[kept - 1]))
            info->sizes[kept++] = info->sizes[i];
    info->sizes_count = kept;
    if (kept > 0)
        info->batch_max = info->sizes[kept - 1];
}

struct slot *slot_new(uint32_t id, uint32_t worker, uint32_t index, const struct sched_slot_info *info)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->id = id;
    slot->worker = worker;
    slot->index = index;
    slot->info = *info;
    clamp(&slot->info);
    slot->info.attributes = slot->attributes = info->attributes ? attributes_copy(info->attributes) : NULL;
    slot->expiry = (struct heap_item){ .id = id, .index = HEAP_ABSENT };
    slot->expires_us = UINT64_MAX;
    window_init(&slot->window, slot->info.window, slot->info.window_max);
    slot->leases_capacity = slot->window.size;
    slot->leases = calloc(slot->leases_capacity, sizeof *slot->leases);
    if (!slot->leases)
        slot_free(&slot);
    return slot;
}

void slot_free(struct slot **slot)
{
    if (!*slot)
        return;
    for (uint32_t i = 0; i < (*slot)->models_count; i++)
        free((*slot)->models[i]);
    free((*slot)->models);
    for (uint32_t i = 0; i < (*slot)->members_count; i++)
        free((*slot)->members[i]);
    free((*slot)->members);
    attributes_free(&(*slot)->attributes);
    free((*slot)->leases);
    free(*slot);
    *slot = NULL;
}

struct slot_model *slot_model_find(const struct slot *slot, uint32_t model)
{
    for (uint32_t i = 0; i < slot->models_count; i++)
        if (slot->models[i]->model == model)
            return slot->models[i];
    return NULL;
}

static bool is_needed(const struct slot *slot, const struct slot_model *model)
{
    bool needed = model->state == SLOT_MODEL_LOADING || model->state == SLOT_MODEL_READY ||
                  model == slot->latest || slot->asks - model->asked < SLOT_MODELS_KEPT;
    for (uint32_t i = 0; i < slot->members_count && !needed; i++)
        needed = slot->members[i]->model == model;
    for (uint32_t i = 0; i < slot->leases_count && !needed; i++)
        needed = slot->leases[i].model == model->model;
    return needed;
}

static void forget_a_model(struct slot *slot)
{
    uint32_t oldest = slot->models_count;
    for (uint32_t i = 0; i < slot->models_count; i++)
        if ((oldest == slot->models_count || slot->models[i]->asked < slot->models[oldest]->asked) &&
            !is_needed(slot, slot->models[i]))
            oldest = i;
    if (oldest == slot->models_count)
        return;
    free(slot->models[oldest]);
    slot->models_count--;
    memmove(&slot->models[oldest], &slot->models[oldest + 1],
            (slot->models_count - oldest) * sizeof(struct slot_model *));
}

struct slot_model *slot_model(struct slot *slot, uint32_t model)
{
    struct slot_model *found = slot_model_find(slot, model);
    slot->asks++;
    if (found)
        found->asked = slot->asks;
    if (found)
        return found;
    if (slot->models_count >= SLOT_MODELS_MAX)
        forget_a_model(slot);
    struct slot_model **models = realloc(slot->models, (slot->models_count + 1) * sizeof *models);
    if (!models)
        return NULL;
    slot->models = models;
    struct slot_model *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    *fresh = (struct slot_model){
        .slot = slot, .model = model, .batch_cap = slot->info.batch_max, .asked = slot->asks
    };
    curve_init(&fresh->curve, slot->info.alpha_us, slot->info.beta_us);
    return models[slot->models_count++] = fresh;
}

/* ---- pools ---- */

static uint32_t member_index(const struct slot *slot, uint32_t pool)
{
    uint32_t low = 0, high = slot->members_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slot->members[middle]->pool < pool)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct member *slot_member(const struct slot *slot, uint32_t pool)
{
    uint32_t at = member_index(slot, pool);
    return at < slot->members_count && slot->members[at]->pool == pool ? slot->members[at] : NULL;
}

struct member *slot_member_add(struct slot *slot, uint32_t pool, struct slot_model *model)
{
    uint32_t at = member_index(slot, pool);
    struct member **members = realloc(slot->members, (slot->members_count + 1) * sizeof *members);
    if (!members)
        return NULL;
    slot->members = members;
    struct member *member = calloc(1, sizeof *member);
    if (!member)
        return NULL;
    *member = (struct member){ .pool = pool, .model = model };
    member->fill.id = slot->id;
    member->fill.owner = model;
    memmove(&members[at + 1], &members[at], (slot->members_count - at) * sizeof *members);
    slot->members_count++;
    return members[at] = member;
}

void slot_member_remove(struct slot *slot, uint32_t pool)
{
    uint32_t at = member_index(slot, pool);
    ENSURE(at < slot->members_count && slot->members[at]->pool == pool && !slot->members[at]->fill.present);
    free(slot->members[at]);
    slot->members_count--;
    memmove(&slot->members[at], &slot->members[at + 1], (slot->members_count - at) * sizeof *slot->members);
}

bool slot_member_ready(const struct slot *slot, const struct member *member)
{
    return slot_serves(slot) && member->admitted && member->model->state == SLOT_MODEL_READY;
}

bool slot_member_counts(const struct slot *slot, const struct member *member)
{
    const struct slot_model *model = member->model;
    bool soon = model->state == SLOT_MODEL_LOADING && !model->load_late && curve_known(&model->curve);
    return slot_member_ready(slot, member) || (soon && slot_serves(slot) && member->admitted);
}

double slot_model_there_us(const struct slot_model *model)
{
    if (model->state != SLOT_MODEL_LOADING)
        return 0;
    return (double)model->load_began_us +
           (model->load_us > 0 ? (double)model->load_us : model->slot->info.load_us);
}

void slot_model_fix(struct slot_model *model, uint32_t batch_fixed)
{
    bool freed = model->batch_fixed > 0 && batch_fixed == 0;
    model->batch_fixed = batch_fixed;
    if (batch_fixed > 0 || freed) /* jobs of one model need not say the same of it */
        model->batch_cap = freed ? model->slot->info.batch_max : batch_fixed;
}

uint32_t slot_model_smallest(const struct slot_model *model)
{
    const struct sched_slot_info *info = &model->slot->info;
    return model->batch_fixed ? model->batch_fixed : info->sizes_count ? info->sizes[0] : 1;
}

void slot_model_shrink(struct slot_model *model, const struct lease *lease)
{
    uint32_t half = lease->runs / 2, smallest = slot_model_smallest(model);
    if (lease->runs > model->batch_cap)
        return; /* leased before the last time */
    if (model->batch_fine >= lease->runs)
        model->batch_fine = 0; /* there is less of it now */
    half = model->batch_fine > half ? model->batch_fine : half;
    model->batch_cap = half > smallest ? half : smallest;
    model->batch_short = lease->runs;
    model->batches_good = model->thoughts = 0;
    model->patience = model->patience == 0              ? PATIENCE
                      : model->patience < PATIENCE_MOST ? 2 * model->patience
                                                        : PATIENCE_MOST;
}

/* The largest size that the cap allows and, if there is one, the next above it. */
static void sizes_around_cap(const struct slot_model *model, uint32_t *below, uint32_t *above)
{
    const struct sched_slot_info *info = &model->slot->info;
    *below = model->batch_cap;
    *above = model->batch_cap + (model->batch_cap / 4 > 0 ? model->batch_cap / 4 : 1);
    for (uint32_t i = 0; i < info->sizes_count; i++) {
        *below = info->sizes[i] <= model->batch_cap ? info->sizes[i] : *below;
        *above = info->sizes[i];
        if (*above > model->batch_cap)
            break;
    }
    *above = *above < info->batch_max ? *above : info->batch_max;
}

void slot_model_grow(struct slot_model *model, uint32_t runs)
{
    uint32_t below, above;
    model->batch_fine = runs > model->batch_fine ? runs : model->batch_fine;
    if (model->batch_fixed > 0 || model->batch_cap >= model->slot->info.batch_max)
        return;
    sizes_around_cap(model, &below, &above);
    if (runs < below - below / 4 || ++model->batches_good < model->patience)
        return;
    model->batches_good = 0;
    bool was_short = model->batch_short > 0 && above >= model->batch_short;
    if (was_short && model->slot->info.sizes_count == 0 && model->batch_cap + 1 < model->batch_short) {
        above = model->batch_cap + (model->batch_short - model->batch_cap) / 2;
        was_short = false;
    }
    if (was_short && ++model->thoughts < THOUGHTS)
        return;
    model->thoughts = 0;
    model->batch_short = was_short ? 0 : model->batch_short;
    model->batch_cap = above;
}

double slot_late_us(const struct slot *slot, uint64_t now_us)
{
    if (slot->leases_count == 0 || slot->leases[0].end_us >= (double)now_us)
        return 0;
    return (double)now_us - slot->leases[0].end_us;
}

struct policy_slot slot_policy(const struct slot *slot, const struct slot_model *model, uint64_t now_us)
{
    double now = (double)now_us;
    bool fixed = model->batch_fixed > 0;
    double start_us = slot->busy_until_us + 2 * slot_late_us(slot, now_us),
           there_us = slot_model_there_us(model);
    start_us = start_us > there_us ? start_us : there_us;
    return (struct policy_slot){
        .curve = &model->curve,
        .sizes = fixed                    ? &model->batch_fixed
                 : slot->info.sizes_count ? slot->info.sizes
                                          : NULL,
        .sizes_count = fixed ? 1 : slot->info.sizes_count,
        .batch_max = model->batch_cap,
        .cap_us = slot->online_until_us > now_us ? slot->online_cap_us : 0,
        .start_us = start_us > now ? start_us : now,
    };
}

bool slot_overdue(const struct slot *slot) { return slot->leases_count > 0 && slot->leases[0].expired; }

bool slot_serves(const struct slot *slot)
{
    return slot->up && !slot->draining && slot->barred_until_us == 0 && !slot_overdue(slot);
}

bool slot_has_room(const struct slot *slot)
{
    return slot->up && !slot->draining && !slot_overdue(slot) &&
           slot->leases_count < (slot->strikes > 2 ? 1 : slot->window.size);
}

struct lease *slot_lease_find(const struct slot *slot, uint64_t term, uint64_t attempt)
{
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (slot->leases[i].attempt == attempt && slot->leases[i].term == term)
            return &slot->leases[i];
    return NULL;
}

struct lease *slot_lease_named(const struct slot *slot, uint64_t attempt)
{
    for (uint32_t i = 0; i < slot->leases_count; i++)
        if (slot->leases[i].attempt == attempt)
            return &slot->leases[i];
    return NULL;
}

struct lease *slot_lease_push(struct slot *slot, const struct lease *lease)
{
    ENSURE(slot->leases_count < slot->window.most);
    if (slot->leases_count == slot->leases_capacity) {
        slot->leases_capacity =
            slot->window.most < 2 * slot->leases_capacity ? slot->window.most : 2 * slot->leases_capacity;
        struct lease *grown = realloc(slot->leases, slot->leases_capacity * sizeof *grown);
        ENSURE(grown);
        slot->leases = grown;
    }
    slot->leases[slot->leases_count] = *lease;
    return &slot->leases[slot->leases_count++];
}

void slot_lease_drop(struct slot *slot, struct lease *lease)
{
    ptrdiff_t at = lease - slot->leases;
    ENSURE(at >= 0 && at < slot->leases_count);
    memmove(lease, lease + 1, (size_t)(slot->leases_count - 1 - at) * sizeof *lease);
    slot->leases_count--;
}

void slot_expect(struct slot *slot, uint64_t now_us)
{
    double at = (double)now_us;
    for (uint32_t i = 0; i < slot->leases_count; i++) {
        struct lease *lease = &slot->leases[i];
        const struct slot_model *model = slot_model_find(slot, lease->model);
        ENSURE(model);
        if (i > 0 || lease->start_us <= 0)
            lease->start_us = at;
        lease->end_us = lease->start_us + curve_time_us(&model->curve, lease->cost);
        at = lease->end_us > at ? lease->end_us : at;
    }
    slot->busy_until_us = slot->leases_count ? at : 0;
}

void slot_check(const struct slot *slot)
{
    ENSURE(slot->leases_count <= slot->window.most);
    ENSURE(slot->up || slot->leases_count == 0);
    for (uint32_t i = 0; i < slot->leases_count; i++) {
        ENSURE(slot->leases[i].count >= 1 && slot->leases[i].runs >= slot->leases[i].count);
        ENSURE(slot->leases[i].smallest >= 1);
        ENSURE(slot_model_find(slot, slot->leases[i].model));
    }
    for (uint32_t i = 0; i < slot->members_count; i++)
        ENSURE(slot->members[i]->fill.present == slot_member_counts(slot, slot->members[i]));
}
