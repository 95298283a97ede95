// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

static const double NEAR_BEST =
    0.998; /* a batch whose rate is so near the best is good enough, and the smaller the better */
static const double CAP_LOSS = 0.98; /* the cap in seconds may cost so much of the rate, then it stretches */
static const double CAP_SINGLES = 10.0; /* it may always stretch to so many times the smallest batch */
static const uint32_t GROWTH = 16;      /* a curve is not believed further than this beyond what was tried */

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

static double cost_rate(const struct policy_slot *slot, const struct policy_limits *limits, uint32_t n)
{
    return n / (time_us(slot, n) + limits->chunk_cost_us);
}

/* The next allowed size above n may be further away than growth allows; it must be tried some time. */
static uint64_t next_size(const struct policy_slot *slot, uint64_t n)
{
    for (uint32_t i = 0; i < slot->sizes_count; i++)
        if (slot->sizes[i] > n)
            return slot->sizes[i];
    return n;
}

/* The largest batch that the experience with the slot allows. */
static uint64_t trusted(const struct policy_slot *slot)
{
    const struct curve *curve = slot->curve;
    if (curve->batches == 0)
        return curve->prior ? slot->batch_max : 1;
    uint64_t tried = (uint64_t)curve->batch_tried, most = GROWTH * (tried ? tried : 1),
             next = next_size(slot, tried);
    return most > next ? most : next;
}

static uint32_t within_us(const struct policy_slot *slot, uint64_t most, double cap_us)
{
    const struct curve *curve = slot->curve;
    double fits = (cap_us / curve->scale - curve->alpha_us) / curve->beta_us;
    uint64_t n = fits >= (double)most ? most : fits >= 1 ? (uint64_t)fits : 1;
    return allowed_below(slot, n);
}

double policy_batch_us(const struct policy_slot *slot, uint32_t n)
{
    uint32_t runs = policy_padded(slot, n);
    return time_us(slot, runs ? runs : n);
}

/* The largest batch that the cap, memory and experience allow. */
static uint32_t largest(const struct policy_slot *slot, const struct policy_limits *limits)
{
    uint64_t most = trusted(slot);
    most = most < slot->batch_max ? most : slot->batch_max;
    bool online = slot->cap_us > 0 && slot->cap_us < limits->chunk_cap_us;
    uint32_t capped = within_us(slot, most, online ? slot->cap_us : limits->chunk_cap_us);
    if (online || limits->chunk_most_us <= limits->chunk_cap_us)
        return capped;
    double least_us = CAP_SINGLES * policy_batch_us(slot, allowed_below(slot, 1));
    uint32_t stretched =
        within_us(slot, most, limits->chunk_most_us > least_us ? limits->chunk_most_us : least_us);
    return cost_rate(slot, limits, capped) >= CAP_LOSS * cost_rate(slot, limits, stretched) ? capped
                                                                                            : stretched;
}

bool policy_exploring(const struct policy_slot *slot, const struct policy_limits *limits)
{
    if (limits->batch > 0 || trusted(slot) >= slot->batch_max)
        return false;
    return 2 * (uint64_t)policy_best_batch(slot, limits) > allowed_below(slot, trusted(slot));
}

uint32_t policy_best_batch(const struct policy_slot *slot, const struct policy_limits *limits)
{
    if (limits->batch > 0)
        return limits->batch < slot->batch_max ? limits->batch : slot->batch_max;
    uint32_t most = largest(slot, limits);
    if (!curve_known(slot->curve))
        return most;
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

/* The largest batch that ends in room_us: 0 if none does. */
static uint32_t fitting(const struct policy_slot *slot, uint32_t most, double room_us)
{
    if (slot->sizes_count == 0) {
        double fits = (room_us / slot->curve->scale - slot->curve->alpha_us) / slot->curve->beta_us + 1e-6;
        return fits < 1 ? 0 : fits < most ? (uint32_t)fits : most;
    }
    uint32_t best = 0;
    for (uint32_t i = 0; i < slot->sizes_count && slot->sizes[i] <= most; i++)
        if (time_us(slot, slot->sizes[i]) <= room_us)
            best = slot->sizes[i];
    return best;
}

uint32_t policy_chunk(const struct policy_slot *slot, const struct policy_limits *limits, uint64_t ready,
                      double finish_us)
{
    uint32_t best = policy_best_batch(slot, limits);
    uint64_t n = ready < best ? ready : best;
    if (n == 0)
        return 0;
    double room_us = finish_us - slot->start_us;
    if (policy_batch_us(slot, (uint32_t)n) <= room_us * (1 + 1e-9))
        return (uint32_t)n;
    return fitting(slot, (uint32_t)n, room_us); /* padding must fit below the guard too: only whole sizes */
}

uint64_t policy_most(const struct policy_slot *slot, uint32_t best, double finish_us)
{
    double room_us = finish_us - slot->start_us;
    if (!(room_us > 0))
        return 0;
    uint32_t runs = policy_padded(slot, best);
    double whole_us = time_us(slot, runs ? runs : best), whole = room_us / whole_us + 1e-9;
    uint64_t batches = whole < 1e12 ? (uint64_t)whole : 1000000000000u, samples = batches * best;
    if (whole >= 1e12)
        return samples;
    room_us -= (double)batches * whole_us;
    for (uint32_t n = fitting(slot, best, room_us); n > 0; n = fitting(slot, best, room_us)) {
        samples += n;
        room_us -= time_us(slot, n);
        if (slot->sizes_count == 0)
            break;
    }
    return samples;
}
