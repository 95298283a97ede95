// SPDX-License-Identifier: Apache-2.0
#include "attributes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct attribute find(const struct attributes *attributes, const char *name)
{
    struct attribute attribute;
    assert_true(
        attributes_find(attributes, attribute_type_find(name, strlen(name)), name, strlen(name), &attribute));
    assert_string_equal(attribute.name, name);
    assert_int_equal(attribute.name_size, strlen(name));
    return attribute;
}

static bool lacks(const struct attributes *attributes, const char *name)
{
    struct attribute attribute;
    return !attributes_find(attributes, attribute_type_find(name, strlen(name)), name, strlen(name),
                            &attribute);
}

static const char *show(const struct attributes *attributes, const char *name)
{
    static char text[128];
    struct attribute attribute = find(attributes, name);
    attribute_show(&attribute, text, sizeof text);
    return text;
}

/* A slot that has something of every kind, built forwards or backwards. */
static struct attributes *build(bool backwards)
{
    static const char *const precisions[] = { "int8", "FP32", "fp16", "fp32" };
    static const uint32_t sizes[] = { 64, 8, 1, 128 };
    struct attributes_builder builder;
    attributes_begin(&builder);
    for (int i = 0; i < 9; i++)
        switch (backwards ? 8 - i : i) {
        case 0: assert_true(attributes_add_text(&builder, "device.kind", "gpu")); break;
        case 1: assert_true(attributes_add_number(&builder, "device.memory", 17179869184.0)); break;
        case 2: assert_true(attributes_add_set(&builder, "precision", precisions, 4)); break;
        case 3: assert_true(attributes_add_whole_set(&builder, "batch.sizes", sizes, 4)); break;
        case 4: assert_true(attributes_add_version(&builder, "worker.version", "1.20-rc1")); break;
        case 5: assert_true(attributes_add_label(&builder, "room", "b12")); break;
        case 6: assert_true(attributes_add_label(&builder, "rack", "07")); break;
        case 7: assert_true(attributes_add_label(&builder, "delay", "5ms")); break;
        case 8: assert_true(attributes_add_text(&builder, "worker", "gpu-3")); break;
        }
    return attributes_finish(&builder);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    struct attributes *attributes = build(false);
    assert_int_equal(attributes_count(attributes), 9);
    assert_true(find(attributes, "device.memory").number == 17179869184.0);
    assert_int_equal(find(attributes, "device.memory").dimension, DIMENSION_BYTES);
    assert_string_equal(find(attributes, "worker").text, "gpu-3");
    assert_int_equal(find(attributes, "worker.version").version.part[1], 20);
    assert_false(find(attributes, "label.room").is_number);
    assert_true(find(attributes, "label.rack").is_number);
    assert_true(find(attributes, "label.rack").number == 7);
    assert_true(find(attributes, "label.delay").number == 0.005);
    assert_int_equal(find(attributes, "label.delay").dimension, DIMENSION_SECONDS);
    assert_true(lacks(attributes, "host"));
    assert_true(lacks(attributes, "label.Room"));
    assert_true(lacks(attributes, "label.other"));
    attributes_free(&attributes);
    assert_null(attributes);
    attributes_free(&attributes);
}

static void values_are_shown(void **state)
{
    (void)state;
    struct attributes *attributes = build(false);
    assert_string_equal(show(attributes, "device.memory"), "16GiB");
    assert_string_equal(show(attributes, "device.kind"), "gpu");
    assert_string_equal(show(attributes, "precision"), "[fp16, FP32, int8]");
    assert_string_equal(show(attributes, "batch.sizes"), "[1, 8, 64, 128]");
    assert_string_equal(show(attributes, "worker.version"), "1.20-rc1");
    assert_string_equal(show(attributes, "label.rack"), "07");
    char text[12];
    struct attribute attribute = find(attributes, "precision");
    attribute_show(&attribute, text, sizeof text);
    assert_string_equal(text, "[fp16, F...");
    attribute_show(&attribute, text, 1);
    assert_string_equal(text, "");
    attributes_free(&attributes);
}

