// SPDX-License-Identifier: Apache-2.0
/* The same inputs through every built runtime that reads ONNX files, against the reference (reference.h): bit
 * for bit where the batch's size does not change the arithmetic, and within 1e-5 where it may. Then what each
 * must refuse. */
#include "clock.h"
#include "file.h"
#include "inspect.h"
#include "onnx_build.h"
#include "reference.h"
#include "rng.h"
#include "runtime.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEED = 20260101, ROWS_MAX = 64 };

/* Every runtime of the build must be here, with how it takes part. */
static const struct {
    const char *name;
    bool reads_onnx;
} RUNTIMES[] = { { "onnxruntime", true }, { "synthetic", false }, { "emulated", true } };

static char folder[PATH_MAX];
static const struct fleet fleet = { .time_scale = 1 };
static const struct fleet_worker member = {
    .name = "lab-1",
    .has_curve = true,
    .curve = { .alpha_ms = 0.01, .beta_ms = 0, .batch_max = ROWS_MAX },
    .busy_watts = -1
};

/* One runtime with one model loaded. */
struct subject {
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct model_signature signature;
    struct runtime_measure measure;
    struct why why;
};

static void open_subject(struct subject *subject, const struct runtime_ops *ops)
{
    struct runtime_config config = { .device = "cpu:0",
                                     .threads = 1,
                                     .numa_node = -1,
                                     .fleet = &fleet,
                                     .member = &member,
                                     .joined_us = clock_monotonic_us() };
    memset(subject, 0, sizeof *subject);
    subject->ops = ops;
    assert_int_equal(ops->available(&subject->why), ERR_OK);
    assert_int_equal(ops->open(&config, &subject->slot, &subject->why), ERR_OK);
}

static enum err load(struct subject *subject, const char *path)
{
    return subject->ops->load(subject->slot, path, &subject->model, &subject->signature, &subject->measure,
                              &subject->why);
}

static void close_subject(struct subject *subject)
{
    if (subject->model != NULL)
        subject->ops->unload(subject->slot, &subject->model);
    subject->ops->close(&subject->slot);
    assert_null(subject->slot);
}

/* Call check once for each runtime that reads ONNX files; skip the test where there is none. */
static void for_each_runtime(void (*check)(struct subject *subject))
{
    if (!reference_available())
        skip();
    for (size_t i = 0; i < sizeof RUNTIMES / sizeof RUNTIMES[0]; i++) {
        if (!RUNTIMES[i].reads_onnx)
            continue;
        struct subject subject;
        open_subject(&subject, runtime_find(RUNTIMES[i].name));
        check(&subject);
        close_subject(&subject);
    }
}

/* A file of the test's folder with these bytes; its path is valid until the next call. */
static const char *write_file(const char *name, const void *bytes, size_t size)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_replace(path, bytes, size, 0600, NULL), ERR_OK);
    return path;
}

static const char *write_model(const char *name, struct onnx_bytes model)
{
    return write_file(name, model.at, model.size);
}

static void load_model(struct subject *subject, const char *name, struct onnx_bytes model)
{
    if (subject->model != NULL)
        subject->ops->unload(subject->slot, &subject->model);
    enum err err = load(subject, write_model(name, model));
    if (err != ERR_OK)
        print_error("%s\n", subject->why.text);
    assert_int_equal(err, ERR_OK);
}

static enum err run(struct subject *subject, uint32_t rows, const void *first, const void *second,
                    struct batch_out *out)
{
    struct batch_in in = { .rows = rows, .inputs = { first, second } };
    return subject->ops->run(subject->slot, subject->model, &in, out, &subject->why);
}

static void fill(void *bytes, size_t size, struct rng *rng, enum dtype dtype)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(rng_next(rng) & (dtype == DTYPE_BOOL ? 1 : 0xff));
}

static void fill_floats(float *floats, uint32_t count, struct rng *rng)
{
    for (uint32_t i = 0; i < count; i++)
        floats[i] = (float)rng_normal(rng);
}

