// SPDX-License-Identifier: Apache-2.0
/* What is kept of jobs that are over: the rule alone, and whole dialogues about removing. */
#include "npy.h"
#include "party.h"
#include "retention.h"

#include <fcntl.h>
#include <sys/stat.h>

static const uint64_t DAY_US = 86400000000;

/* ---- the rule ---- */

static const struct retention_rule none = { UINT64_MAX, UINT64_MAX, UINT64_MAX };

static void the_oldest_end_goes_first(void **state)
{
    (void)state;
    struct retention_job jobs[] = { { 1, 30, 5 }, { 2, 10, 5 }, { 3, 20, 5 }, { 4, 10, 5 } };
    struct retention_rule rule = none;
    assert_int_equal(retention_choose(&rule, jobs, 4, 1000, 100), 0);
    rule.jobs = 2;
    assert_int_equal(retention_choose(&rule, jobs, 4, 1000, 100), 2);
    assert_int_equal(jobs[0].number, 2); /* ended together with 4 */
    assert_int_equal(jobs[1].number, 4);
    assert_int_equal(jobs[2].number, 3);
    rule.jobs = 4;
    assert_int_equal(retention_choose(&rule, jobs, 4, 1000, 100), 0);
    assert_int_equal(retention_choose(&rule, jobs, 0, 1000, 100), 0);
}

static void age_counts_from_the_end(void **state)
{
    (void)state;
    struct retention_job jobs[] = { { 1, 100, 0 }, { 2, 200, 0 }, { 3, 300, 0 } };
    struct retention_rule rule = none;
    rule.age_us = 50;
    assert_int_equal(retention_choose(&rule, jobs, 3, 149, 0), 0);
    assert_int_equal(retention_choose(&rule, jobs, 3, 150, 0), 1);
    assert_int_equal(retention_choose(&rule, jobs, 3, 250, 0), 2);
    assert_int_equal(retention_choose(&rule, jobs, 3, INT64_MAX, 0), 3);
    assert_int_equal(retention_choose(&rule, jobs, 3, 50, 0), 0); /* a clock that was set back */
    assert_int_equal(retention_choose(&rule, jobs, 3, INT64_MIN, 0), 0);
}

static void bytes_are_freed_until_it_fits(void **state)
{
    (void)state;
    struct retention_job jobs[] = { { 1, 1, 10 }, { 2, 2, 0 }, { 3, 3, 10 }, { 4, 4, 10 } };
    struct retention_rule rule = none;
    rule.bytes = 100;
    assert_int_equal(retention_choose(&rule, jobs, 4, 9, 100), 0);
    assert_int_equal(retention_choose(&rule, jobs, 4, 9, 101), 1);
    assert_int_equal(retention_choose(&rule, jobs, 4, 9, 111), 3);
    assert_int_equal(retention_choose(&rule, jobs, 4, 9, 500),
                     4); /* open jobs and models take it: all that can go */
    assert_int_equal(retention_choose(&rule, jobs, 4, 9, 0), 0); /* not known */
    rule.age_us = 8;
    assert_int_equal(retention_choose(&rule, jobs, 4, 10, 101), 2); /* whichever rule says more */
}

/* ---- dialogues ---- */

static uint64_t submit(struct party *client, const char *name, const uint8_t *model)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    uint8_t uuid[UUID_BYTES] = { (uint8_t)(client->request + 1), 1 };
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = name,
                                              .model = model ? "m" : "synthetic",
                                              .model_blob = model,
                                              .format = model ? "onnx" : "synthetic",
                                              .samples = 10,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NPY,
                                              .max_failures = UINT64_MAX };
    party_say(client, &message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    if (reply->code)
        fail_msg("%s", reply->text);
    return reply->number;
}

static enum err order(struct party *client, enum message_type type, uint32_t what, const char *which,
                      uint64_t *number)
{
    struct message message = { .type = type };
    if (type == MESSAGE_CANCEL)
        message.cancel = (struct message_cancel){ ++client->request, which };
    else
        message.remove = (struct message_remove){ ++client->request, what, which };
    party_say(client, &message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    assert_int_equal(reply->request, client->request);
    *number = reply->number;
    return (enum err)reply->code;
}

static void expect(struct party *client, enum message_type type, const char *which, uint64_t count)
{
    uint64_t number;
    assert_int_equal(order(client, type, REMOVE_JOBS, which, &number), ERR_OK);
    assert_int_equal(number, count);
}

static bool is_there(const struct party_house *house, const char *name)
{
    char path[700];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", house->state, name);
    return lstat(path, &status) == 0;
}

static void await_gone(const struct party_house *house, const char *name)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (is_there(house, name)) {
        assert_true(clock_monotonic_us() < deadline);
        clock_sleep_until_us(clock_monotonic_us() + 5000);
    }
}

