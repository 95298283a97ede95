// SPDX-License-Identifier: Apache-2.0
/* The worker's state machine, told stories: what it is told, and what it must then ask for. */
#include "agent.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEARTBEAT_US = 1000, CREDIT_BYTES = 1000, RESULTS_BYTES = 1000, SLOTS = 2 };

static struct agent *agent;
static struct agent_actions out;
static uint64_t now_us;

static int set_up(void **state)
{
    (void)state;
    now_us = 1;
    agent = agent_new(&(struct agent_config){ SLOTS, HEARTBEAT_US, CREDIT_BYTES, RESULTS_BYTES });
    return agent == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    agent_check(agent);
    agent_free(&agent);
    agent_free(&agent);
    return 0;
}

static void step(struct agent_event event)
{
    agent_step(agent, ++now_us, &event, &out);
    agent_check(agent);
}

static const char *const NAMES[] = { "get-model", "load",   "say-loaded",   "get-input", "run",
                                     "unqueue",   "result", "input-failed", "returned",  "drop",
                                     "drop-job",  "unload", "heartbeat" };

/* The actions of the last step in short: "result 7 ok, drop 7". */
static const char *told(void)
{
    static char text[8192];
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < out.count; i++) {
        const struct agent_action *a = &out.at[i];
        bool of_model = a->type == AGENT_GET_MODEL || a->type == AGENT_LOAD_MODEL ||
                        a->type == AGENT_SAY_LOADED || a->type == AGENT_UNLOAD_MODEL;
        uint64_t number = of_model ? a->model : a->type == AGENT_DROP_JOB ? a->job : a->attempt;
        bool judged = a->type == AGENT_SEND_RESULT || a->type == AGENT_SAY_LOADED;
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s %llu%s", i > 0 ? ", " : "",
                                   NAMES[a->type], (unsigned long long)number,
                                   !judged ? ""
                                   : a->ok ? " ok"
                                           : " bad");
    }
    return text;
}

#define TOLD(expected) assert_string_equal(told(), expected)

static void connect_term(uint64_t term)
{
    step((struct agent_event){ .type = AGENT_CONNECTED, .term = term });
}
static void connect(void) { connect_term(1); }
static void disconnect(void) { step((struct agent_event){ .type = AGENT_DISCONNECTED }); }

static void job(uint64_t number, uint32_t model, uint64_t row_bytes)
{
    step((struct agent_event){ .type = AGENT_JOB, .job = number, .model = model, .row_bytes = row_bytes });
}

static void load(uint32_t slot, uint64_t number)
{
    step((struct agent_event){ .type = AGENT_LOAD, .slot = slot, .job = number });
}

static void model_ready(uint32_t model, bool ok)
{
    step((struct agent_event){ .type = AGENT_MODEL_READY, .model = model, .ok = ok });
}

static void model_loaded(uint32_t slot, uint32_t model, bool ok)
{
    step((struct agent_event){ .type = AGENT_MODEL_LOADED, .slot = slot, .model = model, .ok = ok });
}

static struct agent_lease make_lease(uint32_t slot, uint64_t number, uint64_t attempt, uint32_t count)
{
    return (struct agent_lease){
        .slot = slot, .job = number, .first = attempt * 10, .count = count, .term = 1, .attempt = attempt
    };
}

static void lease(uint32_t slot, uint64_t number, uint64_t attempt, uint32_t count)
{
    step((struct agent_event){ .type = AGENT_LEASE, .lease = make_lease(slot, number, attempt, count) });
}

static void tell(enum agent_event_type type, uint64_t attempt, bool ok)
{
    step((struct agent_event){ .type = type, .term = 1, .attempt = attempt, .ok = ok });
}

static void forget(uint64_t number) { step((struct agent_event){ .type = AGENT_FORGET, .job = number }); }

/* Job 1 with model 0 loaded on slot 0, rows of 10 bytes. */
static void start(void)
{
    connect();
    job(1, 0, 10);
    load(0, 1);
    model_ready(0, true);
    model_loaded(0, 0, true);
}

static void run(uint64_t attempt)
{
    tell(AGENT_INPUT_READY, attempt, true);
    tell(AGENT_STARTED, attempt, true);
}

