// SPDX-License-Identifier: Apache-2.0
/* The coordinator's loop in a thread, against workers and clients written by hand: whole jobs without
 * motley-worker. */
#include "clock.h"
#include "file.h"
#include "keyed.h"
#include "loop.h"
#include "npy.h"
#include "rng.h"
#include "sha256.h"
#include "wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <yyjson.h>

#include <cmocka.h>

enum { PATIENCE_S = 30, HELD_MAX = 64, SAMPLES_MAX_HERE = 1024 };

/* Answers have two numbers a sample, but one in a lease that starts with sample 0. */
static bool varying;

/* Samples of the test's job that a worker has answered: they may not be leased again. */
static bool answered_once[SAMPLES_MAX_HERE];

/* ---- the coordinator ---- */

struct house {
    char dir[256], state[300], url[400];
    struct loop_config config;
    const char *urls[1];
    struct loop *loop;
    pthread_t thread;
    enum err ended;
};

static void *run(void *argument)
{
    struct house *house = argument;
    struct why why;
    house->ended = loop_run(house->loop, &why);
    return NULL;
}

static void open_house(struct house *house)
{
    struct why why = { "" };
    enum err err = loop_new(&house->config, &house->loop, &why);
    if (err)
        fail_msg("%s", why.text);
    assert_int_equal(pthread_create(&house->thread, NULL, run, house), 0);
}

static void close_house(struct house *house)
{
    loop_stop(house->loop);
    pthread_join(house->thread, NULL);
    assert_int_equal(house->ended, ERR_OK);
    loop_free(&house->loop);
}

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    memset(answered_once, 0, sizeof answered_once);
    varying = false;
    snprintf(house->dir, sizeof house->dir, "/tmp/motley-loop-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    snprintf(house->state, sizeof house->state, "%s/state", house->dir);
    assert_int_equal(file_make_dirs(house->state, 0700, NULL), ERR_OK);
    keyed_seed(house->state);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    house->urls[0] = house->url;
    house->config = (struct loop_config){ .state_dir = house->state,
                                          .urls = house->urls,
                                          .urls_count = 1,
                                          .heartbeat_ms = 100,
                                          .silence_us = (uint64_t)PATIENCE_S * 1000000 };
    open_house(house);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    if (house->loop)
        close_house(house);
    assert_int_equal(file_remove_tree(house->dir, NULL), ERR_OK);
    free(house);
    return 0;
}

/* ---- parties ---- */

struct party {
    void *context;
    struct wire *wire;
    struct wire_in in; /* the last message received */
    uint64_t request;
    uint8_t uuid[UUID_BYTES];
    const char *name;
    uint64_t term;
    bool draining; /* a worker: what its HELLO says */
    uint64_t memory_bytes;
    char proof_path[PATH_MAX_BYTES];
};

static void connect_party(struct party *party, const struct house *house)
{
    struct why why;
    party->context = zmq_ctx_new();
    if (wire_connect(party->context, house->url, NULL, &party->wire, &why))
        fail_msg("%s", why.text);
}

static void leave(struct party *party)
{
    wire_free(&party->wire);
    zmq_ctx_term(party->context);
}

/* The connection may not stand yet: a message is offered until it is taken. */
static void say(struct party *party, const struct message *message, const struct wire_frame *frames,
                uint32_t count)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    while (wire_send(party->wire, 0, message, frames, count)) {
        assert_true(clock_monotonic_us() < deadline);
        zmq_pollitem_t item = { wire_monitor_socket(party->wire), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 10);
        wire_peer lost;
        while (wire_lost(party->wire, &lost))
            continue;
    }
}

static const struct message *hear(struct party *party)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    while (!wire_receive(party->wire, &party->in)) {
        assert_true(clock_monotonic_us() < deadline);
        zmq_pollitem_t item = { wire_socket(party->wire), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 20);
    }
    if (!party->in.message)
        fail_msg("%s", party->in.why.text);
    return party->in.message;
}

static const struct message *expect(struct party *party, enum message_type type)
{
    const struct message *message = hear(party);
    if (message->type != type)
        fail_msg("%s where %s was expected: %s", message_name(message->type), message_name(type),
                 message->type == MESSAGE_REFUSED ? message->refused.text : "");
    return message;
}

/* ---- a client ---- */

static void greet_client(struct party *client, const struct house *house, bool same_host)
{
    char path[400], *nonce = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/nonce", house->state);
    assert_int_equal(file_read(path, 4096, &nonce, &size, NULL), ERR_OK);
    while (size && nonce[size - 1] == '\n')
        size--;
    connect_party(client, house);
    struct message message = { .type = MESSAGE_CLIENT_HELLO };
    message.client_hello = (struct message_client_hello){ .protocol_min = 1,
                                                          .protocol_max = 1,
                                                          .version = "test",
                                                          .nonce = (uint8_t *)nonce,
                                                          .nonce_size = same_host ? (uint32_t)size : 0 };
    say(client, &message, NULL, 0);
    assert_int_equal(expect(client, MESSAGE_CLIENT_WELCOME)->client_welcome.same_host, same_host);
    free(nonce);
}

static const struct message_reply *reply(struct party *client)
{
    const struct message_reply *answer = &expect(client, MESSAGE_REPLY)->reply;
    assert_int_equal(answer->request, client->request);
    return answer;
}

static int64_t answer_dims[1];

static struct message submission(uint64_t samples, const char *path, uint8_t uuid)
{
    static uint8_t uuids[256][UUID_BYTES];
    static struct message_tensor output;
    output =
        (struct message_tensor){ .name = "answer", .dtype = DTYPE_U64, .dims = answer_dims, .dims_count = 0 };
    memset(uuids[uuid], uuid, UUID_BYTES);
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .uuid = uuids[uuid],
                                              .name = "mixing",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = samples,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_path = path,
                                              .output_kind = *path ? OUTPUT_NPY : OUTPUT_NONE,
                                              .max_failures = UINT64_MAX,
                                              .max_failures_share = 0.05 };
    return message;
}

static const struct message_reply *submit(struct party *client, struct message *message)
{
    message->submit.request = ++client->request;
    say(client, message, NULL, 0);
    return reply(client);
}

/* A view as a document, yours to free; NULL and *err when refused. */
static yyjson_doc *view(struct party *client, const char *what, const char *which, enum err *err)
{
    struct message message = { .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .request = ++client->request, .what = what, .which = which };
    say(client, &message, NULL, 0);
    *err = (enum err)reply(client)->code;
    if (*err)
        return NULL;
    assert_int_equal(client->in.frames_count, 1);
    yyjson_doc *doc =
        yyjson_read(zmq_msg_data(&client->in.frames[0]), zmq_msg_size(&client->in.frames[0]), 0);
    assert_non_null(doc);
    return doc;
}

