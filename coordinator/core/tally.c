// SPDX-License-Identifier: Apache-2.0
#include "tally.h"

#include "ensure.h"

#include <string.h>

enum { TALLY_VERSION = 1, TALLY_WORDS = 11, TALLY_HEAD_BYTES = 8 * (TALLY_WORDS + 1) };

void tally_init(struct tally *tally)
{
    *tally = (struct tally){ 0 };
    histogram_init(&tally->batch_latency);
}

void tally_merge(struct tally *into, const struct tally *from)
{
    into->samples += from->samples;
    into->batches += from->batches;
    into->busy_us += from->busy_us;
    into->duplicate_samples += from->duplicate_samples;
    into->failed_batches += from->failed_batches;
    into->overruns += from->overruns;
    into->best_batch = from->best_batch ? from->best_batch : into->best_batch;
    into->energy_joules += from->energy_joules;
    into->energy_known += from->energy_known;
    if (from->first_us && (!into->first_us || from->first_us < into->first_us))
        into->first_us = from->first_us;
    into->last_us = from->last_us > into->last_us ? from->last_us : into->last_us;
    histogram_merge(&into->batch_latency, &from->batch_latency);
}

static uint8_t *put(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint64_t get(const uint8_t **at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t) * (*at)++ << (8 * i);
    return value;
}

uint32_t tally_pack(const struct tally *tally, uint8_t bytes[TALLY_BYTES_MAX])
{
    uint64_t joules;
    memcpy(&joules, &tally->energy_joules, sizeof joules);
    const uint64_t words[TALLY_WORDS] = {
        tally->samples,        tally->batches,  tally->busy_us,    tally->duplicate_samples,
        tally->failed_batches, tally->overruns, tally->best_batch, joules,
        tally->energy_known,   tally->first_us, tally->last_us
    };
    uint8_t *at = put(bytes, TALLY_VERSION);
    for (int i = 0; i < TALLY_WORDS; i++)
        at = put(at, words[i]);
    return TALLY_HEAD_BYTES + (uint32_t)histogram_pack(&tally->batch_latency, at);
}

bool tally_unpack(struct tally *tally, const uint8_t *bytes, uint32_t size)
{
    tally_init(tally);
    if (size < TALLY_HEAD_BYTES || get(&bytes) != TALLY_VERSION)
        return false;
    uint64_t words[TALLY_WORDS];
    for (int i = 0; i < TALLY_WORDS; i++)
        words[i] = get(&bytes);
    tally->samples = words[0];
    tally->batches = words[1];
    tally->busy_us = words[2];
    tally->duplicate_samples = words[3];
    tally->failed_batches = words[4];
    tally->overruns = words[5];
    tally->best_batch = (uint32_t)words[6];
    memcpy(&tally->energy_joules, &words[7], sizeof words[7]);
    tally->energy_known = words[8];
    tally->first_us = words[9];
    tally->last_us = words[10];
    return histogram_unpack(&tally->batch_latency, bytes, size - TALLY_HEAD_BYTES);
}
