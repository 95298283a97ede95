// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOW_US = 100 * 1000,  /* one run this long is all the measuring there is */
    BUDGET_US = 60 * 1000, /* for each of the two points */
    REPEATS = 5,
    BYTES_MAX = 16 << 20, /* of zero rows, over all inputs */
};

struct bench {
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct batch_in in;
    uint32_t samples;
};

/* The time of one run of rows rows, at least 1; 0 if it failed. */
static uint64_t time_run(struct bench *bench, uint32_t rows)
{
    struct batch_out out;
    bench->in.rows = rows;
    uint64_t started_us = clock_monotonic_us();
    if (bench->ops->run(bench->slot, bench->model, &bench->in, &out, NULL) != ERR_OK)
        return 0;
    uint64_t took_us = clock_monotonic_us() - started_us;
    batch_out_free(&out);
    bench->samples += rows;
    return took_us > 0 ? took_us : 1;
}

/* The best of some runs within the budget; 0 if one failed. The least is the figure, because noise only adds.
 */
static uint64_t time_best(struct bench *bench, uint32_t rows)
{
    uint64_t best_us = UINT64_MAX, spent_us = 0;
    for (int i = 0; i < REPEATS && spent_us < BUDGET_US; i++) {
        uint64_t us = time_run(bench, rows);
        if (us == 0)
            return 0;
        spent_us += us;
        best_us = us < best_us ? us : best_us;
    }
    return best_us;
}

/* Rows whose inputs fit in BYTES_MAX; 0 if a row's size is unknown. *row_bytes: of the largest input. */
static uint32_t rows_that_fit(const struct model_signature *signature, uint32_t rows_max, uint64_t *row_bytes)
{
    uint64_t all_bytes = 0;
    *row_bytes = 0;
    for (uint32_t i = 0; i < signature->inputs_count; i++) {
        uint64_t bytes = tensor_row_bytes(&signature->inputs[i]);
        if (bytes == 0 || bytes > BYTES_MAX)
            return 0;
        all_bytes += bytes;
        *row_bytes = bytes > *row_bytes ? bytes : *row_bytes;
    }
    uint64_t rows = all_bytes > 0 ? BYTES_MAX / all_bytes : rows_max;
    return rows < rows_max ? (uint32_t)rows : rows_max;
}

static void fit_point(struct bench *bench, uint64_t us, uint32_t rows, struct runtime_measure *measure)
{
    *measure = (struct runtime_measure){ .beta_us = (double)us / rows, .samples = bench->samples };
}

static void fit_line(struct bench *bench, uint64_t one_us, uint64_t many_us, uint32_t many,
                     struct runtime_measure *measure)
{
    double beta = ((double)many_us - (double)one_us) / (many - 1);
    if (beta * many < (double)many_us / 1000) /* noise, or a device that hides its rows: never free */
        beta = (double)many_us / 1000 / many;
    double alpha = (double)many_us - beta * many;
    *measure = (struct runtime_measure){ .alpha_us = alpha > 0 ? alpha : 0,
                                         .beta_us = beta,
                                         .samples = bench->samples };
}

static void measure_runs(struct bench *bench, uint32_t fixed, uint32_t rows_max,
                         struct runtime_measure *measure)
{
    uint32_t one = fixed > 0 ? fixed : 1;
    uint64_t first_us = time_run(bench, one);
    if (first_us == 0)
        return;
    uint64_t one_us = first_us >= SLOW_US ? first_us : time_best(bench, one);
    if (one_us == 0)
        return;
    uint64_t affordable = BUDGET_US / one_us;
    uint32_t many = affordable < rows_max ? (uint32_t)affordable : rows_max;
    if (fixed > 0 || many < 2) {
        fit_point(bench, one_us, one, measure);
        return;
    }
    uint64_t many_us = time_best(bench, many);
    if (many_us > 0)
        fit_line(bench, one_us, many_us, many, measure);
}

void measure_model(const struct runtime_ops *ops, struct runtime_slot *slot, struct runtime_model *model,
                   const struct model_signature *signature, uint32_t rows_max,
                   struct runtime_measure *measure)
{
    memset(measure, 0, sizeof *measure);
    uint64_t row_bytes;
    uint32_t rows = rows_that_fit(signature, rows_max, &row_bytes);
    if (rows == 0 || rows < signature->batch_fixed)
        return;
    struct bench bench = { .ops = ops, .slot = slot, .model = model };
    void *zeros = calloc(rows, row_bytes > 0 ? row_bytes : 1);
    if (zeros == NULL)
        return;
    for (uint32_t i = 0; i < signature->inputs_count; i++)
        bench.in.inputs[i] = zeros;
    measure_runs(&bench, signature->batch_fixed, rows, measure);
    free(zeros);
}