static size_t kept(struct party *client)
{
    yyjson_doc *doc = party_view(client, "jobs", "");
    size_t count = yyjson_arr_size(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return count;
}

static void only_jobs_that_are_over_go(void **state)
{
    struct party_house *house = *state;
    struct party client;
    uint64_t number;
    party_client(&client, house);
    for (int i = 0; i < 4; i++)
        submit(&client, "a", NULL);
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_JOBS, "2", &number), ERR_REFUSED);
    expect(&client, MESSAGE_REMOVE, "all", 0);
    expect(&client, MESSAGE_CANCEL, "2-3", 2);
    expect(&client, MESSAGE_REMOVE, "2", 1);
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_JOBS, "2", &number), ERR_NOT_FOUND);
    expect(&client, MESSAGE_REMOVE, "all", 1);
    assert_int_equal(kept(&client), 2);
    await_gone(house, "gone");
    assert_true(is_there(house, "spool/1") && is_there(house, "spool/4"));
    assert_false(is_there(house, "spool/2") || is_there(house, "spool/3"));
    party_leave(&client);
}

/* Also when the last of them is gone. */
static void numbers_are_not_given_again(void **state)
{
    struct party_house *house = *state;
    struct party client;
    party_client(&client, house);
    submit(&client, "a", NULL);
    submit(&client, "b", NULL);
    expect(&client, MESSAGE_CANCEL, "all", 2);
    expect(&client, MESSAGE_REMOVE, "1-2", 2);
    assert_int_equal(submit(&client, "c", NULL), 3);
    expect(&client, MESSAGE_CANCEL, "c", 1);
    expect(&client, MESSAGE_REMOVE, "c", 1);
    party_leave(&client);
    party_restart(house);
    party_client(&client, house);
    assert_int_equal(kept(&client), 0);
    assert_int_equal(submit(&client, "d", NULL), 4);
    party_leave(&client);
}

static void too_many_are_not_kept(void **state)
{
    struct party_house *house = *state;
    struct party client;
    house->config.keep_jobs = 2;
    party_restart(house);
    party_client(&client, house);
    for (int i = 0; i < 5; i++)
        submit(&client, "a", NULL);
    expect(&client, MESSAGE_CANCEL, "1-4", 4);
    await_gone(house, "spool/1");
    await_gone(house, "spool/2");
    while (kept(&client) != 3)
        continue;
    assert_true(is_there(house, "spool/3") && is_there(house, "spool/4") && is_there(house, "spool/5"));
    party_leave(&client);
}

/* A folder of a job that was removed, by a process that died on the way. */
static void orphans_go(void **state)
{
    struct party_house *house = *state;
    struct party client;
    char path[700];
    house->config.inventory_us = 20000;
    party_restart(house);
    party_client(&client, house);
    submit(&client, "a", NULL);
    expect(&client, MESSAGE_CANCEL, "1", 1);
    expect(&client, MESSAGE_REMOVE, "1", 1);
    snprintf(path, sizeof path, "%s/spool/1", house->state);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/spool/2", house->state); /* a number to come */
    assert_int_equal(mkdir(path, 0700), 0);
    await_gone(house, "spool/1");
    assert_true(is_there(house, "spool/2"));
    party_leave(&client);
}

/* ---- uploads ---- */

