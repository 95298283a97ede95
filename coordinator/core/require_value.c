// SPDX-License-Identifier: Apache-2.0
#include "require_tree.h"

#include "ensure.h"

#include <stdio.h>
#include <string.h>

const char *require_op_name(enum require_op op)
{
    static const char *const names[] = { "=", "!=", "<", "<=", ">", ">=", "in", "has" };
    ENSURE((size_t)op < sizeof names / sizeof names[0]);
    return names[op];
}

/* ---- does the op fit the attribute ---- */

enum err require_check_op(const struct require_draft *draft, const struct require_clause *clause,
                          struct why *why)
{
    const struct attribute_type *type = attribute_type(clause->type);
    const char *name = draft->texts + clause->name, *op = require_op_name(clause->op);
    bool ordering = clause->op >= REQUIRE_LESS && clause->op <= REQUIRE_GREATER_EQUAL;
    if (type->kind == ATTRIBUTE_SET && clause->op != REQUIRE_HAS)
        return why_set(why, ERR_USAGE, "%s is a set, which '%s' does not compare; write %s has %s", name, op,
                       name, type->example);
    if (type->kind != ATTRIBUTE_SET && clause->op == REQUIRE_HAS)
        return why_set(why, ERR_USAGE, "%s is a %s and no set; write %s = %s", name,
                       attribute_kind_name(type->kind), name, type->example);
    if (type->kind == ATTRIBUTE_TEXT && ordering)
        return why_set(why, ERR_USAGE, "%s is text, which '%s' does not compare; use =, != or in", name, op);
    return ERR_OK;
}

/* ---- reading ---- */

enum { SHOWN_MAX = 60 };

static int shown(const struct require_literal *literal)
{
    return (int)(literal->size < SHOWN_MAX ? literal->size : SHOWN_MAX);
}

static enum err keep_text(struct require_draft *draft, const char *text, size_t size,
                          struct require_value *value, struct why *why)
{
    value->kind = REQUIRE_TEXT;
    if (size == 0)
        return why_set(why, ERR_USAGE, "an empty text; no attribute is empty");
    if (size >= ATTRIBUTE_VALUE_MAX)
        return why_set(why, ERR_LIMIT, "a text of %zu bytes; no attribute has more than %d", size,
                       ATTRIBUTE_VALUE_MAX - 1);
    ENSURE(draft->texts_size + size + 1 <= sizeof draft->texts);
    value->text = draft->texts_size;
    value->size = (uint32_t)size;
    memcpy(draft->texts + draft->texts_size, text, size);
    draft->texts[draft->texts_size + size] = 0;
    draft->texts_size += (uint32_t)size + 1;
    return ERR_OK;
}

static enum err refuse_number(enum quantity_parse fault, const char *name, enum dimension dimension,
                              const struct require_literal *literal, struct why *why)
{
    static const char *const faults[] = {
        [QUANTITY_WORD] = "is no number",
        [QUANTITY_UNIT] = "does not end with a unit that is known",
        [QUANTITY_PRECISION] = "has more than 15 digits",
        [QUANTITY_RANGE] = "is too large or too small",
    };
    return why_set(why, ERR_USAGE, "'%.*s' %s; %s is %s%s, such as %s", shown(literal), literal->text,
                   faults[fault], name, dimension == DIMENSION_PLAIN ? "" : "in ", dimension_name(dimension),
                   dimension_example(dimension));
}

static enum err read_number(const char *name, enum dimension dimension, const struct require_literal *literal,
                            struct require_value *value, struct why *why)
{
    value->kind = REQUIRE_NUMBER;
    const char *example = dimension_example(dimension);
    if (literal->quoted)
        return why_set(why, ERR_USAGE,
                       "'%.*s' in quotes is text, but %s is a number; write it without, as %s",
                       shown(literal), literal->text, name, example);
    enum quantity_parse fault = quantity_parse(literal->text, literal->size, &value->quantity);
    if (fault)
        return refuse_number(fault, name, dimension, literal, why);
    if (value->quantity.value == 0 && value->quantity.dimension == DIMENSION_PLAIN)
        value->quantity.dimension = dimension;
    if (value->quantity.dimension == dimension)
        return ERR_OK;
    if (value->quantity.dimension == DIMENSION_PLAIN)
        return why_set(why, ERR_USAGE, "'%.*s' has no unit; %s is in %s, such as %s", shown(literal),
                       literal->text, name, dimension_name(dimension), example);
    return why_set(why, ERR_USAGE, "'%.*s' is in %s, but %s is %s%s, such as %s", shown(literal),
                   literal->text, dimension_name(value->quantity.dimension), name,
                   dimension == DIMENSION_PLAIN ? "" : "in ", dimension_name(dimension), example);
}

