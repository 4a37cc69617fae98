/* cmd_tables.c - satchel tables: what can be kept, for people and programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "term.h"
#include "text.h"

/* "text, key, required", "reference to party", "one of low, normal, high" */
static char *describe(const struct satchel_schema *schema, const struct satchel_column *column)
{
    struct text out = {0};
    text_add(&out, column->type_name);
    if (column->type == SATCHEL_TYPE_REFERENCE && column->target >= 0)
        text_addf(&out, " to %s", schema->tables[column->target].name);
    for (uint16_t i = 0; i < column->symbol_count; i++)
        text_addf(&out, "%s%s", i == 0 ? ": " : ", ", column->symbols[i]);
    if (column->currency)
        text_addf(&out, " in %s", column->currency);
    return text_take(&out);
}

static json_t *table_json(const struct satchel_schema *schema, const struct satchel_table *table)
{
    json_t *json = json_object(), *columns = json_array();
    json_object_set_new(json, "name", json_string(table->name));
    json_object_set_new(json, "label", json_string(table->label.text[SATCHEL_EN]));
    json_object_set_new(json, "label_ru", json_string(table->label.text[SATCHEL_RU]));
    json_object_set_new(json, "system", json_boolean(table->system));
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct satchel_column *column = &table->columns[i];
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(column->name));
        json_object_set_new(one, "label", json_string(column->label.text[SATCHEL_EN]));
        json_object_set_new(one, "label_ru", json_string(column->label.text[SATCHEL_RU]));
        json_object_set_new(one, "type", json_string(column->type_name));
        json_object_set_new(one, "policy", json_string(column->policy));
        json_object_set_new(one, "required", json_boolean(column->required));
        json_object_set_new(one, "key", json_boolean(column->key));
        if (column->target >= 0)
            json_object_set_new(one, "target", json_string(schema->tables[column->target].name));
        if (column->symbol_count > 0) {
            json_t *symbols = json_array();
            for (uint16_t k = 0; k < column->symbol_count; k++)
                json_array_append_new(symbols, json_string(column->symbols[k]));
            json_object_set_new(one, "symbols", symbols);
        }
        json_array_append_new(columns, one);
    }
    json_object_set_new(json, "columns", columns);
    return json;
}

static int all_tables(struct cli *cli, const struct satchel_schema *schema)
{
    struct table out;
    json_t *json = json_array();
    table_begin(&out, 4);
    table_heading(&out, 0, "table", false);
    table_heading(&out, 1, "what", false);
    table_heading(&out, 2, "columns", true);
    table_heading(&out, 3, "records", true);
    for (uint16_t i = 0; i < schema->table_count; i++) {
        const struct satchel_table *table = &schema->tables[i];
        uint64_t count = 0;
        char number[24];
        if (satchel_count(cli->handle, table->name, NULL, &count) != SATCHEL_OK)
            return cli_failed(cli);
        if (cli->json) {
            json_t *one = table_json(schema, table);
            json_object_set_new(one, "records", json_integer((json_int_t)count));
            json_array_append_new(json, one);
            continue;
        }
        table_cell(&out, table->name);
        table_cell(&out, table->label_plural.text[SATCHEL_EN]);
        snprintf(number, sizeof number, "%d", table->column_count);
        table_cell(&out, number);
        snprintf(number, sizeof number, "%" PRIu64, count);
        table_cell(&out, number);
    }
    if (cli->json) {
        cli_print_json(json_incref(json));
        out.count = 0;
    } else {
        table_end(&out, cli);
        cli_say(cli, "'satchel tables TABLE' lists its columns");
    }
    json_decref(json);
    return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int failed = args_parse(cli, &command_tables, NULL, 0, &argc, argv, 0, 1);
    if (!failed)
        failed = cli_open(cli, true);
    if (failed)
        return failed;
    const struct satchel_schema *schema = satchel_schema(cli->handle);
    if (argc == 0)
        return all_tables(cli, schema);
    const struct satchel_table *table = cli_table(cli, argv[0]);
    if (!table)
        return EXIT_USAGE;
    if (cli->json) {
        cli_print_json(table_json(schema, table));
        return EXIT_DONE;
    }
    static const char *const headings[] = {"column", "what", "type", "", "merge"};
    struct table out;
    printf("%s: %s\n", table->name, table->label_plural.text[SATCHEL_EN]);
    table_begin(&out, 5);
    for (size_t i = 0; i < 5; i++)
        table_heading(&out, i, headings[i], false);
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct satchel_column *column = &table->columns[i];
        char *type = describe(schema, column);
        table_cell(&out, column->name);
        table_cell(&out, column->label.text[SATCHEL_EN]);
        table_cell(&out, type);
        table_cell(&out, column->required && column->key ? "required key"
                         : column->required              ? "required"
                         : column->key                   ? "key"
                                                         : "");
        table_cell(&out, column->policy);
        free(type);
    }
    table_end(&out, cli);
    return EXIT_DONE;
}

const struct command command_tables = {"tables", "[TABLE]",
                                       "what can be kept: tables and their columns",
                                       "examples:\n"
                                       "  satchel tables\n"
                                       "  satchel tables party\n"
                                       "  satchel tables --json\n",
                                       run};
