// SPDX-License-Identifier: Apache-2.0
#include "require_tree.h"

#include "ensure.h"

#include <stdio.h>
#include <string.h>

static void explain_clause(const struct require *require, const struct require_clause *clause,
                           const struct attributes *attributes, bool alternative,
                           struct require_findings *findings)
{
    ENSURE(findings->count < REQUIRE_CLAUSES_MAX);
    struct require_finding *finding = &findings->at[findings->count++];
    struct attribute attribute;
    finding->clause = require->texts + clause->text;
    finding->attribute = require->texts + clause->name;
    finding->wanted = require->texts + clause->wanted;
    finding->holds = require_clause_holds(require, clause, attributes, &attribute, &finding->lacks);
    finding->alternative = alternative;
    finding->distance = require_clause_distance(require, clause, attributes);
    finding->has[0] = 0;
    if (!finding->lacks)
        attribute_show(&attribute, finding->has, sizeof finding->has);
}

static uint32_t nearest_of(const struct require *require, const struct require_node *node,
                           const struct attributes *attributes)
{
    double least = 2.0 * REQUIRE_CLAUSES_MAX;
    uint32_t nearest = node->first;
    for (uint32_t at = node->first; at != REQUIRE_NONE; at = require->nodes[at].next) {
        double apart = require_node_distance(require, at, attributes);
        if (apart < least) {
            least = apart;
            nearest = at;
        }
    }
    return nearest;
}

static void explain_node(const struct require *require, uint32_t node, const struct attributes *attributes,
                         bool alternative, struct require_findings *findings)
{
    const struct require_node *it = &require->nodes[node];
    if (it->kind == REQUIRE_CLAUSE)
        explain_clause(require, &require->clauses[it->clause], attributes, alternative, findings);
    else if (it->kind == REQUIRE_OR)
        explain_node(require, nearest_of(require, it, attributes), attributes, true, findings);
    else
        for (uint32_t at = it->first; at != REQUIRE_NONE; at = require->nodes[at].next)
            explain_node(require, at, attributes, alternative, findings);
}

void require_explain(const struct require *require, const struct attributes *attributes,
                     struct require_findings *findings)
{
    findings->count = 0;
    if (require)
        explain_node(require, require->root, attributes, false, findings);
}

void require_finding_print(const struct require_finding *finding, char *text, size_t size)
{
    if (finding->lacks)
        snprintf(text, size, "%s: %s is not known there", finding->clause, finding->attribute);
    else
        snprintf(text, size, "%s: has %s", finding->clause, finding->has);
}
