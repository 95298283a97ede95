// SPDX-License-Identifier: Apache-2.0
/* motley_infer with arrays in memory, against a real coordinator's loop and a worker written by hand that
 * answers each row with the sum of its two numbers. */
#include "motley.h"
#include "party.h"

#include <stdatomic.h>

static atomic_bool over;

enum { HELD_MAX = 64 };

/* The worker and the leases whose rows are on their way. */
struct adder {
    struct party party;
    struct party_lease held[HELD_MAX];
    uint32_t count;
};

static void fetch_rows(struct adder *adder, const struct message_lease *lease)
{
    struct message message = { .type = MESSAGE_FETCH };
    assert_true(adder->count < HELD_MAX);
    party_keep(&adder->held[adder->count++], lease);
    message.fetch = (struct message_fetch){ .tag = lease->attempt,
                                            .kind = FETCH_INPUT,
                                            .job = lease->job,
                                            .offset = lease->first * 8,
                                            .length = lease->count * 8 };
    party_say(&adder->party, &message, NULL, 0);
}

static void answer_piece(struct adder *adder, const struct message_piece *piece)
{
    float rows[64], sums[32];
    uint32_t at = 0;
    while (adder->held[at].lease.attempt != piece->tag)
        at++;
    struct party_lease held;
    party_keep(&held, &adder->held[at].lease);
    for (uint32_t i = at; i + 1 < adder->count; i++)
        party_keep(&adder->held[i], &adder->held[i + 1].lease);
    adder->count--;
    assert_true(piece->ok);
    memcpy(rows, zmq_msg_data(&adder->party.in.frames[0]), held.lease.count * 8);
    for (uint32_t i = 0; i < held.lease.count; i++)
        sums[i] = rows[2 * i] + rows[2 * i + 1];
    party_result(&adder->party, &held.lease, sums, held.lease.count * sizeof sums[0], "");
}

static void hear_one(struct adder *adder)
{
    const struct message *message = adder->party.in.message;
    uint8_t model[SHA256_BYTES];
    sha256_bytes("sums", 4, model);
    if (message->type == MESSAGE_LOAD)
        party_loaded(&adder->party, model, true, "");
    if (message->type == MESSAGE_PIECE)
        answer_piece(adder, &message->piece);
    for (uint32_t i = 0; message->type == MESSAGE_LEASES && i < message->leases.leases_count; i++)
        fetch_rows(adder, &message->leases.leases[i]);
}

static void *serve(void *argument)
{
    struct adder *adder = argument;
    while (!atomic_load(&over)) {
        zmq_pollitem_t item = { wire_socket(adder->party.wire), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 20);
        while (wire_receive(adder->party.wire, &adder->party.in))
            hear_one(adder);
    }
    return NULL;
}

/* A model "sums" that takes two numbers a sample and gives one. */
static void add_model(const struct party_house *house)
{
    struct party client;
    uint8_t digest[SHA256_BYTES];
    int64_t two = 2;
    struct message_tensor input = { .name = "x", .dtype = DTYPE_F32, .dims = &two, .dims_count = 1 };
    struct message_tensor output = { .name = "sum", .dtype = DTYPE_F32 };
    party_client(&client, house);
    sha256_bytes("sums", 4, digest);
    struct message message = { .type = MESSAGE_BLOB_PUT };
    struct wire_frame frame = { "sums", 4, NULL, NULL };
    message.blob_put = (struct message_blob_put){ .request = 1, .blob = digest, .total = 4 };
    party_say(&client, &message, &frame, 1);
    assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.code, ERR_OK);
    message = (struct message){ .type = MESSAGE_MODEL_ADD };
    message.model_add = (struct message_model_add){ .request = 2,
                                                    .name = "sums",
                                                    .version = "1",
                                                    .format = "onnx",
                                                    .precision = "fp32",
                                                    .blob = digest,
                                                    .bytes = 4,
                                                    .inputs = &input,
                                                    .inputs_count = 1,
                                                    .outputs = &output,
                                                    .outputs_count = 1 };
    party_say(&client, &message, NULL, 0);
    assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.code, ERR_OK);
    party_leave(&client);
}

static motley *connect_to(const struct party_house *house)
{
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    struct motley_error error;
    options.coordinator = house->url;
    motley *connection = motley_connect(&options, NULL, &error);
    if (!connection)
        fail_msg("%s", error.text);
    return connection;
}

