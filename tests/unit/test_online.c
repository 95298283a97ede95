// SPDX-License-Identifier: Apache-2.0
/* Online requests, and --verify, in whole dialogues: the coordinator's loop against clients and workers
 * written by hand. */
#include "bounds.h"
#include "online.h"
#include "party.h"

static const uint8_t built_in[SHA256_BYTES];

/* ---- the client's side ---- */

static struct message_tensor answer_tensor = { .name = "answer", .dtype = DTYPE_U64 };

static struct message question(struct party *client, uint32_t samples, uint64_t deadline_us)
{
    struct message message = { .type = MESSAGE_INFER };
    message.infer = (struct message_infer){ .request = ++client->request,
                                            .model = "synthetic",
                                            .format = "synthetic",
                                            .samples = samples,
                                            .outputs = &answer_tensor,
                                            .outputs_count = 1,
                                            .deadline_us = deadline_us };
    return message;
}

static void ask(struct party *client, uint32_t samples, uint64_t deadline_us)
{
    struct message message = question(client, samples, deadline_us);
    party_say(client, &message, NULL, 0);
}

static void expect_answer(struct party *client, uint32_t samples)
{
    const struct message_inferred *answer = &party_expect(client, MESSAGE_INFERRED)->inferred;
    assert_int_equal(answer->request, client->request);
    assert_int_equal(answer->shapes_count, 1);
    assert_int_equal(answer->shapes[0].dtype, DTYPE_U64);
    assert_true(answer->run_us <= 700); /* as the worker says, but never longer than it took */
    assert_true(answer->queue_us + answer->run_us <= answer->total_us + 1000);
    assert_int_equal(zmq_msg_size(&client->in.frames[0]), 8 * samples);
    const uint8_t *rows = zmq_msg_data(&client->in.frames[0]);
    for (uint32_t i = 0; i < samples; i++) {
        uint64_t row;
        memcpy(&row, rows + 8 * i, sizeof row);
        assert_int_equal(row, rng_mix64(i));
    }
}

static void expect_refusal(struct party *client, enum err code, const char *words)
{
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    assert_int_equal(reply->request, client->request);
    if (reply->code != code || !strstr(reply->text, words))
        fail_msg("%u: %s", reply->code, reply->text);
}

/* ---- the worker's side ---- */

static void answer(struct party *worker, const struct message_lease *lease, uint64_t lie)
{
    uint64_t rows[64];
    for (uint32_t i = 0; i < lease->count; i++)
        rows[i] = rng_mix64(lease->first + i) ^ lie;
    party_result(worker, lease, rows, lease->count * sizeof rows[0], "");
}

/* Serve until samples of online requests were answered. Their number. */
static uint64_t serve(struct party *worker, uint64_t samples)
{
    uint64_t job = 0;
    while (samples > 0) {
        const struct message *message = party_hear(worker);
        if (message->type == MESSAGE_LOAD)
            party_loaded(worker, built_in, true, "");
        for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count; i++) {
            struct party_lease kept;
            party_keep(&kept, &message->leases.leases[i]);
            job = kept.lease.job;
            samples -= kept.lease.count;
            answer(worker, &kept.lease, 0);
        }
    }
    return job;
}

/* ---- online ---- */

static void it_is_answered_and_forgotten(void **state)
{
    struct party client, worker;
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    ask(&client, 3, 0);
    uint64_t job = serve(&worker, 3);
    expect_answer(&client, 3);
    assert_true(online_is(job));
    assert_int_equal(party_await(&worker, MESSAGE_FORGET)->forget.jobs[0], job);
    ask(&client, 20, 5000000); /* more than one batch */
    uint64_t other = serve(&worker, 20);
    expect_answer(&client, 20);
    assert_true(online_is(other) && other != job);
    yyjson_doc *jobs = party_view(&client, "jobs", "");
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(jobs)), 0);
    yyjson_doc_free(jobs);
    party_leave(&worker);
    party_leave(&client);
}

