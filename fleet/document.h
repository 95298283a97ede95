// SPDX-License-Identifier: Apache-2.0
/* document - one YAML document with the place of each node, read through tables of keys.
 *
 * Reading is sticky: the first thing that is wrong is kept as "FILE:LINE:COLUMN: key: what; what to do",
 * everything after it is a no-op that yields zeros, and the caller asks once, with document_close. Strict
 * where YAML is generous: `yes` is no truth value, "1 x" no number, a key that appears twice no mapping.
 * Aliases are followed. Not thread-safe; one document at a time. */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

struct document {
    const char *path;
    yaml_document_t tree;
    bool loaded;
    const char *key; /* the key whose value is being read, for messages; NULL at the root */
    enum err err;    /* of the first failure */
    struct why *why;
};

/* One key that a mapping may have. read is called with the value's node and the `into` of document_mapping.
 */
struct document_key {
    const char *name;
    void (*read)(struct document *in, const yaml_node_t *value, void *into);
};

/* Parse bytes as the content of path, which, with why, must live as long as the document. Exactly one
 * document. Returns its root, or NULL. */
const yaml_node_t *document_load(struct document *in, const char *path, const char *bytes, size_t size,
                                 struct why *why);

/* Free the document; returns how it went. */
MUST_USE enum err document_close(struct document *in);

/* Keep this failure at node (NULL: the whole file), if it is the first. */
void document_fail(struct document *in, enum err err, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Read each pair of node through keys (ended by a NULL name). Unknown keys are refused naming the nearest. */
void document_mapping(struct document *in, const yaml_node_t *node, const struct document_key *keys,
                      void *into);

/* The value of key in a mapping, or NULL. */
const yaml_node_t *document_find(struct document *in, const yaml_node_t *mapping, const char *key);

/* The number of items of a sequence (refused when more than max, or when it is none), and the item at index.
 */
size_t document_items(struct document *in, const yaml_node_t *node, size_t max);
const yaml_node_t *document_item(struct document *in, const yaml_node_t *node, size_t index);

/* The same for the pairs of a mapping with free keys. */
size_t document_pairs(struct document *in, const yaml_node_t *node, size_t max);
void document_pair(struct document *in, const yaml_node_t *node, size_t index, const yaml_node_t **key,
                   const yaml_node_t **value);

/* Scalars. Numbers are decimal, finite and within [min, max]; text is not empty, without control characters,
 * shorter than size. */
double document_number(struct document *in, const yaml_node_t *node, double min, double max);
uint64_t document_count(struct document *in, const yaml_node_t *node, uint64_t min, uint64_t max);
bool document_bool(struct document *in, const yaml_node_t *node);
void document_text(struct document *in, const yaml_node_t *node, char *text, size_t size);

#endif
