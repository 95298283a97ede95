// SPDX-License-Identifier: Apache-2.0
/* A slot in a process of its own. This program is also that process: its runtime `unruly` does what the first
 * sample of a batch tells it to. */
#include "ferry.h"
#include "isolated.h"
#include "sandbox.h"
#include "slot_process.h"
#include "synthetic.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Samples that mean something to `unruly`; it negates the others. */
enum {
    CRASHES = 1000,
    EXITS,
    HANGS,
    FAILS,
    LIES,
    ENERGY_LIES,
    TIME_LIES,
    SHAPE_LIES,
    LEAVES_CHILD,
    OPENS_SOCKET,
    STARTS_PROGRAM,
    FORKS,
    MAKES_FILE,
    WRITES_FILE,
    SIGNALS_WORKER,
    DOES_NOTHING_WRONG
};

/* ---- the runtime in the process ---- */

struct runtime_slot {
    struct runtime_config config;
};

struct runtime_model {
    int64_t bias; /* of the file's name: its last digit */
};

static enum err unruly_open(const struct runtime_config *config, struct runtime_slot **slot, struct why *why)
{
    if (strcmp(config->device, "cpu:broken") == 0)
        return why_set(why, ERR_UNSUPPORTED, "this device is asleep");
    *slot = calloc(1, sizeof **slot);
    assert_non_null(*slot);
    return ERR_OK;
}

static enum err unruly_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                            struct model_signature *signature, struct runtime_measure *measure,
                            struct why *why)
{
    (void)slot;
    (void)why;
    if (path && strcmp(path, "crash") == 0)
        abort();
    *model = calloc(1, sizeof **model);
    assert_non_null(*model);
    (*model)->bias = path ? path[strlen(path) - 1] - '0' : 0;
    signature->inputs_count = signature->outputs_count = 1;
    signature->inputs[0].dtype = signature->outputs[0].dtype = DTYPE_I64;
    snprintf(signature->format, sizeof signature->format, "unruly");
    if (measure)
        measure->samples = 3;
    return ERR_OK;
}

static void unruly_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    (void)slot;
    free(*model);
    *model = NULL;
}

static int64_t code_of(bool done) { return done ? 0 : errno; }

static int64_t try_forbidden(int64_t what)
{
    char *argv[] = { NULL };
    switch (what) {
    case OPENS_SOCKET: return code_of(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    case STARTS_PROGRAM: return code_of(execv("/bin/true", argv) == 0);
    case FORKS: return code_of(fork() >= 0);
    case MAKES_FILE: return code_of(open("/tmp/motley-test-made", O_CREAT | O_WRONLY, 0600) >= 0);
    case WRITES_FILE: return code_of(open(__FILE__, O_WRONLY) >= 0);
    case SIGNALS_WORKER: return code_of(kill(getppid(), 0) == 0);
    default: return code_of(open("/dev/null", O_WRONLY) >= 0 && open("/proc/self/stat", O_RDONLY) >= 0);
    }
}

static void misbehave(int64_t how)
{
    if (how == CRASHES) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
        raise(SIGSEGV);
    }
    if (how == EXITS)
        _exit(7);
    if (how == LEAVES_CHILD) { /* which holds the socket, for as long as a test may take */
        pid_t child = fork();
        if (child == 0)
            _exit(sleep(20) != 0);
        _exit(child > 0 ? 8 : 9);
    }
    while (how == HANGS)
        pause();
}

static enum err unruly_run(struct runtime_slot *slot, struct runtime_model *model, const struct batch_in *in,
                           struct batch_out *out, struct why *why)
{
    const int64_t *rows = in->inputs[0];
    (void)slot;
    misbehave(rows[0]);
    if (rows[0] == FAILS)
        return why_set(why, ERR_MEMORY, "the device is full");
    int64_t *answers = calloc(in->rows, sizeof *answers);
    assert_non_null(answers);
    for (uint32_t i = 0; i < in->rows; i++)
        answers[i] = rows[i] >= OPENS_SOCKET ? try_forbidden(rows[i]) : model->bias - rows[i];
    out->outputs_count = 1;
    out->outputs[0] = answers;
    out->outputs_bytes[0] = in->rows * sizeof *answers - (rows[0] == LIES ? 1 : 0);
    out->specs[0].dtype = DTYPE_I64;
    out->run_us = rows[0] == TIME_LIES ? UINT64_MAX : 5;
    out->energy_joules = rows[0] == ENERGY_LIES ? (double)NAN : -1;
    if (rows[0] == SHAPE_LIES) {
        out->specs[0].dims_count = 1;
        out->specs[0].dims[0] = -5;
    }
    return ERR_OK;
}

static const struct runtime_ops unruly_ops = {
    .name = "unruly", .open = unruly_open, .load = unruly_load, .unload = unruly_unload, .run = unruly_run
};

