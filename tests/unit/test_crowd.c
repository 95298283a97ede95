// SPDX-License-Identifier: Apache-2.0
/* Very many jobs: what each costs, and that the table is bounded. With MOTLEY_LONG=1 the bound itself is
 * reached. Prints what it measured; no figure is asserted but memory's. */
#include "bounds.h"
#include "party.h"

#include <inttypes.h>

enum { FEW = 600, IN_FLIGHT = 256 };
#ifdef __SANITIZE_ADDRESS__
enum { JOB_BYTES_MAX = 64 << 10 }; /* most of it the sanitizer's */
#else
enum { JOB_BYTES_MAX = 8 << 10 };
#endif

static bool is_long(void)
{
    const char *text = getenv("MOTLEY_LONG");
    return text && *text && strcmp(text, "0") != 0;
}

static uint64_t memory_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
    fclose(file);
    return (uint64_t)resident * 4096;
}

static void send_submit(struct party *client, const char *tenant)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    uint8_t uuid[UUID_BYTES] = { 1 };
    struct message message = { .type = MESSAGE_SUBMIT };
    ++client->request;
    memcpy(uuid + 1, &client->request, sizeof client->request);
    memcpy(uuid + 9, tenant, strlen(tenant) < 6 ? strlen(tenant) : 6);
    message.submit = (struct message_submit){ .request = client->request,
                                              .uuid = uuid,
                                              .name = "one of many",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = 10,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NPY,
                                              .max_failures = UINT64_MAX,
                                              .tenant = tenant };
    party_say(client, &message, NULL, 0);
}

/* Submit so many, some of them unanswered at a time; how many were accepted. text: the last refusal. */
static uint64_t submit_all(struct party *client, const char *tenant, uint64_t count, char text[256])
{
    uint64_t sent = 0, accepted = 0;
    *text = 0;
    for (uint64_t heard = 0; heard < count; heard++) {
        for (; sent < count && sent - heard < IN_FLIGHT; sent++)
            send_submit(client, tenant);
        const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
        accepted += reply->code == ERR_OK;
        if (reply->code) {
            assert_int_equal(reply->code, ERR_FULL);
            snprintf(text, 256, "%s", reply->text);
        }
    }
    return accepted;
}

static void open_jobs_cost_little(void **state)
{
    struct party client;
    char text[256];
    uint64_t count = is_long() ? JOBS_OPEN_MAX / 2 : FEW;
    party_client(&client, *state);
    submit_all(&client, "", 100, text);
    uint64_t before = memory_bytes(), began_us = clock_monotonic_us();
    assert_int_equal(submit_all(&client, "", count - 100, text), count - 100);
    double seconds = (double)(clock_monotonic_us() - began_us) / 1e6;
    uint64_t each = (memory_bytes() - before) / (count - 100);
    print_message("%" PRIu64 " jobs: %.0f a second, %" PRIu64 " bytes of memory each\n", count,
                  (double)(count - 100) / seconds, each);
    assert_true(each < JOB_BYTES_MAX);
    party_leave(&client);
}

/* Then they are refused in words. */
static void the_table_is_bounded(void **state)
{
    struct party client;
    char text[256];
    if (!is_long())
        return;
    party_client(&client, *state);
    uint64_t accepted = submit_all(&client, "", JOBS_OPEN_MAX + 1000, text);
    print_message("%" PRIu64 " accepted, then: %s\n", accepted, text);
    assert_int_equal(accepted, JOBS_OPEN_MAX);
    assert_non_null(strstr(text, "are open, which is the most"));
    party_leave(&client);
}

#define DIALOGUE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { DIALOGUE(open_jobs_cost_little), DIALOGUE(the_table_is_bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
