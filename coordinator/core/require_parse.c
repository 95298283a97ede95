// SPDX-License-Identifier: Apache-2.0
#include "require_tree.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokens ---- */

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_LIST,
    TOKEN_LIST_END,
    TOKEN_COMMA,
    TOKEN_BAR,
    TOKEN_OP,
    TOKEN_BAD,
};

struct token {
    enum token_kind kind;
    size_t at, size; /* in the text; of a string with its quotes */
    enum require_op op;
};

/* Sticky: after the first failure every token is the end, and err tells. */
struct parser {
    const char *text;
    size_t size, next;
    struct token token; /* the one to be looked at */
    struct require_draft *draft;
    uint32_t depth;
    enum err err;
    size_t *at;
    struct why *why;
    char unquoted[REQUIRE_CANONICAL_MAX];
};

enum { SHOWN_MAX = 40 };

static const char *token_text(const struct parser *parser) { return parser->text + parser->token.at; }

static int token_shown(const struct parser *parser)
{
    return (int)(parser->token.size < SHOWN_MAX ? parser->token.size : SHOWN_MAX);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* One of the symbols; its size, or 0. */
static size_t symbol(const char *text, size_t size, struct token *token)
{
    static const struct {
        const char *text;
        enum token_kind kind;
        enum require_op op;
    } symbols[] = {
        { "!=", TOKEN_OP, REQUIRE_UNEQUAL },
        { "<=", TOKEN_OP, REQUIRE_LESS_EQUAL },
        { ">=", TOKEN_OP, REQUIRE_GREATER_EQUAL },
        { "=", TOKEN_OP, REQUIRE_EQUAL },
        { "<", TOKEN_OP, REQUIRE_LESS },
        { ">", TOKEN_OP, REQUIRE_GREATER },
        { "(", TOKEN_OPEN, 0 },
        { ")", TOKEN_CLOSE, 0 },
        { "[", TOKEN_LIST, 0 },
        { "]", TOKEN_LIST_END, 0 },
        { ",", TOKEN_COMMA, 0 },
        { "|", TOKEN_BAR, 0 },
    };
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        size_t length = strlen(symbols[i].text);
        if (length > size || memcmp(symbols[i].text, text, length) != 0)
            continue;
        token->kind = symbols[i].kind;
        token->op = symbols[i].op;
        return length;
    }
    return 0;
}

/* A string with its quotes, which are doubled inside it; 0 if it does not end. */
static size_t string_size(const char *text, size_t size)
{
    for (size_t i = 1; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return 0;
        if (text[i] != text[0])
            continue;
        if (i + 1 == size || text[i + 1] != text[0])
            return i + 1;
        i++;
    }
    return 0;
}

static size_t scan(const char *text, size_t size, struct token *token)
{
    if (text[0] == '\'' || text[0] == '"') {
        size_t length = string_size(text, size);
        token->kind = length ? TOKEN_STRING : TOKEN_BAD;
        return length ? length : 1;
    }
    size_t length = symbol(text, size, token);
    if (length)
        return length;
    while (length < size && attribute_is_word(text + length, 1))
        length++;
    token->kind = length ? TOKEN_WORD : TOKEN_BAD;
    return length ? length : 1;
}

static void advance(struct parser *parser)
{
    while (parser->next < parser->size && is_blank(parser->text[parser->next]))
        parser->next++;
    parser->token = (struct token){ .kind = TOKEN_END, .at = parser->next };
    if (parser->err || parser->next == parser->size)
        return;
    parser->token.size = scan(parser->text + parser->next, parser->size - parser->next, &parser->token);
    parser->next += parser->token.size;
}

/* ---- failures ---- */

/* The first failure counts: at the token, with the sentence that was put into why. */
static uint32_t fail(struct parser *parser, enum err err)
{
    if (parser->err)
        return REQUIRE_NONE;
    parser->err = err;
    *parser->at = parser->token.at;
    parser->token.kind = TOKEN_END;
    return REQUIRE_NONE;
}

