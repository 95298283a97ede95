// SPDX-License-Identifier: Apache-2.0
/* window - how many chunks a slot should have in flight. Pure.
 *
 * A device runs one batch while one is ready: two. Where a batch is shorter than a round trip, as many more
 * are ready as the trip takes, up to WINDOW_TRIP_MAX. A server that batches by itself (an LLM server) gets
 * faster the more it is given, up to a point that only it knows. Its window is found by climbing: when the
 * window was full for long enough, its throughput is compared with that of the smaller one; if it brought
 * GAIN, the window grows by half, else it goes back and stays for a while. */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_TRIP_MAX = 8 };

struct window {
    uint32_t size;           /* chunks in flight, now */
    uint32_t most;           /* never above */
    bool shared;             /* the slot runs all of them at a time, and the size is learned */
    uint32_t before;         /* the size that it grew from; 0 = it is not being tried */
    uint32_t asked;          /* what the worker wants in flight at least */
    double trip_us;          /* smoothed time of a lease on its way, there and back; 0 = not seen yet */
    double rate, latency_us; /* chunks per microsecond at `before`; smoothed time of a chunk */
    uint64_t since_us;       /* the full time began; 0 = it is not full */
    uint64_t completed;      /* chunks since then */
    uint64_t rest;           /* completions until a larger one is tried again */
};

/* most 0: a window of fixed size. */
void window_init(struct window *window, uint32_t size, uint32_t most);

/* A chunk that ran for run_us came back at now_us; in_flight: chunks there before it did, itself included.
 * True: the size changed. */
bool window_completed(struct window *window, uint64_t now_us, uint64_t run_us, uint32_t in_flight);

/* A chunk that was alone on the slot came back so long after it was leased: what its run does not account for
 * is the trip. */
void window_travelled(struct window *window, uint64_t since_leased_us, uint64_t run_us);

/* What a chunk costs the slot: its time, shared by those in flight where they run at the same time. */
double window_cost_us(const struct window *window, uint64_t run_us, uint32_t in_flight);

#endif
