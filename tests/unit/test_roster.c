// SPDX-License-Identifier: Apache-2.0
#include "roster.h"

#include "coordinator_fixture.h"
#include "sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct worker *greet(struct roster *roster, uint8_t uuid, const char *name)
{
    struct message_hello hello = fixture_hello(uuid, name, 2);
    struct worker *worker;
    struct why why;
    assert_int_equal(roster_greet(roster, 100 + uuid, &hello, &worker, &why), ERR_OK);
    return worker;
}

static void workers_get_dense_numbers(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    assert_int_equal(greet(roster, 5, "a")->number, 0);
    assert_int_equal(greet(roster, 4, "b")->number, 1);
    assert_int_equal(roster_up_count(roster), 2);
    assert_int_equal(roster_up_slots(roster), 4);
    assert_int_equal(roster_up_formats(roster), SCHED_FORMAT_ONNX | SCHED_FORMAT_SYNTHETIC);
    roster_free(&roster);
}

static void a_process_keeps_its_number(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    struct worker *worker = greet(roster, 5, "a");
    uint64_t session = worker->session;
    roster_dismiss(roster, worker, ROSTER_LOST, 17);
    assert_int_equal(roster_up_count(roster), 0);
    assert_int_equal(roster_up_slots(roster), 0);
    assert_int_equal(greet(roster, 6, "b")->number, 1);
    struct worker *again = greet(roster, 5, "a");
    assert_ptr_equal(again, worker);
    assert_true(again->session > session);
    assert_int_equal(again->left_us, 0);
    roster_free(&roster);
}

/* Who was silent for longest is first, whoever came or went meanwhile. */
static void silence_is_in_order(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    assert_null(roster_quietest(roster));
    struct worker *a = greet(roster, 1, "a"), *b = greet(roster, 2, "b"), *c = greet(roster, 3, "c");
    roster_heard(roster, a, 10);
    roster_heard(roster, b, 20);
    roster_heard(roster, c, 30);
    assert_ptr_equal(roster_quietest(roster), a);
    roster_heard(roster, a, 40);
    roster_heard(roster, a, 40);
    assert_ptr_equal(roster_quietest(roster), b);
    roster_dismiss(roster, b, ROSTER_LOST, 1);
    roster_heard(roster, b, 50); /* its last words came after its end */
    assert_ptr_equal(roster_quietest(roster), c);
    roster_heard(roster, c, 50);
    assert_ptr_equal(roster_quietest(roster), a);
    assert_ptr_equal(greet(roster, 2, "b"), b);
    roster_heard(roster, b, 60);
    roster_dismiss(roster, a, ROSTER_LEFT, 1);
    roster_dismiss(roster, c, ROSTER_LEFT, 1);
    assert_ptr_equal(roster_quietest(roster), b);
    roster_dismiss(roster, b, ROSTER_LEFT, 1);
    assert_null(roster_quietest(roster));
    roster_free(&roster);
}

static void what_it_said_can_be_looked_at(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    struct worker *a = greet(roster, 1, "a"), *b = greet(roster, 2, "b");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(worker_hello(roster, a)->name, "a");
        assert_string_equal(worker_hello(roster, b)->name, "b");
        assert_string_equal(worker_hello(roster, a)->slots[1].runtime, "emulated");
    }
    assert_ptr_equal(roster_find_name(roster, "b"), b);
    assert_null(roster_find_name(roster, "c"));
    roster_free(&roster);
}

static void offered_attempts_are_kept_until_settled(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    uint8_t mac[16] = { 1 };
    struct message_attempt attempt = {
        .job = 9, .first = 3, .count = 2, .term = 1, .attempt = 8, .mac = mac
    };
    struct message_hello hello = fixture_hello(1, "a", 2);
    hello.attempts = &attempt;
    hello.attempts_count = 1;
    struct worker *worker;
    assert_int_equal(roster_greet(roster, 100, &hello, &worker, NULL), ERR_OK);
    assert_int_equal(worker_hello(roster, worker)->attempts[0].job, 9);
    worker_settle_hello(roster, worker);
    assert_int_equal(worker_hello(roster, worker)->attempts_count, 0);
    assert_string_equal(worker_hello(roster, worker)->name, "a");
    roster_free(&roster);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    struct roster *roster = roster_new(1);
    struct worker *worker;
    struct why why;
    struct message_hello hello = fixture_hello(1, "a", 2);
    hello.slots[1].slot = 5;
    assert_int_equal(roster_greet(roster, 100, &hello, &worker, &why), ERR_FORMAT);
    hello = fixture_hello(1, "a", 2);
    hello.slots[1].device = "gpu7";
    assert_int_equal(roster_greet(roster, 100, &hello, &worker, &why), ERR_FORMAT);
    assert_int_equal(roster_count(roster), 0);
    roster_dismiss(roster, greet(roster, 1, "a"), ROSTER_LEFT, 1);
    hello = fixture_hello(1, "a", 3);
    assert_int_equal(roster_greet(roster, 100, &hello, &worker, &why), ERR_FORMAT);
    hello = fixture_hello(2, "b", 2);
    assert_int_equal(roster_greet(roster, 100, &hello, &worker, &why), ERR_FULL);
    roster_free(&roster);
}

/* A drain outlives the connection, and the coordinator; not the process. */
static void a_drain_is_kept(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    struct worker *worker = greet(roster, 1, "a"), *other;
    assert_false(worker->draining);
    worker->draining = true;
    roster_dismiss(roster, worker, ROSTER_LOST, 1);
    assert_true(greet(roster, 1, "a")->draining); /* its HELLO does not say so yet */
    struct message_hello hello = fixture_hello(2, "b", 2);
    hello.draining = true;
    assert_int_equal(roster_greet(roster, 102, &hello, &other, NULL), ERR_OK);
    assert_true(other->draining);
    other->draining = false; /* resumed while it was away */
    roster_dismiss(roster, other, ROSTER_LOST, 1);
    assert_int_equal(roster_greet(roster, 103, &hello, &other, NULL), ERR_OK);
    assert_false(other->draining);
    assert_false(greet(roster, 3, "a")->draining);
    roster_free(&roster);
}

static void words_for_a_worker(void **state)
{
    (void)state;
    struct roster *roster = roster_new(10);
    struct worker *worker = greet(roster, 0x1f, "a");
    assert_ptr_equal(roster_find_word(roster, "a"), worker);
    assert_ptr_equal(roster_find_word(roster, "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f"), worker);
    assert_ptr_equal(roster_find_word(roster, "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"), worker);
    assert_null(roster_find_word(roster, "1f1f"));
    assert_null(roster_find_word(roster, ""));
    roster_free(&roster);
}

static void jobs_are_told_once(void **state)
{
    (void)state;
    struct roster *roster = roster_new(1);
    struct worker *worker = greet(roster, 1, "a");
    for (uint64_t job = 40; job > 0; job--)
        assert_true(worker_tell(worker, job));
    for (uint64_t job = 1; job <= 40; job++)
        assert_false(worker_tell(worker, job));
    assert_true(worker_untell(worker, 7));
    assert_false(worker_untell(worker, 7));
    assert_true(worker_tell(worker, 7));
    roster_free(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_get_dense_numbers),
        cmocka_unit_test(silence_is_in_order),
        cmocka_unit_test(a_process_keeps_its_number),
        cmocka_unit_test(what_it_said_can_be_looked_at),
        cmocka_unit_test(offered_attempts_are_kept_until_settled),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(a_drain_is_kept),
        cmocka_unit_test(words_for_a_worker),
        cmocka_unit_test(jobs_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