static bool job_says(struct party *client, const char *which, const char *key, const char *text)
{
    enum err err;
    yyjson_doc *doc = view(client, "job", which, &err);
    assert_non_null(doc);
    const char *value = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), key));
    bool same = value && strncmp(value, text, strlen(text)) == 0;
    yyjson_doc_free(doc);
    return same;
}

static void wait_until(struct party *client, const char *which, const char *key, const char *text)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    while (!job_says(client, which, key, text))
        assert_true(clock_monotonic_us() < deadline);
}

static uint64_t job_number(struct party *client, const char *which, const char *key)
{
    enum err err;
    yyjson_doc *doc = view(client, "report", which, &err);
    assert_non_null(doc);
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), key);
    assert_true(yyjson_is_uint(value));
    uint64_t number = yyjson_get_uint(value);
    yyjson_doc_free(doc);
    return number;
}

static void check_answers(const char *path, uint64_t samples, uint64_t zero_at)
{
    struct npy_array array;
    uint64_t bytes;
    int64_t mtime;
    struct why why;
    if (npy_open(path, &array, &bytes, &mtime, &why))
        fail_msg("%s", why.text);
    assert_int_equal(array.sample_count, samples);
    int fd = open(path, O_RDONLY);
    for (uint64_t i = 0; i < samples; i++) {
        uint64_t answer;
        assert_int_equal(pread(fd, &answer, 8, (off_t)(array.offset + 8 * i)), 8);
        assert_int_equal(answer, i == zero_at ? 0 : rng_mix64(i));
    }
    close(fd);
}

/* ---- a worker ---- */

static void hello(struct party *worker, struct message_attempt *attempts, uint32_t attempts_count)
{
    const char *formats[] = { "synthetic", "onnx" };
    struct message_device device = {
        .id = "cpu0",
        .kind = "cpu",
        .vendor = "ACME",
        .name = "Testing device",
        .uuid = "",
        .memory_total_bytes = worker->memory_bytes,
    };
    struct message_slot slot = { .slot = 0,
                                 .device = "cpu0",
                                 .runtime = "synthetic",
                                 .formats = formats,
                                 .formats_count = 2,
                                 .batch_max = 8,
                                 .window = 2,
                                 .idle_watts = -1,
                                 .busy_watts = -1,
                                 .price_per_hour = -1 };
    struct message message = { .type = MESSAGE_HELLO };
    message.hello = (struct message_hello){ .protocol_min = 1,
                                            .protocol_max = 1,
                                            .worker = worker->uuid,
                                            .name = worker->name,
                                            .host = "here",
                                            .version = "test",
                                            .pid = 1,
                                            .devices = &device,
                                            .devices_count = 1,
                                            .slots = &slot,
                                            .slots_count = 1,
                                            .attempts = attempts,
                                            .attempts_count = attempts_count,
                                            .draining = worker->draining };
    say(worker, &message, NULL, 0);
    const struct message_welcome *welcome = &expect(worker, MESSAGE_WELCOME)->welcome;
    worker->term = welcome->term;
    snprintf(worker->proof_path, sizeof worker->proof_path, "%s", welcome->proof_path);
}

static void prove(struct party *worker, bool shares)
{
    char *nonce;
    size_t size;
    assert_int_equal(file_read(worker->proof_path, 4096, &nonce, &size, NULL), ERR_OK);
    while (size && nonce[size - 1] == '\n')
        size--;
    struct message message = { .type = MESSAGE_PROOF };
    message.proof =
        (struct message_proof){ .nonce = (uint8_t *)nonce, .nonce_size = shares ? (uint32_t)size : 0 };
    say(worker, &message, NULL, 0);
    free(nonce);
}

static void join(struct party *worker, const struct house *house, const char *name, uint8_t uuid)
{
    memset(worker->uuid, uuid, UUID_BYTES);
    worker->name = name;
    connect_party(worker, house);
    hello(worker, NULL, 0);
    prove(worker, true);
}

static void say_loaded(struct party *worker, bool ok, const char *reason)
{
    uint8_t model[SHA256_BYTES] = { 0 };
    struct message message = { .type = MESSAGE_LOADED };
    message.loaded =
        (struct message_loaded){ .slot = 0, .model = model, .ok = ok, .reason = reason, .load_us = 1000 };
    say(worker, &message, NULL, 0);
}

/* What a worker remembers of a lease. */
struct held {
    struct message_lease lease;
    uint8_t mac[MAC_BYTES];
};

static void answer_lease(struct party *worker, const struct message_lease *lease, enum result_status status,
                         bool forged)
{
    uint64_t rows[2 * SAMPLES_MAX_HERE] = { 0 };
    int64_t numbers = lease->first ? 2 : 1;
    struct message_shape shape = { .dtype = DTYPE_U64, .dims = &numbers, .dims_count = 1 };
    uint8_t mac[MAC_BYTES];
    assert_true(lease->first + lease->count <= SAMPLES_MAX_HERE);
    for (uint32_t i = 0; i < lease->count; i++) {
        rows[i] = rng_mix64(lease->first + i);
        assert_false(answered_once[lease->first + i]);
        answered_once[lease->first + i] = status == RESULT_OK && !forged;
    }
    memcpy(mac, lease->mac, MAC_BYTES);
    mac[0] ^= forged;
    struct message_result result = { .slot = lease->slot,
                                     .job = lease->job,
                                     .first = lease->first,
                                     .count = lease->count,
                                     .term = lease->term,
                                     .attempt = lease->attempt,
                                     .mac = mac,
                                     .status = status,
                                     .reason = status ? "the test says so" : "",
                                     .wait_us = 5,
                                     .run_us = 100 + lease->count,
                                     .energy_joules = 0.5,
                                     .frames = status ? 0 : 1 };
    if (varying) {
        result.shapes = &shape;
        result.shapes_count = 1;
    }
    struct message message = { .type = MESSAGE_RESULTS };
    message.results = (struct message_results){ &result, 1 };
    size_t width = varying ? (size_t)numbers : 1;
    struct wire_frame frame = { rows, lease->count * width * sizeof rows[0], NULL, NULL };
    if (result.frames && frame.size > 0 && frame.size <= ROWS_MAX_BYTES &&
        lease->attempt % 2) { /* either way is right */
        result.rows = frame.bytes;
        result.rows_size = (uint32_t)frame.size;
        result.frames = 0;
    }
    say(worker, &message, &frame, result.frames);
}

/* Serve until `leases` leases were answered (0: until a FORGET). fail_at: the sample that every batch with it
 * fails for. */
static void work(struct party *worker, uint64_t leases, uint64_t fail_at)
{
    for (uint64_t answered = 0;;) {
        const struct message *message = hear(worker);
        if (message->type == MESSAGE_LOAD)
            say_loaded(worker, true, "");
        if (message->type == MESSAGE_FORGET)
            return;
        if (message->type != MESSAGE_LEASES)
            continue;
        for (uint32_t i = 0; i < message->leases.leases_count; i++, answered++) {
            const struct message_lease *lease = &message->leases.leases[i];
            bool poison = fail_at >= lease->first && fail_at < lease->first + lease->count;
            answer_lease(worker, lease, poison ? RESULT_FAILED : RESULT_OK, false);
        }
        if (leases && answered >= leases)
            return;
    }
}

