// SPDX-License-Identifier: Apache-2.0
/* Over libyaml and not libcyaml: the latter has no mapping with free keys (labels), tells the place of the
 * token before an unknown key, has no places once loaded, and takes `local: maybe` as true and `jitter: 1 x`
 * as 1. */
#include "document.h"

#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 32, SHOWN_MAX = 64, BRACKETS_MAX = 1000 };

/* The same words in the same place twice would hide a key, so the text of a scalar is compared whole, with
 * its length. */
static bool is_text(const yaml_node_t *node, const char *text)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
           memcmp(node->data.scalar.value, text, node->data.scalar.length) == 0;
}

/* A scalar's text for a message, cut; "" for other nodes. */
static const char *show(const yaml_node_t *node, char shown[SHOWN_MAX])
{
    shown[0] = 0;
    if (node->type == YAML_SCALAR_NODE)
        snprintf(shown, SHOWN_MAX, "%s", (const char *)node->data.scalar.value);
    return shown;
}

static void fail_at(struct document *in, enum err err, size_t line, size_t column, const char *text)
{
    if (in->err == ERR_OK)
        in->err = why_set(in->why, err, "%.300s:%zu:%zu: %s%s%s", in->path, line, column,
                          in->key ? in->key : "", in->key ? ": " : "", text);
}

void document_fail(struct document *in, enum err err, const yaml_node_t *node, const char *format, ...)
{
    char text[WHY_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail_at(in, err, node ? node->start_mark.line + 1 : 1, node ? node->start_mark.column + 1 : 1, text);
}

static void parser_failed(struct document *in, const yaml_parser_t *parser)
{
    const yaml_mark_t *mark = parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark;
    if (parser->error == YAML_MEMORY_ERROR)
        in->err = why_set(in->why, ERR_MEMORY, "%s: no memory to read it", in->path);
    else
        fail_at(in, ERR_FORMAT, mark->line + 1, mark->column + 1,
                parser->problem ? parser->problem : "is not YAML");
}

static void refuse_second_document(struct document *in, yaml_parser_t *parser)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second)) {
        parser_failed(in, parser);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    if (root)
        document_fail(in, ERR_FORMAT, root, "a second document begins here; keep one per file");
    yaml_document_delete(&second);
}

/* libyaml's time for each token grows with the brackets that are open: 200,000 of them take minutes. Brackets
 * in comments and text are counted too, which does no harm with so high a bound. */
static bool brackets_are_bounded(struct document *in, const char *bytes, size_t size)
{
    size_t depth = 0, line = 1, start = 0;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            line++;
            start = i + 1;
        } else if (bytes[i] == ']' || bytes[i] == '}') {
            depth -= depth > 0;
        } else if ((bytes[i] == '[' || bytes[i] == '{') && ++depth > BRACKETS_MAX) {
            fail_at(in, ERR_FORMAT, line, i - start + 1, "too many brackets are open here");
            return false;
        }
    }
    return true;
}

const yaml_node_t *document_load(struct document *in, const char *path, const char *bytes, size_t size,
                                 struct why *why)
{
    yaml_parser_t parser;
    *in = (struct document){ .path = path, .why = why };
    if (!brackets_are_bounded(in, bytes, size))
        return NULL;
    if (!yaml_parser_initialize(&parser)) {
        in->err = why_set(why, ERR_MEMORY, "%s: no memory to read it", path);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    in->loaded = yaml_parser_load(&parser, &in->tree);
    const yaml_node_t *root = in->loaded ? yaml_document_get_root_node(&in->tree) : NULL;
    if (!in->loaded)
        parser_failed(in, &parser);
    else if (!root)
        document_fail(in, ERR_FORMAT, NULL, "is empty");
    else
        refuse_second_document(in, &parser);
    yaml_parser_delete(&parser);
    return in->err == ERR_OK ? root : NULL;
}

enum err document_close(struct document *in)
{
    if (in->loaded)
        yaml_document_delete(&in->tree);
    in->loaded = false;
    return in->err;
}

static const yaml_node_t *node_of(struct document *in, int id)
{
    return yaml_document_get_node(&in->tree, id);
}

static void refuse_key(struct document *in, const yaml_node_t *node, const struct document_key *keys)
{
    const char *names[KEYS_MAX];
    char shown[SHOWN_MAX];
    size_t count = 0;
    for (; keys[count].name && count < KEYS_MAX; count++)
        names[count] = keys[count].name;
    const char *nearest = options_nearest(show(node, shown), names, count);
    document_fail(in, ERR_FORMAT, node, "unknown key '%s'%s%s%s", shown,
                  nearest ? "; did you mean '" : "; remove it", nearest ? nearest : "", nearest ? "'?" : "");
}

static const struct document_key *find_key(const struct document_key *keys, const yaml_node_t *node)
{
    for (; keys->name; keys++)
        if (is_text(node, keys->name))
            return keys;
    return NULL;
}

void document_mapping(struct document *in, const yaml_node_t *node, const struct document_key *keys,
                      void *into)
{
    const char *outer = in->key;
    bool seen[KEYS_MAX] = { false };
    if (in->err == ERR_OK && node->type != YAML_MAPPING_NODE)
        document_fail(in, ERR_FORMAT, node, "must be a mapping of keys to values");
    if (in->err != ERR_OK)
        return;
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top && in->err == ERR_OK; pair++) {
        const yaml_node_t *name = node_of(in, pair->key);
        const struct document_key *key = find_key(keys, name);
        if (!key) {
            refuse_key(in, name, keys);
        } else if (seen[key - keys]) {
            document_fail(in, ERR_FORMAT, name, "the key '%s' is given twice", key->name);
        } else {
            seen[key - keys] = true;
            in->key = key->name;
            key->read(in, node_of(in, pair->value), into);
            in->key = outer;
        }
    }
}

