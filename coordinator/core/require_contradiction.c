// SPDX-License-Identifier: Apache-2.0
/* Looks for clauses of one `and` on one attribute that leave no value. Sound, not complete: what it reports
 * can never hold, and it reports what a person would see: bounds that cross, an = outside them, two different
 * ones, a clause and its opposite. Labels are compared only where both clauses ask for the same kind of
 * value, because a label may be read as text and as a number. */
#include "require_tree.h"

#include <string.h>

static const struct require_clause *clause_of(const struct require *require, uint32_t node)
{
    return &require->clauses[require->nodes[node].clause];
}

static bool is_clause(const struct require *require, uint32_t node)
{
    return require->nodes[node].kind == REQUIRE_CLAUSE;
}

static bool is_label(const struct require_clause *clause)
{
    return attribute_type(clause->type)->kind == ATTRIBUTE_LABEL;
}

static bool same_attribute(const struct require *require, const struct require_clause *a,
                           const struct require_clause *b)
{
    return a->type == b->type && strcmp(require->texts + a->name, require->texts + b->name) == 0;
}

/* Would values of both clauses be read from a slot's attribute in the same way? */
static bool comparable(const struct require *require, const struct require_clause *a,
                       const struct require_clause *b)
{
    const struct require_value *first = &require->values[a->values];
    if (!is_label(a))
        return true;
    for (uint32_t i = 0; i < a->values_count; i++)
        if (first[i].kind != first->kind || first[i].quantity.dimension != first->quantity.dimension)
            return false;
    for (uint32_t i = 0; i < b->values_count; i++) {
        const struct require_value *value = &require->values[b->values + i];
        if (value->kind != first->kind || value->quantity.dimension != first->quantity.dimension)
            return false;
    }
    return true;
}

/* ---- candidates: the values of an = or an in ---- */

static bool gives_candidates(const struct require_clause *clause)
{
    return !clause->negated && (clause->op == REQUIRE_EQUAL || clause->op == REQUIRE_IN);
}

static struct attribute as_attribute(const struct require *require, const struct require_clause *clause,
                                     const struct require_value *value)
{
    return (struct attribute){ .kind = value->kind == REQUIRE_NUMBER    ? ATTRIBUTE_NUMBER
                                       : value->kind == REQUIRE_VERSION ? ATTRIBUTE_VERSION
                                                                        : ATTRIBUTE_TEXT,
                               .type = clause->type,
                               .number = value->quantity.value,
                               .dimension = value->quantity.dimension,
                               .version = value->version,
                               .text = value->kind == REQUIRE_TEXT ? require->texts + value->text : "",
                               .size = value->size };
}

/* Does the clause allow the candidate, which is a value of from? Where it cannot be judged: yes. */
static bool lets_pass(const struct require *require, const struct require_clause *clause,
                      const struct require_clause *from, const struct attribute *candidate)
{
    if (!same_attribute(require, clause, from) || !comparable(require, clause, from))
        return true;
    return require_matches(require, clause, candidate) != clause->negated;
}

static bool some_candidate_passes(const struct require *require, const struct require_clause *from,
                                  const struct require_clause *clause)
{
    for (uint32_t i = 0; i < from->values_count; i++) {
        struct attribute candidate = as_attribute(require, from, &require->values[from->values + i]);
        if (lets_pass(require, clause, from, &candidate))
            return true;
    }
    return false;
}

/* The same against all members of an and. */
static bool some_candidate_survives(const struct require *require, const struct require_clause *from,
                                    uint32_t members)
{
    for (uint32_t i = 0; i < from->values_count; i++) {
        struct attribute candidate = as_attribute(require, from, &require->values[from->values + i]);
        bool survives = true;
        for (uint32_t at = members; at != REQUIRE_NONE && survives; at = require->nodes[at].next)
            survives =
                !is_clause(require, at) || lets_pass(require, clause_of(require, at), from, &candidate);
        if (survives)
            return true;
    }
    return false;
}

/* ---- bounds ---- */

/* The op that is true exactly where the clause is, for a slot that has the attribute. */
static enum require_op effective(const struct require_clause *clause)
{
    static const enum require_op opposite[] = {
        [REQUIRE_EQUAL] = REQUIRE_UNEQUAL,
        [REQUIRE_UNEQUAL] = REQUIRE_EQUAL,
        [REQUIRE_LESS] = REQUIRE_GREATER_EQUAL,
        [REQUIRE_LESS_EQUAL] = REQUIRE_GREATER,
        [REQUIRE_GREATER] = REQUIRE_LESS_EQUAL,
        [REQUIRE_GREATER_EQUAL] = REQUIRE_LESS,
        [REQUIRE_IN] = REQUIRE_HAS, /* neither is a bound */
        [REQUIRE_HAS] = REQUIRE_IN,
    };
    return clause->negated ? opposite[clause->op] : clause->op;
}