static void unload(uint32_t slot, uint32_t model)
{
    step((struct agent_event){ .type = AGENT_UNLOAD, .slot = slot, .model = model });
}

static void test_unload_and_load_again(void **state)
{
    (void)state;
    start();
    unload(0, 0);
    TOLD("unload 0");
    unload(0, 0);
    TOLD("");
    load(0, 1);
    TOLD("load 0"); /* its file is still there */
    model_loaded(0, 0, true);
    TOLD("say-loaded 0 ok");
    unload(0, 0);
    lease(0, 1, 7, 3); /* a lease loads it as well */
    TOLD("load 0, get-input 7");
}

/* What it holds it must be able to run, whatever it is told. */
static void test_unload_of_a_model_in_use(void **state)
{
    (void)state;
    start();
    lease(0, 1, 7, 3);
    unload(0, 0);
    TOLD("");
    run(7);
    unload(0, 0);
    TOLD("");
    tell(AGENT_RAN, 7, true);
    unload(0, 0);
    TOLD("unload 0");
}

static void test_unload_nonsense(void **state)
{
    (void)state;
    start();
    unload(SLOTS, 0);
    unload(0, AGENT_MODELS_MAX);
    unload(UINT32_MAX, UINT32_MAX);
    unload(1, 0); /* not loaded there */
    TOLD("");
    load(1, 1);
    unload(1, 0); /* being loaded */
    TOLD("");
}

static void load_other(uint32_t slot, uint64_t number, uint32_t model)
{
    step((struct agent_event){
        .type = AGENT_LOAD, .slot = slot, .job = number, .model = model, .other = true });
}

/* Slots run unlike files of one job's model; each keeps what was loaded there last. */
static void test_variants(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    load_other(0, 1, 5);
    TOLD("get-model 5");
    model_ready(5, true);
    TOLD("load 5");
    load(1, 1);
    TOLD("get-model 0");
    model_ready(0, true);
    TOLD("load 0");
    model_loaded(0, 5, true);
    TOLD("say-loaded 5 ok");
    model_loaded(1, 0, true);
    TOLD("say-loaded 0 ok");
    lease(0, 1, 1, 1);
    assert_int_equal(out.at[0].model, 5);
    lease(1, 1, 2, 1);
    assert_int_equal(out.at[0].model, 0);
    tell(AGENT_INPUT_READY, 1, true);
    assert_int_equal(out.at[0].type, AGENT_RUN);
    assert_int_equal(out.at[0].model, 5);
    load(0, 1);
    TOLD("load 0");
    lease(0, 1, 3, 1);
    assert_int_equal(out.at[0].model, 0);
    load_other(0, 1, 99); /* there is no such number */
    TOLD("");
}

/* All models of a job lose it together. */
static void test_variants_forgotten(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    load_other(0, 1, 5);
    model_ready(5, true);
    model_loaded(0, 5, false);
    step((struct agent_event){ .type = AGENT_PREFETCH, .job = 1, .model = 6, .other = true });
    TOLD("get-model 6");
    forget(1);
    TOLD("drop-job 1");
    model_ready(6, true); /* of no use any more */
    job(2, 6, 10);
    load(0, 2);
    TOLD("get-model 6");
}

static void test_prefetch(void **state)
{
    (void)state;
    connect();
    job(1, 3, 10);
    step((struct agent_event){ .type = AGENT_PREFETCH, .job = 9 });
    TOLD("");
    step((struct agent_event){ .type = AGENT_PREFETCH, .job = 1 });
    TOLD("get-model 3");
    step((struct agent_event){ .type = AGENT_PREFETCH, .job = 1 });
    TOLD("");
    model_ready(3, true);
    TOLD("");
    load(1, 1);
    TOLD("load 3");
}

static void test_lease_to_ack(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    TOLD("");
    load(0, 1);
    TOLD("get-model 0");
    model_ready(0, true);
    TOLD("load 0");
    model_loaded(0, 0, true);
    TOLD("say-loaded 0 ok");
    lease(0, 1, 7, 5);
    TOLD("get-input 7");
    assert_int_equal(out.at[0].lease.first, 70);
    tell(AGENT_INPUT_READY, 7, true);
    TOLD("run 7");
    tell(AGENT_STARTED, 7, true);
    uint64_t attempt, since_us;
    assert_true(agent_running(agent, 0, &attempt, &since_us));
    assert_int_equal(attempt, 7);
    assert_int_equal(since_us, now_us);
    assert_false(agent_running(agent, 1, &attempt, &since_us));
    tell(AGENT_RAN, 7, true);
    TOLD("result 7 ok");
    assert_false(agent_running(agent, 0, &attempt, &since_us));
    assert_int_equal(agent_held_count(agent), 1);
    tell(AGENT_ACK, 7, true);
    TOLD("drop 7");
    assert_int_equal(agent_held_count(agent), 0);
}