static void upload(struct party *client, const char *bytes, uint8_t digest[SHA256_BYTES])
{
    sha256_bytes(bytes, strlen(bytes), digest);
    struct message message = { .type = MESSAGE_BLOB_PUT };
    message.blob_put =
        (struct message_blob_put){ .request = ++client->request, .blob = digest, .total = strlen(bytes) };
    struct wire_frame frame = { bytes, strlen(bytes), NULL, NULL };
    party_say(client, &message, &frame, 1);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static void fetch(struct party *worker, uint64_t job, uint64_t offset, uint32_t length, const char *wanted)
{
    struct message message = { .type = MESSAGE_FETCH };
    message.fetch = (struct message_fetch){
        .tag = offset + 1, .kind = FETCH_INPUT, .job = job, .offset = offset, .length = length
    };
    party_say(worker, &message, NULL, 0);
    const struct message_piece *piece = &party_await(worker, MESSAGE_PIECE)->piece;
    assert_int_equal(piece->tag, offset + 1);
    assert_int_equal(piece->ok, wanted != NULL);
    if (!wanted)
        return;
    assert_int_equal(zmq_msg_size(&worker->in.frames[0]), length);
    assert_memory_equal(zmq_msg_data(&worker->in.frames[0]), wanted, length);
    assert_int_equal(piece->total, 6);
}

static void its_rows_are_fetched_from_memory(void **state)
{
    struct party client, worker;
    struct party_lease kept;
    uint8_t model[SHA256_BYTES];
    int64_t three = 3;
    struct message_tensor input = { .name = "x", .dtype = DTYPE_U8, .dims = &three, .dims_count = 1 };
    struct wire_frame frame = { "abcdef", 6, NULL, NULL };
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    upload(&client, "a model, for all that the coordinator knows", model);
    struct message message = question(&client, 2, 0);
    message.infer.format = "onnx";
    message.infer.model_blob = model;
    message.infer.inputs = &input;
    message.infer.inputs_count = 1;
    party_say(&client, &message, &frame, 1);
    const struct message_job *job = party_await(&worker, MESSAGE_JOBS)->jobs.jobs;
    assert_int_equal(job->samples, 2);
    assert_string_equal(job->sources[0].path, "");
    party_await(&worker, MESSAGE_LOAD);
    party_loaded(&worker, model, true, "");
    party_next_lease(&worker, &kept);
    fetch(&worker, kept.lease.job, 0, 6, "abcdef");
    fetch(&worker, kept.lease.job, 3, 3, "def");
    fetch(&worker, kept.lease.job, 4, 3, NULL);
    fetch(&worker, kept.lease.job + 1, 0, 6, NULL);
    answer(&worker, &kept.lease, 0);
    for (uint64_t left = 2 - kept.lease.count; left; left--) { /* it may come in two chunks */
        party_next_lease(&worker, &kept);
        answer(&worker, &kept.lease, 0);
    }
    expect_answer(&client, 2);
    party_leave(&worker);
    party_leave(&client);
}

static void a_lost_worker_costs_nothing(void **state)
{
    struct party client, first, second;
    struct party_lease kept;
    party_client(&client, *state);
    party_worker(&first, *state, "first", "cpu", 0, 1);
    ask(&client, 1, 0);
    party_next_lease(&first, &kept);
    party_worker(&second, *state, "second", "cpu", 0, 2);
    party_leave(&first);
    serve(&second, 1);
    expect_answer(&client, 1);
    assert_string_equal(client.in.message->inferred.worker, "second");
    party_leave(&second);
    party_leave(&client);
}

static void its_time_passes(void **state)
{
    struct party client, worker;
    struct party_lease kept;
    party_client(&client, *state);
    ask(&client, 1, 20000);
    expect_refusal(&client, ERR_TIMEOUT, "no worker is here");
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    ask(&client, 1, 20000);
    party_next_lease(&worker, &kept);
    expect_refusal(&client, ERR_TIMEOUT, "on its way on w");
    answer(&worker, &kept.lease, 0); /* too late: nobody hears of it */
    ask(&client, 1, 0);
    serve(&worker, 1);
    expect_answer(&client, 1);
    party_leave(&worker);
    party_leave(&client);
}

static void what_cannot_be_in_time_is_refused_at_once(void **state)
{
    struct party client, worker;
    party_client(&client, *state);
    party_worker(&worker, *state, "slow", "cpu", 600e6, 1); /* ten minutes, it says of itself */
    yyjson_doc *workers = party_view(&client, "workers", "");
    while (!yyjson_arr_size(yyjson_obj_get(yyjson_arr_get_first(yyjson_doc_get_root(workers)), "slots"))) {
        yyjson_doc_free(workers);
        workers = party_view(&client, "workers", "");
    }
    yyjson_doc_free(workers);
    ask(&client, 1, 20000000); /* in vain, but only waited for if nobody thinks */
    expect_refusal(&client, ERR_TIMEOUT, "it would take about");
    party_leave(&worker);
    party_leave(&client);
}

/* Fail whatever is leased, until the client hears of it. */
static void fail_all(struct party *worker, struct party *client, const char *reason)
{
    zmq_pollitem_t items[] = { { wire_socket(client->wire), 0, ZMQ_POLLIN, 0 },
                               { wire_socket(worker->wire), 0, ZMQ_POLLIN, 0 } };
    for (int tries = 0; !items[0].revents && tries < 100;) {
        zmq_poll(items, 2, 100);
        while (wire_receive(worker->wire, &worker->in)) {
            const struct message *message = worker->in.message;
            if (message->type == MESSAGE_LOAD)
                party_loaded(worker, built_in, true, "");
            for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count;
                 i++, tries++) {
                struct party_lease kept;
                party_keep(&kept, &message->leases.leases[i]);
                party_result(worker, &kept.lease, NULL, 0, reason);
            }
        }
    }
}

