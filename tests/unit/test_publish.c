// SPDX-License-Identifier: Apache-2.0
#include "publish.h"

#include "npy.h"
#include "rng.h"
#include "sink.h"
#include "spool.h"
#include "store_fixture.h"

#include <dirent.h>
#include <math.h>
#include <time.h>

static const int64_t pair[] = { 2 }, open_row[] = { -1 };

static int setup(void **state)
{
    return fixture_setup(state) == 0 && mkdir(fixture_path("out"), 0700) == 0 ? 0 : -1;
}

static void must(enum err err, const struct why *why)
{
    if (err != ERR_OK)
        fail_msg("%s", why->text);
}

/* ---- a job's spool ---- */

static struct spool_shape shape_of(uint64_t samples, uint32_t count, const struct tensor_spec *specs)
{
    struct spool_shape shape = { .job = 1, .samples = samples, .outputs_count = count };
    memcpy(shape.outputs, specs, count * sizeof *specs);
    return shape;
}

static struct spool *reserve(const struct spool_shape *shape)
{
    struct spool *spool;
    struct why why;
    must(spool_new(fixture_dir, &spool, &why), &why);
    must(spool_reserve(spool, shape, &why), &why);
    must(spool_learn(spool, shape, &why), &why);
    return spool;
}

static void write_op(struct spool *spool, struct store_op *op)
{
    struct why why;
    must(spool_write(spool, op, &why), &why);
    store_op_free(&op);
}

/* Rows of floats {0,1}, {2,3}, ... for all samples of output y. */
static struct spool_shape spool_pairs(uint64_t samples)
{
    struct tensor_spec spec = fixture_spec("y", DTYPE_F32, pair, 1);
    struct spool_shape shape = shape_of(samples, 1, &spec);
    struct spool *spool = reserve(&shape);
    for (uint64_t i = 0; i < samples; i++) {
        float row[2] = { (float)(2 * i), (float)(2 * i + 1) };
        write_op(spool, fixture_result(1, i, 1, row, sizeof row));
    }
    struct why why;
    must(spool_sync(spool, &why), &why);
    spool_free(&spool);
    return shape;
}

/* Sample i of output y has lengths[i] numbers: i, i + 1, ...; -1 = not written. */
static struct spool_shape spool_varying(uint64_t samples, const int *lengths)
{
    struct tensor_spec spec = fixture_spec("y", DTYPE_I16, open_row, 1);
    struct spool_shape shape = shape_of(samples, 1, &spec);
    struct spool *spool = reserve(&shape);
    for (uint64_t i = 0; i < samples; i++) {
        int16_t row[16];
        int64_t length = lengths[i];
        for (int k = 0; k < lengths[i]; k++)
            row[k] = (int16_t)((int)i + k);
        if (length < 0)
            continue;
        struct store_op *op = fixture_result(1, i, 1, row, (uint64_t)length * 2);
        op->outputs[0] = fixture_spec("y", DTYPE_I16, &length, 1);
        write_op(spool, op);
    }
    spool_free(&spool);
    return shape;
}

static void expect_npy(const char *path, const struct tensor_spec *spec, uint64_t samples, const void *rows)
{
    static uint8_t file[1 << 20];
    size_t header = npy_header(spec, samples, file), size = samples * tensor_row_bytes(spec);
    memcpy(file + header, rows, size);
    fixture_expect_file(path, file, header + size);
}

/* ---- publishing ---- */

static struct clerk_command *order(const struct spool_shape *shape, enum clerk_output output,
                                   const char *path)
{
    struct clerk_command *command = clerk_command_new(CLERK_PUBLISH);
    assert_non_null(command);
    command->job = shape->job;
    command->samples = shape->samples;
    command->output = output;
    command->outputs_count = shape->outputs_count;
    memcpy(command->outputs, shape->outputs, sizeof command->outputs);
    snprintf(command->path, sizeof command->path, "%s", path);
    return command;
}

