/* table.h - a table for people, on stdout: headings, columns as wide as their texts. */
#ifndef SERVER_MAIN_TABLE_H
#define SERVER_MAIN_TABLE_H

#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 8 };

struct table {
    size_t columns;
    const char *const *headings;
    char **cells; /* rows * columns of them, owned */
    size_t count, capacity;
};

/* headings are borrowed. */
void table_init(struct table *table, size_t columns, const char *const *headings);
/* Adds the next cell; NULL is empty. Out of memory ends the program. */
void table_cell(struct table *table, const char *text);
/* Prints, says `empty` when there are no rows, and frees. */
void table_print(struct table *table, const char *empty);

#endif
