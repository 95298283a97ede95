// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64, NUMBER_MAX = 64, HELP_COLUMNS = 80, HELP_LEFT_MAX = 30, ROWS_MAX = 128 };

static const double century_us = 100 * 365.25 * 86400e6;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Edits (insert, delete, replace) from a to b, both shorter than WORD_MAX: one row of the usual table at a
 * time. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX], columns = strlen(b);
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[columns];
}

const char *options_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    if (length >= WORD_MAX)
        return NULL;
    /* A word that would have to be replaced whole is not near, however short it is. */
    size_t best = least(length > 6 ? length / 3 : 2, length ? length - 1 : 0) + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) >= WORD_MAX)
            continue;
        size_t edits = distance(word, candidates[i]);
        if (edits < best) {
            best = edits;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* Digits with a point and an exponent; no hexadecimal, no "inf", no spaces, all of which strtod would take.
 */
static bool parse_number(const char *text, size_t length, double *number)
{
    char copy[NUMBER_MAX], *end;
    if (length == 0 || length >= sizeof copy || strspn(text, "0123456789.eE+-") < length)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    double value = strtod(copy, &end);
    if (*end || end == copy || !isfinite(value))
        return false;
    *number = value;
    return true;
}

/* "e12" of 1e12; false if it is none, or too large. */
static bool parse_exponent(const char *text, uint64_t *factor)
{
    const char *at = text + 1 + (text[1] == '+');
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || digits > 2 || at[digits])
        return false;
    for (long power = strtol(at, NULL, 10); power > 0; power--)
        if (__builtin_mul_overflow(*factor, 10, factor))
            return false;
    return true;
}

static bool parse_count(const char *text, uint64_t *count)
{
    static const char suffixes[] = "kMGT";
    uint64_t value = 0, factor = 1;
    const char *at = text;
    for (; isdigit((unsigned char)*at) || (*at == '_' && at > text); at++) {
        if (*at == '_' && !(isdigit((unsigned char)at[-1]) && isdigit((unsigned char)at[1])))
            return false;
        if (*at != '_' && (__builtin_mul_overflow(value, 10, &value) ||
                           __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)))
            return false;
    }
    if (at == text)
        return false;
    if (*at == 'e')
        return parse_exponent(at, &factor) && !__builtin_mul_overflow(value, factor, count);
    const char *suffix = *at ? strchr(suffixes, *at) : NULL;
    for (const char *s = suffixes; suffix && s <= suffix; s++)
        factor *= 1000;
    if (suffix)
        at++;
    return *at == 0 && !__builtin_mul_overflow(value, factor, count);
}

enum err options_duration(const char *text, uint64_t *us)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = { { "", 1e6 },   { "us", 1 },     { "ms", 1e3 },   { "s", 1e6 },
                  { "m", 60e6 }, { "h", 3600e6 }, { "d", 86400e6 } };
    size_t length = strspn(text, "0123456789.");
    double number;
    if (!parse_number(text, length, &number))
        return ERR_USAGE;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + length, units[i].unit) != 0)
            continue;
        double exact = number * units[i].us;
        if (exact > century_us)
            return ERR_USAGE;
        *us = (uint64_t)(exact + 0.5);
        return ERR_OK;
    }
    return ERR_USAGE;
}

struct parser {
    const struct option_usage *usage;
    const struct option_row *rows;
    int argc, next;
    char **argv;
    struct why *why;
};

static enum err add_to_list(const struct option_row *row, const char *text, struct why *why)
{
    struct option_list *list = row->value;
    if (list->count >= OPTION_LIST_MAX)
        return why_set(why, ERR_USAGE, "--%s is given more than %d times", row->name, OPTION_LIST_MAX);
    list->at[list->count++] = text;
    return ERR_OK;
}

static enum err set_value(const struct option_row *row, const char *text, struct why *why)
{
    switch (row->kind) {
    case OPTION_FLAG: *(bool *)row->value = true; return ERR_OK;
    case OPTION_TEXT: *(const char **)row->value = text; return ERR_OK;
    case OPTION_LIST: return add_to_list(row, text, why);
    case OPTION_COUNT:
        if (parse_count(text, row->value))
            return ERR_OK;
        return why_set(why, ERR_USAGE,
                       "--%s: '%s' is not a whole number; give one such as 1000, 10_000 or 10k", row->name,
                       text);
    case OPTION_NUMBER:
        if (parse_number(text, strlen(text), row->value))
            return ERR_OK;
        return why_set(why, ERR_USAGE, "--%s: '%s' is not a number; give one such as 0.5", row->name, text);
    case OPTION_DURATION:
        if (options_duration(text, row->value) == ERR_OK)
            return ERR_OK;
        return why_set(why, ERR_USAGE, "--%s: '%s' is not a duration; give one such as 10m, 1.5s or 200ms",
                       row->name, text);
    }
    return why_set(why, ERR_USAGE, "--%s: of an unknown kind", row->name);
}