static void the_order_of_adding_does_not_matter(void **state)
{
    (void)state;
    struct attributes *a = build(false), *b = build(true), *c = attributes_copy(a);
    assert_true(attributes_equal(a, b));
    assert_true(attributes_equal(a, c));
    assert_true(attributes_hash(a) == attributes_hash(b));
    assert_int_equal(attributes_bytes(a), attributes_bytes(b));
    struct attribute one, next;
    for (uint32_t i = 0; i + 1 < attributes_count(a); i++) {
        attributes_at(a, i, &one);
        attributes_at(a, i + 1, &next);
        assert_true(one.type < next.type || (one.type == next.type && strcmp(one.name, next.name) < 0));
    }
    attributes_free(&a);
    attributes_free(&b);
    attributes_free(&c);
}

/* Build again from what is seen of each attribute, as a log of events does. */
static void add_again(struct attributes_builder *builder, const struct attribute *attribute)
{
    const char *members[ATTRIBUTE_MEMBERS_MAX], *member = attribute->text;
    uint32_t numbers[ATTRIBUTE_MEMBERS_MAX];
    for (uint32_t i = 0; attribute->kind == ATTRIBUTE_SET && i < attribute->size; i++) {
        members[i] = member;
        numbers[i] = (uint32_t)strtoul(member, NULL, 10);
        member += strlen(member) + 1;
    }
    bool taken = false;
    switch (attribute->kind) {
    case ATTRIBUTE_NUMBER: taken = attributes_add_number(builder, attribute->name, attribute->number); break;
    case ATTRIBUTE_TEXT: taken = attributes_add_text(builder, attribute->name, attribute->text); break;
    case ATTRIBUTE_VERSION: taken = attributes_add_version(builder, attribute->name, attribute->text); break;
    case ATTRIBUTE_LABEL: taken = attributes_add_label(builder, attribute->name + 6, attribute->text); break;
    case ATTRIBUTE_SET:
        taken = attribute_type(attribute->type)->whole
                    ? attributes_add_whole_set(builder, attribute->name, numbers, attribute->size)
                    : attributes_add_set(builder, attribute->name, members, attribute->size);
        break;
    }
    assert_true(taken);
}

static void what_is_seen_builds_an_equal_one(void **state)
{
    (void)state;
    struct attributes_builder builder;
    struct attributes *attributes = build(false);
    attributes_begin(&builder);
    for (uint32_t i = 0; i < attributes_count(attributes); i++) {
        struct attribute attribute;
        attributes_at(attributes, i, &attribute);
        add_again(&builder, &attribute);
    }
    struct attributes *again = attributes_finish(&builder);
    assert_true(attributes_equal(attributes, again));
    attributes_free(&attributes);
    attributes_free(&again);
}

static struct attributes *one(const char *kind, double memory, const char *room, const char *precision)
{
    struct attributes_builder builder;
    attributes_begin(&builder);
    attributes_add_text(&builder, "device.kind", kind);
    attributes_add_number(&builder, "device.memory", memory);
    attributes_add_label(&builder, "room", room);
    attributes_add_set(&builder, "precision", &precision, 1);
    return attributes_finish(&builder);
}

static void each_part_makes_a_difference(void **state)
{
    (void)state;
    struct attributes *base = one("gpu", 8, "a", "fp16");
    struct attributes *others[] = { one("cpu", 8, "a", "fp16"), one("gpu", 9, "a", "fp16"),
                                    one("gpu", 8, "b", "fp16"), one("gpu", 8, "a", "fp32"),
                                    one("gpu", 8, "aa", "fp16") };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(attributes_equal(base, others[i]));
        assert_true(attributes_hash(base) != attributes_hash(others[i]));
        attributes_free(&others[i]);
    }
    attributes_free(&base);
}

