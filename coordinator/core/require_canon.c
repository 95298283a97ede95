// SPDX-License-Identifier: Apache-2.0
/* The canonical tree: members of a group in one order, each once, no group within a group of its kind; values
 * of `in` likewise. Two drafts with the same canonical tree print the same text, and the text parses to that
 * tree. */
#include "require_tree.h"

#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one order for everything ---- */

static int compare_sizes(uint32_t a, uint32_t b) { return a < b ? -1 : a > b; }

static int compare_clauses(const struct require_draft *draft, const struct require_clause *a,
                           const struct require_clause *b)
{
    int order = compare_sizes(a->type, b->type);
    if (order == 0)
        order = strcmp(draft->texts + a->name, draft->texts + b->name);
    if (order == 0)
        order = compare_sizes(a->op, b->op);
    if (order == 0)
        order = compare_sizes(a->negated, b->negated);
    if (order == 0)
        order = compare_sizes(a->values_count, b->values_count);
    for (uint32_t i = 0; order == 0 && i < a->values_count; i++)
        order = require_compare_values(draft->texts, &draft->values[a->values + i],
                                       &draft->values[b->values + i]);
    return order;
}

/* Of canonical nodes. Clauses stand before groups. */
static int compare_nodes(const struct require_draft *draft, uint32_t a, uint32_t b)
{
    const struct require_node *left = &draft->nodes[a], *right = &draft->nodes[b];
    if (left->kind != right->kind)
        return compare_sizes(left->kind, right->kind);
    if (left->kind == REQUIRE_CLAUSE)
        return compare_clauses(draft, &draft->clauses[left->clause], &draft->clauses[right->clause]);
    uint32_t i = left->first, j = right->first;
    while (i != REQUIRE_NONE && j != REQUIRE_NONE) {
        int order = compare_nodes(draft, i, j);
        if (order)
            return order;
        i = draft->nodes[i].next;
        j = draft->nodes[j].next;
    }
    return (i != REQUIRE_NONE) - (j != REQUIRE_NONE);
}

/* ---- making it so ---- */

/* Ascending, each once; one alone is a plain =. Texts that differ in case alone are the same. */
static void canon_clause(struct require_draft *draft, struct require_clause *clause)
{
    struct require_value *values = draft->values + clause->values;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < clause->values_count; i++) {
        struct require_value value = values[i];
        uint32_t place = kept;
        while (place > 0 && require_compare_values(draft->texts, &values[place - 1], &value) > 0)
            place--;
        if (place > 0 && require_compare_values(draft->texts, &values[place - 1], &value) == 0)
            continue;
        memmove(values + place + 1, values + place, (kept - place) * sizeof *values);
        values[place] = value;
        kept++;
    }
    clause->values_count = kept;
    if (clause->op == REQUIRE_IN && kept == 1)
        clause->op = REQUIRE_EQUAL;
}

/* Put a node (a list of them, of a group that dissolves) into the group's list in order, unless it is there.
 */
static void insert(struct require_draft *draft, uint16_t *list, uint32_t node)
{
    struct require_node *nodes = draft->nodes;
    while (*list != REQUIRE_NONE) {
        int order = compare_nodes(draft, *list, node);
        if (order == 0)
            return;
        if (order > 0)
            break;
        list = &nodes[*list].next;
    }
    nodes[node].next = *list;
    *list = (uint16_t)node;
}

/* Returns the node that stands for it. */
static uint32_t canon_node(struct require_draft *draft, uint32_t node)
{
    struct require_node *nodes = draft->nodes;
    if (nodes[node].kind == REQUIRE_CLAUSE) {
        canon_clause(draft, &draft->clauses[nodes[node].clause]);
        return node;
    }
    uint16_t list = REQUIRE_NONE;
    for (uint32_t at = nodes[node].first, next; at != REQUIRE_NONE; at = next) {
        next = nodes[at].next;
        uint32_t member = canon_node(draft, at);
        if (nodes[member].kind != nodes[node].kind) {
            insert(draft, &list, member);
            continue;
        }
        for (uint32_t inner = nodes[member].first, after; inner != REQUIRE_NONE; inner = after) {
            after = nodes[inner].next;
            insert(draft, &list, inner);
        }
    }
    nodes[node].first = list;
    return nodes[list].next == REQUIRE_NONE ? list : node;
}

/* ---- writing ---- */

/* Text in a fixed buffer; cut notes that it did not fit. */
struct page {
    char text[3 * REQUIRE_CANONICAL_MAX];
    uint32_t used;
    bool cut;
};

static void put(struct page *page, const char *text)
{
    size_t size = strlen(text);
    page->cut = page->cut || page->used + size >= sizeof page->text;
    if (page->cut)
        return;
    memcpy(page->text + page->used, text, size + 1);
    page->used += (uint32_t)size;
}