static enum err read_version(const char *name, const struct require_literal *literal,
                             struct require_value *value, struct why *why)
{
    value->kind = REQUIRE_VERSION;
    if (literal->quoted || !version_parse(literal->text, literal->size, false, &value->version))
        return why_set(why, ERR_USAGE,
                       "'%.*s' is no version; %s is up to %d numbers divided by dots, such as 1.2.3",
                       shown(literal), literal->text, name, VERSION_PARTS);
    return ERR_OK;
}

/* A member of a set of whole numbers is kept as the text that the set has. */
static enum err read_whole(struct require_draft *draft, const char *name,
                           const struct require_literal *literal, struct require_value *value,
                           struct why *why)
{
    char text[24];
    enum err err = read_number(name, DIMENSION_PLAIN, literal, value, why);
    if (err)
        return err;
    double number = value->quantity.value;
    if (number > UINT32_MAX || (double)(uint32_t)number != number)
        return why_set(why, ERR_USAGE, "'%.*s' is no whole number; %s has whole numbers, such as 8",
                       shown(literal), literal->text, name);
    int size = snprintf(text, sizeof text, "%u", (uint32_t)number);
    return keep_text(draft, text, (size_t)size, value, why);
}

/* What a label is compared with decides how: as a number, a version or text. */
static enum err read_for_label(struct require_draft *draft, const struct require_clause *clause,
                               const struct require_literal *literal, struct require_value *value,
                               struct why *why)
{
    bool ordering = clause->op >= REQUIRE_LESS && clause->op <= REQUIRE_GREATER_EQUAL;
    bool digit = literal->text[0] >= '0' && literal->text[0] <= '9';
    value->kind = REQUIRE_NUMBER;
    if (!literal->quoted && quantity_parse(literal->text, literal->size, &value->quantity) == QUANTITY_OK)
        return ERR_OK;
    value->kind = REQUIRE_VERSION;
    if (!literal->quoted && digit && version_parse(literal->text, literal->size, false, &value->version))
        return ERR_OK;
    if (ordering)
        return why_set(why, ERR_USAGE,
                       "'%.*s' is text, which '%s' does not compare; write a number or a version",
                       shown(literal), literal->text, require_op_name(clause->op));
    return keep_text(draft, literal->text, literal->size, value, why);
}

enum err require_read_value(struct require_draft *draft, const struct require_clause *clause,
                            const struct require_literal *literal, struct require_value *value,
                            struct why *why)
{
    const struct attribute_type *type = attribute_type(clause->type);
    const char *name = draft->texts + clause->name;
    memset(value, 0, sizeof *value);
    switch (type->kind) {
    case ATTRIBUTE_NUMBER: return read_number(name, type->dimension, literal, value, why);
    case ATTRIBUTE_VERSION: return read_version(name, literal, value, why);
    case ATTRIBUTE_LABEL: return read_for_label(draft, clause, literal, value, why);
    case ATTRIBUTE_SET:
        if (type->whole)
            return read_whole(draft, name, literal, value, why);
        break;
    case ATTRIBUTE_TEXT: break;
    }
    return keep_text(draft, literal->text, literal->size, value, why);
}

/* ---- writing and comparing ---- */

static bool begins_with_letter(const char *text)
{
    return (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z');
}

static size_t print_quoted(const char *from, char *text, size_t size)
{
    size_t used = 0;
    for (int end = 0; end < 2; end++) {
        if (used + 1 < size)
            text[used] = '\'';
        used++;
        for (; end == 0 && *from; from++)
            for (int twice = *from == '\'' ? 2 : 1; twice > 0; twice--, used++)
                if (used + 1 < size)
                    text[used] = *from;
    }
    if (size > 0)
        text[used < size ? used : size - 1] = 0;
    return used;
}

size_t require_print_value(const struct require_value *value, const char *texts, bool is_label, char *text,
                           size_t size)
{
    char number[QUANTITY_TEXT_MAX];
    const char *word = texts + value->text;
    switch (value->kind) {
    case REQUIRE_NUMBER:
        quantity_print(&value->quantity, number);
        return (size_t)snprintf(text, size, "%s", number);
    case REQUIRE_VERSION:
        /* Of a label, shorter ones would be read as numbers. */
        version_print(&value->version, is_label ? 3 : 1, number);
        return (size_t)snprintf(text, size, "%s", number);
    case REQUIRE_TEXT: break;
    }
    if (attribute_is_word(word, value->size) && (!is_label || begins_with_letter(word)))
        return (size_t)snprintf(text, size, "%s", word);
    return print_quoted(word, text, size);
}

static int compare_numbers(const struct quantity *a, const struct quantity *b)
{
    if (a->dimension != b->dimension)
        return a->dimension < b->dimension ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

int require_compare_values(const char *texts, const struct require_value *a, const struct require_value *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == REQUIRE_NUMBER)
        return compare_numbers(&a->quantity, &b->quantity);
    if (a->kind == REQUIRE_VERSION)
        return version_compare(&a->version, &b->version);
    return attribute_text_compare(texts + a->text, a->size, texts + b->text, b->size);
}