static void every_runtime_is_in_the_table(void **state)
{
    (void)state;
    for (const struct runtime_ops *const *ops = runtime_all(); *ops != NULL; ops++) {
        bool known = false;
        for (size_t i = 0; i < sizeof RUNTIMES / sizeof RUNTIMES[0]; i++)
            known = known || strcmp(RUNTIMES[i].name, (*ops)->name) == 0;
        assert_true(known);
    }
}

static void check_dtype(struct subject *subject, enum dtype dtype, uint32_t dims_count, const int64_t *dims)
{
    struct rng rng;
    uint8_t rows[ROWS_MAX * 6 * 8];
    struct batch_out out;
    rng_init(&rng, SEED + (uint64_t)dtype);
    fill(rows, sizeof rows, &rng, dtype);
    load_model(subject, "identity.onnx", onnx_unary("Identity", onnx_type(dtype), dims_count, dims));
    assert_int_equal(subject->signature.inputs[0].dtype, dtype);
    assert_int_equal(subject->signature.inputs[0].dims_count, dims_count - 1);
    assert_int_equal(subject->signature.outputs[0].dtype, dtype);
    assert_string_equal(subject->signature.format, "onnx");
    uint64_t row_bytes = tensor_row_bytes(&subject->signature.inputs[0]);
    for (uint32_t count = 1; count <= ROWS_MAX; count = count * 3 + 1) {
        assert_int_equal(run(subject, count, rows, NULL, &out), ERR_OK);
        assert_int_equal(out.outputs_count, 1);
        assert_int_equal(out.outputs_bytes[0], row_bytes * count);
        assert_memory_equal(out.outputs[0], rows, row_bytes * count);
        assert_int_equal(out.specs[0].dtype, dtype);
        assert_string_equal(out.specs[0].name, "y");
        batch_out_free(&out);
    }
}

static void check_dtypes(struct subject *subject)
{
    for (enum dtype dtype = DTYPE_BOOL; dtype < DTYPE_COUNT; dtype++) {
        check_dtype(subject, dtype, 1, (int64_t[]){ -1 });
        check_dtype(subject, dtype, 2, (int64_t[]){ -1, 5 });
        check_dtype(subject, dtype, 3, (int64_t[]){ -1, 2, 3 });
    }
}

static void all_numeric_types_pass_unchanged(void **state)
{
    (void)state;
    for_each_runtime(check_dtypes);
}

/* y = relu(x W + b): the sums are over the columns of one row, but kernels for many rows may add in another
 * order. */
static struct onnx_bytes network(void)
{
    struct onnx_bytes graph = { 0 };
    struct rng rng;
    float weights[32 * 10], bias[10];
    rng_init(&rng, SEED);
    fill_floats(weights, 32 * 10, &rng);
    fill_floats(bias, 10, &rng);
    onnx_node(&graph, "MatMul", "x", "w", "xw");
    onnx_node(&graph, "Add", "xw", "b", "sum");
    onnx_node(&graph, "Relu", "sum", NULL, "y");
    onnx_weight(&graph, "w", 32, 10, weights);
    onnx_weight(&graph, "b", 1, 10, bias);
    onnx_value(&graph, true, "x", onnx_type(DTYPE_F32), 2, (int64_t[]){ -1, 32 });
    onnx_value(&graph, false, "y", onnx_type(DTYPE_F32), 2, (int64_t[]){ -1, 10 });
    return onnx_model(&graph);
}

static float *reference_network(const char *path, float *rows, uint32_t count)
{
    struct reference_tensor x = { .name = "x", .dtype = DTYPE_F32, .dims_count = 2, .dims = { count, 32 } };
    struct reference_tensor y = { .name = "y", .dtype = DTYPE_F32 };
    x.data = rows;
    x.bytes = (size_t)count * 32 * sizeof *rows;
    reference_run(path, 1, &x, 1, &y);
    assert_int_equal(y.bytes, (size_t)count * 10 * sizeof *rows);
    return y.data;
}