static uint32_t fail_expected(struct parser *parser, const char *expected)
{
    struct why *why = parser->why;
    size_t place = parser->token.at + 1;
    if (parser->err)
        return REQUIRE_NONE;
    if (parser->token.kind == TOKEN_END)
        return fail(parser, why_set(why, ERR_USAGE, "it ends at character %zu, where %s must follow", place,
                                    expected));
    if (parser->token.kind == TOKEN_BAD && (*token_text(parser) == '\'' || *token_text(parser) == '"'))
        return fail(parser,
                    why_set(why, ERR_USAGE,
                            "the text that begins with a quote at character %zu does not end; close the "
                            "quote (a quote inside is written twice)",
                            place));
    return fail(parser,
                why_set(why, ERR_USAGE, "'%.*s' at character %zu is not expected; %s must stand there",
                        token_shown(parser), token_text(parser), place, expected));
}

/* A sentence about the token gets the place. */
static uint32_t fail_at(struct parser *parser, enum err err)
{
    if (parser->err)
        return REQUIRE_NONE;
    struct why *why = parser->why;
    return fail(parser, why_set(why, err, "at character %zu: %s", parser->token.at + 1, why->text));
}

/* ---- the grammar ---- */

static bool is_keyword(const struct parser *parser, const char *keyword)
{
    return parser->token.kind == TOKEN_WORD &&
           attribute_text_compare(token_text(parser), parser->token.size, keyword, strlen(keyword)) == 0;
}

static uint32_t new_node(struct parser *parser, enum require_node_kind kind, uint32_t first)
{
    struct require_draft *draft = parser->draft;
    ENSURE(draft->nodes_count < REQUIRE_NODES_MAX);
    draft->nodes[draft->nodes_count] =
        (struct require_node){ .kind = (uint16_t)kind, .first = (uint16_t)first, .next = REQUIRE_NONE };
    return draft->nodes_count++;
}

/* Copy a string's content without its quotes. */
static void unquote(struct parser *parser, struct require_literal *literal)
{
    const char *from = token_text(parser), quote = from[0];
    literal->text = parser->unquoted;
    literal->quoted = true;
    literal->size = 0;
    for (size_t i = 1; i + 1 < parser->token.size; i++) {
        parser->unquoted[literal->size++] = from[i];
        i += from[i] == quote;
    }
}

/* "16 GiB" is 16GiB: a number takes a unit that stands apart from it. */
static void join_unit(struct parser *parser, struct require_literal *literal)
{
    struct quantity quantity;
    if (quantity_parse(literal->text, literal->size, &quantity) || quantity.dimension != DIMENSION_PLAIN)
        return;
    struct token token = parser->token;
    size_t next = parser->next;
    advance(parser);
    if (parser->token.kind == TOKEN_WORD && quantity_is_unit(token_text(parser), parser->token.size)) {
        memcpy(parser->unquoted, literal->text, literal->size);
        memcpy(parser->unquoted + literal->size, token_text(parser), parser->token.size);
        literal->text = parser->unquoted;
        literal->size += parser->token.size;
        next = parser->next;
    }
    parser->token = token;
    parser->next = next;
}

static bool takes_unit(const struct require_clause *clause)
{
    enum attribute_kind kind = attribute_type(clause->type)->kind;
    return kind == ATTRIBUTE_NUMBER || kind == ATTRIBUTE_LABEL;
}

static void read_value(struct parser *parser, const struct require_clause *clause)
{
    struct require_draft *draft = parser->draft;
    struct require_literal literal = { .text = token_text(parser), .size = parser->token.size };
    if (parser->token.kind == TOKEN_STRING)
        unquote(parser, &literal);
    else if (parser->token.kind != TOKEN_WORD)
        fail_expected(parser, "a value");
    else if (takes_unit(clause))
        join_unit(parser, &literal);
    if (!parser->err && draft->values_count == REQUIRE_VALUES_MAX)
        fail(parser, why_set(parser->why, ERR_LIMIT, "more than %d values; write fewer", REQUIRE_VALUES_MAX));
    if (parser->err)
        return;
    enum err err =
        require_read_value(draft, clause, &literal, &draft->values[draft->values_count], parser->why);
    if (err) {
        fail_at(parser, err);
        return;
    }
    draft->values_count++;
    advance(parser);
}