static void test_lease_before_load_wants_the_model(void **state)
{
    (void)state;
    connect();
    job(1, 3, 10);
    lease(1, 1, 7, 5);
    TOLD("get-model 3, get-input 7");
    tell(AGENT_INPUT_READY, 7, true);
    TOLD("");
    model_ready(3, true);
    TOLD("load 3");
    model_loaded(1, 3, true);
    TOLD("say-loaded 3 ok, run 7");
}

static void test_a_failed_run_is_a_result(void **state)
{
    (void)state;
    start();
    lease(0, 1, 7, 5);
    run(7);
    tell(AGENT_RAN, 7, false);
    TOLD("result 7 bad");
}

static void test_unreadable_input(void **state)
{
    (void)state;
    start();
    lease(0, 1, 7, 5);
    tell(AGENT_INPUT_READY, 7, false);
    TOLD("input-failed 7");
    disconnect();
    connect();
    TOLD("input-failed 7");
    tell(AGENT_ACK, 7, true);
    TOLD("drop 7");
}

static void test_credit_is_one_lease_or_what_fits(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 500); /* 5000 bytes: more than the credit, but alone */
    TOLD("get-input 1");
    lease(0, 1, 2, 60);
    TOLD("");
    lease(0, 1, 3, 40);
    lease(0, 1, 4, 1);
    run(1);
    tell(AGENT_RAN, 1, true);
    TOLD("result 1 ok, get-input 2, get-input 3");
    tell(AGENT_RECALL, 3, true);
    TOLD("returned 3, drop 3, get-input 4");
}

static void test_order_of_inputs_is_kept(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 50);
    lease(0, 1, 2, 100); /* does not fit */
    lease(0, 1, 3, 1);   /* would, but comes later */
    TOLD("");
    tell(AGENT_ACK, 1, true);
    TOLD("drop 1, get-input 2");
}

static void test_recall_before_the_executor_has_it(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 100);
    lease(0, 1, 2, 100);
    tell(AGENT_RECALL, 2, true);
    TOLD("returned 2, drop 2");
    tell(AGENT_RECALL, 1, true);
    TOLD("returned 1, drop 1");
    tell(AGENT_INPUT_READY, 1, true);
    TOLD("");
    tell(AGENT_RECALL, 99, true);
    TOLD("");
}

static void test_recall_in_time(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_RECALL, 1, true);
    TOLD("unqueue 1");
    tell(AGENT_RECALL, 1, true);
    TOLD("");
    tell(AGENT_RECALLED, 1, true);
    TOLD("returned 1, drop 1");
}

static void test_recall_too_late(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_RECALL, 1, true);
    tell(AGENT_RECALLED, 1, false);
    TOLD("");
    tell(AGENT_STARTED, 1, true);
    tell(AGENT_RECALL, 1, true);
    TOLD("");
    tell(AGENT_RAN, 1, true);
    TOLD("result 1 ok");
    tell(AGENT_RECALL, 1, true);
    TOLD("");
}

static void test_recall_dies_with_its_connection(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_RECALL, 1, true);
    disconnect();
    tell(AGENT_RECALLED, 1, true);
    TOLD("run 1");
    tell(AGENT_RAN, 1, true);
    TOLD("");
    connect();
    TOLD("result 1 ok");
}

static void test_ack_of_what_runs(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 1);
    run(1);
    tell(AGENT_ACK, 1, true);
    TOLD("");
    assert_int_equal(agent_held_count(agent), 0);
    tell(AGENT_RAN, 1, true);
    TOLD("drop 1");
}

static void test_ack_of_what_is_queued(void **state)
{
    (void)state;
    start();
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_ACK, 1, true);
    TOLD("unqueue 1");
    tell(AGENT_RECALLED, 1, true);
    TOLD("drop 1");
}