static void add_failure(struct clerk_command *command, uint64_t first, uint64_t count, const char *reason,
                        const char *worker)
{
    command->failures = realloc(command->failures, (command->failures_count + 1) * sizeof *command->failures);
    struct clerk_failure *failure = &command->failures[command->failures_count++];
    memset(failure, 0, sizeof *failure);
    failure->first = first;
    failure->count = count;
    snprintf(failure->reason, sizeof failure->reason, "%s", reason);
    snprintf(failure->worker, sizeof failure->worker, "%s", worker);
}

static void add_names(struct clerk_command *command, const char *text)
{
    char path[FIXTURE_PATH_MAX];
    struct why why;
    sha256_bytes(text, strlen(text), command->names);
    must(file_make_dirs(fixture_path("blobs"), 0700, &why), &why);
    clerk_blob_path(fixture_dir, command->names, path, sizeof path);
    must(file_replace(path, text, strlen(text), 0600, &why), &why);
}

static int entries_in(const char *path)
{
    int entries = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        entries++;
    closedir(folder);
    return entries - 2;
}

static enum err run(struct clerk_command *command, struct why *why)
{
    enum err err = publish(fixture_dir, command, why);
    clerk_command_free(&command);
    return err;
}

static void must_run(struct clerk_command *command)
{
    struct why why;
    must(run(command, &why), &why);
}

static void must_fail(struct clerk_command *command, enum err err, const char *words)
{
    struct why why;
    int before = entries_in(fixture_path("out"));
    assert_int_equal(run(command, &why), err);
    if (!strstr(why.text, words))
        fail_msg("'%s' does not say '%s'", why.text, words);
    assert_int_equal(entries_in(fixture_path("out")), before); /* no temporary is left */
}

