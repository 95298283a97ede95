// SPDX-License-Identifier: Apache-2.0
/* A disk that is slow: work pauses while too much waits for it, questions are answered all the while, and
 * work goes on.
 */
#include "party.h"

#include <sys/syscall.h>

static const uint8_t built_in[SHA256_BYTES];

/* ---- a disk that takes its time ---- */

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

int fdatasync(int fd);
int fdatasync(int fd)
{
    pthread_mutex_lock(&disk); /* held: it is slow */
    pthread_mutex_unlock(&disk);
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- the parties ---- */

static void submit(struct party *client, uint64_t samples)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    static const uint8_t uuid[UUID_BYTES] = { 9 };
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = "job",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = samples,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NPY,
                                              .batch = 8,
                                              .max_failures = UINT64_MAX };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static bool job_says(struct party *client, const char *key, const char *words)
{
    yyjson_doc *doc = party_view(client, "job", "job");
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), key));
    bool says = text && strstr(text, words);
    yyjson_doc_free(doc);
    return says;
}

static void await_words(struct party *client, const char *key, const char *words)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (!job_says(client, key, words))
        assert_true(clock_monotonic_us() < deadline);
}

/* The next leases, answered; how many samples that were. */
static uint64_t work(struct party *worker)
{
    uint64_t rows[64] = { 0 }, samples = 0;
    struct party_lease kept[8];
    const struct message *message = party_hear(worker);
    if (message->type == MESSAGE_LOAD)
        party_loaded(worker, built_in, true, "");
    if (message->type != MESSAGE_LEASES)
        return 0;
    uint32_t count = message->leases.leases_count;
    assert_true(count <= 8);
    for (uint32_t i = 0; i < count; i++)
        party_keep(&kept[i], &message->leases.leases[i]);
    for (uint32_t i = 0; i < count; i++) {
        party_result(worker, &kept[i].lease, rows, kept[i].lease.count * sizeof rows[0], "");
        samples += kept[i].lease.count;
    }
    return samples;
}

static void a_slow_disk_is_waited_for(void **state)
{
    struct party_house *house = *state;
    struct party client, worker;
    uint64_t samples = 0;
    party_client(&client, house);
    submit(&client, 200);
    pthread_mutex_lock(&disk);
    party_worker(&worker, house, "w", "cpu", 1000, 1);
    while (!job_says(&client, "waiting", "slow disk"))
        if (samples < 16) /* its window is two: more comes when these are on the disk */
            samples += work(&worker);
    bool over = job_says(&client, "state", "done");
    pthread_mutex_unlock(&disk);
    assert_false(over);
    assert_true(samples <= 24);
    while (samples < 200)
        samples += work(&worker);
    await_words(&client, "state", "done");
    assert_int_equal(samples, 200);
    party_leave(&worker);
    party_leave(&client);
}

static int set_up(void **state)
{
    struct party_house *house;
    party_set_up(state);
    house = *state;
    loop_stop(house->loop);
    pthread_join(house->thread, NULL);
    loop_free(&house->loop);
    house->config.backlog_max_bytes = 100; /* a result has 64 */
    assert_int_equal(loop_new(&house->config, &house->loop, NULL), ERR_OK);
    assert_int_equal(pthread_create(&house->thread, NULL, party_run, house), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_disk_is_waited_for, set_up, party_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