/* ---- tests ---- */

static void a_whole_job(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(100, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    uint64_t job = client.in.message->reply.number;
    assert_int_equal(submit(&client, &message)->number, job); /* said twice, done once */
    assert_true(job_says(&client, "last", "waiting", "no worker"));
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    check_answers(path, 100, UINT64_MAX);
    assert_int_equal(job_number(&client, "mixing", "samples_done"), 100);
    assert_int_equal(job_number(&client, "mixing", "samples_failed"), 0);
    leave(&worker);
    leave(&client);
}

/* With room for one result at a time nothing is read while it waits for the disk, and still all of it gets
 * through. */
static void a_job_through_a_narrow_store(void **state)
{
    struct house *house = *state;
    close_house(house);
    house->config.backlog_max_bytes = 1;
    open_house(house);
    a_whole_job(state);
}

static void the_report_has_the_devices(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    greet_client(&client, house, true);
    struct message message = submission(50, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    for (int life = 0; life < 2; life++) {
        yyjson_doc *doc = view(&client, "report", "last", &err);
        yyjson_val *root = yyjson_doc_get_root(doc),
                   *device = yyjson_arr_get_first(yyjson_obj_get(root, "devices"));
        assert_string_equal(yyjson_get_str(yyjson_obj_get(device, "worker")), "w1");
        assert_int_equal(yyjson_get_uint(yyjson_obj_get(device, "samples")), 50);
        assert_true(yyjson_get_real(yyjson_obj_get(root, "energy_joules")) > 0);
        assert_true(yyjson_get_real(yyjson_obj_get(root, "makespan_seconds")) > 0);
        assert_true(yyjson_is_num(yyjson_obj_get(yyjson_obj_get(root, "latency_ms"), "p99")));
        yyjson_doc_free(doc);
        if (life)
            break;
        leave(&client);
        close_house(house); /* the report survives its coordinator */
        open_house(house);
        memset(&client, 0, sizeof client);
        greet_client(&client, house, true);
    }
    leave(&worker);
    leave(&client);
}

static void a_lost_worker_costs_nothing(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, first = { 0 }, second = { 0 };
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(60, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&first, house, "w1", 7);
    work(&first, 1, UINT64_MAX);
    leave(&first);
    join(&second, house, "w2", 8);
    work(&second, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    check_answers(path, 60, UINT64_MAX);
    leave(&second);
    leave(&client);
}

/* Take the next leases without answering them; with acked, until an acknowledgement came too, in whichever
 * order. */
static uint32_t collect(struct party *worker, struct held held[HELD_MAX], bool acked)
{
    uint32_t count = 0;
    while (!count || acked) {
        const struct message *message = hear(worker);
        if (message->type == MESSAGE_LOAD)
            say_loaded(worker, true, "");
        acked = acked && message->type != MESSAGE_ACKS;
        if (message->type != MESSAGE_LEASES)
            continue;
        count = message->leases.leases_count;
        for (uint32_t i = 0; i < count; i++) {
            held[i].lease = message->leases.leases[i];
            memcpy(held[i].mac, held[i].lease.mac, MAC_BYTES);
            held[i].lease.mac = held[i].mac;
        }
    }
    return count;
}

/* Answer what came until now, by asking for what there is not: what was leased and held must not come again.
 */
static void round_trip(struct party *worker)
{
    uint8_t model[SHA256_BYTES] = { 0xee };
    struct message message = { .type = MESSAGE_FETCH };
    message.fetch = (struct message_fetch){ .kind = FETCH_MODEL, .model = model, .length = 1 };
    say(worker, &message, NULL, 0);
    for (;;) {
        const struct message *heard = hear(worker);
        if (heard->type == MESSAGE_PIECE)
            return;
        if (heard->type == MESSAGE_LOAD)
            say_loaded(worker, true, "");
        for (uint32_t i = 0; heard->type == MESSAGE_LEASES && i < heard->leases.leases_count; i++)
            answer_lease(worker, &heard->leases.leases[i], RESULT_OK, false);
    }
}

/* The first 64 KiB of a file of a job's answer; "" and why not in *err. */
static const char *get_output(struct party *client, const char *file, enum err *err, size_t *size)
{
    static char bytes[65536 + 1];
    struct message message = { .type = MESSAGE_OUTPUT_GET };
    message.output_get = (struct message_output_get){
        .request = ++client->request, .job = 1, .file = file, .length = sizeof bytes - 1
    };
    say(client, &message, NULL, 0);
    *err = (enum err)reply(client)->code;
    *size = *err ? 0 : zmq_msg_size(&client->in.frames[0]);
    if (*size)
        memcpy(bytes, zmq_msg_data(&client->in.frames[0]), *size);
    bytes[*size] = 0;
    return bytes;
}

static void check_own_answer(struct party *client, const struct house *house, uint64_t zero_at)
{
    enum err err;
    size_t size;
    char copy[400];
    snprintf(copy, sizeof copy, "%s/copy.npy", house->dir);
    const char *bytes = get_output(client, "output.npy", &err, &size);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(file_replace(copy, bytes, size, 0600, NULL), ERR_OK);
    check_answers(copy, 40, zero_at);
}

static bool has_answer(struct party *client)
{
    enum err err;
    yyjson_doc *doc = view(client, "job", "last", &err);
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), "answer");
    assert_true(yyjson_is_bool(value));
    bool answer = yyjson_get_bool(value);
    yyjson_doc_free(doc);
    return answer;
}

static void restart(struct house *house, struct party *client)
{
    leave(client);
    close_house(house);
    open_house(house);
    memset(client, 0, sizeof *client);
    greet_client(client, house, true);
}

/* Whatever became of the file at the output's path, and of the coordinator: with the sample that failed. */
static void results_are_the_jobs_own(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    size_t size;
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    assert_false(has_answer(&client));
    get_output(&client, "output.npy", &err, &size);
    assert_int_equal(err, ERR_REFUSED);
    join(&worker, house, "w1", 7);
    work(&worker, 0, 13);
    wait_until(&client, "last", "state", "done");
    assert_int_equal(file_replace(path, "another's", 9, 0600, NULL), ERR_OK);
    for (int life = 0; life < 2; life++) {
        assert_true(has_answer(&client));
        if (life == 1) /* asked for first in a later life: which samples failed is known still */
            assert_non_null(strstr(get_output(&client, "output.jsonl", &err, &size), "{\"id\":\"14\""));
        if (life == 1)
            assert_null(strstr(get_output(&client, "output.jsonl", &err, &size), "{\"id\":\"13\""));
        check_own_answer(&client, house, 13);
        assert_non_null(strstr(get_output(&client, "output.errors.jsonl", &err, &size), "the test says so"));
        get_output(&client, "output.index.jsonl", &err, &size);
        assert_int_equal(err, ERR_NOT_FOUND); /* its samples have no names */
        get_output(&client, "output/answer.npy", &err, &size);
        assert_int_equal(err, ERR_OK);
        get_output(&client, "output/other.npy", &err, &size);
        assert_int_equal(err, ERR_NOT_FOUND);
        get_output(&client, "../journal.sqlite3", &err, &size);
        assert_int_equal(err, ERR_USAGE);
        if (life == 0)
            restart(house, &client);
        unlink(path);
    }
    leave(&worker);
    leave(&client);
}

/* All who ask while a part is being assembled get it. */
static void many_ask_at_once(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    greet_client(&client, house, true);
    struct message message = submission(40, "", 1);
    message.submit.output_kind = OUTPUT_NPY;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    static const char *const files[] = { "output.npy", "output/answer.npy", "output.npy", "output.jsonl" };
    uint64_t first = client.request + 1;
    for (int i = 0; i < 8; i++) {
        message = (struct message){ .type = MESSAGE_OUTPUT_GET };
        message.output_get = (struct message_output_get){
            .request = ++client.request, .job = 1, .file = files[i % 4], .length = 4096
        };
        say(&client, &message, NULL, 0);
    }
    bool answered[8] = { false };
    for (int i = 0; i < 8; i++) {
        const struct message_reply *answer = &expect(&client, MESSAGE_REPLY)->reply;
        assert_int_equal(answer->code, ERR_OK);
        assert_true(answer->request >= first && answer->request < first + 8);
        assert_false(answered[answer->request - first]);
        answered[answer->request - first] = true;
    }
    leave(&worker);
    leave(&client);
}

static void rows_that_vary_can_still_be_had(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    size_t size;
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    int64_t open[] = { -1 };
    struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64, .dims = open, .dims_count = 1 };
    message.submit.outputs = &output;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    varying = true;
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "failed");
    for (int life = 0; life < 2; life++) {
        assert_true(has_answer(&client));
        get_output(&client, "output.npy", &err, &size);
        assert_int_equal(err, ERR_NOT_FOUND);
        assert_non_null(strstr(get_output(&client, "output.jsonl", &err, &size), "{\"id\":\"39\""));
        if (life == 0)
            restart(house, &client);
    }
    leave(&worker);
    leave(&client);
}

