// SPDX-License-Identifier: Apache-2.0
/* The workers that only pretend, the echo's reading, and what a benchmark says of its disk. */
#include "mime.h"

#include "echo.h"
#include "rng.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mime *made(uint32_t slots, uint32_t window, uint64_t batch_us)
{
    const struct mime_plan plan = { .slots = slots, .window = window, .batch_us = batch_us };
    struct mime *mime;
    assert_int_equal(mime_new(&plan, 6, &mime), ERR_OK);
    return mime;
}

static void hear_lease(struct mime *mime, uint32_t slot, uint64_t first, uint64_t now_us)
{
    uint8_t mac[MAC_BYTES] = { (uint8_t)first };
    struct message_lease lease = {
        .slot = slot, .job = 3, .first = first, .count = 1, .term = 2, .attempt = 100 + first, .mac = mac
    };
    struct message message = { .type = MESSAGE_LEASES }, reply;
    message.leases.leases = &lease;
    message.leases.leases_count = 1;
    assert_false(mime_hear(mime, &message, now_us, &reply));
    memset(mac, 0xff, sizeof mac); /* what it needs of it, it has copied */
}

static void expect_result(const struct message *message, uint32_t at, uint64_t first)
{
    const struct message_result *result = &message->results.results[at];
    uint64_t answer = rng_mix64(first);
    assert_int_equal(result->first, first);
    assert_int_equal(result->job, 3);
    assert_int_equal(result->attempt, 100 + first);
    assert_int_equal(result->mac[0], (uint8_t)first);
    assert_int_equal(result->rows_size, sizeof answer);
    assert_memory_equal(result->rows, &answer, sizeof answer);
}

static void test_greeting(void **state)
{
    (void)state;
    struct mime *mime = made(3, 5, 0);
    struct message message, reply;
    struct why why;
    mime_hello(mime, &message);
    assert_int_equal(message_check(&message, &why), ERR_OK);
    assert_string_equal(message.hello.name, "mime-7");
    assert_int_equal(message.hello.slots_count, 3);
    assert_int_equal(message.hello.slots[2].window, 5);
    message = (struct message){ .type = MESSAGE_WELCOME };
    message.welcome.heartbeat_ms = 250;
    assert_true(mime_hear(mime, &message, 0, &reply));
    assert_int_equal(reply.type, MESSAGE_PROOF);
    assert_true(mime->welcome);
    message = (struct message){ .type = MESSAGE_LOAD };
    message.load.slot = 2;
    assert_true(mime_hear(mime, &message, 0, &reply));
    assert_int_equal(reply.type, MESSAGE_LOADED);
    assert_int_equal(reply.loaded.slot, 2);
    assert_true(reply.loaded.ok);
    message = (struct message){ .type = MESSAGE_JOBS };
    assert_false(mime_hear(mime, &message, 0, &reply));
    mime_heartbeat(mime, &message);
    assert_int_equal(message.heartbeat.sequence, 1);
    mime_free(&mime);
    mime_free(&mime);
}

static void test_answers_at_once(void **state)
{
    (void)state;
    struct mime *mime = made(2, 4, 0);
    struct message message;
    struct why why;
    assert_true(mime_due_us(mime) == UINT64_MAX);
    for (uint64_t first = 0; first < 5; first++)
        hear_lease(mime, first % 2, first, 1000);
    assert_int_equal(mime_due_us(mime), 1000);
    assert_true(mime_results(mime, 1000, &message));
    assert_int_equal(message_check(&message, &why), ERR_OK);
    assert_int_equal(message.results.results_count, 5);
    for (uint32_t i = 0; i < 5; i++)
        expect_result(&message, i, i);
    assert_false(mime_results(mime, 2000, &message));
    message = (struct message){ .type = MESSAGE_ACKS };
    message.acks.attempts_count = 4;
    assert_false(mime_hear(mime, &message, 2000, &message));
    assert_int_equal(mime->leased, 5);
    assert_int_equal(mime->finished, 5);
    assert_int_equal(mime->acknowledged, 4);
    mime_free(&mime);
}

/* One batch at a time on each slot, each of its own time. */
static void test_batches_take_their_time(void **state)
{
    (void)state;
    struct mime *mime = made(2, 4, 100);
    struct message message;
    hear_lease(mime, 0, 0, 1000);
    hear_lease(mime, 0, 1, 1000);
    hear_lease(mime, 1, 2, 1050);
    assert_int_equal(mime_due_us(mime), 1100);
    assert_false(mime_results(mime, 1099, &message));
    assert_true(mime_results(mime, 1100, &message));
    assert_int_equal(message.results.results_count, 1);
    expect_result(&message, 0, 0);
    assert_int_equal(message.results.results[0].run_us, 100);
    assert_int_equal(mime_due_us(mime), 1150);
    assert_true(mime_results(mime, 5000, &message));
    assert_int_equal(message.results.results_count, 2);
    expect_result(&message, 0, 1);
    expect_result(&message, 1, 2);
    mime_free(&mime);
}

static void test_begins_alone(void **state)
{
    (void)state;
    struct mime *mime = made(32, 16, 0);
    struct message message;
    struct why why;
    uint8_t *body;
    size_t size;
    mime_begin(mime);
    assert_true(mime_results(mime, 1, &message));
    assert_int_equal(message.results.results_count, 32 * 16);
    assert_int_equal(message_check(&message, &why), ERR_OK);
    assert_int_equal(message_encode(&message, &body, &size), ERR_OK);
    assert_int_equal(echo_results(body, size), 32 * 16);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(echo_results(body, i), 0);
    body[1] = MESSAGE_HEARTBEAT;
    assert_int_equal(echo_results(body, size), 0);
    free(body);
    mime_free(&mime);
}

static void test_echo_reads_few(void **state)
{
    (void)state;
    struct mime *mime = made(1, 3, 0);
    struct message message;
    uint8_t *body;
    size_t size;
    mime_begin(mime);
    assert_true(mime_results(mime, 1, &message));
    assert_int_equal(message_encode(&message, &body, &size), ERR_OK);
    assert_int_equal(echo_results(body, size), 3);
    free(body);
    mime_free(&mime);
}

static void test_file_systems(void **state)
{
    (void)state;
    char text[64];
    stage_file_system(0xEF53, text, sizeof text);
    assert_string_equal(text, "ext4");
    stage_file_system(0x01021994, text, sizeof text);
    assert_non_null(strstr(text, "not a disk"));
    stage_file_system(0x1234, text, sizeof text);
    assert_string_equal(text, "file system 0x1234");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_answers_at_once),
        cmocka_unit_test(test_batches_take_their_time),
        cmocka_unit_test(test_begins_alone),
        cmocka_unit_test(test_echo_reads_few),
        cmocka_unit_test(test_file_systems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
