// SPDX-License-Identifier: Apache-2.0
/* CHANGE in whole dialogues: another priority and deadline for open jobs, before and after a restart of the
 * coordinator. */
#include "bounds.h"
#include "jobs.h"
#include "party.h"
#include "random_message.h"

/* ---- the client's side ---- */

static void submit(struct party *client, const char *name, uint64_t samples, uint64_t deadline_us)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    uint8_t uuid[UUID_BYTES] = { (uint8_t)(client->request + 1), 1 };
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = name,
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = samples,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NONE,
                                              .max_failures = UINT64_MAX,
                                              .deadline_us = deadline_us };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static void ask(struct party *client, const char *which, uint32_t what, int32_t priority,
                uint64_t deadline_us)
{
    struct message message = { .type = MESSAGE_CHANGE };
    message.change = (struct message_change){ ++client->request, which, what, priority, deadline_us };
    party_say(client, &message, NULL, 0);
}

static uint64_t change(struct party *client, const char *which, uint32_t what, int32_t priority,
                       uint64_t deadline_us)
{
    ask(client, which, what, priority, deadline_us);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    assert_int_equal(reply->request, client->request);
    assert_int_equal(reply->code, ERR_OK);
    return reply->number;
}

static void cancel(struct party *client, const char *which)
{
    struct message message = { .type = MESSAGE_CANCEL };
    message.cancel = (struct message_cancel){ ++client->request, which };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.number, 1);
}

/* deadline: its text, yours to free; NULL = none. */
static int64_t look(struct party *client, const char *which, char **deadline)
{
    yyjson_doc *doc = party_view(client, "job", which);
    yyjson_val *job = yyjson_doc_get_root(doc);
    int64_t priority = yyjson_get_sint(yyjson_obj_get(job, "priority"));
    const char *text = yyjson_get_str(yyjson_obj_get(job, "deadline_at"));
    *deadline = text ? strdup(text) : NULL;
    yyjson_doc_free(doc);
    return priority;
}

static void expect_terms(struct party *client, const char *which, int64_t priority, const char *deadline)
{
    char *found;
    assert_int_equal(look(client, which, &found), priority);
    if (!deadline)
        assert_null(found);
    else
        assert_string_equal(found, deadline);
    free(found);
}

/* ---- tests ---- */

static void one_is_changed_and_the_other_stays(void **state)
{
    struct party client;
    char *deadline, *later;
    party_client(&client, *state);
    submit(&client, "a", 10, 3600000000);
    assert_int_equal(look(&client, "a", &deadline), 0);
    assert_int_equal(change(&client, "a", CHANGE_PRIORITY, -7, 0), 1);
    expect_terms(&client, "a", -7, deadline);
    assert_int_equal(change(&client, "1", CHANGE_DEADLINE, 5, 7200000000), 1);
    assert_int_equal(look(&client, "a", &later), -7);
    assert_true(strcmp(later, deadline) > 0);
    assert_int_equal(change(&client, "last", CHANGE_DEADLINE, 0, 0), 1);
    expect_terms(&client, "a", -7, NULL);
    assert_int_equal(change(&client, "last", CHANGE_ALL, INT32_MAX, TIME_US_MAX), 1);
    free(deadline);
    assert_int_equal(look(&client, "a", &deadline), INT32_MAX);
    assert_true(strcmp(deadline, later) > 0);
    free(deadline);
    free(later);
    party_leave(&client);
}

/* Not from when the job was accepted: the same again is later as soon as time has passed. */
static void it_counts_from_now(void **state)
{
    struct party client;
    char *deadline, *later;
    uint64_t until_us = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    party_client(&client, *state);
    submit(&client, "a", 10, 3600000000);
    look(&client, "a", &deadline);
    for (bool is_later = false; !is_later;) {
        assert_true(clock_monotonic_us() < until_us);
        assert_int_equal(change(&client, "a", CHANGE_DEADLINE, 0, 3600000000), 1);
        look(&client, "a", &later);
        is_later = strcmp(later, deadline) > 0;
        free(later);
    }
    free(deadline);
    party_leave(&client);
}

