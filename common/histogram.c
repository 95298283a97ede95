// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include "ensure.h"

#include <stdbool.h>
#include <string.h>

enum { LINEAR_BITS = 4, TOP_BITS = 40, LAST = HISTOGRAM_BUCKETS - 1 };

static const uint64_t top_us = 1ull << TOP_BITS;

static unsigned highest_bit(uint64_t value) { return 63u - (unsigned)__builtin_clzll(value); }

static size_t bucket_of(uint64_t value_us)
{
    if (value_us < HISTOGRAM_SUB)
        return (size_t)value_us;
    if (value_us >= top_us)
        return LAST;
    unsigned shift = highest_bit(value_us) - LINEAR_BITS;
    return HISTOGRAM_SUB + (size_t)shift * HISTOGRAM_SUB +
           (size_t)((value_us >> shift) & (HISTOGRAM_SUB - 1));
}

static uint64_t middle_of(size_t bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    if (bucket == LAST)
        return top_us;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_SUB) - 1;
    uint64_t low = (uint64_t)(HISTOGRAM_SUB + bucket % HISTOGRAM_SUB) << shift;
    return low + ((1ull << shift) - 1) / 2;
}

void histogram_init(struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

void histogram_add(struct histogram *histogram, uint64_t value_us, uint64_t times)
{
    if (times == 0)
        return;
    if (value_us > top_us)
        value_us = top_us;
    histogram->buckets[bucket_of(value_us)] += times;
    histogram->count += times;
    if (value_us > histogram->max_us)
        histogram->max_us = value_us;
}

size_t histogram_bucket(uint64_t value_us) { return bucket_of(value_us); }

void histogram_add_to(struct histogram *histogram, size_t bucket, uint64_t times, uint64_t max_us)
{
    ENSURE(bucket < HISTOGRAM_BUCKETS);
    if (times == 0)
        return;
    max_us = max_us > top_us ? top_us : max_us;
    histogram->buckets[bucket] += times;
    histogram->count += times;
    if (max_us > histogram->max_us)
        histogram->max_us = max_us;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
}

/* The least whole number of values that is at least quantile * count, and at least one. */
static uint64_t rank_of(double quantile, uint64_t count)
{
    if (quantile >= 1.0)
        return count;
    double exact = quantile * (double)count;
    uint64_t rank = exact >= 0x1p63 ? count : (uint64_t)exact;
    if ((double)rank < exact)
        rank++;
    return rank == 0 ? 1 : rank > count ? count : rank;
}

uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    ENSURE(quantile >= 0.0 && quantile <= 1.0);
    if (histogram->count == 0)
        return 0;
    uint64_t rank = rank_of(quantile, histogram->count), seen = 0;
    size_t bucket = 0;
    for (; bucket < LAST; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank)
            break;
    }
    uint64_t middle = middle_of(bucket);
    return middle < histogram->max_us ? middle : histogram->max_us;
}

/* Packed: max_us in 8 bytes, lowest first, then for each used bucket, ascending, the distance from the one
 * before (from -1 for the first) and the count, both as LEB128 of 7 bits a byte: at most 2 + 10 bytes. The
 * form is unique: anything else that would mean the same is refused. */
static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

size_t histogram_pack(const struct histogram *histogram, uint8_t bytes[HISTOGRAM_BYTES_MAX])
{
    uint8_t *at = bytes;
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(histogram->max_us >> (8 * i));
    size_t next = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        at = put_varint(at, i + 1 - next);
        at = put_varint(at, histogram->buckets[i]);
        next = i + 1;
    }
    return (size_t)(at - bytes);
}

/* False at the end of the bytes, above 64 bits, and for a form longer than needed. */
static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return byte != 0 || shift == 0;
    }
    return false;
}

static bool unpack_buckets(struct histogram *histogram, const uint8_t *at, const uint8_t *end)
{
    size_t next = 0;
    while (at < end) {
        uint64_t step, count;
        if (!get_varint(&at, end, &step) || !get_varint(&at, end, &count))
            return false;
        if (step == 0 || step > HISTOGRAM_BUCKETS - next || count == 0)
            return false;
        next += (size_t)step;
        histogram->buckets[next - 1] = count;
        if (__builtin_add_overflow(histogram->count, count, &histogram->count))
            return false;
    }
    if (next == 0)
        return histogram->max_us == 0;
    return histogram->max_us <= top_us && bucket_of(histogram->max_us) == next - 1;
}

int histogram_unpack(struct histogram *histogram, const uint8_t *bytes, size_t size)
{
    histogram_init(histogram);
    if (size < 8)
        return 0;
    for (int i = 0; i < 8; i++)
        histogram->max_us |= (uint64_t)bytes[i] << (8 * i);
    if (unpack_buckets(histogram, bytes + 8, bytes + size))
        return 1;
    histogram_init(histogram);
    return 0;
}