static void read_list(struct parser *parser, const struct require_clause *clause)
{
    if (parser->token.kind != TOKEN_LIST) {
        fail_expected(parser, "'[' and values");
        return;
    }
    do {
        advance(parser);
        read_value(parser, clause);
    } while (parser->token.kind == TOKEN_COMMA);
    if (parser->token.kind != TOKEN_LIST_END)
        fail_expected(parser, "',' or ']'");
    else
        advance(parser);
}

static void read_op(struct parser *parser, struct require_clause *clause)
{
    if (parser->token.kind == TOKEN_OP)
        clause->op = parser->token.op;
    else if (is_keyword(parser, "in"))
        clause->op = REQUIRE_IN;
    else if (is_keyword(parser, "has"))
        clause->op = REQUIRE_HAS;
    else
        fail_expected(parser, "one of = != < <= > >= in has");
    if (parser->err)
        return;
    enum err err = require_check_op(parser->draft, clause, parser->why);
    if (err)
        fail_at(parser, err);
    else
        advance(parser);
}

static uint32_t fail_unknown(struct parser *parser)
{
    char nearest[3 * ATTRIBUTE_NAME_MAX + 8];
    attribute_type_nearest(token_text(parser), parser->token.size, nearest, sizeof nearest);
    return fail(parser, why_set(parser->why, ERR_USAGE, "'%.*s' at character %zu is no attribute; %s%s",
                                token_shown(parser), token_text(parser), parser->token.at + 1,
                                nearest[0] ? "the nearest: " : "see docs/requirements.md for all", nearest));
}

static bool is_reserved(const struct parser *parser)
{
    return is_keyword(parser, "and") || is_keyword(parser, "or") || is_keyword(parser, "not") ||
           is_keyword(parser, "in") || is_keyword(parser, "has");
}

static void read_name(struct parser *parser, struct require_clause *clause)
{
    struct require_draft *draft = parser->draft;
    clause->type = attribute_type_find(token_text(parser), parser->token.size);
    if (clause->type == UINT32_MAX) {
        fail_unknown(parser);
        return;
    }
    clause->name = draft->texts_size;
    clause->name_size = (uint32_t)parser->token.size;
    memcpy(draft->texts + draft->texts_size, token_text(parser), parser->token.size);
    draft->texts[draft->texts_size + parser->token.size] = 0;
    draft->texts_size += clause->name_size + 1;
    advance(parser);
}

static uint32_t parse_clause(struct parser *parser, bool negated)
{
    struct require_draft *draft = parser->draft;
    if (parser->token.kind != TOKEN_WORD || is_reserved(parser))
        return fail_expected(parser, "an attribute, 'not' or '('");
    if (draft->clauses_count == REQUIRE_CLAUSES_MAX)
        return fail(parser, why_set(parser->why, ERR_LIMIT,
                                    "more than %d clauses at character %zu; write fewer, for example with in",
                                    REQUIRE_CLAUSES_MAX, parser->token.at + 1));
    struct require_clause *clause = &draft->clauses[draft->clauses_count];
    *clause = (struct require_clause){ .negated = negated, .values = draft->values_count };
    read_name(parser, clause);
    if (!parser->err)
        read_op(parser, clause);
    if (!parser->err && clause->op == REQUIRE_IN)
        read_list(parser, clause);
    else if (!parser->err)
        read_value(parser, clause);
    if (parser->err)
        return REQUIRE_NONE;
    clause->values_count = draft->values_count - clause->values;
    uint32_t node = new_node(parser, REQUIRE_CLAUSE, REQUIRE_NONE);
    draft->nodes[node].clause = (uint16_t)draft->clauses_count++;
    return node;
}

static uint32_t parse_expression(struct parser *parser, bool negated);

static uint32_t parse_group(struct parser *parser, bool negated)
{
    if (parser->depth == REQUIRE_DEPTH_MAX)
        return fail(parser,
                    why_set(parser->why, ERR_LIMIT,
                            "more than %d parentheses within each other at character %zu; write it flatter",
                            REQUIRE_DEPTH_MAX, parser->token.at + 1));
    parser->depth++;
    advance(parser);
    uint32_t node = parse_expression(parser, negated);
    parser->depth--;
    if (parser->err)
        return REQUIRE_NONE;
    if (parser->token.kind != TOKEN_CLOSE)
        return fail_expected(parser, "'and', 'or' or ')'");
    advance(parser);
    return node;
}

