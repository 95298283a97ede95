// SPDX-License-Identifier: Apache-2.0
/* Every message: round trips of random contents, every prefix refused, unknown fields skipped, bounds, and
 * what is refused how. */
#include "messages.h"
#include "random_message.h"
#include "text.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

struct fixture {
    struct random_message random;
    struct decoder *decoder;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    rng_init(&fixture->random.rng, seed);
    arena_init(&fixture->random.arena, 64 << 20);
    fixture->random.array_max = 4;
    fixture->decoder = decoder_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->random.arena);
    decoder_free(&fixture->decoder);
    free(fixture);
    return 0;
}

static void refuses(struct decoder *decoder, const void *body, size_t size, enum err expected,
                    const char *words)
{
    const struct message *message;
    struct why why = { "" };
    assert_int_equal(decoder_decode(decoder, body, size, &message, &why), expected);
    assert_null(message);
    if (!strstr(why.text, words))
        fail_msg("\"%s\" does not say \"%s\"", why.text, words);
}

/* With MOTLEY_WRITE_CORPUS=FOLDER, the first message of each type becomes a seed of the fuzz corpus. */
static void write_corpus(enum message_type type, const uint8_t *body, size_t size)
{
    char path[512];
    const char *folder = getenv("MOTLEY_WRITE_CORPUS");
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, message_name(type));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(body, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void round_trip(struct fixture *fixture, enum message_type type, bool keep)
{
    struct message *sent = random_message(&fixture->random, type);
    const struct message *received;
    uint8_t *body, *again;
    size_t size, size_again;
    struct why why = { "" };
    assert_int_equal(message_encode(sent, &body, &size), ERR_OK);
    if (decoder_decode(fixture->decoder, body, size, &received, &why) != ERR_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, why.text);
    if (!same_message(sent, received))
        fail_msg("seed %llu: %s came back otherwise", (unsigned long long)seed, message_name(type));
    assert_int_equal(message_encode(received, &again, &size_again), ERR_OK);
    assert_int_equal(size, size_again);
    assert_memory_equal(body, again, size);
    if (keep)
        write_corpus(type, body, size);
    free(body);
    free(again);
    arena_reset(&fixture->random.arena);
}

static void test_round_trip_of_every_message(void **state)
{
    for (int turn = 0; turn < 100; turn++)
        for (int i = 0; i < MESSAGE_TYPES; i++)
            round_trip(*state, message_types[i], turn == 0);
}

static void test_large_messages(void **state)
{
    struct fixture *fixture = *state;
    fixture->random.array_max = 4096;
    round_trip(fixture, MESSAGE_LEASES, false);
    round_trip(fixture, MESSAGE_RETURNED, false);
    round_trip(fixture, MESSAGE_LEASES, false);
}

/* In a block of its own length, so that the sanitizer sees a read past the prefix. */
static void test_every_prefix_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < MESSAGE_TYPES; i++) {
        const struct message *message;
        uint8_t *body;
        size_t size;
        assert_int_equal(message_encode(random_message(&fixture->random, message_types[i]), &body, &size),
                         ERR_OK);
        for (size_t length = 0; length < size; length++) {
            uint8_t *prefix = malloc(length + !length);
            memcpy(prefix, body, length);
            assert_int_equal(decoder_decode(fixture->decoder, prefix, length, &message, NULL), ERR_FORMAT);
            free(prefix);
        }
        free(body);
        arena_reset(&fixture->random.arena);
    }
}

/* Any single changed byte: decoded or refused, but nothing worse; and what is decoded can be encoded. */
static void test_changed_bytes_do_no_harm(void **state)
{
    struct fixture *fixture = *state;
    for (int turn = 0; turn < 20000; turn++) {
        const struct message *message;
        uint8_t *body, *again;
        size_t size;
        enum message_type type = message_types[rng_below(&fixture->random.rng, MESSAGE_TYPES)];
        assert_int_equal(message_encode(random_message(&fixture->random, type), &body, &size), ERR_OK);
        body[rng_below(&fixture->random.rng, size)] = (uint8_t)rng_next(&fixture->random.rng);
        if (decoder_decode(fixture->decoder, body, size, &message, NULL) == ERR_OK) {
            assert_int_equal(message_encode(message, &again, &size), ERR_OK);
            free(again);
        }
        free(body);
        arena_reset(&fixture->random.arena);
    }
}

/* ---- bodies by hand ---- */

