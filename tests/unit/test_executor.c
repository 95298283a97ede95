// SPDX-License-Identifier: Apache-2.0
/* The executor over a runtime of the test's own, whose runs wait at a gate: order, recall, failures, and an
 * end at any moment. */
#include "clock.h"
#include "executor.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DEADLINE_MS = 30000, HELD = 7, BROKEN = 8 }; /* samples' indices: waits at the gate; fails */

struct runtime_slot {
    uint32_t models;
};

struct runtime_model {
    uint32_t runs;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool open, cancelled;
    bool refuses;
    uint32_t slots, models;
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static enum err fake_open(const struct runtime_config *config, struct runtime_slot **slot, struct why *why)
{
    sigset_t blocked;
    assert_int_equal(config->threads, 3);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_true(sigismember(&blocked, SIGTERM));
    if (gate.refuses)
        return why_set(why, ERR_UNSUPPORTED, "this device is asleep");
    *slot = calloc(1, sizeof **slot);
    gate.slots++;
    return ERR_OK;
}

static void fake_close(struct runtime_slot **slot)
{
    free(*slot);
    *slot = NULL;
    gate.slots--;
}

static enum err fake_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                          struct model_signature *signature, struct runtime_measure *measure, struct why *why)
{
    (void)slot;
    if (path != NULL)
        return why_set(why, ERR_FORMAT, "%s: no", path);
    *model = calloc(1, sizeof **model);
    memset(signature, 0, sizeof *signature);
    *measure = (struct runtime_measure){ .beta_us = 5, .samples = 1 };
    signature->outputs_count = 1;
    gate.models++;
    return ERR_OK;
}

static void fake_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    (void)slot;
    free(*model);
    *model = NULL;
    gate.models--;
}

static enum err wait_at_gate(struct why *why)
{
    pthread_mutex_lock(&gate.mutex);
    while (!gate.open && !gate.cancelled)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    bool cancelled = gate.cancelled;
    gate.cancelled = false;
    pthread_mutex_unlock(&gate.mutex);
    return cancelled ? why_set(why, ERR_CANCELLED, "cancelled") : ERR_OK;
}

static enum err fake_run(struct runtime_slot *slot, struct runtime_model *model, const struct batch_in *in,
                         struct batch_out *out, struct why *why)
{
    (void)slot;
    memset(out, 0, sizeof *out);
    if (in->first == BROKEN)
        return why_set(why, ERR_RUNTIME, "broken");
    enum err err = in->first == HELD ? wait_at_gate(why) : ERR_OK;
    if (err != ERR_OK)
        return err;
    model->runs++;
    out->outputs_count = 1;
    out->outputs[0] = malloc(8);
    out->outputs_bytes[0] = 8;
    return ERR_OK;
}

static void fake_cancel(struct runtime_slot *slot)
{
    assert_non_null(slot);
    pthread_mutex_lock(&gate.mutex);
    gate.cancelled = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

static const struct runtime_ops FAKE = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .load = fake_load,
    .unload = fake_unload,
    .run = fake_run,
    .cancel = fake_cancel,
};

static struct executor *start(void)
{
    struct runtime_config config = { .device = "cpu:0", .threads = 3, .numa_node = -1 };
    struct executor *executor = NULL;
    gate.open = gate.cancelled = gate.refuses = false;
    assert_int_equal(executor_new(&FAKE, &config, &executor, NULL), ERR_OK);
    return executor;
}

static bool is_readable(const struct executor *executor, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = executor_fd(executor), .events = POLLIN };
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* The next event, which must be of this type. */
static struct executor_event *expect(struct executor *executor, enum executor_event_type type, uint64_t tag)
{
    struct executor_event *event;
    assert_true(is_readable(executor, DEADLINE_MS));
    assert_true(executor_receive(executor, &event));
    assert_int_equal(event->type, type);
    assert_int_equal(event->tag, tag);
    return event;
}

static void expect_and_free(struct executor *executor, enum executor_event_type type, uint64_t tag,
                            enum err err)
{
    struct executor_event *event = expect(executor, type, tag);
    assert_int_equal(event->err, err);
    if (err != ERR_OK)
        assert_true(event->why.text[0] != '\0');
    executor_event_free(&event);
    assert_null(event);
}