static const struct runtime_ops *find(const char *name)
{
    return strcmp(name, "unruly") == 0 ? &unruly_ops : runtime_find(name);
}

/* ---- the worker's side ---- */

struct bench {
    struct runtime_slot *slot;
    struct runtime_model *model;
    struct why why;
};

static int set_up(void **state)
{
    static struct bench bench;
    struct runtime_config config = { .device = "cpu:0", .threads = 1, .numa_node = -1, .inner = &unruly_ops };
    struct model_signature signature;
    struct runtime_measure measure;
    bench = (struct bench){ 0 };
    assert_int_equal(isolated_ops.open(&config, &bench.slot, &bench.why), ERR_OK);
    assert_int_equal(isolated_ops.load(bench.slot, "model-3", &bench.model, &signature, &measure, &bench.why),
                     ERR_OK);
    assert_string_equal(signature.format, "unruly");
    assert_int_equal(measure.samples, 3);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    isolated_ops.unload(bench->slot, &bench->model);
    isolated_ops.close(&bench->slot);
    return 0;
}

static enum err run(struct bench *bench, const int64_t *rows, uint32_t count, struct batch_out *out)
{
    struct batch_in in = { .rows = count, .inputs = { rows } };
    return isolated_ops.run(bench->slot, bench->model, &in, out, &bench->why);
}

static void assert_runs(struct bench *bench)
{
    struct batch_out out;
    const int64_t rows[] = { 1, 2, 999 };
    assert_int_equal(run(bench, rows, 3, &out), ERR_OK);
    const int64_t *answers = out.outputs[0];
    assert_int_equal(answers[0], 2);
    assert_int_equal(answers[2], 3 - 999);
    assert_int_equal(out.run_us, 5);
    assert_true(out.energy_joules < 0);
    batch_out_free(&out);
}

static void assert_fails(struct bench *bench, int64_t how, enum err err, const char *words)
{
    struct batch_out out;
    assert_int_equal(run(bench, &how, 1, &out), err);
    assert_non_null(strstr(bench->why.text, words));
}

static void test_rows_go_and_answers_come(void **state)
{
    enum { ROWS = 700000 }; /* larger than the first step of the shared memory */
    struct batch_out out;
    int64_t *rows = calloc(ROWS, sizeof *rows);
    assert_non_null(rows);
    for (int i = 0; i < ROWS; i++)
        rows[i] = -i;
    assert_runs(*state);
    assert_int_equal(run(*state, rows, ROWS, &out), ERR_OK);
    assert_int_equal(out.outputs_bytes[0], ROWS * sizeof *rows);
    assert_int_equal(((int64_t *)out.outputs[0])[ROWS - 1], 3 + ROWS - 1);
    batch_out_free(&out);
    assert_runs(*state);
    free(rows);
}

static void test_a_crash_ends_the_attempt_alone(void **state)
{
    assert_fails(*state, CRASHES, ERR_RUNTIME, "crashed: Segmentation fault while it ran a batch");
    assert_runs(*state); /* in a new process, with its model loaded again */
    assert_fails(*state, EXITS, ERR_RUNTIME, "status 7");
    assert_fails(*state, CRASHES, ERR_RUNTIME, "crashed");
    assert_runs(*state);
}

static void test_a_crash_at_load(void **state)
{
    struct bench *bench = *state;
    struct model_signature signature;
    struct runtime_model *model = NULL;
    assert_int_equal(isolated_ops.load(bench->slot, "crash", &model, &signature, NULL, &bench->why),
                     ERR_RUNTIME);
    assert_null(model);
    assert_non_null(strstr(bench->why.text, "while it loaded the model"));
    assert_runs(bench);
}

static void test_its_errors_are_told(void **state)
{
    assert_fails(*state, FAILS, ERR_MEMORY, "the device is full");
    assert_fails(*state, LIES, ERR_RUNTIME, "gave 7 bytes of output 0 for 1 samples");
    assert_runs(*state);
}

static void test_what_it_says_is_not_believed(void **state)
{
    static const int64_t lies[] = { ENERGY_LIES, TIME_LIES, SHAPE_LIES };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        assert_fails(*state, lies[i], ERR_RUNTIME, "impossible answer");
    assert_runs(*state);
}

/* With the filter it has no child, without it nobody waits for one. */
static void test_a_child_of_it_is_not_waited_for(void **state)
{
    assert_fails(*state, LEAVES_CHILD, ERR_RUNTIME, TEST_HAS_SECCOMP ? "status 9" : "status 8");
    assert_runs(*state);
}

static void *cancel(void *slot)
{
    isolated_ops.cancel(slot);
    return NULL;
}

