// SPDX-License-Identifier: Apache-2.0
/* table - rows of texts in aligned columns, for people. Pure but for the stream that it prints to. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16, TABLE_CELL_MAX = 128 };

struct table_column {
    const char *title;
    int right; /* numbers stand right */
};

struct table;

struct table *table_new(const struct table_column *columns, size_t count); /* NULL when out of memory */
void table_free(struct table **table);

/* Begin a row and fill it from left to right; a missing cell is empty. Out of memory: the row is left out. */
void table_row(struct table *table);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Columns as wide as their widest cell, two blanks between; a line in bold as header when styled. */
void table_print(const struct table *table, FILE *stream, int styled);

#endif
