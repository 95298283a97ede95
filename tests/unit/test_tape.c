// SPDX-License-Identifier: Apache-2.0
#include "tape.h"

#include "tape_fields.h"
#include "unit/random_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { EVENTS = 400 };

static uint64_t seed;

/* ---- a tape in memory ---- */

struct roll {
    size_t size;
    uint8_t bytes[1 << 20];
};

static void roll_append(struct roll *roll, const void *bytes, size_t size)
{
    assert_true(bytes && roll->size + size <= sizeof roll->bytes);
    memcpy(roll->bytes + roll->size, bytes, size);
    roll->size += size;
}

static void roll_begin(struct roll *roll, struct tape_writer *writer, const struct tape_life *life)
{
    char header[TAPE_HEADER_MAX];
    roll->size = 0;
    roll_append(roll, header, tape_header(header));
    tape_writer_init(writer);
    tape_write_life(writer, life);
}

static void roll_take(struct roll *roll, struct tape_writer *writer)
{
    size_t size;
    const uint8_t *bytes = tape_take(writer, &size);
    assert_false(writer->failed);
    if (bytes)
        roll_append(roll, bytes, size);
}

static struct tape_life some_life(void)
{
    return (struct tape_life){ .config = { .workers_max = 10,
                                           .slots_max = 20,
                                           .jobs_max = 30,
                                           .chunk_cap_us = 40,
                                           .chunk_cost_us = 50,
                                           .lease_floor_us = UINT64_MAX },
                               .term = 7,
                               .now_us = 123456789,
                               .wall_us = 1700000000000000 };
}

/* Every type in turn, with an answer here and there, in blocks of a few events. */
static void write_random(struct roll *roll, uint64_t from, int events)
{
    static struct sched_actions actions;
    static struct random_events random;
    struct tape_writer writer;
    struct sched_event event;
    struct tape_life life = some_life();
    uint64_t now_us = life.now_us;
    rng_init(&random.rng, from);
    roll_begin(roll, &writer, &life);
    for (int i = 0; i < events; i++) {
        now_us += random_number(&random.rng, 1u << 20);
        random_event(&random, (enum sched_event_type)(i % (SCHED_RESUME + 1)), &event);
        tape_write_event(&writer, now_us, &event);
        actions.count = rng_below(&random.rng, 3);
        actions.at[0] = (struct sched_action){ .type = SCHED_LEASE, .job = 1 };
        actions.at[1] = (struct sched_action){ .type = SCHED_ACK, .attempt = now_us };
        tape_write_answer(&writer, &actions);
        if (i % 7 == 0)
            tape_write_remove(&writer, now_us);
        if (i % 5 == 0)
            roll_take(roll, &writer);
    }
    tape_write_stop(&writer, "end");
    roll_take(roll, &writer);
    tape_writer_fini(&writer);
    random_events_fini(&random);
}

static struct tape_reader *open_roll(const struct roll *roll)
{
    struct tape_reader *reader;
    struct why why = { "" };
    enum err err = tape_reader_new(roll->bytes, roll->size, &reader, &why);
    if (err)
        fail_msg("%s", why.text);
    return reader;
}

/* ---- round trips ---- */

static void same_text(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a)
        assert_string_equal(a, b);
}

static void same_slot(struct sched_slot_info a, struct sched_slot_info b)
{
    assert_int_equal(!a.attributes, !b.attributes);
    if (a.attributes)
        assert_true(attributes_equal(a.attributes, b.attributes));
    a.attributes = b.attributes = NULL;
    assert_memory_equal(&a, &b, sizeof a);
}

static void same_event(struct sched_event a, struct sched_event b)
{
    assert_int_equal(a.type, b.type);
    if (a.type == SCHED_WORKER_UP) {
        assert_int_equal(a.up.slots_count, b.up.slots_count);
        for (uint32_t i = 0; i < a.up.slots_count; i++)
            same_slot(a.up.slots[i], b.up.slots[i]);
        a.up.slots = b.up.slots = NULL;
    }
    if (a.type == SCHED_JOB_ADD) {
        same_text(a.add.require, b.add.require);
        same_text(a.add.prefer, b.add.prefer);
        a.add.require = b.add.require = a.add.prefer = b.add.prefer = NULL;
        assert_int_equal(a.add.costs_count, b.add.costs_count);
        if (a.add.costs_count > 0)
            assert_memory_equal(a.add.costs, b.add.costs, a.add.costs_count * sizeof *a.add.costs);
        a.add.costs = b.add.costs = NULL;
    }
    assert_memory_equal(&a, &b, sizeof a);
}