/* Who asks for the forms in their order finds the one that was asked for at first. */
static void the_form_is_found_by_asking(void **state)
{
    struct house *house = *state;
    struct party client = { 0 };
    static const char *const files[] = { "output.npy", "output.jsonl", "output/answer.npy" };
    static const struct {
        enum output_kind kind;
        int first;
    } kinds[] = { { OUTPUT_NPY, 0 }, { OUTPUT_JSONL, 1 }, { OUTPUT_FOLDER, 2 } };
    enum err err;
    greet_client(&client, house, true);
    for (uint8_t i = 0; i < 3; i++) {
        struct message message = submission(0, "", (uint8_t)(i + 1));
        message.submit.output_kind = kinds[i].kind;
        assert_int_equal(submit(&client, &message)->code, ERR_OK);
        uint64_t job = client.in.message->reply.number;
        wait_until(&client, "last", "state", "done");
        for (int k = 0; k <= kinds[i].first; k++) {
            message = (struct message){ .type = MESSAGE_OUTPUT_GET };
            message.output_get = (struct message_output_get){
                .request = ++client.request, .job = job, .file = files[k], .length = 4096
            };
            say(&client, &message, NULL, 0);
            err = (enum err)reply(&client)->code;
            if (err != (k < kinds[i].first ? ERR_NOT_FOUND : ERR_OK))
                fail_msg("kind %d, %s: %d", (int)kinds[i].kind, files[k], (int)err);
        }
    }
    leave(&client);
}

static uint64_t cancel_all(struct party *client)
{
    struct message cancel = { .type = MESSAGE_CANCEL };
    cancel.cancel = (struct message_cancel){ .request = ++client->request, .which = "all" };
    say(client, &cancel, NULL, 0);
    return reply(client)->number;
}

static void a_job_that_waits_for_room_can_be_cancelled(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    char tiny[300], path[400];
    snprintf(tiny, sizeof tiny, "%s/tiny", house->dir);
    snprintf(path, sizeof path, "%s/answers.npy", tiny);
    assert_int_equal(file_make_dirs(tiny, 0700, NULL), ERR_OK);
    if (mount("tmpfs", tiny, "tmpfs", 0, "size=4k")) {
        print_message("skipped: no small disk can be mounted here\n");
        return;
    }
    greet_client(&client, house, true);
    struct message message = submission(1000, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "waiting", "disk full on /");
    assert_true(job_says(&client, "last", "waiting", "disk full on /"));
    assert_true(job_says(&client, "last", "state", "finishing"));
    yyjson_doc *doc = view(&client, "status", "", &err);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/coordinator/disk_full")), path);
    yyjson_doc_free(doc);
    assert_int_equal(cancel_all(&client), 1);
    assert_true(job_says(&client, "last", "state", "cancelled"));
    assert_false(has_answer(&client));
    doc = view(&client, "status", "", &err);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/coordinator/disk_full")));
    yyjson_doc_free(doc);
    assert_int_equal(umount2(tiny, MNT_DETACH), 0);
    message = submission(10, path, 2); /* the path is free again */
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    leave(&worker);
    leave(&client);
}

