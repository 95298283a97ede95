// SPDX-License-Identifier: Apache-2.0
/* require - the expressions of --require and --prefer over the typed attributes of a slot (attributes.h).
 * docs/requirements.md is the user's side of this.
 *
 *     expression  = all { ("or" | "|") all }
 *     all         = term { ("and" | ",") term }
 *     term        = [ "not" ] ( "(" expression ")" | clause )
 *     clause      = attribute ("=" | "!=" | "<" | "<=" | ">" | ">=") value
 *                 | attribute "in" "[" value { "," value } "]"
 *                 | attribute "has" value
 *     value       = number with unit | version | word | 'text' | "text"
 *
 * Keywords in any case; attribute names and units exactly; text without regard to case. Everything is checked
 * against the attribute's type when it is parsed, so that evaluating cannot fail. A clause on an attribute
 * that the slot lacks is false, also one with != (so that `not (x = 1)` is true there and `x != 1` is not).
 *
 * Pure. A `struct require` is immutable; one owner frees it, any number may look. */
#ifndef REQUIRE_H
#define REQUIRE_H

#include "attributes.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REQUIRE_TEXT_MAX = 4096, /* bytes that a user may write */
    REQUIRE_CLAUSES_MAX = 64,
    REQUIRE_VALUES_MAX = 512,                     /* of all clauses together */
    REQUIRE_DEPTH_MAX = 16,                       /* parentheses within parentheses */
    REQUIRE_CANONICAL_MAX = 3 * REQUIRE_TEXT_MAX, /* bytes of require_text, with the zero */
};

struct require;

/* Parse size bytes. ERR_USAGE (or ERR_LIMIT, ERR_MEMORY) with one sentence that names the place, what was
 * expected, for an unknown attribute the nearest names, for a wrong type what the attribute is. *at (may be
 * NULL): the byte where it went wrong, from 0. */
MUST_USE enum err require_parse(const char *text, size_t size, struct require **require, size_t *at,
                                struct why *why);
/* Parse what require_text gave, which may be longer than a user's text: for the journal. */
MUST_USE enum err require_restore(const char *text, size_t size, struct require **require, struct why *why);
void require_free(struct require **require);

/* The canonical form: parsing it gives the same expression and the same text. Members of and/or are
 * flattened, sorted and taken once, values are in one form; equal texts therefore mean the same for every
 * slot, so that jobs may share what is computed per text (not the other way round: equal meanings may differ
 * in text). */
const char *require_text(const struct require *require);
uint64_t require_hash(const struct require *require); /* of the text; the same on every machine */

/* Does the slot satisfy it? require NULL = no requirement: true. attributes NULL, here and below: nothing is
 * known of the slot. Never allocates. */
bool require_eval(const struct require *require, const struct attributes *attributes);

/* How far the slot is from satisfying it: 0 = it does, else about how many clauses are short of it, each
 * counted by its relative shortfall (0..1]. The nearest alternative of an `or` counts. For ordering near
 * misses. */
double require_distance(const struct require *require, const struct attributes *attributes);

/* ---- why not ---- */

enum { REQUIRE_HAS_MAX = 128 };

/* One clause (or one negated group) and how the slot stands to it. Texts but has belong to the require. */
struct require_finding {
    const char *clause;    /* canonical: "device.memory >= 24GiB" */
    const char *attribute; /* "device.memory"; "" for a negated group */
    const char *wanted;    /* "24GiB", "[a, b]"; "" for a negated group */
    bool holds;
    bool lacks;                /* the slot does not have the attribute */
    bool alternative;          /* it comes from an `or`: the nearest of several */
    double distance;           /* 0 = holds, else (0, 1]: the relative shortfall */
    char has[REQUIRE_HAS_MAX]; /* "16GiB"; "" when it lacks it */
};

struct require_findings {
    uint32_t count;
    struct require_finding at[REQUIRE_CLAUSES_MAX];
};

/* Every member of the outermost and, in canonical order; of an `or` only the nearest alternative's. */
void require_explain(const struct require *require, const struct attributes *attributes,
                     struct require_findings *findings);

/* "device.memory >= 24GiB: has 16GiB", "... : not known", into text; cut at size. */
void require_finding_print(const struct require_finding *finding, char *text, size_t size);

/* Can no slot ever satisfy it, for a reason that can be seen? Then true, and why names the clauses that
 * exclude each other. Not an error: for --dry-run and submit to say. False does not promise that some slot
 * could. */
bool require_contradiction(const struct require *require, struct why *why);

/* Which attributes does it ask? True if name is among them. */
bool require_asks(const struct require *require, const char *name);

#endif