static enum err unknown_option(const struct parser *in, const char *word, size_t length)
{
    const char *names[ROWS_MAX] = { "help" };
    char name[WORD_MAX];
    size_t count = 1;
    for (const struct option_row *row = in->rows; row->name && count < ROWS_MAX; row++)
        names[count++] = row->name;
    snprintf(name, sizeof name, "%.*s", (int)least(length, sizeof name - 1), word);
    const char *nearest = options_nearest(name, names, count);
    if (nearest)
        return why_set(in->why, ERR_USAGE, "unknown option --%s; did you mean --%s?", name, nearest);
    return why_set(in->why, ERR_USAGE, "unknown option --%s; see %s --help", name, in->usage->command);
}

/* The value after "--name" or "-n": the next word, unless that is an option itself. */
static enum err take_next(struct parser *in, const struct option_row *row)
{
    if (row->kind == OPTION_FLAG)
        return set_value(row, NULL, in->why);
    const char *text = in->next < in->argc ? in->argv[in->next] : NULL;
    if (!text || strncmp(text, "--", 2) == 0)
        return why_set(in->why, ERR_USAGE, "--%s needs a value: --%s %s", row->name, row->name,
                       row->argument ? row->argument : "VALUE");
    in->next++;
    return set_value(row, text, in->why);
}

static enum err parse_long(struct parser *in, const char *word)
{
    size_t length = strcspn(word, "=");
    for (const struct option_row *row = in->rows; row->name; row++) {
        if (strlen(row->name) != length || memcmp(row->name, word, length) != 0)
            continue;
        if (word[length] == 0)
            return take_next(in, row);
        if (row->kind == OPTION_FLAG)
            return why_set(in->why, ERR_USAGE, "--%s takes no value; leave out '%s'", row->name,
                           word + length);
        return set_value(row, word + length + 1, in->why);
    }
    return unknown_option(in, word, length);
}

static enum err parse_short(struct parser *in, const char *word)
{
    for (const struct option_row *row = in->rows; row->name; row++)
        if (row->letter && row->letter == word[0] && word[1] == 0)
            return take_next(in, row);
    return why_set(in->why, ERR_USAGE, "unknown option -%s; see %s --help", word, in->usage->command);
}

enum err options_parse(const struct option_usage *usage, const struct option_row *rows, int argc, char **argv,
                       const char **words, size_t words_max, size_t *words_count, bool *helped,
                       struct why *why)
{
    struct parser in = { .usage = usage, .rows = rows, .argc = argc, .next = 1, .argv = argv, .why = why };
    bool only_words = false;
    *words_count = 0;
    *helped = false;
    while (in.next < argc) {
        const char *word = argv[in.next++];
        enum err err = ERR_OK;
        if (only_words || word[0] != '-' || word[1] == 0) {
            if (*words_count >= words_max)
                return why_set(why, ERR_USAGE, "unexpected '%s'; see %s --help", word, usage->command);
            words[(*words_count)++] = word;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            options_help(usage, rows, stdout);
            *helped = true;
            return ERR_OK;
        } else {
            err = word[1] == '-' ? parse_long(&in, word + 2) : parse_short(&in, word + 1);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* "-m, --model FILE", or "    --wait". Returns its length. */
static size_t print_left(const struct option_row *row, char *text, size_t size)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    int length = snprintf(text, size, "%s--%s%s%s", letter, row->name, row->argument ? " " : "",
                          row->argument ? row->argument : "");
    return least((size_t)length, size - 1);
}

/* Break text at spaces so that it ends before HELP_COLUMNS; the first line begins at column, later ones are
 * indented to it. */
static void print_wrapped(const char *text, size_t indent, FILE *stream)
{
    size_t column = indent;
    while (*text) {
        size_t spaces = strspn(text, " \n"), length = strcspn(text + spaces, " \n");
        if (column > indent && column + 1 + length > HELP_COLUMNS) {
            fprintf(stream, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", (int)length, text + spaces);
        column += length;
        text += spaces + length;
    }
    fputc('\n', stream);
}

static void print_row(const struct option_row *row, size_t width, FILE *stream)
{
    char left[128];
    size_t length = print_left(row, left, sizeof left);
    fprintf(stream, "  %-*s", (int)width, left);
    if (length > width)
        fprintf(stream, "\n  %*s", (int)width, "");
    fputs("  ", stream);
    print_wrapped(row->help ? row->help : "", width + 4, stream);
}

void options_help(const struct option_usage *usage, const struct option_row *rows, FILE *stream)
{
    static const struct option_row help = { "help", 'h', OPTION_FLAG, NULL, NULL, "show this help" };
    char left[128];
    size_t width = print_left(&help, left, sizeof left);
    for (const struct option_row *row = rows; row->name; row++) {
        size_t length = print_left(row, left, sizeof left);
        if (length > width && length <= HELP_LEFT_MAX)
            width = length;
    }
    fprintf(stream, "Usage: %s%s%s\n\n", usage->command, usage->synopsis ? " " : "",
            usage->synopsis ? usage->synopsis : "");
    if (usage->about) {
        print_wrapped(usage->about, 0, stream);
        fputc('\n', stream);
    }
    fputs("Options:\n", stream);
    for (const struct option_row *row = rows; row->name; row++)
        print_row(row, width, stream);
    print_row(&help, width, stream);
    if (usage->examples)
        fprintf(stream, "\nExamples:\n%s%s", usage->examples,
                usage->examples[0] && usage->examples[strlen(usage->examples) - 1] == '\n' ? "" : "\n");
}