static void test_a_run_that_hangs_is_cancelled(void **state)
{
    struct bench *bench = *state;
    pthread_t thread;
    /* Before it begins, or in it: either ends it. */
    assert_int_equal(pthread_create(&thread, NULL, cancel, bench->slot), 0);
    assert_fails(bench, HANGS, ERR_CANCELLED, "cancelled");
    pthread_join(thread, NULL);
    assert_runs(bench);
}

static void test_a_runtime_that_does_not_open(void **state)
{
    struct runtime_config config = {
        .device = "cpu:broken", .threads = 1, .numa_node = -1, .inner = &unruly_ops
    };
    struct runtime_slot *slot;
    struct why why;
    (void)state;
    assert_int_equal(isolated_ops.open(&config, &slot, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.text, "this device is asleep");
    assert_null(slot);
    config.inner = NULL;
    assert_int_equal(isolated_ops.open(&config, &slot, &why), ERR_UNSUPPORTED);
}

static void test_a_real_runtime(void **state)
{
    struct runtime_config config = {
        .device = "cpu:0", .threads = 1, .numa_node = -1, .inner = &synthetic_ops
    };
    struct runtime_slot *slot, *bare;
    struct runtime_model *model, *bare_model;
    struct model_signature signature;
    struct batch_in in = { .first = 77, .rows = 100 };
    struct batch_out out, expected;
    struct why why;
    (void)state;
    assert_int_equal(isolated_ops.open(&config, &slot, &why), ERR_OK);
    assert_int_equal(isolated_ops.load(slot, NULL, &model, &signature, NULL, &why), ERR_OK);
    assert_int_equal(isolated_ops.run(slot, model, &in, &out, &why), ERR_OK);
    assert_int_equal(synthetic_ops.open(&config, &bare, &why), ERR_OK);
    assert_int_equal(synthetic_ops.load(bare, NULL, &bare_model, &signature, NULL, &why), ERR_OK);
    assert_int_equal(synthetic_ops.run(bare, bare_model, &in, &expected, &why), ERR_OK);
    assert_int_equal(out.outputs_bytes[0], expected.outputs_bytes[0]);
    assert_memory_equal(out.outputs[0], expected.outputs[0], 800);
    batch_out_free(&out);
    batch_out_free(&expected);
    isolated_ops.unload(slot, &model);
    isolated_ops.close(&slot);
    synthetic_ops.unload(bare, &bare_model);
    synthetic_ops.close(&bare);
}

static void test_the_sandbox_holds(void **state)
{
    struct batch_out out;
    const int64_t rows[] = { 1,          OPENS_SOCKET, STARTS_PROGRAM, FORKS,
                             MAKES_FILE, WRITES_FILE,  SIGNALS_WORKER, DOES_NOTHING_WRONG };
    if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) != 0 || !TEST_HAS_SECCOMP)
        skip();
    assert_int_equal(run(*state, rows, 8, &out), ERR_OK);
    const int64_t *codes = out.outputs[0];
    for (int i = 1; i <= 3; i++)
        assert_int_equal(codes[i], EPERM);
    assert_int_equal(codes[4], EPERM);
    assert_true(codes[5] == EACCES || codes[5] == 0); /* 0: a kernel without Landlock */
    assert_int_equal(codes[6], EPERM);
    assert_int_equal(codes[7], 0);
    batch_out_free(&out);
}

static void test_places(void **state)
{
    const uint64_t bytes[] = { 1, 64, 0, 65 }, absurd[] = { 8, UINT64_MAX, 8 };
    const size_t expected[] = { 0, 64, 128, 128, 256 };
    (void)state;
    for (uint32_t k = 0; k <= 4; k++)
        assert_int_equal(ferry_place(bytes, 4, k), expected[k]);
    assert_true(ferry_place(absurd, 3, 3) == SIZE_MAX);
    assert_int_equal(ferry_place(bytes, 0, 0), 0);
}

#define WITH_SLOT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_SLOT(test_rows_go_and_answers_come),
        WITH_SLOT(test_a_crash_ends_the_attempt_alone),
        WITH_SLOT(test_a_crash_at_load),
        WITH_SLOT(test_its_errors_are_told),
        WITH_SLOT(test_what_it_says_is_not_believed),
        WITH_SLOT(test_a_child_of_it_is_not_waited_for),
        WITH_SLOT(test_a_run_that_hangs_is_cancelled),
        WITH_SLOT(test_the_sandbox_holds),
        cmocka_unit_test(test_a_runtime_that_does_not_open),
        cmocka_unit_test(test_a_real_runtime),
        cmocka_unit_test(test_places),
    };
    if (argc > 1 && strcmp(argv[1], SLOT_PROCESS_WORD) == 0)
        return slot_process_main(argc, argv, find);
    return cmocka_run_group_tests_name("isolated", tests, NULL, NULL);
}