static void upload(struct party *client, const char *text, uint8_t digest[SHA256_BYTES])
{
    struct message message = { .type = MESSAGE_BLOB_PUT };
    struct wire_frame frame = { text, strlen(text), NULL, NULL };
    sha256_bytes(text, strlen(text), digest);
    message.blob_put = (struct message_blob_put){ ++client->request, digest, 0, strlen(text) };
    party_say(client, &message, &frame, 1);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static const char *blob_name(const uint8_t digest[SHA256_BYTES])
{
    static char name[SHA256_HEX_MAX + 8];
    char hex[SHA256_HEX_MAX];
    sha256_hex(digest, hex);
    snprintf(name, sizeof name, "blobs/%s", hex);
    return name;
}

static void make_old(const struct party_house *house, const uint8_t digest[SHA256_BYTES], uint64_t us)
{
    char path[700];
    struct timespec times[2] = { { (clock_wall_us() - (int64_t)us) / 1000000, 0 } };
    times[1] = times[0];
    snprintf(path, sizeof path, "%s/%s", house->state, blob_name(digest));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void add_model(struct party *client, const char *version, const uint8_t digest[SHA256_BYTES])
{
    struct message message = { .type = MESSAGE_MODEL_ADD };
    message.model_add = (struct message_model_add){
        .request = ++client->request, .name = "m", .version = version, .format = "onnx", .blob = digest
    };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

/* What nobody names goes; what a job, a model or a client that is here may name stays. */
static void uploads_go_with_their_last_user(void **state)
{
    struct party_house *house = *state;
    struct party client;
    uint8_t used[SHA256_BYTES], registered[SHA256_BYTES], lost[SHA256_BYTES], fresh[SHA256_BYTES];
    uint64_t number;
    house->config.inventory_us = 20000;
    party_restart(house);
    party_client(&client, house);
    upload(&client, "used", used);
    upload(&client, "registered", registered);
    upload(&client, "lost", lost);
    submit(&client, "a", used);
    add_model(&client, "1", registered);
    make_old(house, used, 2 * DAY_US);
    make_old(house, registered, 2 * DAY_US);
    make_old(house, lost, DAY_US / 24);
    party_leave(&client);
    await_gone(house, blob_name(lost)); /* an hour, and nobody uploads */
    assert_true(is_there(house, blob_name(used)));
    assert_true(is_there(house, blob_name(registered)));

    party_client(&client, house);
    expect(&client, MESSAGE_CANCEL, "a", 1);
    upload(&client, "fresh", fresh);
    make_old(house, fresh, DAY_US / 24);
    expect(&client, MESSAGE_REMOVE, "a", 1);
    await_gone(house, blob_name(used)); /* two days */
    assert_true(is_there(house, blob_name(fresh)));
    assert_true(is_there(house, blob_name(registered)));
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_MODEL, "m@2", &number), ERR_NOT_FOUND);
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_MODEL, "m", &number), ERR_OK);
    assert_int_equal(number, 1);
    await_gone(house, blob_name(registered));
    party_leave(&client);
}

static size_t models(struct party *client, const char *which)
{
    yyjson_doc *doc = party_view(client, "models", which);
    size_t count = yyjson_arr_size(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return count;
}

static void a_removed_model_stays_removed(void **state)
{
    struct party_house *house = *state;
    struct party client;
    uint8_t one[SHA256_BYTES], two[SHA256_BYTES];
    uint64_t number;
    party_client(&client, house);
    upload(&client, "one", one);
    upload(&client, "two", two);
    add_model(&client, "1", one);
    add_model(&client, "1.1", two);
    add_model(&client, "2", two);
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_MODEL, "m@1", &number), ERR_OK);
    assert_int_equal(number, 1);
    assert_int_equal(models(&client, ""), 2);
    party_leave(&client);
    party_restart(house);
    party_client(&client, house);
    assert_int_equal(models(&client, ""), 2);
    assert_int_equal(order(&client, MESSAGE_REMOVE, REMOVE_MODEL, "m", &number), ERR_OK);
    assert_int_equal(number, 2);
    party_leave(&client);
    party_restart(house);
    party_client(&client, house);
    assert_int_equal(models(&client, ""), 0);
    party_leave(&client);
}

static void status_says_how_much_there_is(void **state)
{
    struct party_house *house = *state;
    struct party client;
    party_client(&client, house);
    submit(&client, "a", NULL);
    submit(&client, "b", NULL);
    expect(&client, MESSAGE_CANCEL, "a", 1);
    yyjson_doc *doc = party_view(&client, "status", "");
    yyjson_val *status = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_obj_get(status, "jobs"), "kept")), 1);
    assert_true(yyjson_get_uint(yyjson_obj_get(status, "state_free_bytes")) > 0);
    yyjson_doc_free(doc);
    party_leave(&client);
}

#define DIALOGUE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_end_goes_first),
        cmocka_unit_test(age_counts_from_the_end),
        cmocka_unit_test(bytes_are_freed_until_it_fits),
        DIALOGUE(only_jobs_that_are_over_go),
        DIALOGUE(numbers_are_not_given_again),
        DIALOGUE(too_many_are_not_kept),
        DIALOGUE(orphans_go),
        DIALOGUE(uploads_go_with_their_last_user),
        DIALOGUE(a_removed_model_stays_removed),
        DIALOGUE(status_says_how_much_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
