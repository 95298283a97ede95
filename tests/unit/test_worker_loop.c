// SPDX-License-Identifier: Apache-2.0
/* The worker's loop against a scripted coordinator over ipc: a real socket, real executors, the built-in
 * model and a small ONNX one. */
#include "loop.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "probe.h"
#include "rng.h"
#include "sha256.h"
#include "wire.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DIGITS EXAMPLES_DIR "/digits/digits.onnx"

enum { PATIENCE_MS = 30000, PIXELS = 64, SCORES = 10 };

/* The worker, on a thread of its own. */
static char folder[64], url[128];
static struct machine machine;
static struct hello *hello;
static struct loop *loop;
static pthread_t thread;
static int stop[2];

/* The coordinator. */
static void *context;
static struct wire *server;
static struct wire_in in;
static wire_peer peer;
static uint64_t term;
static uint32_t silence_ms;
static struct why why;

static void *run_loop(void *unused)
{
    (void)unused;
    loop_run(loop, stop[0]);
    return NULL;
}

/* As a coordinator that ends and is started again. Its context goes too, because only that waits until the
 * socket is closed. */
static void listen_again(void)
{
    wire_free(&server);
    if (context != NULL)
        zmq_ctx_term(context);
    context = zmq_ctx_new();
    const char *urls[] = { url };
    if (wire_listen(context, urls, 1, NULL, &server, &why) != ERR_OK)
        fail_msg("%s", why.text);
}