static void poison_is_told(void **state)
{
    struct party client, worker;
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    ask(&client, 5, 0);
    fail_all(&worker, &client, "the sample is bad");
    expect_refusal(&client, ERR_RUNTIME, "the sample is bad");
    party_leave(&worker);
    party_leave(&client);
}

static void a_model_that_loads_nowhere_says_so(void **state)
{
    struct party client, worker;
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    ask(&client, 1, 0);
    party_await(&worker, MESSAGE_LOAD);
    party_loaded(&worker, built_in, false, "no such operator");
    expect_refusal(&client, ERR_RUNTIME, "no such operator");
    ask(&client, 1, 0); /* at once: nobody is left to try */
    expect_refusal(&client, ERR_RUNTIME, "no such operator");
    party_leave(&worker);
    party_leave(&client);
}

static void nonsense_is_refused(void **state)
{
    struct party client;
    int64_t three = 3, open = -1;
    uint8_t model[SHA256_BYTES] = { 1 };
    struct message_tensor input = { .name = "x", .dtype = DTYPE_U8, .dims = &three, .dims_count = 1 };
    struct message_tensor wide = { .name = "y", .dtype = DTYPE_F64, .dims = &three, .dims_count = 1 };
    struct wire_frame frame = { "abcde", 5, NULL, NULL };
    party_client(&client, *state);
    struct message message = question(&client, 1, 0);
    message.infer.format = "tarot";
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_UNSUPPORTED, "tarot");
    message = question(&client, 1, 0);
    message.infer.format = "onnx";
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_USAGE, "needs a model file");
    message = question(&client, 1, 0);
    message.infer.format = "onnx";
    message.infer.model_blob = model;
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_NOT_FOUND, "not uploaded");
    message = question(&client, 2, 0); /* 6 bytes were due */
    message.infer.inputs = &input;
    message.infer.inputs_count = 1;
    party_say(&client, &message, &frame, 1);
    expect_refusal(&client, ERR_FORMAT, "5 bytes came");
    input.dims = &open;
    message = question(&client, 2, 0);
    message.infer.inputs = &input;
    message.infer.inputs_count = 1;
    party_say(&client, &message, &frame, 1);
    expect_refusal(&client, ERR_FORMAT, "bytes came");
    three = 1000;
    message = question(&client, BATCH_MAX, 0);
    message.infer.outputs = &wide;
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_LIMIT, "submit a job");
    party_leave(&client);
}

/* What the wire does not send in one message is not promised. */
static void an_answer_fits_beside_a_body(void **state)
{
    struct party client;
    int64_t row = 64 << 20, rest = (64 << 20) - (2 << 20);
    struct message_tensor outputs[4];
    static const char *const names[] = { "a", "b", "c", "d" };
    for (int k = 0; k < 4; k++)
        outputs[k] = (struct message_tensor){ names[k], DTYPE_U8, k < 3 ? &row : &rest, 1 };
    party_client(&client, *state);
    struct message message = question(&client, 1, 20000);
    message.infer.outputs = outputs;
    message.infer.outputs_count = 4;
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_LIMIT, "submit a job");
    rest = (64 << 20) - BODY_BYTES_MAX;
    message = question(&client, 1, 20000);
    message.infer.outputs = outputs;
    message.infer.outputs_count = 4;
    party_say(&client, &message, NULL, 0);
    expect_refusal(&client, ERR_TIMEOUT, "no worker is here");
    party_leave(&client);
}

