// SPDX-License-Identifier: Apache-2.0
/* The coordinator's side of staying in touch: pulses, how often it wants to hear of a worker, and one that
 * was started again. */
#include "log.h"
#include "party.h"

enum { SAMPLES = 40 };

static const uint8_t BUILT_IN[SHA256_BYTES];

static void greet_worker(struct party *worker, const struct party_house *house, uint8_t uuid, uint64_t life)
{
    struct message_attempt *attempts = worker->attempts;
    uint32_t count = worker->attempts_count;
    memset(worker, 0, sizeof *worker);
    worker->attempts = attempts;
    worker->attempts_count = count;
    worker->life = life;
    party_connect(worker, house);
    assert_int_equal(party_offer(worker, "w", "cpu", 1000, uuid)->type, MESSAGE_WELCOME);
}

static void beat(struct party *worker, uint64_t sequence)
{
    struct message message = { .type = MESSAGE_HEARTBEAT };
    message.heartbeat.sequence = sequence;
    party_say(worker, &message, NULL, 0);
}

static void submit(struct party *client, uint32_t batch)
{
    struct message message = { .type = MESSAGE_SUBMIT };
    struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = (const uint8_t *)"0123456789abcdef",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = SAMPLES,
                                              .batch = batch,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .max_failures = UINT64_MAX };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static void drain(struct party *client)
{
    struct message message = { .type = MESSAGE_DRAIN };
    message.drain = (struct message_drain){ ++client->request, "w", false };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.number, 1);
}

/* ---- pulses ---- */

static bool anything_said(struct party *worker)
{
    zmq_pollitem_t item = { wire_socket(worker->wire), 0, ZMQ_POLLIN, 0 };
    return wire_receive(worker->wire, &worker->in) ||
           (zmq_poll(&item, 1, 10) > 0 && wire_receive(worker->wire, &worker->in));
}

/* Once half an interval has passed since the last word. */
static void a_heartbeat_is_answered(void **state)
{
    struct party worker = { 0 };
    greet_worker(&worker, *state, 1, 77);
    assert_true(worker.in.message->welcome.silence_ms >= 2 * PARTY_PATIENCE_S * 1000);
    party_prove(&worker);
    for (uint64_t sequence = 1, heard = 0; heard < 3; sequence++) {
        beat(&worker, sequence);
        assert_true(sequence < 10000);
        if (!anything_said(&worker))
            continue;
        assert_int_equal(worker.in.message->type, MESSAGE_PULSE);
        assert_true(worker.in.message->pulse.sequence <= sequence);
        heard++;
    }
    party_leave(&worker);
}

/* A process that does not say its life does not know the word. */
static void an_old_worker_hears_no_pulse(void **state)
{
    struct party worker = { 0 };
    greet_worker(&worker, *state, 1, 0);
    party_prove(&worker);
    for (uint64_t sequence = 1; sequence <= 30; sequence++) {
        beat(&worker, sequence);
        assert_false(anything_said(&worker));
    }
    party_leave(&worker);
}

/* ---- a fleet's heartbeats ---- */

enum { FLEET = 250 }; /* uuids are told by a byte */

static void a_large_fleet_beats_slower(void **state)
{
    const struct party_house *house = *state;
    static struct party workers[FLEET];
    uint32_t first_ms = 0, last_ms = 0;
    void *context = zmq_ctx_new();
    struct why why;
    for (uint32_t i = 0; i < FLEET; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].life = 1;
        assert_int_equal(wire_connect(context, house->url, NULL, &workers[i].wire, &why), ERR_OK);
        assert_int_equal(party_offer(&workers[i], "w", "cpu", 1000, (uint8_t)(1 + i))->type, MESSAGE_WELCOME);
        last_ms = workers[i].in.message->welcome.heartbeat_ms;
        first_ms = i == 0 ? last_ms : first_ms;
    }
    assert_int_equal(first_ms, house->config.heartbeat_ms);
    assert_true(last_ms > first_ms && last_ms <= 2 * first_ms);
    for (uint32_t i = 0; i < FLEET; i++)
        wire_free(&workers[i].wire);
    zmq_ctx_term(context);
}