static void same_life(const struct tape_life *a, const struct tape_life *b)
{
    assert_int_equal(a->config.workers_max, b->config.workers_max);
    assert_int_equal(a->config.slots_max, b->config.slots_max);
    assert_int_equal(a->config.jobs_max, b->config.jobs_max);
    assert_int_equal(a->config.chunk_cap_us, b->config.chunk_cap_us);
    assert_int_equal(a->config.chunk_cost_us, b->config.chunk_cost_us);
    assert_int_equal(a->config.lease_floor_us, b->config.lease_floor_us);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->now_us, b->now_us);
    assert_int_equal(a->wall_us, b->wall_us);
}

static void test_life(void **state)
{
    static struct roll roll;
    struct tape_record record;
    struct tape_life life = some_life();
    (void)state;
    write_random(&roll, seed, 0);
    struct tape_reader *reader = open_roll(&roll);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    assert_int_equal(record.type, TAPE_LIFE);
    same_life(&record.life, &life);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    assert_int_equal(record.type, TAPE_STOP);
    assert_string_equal(record.reason, "end");
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_END);
    tape_reader_free(&reader);
}

static void test_every_event_comes_back(void **state)
{
    static struct roll roll;
    static struct random_events random;
    struct tape_record record;
    struct sched_event event;
    uint64_t now_us = some_life().now_us;
    (void)state;
    write_random(&roll, seed, EVENTS);
    struct tape_reader *reader = open_roll(&roll);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    rng_init(&random.rng, seed);
    for (int i = 0; i < EVENTS; i++) {
        now_us += random_number(&random.rng, 1u << 20);
        random_event(&random, (enum sched_event_type)(i % (SCHED_RESUME + 1)), &event);
        assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
        assert_int_equal(record.type, TAPE_EVENT);
        assert_int_equal(record.now_us, now_us);
        same_event(event, record.event);
        assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
        assert_int_equal(record.type, TAPE_ANSWER);
        assert_int_equal(record.actions_count, rng_below(&random.rng, 3));
        assert_int_equal(record.fold == 0, record.actions_count == 0);
        if (i % 7 == 0) {
            assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
            assert_int_equal(record.type, TAPE_REMOVE);
            assert_int_equal(record.job, now_us);
        }
    }
    random_events_fini(&random);
    tape_reader_free(&reader);
}

/* A new field of these structs needs a row in tape_fields.c, and then a new size here. */
static void test_the_tables_know_all_fields(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct sched_event), 376);
    assert_int_equal(sizeof(((struct sched_event *)0)->add), 320);
    assert_int_equal(sizeof(((struct sched_event *)0)->result), 40);
    assert_int_equal(sizeof(((struct sched_event *)0)->loaded), 32);
    assert_int_equal(sizeof(((struct sched_event *)0)->tenant), 24);
    assert_int_equal(sizeof(((struct sched_event *)0)->change), 16);
    assert_int_equal(sizeof(((struct sched_event *)0)->up), 16);
    assert_int_equal(sizeof(struct sched_slot_info), 344);
    assert_int_equal(sizeof(struct sched_variant), 24);
    assert_int_equal(sizeof(struct sched_config), 40);
    assert_int_equal(sizeof(struct sched_action), 88);
}

static void test_letters_and_names_are_unique(void **state)
{
    (void)state;
    for (unsigned a = 0; a <= SCHED_RESUME; a++) {
        const struct layout *layout = layout_event((enum sched_event_type)a);
        enum sched_event_type type;
        assert_non_null(layout);
        assert_null(memchr("L.!?-~*_% ", layout->letter, 10));
        assert_ptr_equal(layout_by_name(layout->name, strlen(layout->name), &type), layout);
        assert_int_equal(type, a);
        for (unsigned b = 0; b < a; b++)
            assert_int_not_equal(layout->letter, layout_event((enum sched_event_type)b)->letter);
    }
}

static void test_the_fold_sees_every_field(void **state)
{
    static struct sched_actions actions;
    uint32_t folds[16];
    size_t offsets[] = { offsetof(struct sched_action, type),   offsetof(struct sched_action, worker),
                         offsetof(struct sched_action, slot),   offsetof(struct sched_action, job),
                         offsetof(struct sched_action, first),  offsetof(struct sched_action, count),
                         offsetof(struct sched_action, term),   offsetof(struct sched_action, attempt),
                         offsetof(struct sched_action, settle), offsetof(struct sched_action, model),
                         offsetof(struct sched_action, class),  offsetof(struct sched_action, until_us),
                         offsetof(struct sched_action, state) };
    size_t fields = sizeof offsets / sizeof offsets[0];
    (void)state;
    actions.count = 1;
    for (size_t i = 0; i < fields; i++) {
        memset(&actions.at[0], 0, sizeof actions.at[0]);
        *((uint8_t *)&actions.at[0] + offsets[i]) = 1;
        folds[i] = tape_fold(&actions);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(folds[i], folds[k]);
    }
}