static void post(struct executor *executor, enum executor_command_type type, uint64_t tag, uint32_t model,
                 uint64_t first)
{
    struct executor_command command = {
        .type = type, .tag = tag, .model = model, .in = { .first = first, .rows = 1 }
    };
    executor_post(executor, &command);
}

static struct executor *start_loaded(void)
{
    struct executor *executor = start();
    expect_and_free(executor, EXECUTOR_OPENED, 0, ERR_OK);
    post(executor, EXECUTOR_LOAD, 1, 2, 0);
    expect_and_free(executor, EXECUTOR_LOADED, 1, ERR_OK);
    return executor;
}

static void finish(struct executor **executor)
{
    executor_free(executor);
    assert_null(*executor);
    assert_int_equal(gate.slots, 0);
    assert_int_equal(gate.models, 0);
    executor_free(executor);
}

static void commands_are_answered_in_order(void **state)
{
    (void)state;
    struct executor *executor = start();
    uint64_t before_us = clock_monotonic_us();
    post(executor, EXECUTOR_LOAD, 1, 63, 0);
    post(executor, EXECUTOR_RUN, 2, 63, 0);
    post(executor, EXECUTOR_RUN, 3, 63, 1);
    post(executor, EXECUTOR_UNLOAD, 4, 63, 0);
    expect_and_free(executor, EXECUTOR_OPENED, 0, ERR_OK);
    struct executor_event *event = expect(executor, EXECUTOR_LOADED, 1);
    assert_int_equal(event->model, 63);
    assert_int_equal(event->signature.outputs_count, 1);
    assert_int_equal(event->measure.samples, 1);
    executor_event_free(&event);
    expect_and_free(executor, EXECUTOR_STARTED, 2, ERR_OK);
    event = expect(executor, EXECUTOR_RAN, 2);
    assert_int_equal(event->out.outputs_count, 1);
    assert_true(event->started_us >= before_us);
    executor_event_free(&event);
    expect_and_free(executor, EXECUTOR_STARTED, 3, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 3, ERR_OK);
    expect_and_free(executor, EXECUTOR_UNLOADED, 4, ERR_OK);
    assert_false(is_readable(executor, 0));
    assert_false(executor_receive(executor, &event));
    assert_null(event);
    finish(&executor);
    assert_false(gate.cancelled); /* nothing ran */
}

static void failures_are_events_and_work_goes_on(void **state)
{
    (void)state;
    struct executor *executor = start_loaded();
    struct executor_command load = { .type = EXECUTOR_LOAD, .tag = 2, .model = 5, .path = "garbage" };
    executor_post(executor, &load);
    post(executor, EXECUTOR_RUN, 3, 5, 0);
    post(executor, EXECUTOR_RUN, 4, 2, BROKEN);
    post(executor, EXECUTOR_RUN, 5, 2, 0);
    post(executor, EXECUTOR_UNLOAD, 6, 9, 0);
    expect_and_free(executor, EXECUTOR_LOADED, 2, ERR_FORMAT);
    expect_and_free(executor, EXECUTOR_STARTED, 3, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 3, ERR_NOT_FOUND);
    expect_and_free(executor, EXECUTOR_STARTED, 4, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 4, ERR_RUNTIME);
    expect_and_free(executor, EXECUTOR_STARTED, 5, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 5, ERR_OK);
    expect_and_free(executor, EXECUTOR_UNLOADED, 6, ERR_OK);
    finish(&executor);
}

static void a_slot_that_does_not_open_answers_so(void **state)
{
    (void)state;
    struct runtime_config config = { .device = "cpu:0", .threads = 3, .numa_node = -1 };
    struct executor *executor = NULL;
    gate.refuses = true;
    assert_int_equal(executor_new(&FAKE, &config, &executor, NULL), ERR_OK);
    post(executor, EXECUTOR_LOAD, 1, 0, 0);
    post(executor, EXECUTOR_RUN, 2, 0, 0);
    expect_and_free(executor, EXECUTOR_OPENED, 0, ERR_UNSUPPORTED);
    expect_and_free(executor, EXECUTOR_LOADED, 1, ERR_UNSUPPORTED);
    expect_and_free(executor, EXECUTOR_STARTED, 2, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 2, ERR_UNSUPPORTED);
    finish(&executor);
}