/* Another worker is quicker back after a restart than the one whose work is in hand: it must wait. */
static void work_in_hand_is_heard_first(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 }, other = { 0 };
    struct held held[HELD_MAX];
    greet_client(&client, house, true);
    struct message message = submission(40, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    uint32_t count = collect(&worker, held, false);
    close_house(house);
    leave(&worker);
    leave(&client);
    house->config.grace_us = (uint64_t)PATIENCE_S * 1000000;
    open_house(house);
    memset(&client, 0, sizeof client);
    greet_client(&client, house, true);
    join(&other, house, "w2", 8);
    for (int trip = 0; trip < 3; trip++)
        round_trip(&other); /* it would be answered, were it leased */
    assert_int_equal(job_number(&client, "last", "samples_done"), 0);
    struct message_attempt attempts[HELD_MAX];
    for (uint32_t i = 0; i < count; i++)
        attempts[i] = (struct message_attempt){ .job = held[i].lease.job,
                                                .first = held[i].lease.first,
                                                .count = held[i].lease.count,
                                                .term = held[i].lease.term,
                                                .attempt = held[i].lease.attempt,
                                                .slot = 0,
                                                .mac = held[i].mac };
    connect_party(&worker, house);
    hello(&worker, attempts, count);
    prove(&worker, true);
    work(&other, 1, UINT64_MAX); /* soon after, long before the time is up */
    for (uint32_t i = 0; i < count; i++)
        answer_lease(&worker, &held[i].lease, RESULT_OK, false);
    leave(&worker);
    work(&other, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    leave(&other);
    leave(&client);
}

static void nobody_comes_back(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    greet_client(&client, house, true);
    struct message message = submission(40, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    restart(house, &client);
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    leave(&worker);
    leave(&client);
}

/* A restart in the middle: what was acknowledged stays, what was leased is offered again and its result
 * taken. */
static void a_restart_in_the_middle(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    struct held held[HELD_MAX];
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 1, UINT64_MAX);
    collect(&worker, held, true);
    close_house(house);
    leave(&worker);
    leave(&client);
    open_house(house);
    memset(&client, 0, sizeof client);
    greet_client(&client, house, true);
    connect_party(&worker, house);
    struct message_attempt attempt = { .job = held[0].lease.job,
                                       .first = held[0].lease.first,
                                       .count = held[0].lease.count,
                                       .term = held[0].lease.term,
                                       .attempt = held[0].lease.attempt,
                                       .slot = 0,
                                       .mac = held[0].mac };
    uint64_t old_term = worker.term;
    hello(&worker, &attempt, 1);
    assert_true(worker.term > old_term);
    prove(&worker, true);
    for (int trip = 0; trip < 3; trip++)
        round_trip(&worker);
    answer_lease(&worker, &held[0].lease, RESULT_OK, false);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    check_answers(path, 40, UINT64_MAX);
    assert_int_equal(job_number(&client, "last", "duplicate_samples"), 0);
    leave(&worker);
    leave(&client);
}

static void a_poison_sample_is_set_apart(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    char path[300], errors[320];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    snprintf(errors, sizeof errors, "%s/answers.errors.jsonl", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 0, 13);
    wait_until(&client, "last", "state", "done");
    assert_int_equal(job_number(&client, "last", "samples_done"), 39);
    assert_int_equal(job_number(&client, "last", "samples_failed"), 1);
    check_answers(path, 40, 13);
    assert_int_equal(access(errors, F_OK), 0);
    leave(&worker);
    leave(&client);
}

static void too_many_failures_fail_the_job(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    size_t size;
    char path[300], errors[320], *text;
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    snprintf(errors, sizeof errors, "%s/answers.errors.jsonl", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    message.submit.max_failures = 0;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    work(&worker, 0, 13);
    wait_until(&client, "last", "state", "failed");
    assert_true(job_says(&client, "last", "reason", "1 sample failed"));
    assert_int_equal(file_read(errors, 4096, &text, &size, NULL), ERR_OK);
    assert_non_null(strstr(text, "{\"index\":13,"));
    free(text);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_false(has_answer(&client));
    get_output(&client, "output.npy", &err, &size);
    assert_int_equal(err, ERR_REFUSED);
    leave(&worker);
    leave(&client);
}

static void no_samples_are_done_at_once(void **state)
{
    struct house *house = *state;
    struct party client = { 0 };
    char path[300];
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    greet_client(&client, house, true);
    struct message message = submission(0, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    wait_until(&client, "last", "state", "done");
    check_answers(path, 0, UINT64_MAX);
    leave(&client);
}

static void an_output_that_cannot_be_written_fails_the_job(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    char folder[300], path[400];
    snprintf(folder, sizeof folder, "%s/out", house->dir);
    snprintf(path, sizeof path, "%s/answers.npy", folder);
    assert_int_equal(file_make_dirs(folder, 0700, NULL), ERR_OK);
    greet_client(&client, house, true);
    struct message message = submission(40, path, 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    assert_int_equal(rmdir(folder), 0); /* it was there when the job was accepted */
    join(&worker, house, "w1", 7);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "failed");
    assert_true(job_says(&client, "last", "reason", "the output cannot be written: "));
    assert_true(has_answer(&client));
    check_own_answer(&client, house, UINT64_MAX); /* what was computed is not lost */
    leave(&worker);
    leave(&client);
}

static void forged_results_do_not_count(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    struct held held[HELD_MAX];
    greet_client(&client, house, true);
    struct message message = submission(8, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    uint32_t count = collect(&worker, held, false);
    answer_lease(&worker, &held[0].lease, RESULT_OK, true);
    while (hear(&worker)->type != MESSAGE_ACKS)
        continue;
    assert_int_equal(job_number(&client, "last", "samples_done"), 0);
    for (uint32_t i = 0; i < count; i++)
        answer_lease(&worker, &held[i].lease, RESULT_OK, false);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    leave(&worker);
    leave(&client);
}

static void cancelled_jobs_end(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    struct held held[HELD_MAX];
    greet_client(&client, house, true);
    struct message message = submission(1000, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    collect(&worker, held, false);
    assert_int_equal(cancel_all(&client), 1);
    assert_true(job_says(&client, "last", "state", "cancelled"));
    while (hear(&worker)->type != MESSAGE_FORGET)
        continue;
    leave(&worker);
    leave(&client);
}

static void bad_submissions_are_refused(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, stranger = { 0 };
    char path[300], missing[300];
    enum err err;
    snprintf(path, sizeof path, "%s/answers.npy", house->dir);
    snprintf(missing, sizeof missing, "%s/no/such/folder/answers.npy", house->dir);
    greet_client(&client, house, true);
    greet_client(&stranger, house, false);
    struct message message = submission(10, path, 1);
    assert_int_equal(submit(&stranger, &message)->code, ERR_REFUSED); /* not on this host */
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    message = submission(10, path, 2);
    assert_int_equal(submit(&client, &message)->code, ERR_REFUSED); /* two jobs, one output */
    message = submission(10, missing, 3);
    assert_int_not_equal(submit(&client, &message)->code, ERR_OK);
    message = submission(10, "", 4);
    message.submit.name = "3-7";
    assert_int_equal(submit(&client, &message)->code, ERR_USAGE);
    message = submission(10, "", 5);
    message.submit.format = "onnx";
    assert_int_equal(submit(&client, &message)->code, ERR_USAGE);
    assert_null(view(&client, "job", "77", &err));
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_null(view(&client, "weather", "", &err));
    assert_int_equal(err, ERR_USAGE);
    leave(&stranger);
    leave(&client);
}

static enum err wish(struct party *client, uint8_t uuid, const char *require, const char *prefer,
                     const char *tenant)
{
    struct message message = submission(10, "", uuid);
    message.submit.require = require;
    message.submit.prefer = prefer;
    message.submit.tenant = tenant;
    return (enum err)submit(client, &message)->code;
}

static void wishes_that_cannot_be_are_refused(void **state)
{
    struct party client = { 0 };
    enum err err;
    greet_client(&client, *state, true);
    assert_int_equal(wish(&client, 1, "device.kind = gpu and device.kind = cpu", "", ""), ERR_USAGE);
    assert_non_null(strstr(client.in.message->reply.text, "device.kind = cpu"));
    assert_int_equal(wish(&client, 2, "device.knid = gpu", "", ""), ERR_USAGE);
    assert_int_equal(wish(&client, 3, "", "device.memory > red", ""), ERR_USAGE);
    assert_non_null(strstr(client.in.message->reply.text, "--prefer"));
    assert_int_equal(wish(&client, 4, "", "", "no spaces"), ERR_USAGE);
    assert_int_equal(wish(&client, 5, "", "device.kind = gpu and device.kind = cpu", "lab"), ERR_OK);
    yyjson_doc *doc = view(&client, "jobs", "", &err);
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 1);
    yyjson_doc_free(doc);
    leave(&client);
}

/* HELLO and PROOF are two messages. */
static void await_service(struct party *client, const char *worker)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    for (bool serves = false; !serves;) {
        enum err err;
        assert_true(clock_monotonic_us() < deadline);
        yyjson_doc *doc = view(client, "worker", worker, &err);
        serves = doc && yyjson_is_str(yyjson_doc_ptr_get(doc, "/storage"));
        yyjson_doc_free(doc);
    }
}

static void a_dry_run_submits_nothing(void **state)
{
    struct party client = { 0 }, worker = { 0 };
    enum err err;
    uint8_t blob[SHA256_BYTES] = { 9 };
    greet_client(&client, *state, true);
    join(&worker, *state, "w1", 7);
    await_service(&client, "w1");
    struct message message = submission(10, "", 1);
    message.submit.dry_run = true;
    message.submit.require = "device.vendor = acme";
    message.submit.deadline_us = 1000000;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    assert_int_equal(client.in.frames_count, 1);
    yyjson_doc *doc = yyjson_read(zmq_msg_data(&client.in.frames[0]), zmq_msg_size(&client.in.frames[0]), 0);
    assert_true(yyjson_is_true(yyjson_doc_ptr_get(doc, "/dry_run")));
    assert_int_equal(yyjson_get_uint(yyjson_doc_ptr_get(doc, "/slots_taking_part")), 1);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/forecast")));
    assert_true(yyjson_is_str(yyjson_doc_ptr_get(doc, "/deadline_at")));
    yyjson_doc_free(doc);
    message.submit.format = "onnx"; /* of a file that nobody uploaded */
    message.submit.model_blob = blob;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    message.submit.dry_run = false;
    assert_int_equal(submit(&client, &message)->code, ERR_NOT_FOUND);
    message = submission(10, "/no/such/folder/y.npy", 2);
    message.submit.dry_run = true;
    assert_int_not_equal(submit(&client, &message)->code, ERR_OK);
    assert_null(view(&client, "job", "last", &err));
    assert_int_equal(err, ERR_NOT_FOUND);
    leave(&worker);
    leave(&client);
}

static const struct message_reply *drain(struct party *client, const char *which, bool resume)
{
    struct message message = { .type = MESSAGE_DRAIN };
    message.drain = (struct message_drain){ ++client->request, which, resume };
    say(client, &message, NULL, 0);
    return reply(client);
}

/* The worker keeps the drain over the coordinator's restart; then it must not get a single lease. */
static void a_drained_worker_gets_nothing(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    greet_client(&client, house, true);
    join(&worker, house, "w1", 7);
    assert_int_equal(drain(&client, "w2", false)->code, ERR_NOT_FOUND);
    assert_int_equal(drain(&client, "w1", false)->number, 1);
    assert_true(expect(&worker, MESSAGE_DRAINING)->draining.on);
    assert_int_equal(drain(&client, "all", false)->number, 0); /* as it is already */
    struct message message = submission(20, "", 1);
    message.submit.deadline_us = 3600000000;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    wait_until(&client, "last", "waiting", "no slot can take it: 1 draining");
    leave(&worker);
    leave(&client);
    close_house(house);
    open_house(house);
    memset(&client, 0, sizeof client);
    memset(&worker, 0, sizeof worker);
    greet_client(&client, house, true);
    memset(worker.uuid, 7, UUID_BYTES);
    worker.name = "w1";
    worker.draining = true;
    connect_party(&worker, house);
    hello(&worker, NULL, 0);
    prove(&worker, true);
    wait_until(&client, "last", "waiting", "no slot can take it: 1 draining");
    assert_true(job_says(&client, "last", "deadline_at", "20"));
    assert_int_equal(drain(&client, "w1", true)->number, 1);
    assert_false(expect(&worker, MESSAGE_DRAINING)->draining.on); /* the first word since its WELCOME */
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    leave(&worker);
    leave(&client);
}

/* The coordinator's word stands against that of a worker which did not hear it. */
static void a_worker_that_was_away_is_told(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    greet_client(&client, house, true);
    join(&worker, house, "w1", 7);
    assert_int_equal(drain(&client, "w1", false)->number, 1);
    expect(&worker, MESSAGE_DRAINING);
    leave(&worker);
    assert_int_equal(drain(&client, "w1", true)->number, 1);
    memset(&worker, 0, sizeof worker);
    memset(worker.uuid, 7, UUID_BYTES);
    worker.name = "w1";
    worker.draining = true;
    connect_party(&worker, house);
    hello(&worker, NULL, 0);
    assert_false(expect(&worker, MESSAGE_DRAINING)->draining.on);
    leave(&worker);
    leave(&client);
}

static void tenants_are_configured(void **state)
{
    struct house *house = *state;
    struct party client = { 0 };
    enum err err;
    const char *tenants[] = { "lab=3:2" };
    close_house(house);
    house->config.tenants = tenants;
    house->config.tenants_count = 1;
    open_house(house);
    greet_client(&client, house, true);
    assert_int_equal(wish(&client, 1, "", "", "lab"), ERR_OK);
    yyjson_doc *doc = view(&client, "explain", "last", &err);
    assert_true(yyjson_get_real(yyjson_doc_ptr_get(doc, "/tenant_weight")) == 3);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/tenant")), "lab");
    yyjson_doc_free(doc);
    leave(&client);
    close_house(house);
    tenants[0] = "lab=heavy";
    struct why why;
    assert_int_equal(loop_new(&house->config, &house->loop, &why), ERR_USAGE);
    house->loop = NULL;
}

static void untimely_words_are_refused(void **state)
{
    struct house *house = *state;
    struct party peer = { 0 };
    connect_party(&peer, house);
    struct message message = { .type = MESSAGE_HEARTBEAT };
    say(&peer, &message, NULL, 0);
    assert_int_equal(expect(&peer, MESSAGE_REFUSED)->refused.code, ERR_REFUSED);
    message = (struct message){ .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .request = 1, .what = "status", .which = "" };
    say(&peer, &message, NULL, 0);
    expect(&peer, MESSAGE_REFUSED);
    leave(&peer);
}

static void a_new_session_ends_the_old(void **state)
{
    struct house *house = *state;
    struct party old = { 0 }, new = { 0 };
    join(&old, house, "w1", 7);
    join(&new, house, "w1", 7);
    struct message message = { .type = MESSAGE_HEARTBEAT };
    say(&old, &message, NULL, 0);
    assert_int_equal(expect(&old, MESSAGE_REFUSED)->refused.code, ERR_REFUSED);
    leave(&old);
    leave(&new);
}

static void a_model_that_loads_nowhere_says_so(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    greet_client(&client, house, true);
    struct message message = submission(10, "", 1);
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    join(&worker, house, "w1", 7);
    while (hear(&worker)->type != MESSAGE_LOAD)
        continue;
    assert_true(job_says(&client, "last", "waiting", "loading the model on 1 slot"));
    say_loaded(&worker, false, "operator Foo is unknown");
    wait_until(&client, "last", "waiting", "the model synthetic loads on no worker: operator Foo is unknown");
    enum err err;
    yyjson_doc *doc = view(&client, "events", "", &err);
    yyjson_val *last = yyjson_arr_get_last(yyjson_doc_get_root(doc));
    assert_string_equal(yyjson_get_str(yyjson_obj_get(last, "id")), "MODEL-REFUSED");
    assert_non_null(strstr(yyjson_get_str(yyjson_obj_get(last, "text")), "model synthetic: operator Foo"));
    yyjson_doc_free(doc);
    leave(&worker);
    leave(&client);
}

/* ---- bytes ---- */

static void put_blob(struct party *client, const void *bytes, size_t size, uint8_t digest[SHA256_BYTES])
{
    sha256_bytes(bytes, size, digest);
    struct message message = { .type = MESSAGE_BLOB_FIND };
    message.blob_find = (struct message_blob_find){ .request = ++client->request, .blob = digest };
    say(client, &message, NULL, 0);
    assert_int_equal(reply(client)->code, ERR_NOT_FOUND);
    message = (struct message){ .type = MESSAGE_BLOB_PUT };
    message.blob_put =
        (struct message_blob_put){ .request = ++client->request, .blob = digest, .offset = 0, .total = size };
    struct wire_frame frame = { bytes, size, NULL, NULL };
    say(client, &message, &frame, 1);
    assert_int_equal(reply(client)->number, size);
}

static void check_fetch(struct party *worker, const struct message_fetch *ask, const void *bytes,
                        uint64_t total)
{
    struct message message = { .type = MESSAGE_FETCH };
    message.fetch = *ask;
    say(worker, &message, NULL, 0);
    while (hear(worker)->type != MESSAGE_PIECE)
        continue;
    const struct message_piece *piece = &worker->in.message->piece;
    assert_int_equal(piece->tag, ask->tag);
    assert_int_equal(piece->ok, bytes != NULL);
    if (!bytes)
        return;
    assert_int_equal(piece->total, total);
    assert_int_equal(zmq_msg_size(&worker->in.frames[0]), ask->length);
    assert_memory_equal(zmq_msg_data(&worker->in.frames[0]), bytes, ask->length);
}

static void submit_with_model(struct party *client, uint8_t uuid, uint8_t *model, int32_t priority)
{
    struct message message = submission(200, "", uuid);
    message.submit.model = "m.onnx";
    message.submit.format = "onnx";
    message.submit.model_blob = model;
    message.submit.priority = priority;
    assert_int_equal(submit(client, &message)->code, ERR_OK);
}

/* Hear of type, answering leases and loads meanwhile, of the first job only: what comes of the second is not
 * run. */
static const struct message *work_until(struct party *worker, enum message_type type)
{
    uint8_t model[SHA256_BYTES];
    sha256_bytes("one", 3, model);
    for (;;) {
        const struct message *message = hear(worker);
        if (message->type == type)
            return message;
        struct message loaded = { .type = MESSAGE_LOADED };
        loaded.loaded = (struct message_loaded){ .model = model, .ok = true, .reason = "", .load_us = 1000 };
        if (message->type == MESSAGE_LOAD)
            say(worker, &loaded, NULL, 0);
        for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count; i++)
            answer_lease(worker, &message->leases.leases[i], RESULT_OK, false);
    }
}

/* The device has room for one model. A more urgent job needs another: that is fetched while the first still
 * runs, then the first must go. */
static void memory_is_made_free(void **state)
{
    struct party client = { 0 }, worker = { .memory_bytes = 5 };
    uint8_t one[SHA256_BYTES], two[SHA256_BYTES];
    greet_client(&client, *state, true);
    put_blob(&client, "one", 3, one);
    put_blob(&client, "two", 3, two);
    submit_with_model(&client, 1, one, 0);
    join(&worker, *state, "w1", 7);
    struct message_lease first = work_until(&worker, MESSAGE_LEASES)->leases.leases[0];
    uint8_t mac[MAC_BYTES];
    memcpy(mac, first.mac, sizeof mac);
    first.mac = mac;
    submit_with_model(&client, 2, two, 5);
    uint64_t second = client.in.message->reply.number;
    assert_int_equal(work_until(&worker, MESSAGE_PREFETCH)->prefetch.job, second);
    answer_lease(&worker, &first, RESULT_OK, false);
    const struct message_unload *unload = &work_until(&worker, MESSAGE_UNLOAD)->unload;
    assert_int_equal(unload->slot, 0);
    assert_memory_equal(unload->model, one, SHA256_BYTES);
    assert_int_equal(expect(&worker, MESSAGE_LOAD)->load.job, second);
    leave(&worker);
    leave(&client);
}

static bool has_event(struct party *client, const char *id)
{
    enum err err;
    size_t index, count;
    bool found = false;
    yyjson_val *event;
    yyjson_doc *doc = view(client, "events", "", &err);
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, event)
    {
        found = found || strcmp(yyjson_get_str(yyjson_obj_get(event, "id")), id) == 0;
    }
    yyjson_doc_free(doc);
    return found;
}

static void serve_what_came(struct party *worker, enum result_status status)
{
    while (wire_receive(worker->wire, &worker->in)) {
        const struct message *message = worker->in.message;
        if (message->type == MESSAGE_LOAD)
            say_loaded(worker, true, "");
        memset(answered_once, 0, sizeof answered_once); /* some are run by both */
        for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count; i++)
            answer_lease(worker, &message->leases.leases[i], status, false);
    }
}

