/* term.h - the terminal: how wide it is, a progress line on stderr, tables. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"

/* Columns of the terminal at fd; 0 when it is none. COLUMNS in the environment wins. */
int term_width(int fd);
int64_t term_now_ms(void); /* monotonic */

/* A line "label  [====>    ]  42 %  1234/3000 rows  310/s  6 s left", redrawn 10 times a second; off a
 * terminal it is silent. label and unit are borrowed. */
struct progress {
    const char *label, *unit;
    uint64_t done, total; /* total 0: not known */
    int64_t start_ms, drawn_ms;
    bool enabled, shown;
};
void progress_begin(struct progress *progress, const struct cli *cli, const char *label,
                    const char *unit, uint64_t total);
void progress_step(struct progress *progress, uint64_t done);
/* Takes the line away. */
void progress_end(struct progress *progress);

/* A table for people. Cells are copied; columns are as wide as their texts, and the widest are cut to
 * fit the terminal. */
struct table {
    size_t columns;
    const char **headings;
    bool *right;     /* aligned to the right */
    bool drop_empty; /* leave out columns that are empty in all rows */
    char **cells;
    size_t count, capacity;
};
void table_begin(struct table *table, size_t columns);
/* Borrowed until table_end(). */
void table_heading(struct table *table, size_t column, const char *heading, bool right);
void table_cell(struct table *table, const char *text);
/* Prints and frees. */
void table_end(struct table *table, const struct cli *cli);

#endif