static void check_network(struct subject *subject)
{
    struct rng rng;
    float rows[ROWS_MAX * 32];
    struct batch_out out;
    rng_init(&rng, SEED + 1);
    fill_floats(rows, ROWS_MAX * 32, &rng);
    load_model(subject, "network.onnx", network());
    assert_string_equal(subject->signature.precision, "fp32");
    const char *path = write_model("network.onnx", network());
    float *all = reference_network(path, rows, ROWS_MAX);
    for (uint32_t count = 1; count <= ROWS_MAX; count *= 2) {
        float *same = reference_network(path, rows, count);
        assert_int_equal(run(subject, count, rows, NULL, &out), ERR_OK);
        assert_memory_equal(out.outputs[0], same, out.outputs_bytes[0]);
        for (uint32_t i = 0; i < count * 10; i++)
            assert_true(fabsf(((float *)out.outputs[0])[i] - all[i]) <= 1e-5F * fmaxf(1, fabsf(all[i])));
        batch_out_free(&out);
        free(same);
    }
    free(all);
}

static void a_network_answers_as_the_reference_does(void **state)
{
    (void)state;
    for_each_runtime(check_network);
}

/* sum = a + b, less = a < b: two inputs, two outputs of unlike types, each element on its own. */
static struct onnx_bytes pair_model(int64_t batch)
{
    struct onnx_bytes graph = { 0 };
    int64_t dims[] = { batch, 3 };
    onnx_node(&graph, "Add", "a", "b", "sum");
    onnx_node(&graph, "Less", "a", "b", "less");
    onnx_value(&graph, true, "a", onnx_type(DTYPE_F32), 2, dims);
    onnx_value(&graph, true, "b", onnx_type(DTYPE_F32), 2, dims);
    onnx_value(&graph, false, "sum", onnx_type(DTYPE_F32), 2, dims);
    onnx_value(&graph, false, "less", onnx_type(DTYPE_BOOL), 2, dims);
    return onnx_model(&graph);
}

static void check_pairs(struct subject *subject, uint32_t count, const float *a, const float *b)
{
    struct batch_out out;
    assert_int_equal(run(subject, count, a, b, &out), ERR_OK);
    assert_int_equal(out.outputs_count, 2);
    assert_int_equal(out.outputs_bytes[0], count * 12);
    assert_int_equal(out.outputs_bytes[1], count * 3);
    assert_string_equal(out.specs[1].name, "less");
    assert_int_equal(out.specs[1].dtype, DTYPE_BOOL);
    for (uint32_t i = 0; i < count * 3; i++) {
        float sum = a[i] + b[i];
        assert_memory_equal((float *)out.outputs[0] + i, &sum, sizeof sum);
        assert_int_equal(((uint8_t *)out.outputs[1])[i], a[i] < b[i]);
    }
    batch_out_free(&out);
}

static void check_batches(struct subject *subject)
{
    struct rng rng;
    float a[ROWS_MAX * 3], b[ROWS_MAX * 3];
    rng_init(&rng, SEED + 2);
    fill_floats(a, ROWS_MAX * 3, &rng);
    fill_floats(b, ROWS_MAX * 3, &rng);
    load_model(subject, "pair.onnx", pair_model(-1));
    assert_int_equal(subject->signature.batch_fixed, 0);
    assert_int_equal(subject->signature.inputs_count, 2);
    for (uint32_t count = 1; count <= 7; count++)
        for (size_t first = 0; first + count <= ROWS_MAX; first += count)
            check_pairs(subject, count, &a[first * 3], &b[first * 3]);
}

static void batches_of_any_size_give_the_same_bits(void **state)
{
    (void)state;
    for_each_runtime(check_batches);
}

static void check_padding(struct subject *subject)
{
    struct rng rng;
    float a[5 * 3], b[5 * 3];
    struct batch_out out;
    rng_init(&rng, SEED + 3);
    fill_floats(a, 15, &rng);
    fill_floats(b, 15, &rng);
    load_model(subject, "fixed.onnx", pair_model(4));
    assert_int_equal(subject->signature.batch_fixed, 4);
    for (uint32_t count = 1; count <= 4; count++)
        check_pairs(subject, count, a, b);
    assert_int_equal(run(subject, 5, a, b, &out), ERR_LIMIT);
    assert_int_equal(out.outputs_count, 0);
    assert_non_null(strstr(subject->why.text, "5"));
}