static void test_npy(void **state)
{
    (void)state;
    float rows[1000][2];
    for (int i = 0; i < 2000; i++)
        rows[i / 2][i % 2] = (float)i;
    struct spool_shape shape = spool_pairs(1000);
    must_run(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")));
    expect_npy(fixture_path("out/Y.npy"), &shape.outputs[0], 1000, rows);
    must_run(order(&shape, CLERK_NPY, fixture_path("out/Y.npy"))); /* over the older one */
    expect_npy(fixture_path("out/Y.npy"), &shape.outputs[0], 1000, rows);
    assert_int_equal(entries_in(fixture_path("out")), 1);
    must_run(order(&shape, CLERK_NPY, ""));
    expect_npy(fixture_path("spool/1/published/output.npy"), &shape.outputs[0], 1000, rows);
}

/* Bytes that a failed sample left in the spool are not its answer. */
static void test_failed_rows_are_zero(void **state)
{
    (void)state;
    float rows[5][2] = { { 0, 1 }, { 0, 0 }, { 4, 5 }, { 0, 0 }, { 0, 0 } };
    struct spool_shape shape = spool_pairs(5);
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    add_failure(command, 3, 2, "out \"of\" memory\n", "");
    add_failure(command, 1, 1, "bad \xff input", "lab-1");
    must_run(command);
    expect_npy(fixture_path("out/Y.npy"), &shape.outputs[0], 5, rows);
    fixture_expect_text(
        fixture_path("out/Y.errors.jsonl"),
        "{\"index\":1,\"id\":null,\"reason\":\"bad ? input\",\"worker\":\"lab-1\"}\n"
        "{\"index\":3,\"id\":null,\"reason\":\"out \\\"of\\\" memory\\n\",\"worker\":null}\n"
        "{\"index\":4,\"id\":null,\"reason\":\"out \\\"of\\\" memory\\n\",\"worker\":null}\n");
    must_run(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")));
    assert_false(fixture_exists(fixture_path("out/Y.errors.jsonl"))); /* stale */
}

static void test_names(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(3);
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    add_names(command, "\"a\"\n\"b\\\"\"\nnull\n");
    add_failure(command, 1, 1, "no", "w");
    must_run(command);
    fixture_expect_text(
        fixture_path("out/Y.index.jsonl"),
        "{\"index\":0,\"id\":\"a\"}\n{\"index\":1,\"id\":\"b\\\"\"}\n{\"index\":2,\"id\":null}\n");
    fixture_expect_text(fixture_path("out/Y.errors.jsonl"),
                        "{\"index\":1,\"id\":\"b\\\"\",\"reason\":\"no\",\"worker\":\"w\"}\n");
    command = order(&shape, CLERK_NPY, fixture_path("out/Z.npy"));
    add_names(command, "\"a\"\n\"b\"\n");
    must_fail(command, ERR_FORMAT, "names for 2 samples only");
    command = order(&shape, CLERK_NPY, fixture_path("out/Z.npy"));
    add_names(command, "\"a\"\n}{\n\"c\"\n");
    must_fail(command, ERR_FORMAT, "line 2 is no JSON string");
}

static void test_jsonl(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(3);
    struct clerk_command *command = order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl"));
    add_failure(command, 1, 1, "no", "w");
    must_run(command);
    fixture_expect_text(
        fixture_path("out/Y.jsonl"),
        "{\"id\":\"0\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[0,1]}]}\n"
        "{\"id\":\"2\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[4,5]}]}"
        "\n");
    command = order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl"));
    add_names(command, "\"x\"\n\"y\"\n\"z\"\n");
    add_failure(command, 0, 2, "no", "w");
    must_run(command);
    fixture_expect_text(fixture_path("out/Y.jsonl"), "{\"id\":\"z\",\"outputs\":[{\"name\":\"y\",\"shape\":["
                                                     "1,2],\"datatype\":\"FP32\",\"data\":[4,5]}]}\n");
}

static void test_jsonl_varying(void **state)
{
    (void)state;
    struct spool_shape shape = spool_varying(4, (int[]){ 3, -1, 0, 1 });
    struct clerk_command *command = order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl"));
    add_failure(command, 1, 1, "no", "w");
    must_run(command);
    fixture_expect_text(
        fixture_path("out/Y.jsonl"),
        "{\"id\":\"0\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,3],\"datatype\":\"INT16\",\"data\":[0,1,2]}]"
        "}\n"
        "{\"id\":\"2\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,0],\"datatype\":\"INT16\",\"data\":[]}]}\n"
        "{\"id\":\"3\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,1],\"datatype\":\"INT16\",\"data\":[3]}]}"
        "\n");
    must_fail(order(&shape, CLERK_JSONL, fixture_path("out/Z.jsonl")), ERR_FORMAT, "sample 1 is damaged");
}

static void test_varying_as_npy(void **state)
{
    (void)state;
    int16_t rows[3][2] = { { 0, 1 }, { 0, 0 }, { 2, 3 } };
    struct spool_shape shape = spool_varying(3, (int[]){ 2, -1, 2 });
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    add_failure(command, 1, 1, "no", "w");
    must_run(command);
    struct tensor_spec spec = fixture_spec("y", DTYPE_I16, pair, 1);
    expect_npy(fixture_path("out/Y.npy"), &spec, 3, rows);
    shape = spool_varying(3, (int[]){ 2, 2, 3 });
    must_fail(order(&shape, CLERK_NPY, fixture_path("out/Z.npy")), ERR_FORMAT,
              "sample 0 has int16[2], sample 2 has int16[3]");
}

static void test_zero_samples(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(0);
    must_run(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")));
    expect_npy(fixture_path("out/Y.npy"), &shape.outputs[0], 0, "");
    must_run(order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl")));
    fixture_expect_text(fixture_path("out/Y.jsonl"), "");
    must_run(order(&shape, CLERK_FOLDER, fixture_path("out/Y/")));
    expect_npy(fixture_path("out/Y/y.npy"), &shape.outputs[0], 0, "");
    shape = spool_varying(0, NULL);
    must_run(order(&shape, CLERK_NPY, fixture_path("out/V.npy")));
    struct tensor_spec spec = fixture_spec("y", DTYPE_I16, &(int64_t){ 0 }, 1);
    expect_npy(fixture_path("out/V.npy"), &spec, 0, "");
}

static struct spool_shape spool_two_outputs(void)
{
    uint8_t first[3] = { 1, 2, 3 };
    double second[3] = { 0.1, -0.0, 1e300 };
    struct tensor_spec specs[2] = { fixture_spec("a:0", DTYPE_U8, NULL, 0),
                                    fixture_spec("b", DTYPE_F64, NULL, 0) };
    struct spool_shape shape = shape_of(3, 2, specs);
    struct spool *spool = reserve(&shape);
    struct store_op *op = fixture_result(1, 0, 3, first, sizeof first);
    op->outputs_count = 2;
    op->rows[1] = second;
    op->rows_bytes[1] = sizeof second;
    write_op(spool, op);
    assert_int_equal(spool_sync(spool, NULL), ERR_OK);
    spool_free(&spool);
    return shape;
}

static void test_folder(void **state)
{
    (void)state;
    struct why why;
    uint8_t first[3] = { 1, 2, 3 };
    double second[3] = { 0.1, -0.0, 1e300 };
    struct spool_shape shape = spool_two_outputs();
    must_run(order(&shape, CLERK_FOLDER, fixture_path("out/Y")));
    expect_npy(fixture_path("out/Y/a%3A0.npy"), &shape.outputs[0], 3, first);
    expect_npy(fixture_path("out/Y/b.npy"), &shape.outputs[1], 3, second);
    must(file_replace(fixture_path("out/Y/old.npy"), "x", 1, 0600, &why), &why);
    struct clerk_command *command = order(&shape, CLERK_FOLDER, fixture_path("out/Y/"));
    add_failure(command, 2, 1, "no", "w");
    must_run(command);
    assert_int_equal(entries_in(fixture_path("out/Y")), 2); /* replaced whole */
    assert_int_equal(entries_in(fixture_path("out")), 2);
    second[2] = 0;
    expect_npy(fixture_path("out/Y/b.npy"), &shape.outputs[1], 3, second);
    assert_true(fixture_exists(fixture_path("out/Y.errors.jsonl")));
    must(file_replace(fixture_path("out/Y/thesis.tex"), "x", 1, 0600, &why), &why);
    must_fail(order(&shape, CLERK_FOLDER, fixture_path("out/Y")), ERR_FILE, "holds 'thesis.tex'");
    assert_true(fixture_exists(fixture_path("out/Y/thesis.tex")));
    must_run(order(&shape, CLERK_FOLDER, ""));
    expect_npy(fixture_path("spool/1/published/output/a%3A0.npy"), &shape.outputs[0], 3, first);
    must_fail(order(&shape, CLERK_NPY, fixture_path("out/Z.npy")), ERR_USAGE, "2 outputs");
}

/* ---- numbers ---- */

static void expect_elements(enum dtype dtype, const void *elements, size_t count, const char *text)
{
    struct sink sink;
    struct why why;
    int fd = open(fixture_path("numbers"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    sink_begin(&sink, fd, "numbers");
    sink_elements(&sink, dtype, elements, count, false);
    must(sink_end(&sink, &why), &why);
    close(fd);
    fixture_expect_text(fixture_path("numbers"), text);
}

static void test_numbers(void **state)
{
    (void)state;
    expect_elements(DTYPE_BOOL, (uint8_t[]){ 0, 1, 7 }, 3, "false,true,true");
    expect_elements(DTYPE_I8, (int8_t[]){ -128, 127 }, 2, "-128,127");
    expect_elements(DTYPE_U8, (uint8_t[]){ 255 }, 1, "255");
    expect_elements(DTYPE_I16, (int16_t[]){ INT16_MIN }, 1, "-32768");
    expect_elements(DTYPE_U16, (uint16_t[]){ UINT16_MAX }, 1, "65535");
    expect_elements(DTYPE_I32, (int32_t[]){ INT32_MIN }, 1, "-2147483648");
    expect_elements(DTYPE_U32, (uint32_t[]){ UINT32_MAX }, 1, "4294967295");
    expect_elements(DTYPE_I64, (int64_t[]){ INT64_MIN }, 1, "-9223372036854775808");
    expect_elements(DTYPE_U64, (uint64_t[]){ UINT64_MAX }, 1, "18446744073709551615");
    expect_elements(DTYPE_F32, (float[]){ NAN, INFINITY, -INFINITY, -0.0f, 0.1f }, 5,
                    "\"NaN\",\"Infinity\",\"-Infinity\",-0,0.100000001");
    expect_elements(DTYPE_F64, (double[]){ NAN, -INFINITY, 0.1 }, 3,
                    "\"NaN\",\"-Infinity\",0.10000000000000001");
    expect_elements(
        DTYPE_F16,
        (uint16_t[]){ 0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0xfc00, 0x7e00, 0x3555, 0x8000, 0x0400 }, 10,
        "1,-2,65504,5.96046448e-08,\"Infinity\",\"-Infinity\",\"NaN\",0.333251953,-0,6.10351562e-05");
}

static void read_back(char *text, const float *floats, const double *doubles, size_t count)
{
    for (size_t i = 0; i < count; i++, text++) {
        char *start = text;
        float number = strtof(start, &text);
        double precise = strtod(start, &text);
        if (floats)
            assert_memory_equal(&number, &floats[i], sizeof number);
        else
            assert_memory_equal(&precise, &doubles[i], sizeof precise);
    }
}

static void test_numbers_read_back(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static float floats[COUNT];
    static double doubles[COUNT];
    uint64_t seed = (uint64_t)time(NULL), bits;
    struct rng rng;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    for (size_t i = 0; i < COUNT; i++) {
        do
            bits = rng_next(&rng), memcpy(&floats[i], &bits, sizeof floats[i]);
        while (!isfinite(floats[i]));
        do
            bits = rng_next(&rng), memcpy(&doubles[i], &bits, sizeof doubles[i]);
        while (!isfinite(doubles[i]));
    }
    for (int pass = 0; pass < 2; pass++) {
        struct sink sink;
        struct why why;
        char *text;
        size_t size;
        int fd = open(fixture_path("numbers"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        sink_begin(&sink, fd, "numbers");
        sink_elements(&sink, pass ? DTYPE_F64 : DTYPE_F32, pass ? (const void *)doubles : floats, COUNT,
                      false);
        must(sink_end(&sink, &why), &why);
        close(fd);
        must(file_read(fixture_path("numbers"), 1 << 24, &text, &size, &why), &why);
        read_back(text, pass ? NULL : floats, doubles, COUNT);
        free(text);
    }
}

/* A row larger than every buffer, as JSON and as .npy. */
static void test_large_rows(void **state)
{
    (void)state;
    enum { LARGE = 150000 };
    struct why why;
    int64_t length = LARGE;
    uint32_t *rows = malloc(2 * LARGE * sizeof *rows);
    char *expected = malloc(3 << 20), *at = expected;
    for (uint32_t i = 0; i < 2 * LARGE; i++)
        rows[i] = i;
    struct tensor_spec specs[2] = { fixture_spec("y", DTYPE_U32, open_row, 1),
                                    fixture_spec("y", DTYPE_U32, &length, 1) };
    for (int fixed = 0; fixed < 2; fixed++) {
        struct spool_shape shape = shape_of(2, 1, &specs[fixed]);
        struct spool *spool = reserve(&shape);
        struct store_op *op = fixture_result(1, 0, 2, rows, 2 * LARGE * sizeof *rows);
        op->outputs[0] = specs[1];
        write_op(spool, op);
        spool_free(&spool);
        must_run(order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl")));
        at = expected;
        for (uint32_t i = 0; i < 2; i++) {
            at += sprintf(at,
                          "{\"id\":\"%u\",\"outputs\":[{\"name\":\"y\",\"shape\":[1,%d],\"datatype\":"
                          "\"UINT32\",\"data\":[",
                          i, LARGE);
            for (uint32_t k = 0; k < LARGE; k++)
                at += sprintf(at, k ? ",%u" : "%u", i * LARGE + k);
            at += sprintf(at, "]}]}\n");
        }
        fixture_expect_file(fixture_path("out/Y.jsonl"), expected, (size_t)(at - expected));
        must_run(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")));
        uint8_t *file = (uint8_t *)expected;
        size_t header = npy_header(&specs[1], 2, file);
        memcpy(file + header, rows, 2 * LARGE * sizeof *rows);
        fixture_expect_file(fixture_path("out/Y.npy"), file, header + 2 * LARGE * sizeof *rows);
    }
    must(file_remove_tree(fixture_path("out"), &why), &why);
    free(rows);
    free(expected);
}

/* ---- failing ---- */

static void test_full_disk(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(400000);
    if (!fixture_mount(fixture_path("out"), 1))
        return;
    struct why why;
    must(file_replace(fixture_path("out/Y.npy"), "older", 5, 0600, &why), &why);
    must_fail(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")), ERR_FULL, "out/Y.npy");
    must_fail(order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl")), ERR_FULL, "No space left");
    must_fail(order(&shape, CLERK_FOLDER, fixture_path("out/Y")), ERR_FULL, "No space left");
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    add_failure(command, 0, 400000, "no", "w");
    must_fail(command, ERR_FULL, "Y.errors.jsonl");
    fixture_expect_text(fixture_path("out/Y.npy"), "older");
}

static void test_spool_gone(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(3);
    assert_int_equal(unlink(fixture_path("spool/1/y.npy")), 0);
    must_fail(order(&shape, CLERK_NPY, fixture_path("out/Y.npy")), ERR_FILE, "spool/1/y.npy");
    must_fail(order(&shape, CLERK_JSONL, fixture_path("out/Y.jsonl")), ERR_FILE, "spool/1/y.npy");
}

static void expect_checked(const char *path, enum clerk_output output, enum err err, const char *words)
{
    struct why why = { "" };
    assert_int_equal(publish_check(path, output, &why), err);
    if (!strstr(why.text, words))
        fail_msg("'%s' does not say '%s'", why.text, words);
}

/* A part alone leaves the others as they are. */
static void test_parts(void **state)
{
    (void)state;
    struct spool_shape shape = spool_pairs(2);
    struct why why;
    const char *errors = "{\"index\":1,\"id\":\"b\",\"reason\":\"no\",\"worker\":\"w\"}\n";
    must(file_replace(fixture_path("out/Y.npy"), "old", 3, 0600, &why), &why);
    must(file_replace(fixture_path("out/Y.index.jsonl"), "old", 3, 0600, &why), &why);
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    command->part = CLERK_ONLY_ERRORS;
    add_names(command, "\"a\"\n\"b\"\n");
    add_failure(command, 1, 1, "no", "w");
    must_run(command);
    fixture_expect_text(fixture_path("out/Y.errors.jsonl"), errors);
    fixture_expect_text(fixture_path("out/Y.index.jsonl"), "old");
    fixture_expect_text(fixture_path("out/Y.npy"), "old");
    command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    command->part = CLERK_ONLY_INDEX;
    add_names(command, "\"a\"\n\"b\"\n");
    must_run(command);
    fixture_expect_text(fixture_path("out/Y.index.jsonl"),
                        "{\"index\":0,\"id\":\"a\"}\n{\"index\":1,\"id\":\"b\"}\n");
    fixture_expect_text(fixture_path("out/Y.errors.jsonl"), errors);
    fixture_expect_text(fixture_path("out/Y.npy"), "old");
}

/* What was stopped in time has no name, and leaves nothing; what has its name cannot be stopped. */
static void test_stop(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum clerk_output output;
    } kinds[] = { { "out/Y.npy", CLERK_NPY }, { "out/Y", CLERK_FOLDER }, { "out/Y.jsonl", CLERK_JSONL } };
    struct why why;
    struct spool_shape shape = spool_pairs(3);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct clerk_command *command = order(&shape, kinds[i].output, fixture_path(kinds[i].path));
        add_failure(command, 1, 1, "no", "w");
        assert_true(clerk_stop(command));
        assert_true(clerk_stop(command));
        must_fail(command, ERR_REFUSED, "no longer wanted");
        assert_int_equal(entries_in(fixture_path("out")), 0);
    }
    struct clerk_command *command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    command->part = CLERK_ONLY_ERRORS;
    add_failure(command, 1, 1, "no", "w");
    assert_true(clerk_stop(command));
    must_fail(command, ERR_REFUSED, "no longer wanted");
    assert_int_equal(entries_in(fixture_path("out")), 0);
    command = order(&shape, CLERK_NPY, fixture_path("out/Y.npy"));
    must(publish(fixture_dir, command, &why), &why);
    assert_false(clerk_stop(command));
    clerk_command_free(&command);
}

/* A crash leaves drafts among what is handed out; the next one there takes them away. */
static void test_drafts_are_swept(void **state)
{
    (void)state;
    struct why why;
    struct spool_shape shape = spool_pairs(3);
    must(file_make_dirs(fixture_path("spool/1/published/output.tmp-1-1"), 0700, &why), &why);
    must(file_replace(fixture_path("spool/1/published/output.npy.tmp-1-1"), "x", 1, 0600, &why), &why);
    must(file_replace(fixture_path("spool/1/published/output.jsonl"), "x", 1, 0600, &why), &why);
    must_run(order(&shape, CLERK_NPY, ""));
    assert_int_equal(entries_in(fixture_path("spool/1/published")), 2);
    fixture_expect_text(fixture_path("spool/1/published/output.jsonl"), "x");
}

static void test_check(void **state)
{
    (void)state;
    char longest[5000];
    struct why why;
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = 0;
    must(file_replace(fixture_path("out/file"), "x", 1, 0600, &why), &why);
    assert_int_equal(mkdir(fixture_path("out/folder"), 0700), 0);
    expect_checked("", CLERK_NPY, ERR_OK, "");
    expect_checked("anything", CLERK_NONE, ERR_OK, "");
    expect_checked("Y.npy", CLERK_NPY, ERR_USAGE, "absolute");
    expect_checked(longest, CLERK_NPY, ERR_LIMIT, "too long");
    expect_checked(fixture_path("out/Y.npy"), CLERK_NPY, ERR_OK, "");
    expect_checked(fixture_path("out/file"), CLERK_JSONL, ERR_OK, "");
    expect_checked(fixture_path("out/folder"), CLERK_NPY, ERR_FILE, "not a plain file");
    assert_int_equal(mkfifo(fixture_path("out/pipe"), 0600), 0);
    expect_checked(fixture_path("out/pipe"), CLERK_NPY, ERR_FILE, "not a plain file");
    expect_checked(fixture_path("out/folder"), CLERK_FOLDER, ERR_OK, "");
    expect_checked(fixture_path("out/new/"), CLERK_FOLDER, ERR_OK, "");
    expect_checked(fixture_path("out/file"), CLERK_FOLDER, ERR_FILE, "not a folder");
    assert_int_equal(symlink("folder", fixture_path("out/link")), 0);
    expect_checked(fixture_path("out/link"), CLERK_FOLDER, ERR_FILE, "is a link");
    expect_checked(fixture_path("none/Y.npy"), CLERK_NPY, ERR_FILE, "make it first");
    expect_checked(fixture_path("out/file/Y.npy"), CLERK_NPY, ERR_FILE, "not a folder");
    expect_checked(fixture_dir, CLERK_FOLDER, ERR_FILE, "holds 'out'");
    if (geteuid() != 0) {
        assert_int_equal(chmod(fixture_path("out"), 0500), 0);
        expect_checked(fixture_path("out/Y.npy"), CLERK_NPY, ERR_FILE, "cannot be written");
        assert_int_equal(chmod(fixture_path("out"), 0700), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_npy, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_failed_rows_are_zero, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_jsonl, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_jsonl_varying, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_varying_as_npy, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_zero_samples, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_read_back, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_large_rows, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_spool_gone, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_drafts_are_swept, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_check, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
