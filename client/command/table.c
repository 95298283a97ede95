// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct row {
    size_t used;
    char cells[TABLE_COLUMNS_MAX][TABLE_CELL_MAX];
};

struct table {
    size_t columns, rows, room;
    struct table_column at[TABLE_COLUMNS_MAX];
    struct row *row;
    int broken; /* the row in hand was left out */
};

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->columns = count < TABLE_COLUMNS_MAX ? count : TABLE_COLUMNS_MAX;
    memcpy(table->at, columns, table->columns * sizeof *columns);
    return table;
}

void table_free(struct table **table)
{
    if (*table)
        free((*table)->row);
    free(*table);
    *table = NULL;
}

void table_row(struct table *table)
{
    if (table->rows == table->room) {
        size_t room = table->room ? 2 * table->room : 16;
        struct row *grown = realloc(table->row, room * sizeof *grown);
        table->broken = !grown;
        if (!grown)
            return;
        table->row = grown;
        table->room = room;
    }
    table->broken = 0;
    memset(&table->row[table->rows++], 0, sizeof *table->row);
}

void table_cell(struct table *table, const char *format, ...)
{
    va_list arguments;
    if (table->broken || table->rows == 0)
        return;
    struct row *row = &table->row[table->rows - 1];
    if (row->used == table->columns)
        return;
    va_start(arguments, format);
    vsnprintf(row->cells[row->used++], TABLE_CELL_MAX, format, arguments);
    va_end(arguments);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(const struct table *table, size_t column, const char *text, int width, FILE *stream)
{
    int pad = width - width_of(text);
    int last = column + 1 == table->columns;
    if (table->at[column].right)
        fprintf(stream, "%*s%s", pad, "", text);
    else
        fprintf(stream, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", stream);
}

void table_print(const struct table *table, FILE *stream, int styled)
{
    int widths[TABLE_COLUMNS_MAX];
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = width_of(table->at[c].title);
        for (size_t r = 0; r < table->rows; r++)
            if (width_of(table->row[r].cells[c]) > widths[c])
                widths[c] = width_of(table->row[r].cells[c]);
    }
    if (styled)
        fputs("\033[1m", stream);
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table, c, table->at[c].title, widths[c], stream);
    if (styled)
        fputs("\033[0m", stream);
    for (size_t r = 0; r < table->rows; r++)
        for (size_t c = 0; c < table->columns; c++)
            print_cell(table, c, table->row[r].cells[c], widths[c], stream);
}
