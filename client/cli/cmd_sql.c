/* cmd_sql.c - satchel sql: one SELECT on the replica. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "term.h"
#include "text.h"

struct rows {
    struct cli *cli;
    struct table out;
    json_t *json;
    uint64_t count;
    bool begun;
};

/* Ids are 16-byte blobs: shown as UUIDs; other blobs in hexadecimal. */
static char *blob_text(const struct satchel_bytes *bytes)
{
    struct text out = {0};
    if (bytes->size == 16) {
        struct satchel_id id;
        char text[SATCHEL_ID_TEXT_SIZE];
        memcpy(id.byte, bytes->data, 16);
        satchel_id_format(&id, text);
        return text_copy(text);
    }
    for (size_t i = 0; i < bytes->size; i++)
        text_addf(&out, "%02x", bytes->data[i]);
    return text_take(&out);
}

static char *value_text(const struct satchel_value *value)
{
    struct text out = {0};
    switch (value->kind) {
    case SATCHEL_NULL: break;
    case SATCHEL_INT: text_addf(&out, "%" PRId64, value->as.integer); break;
    case SATCHEL_REAL: text_addf(&out, "%.15g", value->as.real); break;
    case SATCHEL_TEXT:
        text_add_n(&out, (const char *)value->as.bytes.data, value->as.bytes.size);
        break;
    case SATCHEL_BLOB: return blob_text(&value->as.bytes);
    }
    return text_take(&out);
}

static json_t *value_json(const struct satchel_value *value)
{
    if (value->kind == SATCHEL_NULL)
        return json_null();
    if (value->kind == SATCHEL_INT)
        return json_integer(value->as.integer);
    if (value->kind == SATCHEL_REAL)
        return json_real(value->as.real);
    char *text = value_text(value);
    json_t *json = json_string(text);
    free(text);
    return json ? json : json_string("?");
}

static int on_row(void *context, int count, const char *const *names,
                  const struct satchel_value *values)
{
    struct rows *rows = context;
    rows->count++;
    if (rows->cli->json) {
        json_t *row = json_object();
        for (int i = 0; i < count; i++)
            json_object_set_new(row, names[i], value_json(&values[i]));
        json_array_append_new(rows->json, row);
        return 0;
    }
    if (!rows->begun) {
        table_begin(&rows->out, (size_t)count);
        for (int i = 0; i < count; i++) {
            bool number = values[i].kind == SATCHEL_INT || values[i].kind == SATCHEL_REAL;
            table_heading(&rows->out, (size_t)i, text_copy(names[i]), number);
        }
        rows->begun = true;
    }
    for (int i = 0; i < count; i++) {
        char *text = value_text(&values[i]);
        table_cell(&rows->out, text);
        free(text);
    }
    return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct rows rows = {.cli = cli};
    int failed = args_parse(cli, &command_sql, NULL, 0, &argc, argv, 1, 1);
    if (!failed)
        failed = cli_open(cli, true);
    if (failed)
        return failed;
    rows.json = json_array();
    if (satchel_sql(cli->handle, argv[0], on_row, &rows) != SATCHEL_OK) {
        failed = cli_failed(cli);
    } else if (cli->json) {
        cli_print_json(json_incref(rows.json));
    } else if (rows.begun) {
        /* table_end() frees the table, not its headings. */
        size_t columns = rows.out.columns;
        char **headings = need(malloc(columns * sizeof *headings));
        for (size_t i = 0; i < columns; i++)
            headings[i] = (char *)(uintptr_t)rows.out.headings[i];
        table_end(&rows.out, cli);
        for (size_t i = 0; i < columns; i++)
            free(headings[i]);
        free(headings);
        cli_say(cli, "%" PRIu64 " %s", rows.count, rows.count == 1 ? "row" : "rows");
    } else {
        cli_say(cli, "no rows");
    }
    json_decref(rows.json);
    return failed;
}

const struct command command_sql = {
    "sql", "\"SELECT ...\"", "a read-only query on the replica",
    "The tables and columns are those of 'satchel tables'; ids are 16-byte blobs, money is in "
    "minor\n"
    "units (cents), instants in milliseconds. Only SELECT (WITH, EXPLAIN) is allowed.\n"
    "\n"
    "examples:\n"
    "  satchel sql \"SELECT country, count(*) AS customers FROM party GROUP BY country\"\n"
    "  satchel sql --json \"SELECT stage, sum(close_value)/100.0 AS value FROM deal GROUP BY "
    "stage\"\n",
    run};
