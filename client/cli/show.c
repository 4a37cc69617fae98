/* show.c - values, times and authors as text for people and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "text.h"

char *cli_value_text(struct cli *cli, const struct satchel_column *column,
                     const struct satchel_value *value)
{
    size_t size = 0;
    char small[256];
    if (satchel_format_value(cli->handle, column, value, small, sizeof small, &size) != SATCHEL_OK)
        return text_copy("?");
    if (size < sizeof small)
        return text_copy(small);
    char *text = need(malloc(size + 1));
    satchel_format_value(cli->handle, column, value, text, size + 1, NULL);
    return text;
}

void cli_time(int64_t at_ms, char out[32])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm local;
    out[0] = '\0';
    if (at_ms != 0 && localtime_r(&seconds, &local))
        strftime(out, 32, "%Y-%m-%d %H:%M", &local);
}

/* The currency of a money cell, or "". */
static const char *currency_of(const struct satchel_record *record,
                               const struct satchel_column *column)
{
    if (column->currency)
        return column->currency;
    if (record && column->currency_column >= 0)
        return record->cells[column->currency_column].text;
    return "";
}

char *cli_cell_text(struct cli *cli, const struct satchel_record *record,
                    const struct satchel_cell *cell)
{
    struct text out = {0};
    if (cell->value.kind == SATCHEL_NULL)
        return text_copy("");
    if (cell->column->type == SATCHEL_TYPE_INSTANT && cell->value.kind == SATCHEL_INT) {
        char at[32];
        cli_time(cell->value.as.integer, at);
        return text_copy(at);
    }
    if (cell->column->type == SATCHEL_TYPE_REFERENCE)
        return text_copy(cell->text);
    text_add(&out, cell->text);
    if (cell->column->type == SATCHEL_TYPE_MONEY) {
        const char *currency = currency_of(record, cell->column);
        if (currency[0] && !strstr(text_get(&out), currency))
            text_addf(&out, " %s", currency);
    }
    (void)cli;
    return text_take(&out);
}

char *cli_author(const struct satchel_author *author)
{
    struct text out = {0};
    const char *who = author->user && author->user[0]     ? author->user
                      : author->login && author->login[0] ? author->login
                      : author->own                       ? "you"
                                                          : "";
    text_add(&out, who[0] ? who : author->oseq ? "headquarters" : "not known");
    if (author->device && author->device[0])
        text_addf(&out, " (%s)", author->device);
    return text_take(&out);
}

const char *cli_mark(const struct satchel_record *record)
{
    return record->pending > 0 || record->revision == 0 ? "✓" : "✓✓✓";
}

json_t *cli_json_id(const struct satchel_id *id)
{
    char text[SATCHEL_ID_TEXT_SIZE];
    satchel_id_format(id, text);
    return json_string(text);
}

json_t *cli_json_time(int64_t at_ms)
{
    char text[64];
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm utc;
    if (at_ms == 0 || !gmtime_r(&seconds, &utc))
        return json_null();
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + size, sizeof text - size, ".%03dZ", (int)(at_ms % 1000));
    return json_string(text);
}

json_t *cli_json_value(struct cli *cli, const struct satchel_column *column,
                       const struct satchel_value *value)
{
    if (value->kind == SATCHEL_NULL)
        return json_null();
    if (column->type == SATCHEL_TYPE_BOOLEAN && value->kind == SATCHEL_INT)
        return json_boolean(value->as.integer != 0);
    if (column->type == SATCHEL_TYPE_INTEGER && value->kind == SATCHEL_INT)
        return json_integer(value->as.integer);
    if (value->kind == SATCHEL_REAL)
        return json_real(value->as.real);
    if (column->type == SATCHEL_TYPE_INSTANT && value->kind == SATCHEL_INT)
        return cli_json_time(value->as.integer);
    if (column->type == SATCHEL_TYPE_SET && value->kind == SATCHEL_TEXT) {
        json_t *set = json_loadb((const char *)value->as.bytes.data, value->as.bytes.size, 0, NULL);
        if (set)
            return set;
    }
    char *text = cli_value_text(cli, column, value);
    json_t *json = json_string(text);
    free(text);
    return json ? json : json_null();
}

json_t *cli_json_author(const struct satchel_author *author)
{
    json_t *json = json_object();
    char origin[24];
    snprintf(origin, sizeof origin, "%016" PRIx64, author->origin);
    json_object_set_new(json, "user", json_string(author->user ? author->user : ""));
    json_object_set_new(json, "login", json_string(author->login ? author->login : ""));
    json_object_set_new(json, "device", json_string(author->device ? author->device : ""));
    json_object_set_new(json, "at", cli_json_time(author->at_ms));
    json_object_set_new(json, "own", json_boolean(author->own));
    json_object_set_new(json, "origin", json_string(origin));
    json_object_set_new(json, "oseq", json_integer((json_int_t)author->oseq));
    return json;
}

json_t *cli_json_record(struct cli *cli, const struct satchel_record *record)
{
    json_t *json = json_object(), *values = json_object(), *titles = json_object();
    json_object_set_new(json, "id", cli_json_id(&record->id));
    json_object_set_new(json, "table", json_string(record->table->name));
    json_object_set_new(json, "title", json_string(record->title));
    json_object_set_new(json, "deleted", json_boolean(record->deleted));
    json_object_set_new(json, "revision", json_integer((json_int_t)record->revision));
    json_object_set_new(json, "pending", json_integer((json_int_t)record->pending));
    for (uint16_t i = 0; i < record->table->column_count; i++) {
        const struct satchel_cell *cell = &record->cells[i];
        json_object_set_new(values, cell->column->name,
                            cli_json_value(cli, cell->column, &cell->value));
        if (cell->column->type == SATCHEL_TYPE_REFERENCE && cell->value.kind != SATCHEL_NULL)
            json_object_set_new(titles, cell->column->name, json_string(cell->text));
    }
    json_object_set_new(json, "values", values);
    json_object_set_new(json, "titles", titles);
    return json;
}

json_t *cli_json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    struct text valid = {0};
    uint32_t character;
    for (size_t at = 0, size = strlen(text); at < size;) {
        at += text_decode(text + at, size - at, &character);
        text_add_character(&valid, character);
    }
    json = json_string(text_get(&valid));
    text_done(&valid);
    return json;
}

void cli_print_json(json_t *value)
{
    if (!value)
        cli_out_of_memory();
    /* Indented by hand-readable depth, in the order of making. */
    json_dumpf(value, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    putchar('\n');
    fflush(stdout);
    json_decref(value);
}
