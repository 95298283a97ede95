// SPDX-License-Identifier: Apache-2.0
/* histogram - a log-linear histogram of durations in microseconds: 16 linear buckets per power of two, hence
 * a relative error of at most 1/32 at a bucket's middle (the scheme of HdrHistogram and of DDSketch's linear
 * interpolation). Merging two is exact. Pure, fixed size, no allocation. Values above 2^40 us (12.7 days)
 * count as 2^40. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_SUB = 16,
    HISTOGRAM_BUCKETS = 16 + (40 - 4) * 16 + 1,
    HISTOGRAM_BYTES_MAX = 8 + HISTOGRAM_BUCKETS * 12
};

struct histogram {
    uint64_t count;  /* of all buckets */
    uint64_t max_us; /* exact largest value added; 0 when empty */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value_us, uint64_t times);
/* The bucket that counts a value; and values of one bucket at once, none above max_us. */
size_t histogram_bucket(uint64_t value_us);
void histogram_add_to(struct histogram *histogram, size_t bucket, uint64_t times, uint64_t max_us);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The least value v with at least quantile * count values <= v, at its bucket's middle and never above
 * max_us. quantile in [0, 1]; 0 for an empty histogram (callers print null: test count). */
uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile);

/* A compact form (only used buckets), for the journal. Returns the bytes written, at most
 * HISTOGRAM_BYTES_MAX. */
size_t histogram_pack(const struct histogram *histogram, uint8_t bytes[HISTOGRAM_BYTES_MAX]);

/* The reverse. Returns 0 if the bytes are not a packed histogram (then histogram is empty), else 1. */
int histogram_unpack(struct histogram *histogram, const uint8_t *bytes, size_t size);

#endif
