#include "server/main/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns on the terminal: code points, without combining marks, wide ones counted twice. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p & 0xc0) == 0x80)
            continue;
        if (*p == 0xcc || (*p == 0xcd && p[1] < 0xb0))
            continue;
        width += *p >= 0xf0 || (*p >= 0xe3 && *p <= 0xed) ? 2 : 1;
    }
    return width;
}

void table_init(struct table *table, size_t columns, const char *const *headings)
{
    *table = (struct table){.columns = columns, .headings = headings};
}

void table_cell(struct table *table, const char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        char **grown = realloc(table->cells, table->capacity * sizeof *grown);
        if (!grown)
            abort();
        table->cells = grown;
    }
    char *copy = strdup(text ? text : "");
    if (!copy)
        abort();
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* one row stays one line, and no text drives the terminal */
    table->cells[table->count++] = copy;
}

static void print_cell(const char *text, size_t width, int last)
{
    size_t own = width_of(text);
    printf("%s%*s", text, last || own >= width ? 0 : (int)(width - own), "");
    fputs(last ? "\n" : "  ", stdout);
}

void table_print(struct table *table, const char *empty)
{
    size_t width[TABLE_COLUMNS_MAX] = {0};
    assert(table->columns > 0 && table->columns <= TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < table->columns; i++)
        width[i] = width_of(table->headings[i]);
    for (size_t i = 0; i < table->count; i++) {
        size_t own = width_of(table->cells[i]);
        if (own > width[i % table->columns])
            width[i % table->columns] = own;
    }
    if (table->count == 0)
        puts(empty);
    for (size_t i = 0; table->count > 0 && i < table->columns; i++)
        print_cell(table->headings[i], width[i], i + 1 == table->columns);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        print_cell(table->cells[i], width[column], column + 1 == table->columns);
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){0};
}
