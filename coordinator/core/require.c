// SPDX-License-Identifier: Apache-2.0
#include "require.h"

#include "require_tree.h"

#include <stdlib.h>
#include <string.h>

void require_free(struct require **require)
{
    free(*require);
    *require = NULL;
}

const char *require_text(const struct require *require) { return require->texts + require->text; }

uint64_t require_hash(const struct require *require) { return require->hash; }

bool require_asks(const struct require *require, const char *name)
{
    for (uint32_t i = 0; i < require->clauses_count; i++)
        if (strcmp(require->texts + require->clauses[i].name, name) == 0)
            return true;
    return false;
}

/* ---- one clause ---- */

/* -1, 0, 1 as the attribute to the value; 2 if they cannot be compared (a label of another kind). */
static int compare(const struct require *require, const struct require_value *value,
                   const struct attribute *attribute)
{
    const char *text = require->texts + value->text;
    struct version version = attribute->version;
    switch (value->kind) {
    case REQUIRE_NUMBER:
        if (attribute->kind == ATTRIBUTE_LABEL &&
            (!attribute->is_number || attribute->dimension != value->quantity.dimension))
            return 2;
        return attribute->number < value->quantity.value ? -1 : attribute->number > value->quantity.value;
    case REQUIRE_VERSION:
        if (attribute->kind == ATTRIBUTE_LABEL &&
            !version_parse(attribute->text, attribute->size, false, &version))
            return 2;
        return version_compare(&version, &value->version);
    case REQUIRE_TEXT: break;
    }
    return attribute_text_compare(attribute->text, attribute->size, text, value->size);
}

static bool has_member(const struct require *require, const struct require_value *value,
                       const struct attribute *attribute)
{
    const char *member = attribute->text, *wanted = require->texts + value->text;
    for (uint32_t i = 0; i < attribute->size; i++) {
        size_t size = strlen(member);
        if (attribute_text_compare(member, size, wanted, value->size) == 0)
            return true;
        member += size + 1;
    }
    return false;
}

static bool is_among(const struct require *require, const struct require_clause *clause,
                     const struct attribute *attribute)
{
    for (uint32_t i = 0; i < clause->values_count; i++)
        if (compare(require, &require->values[clause->values + i], attribute) == 0)
            return true;
    return false;
}

bool require_matches(const struct require *require, const struct require_clause *clause,
                     const struct attribute *attribute)
{
    const struct require_value *value = &require->values[clause->values];
    if (clause->op == REQUIRE_HAS)
        return has_member(require, value, attribute);
    if (clause->op == REQUIRE_IN)
        return is_among(require, clause, attribute);
    int order = compare(require, value, attribute);
    switch (clause->op) {
    case REQUIRE_EQUAL: return order == 0;
    case REQUIRE_UNEQUAL: return order != 0;
    case REQUIRE_LESS: return order == -1;
    case REQUIRE_LESS_EQUAL: return order == -1 || order == 0;
    case REQUIRE_GREATER: return order == 1;
    case REQUIRE_GREATER_EQUAL: return order == 1 || order == 0;
    case REQUIRE_IN:
    case REQUIRE_HAS: break;
    }
    return false;
}

bool require_clause_holds(const struct require *require, const struct require_clause *clause,
                          const struct attributes *attributes, struct attribute *attribute, bool *lacks)
{
    *lacks = !attributes_find(attributes, clause->type, require->texts + clause->name, clause->name_size,
                              attribute);
    bool matches = !*lacks && require_matches(require, clause, attribute);
    return matches != clause->negated;
}

/* ---- the tree ---- */

static bool holds(const struct require *require, uint32_t node, const struct attributes *attributes)
{
    const struct require_node *it = &require->nodes[node];
    struct attribute attribute;
    bool lacks;
    if (it->kind == REQUIRE_CLAUSE)
        return require_clause_holds(require, &require->clauses[it->clause], attributes, &attribute, &lacks);
    for (uint32_t at = it->first; at != REQUIRE_NONE; at = require->nodes[at].next)
        if (holds(require, at, attributes) == (it->kind == REQUIRE_OR))
            return it->kind == REQUIRE_OR;
    return it->kind == REQUIRE_AND;
}

bool require_eval(const struct require *require, const struct attributes *attributes)
{
    return !require || holds(require, require->root, attributes);
}

/* ---- how far ---- */

static const double SHORTFALL_MIN = 1e-6;

static double shortfall(double a, double b)
{
    double larger = a > b ? a : b, apart = larger > 0 ? (a > b ? a - b : b - a) / larger : 0;
    return apart < SHORTFALL_MIN ? SHORTFALL_MIN : apart;
}

/* 1 if the first numbers differ, 1/2 if the second ones do, ... */
static double version_shortfall(const struct version *a, const struct version *b)
{
    double apart = 1;
    for (int i = 0; i < VERSION_PARTS && a->part[i] == b->part[i]; i++)
        apart /= 2;
    return apart;
}

static double value_distance(const struct require *require, const struct require_value *value,
                             const struct attribute *attribute)
{
    struct version version = attribute->version;
    if (value->kind == REQUIRE_TEXT || compare(require, value, attribute) == 2)
        return 1;
    if (value->kind == REQUIRE_NUMBER)
        return shortfall(attribute->number, value->quantity.value);
    if (attribute->kind == ATTRIBUTE_LABEL &&
        !version_parse(attribute->text, attribute->size, false, &version))
        return 1;
    return version_shortfall(&version, &value->version);
}

double require_clause_distance(const struct require *require, const struct require_clause *clause,
                               const struct attributes *attributes)
{
    struct attribute attribute;
    bool lacks;
    double nearest = 1;
    if (require_clause_holds(require, clause, attributes, &attribute, &lacks))
        return 0;
    if (lacks || clause->negated || clause->op == REQUIRE_UNEQUAL || clause->op == REQUIRE_HAS)
        return 1;
    for (uint32_t i = 0; i < clause->values_count; i++) {
        double apart = value_distance(require, &require->values[clause->values + i], &attribute);
        nearest = apart < nearest ? apart : nearest;
    }
    return nearest;
}

double require_node_distance(const struct require *require, uint32_t node,
                             const struct attributes *attributes)
{
    const struct require_node *it = &require->nodes[node];
    if (it->kind == REQUIRE_CLAUSE)
        return require_clause_distance(require, &require->clauses[it->clause], attributes);
    double sum = 0, nearest = REQUIRE_CLAUSES_MAX;
    for (uint32_t at = it->first; at != REQUIRE_NONE; at = require->nodes[at].next) {
        double apart = require_node_distance(require, at, attributes);
        sum += apart;
        nearest = apart < nearest ? apart : nearest;
    }
    return it->kind == REQUIRE_AND ? sum : nearest;
}

double require_distance(const struct require *require, const struct attributes *attributes)
{
    return require ? require_node_distance(require, require->root, attributes) : 0;
}