static void test_unknown_fields_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    const struct message *message;
    /* [18, {1: 7, 99: [1, {"x": 2}], 2: 5, 0: nil, 9: "later"}] */
    const uint8_t body[] = "\x92\x12\x85\x01\x07\x63\x92\x01\x81\xa1x\x02\x02\x05\x00\xc0\x09\xa5later";
    assert_int_equal(decoder_decode(fixture->decoder, body, sizeof body - 1, &message, NULL), ERR_OK);
    assert_int_equal(message->type, MESSAGE_LOAD);
    assert_int_equal(message->load.slot, 7);
    assert_int_equal(message->load.job, 5);
}

static void test_absent_fields_are_zero(void **state)
{
    struct fixture *fixture = *state;
    const struct message *message;
    static const uint8_t zeros[32];
    /* [3, {1: 2}]: LOADED with nothing but the slot */
    assert_int_equal(
        decoder_decode(fixture->decoder, (const uint8_t *)"\x92\x03\x81\x01\x02", 5, &message, NULL), ERR_OK);
    assert_int_equal(message->loaded.slot, 2);
    assert_string_equal(message->loaded.reason, "");
    assert_memory_equal(message->loaded.model, zeros, 32);
    assert_false(message->loaded.ok);
}

#define REFUSES(decoder, body, err, words) refuses(decoder, body, sizeof body - 1, err, words)

static void test_malformed_bodies(void **state)
{
    struct decoder *decoder = ((struct fixture *)*state)->decoder;
    REFUSES(decoder, "", ERR_FORMAT, "truncated");
    REFUSES(decoder, "\xdf\x0f\xff\xff\xff", ERR_FORMAT, "promised"); /* 16.8 GB in msgpack-c */
    REFUSES(decoder, "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00", ERR_LIMIT, "nested");
    REFUSES(decoder, "\x12", ERR_FORMAT, "[type, {fields}]");
    REFUSES(decoder, "\x93\x12\x80\x00", ERR_FORMAT, "[type, {fields}]");
    REFUSES(decoder, "\x92\xff\x80", ERR_FORMAT, "[type, {fields}]");
    REFUSES(decoder, "\x92\x00\x80", ERR_FORMAT, "no message type 0");
    REFUSES(decoder, "\x92\xcd\xff\xff\x80", ERR_FORMAT, "no message type 65535");
    REFUSES(decoder, "\x92\x12\x90", ERR_FORMAT, "LOAD: is not a map");
    REFUSES(decoder, "\x92\x12\x80", ERR_FORMAT, "LOAD: slot: is missing");
    REFUSES(decoder, "\x92\x12\x82\x01\x01\x01\x01", ERR_FORMAT, "LOAD: slot: comes twice");
    REFUSES(decoder, "\x92\x12\x81\xa1x\x01", ERR_FORMAT, "number is not a number");
    REFUSES(decoder, "\x92\x12\x82\x01\x01\x02\x00", ERR_FORMAT, "LOAD: job: 0 is out of 1..");
    REFUSES(decoder, "\x92\x12\x82\x01\xff\x02\x01", ERR_FORMAT, "slot: is not a whole number >= 0");
    REFUSES(decoder, "\x92\x12\x82\x01\x01\x02\x01\x00", ERR_FORMAT, "1 bytes follow");
    REFUSES(decoder, "\x92\x08\x81\x01\xa1\x1b", ERR_FORMAT, "BYE: reason: is not UTF-8 without control");
    REFUSES(decoder, "\x92\x08\x81\x01\xa2\xc0\x80", ERR_FORMAT, "is not UTF-8");
    REFUSES(decoder, "\x92\x08\x81\x01\xc4\x01x", ERR_FORMAT, "is not a text");
    REFUSES(decoder, "\x92\x24\x82\x01\x01\x02\xc4\x01x", ERR_FORMAT, "BLOB_FIND: blob: is not 32 bytes");
    REFUSES(decoder, "\x92\x13\x81\x01\x91\x81\x01\xcd\x01\x00", ERR_FORMAT,
            "LEASES: leases[0].slot: 256 is out of 0..255");
}

/* ---- bounds and rules, from a good message made wrong ---- */

static const uint8_t mac[16] = { 1 };

static struct message one_lease(struct message_lease *lease)
{
    *lease = (struct message_lease){
        .slot = 1, .job = 2, .first = 3, .count = 4, .term = 5, .attempt = 6, .mac = mac
    };
    return (struct message){ .type = MESSAGE_LEASES, .leases = { lease, 1 } };
}