static void start_worker(const struct fleet *fleet, const struct fleet_worker *member)
{
    machine = (struct machine){ .host = "here", .devices_count = 1 };
    machine.devices[0] = (struct device){
        .id = "cpu:0", .kind = "cpu", .numa_node = -1, .threads = 1, .idle_watts = -1, .busy_watts = -1
    };
    assert_int_equal(hello_new(&machine, member, &(struct hello_options){ 0 }, &hello, &why), ERR_OK);
    struct loop_config config = {
        .url = url, .state_dir = folder, .hello = hello, .fleet = fleet, .member = member
    };
    if (loop_new(&config, &loop, &why) != ERR_OK)
        fail_msg("%s", why.text);
    assert_int_equal(pthread_create(&thread, NULL, run_loop, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test-loop-XXXXXX");
    if (mkdtemp(folder) == NULL || pipe(stop) != 0)
        return 1;
    snprintf(url, sizeof url, "ipc://%s/socket", folder);
    term = 7;
    silence_ms = 0;
    listen_again();
    return 0;
}

static void stop_worker(void)
{
    assert_int_equal(write(stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    char byte;
    assert_int_equal(read(stop[0], &byte, 1), 1);
    loop_free(&loop);
    hello_free(&hello);
}

static int tear_down(void **state)
{
    (void)state;
    wire_free(&server);
    zmq_ctx_term(context);
    context = NULL;
    close(stop[0]);
    close(stop[1]);
    return file_remove_tree(folder, &why) != ERR_OK;
}

/* ---- the script ---- */

/* The next message that is no heartbeat. */
static const struct message *hear(void)
{
    uint64_t until_us = clock_monotonic_us() + (uint64_t)PATIENCE_MS * 1000;
    for (;;) {
        while (wire_receive(server, &in)) {
            if (in.message == NULL)
                fail_msg("refused: %s", in.why.text);
            peer = in.peer;
            if (in.message->type != MESSAGE_HEARTBEAT)
                return in.message;
        }
        if (clock_monotonic_us() > until_us)
            fail_msg("the worker says nothing");
        zmq_pollitem_t items[] = { { .socket = wire_socket(server), .events = ZMQ_POLLIN },
                                   { .socket = wire_monitor_socket(server), .events = ZMQ_POLLIN } };
        assert_true(zmq_poll(items, 2, 1000) >= 0);
    }
}

static uint64_t told_memory(void)
{
    uint64_t until_us = clock_monotonic_us() + (uint64_t)PATIENCE_MS * 1000;
    while (!wire_receive(server, &in) || !in.message || in.message->type != MESSAGE_HEARTBEAT) {
        assert_true(clock_monotonic_us() < until_us);
        zmq_pollitem_t item = { .socket = wire_socket(server), .events = ZMQ_POLLIN };
        assert_true(zmq_poll(&item, 1, 20) >= 0);
    }
    return in.message->heartbeat.memory_free_bytes;
}

static const struct message *expect(enum message_type type)
{
    const struct message *message = hear();
    assert_string_equal(message_name(message->type), message_name(type));
    return message;
}

static void say(const struct message *message)
{
    assert_int_equal(wire_send(server, peer, message, NULL, 0), ERR_OK);
}

static void welcome(const char *proof_path)
{
    struct message message = { .type = MESSAGE_WELCOME };
    message.welcome = (struct message_welcome){ .protocol = 1,
                                                .term = term,
                                                .session = 1,
                                                .heartbeat_ms = 50,
                                                .proof_path = proof_path,
                                                .silence_ms = silence_ms };
    say(&message);
}

static void greet(void)
{
    expect(MESSAGE_HELLO);
    welcome("");
    assert_int_equal(expect(MESSAGE_PROOF)->proof.nonce_size, 0);
}

static int64_t PIXEL_DIMS[] = { PIXELS }, SCORE_DIMS[] = { SCORES };
static struct message_tensor PIXEL_INPUT = {
    .name = "pixels", .dtype = DTYPE_F32, .dims = PIXEL_DIMS, .dims_count = 1
};
static struct message_tensor SCORE_OUTPUT = {
    .name = "scores", .dtype = DTYPE_F32, .dims = SCORE_DIMS, .dims_count = 1
};
static struct message_tensor ANSWER = { .name = "answer", .dtype = DTYPE_U64 };

static void say_job(struct message_job job)
{
    say(&(struct message){ .type = MESSAGE_JOBS, .jobs = { &job, 1 } });
}

static void say_synthetic_job(uint64_t number, uint64_t samples)
{
    say_job((struct message_job){
        .job = number, .samples = samples, .format = "synthetic", .outputs = &ANSWER, .outputs_count = 1 });
}

static void say_load(uint32_t slot, uint64_t job)
{
    say(&(struct message){ .type = MESSAGE_LOAD, .load = { slot, job } });
}

static void say_lease(uint64_t job, uint64_t attempt, uint64_t first, uint32_t count)
{
    uint8_t mac[MAC_BYTES] = { (uint8_t)attempt };
    struct message_lease lease = {
        .job = job, .first = first, .count = count, .term = term, .attempt = attempt, .mac = mac
    };
    say(&(struct message){ .type = MESSAGE_LEASES, .leases = { &lease, 1 } });
}

static void say_ack(uint64_t attempt)
{
    say(&(struct message){ .type = MESSAGE_ACKS,
                           .acks = { .term = term, .attempts = &attempt, .attempts_count = 1 } });
}

/* The result of attempt, alone in its message. */
static const struct message_result *expect_result(uint64_t attempt, uint32_t status)
{
    const struct message_results *results = &expect(MESSAGE_RESULTS)->results;
    assert_int_equal(results->results_count, 1);
    assert_int_equal(results->results[0].attempt, attempt);
    if (results->results[0].status != status)
        fail_msg("status %u: %s", results->results[0].status, results->results[0].reason);
    assert_int_equal(results->results[0].mac[0], (uint8_t)attempt);
    return &results->results[0];
}

/* Its one output's rows: in the body where they are few, else in the message's one frame. */
static const void *expect_rows(const struct message_result *result, size_t size)
{
    bool small = size <= ROWS_MAX_BYTES;
    assert_int_equal(result->frames, !small);
    assert_int_equal(in.frames_count, !small);
    assert_int_equal(small ? result->rows_size : zmq_msg_size(&in.frames[0]), size);
    return small ? result->rows : zmq_msg_data(&in.frames[0]);
}

static void expect_synthetic(uint64_t attempt, uint64_t first, uint32_t count)
{
    const struct message_result *result = expect_result(attempt, RESULT_OK);
    assert_int_equal(result->first, first);
    assert_int_equal(result->count, count);
    assert_int_equal(result->shapes_count, 0);
    const char *rows = expect_rows(result, (size_t)count * 8);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t answer;
        memcpy(&answer, rows + (size_t)i * 8, sizeof answer);
        assert_int_equal(answer, rng_mix64(first + i));
    }
}

/* Answer the next FETCH, of kind, from bytes. */
static void serve_piece(uint32_t kind, const char *bytes, size_t size)
{
    const struct message_fetch fetch = expect(MESSAGE_FETCH)->fetch;
    assert_int_equal(fetch.kind, kind);
    assert_true(fetch.offset + fetch.length <= size);
    struct message message = { .type = MESSAGE_PIECE,
                               .piece = { .tag = fetch.tag, .ok = true, .reason = "", .total = size } };
    struct wire_frame frame = { .bytes = bytes + fetch.offset, .size = fetch.length };
    assert_int_equal(wire_send(server, peer, &message, &frame, 1), ERR_OK);
}

static void refuse_piece(uint32_t kind)
{
    const struct message_fetch fetch = expect(MESSAGE_FETCH)->fetch;
    assert_int_equal(fetch.kind, kind);
    say(&(struct message){ .type = MESSAGE_PIECE,
                           .piece = { .tag = fetch.tag, .reason = "the blob is gone" } });
}

static void finish(void)
{
    stop_worker();
    expect(MESSAGE_BYE);
}

/* ---- stories ---- */

static void test_lease_to_ack(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    const struct message_hello *said = &expect(MESSAGE_HELLO)->hello;
    assert_string_equal(said->name, "here");
    assert_int_equal(said->slots_count, 1);
    assert_int_equal(said->attempts_count, 0);
    char path[128];
    snprintf(path, sizeof path, "%s/nonce", folder);
    assert_int_equal(file_replace(path, "0123456789", 10, 0600, &why), ERR_OK);
    welcome(path);
    const struct message_proof *proof = &expect(MESSAGE_PROOF)->proof;
    assert_int_equal(proof->nonce_size, 10);
    assert_memory_equal(proof->nonce, "0123456789", 10);
    say_synthetic_job(1, 1000);
    say_load(0, 1);
    const struct message_loaded *loaded = &expect(MESSAGE_LOADED)->loaded;
    assert_true(loaded->ok);
    say_lease(1, 5, 100, 300);
    expect_synthetic(5, 100, 300);
    say_ack(5);
    say_lease(1, 6, 999, 1);
    expect_synthetic(6, 999, 1);
    finish();
}

static void test_results_are_offered_again(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    greet();
    say_synthetic_job(1, 1000);
    say_lease(1, 5, 0, 10);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_synthetic(5, 0, 10);
    say_lease(1, 6, 10, 10);
    expect_synthetic(6, 10, 10);
    say_ack(5);
    say_lease(1, 7, 20, 10); /* its result shows that the ACK was heard */
    expect_synthetic(7, 20, 10);
    listen_again();
    const struct message_hello *said = &expect(MESSAGE_HELLO)->hello;
    assert_int_equal(said->attempts_count, 2);
    assert_int_equal(said->attempts[0].attempt, 6);
    assert_int_equal(said->attempts[0].term, 7);
    assert_int_equal(said->attempts[0].mac[0], 6);
    assert_true(said->attempts[0].finished);
    term = 8;
    welcome("");
    expect(MESSAGE_PROOF);
    const struct message_results *results = &expect(MESSAGE_RESULTS)->results;
    assert_int_equal(results->results_count, 2);
    assert_int_equal(results->results[1].term, 7);
    assert_int_equal(results->results[1].rows_size, 10 * 8);
    finish();
}

/* ---- restarts of the worker ---- */

/* As after kill -9: no BYE, no wait for acknowledgements. */
static void kill_worker(void)
{
    wire_free(&server);
    zmq_ctx_term(context);
    context = NULL;
    stop_worker();
    listen_again();
}

static void expect_offer(const struct message_hello *said, uint32_t index, uint64_t attempt)
{
    assert_true(index < said->attempts_count);
    assert_int_equal(said->attempts[index].attempt, attempt);
    assert_int_equal(said->attempts[index].mac[0], (uint8_t)attempt);
    assert_true(said->attempts[index].finished);
}

/* Until its ACK, a result survives the process that made it. */
static void test_results_survive_a_restart(void **state)
{
    (void)state;
    uint8_t uuid[UUID_BYTES];
    start_worker(NULL, NULL);
    const struct message_hello *said = &expect(MESSAGE_HELLO)->hello;
    memcpy(uuid, said->worker, sizeof uuid);
    uint64_t life = said->life;
    welcome("");
    expect(MESSAGE_PROOF);
    say_synthetic_job(1, 1000);
    say_lease(1, 5, 0, 10);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_synthetic(5, 0, 10);
    say_lease(1, 6, 10, 300);
    expect_synthetic(6, 10, 300);
    assert_false(in.message->results.results[0].again);
    say_ack(5);
    say_lease(1, 7, 400, 10);
    expect_synthetic(7, 400, 10);
    kill_worker();
    start_worker(NULL, NULL);
    said = &expect(MESSAGE_HELLO)->hello;
    assert_memory_equal(said->worker, uuid, sizeof uuid);
    assert_true(said->life > 0 && said->life != life);
    assert_int_equal(said->attempts_count, 2);
    expect_offer(said, 0, 6);
    expect_offer(said, 1, 7);
    term = 8;
    welcome("");
    expect(MESSAGE_PROOF);
    const struct message_results *results = &expect(MESSAGE_RESULTS)->results;
    assert_int_equal(results->results_count, 2);
    assert_true(results->results[0].again && results->results[0].term == 7);
    assert_int_equal(in.frames_count, 1);
    assert_int_equal(zmq_msg_size(&in.frames[0]), 300 * 8);
    assert_int_equal(results->results[1].rows_size, 10 * 8);
    for (uint32_t i = 0; i < 300; i++) {
        uint64_t answer;
        memcpy(&answer, (const char *)zmq_msg_data(&in.frames[0]) + i * 8, sizeof answer);
        assert_int_equal(answer, rng_mix64(10 + i));
    }
    term = 7;
    say_ack(6);
    say(&(struct message){ .type = MESSAGE_FORGET,
                           .forget = { .jobs = (uint64_t[]){ 1 }, .jobs_count = 1 } });
    term = 8;
    say_synthetic_job(2, 1000); /* its result shows that all that was heard */
    say_lease(2, 9, 0, 10);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_synthetic(9, 0, 10);
    say_ack(9);
    finish();
    start_worker(NULL, NULL);
    assert_int_equal(expect(MESSAGE_HELLO)->hello.attempts_count, 0);
    stop_worker();
}

/* ---- silence ---- */

/* The next heartbeat's number. */
static uint64_t expect_heartbeat(void)
{
    uint64_t until_us = clock_monotonic_us() + (uint64_t)PATIENCE_MS * 1000;
    while (!wire_receive(server, &in) || in.message == NULL || in.message->type != MESSAGE_HEARTBEAT) {
        assert_true(clock_monotonic_us() < until_us);
        zmq_pollitem_t item = { .socket = wire_socket(server), .events = ZMQ_POLLIN };
        assert_true(zmq_poll(&item, 1, 20) >= 0);
    }
    peer = in.peer;
    return in.message->heartbeat.sequence;
}

/* A coordinator that says nothing any more is left; a pulse is enough of a word. */
static void test_silence(void **state)
{
    (void)state;
    silence_ms = 250;
    start_worker(NULL, NULL);
    greet();
    say_synthetic_job(1, 1000);
    say_lease(1, 5, 0, 10);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_synthetic(5, 0, 10);
    wire_peer before = peer;
    for (uint64_t beat = 0; beat < 30; beat = expect_heartbeat())
        say(&(struct message){ .type = MESSAGE_PULSE, .pulse = { beat } });
    assert_int_equal(peer, before);
    const struct message_hello *said = &expect(MESSAGE_HELLO)->hello; /* silence */
    assert_int_not_equal(peer, before);
    assert_int_equal(said->attempts_count, 1);
    expect_offer(said, 0, 5);
    welcome("");
    expect(MESSAGE_PROOF);
    expect_synthetic(5, 0, 10);
    say_ack(5);
    finish();
}

/* A coordinator that promises nothing may be silent. */
static void test_silence_of_an_old_coordinator(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    greet();
    wire_peer before = peer;
    while (expect_heartbeat() < 30)
        continue;
    assert_int_equal(peer, before);
    finish();
}

static void say_unload(uint32_t slot, const uint8_t *model)
{
    say(&(struct message){ .type = MESSAGE_UNLOAD, .unload = { slot, model } });
}

/* A model that was unloaded is loaded again when it is asked for; one that is not there is not missed. */
static void test_unload(void **state)
{
    (void)state;
    uint8_t built_in[SHA256_BYTES] = { 0 }, unknown[SHA256_BYTES] = { 7 };
    start_worker(NULL, NULL);
    greet();
    say_unload(0, built_in);
    say_synthetic_job(1, 1000);
    say_load(0, 1);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_unload(9, built_in);
    say_unload(0, unknown);
    say_unload(0, built_in);
    say_load(0, 1);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_unload(0, built_in);
    say_lease(1, 5, 0, 10); /* which loads it, too */
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_synthetic(5, 0, 10);
    finish();
}

/* The model is fetched before anything is to be loaded; then a LOAD finds it there. */
static void test_prefetch(void **state)
{
    (void)state;
    char *model;
    size_t size;
    uint8_t digest[SHA256_BYTES];
    assert_int_equal(file_read(DIGITS, 1 << 24, &model, &size, &why), ERR_OK);
    sha256_bytes(model, size, digest);
    start_worker(NULL, NULL);
    greet();
    say(&(struct message){ .type = MESSAGE_PREFETCH, .prefetch = { 99 } });
    say_job((struct message_job){ .job = 1,
                                  .samples = 10,
                                  .model = digest,
                                  .format = "onnx",
                                  .model_bytes = size,
                                  .inputs = &PIXEL_INPUT,
                                  .inputs_count = 1,
                                  .outputs = &SCORE_OUTPUT,
                                  .outputs_count = 1 });
    say(&(struct message){ .type = MESSAGE_PREFETCH, .prefetch = { 1 } });
    refuse_piece(FETCH_MODEL);
    say(&(struct message){ .type = MESSAGE_PREFETCH, .prefetch = { 1 } }); /* it tries anew */
    for (size_t got = 0; got < size; got += in.message->fetch.length)
        serve_piece(FETCH_MODEL, model, size);
    say_load(0, 1);
    expect(MESSAGE_LOADED); /* and no FETCH before it */
    free(model);
    finish();
}

/* What it was told of a drain it says to the next coordinator. */
static void test_draining_is_remembered(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    assert_false(expect(MESSAGE_HELLO)->hello.draining);
    welcome("");
    expect(MESSAGE_PROOF);
    say(&(struct message){ .type = MESSAGE_DRAINING, .draining = { true } });
    say_synthetic_job(1, 10);
    say_load(0, 1);
    expect(MESSAGE_LOADED); /* so it was heard */
    listen_again();
    assert_true(expect(MESSAGE_HELLO)->hello.draining);
    term++;
    welcome("");
    expect(MESSAGE_PROOF);
    say(&(struct message){ .type = MESSAGE_DRAINING, .draining = { false } });
    say_synthetic_job(1, 10);
    say_load(0, 1);
    expect(MESSAGE_LOADED);
    listen_again();
    assert_false(expect(MESSAGE_HELLO)->hello.draining);
    term++;
    welcome("");
    expect(MESSAGE_PROOF);
    finish();
}

static void test_no_welcome(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    expect(MESSAGE_HELLO);
    say(&(struct message){ .type = MESSAGE_REFUSED,
                           .refused = { .code = ERR_FULL, .text = "too many workers" } });
    greet(); /* it tries again */
    say(&(struct message){ .type = MESSAGE_REFUSED,
                           .refused = { .code = ERR_REFUSED, .text = "say HELLO first" } });
    greet();
    finish();
}

static void test_nonsense(void **state)
{
    (void)state;
    uint64_t numbers[] = { 0, 77 };
    start_worker(NULL, NULL);
    expect(MESSAGE_HELLO);
    say_load(0, 1); /* before WELCOME */
    welcome("/nowhere/nonce");
    assert_int_equal(expect(MESSAGE_PROOF)->proof.nonce_size, 0);
    say_load(0, 99);
    say_synthetic_job(1, 10);
    say_load(200, 1);
    say(&(struct message){ .type = MESSAGE_RECALL, .recall = { numbers, 2 } });
    say(&(struct message){ .type = MESSAGE_ACKS,
                           .acks = { .term = 3, .attempts = numbers, .attempts_count = 2 } });
    say(&(struct message){ .type = MESSAGE_FORGET, .forget = { &numbers[1], 1 } });
    say(&(struct message){ .type = MESSAGE_PIECE, .piece = { .tag = 5, .reason = "" } });
    welcome("");
    say_lease(99, 50, 0, 1);
    assert_int_equal(expect(MESSAGE_RETURNED)->returned.attempts[0], 50);
    say_load(0, 1);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_lease(1, 51, 5, 6); /* samples that the job does not have */
    expect_result(51, RESULT_INPUT);
    say_lease(1, 52, 0, 10);
    expect_synthetic(52, 0, 10);
    finish();
}

static void test_job_of_another_content_replaces(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    greet();
    say_synthetic_job(1, 10);
    say_lease(1, 5, 0, 10);
    expect(MESSAGE_LOADED);
    expect_synthetic(5, 0, 10);
    say_synthetic_job(1, 20);
    say_lease(1, 6, 10, 10);
    expect_synthetic(6, 10, 10);
    say(&(struct message){ .type = MESSAGE_FORGET, .forget = { (uint64_t[]){ 1 }, 1 } });
    say_lease(1, 7, 0, 1);
    assert_int_equal(expect(MESSAGE_RETURNED)->returned.attempts[0], 7);
    finish();
}

static bool has_onnx(void)
{
    const char *formats[BLEND_FORMATS_MAX];
    for (uint32_t i = 0, count = blend_formats(formats); i < count; i++)
        if (strcmp(formats[i], "onnx") == 0)
            return true;
    print_message("ONNX Runtime is not here: skipped\n");
    return false;
}

static void say_digits_job(uint64_t number, const char *model, size_t size, struct message_source *source)
{
    uint8_t digest[SHA256_BYTES];
    sha256_bytes(model, size, digest);
    say_job((struct message_job){ .job = number,
                                  .samples = 100,
                                  .format = "onnx",
                                  .model = digest,
                                  .model_bytes = size,
                                  .inputs = &PIXEL_INPUT,
                                  .inputs_count = 1,
                                  .outputs = &SCORE_OUTPUT,
                                  .outputs_count = 1,
                                  .sources = source,
                                  .sources_count = source != NULL });
}

/* Rows that differ: sample i is lit by i. */
static float *make_rows(void)
{
    float *rows = calloc(100 * PIXELS, sizeof *rows);
    assert_non_null(rows);
    for (int i = 0; i < 100; i++)
        for (int k = 0; k < PIXELS; k++)
            rows[i * PIXELS + k] = (float)((i * 7 + k * 3) % 17);
    return rows;
}

static void keep_scores(float *scores, uint32_t count)
{
    size_t size = count * SCORES * sizeof(float);
    memcpy(scores, expect_rows(in.message->results.results, size), size);
}

static struct message_source source_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return (struct message_source){ .path = path,
                                    .row_bytes = PIXELS * sizeof(float),
                                    .file_bytes = (uint64_t)found.st_size,
                                    .mtime_ns =
                                        (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec };
}

/* Model and rows fetched, then the same rows from a mapped file, then a file that changed. */
static void test_onnx_fetched_and_mapped(void **state)
{
    (void)state;
    if (!has_onnx())
        return;
    char *model, path[128];
    size_t size;
    float *rows = make_rows(), fetched[5 * SCORES], mapped[5 * SCORES];
    assert_int_equal(file_read(DIGITS, 10 << 20, &model, &size, &why), ERR_OK);
    start_worker(NULL, NULL);
    greet();
    say_digits_job(1, model, size, NULL);
    say_load(0, 1);
    serve_piece(FETCH_MODEL, model, size);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_lease(1, 5, 20, 5);
    serve_piece(FETCH_INPUT, (const char *)rows, 100 * PIXELS * sizeof(float));
    expect_result(5, RESULT_OK);
    keep_scores(fetched, 5);
    say_lease(1, 6, 40, 2);
    refuse_piece(FETCH_INPUT);
    expect_result(6, RESULT_INPUT);

    snprintf(path, sizeof path, "%s/rows", folder);
    assert_int_equal(file_replace(path, rows, 100 * PIXELS * sizeof(float), 0600, &why), ERR_OK);
    struct message_source source = source_of(path);
    say_digits_job(2, model, size, &source);
    say_lease(2, 7, 20, 5);
    expect_result(7, RESULT_OK);
    keep_scores(mapped, 5);
    assert_memory_equal(fetched, mapped, sizeof mapped);
    assert_int_equal(truncate(path, 100), 0);
    say_lease(2, 8, 20, 5);
    assert_non_null(strstr(expect_result(8, RESULT_INPUT)->reason, "changed"));
    finish();
    free(model);
    free(rows);
}

static void test_model_that_is_not_what_was_asked_for(void **state)
{
    (void)state;
    if (!has_onnx())
        return;
    start_worker(NULL, NULL);
    greet();
    say_digits_job(1, "some model", 10, NULL);
    say_load(0, 1);
    serve_piece(FETCH_MODEL, "a forgery!", 10);
    const struct message_loaded *loaded = &expect(MESSAGE_LOADED)->loaded;
    assert_false(loaded->ok);
    assert_non_null(strstr(loaded->reason, "SHA-256"));
    say_load(0, 1);
    serve_piece(FETCH_MODEL, "some model", 10); /* what was asked for, but no model */
    loaded = &expect(MESSAGE_LOADED)->loaded;
    assert_false(loaded->ok);
    assert_null(strstr(loaded->reason, "SHA-256"));
    assert_int_not_equal(strlen(loaded->reason), 0);
    assert_null(strstr(loaded->reason, folder)); /* our cache means nothing to a user */
    float *rows = make_rows();
    say_lease(1, 5, 0, 1);
    serve_piece(FETCH_INPUT, (const char *)rows, 100 * PIXELS * sizeof(float));
    expect_result(5, RESULT_FAILED);
    finish();
    free(rows);
}

static void test_wrong_tensors(void **state)
{
    (void)state;
    start_worker(NULL, NULL);
    greet();
    say_job((struct message_job){
        .job = 1, .samples = 100, .format = "synthetic", .inputs = &PIXEL_INPUT, .inputs_count = 1 });
    say_load(0, 1);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    char *rows = calloc(1, 25600);
    say_lease(1, 5, 0, 100);
    serve_piece(FETCH_INPUT, rows, 25600);
    assert_non_null(strstr(expect_result(5, RESULT_FAILED)->reason, "inputs"));
    finish();
    free(rows);
}

/* Questions that were under way when the connection broke are asked again. */
static void test_fetch_goes_on_after_a_break(void **state)
{
    (void)state;
    if (!has_onnx())
        return;
    char *model;
    size_t size;
    float *rows = make_rows();
    assert_int_equal(file_read(DIGITS, 10 << 20, &model, &size, &why), ERR_OK);
    start_worker(NULL, NULL);
    greet();
    say_digits_job(1, model, size, NULL);
    say_lease(1, 5, 20, 5);
    assert_int_equal(expect(MESSAGE_FETCH)->fetch.kind, FETCH_MODEL);
    assert_int_equal(expect(MESSAGE_FETCH)->fetch.kind, FETCH_INPUT);
    listen_again();
    const struct message_hello *said = &expect(MESSAGE_HELLO)->hello;
    assert_int_equal(said->attempts_count, 1);
    assert_false(said->attempts[0].finished);
    welcome("");
    expect(MESSAGE_PROOF);
    serve_piece(FETCH_MODEL, model, size);
    serve_piece(FETCH_INPUT, (const char *)rows, 100 * PIXELS * sizeof(float));
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    expect_result(5, RESULT_OK);
    finish();
    free(model);
    free(rows);
}

static void test_emulated_member_with_a_link(void **state)
{
    (void)state;
    struct fleet fleet = { .time_scale = 0.5 };
    struct fleet_worker member = { .name = "box",
                                   .kind = "npu",
                                   .has_curve = true,
                                   .curve = { 1, 0.1, 64 },
                                   .link_mbit = 1,
                                   .link_rtt_ms = 4,
                                   .idle_watts = 1,
                                   .busy_watts = 2,
                                   .price_per_hour = -1 };
    start_worker(&fleet, &member);
    greet();
    say_synthetic_job(1, 1000);
    say_load(0, 1);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_lease(1, 5, 0, 64);
    say_lease(1, 6, 64, 64);
    expect_synthetic(5, 0, 64);
    expect_synthetic(6, 64, 64);
    assert_int_equal(told_memory(), 0); /* this machine's is not the device's */
    finish();
}

/* A file that is changed while its rows are being computed with spoils the result, however well the run went.
 */
static void test_input_changed_during_the_run(void **state)
{
    (void)state;
    if (!has_onnx())
        return;
    char *model, path[128];
    size_t size;
    float *rows = make_rows();
    struct fleet fleet = { .time_scale = 1 };
    struct fleet_worker member = { .name = "box", .kind = "npu", .has_curve = true, .curve = { 700, 0, 64 } };
    assert_int_equal(file_read(DIGITS, 10 << 20, &model, &size, &why), ERR_OK);
    snprintf(path, sizeof path, "%s/rows", folder);
    assert_int_equal(file_replace(path, rows, 100 * PIXELS * sizeof(float), 0600, &why), ERR_OK);
    struct message_source source = source_of(path);
    start_worker(&fleet, &member);
    greet();
    say_digits_job(1, model, size, &source);
    say_load(0, 1);
    serve_piece(FETCH_MODEL, model, size);
    assert_true(expect(MESSAGE_LOADED)->loaded.ok);
    say_lease(1, 5, 0, 5);
    while (!wire_receive(server, &in) || in.message->heartbeat.running_count == 0)
        assert_true(zmq_poll(&(zmq_pollitem_t){ .socket = wire_socket(server), .events = ZMQ_POLLIN }, 1,
                             PATIENCE_MS) >= 0);
    assert_int_equal(truncate(path, 100), 0);
    expect_result(5, RESULT_INPUT);
    finish();
    free(model);
    free(rows);
}

/* ---- a coordinator that has lost its mind ---- */

static void wait_welcome(void)
{
    while (hear()->type != MESSAGE_HELLO)
        ;
    welcome("");
}

static void storm_job(struct rng *rng)
{
    static int64_t odd_dims[][2] = { { -1, 2 }, { 0, 2 }, { 1 << 20, 1 << 19 }, { 3, 4 } };
    struct message_tensor tensors[2] = { PIXEL_INPUT, PIXEL_INPUT };
    struct message_source sources[2] = { { .path = "" },
                                         { .path = "/etc/hostname", .row_bytes = 256, .file_bytes = 9 } };
    uint8_t digest[SHA256_BYTES] = { 0 };
    digest[0] = (uint8_t)rng_below(rng, 3);
    if (rng_below(rng, 2))
        tensors[0].dims = odd_dims[rng_below(rng, 4)], tensors[0].dims_count = 2;
    struct message_job job = { .job = 1 + rng_below(rng, 6),
                               .samples = rng_below(rng, 200),
                               .format = "onnx",
                               .model = digest,
                               .model_bytes = rng_below(rng, 3) * 5,
                               .inputs = tensors,
                               .outputs = &ANSWER,
                               .outputs_count = 1 };
    job.inputs_count = (uint32_t)rng_below(rng, 3);
    job.sources = sources;
    job.sources_count = rng_below(rng, 2) ? job.inputs_count : 0;
    say_job(job);
}

static void storm_leases(struct rng *rng)
{
    static const uint8_t mac[MAC_BYTES];
    struct message_lease leases[20];
    for (int i = 0; i < 20; i++)
        leases[i] = (struct message_lease){ .slot = (uint32_t)(rng_below(rng, 9) == 0),
                                            .job = 1 + rng_below(rng, 7),
                                            .first = rng_below(rng, 210),
                                            .count = 1 + (uint32_t)rng_below(rng, 50),
                                            .term = term - (rng_below(rng, 9) == 0),
                                            .attempt = rng_below(rng, 400),
                                            .mac = mac };
    say(&(struct message){ .type = MESSAGE_LEASES, .leases = { leases, 20 } });
}

static void storm_attempts(struct rng *rng, enum message_type type)
{
    uint64_t attempts[10];
    for (int i = 0; i < 10; i++)
        attempts[i] = rng_below(rng, 400);
    struct message message = { .type = type };
    if (type == MESSAGE_RECALL)
        message.recall = (struct message_recall){ attempts, 10 };
    else
        message.acks = (struct message_acks){ term, attempts, 10 };
    say(&message);
}

static void storm_piece(struct rng *rng, uint64_t tag, uint32_t length)
{
    char *bytes = calloc(1, length + 1u);
    struct message message = { .type = MESSAGE_PIECE,
                               .piece = {
                                   .tag = tag, .ok = rng_below(rng, 4) > 0, .reason = "", .total = length } };
    struct wire_frame frame = { .bytes = bytes, .size = length - (rng_below(rng, 9) == 0) };
    assert_int_equal(wire_send(server, peer, &message, &frame, message.piece.ok), ERR_OK);
    free(bytes);
}

static void storm_message(struct rng *rng)
{
    uint64_t number = 1 + rng_below(rng, 6);
    uint8_t built_in[SHA256_BYTES] = { 0 };
    switch (rng_below(rng, 10)) {
    case 0: storm_job(rng); break;
    case 1: say_load((uint32_t)(rng_below(rng, 9) == 0), number); break;
    case 2: storm_attempts(rng, MESSAGE_RECALL); break;
    case 3: storm_attempts(rng, MESSAGE_ACKS); break;
    case 4:
        say(&(struct message){ .type = MESSAGE_FORGET, .forget = { &number, rng_below(rng, 3) == 0 } });
        break;
    case 5: storm_piece(rng, rng_below(rng, 99), 5); break;
    case 6: say_unload((uint32_t)(rng_below(rng, 9) == 0), built_in); break;
    case 7: say(&(struct message){ .type = MESSAGE_PREFETCH, .prefetch = { number } }); break;
    default: storm_leases(rng); break;
    }
}

/* What the worker said meanwhile; how many heartbeats there were. */
static int storm_hear(struct rng *rng)
{
    int heartbeats = 0;
    while (wire_receive(server, &in)) {
        if (in.message == NULL)
            fail_msg("refused: %s", in.why.text);
        peer = in.peer;
        if (in.message->type == MESSAGE_HELLO)
            welcome("");
        else if (in.message->type == MESSAGE_FETCH && rng_below(rng, 9) > 0)
            storm_piece(rng, in.message->fetch.tag,
                        in.message->fetch.length < 100000 ? in.message->fetch.length : 1);
        heartbeats += in.message->type == MESSAGE_HEARTBEAT;
    }
    return heartbeats;
}

/* Wait for two heartbeats: nobody's queue may overflow. */
static void catch_up(struct rng *rng)
{
    for (int heartbeats = 0; heartbeats < 2;) {
        zmq_pollitem_t item = { .socket = wire_socket(server), .events = ZMQ_POLLIN };
        assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
        heartbeats += storm_hear(rng);
    }
}

static void test_storm(void **state)
{
    (void)state;
    const char *given = getenv("MOTLEY_SEED");
    struct rng rng;
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_wall_us();
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    log_init("test", LOG_ERROR, 2);
    start_worker(NULL, NULL);
    wait_welcome();
    for (int i = 0; i < 1500; i++) {
        if (i == 700) {
            listen_again();
            term++;
            wait_welcome();
        }
        storm_message(&rng);
        storm_hear(&rng);
        if (i % 200 == 0)
            catch_up(&rng);
    }
    listen_again(); /* after which it must still be as good as new */
    term++;
    wait_welcome();
    for (uint64_t job = 1; job < 8; job++)
        say(&(struct message){ .type = MESSAGE_FORGET, .forget = { &job, 1 } });
    say_synthetic_job(9, 100);
    say_lease(9, 1000, 50, 50);
    do {
        while (hear()->type != MESSAGE_RESULTS)
            ;
    } while (in.message->results.results[in.message->results.results_count - 1].attempt != 1000);
    assert_int_equal(in.message->results.results[in.message->results.results_count - 1].status, RESULT_OK);
    stop_worker();
    log_init("test", LOG_INFO, 2);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_lease_to_ack),
        STORY(test_results_are_offered_again),
        STORY(test_results_survive_a_restart),
        STORY(test_silence),
        STORY(test_silence_of_an_old_coordinator),
        STORY(test_unload),
        STORY(test_prefetch),
        STORY(test_draining_is_remembered),
        STORY(test_no_welcome),
        STORY(test_nonsense),
        STORY(test_job_of_another_content_replaces),
        STORY(test_onnx_fetched_and_mapped),
        STORY(test_model_that_is_not_what_was_asked_for),
        STORY(test_wrong_tensors),
        STORY(test_fetch_goes_on_after_a_break),
        STORY(test_emulated_member_with_a_link),
        STORY(test_input_changed_during_the_run),
        STORY(test_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
