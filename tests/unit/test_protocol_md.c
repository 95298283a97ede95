// SPDX-License-Identifier: Apache-2.0
/* protocol.md is what the code does: its tables are the code's, its states are dialogue.c's, its examples
 * decode. */
#include "dialogue.h"
#include "messages.h"
#include "print_field.h"
#include "tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text; /* the whole file */

static int read_text(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    FILE *file = fopen(PROTOCOL_MD, "r");
    assert_non_null(file);
    text = calloc(1, size);
    assert_in_range(fread(text, 1, size - 1, file), 1000, size - 2);
    return fclose(file);
}

static int free_text(void **state)
{
    (void)state;
    free(text);
    return 0;
}

/* ---- tables ---- */

/* The line after the one that is title; the title must be there once. */
static const char *section(const char *title)
{
    const char *at = strstr(text, title);
    if (!at)
        fail_msg("protocol.md has no section \"%s\"", title);
    assert_null(strstr(at + 1, title));
    return at + strlen(title);
}

/* Compare a table with the rows of its section, which ends before the next heading. */
static void compare_table(const struct table *table, const char *title)
{
    const char *at = section(title);
    const char *end = strstr(at, "\n##");
    at = strstr(at, "\n|---");
    assert_true(at && (!end || at < end));
    for (uint32_t i = 0; i < table->fields_count; i++) {
        char row[200];
        print_field(&table->fields[i], row, sizeof row);
        at = strchr(at + 1, '\n');
        if (!at || strncmp(at + 1, row, strlen(row)) != 0)
            fail_msg("protocol.md, \"%s\": \"%.80s\" should begin \"%s\"", title, at ? at + 1 : "", row);
    }
    at = strchr(at + 1, '\n');
    if (at && at[1] == '|')
        fail_msg("protocol.md, \"%s\": a row too many: \"%.60s\"", title, at + 1);
}

static void compare_nested(const struct table *table)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        char title[80];
        const struct table *nested = table->fields[i].table;
        if (table->fields[i].kind != FIELD_STRUCT)
            continue;
        snprintf(title, sizeof title, "\n##### %s\n", nested->name);
        compare_table(nested, title);
        compare_nested(nested);
    }
}

static void test_tables(void **state)
{
    (void)state;
    for (uint64_t type = 0; type < 64; type++) {
        char title[80];
        const struct tables_row *row = tables_find(type);
        if (!row)
            continue;
        snprintf(title, sizeof title, "\n#### %s (%d)\n", row->name, (int)type);
        compare_table(row->table, title);
        compare_nested(row->table);
    }
}

static void test_states(void **state)
{
    (void)state;
    for (int i = 0; i <= DIALOGUE_ASKING; i++) {
        char expected[400];
        int used = snprintf(expected, sizeof expected, "\n| %s |", dialogue_name((enum dialogue_state)i));
        for (int type = 0; type < 64; type++)
            if (dialogue_allows((enum dialogue_state)i, (enum message_type)type))
                used += snprintf(expected + used, sizeof expected - (size_t)used, " %s",
                                 message_name((enum message_type)type));
        snprintf(expected + used, sizeof expected - (size_t)used, " |\n");
        if (!strstr(text, expected))
            fail_msg("protocol.md has no row \"%s\"", expected);
    }
}

/* ---- examples ---- */

struct example {
    char name[40]; /* a message's, or "refused" */
    uint8_t body[512];
    size_t size;
};

/* The hex digits of a line, up to its comment. */
static void read_hex(const char *line, struct example *example)
{
    for (; *line != ';' && *line != '\n' && *line != '\0'; line++) {
        unsigned byte;
        if (*line == ' ')
            continue;
        assert_int_equal(sscanf(line, "%2x", &byte), 1);
        assert_true(example->size < sizeof example->body);
        example->body[example->size++] = (uint8_t)byte;
        line++;
    }
}

/* The next ```hex block from *at on; false when there is none. */
static bool next_example(const char **at, struct example *example)
{
    const char *start = strstr(*at, "```hex ");
    memset(example, 0, sizeof *example);
    if (!start)
        return false;
    assert_int_equal(sscanf(start, "```hex %39s", example->name), 1);
    const char *line = strchr(start, '\n') + 1;
    for (; strncmp(line, "```", 3) != 0; line = strchr(line, '\n') + 1)
        read_hex(line, example);
    *at = line;
    return true;
}

static void check_lease(const struct message *message)
{
    const struct message_lease *lease = message->leases.leases;
    assert_int_equal(message->leases.leases_count, 1);
    assert_int_equal(lease->slot, 1);
    assert_int_equal(lease->job, 7);
    assert_int_equal(lease->first, 128);
    assert_int_equal(lease->count, 32);
    assert_int_equal(lease->term, 3);
    assert_int_equal(lease->attempt, 42);
    assert_int_equal(lease->mac[15], 15);
}

