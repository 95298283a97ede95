// SPDX-License-Identifier: Apache-2.0
/* rng - a seeded generator (splitmix64, Steele et al. 2014) and the mix behind the built-in model
 * `synthetic`. Pure. */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

/* The finaliser of splitmix64: a fixed bijection of 64 bits. The answer of model `synthetic` to sample i is
 * rng_mix64(i). */
static inline uint64_t rng_mix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline void rng_init(struct rng *rng, uint64_t seed) { rng->state = seed; }

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t value = rng_mix64(rng->state);
    rng->state += 0x9E3779B97F4A7C15u;
    return value;
}

/* Uniform in [0, n); n > 0. The bias of the multiply-shift is below n / 2^32. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
    return n > UINT32_MAX ? rng_next(rng) % n : ((rng_next(rng) >> 32) * n) >> 32;
}

/* Uniform in [0, 1), 53 bits. */
static inline double rng_unit(struct rng *rng) { return (double)(rng_next(rng) >> 11) * 0x1p-53; }

/* Near normal, mean 0, standard deviation 1: the sum of twelve uniforms less six (Irwin-Hall), within +-6; no
 * libm. */
static inline double rng_normal(struct rng *rng)
{
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += rng_unit(rng);
    return sum;
}

#endif
