// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include "ensure.h"

static const double NEAR_BEST =
    0.98; /* a batch whose rate is within 2 % of the best is good enough, and the smaller the better */
static const uint32_t GROWTH = 4; /* a young curve is not believed further than this beyond what was tried */
static const uint64_t YOUNG_BATCHES = 6;

static double time_us(const struct policy_slot *slot, uint32_t n) { return curve_time_us(slot->curve, n); }

uint32_t policy_padded(const struct policy_slot *slot, uint32_t n)
{
    if (slot->sizes_count == 0)
        return n <= slot->batch_max ? n : 0;
    for (uint32_t i = 0; i < slot->sizes_count && slot->sizes[i] <= slot->batch_max; i++)
        if (slot->sizes[i] >= n)
            return slot->sizes[i];
    return 0;
}

/* The largest allowed size <= n, or the smallest allowed one if there is none. */
static uint32_t allowed_below(const struct policy_slot *slot, uint64_t n)
{
    if (slot->sizes_count == 0)
        return n < slot->batch_max ? (n > 0 ? (uint32_t)n : 1) : slot->batch_max;
    uint32_t best = slot->sizes[0];
    for (uint32_t i = 0; i < slot->sizes_count && slot->sizes[i] <= slot->batch_max && slot->sizes[i] <= n;
         i++)
        best = slot->sizes[i];
    return best;
}

/* The largest batch that the cap, memory and the youth of the curve allow. */
static uint32_t largest(const struct policy_slot *slot, const struct policy_limits *limits)
{
    const struct curve *curve = slot->curve;
    double fits = (limits->chunk_cap_us / curve->scale - curve->alpha_us) / curve->beta_us;
    uint64_t most = fits >= slot->batch_max ? slot->batch_max : fits >= 1 ? (uint64_t)fits : 1;
    if (curve->batches < YOUNG_BATCHES && !(curve->prior && curve->batches == 0)) {
        uint64_t trust = curve->batches == 0 ? 1 : GROWTH * curve->batch_tried;
        if (slot->sizes_count > 0 && trust > 0) /* the next size up may be further away than that */
            for (uint32_t i = 0; i < slot->sizes_count; i++)
                if (slot->sizes[i] > curve->batch_tried) {
                    trust = slot->sizes[i] > trust ? slot->sizes[i] : trust;
                    break;
                }
        most = most < trust ? most : trust;
    }
    return allowed_below(slot, most);
}

static double cost_rate(const struct policy_slot *slot, const struct policy_limits *limits, uint32_t n)
{
    return n / (time_us(slot, n) + limits->chunk_cost_us);
}

uint32_t policy_best_batch(const struct policy_slot *slot, const struct policy_limits *limits)
{
    uint32_t most = largest(slot, limits);
    if (limits->batch > 0)
        return limits->batch < slot->batch_max ? limits->batch : slot->batch_max;
    double enough = NEAR_BEST * cost_rate(slot, limits, most);
    if (slot->sizes_count > 0) {
        for (uint32_t i = 0; i < slot->sizes_count && slot->sizes[i] <= most; i++)
            if (cost_rate(slot, limits, slot->sizes[i]) >= enough)
                return slot->sizes[i];
        return most;
    }
    /* rate(n) = n / (a + b n) >= enough  <=>  n >= enough a / (1 - enough b) */
    double a = slot->curve->scale * slot->curve->alpha_us + limits->chunk_cost_us,
           b = slot->curve->scale * slot->curve->beta_us;
    double n = enough * a / (1 - enough * b);
    uint32_t best = n <= 1 ? 1 : n >= most ? most : (uint32_t)n;
    return best < most && cost_rate(slot, limits, best) < enough ? best + 1 : best;
}

double policy_rate(const struct policy_slot *slot, const struct policy_limits *limits)
{
    uint32_t best = policy_best_batch(slot, limits);
    uint32_t runs = policy_padded(slot, best);
    return best / time_us(slot, runs ? runs : best);
}

uint32_t policy_chunk(const struct policy_slot *slot, const struct policy_limits *limits, uint64_t ready,
                      double finish_us)
{
    uint32_t best = policy_best_batch(slot, limits);
    uint64_t n = ready < best ? ready : best;
    if (n == 0)
        return 0;
    double room_us = finish_us - slot->start_us;
    uint32_t runs = policy_padded(slot, (uint32_t)n);
    if (runs && time_us(slot, runs) <= room_us)
        return (uint32_t)n;
    double fits = (room_us / slot->curve->scale - slot->curve->alpha_us) / slot->curve->beta_us + 1e-6;
    if (fits < 1)
        return 0;
    n = fits < (double)n ? (uint64_t)fits : n;
    if (slot->sizes_count == 0)
        return (uint32_t)n;
    uint32_t size = allowed_below(slot, n); /* padding must fit below the guard too: only whole sizes */
    return size <= n ? size : 0;
}

double policy_end_us(const struct policy_slot *slot, const struct policy_limits *limits, uint64_t n)
{
    uint32_t best = policy_best_batch(slot, limits);
    ENSURE(best > 0);
    uint64_t whole = n / best, rest = n % best;
    uint32_t runs = policy_padded(slot, best), tail = policy_padded(slot, (uint32_t)rest);
    double end_us = slot->start_us + (double)whole * time_us(slot, runs ? runs : best);
    return rest ? end_us + time_us(slot, tail ? tail : (uint32_t)rest) : end_us;
}
