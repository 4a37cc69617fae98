/* import_source.c - a file, whatever its form, as rows of texts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* The whole file; NULL: source->problem. */
static char *read_file(struct source *source, const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    struct text out = {0};
    char block[65536];
    size_t size;
    if (!file) {
        snprintf(source->problem, sizeof source->problem, "%s", strerror(errno));
        return NULL;
    }
    while ((size = fread(block, 1, sizeof block, file)) > 0 && out.size <= IMPORT_FILE_MAX)
        text_add_n(&out, block, size);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || out.size > IMPORT_FILE_MAX || out.size == 0) {
        snprintf(source->problem, sizeof source->problem, "%s",
                 failed          ? "it cannot be read"
                 : out.size == 0 ? "the file is empty"
                                 : "it is larger than 1 GiB: cut it into several files");
        text_done(&out);
        return NULL;
    }
    *ret_size = out.size;
    return text_take(&out);
}

/* '\0': not a name of one. */
static char delimiter_named(const char *name)
{
    if (strcmp(name, "tab") == 0 || strcmp(name, "\\t") == 0)
        return '\t';
    return strlen(name) == 1 && strchr(",;|\t:", name[0]) ? name[0] : '\0';
}

static bool read_text(struct source *source, const char *text, size_t size,
                      const struct source_options *options)
{
    size_t blank = strspn(text, " \t\r\n");
    if (blank < size && (text[blank] == '[' || text[blank] == '{'))
        return import_json(source, text, size, options->rows);
    source->kind = "CSV";
    /* What some spreadsheets write before the header. */
    if (size > 5 && strncmp(text, "sep=", 4) == 0 && (text[5] == '\n' || text[5] == '\r')) {
        source->delimiter = text[4];
        size_t skip = 5 + strspn(text + 5, "\r\n");
        return import_csv(source, text + skip, size - skip, source->delimiter);
    }
    source->delimiter = strcmp(options->delimiter, "auto") == 0
                            ? import_delimiter(text, size)
                            : delimiter_named(options->delimiter);
    if (source->delimiter == '\0') {
        snprintf(source->problem, sizeof source->problem,
                 "--delimiter is auto , ; tab or |, not '%s'", options->delimiter);
        return false;
    }
    return import_csv(source, text, size, source->delimiter);
}

bool source_read(struct source *source, const char *path, const struct source_options *options)
{
    size_t size, text_size;
    const char *slash = strrchr(path, '/');
    memset(source, 0, sizeof *source);
    source->name = slash ? slash + 1 : path;
    char *data = read_file(source, path, &size);
    char *text = data ? import_decode(data, size, options->encoding, &text_size, &source->encoding,
                                      source->problem, sizeof source->problem)
                      : NULL;
    free(data);
    bool done = text && read_text(source, text, text_size, options);
    free(text);
    return done;
}

void source_done(struct source *source)
{
    pool_done(&source->pool);
    free(source->rows);
    source->rows = NULL;
}

struct source_row *source_add(struct source *source)
{
    if (source->row_count == source->row_capacity) {
        source->row_capacity = source->row_capacity ? source->row_capacity * 2 : 1024;
        source->rows = need(realloc(source->rows, source->row_capacity * sizeof *source->rows));
    }
    struct source_row *row = &source->rows[source->row_count++];
    size_t size = (source->column_count + 1) * sizeof *row->cells;
    *row =
        (struct source_row){.number = source->row_count, .cells = pool_take(&source->pool, size)};
    memset(row->cells, 0, size);
    return row;
}

int source_column(const struct source *source, const char *name)
{
    for (size_t i = 0; i < source->column_count; i++) {
        if (strcmp(source->columns[i], name) == 0)
            return (int)i;
    }
    for (size_t i = 0; i < source->column_count; i++) {
        if (text_alike(source->columns[i], name))
            return (int)i;
    }
    return -1;
}