/* ---- other versions ---- */

/* Replace one line of the header; the tape keeps its blocks. */
static void change_line(struct roll *roll, const char *begins, const char *becomes)
{
    static struct roll copy;
    copy.size = 0;
    for (uint8_t *at = roll->bytes, *end = roll->bytes + roll->size; at < end;) {
        uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t size = line_end && *at == '#' ? (size_t)(line_end + 1 - at) : (size_t)(end - at);
        if (size > strlen(begins) && memcmp(at, begins, strlen(begins)) == 0)
            roll_append(&copy, becomes, strlen(becomes));
        else
            roll_append(&copy, at, size);
        bool last = *at != '#' || (size == 4 && memcmp(at, "# .\n", 4) == 0);
        at += size;
        if (last && at < end) {
            roll_append(&copy, at, (size_t)(end - at));
            break;
        }
    }
    memcpy(roll->bytes, copy.bytes, copy.size);
    roll->size = copy.size;
}

static void refused(const struct roll *roll, enum err err, const char *says)
{
    struct tape_reader *reader;
    struct why why = { "" };
    assert_int_equal(tape_reader_new(roll->bytes, roll->size, &reader, &why), err);
    assert_null(reader);
    if (!strstr(why.text, says))
        fail_msg("'%s' does not say '%s'", why.text, says);
}

static void test_a_newer_format_is_refused(void **state)
{
    static struct roll roll;
    (void)state;
    write_random(&roll, seed, 3);
    change_line(&roll, "# motley-tape", "# motley-tape 99\n");
    refused(&roll, ERR_UNSUPPORTED, "line 1: format 99, of a newer Motley");
}

static void test_bad_headers_are_refused(void **state)
{
    static struct roll roll;
    (void)state;
    roll.size = 0;
    refused(&roll, ERR_FORMAT, "line 1: the header ends");
    roll_append(&roll, "PK\3\4 something\n", 15);
    refused(&roll, ERR_FORMAT, "line 1: not a recording");
    write_random(&roll, seed, 3);
    change_line(&roll, "# = T", "# = T tick a:z\n");
    refused(&roll, ERR_FORMAT, "not a record that this version can read");
    write_random(&roll, seed, 3);
    change_line(&roll, "# = * event", "# = q thing\n");
    refused(&roll, ERR_FORMAT, "says nothing of");
}

/* "pause" has no fields here: in a version where it has two, they are passed over; there, "held" lacks what
 * it has here (nothing), and so on: both ways fields go by their names. */
static void test_fields_go_by_name(void **state)
{
    static struct roll roll;
    struct tape_writer writer;
    struct tape_record record;
    struct tape_life life = some_life();
    struct sched_event event = { .type = SCHED_STORED, .job = 5, .stored = { .settle = 300 } };
    (void)state;
    roll_begin(&roll, &writer, &life);
    tape_write_event(&writer, life.now_us, &event);
    event = (struct sched_event){ .type = SCHED_JOB_SETTLED_RANGE, .job = 6, .settled = { .failed = true } };
    tape_write_event(&writer, life.now_us, &event);
    roll_take(&roll, &writer);
    tape_writer_fini(&writer);
    change_line(&roll, "# = S stored", "# = S stored something.new:u\n");
    change_line(&roll, "# = G settled-range", "# = G cancel later:u\n");
    change_line(&roll, "# = C cancel", "# = C settled-range\n");
    struct tape_reader *reader = open_roll(&roll);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    assert_int_equal(record.event.type, SCHED_STORED);
    assert_int_equal(record.event.stored.settle, 0);
    assert_int_equal(record.event.job, 5);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_READ);
    assert_int_equal(record.event.type, SCHED_JOB_CANCEL);
    assert_int_equal(record.event.job, 6);
    assert_int_equal(tape_next(reader, &record, NULL), TAPE_END);
    tape_reader_free(&reader);
}