/* On one worker everything fails that is good on the other: it gets nothing for a while, and then another
 * chance. */
static void a_bad_slot_is_barred(void **state)
{
    struct party client = { 0 }, bad = { 0 }, good = { 0 };
    greet_client(&client, *state, true);
    join(&bad, *state, "bad", 7);
    join(&good, *state, "good", 8);
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    for (uint8_t job = 1; !has_event(&client, "SLOT-BACK"); job++) {
        struct message message = submission(200, "", job);
        assert_int_equal(submit(&client, &message)->code, ERR_OK);
        while (!job_says(&client, "last", "state", "done")) {
            assert_true(clock_monotonic_us() < deadline);
            serve_what_came(&bad, RESULT_FAILED);
            serve_what_came(&good, RESULT_OK);
        }
    }
    assert_true(has_event(&client, "SLOT-BARRED"));
    leave(&good);
    leave(&bad);
    leave(&client);
}

/* A client and a worker that share nothing with the coordinator: model and input are uploaded, fetched, and
 * the output too. */
static void bytes_travel_where_nothing_is_shared(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { .name = "far", .uuid = { 9 } };
    float rows[6][2];
    uint8_t model[SHA256_BYTES], data[SHA256_BYTES];
    int64_t dims[] = { 2 };
    for (int i = 0; i < 12; i++)
        rows[i / 2][i % 2] = (float)i;
    greet_client(&client, house, false);
    put_blob(&client, "not really a model", 18, model);
    put_blob(&client, rows, sizeof rows, data);
    struct message_input input = {
        .tensor = { .name = "x", .dtype = DTYPE_F32, .dims = dims, .dims_count = 1 },
        .source = { .path = "", .row_bytes = 8 },
        .blob = data
    };
    struct message message = submission(6, "", 1);
    message.submit.format = "onnx";
    message.submit.model_blob = model;
    message.submit.inputs = &input;
    message.submit.inputs_count = 1;
    message.submit.output_kind = OUTPUT_NPY;
    assert_int_equal(submit(&client, &message)->code, ERR_OK);
    connect_party(&worker, house);
    hello(&worker, NULL, 0);
    prove(&worker, false);
    const struct message *jobs = expect(&worker, MESSAGE_JOBS);
    assert_string_equal(jobs->jobs.jobs[0].sources[0].path, "");
    assert_int_equal(jobs->jobs.jobs[0].model_bytes, 18);
    check_fetch(
        &worker,
        &(struct message_fetch){ .tag = 1, .kind = FETCH_MODEL, .model = model, .offset = 4, .length = 6 },
        "really", 18);
    check_fetch(
        &worker,
        &(struct message_fetch){ .tag = 2, .kind = FETCH_INPUT, .job = 1, .offset = 16, .length = 16 },
        rows[2], 48);
    check_fetch(
        &worker,
        &(struct message_fetch){ .tag = 3, .kind = FETCH_INPUT, .job = 1, .offset = 40, .length = 16 }, NULL,
        0);
    check_fetch(&worker, &(struct message_fetch){ .tag = 4, .kind = FETCH_MODEL, .model = data, .length = 8 },
                NULL, 0);
    struct message loaded = { .type = MESSAGE_LOADED };
    loaded.loaded = (struct message_loaded){ .model = model, .ok = true };
    say(&worker, &loaded, NULL, 0);
    work(&worker, 0, UINT64_MAX);
    wait_until(&client, "last", "state", "done");
    struct message get = { .type = MESSAGE_OUTPUT_GET };
    get.output_get = (struct message_output_get){
        .request = ++client.request, .job = 1, .file = "output.npy", .length = 4096
    };
    say(&client, &get, NULL, 0);
    const struct message_reply *answer = reply(&client);
    assert_int_equal(answer->code, ERR_OK);
    assert_int_equal(answer->number, zmq_msg_size(&client.in.frames[0]));
    uint64_t last;
    memcpy(&last, (char *)zmq_msg_data(&client.in.frames[0]) + answer->number - 8, 8);
    assert_int_equal(last, rng_mix64(5));
    leave(&worker);
    leave(&client);
}

