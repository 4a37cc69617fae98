/* satcheld sql - one question to the store, read-only, beside a running server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/query.h"
#include "common/text.h"
#include "server/main/command.h"
#include "server/main/house.h"
#include "server/main/table.h"

enum { ANSWER_MAX = 1 << 30 };

struct answer {
    json_t *rows;
    struct table table;
    const char *headings[TABLE_COLUMNS_MAX];
    bool json;
    size_t count;
};

/* Blobs are hexadecimal. */
static enum err text_of_value(const struct value *value, struct buf *out)
{
    buf_reset(out);
    switch (value->kind) {
    case VALUE_NULL: break;
    case VALUE_INT: text_append_int64(out, value->as.integer); break;
    case VALUE_REAL: text_append_double(out, value->as.real); break;
    case VALUE_TEXT: buf_append(out, value->as.bytes.data, value->as.bytes.size); break;
    case VALUE_BLOB: text_append_hex(out, value->as.bytes); break;
    }
    buf_append_byte(out, 0);
    return out->error;
}

static json_t *value_json(const struct value *value, const struct buf *text)
{
    switch (value->kind) {
    case VALUE_NULL: return json_null();
    case VALUE_INT: return json_integer((json_int_t)value->as.integer);
    case VALUE_REAL: return json_real(value->as.real);
    case VALUE_TEXT:
    case VALUE_BLOB: return json_stringn((const char *)text->data, text->size - 1);
    }
    return json_null();
}

static int take_row(void *context, int count, const char *const *names, const struct value *values)
{
    struct answer *answer = context;
    struct buf text;
    buf_init(&text, ANSWER_MAX);
    json_t *row = answer->json ? json_object() : NULL;
    size_t shown = count < TABLE_COLUMNS_MAX ? (size_t)count : TABLE_COLUMNS_MAX;
    if (!answer->json && answer->count == 0) {
        for (size_t i = 0; i < shown; i++)
            answer->headings[i] = strdup(names[i]);
        table_init(&answer->table, shown, answer->headings);
    }
    enum err e = ERR_OK;
    for (int i = 0; e == ERR_OK && i < count; i++) {
        e = text_of_value(&values[i], &text);
        if (e == ERR_OK && row)
            json_object_set_new(row, names[i], value_json(&values[i], &text));
        else if (e == ERR_OK && (size_t)i < shown)
            table_cell(&answer->table, (const char *)text.data);
    }
    if (row)
        json_array_append_new(answer->rows, row);
    answer->count++;
    buf_done(&text);
    return (int)e;
}

static void print_answer(struct answer *answer)
{
    if (answer->json)
        print_json(answer->rows);
    else if (answer->count == 0)
        puts("No rows.");
    else
        table_print(&answer->table, "");
    for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++)
        free((char *)(uintptr_t)answer->headings[i]); /* our own copies */
    json_decref(answer->rows);
}

int command_sql(int argc, char **argv)
{
    struct common_options common = {0};
    const char *text;
    const struct option options[] = {OPTIONS_COMMON(&common)};
    const struct usage usage = {
        "satcheld sql",
        "SELECT",
        "Asks the store one question, read-only, whether a server runs or not. A table for people\n"
        "shows the first 8 columns, --json all; blobs are hexadecimal.",
        "  satcheld sql \"SELECT status, count(*) FROM sales_order GROUP BY 1\"",
        options,
        sizeof options / sizeof *options,
        1,
        1};
    int code = options_parse(&usage, argc, argv, &text);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    struct answer answer = {.json = common.json, .rows = json_array()};
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK)
        e = house_open(&house, HOUSE_LOOK, NULL, &info);
    if (e == ERR_OK)
        e = store_sqlite_sql(house.store, text, take_row, &answer, &info);
    house_close(&house);
    if (e == ERR_OK)
        print_answer(&answer);
    else
        json_decref(answer.rows);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&common, e, &info);
}