static void too_many_are_turned_away_and_the_gone_make_room(void **state)
{
    struct party crowds[2], client;
    for (int k = 0; k < 2; k++) {
        party_client(&crowds[k], *state);
        for (int i = 0; i < ONLINE_MAX / 2; i++)
            ask(&crowds[k], 1, 0);
        ask(&crowds[k], 1, 0); /* one alone does not take the others' half */
        expect_refusal(&crowds[k], ERR_FULL, "busy");
    }
    party_client(&client, *state);
    ask(&client, 1, 0);
    expect_refusal(&client, ERR_FULL, "are in flight, which is the most");
    party_leave(&client);
    party_leave(&crowds[0]);
    party_leave(&crowds[1]);
    party_client(&client, *state);
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    for (bool full = true; full;) {
        assert_true(clock_monotonic_us() < deadline); /* long before their own time is over */
        ask(&client, 1, 20000);
        const struct message_reply *reply = &party_expect(&client, MESSAGE_REPLY)->reply;
        full = reply->code == ERR_FULL;
        if (!full)
            assert_int_equal(reply->code, ERR_TIMEOUT);
    }
    party_leave(&client);
}

/* ---- beside a job ---- */

static struct message submission(struct party *client, uint64_t samples, uint32_t verify_ppm)
{
    static const uint8_t uuid[UUID_BYTES] = { 7 };
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = "mixing",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = samples,
                                              .outputs = &answer_tensor,
                                              .outputs_count = 1,
                                              .output_path = "",
                                              .max_failures = UINT64_MAX,
                                              .max_failures_share = 0.05,
                                              .verify_ppm = verify_ppm };
    return message;
}

/* Give back all that is asked back. */
static void give_back(struct party *worker, const struct message_recall *recall)
{
    uint64_t attempts[16];
    struct message message = { .type = MESSAGE_RETURNED };
    message.returned.attempts = attempts;
    for (uint32_t i = 0; i < recall->attempts_count && i < 16; i++)
        attempts[message.returned.attempts_count++] = recall->attempts[i];
    party_say(worker, &message, NULL, 0);
}

/* However much of the job waits, what waits in the slot's window is asked back, and the request goes first.
 */
static void it_goes_before_a_job(void **state)
{
    enum {
        WARM = 12,
        WINDOW = 8
    }; /* the most that a slot has in flight, where a trip takes longer than a batch */
    struct party client, worker;
    struct party_lease kept;
    uint64_t batches = 0;
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 1000, 1);
    struct message message = submission(&client, 100000, 0);
    message.submit.priority = 5;
    party_say(&client, &message, NULL, 0);
    assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.code, ERR_OK);
    for (int i = 0; i < WARM; i++) {
        party_next_lease(&worker, &kept);
        answer(&worker, &kept.lease, 0);
    }
    ask(&client, 1, 0);
    yyjson_doc_free(party_view(&client, "status", "")); /* so the question was heard */
    client.request--;
    for (bool done = false; !done;) {
        const struct message *heard = party_hear(&worker);
        if (heard->type == MESSAGE_RECALL)
            give_back(&worker, &heard->recall);
        for (uint32_t i = 0; heard->type == MESSAGE_LEASES && i < heard->leases.leases_count; i++) {
            party_keep(&kept, &heard->leases.leases[i]);
            done = done || online_is(kept.lease.job);
            batches += !online_is(kept.lease.job);
            answer(&worker, &kept.lease, 0);
        }
    }
    expect_answer(&client, 1);
    assert_true(batches <=
                2 * WINDOW); /* those that were on their way: a window full, and what was asked back */
    party_leave(&worker);
    party_leave(&client);
}

/* ---- verify ---- */

struct checked {
    uint64_t checked, unchecked, differing, pairs;
};

static struct checked read_verify(struct party *client)
{
    yyjson_doc *doc = party_view(client, "report", "last");
    yyjson_val *verify = yyjson_obj_get(yyjson_doc_get_root(doc), "verify"), *pair;
    yyjson_val *pairs = yyjson_obj_get(verify, "pairs");
    struct checked found = { yyjson_get_uint(yyjson_obj_get(verify, "samples_checked")),
                             yyjson_get_uint(yyjson_obj_get(verify, "samples_unchecked")), 0,
                             yyjson_arr_size(pairs) };
    size_t i, count;
    assert_true(yyjson_is_obj(verify));
    yyjson_arr_foreach(pairs, i, count, pair) found.differing +=
        yyjson_get_uint(yyjson_obj_get(pair, "differing"));
    yyjson_doc_free(doc);
    return found;
}