static void models_are_kept(void **state)
{
    struct house *house = *state;
    struct party client = { 0 };
    uint8_t model[SHA256_BYTES];
    enum err err;
    greet_client(&client, house, false);
    put_blob(&client, "a model", 7, model);
    struct message message = { .type = MESSAGE_MODEL_ADD };
    message.model_add = (struct message_model_add){ .request = ++client.request,
                                                    .name = "digits",
                                                    .version = "1",
                                                    .format = "onnx",
                                                    .precision = "fp32",
                                                    .blob = model,
                                                    .bytes = 7 };
    say(&client, &message, NULL, 0);
    assert_int_equal(reply(&client)->code, ERR_OK);
    leave(&client);
    close_house(house);
    open_house(house);
    memset(&client, 0, sizeof client);
    greet_client(&client, house, false);
    yyjson_doc *doc = view(&client, "model", "digits", &err);
    assert_non_null(doc);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "bytes")), 7);
    yyjson_doc_free(doc);
    leave(&client);
}

static void odd_names_of_models_are_refused(void **state)
{
    struct house *house = *state;
    struct party client = { 0 };
    static const char *const names[][2] = { { "a b", "1" },       { "a/b", "1" }, { "a:b", "1" },
                                            { "synthetic", "1" }, { "", "1" },    { "-a", "1" },
                                            { "a", "x:y" },       { "a", "x y" } };
    uint8_t model[SHA256_BYTES];
    greet_client(&client, house, false);
    put_blob(&client, "a model", 7, model);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct message message = { .type = MESSAGE_MODEL_ADD };
        message.model_add = (struct message_model_add){ .request = ++client.request,
                                                        .name = names[i][0],
                                                        .version = names[i][1],
                                                        .format = "onnx",
                                                        .precision = "",
                                                        .blob = model,
                                                        .bytes = 7 };
        say(&client, &message, NULL, 0);
        if (reply(&client)->code != ERR_USAGE)
            fail_msg("model '%s' version '%s' was taken", names[i][0], names[i][1]);
    }
    leave(&client);
}