static void the_absurd_is_left_out(void **state)
{
    (void)state;
    struct attributes_builder builder;
    const char *none = NULL, *empty = "";
    char key[80];
    attributes_begin(&builder);
    assert_false(attributes_add_number(&builder, "device.memory", NAN));
    assert_false(attributes_add_number(&builder, "device.memory", INFINITY));
    assert_false(attributes_add_number(&builder, "device.memory", -1));
    assert_false(attributes_add_number(&builder, "device.memory", 1e300));
    assert_false(attributes_add_number(&builder, "device.memory", 1e-300));
    assert_false(attributes_add_number(&builder, "device.memroy", 1));
    assert_false(attributes_add_number(&builder, "device.kind", 1));
    assert_false(attributes_add_number(&builder, "label.room", 1));
    assert_false(attributes_add_text(&builder, "device.memory", "16GiB"));
    assert_false(attributes_add_text(&builder, "device.kind", ""));
    assert_false(attributes_add_text(&builder, "label.room", "a"));
    assert_false(attributes_add_version(&builder, "worker.version", "unknown"));
    assert_false(attributes_add_version(&builder, "worker.version", "99999999999"));
    assert_false(attributes_add_set(&builder, "precision", &none, 0));
    assert_false(attributes_add_set(&builder, "precision", &empty, 1));
    assert_false(attributes_add_set(&builder, "batch.sizes", &empty, 1));
    assert_false(attributes_add_label(&builder, "", "x"));
    assert_false(attributes_add_label(&builder, "two words", "x"));
    assert_false(attributes_add_label(&builder, "room", ""));
    memset(key, 'k', sizeof key);
    key[58] = 0;
    assert_false(attributes_add_label(&builder, key, "x"));
    assert_int_equal(builder.count, 0);
    assert_int_equal(builder.used, 0);
    key[57] = 0;
    assert_true(attributes_add_label(&builder, key, "x"));
    assert_true(attributes_add_number(&builder, "device.memory", -0.0));
    assert_false(attributes_add_number(&builder, "device.memory", 5));
    assert_true(attributes_add_label(&builder, "room", "x"));
    assert_false(attributes_add_label(&builder, "room", "y"));
    struct attributes *attributes = attributes_finish(&builder);
    assert_int_equal(attributes_count(attributes), 3);
    assert_false(signbit(find(attributes, "device.memory").number));
    attributes_free(&attributes);
}

static void everything_is_bounded(void **state)
{
    (void)state;
    struct attributes_builder builder;
    static char text[1000], key[16];
    memset(text, 'x', sizeof text - 1);
    memcpy(text + 254, "\xc3\xa9", 2); /* a character across the bound */
    attributes_begin(&builder);
    int taken = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        taken += attributes_add_label(&builder, key, text);
    }
    assert_in_range(taken, 50, ATTRIBUTES_MAX);
    struct attributes *attributes = attributes_finish(&builder);
    assert_int_equal(attributes_count(attributes), taken);
    assert_int_equal(find(attributes, "label.k7").size, 254);
    attributes_free(&attributes);
    attributes_begin(&builder);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(attributes_add_label(&builder, key, "v"), i < ATTRIBUTES_MAX);
    }
    attributes = attributes_finish(&builder);
    assert_int_equal(attributes_count(attributes), ATTRIBUTES_MAX);
    attributes_free(&attributes);
    attributes_begin(&builder);
    attributes = attributes_finish(&builder);
    assert_int_equal(attributes_count(attributes), 0);
    attributes_free(&attributes);
}

static void the_table_of_names_is_good(void **state)
{
    (void)state;
    uint32_t count = attribute_types_count();
    for (uint32_t i = 0; i < count; i++) {
        const struct attribute_type *type = attribute_type(i);
        struct quantity quantity;
        assert_true(strlen(type->name) < ATTRIBUTE_NAME_MAX && type->means[0] && type->example[0]);
        assert_int_equal(attribute_type_find(type->name, strlen(type->name)), i);
        if (i + 2 < count)
            assert_true(strcmp(type->name, attribute_type(i + 1)->name) < 0);
        if (type->kind != ATTRIBUTE_NUMBER)
            continue;
        assert_int_equal(quantity_parse(type->example, strlen(type->example), &quantity), QUANTITY_OK);
        assert_int_equal(quantity.dimension, type->dimension);
    }
    assert_int_equal(attribute_type_find("label.anything", 14), count - 1);
    assert_int_equal(attribute_type_find("label.", 6), UINT32_MAX);
    assert_int_equal(attribute_type_find("label", 5), UINT32_MAX);
    assert_int_equal(attribute_type_find("", 0), UINT32_MAX);
    assert_int_equal(attribute_type_find("device.kin", 10), UINT32_MAX);
}