/* ---- a worker that was started again ---- */

/* What was wanted of a process ends with it. */
static void a_drain_ends_with_the_process(void **state)
{
    const struct party_house *house = *state;
    struct party client, worker = { 0 };
    party_client(&client, house);
    greet_worker(&worker, house, 1, 77);
    party_prove(&worker);
    drain(&client);
    assert_true(party_await(&worker, MESSAGE_DRAINING)->draining.on);
    submit(&client, 0);
    party_leave(&worker);
    greet_worker(&worker, house, 1, 77); /* the same process on another connection */
    assert_true(party_expect(&worker, MESSAGE_DRAINING)->draining.on);
    party_leave(&worker);
    greet_worker(&worker, house, 1, 78);
    party_prove(&worker);
    party_await(&worker, MESSAGE_LOAD);
    yyjson_doc *doc = party_view(&client, "workers", "");
    yyjson_val *list = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_arr_size(list), 1);
    assert_false(yyjson_get_bool(yyjson_obj_get(yyjson_arr_get(list, 0), "draining")));
    yyjson_doc_free(doc);
    party_leave(&worker);
    party_leave(&client);
}

/* A finished attempt is not given to others while its result travels. */
static void what_is_finished_is_not_leased_again(void **state)
{
    const struct party_house *house = *state;
    struct party client, worker = { 0 }, other;
    struct party_lease kept;
    uint64_t answers[SAMPLES];
    party_client(&client, house);
    submit(&client, SAMPLES / 10);
    greet_worker(&worker, house, 1, 77);
    party_prove(&worker);
    party_await(&worker, MESSAGE_LOAD);
    party_loaded(&worker, BUILT_IN, true, "");
    party_keep(&kept, &party_await(&worker, MESSAGE_LEASES)->leases.leases[0]);
    party_leave(&worker);
    struct message_attempt attempt = { .job = kept.lease.job,
                                       .first = kept.lease.first,
                                       .count = kept.lease.count,
                                       .term = kept.lease.term,
                                       .attempt = kept.lease.attempt,
                                       .mac = kept.mac,
                                       .finished = true };
    worker.attempts = &attempt;
    worker.attempts_count = 1;
    greet_worker(&worker, house, 1, 78);
    party_prove(&worker);
    party_await(&worker, MESSAGE_LOAD); /* its HELLO was dealt with */
    party_worker(&other, house, "other", "cpu", 1000, 2);
    party_await(&other, MESSAGE_LOAD);
    party_loaded(&other, BUILT_IN, true, "");
    for (uint32_t done = 0; done + kept.lease.count < SAMPLES;) {
        const struct message *message = party_hear(&other);
        if (message->type != MESSAGE_LEASES)
            continue;
        struct party_lease leases[16];
        uint32_t count = message->leases.leases_count;
        assert_true(count <= 16);
        for (uint32_t i = 0; i < count; i++)
            party_keep(&leases[i], &message->leases.leases[i]);
        for (uint32_t i = 0; i < count; i++) {
            const struct message_lease *lease = &leases[i].lease;
            assert_true(lease->first + lease->count <= kept.lease.first ||
                        lease->first >= kept.lease.first + kept.lease.count);
            for (uint32_t k = 0; k < lease->count; k++)
                answers[k] = rng_mix64(lease->first + k);
            party_result(&other, lease, answers, 8 * lease->count, "");
            done += lease->count;
        }
    }
    for (uint32_t k = 0; k < kept.lease.count; k++)
        answers[k] = rng_mix64(kept.lease.first + k);
    party_result(&worker, &kept.lease, answers, 8 * kept.lease.count, "");
    party_await(&worker, MESSAGE_ACKS);
    party_leave(&other);
    party_leave(&worker);
    party_leave(&client);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_heartbeat_is_answered),
        STORY(an_old_worker_hears_no_pulse),
        STORY(a_large_fleet_beats_slower),
        STORY(a_drain_ends_with_the_process),
        STORY(what_is_finished_is_not_leased_again),
    };
    log_init("test_liveness", LOG_ERROR, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