static void a_silent_worker_is_lost(void **state)
{
    struct house *house = *state;
    struct party client = { 0 }, worker = { 0 };
    close_house(house);
    house->config.silence_us = 300 * 1000;
    open_house(house);
    join(&worker, house, "w1", 7);
    greet_client(&client, house, true);
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PATIENCE_S * 1000000;
    for (bool lost = false; !lost;) {
        enum err err;
        assert_true(clock_monotonic_us() < deadline);
        yyjson_doc *doc = view(&client, "worker", "w1", &err);
        lost = strcmp(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "state")), "lost") == 0;
        yyjson_doc_free(doc);
    }
    struct message message = { .type = MESSAGE_HEARTBEAT };
    say(&worker, &message, NULL, 0);
    expect(&worker, MESSAGE_REFUSED);
    leave(&worker);
    leave(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_through_a_narrow_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_report_has_the_devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_worker_costs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restart_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_in_hand_is_heard_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(results_are_the_jobs_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_ask_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_that_vary_can_still_be_had, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_form_is_found_by_asking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_waits_for_room_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_poison_sample_is_set_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_failures_fail_the_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_samples_are_done_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_output_that_cannot_be_written_fails_the_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forged_results_do_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_jobs_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_submissions_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wishes_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_submits_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drained_worker_gets_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_was_away_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tenants_are_configured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(untimely_words_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_session_ends_the_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_that_loads_nowhere_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_made_free, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_slot_is_barred, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_travel_where_nothing_is_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_names_of_models_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_worker_is_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