static void test_an_unknown_event_is_named_with_its_byte(void **state)
{
    static struct roll roll;
    struct tape_record record;
    struct why why = { "" };
    enum tape_read read;
    (void)state;
    write_random(&roll, seed, 40);
    change_line(&roll, "# = P pause", "# = P nap\n");
    struct tape_reader *reader = open_roll(&roll);
    while ((read = tape_next(reader, &record, &why)) == TAPE_READ)
        ;
    assert_int_equal(read, TAPE_DAMAGED);
    assert_non_null(strstr(why.text, "byte "));
    assert_non_null(strstr(why.text, "does not know"));
    assert_int_equal(tape_next(reader, &record, &why), TAPE_DAMAGED);
    tape_reader_free(&reader);
}

/* ---- torn and damaged ---- */

/* From a buffer of just that size, so that a sanitizer sees reads beyond it. */
static enum tape_read read_all(const uint8_t *bytes, size_t size, int *records)
{
    struct tape_reader *reader;
    struct tape_record record;
    struct why why = { "" };
    enum tape_read read;
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *records = 0;
    if (tape_reader_new(copy, size, &reader, &why)) {
        free(copy);
        return TAPE_DAMAGED;
    }
    while ((read = tape_next(reader, &record, &why)) == TAPE_READ)
        ++*records;
    assert_true(read == TAPE_END || why.text[0]);
    tape_reader_free(&reader);
    free(copy);
    return read;
}

static void test_every_prefix_is_torn_or_ends(void **state)
{
    static struct roll roll;
    char header[TAPE_HEADER_MAX];
    int all, records, before = 0, ends = 0;
    (void)state;
    write_random(&roll, seed, 40);
    assert_int_equal(read_all(roll.bytes, roll.size, &all), TAPE_END);
    size_t header_size = tape_header(header);
    for (size_t size = 0; size < roll.size; size++) {
        enum tape_read read = read_all(roll.bytes, size, &records);
        assert_int_equal(read == TAPE_DAMAGED, size < header_size);
        assert_in_range(records, before, all);
        before = records;
        ends += read == TAPE_END;
    }
    assert_int_equal(ends, 9); /* after the header, and after each block but the last */
}

static void test_zeros_at_the_end_are_torn(void **state)
{
    static struct roll roll;
    static const uint8_t zeros[5000];
    int before, records;
    (void)state;
    write_random(&roll, seed, 20);
    read_all(roll.bytes, roll.size, &before);
    roll_append(&roll, zeros, sizeof zeros);
    assert_int_equal(read_all(roll.bytes, roll.size, &records), TAPE_TORN);
    assert_int_equal(records, before);
}

static void test_a_flipped_bit_is_seen(void **state)
{
    static struct roll roll;
    char header[TAPE_HEADER_MAX];
    int all, records;
    (void)state;
    write_random(&roll, seed, 60);
    read_all(roll.bytes, roll.size, &all);
    size_t header_size = tape_header(header);
    for (size_t at = header_size; at < roll.size; at++) {
        roll.bytes[at] ^= (uint8_t)(1u << at % 8);
        assert_int_not_equal(read_all(roll.bytes, roll.size, &records), TAPE_END);
        assert_true(records < all);
        roll.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t at = 0; at < header_size; at++) {
        roll.bytes[at] ^= (uint8_t)(1u << at % 8);
        read_all(roll.bytes, roll.size, &records); /* comments may change: no crash */
        roll.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
}

static void test_time_that_goes_back_is_not_written(void **state)
{
    struct tape_writer writer;
    size_t size;
    (void)state;
    tape_writer_init(&writer);
    tape_write_event(&writer, 10, &(struct sched_event){ .type = SCHED_TICK });
    size_t whole = writer.whole;
    tape_write_event(&writer, 9, &(struct sched_event){ .type = SCHED_TICK });
    assert_true(writer.failed);
    assert_non_null(tape_take(&writer, &size));
    assert_int_equal(size, whole); /* what was good before is not lost */
    tape_writer_fini(&writer);
}

int main(void)
{
    const char *given = getenv("MOTLEY_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_every_event_comes_back),
        cmocka_unit_test(test_the_tables_know_all_fields),
        cmocka_unit_test(test_letters_and_names_are_unique),
        cmocka_unit_test(test_the_fold_sees_every_field),
        cmocka_unit_test(test_a_newer_format_is_refused),
        cmocka_unit_test(test_bad_headers_are_refused),
        cmocka_unit_test(test_fields_go_by_name),
        cmocka_unit_test(test_an_unknown_event_is_named_with_its_byte),
        cmocka_unit_test(test_every_prefix_is_torn_or_ends),
        cmocka_unit_test(test_zeros_at_the_end_are_torn),
        cmocka_unit_test(test_a_flipped_bit_is_seen),
        cmocka_unit_test(test_time_that_goes_back_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