static bool is_over(struct party *client)
{
    yyjson_doc *doc = party_view(client, "job", "last");
    bool over = strcmp(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "state")), "done") == 0;
    yyjson_doc_free(doc);
    return over;
}

/* Serve as many workers as there are until the job is done; the second one lies about every sample. */
static void serve_job(struct party *client, struct party *workers, uint32_t count, uint64_t lie)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (!is_over(client)) {
        assert_true(clock_monotonic_us() < deadline);
        for (uint32_t w = 0; w < count; w++) {
            while (wire_receive(workers[w].wire, &workers[w].in)) {
                const struct message *message = workers[w].in.message;
                if (message->type == MESSAGE_LOAD)
                    party_loaded(&workers[w], built_in, true, "");
                for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count;
                     i++) {
                    struct party_lease kept;
                    party_keep(&kept, &message->leases.leases[i]);
                    answer(&workers[w], &kept.lease, w == 1 ? lie : 0);
                }
            }
        }
    }
}

static struct checked verify(void **state, const char *other_kind, uint64_t lie)
{
    struct party client, workers[2];
    party_client(&client, *state);
    party_worker(&workers[0], *state, "honest", "cpu", 0, 1);
    party_worker(&workers[1], *state, "other", other_kind, 0, 2);
    struct message message = submission(&client, 200, 500000);
    party_say(&client, &message, NULL, 0);
    assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.code, ERR_OK);
    serve_job(&client, workers, 2, lie);
    struct checked found = read_verify(&client);
    party_leave(&workers[0]);
    party_leave(&workers[1]);
    party_leave(&client);
    return found;
}

static void honest_devices_agree(void **state)
{
    struct checked found = verify(state, "gpu", 0);
    assert_in_range(found.checked, 80, 120);
    assert_int_equal(found.unchecked, 0);
    assert_int_equal(found.differing, 0);
    assert_in_range(found.pairs, 1, 2);
}

static void a_lying_device_is_seen(void **state)
{
    struct checked found = verify(state, "gpu", 1);
    assert_in_range(found.checked, 80, 120);
    assert_int_equal(found.differing, found.checked);
}

static void devices_of_one_kind_cannot_be_compared(void **state)
{
    struct checked found = verify(state, "cpu", 1);
    assert_int_equal(found.checked, 0);
    assert_in_range(found.unchecked, 80, 120);
    assert_int_equal(found.pairs, 0);
}

static void what_was_not_asked_for_is_null(void **state)
{
    struct party client, worker;
    party_client(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 0, 1);
    struct message message = submission(&client, 20, 0);
    party_say(&client, &message, NULL, 0);
    party_expect(&client, MESSAGE_REPLY);
    serve_job(&client, &worker, 1, 0);
    yyjson_doc *doc = party_view(&client, "report", "last");
    assert_true(yyjson_is_null(yyjson_obj_get(yyjson_doc_get_root(doc), "verify")));
    yyjson_doc_free(doc);
    party_leave(&worker);
    party_leave(&client);
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOUSE(it_is_answered_and_forgotten),
        WITH_HOUSE(its_rows_are_fetched_from_memory),
        WITH_HOUSE(a_lost_worker_costs_nothing),
        WITH_HOUSE(its_time_passes),
        WITH_HOUSE(what_cannot_be_in_time_is_refused_at_once),
        WITH_HOUSE(poison_is_told),
        WITH_HOUSE(a_model_that_loads_nowhere_says_so),
        WITH_HOUSE(nonsense_is_refused),
        WITH_HOUSE(an_answer_fits_beside_a_body),
        WITH_HOUSE(too_many_are_turned_away_and_the_gone_make_room),
        WITH_HOUSE(it_goes_before_a_job),
        WITH_HOUSE(honest_devices_agree),
        WITH_HOUSE(a_lying_device_is_seen),
        WITH_HOUSE(devices_of_one_kind_cannot_be_compared),
        WITH_HOUSE(what_was_not_asked_for_is_null),
    };
    return cmocka_run_group_tests_name("online", tests, NULL, NULL);
}