static uint32_t parse_term(struct parser *parser, bool negated)
{
    if (is_keyword(parser, "not")) {
        negated = !negated;
        advance(parser);
        if (is_keyword(parser, "not"))
            return fail_expected(parser, "an attribute or '('");
    }
    return parser->token.kind == TOKEN_OPEN ? parse_group(parser, negated) : parse_clause(parser, negated);
}

static bool is_separator(const struct parser *parser, enum require_node_kind kind)
{
    if (kind == REQUIRE_OR)
        return parser->token.kind == TOKEN_BAR || is_keyword(parser, "or");
    return parser->token.kind == TOKEN_COMMA || is_keyword(parser, "and");
}

static uint32_t parse_members(struct parser *parser, enum require_node_kind kind, bool negated);

static uint32_t parse_member(struct parser *parser, enum require_node_kind kind, bool negated)
{
    return kind == REQUIRE_OR ? parse_members(parser, REQUIRE_AND, negated) : parse_term(parser, negated);
}

/* Members divided by the separators of kind; not (a and b) is (not a) or (not b). */
static uint32_t parse_members(struct parser *parser, enum require_node_kind kind, bool negated)
{
    enum require_node_kind swapped = kind == REQUIRE_OR ? REQUIRE_AND : REQUIRE_OR;
    uint32_t first = parse_member(parser, kind, negated);
    if (parser->err || !is_separator(parser, kind))
        return first;
    uint32_t group = new_node(parser, negated ? swapped : kind, first), last = first;
    while (is_separator(parser, kind)) {
        advance(parser);
        uint32_t next = parse_member(parser, kind, negated);
        if (parser->err)
            return REQUIRE_NONE;
        parser->draft->nodes[last].next = (uint16_t)next;
        last = next;
    }
    return group;
}

static uint32_t parse_expression(struct parser *parser, bool negated)
{
    return parse_members(parser, REQUIRE_OR, negated);
}

static enum err parse(struct parser *parser)
{
    advance(parser);
    if (parser->token.kind == TOKEN_END)
        return why_set(parser->why, ERR_USAGE, "it is empty; write for example device.kind = gpu");
    parser->draft->root = parse_expression(parser, false);
    if (!parser->err && parser->token.kind != TOKEN_END)
        fail_expected(parser, parser->token.kind == TOKEN_CLOSE
                                  ? "'and', 'or' or the end (no parenthesis is open)"
                                  : "'and', 'or' or the end");
    return parser->err;
}

static enum err parse_text(const char *text, size_t size, size_t size_max, struct require **require,
                           size_t *at, struct why *why)
{
    struct why unheard;
    size_t nowhere;
    *require = NULL;
    why = why ? why : &unheard;
    at = at ? at : &nowhere;
    *at = 0;
    if (size > size_max)
        return why_set(why, ERR_LIMIT, "%zu bytes; an expression has at most %zu", size, size_max);
    struct parser *parser = malloc(sizeof *parser);
    struct require_draft *draft = malloc(sizeof *draft);
    enum err err = ERR_MEMORY;
    if (parser && draft) {
        draft->clauses_count = draft->values_count = draft->nodes_count = draft->texts_size = 0;
        parser->text = text;
        parser->size = size;
        parser->next = parser->depth = 0;
        parser->draft = draft;
        parser->err = ERR_OK;
        parser->at = at;
        parser->why = why;
        err = parse(parser);
        err = err ? err : require_pack(draft, require, why);
    } else {
        why_set(why, ERR_MEMORY, "out of memory for an expression");
    }
    free(parser);
    free(draft);
    return err;
}

enum err require_parse(const char *text, size_t size, struct require **require, size_t *at, struct why *why)
{
    return parse_text(text, size, REQUIRE_TEXT_MAX, require, at, why);
}

enum err require_restore(const char *text, size_t size, struct require **require, struct why *why)
{
    return parse_text(text, size, REQUIRE_CANONICAL_MAX, require, NULL, why);
}