static void expect_failure(motley *connection, const struct motley_infer *ask, int code, const char *words)
{
    struct motley_error error;
    struct motley_answer *answer = motley_infer(connection, ask, &error);
    assert_null(answer);
    if (error.code != code || !strstr(error.text, words))
        fail_msg("%d: %s", error.code, error.text);
}

static void arrays_are_answered(void **state)
{
    struct party_house *house = *state;
    struct adder adder = { .count = 0 };
    pthread_t thread;
    static const float rows[40] = { 1, 2, 3, 4, 5, 6 };
    struct motley_tensor input = { "x", "FP32", { 20, 2 }, 2, rows, sizeof rows };
    struct motley_infer ask = MOTLEY_INFER_INIT;
    struct motley_error error;
    add_model(house);
    party_worker(&adder.party, house, "w", "cpu", 0, 1);
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&thread, NULL, serve, &adder), 0);
    motley *connection = connect_to(house);
    ask.model = "sums";
    ask.inputs = &input;
    ask.inputs_count = 1;
    for (int i = 0; i < 3; i++) {
        struct motley_answer *answer = motley_infer(connection, &ask, &error);
        if (!answer)
            fail_msg("%s", error.text);
        const struct motley_tensor *output = answer->outputs;
        assert_int_equal(answer->samples, 20);
        assert_int_equal(answer->outputs_count, 1);
        assert_string_equal(output->name, "sum");
        assert_string_equal(output->datatype, "FP32");
        assert_int_equal(output->dims_count, 1);
        assert_int_equal(output->bytes, 20 * sizeof(float));
        const float *sums = output->data;
        assert_true(sums[0] == 3 && sums[1] == 7 && sums[2] == 11 && sums[3] == 0);
        assert_true(answer->total_ms > 0 && answer->run_ms <= 0.7 && answer->network_ms >= 0);
        assert_string_equal(answer->worker, "w");
        assert_null(answer->ids);
        motley_answer_free(&answer);
        assert_null(answer);
    }
    motley_close(&connection);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    party_leave(&adder.party);
}

static void what_cannot_be_asked_is_said_before(void **state)
{
    struct party_house *house = *state;
    static const float rows[4] = { 1, 2, 3, 4 };
    struct motley_tensor input = { "x", "FP32", { 2, 2 }, 2, rows, sizeof rows };
    struct motley_infer ask = MOTLEY_INFER_INIT;
    struct motley_answer *nothing = NULL;
    add_model(house);
    motley *connection = connect_to(house);
    expect_failure(connection, NULL, MOTLEY_USAGE, "MOTLEY_INFER_INIT");
    expect_failure(connection, &ask, MOTLEY_USAGE, "--model");
    ask.model = "nobody";
    expect_failure(connection, &ask, MOTLEY_NOT_FOUND, "nobody");
    ask.model = "sums";
    expect_failure(connection, &ask, MOTLEY_USAGE, "--input is missing");
    ask.inputs = &input;
    ask.inputs_count = 1;
    input.datatype = "FP99";
    expect_failure(connection, &ask, MOTLEY_USAGE, "FP99");
    input.datatype = "INT32";
    expect_failure(connection, &ask, MOTLEY_USAGE, "astype");
    input.datatype = "FP32";
    input.dims[1] = 3;
    expect_failure(connection, &ask, MOTLEY_USAGE, "wants");
    input.dims[1] = 2;
    input.bytes = 15;
    expect_failure(connection, &ask, MOTLEY_USAGE, "15 bytes");
    input.bytes = 16;
    input.dims[0] = 0;
    expect_failure(connection, &ask, MOTLEY_USAGE, "no samples");
    input.dims[0] = 1 << 25;
    expect_failure(connection, &ask, MOTLEY_USAGE, "motley submit");
    input.dims[0] = 2;
    input.dims_count = 0;
    expect_failure(connection, &ask, MOTLEY_USAGE, "dimensions");
    input.dims_count = 2;
    ask.deadline_seconds = -1;
    expect_failure(connection, &ask, MOTLEY_USAGE, "--deadline");
    ask.deadline_seconds = 0.02; /* nobody is there */
    expect_failure(connection, &ask, MOTLEY_TIMEOUT, "no worker is here");
    ask.samples = 3;
    expect_failure(connection, &ask, MOTLEY_USAGE, "--samples");
    motley_answer_free(&nothing);
    motley_answer_free(NULL);
    motley_close(&connection);
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOUSE(arrays_are_answered),
        WITH_HOUSE(what_cannot_be_asked_is_said_before),
    };
    return cmocka_run_group_tests_name("infer", tests, NULL, NULL);
}
