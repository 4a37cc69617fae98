/* CSV (RFC 4180) and JSON lines of the live records. */
#include "client/api/api_internal.h"

#include "common/text.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 256 << 20, PIECE_BYTES = 64 << 10 };

struct export
{
    struct satchel *h;
    const struct model_table *table;
    enum satchel_format format;
    satchel_write_fn *fn;
    void *context;
    struct buf out;  /* several lines */
    struct buf cell; /* one value as text */
    struct arena arena;
    bool stopped;
};

static int flush(struct export *x, size_t at_least)
{
    if (x->out.size < at_least || x->out.size == 0)
        return 0;
    x->stopped |= x->fn(x->context, (const char *)x->out.data, x->out.size) != 0;
    buf_reset(&x->out);
    return api_stop(x->stopped);
}

static void csv_cell(struct buf *out, struct bytes text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.size && !quoted; i++)
        quoted = strchr(",\"\r\n", text.data[i]) != NULL && text.data[i] != '\0';
    if (text.size > 0 && (text.data[0] == ' ' || text.data[text.size - 1] == ' '))
        quoted = true;
    if (!quoted) {
        (void)buf_append(out, text.data, text.size);
        return;
    }
    (void)buf_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            (void)buf_append_byte(out, '"');
        (void)buf_append_byte(out, text.data[i]);
    }
    (void)buf_append_byte(out, '"');
}

static void csv_header(struct export *x)
{
    (void)text_append(&x->out, "id");
    for (uint16_t i = 0; i < x->table->column_count; i++) {
        (void)text_append(&x->out, ",");
        csv_cell(&x->out, bytes_of_text(x->table->columns[i].name));
    }
    (void)text_append(&x->out, "\r\n");
}

static void csv_row(struct export *x, const char *id, const struct value *values)
{
    (void)text_append(&x->out, id);
    for (uint16_t i = 0; i < x->table->column_count; i++) {
        buf_reset(&x->cell);
        if (model_value_to_text(&x->table->columns[i], &values[i], &x->cell) != ERR_OK)
            x->out.error = x->cell.error;
        (void)text_append(&x->out, ",");
        csv_cell(&x->out, buf_view(&x->cell));
    }
    (void)text_append(&x->out, "\r\n");
}

/* Numbers and booleans as such, sets as the array that they are, all else as text. */
static void json_value(struct export *x, const struct model_column *column,
                       const struct value *value)
{
    if (value->kind == VALUE_NULL) {
        (void)text_append(&x->out, "null");
        return;
    }
    switch (column->type) {
    case COLUMN_INTEGER: (void)text_append_int64(&x->out, value->as.integer); return;
    case COLUMN_REAL: (void)text_append_double(&x->out, value->as.real); return;
    case COLUMN_BOOLEAN:
        (void)text_append(&x->out, value->as.integer != 0 ? "true" : "false");
        return;
    case COLUMN_SET: (void)buf_append(&x->out, value->as.bytes.data, value->as.bytes.size); return;
    case COLUMN_TEXT:
    case COLUMN_MONEY:
    case COLUMN_DATE:
    case COLUMN_INSTANT:
    case COLUMN_ENUM:
    case COLUMN_REFERENCE:
    case COLUMN_BLOB: break;
    }
    buf_reset(&x->cell);
    if (model_value_to_text(column, value, &x->cell) != ERR_OK)
        x->out.error = x->cell.error;
    (void)text_append_json(&x->out, buf_view(&x->cell));
}

static void json_row(struct export *x, const char *id, const struct value *values)
{
    (void)text_append(&x->out, "{\"_table\":");
    (void)text_append_json(&x->out, bytes_of_text(x->table->name));
    (void)text_append_format(&x->out, ",\"id\":\"%s\"", id);
    for (uint16_t i = 0; i < x->table->column_count; i++) {
        (void)text_append(&x->out, ",");
        (void)text_append_json(&x->out, bytes_of_text(x->table->columns[i].name));
        (void)text_append(&x->out, ":");
        json_value(x, &x->table->columns[i], &values[i]);
    }
    (void)text_append(&x->out, "}\n");
}

static int export_id(void *context, const struct uuid *id)
{
    struct export *x = context;
    struct store_row row;
    char text[UUID_TEXT_SIZE];
    arena_reset(&x->arena);
    enum err e = store_row_get(x->h->store, x->table, id, &x->arena, &row);
    if (e != ERR_OK)
        return (int)e;
    uuid_format(id, text);
    if (x->format == SATCHEL_FORMAT_CSV)
        csv_row(x, text, row.values);
    else
        json_row(x, text, row.values);
    return x->out.error != ERR_OK ? (int)x->out.error : flush(x, PIECE_BYTES);
}

static enum err export_table(struct export *x, const struct model_table *table, bool separated)
{
    x->table = table;
    if (x->format == SATCHEL_FORMAT_CSV) {
        if (separated)
            (void)text_append(&x->out, "\r\n");
        csv_header(x);
    }
    enum err e = store_row_scan(x->h->store, table, NULL, export_id, x);
    if (e == ERR_OK)
        (void)flush(x, 0);
    return e == ERR_OK ? x->out.error : e;
}

static enum err export_all(struct export *x, const struct model_table *only)
{
    enum err e = ERR_OK;
    bool separated = false;
    if (only != NULL)
        return export_table(x, only, false);
    for (uint16_t t = 0; e == ERR_OK && !x->stopped && t < x->h->model->table_count; t++)
        if (!x->h->model->tables[t].system) {
            e = export_table(x, &x->h->model->tables[t], separated);
            separated = true;
        }
    return e;
}

enum satchel_code satchel_export(struct satchel *handle, const char *table,
                                 enum satchel_format format, satchel_write_fn *fn, void *context)
{
    enum err e = api_start(handle);
    const struct model_table *only = NULL;
    if (e == ERR_OK && table != NULL)
        only = api_table_by_name(handle, table, &e);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    struct export x = {.h = handle, .format = format, .fn = fn, .context = context};
    buf_init(&x.out, LINE_MAX_BYTES);
    buf_init(&x.cell, API_TEXT_MAX);
    arena_init(&x.arena, API_ARENA_MAX);
    e = export_all(&x, only);
    buf_done(&x.out);
    buf_done(&x.cell);
    arena_done(&x.arena);
    api_read_end(handle);
    return api_end(handle, e);
}