static void test_forget_in_every_state(void **state)
{
    (void)state;
    start();
    for (uint64_t attempt = 1; attempt <= 6; attempt++)
        lease(0, 1, attempt, 50);
    lease(1, 1, 7, 1); /* no model on slot 1: stays ready */
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_STARTED, 1, true);
    tell(AGENT_RAN, 1, true);         /* finished */
    run(2);                           /* running */
    tell(AGENT_INPUT_READY, 3, true); /* posted */
    forget(1);
    TOLD("drop 1, unqueue 3, drop 4, drop 5, drop 6, drop 7, drop-job 1");
    tell(AGENT_RECALLED, 3, true);
    TOLD("drop 3");
    tell(AGENT_RAN, 2, true);
    TOLD("drop 2");
    forget(1);
    TOLD("");
}

static void test_nothing_is_lost_when_the_connection_is(void **state)
{
    (void)state;
    start();
    for (uint64_t attempt = 1; attempt <= 5; attempt++)
        lease(0, 1, attempt, 30);
    run(1);
    tell(AGENT_RAN, 1, true);
    run(2);
    tell(AGENT_INPUT_READY, 3, true);
    disconnect();
    assert_int_equal(agent_held_count(agent), 5);
    assert_int_equal(agent_deadline_us(agent), UINT64_MAX);
    tell(AGENT_RAN, 2, true);
    TOLD("get-input 5");
    tell(AGENT_STARTED, 3, true);
    TOLD("");
    connect_term(2);
    TOLD("result 1 ok, result 2 ok");
    tell(AGENT_RAN, 3, true);
    TOLD("result 3 ok");
    tell(AGENT_INPUT_READY, 4, true);
    TOLD("run 4");
    tell(AGENT_ACK, 1, true);
    TOLD("drop 1");
}

struct seen {
    uint32_t count, finished;
    uint64_t attempts[16];
};

static void see(void *context, const struct agent_lease *held, bool finished)
{
    struct seen *seen = context;
    seen->attempts[seen->count++] = held->attempt;
    seen->finished += finished;
}

static void test_held_are_told_in_order_of_receipt(void **state)
{
    (void)state;
    start();
    lease(0, 1, 9, 1);
    lease(0, 1, 4, 1);
    lease(0, 1, 6, 1);
    run(4);
    tell(AGENT_RAN, 4, true);
    tell(AGENT_ACK, 6, true);
    struct seen seen = { 0 };
    agent_held(agent, see, &seen);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.finished, 1);
    assert_int_equal(seen.attempts[0], 9);
    assert_int_equal(seen.attempts[1], 4);
}

static void test_model_that_cannot_be_had(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    load(0, 1);
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    model_ready(0, false);
    TOLD("say-loaded 0 bad, result 1 bad");
    lease(0, 1, 2, 1);
    TOLD("get-input 2");
    tell(AGENT_INPUT_READY, 2, true);
    TOLD("result 2 bad");
    load(0, 1);
    TOLD("get-model 0");
}

static void test_model_that_does_not_load(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    lease(0, 1, 1, 1);
    tell(AGENT_INPUT_READY, 1, true);
    model_ready(0, true);
    model_loaded(0, 0, false);
    TOLD("say-loaded 0 bad, result 1 bad");
    load(0, 1);
    TOLD("load 0");
    model_loaded(0, 0, true);
    TOLD("say-loaded 0 ok");
    load(0, 1);
    TOLD("say-loaded 0 ok");
}

static void test_one_load_at_a_time(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    job(2, 1, 10);
    load(0, 1);
    load(0, 2);
    TOLD("get-model 1");
    model_ready(1, true);
    TOLD("load 1");
    model_ready(0, true);
    TOLD("");
    load(1, 1);
    TOLD("load 0");
    model_loaded(0, 1, true);
    TOLD("say-loaded 1 ok, load 0");
}