static void a_fixed_batch_is_padded_and_never_passed(void **state)
{
    (void)state;
    for_each_runtime(check_padding);
}

/* y = w x with w all ones: each row of the answer is the sum of all rows, which the padding must not change.
 */
static void check_zeros(struct subject *subject)
{
    static const float ROWS[] = { 1, 2, 3, 10, 20, 30 }, WANTED[] = { 11, 22, 33, 11, 22, 33 };
    struct onnx_bytes graph = { 0 };
    struct batch_out out;
    float ones[16];
    for (int i = 0; i < 16; i++)
        ones[i] = 1;
    onnx_node(&graph, "MatMul", "w", "x", "y");
    onnx_weight(&graph, "w", 4, 4, ones);
    onnx_value(&graph, true, "x", onnx_type(DTYPE_F32), 2, (int64_t[]){ 4, 3 });
    onnx_value(&graph, false, "y", onnx_type(DTYPE_F32), 2, (int64_t[]){ 4, 3 });
    load_model(subject, "sum.onnx", onnx_model(&graph));
    assert_int_equal(run(subject, 2, ROWS, NULL, &out), ERR_OK);
    assert_int_equal(out.outputs_bytes[0], sizeof WANTED);
    assert_memory_equal(out.outputs[0], WANTED, sizeof WANTED);
    batch_out_free(&out);
}

static void the_padding_is_zeros(void **state)
{
    (void)state;
    for_each_runtime(check_zeros);
}

static void check_anywhere(struct subject *subject)
{
    struct rng rng;
    uint8_t bytes[100], moved[101];
    struct batch_out out;
    rng_init(&rng, SEED + 4);
    fill(bytes, sizeof bytes, &rng, DTYPE_F64);
    memcpy(moved + 1, bytes, sizeof bytes);
    load_model(subject, "doubles.onnx",
               onnx_unary("Identity", onnx_type(DTYPE_F64), 2, (int64_t[]){ -1, 3 }));
    for (size_t offset = 0; offset < 9; offset++) {
        assert_int_equal(run(subject, 3, moved + 1 + offset, NULL, &out), ERR_OK);
        assert_memory_equal(out.outputs[0], bytes + offset, 72);
        batch_out_free(&out);
    }
}

static void inputs_may_lie_at_any_address(void **state)
{
    (void)state;
    for_each_runtime(check_anywhere);
}

static void check_open_length(struct subject *subject)
{
    static const float ROWS[] = { 1, -2, 3, -4, 5, -6 }, WANTED[] = { 1, 2, 3, 4, 5, 6 };
    struct tensor_spec spec = { .name = "x", .dtype = DTYPE_F32, .dims_count = 1, .dims = { 3 } };
    struct batch_in in = { .rows = 2, .inputs = { ROWS }, .specs = &spec };
    struct batch_out out;
    load_model(subject, "open.onnx", onnx_unary("Abs", onnx_type(DTYPE_F32), 2, (int64_t[]){ -1, -1 }));
    assert_int_equal(subject->signature.inputs[0].dims[0], -1);
    assert_int_equal(subject->signature.outputs[0].dims[0], -1);
    assert_int_equal(subject->measure.samples, 0);
    assert_int_equal(subject->ops->run(subject->slot, subject->model, &in, &out, NULL), ERR_OK);
    assert_int_equal(out.specs[0].dims_count, 1);
    assert_int_equal(out.specs[0].dims[0], 3);
    assert_memory_equal(out.outputs[0], WANTED, sizeof WANTED);
    batch_out_free(&out);
    assert_int_equal(run(subject, 2, ROWS, NULL, &out), ERR_UNSUPPORTED);
    assert_non_null(strstr(subject->why.text, "'x'"));
}

static void an_open_length_is_the_callers(void **state)
{
    (void)state;
    for_each_runtime(check_open_length);
}