static void a_queued_run_is_recalled_and_a_running_one_is_not(void **state)
{
    (void)state;
    struct executor *executor = start_loaded();
    post(executor, EXECUTOR_RUN, 10, 2, HELD);
    expect_and_free(executor, EXECUTOR_STARTED, 10, ERR_OK);
    for (uint64_t tag = 11; tag < 15; tag++)
        post(executor, EXECUTOR_RUN, tag, 2, 0);
    post(executor, EXECUTOR_UNLOAD, 12, 9, 0);
    assert_false(executor_recall(executor, 10));
    assert_true(executor_recall(executor, 12));
    assert_false(executor_recall(executor, 12));
    assert_true(executor_recall(executor, 14));
    assert_false(executor_recall(executor, 99));
    assert_false(is_readable(executor, 0));
    open_gate();
    expect_and_free(executor, EXECUTOR_RAN, 10, ERR_OK);
    expect_and_free(executor, EXECUTOR_STARTED, 11, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 11, ERR_OK);
    expect_and_free(executor, EXECUTOR_STARTED, 13, ERR_OK);
    expect_and_free(executor, EXECUTOR_RAN, 13, ERR_OK);
    expect_and_free(executor, EXECUTOR_UNLOADED, 12, ERR_OK);
    assert_false(executor_recall(executor, 13));
    finish(&executor);
}

/* Each run is either recalled or run, never both and never neither, whatever the threads' timing. */
static void recall_races_are_exact(void **state)
{
    (void)state;
    struct executor *executor = start_loaded();
    for (uint64_t round = 0; round < 2000; round++) {
        uint64_t tag = 100 + round * 4;
        for (uint64_t i = 0; i < 4; i++)
            post(executor, EXECUTOR_RUN, tag + i, 2, 0);
        bool recalled[4];
        for (uint64_t i = 4; i-- > 0;)
            recalled[i] = executor_recall(executor, tag + i);
        for (uint64_t i = 0; i < 4; i++) {
            if (recalled[i])
                continue;
            expect_and_free(executor, EXECUTOR_STARTED, tag + i, ERR_OK);
            expect_and_free(executor, EXECUTOR_RAN, tag + i, ERR_OK);
        }
        assert_false(is_readable(executor, 0));
    }
    finish(&executor);
}

static void the_queue_takes_its_bound_again_and_again(void **state)
{
    (void)state;
    struct executor *executor = start_loaded();
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < EXECUTOR_QUEUE_MAX; i++)
            post(executor, EXECUTOR_RUN, i, 2, i == 0 ? HELD : 1);
        open_gate();
        for (uint64_t i = 0; i < EXECUTOR_QUEUE_MAX; i++) {
            expect_and_free(executor, EXECUTOR_STARTED, i, ERR_OK);
            expect_and_free(executor, EXECUTOR_RAN, i, ERR_OK);
        }
    }
    finish(&executor);
}

static void an_end_cancels_the_run_and_drops_the_queue(void **state)
{
    (void)state;
    struct executor *executor = start_loaded();
    post(executor, EXECUTOR_RUN, 10, 2, HELD);
    post(executor, EXECUTOR_RUN, 11, 2, HELD);
    expect_and_free(executor, EXECUTOR_STARTED, 10, ERR_OK);
    finish(&executor);
}

/* Freed without a look at any event: wherever the thread is, nothing hangs and nothing leaks. */
static void an_end_at_any_moment_is_clean(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct executor *executor = start();
        if (round % 3 > 0)
            post(executor, EXECUTOR_LOAD, 1, 2, 0);
        if (round % 3 > 1)
            post(executor, EXECUTOR_RUN, 2, 2, HELD);
        finish(&executor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_answered_in_order),
        cmocka_unit_test(failures_are_events_and_work_goes_on),
        cmocka_unit_test(a_slot_that_does_not_open_answers_so),
        cmocka_unit_test(a_queued_run_is_recalled_and_a_running_one_is_not),
        cmocka_unit_test(recall_races_are_exact),
        cmocka_unit_test(the_queue_takes_its_bound_again_and_again),
        cmocka_unit_test(an_end_cancels_the_run_and_drops_the_queue),
        cmocka_unit_test(an_end_at_any_moment_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