static void test_few_idle_models_stay_warm(void **state)
{
    (void)state;
    connect();
    for (uint32_t i = 0; i < 6; i++) {
        job(i + 1, i, 1);
        load(0, i + 1);
        model_ready(i, true);
        model_loaded(0, i, true);
    }
    for (uint32_t i = 0; i < 4; i++) {
        forget(i + 1);
        assert_int_equal(out.count, 1);
    }
    job(9, 0, 1); /* model 0 is wanted again */
    load(0, 9);
    TOLD("say-loaded 0 ok");
    forget(5);
    TOLD("drop-job 5");
    forget(6);
    TOLD("drop-job 6, unload 1");
}

static void test_forget_while_the_model_comes(void **state)
{
    (void)state;
    connect();
    job(1, 0, 10);
    load(0, 1);
    forget(1);
    TOLD("drop-job 1");
    model_ready(0, true);
    TOLD("");
    job(2, 0, 10);
    load(0, 2);
    TOLD("get-model 0");
    model_ready(0, true);
    forget(2);
    model_loaded(0, 0, true);
    TOLD("");
    job(3, 0, 10);
    load(0, 3);
    TOLD("say-loaded 0 ok");
}

static void test_nonsense_is_given_back_or_ignored(void **state)
{
    (void)state;
    lease(0, 1, 1, 1);
    TOLD(""); /* not connected */
    start();
    lease(0, 2, 1, 1);
    TOLD("returned 1"); /* no such job */
    lease(9, 1, 2, 1);
    TOLD("returned 2"); /* no such slot */
    lease(0, 1, 3, 0);
    TOLD("returned 3");
    struct agent_lease stale = make_lease(0, 1, 4, 1);
    stale.term = 77;
    step((struct agent_event){ .type = AGENT_LEASE, .lease = stale });
    TOLD("");
    lease(0, 1, 5, 1);
    lease(0, 1, 5, 1);
    TOLD("");
    job(1, 63, 1);
    job(4, 64, 1);
    load(9, 1);
    load(0, 4);
    model_ready(64, true);
    model_ready(5, true);
    model_loaded(0, 5, true);
    model_loaded(9, 0, true);
    tell(AGENT_RAN, 5, true);
    tell(AGENT_STARTED, 5, true);
    tell(AGENT_RECALLED, 5, true);
    TOLD("");
}

static void test_table_is_bounded(void **state)
{
    (void)state;
    start();
    for (uint64_t attempt = 1; attempt <= AGENT_LEASES_MAX; attempt++)
        agent_step(agent, ++now_us,
                   &(struct agent_event){ .type = AGENT_LEASE, .lease = make_lease(0, 1, attempt, 1) }, &out);
    assert_int_equal(agent_held_count(agent), AGENT_LEASES_MAX);
    lease(0, 1, AGENT_LEASES_MAX + 1, 1);
    TOLD("returned 8193");
}

static void test_actions_that_do_not_fit_come_later(void **state)
{
    (void)state;
    enum { MANY = AGENT_ACTIONS_MAX * 2 + 10 };
    connect();
    job(1, 0, 0);
    for (uint64_t attempt = 1; attempt <= MANY; attempt++) {
        lease(0, 1, attempt, 1);
        tell(AGENT_INPUT_READY, attempt, false);
    }
    disconnect();
    connect();
    assert_int_equal(out.count, AGENT_ACTIONS_MAX);
    assert_int_equal(agent_deadline_us(agent), now_us);
    step((struct agent_event){ .type = AGENT_TICK });
    assert_int_equal(out.count, AGENT_ACTIONS_MAX);
    assert_int_equal(out.at[0].attempt, AGENT_ACTIONS_MAX + 1);
    step((struct agent_event){ .type = AGENT_TICK });
    assert_int_equal(out.count, 10);
    assert_int_equal(out.at[9].attempt, MANY);
    assert_true(agent_deadline_us(agent) > now_us);
    disconnect();
    connect();
    disconnect();
    connect();
    size_t sent = out.count;
    while (agent_deadline_us(agent) <= now_us) {
        step((struct agent_event){ .type = AGENT_TICK });
        sent += out.count;
    }
    assert_int_equal(sent, MANY);
}

static void test_executor_never_has_too_many(void **state)
{
    (void)state;
    start();
    for (uint64_t attempt = 1; attempt <= AGENT_POSTED_MAX + 2; attempt++) {
        lease(0, 1, attempt, 1);
        tell(AGENT_INPUT_READY, attempt, true);
        assert_int_equal(out.count, attempt <= AGENT_POSTED_MAX);
    }
    tell(AGENT_STARTED, 1, true);
    tell(AGENT_RAN, 1, true);
    TOLD("result 1 ok, run 16");
}

