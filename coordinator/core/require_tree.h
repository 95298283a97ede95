// SPDX-License-Identifier: Apache-2.0
/* require_tree - the inside of a struct require, shared by its files: require_parse (text to draft),
 * require_value (literals against the types of attributes), require_canon (draft to the canonical, packed
 * tree), require (eval), require_explain, require_contradiction. Private to them, pure.
 *
 * `not` is pushed down to the clauses while parsing (a clause is true or false, so De Morgan holds): the tree
 * has clauses at its leaves, negated or not, and and/or above them. Members of a group are a list through
 * next; a canonical group has at least two members, none of its own kind. */
#ifndef REQUIRE_TREE_H
#define REQUIRE_TREE_H

#include "require.h"

enum require_op {
    REQUIRE_EQUAL,
    REQUIRE_UNEQUAL,
    REQUIRE_LESS,
    REQUIRE_LESS_EQUAL,
    REQUIRE_GREATER,
    REQUIRE_GREATER_EQUAL,
    REQUIRE_IN,
    REQUIRE_HAS,
};

enum require_value_kind { REQUIRE_NUMBER, REQUIRE_TEXT, REQUIRE_VERSION };

/* A literal. */
struct require_value {
    enum require_value_kind kind;
    struct quantity quantity;
    struct version version;
    uint32_t text, size; /* TEXT: in the texts */
};

struct require_clause {
    uint32_t type;            /* of the attribute */
    uint32_t name, name_size; /* in the texts */
    enum require_op op;
    bool negated;
    uint32_t values, values_count; /* one, but for IN */
    uint32_t text, wanted;         /* packed: canonical texts */
};

enum require_node_kind { REQUIRE_CLAUSE, REQUIRE_AND, REQUIRE_OR };
enum { REQUIRE_NONE = UINT16_MAX, REQUIRE_NODES_MAX = 2 * REQUIRE_CLAUSES_MAX };

struct require_node {
    uint16_t kind, clause; /* CLAUSE: which */
    uint16_t first, next;  /* AND, OR: members */
};

/* One block: the arrays lie behind it. */
struct require {
    uint64_t hash;
    uint32_t clauses_count, root, text;
    const struct require_node *nodes;
    const struct require_clause *clauses;
    const struct require_value *values;
    const char *texts;
};

/* What is being parsed; large, on the heap. */
struct require_draft {
    uint32_t clauses_count, values_count, nodes_count, texts_size, root;
    struct require_clause clauses[REQUIRE_CLAUSES_MAX];
    struct require_value values[REQUIRE_VALUES_MAX];
    struct require_node nodes[REQUIRE_NODES_MAX];
    char texts[REQUIRE_CANONICAL_MAX + REQUIRE_VALUES_MAX + ATTRIBUTE_NAME_MAX * REQUIRE_CLAUSES_MAX];
};

/* A literal as it was written. */
struct require_literal {
    const char *text; /* of a quoted one what is in the quotes, doubled quotes made one */
    size_t size;
    bool quoted;
};

/* May the clause's attribute be asked with its op? */
MUST_USE enum err require_check_op(const struct require_draft *draft, const struct require_clause *clause,
                                   struct why *why);
/* Read a literal for the clause into value; texts go to the draft. */
MUST_USE enum err require_read_value(struct require_draft *draft, const struct require_clause *clause,
                                     const struct require_literal *literal, struct require_value *value,
                                     struct why *why);
/* The literal's canonical form, into text; returns the length it takes (as snprintf does). */
size_t require_print_value(const struct require_value *value, const char *texts, bool is_label, char *text,
                           size_t size);
/* A total order of the values of one clause; 0 = the same for every slot. */
int require_compare_values(const char *texts, const struct require_value *a, const struct require_value *b);
const char *require_op_name(enum require_op op);

/* Make the draft canonical and pack it. */
MUST_USE enum err require_pack(struct require_draft *draft, struct require **require, struct why *why);

/* The clause without its `not`, for a slot that has the attribute. */
bool require_matches(const struct require *require, const struct require_clause *clause,
                     const struct attribute *attribute);
/* The clause for a slot. attribute: scratch. */
bool require_clause_holds(const struct require *require, const struct require_clause *clause,
                          const struct attributes *attributes, struct attribute *attribute, bool *lacks);
/* 0 = it holds, else (0, 1]. */
double require_clause_distance(const struct require *require, const struct require_clause *clause,
                               const struct attributes *attributes);
double require_node_distance(const struct require *require, uint32_t node,
                             const struct attributes *attributes);

#endif
