// SPDX-License-Identifier: Apache-2.0
/* RETRY in whole dialogues: what failed or was never run is run again, and nothing else is. */
#include "npy.h"
#include "party.h"
#include "publication.h"
#include "retry.h"

#include "coordinator_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { SAMPLES = 40 };

static const uint8_t built_in[SHA256_BYTES];
static unsigned leased[SAMPLES]; /* how often each sample was since the test looked */

/* ---- a publication that is held where its answer is synced ---- */

enum { FREE, HOLD, HELD };
static atomic_int gate, sync_error;

static bool is_answer(int fd)
{
    char name[64], path[1024];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return strstr(path, "y.npy") && !strstr(path, "/state/");
}

__attribute__((visibility("default"))) int fsync(int fd);
__attribute__((visibility("default"))) int fsync(int fd)
{
    int hold = HOLD;
    if (atomic_load(&gate) == FREE || !is_answer(fd) || !atomic_compare_exchange_strong(&gate, &hold, HELD))
        return (int)syscall(SYS_fsync, fd);
    while (atomic_load(&gate) == HELD)
        zmq_poll(NULL, 0, 1);
    errno = atomic_exchange(&sync_error, 0);
    return errno ? -1 : (int)syscall(SYS_fsync, fd);
}

/* ---- parties ---- */

/* A client on the coordinator's host, that may name paths. */
static void greet(struct party *client, const struct party_house *house)
{
    char path[700], *nonce;
    size_t size;
    struct message message = { .type = MESSAGE_CLIENT_HELLO };
    memset(client, 0, sizeof *client);
    party_connect(client, house);
    snprintf(path, sizeof path, "%s/nonce", house->state);
    assert_int_equal(file_read(path, 1000, &nonce, &size, NULL), ERR_OK);
    message.client_hello = (struct message_client_hello){ .protocol_min = 1,
                                                          .protocol_max = 1,
                                                          .version = "test",
                                                          .nonce = (const uint8_t *)nonce,
                                                          .nonce_size = (uint32_t)size };
    party_say(client, &message, NULL, 0);
    assert_true(party_expect(client, MESSAGE_CLIENT_WELCOME)->client_welcome.same_host);
    free(nonce);
}

static void submit(struct party *client, const struct party_house *house)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    static char path[700];
    uint8_t uuid[UUID_BYTES] = { 1 };
    struct message message = { .type = MESSAGE_SUBMIT };
    snprintf(path, sizeof path, "%s/y.npy", house->dir);
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = "job",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = SAMPLES,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_path = path,
                                              .output_kind = OUTPUT_NPY,
                                              .batch = 1,
                                              .max_failures = SAMPLES };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static enum err order(struct party *client, enum message_type type, uint64_t *number)
{
    struct message message = { .type = type };
    if (type == MESSAGE_CANCEL)
        message.cancel = (struct message_cancel){ ++client->request, "1" };
    else if (type == MESSAGE_REMOVE)
        message.remove = (struct message_remove){ ++client->request, REMOVE_JOBS, "1" };
    else
        message.retry = (struct message_retry){ ++client->request, "1" };
    party_say(client, &message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    *number = reply->number;
    return (enum err)reply->code;
}

static void expect_order(struct party *client, enum message_type type)
{
    uint64_t number;
    assert_int_equal(order(client, type, &number), ERR_OK);
    assert_int_equal(number, 1);
}

static uint64_t figure(struct party *client, const char *key)
{
    yyjson_doc *doc = party_view(client, "job", "1");
    uint64_t value = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), key));
    yyjson_doc_free(doc);
    return value;
}

static bool is(struct party *client, const char *state)
{
    yyjson_doc *doc = party_view(client, "job", "1");
    bool same = strcmp(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "state")), state) == 0;
    yyjson_doc_free(doc);
    return same;
}

static void answer(struct party *worker, const struct message_lease *lease, bool fails)
{
    uint64_t row = rng_mix64(lease->first);
    leased[lease->first]++;
    party_result(worker, lease, fails ? NULL : &row, sizeof row, fails ? "the test says so" : "");
}

static bool is_over(struct party *client)
{
    return is(client, "done") || is(client, "failed") ||
           (atomic_load(&gate) != FREE && is(client, "finishing"));
}