static void ran(uint64_t attempt, uint64_t result_bytes)
{
    tell(AGENT_STARTED, attempt, true);
    step((struct agent_event){
        .type = AGENT_RAN, .term = 1, .attempt = attempt, .ok = true, .result_bytes = result_bytes });
}

/* Results that nobody acknowledges hold up what would make more of them. */
static void test_results_are_bounded(void **state)
{
    (void)state;
    start();
    for (uint64_t attempt = 1; attempt <= 5; attempt++)
        lease(0, 1, attempt, 1);
    tell(AGENT_INPUT_READY, 1, true);
    tell(AGENT_INPUT_READY, 2, true);
    ran(1, RESULTS_BYTES);
    TOLD("result 1 ok");
    tell(AGENT_INPUT_READY, 3, true);
    TOLD("run 3");
    ran(2, 1);
    TOLD("result 2 ok");
    tell(AGENT_INPUT_READY, 4, true);
    TOLD("");
    ran(3, 1); /* the executor had it */
    TOLD("result 3 ok");
    disconnect();
    connect();
    TOLD("result 1 ok, result 2 ok, result 3 ok");
    tell(AGENT_INPUT_READY, 5, true);
    TOLD("");
    tell(AGENT_ACK, 2, true);
    TOLD("drop 2");
    tell(AGENT_ACK, 1, true);
    TOLD("drop 1, run 4, run 5");
}

static void test_results_of_a_job_that_is_over(void **state)
{
    (void)state;
    start();
    job(2, 0, 10);
    lease(0, 1, 1, 1);
    lease(0, 2, 2, 1);
    tell(AGENT_INPUT_READY, 1, true);
    ran(1, RESULTS_BYTES + 1);
    tell(AGENT_INPUT_READY, 2, true);
    TOLD("");
    forget(1);
    TOLD("drop 1, drop-job 1, run 2");
}

/* ---- what an earlier life left ---- */

static void adopt(struct agent_lease lease_adopted)
{
    step((struct agent_event){ .type = AGENT_ADOPT, .lease = lease_adopted });
}

static void note_offer(void *context, const struct agent_lease *offered, bool finished)
{
    char *text = context;
    size_t length = strlen(text);
    snprintf(text + length, 100 - length, "%s%llu%s", length > 0 ? ", " : "",
             (unsigned long long)offered->attempt, finished ? " finished" : "");
}

static void test_adoption(void **state)
{
    (void)state;
    char offers[100] = "";
    adopt(make_lease(0, 3, 7, 5));
    TOLD("");
    adopt(make_lease(1, 4, 8, 5));
    adopt(make_lease(1, 4, 9, 5));
    adopt(make_lease(SLOTS, 4, 10, 5)); /* the slot is gone */
    TOLD("drop 10");
    adopt(make_lease(0, 3, 7, 5));
    TOLD("");
    agent_held(agent, note_offer, offers);
    assert_string_equal(offers, "7 finished, 8 finished, 9 finished");
    connect_term(2);
    TOLD("result 7 ok, result 8 ok, result 9 ok");
    disconnect();
    connect_term(2);
    TOLD("result 7 ok, result 8 ok, result 9 ok");
    tell(AGENT_RECALL, 8, true);
    TOLD("");
    tell(AGENT_ACK, 8, true);
    TOLD("drop 8");
    forget(4); /* a job that was never told */
    TOLD("drop 9");
    job(3, 0, 10);
    forget(3);
    TOLD("drop 7, drop-job 3");
}

static void test_heartbeats(void **state)
{
    (void)state;
    step((struct agent_event){ .type = AGENT_TICK });
    TOLD("");
    connect();
    uint64_t due_us = agent_deadline_us(agent);
    assert_int_equal(due_us, now_us + HEARTBEAT_US);
    now_us = due_us - 1;
    step((struct agent_event){ .type = AGENT_TICK });
    TOLD("heartbeat 0");
    step((struct agent_event){ .type = AGENT_CONNECTED, .term = 1, .heartbeat_us = 50 });
    assert_int_equal(agent_deadline_us(agent), now_us + 50);
}