const yaml_node_t *document_find(struct document *in, const yaml_node_t *mapping, const char *key)
{
    if (mapping->type != YAML_MAPPING_NODE)
        return NULL;
    const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
    for (; pair < mapping->data.mapping.pairs.top; pair++)
        if (is_text(node_of(in, pair->key), key))
            return node_of(in, pair->value);
    return NULL;
}

static size_t bounded(struct document *in, const yaml_node_t *node, size_t count, size_t max)
{
    if (count <= max)
        return count;
    document_fail(in, ERR_FORMAT, node, "has %zu items; at most %zu are supported", count, max);
    return 0;
}

size_t document_items(struct document *in, const yaml_node_t *node, size_t max)
{
    if (in->err == ERR_OK && node->type != YAML_SEQUENCE_NODE)
        document_fail(in, ERR_FORMAT, node, "must be a list");
    if (in->err != ERR_OK)
        return 0;
    return bounded(in, node, (size_t)(node->data.sequence.items.top - node->data.sequence.items.start), max);
}

const yaml_node_t *document_item(struct document *in, const yaml_node_t *node, size_t index)
{
    return node_of(in, node->data.sequence.items.start[index]);
}

size_t document_pairs(struct document *in, const yaml_node_t *node, size_t max)
{
    if (in->err == ERR_OK && node->type != YAML_MAPPING_NODE)
        document_fail(in, ERR_FORMAT, node, "must be a mapping of keys to values");
    if (in->err != ERR_OK)
        return 0;
    return bounded(in, node, (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start), max);
}

void document_pair(struct document *in, const yaml_node_t *node, size_t index, const yaml_node_t **key,
                   const yaml_node_t **value)
{
    *key = node_of(in, node->data.mapping.pairs.start[index].key);
    *value = node_of(in, node->data.mapping.pairs.start[index].value);
}

/* The text of a number or truth value: those are plain, so that "1" in quotes stays what it says it is, text.
 */
static const char *plain(struct document *in, const yaml_node_t *node, const char *what)
{
    char shown[SHOWN_MAX];
    if (in->err != ERR_OK)
        return NULL;
    if (node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        node->data.scalar.length == strlen((const char *)node->data.scalar.value))
        return (const char *)node->data.scalar.value;
    document_fail(in, ERR_FORMAT, node, "'%s' is not %s", show(node, shown), what);
    return NULL;
}

double document_number(struct document *in, const yaml_node_t *node, double min, double max)
{
    const char *text = plain(in, node, "a number");
    if (!text)
        return 0;
    char *end = NULL;
    double value = strspn(text, "0123456789.eE+-") == strlen(text) ? strtod(text, &end) : 0;
    if (!end || end == text || *end)
        document_fail(in, ERR_FORMAT, node, "'%.64s' is not a number", text);
    else if (!isfinite(value) || value < min || value > max)
        document_fail(in, ERR_FORMAT, node, "%.64s is out of range; give %g to %g", text, min, max);
    return in->err == ERR_OK ? value : 0;
}

uint64_t document_count(struct document *in, const yaml_node_t *node, uint64_t min, uint64_t max)
{
    const char *text = plain(in, node, "a whole number");
    if (!text)
        return 0;
    bool digits = *text && strspn(text, "0123456789") == strlen(text);
    errno = 0;
    uint64_t value = digits ? strtoull(text, NULL, 10) : 0;
    if (!digits)
        document_fail(in, ERR_FORMAT, node, "'%.64s' is not a whole number", text);
    else if (errno || value < min || value > max)
        document_fail(in, ERR_FORMAT, node, "%.64s is out of range; give %llu to %llu", text,
                      (unsigned long long)min, (unsigned long long)max);
    return in->err == ERR_OK ? value : 0;
}

bool document_bool(struct document *in, const yaml_node_t *node)
{
    const char *text = plain(in, node, "true or false");
    if (!text || strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return text && text[0] == 't';
    document_fail(in, ERR_FORMAT, node, "'%.64s' is neither true nor false", text);
    return false;
}

void document_text(struct document *in, const yaml_node_t *node, char *text, size_t size)
{
    text[0] = 0;
    if (in->err != ERR_OK)
        return;
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0) {
        document_fail(in, ERR_FORMAT, node, "must be a word");
        return;
    }
    const unsigned char *value = node->data.scalar.value;
    size_t length = node->data.scalar.length;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < 0x20 || value[i] == 0x7f) {
            document_fail(in, ERR_FORMAT, node, "must not hold control characters or line ends");
            return;
        }
    }
    if (length >= size) {
        document_fail(in, ERR_FORMAT, node, "has %zu bytes; at most %zu are supported", length, size - 1);
        return;
    }
    memcpy(text, value, length);
    text[length] = 0;
}
