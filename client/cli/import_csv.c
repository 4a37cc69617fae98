/* import_csv.c - CSV by libcsv: RFC 4180, with lines counted and rows that do not fit reported. */
#include <csv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

enum { NAME_BYTES_MAX = 256 }; /* of a column's name in the file */

struct reading {
    struct source *source;
    uint64_t line;        /* that is being fed */
    uint64_t row_line;    /* where the row in hand began */
    bool in_row, between; /* between: no byte of the next row has come */
    bool header;          /* it has been read */
    const char *cells[IMPORT_COLUMNS_MAX];
    size_t count; /* of cells of the row, those beyond the limit included */
};

static int no_space(unsigned char c)
{
    (void)c;
    return 0; /* libcsv would trim in silence: spaces are ours to trim, and to report */
}

static void on_field(void *data, size_t size, void *context)
{
    struct reading *reading = context;
    reading->in_row = true;
    if (reading->count < IMPORT_COLUMNS_MAX)
        reading->cells[reading->count] = pool_text(&reading->source->pool, data ? data : "", size);
    reading->count++;
}

/* Of a name: as much as is kept, whole characters. */
static size_t name_size(const char *name, size_t size)
{
    if (size <= NAME_BYTES_MAX)
        return size;
    size = NAME_BYTES_MAX;
    while (size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80)
        size--;
    return size;
}

/* Names the columns: what is empty or there twice gets a name of its own. */
static void take_header(struct reading *reading)
{
    struct source *source = reading->source;
    source->column_count =
        reading->count < IMPORT_COLUMNS_MAX ? reading->count : IMPORT_COLUMNS_MAX;
    for (size_t i = 0; i < source->column_count; i++) {
        char name[320];
        const char *own = reading->cells[i];
        while (*own == ' ')
            own++;
        size_t size = strlen(own);
        while (size > 0 && (own[size - 1] == ' ' || own[size - 1] == '\r'))
            size--;
        size = name_size(own, size);
        snprintf(name, sizeof name, "%.*s", (int)size, own);
        if (size == 0)
            snprintf(name, sizeof name, "column %zu", i + 1);
        for (size_t k = 0, copies = 1; k < i; k++) {
            if (strcmp(source->columns[k], name) == 0) {
                snprintf(name, sizeof name, "%.*s (%zu)", (int)size, own, ++copies);
                k = (size_t)-1;
            }
            if (copies > IMPORT_COLUMNS_MAX)
                break;
        }
        source->columns[i] = pool_text(&source->pool, name, strlen(name));
    }
    reading->header = true;
}

static void take_row(struct reading *reading)
{
    struct source *source = reading->source;
    struct source_row *row = source_add(source);
    row->line = reading->row_line;
    for (size_t i = 0; i < reading->count && i < source->column_count; i++)
        row->cells[i] = reading->cells[i];
    size_t beyond = 0;
    for (size_t i = source->column_count; i < reading->count; i++)
        beyond += i >= IMPORT_COLUMNS_MAX || reading->cells[i][0] != '\0';
    if (beyond > 0) {
        char bad[128];
        snprintf(bad, sizeof bad,
                 "the row has %zu fields, the header %zu: a delimiter or a quote "
                 "is not where it should be",
                 reading->count, source->column_count);
        row->bad = pool_text(&source->pool, bad, strlen(bad));
    }
}

static void on_row(int end, void *context)
{
    struct reading *reading = context;
    (void)end;
    if (!reading->in_row)
        return;
    if (!reading->header)
        take_header(reading);
    else
        take_row(reading);
    reading->in_row = false;
    reading->between = true;
    reading->count = 0;
}

/* The size of the line at the start of text, its end included: LF, CR LF, or CR alone. */
static size_t line_size(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            return i + 1;
        if (text[i] == '\r')
            return i + 1 < size && text[i + 1] == '\n' ? i + 2 : i + 1;
    }
    return size;
}

/* Feeds the text line by line, so that the callbacks know where they are. */
static bool feed(struct reading *reading, struct csv_parser *parser, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t piece = line_size(text + at, size - at);
        bool blank = text[at] == '\n' || text[at] == '\r';
        reading->line++;
        if (reading->between && !blank) {
            reading->row_line = reading->line;
            reading->between = false;
        }
        if (csv_parse(parser, text + at, piece, on_field, on_row, reading) != piece) {
            snprintf(reading->source->problem, sizeof reading->source->problem, "line %llu: %s",
                     (unsigned long long)reading->line, csv_strerror(csv_error(parser)));
            return false;
        }
        at += piece;
    }
    return true;
}

bool import_csv(struct source *source, const char *text, size_t size, char delimiter)
{
    struct csv_parser parser;
    struct reading *reading = need(calloc(1, sizeof *reading));
    bool done = false;
    reading->source = source;
    reading->between = true;
    if (csv_init(&parser, CSV_APPEND_NULL) != 0)
        cli_out_of_memory();
    csv_set_delim(&parser, (unsigned char)delimiter);
    csv_set_space_func(&parser, no_space);
    if (feed(reading, &parser, text, size)) {
        done = true;
        /* Stray quotes within a field are let pass, one that is never closed is not. */
        csv_set_opts(&parser, CSV_APPEND_NULL | CSV_STRICT | CSV_STRICT_FINI);
        if (csv_fini(&parser, on_field, on_row, reading) != 0) {
            /* The rest of the file went into one field: that row is refused, the others stand. */
            struct source_row *row = source_add(source);
            row->line = reading->row_line;
            row->bad = "a quote is opened here or below and never closed; the rest of the file is "
                       "in it";
        }
    }
    if (done && source->column_count == 0) {
        snprintf(source->problem, sizeof source->problem, "the file has no header line");
        done = false;
    }
    csv_free(&parser);
    free(reading);
    return done;
}