/* A coordinator, a cache and an executor that do anything that they may do, and much that they may not. */
static void storm(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (int i = 0; i < 4000; i++) {
        struct agent_event event = {
            .type = (enum agent_event_type)rng_below(&rng, AGENT_ADOPT + 1),
            .slot = (uint32_t)rng_below(&rng, SLOTS + 1),
            .job = rng_below(&rng, 8),
            .model = (uint32_t)rng_below(&rng, 8),
            .term = 1 + (rng_below(&rng, 50) == 0),
            .attempt = rng_below(&rng, 120),
            .ok = rng_below(&rng, 8) > 0,
            .other = rng_below(&rng, 3) == 0,
            .row_bytes = rng_below(&rng, 20) == 0 ? UINT64_MAX / 2 : rng_below(&rng, 300),
            .result_bytes = rng_below(&rng, 600),
        };
        event.lease = make_lease(event.slot, event.job, event.attempt, (uint32_t)rng_below(&rng, 9));
        event.lease.term = event.term;
        bool breaks =
            event.type == AGENT_CONNECTED || event.type == AGENT_DISCONNECTED || event.type == AGENT_FORGET;
        if (breaks && rng_below(&rng, 5) > 0)
            event.type = AGENT_LEASE;
        step(event);
    }
}

/* After any storm: connect, forget every job, and let the executor and the cache finish. Nothing may be left.
 */
static void settle(void)
{
    connect();
    for (uint64_t number = 0; number < 8; number++)
        forget(number);
    for (uint64_t attempt = 0; attempt < 120; attempt++)
        for (uint64_t term = 1; term <= 2; term++)
            step((struct agent_event){ .type = AGENT_RAN, .term = term, .attempt = attempt });
    assert_int_equal(agent_held_count(agent), 0);
    lease(0, 1, 500, 1);
    TOLD("returned 500");
}

static void test_storms(void **state)
{
    (void)state;
    const char *given = getenv("MOTLEY_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : 1, last = given ? first : 30;
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        storm(seed);
        settle();
        tear_down(NULL);
        set_up(NULL);
    }
}

/* An honest executor, cache and coordinator carry the actions out with delays; the connection breaks at
 * random. Every lease must end in exactly one result (or be returned), and every result that the coordinator
 * has is acknowledged. */
enum { HONEST_LEASES = 300, HONEST_PENDING = 4096 };

struct honest {
    struct rng rng;
    struct agent_event pending[HONEST_PENDING];
    size_t count;
    bool connected;
    uint32_t results[HONEST_LEASES + 1];
    bool dropped[HONEST_LEASES + 1];
};

static void later(struct honest *world, struct agent_event event)
{
    assert_true(world->count < HONEST_PENDING);
    world->pending[world->count++] = event;
}

static void honest_act(struct honest *world, const struct agent_action *action)
{
    struct agent_event answer = { .slot = action->slot,
                                  .model = action->model,
                                  .job = action->job,
                                  .term = action->term,
                                  .attempt = action->attempt,
                                  .ok = true };
    switch (action->type) {
    case AGENT_GET_MODEL: answer.type = AGENT_MODEL_READY; break;
    case AGENT_LOAD_MODEL: answer.type = AGENT_MODEL_LOADED; break;
    case AGENT_GET_INPUT: answer.type = AGENT_INPUT_READY; break;
    case AGENT_RUN: answer.type = AGENT_STARTED; break;
    case AGENT_SEND_RESULT:
        assert_true(world->connected);
        answer.type = AGENT_ACK;
        world->results[action->attempt]++;
        break;
    case AGENT_DROP: world->dropped[action->attempt] = true; return;
    default: return;
    }
    later(world, answer);
}

static void honest_step(struct honest *world, struct agent_event event)
{
    step(event);
    struct agent_actions now = out;
    for (size_t i = 0; i < now.count; i++)
        honest_act(world, &now.at[i]);
}

static void honest_break(struct honest *world)
{
    world->connected = !world->connected;
    size_t kept = 0;
    for (size_t i = 0; i < world->count; i++) /* acknowledgements in flight are lost */
        if (world->pending[i].type != AGENT_ACK)
            world->pending[kept++] = world->pending[i];
    world->count = kept;
    honest_step(world, (struct agent_event){ .type = world->connected ? AGENT_CONNECTED : AGENT_DISCONNECTED,
                                             .term = 1 });
}