/* Answer what is leased until the job is over, or so many samples were. Sample `failing` fails. */
static void work(struct party *worker, struct party *client, uint64_t failing, unsigned most)
{
    struct party_lease kept[64];
    unsigned count = 0;
    while (count < most && !is_over(client)) {
        if (!wire_receive(worker->wire, &worker->in))
            continue;
        const struct message *message = worker->in.message;
        assert_non_null(message);
        if (message->type == MESSAGE_LOAD)
            party_loaded(worker, built_in, true, "");
        uint32_t leases = message->type == MESSAGE_LEASES ? message->leases.leases_count : 0;
        assert_true(leases <= 64);
        for (uint32_t i = 0; i < leases; i++)
            party_keep(&kept[i], &message->leases.leases[i]);
        for (uint32_t i = 0; i < leases && count < most; i++, count++)
            answer(worker, &kept[i].lease, kept[i].lease.first == failing);
    }
}

/* The answer as a client gets it. */
static void expect_answer(struct party *client, uint64_t zero)
{
    struct message message = { .type = MESSAGE_OUTPUT_GET };
    uint64_t rows[SAMPLES];
    message.output_get = (struct message_output_get){ ++client->request, 1, "output.npy", 0, 4096 };
    party_say(client, &message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    if (reply->code)
        fail_msg("%s", reply->text);
    size_t size = zmq_msg_size(&client->in.frames[0]);
    assert_true(size > sizeof rows);
    memcpy(rows, (const char *)zmq_msg_data(&client->in.frames[0]) + size - sizeof rows, sizeof rows);
    for (uint64_t i = 0; i < SAMPLES; i++)
        assert_int_equal(rows[i], i == zero ? 0 : rng_mix64(i));
}

static void what_failed_is_run_again_and_nothing_else(void **state)
{
    struct party client, worker;
    uint64_t number;
    greet(&client, *state);
    submit(&client, *state);
    assert_int_equal(order(&client, MESSAGE_RETRY, &number), ERR_REFUSED); /* it is not over */
    party_worker(&worker, *state, "w", "cpu", 1000, 1);
    work(&worker, &client, 7, UINT32_MAX);
    assert_int_equal(figure(&client, "samples_failed"), 1);
    expect_answer(&client, 7);
    memset(leased, 0, sizeof leased);
    expect_order(&client, MESSAGE_RETRY);
    assert_int_equal(figure(&client, "samples_done"), SAMPLES - 1);
    assert_int_equal(order(&client, MESSAGE_REMOVE, &number), ERR_REFUSED);
    work(&worker, &client, UINT64_MAX, UINT32_MAX);
    for (unsigned i = 0; i < SAMPLES; i++)
        assert_int_equal(leased[i] > 0, i == 7);
    assert_int_equal(figure(&client, "samples_failed"), 0);
    assert_int_equal(figure(&client, "samples_done"), SAMPLES);
    expect_answer(&client, UINT64_MAX);
    assert_int_equal(order(&client, MESSAGE_RETRY, &number), ERR_REFUSED); /* nothing is left */
    party_leave(&worker);
    party_leave(&client);
    party_restart(*state);
    greet(&client, *state);
    assert_int_equal(figure(&client, "samples_failed"), 0);
    assert_int_equal(figure(&client, "samples_done"), SAMPLES);
    party_leave(&client);
}

/* The rest of a job that was cancelled, over restarts before and after. */
static void a_cancelled_job_goes_on_where_it_was(void **state)
{
    struct party_house *house = *state;
    struct party client, worker;
    greet(&client, house);
    submit(&client, house);
    party_worker(&worker, house, "w", "cpu", 1000, 1);
    memset(leased, 0, sizeof leased);
    work(&worker, &client, UINT64_MAX, 10);
    while (figure(&client, "samples_done") < 10)
        continue;
    expect_order(&client, MESSAGE_CANCEL);
    party_leave(&worker);
    party_leave(&client);
    party_restart(house);
    greet(&client, house);
    assert_true(is(&client, "cancelled"));
    expect_order(&client, MESSAGE_RETRY);
    party_leave(&client);
    party_restart(house);
    greet(&client, house);
    assert_int_equal(figure(&client, "samples_done"), 10);
    party_worker(&worker, house, "w", "cpu", 1000, 1);
    work(&worker, &client, UINT64_MAX, UINT32_MAX);
    for (unsigned i = 0; i < SAMPLES; i++)
        assert_true(leased[i] >= 1);
    assert_true(is(&client, "done"));
    expect_answer(&client, UINT64_MAX);
    party_leave(&worker);
    party_leave(&client);
}

/* Its answer is fetched between: what was set aside last time may not be gone yet. */
static void a_job_is_retried_as_often_as_wanted(void **state)
{
    struct party client, worker;
    greet(&client, *state);
    submit(&client, *state);
    party_worker(&worker, *state, "w", "cpu", 1000, 1);
    work(&worker, &client, 7, UINT32_MAX);
    for (int i = 0; i < 4; i++) {
        expect_answer(&client, 7);
        expect_order(&client, MESSAGE_RETRY);
        work(&worker, &client, 7, UINT32_MAX);
        assert_true(is(&client, "done"));
    }
    party_leave(&worker);
    party_leave(&client);
}

/* The publication that was cancelled ends, in each of the ways that it can, when its job is open again. */
static void a_cancelled_publication_is_not_the_next_ones(void **state)
{
    static const int codes[] = { 0, ENOSPC, EIO };
    struct party_house *house = *state;
    struct party client, worker;
    uint64_t number;
    greet(&client, house);
    submit(&client, house);
    party_worker(&worker, house, "w", "cpu", 1000, 1);
    atomic_store(&gate, HOLD);
    work(&worker, &client, 7, UINT32_MAX);
    for (size_t i = 0; i < 3; i++) {
        while (atomic_load(&gate) != HELD)
            assert_true(is(&client, "finishing"));
        expect_order(&client, MESSAGE_CANCEL);
        expect_order(&client, MESSAGE_RETRY); /* of sample 7 */
        work(&worker, &client, i < 2 ? 7 : UINT64_MAX, UINT32_MAX);
        assert_true(is(&client, "finishing"));
        atomic_store(&sync_error, codes[i]);
        atomic_store(&gate, i < 2 ? HOLD : FREE);
    }
    work(&worker, &client, UINT64_MAX, UINT32_MAX);
    assert_true(is(&client, "done"));
    assert_int_equal(figure(&client, "samples_done"), SAMPLES);
    expect_answer(&client, UINT64_MAX);
    assert_int_equal(order(&client, MESSAGE_RETRY, &number), ERR_REFUSED);
    party_leave(&worker);
    party_leave(&client);
}

/* Those that are being opened again take room, and their outputs, as if they were open. */
static void retries_that_wait_count_as_open(void **state)
{
    (void)state;
    struct coordinator coordinator = { .jobs = jobs_new(1) };
    struct record *records[2];
    struct why why;
    for (int i = 0; i < 2; i++) {
        struct message_submit submit_ = fixture_submit((uint8_t)(i + 1), "job", 8);
        assert_int_equal(jobs_add(coordinator.jobs, (uint64_t)i + 1, &submit_, 1, &records[i], NULL), ERR_OK);
        records[i]->state = RECORD_CANCELLED;
    }
    assert_int_equal(retry_check(&coordinator, records[1], &why), ERR_OK);
    records[0]->retrying = true;
    jobs_reopened(coordinator.jobs);
    assert_int_equal(retry_check(&coordinator, records[0], &why), ERR_OK); /* it is on its way */
    assert_int_equal(retry_check(&coordinator, records[1], &why), ERR_FULL);
    jobs_free(&coordinator.jobs);
}

static void late_words_of_a_publication_change_nothing(void **state)
{
    (void)state;
    static const enum err errs[] = { ERR_OK, ERR_REFUSED, ERR_FULL, ERR_SYSTEM };
    static const enum record_state states[] = { RECORD_QUEUED, RECORD_RUNNING, RECORD_FINISHING };
    struct coordinator coordinator = { .jobs = jobs_new(1), .now_us = 5 };
    struct message_submit submit_ = fixture_submit(1, "job", 8);
    struct clerk_command late = { .tag = 1 }, current = { .tag = 1 };
    struct record *record;
    assert_int_equal(jobs_add(coordinator.jobs, 1, &submit_, 1, &record, NULL), ERR_OK);
    for (size_t i = 0; i < 12; i++) {
        struct clerk_event event = { .command = &late, .err = errs[i % 4], .why = { "/full: no room" } };
        record->state = states[i / 4];
        record->publishing = i / 4 == 2 ? &current : NULL;
        publication_ended(&coordinator, &event);
        assert_int_equal(record->state, states[i / 4]);
        assert_int_equal(record->closing, RECORD_STORING);
        assert_ptr_equal(record->publishing, i / 4 == 2 ? &current : NULL);
        assert_int_equal(record->publish_again_us, 0);
        assert_null(record->full);
    }
    record->publish_again_us = 1;
    record->full = strdup("/full");
    record_reopen(record);
    assert_null(record->publishing);
    assert_null(record->full);
    assert_int_equal(record->publish_again_us, 0);
    jobs_free(&coordinator.jobs);
}

#define DIALOGUE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALOGUE(what_failed_is_run_again_and_nothing_else),
        DIALOGUE(a_cancelled_job_goes_on_where_it_was),
        DIALOGUE(a_job_is_retried_as_often_as_wanted),
        DIALOGUE(a_cancelled_publication_is_not_the_next_ones),
        cmocka_unit_test(retries_that_wait_count_as_open),
        cmocka_unit_test(late_words_of_a_publication_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
