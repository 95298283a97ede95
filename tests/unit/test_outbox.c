// SPDX-License-Identifier: Apache-2.0
#include "outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[4096];

static void write_down(void *context, uint32_t worker, const struct message *message)
{
    size_t at = strlen(said);
    (void)context;
    switch (message->type) {
    case MESSAGE_LEASES:
        snprintf(said + at, sizeof said - at, "%u:leases(%u,%llu,%u) ", worker, message->leases.leases_count,
                 (unsigned long long)message->leases.leases[0].attempt, message->leases.leases[0].mac[0]);
        break;
    case MESSAGE_RECALL:
        snprintf(said + at, sizeof said - at, "%u:recall(%u) ", worker, message->recall.attempts_count);
        break;
    case MESSAGE_ACKS:
        snprintf(said + at, sizeof said - at, "%u:acks(%llu,%u) ", worker,
                 (unsigned long long)message->acks.term, message->acks.attempts_count);
        break;
    case MESSAGE_FORGET:
        snprintf(said + at, sizeof said - at, "%u:forget(%u) ", worker, message->forget.jobs_count);
        break;
    default: fail();
    }
}

static void write_down_encoded(void *context, uint32_t worker, uint8_t **body, size_t size)
{
    size_t at = strlen(said);
    (void)context;
    snprintf(said + at, sizeof said - at, "%u:%.*s ", worker, (int)size, (const char *)*body);
    free(*body);
    *body = NULL;
}

static const struct outbox_ways ways = { write_down, write_down_encoded, NULL };

static void say(struct outbox *outbox, uint32_t worker, const char *text)
{
    uint8_t *body = (uint8_t *)strdup(text);
    outbox_say(outbox, worker, &body, strlen(text));
    assert_null(body);
}

static void lease(struct outbox *outbox, uint32_t worker, uint64_t attempt)
{
    uint8_t mac[MAC_BYTES] = { (uint8_t)attempt };
    struct message_lease line = { .attempt = attempt, .mac = mac };
    outbox_lease(outbox, worker, &line);
    mac[0] = 0xff;
}

static void one_message_of_a_kind(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new();
    said[0] = 0;
    outbox_ack(outbox, 90, 2, 5);
    lease(outbox, 3, 11);
    lease(outbox, 90, 12);
    lease(outbox, 3, 13);
    outbox_forget(outbox, 3, 1);
    outbox_recall(outbox, 90, 7);
    outbox_ack(outbox, 90, 2, 6);
    outbox_ack(outbox, 90, 1, 6);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(
        said, "90:leases(1,12,12) 90:recall(1) 90:acks(2,2) 90:acks(1,1) 3:leases(2,11,11) 3:forget(1) ");
    said[0] = 0;
    outbox_flush(outbox, false, &ways);
    assert_string_equal(said, "");
    outbox_free(&outbox);
}

static void the_lost_get_nothing(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new();
    said[0] = 0;
    lease(outbox, 0, 1);
    lease(outbox, 1, 2);
    outbox_drop(outbox, 0);
    outbox_drop(outbox, 5000);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(said, "1:leases(1,2,2) ");
    outbox_free(&outbox);
}

static void long_lists_are_cut(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new();
    said[0] = 0;
    for (uint32_t i = 0; i < LEASES_MAX + 1; i++)
        lease(outbox, 0, 7);
    for (uint32_t i = 0; i < ATTEMPTS_MAX + 2; i++)
        outbox_ack(outbox, 0, 1, i);
    for (uint32_t i = 0; i < JOBS_PER_MESSAGE_MAX + 3; i++)
        outbox_forget(outbox, 0, i);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(
        said, "0:leases(4096,7,7) 0:leases(1,7,7) 0:acks(1,8192) 0:acks(1,2) 0:forget(64) 0:forget(3) ");
    outbox_free(&outbox);
}

static void what_was_said_goes_first(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new();
    said[0] = 0;
    lease(outbox, 1, 2);
    say(outbox, 1, "job");
    say(outbox, 0, "lost");
    say(outbox, 1, "load");
    outbox_drop(outbox, 0);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(said, "1:job 1:load 1:leases(1,2,2) ");
    say(outbox, 3, "never sent, yet freed");
    outbox_free(&outbox);
}

/* What nobody waits for wakes nobody, and is not forgotten. */
static void the_calm_wait(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new();
    said[0] = 0;
    outbox_calm(outbox, true);
    outbox_ack(outbox, 1, 2, 5);
    outbox_forget(outbox, 2, 9);
    outbox_calm(outbox, false);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(said, "");
    lease(outbox, 2, 3);
    outbox_flush(outbox, false, &ways);
    assert_string_equal(said, "2:leases(1,3,3) 2:forget(1) ");
    said[0] = 0;
    outbox_flush(outbox, true, &ways);
    assert_string_equal(said, "1:acks(2,1) ");
    said[0] = 0;
    outbox_flush(outbox, true, &ways);
    assert_string_equal(said, "");
    outbox_free(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_of_a_kind), cmocka_unit_test(the_lost_get_nothing),
        cmocka_unit_test(long_lists_are_cut),    cmocka_unit_test(what_was_said_goes_first),
        cmocka_unit_test(the_calm_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