static void test_check_says_what_encode_would_ensure(void **state)
{
    (void)state;
    struct message_lease lease;
    struct message message = one_lease(&lease);
    struct why why;
    assert_int_equal(message_check(&message, NULL), ERR_OK);
    lease.count = BATCH_MAX + 1;
    assert_int_equal(message_check(&message, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "count"));
    lease.count = 2;
    lease.first = SAMPLES_MAX - 1;
    assert_int_equal(message_check(&message, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "10^15"));
    message = (struct message){ .type = MESSAGE_VIEW, .view = { .what = "job", .which = "a\x01" } };
    assert_int_equal(message_check(&message, &why), ERR_USAGE);
    message = (struct message){ .type = MESSAGE_NONE };
    assert_int_equal(message_check(&message, &why), ERR_USAGE);
}

/* A lease's map by hand: first and count as given. */
static size_t pack_lease(uint64_t first, uint64_t count, uint8_t *body)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    const uint64_t values[] = { 1, 2, first, count, 5, 6 };
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 2);
    msgpack_pack_int(&packer, MESSAGE_LEASES);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 6);
    for (int i = 0; i < 6; i++) {
        msgpack_pack_int(&packer, i + 1);
        msgpack_pack_uint64(&packer, values[i]);
    }
    size_t size = buffer.size;
    memcpy(body, buffer.data, size);
    msgpack_sbuffer_destroy(&buffer);
    return size;
}

static void test_bounds_of_a_lease(void **state)
{
    struct decoder *decoder = ((struct fixture *)*state)->decoder;
    const struct message *message;
    uint8_t body[64];
    assert_int_equal(decoder_decode(decoder, body, pack_lease(SAMPLES_MAX - 1, 1, body), &message, NULL),
                     ERR_OK);
    refuses(decoder, body, pack_lease(0, 0, body), ERR_FORMAT,
            "LEASES: leases[0].count: 0 is out of 1..1048576");
    refuses(decoder, body, pack_lease(0, BATCH_MAX + 1, body), ERR_FORMAT, "1048577 is out of 1..1048576");
    refuses(decoder, body, pack_lease(SAMPLES_MAX, 1, body), ERR_FORMAT, "leases[0].first");
    refuses(decoder, body, pack_lease(SAMPLES_MAX - 1, 2, body), ERR_FORMAT,
            "LEASES: leases[0]: first + count");
    refuses(decoder, body, pack_lease(UINT64_MAX, BATCH_MAX, body), ERR_FORMAT, "leases[0].first");
}

static void test_words_are_cleaned(void **state)
{
    struct fixture *fixture = *state;
    const struct message *received;
    char words[2000];
    uint8_t *body;
    size_t size;
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    memcpy(words, "bad \xff\x01 \xC3\xA9", 9);
    struct message message = { .type = MESSAGE_BYE, .bye = { words } };
    assert_int_equal(message_encode(&message, &body, &size), ERR_OK);
    assert_int_equal(decoder_decode(fixture->decoder, body, size, &received, NULL), ERR_OK);
    assert_int_equal(strlen(received->bye.reason), REASON_MAX_BYTES - 1);
    assert_memory_equal(received->bye.reason, "bad ?? \xC3\xA9xx", 11);
    free(body);
    text_clean("ab\xE2\x82\xAC", words, 5); /* the euro sign would need 6 with the zero */
    assert_string_equal(words, "ab");
}

static void test_numbers_that_are_not(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *body;
    size_t size;
    const struct message *received;
    uint8_t not_a_number[8] = { 0x7f, 0xf8 };
    struct message message = { .type = MESSAGE_LOADED, .loaded = { .alpha_us = 1.5 } };
    assert_int_equal(message_encode(&message, &body, &size), ERR_OK);
    assert_int_equal(decoder_decode(fixture->decoder, body, size, &received, NULL), ERR_OK);
    assert_true(received->loaded.alpha_us == 1.5);
    memcpy(body + size - 8, not_a_number, 8);
    refuses(fixture->decoder, body, size, ERR_FORMAT, "LOADED: alpha_us: is not finite");
    body[size - 8] = 0xbf; /* a negative one */
    refuses(fixture->decoder, body, size, ERR_FORMAT, "LOADED: alpha_us: ");
    free(body);
}