static void honest_deliver(struct honest *world)
{
    if (world->count == 0)
        return;
    size_t which = (size_t)rng_below(&world->rng, world->count);
    struct agent_event event = world->pending[which];
    /* The executor's own events are in order. */
    if (event.type == AGENT_STARTED)
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            uint64_t attempt, since_us;
            if (slot == event.slot && agent_running(agent, slot, &attempt, &since_us))
                return;
        }
    world->pending[which] = world->pending[--world->count];
    if (event.type == AGENT_ACK && !world->connected)
        return;
    honest_step(world, event);
    if (event.type == AGENT_STARTED) {
        event.type = AGENT_RAN;
        event.result_bytes = 400;
        later(world, event);
    }
}

static void honest_world(uint64_t seed)
{
    struct honest *world = calloc(1, sizeof *world);
    assert_non_null(world);
    rng_init(&world->rng, seed);
    honest_break(world);
    job(1, 0, 30);
    job(2, 1, 0);
    uint64_t attempt = 1;
    for (int turn = 0; turn < 100000 && (attempt <= HONEST_LEASES || agent_held_count(agent) > 0); turn++) {
        if (rng_below(&world->rng, 100) == 0 || (!world->connected && rng_below(&world->rng, 10) == 0))
            honest_break(world);
        if (world->connected && attempt <= HONEST_LEASES && rng_below(&world->rng, 4) == 0) {
            struct agent_lease fresh = make_lease((uint32_t)rng_below(&world->rng, SLOTS),
                                                  1 + rng_below(&world->rng, 2), attempt, 3);
            honest_step(world, (struct agent_event){ .type = AGENT_LEASE, .lease = fresh });
            attempt++;
        }
        if (world->connected && rng_below(&world->rng, 20) == 0)
            honest_step(world, (struct agent_event){ .type = AGENT_UNLOAD,
                                                     .slot = (uint32_t)rng_below(&world->rng, SLOTS),
                                                     .model = (uint32_t)rng_below(&world->rng, 2) });
        honest_deliver(world);
    }
    for (uint64_t i = 1; i <= HONEST_LEASES; i++) {
        assert_true(world->results[i] >= 1);
        assert_true(world->dropped[i]);
    }
    free(world);
}

static void test_honest_worlds_finish(void **state)
{
    (void)state;
    const char *given = getenv("MOTLEY_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : 1, last = given ? first : 20;
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        honest_world(seed);
        tear_down(NULL);
        set_up(NULL);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_unload_and_load_again),
        STORY(test_unload_of_a_model_in_use),
        STORY(test_unload_nonsense),
        STORY(test_prefetch),
        STORY(test_variants),
        STORY(test_variants_forgotten),
        STORY(test_lease_to_ack),
        STORY(test_lease_before_load_wants_the_model),
        STORY(test_a_failed_run_is_a_result),
        STORY(test_unreadable_input),
        STORY(test_credit_is_one_lease_or_what_fits),
        STORY(test_order_of_inputs_is_kept),
        STORY(test_recall_before_the_executor_has_it),
        STORY(test_recall_in_time),
        STORY(test_recall_too_late),
        STORY(test_recall_dies_with_its_connection),
        STORY(test_ack_of_what_runs),
        STORY(test_ack_of_what_is_queued),
        STORY(test_forget_in_every_state),
        STORY(test_nothing_is_lost_when_the_connection_is),
        STORY(test_held_are_told_in_order_of_receipt),
        STORY(test_model_that_cannot_be_had),
        STORY(test_model_that_does_not_load),
        STORY(test_one_load_at_a_time),
        STORY(test_few_idle_models_stay_warm),
        STORY(test_forget_while_the_model_comes),
        STORY(test_nonsense_is_given_back_or_ignored),
        STORY(test_table_is_bounded),
        STORY(test_actions_that_do_not_fit_come_later),
        STORY(test_executor_never_has_too_many),
        STORY(test_results_are_bounded),
        STORY(test_results_of_a_job_that_is_over),
        STORY(test_adoption),
        STORY(test_heartbeats),
        STORY(test_storms),
        STORY(test_honest_worlds_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