static void check_result(const struct message *message)
{
    const struct message_result *result = message->results.results;
    assert_int_equal(result->status, RESULT_OK);
    assert_int_equal(result->run_us, 1500);
    assert_true(result->energy_joules == -1.0);
    assert_int_equal(result->frames, 1);
    assert_int_equal(result->shapes[0].dtype, DTYPE_F32);
    assert_int_equal(result->shapes[0].dims[0], 8);
    assert_int_equal(message_frames_check(message, 1, NULL), ERR_OK);
}

static void check_submit(const struct message *message)
{
    const struct message_submit *submit = &message->submit;
    assert_string_equal(submit->require, "device.kind = gpu");
    assert_string_equal(submit->prefer, "");
    assert_string_equal(submit->tenant, "lab");
    assert_int_equal(submit->deadline_us, 600000000);
    assert_int_equal(submit->objective, SUBMIT_GREENEST);
    assert_int_equal(submit->verify_ppm, 10000);
    assert_false(submit->dry_run);
}

static void check_drain(const struct message *message)
{
    assert_string_equal(message->drain.which, "lab-1");
    assert_true(message->drain.resume);
}

static void check_change(const struct message *message)
{
    assert_string_equal(message->change.which, "12");
    assert_int_equal(message->change.what, CHANGE_PRIORITY | CHANGE_DEADLINE);
    assert_int_equal(message->change.priority, 5);
    assert_int_equal(message->change.deadline_us, 600000000);
}

static void check_infer(const struct message *message)
{
    assert_int_equal(message->infer.samples, 1);
    assert_int_equal(message->infer.outputs[0].dtype, DTYPE_U64);
    assert_int_equal(message->infer.deadline_us, 200000);
    assert_int_equal(message_frames_check(message, 0, NULL), ERR_OK);
    assert_int_equal(message_frames_check(message, 1, NULL), ERR_FORMAT);
}

static void check_inferred(const struct message *message)
{
    assert_int_equal(message->inferred.shapes[0].dtype, DTYPE_U64);
    assert_int_equal(message->inferred.shapes[0].dims_count, 0);
    assert_int_equal(message->inferred.run_us, 700);
    assert_string_equal(message->inferred.worker, "lab-1");
    assert_int_equal(message_frames_check(message, 1, NULL), ERR_OK);
}

static void check_contents(const struct message *message)
{
    switch (message->type) {
    case MESSAGE_LEASES: check_lease(message); break;
    case MESSAGE_RESULTS: check_result(message); break;
    case MESSAGE_CLIENT_HELLO: assert_string_equal(message->client_hello.version, "0.1.0"); break;
    case MESSAGE_HELLO: assert_string_equal(message->hello.name, "lab-1"); break;
    case MESSAGE_SUBMIT: check_submit(message); break;
    case MESSAGE_LOAD:
        assert_int_equal(message->load.model[31], 31);
        assert_int_equal(message->load.model_bytes, 1000);
        break;
    case MESSAGE_UNLOAD: assert_int_equal(message->unload.slot, 1); break;
    case MESSAGE_PREFETCH: assert_int_equal(message->prefetch.job, 7); break;
    case MESSAGE_DRAINING: assert_true(message->draining.on); break;
    case MESSAGE_PULSE: assert_int_equal(message->pulse.sequence, 17); break;
    case MESSAGE_DRAIN: check_drain(message); break;
    case MESSAGE_CHANGE: check_change(message); break;
    case MESSAGE_REMOVE:
        assert_int_equal(message->remove.what, REMOVE_JOBS);
        assert_string_equal(message->remove.which, "3-7");
        break;
    case MESSAGE_RETRY: assert_string_equal(message->retry.which, "8"); break;
    case MESSAGE_JOIN:
        assert_int_equal(message->join.public_half[31], 31);
        assert_string_equal(message->join.name, "lab-1");
        break;
    case MESSAGE_INFER: check_infer(message); break;
    case MESSAGE_INFERRED: check_inferred(message); break;
    default: fail_msg("no contents are known for the example %s", message_name(message->type));
    }
}

static void check_example(struct decoder *decoder, const struct example *example)
{
    const struct message *message;
    struct why why = { "" };
    uint8_t *again;
    size_t size;
    enum err err = decoder_decode(decoder, example->body, example->size, &message, &why);
    if (strcmp(example->name, "refused") == 0) {
        assert_int_equal(err, ERR_FORMAT);
        return;
    }
    if (err != ERR_OK)
        fail_msg("the example %s: %s", example->name, why.text);
    assert_string_equal(message_name(message->type), example->name);
    check_contents(message);
    assert_int_equal(message_encode(message, &again, &size), ERR_OK);
    assert_int_equal(size, example->size);
    assert_memory_equal(again, example->body, size);
    free(again);
}

static void test_examples(void **state)
{
    (void)state;
    struct decoder *decoder = decoder_new();
    struct example example;
    const char *at = text;
    int good = 0, refused = 0;
    while (next_example(&at, &example)) {
        check_example(decoder, &example);
        strcmp(example.name, "refused") == 0 ? refused++ : good++;
    }
    assert_true(good >= 3 && refused >= 3);
    decoder_free(&decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests_name("protocol_md", tests, read_text, free_text);
}
