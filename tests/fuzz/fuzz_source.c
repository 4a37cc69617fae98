/* CSV and JSON files, as `satchel import` reads them into rows of texts.
 * sources: client/cli
 *
 * Input:   first byte: encoding and delimiter given or found; then the file.
 * Asserts: a file that is not read is explained; decoded text is UTF-8; each row has its number, ascending
 *          lines, and texts that are UTF-8 and together not longer than the file allows; rows of a CSV
 *          written out by the rules of RFC 4180 read as the same rows; memory is bounded.
 * ctest: labels=asan */
#include "client/cli/import.h"
#include "tests/fuzz/fuzz.h"

enum { MEMORY_MAX = 256 << 20 };

static bool is_utf8(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)text[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        if (more == 9 || i + more >= size)
            return false;
        unsigned char next = more ? (unsigned char)text[i + 1] : 0x80;
        if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) ||
            (c == 0xf0 && next < 0x90) || (c == 0xf4 && next > 0x8f))
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)text[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

static void check_rows(const struct source *source, size_t size)
{
    size_t total = 0;
    uint64_t line = 0;
    fuzz_check(source->column_count <= IMPORT_COLUMNS_MAX, "%zu columns", source->column_count);
    for (size_t c = 0; c < source->column_count; c++)
        fuzz_check(source->columns[c] && is_utf8(source->columns[c], strlen(source->columns[c])),
                   "the name of column %zu", c);
    for (size_t i = 0; i < source->row_count; i++) {
        const struct source_row *row = &source->rows[i];
        fuzz_check(row->number == i + 1, "row %zu says %llu", i + 1,
                   (unsigned long long)row->number);
        fuzz_check(row->line == 0 || row->line >= line, "line %llu after %llu",
                   (unsigned long long)row->line, (unsigned long long)line);
        line = row->line ? row->line : line;
        for (size_t c = 0; c < source->column_count; c++) {
            size_t length = row->cells[c] ? strlen(row->cells[c]) : 0;
            fuzz_check(length == 0 || is_utf8(row->cells[c], length), "row %zu, column %zu", i + 1,
                       c);
            total += length;
        }
    }
    if (strcmp(source->kind, "CSV") == 0) /* JSON repeats what is around its rows */
        fuzz_check(total <= 6 * size, "%zu bytes of %zu", total, size);
}

static void add_cell(struct text *out, const char *cell)
{
    text_add(out, "\"");
    for (const char *at = cell; *at; at++) {
        if (*at == '"')
            text_add(out, "\"");
        text_add_n(out, at, 1);
    }
    text_add(out, "\"");
}

/* Written as CSV and read again. */
static void again(const struct source *source)
{
    struct text out = {0};
    struct source *copy = need(calloc(1, sizeof *copy));
    for (size_t c = 0; c < source->column_count; c++) {
        text_add(&out, c ? "," : "");
        add_cell(&out, source->columns[c]);
    }
    text_add(&out, "\r\n");
    for (size_t i = 0; i < source->row_count; i++) {
        for (size_t c = 0; c < source->column_count; c++) {
            text_add(&out, c ? "," : "");
            add_cell(&out, source->rows[i].cells[c] ? source->rows[i].cells[c] : "");
        }
        text_add(&out, "\r\n");
    }
    bool read = import_csv(copy, out.data, out.size, ',');
    fuzz_check(read, "%s", copy->problem);
    fuzz_check(copy->column_count == source->column_count && copy->row_count == source->row_count,
               "%zu rows of %zu columns were %zu of %zu", copy->row_count, copy->column_count,
               source->row_count, source->column_count);
    for (size_t i = 0; i < source->row_count; i++)
        for (size_t c = 0; c < source->column_count; c++) {
            const char *a = source->rows[i].cells[c], *b = copy->rows[i].cells[c];
            fuzz_check(strcmp(a ? a : "", b ? b : "") == 0, "row %zu, column %zu: '%s' is '%s'",
                       i + 1, c, a ? a : "", b ? b : "");
        }
    source_done(copy);
    free(copy);
    text_done(&out);
}

/* Rows that are blank, or do not fit, are another matter. */
static bool is_plain(const struct source *source)
{
    for (size_t i = 0; i < source->row_count; i++) {
        bool filled = false;
        for (size_t c = 0; c < source->column_count; c++)
            filled |= source->rows[i].cells[c] && source->rows[i].cells[c][0];
        if (source->rows[i].bad || !filled)
            return false;
    }
    return source->column_count > 1 && strcmp(source->kind, "CSV") == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const encodings[] = {"auto",   "utf-8", "windows-1251", "windows-1252",
                                            "utf-16", "auto",  "auto",         "auto"};
    static const char *const delimiters[] = {"auto", ",", ";", "tab", "|", "auto", "auto", "auto"};
    static const char *const places[] = {NULL, "orders", "orders.lines", "a"};
    if (size < 2)
        return 0;
    const char *path = fuzz_path("file");
    fuzz_begin(MEMORY_MAX);
    const struct source_options options = {.encoding = encodings[data[0] % 8],
                                           .delimiter = delimiters[data[0] / 8 % 8],
                                           .rows = places[data[0] / 64]};
    struct source *source = need(calloc(1, sizeof *source));
    FILE *file = fopen(path, "wb");
    fuzz_check(file && fwrite(data + 1, 1, size - 1, file) == size - 1, "%s", path);
    fclose(file);
    if (source_read(source, path, &options)) {
        check_rows(source, size);
        if (is_plain(source))
            again(source);
    } else {
        fuzz_check(source->problem[0], "refused without a reason");
    }
    source_done(source);
    free(source);
    fuzz_end(1 << 16); /* once: what the library keeps. Leaks are the sanitizer's to find */
    return 0;
}
