// SPDX-License-Identifier: Apache-2.0
#include "window.h"

static const double GAIN = 1.05; /* of throughput, that a larger window must bring */
static const double LATENCY_GAIN = 0.2, TRIP_GAIN = 0.3;
static const uint64_t EPOCH = 3; /* full windows that are measured */
static const uint64_t REST = 30; /* windows until the next try after one that brought nothing */

void window_init(struct window *window, uint32_t size, uint32_t most)
{
    *window =
        (struct window){ .size = size, .asked = size, .most = most > size ? most : size, .shared = most > 0 };
    if (!window->shared && window->most < WINDOW_TRIP_MAX)
        window->most = WINDOW_TRIP_MAX;
}

void window_travelled(struct window *window, uint64_t since_leased_us, uint64_t run_us)
{
    double us = since_leased_us > run_us ? (double)(since_leased_us - run_us) : 0;
    window->trip_us += window->trip_us > 0 ? TRIP_GAIN * (us - window->trip_us) : us;
}

/* One runs, and what comes back during a trip is on its way. */
static bool cover_trip(struct window *window)
{
    double during = window->latency_us > 0 ? window->trip_us / window->latency_us : 0;
    uint32_t need = during >= WINDOW_TRIP_MAX ? WINDOW_TRIP_MAX : 2 + (uint32_t)during;
    need = need > WINDOW_TRIP_MAX ? WINDOW_TRIP_MAX : need > window->asked ? need : window->asked;
    bool changed = need != window->size;
    window->size = need;
    return changed;
}

double window_cost_us(const struct window *window, uint64_t run_us, uint32_t in_flight)
{
    double us = run_us > 0 ? (double)run_us : 1;
    return window->shared && in_flight > 1 ? us / in_flight : us;
}

static bool resize(struct window *window, uint32_t size, uint64_t now_us)
{
    window->size = size;
    window->since_us = now_us;
    window->completed = 0;
    return true;
}

static bool grow(struct window *window, double rate, uint64_t now_us)
{
    uint32_t more = window->size / 2 > 0 ? window->size / 2 : 1;
    window->before = window->size;
    window->rate = rate;
    return resize(window, window->most - window->size < more ? window->most : window->size + more, now_us);
}

static bool give_up(struct window *window, uint64_t now_us)
{
    uint32_t size = window->before;
    window->before = 0;
    window->rest = REST * size;
    return resize(window, size, now_us);
}

/* The first windows after a change hold chunks of before: they are not measured. */
bool window_completed(struct window *window, uint64_t now_us, uint64_t run_us, uint32_t in_flight)
{
    double us = (double)run_us;
    window->latency_us += window->latency_us > 0 ? LATENCY_GAIN * (us - window->latency_us) : us;
    if (!window->shared)
        return cover_trip(window);
    window->rest -= window->rest > 0;
    if (in_flight < window->size) {
        window->since_us = 0;
        return false;
    }
    if (window->since_us == 0 || (window->completed == 0 && now_us == window->since_us)) {
        window->since_us = now_us;
        window->completed = 0;
        return false;
    }
    if (++window->completed == window->size) /* what was in flight at the change is out */
        window->since_us = now_us;
    if (window->completed < (EPOCH + 1) * window->size)
        return false;
    double rate = (double)(EPOCH * window->size) / (double)(now_us - window->since_us + 1);
    bool better = window->before == 0 || rate > window->rate * GAIN;
    if (!better)
        return give_up(window, now_us);
    if (window->size < window->most && window->rest == 0)
        return grow(window, rate, now_us);
    window->before = 0;
    return resize(window, window->size, now_us) && false;
}
