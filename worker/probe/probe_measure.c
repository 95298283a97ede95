// SPDX-License-Identifier: Apache-2.0
#include "probe_measure.h"

#include "clock.h"
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_BYTES = 32 << 20, COPY_ROUNDS = 3, LANES = 128, STEPS = 20000, MEASURE_ROUNDS = 5 };

/* Best of some rounds, after one that fetches the pages: other programs only make it slower. */
double measure_copy_bytes_per_second(void)
{
    char *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES);
    double best = 0;
    if (from != NULL && to != NULL) {
        memset(from, 1, COPY_BYTES);
        memset(to, 2, COPY_BYTES);
        for (int i = 0; i < COPY_ROUNDS; i++) {
            uint64_t started_us = clock_monotonic_us();
            memcpy(to, from, COPY_BYTES);
            __asm__ volatile("" : : "r"(to) : "memory"); /* the copy is wanted, though nobody reads it */
            uint64_t us = clock_monotonic_us() - started_us;
            double rate = us > 0 ? COPY_BYTES * 1e6 / (double)us : 0;
            best = rate > best ? rate : best;
        }
    }
    free(from);
    free(to);
    return best;
}

/* x = x * a + b in so many independent lanes that the units' latency is hidden; x tends to b / (1 - a), far
 * from denormals. */
static inline __attribute__((always_inline)) float multiply_add(float x[LANES])
{
    for (int step = 0; step < STEPS; step++)
        for (int i = 0; i < LANES; i++)
            x[i] = x[i] * 0.999F + 0.001F;
    return x[0];
}

static float multiply_add_plain(float x[LANES]) { return multiply_add(x); }

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static float multiply_add_avx2(float x[LANES]) { return multiply_add(x); }
__attribute__((target("avx512f"))) static float multiply_add_avx512(float x[LANES])
{
    return multiply_add(x);
}

static float (*widest(void))(float x[LANES])
{
    if (__builtin_cpu_supports("avx512f"))
        return multiply_add_avx512;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? multiply_add_avx2
                                                                           : multiply_add_plain;
}
#else
static float (*widest(void))(float x[LANES]) { return multiply_add_plain; }
#endif

double measure_multiply_add_flops_per_second(void)
{
    float x[LANES];
    float (*run)(float *) = widest();
    double best = 0;
    for (int i = 0; i < LANES; i++)
        x[i] = (float)i;
    for (int i = 0; i < MEASURE_ROUNDS; i++) {
        uint64_t started_us = clock_monotonic_us();
        volatile float sink = run(x);
        (void)sink;
        uint64_t us = clock_monotonic_us() - started_us;
        double rate = us > 0 ? 2.0 * LANES * STEPS * 1e6 / (double)us : 0;
        best = rate > best ? rate : best;
    }
    return best;
}

static void add_figure(struct device *device, const char *name, double value)
{
    if (value <= 0 || device->figures_count == PROBE_FIGURES_MAX)
        return;
    struct figure *figure = &device->figures[device->figures_count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    figure->value = value;
    figure->grade = GRADE_MEASURED;
}

void probe_measure(struct machine *machine)
{
    double copy = measure_copy_bytes_per_second(), flops = measure_multiply_add_flops_per_second();
    for (uint32_t i = 0; i < machine->devices_count; i++) {
        if (strcmp(machine->devices[i].kind, "cpu") != 0)
            continue;
        add_figure(&machine->devices[i], "copy_bandwidth_bytes_per_second", copy);
        add_figure(&machine->devices[i], "fp32_flops_one_core", flops);
    }
}