/* The second is made while the first is on its way to the disk, and must not undo it. */
static void two_at_once_both_count(void **state)
{
    struct party client;
    char *deadline;
    party_client(&client, *state);
    submit(&client, "a", 10, 0);
    for (int32_t i = 1; i <= 20; i++) {
        ask(&client, "a", CHANGE_PRIORITY, i, 0);
        ask(&client, "a", CHANGE_DEADLINE, 0, i % 2 ? 3600000000 : 0);
    }
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.request, client.request - 39 + i);
    expect_terms(&client, "a", 20, NULL);
    ask(&client, "a", CHANGE_DEADLINE, 0, 3600000000);
    ask(&client, "a", CHANGE_PRIORITY, 21, 0);
    party_expect(&client, MESSAGE_REPLY);
    party_expect(&client, MESSAGE_REPLY);
    assert_int_equal(look(&client, "a", &deadline), 21);
    assert_non_null(deadline);
    free(deadline);
    party_leave(&client);
}

static void it_outlives_the_coordinator(void **state)
{
    struct party client;
    char *deadline;
    party_client(&client, *state);
    submit(&client, "a", 10, 0);
    submit(&client, "b", 10, 3600000000);
    assert_int_equal(change(&client, "a", CHANGE_ALL, 5, 600000000), 1);
    assert_int_equal(change(&client, "b", CHANGE_ALL, 6, 0), 1);
    assert_int_equal(look(&client, "a", &deadline), 5);
    party_leave(&client);
    party_restart(*state);
    party_client(&client, *state);
    expect_terms(&client, "a", 5, deadline);
    expect_terms(&client, "b", 6, NULL);
    assert_int_equal(change(&client, "a", CHANGE_PRIORITY, 7, 0), 1);
    expect_terms(&client, "a", 7, deadline);
    free(deadline);
    party_leave(&client);
}

static void what_is_over_stays_as_it_is(void **state)
{
    struct party client;
    party_client(&client, *state);
    assert_int_equal(change(&client, "all", CHANGE_PRIORITY, 5, 0), 0);
    ask(&client, "nobody", CHANGE_PRIORITY, 5, 0);
    assert_int_equal(party_expect(&client, MESSAGE_REPLY)->reply.code, ERR_NOT_FOUND);
    submit(&client, "a", 10, 0);
    submit(&client, "b", 10, 0);
    submit(&client, "c", 10, 0);
    cancel(&client, "b");
    assert_int_equal(change(&client, "b", CHANGE_PRIORITY, 5, 0), 0);
    assert_int_equal(change(&client, "all", CHANGE_PRIORITY, 6, 0), 2);
    assert_int_equal(change(&client, "2-9", CHANGE_PRIORITY, 7, 0), 1);
    expect_terms(&client, "a", 6, NULL);
    expect_terms(&client, "b", 0, NULL);
    expect_terms(&client, "c", 7, NULL);
    party_leave(&client);
    party_restart(*state);
    party_client(&client, *state);
    assert_int_equal(change(&client, "b", CHANGE_PRIORITY, 5, 0), 0);
    assert_int_equal(change(&client, "all", CHANGE_PRIORITY, 8, 0), 2);
    expect_terms(&client, "b", 0, NULL);
    party_leave(&client);
}

static bool fits(struct party *client)
{
    yyjson_doc *doc = party_view(client, "job", "last");
    yyjson_val *value = yyjson_doc_ptr_get(doc, "/forecast/fits");
    assert_non_null(value);
    bool said = yyjson_get_bool(value);
    yyjson_doc_free(doc);
    return said;
}