static void write_value(struct page *page, const struct require_draft *draft,
                        const struct require_clause *clause, uint32_t index)
{
    size_t room = sizeof page->text - page->used;
    bool is_label = attribute_type(clause->type)->kind == ATTRIBUTE_LABEL;
    size_t size = require_print_value(&draft->values[clause->values + index], draft->texts, is_label,
                                      page->text + page->used, room);
    page->cut = page->cut || size >= room;
    page->used += page->cut ? 0 : (uint32_t)size;
}

/* "24GiB", "[a, b]". */
static void write_wanted(struct page *page, const struct require_draft *draft,
                         const struct require_clause *clause)
{
    bool list = clause->op == REQUIRE_IN;
    put(page, list ? "[" : "");
    for (uint32_t i = 0; i < clause->values_count && !page->cut; i++) {
        put(page, i ? ", " : "");
        write_value(page, draft, clause, i);
    }
    put(page, list ? "]" : "");
}

static void write_clause(struct page *page, const struct require_draft *draft,
                         const struct require_clause *clause)
{
    put(page, clause->negated ? "not " : "");
    put(page, draft->texts + clause->name);
    put(page, " ");
    put(page, require_op_name(clause->op));
    put(page, " ");
    write_wanted(page, draft, clause);
}

static void write_node(struct page *page, const struct require_draft *draft, uint32_t node, bool within_and)
{
    const struct require_node *it = &draft->nodes[node];
    if (it->kind == REQUIRE_CLAUSE) {
        write_clause(page, draft, &draft->clauses[it->clause]);
        return;
    }
    bool enclosed = it->kind == REQUIRE_OR && within_and;
    put(page, enclosed ? "(" : "");
    for (uint32_t at = it->first; at != REQUIRE_NONE; at = draft->nodes[at].next) {
        if (at != it->first)
            put(page, it->kind == REQUIRE_OR ? " or " : " and ");
        write_node(page, draft, at, it->kind == REQUIRE_AND);
    }
    put(page, enclosed ? ")" : "");
}

/* Where the next text begins: after the zero of the last. */
static uint32_t begin_text(struct page *page)
{
    page->cut = page->cut || page->used + 1 >= sizeof page->text;
    page->used += !page->cut;
    page->text[page->used] = 0;
    return page->used;
}

/* The tree's canonical text at 1, then each clause's texts. False if it does not fit. */
static bool write_all(struct page *page, struct require_draft *draft)
{
    page->used = 0;
    page->cut = false;
    begin_text(page);
    write_node(page, draft, draft->root, false);
    if (page->cut || page->used >= REQUIRE_CANONICAL_MAX)
        return false;
    for (uint32_t i = 0; i < draft->clauses_count; i++) {
        draft->clauses[i].text = begin_text(page);
        write_clause(page, draft, &draft->clauses[i]);
        draft->clauses[i].wanted = begin_text(page);
        write_wanted(page, draft, &draft->clauses[i]);
    }
    begin_text(page);
    return !page->cut;
}

/* ---- packing ---- */

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return hash;
}

/* The draft's texts come first, so that offsets of names and values stand; then the page's. */
static struct require *pack(const struct require_draft *draft, const struct page *page)
{
    size_t values = draft->values_count * sizeof *draft->values;
    size_t clauses = draft->clauses_count * sizeof *draft->clauses;
    size_t nodes = draft->nodes_count * sizeof *draft->nodes;
    struct require *require =
        malloc(sizeof *require + values + clauses + nodes + draft->texts_size + page->used);
    if (!require)
        return NULL;
    char *at = (char *)(require + 1);
    require->values = memcpy(at, draft->values, values);
    struct require_clause *packed = memcpy(at + values, draft->clauses, clauses);
    require->clauses = packed;
    require->nodes = memcpy(at + values + clauses, draft->nodes, nodes);
    char *texts = at + values + clauses + nodes;
    memcpy(texts, draft->texts, draft->texts_size);
    memcpy(texts + draft->texts_size, page->text, page->used);
    require->texts = texts;
    for (uint32_t i = 0; i < draft->clauses_count; i++) {
        packed[i].text += draft->texts_size;
        packed[i].wanted += draft->texts_size;
    }
    require->clauses_count = draft->clauses_count;
    require->root = draft->root;
    require->text = draft->texts_size + 1;
    require->hash = hash_text(texts + require->text);
    return require;
}

enum err require_pack(struct require_draft *draft, struct require **require, struct why *why)
{
    struct page *page = malloc(sizeof *page);
    if (!page)
        return why_set(why, ERR_MEMORY, "out of memory for an expression");
    enum err err = ERR_OK;
    draft->root = canon_node(draft, draft->root);
    draft->nodes[draft->root].next = REQUIRE_NONE;
    if (!write_all(page, draft))
        err = why_set(why, ERR_LIMIT, "its canonical form has more than %d bytes; write it shorter",
                      REQUIRE_CANONICAL_MAX - 1);
    else if (!(*require = pack(draft, page)))
        err = why_set(why, ERR_MEMORY, "out of memory for an expression");
    free(page);
    return err;
}