static void check_other_axis(struct subject *subject)
{
    static const float ROWS[6] = { 0 };
    struct tensor_spec spec = { .name = "x", .dtype = DTYPE_F32, .dims_count = 1, .dims = { 3 } };
    struct batch_in in = { .rows = 2, .inputs = { ROWS }, .specs = &spec };
    struct batch_out out;
    load_model(subject, "turned.onnx",
               onnx_unary("Transpose", onnx_type(DTYPE_F32), 2, (int64_t[]){ -1, -1 }));
    assert_int_equal(subject->ops->run(subject->slot, subject->model, &in, &out, &subject->why), ERR_RUNTIME);
    assert_int_equal(out.outputs_count, 0);
    assert_non_null(strstr(subject->why.text, "'y' has 3 rows for a batch of 2"));
}

static void an_output_of_other_rows_is_an_error(void **state)
{
    (void)state;
    for_each_runtime(check_other_axis);
}

static void check_cancel(struct subject *subject)
{
    static const float ROWS[6] = { 0 };
    struct batch_out out;
    load_model(subject, "abs.onnx", onnx_unary("Abs", onnx_type(DTYPE_F32), 2, (int64_t[]){ -1, 3 }));
    subject->ops->cancel(subject->slot);
    assert_int_equal(run(subject, 2, ROWS, NULL, &out), ERR_CANCELLED);
    assert_int_equal(out.outputs_count, 0);
    assert_int_equal(run(subject, 2, ROWS, NULL, &out), ERR_OK);
    batch_out_free(&out);
}

static void a_cancel_stops_one_run(void **state)
{
    (void)state;
    for_each_runtime(check_cancel);
}

/* Refused with this code; the reason names the file; nothing is left loaded. */
static void assert_refused(struct subject *subject, const char *path, enum err err, const char *words)
{
    subject->why.text[0] = '\0';
    enum err got = load(subject, path);
    if (got != err || strstr(subject->why.text, words) == NULL)
        print_error("%s: %s\n", err_name(got), subject->why.text);
    assert_int_equal(got, err);
    assert_null(subject->model);
    assert_non_null(strstr(subject->why.text, words));
    assert_non_null(strstr(subject->why.text, path));
    assert_null(strchr(subject->why.text, '\n'));
}

/* A slot's life on a thread of its own; its answers' first row decides. */
static void *run_a_slot(void *path)
{
    struct subject subject;
    struct batch_out out;
    float rows[8 * 32];
    for (int i = 0; i < 8 * 32; i++)
        rows[i] = (float)i / 256;
    open_subject(&subject, runtime_find("onnxruntime"));
    assert_int_equal(load(&subject, path), ERR_OK);
    float *sum = calloc(1, sizeof *sum);
    for (int round = 0; round < 50; round++) {
        assert_int_equal(run(&subject, 8, rows, NULL, &out), ERR_OK);
        for (size_t i = 0; i < 80; i++)
            *sum += ((float *)out.outputs[0])[i];
        batch_out_free(&out);
    }
    close_subject(&subject);
    return sum;
}

static void slots_run_side_by_side(void **state)
{
    (void)state;
    enum { SLOTS = 4 };
    pthread_t threads[SLOTS];
    void *sums[SLOTS];
    char path[PATH_MAX + 64];
    if (!reference_available())
        skip();
    snprintf(path, sizeof path, "%s", write_model("network.onnx", network()));
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_a_slot, path), 0);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(pthread_join(threads[i], &sums[i]), 0);
    for (int i = 0; i < SLOTS; i++)
        assert_memory_equal(sums[i], sums[0], sizeof(float));
    for (int i = 0; i < SLOTS; i++)
        free(sums[i]);
}

static void check_bad_files(struct subject *subject)
{
    struct rng rng;
    uint8_t garbage[3000];
    struct onnx_bytes good = network();
    rng_init(&rng, SEED + 5);
    fill(garbage, sizeof garbage, &rng, DTYPE_U8);
    assert_refused(subject, write_file("garbage.onnx", garbage, sizeof garbage), ERR_FORMAT, "");
    assert_refused(subject, write_file("empty.onnx", "", 0), ERR_FORMAT, "");
    for (size_t size = 1; size < good.size; size += 1 + good.size / 40)
        assert_refused(subject, write_file("truncated.onnx", good.at, size), ERR_FORMAT, "");
    assert_refused(subject, "no/such/model.onnx", ERR_FILE, "cannot be read");
    assert_refused(subject, folder, ERR_FILE, "not a file");
    load_model(subject, "network.onnx", good);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    for_each_runtime(check_bad_files);
}

