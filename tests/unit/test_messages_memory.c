// SPDX-License-Identifier: Apache-2.0
/* The n-th allocation fails, for every n until all succeed: each failure is ERR_MEMORY, and nothing leaks
 * (the sanitizer looks). Linked with --wrap: only calls from our own objects are counted, not those inside
 * msgpack-c. */
#include "messages.h"
#include "random_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);

static long allocations_left = -1; /* -1 = no end */
static long allocations;

static bool may_allocate(void)
{
    allocations++;
    if (allocations_left > 0)
        allocations_left--;
    return allocations_left != 0;
}

void *__wrap_malloc(size_t size) { return may_allocate() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return may_allocate() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *bytes, size_t size) { return may_allocate() ? __real_realloc(bytes, size) : NULL; }

static enum err encode_and_decode(const struct message *sent)
{
    const struct message *received;
    uint8_t *body = NULL;
    size_t size;
    struct decoder *decoder = decoder_new();
    if (!decoder)
        return ERR_MEMORY;
    enum err err = message_encode(sent, &body, &size);
    if (err == ERR_OK)
        err = decoder_decode(decoder, body, size, &received, NULL);
    if (err == ERR_OK)
        assert_true(same_message(sent, received));
    free(body);
    decoder_free(&decoder);
    return err;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct random_message random = { .array_max = 300 };
    rng_init(&random.rng, 5);
    arena_init(&random.arena, 64 << 20);
    for (int i = 0; i < MESSAGE_TYPES; i++) {
        struct message *message = random_message(&random, message_types[i]);
        enum err err = ERR_MEMORY;
        for (long n = 1; err == ERR_MEMORY; n++) {
            allocations_left = n;
            err = encode_and_decode(message);
            allocations_left = -1;
            assert_true(n < 100);
        }
        assert_int_equal(err, ERR_OK);
    }
    arena_fini(&random.arena);
}

/* Decoding, that is: an encoded message is a fresh buffer each time. */
static void test_a_steady_state_allocates_nothing(void **state)
{
    (void)state;
    struct random_message random = { .array_max = 2000 };
    struct decoder *decoder = decoder_new();
    rng_init(&random.rng, 6);
    arena_init(&random.arena, 64 << 20);
    for (int i = 0; i < MESSAGE_TYPES; i++) {
        const struct message *received;
        uint8_t *body;
        size_t size;
        assert_int_equal(message_encode(random_message(&random, message_types[i]), &body, &size), ERR_OK);
        for (int turn = 0; turn < 5; turn++) {
            allocations = 0;
            assert_int_equal(decoder_decode(decoder, body, size, &received, NULL), ERR_OK);
            assert_true(turn < 2 || allocations == 0);
        }
        free(body);
        arena_reset(&random.arena);
    }
    decoder_free(&decoder);
    arena_fini(&random.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_a_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests_name("messages_memory", tests, NULL, NULL);
}