static bool is_lower(enum require_op op) { return op == REQUIRE_GREATER || op == REQUIRE_GREATER_EQUAL; }

static bool is_upper(enum require_op op) { return op == REQUIRE_LESS || op == REQUIRE_LESS_EQUAL; }

static bool bounds_cross(const struct require *require, const struct require_clause *lower,
                         const struct require_clause *upper)
{
    enum require_op above = effective(lower), below = effective(upper);
    if (!is_lower(above) || !is_upper(below))
        return false;
    int order = require_compare_values(require->texts, &require->values[lower->values],
                                       &require->values[upper->values]);
    return order > 0 || (order == 0 && (above == REQUIRE_GREATER || below == REQUIRE_LESS));
}

/* No number is negative. */
static bool is_below_zero(const struct require *require, const struct require_clause *clause)
{
    const struct require_value *value = &require->values[clause->values];
    return !clause->negated && clause->op == REQUIRE_LESS && value->kind == REQUIRE_NUMBER &&
           value->quantity.value == 0;
}

/* ---- pairs ---- */

static bool same_but_for_not(const struct require *require, const struct require_clause *a,
                             const struct require_clause *b)
{
    if (a->op != b->op || a->values_count != b->values_count || a->negated == b->negated)
        return false;
    for (uint32_t i = 0; i < a->values_count; i++)
        if (require_compare_values(require->texts, &require->values[a->values + i],
                                   &require->values[b->values + i]) != 0)
            return false;
    return true;
}

static bool exclude(const struct require *require, const struct require_clause *a,
                    const struct require_clause *b)
{
    if (!same_attribute(require, a, b) || (a->negated && b->negated))
        return false; /* both negated: a slot without the attribute passes */
    if (same_but_for_not(require, a, b))
        return true;
    if (gives_candidates(a) && !some_candidate_passes(require, a, b))
        return true;
    if (gives_candidates(b) && !some_candidate_passes(require, b, a))
        return true;
    if (!comparable(require, a, b) || (is_label(a) && (a->negated || b->negated)))
        return false; /* not (label > 3) also passes where the label is no number */
    return bounds_cross(require, a, b) || bounds_cross(require, b, a);
}

static bool explain_pair(const struct require *require, const struct require_clause *a,
                         const struct require_clause *b, struct why *why)
{
    if (!exclude(require, a, b))
        return false;
    why_set(why, ERR_USAGE, "'%s' and '%s' exclude each other", require->texts + a->text,
            require->texts + b->text);
    return true;
}

/* ---- the tree ---- */

static bool is_impossible(const struct require *require, uint32_t node, struct why *why);

static bool members_exclude(const struct require *require, uint32_t members, struct why *why)
{
    for (uint32_t i = members; i != REQUIRE_NONE; i = require->nodes[i].next)
        for (uint32_t j = require->nodes[i].next; j != REQUIRE_NONE; j = require->nodes[j].next)
            if (is_clause(require, i) && is_clause(require, j) &&
                explain_pair(require, clause_of(require, i), clause_of(require, j), why))
                return true;
    for (uint32_t i = members; i != REQUIRE_NONE; i = require->nodes[i].next) {
        const struct require_clause *clause = clause_of(require, i);
        if (!is_clause(require, i) || !gives_candidates(clause) ||
            some_candidate_survives(require, clause, members))
            continue;
        why_set(why, ERR_USAGE, "none of the values of '%s' is allowed by the other clauses on %s",
                require->texts + clause->text, require->texts + clause->name);
        return true;
    }
    return false;
}

static bool and_is_impossible(const struct require *require, uint32_t members, struct why *why)
{
    for (uint32_t at = members; at != REQUIRE_NONE; at = require->nodes[at].next)
        if (is_impossible(require, at, why))
            return true;
    return members_exclude(require, members, why);
}

static bool is_impossible(const struct require *require, uint32_t node, struct why *why)
{
    const struct require_node *it = &require->nodes[node];
    if (it->kind == REQUIRE_AND)
        return and_is_impossible(require, it->first, why);
    if (it->kind == REQUIRE_CLAUSE) {
        if (!is_below_zero(require, clause_of(require, node)))
            return false;
        why_set(why, ERR_USAGE, "'%s': nothing is below zero",
                require->texts + clause_of(require, node)->text);
        return true;
    }
    for (uint32_t at = it->first; at != REQUIRE_NONE; at = require->nodes[at].next)
        if (!is_impossible(require, at, why))
            return false;
    return true;
}

bool require_contradiction(const struct require *require, struct why *why)
{
    return require && is_impossible(require, require->root, why);
}