static void refuse_unary(struct subject *subject, const char *operator, int64_t type, uint32_t dims_count,
                         const int64_t *dims, const char *words)
{
    assert_refused(subject, write_model("model.onnx", onnx_unary(operator, type, dims_count, dims)),
                   ERR_UNSUPPORTED, words);
}

static void check_unsupported(struct subject *subject)
{
    int64_t any[] = { -1, 3 }, f32 = onnx_type(DTYPE_F32);
    refuse_unary(subject, "Identity", ONNX_STRING, 2, any, "strings");
    refuse_unary(subject, "Identity", 16, 2, any, "no counterpart"); /* bfloat16 */
    refuse_unary(subject, "Abs", f32, 0, any, "no dimensions");
    refuse_unary(subject, "Abs", f32, 9, (int64_t[]){ -1, 1, 1, 1, 1, 1, 1, 1, 1 }, "9 dimensions");
    refuse_unary(subject, "Frobnicate", f32, 2, any, "Frobnicate");
}

static void what_no_batch_can_hold_is_refused(void **state)
{
    (void)state;
    for_each_runtime(check_unsupported);
}

static void a_load_measures_real_runtimes_only(void **state)
{
    (void)state;
    const struct runtime_ops *real = runtime_find("onnxruntime");
    if (!reference_available())
        skip();
    struct subject subject;
    open_subject(&subject, real);
    load_model(&subject, "network.onnx", network());
    assert_true(subject.measure.samples > 0);
    assert_true(subject.measure.beta_us > 0);
    close_subject(&subject);
    open_subject(&subject, runtime_find("emulated"));
    load_model(&subject, "network.onnx", network());
    assert_int_equal(subject.measure.samples, 0);
    close_subject(&subject);
}

static void a_fixed_batch_must_fit_the_emulated_device(void **state)
{
    (void)state;
    if (!reference_available())
        skip();
    struct subject subject;
    open_subject(&subject, runtime_find("emulated"));
    assert_refused(&subject, write_model("large.onnx", pair_model(ROWS_MAX + 1)), ERR_LIMIT, "lab-1");
    close_subject(&subject);
}

static void files_are_inspected_by_content(void **state)
{
    (void)state;
    struct model_signature signature;
    const char *runtime = NULL;
    struct why why = { "" };
    if (!reference_available())
        skip();
    assert_int_equal(model_inspect(write_model("a.bin", network()), &signature, &runtime, &why), ERR_OK);
    assert_string_equal(runtime, "onnxruntime");
    assert_int_equal(signature.inputs[0].dims[0], 32);
    assert_int_equal(model_inspect(write_file("b.onnx", "junk", 4), &signature, &runtime, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "onnxruntime: "));
}

static void no_telemetry_is_asked_for(void **state)
{
    (void)state;
    if (!reference_available())
        skip();
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "1");
}

static int setup(void **state)
{
    (void)state;
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/motley-conformance-XXXXXX", top != NULL ? top : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) != ERR_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_runtime_is_in_the_table),
        cmocka_unit_test(all_numeric_types_pass_unchanged),
        cmocka_unit_test(a_network_answers_as_the_reference_does),
        cmocka_unit_test(batches_of_any_size_give_the_same_bits),
        cmocka_unit_test(a_fixed_batch_is_padded_and_never_passed),
        cmocka_unit_test(the_padding_is_zeros),
        cmocka_unit_test(inputs_may_lie_at_any_address),
        cmocka_unit_test(an_open_length_is_the_callers),
        cmocka_unit_test(an_output_of_other_rows_is_an_error),
        cmocka_unit_test(a_cancel_stops_one_run),
        cmocka_unit_test(slots_run_side_by_side),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(what_no_batch_can_hold_is_refused),
        cmocka_unit_test(a_load_measures_real_runtimes_only),
        cmocka_unit_test(a_fixed_batch_must_fit_the_emulated_device),
        cmocka_unit_test(files_are_inspected_by_content),
        cmocka_unit_test(no_telemetry_is_asked_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