static void test_frames_of_messages(void **state)
{
    (void)state;
    struct message_result results[2] = { { .frames = 2 }, { .frames = 1 } };
    struct message message = { .type = MESSAGE_RESULTS, .results = { results, 2 } };
    assert_int_equal(message_frames_check(&message, 3, NULL), ERR_OK);
    assert_int_equal(message_frames_check(&message, 2, NULL), ERR_FORMAT);
    message = (struct message){ .type = MESSAGE_PIECE, .piece = { .ok = true } };
    assert_int_equal(message_frames_check(&message, 0, NULL), ERR_FORMAT);
    assert_int_equal(message_frames_check(&message, 1, NULL), ERR_OK);
    message.piece.ok = false;
    assert_int_equal(message_frames_check(&message, 1, NULL), ERR_FORMAT);
    message = (struct message){ .type = MESSAGE_REPLY };
    assert_int_equal(message_frames_check(&message, 1, NULL), ERR_OK);
    assert_int_equal(message_frames_check(&message, 2, NULL), ERR_FORMAT);
}

static void test_a_body_too_large_is_said_so(void **state)
{
    (void)state;
    char *path = malloc(PATH_MAX_BYTES);
    memset(path, 'p', PATH_MAX_BYTES - 1);
    path[PATH_MAX_BYTES - 1] = '\0';
    static struct message_source sources[INPUTS_MAX];
    static struct message_tensor inputs[INPUTS_MAX];
    static struct message_job jobs[JOBS_PER_MESSAGE_MAX];
    for (int i = 0; i < INPUTS_MAX; i++) {
        sources[i].path = path;
        inputs[i].dtype = DTYPE_F32;
    }
    for (int i = 0; i < JOBS_PER_MESSAGE_MAX; i++)
        jobs[i] = (struct message_job){ .job = 1,
                                        .inputs = inputs,
                                        .inputs_count = INPUTS_MAX,
                                        .sources = sources,
                                        .sources_count = INPUTS_MAX };
    struct message message = { .type = MESSAGE_JOBS, .jobs = { jobs, JOBS_PER_MESSAGE_MAX } };
    uint8_t *body;
    size_t size;
    assert_int_equal(message_encode(&message, &body, &size), ERR_LIMIT);
    assert_null(body);
    free(path);
}

static void test_tensor_and_spec(void **state)
{
    (void)state;
    struct tensor_spec spec = { .name = "in", .dtype = DTYPE_F32, .dims_count = 2, .dims = { 8, -1 } }, back;
    struct message_tensor tensor;
    message_tensor_from_spec(&spec, &tensor);
    assert_int_equal(message_tensor_to_spec(&tensor, &back, NULL), ERR_OK);
    assert_memory_equal(&spec, &back, sizeof spec);
    tensor.dtype = DTYPE_COUNT;
    assert_int_equal(message_tensor_to_spec(&tensor, &back, NULL), ERR_FORMAT);
}

static void check_table(const struct table *table)
{
    assert_true(table->fields_count <= 63);
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        if (field->number != i + 1)
            fail_msg("%s.%s is row %u and has number %u", table->name, field->name, i + 1, field->number);
        if (field->kind == FIELD_STRUCT)
            check_table(field->table);
    }
}

static void test_tables_are_in_order(void **state)
{
    (void)state;
    int found = 0;
    for (uint64_t type = 0; type < 100; type++) {
        const struct tables_row *row = tables_find(type);
        if (!row)
            continue;
        found++;
        assert_int_equal(row->type, type);
        assert_string_equal(message_name(row->type), row->name);
        check_table(row->table);
    }
    assert_int_equal(found, MESSAGE_TYPES);
    assert_string_equal(message_name(MESSAGE_NONE), "?");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip_of_every_message),
        TEST(test_large_messages),
        TEST(test_every_prefix_is_refused),
        TEST(test_changed_bytes_do_no_harm),
        TEST(test_unknown_fields_are_skipped),
        TEST(test_absent_fields_are_zero),
        TEST(test_malformed_bodies),
        TEST(test_check_says_what_encode_would_ensure),
        TEST(test_bounds_of_a_lease),
        TEST(test_words_are_cleaned),
        TEST(test_numbers_that_are_not),
        TEST(test_frames_of_messages),
        TEST(test_a_body_too_large_is_said_so),
        TEST(test_tensor_and_spec),
        TEST(test_tables_are_in_order),
    };
    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