/* It is the scheduler's: what was not changed must have stayed there too. */
static void the_forecast_follows(void **state)
{
    struct party client, worker;
    struct party_lease kept;
    party_client(&client, *state);
    submit(&client, "a", 1000, 3600000000);
    party_worker(&worker, *state, "w", "cpu", 1000, 1);
    party_next_lease(&worker, &kept);
    assert_true(fits(&client));
    assert_int_equal(change(&client, "a", CHANGE_PRIORITY, 5, 0), 1);
    assert_true(fits(&client));
    assert_int_equal(change(&client, "a", CHANGE_DEADLINE, 0, 1), 1);
    assert_false(fits(&client));
    assert_int_equal(change(&client, "a", CHANGE_PRIORITY, 6, 0), 1);
    assert_false(fits(&client));
    assert_int_equal(change(&client, "a", CHANGE_DEADLINE, 0, 3600000000), 1);
    assert_true(fits(&client));
    party_leave(&worker);
    party_leave(&client);
}

static void a_raised_job_goes_first(void **state)
{
    struct party client, worker;
    struct party_lease kept;
    party_client(&client, *state);
    submit(&client, "a", 1000, 0);
    submit(&client, "b", 1000, 0);
    assert_int_equal(change(&client, "b", CHANGE_PRIORITY, 5, 0), 1);
    party_worker(&worker, *state, "w", "cpu", 1000, 1);
    party_next_lease(&worker, &kept);
    assert_int_equal(kept.lease.job, 2);
    party_leave(&worker);
    party_leave(&client);
}

/* What the worker has not begun makes room for the job that was raised. */
static void it_asks_others_back(void **state)
{
    struct party client, worker;
    struct party_lease kept;
    party_client(&client, *state);
    submit(&client, "a", 100000, 0);
    submit(&client, "b", 100000, 0);
    party_worker(&worker, *state, "w", "cpu", 1000000, 1);
    party_next_lease(&worker, &kept);
    assert_int_equal(kept.lease.job, 1);
    assert_int_equal(change(&client, "b", CHANGE_PRIORITY, 5, 0), 1);
    party_await(&worker, MESSAGE_RECALL);
    party_leave(&worker);
    party_leave(&client);
}

/* Whatever a SUBMIT may hold: all but the two is kept to the byte. */
static void the_rest_is_kept(void **state)
{
    (void)state;
    struct random_message random = { .array_max = 3 };
    struct jobs *jobs = jobs_new(1000);
    struct decoder *decoder = decoder_new();
    const struct message *received;
    struct why why;
    size_t kept = 0, size;
    uint8_t *body, *spec;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct record *job;
        rng_init(&random.rng, seed);
        arena_init(&random.arena, 64 << 20);
        struct message *sent = random_message(&random, MESSAGE_SUBMIT);
        sent->submit.format = "synthetic";
        assert_int_equal(message_encode(sent, &body, &size), ERR_OK);
        assert_int_equal(decoder_decode(decoder, body, size, &received, &why), ERR_OK);
        const struct message_submit *submit = &received->submit;
        if (jobs_add(jobs, seed, submit, 1, &job, &why) == ERR_OK) {
            assert_int_equal(
                jobs_changed_spec(jobs, job, submit->priority, submit->deadline_us, &spec, &size), ERR_OK);
            assert_int_equal(size, job->spec_size);
            assert_memory_equal(spec, job->spec, size);
            free(spec);
            kept++;
        }
        free(body);
        arena_fini(&random.arena);
    }
    assert_true(kept > 50);
    decoder_free(&decoder);
    jobs_free(&jobs);
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOUSE(one_is_changed_and_the_other_stays),
        WITH_HOUSE(it_counts_from_now),
        WITH_HOUSE(two_at_once_both_count),
        WITH_HOUSE(it_outlives_the_coordinator),
        WITH_HOUSE(what_is_over_stays_as_it_is),
        WITH_HOUSE(the_forecast_follows),
        WITH_HOUSE(a_raised_job_goes_first),
        WITH_HOUSE(it_asks_others_back),
        cmocka_unit_test(the_rest_is_kept),
    };
    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