static void the_document_has_the_table(void **state)
{
    (void)state;
    static char text[1 << 16];
    FILE *file = fopen(REQUIREMENTS_MD, "r");
    assert_non_null(file);
    assert_in_range(fread(text, 1, sizeof text - 1, file), 1000, sizeof text - 2);
    fclose(file);
    for (uint32_t i = 0; i < attribute_types_count(); i++) {
        const struct attribute_type *type = attribute_type(i);
        bool unit = type->kind == ATTRIBUTE_NUMBER && type->dimension != DIMENSION_PLAIN;
        char row[256];
        snprintf(row, sizeof row, "\n| `%s` | %s%s%s%s | %s | `%s` |\n", type->name,
                 attribute_kind_name(type->kind), unit ? ", " : "",
                 unit ? dimension_name(type->dimension) : "", type->whole ? " of whole numbers" : "",
                 type->means, type->example);
        if (!strstr(text, row))
            fail_msg("docs/requirements.md has no row%s", row);
    }
}

static void the_nearest_names_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *name, *nearest;
    } rows[] = {
        { "device.memroy", "device.memory" },
        { "memory", "device.memory" },
        { "kind", "device.kind" },
        { "Device.Kind", "device.kind" },
        { "device.mem", "device.memory, device.memory_free, device.id" },
        { "fp16", NULL },
        { "precisions", "precision" },
        { "label.", "label.KEY" },
        { "flavour", "" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        attribute_type_nearest(rows[i].name, strlen(rows[i].name), text, sizeof text);
        print_message("%s: %s\n", rows[i].name, text);
        if (rows[i].nearest)
            assert_string_equal(text, rows[i].nearest);
    }
    char text[8], long_name[100];
    memset(long_name, 'a', sizeof long_name);
    attribute_type_nearest(long_name, sizeof long_name, text, sizeof text);
    assert_string_equal(text, "");
    attribute_type_nearest("device.memroy", 13, text, sizeof text);
    assert_string_equal(text, "device.");
}

static void versions_compare_by_numbers(void **state)
{
    (void)state;
    static const char *const ascending[] = { "0",    "0.0.1", "1.2",     "1.2.3", "1.2.10",
                                             "1.10", "v2",    "2.0.0.1", "12.4" };
    for (size_t i = 0; i < sizeof ascending / sizeof ascending[0]; i++)
        for (size_t j = 0; j < sizeof ascending / sizeof ascending[0]; j++) {
            struct version a, b;
            assert_true(version_parse(ascending[i], strlen(ascending[i]), false, &a));
            assert_true(version_parse(ascending[j], strlen(ascending[j]), false, &b));
            assert_int_equal(version_compare(&a, &b), i < j ? -1 : i > j);
        }
    struct version version;
    char text[QUANTITY_TEXT_MAX];
    assert_true(version_parse("12.0", 4, false, &version));
    assert_int_equal(version_print(&version, 1, text), 2);
    assert_string_equal(text, "12");
    version_print(&version, 3, text);
    assert_string_equal(text, "12.0.0");
    static const char *const bad[] = {
        "", "v", "x1", "1.", "1..2", "1.2.3.4.5", "1-rc1", "4294967296", ".1"
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(version_parse(bad[i], strlen(bad[i]), false, &version));
    assert_true(version_parse("1.2-rc1", 7, true, &version));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(values_are_shown),
        cmocka_unit_test(the_order_of_adding_does_not_matter),
        cmocka_unit_test(what_is_seen_builds_an_equal_one),
        cmocka_unit_test(each_part_makes_a_difference),
        cmocka_unit_test(the_absurd_is_left_out),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(the_table_of_names_is_good),
        cmocka_unit_test(the_document_has_the_table),
        cmocka_unit_test(the_nearest_names_are_told),
        cmocka_unit_test(versions_compare_by_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
